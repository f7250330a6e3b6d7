NEEDS.http := base io
LIBS.http := $(or $(shell pkg-config --libs libcurl 2>/dev/null),-lcurl) $(or $(shell pkg-config --libs zlib 2>/dev/null),-lz)
