/*
 * vector_reduce.c: computes the principal components of up to VECTOR_FIT_ROWS rows of some 2,000 values. The
 * covariance is summed in double. Block power iteration then multiplies a subspace, of the wanted components
 * and some more, by it and makes the subspace orthogonal, a fixed number of times. Last come the eigenvectors
 * of the small matrix in this subspace (Halko, Martinsson, Tropp 2011). Every sum is added in a fixed order,
 * so the bits depend neither on the number of threads nor on the vector width.
 */
#include "vector/vector_reduce.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "base/parallel.h"
#include "base/random.h"
#include "base/simd.h"
#include "base/text.h"
#include "hash/content_hash.h"
#include "io/io.h"

#define MARGIN 32 /* number of additional vectors, which make the last wanted one converge faster */
#define ITERATIONS 12
#define STREAM 0x7265647563650001u /* of the start vectors */
#define SMALLEST_VARIANCE 1e-9     /* as a share of the largest variance: smaller ones are rounding errors */

int vector_spec_parse(struct vector_spec *out, const char *text, struct error *err)
{
    const char *whole = text;
    *out = (struct vector_spec){0};
    for (int step = 0; *text; step++) {
        size_t n = strcspn(text, ",");
        char word[32];
        int64_t components;
        if (n >= sizeof word) goto bad;
        memcpy(word, text, n);
        word[n] = 0;
        if (!strcmp(word, "sqrt") && step == 0)
            out->sqrt = true;
        else if (text_starts(word, "pca:") && !out->components) {
            if (parse_i64(word + 4, 1, VECTOR_MAX_COMPONENTS, &components, "pca", err)) goto bad;
            out->components = (int)components;
        } else if (text_starts(word, "whiten:") && out->components && out->whitening == 0) {
            if (parse_double(word + 7, 0, 1, &out->whitening, "whiten", err)) goto bad;
        } else {
            goto bad;
        }
        text += n + (text[n] == ',' && text[n + 1]);
        if (*text == ',') goto bad;
    }
    if (out->components) return 0;
bad:
    return error_set(err, EX_USAGE,
                     "'%s' is not [sqrt,]pca:N[,whiten:P] with N from 1 to %d and P from 0 to 1", whole,
                     VECTOR_MAX_COMPONENTS);
}

/* --- products of matrices, shared out by rows -------------------------------------------------------------
 */

enum { TILE = 16 };

struct work {
    size_t n, d, m;
    const float *rows; /* [n][d] */
    double *c;         /* [d][d] */
    const double *q;   /* [d][m] */
    double *y;         /* [d][m] */
    atomic_size_t next;
};

static inline __attribute__((always_inline)) void covariance_body(const struct work *w, size_t at)
{
    size_t end = at + TILE < w->d ? at + TILE : w->d;
    for (size_t first = at; first < w->d; first += 256) {
        size_t last = first + 256 < w->d ? first + 256 : w->d;
        for (size_t r = 0; r < w->n; r++) {
            const float *x = w->rows + r * w->d;
            for (size_t i = at; i < end; i++) {
                double *c = w->c + i * w->d, xi = x[i];
                for (size_t j = first; j < last; j++)
                    c[j] += xi * (double)x[j];
            }
        }
    }
}

static inline __attribute__((always_inline)) void product_body(const struct work *w, size_t at)
{
    size_t end = at + TILE < w->d ? at + TILE : w->d;
    for (size_t i = at; i < end; i++) {
        double *y = w->y + i * w->m;
        memset(y, 0, w->m * sizeof *y);
        for (size_t k = 0; k < w->d; k++) {
            double c = w->c[i * w->d + k];
            const double *q = w->q + k * w->m;
            for (size_t j = 0; j < w->m; j++)
                y[j] += c * q[j];
        }
    }
}

