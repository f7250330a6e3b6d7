/*
 * vector_join.c: compares all pairs of vectors, first with 8-bit integers. n vectors of 64 values need n * n
 * / 2 * 64 multiplications, 2.9e12 for 300,000 vectors. Vectors are rounded to 7 and 8 bits. A processor does
 * two to four times as many multiplications of such numbers at once as of floats. The rounding errors give a
 * bound on the error of a product. Pairs that cannot be within the distance are skipped safely, and the
 * products of the few others are computed again from the floats. An index would not help: in 64 dimensions,
 * at the distances of copies, it could not exclude much without losing pairs.
 */
#include "vector/vector_join.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/parallel.h"
#include "vector/vector_kernels.h"

/* rows of one side, and groups of rows of the other side, that are in the cache at the same time */
enum { BLOCK = 128, CHUNK = 64 };
#define MOST_PRODUCT 32700 /* of the rounded vectors, in 16 bits */

struct neighbour {
    float cosine;
    uint32_t row;
};

struct worker {
    struct near_pairs found;
    struct error err;
    bool failed;
};

struct join {
    const struct vector_join *of;
    const struct vector_kernel_row *kernel;
    size_t n4, n_groups, n_rows; /* n_rows: n, padded to whole groups */
    uint8_t *a;                  /* [n_rows][n4 * 4] */
    int8_t *b;                   /* [n_groups][n4][16][4] */
    int16_t *bias;               /* [n_groups][16][2] */
    double unit, error;          /* product of the rounded vectors = cosine * unit +- error * unit */
    float least;                 /* cosine of a pair that is wanted */
    struct neighbour *nearest;   /* [n][n_neighbours], heaps with the farthest first */
    uint32_t *n_nearest;
    _Atomic float *least_of; /* for each row: the least cosine of a new neighbour */
    atomic_flag *locks;      /* of each row */
    atomic_size_t next, n_done, n_found;
    struct worker *workers;
};

static const struct vector_kernel_row *wanted_kernel;

int vector_join_use(const char *kernel)
{
    wanted_kernel = vector_kernel_find(kernel);
    return wanted_kernel ? 0 : -1;
}

/* Returns the cosine. The sum has a fixed order, which is the same on every machine. */
static double cosine_of(const float *a, const float *b, size_t n)
{
    double sum[4] = {0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t k = 0; k < 4; k++)
            sum[k] += (double)a[i + k] * (double)b[i + k];
    for (; i < n; i++)
        sum[0] += (double)a[i] * (double)b[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static uint32_t distance_of(double cosine)
{
    double d = (1 - cosine) * 1000 + 0.5;
    return d <= 0 ? 0 : (uint32_t)d;
}

uint32_t vector_distance(const float *a, const float *b, size_t n_values)
{
    return distance_of(cosine_of(a, b, n_values));
}

/* --- rounding -------------------------------------------------------------------------------------------
 */

/* Returns the length of the error vector when x is rounded to multiples of 1 / scale. */
static double rounding_of(const float *x, size_t n, double scale)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double rest = (double)x[i] - nearbyint((double)x[i] * scale) / scale;
        sum += rest * rest;
    }
    return sqrt(sum);
}

static int pack(struct join *j, struct error *err)
{
    const struct vector_join *of = j->of;
    size_t n = of->n, d = of->n_values, row_bytes = j->n4 * 4;
    double most = 1e-6, slack = sqrt((double)d) / 2, scale_a, scale_b, rest_a = 0, rest_b = 0;
    if (!(j->a = mem_aligned(64, j->n_rows * row_bytes + 64, err)) ||
        !(j->b = mem_aligned(64, j->n_rows * row_bytes + 64, err)) ||
        !(j->bias = mem_aligned(64, j->n_rows * 2 * sizeof *j->bias + 64, err)))
        return -1;
    for (size_t i = 0; i < n * d; i++)
        most = fmax(most, fabs((double)of->values[i]));
    scale_a = 63 / most;
    while ((scale_a + slack) * (2 * scale_a + slack) > MOST_PRODUCT)
        scale_a *= 0.99;
    scale_b = fmin(2 * scale_a, 127 / most);
    memset(j->a, 64, j->n_rows * row_bytes);
    memset(j->b, 0, j->n_rows * row_bytes);
    memset(j->bias, 0, j->n_rows * 2 * sizeof *j->bias);
    for (size_t r = 0; r < n; r++) {
        const float *x = of->values + r * d;
        int8_t *group = j->b + r / VECTOR_GROUP * VECTOR_GROUP * row_bytes;
        size_t k = r % VECTOR_GROUP;
        int sums[2] = {0};
        for (size_t i = 0; i < d; i++) {
            int q = (int)nearbyint((double)x[i] * scale_b);
            j->a[r * row_bytes + i] = (uint8_t)(64 + (int)nearbyint((double)x[i] * scale_a));
            group[(i / 4 * VECTOR_GROUP + k) * 4 + i % 4] = (int8_t)q;
            sums[i % 4 / 2] += q;
        }
        for (size_t s = 0; s < 2; s++) /* wraps around, as the kernels' sums do */
            j->bias[r * 2 + s] = (int16_t)(uint16_t)(unsigned)(-64 * sums[s]);
        rest_a = fmax(rest_a, rounding_of(x, d, scale_a));
        rest_b = fmax(rest_b, rounding_of(x, d, scale_b));
    }
    j->unit = scale_a * scale_b;
    /* a.b = qa.qb + qa.(rest of b) + (rest of a).b, with |b| = 1 up to float's rounding */
    j->error = (1 + rest_a) * rest_b + rest_a * 1.00001 + 1e-5;
    return 0;
}

