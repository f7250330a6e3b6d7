/*
 * audit_stage.c: reads the manifest twice: first the numbers of all rows, to compute the usual sizes, the
 * facts and the classes; then the rows again, to write those that a check reports.
 */
#include "audit_stage.h"

#include <stdlib.h>
#include <string.h>

#include "audit_findings.h"
#include "audit_set.h"
#include "base/number.h"
#include "label_facts.h"
#include "label_next.h"
#include "manifest/manifest.h"
#include "manifest/source.h"
#include "metric/sort.h"

struct audit {
    const struct audit_options *opt;
    struct audit_set set;
    struct audit_map map;    /* with --features */
    struct label_next *next; /* pictures to label, in this order */
    size_t n_next;
    double *margin; /* [map.n] with --classified */
    struct finding *findings;
    size_t n, capacity;
    struct arena arena;
    uint64_t n_of[N_ALL_CHECKS];
};

static int add_finding(struct audit *a, int check, double score, double threshold, const char *path,
                       const char *label, const char *measure, struct error *err)
{
    struct finding f = {.check = check, .score = score, .threshold = threshold};
    if (!(f.path = arena_strdup(&a->arena, path, err)) || !(f.label = arena_strdup(&a->arena, label, err)) ||
        !(f.measure = arena_strdup(&a->arena, measure, err)) ||
        mem_grow(&a->findings, &a->capacity, a->n + 1, sizeof *a->findings, err))
        return -1;
    a->findings[a->n++] = f;
    a->n_of[check]++;
    return 0;
}

/* Orders findings by check, the worst first, and then by names, so that the order of the rows does not
 * matter. */
static int by_check(const void *x, const void *y)
{
    const struct finding *a = x, *b = y;
    int c;
    if (a->check != b->check) return a->check < b->check ? -1 : 1;
    if (a->score != b->score) return a->score < b->score ? -1 : 1;
    if ((c = strcmp(a->path, b->path))) return c;
    if ((c = strcmp(a->label, b->label))) return c;
    return strcmp(a->measure, b->measure);
}

static int write_findings(struct audit *a, struct error *err)
{
    static const char *const columns[] = {"check", "path", "label", "score", "threshold", "measure", NULL};
    struct manifest_writer out = MANIFEST_WRITER_EMPTY;
    int rc = manifest_writer_open(&out, a->opt->common.output, NULL, columns, err);
    for (size_t i = 0; rc == 0 && i < a->n; i++) {
        const struct finding *f = &a->findings[i];
        char score[32], threshold[32] = "";
        if (f->threshold >= 0) format_real(threshold, f->threshold);
        const char *const fields[] = {audit_check_name(f->check),   f->path,   f->label,
                                      format_real(score, f->score), threshold, f->measure};
        rc = manifest_writer_row(&out, NULL, fields, err);
    }
    if (rc == 0) rc = manifest_writer_commit(&out, err);
    manifest_writer_discard(&out);
    return rc;
}

/* --- classes --- */

