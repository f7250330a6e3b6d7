/*
 * predict.c: runs a model over a shard set, or over the pictures of a manifest, and writes predictions.tsv
 * in the order of the source: path id label pred p_<class>..., and split, fold and group if the source has
 * them.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "eval.h"
#include "image/image_loader.h"
#include "model/predictor.h"
#include "net/net.h"
#include "predict_memory.h"
#include "shard/shard.h"

/* largest number of rows that wait to be written: known rows and one batch of others */
#define MOST_ROWS 1024

struct out_row {
    const char *path, *id, *label, *split, *fold, *group;
    uint64_t checksum; /* checksum of the record; 0 for a picture of a manifest */
};

struct sink {
    struct predictor *predictor;
    const struct net *net;
    /* [n_classes], from net_class_name */
    char **classes;
    struct manifest_writer writer;
    int n_classes, batch, n_waiting, n_rows;
    size_t image_bytes;
    uint8_t *pixels;      /* [batch][side][side][3], n_waiting of them */
    float *computed;      /* [batch][n_classes] */
    int *row_of;          /* [batch]: the row of each picture that waits */
    float *probabilities; /* [MOST_ROWS][n_classes] */
    struct out_row *rows; /* [MOST_ROWS], text in arena */
    struct predict_memory memory;
    struct arena arena;
    uint64_t n_done, n_rejected;
    struct progress progress;
};

/* Computes the waiting pictures. */
static int sink_compute(struct sink *s, struct error *err)
{
    size_t n = (size_t)s->n_classes;
    if (s->n_waiting == 0) return 0;
    if (predictor_run(s->predictor, s->pixels, s->n_waiting, s->computed, err)) return -1;
    for (int i = 0; i < s->n_waiting; i++) {
        const struct out_row *row = &s->rows[s->row_of[i]];
        const float *p = s->computed + (size_t)i * n;
        memcpy(s->probabilities + (size_t)s->row_of[i] * n, p, n * sizeof *p);
        for (size_t k = 0; k < n; k++)
            if (isnan(p[k])) return error_set(err, EX_DATAERR, "the model gives NaN for '%s'", row->path);
        if (predict_memory_add(&s->memory, row->id, row->checksum, p, err)) return -1;
    }
    s->n_waiting = 0;
    return 0;
}

static int sink_flush(struct sink *s, struct error *err)
{
    if (sink_compute(s, err)) return -1;
    for (int i = 0; i < s->n_rows; i++) {
        const float *p = s->probabilities + (size_t)i * (size_t)s->n_classes;
        const char *cells[PREDICTIONS_MAX_CLASSES + 8];
        char text[PREDICTIONS_MAX_CLASSES][20];
        int best = 0, at = 0;
        for (int k = 0; k < s->n_classes; k++) {
            if (p[k] > p[best]) best = k;
            snprintf(text[k], sizeof text[k], "%.9g", (double)p[k]);
        }
        cells[at++] = s->rows[i].path;
        cells[at++] = s->rows[i].id;
        cells[at++] = s->rows[i].label;
        cells[at++] = s->classes[best];
        for (int k = 0; k < s->n_classes; k++)
            cells[at++] = text[k];
        cells[at++] = s->rows[i].split;
        cells[at++] = s->rows[i].fold;
        cells[at++] = s->rows[i].group;
        if (manifest_writer_row(&s->writer, NULL, cells, err)) return -1;
    }
    s->n_done += (uint64_t)s->n_rows;
    progress_update(&s->progress, s->n_done + s->n_rejected, NULL);
    s->n_rows = 0;
    arena_reset(&s->arena);
    return 0;
}

/* Adds a row. pixels NULL: the row's probabilities are already in place. */
static int sink_add(struct sink *s, const uint8_t *pixels, const struct out_row *row, struct error *err)
{
    struct out_row *to = &s->rows[s->n_rows];
    to->checksum = row->checksum;
    if (!(to->path = arena_strdup(&s->arena, row->path, err)) ||
        !(to->id = arena_strdup(&s->arena, row->id, err)) ||
        !(to->label = arena_strdup(&s->arena, row->label, err)) ||
        !(to->split = arena_strdup(&s->arena, row->split, err)) ||
        !(to->fold = arena_strdup(&s->arena, row->fold, err)) ||
        !(to->group = arena_strdup(&s->arena, row->group, err)))
        return -1;
    if (pixels) {
        memcpy(s->pixels + (size_t)s->n_waiting * s->image_bytes, pixels, s->image_bytes);
        s->row_of[s->n_waiting++] = s->n_rows;
    }
    return ++s->n_rows == MOST_ROWS || s->n_waiting == s->batch ? sink_flush(s, err) : 0;
}

