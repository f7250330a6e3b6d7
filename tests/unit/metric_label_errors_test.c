/*
 * Confident learning against cleanlab's own answers (tests/fixtures/label-errors), and properties that hold
 * without it.
 */
/* needs: base io manifest metric cli */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "io/spill.h"
#include "metric/label_errors.h"
#include "tap.h"

struct test_case {
    size_t n;
    int k;
    double *p;
    int32_t *given;
    struct id_key *keys;
    struct manifest_table issues, matrices, summary;
};

static struct error err;

static char *fixture(const char *name, const char *file)
{
    static char path[1024];
    const char *top = getenv("TOP");
    snprintf(path, sizeof path, "%s/tests/fixtures/label-errors/%s/%s", top ? top : ".", name, file);
    return path;
}

static bool load(struct test_case *c, const char *name)
{
    struct manifest_table input = MANIFEST_TABLE_EMPTY;
    *c = (struct test_case){0};
    if (manifest_table_read(&input, fixture(name, "input.tsv"), NULL, &err) ||
        manifest_table_read(&c->issues, fixture(name, "issues.tsv"), NULL, &err) ||
        manifest_table_read(&c->matrices, fixture(name, "matrices.tsv"), NULL, &err) ||
        manifest_table_read(&c->summary, fixture(name, "summary.tsv"), NULL, &err))
        return false;
    c->n = input.n_rows;
    c->k = (int)input.schema.n - 3;
    c->p = calloc(c->n * (size_t)c->k, sizeof *c->p);
    c->given = calloc(c->n, sizeof *c->given);
    c->keys = calloc(c->n, sizeof *c->keys);
    for (size_t i = 0; i < c->n; i++) {
        c->given[i] = atoi(manifest_cell(&input, i, 1));
        c->keys[i] = id_key_of(manifest_cell(&input, i, 0));
        for (int j = 0; j < c->k; j++)
            c->p[i * (size_t)c->k + (size_t)j] = strtod(manifest_cell(&input, i, 3 + j), NULL);
    }
    manifest_table_release(&input);
    return true;
}

static void unload(struct test_case *c)
{
    free(c->p);
    free(c->given);
    free(c->keys);
    manifest_table_release(&c->issues);
    manifest_table_release(&c->matrices);
    manifest_table_release(&c->summary);
}

static struct label_errors_input input_of(const struct test_case *c)
{
    return (struct label_errors_input){c->n, c->k, c->p, c->given, c->keys};
}

static double matrix_value(const struct label_errors *e, const char *name, int row, int col)
{
    int k = e->n_classes, at = row * k + col;
    return strcmp(name, "confident_joint_uncalibrated") == 0 ? (double)e->confident_uncalibrated[at]
           : strcmp(name, "confident_joint") == 0            ? (double)e->confident[at]
           : strcmp(name, "joint") == 0                      ? e->joint[at]
           : strcmp(name, "noise_matrix") == 0               ? e->noise[at]
           : strcmp(name, "inverse_noise_matrix") == 0       ? e->inverse_noise[at]
           : strcmp(name, "threshold") == 0                  ? e->threshold[row]
           : strcmp(name, "py") == 0                         ? e->prior[row]
           : strcmp(name, "class_label_quality") == 0        ? e->quality[row]
                                                             : NAN;
}

