/*
 * label_errors.c: confident learning; see label_errors.h. One pass over the rows computes the thresholds, and
 * a second one the counts. The following steps use matrices of K x K. The filters find the m rows of a class
 * with the lowest scores by quickselect. The time is linear in the number of rows (times K for the first
 * filter). Sums have the order of numpy where their last bit decides how a half is rounded.
 */
#include "metric/label_errors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/spill.h"

/* A row is confident in class k from threshold - this on. It is also the lowest self-confidence. */
#define CONFIDENT_SLACK 1e-6
#define TINY 1e-100

const char *const label_filter_names[FILTER_COUNT] =
    {"prune_by_noise_rate", "prune_by_class",       "both", "confident_learning", "predicted_neq_given",
     "low_self_confidence", "low_normalized_margin"};
const char *const label_rank_names[RANK_COUNT] = {"self_confidence", "normalized_margin",
                                                  "confidence_weighted_entropy"};

/* Adds in the order of numpy for a contiguous array of up to 128 values: eight partial sums, then pairs. */
static double sum_as_numpy(const double *x, size_t n)
{
    if (n > 128) {
        size_t half = n / 2 - n / 2 % 8;
        return sum_as_numpy(x, half) + sum_as_numpy(x + half, n - half);
    }
    double s = 0;
    size_t i = 0;
    if (n >= 8) {
        double r[8];
        memcpy(r, x, sizeof r);
        for (i = 8; i + 8 <= n; i += 8)
            for (int j = 0; j < 8; j++)
                r[j] += x[i + (size_t)j];
        s = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
    }
    for (; i < n; i++)
        s += x[i];
    return s;
}

/* Rounds each value so that the sum of the rounded values is the rounded sum. scratch [n]. */
static void round_keeping_sum(const double *values, double *rounded, size_t n)
{
    double want = rint(sum_as_numpy(values, n)), have;
    for (size_t i = 0; i < n; i++)
        rounded[i] = rint(values[i]);
    while (fabs((have = rint(sum_as_numpy(rounded, n))) - want) > 1e-6) {
        double step = want < have ? -1 : 1;
        size_t changes = (size_t)fmin(fabs(want - have), (double)n);
        /* The largest residuals get +1 (of equal ones that with the higher index), and the smallest -1 (of
         * equal ones that with the lower index), each at most once. */
        uint8_t done[PREDICTIONS_MAX_CLASSES] = {0};
        double residual[PREDICTIONS_MAX_CLASSES];
        for (size_t i = 0; i < n; i++)
            residual[i] = values[i] - rounded[i];
        for (; changes > 0; changes--) {
            size_t best = n;
            for (size_t i = 0; i < n; i++)
                if (!done[i] &&
                    (best == n || (step > 0 ? residual[i] >= residual[best] : residual[i] < residual[best])))
                    best = i;
            done[best] = 1;
            rounded[best] += step;
        }
    }
}

static int argmax(const double *p, int k)
{
    int best = 0;
    for (int j = 1; j < k; j++)
        if (p[j] > p[best]) best = j;
    return best;
}

/* Whether the given label is the prediction when CONFIDENT_SLACK is added to its probability. Such a row is
 * never flagged. */
static bool given_is_top(const double *p, int k, int given)
{
    int best = 0;
    double top = p[0] + (given == 0 ? CONFIDENT_SLACK : 0);
    for (int j = 1; j < k; j++) {
        double v = p[j] + (given == j ? CONFIDENT_SLACK : 0);
        if (v > top) {
            top = v;
            best = j;
        }
    }
    return best == given;
}

static int allocate(struct label_errors *e, const struct label_errors_input *in, struct error *err)
{
    size_t k = (size_t)in->n_classes;
    *e = (struct label_errors){.n_classes = in->n_classes, .n_rows = in->n_rows};
    return (e->given_counts = mem_zalloc(k, sizeof *e->given_counts, err)) &&
                   (e->threshold = mem_zalloc(k, sizeof(double), err)) &&
                   (e->confident_uncalibrated = mem_zalloc(k * k, sizeof(int64_t), err)) &&
                   (e->confident = mem_zalloc(k * k, sizeof(int64_t), err)) &&
                   (e->joint = mem_zalloc(k * k, sizeof(double), err)) &&
                   (e->noise = mem_zalloc(k * k, sizeof(double), err)) &&
                   (e->inverse_noise = mem_zalloc(k * k, sizeof(double), err)) &&
                   (e->prior = mem_zalloc(k, sizeof(double), err)) &&
                   (e->quality = mem_zalloc(k, sizeof(double), err)) &&
                   (e->off_diagonal = spill_zalloc(in->n_rows ? in->n_rows : 1, 1, err))
               ? 0
               : -1;
}