static int audit_classes(struct audit *a, struct error *err)
{
    size_t k = a->set.labels.n;
    double *n_rows = mem_zalloc(k + 1, sizeof *n_rows, err), *others = mem_zalloc(k + 1, sizeof *others, err);
    int rc = n_rows && others ? 0 : -1;
    for (size_t i = 0; rc == 0 && i < a->set.n_labelled; i++)
        n_rows[a->set.label[i]]++;
    for (size_t c = 0; rc == 0 && k >= 2 && c < k; c++) {
        size_t n = 0;
        char measure[96];
        for (size_t i = 0; i < k; i++)
            if (i != c) others[n++] = n_rows[i];
        qsort(others, n, sizeof *others, sort_compare_doubles);
        double median = sort_quantile(others, n, 0.5), ratio = n_rows[c] / median;
        snprintf(measure, sizeof measure, "rows=%.0f median_of_others=%g", n_rows[c], median);
        const char *name = a->set.labels.text[c];
        if (n_rows[c] < (double)a->opt->least_rows || ratio * a->opt->class_ratio < 1) {
            rc = add_finding(a, CHECK_NEAR_EMPTY, ratio < 1 ? ratio : 1, -1, "", name, measure, err);
            if (rc == 0 && !a->opt->common.quiet && n_rows[c] < (double)a->opt->least_rows)
                stage_warn("class '%s' has only %.0f row%s", name, n_rows[c], n_rows[c] == 1 ? "" : "s");
            else if (rc == 0 && !a->opt->common.quiet)
                stage_warn("class '%s' has %.0f rows; the median of the other classes is %g", name, n_rows[c],
                           median);
        }
        if (rc == 0 && ratio > a->opt->class_ratio) {
            rc = add_finding(a, CHECK_OVER_FULL, 1 / ratio, -1, "", name, measure, err);
            if (rc == 0 && !a->opt->common.quiet)
                stage_warn("class '%s' has %.0f rows; the median of the other classes is %g", name, n_rows[c],
                           median);
        }
    }
    free(n_rows);
    free(others);
    return rc;
}

/* --- facts --- */

struct fact_bounds {
    double first[FACT_MOST_BINS], last[FACT_MOST_BINS];
};

/* Writes a value for the user: a word, or the range of a bin. */
static int value_text(struct text *out, const struct audit_set *s, enum fact f, const struct fact_bounds *b,
                      uint32_t value, struct error *err)
{
    text_clear(out);
    if (f < FACT_PIXELS) return text_puts(out, s->texts[f].text[value], err);
    char first[32], last[32];
    snprintf(first, sizeof first, "%.6g", b->first[value]);
    snprintf(last, sizeof last, "%.6g", b->last[value]);
    return strcmp(first, last) ? text_printf(out, err, "%s..%s", first, last) : text_puts(out, first, err);
}

static int report_fact(struct audit *a, enum fact f, const struct fact_found *found, const char *value,
                       struct manifest_writer *out, struct error *err)
{
    double n = (double)found->n_rows, accuracy = (double)found->n_right / n,
           chance = (double)found->n_largest / n;
    const char *label = a->set.labels.text[found->label];
    char rows[24], values[24], shares[4][32], both[24], n_value[24], n_label[24];
    struct text measure = TEXT_EMPTY;
    snprintf(rows, sizeof rows, "%llu", (unsigned long long)found->n_rows);
    snprintf(values, sizeof values, "%u", found->n_values);
    snprintf(both, sizeof both, "%llu", (unsigned long long)found->n_both);
    snprintf(n_value, sizeof n_value, "%llu", (unsigned long long)found->n_value);
    snprintf(n_label, sizeof n_label, "%llu", (unsigned long long)found->n_label);
    const double share[] = {accuracy, found->low, found->high, chance};
    for (int i = 0; i < 4; i++)
        snprintf(shares[i], sizeof shares[i], "%.6f", share[i]);
    const char *const fields[] = {fact_names[f], rows,      values,    shares[0],
                                  shares[1],     shares[2], shares[3], found->clear ? "1" : "0",
                                  value,         label,     both,      n_value,
                                  n_label};
    int rc = out ? manifest_writer_row(out, NULL, fields, err) : 0;
    if (rc == 0 && found->clear) {
        rc = text_printf(&measure, err, "%s=%s accuracy=%s low=%s high=%s chance=%s", fact_names[f], value,
                         shares[0], shares[1], shares[2], shares[3]) ||
                     add_finding(a, CHECK_PREDICTS, (1 - accuracy) / (1 - chance), -1, "", label,
                                 measure.data, err)
                 ? -1
                 : 0;
        if (rc == 0 && !a->opt->common.quiet)
            stage_warn("%s alone predicts the label of %.1f%% (%.1f to %.1f) of the pictures; the largest "
                       "class is %.1f%%. %llu of %llu '%s' have %s '%.60s', and so have %llu of %llu others",
                       fact_names[f], 100 * accuracy, 100 * found->low, 100 * found->high, 100 * chance,
                       (unsigned long long)found->n_both, (unsigned long long)found->n_label, label,
                       fact_names[f], value, (unsigned long long)(found->n_value - found->n_both),
                       (unsigned long long)(found->n_rows - found->n_label));
    }
    text_release(&measure);
    return rc;
}

