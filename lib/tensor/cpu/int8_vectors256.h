/* int8_vectors256.h: the vectors of int8_body.h for AVX2. The includer defines how four bytes are
 * multiplied. */
#include <immintrin.h>

#define VECTOR __m256i
#define VECTOR_F __m256
#define LANES 8
#define LOAD(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define STORE(p, v) _mm256_storeu_si256((__m256i *)(void *)(p), v)
#define LOAD_F(p) _mm256_loadu_ps(p)
#define BROADCAST(four) _mm256_set1_epi32(four)
#define SPLAT(i) _mm256_set1_epi32(i)
#define SPLAT_F(f) _mm256_set1_ps(f)
#define MAX_BYTES(a, b) _mm256_max_epu8(a, b)
#define ADD(a, b) _mm256_add_epi32(a, b)
#define MUL(a, b) _mm256_mul_ps(a, b)
#define TO_FLOAT(v) _mm256_cvtepi32_ps(v)
#define TO_INT(v) _mm256_cvtps_epi32(v)
#define CLAMP(v, low, high) _mm256_min_ps(_mm256_max_ps(v, low), high)
/* 16 sums within 0 to 255, in two vectors. */
#define STORE_BYTES(to, r)                                                                                   \
    do {                                                                                                     \
        __m256i words_ = _mm256_permute4x64_epi64(_mm256_packs_epi32((r)[0], (r)[1]), 0xd8);                 \
        _mm_storeu_si128((__m128i *)(void *)(to), _mm_packus_epi16(_mm256_castsi256_si128(words_),           \
                                                                   _mm256_extracti128_si256(words_, 1)));    \
    } while (0)
#define TILES(T) T(1, 2) T(2, 2) T(3, 2)
#define MOST_BLOCKS 1
#define MOST_PIXELS                                                                                          \
    {                                                                                                        \
        0, 3                                                                                                 \
    }
