/* simd.h: the best instruction set that the vector loops of winnow and oneDNN may use. */
#ifndef WINNOW_BASE_SIMD_H
#define WINNOW_BASE_SIMD_H

enum simd { SIMD_BASE, SIMD_SSE41, SIMD_AVX2, SIMD_AVX512 }; /* AVX2 has FMA; AVX512 has F, BW, DQ and VL */

/* The best of this processor, or WINNOW_SIMD (base, sse41, avx2, avx512) when that is less. Decided at the
 * first call and then fixed. May be called from any thread. */
enum simd simd_level(void);

#endif