static int class_of(const struct sink *s, const char *label)
{
    for (int k = 0; k < s->n_classes; k++)
        if (strcmp(s->classes[k], label) == 0) return k;
    return -1;
}

static int sink_open(struct sink *s, const struct eval_options *o, const char *path, struct error *err)
{
    struct text remarks = TEXT_EMPTY;
    struct predictor_options po = {.device = o->device,
                                   .threads = stage_threads(&o->common),
                                   .batch = (int)o->batch,
                                   .precision = o->precision,
                                   .scoring = o->scoring,
                                   .remarks = &remarks};
    const char **columns = NULL;
    struct text *names = NULL;
    int rc = -1, at = 0;
    rc = predictor_open(&s->predictor, o->model, &po, err);
    if (!rc && !o->common.quiet) stage_warn_lines(remarks.data);
    text_release(&remarks);
    if (rc) return -1;
    rc = -1;
    s->net = predictor_net(s->predictor);
    s->n_classes = predictor_n_classes(s->predictor);
    s->batch = predictor_batch(s->predictor);
    s->image_bytes = (size_t)predictor_side_px(s->predictor) * (size_t)predictor_side_px(s->predictor) * 3;
    if (s->net->metadata.n_classes && s->net->metadata.n_classes != s->n_classes)
        return error_set(err, EX_DATAERR, "'%s' names %d classes and has %d outputs", o->model,
                         s->net->metadata.n_classes, s->n_classes);
    if (s->n_classes > PREDICTIONS_MAX_CLASSES)
        return error_set(err, EX_DATAERR, "'%s' has %d classes; the limit is %d", o->model, s->n_classes,
                         PREDICTIONS_MAX_CLASSES);
    if (!(s->pixels = mem_zalloc((size_t)s->batch, s->image_bytes, err)) ||
        !(s->computed = mem_zalloc((size_t)s->batch * (size_t)s->n_classes, sizeof(float), err)) ||
        !(s->row_of = mem_zalloc((size_t)s->batch, sizeof *s->row_of, err)) ||
        !(s->probabilities = mem_zalloc(MOST_ROWS * (size_t)s->n_classes, sizeof(float), err)) ||
        !(s->rows = mem_zalloc(MOST_ROWS, sizeof *s->rows, err)) ||
        !(columns = mem_zalloc((size_t)s->n_classes + 8, sizeof *columns, err)) ||
        !(names = mem_zalloc((size_t)s->n_classes, sizeof *names, err)) ||
        !(s->classes = mem_zalloc((size_t)s->n_classes, sizeof *s->classes, err)))
        goto out;
    for (int k = 0; k < s->n_classes; k++) {
        char plain[32];
        if (!(s->classes[k] = mem_strdup(net_class_name(&s->net->metadata, k, plain), err))) goto out;
    }
    columns[at++] = "path";
    columns[at++] = "id";
    columns[at++] = "label";
    columns[at++] = "pred";
    for (int k = 0; k < s->n_classes; k++) {
        if (text_printf(&names[k], err, "p_%s", s->classes[k])) goto out;
        columns[at++] = names[k].data;
    }
    columns[at++] = "split";
    columns[at++] = "fold";
    columns[at++] = "group";
    rc = manifest_writer_open(&s->writer, path, NULL, columns, err);
out:
    for (int k = 0; names && k < s->n_classes; k++)
        text_release(&names[k]);
    free(names);
    free(columns);
    return rc;
}

static void sink_close(struct sink *s)
{
    for (int k = 0; s->classes && k < s->n_classes; k++)
        free(s->classes[k]);
    free(s->classes);
    predictor_close(s->predictor);
    manifest_writer_discard(&s->writer);
    predict_memory_close(&s->memory);
    free(s->pixels);
    free(s->computed);
    free(s->row_of);
    free(s->probabilities);
    free(s->rows);
    arena_release(&s->arena);
}

