/* Vector exponential and logarithm against libm's, and the sums over rows against plain loops. */
/* needs: base io manifest metric cli */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "metric/lanes.h"
#include "metric/row_sums.h"
#include "tap.h"

static struct error err;

static double in_ulps(double got, double wanted)
{
    double ulp = fmax(nextafter(fabs(wanted), INFINITY) - fabs(wanted), 1e-16 * DBL_EPSILON);
    return fabs(got - wanted) / ulp;
}

static void functions(void)
{
    struct random r = random_start(1, 2, 3);
    double worst_exp = 0, worst_log = 0;
    for (int round = 0; round < 20000; round++) {
        lanes x, y;
        double of_exp[LANES], of_log[LANES];
        for (int i = 0; i < LANES; i++) {
            of_exp[i] = -exp(random_range(&r, -30, 6.5));
            of_log[i] = round % 2 ? exp(random_range(&r, -700, 700)) : random_range(&r, 0.5, 2);
            x[i] = of_exp[i];
            y[i] = of_log[i];
        }
        lanes_exp(&x);
        lanes_log(&y);
        for (int i = 0; i < LANES; i++) {
            worst_exp = fmax(worst_exp, in_ulps(x[i], exp(of_exp[i])));
            /* around 1 the error is 1e-16, not one of the last place */
            worst_log = fmax(worst_log, fabs(y[i] - log(of_log[i])) / fmax(fabs(y[i]) * DBL_EPSILON, 1e-16));
        }
    }
    CHECK_CLOSE(worst_exp, 0, 1, 0, "exp, in units of the last place");
    CHECK_CLOSE(worst_log, 0, 2, 0, "log, in units of the last place");
    lanes zero = {0, 1, 2, 0x1p-1022, 1e-310, 1, 1, 1},
          far = {0, -708, -709, -INFINITY, -0.0, -1e-300, -5, -5};
    lanes_log(&zero);
    lanes_exp(&far);
    CHECK(zero[0] == -INFINITY && zero[1] == 0 && zero[4] == -INFINITY);
    CHECK_CLOSE(zero[3], log(0x1p-1022), 1e-12, 0, "the smallest normal number");
    CHECK(far[0] == 1 && far[1] > 0 && far[2] == 0 && far[3] == 0 && far[4] == 1 && far[5] == 1);
}

#define N 501
#define MOST 7

/* The same sums, row by row. */
static void sums(int k)
{
    struct random r = random_start(4, (uint64_t)k, 5);
    struct packed_rows rows = PACKED_ROWS_EMPTY;
    double p[N * MOST], z[N * MOST], ratio[MOST], q[MOST], n[MOST], of_r[MOST], b[MOST], n_unlabelled = 700,
                                                                                         a = 1.3;
    double *scratch = malloc(row_sums_scratch(k) * sizeof *scratch);
    uint32_t count[N];
    char what[100];
    for (int i = 0; i < N; i++)
        count[i] = (uint32_t)random_below(&r, 4);
    for (int i = 0; i < N * k; i++) {
        p[i] = random_unit(&r);
        z[i] = 3 * random_normal(&r);
    }
    for (int j = 0; j < k; j++) {
        ratio[j] = random_unit(&r);
        q[j] = random_unit(&r);
        n[j] = 100 * random_unit(&r);
        b[j] = random_normal(&r);
        of_r[j] = n[j] + n_unlabelled * q[j];
    }
    CHECK(!packed_rows_fill(&rows, p, count, N, k, &err));
    double sum[MOST], uu[MOST * MOST], wanted[MOST] = {0}, wanted_uu[MOST * MOST] = {0}, logs = 0;
    for (int i = 0; i < N; i++) {
        double m = 0;
        for (int j = 0; j < k; j++)
            m += ratio[j] * p[i * k + j];
        logs += count[i] * log(m);
        for (int j = 0; j < k; j++) {
            wanted[j] += count[i] * p[i * k + j] / m;
            for (int c = 0; c <= j; c++)
                wanted_uu[j * k + c] += count[i] * p[i * k + j] * p[i * k + c] / (m * m);
        }
    }
    snprintf(what, sizeof what, "a mixture of %d classes", k);
    CHECK_CLOSE(row_sums_mixture(sum, uu, ratio, &rows, scratch), logs, 1e-11, 1e-12, what);
    for (int j = 0; j < k; j++) {
        CHECK_CLOSE(sum[j], wanted[j], 0, 1e-12, what);
        for (int c = 0; c <= j; c++)
            CHECK_CLOSE(uu[j * k + c], wanted_uu[j * k + c], 0, 1e-12, what);
    }
    CHECK(!packed_rows_fill(&rows, z, count, N, k, &err));
    for (int mode = 0; mode < 4; mode++) {
        bool labelled = mode & 1, expected = mode & 2;
        double numbers[2][4 * MOST + MOST * MOST], by_row[2][4 * MOST + MOST * MOST + 1];
        struct moments of[2];
        for (int side = 0; side < 2; side++) {
            double *at = numbers[side];
            of[side] = (struct moments){at, at + k, at + 2 * k, at + 4 * k, at + 3 * k, 0};
        }
        memset(by_row, 0, sizeof by_row);
        logs = 0;
        for (int i = 0; i < N; i++) {
            double e[MOST], m = 0, d = 0;
            for (int j = 0; j < k; j++) {
                e[j] = exp(a * z[i * k + j] + b[j]);
                m += q[j] * e[j];
                d += of_r[j] * e[j];
            }
            logs += count[i] * (labelled ? -log(d) : log(m / d));
            for (int side = 0; side < 2; side++) { /* of_m, of_d */
                double *to = by_row[side], s = 0, w = count[i], whole = side ? d : m;
                double linear = side || !labelled ? w : 0, square = side       ? w
                                                                    : expected ? w * n_unlabelled * m / d
                                                                               : linear;
                for (int j = 0; j < k; j++)
                    s += (side ? of_r : q)[j] * e[j] / whole * z[i * k + j];
                for (int j = 0; j < k; j++) {
                    double u = e[j] / whole;
                    to[j] += linear * u;
                    to[k + j] += linear * u * z[i * k + j];
                    to[2 * k + j] += linear * u * z[i * k + j] * z[i * k + j];
                    to[3 * k + j] += square * s * u;
                    for (int c = 0; c <= j; c++)
                        to[4 * k + j * k + c] += square * u * e[c] / whole;
                }
                by_row[side][4 * MOST + MOST * MOST] += square * s * s;
            }
        }
        struct tilted_sums t = {a, b, q, n, of_r, n_unlabelled, labelled, expected};
        snprintf(what, sizeof what, "a tilted mixture of %d classes, mode %d", k, mode);
        CHECK_CLOSE(row_sums_tilted(&of[0], &of[1], &t, &rows, scratch), logs, 1e-11, 1e-12, what);
        for (int side = 0; side < 2; side++) {
            for (int j = 0; j < 4 * k; j++)
                CHECK_CLOSE(numbers[side][j], by_row[side][j], 1e-11, 1e-12, what);
            for (int j = 0; j < k; j++)
                for (int c = 0; c <= j; c++)
                    CHECK_CLOSE(of[side].uu[j * k + c], by_row[side][4 * k + j * k + c], 1e-11, 1e-12, what);
            CHECK_CLOSE(of[side].ss, by_row[side][4 * MOST + MOST * MOST], 1e-11, 1e-12, what);
        }
    }
    packed_rows_release(&rows);
    free(scratch);
}

int main(void)
{
    functions();
    for (int k = 2; k <= MOST; k++)
        sums(k);
    return tap_done();
}