static void covariance_plain(const struct work *w, size_t at) { covariance_body(w, at); }
static void product_plain(const struct work *w, size_t at) { product_body(w, at); }
#if defined(__x86_64__)
__attribute__((target("avx2"))) static void covariance_avx2(const struct work *w, size_t at)
{
    covariance_body(w, at);
}
__attribute__((target("avx2"))) static void product_avx2(const struct work *w, size_t at)
{
    product_body(w, at);
}
#else
#define covariance_avx2 covariance_plain
#define product_avx2 product_plain
#endif

static void covariance_work(void *context, unsigned worker)
{
    struct work *w = context;
    (void)worker;
    for (size_t at; (at = atomic_fetch_add(&w->next, TILE)) < w->d;)
        simd_level() >= SIMD_AVX2 ? covariance_avx2(w, at) : covariance_plain(w, at);
}

static void product_work(void *context, unsigned worker)
{
    struct work *w = context;
    (void)worker;
    for (size_t at; (at = atomic_fetch_add(&w->next, TILE)) < w->d;)
        simd_level() >= SIMD_AVX2 ? product_avx2(w, at) : product_plain(w, at);
}

/* --- the components ----------------------------------------------------------------------------------------
 */

/*
 * Makes the columns of q [d][m] orthonormal, each against all earlier ones. This is done twice, because
 * rounding errors remain after one pass over nearly parallel vectors. A column that vanishes becomes zero.
 */
static void make_orthonormal(double *q, size_t d, size_t m, double *dots)
{
    for (size_t j = 0; j < m; j++) {
        double before = 0, after = 0;
        for (size_t i = 0; i < d; i++)
            before += q[i * m + j] * q[i * m + j];
        for (int turn = 0; turn < 2; turn++) {
            memset(dots, 0, m * sizeof *dots);
            for (size_t i = 0; i < d; i++)
                for (size_t k = 0; k < j; k++)
                    dots[k] += q[i * m + k] * q[i * m + j];
            for (size_t i = 0; i < d; i++) {
                double part = 0;
                for (size_t k = 0; k < j; k++)
                    part += dots[k] * q[i * m + k];
                q[i * m + j] -= part;
            }
        }
        for (size_t i = 0; i < d; i++)
            after += q[i * m + j] * q[i * m + j];
        double scale = after > before * 1e-24 && after > 0 ? 1 / sqrt(after) : 0;
        for (size_t i = 0; i < d; i++)
            q[i * m + j] *= scale;
    }
}

/* Computes, by cyclic Jacobi, the eigenvalues of the symmetric a [m][m] on its diagonal, and the eigenvectors
 * in the columns of v. */
static void solve_small(double *a, double *v, size_t m)
{
    memset(v, 0, m * m * sizeof *v);
    for (size_t i = 0; i < m; i++)
        v[i * m + i] = 1;
    for (int sweep = 0; sweep < 30; sweep++) {
        double off = 0, all = 0;
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < m; j++)
                *(i == j ? &all : &off) += a[i * m + j] * a[i * m + j];
        if (off <= 1e-24 * all) break;
        for (size_t p = 0; p + 1 < m; p++)
            for (size_t q = p + 1; q < m; q++) {
                if (a[p * m + q] == 0) continue;
                double theta = (a[q * m + q] - a[p * m + p]) / (2 * a[p * m + q]);
                double t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1));
                double c = 1 / sqrt(t * t + 1), s = t * c;
                for (size_t k = 0; k < m; k++) {
                    double x = a[k * m + p], y = a[k * m + q];
                    a[k * m + p] = c * x - s * y;
                    a[k * m + q] = s * x + c * y;
                }
                for (size_t k = 0; k < m; k++) {
                    double x = a[p * m + k], y = a[q * m + k];
                    a[p * m + k] = c * x - s * y;
                    a[q * m + k] = s * x + c * y;
                }
                for (size_t k = 0; k < m; k++) {
                    double x = v[k * m + p], y = v[k * m + q];
                    v[k * m + p] = c * x - s * y;
                    v[k * m + q] = s * x + c * y;
                }
            }
    }
}

