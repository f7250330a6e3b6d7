/* simd_avx512.h: vectors of 16 floats, under the names by which simd_avx2.h has 8. For files that are
 * compiled for AVX-512. */
#ifndef WINNOW_TENSOR_CPU_SIMD_AVX512_H
#define WINNOW_TENSOR_CPU_SIMD_AVX512_H

#include <immintrin.h>

#define WIDTH 16
typedef __m512 vec;
#define LOAD _mm512_loadu_ps
#define STORE _mm512_storeu_ps
#define SET1 _mm512_set1_ps
#define ZERO _mm512_setzero_ps
#define ADD _mm512_add_ps
#define SUB _mm512_sub_ps
#define MUL _mm512_mul_ps
#define FMA _mm512_fmadd_ps
#define FNMA _mm512_fnmadd_ps
/* sum += a * b. The assembler code keeps sum in one register: gcc 12 would move the sums of a large tile to
 * the stack and back. */
#define ACCUMULATE(SUM, A, B) __asm__("vfmadd231ps %2, %1, %0" : "+v"(SUM) : "v"(A), "v"(B))
#define MAX _mm512_max_ps
#define MIN _mm512_min_ps

#endif
