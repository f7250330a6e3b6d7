/*
 * winograd.c: minimal filtering (see winograd.h) around the loops of winograd_body.h: divides the work into
 * tiles and among threads, and packs the weights.
 *
 * A thread takes blocks of tiles whose transformed inputs fit into its second-level cache. For each panel of
 * output channels it multiplies at each point and transforms the products back. When there are too few tiles
 * for that (8x8 maps of a few pictures), all threads transform together and then divide the panels. The
 * result for a tile is the same in both cases, so any division gives the same bits.
 */
#include <assert.h>
#include <omp.h>
#include <string.h>

#include "tensor/cpu/outer.h"
#include "tensor/cpu/winograd.h"

#define LEAST_ROWS 24 /* tiles in a block, at least: below, a panel of weights is loaded for too few rows */
#define MOST_ROWS 168
#define UNIT 6 /* tiles that are never divided */
/* The bytes of transformed inputs and products that fit into the cache together with a panel of weights. */
#define BLOCK_BYTES ((size_t)640 * 1024)
#define WIDE_PIXELS 256      /* of a map, at least, for F(2x4, 3x3) */
#define SMALL_PACK (1 << 18) /* transformed weights */
#define PACK_ROWS 8
#define WEIGHTS_ROWS (2 * OUTER_PART) /* tiles that are transformed together for the weights' gradient */

struct form_facts {
    int points, taps_y, taps_x, step_y, step_x;
};
static const struct form_facts facts_of[] = {
    [WINOGRAD_3X3] = {16, 3, 3, 2, 2}, [WINOGRAD_1X3] = {6, 1, 3, 1, 4},
    [WINOGRAD_3X1] = {6, 3, 1, 4, 1},  [WINOGRAD_1X7] = {11, 1, 7, 1, 3},
    [WINOGRAD_7X1] = {11, 7, 1, 3, 1}, [WINOGRAD_3X3_WIDE] = {24, 3, 3, 2, 4},
    [WINOGRAD_5X5] = {42, 5, 5, 2, 2},
};

/* What a tap contributes to a point of the transformed kernel, in one direction. */
static const double kernel_4[4][3] = {{1, 0, 0}, {.5, .5, .5}, {.5, -.5, .5}, {0, 0, 1}};
static const double kernel_6[6][4] = {{4, 0, 0, 0},
                                      {2. / 3, 2. / 3, 2. / 3, 2. / 3},
                                      {2. / 3, -2. / 3, 2. / 3, -2. / 3},
                                      {-8. / 3, -4. / 3, -2. / 3, -1. / 3},
                                      {-8. / 3, 4. / 3, -2. / 3, 1. / 3},
                                      {0, 0, 0, 1}};
static const double kernel_6_of_3[6][3] = {{4, 0, 0},
                                           {2. / 3, 2. / 3, 2. / 3},
                                           {2. / 3, -2. / 3, 2. / 3},
                                           {-8. / 3, -4. / 3, -2. / 3},
                                           {-8. / 3, 4. / 3, -2. / 3},
                                           {0, 0, 1}};
static const double kernel_6_of_5[6][5] = {{4, 0, 0, 0, 0},
                                           {2. / 3, 2. / 3, 2. / 3, 2. / 3, 2. / 3},
                                           {2. / 3, -2. / 3, 2. / 3, -2. / 3, 2. / 3},
                                           {-8. / 3, -4. / 3, -2. / 3, -1. / 3, -1. / 6},
                                           {-8. / 3, 4. / 3, -2. / 3, 1. / 3, -1. / 6},
                                           {0, 0, 0, 0, 1}};
static const double kernel_7_of_5[7][5] = {{1, 0, 0, 0, 0}, {.5, .5, .5, 0, 0}, {.5, -.5, .5, 0, 0},
                                           {0, 0, 1, 0, 0}, {0, 0, 0, 1, 0},    {0, 0, 0, 1, 1},
                                           {0, 0, 0, 0, 1}};
static const double kernel_5[5][3] = {{2, 0, 0},
                                      {1, 1, 1},
                                      {-1. / 3, 1. / 3, -1. / 3},
                                      {-8. / 3, -4. / 3, -2. / 3},
                                      {0, 0, 1}};

