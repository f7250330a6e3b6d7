/* kernels_avx512.c: the loops for x86-64 with AVX-512. */
#ifdef __x86_64__
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512")
#define KERNELS_ISA "avx512"
#include "tensor/cpu/kernels_body.h"

const struct kernels *kernels_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
               ? &table
               : NULL;
}
#else
#include "tensor/cpu/kernels.h"
const struct kernels *kernels_avx512(void) { return NULL; }
#endif
