/* simd.h: the instruction set that every vector loop of ours, and oneDNN, may use at most. */
#ifndef WINNOW_BASE_SIMD_H
#define WINNOW_BASE_SIMD_H

enum simd { SIMD_BASE, SIMD_SSE41, SIMD_AVX2, SIMD_AVX512 }; /* AVX2 has FMA; AVX512 has F, BW, DQ and VL */

/* The processor's best, or WINNOW_SIMD (base, sse41, avx2, avx512) where that is less. Decided at the first
 * call, for the process' life; any thread. */
enum simd simd_level(void);

#endif
