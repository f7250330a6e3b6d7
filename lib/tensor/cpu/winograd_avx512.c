/* winograd_avx512.c: the loops of winograd.h for x86-64 with AVX-512: 24 sums
 * of 16 floats stay in registers. */
#include "tensor/cpu/winograd.h"

#ifdef __x86_64__
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#include "tensor/cpu/simd_avx512.h"
#include "tensor/cpu/winograd_body.h"

PRODUCT(6, 4)
PRODUCT(8, 3)
PRODUCT(12, 2)
PRODUCT(24, 1)

static void product(const float *a, size_t n, const float *b, int n_k, int width, float *c)
{
    const char *ahead = (const char *)(b + (size_t)n_k * (size_t)width), *const ahead_end =
                                                                             ahead + (size_t)n_k *
                                                                                         (size_t)width *
                                                                                         sizeof *b;
    switch (width / WIDTH) {
    case 4: PRODUCT_ROWS(6, 4); break;
    case 3: PRODUCT_ROWS(8, 3); break;
    case 2: PRODUCT_ROWS(12, 2); break;
    default: PRODUCT_ROWS(24, 1);
    }
}

static const struct winograd_kernels table = {WIDTH, 4 * WIDTH, input, output, gradient, pack, product};

const struct winograd_kernels *winograd_avx512(void) { return kernels_avx512() ? &table : NULL; }
#else
const struct winograd_kernels *winograd_avx512(void) { return NULL; }
#endif