/* The matrix [points][taps] for the whole kernel. */
static void kernel_matrix(enum winograd_form form, double matrix[][MAX_TAPS])
{
    memset(matrix, 0, sizeof(double) * MAX_POINTS * MAX_TAPS);
    switch (form) {
    case WINOGRAD_3X3:
        for (int p = 0; p < 16; p++)
            for (int k = 0; k < 9; k++)
                matrix[p][k] = kernel_4[p / 4][k / 3] * kernel_4[p % 4][k % 3];
        break;
    case WINOGRAD_3X3_WIDE:
        for (int p = 0; p < 24; p++)
            for (int k = 0; k < 9; k++)
                matrix[p][k] = kernel_4[p / 6][k / 3] * kernel_6_of_3[p % 6][k % 3];
        break;
    case WINOGRAD_5X5:
        for (int p = 0; p < 42; p++)
            for (int k = 0; k < 25; k++)
                matrix[p][k] = kernel_7_of_5[p / 6][k / 5] * kernel_6_of_5[p % 6][k % 5];
        break;
    case WINOGRAD_1X3:
    case WINOGRAD_3X1:
        for (int p = 0; p < 6; p++)
            for (int k = 0; k < 3; k++)
                matrix[p][k] = kernel_6_of_3[p][k];
        break;
    default:
        for (int p = 0; p < 6; p++)
            for (int k = 0; k < 4; k++)
                matrix[p][k] = kernel_6[p][k];
        for (int p = 0; p < 5; p++)
            for (int k = 0; k < 3; k++)
                matrix[6 + p][4 + k] = kernel_5[p][k];
    }
}

static enum winograd_form form_of(const struct op_desc *d)
{
    if (d->constant_weights && !d->training) {
        /* On small maps the larger tiles cover too much beside the map, and the weights, half as large again,
         * are read for few tiles. */
        if (d->kernel_h == 3 && d->kernel_w == 3 && d->y.h * d->y.w >= WIDE_PIXELS) return WINOGRAD_3X3_WIDE;
        if (d->kernel_h == 5 && d->kernel_w == 5) return WINOGRAD_5X5;
    }
    for (enum winograd_form f = WINOGRAD_3X3; f <= WINOGRAD_7X1; f++)
        if (facts_of[f].taps_y == d->kernel_h && facts_of[f].taps_x == d->kernel_w) return f;
    return WINOGRAD_NONE;
}

static const struct winograd_kernels *kernels_for(const struct backend *b)
{
    return b->k == kernels_avx512() ? winograd_avx512() : b->k == kernels_avx2() ? winograd_avx2() : NULL;
}

bool winograd_suits(const struct backend *b, const struct op_desc *d)
{
    const struct winograd_kernels *k = b->k ? kernels_for(b) : NULL;
    return k && d->kind == OP_CONV && conv_groups(d) == 1 && form_of(d) != WINOGRAD_NONE &&
           d->stride_h == 1 && d->stride_w == 1 && d->dilation_h == 1 && d->dilation_w == 1 &&
           d->activation != OP_SIGMOID && d->x[0].c % 16 == 0 && d->y.c % 16 == 0 &&
           d->pad_top < d->kernel_h && d->pad_left < d->kernel_w && d->y.parent_c % 16 == 0 &&
           d->y.first_c % 16 == 0;
}

/* The kernels for an operation to which winograd_suits agreed. */
static const struct winograd_kernels *suited_kernels(const struct backend *b)
{
    const struct winograd_kernels *k = kernels_for(b);
    assert(k);
    return k;
}

/* The last panels are equally wide, because one vector alone is slow. */
static int panel_width(const struct winograd_kernels *k, int n_columns, int first)
{
    int left = n_columns - first;
    if (left <= k->panel) return left;
    return left < 2 * k->panel ? (left / k->vector + 1) / 2 * k->vector : k->panel;
}

size_t winograd_packed_bytes(const struct op_desc *d)
{
    return (size_t)facts_of[form_of(d)].points * (size_t)d->x[0].c * (size_t)d->y.c * sizeof(float);
}

