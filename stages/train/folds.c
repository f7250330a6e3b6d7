/*
 * folds.c: cross-validation of the head in K folds, in which each label is compared with the prediction of a
 * model that did not learn it. With more than one pass, the model of a fold learns only from pictures whose
 * labels the previous pass predicted (iterative noisy cross-validation: Chen, Liao, Chen and Zhang, ICML
 * 2019). Otherwise, if a dozen similar pictures have the same wrong label, the model would learn it from
 * eleven of them and confirm the twelfth.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/checkpoint.h"
#include "model/sampler.h"
#include "train.h"

static int compare_rows(const void *x, const void *y)
{
    uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;
    return (a > b) - (a < b);
}

static int choose_fold_rows(struct train_run *run, struct error *err)
{
    const struct dataset *d = &run->data;
    if (!(run->fold_rows = mem_zalloc(d->n_rows, sizeof *run->fold_rows, err))) return -1;
    for (int s = 0; s < SHARD_SPLITS; s++)
        for (size_t i = 0;
             i < d->n_split[s] && (s == SHARD_TRAIN || run->options->fold_rows == FOLD_ALL_ROWS); i++)
            run->fold_rows[run->n_fold_rows++] = d->rows[s][i];
    qsort(run->fold_rows, run->n_fold_rows, sizeof *run->fold_rows, compare_rows);
    return 0;
}

/* Assigns a fold to each of these rows: that of the manifest if every row has one of 0..K-1, or else one that
 * sampler_folds chooses. */
static int assign_folds(struct train_run *run, struct error *err)
{
    size_t n = run->n_fold_rows;
    int k = (int)run->options->folds, rc = -1;
    const uint32_t *rows = run->fold_rows;
    struct fold_row *fold_rows = mem_zalloc(n, sizeof *fold_rows, err);
    int *fold = mem_zalloc(n, sizeof *fold, err);
    bool *used = mem_zalloc((size_t)k, sizeof *used, err), given = true;
    run->folds = mem_zalloc(run->data.n_rows, sizeof *run->folds, err);
    if (!fold_rows || !fold || !used || !run->folds) goto out;
    for (size_t i = 0; i < n; i++) {
        struct shard_record r;
        if (shard_set_describe(run->data.shards, rows[i], &r, err)) goto out;
        fold_rows[i] = (struct fold_row){.group = r.group[0]    ? r.group
                                                  : r.source[0] ? r.source
                                                                : r.path,
                                         .label = r.label};
        fold[i] = r.fold;
        given = given && r.fold >= 0 && r.fold < k;
        if (given) used[r.fold] = true;
    }
    for (int f = 0; f < k; f++)
        given = given && used[f];
    if (!given && sampler_folds(fold, fold_rows, n, run->data.info->n_classes, k,
                                (uint64_t)run->options->common.seed, err))
        goto out;
    for (size_t i = 0; i < n; i++)
        run->folds[rows[i]] = fold[i];
    rc = 0;
out:
    free(fold_rows);
    free(fold);
    free(used);
    return rc;
}

/* Writes the path of the file, in the run's folder, that keeps a completed fold. */
static int fold_path(const struct train_run *run, int pass, int fold, struct text *path, struct error *err)
{
    return pass ? text_printf(path, err, "%s/fold-%d-%d", run->options->out, fold, pass + 1)
                : text_printf(path, err, "%s/fold-%d", run->options->out, fold);
}

/* One fold in one pass. */
struct fold {
    int pass, index;
    const uint8_t *left_out; /* [n_rows of the data]: rows not to learn from; NULL: learn from all */
    /* [n_rows of the data]: the margins of rows, as means over the epochs, are added to these. NULL: not
     * needed. */
    double *margins;
};

/* The contents of the file of a completed fold: n_out x n_classes probabilities, and, if wanted, the margins
 * of all rows. */
struct kept {
    const char *path;
    float *p;
    double *own; /* NULL: without margins */
    size_t p_bytes, own_bytes;
};

/* Reads the file of a completed fold. Returns 1 when it exists and was made with this plan, 0 when not, or -1
 * with err set. */
static int read_kept(struct train_run *run, void *kept, struct error *err)
{
    const struct kept *k = kept;
    struct checkpoint c = CHECKPOINT_EMPTY;
    if (!io_exists(k->path) || trainer_checkpoint_is_other(k->path, run->plan.data)) return 0;
    int rc = checkpoint_read(&c, k->path, err) ||
                     checkpoint_copy(&c, "probabilities", k->p, k->p_bytes, err) ||
                     (k->own && checkpoint_copy(&c, "margins", k->own, k->own_bytes, err))
                 ? -1
                 : 1;
    checkpoint_release(&c);
    return rc;
}