struct component {
    double variance;
    size_t column;
};

static int larger_first(const void *a, const void *b)
{
    const struct component *x = a, *y = b;
    if (x->variance != y->variance) return x->variance > y->variance ? -1 : 1;
    return (x->column > y->column) - (x->column < y->column);
}

/* q [d][m] spans the largest eigenvectors of w->c; y is its product with c. Fills f from those. */
static int take_components(struct vector_fit *f, const struct vector_spec *spec, const double *q,
                           const double *y, size_t d, size_t m, size_t wanted, struct error *err)
{
    double *a = mem_zalloc(m * m, sizeof *a, err), *v = mem_alloc(m * m * sizeof *v, err);
    struct component *order = mem_zalloc(m, sizeof *order, err);
    int rc = -1;
    if (!a || !v || !order) goto out;
    for (size_t i = 0; i < d; i++)
        for (size_t k = 0; k < m; k++)
            for (size_t j = 0; j < m; j++)
                a[k * m + j] += q[i * m + k] * y[i * m + j];
    for (size_t k = 0; k < m; k++)
        for (size_t j = 0; j < k; j++)
            a[k * m + j] = a[j * m + k] = (a[k * m + j] + a[j * m + k]) / 2;
    solve_small(a, v, m);
    for (size_t j = 0; j < m; j++)
        order[j] = (struct component){a[j * m + j], j};
    qsort(order, m, sizeof *order, larger_first);
    for (f->n_components = 0; f->n_components < wanted; f->n_components++)
        if (!(order[f->n_components].variance > order[0].variance * SMALLEST_VARIANCE)) break;
    if (!(f->components = mem_zalloc(d * f->n_components + 1, sizeof *f->components, err))) goto out;
    for (size_t c = 0; c < f->n_components; c++) {
        size_t column = order[c].column;
        double scale = pow(order[c].variance, -spec->whitening / 2), most = 0;
        for (size_t i = 0; i < d; i++) {
            double value = 0;
            for (size_t k = 0; k < m; k++)
                value += q[i * m + k] * v[k * m + column];
            if (fabs(value) > fabs(most)) most = value;
            f->components[i * f->n_components + c] = (float)(value * scale);
        }
        /* the sign of an eigenvector is arbitrary: make its largest value positive */
        for (size_t i = 0; i < d && most < 0; i++)
            f->components[i * f->n_components + c] *= -1;
    }
    rc = 0;
out:
    free(a);
    free(v);
    free(order);
    return rc;
}

static int name_fit(struct vector_fit *f, const struct vector_spec *spec, struct error *err)
{
    struct xxh128_stream *h;
    struct xxh128 hash;
    uint64_t numbers[3] = {f->sqrt, f->n_values, f->n_components};
    if (spec && snprintf(f->spec, sizeof f->spec, "%spca:%zu,whiten:%.9g", f->sqrt ? "sqrt," : "",
                         f->n_components, spec->whitening) >= (int)sizeof f->spec)
        return error_set(err, EX_SOFTWARE, "a long specification");
    if (xxh128_stream_open(&h, err)) return -1;
    xxh128_stream_add(h, f->spec, strlen(f->spec) + 1);
    xxh128_stream_add(h, f->base, strlen(f->base) + 1);
    xxh128_stream_add(h, numbers, sizeof numbers);
    xxh128_stream_add(h, f->mean, f->n_values * sizeof *f->mean);
    xxh128_stream_add(h, f->components, f->n_values * f->n_components * sizeof *f->components);
    xxh128_stream_end(h, &hash);
    xxh128_hex(f->hash, &hash);
    xxh128_stream_close(h);
    return 0;
}

static void take_root(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] < 0 ? -sqrtf(-x[i]) : sqrtf(x[i]);
}

