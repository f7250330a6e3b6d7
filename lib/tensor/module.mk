NEEDS.tensor := base dist net tensor/ref tensor/onednn
LIBS.tensor := -ldl
CFLAGS.tensor = $(if $(OFF.tensor/onednn),-DWITHOUT_ONEDNN)