/* Sends the data that rank 0 has read to all ranks. */
static int share_kept(struct train_run *run, const struct kept *k, struct error *err)
{
    return dist_broadcast(run->dist, k->p, k->p_bytes, err) ||
                   (k->own && dist_broadcast(run->dist, k->own, k->own_bytes, err))
               ? -1
               : 0;
}

static int write_kept(struct train_run *run, void *kept, struct error *err)
{
    const struct kept *k = kept;
    struct checkpoint_section sections[] = {{.name = "plan",
                                             .bytes = run->plan.data,
                                             .n_bytes = run->plan.n_bytes},
                                            {.name = "probabilities", .bytes = k->p, .n_bytes = k->p_bytes},
                                            {.name = "margins", .bytes = k->own, .n_bytes = k->own_bytes}};
    return checkpoint_write(k->path, sections, k->own ? 3 : 2, err);
}

/*
 * Trains on all folds but one and predicts the rows of that fold. Training is exactly as in the main run:
 * the same start and schedule, and the epoch that is best on the validation split. When the folds include
 * the validation split, the last epoch is used. A finished fold is kept in RUN until the run is complete.
 */
static int run_fold(struct train_run *run, const struct frozen_boundary *f,
                    const struct activation_cache *cache, const struct fold *fold, struct error *err)
{
    struct dataset *d = &run->data;
    bool all = run->options->fold_rows == FOLD_ALL_ROWS;
    size_t n = run->n_fold_rows, n_classes = (size_t)d->info->n_classes, n_in = 0, n_out = 0, p_bytes;
    uint32_t *in = mem_zalloc(n, sizeof *in, err), *out = mem_zalloc(n, sizeof *out, err);
    float *p = NULL;
    double *own = NULL;
    struct text path = TEXT_EMPTY;
    struct head_engine h = {0};
    struct trainer t = {0};
    struct kept kept;
    int rc = -1;
    if (!in || !out || (fold->margins && !(own = mem_zalloc(d->n_rows, sizeof *own, err))) ||
        fold_path(run, fold->pass, fold->index, &path, err))
        goto done;
    for (size_t i = 0; i < n; i++) {
        uint32_t row = run->fold_rows[i];
        if (run->folds[row] == fold->index) {
            if (d->variants[row] == 0) out[n_out++] = row;
        } else if (!fold->left_out || !fold->left_out[row]) {
            in[n_in++] = row;
        }
    }
    if (!n_in || !n_out) {
        error_set(err, EX_DATAERR, "fold %d of %lld is empty or has every picture", fold->index,
                  (long long)run->options->folds);
        goto done;
    }
    p_bytes = n_out * n_classes * sizeof *p;
    if (!(p = mem_zalloc(n_out, n_classes * sizeof *p, err))) goto done;
    kept = (struct kept){path.data, p, own, p_bytes, d->n_rows * sizeof(double)};
    if ((rc = train_on(run, ON_FIRST, read_kept, &kept, err)) < 0) goto done;
    if (rc) {
        if ((rc = share_kept(run, &kept, err))) goto done;
    } else {
        rc = -1;
        if (head_engine_open(&h, run, f, cache, err)) goto done;
        t = (struct trainer){.engine = h.engine,
                             .loader = h.loader,
                             .dist = run->dist,
                             .data = d,
                             .train_rows = in,
                             .n_train = n_in,
                             .val_rows = d->rows[SHARD_VAL],
                             .n_val = all ? 0 : d->n_split[SHARD_VAL],
                             .batch = run->batch,
                             .margins = own};
        if (train_settings(run, (int)run->options->epochs, false, n_in, &t.settings, err)) goto done;
        rc = trainer_run(&t, err);
        if (!rc) rc = trainer_predict(h.engine, h.loader, run->dist, out, n_out, (int)n_classes, p, err);
        if (rc > 0) rc = train_common_signal(run, err);
        if (rc) {
            if (rc < 0) error_prefix(err, "fold %d", fold->index);
            goto done;
        }
        rc = -1;
        for (size_t i = 0; own && i < n_in; i++)
            own[in[i]] /= t.epochs_done;
        if (train_on(run, ON_FIRST, write_kept, &kept, err)) goto done;
    }
    struct trainer_metrics m;
    if (trainer_measure(&m, p, d->labels, out, n_out, (int)n_classes, err)) {
        rc = -1;
        goto done;
    }
    stage_note(&run->options->common, "fold %d of %lld: %zu pictures held out, accuracy %.4f",
               fold->index + 1, (long long)run->options->folds, n_out, m.accuracy);
    for (size_t i = 0; i < n_out; i++)
        memcpy(run->oof + out[i] * n_classes, p + i * n_classes, n_classes * sizeof *p);
    for (size_t i = 0; own && i < n_in; i++)
        /* Each row is learnt from in all folds but its own. */
        fold->margins[in[i]] += own[in[i]] / (double)(run->options->folds - 1);
    rc = 0;
done:
    trainer_release(&t);
    head_engine_close(&h);
    text_release(&path);
    free(in);
    free(out);
    free(p);
    free(own);
    return rc;
}