static int predict_shards(struct sink *s, const struct eval_options *o, struct error *err)
{
    struct shard_set *set = NULL;
    const struct shard_set_info *info;
    uint8_t *scratch = NULL;
    int rc = -1;
    if (shard_set_open(&set, o->shards, err)) return -1;
    info = shard_set_info(set);
    if (info->side_px != predictor_side_px(s->predictor)) {
        error_set(err, EX_DATAERR,
                  "'%s' holds pictures of %d pixels a side, the model needs %d: pack them again with --size "
                  "%d",
                  o->shards, info->side_px, predictor_side_px(s->predictor), predictor_side_px(s->predictor));
        goto out;
    }
    for (int k = 0; k < info->n_classes; k++)
        if (class_of(s, info->classes[k]) < 0) {
            char known[300];
            error_set(err, EX_DATAERR, "'%s': the label '%s' is unknown to the model, which has %s",
                      o->shards, info->classes[k],
                      text_names_for_people(known, sizeof known, (const char *const *)s->classes,
                                            (size_t)s->n_classes));
            goto out;
        }
    if (!(scratch = mem_alloc(s->image_bytes + 64, err))) /* as shard_set_read wants it */
        goto out;
    progress_start(&s->progress, &o->common, info->n_records, "pictures");
    for (uint64_t i = 0; i < info->n_records; i++) {
        struct shard_record r;
        char fold[16] = "";
        if (shard_set_describe(set, i, &r, err)) goto out;
        if (r.variant != 0 ||
            (strcmp(o->split, "all") != 0 && strcmp(o->split, shard_split_name(r.split)) != 0))
            continue;
        float *p = s->probabilities + (size_t)s->n_rows * (size_t)s->n_classes;
        bool known = predict_memory_find(&s->memory, &r, p);
        if (!known && shard_set_read(set, i, scratch, &r, err)) goto out;
        if (r.fold >= 0) snprintf(fold, sizeof fold, "%d", r.fold);
        struct out_row row = {r.path,  r.xxh128,  info->classes[r.label], shard_split_name(r.split), fold,
                              r.group, r.checksum};
        if (sink_add(s, known ? NULL : r.pixels, &row, err)) goto out;
    }
    rc = sink_flush(s, err);
out:
    shard_set_close(set);
    free(scratch);
    return rc;
}

/* Takes one picture from the loader and adds its row. The token has the other data of the row. */
static int take_one(struct sink *s, struct image_loader *loader, const struct eval_options *o,
                    struct error *err)
{
    struct loaded_image image;
    struct out_row *row;
    int got = image_loader_take(loader, &image, err), rc = 0;
    if (got == 0) return 0;
    row = image.token;
    if (got < 0) {
        rc = -1;
    } else if (!image.pixels) {
        stage_note(&o->common, "'%s' left out: %s", row->path, image.reason);
        s->n_rejected++;
    } else {
        row->id = image.xxh128;
        rc = sink_add(s, image.pixels, row, err);
    }
    free(row);
    return rc < 0 ? -1 : 1;
}

/* Copies the row and its text into one block. */
static struct out_row *row_copy(const struct out_row *r, struct error *err)
{
    const char *fields[] = {r->path, r->label, r->split, r->fold, r->group};
    size_t bytes = sizeof *r;
    for (size_t i = 0; i < 5; i++)
        bytes += strlen(fields[i]) + 1;
    struct out_row *copy = mem_alloc(bytes, err);
    if (!copy) return NULL;
    char *at = (char *)(copy + 1);
    const char *copies[5];
    for (size_t i = 0; i < 5; i++) {
        copies[i] = at;
        at = stpcpy(at, fields[i]) + 1;
    }
    *copy = (struct out_row){copies[0], "", copies[1], copies[2], copies[3], copies[4], 0};
    return copy;
}

