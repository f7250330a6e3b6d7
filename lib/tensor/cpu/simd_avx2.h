/* simd_avx2.h: vectors of 8 floats, under the names by which simd_avx512.h has 16, so that the body of a loop
 * is written once for both. For files that are compiled for AVX2 and FMA. */
#ifndef WINNOW_TENSOR_CPU_SIMD_AVX2_H
#define WINNOW_TENSOR_CPU_SIMD_AVX2_H

#include <immintrin.h>

#define WIDTH 8
typedef __m256 vec;
#define LOAD _mm256_loadu_ps
#define STORE _mm256_storeu_ps
#define SET1 _mm256_set1_ps
#define ZERO _mm256_setzero_ps
#define ADD _mm256_add_ps
#define SUB _mm256_sub_ps
#define MUL _mm256_mul_ps
#define FMA _mm256_fmadd_ps
#define FNMA _mm256_fnmadd_ps
/* sum += a * b. The assembler code keeps sum in one register: gcc 12 would move the sums of a large tile to
 * the stack and back. */
#define ACCUMULATE(SUM, A, B) __asm__("vfmadd231ps %2, %1, %0" : "+x"(SUM) : "x"(A), "x"(B))
#define MAX _mm256_max_ps
#define MIN _mm256_min_ps

#endif