/* --- neighbours ------------------------------------------------------------------------------------------
 */

static bool farther(struct neighbour a, struct neighbour b)
{
    return a.cosine != b.cosine ? a.cosine < b.cosine : a.row > b.row;
}

static void offer(struct join *j, uint32_t row, struct neighbour new)
{
    uint32_t most = j->of->n_neighbours;
    if (new.cosine < atomic_load_explicit(&j->least_of[row], memory_order_relaxed)) return;
    while (atomic_flag_test_and_set_explicit(&j->locks[row], memory_order_acquire))
        ;
    struct neighbour *heap = j->nearest + (size_t)row * most;
    uint32_t n = j->n_nearest[row], at;
    if (n < most) {
        for (at = n; at && farther(new, heap[(at - 1) / 2]); at = (at - 1) / 2)
            heap[at] = heap[(at - 1) / 2];
        heap[at] = new;
        n = ++j->n_nearest[row];
    } else if (farther(heap[0], new)) {
        for (at = 0;;) {
            uint32_t child = 2 * at + 1;
            if (child + 1 < n && farther(heap[child + 1], heap[child])) child++;
            if (child >= n || !farther(heap[child], new)) break;
            heap[at] = heap[child];
            at = child;
        }
        heap[at] = new;
    }
    if (n == most) atomic_store_explicit(&j->least_of[row], heap[0].cosine, memory_order_relaxed);
    atomic_flag_clear_explicit(&j->locks[row], memory_order_release);
}

/* --- the join --------------------------------------------------------------------------------------------
 */

static bool pair_wanted(const struct vector_join *of, size_t a, size_t b)
{
    unsigned kind = b < of->n_first ? NEAR_FIRST_FIRST : a < of->n_first ? NEAR_FIRST_REST : NEAR_REST_REST;
    return of->wanted & kind;
}

static int take_pair(struct join *j, struct worker *w, size_t a, size_t b, int32_t product)
{
    const struct vector_join *of = j->of;
    if (a >= b || b >= of->n || !pair_wanted(of, a, b)) return 0;
    if (of->n_neighbours) {
        double at_most = (double)product / j->unit + j->error;
        if (at_most < (double)atomic_load_explicit(&j->least_of[a], memory_order_relaxed) &&
            at_most < (double)atomic_load_explicit(&j->least_of[b], memory_order_relaxed))
            return 0;
    }
    double cosine = cosine_of(of->values + a * of->n_values, of->values + b * of->n_values, of->n_values);
    uint32_t distance = distance_of(cosine);
    if (distance > of->max_distance) return 0;
    if (of->n_neighbours) {
        offer(j, (uint32_t)a, (struct neighbour){(float)cosine, (uint32_t)b});
        offer(j, (uint32_t)b, (struct neighbour){(float)cosine, (uint32_t)a});
        return 0;
    }
    if (mem_grow(&w->found.pairs, &w->found.capacity, w->found.n + 1, sizeof *w->found.pairs, &w->err))
        return -1;
    w->found.pairs[w->found.n++] = (struct near_pair){(uint32_t)a, (uint32_t)b, distance};
    return 0;
}

static int join_block(struct join *j, struct worker *w, size_t from)
{
    size_t row_bytes = j->n4 * 4, end = from + BLOCK < j->n_rows ? from + BLOCK : j->n_rows;
    /* larger than limit: may be near */
    int32_t limit = (int32_t)floor(((double)j->least - j->error) * j->unit) - 1;
    size_t found = w->found.n;
    for (size_t chunk = from / VECTOR_GROUP; chunk < j->n_groups; chunk += CHUNK) {
        size_t last = chunk + CHUNK < j->n_groups ? chunk + CHUNK : j->n_groups;
        for (size_t a = from; a < end; a += VECTOR_ROWS)
            for (size_t g = chunk; g < last; g++) {
                int32_t out[VECTOR_ROWS * VECTOR_GROUP];
                uint64_t hits = j->kernel->run(j->a + a * row_bytes, j->b + g * VECTOR_GROUP * row_bytes,
                                               j->bias + g * VECTOR_GROUP * 2, j->n4, limit, out);
                for (; hits; hits &= hits - 1) {
                    unsigned k = (unsigned)__builtin_ctzll(hits);
                    if (take_pair(j, w, a + k / VECTOR_GROUP, g * VECTOR_GROUP + k % VECTOR_GROUP, out[k]))
                        return -1;
                }
            }
    }
    if (atomic_fetch_add(&j->n_found, w->found.n - found) + w->found.n - found > NEAR_MAX_PAIRS)
        return error_set(&w->err, EX_DATAERR,
                         "more than %u million near pairs: use a smaller --distance, or fewer --neighbours",
                         NEAR_MAX_PAIRS >> 20);
    return 0;
}

