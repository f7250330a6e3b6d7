/*
 * row_sums.c: the sums of row_sums.h. The same function bodies are inlined into functions for any processor,
 * for AVX2 and for AVX-512; the bits of the sums are the same. Each lane adds up every eighth row, and the
 * eight are added at the end.
 */
#include "metric/row_sums.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/simd.h"
#include "metric/lanes.h"

_Static_assert(LANES == ROW_SUMS_LANES, "a block is one vector of rows");

int packed_rows_fill(struct packed_rows *out, const double *x, const uint32_t *count, size_t n_rows,
                     int n_classes, struct error *err)
{
    size_t k = (size_t)n_classes, n = 0, line = (k + 1) * LANES;
    if (mem_grow(&out->x, &out->capacity, (n_rows / LANES + 1) * line, sizeof *out->x, err)) return -1;
    for (size_t i = 0; i < n_rows; i++) {
        if (count && count[i] == 0) continue;
        double *to = out->x + n / LANES * line + n % LANES;
        for (size_t j = 0; j < k; j++)
            to[j * LANES] = x[i * k + j];
        to[k * LANES] = count ? count[i] : 1;
        n++;
    }
    out->n_classes = n_classes;
    out->n_blocks = (n + LANES - 1) / LANES;
    for (; n % LANES; n++) { /* fill the block with the last row, without weight */
        double *to = out->x + n / LANES * line + n % LANES;
        for (size_t j = 0; j < k; j++)
            to[j * LANES] = to[j * LANES - 1];
        to[k * LANES] = 0;
    }
    return 0;
}

void packed_rows_release(struct packed_rows *r)
{
    free(r->x);
    *r = PACKED_ROWS_EMPTY;
}

/* Lines of moments in scratch: u, uz, uzz, su [K] each, ss, uu. */
#define LINES_OF(k) (4 * (k) + 1 + (k) * ((k) + 1) / 2)

size_t row_sums_scratch(int n_classes)
{
    size_t k = (size_t)n_classes;
    return (2 * LINES_OF(k) + 2 * k) * LANES;
}

LANES_INLINE double mixture_body(double *sum, double *uu, const double *ratio, const struct packed_rows *rows,
                                 double *scratch, int k)
{
    lanes *of = (lanes *)scratch, *products = of + k, *u = products + k * (k + 1) / 2, logs = {0};
    memset(scratch, 0, (size_t)(k + k * (k + 1) / 2) * sizeof *of);
    for (size_t block = 0; block < rows->n_blocks; block++) {
        const lanes *x = (const lanes *)(rows->x + block * (size_t)(k + 1) * LANES), w = x[k];
        lanes m = {0}, *product = products;
        for (int j = 0; j < k; j++)
            m += x[j] * ratio[j];
        lanes of_m = 1 / m;
        for (int j = 0; j < k; j++) {
            u[j] = x[j] * of_m;
            lanes wu = w * u[j];
            of[j] += wu;
            for (int i = 0; uu && i <= j; i++)
                *product++ += wu * u[i];
        }
        lanes_log(&m);
        logs += w * m;
    }
    for (int j = 0; j < k; j++) {
        sum[j] = lanes_sum(&of[j]);
        for (int i = 0; uu && i <= j; i++)
            uu[j * k + i] = lanes_sum(products++);
    }
    return lanes_sum(&logs);
}

LANES_INLINE void add_moments(lanes *at, const lanes *e, const lanes *z, const double *r, const lanes *factor,
                              const lanes *weight, const lanes *product_weight, bool linear, bool products,
                              lanes *u, int k)
{
    lanes s = {0}, *su = at + 3 * k, *uu = su + k + 1;
    for (int j = 0; j < k; j++) {
        u[j] = e[j] * *factor;
        lanes uz = u[j] * z[j];
        s += uz * r[j];
        if (linear) {
            at[j] += *weight * u[j];
            at[k + j] += *weight * uz;
            at[2 * k + j] += *weight * uz * z[j];
        }
    }
    if (!products) return;
    for (int j = 0; j < k; j++) {
        lanes wu = *product_weight * u[j];
        su[j] += wu * s;
        for (int i = 0; i <= j; i++)
            *uu++ += wu * u[i];
    }
    su[k] += *product_weight * s * s;
}

LANES_INLINE void take_moments(struct moments *out, const lanes *at, int k)
{
    const lanes *uu = at + 4 * k + 1;
    for (int j = 0; j < k; j++) {
        out->u[j] = lanes_sum(&at[j]);
        out->uz[j] = lanes_sum(&at[k + j]);
        out->uzz[j] = lanes_sum(&at[2 * k + j]);
        out->su[j] = lanes_sum(&at[3 * k + j]);
        for (int i = 0; i <= j; i++)
            out->uu[j * k + i] = lanes_sum(uu++);
    }
    out->ss = lanes_sum(&at[4 * k]);
}

