NEEDS.image/colour := base
LIBS.image/colour := -llcms2
ifeq ($(shell pkg-config --exists lcms2 2>/dev/null && echo yes),)
OFF.image/colour := --color srgb is refused: no lcms2 (pkg-config lcms2; Debian: liblcms2-dev)
endif
