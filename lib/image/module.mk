NEEDS.image := base io hash manifest
LIBS.image := -ljpeg -lpng16 -lwebp -lwebpdemux -lgif -lseccomp
# -O3: the plain loops over samples have to become vector code.
CFLAGS.image := -O3