/*
 * Computes the threshold of each class, the mean of its probability over the rows with that label, and
 * counts the rows that are confident in a class, by given and confident class. A class without rows gets
 * the threshold 2, which no probability reaches.
 */
static void count_confident(struct label_errors *e, const struct label_errors_input *in)
{
    size_t k = (size_t)in->n_classes;
    for (size_t i = 0; spill_step(i) < in->n_rows; i++) {
        int g = in->given[i];
        e->given_counts[g]++;
        e->threshold[g] += in->p[i * k + (size_t)g];
    }
    for (size_t j = 0; j < k; j++)
        e->threshold[j] =
            e->given_counts[j] ? fmax(e->threshold[j] / (double)e->given_counts[j], 2 * CONFIDENT_SLACK) : 2;
    for (size_t i = 0; spill_step(i) < in->n_rows; i++) {
        const double *p = in->p + i * k;
        int n_confident = 0, which = 0;
        for (size_t j = 0; j < k; j++)
            if (p[j] >= e->threshold[j] - CONFIDENT_SLACK) {
                n_confident++;
                which = (int)j;
            }
        if (n_confident == 0) continue;
        if (n_confident > 1) which = argmax(p, in->n_classes);
        e->confident_uncalibrated[(size_t)in->given[i] * k + (size_t)which]++;
        e->off_diagonal[i] = which != in->given[i];
    }
    for (size_t j = 0; j < k; j++)
        if (e->confident_uncalibrated[j * k + j] < 1) e->confident_uncalibrated[j * k + j] = 1;
}

/* Scales the rows of the counts to the number of given labels and the whole to n, then makes whole
 * numbers with the same row sums. */
static int calibrate(struct label_errors *e, struct error *err)
{
    size_t k = (size_t)e->n_classes;
    double *scaled = mem_alloc(k * k * sizeof *scaled, err), *rounded = mem_alloc(k * sizeof *rounded, err);
    int rc = -1;
    if (!scaled || !rounded) goto out;
    for (size_t g = 0; g < k; g++) {
        int64_t sum = 0;
        for (size_t t = 0; t < k; t++)
            sum += e->confident_uncalibrated[g * k + t];
        for (size_t t = 0; t < k; t++)
            scaled[g * k + t] = (double)e->confident_uncalibrated[g * k + t] / fmax((double)sum, TINY) *
                                (double)e->given_counts[g];
    }
    double total = fmax(sum_as_numpy(scaled, k * k), TINY);
    for (size_t i = 0; i < k * k; i++)
        scaled[i] = scaled[i] / total * (double)e->n_rows;
    for (size_t g = 0; g < k; g++) {
        round_keeping_sum(scaled + g * k, rounded, k);
        for (size_t t = 0; t < k; t++)
            e->confident[g * k + t] = (int64_t)rounded[t];
    }
    rc = 0;
out:
    free(scaled);
    free(rounded);
    return rc;
}

/* Limits the entries off the diagonal to [0, 0.9999], then divides each column by its sum. */
static void clip_noise(double *m, size_t k)
{
    for (size_t i = 0; i < k * k; i++)
        if (i / k != i % k) m[i] = fmin(fmax(m[i], 0), 0.9999);
    for (size_t c = 0; c < k; c++) {
        double sum = 0;
        for (size_t r = 0; r < k; r++)
            sum += m[r * k + c];
        for (size_t r = 0; r < k; r++)
            m[r * k + c] /= fmax(sum, TINY);
    }
}

static void estimate_matrices(struct label_errors *e)
{
    size_t k = (size_t)e->n_classes;
    double n = 0, trace = 0, prior_sum = 0;
    for (size_t i = 0; i < k * k; i++)
        n += (double)e->confident[i];
    for (size_t i = 0; i < k * k; i++)
        e->joint[i] = (double)e->confident[i] / fmax(n, TINY);
    for (size_t j = 0; j < k; j++) {
        double row = 0, column = 0, joint_row = 0;
        for (size_t i = 0; i < k; i++) {
            row += (double)e->confident[j * k + i];
            column += (double)e->confident[i * k + j];
            joint_row += e->joint[j * k + i];
        }
        for (size_t i = 0; i < k; i++) {
            e->noise[i * k + j] = (double)e->confident[i * k + j] / fmax(column, TINY);
            e->inverse_noise[i * k + j] = (double)e->confident[j * k + i] / fmax(row, TINY);
        }
        trace += e->joint[j * k + j];
        e->quality[j] = 1 - (joint_row - e->joint[j * k + j]) / fmax(joint_row, 1e-6);
    }
    for (size_t j = 0; j < k; j++) {
        double py = e->inverse_noise[j * k + j] / fmax(e->noise[j * k + j], TINY) *
                    (double)e->given_counts[j] / (double)e->n_rows;
        e->prior[j] = fmin(fmax(py, 1e-6), 1);
        prior_sum += e->prior[j];
    }
    for (size_t j = 0; j < k; j++)
        e->prior[j] /= prior_sum;
    clip_noise(e->noise, k);
    clip_noise(e->inverse_noise, k);
    e->n_off_diagonal_calibrated = (int64_t)rint((1 - trace) * (double)e->n_rows);
}