LANES_INLINE double tilted_body(struct moments *of_m, struct moments *of_d, const struct tilted_sums *t,
                                const struct packed_rows *rows, double *scratch, int k)
{
    lanes *for_m = (lanes *)scratch, *for_d = for_m + LINES_OF(k), *e = for_d + LINES_OF(k), *u = e + k,
          logs = {0};
    bool labelled = t->labelled, expected = t->expected;
    memset(scratch, 0, 2 * (size_t)LINES_OF(k) * sizeof *for_m);
    for (size_t block = 0; block < rows->n_blocks; block++) {
        const lanes *z = (const lanes *)(rows->x + block * (size_t)(k + 1) * LANES), w = z[k];
        lanes top = z[0] * t->a + t->b[0], m = {0}, d = {0};
        e[0] = top;
        for (int j = 1; j < k; j++) {
            e[j] = z[j] * t->a + t->b[j];
            lanes_max(&top, &e[j]);
        }
        for (int j = 0; j < k; j++) {
            e[j] -= top;
            lanes_exp(&e[j]);
            m += e[j] * t->q[j];
            d += e[j] * t->r[j];
        }
        /* If m underflows, the logarithm is -infinity; only the products must stay finite. */
        lanes of_d_lanes = 1 / d, floored = m, least = 1e-140 - (lanes){0};
        lanes_max(&floored, &least);
        lanes of_m_lanes = 1 / floored;
        lanes share = m * of_d_lanes, wp = w;
        if (expected) wp = w * (share * t->n_unlabelled);
        add_moments(for_d, e, z, t->r, &of_d_lanes, &w, &w, true, true, u, k);
        if (!labelled || expected)
            add_moments(for_m, e, z, t->q, &of_m_lanes, &w, &wp, !labelled, true, u, k);
        if (labelled) {
            lanes_log(&d);
            logs -= w * (d + top);
        } else {
            lanes_log(&share);
            logs += w * share;
        }
    }
    take_moments(of_m, for_m, k);
    take_moments(of_d, for_d, k);
    return lanes_sum(&logs);
}

/* For common sizes, K is a constant, so that the compiler can unroll the loops. The order of the sums is the
 * same. */
#define KERNEL_SET(SUFFIX, TARGET)                                                                           \
    TARGET static double mixture_##SUFFIX(double *sum, double *uu, const double *ratio,                      \
                                          const struct packed_rows *rows, double *scratch)                   \
    {                                                                                                        \
        if (rows->n_classes == 2) return mixture_body(sum, uu, ratio, rows, scratch, 2);                     \
        return mixture_body(sum, uu, ratio, rows, scratch, rows->n_classes);                                 \
    }                                                                                                        \
    TARGET static double tilted_##SUFFIX(struct moments *of_m, struct moments *of_d,                         \
                                         const struct tilted_sums *t, const struct packed_rows *rows,        \
                                         double *scratch)                                                    \
    {                                                                                                        \
        if (rows->n_classes == 2) return tilted_body(of_m, of_d, t, rows, scratch, 2);                       \
        return tilted_body(of_m, of_d, t, rows, scratch, rows->n_classes);                                   \
    }

KERNEL_SET(plain, )
#if defined(__x86_64__) && defined(__GNUC__)
KERNEL_SET(avx2, __attribute__((target("avx2"))))
KERNEL_SET(avx512, __attribute__((target("avx512f,avx512dq,avx512vl"))))
#endif

static const struct kernels {
    double (*mixture)(double *, double *, const double *, const struct packed_rows *, double *);
    double (*tilted)(struct moments *, struct moments *, const struct tilted_sums *,
                     const struct packed_rows *, double *);
} kernels[] = {{mixture_plain, tilted_plain},
#if defined(__x86_64__) && defined(__GNUC__)
               {mixture_avx2, tilted_avx2},
               {mixture_avx512, tilted_avx512}
#endif
};

static const struct kernels *chosen(void)
{
#if defined(__x86_64__) && defined(__GNUC__)
    return &kernels[simd_level() >= SIMD_AVX512 ? 2 : simd_level() >= SIMD_AVX2];
#else
    return &kernels[0];
#endif
}

double row_sums_mixture(double *sum, double *uu, const double *ratio, const struct packed_rows *rows,
                        double *scratch)
{
    return chosen()->mixture(sum, uu, ratio, rows, scratch);
}

double row_sums_tilted(struct moments *of_m, struct moments *of_d, const struct tilted_sums *t,
                       const struct packed_rows *rows, double *scratch)
{
    return chosen()->tilted(of_m, of_d, t, rows, scratch);
}
