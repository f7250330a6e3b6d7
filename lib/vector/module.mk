# Pictures as vectors: reduced, kept in folders, and all near pairs of them.
NEEDS.vector := base io hash manifest
LIBS.vector := -lm
# -O3: products of matrices as plain loops that have to become vector code.
CFLAGS.vector := -O3
