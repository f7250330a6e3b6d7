/* accuracy.c: measures the accuracy of the model before and after the conversion, on the same test set. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "export.h"
#include "base/number.h"
#include "metric/interval.h"
#include "model/predictor.h"
#include "shard/shard.h"

struct scores {
    float *p;
    int *label;
    uint64_t n, right;
    int n_classes;
};

/* The classes of a shard set are sorted by name; those of the model have their own order. */
static int map_classes(const struct shard_set_info *info, const struct predictor *p, int **out,
                       struct error *err)
{
    const struct net_metadata *m = &predictor_net(p)->metadata;
    int *map = mem_zalloc((size_t)info->n_classes, sizeof *map, err);
    if (!map) return -1;
    for (int i = 0; i < info->n_classes; i++) {
        int k = 0;
        while (k < m->n_classes && strcmp(m->classes[k], info->classes[i]) != 0)
            k++;
        if (k == m->n_classes) {
            free(map);
            return error_set(err, EX_DATAERR, "the shard set has a class '%s' that the model does not know",
                             info->classes[i]);
        }
        map[i] = k;
    }
    *out = map;
    return 0;
}

static int argmax(const float *p, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        best = p[i] > p[best] ? i : best;
    return best;
}

static int run_batch(struct predictor *p, const uint8_t *pixels, int n, struct scores *s, struct error *err)
{
    if (n == 0) return 0;
    float *to = s->p + s->n * (uint64_t)s->n_classes;
    if (predictor_run(p, pixels, n, to, err)) return -1;
    for (int i = 0; i < n; i++)
        s->right += argmax(to + i * s->n_classes, s->n_classes) == s->label[s->n + (uint64_t)i];
    s->n += (uint64_t)n;
    return 0;
}

static int score(struct export *x, struct shard_set *set, const char *model, struct scores *s,
                 struct error *err)
{
    const struct shard_set_info *info = shard_set_info(set);
    struct predictor_options po = {.device = x->opt->device,
                                   .threads = stage_threads(&x->opt->common),
                                   .batch = (int)x->opt->batch};
    struct predictor *p = NULL;
    size_t image_bytes = (size_t)info->side_px * (size_t)info->side_px * 3;
    uint8_t *pixels = NULL, *scratch = NULL;
    int *map = NULL, filled = 0, rc = -1;
    struct progress progress;
    if (model == x->opt->model) po.scoring = x->opt->scoring;
    if (predictor_open(&p, model, &po, err)) return -1;
    if (predictor_side_px(p) != info->side_px) {
        error_set(err, EX_DATAERR,
                  "the shard set has pictures of %d pixels, the model needs %d: pack them again with --size "
                  "%d",
                  info->side_px, predictor_side_px(p), predictor_side_px(p));
        goto out;
    }
    s->n_classes = predictor_n_classes(p);
    s->p = mem_zalloc(info->n_records + 1, (size_t)s->n_classes * sizeof *s->p, err);
    s->label = mem_zalloc(info->n_records + 1, sizeof *s->label, err);
    pixels = mem_alloc(image_bytes * (size_t)predictor_batch(p), err);
    scratch = mem_alloc(image_bytes + 64, err);
    if (!s->p || !s->label || !pixels || !scratch || map_classes(info, p, &map, err)) goto out;
    progress_start(&progress, &x->opt->common, 0, "pictures");
    for (uint64_t i = 0; i < info->n_records; i++) {
        struct shard_record r;
        if (shard_set_describe(set, i, &r, err)) goto out;
        if ((int)r.split != x->opt->split || r.variant != 0) continue;
        if (shard_set_read(set, i, scratch, &r, err)) goto out;
        memcpy(pixels + (size_t)filled * image_bytes, r.pixels, image_bytes);
        s->label[s->n + (uint64_t)filled] = map[r.label];
        if (++filled == predictor_batch(p)) {
            if (run_batch(p, pixels, filled, s, err)) goto out;
            filled = 0;
        }
        progress_update(&progress, s->n, NULL);
    }
    rc = run_batch(p, pixels, filled, s, err);
    progress_end(&progress);
out:
    free(map);
    free(pixels);
    free(scratch);
    predictor_close(p);
    return rc;
}

