NEEDS.image := base io
LIBS.image := -ljpeg -lpng16 -lwebp -lwebpdemux -lgif -lseccomp -lxxhash
