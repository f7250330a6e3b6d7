/*
 * pdq.c: computes PDQ while the rows of a picture arrive one by one.
 *
 * PDQ blurs the picture by a box filter over rows and one over columns, and repeats both. It then uses 64x64
 * samples of the result. The second filter over rows therefore computes only 64 columns, and the second
 * filter over columns runs over these 64 only. All four filters work on a band of a few rows, so that no
 * buffer of the picture's size is needed. Speed: see docs/measured.md.
 */
#include "hash/pdq.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "hash/pdq_kernels.h"

#define SIDE 64        /* of the decimated picture */
#define FREQUENCIES 16 /* kept in each direction, 1..16: no constant term */
#define NN_SIDE 512

/* The state of a filter over columns: a ring of the last w + 1 rows that it got, and the running sums. */
struct column_pass {
    size_t n_columns, n_rows, window, lead, n_in, n_out;
    float *sum, *ring; /* n_columns; (window + 1) rows of n_columns */
};

struct pdq {
    const struct pdq_kernels *k;
    enum pdq_family family;
    unsigned channels;
    uint32_t in_width, in_height, width, height; /* as given; after the family's reduction */
    uint32_t n_rows_in;                          /* rows of the given picture seen */
    uint32_t n_rows;                             /* rows taken after the reduction */
    bool tiny;                                   /* the picture is too small to hash */
    bool copied;                                 /* the picture is exactly 64x64 and is not filtered */
    size_t stride;                               /* floats a row: width rounded up to 16 */
    uint32_t *column;                            /* nn512's source columns */
    uint32_t pick_x[SIDE], pick_y[SIDE];
    /* 16 rows; the same transposed; after the filter over rows; after the first filter over columns */
    float *band, *block, *boxed, *blurred;
    size_t n_band, n_blurred;
    float *picked; /* 64 x 16: the second row pass at the sampled columns */
    struct column_pass first, second;
    size_t next_y; /* first entry of pick_y not yet filled */
    float *memory;
    size_t memory_floats;
    float dct[FREQUENCIES][SIDE], dct_t[SIDE][FREQUENCIES];
    float small[SIDE][SIDE]; /* the decimated picture */
};

const char *pdq_family_name(enum pdq_family family)
{
    static const char *const names[] = {"full", "nn512", "fast"};
    return names[family];
}

int pdq_open(struct pdq **out, struct error *err)
{
    struct pdq *p = mem_aligned(64, (sizeof *p + 63) / 64 * 64, err);
    *out = NULL;
    if (!p) return -1;
    memset(p, 0, sizeof *p);
    p->k = pdq_kernels();
    float scale = (float)sqrt(2.0 / SIDE);
    for (int i = 0; i < FREQUENCIES; i++)
        for (int j = 0; j < SIDE; j++) {
            p->dct[i][j] = (float)((double)scale * cos((M_PI / 2 / SIDE) * (i + 1) * (2 * j + 1)));
            p->dct_t[j][i] = p->dct[i][j];
        }
    *out = p;
    return 0;
}

void pdq_close(struct pdq *p)
{
    if (!p) return;
    free(p->memory);
    free(p->column);
    free(p);
}

static size_t column_pass_floats(size_t n_columns, size_t window) { return n_columns * (window + 2); }

static float *column_pass_start(struct column_pass *c, float *memory, size_t n_columns, size_t n_rows,
                                size_t window)
{
    *c = (struct column_pass){.n_columns = n_columns,
                              .n_rows = n_rows,
                              .window = window,
                              .lead = (window + 2) / 2 - 1};
    c->sum = memory;
    c->ring = memory + n_columns;
    memset(c->sum, 0, n_columns * sizeof *c->sum);
    return memory + column_pass_floats(n_columns, window);
}

/* Returns where the caller must write the next row before it calls column_pass_push. */
static float *column_pass_slot(struct column_pass *c)
{
    return c->ring + c->n_in % (c->window + 1) * c->n_columns;
}