static void check_case(const char *name)
{
    struct test_case c;
    struct label_errors e = LABEL_ERRORS_EMPTY;
    bool loaded = load(&c, name);
    CHECK_SAY(loaded, "%s: fixtures are read (%s)", name, err.text);
    if (!loaded) return;
    struct label_errors_input in = input_of(&c);
    CHECK(!label_errors_estimate(&e, &in, &err));
    size_t off = 0, cells = c.matrices.n_rows;
    for (size_t i = 0; i < cells; i++) {
        double want = strtod(manifest_cell(&c.matrices, i, 3), NULL);
        double have =
            matrix_value(&e, manifest_cell(&c.matrices, i, 0), atoi(manifest_cell(&c.matrices, i, 1)),
                         atoi(manifest_cell(&c.matrices, i, 2)));
        if (!(fabs(have - want) <= 1e-9 * fmax(1, fabs(want)))) {
            printf("# %s row %zu: %.15g, not %.15g\n", manifest_cell(&c.matrices, i, 0), i, have, want);
            off++;
        }
    }
    CHECK_SAY(cells > 30 && off == 0, "%s: %zu cells of the matrices", name, cells);
    for (size_t i = 0; i < c.summary.n_rows; i++) {
        const char *key = manifest_cell(&c.summary, i, 0);
        double want = strtod(manifest_cell(&c.summary, i, 1), NULL);
        if (strcmp(key, "num_label_issues") == 0)
            CHECK_SAY((double)e.n_issues == want, "%s: %s", name, key);
        else if (strcmp(key, "num_label_issues_off_diagonal_calibrated") == 0)
            CHECK_SAY((double)e.n_off_diagonal_calibrated == want, "%s: %s", name, key);
        else if (strcmp(key, "overall_label_health_score") == 0)
            CHECK_CLOSE(e.health, want, 1e-9, 0, key);
    }
    uint8_t *flagged = malloc(c.n);
    for (int f = 0; f <= FILTER_COUNT; f++) { /* one more: half of the noise */
        struct label_filter_options o = LABEL_FILTER_DEFAULTS;
        const char *column = f < FILTER_COUNT ? label_filter_names[f] : "prune_by_noise_rate_frac0.5";
        int at = manifest_column(&c.issues.schema, column);
        if (f == FILTER_COUNT) o.frac_noise = 0.5;
        CHECK(at >= 0 &&
              !label_errors_filter(&e, &in,
                                   f < FILTER_COUNT ? (enum label_filter)f : FILTER_PRUNE_BY_NOISE_RATE, &o,
                                   flagged, &err));
        size_t wrong = 0;
        for (size_t i = 0; i < c.n; i++)
            wrong += flagged[i] != (manifest_cell(&c.issues, i, at)[0] == '1');
        CHECK_SAY(wrong == 0, "%s: mask of %s (%zu differ)", name, column, wrong);
    }
    double *score = malloc(c.n * sizeof *score);
    for (int r = 0; r < RANK_COUNT; r++) {
        char column[64];
        snprintf(column, sizeof column, "score_%s", label_rank_names[r]);
        int at = manifest_column(&c.issues.schema, column);
        CHECK(at >= 0 && !label_errors_score(&e, &in, (enum label_rank)r, false, score, &err));
        size_t wrong = 0;
        for (size_t i = 0; i < c.n; i++)
            wrong += !(fabs(score[i] - strtod(manifest_cell(&c.issues, i, at), NULL)) <= 1e-9);
        CHECK_SAY(wrong == 0, "%s: %s of every row (%zu differ)", name, column, wrong);
    }
    struct manifest_table ranking = MANIFEST_TABLE_EMPTY;
    struct error none = {0};
    if (!manifest_table_read(&ranking, fixture(name, "ranking.tsv"), NULL, &none)) {
        size_t wrong = 0, at = 0;
        uint32_t *order = NULL;
        size_t n_order = 0;
        char last[128] = "";
        for (size_t i = 0; i < ranking.n_rows; i++, at++) {
            char now[128];
            snprintf(now, sizeof now, "%s %s", manifest_cell(&ranking, i, 0), manifest_cell(&ranking, i, 1));
            if (strcmp(now, last) != 0) {
                int f = 0, r = 0;
                while (f < FILTER_COUNT && strcmp(label_filter_names[f], manifest_cell(&ranking, i, 0)) != 0)
                    f++;
                while (r < RANK_COUNT && strcmp(label_rank_names[r], manifest_cell(&ranking, i, 1)) != 0)
                    r++;
                wrong += at != n_order; /* the last list was longer or shorter */
                spill_free(order);
                if (f == FILTER_COUNT || r == RANK_COUNT ||
                    label_errors_filter(&e, &in, (enum label_filter)f, &LABEL_FILTER_DEFAULTS, flagged,
                                        &err) ||
                    label_errors_score(&e, &in, (enum label_rank)r, false, score, &err) ||
                    label_errors_rank(&in, score, flagged, &order, &n_order, &err))
                    break;
                at = 0;
                strcpy(last, now);
            }
            wrong += at >= n_order || order[at] != (uint32_t)atoi(manifest_cell(&ranking, i, 3));
        }
        CHECK_SAY(wrong == 0 && ranking.n_rows > 100, "%s: %zu places of the rankings", name, ranking.n_rows);
        spill_free(order);
        manifest_table_release(&ranking);
    }
    free(flagged);
    free(score);
    label_errors_release(&e);
    unload(&c);
}

