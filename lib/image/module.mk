NEEDS.image := base io hash manifest image/avif image/colour image/heic image/jxl
LIBS.image := -ljpeg -lpng16 -lwebp -lwebpdemux -lgif -lz -lseccomp
# -O3: the plain loops over samples have to become vector code.
CFLAGS.image = -O3 $(if $(OFF.image/avif),-DWITHOUT_AVIF) $(if $(OFF.image/colour),-DWITHOUT_COLOUR) $(if $(OFF.image/heic),-DWITHOUT_HEIC) $(if $(OFF.image/jxl),-DWITHOUT_JXL)