void winograd_pack(const struct backend *b, const struct op_desc *d, bool backward, const float *keras,
                   float *packed)
{
    enum winograd_form form = form_of(d);
    const struct form_facts *f = &facts_of[form];
    const struct winograd_kernels *kernels = suited_kernels(b);
    int n_k = backward ? d->y.c : d->x[0].c, n_columns = backward ? d->x[0].c : d->y.c,
        taps = f->taps_y * f->taps_x;
    size_t points = (size_t)f->points, co = (size_t)d->y.c, tap_stride = (size_t)d->x[0].c * co;
    double matrix[MAX_POINTS][MAX_TAPS];
    kernel_matrix(form, matrix);
    /* Small ones are done by one thread: on a busy machine, waking another takes longer. Numbers of channels
     * are multiples of 16. */
#pragma omp parallel for num_threads(points *(size_t)n_k *(size_t)n_columns < SMALL_PACK ? 1 : b->threads)   \
    schedule(static)
    for (int k = 0; k < n_k; k += PACK_ROWS)
        for (int first = 0, width; first < n_columns; first += width) {
            width = panel_width(kernels, n_columns, first);
            float turned[PACK_ROWS][MAX_TAPS][MAX_PANEL],
                *panel = packed + points * (size_t)n_k * (size_t)first;
            for (int t = 0; backward && t < taps; t++) /* by 180 degrees */
                for (int c = 0; c < width; c++) {
                    const float *from =
                        keras + (size_t)(taps - 1 - t) * tap_stride + (size_t)(first + c) * co + k;
                    for (int i = 0; i < PACK_ROWS; i++)
                        turned[i][t][c] = from[i];
                }
            for (int i = k; i < k + PACK_ROWS; i++)
                kernels->pack(matrix, f->points,
                              backward ? turned[i - k][0] : keras + (size_t)i * co + (size_t)first,
                              backward ? MAX_PANEL : tap_stride, taps, width,
                              panel + (size_t)i * (size_t)width, (size_t)n_k * (size_t)width);
        }
}

static struct winograd_grid grid_of(const struct op_desc *d, const struct tensor_shape *out, bool backward)
{
    enum winograd_form form = form_of(d);
    const struct form_facts *f = &facts_of[form];
    return (struct winograd_grid){.form = form,
                                  .n = out->n,
                                  .tiles_y = (out->h + f->step_y - 1) / f->step_y,
                                  .tiles_x = (out->w + f->step_x - 1) / f->step_x,
                                  .step_y = f->step_y,
                                  .step_x = f->step_x,
                                  .pad_y = backward ? d->kernel_h - 1 - d->pad_top : d->pad_top,
                                  .pad_x = backward ? d->kernel_w - 1 - d->pad_left : d->pad_left};
}

static size_t tiles_of(const struct winograd_grid *g)
{
    return (size_t)g->n * (size_t)g->tiles_y * (size_t)g->tiles_x;
}

/* Returns the number of tiles that a thread transforms together. The n tiles of a thread are divided evenly,
 * because a short last block would read all weights for a few tiles. */
static size_t rows_of_block(const struct winograd_kernels *k, int points, int n_k, size_t n)
{
    size_t most =
        BLOCK_BYTES / sizeof(float) / (size_t)points / (size_t)(n_k + k->panel) / LEAST_ROWS * LEAST_ROWS;
    most = most < LEAST_ROWS ? LEAST_ROWS : most > MOST_ROWS ? MOST_ROWS : most;
    size_t blocks = (n + most / 2) / most, rows = (n + (blocks ? blocks : 1) - 1) / (blocks ? blocks : 1);
    rows = (rows + UNIT - 1) / UNIT * UNIT;
    /* Points that are a multiple of the page size apart would use the same lines of the first-level cache. */
    return rows * (size_t)n_k % 1024 == 0 ? rows + UNIT : rows;
}

/* Returns the number of tiles of the thread with the most. */
static size_t tiles_of_thread(const struct backend *b, size_t n_tiles)
{
    size_t units = (n_tiles + UNIT - 1) / UNIT, threads = (size_t)b->threads;
    return (units + threads - 1) / threads * UNIT;
}

/* Whether there are too few tiles for separate blocks for each thread. */
static bool shares_panels(const struct backend *b, size_t n_tiles)
{
    return b->threads > 1 && n_tiles < (size_t)b->threads * LEAST_ROWS;
}

/* The number of floats for the transformed inputs of a block, or of all tiles, and for the products of
 * each thread. */
static size_t run_floats(const struct backend *b, int points, int n_k, size_t n_tiles)
{
    const struct winograd_kernels *k = suited_kernels(b);
    size_t threads = (size_t)b->threads, rows = rows_of_block(k, points, n_k, tiles_of_thread(b, n_tiles));
    size_t inputs = (size_t)points * (size_t)n_k, products = (size_t)points * (size_t)k->panel;
    if (shares_panels(b, n_tiles)) return n_tiles * (inputs + threads * products);
    return threads * rows * (inputs + products);
}

