/* kernels_avx2.c: the loops for x86-64 with AVX2 and FMA. */
#ifdef __x86_64__
#pragma GCC target("avx2,fma")
#define KERNELS_ISA "avx2"
#include "tensor/cpu/kernels_body.h"

const struct kernels *kernels_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &table : NULL;
}
#else
#include "tensor/cpu/kernels.h"
const struct kernels *kernels_avx2(void) { return NULL; }
#endif
