NEEDS.tensor/ref := base
CFLAGS.tensor/ref := -O3