/* One correlation: y = act(x * packed + bias), or y += it. */
struct correlation {
    const struct winograd_kernels *kernels;
    struct winograd_grid grid;
    struct view x, y;
    int points, n_k, n_columns;
    const float *packed, *bias;
    struct act act;
    bool accumulate;
};

static void multiply_panels(const struct correlation *r, size_t first, size_t n, const float *v, size_t rows,
                            int from, int to, float *m)
{
    size_t n_k = (size_t)r->n_k;
    for (int c = 0, width; c < r->n_columns; c += width) {
        width = panel_width(r->kernels, r->n_columns, c);
        if (c < from || c >= to) continue;
        const float *panel = r->packed + (size_t)r->points * n_k * (size_t)c;
        for (int p = 0; p < r->points; p++)
            r->kernels->product(v + (size_t)p * rows * n_k, n, panel + (size_t)p * n_k * (size_t)width,
                                r->n_k, width, m + (size_t)p * rows * (size_t)width);
        r->kernels->output(&r->grid, &r->y, first, n, m, rows, c, width, r->bias, r->act, r->accumulate);
    }
}

static void correlate(const struct backend *b, const struct correlation *r, float *workspace)
{
    size_t n_tiles = tiles_of(&r->grid),
           rows = rows_of_block(r->kernels, r->points, r->n_k, tiles_of_thread(b, n_tiles));
    size_t inputs = (size_t)r->points * (size_t)r->n_k,
           products = (size_t)r->points * (size_t)r->kernels->panel;
    bool share = shares_panels(b, n_tiles);
#pragma omp parallel num_threads(b->threads)
    {
        size_t t = (size_t)omp_get_thread_num(), threads = (size_t)omp_get_num_threads();
        if (share) {
            size_t first = n_tiles * t / threads, last = n_tiles * (t + 1) / threads;
            float *m = workspace + n_tiles * (inputs + t * products);
            r->kernels->input(&r->grid, &r->x, first, last - first, workspace + first * (size_t)r->n_k,
                              n_tiles, false);
#pragma omp barrier
            int from = (int)((size_t)r->n_columns * t / threads),
                to = (int)((size_t)r->n_columns * (t + 1) / threads);
            multiply_panels(r, 0, n_tiles, workspace, n_tiles, from, to, m);
        } else {
            float *v = workspace + t * rows * (inputs + products), *m = v + rows * inputs;
            size_t units = (n_tiles + UNIT - 1) / UNIT;
            size_t last = units * (t + 1) / threads * UNIT;
            last = last < n_tiles ? last : n_tiles;
            for (size_t first = units * t / threads * UNIT; first < last; first += rows) {
                size_t n = last - first < rows ? last - first : rows;
                r->kernels->input(&r->grid, &r->x, first, n, v, rows, false);
                multiply_panels(r, first, n, v, rows, 0, r->n_columns, m);
            }
        }
    }
}

void winograd_forward(const struct backend *b, const struct op_desc *d, const struct op_io *io,
                      const float *packed, const float *bias, float *workspace)
{
    struct correlation r = {.kernels = suited_kernels(b),
                            .grid = grid_of(d, &d->y, false),
                            .x = view_of(b, &io->x[0], &d->x[0]),
                            .y = view_of(b, &io->y, &d->y),
                            .points = facts_of[form_of(d)].points,
                            .n_k = d->x[0].c,
                            .n_columns = d->y.c,
                            .packed = packed,
                            .bias = bias,
                            .act = {(int)d->activation, d->activation_max}};
    correlate(b, &r, workspace);
}

void winograd_backward_data(const struct backend *b, const struct op_desc *d, const struct op_io *io,
                            const float *packed, float *workspace)
{
    struct correlation r = {.kernels = suited_kernels(b),
                            .grid = grid_of(d, &d->x[0], true),
                            .x = view_of(b, &io->dy, &d->y),
                            .y = view_of(b, &io->dx[0], &d->x[0]),
                            .points = facts_of[form_of(d)].points,
                            .n_k = d->y.c,
                            .n_columns = d->x[0].c,
                            .packed = packed,
                            .act = {OP_LINEAR, 0},
                            .accumulate = io->accumulate[0]};
    correlate(b, &r, workspace);
}

/* --- gradient of the weights: at each point, inputs' transposed times
 * gradients, summed over all tiles --- */

static size_t weights_floats(const struct op_desc *d)
{
    size_t points = (size_t)facts_of[form_of(d)].points, ci = (size_t)d->x[0].c, co = (size_t)d->y.c;
    return points * (WEIGHTS_ROWS * (ci + co) + ci * co);
}

