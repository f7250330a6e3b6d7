NEEDS.tensor := base dist net tensor/ref tensor/cpu
LIBS.tensor := -ldl
CFLAGS.tensor = $(if $(OFF.tensor/cpu),-DWITHOUT_ONEDNN)