static int audit_facts(struct audit *a, struct manifest_writer *out, struct error *err)
{
    const struct audit_set *s = &a->set;
    const struct fact_rows rows = {.n = s->n_labelled,
                                   .label = s->label,
                                   .fold = s->fold,
                                   .n_labels = (uint32_t)s->labels.n};
    uint32_t *bin = s->n_labelled ? mem_alloc(s->n_labelled * sizeof *bin, err) : NULL;
    struct text value = TEXT_EMPTY;
    struct fact_bounds bounds;
    int rc = s->n_labelled && !bin ? -1 : 0;
    /* With a single class there is nothing to predict. */
    for (int f = 0; rc == 0 && bin && rows.n_labels >= 2 && f < N_FACTS; f++) {
        struct fact_found found;
        bool is_word = f < FACT_PIXELS;
        if (!s->has[f]) continue;
        uint32_t n_values = is_word ? (uint32_t)s->texts[f].n
                                    : fact_bins(bin, bounds.first, bounds.last, s->numbers[f], rows.n, err);
        rc = n_values == 0 ||
                     fact_measure(&found, &rows, is_word ? s->words[f] : bin, n_values,
                                  is_word ? s->texts[f].text : NULL, a->opt->least_gain, err) ||
                     value_text(&value, s, f, &bounds, found.value, err) ||
                     report_fact(a, f, &found, value.data ? value.data : "", out, err)
                 ? -1
                 : 0;
    }
    text_release(&value);
    free(bin);
    return rc;
}

/* --- the two readings --- */

static int read_set(struct audit *a, struct manifest_source *source, struct audit_columns *c,
                    struct error *err)
{
    struct manifest_reader in = MANIFEST_READER_EMPTY;
    struct progress progress = {0};
    int rc = -1, got = -1;
    if (manifest_source_read(source, &in, NULL, err) || audit_columns_find(c, &in, err)) goto out;
    progress_start(&progress, &a->opt->common, 0, "rows");
    while ((got = manifest_reader_next(&in, err)) > 0) {
        if (audit_set_add(&a->set, c, &in, err)) goto out;
        progress_update(&progress, in.row, NULL);
    }
    rc = got;
    if (rc == 0) rc = audit_set_finish(&a->set, err);
out:
    progress_end(&progress);
    manifest_reader_close(&in);
    return rc;
}

static int add_point(struct audit *a, const struct audit_columns *c, const struct manifest_reader *in,
                     struct error *err)
{
    const char *label = manifest_field(in, c->label);
    uint32_t number = UINT32_MAX;
    if (*label && names_find(&a->set.labels, label, &number, err)) return -1;
    return audit_map_add(&a->map, manifest_field(in, c->xxh128), in->fields[c->path], number, err);
}

