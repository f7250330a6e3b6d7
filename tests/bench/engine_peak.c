/*
 * engine_peak.c: multiply-adds per second of registers only, the ceiling that shares of peak are taken of.
 * usage: engine_peak THREADS [SECONDS]     prints GFLOP/s of the best tenth of a second, with the widest
 * vectors there are
 */
#include <immintrin.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LOOPS 200000
#define FLOPS_OF(lanes) (LOOPS * 24.0 * 2 * (lanes))

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

__attribute__((target("avx512f"))) static float wide(void)
{
    __m512 s[24], a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(1e-3f);
    for (int k = 0; k < 24; k++)
        s[k] = _mm512_set1_ps((float)k);
    for (int i = 0; i < LOOPS; i++)
#pragma GCC unroll 24
        for (int k = 0; k < 24; k++)
            s[k] = _mm512_fmadd_ps(s[k], a, b);
    for (int k = 1; k < 24; k++)
        s[0] = _mm512_add_ps(s[0], s[k]);
    return _mm512_reduce_add_ps(s[0]);
}

__attribute__((target("avx2,fma"))) static float narrow(void)
{
    float out[8];
    __m256 s[12], a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(1e-3f);
    for (int k = 0; k < 12; k++)
        s[k] = _mm256_set1_ps((float)k);
    for (int i = 0; i < 2 * LOOPS; i++)
#pragma GCC unroll 12
        for (int k = 0; k < 12; k++)
            s[k] = _mm256_fmadd_ps(s[k], a, b);
    for (int k = 1; k < 12; k++)
        s[0] = _mm256_add_ps(s[0], s[k]);
    _mm256_storeu_ps(out, s[0]);
    return out[0];
}

int main(int argc, char **argv)
{
    int threads = argc > 1 ? atoi(argv[1]) : 1;
    double seconds = argc > 2 ? atof(argv[2]) : 0.5, end = now() + seconds, best = 0;
    int has_wide = __builtin_cpu_supports("avx512f");
    volatile float sink = 0;
    while (now() < end) {
        double a = now();
#pragma omp parallel num_threads(threads)
        {
            float v = has_wide ? wide() : narrow();
            if (v == 12345) sink = v;
        }
        double rate = threads * FLOPS_OF(has_wide ? 16 : 8) / (now() - a) * 1e-9;
        best = rate > best ? rate : best;
    }
    printf("%.1f\n", best);
    return 0;
}
