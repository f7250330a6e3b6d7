/*
 * int8_amx.c: the loops on bytes for x86-64 with AMX: those of VNNI, but for convolutions, whose sums are
 * tiles of 16 pixels times 16 channels. One instruction adds 64 products to each sum of a tile. Sums are
 * whole numbers, so their order does not matter, and the bytes are those of every other instruction set.
 *
 * A step of packed weights is a row of a tile as it is. The windows of up to 32 pixels are first copied side
 * by side, because their rows do not lie at equal distances, and all channels of the group read the copy.
 */
#if defined __x86_64__ && defined __linux__
#pragma GCC target(                                                                                          \
    "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,amx-tile,amx-int8,prefer-vector-width=512")
#define INT8_ISA "amx"
#define table vnni_table
#include "tensor/cpu/int8_vectors512.h"
#define DOT(sum, bytes, weights) __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(bytes), "v"(weights))
#include "tensor/cpu/int8_body.h"
#undef table

#include <cpuid.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ROWS = 16, CHUNK = 64, TILE = ROWS * CHUNK }; /* pixels of a tile, bytes of a row, bytes of a tile */
enum { MOST_CHUNKS = 72, MOST_PIECES = 2 * MOST_CHUNKS }; /* of a window, at most */

/* What is copied of each window: a part of a run that is in one chunk. */
struct piece {
    size_t from, to;
    __mmask64 bytes;
};

static int pieces_of(const struct int8_window *w, struct piece *pieces)
{
    size_t run = (size_t)w->n_steps * 4, at = 0;
    int n = 0;
    for (int r = 0; r < w->n_runs; r++)
        for (size_t i = 0, some; i < run; i += some, at += some, n++) {
            some = CHUNK - at % CHUNK < run - i ? CHUNK - at % CHUNK : run - i;
            if (n == MOST_PIECES) return -1;
            pieces[n] = (struct piece){w->run_at[r] + i, at / CHUNK * TILE + at % CHUNK,
                                       ~(__mmask64)0 >> (CHUNK - some)};
        }
    return n;
}

/* The windows of 16 pixels as tiles [chunk][pixel][64]. The last pixel is repeated. */
static void copy_windows(const struct piece *pieces, int n_pieces, int n_chunks, const uint8_t *const *x,
                         int n, uint8_t *to)
{
    memset(to + (size_t)(n_chunks - 1) * TILE, 0, TILE);
    for (int p = 0; p < ROWS; p++) {
        const uint8_t *from = x[p < n ? p : n - 1];
        uint8_t *row = to + p * CHUNK;
        for (int i = 0; i < n_pieces; i++)
            _mm512_mask_storeu_epi8(row + pieces[i].to, pieces[i].bytes,
                                    _mm512_maskz_loadu_epi8(pieces[i].bytes, from + pieces[i].from));
    }
}

struct sums {
    int32_t at[2][2][ROWS * INT8_BLOCK]; /* [pixels][channels] */
};

/* One or two tiles of pixels times one or two blocks of channels. What the weights have beyond a window
 * belongs to the next block, and is multiplied by zeros. */
#define MULTIPLY(P, V)                                                                                       \
    static void multiply_##P##_##V(const uint8_t *a, const uint8_t *b, const int8_t *w, size_t block_bytes,  \
                                   int n_chunks, struct sums *sums)                                          \
    {                                                                                                        \
        /* gcc does not know that tiles are loaded from memory: what was stored before has to be there */    \
        __asm__ volatile("" ::: "memory");                                                                   \
        _tile_zero(0);                                                                                       \
        if (V > 1) _tile_zero(1);                                                                            \
        if (P > 1) _tile_zero(2);                                                                            \
        if (P > 1 && V > 1) _tile_zero(3);                                                                   \
        for (int k = 0; k < n_chunks; k++, a += TILE, b += TILE, w += TILE) {                                \
            _tile_loadd(6, w, CHUNK);                                                                        \
            _tile_loadd(4, a, CHUNK);                                                                        \
            _tile_dpbusd(0, 4, 6);                                                                           \
            if (V > 1) _tile_loadd(7, w + block_bytes, CHUNK);                                               \
            if (V > 1) _tile_dpbusd(1, 4, 7);                                                                \
            if (P > 1) _tile_loadd(5, b, CHUNK);                                                             \
            if (P > 1) _tile_dpbusd(2, 5, 6);                                                                \
            if (P > 1 && V > 1) _tile_dpbusd(3, 5, 7);                                                       \
        }                                                                                                    \
        _tile_stored(0, sums->at[0][0], CHUNK);                                                              \
        if (V > 1) _tile_stored(1, sums->at[0][1], CHUNK);                                                   \
        if (P > 1) _tile_stored(2, sums->at[1][0], CHUNK);                                                   \
        if (P > 1 && V > 1) _tile_stored(3, sums->at[1][1], CHUNK);                                          \
    }
