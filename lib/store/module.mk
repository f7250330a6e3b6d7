NEEDS.store := base io hash
LIBS.store := $(or $(shell pkg-config --libs libcrypto 2>/dev/null),-lcrypto)
