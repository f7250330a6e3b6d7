/*
 * lanes.h: arithmetic on eight doubles at a time, with exponential and logarithm, in GCC's portable vectors.
 * Every function is inlined into its caller. Each lane is computed by the same operations on every processor
 * (no fused multiply-add). The results therefore have the same bits for whichever instruction set the caller
 * is compiled.
 */
#ifndef WINNOW_METRIC_LANES_H
#define WINNOW_METRIC_LANES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LANES 8
#define LANES_INLINE static inline __attribute__((always_inline))

typedef double lanes __attribute__((vector_size(8 * LANES), aligned(8), may_alias));
typedef int64_t lanes_bits __attribute__((vector_size(8 * LANES), aligned(8), may_alias));

LANES_INLINE void lanes_max(lanes *a, const lanes *b)
{
    lanes_bits larger = *b > *a;
    *a = (lanes)(((lanes_bits)*b & larger) | ((lanes_bits)*a & ~larger));
}

/* Returns the sum, which is added in a fixed order, by halves. */
LANES_INLINE double lanes_sum(const lanes *a)
{
    return (((*a)[0] + (*a)[4]) + ((*a)[2] + (*a)[6])) + (((*a)[1] + (*a)[5]) + ((*a)[3] + (*a)[7]));
}

/*
 * x becomes exp(x), x <= 0, within 1 ulp; 0 below -708. Cody and Waite: x = n log 2 + r with |r| <= 0.35,
 * whose Taylor series of degree 13 ends at 4e-18.
 */
LANES_INLINE void lanes_exp(lanes *x)
{
    const lanes round = 0x1.8p52 - (lanes){0};
    lanes_bits there = *x >= -708.0;
    lanes v = (lanes)((lanes_bits)*x & there), shifted = v * 0x1.71547652b82fep0 + round, n = shifted - round,
          r = v - n * 0x1.62e42fee00000p-1;
    r -= n * 0x1.a39ef35793c76p-33;
    lanes y = r * (1 / 6227020800.0) + 1 / 479001600.0;
    y = y * r + 1 / 39916800.0;
    y = y * r + 1 / 3628800.0;
    y = y * r + 1 / 362880.0;
    y = y * r + 1 / 40320.0;
    y = y * r + 1 / 5040.0;
    y = y * r + 1 / 720.0;
    y = y * r + 1 / 120.0;
    y = y * r + 1 / 24.0;
    y = y * r + 1 / 6.0;
    y = y * r + 0.5;
    y = r + r * r * y;
    lanes scale = (lanes)(((lanes_bits)shifted - (lanes_bits)round + 1023) << 52);
    *x = (lanes)((lanes_bits)(scale + scale * y) & there);
}

/*
 * x becomes log(x), x >= 0 and finite, within 2 ulp or 1e-16; -infinity below the smallest normal number.
 * x = 2^n m with m around 1, and log m = 2 atanh((m - 1) / (m + 1)), whose series ends at 3e-17.
 */
LANES_INLINE void lanes_log(lanes *x)
{
    const lanes_bits half_root = (lanes_bits){0} + 0x3fe6a09e667f3bcd,
                     bias = (lanes_bits){0} + (1023LL << 52);
    lanes_bits there = *x >= 0x1p-1022;
    lanes_bits bits = (lanes_bits)*x - half_root + bias;
    typedef uint64_t plain __attribute__((vector_size(8 * LANES), aligned(8), may_alias));
    lanes_bits n_biased = (lanes_bits)((plain)bits >> 52);
    lanes m = (lanes)((lanes_bits)*x - (n_biased << 52) + bias);
    lanes n = (lanes)(n_biased + (lanes_bits)(0x1.8p52 - (lanes){0})) - (0x1.8p52 + 1023);
    lanes f = m - 1, s = f / (m + 1), t = s * s;
    lanes y = t * (2 / 21.0) + 2 / 19.0;
    y = y * t + 2 / 17.0;
    y = y * t + 2 / 15.0;
    y = y * t + 2 / 13.0;
    y = y * t + 2 / 11.0;
    y = y * t + 2 / 9.0;
    y = y * t + 2 / 7.0;
    y = y * t + 2 / 5.0;
    y = y * t + 2 / 3.0;
    y = y * t;
    /* 2 s = f - s f exactly: the large term f carries no rounding of the division */
    lanes tail = n * 0x1.a39ef35793c76p-33 + (s * y - s * f);
    lanes log = n * 0x1.62e42fee00000p-1 + (f + tail);
    const lanes_bits minus_infinity = (lanes_bits){0} + (int64_t)0xfff0000000000000;
    *x = (lanes)(((lanes_bits)log & there) | (minus_infinity & ~there));
}

#endif