int label_errors_estimate(struct label_errors *out, const struct label_errors_input *in, struct error *err)
{
    *out = LABEL_ERRORS_EMPTY;
    if (in->n_rows == 0 || in->n_classes < 2 || in->n_classes > PREDICTIONS_MAX_CLASSES)
        return error_set(err, EX_DATAERR, "label errors need rows and at least two classes");
    if (allocate(out, in, err)) {
        label_errors_release(out);
        return -1;
    }
    count_confident(out, in);
    if (calibrate(out, err)) {
        label_errors_release(out);
        return -1;
    }
    estimate_matrices(out);
    for (size_t i = 0; spill_step(i) < in->n_rows; i++)
        out->n_issues += out->off_diagonal[i] &&
                         !given_is_top(in->p + i * (size_t)in->n_classes, in->n_classes, in->given[i]);
    out->health = 1 - (double)out->n_issues / (double)in->n_rows;
    return 0;
}

void label_errors_release(struct label_errors *e)
{
    free(e->given_counts);
    free(e->threshold);
    free(e->confident_uncalibrated);
    free(e->confident);
    free(e->joint);
    free(e->noise);
    free(e->inverse_noise);
    free(e->prior);
    free(e->quality);
    spill_free(e->off_diagonal);
    *e = LABEL_ERRORS_EMPTY;
}

/* --- selection --- */

struct scored {
    double score;
    uint32_t row;
};

/* Orders rows by score and then by id. Ids differ, so no two rows are equal. */
static inline bool worse(const struct scored *a, const struct scored *b, const struct id_key *keys)
{
    if (a->score != b->score) return a->score < b->score;
    int order = id_key_compare(&keys[a->row], &keys[b->row]);
    return order ? order < 0 : a->row < b->row;
}

/* Moves the m rows of s[n] with the lowest scores to the front, in no particular order. The pivot is the
 * median of three. The time is linear on average. */
static void select_worst(struct scored *s, size_t n, size_t m, const struct id_key *keys)
{
    size_t low = 0, high = n;
    if (m == 0 || m >= n) return;
    while (high - low > 1) {
        size_t a = low, b = low + (high - low) / 2, c = high - 1;
        if (worse(&s[b], &s[a], keys)) {
            size_t t = a;
            a = b;
            b = t;
        }
        if (worse(&s[c], &s[b], keys)) {
            b = worse(&s[c], &s[a], keys) ? a : c;
        }
        struct scored pivot = s[b], swap;
        s[b] = s[high - 1];
        size_t store = low;
        for (size_t i = low; spill_step(i) + 1 < high; i++)
            if (worse(&s[i], &pivot, keys)) {
                swap = s[i];
                s[i] = s[store];
                s[store++] = swap;
            }
        s[high - 1] = s[store];
        s[store] = pivot;
        if (store == m) return;
        if (store > m)
            high = store;
        else
            low = store + 1;
    }
}

/* Computes how many rows may be pruned, M[t][g], as integers. */
static int prune_counts(const struct label_errors *e, const struct label_filter_options *o, double *m,
                        struct error *err)
{
    size_t k = (size_t)e->n_classes;
    double *rounded = mem_alloc(k * sizeof *rounded, err);
    if (!rounded) return -1;
    for (size_t t = 0; t < k; t++)
        for (size_t g = 0; g < k; g++)
            m[t * k + g] = (double)e->confident[g * k + t];
    for (size_t g = 0; g < k; g++) {
        double diagonal = fmax(m[g * k + g], (double)o->min_examples_per_class),
               raised = diagonal - m[g * k + g], nonzero = 0, lost = 0;
        for (size_t t = 0; t < k; t++)
            nonzero += m[t * k + g] != 0;
        for (size_t t = 0; t < k; t++)
            m[t * k + g] = fmax(m[t * k + g] - raised / fmax(nonzero - 1, 1), 0);
        m[g * k + g] = diagonal;
        for (size_t t = 0; t < k; t++)
            if (t != g) {
                double kept = m[t * k + g] * o->frac_noise;
                lost += m[t * k + g] - kept;
                m[t * k + g] = trunc(kept);
            }
        m[g * k + g] = trunc(diagonal + lost);
    }
    for (size_t t = 0; t < k; t++) {
        round_keeping_sum(m + t * k, rounded, k);
        memcpy(m + t * k, rounded, k * sizeof *rounded);
    }
    free(rounded);
    return 0;
}