/* Processes the row in the slot. Returns true when `out` received the next row of output. */
static bool column_pass_push(const struct pdq_kernels *k, struct column_pass *c, float *out)
{
    size_t x = c->n_in++;
    const float *add = c->ring + x % (c->window + 1) * c->n_columns;
    const float *drop = x >= c->window ? c->ring + (x - c->window) % (c->window + 1) * c->n_columns : NULL;
    bool speaks = x >= c->lead;
    k->column_step(c->sum, add, drop, speaks ? out : NULL, (float)(x < c->window ? x + 1 : c->window),
                   c->n_columns);
    c->n_out += speaks;
    return speaks;
}

/* After the last row: gives the next of the remaining output rows. Returns false when there is none left. */
static bool column_pass_drain(const struct pdq_kernels *k, struct column_pass *c, float *out)
{
    if (c->n_out >= c->n_rows) return false;
    size_t i = c->n_out - (c->n_rows - c->lead);
    const float *drop = c->ring + (c->n_rows - c->window + i) % (c->window + 1) * c->n_columns;
    k->column_step(c->sum, NULL, drop, out, (float)(c->window - 1 - i), c->n_columns);
    c->n_out++;
    return true;
}

int pdq_begin(struct pdq *p, enum pdq_family family, uint32_t width, uint32_t height, unsigned channels,
              struct error *err)
{
    if (width == 0 || height == 0 || width > PDQ_MAX_SIDE || height > PDQ_MAX_SIDE ||
        (channels != 1 && channels != 3))
        return error_set(err, EX_DATAERR, "no PDQ hash of a picture of %ux%u with %u channels", width, height,
                         channels);
    p->family = family;
    p->channels = channels;
    p->in_width = p->width = width;
    p->in_height = p->height = height;
    p->n_rows_in = p->n_rows = 0;
    p->n_band = p->n_blurred = 0;
    p->next_y = 0;
    bool reduce = family == PDQ_NN512 && (width > NN_SIDE || height > NN_SIDE);
    if (reduce) p->width = p->height = NN_SIDE;
    p->tiny = p->width < PDQ_MIN_SIDE || p->height < PDQ_MIN_SIDE;
    p->copied = p->width == SIDE && p->height == SIDE;
    free(p->column);
    p->column = NULL;
    if (p->tiny) return 0;
    if (reduce) {
        if (!(p->column = mem_alloc(NN_SIDE * sizeof *p->column, err))) return -1;
        for (uint32_t x = 0; x < NN_SIDE; x++)
            p->column[x] = (uint32_t)((uint64_t)x * width / NN_SIDE);
    }
    for (int i = 0; i < SIDE; i++) {
        p->pick_x[i] = (uint32_t)((i + 0.5) * p->width / SIDE);
        p->pick_y[i] = (uint32_t)((i + 0.5) * p->height / SIDE);
    }

    size_t window_y = (p->height + 127) / 128;
    p->stride = ((size_t)p->width + 15) / 16 * 16;
    size_t want = 5 * PDQ_BLOCK * p->stride + SIDE * PDQ_BLOCK + column_pass_floats(p->stride, window_y) +
                  column_pass_floats(SIDE, window_y);
    if (want > p->memory_floats) {
        free(p->memory);
        p->memory_floats = 0;
        if (!(p->memory = mem_aligned(64, want * sizeof *p->memory, err))) return -1;
        p->memory_floats = want;
    }
    float *m = p->memory;
    p->band = m, m += PDQ_BLOCK * p->stride;
    p->block = m, m += PDQ_BLOCK * p->stride;
    p->boxed = m, m += PDQ_BLOCK * p->stride;
    p->blurred = m, m += 2 * PDQ_BLOCK * p->stride;
    p->picked = m, m += SIDE * PDQ_BLOCK;
    m = column_pass_start(&p->first, m, p->stride, p->height, window_y);
    column_pass_start(&p->second, m, SIDE, p->height, window_y);
    /* The unused lanes of a last, short band and the padding columns are computed but not
     * used. They must be valid numbers. */
    memset(p->band, 0, PDQ_BLOCK * p->stride * sizeof *p->band);
    memset(p->blurred, 0, 2 * PDQ_BLOCK * p->stride * sizeof *p->blurred);
    memset(p->boxed, 0, PDQ_BLOCK * p->stride * sizeof *p->boxed);
    return 0;
}

/* Keeps row y of the final output if it is one of the 64 rows that PDQ samples. */
static void sample_row(struct pdq *p, size_t y, const float *row)
{
    for (; p->next_y < SIDE && p->pick_y[p->next_y] == y; p->next_y++)
        memcpy(p->small[p->next_y], row, sizeof p->small[0]);
}