/* What all threads of a gradient of the weights share. */
struct weight_sums {
    const struct outer_kernels *k;
    int points, ci, co;
    size_t rows;
    const float *v, *u;
    float *sums; /* [points][ci][co] */
};

/* Adds n tiles to the rows first .. last of the sums, counted in vectors over all points. */
static void add_tiles(const struct weight_sums *w, size_t n, size_t first, size_t last)
{
    size_t vector = (size_t)w->k->vector, vectors = (size_t)w->ci / vector, ci = (size_t)w->ci,
           co = (size_t)w->co;
    for (size_t to; first < last; first = to) {
        size_t p = first / vectors, base = p * vectors;
        to = last < base + vectors ? last : base + vectors;
        for (size_t at = 0; at < n; at += OUTER_PART) {
            struct outer_part part = {{w->v + p * w->rows * ci + at * vector, w->rows * vector, 0},
                                      {w->u + p * w->rows * co + at * vector, w->rows * vector, 0},
                                      1,
                                      n - at < OUTER_PART ? n - at : OUTER_PART,
                                      w->sums + p * ci * co,
                                      co};
            w->k->part(&part, (int)((first - base) * vector), (int)((to - base) * vector), w->co);
        }
    }
}

void winograd_backward_weights(const struct backend *b, const struct op_desc *d, const struct op_io *io,
                               float *workspace)
{
    const struct form_facts *f = &facts_of[form_of(d)];
    const struct winograd_kernels *k = suited_kernels(b);
    struct winograd_grid g = grid_of(d, &d->y, false);
    struct view x = view_of(b, &io->x[0], &d->x[0]), dy = view_of(b, &io->dy, &d->y);
    size_t n_tiles = tiles_of(&g), points = (size_t)f->points, ci = (size_t)d->x[0].c, co = (size_t)d->y.c;
    size_t rows = WEIGHTS_ROWS, taps = (size_t)f->taps_y * (size_t)f->taps_x;
    float *v = workspace, *u = v + points * rows * ci, *sums = u + points * rows * co, *dw = slot_at(&io->dw);
    struct weight_sums w = {outer_kernels(b), f->points, d->x[0].c, d->y.c, rows, v, u, sums};
    size_t units = points * ci / (size_t)k->vector, unit = (size_t)k->vector * co;
    double matrix[MAX_POINTS][MAX_TAPS];
    kernel_matrix(g.form, matrix);
#pragma omp parallel num_threads(b->threads)
    {
        size_t t = (size_t)omp_get_thread_num(), threads = (size_t)omp_get_num_threads();
        size_t mine = units * t / threads, end = units * (t + 1) / threads;
        memset(sums + mine * unit, 0, (end - mine) * unit * sizeof *sums);
        for (size_t first = 0; first < n_tiles; first += rows) {
            size_t n = n_tiles - first < rows ? n_tiles - first : rows;
            size_t from = n * t / threads, to = n * (t + 1) / threads;
            k->input(&g, &x, first + from, to - from, v + from * (size_t)k->vector, rows, true);
            k->gradient(&g, &dy, first + from, to - from, u + from * (size_t)k->vector, rows);
#pragma omp barrier
            add_tiles(&w, n, mine, end);
#pragma omp barrier
        }
        for (size_t i = ci * t / threads; i < ci * (t + 1) / threads; i++)
            for (size_t tap = 0; tap < taps; tap++) {
                float *to = dw + (tap * ci + i) * co;
                memset(to, 0, co * sizeof *to);
                for (size_t p = 0; p < points; p++)
                    if (matrix[p][tap] != 0)
                        b->k->axpy(to, sums + (p * ci + i) * co, co, (float)matrix[p][tap]);
            }
    }
}

size_t winograd_workspace_bytes(const struct backend *b, const struct op_desc *d)
{
    int points = facts_of[form_of(d)].points;
    struct winograd_grid forward = grid_of(d, &d->y, false), backward = grid_of(d, &d->x[0], true);
    size_t most = run_floats(b, points, d->x[0].c, tiles_of(&forward));
    if (d->training && d->needs_dx) {
        size_t floats = run_floats(b, points, d->y.c, tiles_of(&backward));
        most = floats > most ? floats : most;
    }
    if (d->training && d->needs_dw) {
        size_t floats = weights_floats(d);
        most = floats > most ? floats : most;
    }
    return most * sizeof(float);
}
