/* vector_map.c: computes the initial positions from principal components, the attraction of neighbours, and
 * the steps. */
#include "vector/vector_map.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/parallel.h"
#include "vector/vector_reduce.h"

#define MOST_EXACT 3000 /* points that are compared one by one */
/* first steps, in which neighbours attract each other more strongly, so that clusters form */
#define FIRST_STEPS 80
#define STEPS 250
#define FIRST_PULL 12.0
/* stronger attraction for large maps, whose clusters would otherwise fill the plane evenly */
#define LARGE_PULL 4.0
#define LARGE_MAP 100000
#define LONGEST_STEP 5.0
#define TURNS 40 /* iterations of the power method for a principal component */
#define PIECE 256

/* --- the start --- */

/* Computes the direction of largest variance by the power method, which starts at the axis of largest
 * variance. */
static void strongest(const double *around, size_t d, double *direction, double *scratch)
{
    size_t widest = 0;
    for (size_t k = 1; k < d; k++)
        if (around[k * d + k] > around[widest * d + widest]) widest = k;
    for (size_t k = 0; k < d; k++)
        direction[k] = k == widest ? 1 : 1e-3;
    for (int turn = 0; turn < TURNS; turn++) {
        double length = 0;
        for (size_t a = 0; a < d; a++) {
            scratch[a] = 0;
            for (size_t b = 0; b < d; b++)
                scratch[a] += around[a * d + b] * direction[b];
            length += scratch[a] * scratch[a];
        }
        if (!(length > 0)) return;
        for (size_t a = 0; a < d; a++)
            direction[a] = scratch[a] / sqrt(length);
    }
}

static int principal_start(double *y, const float *values, size_t n, size_t d, struct error *err)
{
    size_t n_fit = n < VECTOR_FIT_ROWS ? n : VECTOR_FIT_ROWS;
    double *around = mem_zalloc(d * d + 1, sizeof *around, err), *mean = mem_zalloc(d + 1, sizeof *mean, err),
           *scratch = mem_zalloc(2 * d + 1, sizeof *scratch, err);
    int rc = around && mean && scratch ? 0 : -1;
    for (size_t i = 0; rc == 0 && i < n_fit; i++)
        for (size_t k = 0; k < d; k++)
            mean[k] += (double)values[i * d + k] / (double)n_fit;
    for (size_t i = 0; rc == 0 && i < n_fit; i++)
        for (size_t a = 0; a < d; a++)
            for (size_t b = 0; b < d; b++)
                around[a * d + b] +=
                    ((double)values[i * d + a] - mean[a]) * ((double)values[i * d + b] - mean[b]);
    for (size_t c = 0; rc == 0 && c < 2; c++) {
        double *direction = scratch + d, squares = 0, variance = 0;
        strongest(around, d, direction, scratch);
        for (size_t i = 0; i < n; i++) {
            double at = 0;
            for (size_t k = 0; k < d; k++)
                at += ((double)values[i * d + k] - mean[k]) * direction[k];
            y[2 * i + c] = at;
            squares += at * at;
        }
        /* The initial positions are close together, so that the first steps can still rearrange the
         * points. */
        for (size_t i = 0; squares > 0 && i < n; i++)
            y[2 * i + c] *= 1e-2 / sqrt(squares / (double)n) / (c ? 2 : 1);
        for (size_t a = 0; a < d; a++)
            for (size_t b = 0; b < d; b++)
                variance += direction[a] * around[a * d + b] * direction[b];
        for (size_t a = 0; a < d; a++)
            for (size_t b = 0; b < d; b++)
                around[a * d + b] -= variance * direction[a] * direction[b];
    }
    free(around);
    free(mean);
    free(scratch);
    return rc;
}

/* --- the steps --- */

struct layout {
    size_t n;
    size_t *start; /* [n + 1] of each point in ends */
    uint32_t *ends;
    double *y, *step, *gain, *force; /* [n][2]; force has n more for map_repulsion */
    double pull, push, rate, keep;   /* of this step */
    atomic_size_t next;
};

static int read_pairs(struct layout *l, const struct near_pairs *near, struct error *err)
{
    size_t *next;
    if (!(l->start = mem_zalloc(l->n + 2, sizeof *l->start, err)) ||
        !(l->ends = mem_alloc((2 * near->n + 1) * sizeof *l->ends, err)))
        return -1;
    next = l->start + 1;
    for (size_t i = 0; i < near->n; i++) {
        next[near->pairs[i].a + 1]++;
        next[near->pairs[i].b + 1]++;
    }
    for (size_t i = 1; i <= l->n; i++)
        next[i] += next[i - 1];
    for (size_t i = 0; i < near->n; i++) {
        l->ends[next[near->pairs[i].a]++] = near->pairs[i].b;
        l->ends[next[near->pairs[i].b]++] = near->pairs[i].a;
    }
    return 0;
}