static int find_pictures(struct audit *a, struct manifest_source *source, const struct audit_columns *c,
                         struct manifest_writer *scores, struct error *err)
{
    struct manifest_reader in = MANIFEST_READER_EMPTY;
    struct size_rule sizes = {0};
    int rc = -1, got = -1;
    if (a->set.n_rows) sizes = size_rule_from(a->set.size, a->set.n_rows);
    if (manifest_source_read(source, &in, NULL, err)) goto out;
    while ((got = manifest_reader_next(&in, err)) > 0) {
        struct picture_measures m;
        double score[N_CHECKS], threshold[N_CHECKS];
        char text[N_CHECKS][32], measure[96];
        const char *fields[2 + N_CHECKS] = {in.fields[c->path], manifest_field(&in, c->label)};
        if (audit_row_measures(&m, c, &in, err) || (a->opt->features && add_point(a, c, &in, err))) goto out;
        picture_check_scores(score, threshold, &m, sizes);
        for (int i = 0; i < N_CHECKS; i++) {
            if (score[i] < threshold[i] &&
                add_finding(a, i, score[i], threshold[i], fields[0], fields[1],
                            picture_check_measure(measure, sizeof measure, i, &m), err))
                goto out;
            fields[2 + i] = format_real(text[i], score[i]);
        }
        double soft = soft_edges_score(&m);
        snprintf(measure, sizeof measure, "edge_width=%g", m.edge_width);
        if (soft < SOFT_EDGES_THRESHOLD &&
            add_finding(a, CHECK_SOFT_EDGES, soft, SOFT_EDGES_THRESHOLD, fields[0], fields[1], measure, err))
            goto out;
        if (scores && manifest_writer_row(scores, NULL, fields, err)) goto out;
    }
    rc = got ? -1 : manifest_source_check(source, err);
out:
    manifest_reader_close(&in);
    return rc;
}

/* --- features --- */

static int report_cluster(struct audit *a, size_t c, struct error *err)
{
    const struct audit_cluster *at = &a->map.about[c];
    const char *const *labels = a->set.labels.text, *label = at->label == UINT32_MAX ? "" : labels[at->label];
    double accuracy = (double)at->n_right / at->n_asked;
    struct text measure = TEXT_EMPTY;
    int rc = text_printf(&measure, err,
                         "cluster=%zu rows=%u right=%u accuracy=%.4f low=%.4f high=%.4f overall=%.4f", c + 1,
                         at->n_asked, at->n_right, accuracy, at->low, at->high, a->map.accuracy);
    if (rc == 0 && at->n_confused)
        rc = text_printf(&measure, err, " most_often=%s>%s:%u", labels[at->given], labels[at->said],
                         at->n_confused);
    if (rc == 0)
        rc = add_finding(a, CHECK_WEAK_CLUSTER, accuracy / a->map.accuracy, -1, "", label, measure.data, err);
    text_release(&measure);
    if (rc == 0 && !a->opt->common.quiet)
        stage_warn(
            "the model is right about %.1f%% of the %u pictures of cluster %zu, most of them '%s', and about "
            "%.1f%% of all",
            100 * accuracy, at->n_asked, c + 1, label, 100 * a->map.accuracy);
    return rc;
}

static int audit_features(struct audit *a, struct error *err)
{
    const struct audit_options *o = a->opt;
    struct manifest_source source = MANIFEST_SOURCE_EMPTY;
    struct predictions p = PREDICTIONS_EMPTY;
    struct audit_map *m = &a->map;
    int rc = -1;
    if ((o->predictions && (manifest_source_open(&source, o->predictions, err) ||
                            predictions_read(&p, &source, &(struct predictions_options){0}, err))) ||
        audit_map_make(m, o->features, o->predictions ? &p : NULL, a->set.labels.text, a->set.labels.n,
                       (size_t)o->n_clusters, stage_threads(&o->common), err))
        goto out;
    if (m->n_left_out)
        stage_note(&o->common, "%zu rows have no features in '%s'", m->n_left_out, o->features);
    for (size_t i = 0; i < m->n; i++) {
        char measure[64];
        const struct audit_point *at = &m->points[i];
        snprintf(measure, sizeof measure, "distance=%.4f cluster=%u", m->distance[i], m->clusters.of[i] + 1);
        if (m->distance[i] > m->most_usual &&
            add_finding(a, CHECK_OFF_TOPIC, 1 - m->distance[i], 1 - m->most_usual, at->path,
                        at->label == UINT32_MAX ? "" : a->set.labels.text[at->label], measure, err))
            goto out;
    }
    for (size_t c = 0; c < m->clusters.n; c++)
        if (m->about[c].weak && report_cluster(a, c, err)) goto out;
    if (o->classified && (!(a->margin = mem_alloc((m->n + 1) * sizeof *a->margin, err)) ||
                          label_next_margins(m, o->classified, a->margin, err)))
        goto out;
    rc = label_next_order(m, a->margin, &a->next, &a->n_next, err);
out:
    predictions_release(&p);
    manifest_source_close(&source);
    return rc;
}

