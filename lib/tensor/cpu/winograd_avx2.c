/* winograd_avx2.c: the loops of winograd.h for x86-64 with AVX2 and FMA: 12 sums of 8 floats stay in
 * registers. */
#include "tensor/cpu/winograd.h"

#ifdef __x86_64__
#pragma GCC target("avx2,fma")
#include "tensor/cpu/simd_avx2.h"
#include "tensor/cpu/winograd_body.h"

PRODUCT(6, 2)
PRODUCT(12, 1)

static void product(const float *a, size_t n, const float *b, int n_k, int width, float *c)
{
    if (width == 2 * WIDTH)
        product_6x2(a, n, b, n_k, c);
    else
        product_12x1(a, n, b, n_k, c);
}

static const struct winograd_kernels table = {WIDTH, 2 * WIDTH, input, output, gradient, pack, product};

const struct winograd_kernels *winograd_avx2(void) { return kernels_avx2() ? &table : NULL; }
#else
const struct winograd_kernels *winograd_avx2(void) { return NULL; }
#endif
