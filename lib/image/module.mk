NEEDS.image := base io hash
LIBS.image := -ljpeg -lpng16 -lwebp -lwebpdemux -lgif -lseccomp
