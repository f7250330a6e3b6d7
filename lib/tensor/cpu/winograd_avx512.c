/* winograd_avx512.c: the loops of winograd.h for x86-64 with AVX-512: up to 24
 * sums of 16 floats stay in registers. */
#include "tensor/cpu/winograd.h"

#ifdef __x86_64__
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#include "tensor/cpu/simd_avx512.h"
#include "tensor/cpu/winograd_body.h"

PRODUCT(6, 4)
PRODUCT(8, 3)
PRODUCT(8, 2)
PRODUCT(8, 1)

static void product(const float *a, size_t n, const float *b, int n_k, int width, float *c)
{
    switch (width / WIDTH) {
    case 4: product_6x4(a, n, b, n_k, c); break;
    case 3: product_8x3(a, n, b, n_k, c); break;
    case 2: product_8x2(a, n, b, n_k, c); break;
    default: product_8x1(a, n, b, n_k, c);
    }
}

static const struct winograd_kernels table = {WIDTH, 4 * WIDTH, input, output, gradient, pack, product};

const struct winograd_kernels *winograd_avx512(void) { return kernels_avx512() ? &table : NULL; }
#else
const struct winograd_kernels *winograd_avx512(void) { return NULL; }
#endif
