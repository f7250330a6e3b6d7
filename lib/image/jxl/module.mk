NEEDS.image/jxl := base
LIBS.image/jxl := -ljxl
CFLAGS.image/jxl := -O3 $(shell pkg-config --cflags libjxl 2>/dev/null)
ifeq ($(shell pkg-config --exists libjxl 2>/dev/null && echo yes),)
OFF.image/jxl := JPEG XL pictures are refused: no libjxl (pkg-config libjxl; Debian: libjxl-dev)
endif
