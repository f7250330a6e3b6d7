/* outputs.c: writes the results of a run: log.tsv, TensorBoard scalars, the model folder, oof.tsv,
 * margins.tsv, exported features. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/number.h"
#include "manifest/manifest.h"
#include "train.h"
#include "vector/vector_folder.h"

/* --- log.tsv --- */

static const char log_header[] = "epoch\tstep\tlr\ttrain_loss\ttrain_accuracy\tval_loss\tval_accuracy\tval_"
                                 "balanced_accuracy\tbest\tbn_statistics\timages_per_s\twaited\tseconds\n";

/* NaN becomes an empty field, which means absent in every TSV here. */
static const char *number(char *out, size_t bytes, double value, int digits)
{
    if (isnan(value))
        out[0] = 0;
    else
        snprintf(out, bytes, "%.*g", digits, value);
    return out;
}

int outputs_log_row(struct train_run *run, const struct trainer_epoch *e, struct error *err)
{
    char n[6][32];
    if (text_printf(&run->log, err, "%d\t%llu\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.1f\t%.4f\t%.2f\n", e->epoch,
                    (unsigned long long)e->step, number(n[0], 32, e->rate, 9),
                    number(n[1], 32, e->train_loss, 9), number(n[2], 32, e->train_accuracy, 9),
                    number(n[3], 32, e->val.loss, 9), number(n[4], 32, e->val.accuracy, 9),
                    number(n[5], 32, e->val.balanced_accuracy, 9), e->best ? "1" : "",
                    !e->batch_norm ? "frozen"
                    : e->refreshed ? "anew"
                                   : "moving",
                    e->images_per_s, e->waited_share, e->seconds))
        return -1;
    return outputs_log_write(run, err);
}

int outputs_log_write(const struct train_run *run, struct error *err)
{
    struct atomic_file f = ATOMIC_FILE_EMPTY;
    if (atomic_file_open(&f, run->path_log.data, err)) return -1;
    fputs(log_header, f.stream);
    if (run->log.n_bytes) fwrite(run->log.data, 1, run->log.n_bytes, f.stream);
    int rc = atomic_file_commit(&f, err);
    atomic_file_discard(&f);
    return rc;
}

int outputs_events(struct train_run *run, const struct trainer_epoch *e, struct error *err)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    double wall = (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
    const struct {
        const char *tag;
        double value;
    } scalars[] = {
        {"loss/train", e->train_loss},
        {"loss/validation", e->val.loss},
        {"accuracy/train", e->train_accuracy},
        {"accuracy/validation", e->val.accuracy},
        {"balanced_accuracy/validation", e->val.balanced_accuracy},
        {"learning_rate", e->rate},
        {"images_per_second", e->epoch ? e->images_per_s : NAN},
    };
    for (size_t i = 0; i < sizeof scalars / sizeof scalars[0]; i++)
        if (!isnan(scalars[i].value) &&
            event_file_scalar(&run->events, scalars[i].tag, e->epoch, wall, (float)scalars[i].value, err))
            return -1;
    run->event_bytes = run->events.n_bytes;
    return 0;
}

/* --- the model --- */

static int json_string(struct text *out, const char *s, size_t n, struct error *err)
{
    if (text_puts(out, "\"", err)) return -1;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\' ? text_printf(out, err, "\\%c", c)
            : c < 0x20            ? text_printf(out, err, "\\u%04x", c)
                                  : text_add(out, &c, 1, err))
            return -1;
    }
    return text_puts(out, "\"", err);
}

static int json_number(struct text *out, const char *key, double value, const char *after, struct error *err)
{
    if (isnan(value)) return text_printf(out, err, "\"%s\":null%s", key, after);
    return text_printf(out, err, "\"%s\":%.9g%s", key, value, after);
}

/* Writes {"train":{"phase":"head",...},"metrics":{...}}: the lines of the plan, and the
 * validation of the epoch that was kept. */
