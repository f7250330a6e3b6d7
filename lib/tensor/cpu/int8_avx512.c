/* int8_avx512.c: the loops on bytes for x86-64 with AVX-512. */
#ifdef __x86_64__
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512")
#define INT8_ISA "avx512"
#include "tensor/cpu/int8_vectors512.h"

/* Pairs of products are added in 16 bits, which is enough for the sum of two products of 255 * 64. */
#define DOT(sum, bytes, weights)                                                                             \
    ((sum) = _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(bytes, weights),                   \
                                                     _mm512_set1_epi16(1))))
#include "tensor/cpu/int8_body.h"

const struct int8_kernels *int8_kernels_avx512(void)
{
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                   __builtin_cpu_supports("avx512vl")
               ? &table
               : NULL;
}
#else
#include "tensor/cpu/int8_kernels.h"
const struct int8_kernels *int8_kernels_avx512(void) { return NULL; }
#endif
