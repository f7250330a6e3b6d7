/* score_sample.c: reservoir sampling: row i replaces a kept row with probability SCORE_SAMPLE_ROWS / i.
 * Which rows are kept depends only on their numbers. */
#include "metric/predictions.h"
#include "metric/score_sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "base/random.h"
#include "base/text.h"
#include "manifest/manifest.h"

#define RESERVOIR_STREAM 0x7265736572766Full
#define ROUNDING 1e-12

static int find_columns(int *columns, const struct manifest_reader *r, char *const *classes, int n_classes,
                        struct error *err)
{
    char shown[256], known[300];
    int n = 0;
    text_for_people(shown, sizeof shown, r->name);
    text_names_for_people(known, sizeof known, (const char *const *)classes, (size_t)n_classes);
    for (int k = 0; k < n_classes; k++)
        columns[k] = -1;
    for (size_t i = 0; i < r->schema.n; i++) {
        const char *name = r->schema.names[i];
        int k = 0;
        if (!text_starts(name, "p_") || !name[2]) continue;
        while (k < n_classes && strcmp(classes[k], name + 2) != 0)
            k++;
        if (k == n_classes)
            return error_set(err, EX_DATAERR,
                             "'%s' has scores of another model: its column '%.100s' is not one of %s", shown,
                             name, known);
        columns[k] = (int)i;
        n++;
    }
    for (int k = 0; k < n_classes; k++)
        if (columns[k] < 0)
            return error_set(err, EX_DATAERR, "'%s' has %s: it lacks p_%.100s of %s", shown,
                             n ? "scores of another model" : "no scores", classes[k], known);
    return 0;
}

static int read_row(double *p, const struct manifest_reader *r, const int *columns, int n_classes,
                    struct error *err)
{
    char shown[256], value[64];
    double sum = 0;
    for (int k = 0; k < n_classes; k++) {
        const char *text = r->fields[columns[k]];
        if (!parse_number(text, &p[k]) || p[k] < 0 || p[k] > 1 + 1e-6)
            return error_set(err, EX_DATAERR, "'%s', row %llu: %.100s is '%s', which is not a probability",
                             text_for_people(shown, sizeof shown, r->name), (unsigned long long)r->row,
                             r->schema.names[columns[k]], text_for_people(value, sizeof value, text));
        sum += p[k];
    }
    if (fabs(sum - 1) > PREDICTIONS_SUM_TOLERANCE + ROUNDING)
        return error_set(err, EX_DATAERR,
                         "'%s', row %llu: the probabilities sum to %.12g, which is not within %g of 1",
                         text_for_people(shown, sizeof shown, r->name), (unsigned long long)r->row, sum,
                         PREDICTIONS_SUM_TOLERANCE);
    return 0;
}

int score_sample_read(struct score_sample *out, const char *path, char *const *classes, int n_classes,
                      struct error *err)
{
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    struct random random = random_start(0, 0, RESERVOIR_STREAM);
    size_t k = (size_t)n_classes, capacity = 0;
    int *columns = mem_alloc(k * sizeof *columns, err), got = -1, rc = -1;
    double *row = mem_alloc(k * sizeof *row, err);
    char shown[256];
    *out = (struct score_sample){.n_classes = n_classes};
    if (!columns || !row || !(out->mean = mem_zalloc(k, sizeof(double), err)) ||
        !(out->variance = mem_zalloc(k, sizeof(double), err)) ||
        !(out->n_predicted = mem_zalloc(k, sizeof(uint64_t), err)) ||
        manifest_reader_open(&r, path, NULL, err) || find_columns(columns, &r, classes, n_classes, err))
        goto out;
    while ((got = manifest_reader_next(&r, err)) > 0) {
        uint64_t at = out->n_rows++;
        if (read_row(row, &r, columns, n_classes, err)) goto out;
        size_t best = 0;
        for (size_t j = 0; j < k; j++) { /* Welford's sums: exact for ten million rows, too */
            double off = row[j] - out->mean[j];
            out->mean[j] += off / (double)out->n_rows;
            out->variance[j] += off * (row[j] - out->mean[j]);
            if (row[j] > row[best]) best = j;
        }
        out->n_predicted[best]++;
        if (at < SCORE_SAMPLE_ROWS) {
            if (mem_grow(&out->p, &capacity, out->n_kept + 1, k * sizeof *out->p, err)) goto out;
            out->n_kept++;
        } else {
            at = random_below(&random, at + 1);
        }
        if (at < SCORE_SAMPLE_ROWS) memcpy(out->p + at * k, row, k * sizeof *row);
    }
    if (got < 0) goto out;
    if (out->n_rows == 0) {
        error_set(err, EX_DATAERR, "'%s' has a header but no rows",
                  text_for_people(shown, sizeof shown, path));
        goto out;
    }
    for (size_t j = 0; j < k; j++)
        out->variance[j] /= (double)out->n_rows;
    rc = 0;
out:
    manifest_reader_close(&r);
    free(columns);
    free(row);
    if (rc) score_sample_release(out);
    return rc;
}

void score_sample_release(struct score_sample *s)
{
    free(s->p);
    free(s->mean);
    free(s->variance);
    free(s->n_predicted);
    *s = SCORE_SAMPLE_EMPTY;
}

int score_sample_classes(const char *path, char ***classes, int *n_classes, struct error *err)
{
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    char shown[256];
    int rc = -1;
    *n_classes = 0;
    *classes = NULL;
    if (manifest_reader_open(&r, path, NULL, err) ||
        !(*classes = mem_zalloc(r.schema.n, sizeof **classes, err)))
        goto out;
    for (size_t i = 0; i < r.schema.n; i++)
        if (text_starts(r.schema.names[i], "p_") && r.schema.names[i][2]) {
            if (!((*classes)[*n_classes] = mem_strdup(r.schema.names[i] + 2, err))) goto out;
            ++*n_classes;
        }
    rc = *n_classes < 2 ? error_set(err, EX_DATAERR, "'%s' has no scores: p_<class> for each class",
                                    text_for_people(shown, sizeof shown, path))
                        : 0;
out:
    manifest_reader_close(&r);
    return rc;
}
