NEEDS.image/avif := base
LIBS.image/avif := -lavif
CFLAGS.image/avif := -O3 $(shell pkg-config --cflags libavif 2>/dev/null)
ifeq ($(shell pkg-config --exists libavif 2>/dev/null && echo yes),)
OFF.image/avif := AVIF pictures are refused: no libavif (pkg-config libavif; Debian: libavif-dev)
endif