/* Rows in another order: the same ids are flagged and in the same order. */
static void check_permutation(void)
{
    struct test_case c, d;
    if (!load(&c, "k05-n02000-pairs20") || !load(&d, "k05-n02000-pairs20")) return;
    struct random r = random_start(7, 1, 0);
    uint32_t *where = malloc(c.n * sizeof *where);
    for (size_t i = 0; i < c.n; i++)
        where[i] = (uint32_t)i;
    random_shuffle_u32(&r, where, c.n);
    for (size_t i = 0; i < c.n; i++) {
        /* Rounded, so that there are many ties. */
        for (int j = 0; j < c.k; j++)
            c.p[i * 5 + (size_t)j] = rint(c.p[i * 5 + (size_t)j] * 50) / 50;
    }
    for (size_t i = 0; i < c.n; i++) {
        memcpy(d.p + i * 5, c.p + where[i] * 5, 5 * sizeof *c.p);
        d.given[i] = c.given[where[i]];
        d.keys[i] = c.keys[where[i]];
    }
    struct label_errors_input in[2] = {input_of(&c), input_of(&d)};
    uint8_t *flagged[2] = {malloc(c.n), malloc(c.n)};
    size_t n_order[2], wrong = 0;
    uint32_t *order[2] = {0};
    double *score = malloc(c.n * sizeof *score);
    for (int f = 0; f < FILTER_COUNT; f++) {
        for (int s = 0; s < 2; s++) {
            struct label_errors e;
            CHECK(!label_errors_estimate(&e, &in[s], &err) &&
                  !label_errors_filter(&e, &in[s], (enum label_filter)f, &LABEL_FILTER_DEFAULTS, flagged[s],
                                       &err) &&
                  !label_errors_score(&e, &in[s], RANK_NORMALIZED_MARGIN, false, score, &err) &&
                  !label_errors_rank(&in[s], score, flagged[s], &order[s], &n_order[s], &err));
            label_errors_release(&e);
        }
        wrong += n_order[0] != n_order[1];
        for (size_t i = 0; i < n_order[0] && n_order[0] == n_order[1]; i++)
            wrong += where[order[1][i]] != order[0][i];
        spill_free(order[0]);
        spill_free(order[1]);
    }
    CHECK_SAY(wrong == 0, "the order of rows changes nothing, ties included");
    free(flagged[0]);
    free(flagged[1]);
    free(score);
    free(where);
    unload(&c);
    unload(&d);
}

static void check_small(void)
{
    /* All sharp and right: nothing is flagged. Exact zeros and ones. */
    double p[] = {1, 0, 0, 1, 1, 0, 0, 1};
    int32_t given[] = {0, 1, 0, 1};
    struct id_key keys[4];
    uint8_t flagged[4];
    for (int i = 0; i < 4; i++) {
        char id[12];
        snprintf(id, sizeof id, "%d", i);
        keys[i] = id_key_of(id);
    }
    struct label_errors_input in = {4, 2, p, given, keys};
    struct label_errors e;
    CHECK(!label_errors_estimate(&e, &in, &err) && e.n_issues == 0 && e.health == 1);
    for (int f = 0; f < FILTER_COUNT; f++) {
        CHECK(!label_errors_filter(&e, &in, (enum label_filter)f, &LABEL_FILTER_DEFAULTS, flagged, &err));
        CHECK_SAY(!(flagged[0] | flagged[1] | flagged[2] | flagged[3]), "sharp and right: %s flags nothing",
                  label_filter_names[f]);
    }
    int64_t sum = 0;
    for (int i = 0; i < 4; i++)
        sum += e.confident[i];
    CHECK(sum == 4);
    label_errors_release(&e);
    in.n_rows = 0;
    CHECK(label_errors_estimate(&e, &in, &err) && err.code == EX_DATAERR);
    in.n_rows = 4;
    in.n_classes = 1;
    CHECK(label_errors_estimate(&e, &in, &err) && err.code == EX_DATAERR);
}

int main(void)
{
    check_case("k03-n00500-uniform10");
    check_case("k05-n02000-pairs20");
    check_case("k10-n05000-uniform40-absent");
    check_permutation();
    check_small();
    return tap_done();
}
