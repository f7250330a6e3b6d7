/* simd.h: the best instruction set that the vector loops of winnow and oneDNN may use. */
#ifndef WINNOW_BASE_SIMD_H
#define WINNOW_BASE_SIMD_H

enum simd { SIMD_BASE, SIMD_SSE41, SIMD_AVX2, SIMD_AVX512 }; /* AVX2 has FMA; AVX512 has F, BW, DQ and VL */

/* Returns the best instruction set of this processor, or the one that the environment variable WINNOW_SIMD
 * (base, sse41, avx2, avx512) names, if that is a lesser one. The first call decides, and later calls return
 * the same. Any thread may call it. */
enum simd simd_level(void);

#endif