static int extra_json(const struct train_run *run, const struct trainer *t, struct text *out,
                      struct error *err)
{
    if (text_puts(out, "{\"train\":{", err)) return -1;
    for (const char *line = run->plan.data; *line;) {
        size_t n = strcspn(line, "\n"), key = strcspn(line, "\t");
        if ((line != run->plan.data && text_puts(out, ",", err)) || json_string(out, line, key, err) ||
            text_puts(out, ":", err) || json_string(out, line + key + 1, n - key - 1, err))
            return -1;
        line += n + (line[n] != 0);
    }
    return text_printf(out, err, "},\"metrics\":{\"epoch\":%d,\"epochs\":%d,", t->best_epoch,
                       t->epochs_done) ||
                   json_number(out, "val_loss", t->n_val ? t->best.loss : NAN, ",", err) ||
                   json_number(out, "val_accuracy", t->n_val ? t->best.accuracy : NAN, ",", err) ||
                   json_number(out, "val_balanced_accuracy", t->n_val ? t->best.balanced_accuracy : NAN, "}}",
                               err)
               ? -1
               : 0;
}

int outputs_model(struct train_run *run, const struct trainer *t, struct error *err)
{
    struct text extra = TEXT_EMPTY;
    struct net_metadata *m = &run->net.metadata;
    struct shard_made made;
    int rc = -1;
    if (extra_json(run, t, &extra, err)) goto out;
    free(m->extra_json);
    m->extra_json = extra.data;
    extra = TEXT_EMPTY;
    snprintf(m->resize, sizeof m->resize, "%s", run->data.info->resize);
    shard_made_read(&made, run->data.info);
    bool usual = strcmp(made.orientation, "browser") == 0;
    snprintf(m->color, sizeof m->color, "%s", made.srgb ? "srgb" : "");
    snprintf(m->orientation, sizeof m->orientation, "%s", usual ? "" : made.orientation);
    m->frame = made.frame;
    snprintf(m->background, sizeof m->background, "%s", run->data.info->background);
    m->temperature = 1; /* a base's temperature was fitted to other weights */
    rc = net_hash(&run->net, m->model_id, err) || net_write_tfjs(&run->net, run->path_model.data, err) ? -1
                                                                                                       : 0;
out:
    text_release(&extra);
    return rc;
}

/* --- predictions and margins --- */

static int begin_manifest(struct manifest_writer *w, const char *path, const char *const *columns, size_t n,
                          struct error *err)
{
    const struct manifest_schema schema = {.names = (char **)(uintptr_t)columns, .n = n};
    return manifest_writer_open(w, path, &schema, NULL, err);
}

int outputs_oof(const struct train_run *run, struct error *err)
{
    const struct shard_set_info *info = run->data.info;
    size_t n_classes = (size_t)info->n_classes, n_columns = n_classes + 6;
    struct manifest_writer w = MANIFEST_WRITER_EMPTY;
    struct text names = TEXT_EMPTY;
    char fold[16];
    const char **columns = mem_zalloc(n_columns, sizeof *columns, err),
               **fields = mem_zalloc(n_columns, sizeof *fields, err);
    char(*numbers)[32] = mem_zalloc(n_classes, sizeof *numbers, err);
    int rc = -1;
    if (!columns || !fields || !numbers) goto out;
    /* The names are written to one block. Pointers into it are set when the block is complete and no longer
     * moves. */
    for (size_t c = 0; c < n_classes; c++)
        if (text_printf(&names, err, "p_%s", info->classes[c]) || text_add(&names, "", 1, err)) goto out;
    const char *at = names.data;
    static const char *const first[] = {"path", "id", "label", "pred"};
    memcpy(columns, first, sizeof first);
    for (size_t c = 0; c < n_classes; c++, at += strlen(at) + 1)
        columns[4 + c] = at;
    columns[4 + n_classes] = "fold";
    columns[5 + n_classes] = "split";
    if (begin_manifest(&w, run->path_oof.data, columns, n_columns, err)) goto out;
    for (size_t i = 0; i < run->n_fold_rows; i++) {
        uint32_t row = run->fold_rows[i];
        const float *p = run->oof + row * n_classes;
        struct shard_record r;
        size_t best = 0;
        if (run->data.variants[row])
            continue; /* the file has one row for each picture; variants are only for learning */
        if (shard_set_describe(run->data.shards, row, &r, err)) goto out;
        for (size_t c = 0; c < n_classes; c++) {
            best = p[c] > p[best] ? c : best;
            fields[4 + c] = format_f32(numbers[c], p[c]);
        }
        snprintf(fold, sizeof fold, "%d", run->folds[row]);
        fields[0] = r.path;
        fields[1] = r.xxh128;
        fields[2] = info->classes[r.label];
        fields[3] = info->classes[best];
        fields[4 + n_classes] = fold;
        fields[5 + n_classes] = shard_split_name(r.split);
        if (manifest_writer_row(&w, fields, NULL, err)) goto out;
    }
    rc = manifest_writer_commit(&w, err);
out:
    manifest_writer_discard(&w);
    text_release(&names);
    free(columns);
    free(fields);
    free(numbers);
    return rc;
}