/*
 * Finds the pictures that the last pass predicts as another class, and their variants: left_out [n_rows of
 * the data]. Returns how many pictures there are. Many of them are correctly labelled and only difficult. But
 * the remaining pictures have few wrong labels, and the next pass does not need all pictures. All ranks find
 * the same pictures, because they have the same probabilities.
 */
static int find_contradicted(const struct train_run *run, uint8_t *left_out, size_t *n_images,
                             struct error *err)
{
    const struct dataset *d = &run->data;
    size_t n_classes = (size_t)d->info->n_classes;
    uint32_t *image = mem_zalloc(d->n_rows, sizeof *image, err);
    *n_images = 0;
    if (!image || train_images(run, run->fold_rows, run->n_fold_rows, image, err)) {
        free(image);
        return -1;
    }
    for (size_t i = 0; i < run->n_fold_rows; i++) {
        uint32_t row = run->fold_rows[i], shown = image[row];
        const float *p = run->oof + shown * n_classes;
        left_out[row] = 0;
        for (size_t c = 0; c < n_classes; c++)
            if (p[c] > p[d->labels[shown]]) left_out[row] = 1;
        *n_images += shown == row && left_out[row];
    }
    free(image);
    return 0;
}

static int write_outputs(struct train_run *run, void *unused, struct error *err)
{
    (void)unused;
    return outputs_oof(run, err) || outputs_margins(run, run->fold_rows, run->n_fold_rows, 1, err) ? -1 : 0;
}

/* The margins that are written are means over the models of the folds. Margins of a single training would
 * depend on its dropout and order. With --fold-rows all, every picture gets a margin. */
int train_folds(struct train_run *run, const struct frozen_boundary *f, const struct activation_cache *cache,
                struct error *err)
{
    int rc = -1, k = (int)run->options->folds, passes = (int)run->options->fold_passes;
    double *margins = mem_zalloc(run->data.n_rows, sizeof *margins, err);
    uint8_t *left_out = mem_zalloc(run->data.n_rows, 1, err);
    size_t n_left_out;
    if (!margins || !left_out ||
        !(run->oof = mem_zalloc(run->data.n_rows, (size_t)run->data.info->n_classes * sizeof(float), err)) ||
        choose_fold_rows(run, err) || assign_folds(run, err))
        goto out;
    progress_start(&run->progress, &run->options->common, (uint64_t)k * (uint64_t)passes, "folds");
    rc = 0;
    for (int pass = 0; !rc && pass < passes; pass++) {
        if (pass && !(rc = find_contradicted(run, left_out, &n_left_out, err)))
            stage_note(&run->options->common,
                       "pass %d of the folds: without %zu pictures that the pass before predicts as another "
                       "class",
                       pass + 1, n_left_out);
        for (int i = 0; !rc && i < k; i++) {
            struct fold fold = {.pass = pass,
                                .index = i,
                                .left_out = pass ? left_out : NULL,
                                .margins = pass ? NULL : margins};
            rc = run_fold(run, f, cache, &fold, err);
            progress_update(&run->progress, (uint64_t)pass * (uint64_t)k + (uint64_t)i + 1, NULL);
        }
    }
    progress_end(&run->progress);
    if (rc) goto out;
    memcpy(run->margins, margins, run->data.n_rows * sizeof *margins);
    rc = train_on(run, ON_FIRST, write_outputs, NULL, err);
out:
    free(margins);
    free(left_out);
    return rc;
}
