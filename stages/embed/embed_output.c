/* embed_output.c: writes features.npy, reduce.fit and info.tsv. */
#include "embed.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/half.h"
#include "base/mem.h"

static int by_content(const void *a, const void *b, void *context)
{
    const struct activation_key *keys = context;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    int order = memcmp(&keys[x], &keys[y], sizeof keys[x]);
    return order ? order : (x > y) - (x < y);
}

static int feature(const struct embed *e, size_t row, float *out, struct error *err)
{
    int64_t at = activation_cache_find(e->cache[0], &e->keys[row]);
    if (at < 0) return error_set(err, EX_SOFTWARE, "a picture's features are not in the cache");
    activation_cache_get(e->cache[0], at, out);
    return 0;
}

/* Fits the reduction on the pictures with the smallest content hashes, in that order, so that the order of
 * the rows does not matter. */
static int make_fit(struct embed *e, struct error *err)
{
    struct vector_spec spec;
    size_t d = e->boundary[0].total, n = 0;
    uint32_t *order = mem_alloc((e->n_keys + 1) * sizeof *order, err);
    float *rows = NULL;
    int rc = -1;
    if (!order || vector_spec_parse(&spec, e->opt->reduce, err)) goto out;
    for (size_t i = 0; i < e->n_keys; i++)
        order[i] = (uint32_t)i;
    if (e->n_keys) qsort_r(order, e->n_keys, sizeof *order, by_content, e->keys);
    for (size_t i = 0; i < e->n_keys && n < VECTOR_FIT_ROWS; i++)
        if (!n || memcmp(&e->keys[order[n - 1]], &e->keys[order[i]], sizeof *e->keys)) order[n++] = order[i];
    if (!(rows = mem_alloc((n * d + 1) * sizeof *rows, err))) goto out;
    for (size_t i = 0; i < n; i++)
        if (feature(e, order[i], rows + i * d, err)) goto out;
    rc = vector_fit_make(&e->fit, &spec, e->identity, rows, n, d, stage_threads(&e->opt->common), err);
out:
    free(order);
    free(rows);
    return rc;
}

static int path_in(const struct embed *e, const char *name, struct text *path, struct error *err)
{
    text_clear(path);
    return text_printf(path, err, "%s/%s", e->opt->folder, name);
}

static size_t n_values(const struct embed *e)
{
    return e->fit.n_values ? e->fit.n_components : e->boundary[0].total;
}

static int write_features(const struct embed *e, const char *path, struct error *err)
{
    struct atomic_file file = ATOMIC_FILE_EMPTY;
    size_t d = e->boundary[0].total, n = n_values(e);
    float *row = mem_alloc(d * sizeof *row, err), *scratch = mem_alloc(d * sizeof *scratch, err);
    float *reduced = mem_alloc((n + 1) * sizeof *reduced, err);
    uint16_t *half = mem_alloc((n + 1) * sizeof *half, err);
    int rc = -1;
    if (!row || !scratch || !reduced || !half || atomic_file_open(&file, path, err) ||
        npy_write_head(file.stream, "<f2", e->n_keys, n, err))
        goto out;
    for (size_t i = 0; i < e->n_keys; i++) {
        if (feature(e, i, row, err)) goto out;
        if (e->fit.n_values) vector_fit_apply(&e->fit, row, reduced, scratch);
        half_from_float(half, e->fit.n_values ? reduced : row, n);
        fwrite(half, sizeof *half, n, file.stream);
    }
    rc = atomic_file_commit(&file, err);
out:
    atomic_file_discard(&file);
    free(row);
    free(scratch);
    free(reduced);
    free(half);
    return rc;
}

int embed_write(struct embed *e, struct error *err)
{
    struct text path = TEXT_EMPTY;
    int rc = -1;
    if ((e->opt->reduce && make_fit(e, err)) || path_in(e, "info.tsv", &path, err)) goto out;
    /* Until the new info.tsv is written, the folder counts as incomplete. */
    if (unlink(path.data) && io_exists(path.data)) {
        error_errno(err, EX_CANTCREAT, "cannot remove '%s'", path.data);
        goto out;
    }
    if (path_in(e, "reduce.fit", &path, err) ||
        (e->fit.n_values && vector_fit_write(&e->fit, path.data, err)) ||
        path_in(e, "features.npy", &path, err) || write_features(e, path.data, err))
        goto out;
    stage_note(&e->opt->common, "%zu pictures, %zu of them computed now; %zu values each", e->n_keys,
               e->n_computed, n_values(e));
    rc = 0;
out:
    text_release(&path);
    return rc;
}

int embed_finish(const struct embed *e, struct error *err)
{
    struct vector_info info = {.n_rows = e->n_keys, .n_values = n_values(e)};
    memcpy(info.base, e->identity, sizeof info.base);
    memcpy(info.fit, e->fit.hash, sizeof info.fit);
    char rule[RESIZE_RULE_BYTES];
    snprintf(info.pictures, sizeof info.pictures, "%d %s", e->side_px, resize_rule_text(&e->rule, rule));
    return vector_info_write(&info, e->opt->folder, err);
}