/*
 * aum is the mean over epochs of z_label - the largest other z in the training steps, with dropout. A low or
 * negative value means that the other pictures contradict the label. A picture with variants gets the mean
 * over them.
 */
int outputs_margins(const struct train_run *run, const uint32_t *rows, size_t n, int epochs,
                    struct error *err)
{
    static const char *const columns[] = {"path", "id", "label", "aum"};
    const struct dataset *d = &run->data;
    struct manifest_writer w = MANIFEST_WRITER_EMPTY;
    char text[32];
    int rc = -1;
    uint32_t *image = mem_zalloc(d->n_rows, sizeof *image, err);
    struct {
        double sum;
        uint32_t n;
    } *of = mem_zalloc(d->n_rows, sizeof *of, err);
    if (!image || !of || train_images(run, rows, n, image, err) ||
        begin_manifest(&w, run->path_margins.data, columns, 4, err))
        goto out;
    for (size_t i = 0; i < n; i++) {
        of[image[rows[i]]].sum += run->margins[rows[i]];
        of[image[rows[i]]].n++;
    }
    for (size_t i = 0; i < n; i++) {
        struct shard_record r;
        if (d->variants[rows[i]]) continue; /* the row of variant 0 has the mean */
        if (shard_set_describe(d->shards, rows[i], &r, err)) goto out;
        const char *fields[] = {r.path, r.xxh128, d->info->classes[r.label],
                                format_f32(text,
                                           (float)(epochs ? of[rows[i]].sum / of[rows[i]].n / epochs : 0))};
        if (manifest_writer_row(&w, fields, NULL, err)) goto out;
    }
    rc = manifest_writer_commit(&w, err);
out:
    manifest_writer_discard(&w);
    free(image);
    free(of);
    return rc;
}

/* --- features for other tools --- */

/* features.npy: float32 [rows][values] in NumPy's format 1.0. rows.tsv says what each row is. */
static int write_npy(const char *path, const struct dataset *d, const struct frozen_boundary *f,
                     const struct activation_cache *cache, struct error *err)
{
    struct atomic_file file = ATOMIC_FILE_EMPTY;
    int rc = -1;
    float *row = mem_zalloc(f->total, sizeof *row, err);
    if (!row || atomic_file_open(&file, path, err)) goto out;
    if (npy_write_head(file.stream, "<f4", d->n_rows, f->total, err)) goto out;
    for (size_t i = 0; i < d->n_rows; i++) {
        int64_t at = activation_cache_find(cache, &d->keys[i]);
        if (at >= 0)
            activation_cache_get(cache, at, row);
        else
            /* Variants of validation and test pictures belong to no split. */
            memset(row, 0, f->total * sizeof *row);
        fwrite(row, sizeof *row, f->total, file.stream);
    }
    rc = atomic_file_commit(&file, err);
out:
    atomic_file_discard(&file);
    free(row);
    return rc;
}

int outputs_features(struct train_run *run, const struct frozen_boundary *f,
                     const struct activation_cache *cache, struct error *err)
{
    static const char *const columns[] = {"path", "id", "label", "split", "variant", "group"};
    const struct dataset *d = &run->data;
    struct manifest_writer w = MANIFEST_WRITER_EMPTY;
    struct text path = TEXT_EMPTY;
    char variant[16];
    int rc = -1;
    if (io_mkdirs(run->options->export_features, err) ||
        text_printf(&path, err, "%s/features.npy", run->options->export_features) ||
        write_npy(path.data, d, f, cache, err))
        goto out;
    text_clear(&path);
    if (text_printf(&path, err, "%s/rows.tsv", run->options->export_features) ||
        begin_manifest(&w, path.data, columns, 6, err))
        goto out;
    for (size_t i = 0; i < d->n_rows; i++) {
        struct shard_record r;
        if (shard_set_describe(d->shards, i, &r, err)) goto out;
        snprintf(variant, sizeof variant, "%d", r.variant);
        const char *fields[] = {r.path,  r.xxh128, d->info->classes[r.label], shard_split_name(r.split),
                                variant, r.group};
        if (manifest_writer_row(&w, fields, NULL, err)) goto out;
    }
    rc = manifest_writer_commit(&w, err);
out:
    manifest_writer_discard(&w);
    text_release(&path);
    return rc;
}