/* Filters the n_blurred rows a second time: over rows, then over the 64 columns that are kept. */
static void second_passes(struct pdq *p)
{
    float row[SIDE] __attribute__((aligned(64)));
    size_t window_x = (p->width + 127) / 128;
    p->k->transpose_in(p->block, p->blurred, p->stride, p->stride);
    p->k->row_box_picked(p->picked, p->pick_x, SIDE, p->block, p->width, window_x);
    for (size_t lane = 0; lane < p->n_blurred; lane++) {
        float *slot = column_pass_slot(&p->second);
        for (int x = 0; x < SIDE; x++)
            slot[x] = p->picked[x * PDQ_BLOCK + (int)lane];
        if (column_pass_push(p->k, &p->second, row)) sample_row(p, p->second.n_out - 1, row);
    }
    p->n_blurred = 0;
}

/* Filters the n_band rows the first time: over rows, then over columns. */
static void first_passes(struct pdq *p)
{
    size_t window_x = (p->width + 127) / 128;
    p->k->transpose_in(p->block, p->band, p->stride, p->stride);
    p->k->row_box(p->boxed, p->block, p->width, window_x);
    p->k->transpose_out(p->band, p->stride, p->boxed, p->stride);
    for (size_t lane = 0; lane < p->n_band; lane++) {
        memcpy(column_pass_slot(&p->first), p->band + lane * p->stride, p->stride * sizeof *p->band);
        if (column_pass_push(p->k, &p->first, p->blurred + p->n_blurred * p->stride) &&
            ++p->n_blurred == PDQ_BLOCK)
            second_passes(p);
    }
    p->n_band = 0;
}

void pdq_row(struct pdq *p, const uint8_t *row)
{
    uint32_t y = p->n_rows_in++;
    if (p->tiny || y >= p->in_height) return;
    /* For nn512, row i of the reduced picture is source row floor(i * H / 512). The same source row may be
     * used for no row, for one, or (H < 512) for several. */
    while (p->n_rows < p->height && (!p->column || (uint64_t)p->n_rows * p->in_height / NN_SIDE == y)) {
        float *dst = p->copied ? p->small[p->n_rows] : p->band + p->n_band * p->stride;
        p->k->luma(dst, row, p->column, p->width, p->channels);
        p->n_rows++;
        if (!p->copied && ++p->n_band == PDQ_BLOCK) first_passes(p);
        if (!p->column) break;
    }
}

/* Returns the k-th smallest, counted from 0, of n values, which it reorders. */
static float select_float(float *v, int n, int k)
{
    int low = 0, high = n - 1;
    while (low < high) {
        float pivot = v[(low + high) / 2];
        int i = low, j = high;
        while (i <= j) {
            while (v[i] < pivot)
                i++;
            while (v[j] > pivot)
                j--;
            if (i <= j) {
                float t = v[i];
                v[i++] = v[j];
                v[j--] = t;
            }
        }
        if (k <= j)
            high = j;
        else if (k >= i)
            low = i;
        else
            break;
    }
    return v[k];
}

static void threshold(struct pdq_hash *out, float b[FREQUENCIES][FREQUENCIES])
{
    float sorted[PDQ_BITS];
    memcpy(sorted, b, sizeof sorted);
    float median = select_float(sorted, PDQ_BITS, PDQ_BITS / 2 - 1); /* the lower of the middle two */
    memset(out, 0, sizeof *out);
    for (int i = 0; i < FREQUENCIES; i++)
        for (int j = 0; j < FREQUENCIES; j++)
            out->word[i / 4] |= (uint64_t)(b[i][j] > median) << (i % 4 * 16 + j);
}

/* Computes the transform of a rotated or mirrored picture: it is the transform of the picture, transposed or
 * with other signs. */
