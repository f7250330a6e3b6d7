/* conv_tile_avx2.c: the loops of conv_tile.h: 12 sums of 8 floats stay in registers. */
#include "tensor/cpu/conv_tile.h"

#ifdef __x86_64__
#pragma GCC target("avx2,fma")
#include "tensor/cpu/simd_avx2.h"
/* In blocks of 8 channels two pixels share a line. */
#define FETCH_PIXELS(R, X, LOCALITY)                                                                         \
    for (int line = 0; line < (R + 1) / 2; line++)                                                           \
    __builtin_prefetch((X)[0] + at + line * 16, 0, LOCALITY)
#define AHEAD_LINES 2
#include "tensor/cpu/conv_tile_body.h"

TILES(4, 3)
TILES(6, 2)
TILES(8, 1)

static void pass(struct tile_pass *p, const float *const *x, float *const *y, size_t n)
{
    switch (p->vectors) {
    case 3: tiles_4x3(p, x, y, n); break;
    case 2: tiles_6x2(p, x, y, n); break;
    default: tiles_8x1(p, x, y, n);
    }
}

static const struct tile_kernels table = {WIDTH, 3, 256 * 1024, pass};
const struct tile_kernels *tiles_avx2(void) { return kernels_avx2() ? &table : NULL; }
#else
const struct tile_kernels *tiles_avx2(void) { return NULL; }
#endif