static void join_work(void *context, unsigned worker)
{
    struct join *j = context;
    struct worker *w = &j->workers[worker];
    const struct near_progress *tell = worker ? NULL : j->of->progress;
    for (size_t from; !w->failed && (from = atomic_fetch_add(&j->next, BLOCK)) < j->n_rows;) {
        w->failed = join_block(j, w, from) != 0;
        double left = 1 - (double)(from + BLOCK) / (double)j->n_rows;
        if (tell) tell->tell(tell->context, left > 0 ? 1 - left * left : 1);
    }
}

static int by_rows(const void *a, const void *b)
{
    const struct near_pair *x = a, *y = b;
    if (x->a != y->a) return x->a < y->a ? -1 : 1;
    return (x->b > y->b) - (x->b < y->b);
}

static int collect(struct join *j, unsigned n_threads, struct near_pairs *out, struct error *err)
{
    const struct vector_join *of = j->of;
    size_t first = out->n, n = out->n;
    for (unsigned t = 0; t < n_threads; t++) {
        if (j->workers[t].failed) {
            *err = j->workers[t].err;
            return -1;
        }
        n += j->workers[t].found.n;
    }
    for (size_t i = 0; of->n_neighbours && i < of->n; i++)
        n += j->n_nearest[i];
    if (mem_grow(&out->pairs, &out->capacity, n + 1, sizeof *out->pairs, err)) return -1;
    for (unsigned t = 0; t < n_threads; t++) {
        const struct near_pairs *found = &j->workers[t].found;
        if (found->n) memcpy(out->pairs + out->n, found->pairs, found->n * sizeof *found->pairs);
        out->n += found->n;
    }
    for (size_t i = 0; of->n_neighbours && i < of->n; i++)
        for (uint32_t k = 0; k < j->n_nearest[i]; k++) {
            uint32_t a = (uint32_t)i, b = j->nearest[i * of->n_neighbours + k].row;
            out->pairs[out->n++] =
                (struct near_pair){a < b ? a : b, a < b ? b : a,
                                   vector_distance(of->values + (size_t)a * of->n_values,
                                                   of->values + (size_t)b * of->n_values, of->n_values)};
        }
    if (out->n > first) qsort(out->pairs + first, out->n - first, sizeof *out->pairs, by_rows);
    n = first;
    for (size_t i = first; i < out->n; i++) /* pairs that are neighbours of each other occur twice */
        if (n == first || by_rows(&out->pairs[n - 1], &out->pairs[i])) out->pairs[n++] = out->pairs[i];
    out->n = n;
    return 0;
}

int vector_join_run(const struct vector_join *of, struct near_pairs *out, struct error *err)
{
    unsigned n_threads = of->n_threads ? of->n_threads : 1;
    struct join j = {.of = of,
                     .kernel = wanted_kernel ? wanted_kernel : vector_kernel_find(NULL),
                     .n4 = (of->n_values + 3) / 4,
                     .n_groups = (of->n + VECTOR_GROUP - 1) / VECTOR_GROUP,
                     .n_rows = (of->n + VECTOR_GROUP - 1) / VECTOR_GROUP * VECTOR_GROUP,
                     .least = 1 - ((float)of->max_distance + 0.6f) / 1000};
    size_t n = of->n ? of->n : 1;
    int rc = -1;
    if (of->n < 2 || of->n_values == 0) return 0;
    if (of->n >= UINT32_MAX - 1) return error_set(err, EX_DATAERR, "more than 4 billion vectors");
    if (pack(&j, err) || !(j.workers = mem_zalloc(n_threads, sizeof *j.workers, err))) goto out;
    if (of->n_neighbours) {
        if (!(j.nearest = mem_zalloc(n * of->n_neighbours, sizeof *j.nearest, err)) ||
            !(j.n_nearest = mem_zalloc(n, sizeof *j.n_nearest, err)) ||
            !(j.least_of = mem_zalloc(n, sizeof *j.least_of, err)) ||
            !(j.locks = mem_zalloc(n, sizeof *j.locks, err)))
            goto out;
        for (size_t i = 0; i < n; i++) {
            atomic_init(&j.least_of[i], -2);
            atomic_flag_clear(&j.locks[i]);
        }
    }
    parallel_run(n_threads, join_work, &j);
    rc = collect(&j, n_threads, out, err);
out:
    for (unsigned t = 0; j.workers && t < n_threads; t++)
        near_pairs_release(&j.workers[t].found);
    free(j.workers);
    free(j.a);
    free(j.b);
    free(j.bias);
    free(j.nearest);
    free(j.n_nearest);
    free((void *)j.least_of);
    free(j.locks);
    return rc;
}