static void turn(float out[FREQUENCIES][FREQUENCIES], float b[FREQUENCIES][FREQUENCIES], enum pdq_dihedral d)
{
    for (int i = 0; i < FREQUENCIES; i++)
        for (int j = 0; j < FREQUENCIES; j++) {
            float v = b[i][j];
            switch (d) {
            case PDQ_ORIGINAL:
            case PDQ_DIHEDRALS: out[i][j] = v; break;
            case PDQ_ROTATE_90: out[j][i] = j & 1 ? v : -v; break;
            case PDQ_ROTATE_180: out[i][j] = (i + j) & 1 ? -v : v; break;
            case PDQ_ROTATE_270: out[j][i] = i & 1 ? v : -v; break;
            case PDQ_FLIP_X: out[i][j] = i & 1 ? v : -v; break;
            case PDQ_FLIP_Y: out[i][j] = j & 1 ? v : -v; break;
            case PDQ_TRANSPOSE: out[j][i] = v; break;
            case PDQ_ANTITRANSPOSE: out[j][i] = (i + j) & 1 ? -v : v; break;
            }
        }
}

static int quality_of(float small[SIDE][SIDE])
{
    int sum = 0;
    for (int i = 0; i < SIDE - 1; i++)
        for (int j = 0; j < SIDE; j++)
            sum += abs((int)(((small[i][j] - small[i + 1][j]) * 100) / 255));
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE - 1; j++)
            sum += abs((int)(((small[i][j] - small[i][j + 1]) * 100) / 255));
    sum /= 90;
    return sum > 100 ? 100 : sum;
}

void pdq_end(struct pdq *p, struct pdq_hash *hashes, unsigned n_hashes, int *quality)
{
    float t[FREQUENCIES][SIDE] = {{0}}, b[FREQUENCIES][FREQUENCIES] = {{0}}, turned[FREQUENCIES][FREQUENCIES];
    if (p->tiny) {
        memset(hashes, 0, n_hashes * sizeof *hashes);
        *quality = 0;
        return;
    }
    if (!p->copied) {
        float row[SIDE] __attribute__((aligned(64)));
        if (p->n_band) first_passes(p);
        while (column_pass_drain(p->k, &p->first, p->blurred + p->n_blurred * p->stride))
            if (++p->n_blurred == PDQ_BLOCK) second_passes(p);
        if (p->n_blurred) second_passes(p);
        while (column_pass_drain(p->k, &p->second, row))
            sample_row(p, p->second.n_out - 1, row);
    }
    *quality = quality_of(p->small);

    /* Sums are in float, with the inner index ascending, as published. The
     * compiler vectorises the loop over j. */
    for (int i = 0; i < FREQUENCIES; i++)
        for (int k = 0; k < SIDE; k++)
            for (int j = 0; j < SIDE; j++)
                t[i][j] += p->dct[i][k] * p->small[k][j];
    for (int i = 0; i < FREQUENCIES; i++)
        for (int k = 0; k < SIDE; k++)
            for (int j = 0; j < FREQUENCIES; j++)
                b[i][j] += t[i][k] * p->dct_t[k][j];
    for (unsigned d = 0; d < n_hashes; d++) {
        turn(turned, b, d);
        threshold(&hashes[d], turned);
    }
}

int pdq_of_pixels(struct pdq *p, enum pdq_family family, const uint8_t *pixels, uint32_t width,
                  uint32_t height, unsigned channels, size_t stride_bytes, struct pdq_hash *hashes,
                  unsigned n_hashes, int *quality, struct error *err)
{
    if (pdq_begin(p, family, width, height, channels, err)) return -1;
    for (uint32_t y = 0; y < height; y++)
        pdq_row(p, pixels + (size_t)y * stride_bytes);
    pdq_end(p, hashes, n_hashes, quality);
    return 0;
}

void pdq_to_hex(char out[PDQ_HEX_BYTES], const struct pdq_hash *h)
{
    uint8_t bytes[32];
    for (int i = 0; i < 32; i++)
        bytes[i] = (uint8_t)(h->word[3 - i / 8] >> (56 - i % 8 * 8));
    hex_encode(out, bytes, sizeof bytes);
}

int pdq_from_hex(struct pdq_hash *out, const char *hex)
{
    uint8_t bytes[32];
    if (hex_decode(bytes, sizeof bytes, hex)) return -1;
    memset(out, 0, sizeof *out);
    for (int i = 0; i < 32; i++)
        out->word[3 - i / 8] |= (uint64_t)bytes[i] << (56 - i % 8 * 8);
    return 0;
}
