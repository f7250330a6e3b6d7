/* int8_base.c: the loops on bytes in plain C, and the choice among all of them. */
#define INT8_ISA "plain C"
#define MOST_BLOCKS 4
#define MOST_PIXELS                                                                                          \
    {                                                                                                        \
        0, 8, 8, 8, 8                                                                                        \
    }
#include "tensor/cpu/int8_body.h"

#include <stdbool.h>
#include <stdlib.h>

const struct int8_kernels *int8_kernels_base(void) { return &table; }

const struct int8_kernels *int8_kernels_at(int i)
{
    const struct int8_kernels *all[] = {int8_kernels_base(),   int8_kernels_avx2(), int8_kernels_avxvnni(),
                                        int8_kernels_avx512(), int8_kernels_vnni(), int8_kernels_amx()};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        if (all[k] && i-- == 0) return all[k];
    return NULL;
}

const struct int8_kernels *int8_kernels_best(enum simd level)
{
    bool limited = getenv("WINNOW_SIMD") || getenv("ONEDNN_MAX_CPU_ISA");
    const struct int8_kernels *k = NULL;
    if (level >= SIMD_AVX512)
        k = limited               ? int8_kernels_avx512()
            : int8_kernels_amx()  ? int8_kernels_amx()
            : int8_kernels_vnni() ? int8_kernels_vnni()
                                  : int8_kernels_avx512();
    if (!k && level >= SIMD_AVX2)
        k = !limited && int8_kernels_avxvnni() ? int8_kernels_avxvnni() : int8_kernels_avx2();
    return k ? k : int8_kernels_base();
}