static int put(struct export *x, const char *metric, double value, const struct interval *ci, uint64_t n,
               struct error *err)
{
    char a[32], b[32], c[32];
    if (!ci)
        return text_printf(&x->accuracy, err, "%s\t%s\t\t\t%llu\n", metric, format_f32(a, (float)value),
                           (unsigned long long)n);
    return text_printf(&x->accuracy, err, "%s\t%s\t%s\t%s\t%llu\n", metric, format_f32(a, (float)value),
                       format_f32(b, (float)ci->low), format_f32(c, (float)ci->high), (unsigned long long)n);
}

int export_count(struct export *x, struct error *err)
{
    struct shard_set *set = NULL;
    struct shard_record r;
    uint64_t(*counts)[SHARD_SPLITS + 1] = NULL, *c;
    int rc = -1;
    if (shard_set_open(&set, x->opt->shards, err)) return -1;
    const struct shard_set_info *info = shard_set_info(set);
    if (!(counts = mem_zalloc((size_t)info->n_classes, sizeof *counts, err))) goto out;
    for (uint64_t i = 0; i < info->n_records; i++) {
        if (shard_set_describe(set, i, &r, err)) goto out;
        counts[r.label][r.variant ? SHARD_SPLITS : (int)r.split]++;
    }
    if (text_printf(&x->counts, err,
                    "Set `%s`, %llu records, %d pixels, resized by %s:\n\n"
                    "| class | train | val | test | made by augmentation |\n| --- | --- | --- | --- | --- "
                    "|\n",
                    info->data_hash, (unsigned long long)info->n_records, info->side_px, info->resize))
        goto out;
    for (int k = 0; k < info->n_classes; k++) {
        c = counts[k];
        if (text_puts(&x->counts, "| ", err) || export_plain(&x->counts, info->classes[k], err) ||
            text_printf(&x->counts, err, " | %llu | %llu | %llu | %llu |\n",
                        (unsigned long long)c[SHARD_TRAIN], (unsigned long long)c[SHARD_VAL],
                        (unsigned long long)c[SHARD_TEST], (unsigned long long)c[SHARD_SPLITS]))
            goto out;
    }
    rc = 0;
out:
    free(counts);
    shard_set_close(set);
    return rc;
}

int export_accuracy(struct export *x, const char *before, const char *after, struct error *err)
{
    struct shard_set *set = NULL;
    struct scores s[2] = {{0}};
    const char *models[2] = {before, after}, *names[2] = {"accuracy_before", "accuracy_after"};
    int rc = -1;
    if (shard_set_open(&set, x->opt->shards, err) ||
        text_puts(&x->accuracy, "metric\tvalue\tci_low\tci_high\tn\n", err))
        goto out;
    for (int i = 0; i < 2 && models[i]; i++) {
        if (score(x, set, models[i], &s[i], err)) goto out;
        struct interval ci = interval_wilson(s[i].right, s[i].n, INTERVAL_Z95);
        if (s[i].n == 0) {
            error_set(err, EX_DATAERR, "'%s' has no pictures in the split '%s'", x->opt->shards,
                      shard_split_name((enum shard_split)x->opt->split));
            goto out;
        }
        if (put(x, names[i], (double)s[i].right / (double)s[i].n, &ci, s[i].n, err)) goto out;
    }
    if (after) {
        uint64_t changed = 0;
        double most = 0, sum = 0;
        for (uint64_t r = 0; r < s[0].n; r++) {
            const float *a = s[0].p + r * (uint64_t)s[0].n_classes,
                        *b = s[1].p + r * (uint64_t)s[1].n_classes;
            changed += argmax(a, s[0].n_classes) != argmax(b, s[1].n_classes);
            for (int k = 0; k < s[0].n_classes; k++) {
                double change = fabs((double)a[k] - (double)b[k]);
                most = fmax(most, change);
                sum += change;
            }
        }
        if (put(x, "changed_class", (double)changed, NULL, s[0].n, err) ||
            put(x, "largest_probability_change", most, NULL, s[0].n, err) ||
            (x->opt->precision == EXPORT_INT8 &&
             put(x, "mean_probability_change", sum / ((double)s[0].n * s[0].n_classes), NULL, s[0].n, err)))
            goto out;
    }
    rc = 0;
out:
    for (int i = 0; i < 2; i++) {
        free(s[i].p);
        free(s[i].label);
    }
    shard_set_close(set);
    return rc;
}
