/* picture_checks.c: computes the scores of CleanVision's checks from the statistics of validate. The order of
 * operations is that of CleanVision, because the last bit decides about pictures exactly at a threshold. */
#include "picture_checks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/number.h"
#include "metric/sort.h"

const char *const picture_check_names[N_CHECKS] = {"dark",     "light",
                                                   "blurry",   "low_information",
                                                   "odd_size", "odd_aspect_ratio",
                                                   "grayscale"};

double picture_size(uint32_t width, uint32_t height) { return sqrt((double)width) * sqrt((double)height); }

/* Returns a quantile with the rounding of NumPy, which interpolates from the nearer of the two ranks;
 * sort_quantile does not. */
static double quantile(const double *sorted, size_t n, double q)
{
    double x = q * (double)(n - 1), t = x - floor(x);
    size_t k = (size_t)x;
    double a = sorted[k], b = sorted[k + 1 < n ? k + 1 : k];
    return t < 0.5 ? a + (b - a) * t : b - (b - a) * (1 - t);
}

struct size_rule size_rule_from(double *sizes, size_t n)
{
    qsort(sizes, n, sizeof *sizes, sort_compare_doubles);
    double q1 = quantile(sizes, n, 0.25), q3 = quantile(sizes, n, 0.75);
    double low = q1 - 3 * (q3 - q1), high = q3 + 3 * (q3 - q1);
    struct size_rule rule = {.middle = (low + high) / 2, .gap = high - low, .threshold = 0.5};
    if (rule.gap == 0) {
        rule.gap = rule.middle;
        rule.threshold = 1;
    }
    return rule;
}

void picture_check_scores(double score[N_CHECKS], double threshold[N_CHECKS],
                          const struct picture_measures *m, struct size_rule rule)
{
    static const double fixed[N_CHECKS] = {[CHECK_DARK] = 0.32,
                                           [CHECK_LIGHT] = 0.05,
                                           [CHECK_BLURRY] = 0.29,
                                           [CHECK_LOW_INFORMATION] = 0.3,
                                           [CHECK_ODD_ASPECT_RATIO] = 0.35,
                                           [CHECK_GRAYSCALE] = 1};
    double width = (double)m->width, height = (double)m->height;
    /* A picture with few gray levels may look blurred without being so. The score depends on edges alone
     * if the gray levels vary little. */
    double spread = 1 - exp(-0.01 * m->blurriness_std);
    if (spread <= 0.18) spread = 0;
    for (int i = 0; i < N_CHECKS; i++)
        threshold[i] = fixed[i];
    threshold[CHECK_ODD_SIZE] = rule.threshold;
    score[CHECK_DARK] = m->brightness_99;
    score[CHECK_LIGHT] = 1 - m->brightness_5;
    score[CHECK_BLURRY] = fmin(1 - exp(-0.01 * m->blurriness) + spread, 1);
    score[CHECK_LOW_INFORMATION] = fmin(0.1 * m->entropy, 1) + 0.0; /* a flat picture has -0 */
    score[CHECK_ODD_SIZE] = 1 - fmin(fabs(picture_size(m->width, m->height) - rule.middle) / rule.gap, 1);
    score[CHECK_ODD_ASPECT_RATIO] = fmin(width / height, height / width);
    score[CHECK_GRAYSCALE] = m->gray ? 0 : 1;
}

double soft_edges_score(const struct picture_measures *m)
{
    return m->edge_width > 0 ? fmin(SOFT_EDGES_THRESHOLD * SOFT_EDGE / m->edge_width, 1) : 1;
}

const char *picture_check_measure(char *out, size_t out_bytes, enum picture_check check,
                                  const struct picture_measures *m)
{
    char a[32], b[32];
    switch (check) {
    case CHECK_DARK: snprintf(out, out_bytes, "brightness_99=%s", format_real(a, m->brightness_99)); break;
    case CHECK_LIGHT: snprintf(out, out_bytes, "brightness_5=%s", format_real(a, m->brightness_5)); break;
    case CHECK_BLURRY:
        snprintf(out, out_bytes, "blurriness=%s blurriness_std=%s", format_real(a, m->blurriness),
                 format_real(b, m->blurriness_std));
        break;
    case CHECK_LOW_INFORMATION:
        snprintf(out, out_bytes, "entropy=%s", format_real(a, m->entropy + 0.0));
        break;
    case CHECK_GRAYSCALE: snprintf(out, out_bytes, "mode=gray"); break;
    default: snprintf(out, out_bytes, "size=%ux%u", m->width, m->height);
    }
    return out;
}
