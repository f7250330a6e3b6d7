NEEDS.image/heic := base
LIBS.image/heic := -lheif -lde265
CFLAGS.image/heic := -O3 $(shell pkg-config --cflags libheif libde265 2>/dev/null)
ifeq ($(shell pkg-config --exists libheif libde265 2>/dev/null && echo yes),)
OFF.image/heic := HEIC pictures are refused: no libheif or no libde265 (pkg-config libheif libde265; Debian: libheif-dev)
endif