static int predict_manifest(struct sink *s, const struct eval_options *o, struct error *err)
{
    static const char *const required[] = {"path", "label", NULL};
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    struct image_loader *loader = NULL;
    struct image_loader_options lo = {.side_px = predictor_side_px(s->predictor),
                                      .rules = scoring_picture_rules(&s->net->metadata),
                                      .threads = stage_threads(&o->common)};
    struct text path = TEXT_EMPTY;
    char shown[256], what[256];
    int rc = -1, got, c_path, c_label, c_split, c_fold, c_group, c_variant;
    const char *resize = s->net->metadata.resize;
    if (resize_rule_parse(resize, &lo.resize, err) || manifest_reader_open(&r, o->shards, required, err) ||
        image_loader_open(&loader, &lo, err))
        goto out;
    c_path = manifest_column(&r.schema, "path");
    c_label = manifest_column(&r.schema, "label");
    c_split = manifest_column(&r.schema, "split");
    c_fold = manifest_column(&r.schema, "fold");
    c_group = manifest_column(&r.schema, "group");
    c_variant = manifest_column(&r.schema, "variant");
    progress_start(&s->progress, &o->common, 0, "pictures");
    while ((got = manifest_reader_next(&r, err)) > 0) {
        const char *split = manifest_field(&r, c_split), *variant = manifest_field(&r, c_variant);
        /* Of a manifest without splits, all rows are used. */
        if ((c_split >= 0 && strcmp(o->split, "all") != 0 && strcmp(o->split, split) != 0) ||
            (variant[0] && strcmp(variant, "0") != 0))
            continue;
        if (class_of(s, r.fields[c_label]) < 0) {
            char known[300];
            error_set(err, EX_DATAERR, "'%s', row %llu: the label '%s' is unknown to the model, which has %s",
                      text_for_people(shown, sizeof shown, r.name), (unsigned long long)r.row,
                      text_for_people(what, sizeof what, r.fields[c_label]),
                      text_names_for_people(known, sizeof known, (const char *const *)s->classes,
                                            (size_t)s->n_classes));
            goto out;
        }
        text_clear(&path);
        if (path_join(&path, o->common.root, r.fields[c_path], o->common.allow_outside, err)) {
            error_prefix(err, "'%s', row %llu", text_for_people(shown, sizeof shown, r.name),
                         (unsigned long long)r.row);
            goto out;
        }
        struct out_row row = {r.fields[c_path],
                              "",
                              r.fields[c_label],
                              split,
                              manifest_field(&r, c_fold),
                              manifest_field(&r, c_group),
                              0};
        struct out_row *copy;
        while (image_loader_full(loader))
            if (take_one(s, loader, o, err) < 0) goto out;
        if (!(copy = row_copy(&row, err))) goto out;
        if (image_loader_submit(loader, path.data, copy, err)) {
            free(copy);
            goto out;
        }
    }
    if (got < 0) goto out;
    while ((got = take_one(s, loader, o, err)) > 0)
        ;
    rc = got < 0 ? -1 : sink_flush(s, err);
out:
    image_loader_drop(loader, free);
    image_loader_close(loader);
    manifest_reader_close(&r);
    text_release(&path);
    return rc;
}

int predict_run(const struct eval_options *o, const char *path, struct text *model_line, struct error *err)
{
    struct sink s = {.writer = MANIFEST_WRITER_EMPTY, .memory = PREDICT_MEMORY_EMPTY};
    struct stat st;
    enum shard_split split = SHARD_TRAIN;
    int rc = -1;
    while (split < SHARD_SPLITS && strcmp(shard_split_name(split), o->split) != 0)
        split++;
    if (split == SHARD_SPLITS && strcmp(o->split, "all") != 0)
        return error_set(err, EX_USAGE, "--split takes train, val, test or all, not '%s'", o->split);
    if (sink_open(&s, o, path, err)) goto out;
    bool shards = stat(o->shards, &st) == 0 && S_ISDIR(st.st_mode);
    if (o->memory && !shards) {
        error_set(err, EX_USAGE, "--memory needs a shard set; '%s' is none", o->shards);
        goto out;
    }
    if ((o->memory && predict_memory_open(&s.memory, o, s.predictor, err)) ||
        (shards ? predict_shards(&s, o, err) : predict_manifest(&s, o, err)))
        goto out;
    progress_end(&s.progress);
    predict_memory_commit(&s.memory, &o->common, s.n_done);
    if (s.n_done == 0) {
        error_set(err, EX_DATAERR, "'%s' has no picture of the split '%s'%s", o->shards, o->split,
                  s.n_rejected ? " that can be read" : "");
        goto out;
    }
    if (s.n_rejected)
        stage_warn("%llu pictures could not be read and are left out (-v names them)",
                   (unsigned long long)s.n_rejected);
    if (text_printf(model_line, err, "model %s on %s",
                    s.net->metadata.model_id[0] ? s.net->metadata.model_id : o->model,
                    predictor_device(s.predictor)))
        goto out;
    rc = manifest_writer_commit(&s.writer, err);
out:
    sink_close(&s);
    return rc;
}

int predict_store_temperature(const struct eval_options *o, double temperature, struct error *err)
{
    struct net net = NET_EMPTY;
    int rc = -1;
    if (net_open(&net, o->model, err)) return -1;
    /* The predictions already include the model's own temperature, so the fitted temperature is an additional
     * factor. */
    double own = net.metadata.temperature > 0 ? net.metadata.temperature : 1;
    net.metadata.temperature = own * temperature;
    rc = net_write_tfjs(&net, o->model, err);
    net_release(&net);
    return rc;
}