/* Replaces the force on each point by its step. The points are moved when all steps are known. A gain
 * grows while the direction stays the same, and shrinks when it changes (Jacobs 1988). */
static void step_work(void *context, unsigned worker)
{
    struct layout *l = context;
    (void)worker;
    for (size_t from; (from = atomic_fetch_add(&l->next, PIECE)) < l->n;)
        for (size_t i = from; i < l->n && i < from + PIECE; i++) {
            double pull[2] = {0, 0}, length;
            for (size_t at = l->start[i]; at < l->start[i + 1]; at++) {
                const double *to = l->y + 2 * (size_t)l->ends[at];
                double x = to[0] - l->y[2 * i], y = to[1] - l->y[2 * i + 1], near = 1 / (1 + x * x + y * y);
                pull[0] += x * near;
                pull[1] += y * near;
            }
            for (size_t c = 0; c < 2; c++) {
                size_t k = 2 * i + c;
                double force = l->pull * pull[c] + l->push * l->force[k];
                l->gain[k] = (force > 0) == (l->step[k] > 0) ? l->gain[k] + 0.2 : l->gain[k] * 0.8;
                if (l->gain[k] < 0.01) l->gain[k] = 0.01;
                l->step[k] = l->keep * l->step[k] + l->rate * l->gain[k] * force;
            }
            length = sqrt(l->step[2 * i] * l->step[2 * i] + l->step[2 * i + 1] * l->step[2 * i + 1]);
            for (size_t c = 0; length > LONGEST_STEP && c < 2; c++)
                l->step[2 * i + c] *= LONGEST_STEP / length;
        }
}

static void run_steps(struct layout *l, struct map_field *field, size_t n_pairs, unsigned n_threads)
{
    double early = (double)l->n / 12, rest = (double)l->n / 4;
    for (size_t i = 0; i < 2 * l->n; i++)
        l->gain[i] = 1;
    for (int step = 0; step < STEPS; step++) {
        bool first = step < FIRST_STEPS;
        double sum = map_repulsion(field, l->y, l->n, l->force, n_threads);
        l->pull = (first ? FIRST_PULL : l->n >= LARGE_MAP ? LARGE_PULL : 1) / (2 * (double)n_pairs);
        l->push = sum > 0 ? 1 / sum : 0;
        l->rate = first ? fmax(early, 20) : fmax(rest, 50);
        l->keep = first ? 0.5 : 0.8;
        atomic_store(&l->next, 0);
        parallel_run(n_threads, step_work, l);
        for (size_t i = 0; i < 2 * l->n; i++)
            l->y[i] += l->step[i];
    }
}

static void fit_to_unit(double *y, size_t n)
{
    double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    for (size_t i = 0; i < 2 * n; i++) {
        if (y[i] < low[i % 2]) low[i % 2] = y[i];
        if (y[i] > high[i % 2]) high[i % 2] = y[i];
    }
    double side = fmax(high[0] - low[0], high[1] - low[1]);
    for (size_t i = 0; i < 2 * n; i++)
        y[i] = side > 0 ? (y[i] - low[i % 2]) / side : 0.5;
}

int vector_map_make(double *xy, const float *values, size_t n, size_t n_values, const struct near_pairs *near,
                    unsigned n_threads, struct error *err)
{
    struct layout l = {.n = n, .y = xy};
    struct map_field *field = NULL;
    int rc = -1;
    if (n == 0) return 0;
    if (read_pairs(&l, near, err) || !(l.step = mem_zalloc(2 * n, sizeof *l.step, err)) ||
        !(l.gain = mem_zalloc(2 * n, sizeof *l.gain, err)) ||
        !(l.force = mem_zalloc(3 * n, sizeof *l.force, err)) ||
        (n > MOST_EXACT && !(field = map_field_open(err))) || principal_start(xy, values, n, n_values, err))
        goto out;
    if (near->n) run_steps(&l, field, near->n, n_threads);
    fit_to_unit(xy, n);
    rc = 0;
out:
    map_field_close(field);
    free(l.start);
    free(l.ends);
    free(l.step);
    free(l.gain);
    free(l.force);
    return rc;
}
