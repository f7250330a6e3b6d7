/* conv_tile_avx512.c: the loops of conv_tile.h: up to 24 sums of 16 floats stay in registers. */
#include "tensor/cpu/conv_tile.h"

#ifdef __x86_64__
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#include "tensor/cpu/simd_avx512.h"
#define FETCH_PIXELS(R, X, LOCALITY)                                                                         \
    for (int r = 0; r < R; r++)                                                                              \
    __builtin_prefetch((X)[r] + at, 0, LOCALITY)
#define AHEAD_LINES 4
#include "tensor/cpu/conv_tile_body.h"

TILES(6, 4)
TILES(8, 3)
TILES(8, 2)
TILES(8, 1)

static void pass(struct tile_pass *p, const float *const *x, float *const *y, size_t n)
{
    switch (p->vectors) {
    case 4: tiles_6x4(p, x, y, n); break;
    case 3: tiles_8x3(p, x, y, n); break;
    case 2: tiles_8x2(p, x, y, n); break;
    default: tiles_8x1(p, x, y, n);
    }
}

static const struct tile_kernels table = {WIDTH, 4, 24 * 1024, pass};
const struct tile_kernels *tiles_avx512(void) { return kernels_avx512() ? &table : NULL; }
#else
const struct tile_kernels *tiles_avx512(void) { return NULL; }
#endif
