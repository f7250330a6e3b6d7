NEEDS.image := base io hash manifest
LIBS.image := -ljpeg -lpng16 -lwebp -lwebpdemux -lgif -lseccomp
