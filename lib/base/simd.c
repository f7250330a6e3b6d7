/* simd.c: see simd.h. */
#include "base/simd.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static int best(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("sse4.1") || !__builtin_cpu_supports("ssse3")) return SIMD_BASE;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return SIMD_SSE41;
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
               ? SIMD_AVX512
               : SIMD_AVX2;
#else
    return SIMD_BASE;
#endif
}

enum simd simd_level(void)
{
    static const char *const names[] = {"base", "sse41", "avx2", "avx512"};
    static atomic_int known = -1;
    int level = atomic_load_explicit(&known, memory_order_relaxed);
    if (level >= 0) return (enum simd)level;
    level = best();
    const char *wanted = getenv("WINNOW_SIMD");
    for (int i = 0; wanted && i < level; i++)
        if (!strcmp(wanted, names[i])) level = i;
    atomic_store_explicit(&known, level, memory_order_relaxed);
    return (enum simd)level;
}
