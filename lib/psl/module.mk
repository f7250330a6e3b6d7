NEEDS.psl := base
LIBS.psl := -lpsl
ifeq ($(shell pkg-config --exists libpsl 2>/dev/null && echo yes),)
OFF.psl := report-sources cuts domains by a short list: no libpsl (pkg-config libpsl; Debian: libpsl-dev)
endif
