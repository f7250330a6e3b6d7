/* half.c: converts IEEE half precision to and from float32, with F16C if the processor has it. The bits are
 * the same without. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/half.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define HAVE_F16C_PATH 1
#endif

static uint16_t half_of(float value)
{
    uint32_t x;
    memcpy(&x, &value, sizeof x);
    uint32_t sign = x >> 16 & 0x8000u, magnitude = x & 0x7fffffffu;
    /* infinity stays; NaN keeps its top bits and becomes quiet, as the instruction does */
    if (magnitude >= 0x7f800000u)
        return (uint16_t)(sign | 0x7c00u |
                          (magnitude > 0x7f800000u ? 0x200u | (magnitude >> 13 & 0x3ffu) : 0));
    if (magnitude >= 0x477ff000u) /* 65520 and above round to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude < 0x33000001u) /* at most 2^-25: rounds to zero (ties to even) */
        return (uint16_t)sign;
    uint32_t exponent = magnitude >> 23, mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    unsigned drop = exponent >= 113 ? 13 : 126 - exponent; /* a subnormal result drops more bits */
    uint32_t kept = mantissa >> drop, rest = mantissa & ((1u << drop) - 1), middle = 1u << (drop - 1);
    kept += rest > middle || (rest == middle && (kept & 1));
    /* the hidden bit of a normal number (0x400) is one step of the exponent, so an addition that rounds up
     * carries into the exponent correctly */
    return (uint16_t)(sign | (exponent >= 113 ? ((exponent - 113) << 10) + kept : kept));
}

static float float_of(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = half >> 10 & 0x1fu, mantissa = half & 0x3ffu,
             x;
    if (exponent == 0x1f) {
        x = sign | 0x7f800000u | mantissa << 13 | (mantissa ? 0x400000u : 0);
    } else if (exponent) {
        x = sign | (exponent + 112) << 23 | mantissa << 13;
    } else {
        float value = (float)mantissa * 0x1p-24f; /* exact */
        memcpy(&x, &value, sizeof x);
        x |= sign;
    }
    float out;
    memcpy(&out, &x, sizeof out);
    return out;
}

#ifdef HAVE_F16C_PATH
/* Every processor with AVX2 has F16C. AVX2 is tested because clang 14 does not know the name "f16c". */
static bool has_f16c(void) { return __builtin_cpu_supports("avx2"); }

__attribute__((target("f16c,avx"))) static size_t narrow_wide(uint16_t *out, const float *in, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(void *)(out + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT));
    return i;
}

__attribute__((target("f16c,avx"))) static size_t widen_wide(float *out, const uint16_t *in, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(in + i))));
    return i;
}
#endif

void half_from_float(uint16_t *out, const float *in, size_t n)
{
    size_t i = 0;
#ifdef HAVE_F16C_PATH
    if (has_f16c()) i = narrow_wide(out, in, n);
#endif
    for (; i < n; i++)
        out[i] = half_of(in[i]);
}

void half_to_float(float *out, const uint16_t *in, size_t n)
{
    size_t i = 0;
#ifdef HAVE_F16C_PATH
    if (has_f16c()) i = widen_wide(out, in, n);
#endif
    for (; i < n; i++)
        out[i] = float_of(in[i]);
}