MULTIPLY(1, 1)
MULTIPLY(1, 2)
MULTIPLY(2, 1)
MULTIPLY(2, 2)

/* The bytes of n pixels and one block, as tile_bytes() of int8_body.h makes them. */
static void write_bytes(const struct int8_window *w, int block, const int32_t *sums, int n, uint8_t *y,
                        size_t y_stride)
{
    const VECTOR bias = LOAD(w->bias + block * INT8_BLOCK), zero = SPLAT(w->zero);
    const VECTOR_F factor = LOAD_F(w->factor + block * INT8_BLOCK), low = SPLAT_F(w->low),
                   high = SPLAT_F(w->high);
    int left = w->n_channels - block * INT8_BLOCK;
    __mmask16 channels = (__mmask16)(left >= INT8_BLOCK ? 0xffff : (1 << left) - 1);
    for (int p = 0; p < n; p++, sums += INT8_BLOCK, y += y_stride) {
        VECTOR v = ADD(zero, TO_INT(CLAMP(MUL(TO_FLOAT(ADD(LOAD(sums), bias)), factor), low, high)));
        _mm_mask_storeu_epi8(y, channels, _mm512_cvtepi32_epi8(v));
    }
}

static void conv_by_tiles(const struct int8_window *w, const uint8_t *const *x, int n_pixels, uint8_t *y,
                          size_t y_stride)
{
    static const struct __attribute__((aligned(64))) {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } tiles = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    struct piece pieces[MOST_PIECES];
    int n_chunks = (w->n_runs * w->n_steps * 4 + CHUNK - 1) / CHUNK, n_pieces = pieces_of(w, pieces);
    if (n_pieces < 0 || n_chunks > MOST_CHUNKS) {
        for (int i = 0, now; i < n_pixels; i += now) {
            now = n_pixels - i < 6 ? n_pixels - i : 6;
            for (int k = 0; k < w->n_blocks; k++) {
                struct int8_window one = *w;
                one.n_blocks = 1;
                one.weights += (size_t)k * w->block_bytes;
                one.bias += k * INT8_BLOCK;
                one.factor += k * INT8_BLOCK;
                one.n_channels = w->n_channels - k * INT8_BLOCK;
                conv(&one, x + i, now, y + (size_t)i * y_stride + k * INT8_BLOCK, y_stride);
            }
        }
        return;
    }
    static _Thread_local uint8_t windows[2][MOST_CHUNKS * TILE] __attribute__((aligned(64)));
    struct sums sums __attribute__((aligned(64)));
    bool two = n_pixels > ROWS;
    copy_windows(pieces, n_pieces, n_chunks, x, two ? ROWS : n_pixels, windows[0]);
    if (two) copy_windows(pieces, n_pieces, n_chunks, x + ROWS, n_pixels - ROWS, windows[1]);
    _tile_loadconfig(&tiles);
    for (int k = 0, some; k < w->n_blocks; k += some) {
        const int8_t *weights = w->weights + (size_t)k * w->block_bytes;
        some = w->n_blocks - k > 1 ? 2 : 1;
        (two        ? some > 1 ? multiply_2_2 : multiply_2_1
         : some > 1 ? multiply_1_2
                    : multiply_1_1)(windows[0], windows[1], weights, w->block_bytes, n_chunks, &sums);
        for (int v = 0; v < some; v++) {
            uint8_t *to = y + (k + v) * INT8_BLOCK;
            write_bytes(w, k + v, sums.at[0][v], two ? ROWS : n_pixels, to, y_stride);
            if (two) write_bytes(w, k + v, sums.at[1][v], n_pixels - ROWS, to + ROWS * y_stride, y_stride);
        }
    }
    _tile_release();
}

/* The processor's bits, and the system's permission for the process to use the 8 KB of tiles. */
static bool has_amx(void)
{
    enum { REQUEST = 0x1023, TILE_DATA = 18 }; /* ARCH_REQ_XCOMP_PERM */
    unsigned a, b, c, d = 0;
    return int8_kernels_vnni() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & 1u << 24) &&
           (d & 1u << 25) && !syscall(SYS_arch_prctl, REQUEST, TILE_DATA);
}

const struct int8_kernels *int8_kernels_amx(void)
{
    static struct int8_kernels amx;
    if (!has_amx()) return NULL;
    if (!amx.isa) {
        amx = vnni_table;
        amx.most_blocks = INT8_MOST_BLOCKS;
        for (int i = 1; i <= INT8_MOST_BLOCKS; i++)
            amx.most_pixels[i] = 2 * ROWS;
        amx.conv = conv_by_tiles;
    }
    return &amx;
}
#else
#include "tensor/cpu/int8_kernels.h"
const struct int8_kernels *int8_kernels_amx(void) { return NULL; }
#endif
