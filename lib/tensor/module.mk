NEEDS.tensor := base net tensor/ref tensor/onednn
LIBS.tensor := -ldl
