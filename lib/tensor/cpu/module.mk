NEEDS.tensor/cpu := base
# For ThreadSanitizer clang's OpenMP library, which knows gcc's calls and can tell of its barriers (tests/tools/sanitised); gcc's cannot.
LIBS.tensor/cpu := -ldnnl $(if $(filter tsan,$(CONFIG)),-l:libomp.so.5,-fopenmp)
CFLAGS.tensor/cpu := -O3 -fopenmp -fno-trapping-math -fno-math-errno
ifeq ($(or $(wildcard /usr/include/oneapi/dnnl/dnnl.h),$(shell printf '\043include <dnnl.h>\n' | $(CC) $(CFLAGS) -E -o /dev/null - 2>/dev/null && echo yes)),)
OFF.tensor/cpu := built without oneDNN: no dnnl.h (Debian: libdnnl-dev)
endif
