/*
 * map_repulsion.c: computes the repulsion between all points of a map. Up to a few thousand points are
 * compared pair by pair. Otherwise the points are interpolated to a grid of SIDE x SIDE nodes. The forces
 * between the nodes are a convolution, which is computed by Fourier transforms. The force on a point is
 * interpolated from the four nodes around it. The time is that of the transforms, plus a constant time for
 * each point.
 *
 * The roots of unity are computed by halving angles, because the last bit of sin() differs between libraries.
 */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/parallel.h"
#include "vector/vector_map.h"

enum { SIDE = 256, FULL = 2 * SIDE, PIECE = 64 };

struct complex_number {
    double re, im;
};

struct map_field {
    struct complex_number roots[FULL / 2];
    struct complex_number *charge, *kernel_sum, *kernel_force, *work; /* [FULL][FULL] */
    double step; /* distance between nodes for which the kernels were made; 0: not made */
};

static struct complex_number times(struct complex_number a, struct complex_number b)
{
    return (struct complex_number){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

/* roots[k] = exp(-2 pi i k / FULL): those of half as many points, and each of them turned by half a step. */
static void make_roots(struct complex_number *roots)
{
    double c = -1, s = 0; /* half a turn */
    roots[0] = (struct complex_number){1, 0};
    for (size_t n = 1; n < FULL / 2; n *= 2) {
        double half = c; /* cos of twice the angle */
        c = sqrt((1 + half) / 2);
        s = sqrt((1 - half) / 2);
        struct complex_number turn = {c, -s};
        for (size_t k = n; k-- > 0;) {
            struct complex_number from = roots[k];
            roots[2 * k] = from;
            roots[2 * k + 1] = times(from, turn);
        }
    }
}

/* Transforms FULL values that are `stride` apart, in place. inverse: the inverse transform, without the
 * division by FULL. */
static void transform_line(const struct map_field *f, struct complex_number *v, size_t stride, bool inverse)
{
    struct complex_number line[FULL];
    for (size_t i = 0, j = 0; i < FULL; i++) {
        line[j] = v[i * stride];
        size_t bit = FULL / 2;
        for (; j & bit; bit /= 2)
            j ^= bit;
        j ^= bit;
    }
    for (size_t n = 2; n <= FULL; n *= 2)
        for (size_t from = 0; from < FULL; from += n)
            for (size_t k = 0; k < n / 2; k++) {
                struct complex_number root = f->roots[k * (FULL / n)];
                if (inverse) root.im = -root.im;
                struct complex_number a = line[from + k], b = times(line[from + k + n / 2], root);
                line[from + k] = (struct complex_number){a.re + b.re, a.im + b.im};
                line[from + k + n / 2] = (struct complex_number){a.re - b.re, a.im - b.im};
            }
    for (size_t i = 0; i < FULL; i++)
        v[i * stride] = line[i];
}

struct transforming {
    const struct map_field *field;
    struct complex_number *grid;
    size_t n_rows, stride_line, stride; /* lines begin stride_line apart */
    bool inverse;
    atomic_size_t next;
};

static void transform_work(void *context, unsigned worker)
{
    struct transforming *t = context;
    (void)worker;
    for (size_t i; (i = atomic_fetch_add(&t->next, 1)) < t->n_rows;)
        transform_line(t->field, t->grid + i * t->stride_line, t->stride, t->inverse);
}

/* n_rows: the rows that have values before, or are needed afterwards. The others are zero before, or not
 * read afterwards. */
static void transform(const struct map_field *f, struct complex_number *grid, size_t n_rows, bool inverse,
                      unsigned n_threads)
{
    struct transforming rows = {f, grid, n_rows, FULL, 1, inverse, 0},
                        columns = {f, grid, FULL, 1, FULL, inverse, 0};
    parallel_run(n_threads, transform_work, inverse ? &columns : &rows);
    parallel_run(n_threads, transform_work, inverse ? &rows : &columns);
}

struct map_field *map_field_open(struct error *err)
{
    struct map_field *f = mem_zalloc(1, sizeof *f, err);
    if (!f) return NULL;
    make_roots(f->roots);
    f->charge = mem_alloc((size_t)FULL * FULL * sizeof *f->charge, err);
    f->kernel_sum = mem_alloc((size_t)FULL * FULL * sizeof *f->kernel_sum, err);
    f->kernel_force = mem_alloc((size_t)FULL * FULL * sizeof *f->kernel_force, err);
    f->work = mem_alloc((size_t)FULL * FULL * sizeof *f->work, err);
    if (f->charge && f->kernel_sum && f->kernel_force && f->work) return f;
    map_field_close(f);
    return NULL;
}

void map_field_close(struct map_field *f)
{
    if (!f) return;
    free(f->charge);
    free(f->kernel_sum);
    free(f->kernel_force);
    free(f->work);
    free(f);
}

/* Computes the kernels. One complex number contains both components of the force. */
static void make_kernels(struct map_field *f, double step, unsigned n_threads)
{
    f->step = step;
    for (int row = 0; row < FULL; row++)
        for (int column = 0; column < FULL; column++) {
            double x = step * (column < SIDE ? column : column - FULL),
                   y = step * (row < SIDE ? row : row - FULL), near = 1 / (1 + x * x + y * y);
            size_t at = (size_t)row * FULL + (size_t)column;
            f->kernel_sum[at] = (struct complex_number){near, 0};
            f->kernel_force[at] = (struct complex_number){x * near * near, y * near * near};
        }
    transform(f, f->kernel_sum, FULL, false, n_threads);
    transform(f, f->kernel_force, FULL, false, n_threads);
}

/* The four nodes around a point, and their weights. */
struct spot {
    size_t node;
    double share[4];
};

static struct spot spot_of(const double *y, const double *corner, double step)
{
    double x = (y[0] - corner[0]) / step, v = (y[1] - corner[1]) / step;
    double column = floor(x), row = floor(v), fx = x - column, fy = v - row;
    return (struct spot){(size_t)row * FULL + (size_t)column,
                         {(1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy}};
}

static struct complex_number take(const struct complex_number *grid, const struct spot *s)
{
    static const size_t to[4] = {0, 1, FULL, FULL + 1};
    struct complex_number sum = {0, 0};
    for (int k = 0; k < 4; k++) {
        sum.re += s->share[k] * grid[s->node + to[k]].re;
        sum.im += s->share[k] * grid[s->node + to[k]].im;
    }
    return sum;
}

static void convolve(struct map_field *f, const struct complex_number *kernel, unsigned n_threads)
{
    for (size_t i = 0; i < (size_t)FULL * FULL; i++)
        f->work[i] = times(f->charge[i], kernel[i]);
    transform(f, f->work, SIDE, true, n_threads);
}

static double over_grid(struct map_field *f, const double *y, size_t n, double *force, unsigned n_threads)
{
    static const size_t to[4] = {0, 1, FULL, FULL + 1};
    double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY}, sum = 0, step = 1.0 / 64;
    const double part = 1.0 / ((double)FULL * FULL);
    for (size_t i = 0; i < 2 * n; i++) {
        if (y[i] < low[i % 2]) low[i % 2] = y[i];
        if (y[i] > high[i % 2]) high[i % 2] = y[i];
    }
    /* The step grows by an eighth at a time, so that the kernels are rarely computed again. */
    while (step * (SIDE - 2) <= fmax(high[0] - low[0], high[1] - low[1]))
        step *= 1.125;
    if (step != f->step) make_kernels(f, step, n_threads);
    memset(f->charge, 0, (size_t)FULL * FULL * sizeof *f->charge);
    for (size_t i = 0; i < n; i++) {
        struct spot s = spot_of(y + 2 * i, low, step);
        for (int k = 0; k < 4; k++)
            f->charge[s.node + to[k]].re += s.share[k];
    }
    transform(f, f->charge, SIDE, false, n_threads);
    /* Multiplies the charges by their convolution. This needs no inverse transform (Parseval); the
     * transformed kernel is real. */
    for (size_t i = 0; i < (size_t)FULL * FULL; i++)
        sum += (f->charge[i].re * f->charge[i].re + f->charge[i].im * f->charge[i].im) * f->kernel_sum[i].re;
    sum = sum * part - (double)n; /* subtract the points themselves */
    convolve(f, f->kernel_force, n_threads);
    for (size_t i = 0; i < n; i++) {
        struct spot s = spot_of(y + 2 * i, low, step);
        struct complex_number v = take(f->work, &s);
        force[2 * i] = v.re * part;
        force[2 * i + 1] = v.im * part;
    }
    return sum;
}

struct pairing {
    const double *y;
    double *force, *sums; /* sums [n]: of each point, added in order afterwards */
    size_t n;
    atomic_size_t next;
};

static void pair_work(void *context, unsigned worker)
{
    struct pairing *p = context;
    (void)worker;
    for (size_t from; (from = atomic_fetch_add(&p->next, PIECE)) < p->n;)
        for (size_t i = from; i < p->n && i < from + PIECE; i++) {
            double fx = 0, fy = 0, sum = 0;
            for (size_t j = 0; j < p->n; j++) {
                double x = p->y[2 * i] - p->y[2 * j], y = p->y[2 * i + 1] - p->y[2 * j + 1];
                double near = 1 / (1 + x * x + y * y);
                sum += near;
                fx += x * near * near;
                fy += y * near * near;
            }
            p->force[2 * i] = fx;
            p->force[2 * i + 1] = fy;
            p->sums[i] = sum - 1;
        }
}

double map_repulsion(struct map_field *field, const double *y, size_t n, double *force, unsigned n_threads)
{
    if (field) return over_grid(field, y, n, force, n_threads);
    /* The sums are stored after the forces, where vector_map.c has space for n more values. */
    struct pairing p = {.y = y, .force = force, .sums = force + 2 * n, .n = n};
    double sum = 0;
    parallel_run(n_threads, pair_work, &p);
    for (size_t i = 0; i < n; i++)
        sum += p.sums[i];
    return sum;
}
