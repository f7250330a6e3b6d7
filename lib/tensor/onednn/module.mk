NEEDS.tensor/onednn := base
LIBS.tensor/onednn := -ldnnl -fopenmp
CFLAGS.tensor/onednn := -O3 -fopenmp -fno-trapping-math -fno-math-errno
ifeq ($(or $(wildcard /usr/include/oneapi/dnnl/dnnl.h),$(shell printf '\043include <dnnl.h>\n' | $(CC) $(CFLAGS) -E -o /dev/null - 2>/dev/null && echo yes)),)
OFF.tensor/onednn := built without oneDNN: no dnnl.h (Debian: libdnnl-dev)
endif
