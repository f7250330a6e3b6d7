NEEDS.store := base io hash manifest
LIBS.store := $(or $(shell pkg-config --libs libcrypto 2>/dev/null),-lcrypto)
