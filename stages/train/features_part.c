/*
 * features_part.c: --features-only: computes the features of all pictures as tasks of a job array. Each task
 * computes one part of the pictures into separate caches, because a cache has a single writer. join copies
 * these into the common cache, where phase head finds every picture. The part of a picture depends on its
 * content, so a picture that occurs twice is computed once.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "base/text.h"
#include "train.h"

#define JOIN (-1)
#define MOST_PARTS 100000
#define JOIN_ROWS 64 /* number of rows in a block that the join writes */

/* Parses "3/8" or "join/8". */
static int parse_part(const char *text, int *part, int *n_parts, struct error *err)
{
    const char *slash = strchr(text, '/');
    char first[16];
    int64_t i = JOIN, n = 0;
    if (!slash || (size_t)(slash - text) >= sizeof first)
        return error_set(err, EX_USAGE, "--features-only '%s': I/N with I from 0 to N-1, or join/N", text);
    snprintf(first, sizeof first, "%.*s", (int)(slash - text), text);
    if (parse_i64(slash + 1, 1, MOST_PARTS, &n, "--features-only", err) ||
        (strcmp(first, "join") && parse_i64(first, 0, n - 1, &i, "--features-only", err)))
        return error_set(err, EX_USAGE, "--features-only '%s': I/N with I from 0 to N-1, or join/N", text);
    *part = (int)i;
    *n_parts = (int)n;
    return 0;
}

int features_part_check(const struct train_options *o, struct error *err)
{
    int part, n_parts;
    if (o->phase != PHASE_HEAD)
        return error_set(err, EX_USAGE, "--features-only can be used only with --phase head");
    if (!o->cache)
        return error_set(err, EX_USAGE, "--features-only needs --cache: where phase head will look for them");
    return parse_part(o->features_only, &part, &n_parts, err);
}

static int part_of(const struct activation_key *key, int n_parts)
{
    uint64_t h;
    memcpy(&h, key->content, sizeof h);
    return (int)(h % (uint64_t)n_parts);
}

bool features_part_has(const struct train_run *run, const struct activation_key *key)
{
    return !run->n_parts || part_of(key, run->n_parts) == run->part;
}

static int set_folder(struct train_run *run, int part, int n_parts, struct error *err)
{
    text_clear(&run->part_folder);
    return text_printf(&run->part_folder, err, "%s/part-%d-of-%d", run->options->cache, part, n_parts);
}

/* Copies the rows of one part that are not in `to` from `from`, which must have all of them. */
static int take_part(const struct train_run *run, struct activation_cache *from, struct activation_cache *to,
                     size_t n_values, bool with_test, int part, int n_parts, size_t *n_taken,
                     struct error *err)
{
    const struct dataset *d = &run->data;
    struct activation_key keys[JOIN_ROWS];
    size_t n = 0;
    int rc = -1;
    float *values = mem_alloc(JOIN_ROWS * n_values * sizeof *values, err);
    if (!values) return -1;
    for (size_t s = 0; s < SHARD_SPLITS; s++)
        for (size_t i = 0; (s != SHARD_TEST || with_test) && i < d->n_split[s]; i++) {
            const struct activation_key *key = &d->keys[d->rows[s][i]];
            if (part_of(key, n_parts) != part || activation_cache_find(to, key) >= 0) continue;
            int64_t row = activation_cache_find(from, key);
            if (row < 0) {
                error_set(err, EX_NOINPUT, "part %d/%d in '%s' is not complete: run --features-only %d/%d",
                          part, n_parts, run->part_folder.data, part, n_parts);
                goto out;
            }
            keys[n] = *key;
            activation_cache_get(from, row, values + n++ * n_values);
            if (n == JOIN_ROWS) {
                if (activation_cache_append(to, keys, values, n, err)) goto out;
                *n_taken += n;
                n = 0;
            }
        }
    rc = n ? activation_cache_append(to, keys, values, n, err) : 0;
    *n_taken += n;
out:
    free(values);
    return rc;
}

static int join(struct train_run *run, int n_parts, struct error *err)
{
    const struct train_options *o = run->options;
    struct head_targets all, one = {0};
    size_t n_taken = 0;
    int rc = phase_head_targets(run, &all, err);
    for (int part = 0; !rc && part < n_parts; part++) {
        rc = set_folder(run, part, n_parts, err) || phase_head_targets(run, &one, err) ? -1 : 0;
        /* The test split is included if phase_head_fill needed it. */
        for (int t = 0; !rc && t < all.n; t++) {
            bool with_test = o->export_features || (o->fold_rows == FOLD_ALL_ROWS && t == 0);
            rc = take_part(run, one.cache[t], all.cache[t], all.boundary[t].total, with_test, part, n_parts,
                           &n_taken, err);
        }
        phase_head_targets_close(&one);
    }
    for (int t = 0; !rc && t < all.n; t++)
        rc = activation_cache_flush(all.cache[t], err);
    phase_head_targets_close(&all);
    if (!rc)
        stage_note(&run->options->common, "%zu rows of %d parts taken into '%s'", n_taken, n_parts,
                   run->options->cache);
    return rc;
}

static int refuse_ranks(struct train_run *run, void *unused, struct error *err)
{
    (void)run;
    (void)unused;
    return error_set(err, EX_USAGE, "--features-only needs a single process: start it without mpirun");
}

int features_part_run(struct train_run *run, struct error *err)
{
    struct head_targets t;
    int part, n_parts;
    if (run->dist) return train_on(run, ON_ALL, refuse_ranks, NULL, err);
    if (parse_part(run->options->features_only, &part, &n_parts, err) || train_open_inputs(run, err) ||
        train_choose_batch(run, err) || phase_head_prepare(run, err))
        return -1;
    if (part == JOIN) return join(run, n_parts, err);
    if (set_folder(run, part, n_parts, err)) return -1;
    run->part = part;
    run->n_parts = n_parts;
    int rc = phase_head_targets(run, &t, err);
    if (!rc) rc = phase_head_fill(run, &t, err);
    phase_head_targets_close(&t);
    return rc;
}