static void note_counts(const struct audit *a)
{
    struct text line = TEXT_EMPTY;
    struct error ignored = {0};
    for (int i = 0; i < N_ALL_CHECKS; i++)
        if (a->n_of[i])
            text_printf(&line, &ignored, "%s%s %llu", line.n_bytes ? ", " : "", audit_check_name(i),
                        (unsigned long long)a->n_of[i]);
    stage_note(&a->opt->common, "%s", line.data ? line.data : "nothing found");
    text_release(&line);
}

int audit_run(const struct audit_options *opt, const char *manifest, struct stage_counts *n,
              struct error *err)
{
    static const char *const fact_columns[] = {"fact",      "rows",       "values",     "accuracy", "low",
                                               "high",      "chance",     "clear",      "value",    "label",
                                               "rows_both", "rows_value", "rows_label", NULL};
    const char *score_columns[] = {"path", "label", NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL};
    struct audit a = {.opt = opt};
    struct manifest_source source = MANIFEST_SOURCE_EMPTY;
    struct manifest_writer scores = MANIFEST_WRITER_EMPTY, facts = MANIFEST_WRITER_EMPTY;
    struct audit_columns columns = {0};
    int rc = -1;
    if (!opt->features && (opt->map || opt->predictions || opt->next || opt->classified))
        return error_set(err, EX_USAGE, "--%s needs --features, a folder that embed --reduce wrote",
                         opt->map           ? "map"
                         : opt->predictions ? "predictions"
                         : opt->next        ? "next"
                                            : "classified");
    for (int i = 0; i < N_CHECKS; i++)
        score_columns[2 + i] = picture_check_names[i];
    if (manifest_source_open(&source, manifest, err) || read_set(&a, &source, &columns, err) ||
        (opt->facts && manifest_writer_open(&facts, opt->facts, NULL, fact_columns, err)) ||
        (opt->scores && manifest_writer_open(&scores, opt->scores, NULL, score_columns, err)) ||
        find_pictures(&a, &source, &columns, opt->scores ? &scores : NULL, err) || audit_classes(&a, err) ||
        audit_facts(&a, opt->facts ? &facts : NULL, err) || (opt->features && audit_features(&a, err)))
        goto out;
    if (a.n) qsort(a.findings, a.n, sizeof *a.findings, by_check);
    /* The file for which make waits comes last. */
    if ((opt->sheet &&
         audit_page_write(opt->sheet, opt->common.root, a.findings, a.n, opt->features ? &a.map : NULL,
                          a.next, a.n_next, a.set.labels.text, a.set.labels.n, err)) ||
        (opt->next && label_next_write(&a.map, a.margin, a.next, a.n_next, opt->next, err)) ||
        (opt->map && audit_map_write(&a.map, opt->map, a.set.labels.text, err)) ||
        (opt->facts && manifest_writer_commit(&facts, err)) ||
        (opt->scores && manifest_writer_commit(&scores, err)) || write_findings(&a, err))
        goto out;
    n->n_read = n->n_kept = a.set.n_rows;
    note_counts(&a);
    rc = 0;
out:
    manifest_writer_discard(&facts);
    manifest_writer_discard(&scores);
    manifest_source_close(&source);
    audit_set_release(&a.set);
    audit_map_release(&a.map);
    free(a.next);
    free(a.margin);
    free(a.findings);
    arena_release(&a.arena);
    return rc;
}
