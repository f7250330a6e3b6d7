/* int8_avx2.c: the loops on bytes for x86-64 with AVX2. */
#ifdef __x86_64__
#pragma GCC target("avx2,fma")
#define INT8_ISA "avx2"
#include "tensor/cpu/int8_vectors256.h"

/* Pairs of products are added in 16 bits, which is enough for the sum of two products of 255 * 64. */
#define PRODUCTS(bytes, weights) _mm256_maddubs_epi16(bytes, weights)
#define ADD_PRODUCTS(a, b) _mm256_add_epi16(a, b)
#define SUM_PRODUCTS(products) _mm256_madd_epi16(products, _mm256_set1_epi16(1))
#define DOT(sum, bytes, weights) ((sum) = ADD(sum, SUM_PRODUCTS(PRODUCTS(bytes, weights))))
#include "tensor/cpu/int8_body.h"

const struct int8_kernels *int8_kernels_avx2(void) { return __builtin_cpu_supports("avx2") ? &table : NULL; }
#else
#include "tensor/cpu/int8_kernels.h"
const struct int8_kernels *int8_kernels_avx2(void) { return NULL; }
#endif
