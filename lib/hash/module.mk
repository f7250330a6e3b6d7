NEEDS.hash := base io
LIBS.hash := -lxxhash
# -O3: the box passes and the luma loop are plain loops that have to become vector code. The kernels pick AVX2 and
# AVX-512 at run time themselves, so nothing here asks for an instruction set.
CFLAGS.hash := -O3
