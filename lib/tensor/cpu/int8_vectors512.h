/* int8_vectors512.h: the vectors of int8_body.h for AVX-512. The includer defines how four bytes are
 * multiplied. */
#include <immintrin.h>

#define VECTOR __m512i
#define VECTOR_F __m512
#define LANES 16
#define LOAD(p) _mm512_loadu_si512((const void *)(p))
#define STORE(p, v) _mm512_storeu_si512((void *)(p), v)
#define LOAD_F(p) _mm512_loadu_ps(p)
#define BROADCAST(four) _mm512_set1_epi32(four)
#define SPLAT(i) _mm512_set1_epi32(i)
#define SPLAT_F(f) _mm512_set1_ps(f)
#define MAX_BYTES(a, b) _mm512_max_epu8(a, b)
#define ADD(a, b) _mm512_add_epi32(a, b)
#define MUL(a, b) _mm512_mul_ps(a, b)
#define TO_FLOAT(v) _mm512_cvtepi32_ps(v)
#define TO_INT(v) _mm512_cvtps_epi32(v)
#define CLAMP(v, low, high) _mm512_min_ps(_mm512_max_ps(v, low), high)
#define STORE_BYTES(to, r) _mm_storeu_si128((__m128i *)(void *)(to), _mm512_cvtepi32_epi8((r)[0]))
#define TO_SIX(T, V) T(1, V) T(2, V) T(3, V) T(4, V) T(5, V) T(6, V)
#define TO_EIGHT(T, V) TO_SIX(T, V) T(7, V) T(8, V)
#define TILES(T) TO_EIGHT(T, 1) TO_EIGHT(T, 2) TO_EIGHT(T, 3) TO_SIX(T, 4)
#define MOST_BLOCKS 4
#define MOST_PIXELS                                                                                          \
    {                                                                                                        \
        0, 8, 8, 8, 6                                                                                        \
    }