/* Subtracts the mean from the rows and stores it in f. */
static int centre(struct vector_fit *f, float *rows, size_t n, size_t d, struct error *err)
{
    double *sum = mem_zalloc(d + 1, sizeof *sum, err);
    if (!sum || !(f->mean = mem_zalloc(d + 1, sizeof *f->mean, err))) {
        free(sum);
        return -1;
    }
    for (size_t r = 0; r < n; r++)
        for (size_t i = 0; i < d; i++)
            sum[i] += rows[r * d + i];
    for (size_t i = 0; i < d && n; i++)
        f->mean[i] = (float)(sum[i] / (double)n);
    for (size_t r = 0; r < n; r++)
        for (size_t i = 0; i < d; i++)
            rows[r * d + i] -= f->mean[i];
    free(sum);
    return 0;
}

int vector_fit_make(struct vector_fit *f, const struct vector_spec *spec, const char *base, float *rows,
                    size_t n, size_t n_values, unsigned n_threads, struct error *err)
{
    size_t d = n_values, wanted = (size_t)spec->components, m;
    struct work w = {.n = n, .d = d, .rows = rows};
    double *q = NULL, *dots = NULL;
    int rc = -1;
    *f = (struct vector_fit){.sqrt = spec->sqrt, .n_values = d};
    snprintf(f->base, sizeof f->base, "%s", base);
    if (spec->sqrt) take_root(rows, n * d);
    wanted = wanted < d ? wanted : d;
    wanted = n < 2 ? 0 : wanted < n - 1 ? wanted : n - 1;
    m = wanted + MARGIN < d ? wanted + MARGIN : d;
    w.m = m;
    if (centre(f, rows, n, d, err) || !(dots = mem_alloc((m + 1) * sizeof *dots, err)) ||
        !(w.c = mem_zalloc(d * d + 1, sizeof *w.c, err)) || !(q = mem_alloc((d * m + 1) * sizeof *q, err)) ||
        !(w.y = mem_alloc((d * m + 1) * sizeof *w.y, err)))
        goto out;
    w.q = q;
    if (wanted) {
        parallel_run(n_threads, covariance_work, &w);
        for (size_t i = 0; i < d; i++)
            for (size_t j = i; j < d; j++)
                w.c[j * d + i] = w.c[i * d + j] /= (double)(n - 1);
        struct random r = random_start(1, 0, STREAM);
        for (size_t i = 0; i < d * m; i++)
            q[i] = random_normal(&r);
        for (int turn = 0; turn <= ITERATIONS; turn++) {
            if (turn) memcpy(q, w.y, d * m * sizeof *q);
            make_orthonormal(q, d, m, dots);
            atomic_store(&w.next, 0);
            parallel_run(n_threads, product_work, &w);
        }
    }
    if (take_components(f, spec, q, w.y, d, wanted ? m : 0, wanted, err) || name_fit(f, spec, err)) goto out;
    rc = 0;
out:
    free(w.c);
    free(q);
    free(dots);
    free(w.y);
    if (rc) vector_fit_release(f);
    return rc;
}

void vector_fit_apply(const struct vector_fit *f, const float *values, float *out, float *scratch)
{
    memcpy(scratch, values, f->n_values * sizeof *scratch);
    if (f->sqrt) take_root(scratch, f->n_values);
    memset(out, 0, f->n_components * sizeof *out);
    for (size_t i = 0; i < f->n_values; i++) {
        float x = scratch[i] - f->mean[i];
        const float *c = f->components + i * f->n_components;
        for (size_t k = 0; k < f->n_components; k++)
            out[k] += x * c[k];
    }
}

/* --- on disk: one line of words, then float32 mean and components ------------------------------------------
 */

#define MAGIC "winnow-reduce 1"
#define MOST_BYTES (1ull << 30)