/* Groups rows by given class: rows[start[g] .. start[g+1]). */
static int group_by_given(const struct label_errors *e, const struct label_errors_input *in, uint32_t **rows,
                          size_t **start, struct error *err)
{
    size_t k = (size_t)e->n_classes;
    *rows = spill_alloc((in->n_rows ? in->n_rows : 1) * sizeof **rows, err);
    *start = mem_zalloc(k + 2, sizeof **start, err);
    if (!*rows || !*start) return -1;
    for (size_t g = 0; g < k; g++)
        (*start)[g + 2] = (*start)[g + 1] + (size_t)e->given_counts[g];
    for (size_t i = 0; spill_step(i) < in->n_rows; i++)
        (*rows)[(*start)[in->given[i] + 1]++] = (uint32_t)i;
    return 0; /* start[g] has become the beginning of g: what was g+1's cursor ends where g+1 ends */
}

static int filter_by_pruning(const struct label_errors *e, const struct label_errors_input *in, bool by_rate,
                             bool by_class, const struct label_filter_options *o, uint8_t *flagged,
                             struct error *err)
{
    size_t k = (size_t)e->n_classes, *start = NULL, most = 0;
    uint32_t *rows = NULL;
    struct scored *s = NULL;
    double *m = mem_alloc(k * k * sizeof *m, err);
    int rc = -1;
    uint8_t rate_bit = 1, class_bit = 2,
            wanted = (uint8_t)((by_rate ? rate_bit : 0) | (by_class ? class_bit : 0));
    for (size_t g = 0; g < k; g++)
        most = (size_t)e->given_counts[g] > most ? (size_t)e->given_counts[g] : most;
    if (!m || prune_counts(e, o, m, err) || group_by_given(e, in, &rows, &start, err) ||
        !(s = spill_alloc((most ? most : 1) * sizeof *s, err)))
        goto out;
    for (size_t g = 0; g < k; g++) {
        size_t n = start[g + 1] - start[g];
        const uint32_t *own = rows + start[g];
        if (e->given_counts[g] <= o->min_examples_per_class) continue;
        for (size_t t = 0; by_rate && t < k; t++) {
            size_t take = (size_t)fmax(m[t * k + g], 0);
            if (t == g || take == 0) continue;
            for (size_t i = 0; spill_step(i) < n; i++)
                s[i] = (struct scored){in->p[own[i] * k + g] - in->p[own[i] * k + t], own[i]};
            take = take < n ? take : n;
            select_worst(s, n, take, in->keys);
            for (size_t i = 0; i < take; i++)
                flagged[s[i].row] |= rate_bit;
        }
        double q = (double)e->given_counts[g] - m[g * k + g];
        if (by_class && q >= 1) {
            size_t take = (size_t)q < n ? (size_t)q : n;
            for (size_t i = 0; spill_step(i) < n; i++)
                s[i] = (struct scored){in->p[own[i] * k + g], own[i]};
            select_worst(s, n, take, in->keys);
            for (size_t i = 0; i < take; i++)
                flagged[s[i].row] |= class_bit;
        }
    }
    for (size_t i = 0; spill_step(i) < in->n_rows; i++)
        flagged[i] = flagged[i] == wanted;
    rc = 0;
out:
    free(m);
    spill_free(rows);
    free(start);
    spill_free(s);
    return rc;
}

/* Flags the n_issues rows with the smallest score. */
static int filter_lowest(const struct label_errors *e, const struct label_errors_input *in,
                         enum label_rank rank, uint8_t *flagged, struct error *err)
{
    double *score = spill_alloc(in->n_rows * sizeof *score, err);
    struct scored *s = spill_alloc(in->n_rows * sizeof *s, err);
    int rc = -1;
    if (!score || !s || label_errors_score(e, in, rank, false, score, err)) goto out;
    for (size_t i = 0; spill_step(i) < in->n_rows; i++)
        s[i] = (struct scored){score[i], (uint32_t)i};
    select_worst(s, in->n_rows, e->n_issues, in->keys);
    for (size_t i = 0; i < e->n_issues; i++)
        flagged[s[i].row] = 1;
    rc = 0;
out:
    spill_free(score);
    spill_free(s);
    return rc;
}

int label_errors_filter(const struct label_errors *e, const struct label_errors_input *in,
                        enum label_filter filter, const struct label_filter_options *options,
                        uint8_t *flagged, struct error *err)
{
    size_t k = (size_t)in->n_classes;
    memset(flagged, 0, in->n_rows);
    switch (filter) {
    case FILTER_PRUNE_BY_NOISE_RATE:
        if (filter_by_pruning(e, in, true, false, options, flagged, err)) return -1;
        break;
    case FILTER_PRUNE_BY_CLASS:
        if (filter_by_pruning(e, in, false, true, options, flagged, err)) return -1;
        break;
    case FILTER_BOTH:
        if (filter_by_pruning(e, in, true, true, options, flagged, err)) return -1;
        break;
    case FILTER_CONFIDENT_LEARNING: memcpy(flagged, e->off_diagonal, in->n_rows); break;
    case FILTER_PREDICTED_NEQ_GIVEN:
        for (size_t i = 0; spill_step(i) < in->n_rows; i++)
            flagged[i] = argmax(in->p + i * k, in->n_classes) != in->given[i];
        break;
    case FILTER_LOW_SELF_CONFIDENCE: return filter_lowest(e, in, RANK_SELF_CONFIDENCE, flagged, err);
    case FILTER_LOW_NORMALIZED_MARGIN: return filter_lowest(e, in, RANK_NORMALIZED_MARGIN, flagged, err);
    case FILTER_COUNT: return error_set(err, EX_SOFTWARE, "no such filter");
    }
    for (size_t i = 0; spill_step(i) < in->n_rows; i++)
        if (flagged[i] && given_is_top(in->p + i * k, in->n_classes, in->given[i])) flagged[i] = 0;
    return 0;
}

/* --- scores --- */

static double score_one(const double *p, int k, int given, enum label_rank rank)
{
    double self = p[given], other = 0, h = 0;
    switch (rank) {
    case RANK_NORMALIZED_MARGIN:
        other = -INFINITY;
        for (int j = 0; j < k; j++)
            if (j != given && p[j] > other) other = p[j];
        return (self - other + 1) / 2;
    case RANK_CONFIDENCE_WEIGHTED_ENTROPY:
        for (int j = 0; j < k; j++)
            if (p[j] > 0) h -= p[j] * log(p[j]);
        h = h / log(k) / fmax(self, 1e-6);
        return log(h + 1) / fmax(h, 1e-6);
    default: return self;
    }
}

int label_errors_score(const struct label_errors *e, const struct label_errors_input *in,
                       enum label_rank rank, bool adjust, double *score, struct error *err)
{
    int k = in->n_classes;
    double highest = 0, *row = NULL;
    if (adjust) {
        if (!(row = mem_alloc((size_t)k * sizeof *row, err))) return -1;
        for (int j = 0; j < k; j++)
            highest = fmax(highest, e->threshold[j]);
    }
    for (size_t i = 0; spill_step(i) < in->n_rows; i++) {
        const double *p = in->p + i * (size_t)k;
        if (adjust) {
            double sum = 0;
            for (int j = 0; j < k; j++)
                sum += row[j] = p[j] - e->threshold[j] + highest;
            for (int j = 0; j < k; j++)
                row[j] /= sum;
            p = row;
        }
        score[i] = score_one(p, k, in->given[i], rank);
    }
    free(row);
    return 0;
}

static int compare_scored(const void *x, const void *y, void *keys)
{
    const struct scored *a = x, *b = y;
    return worse(a, b, keys) ? -1 : worse(b, a, keys);
}

int label_errors_rank(const struct label_errors_input *in, const double *score, const uint8_t *flagged,
                      uint32_t **order, size_t *n, struct error *err)
{
    size_t count = 0;
    struct scored *s = NULL;
    *order = NULL;
    *n = 0;
    for (size_t i = 0; spill_step(i) < in->n_rows; i++)
        count += !flagged || flagged[i];
    if (!(s = spill_alloc((count ? count : 1) * sizeof *s, err)) ||
        !(*order = spill_alloc((count ? count : 1) * sizeof **order, err))) {
        spill_free(s);
        return -1;
    }
    for (size_t i = 0; spill_step(i) < in->n_rows; i++)
        if (!flagged || flagged[i]) s[(*n)++] = (struct scored){score[i], (uint32_t)i};
    qsort_r(s, count, sizeof *s, compare_scored, (void *)in->keys);
    for (size_t i = 0; i < count; i++)
        (*order)[i] = s[i].row;
    spill_free(s);
    return 0;
}