int vector_fit_write(const struct vector_fit *f, const char *path, struct error *err)
{
    struct atomic_file file = ATOMIC_FILE_EMPTY;
    if (atomic_file_open(&file, path, err)) return -1;
    fprintf(file.stream, MAGIC " %s %s %zu %zu %s\n", f->base, f->spec, f->n_values, f->n_components,
            f->hash);
    fwrite(f->mean, sizeof *f->mean, f->n_values, file.stream);
    fwrite(f->components, sizeof *f->components, f->n_values * f->n_components, file.stream);
    int rc = atomic_file_commit(&file, err);
    atomic_file_discard(&file);
    return rc;
}

/* Reads a word of at most `most` bytes, ended by stop, and moves *at past it. */
static bool take_word(const char **at, const char *end, char stop, char *out, size_t most)
{
    const char *p = memchr(*at, stop, (size_t)(end - *at));
    if (!p || (size_t)(p - *at) >= most || p == *at) return false;
    memcpy(out, *at, (size_t)(p - *at));
    out[p - *at] = 0;
    *at = p + 1;
    return true;
}

int vector_fit_read_memory(struct vector_fit *f, const char *bytes, size_t n_bytes, const char *name,
                           struct error *err)
{
    const char *at = bytes, *end = bytes + n_bytes;
    char magic[16], version[4], values[12], components[12], hash[34];
    struct vector_spec spec;
    struct error ignored = {0};
    uint64_t n_values, n_components;
    size_t n_floats;
    *f = VECTOR_FIT_EMPTY;
    if (!take_word(&at, end, ' ', magic, sizeof magic) ||
        !take_word(&at, end, ' ', version, sizeof version) || strcmp(magic, "winnow-reduce") ||
        strcmp(version, "1") || !take_word(&at, end, ' ', f->base, sizeof f->base) ||
        !take_word(&at, end, ' ', f->spec, sizeof f->spec) ||
        !take_word(&at, end, ' ', values, sizeof values) ||
        !take_word(&at, end, ' ', components, sizeof components) ||
        !take_word(&at, end, '\n', hash, sizeof hash) || !parse_digits(values, strlen(values), &n_values) ||
        !parse_digits(components, strlen(components), &n_components) || n_values == 0 ||
        n_values > VECTOR_MAX_VALUES || n_components > VECTOR_MAX_COMPONENTS)
        return error_set(err, EX_DATAERR, "'%s' is not a fit that embed wrote", name);
    if (n_components && vector_spec_parse(&spec, f->spec, &ignored))
        return error_set(err, EX_DATAERR, "'%s': '%s' is not a reduction that is known here", name, f->spec);
    if (!size_mul((size_t)n_values, (size_t)n_components + 1, &n_floats) ||
        (size_t)(end - at) != n_floats * sizeof(float))
        return error_set(err, EX_DATAERR, "'%s' is cut off or has too many bytes", name);
    f->sqrt = text_starts(f->spec, "sqrt,");
    f->n_values = (size_t)n_values;
    f->n_components = (size_t)n_components;
    if (!(f->mean = mem_dup(at, f->n_values * sizeof(float), err)) ||
        !(f->components = mem_dup(at + f->n_values * sizeof(float),
                                  f->n_values * f->n_components * sizeof(float), err)) ||
        name_fit(f, NULL, err))
        goto fail;
    if (strcmp(hash, f->hash)) {
        error_set(err, EX_DATAERR, "'%s' is damaged: its hash is not that of its values", name);
        goto fail;
    }
    return 0;
fail:
    vector_fit_release(f);
    return -1;
}

int vector_fit_read(struct vector_fit *f, const char *path, struct error *err)
{
    char *bytes;
    size_t n_bytes;
    *f = VECTOR_FIT_EMPTY;
    if (io_read_file(path, MOST_BYTES, &bytes, &n_bytes, err)) return -1;
    int rc = vector_fit_read_memory(f, bytes, n_bytes, path, err);
    free(bytes);
    return rc;
}

void vector_fit_release(struct vector_fit *f)
{
    free(f->mean);
    free(f->components);
    *f = VECTOR_FIT_EMPTY;
}
