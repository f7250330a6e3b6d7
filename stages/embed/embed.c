/*
 * embed.c: decodes the pictures of all rows as pack does, and adds their features to the caches. The key of a
 * picture contains a checksum of its pixels, so every picture is decoded. Pictures that are in the caches do
 * not go through the net again.
 */
#include "embed.h"

#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "hash/content_hash.h"
#include "image/image_rows.h"
#include "model/dataset.h"
#include "model/frozen_stream.h"

int embed_check_options(const struct embed_options *o, struct error *err)
{
    struct vector_spec spec;
    if (!o->base || !o->folder || !*o->folder)
        return error_set(err, EX_USAGE, "--%s is needed (--help lists all options)",
                         o->base ? "output" : "base");
    if (o->reduce && o->fit)
        return error_set(err, EX_USAGE, "--reduce makes a fit and --fit takes an earlier one: leave one out");
    return o->reduce && vector_spec_parse(&spec, o->reduce, err) ? error_prefix(err, "--reduce") : 0;
}

struct run {
    struct embed *e;
    struct frozen_stream *stream;
    struct manifest_writer *out, *rejects;
    struct stage_counts *n;
    int variant;
};

static enum image_reason to_square(void *context, const struct image_info *info, struct image *image,
                                   struct image *scratch, uint8_t *result, size_t result_capacity,
                                   size_t *n_result, struct image_failure *failure)
{
    const struct embed *e = context;
    struct error err = {0};
    (void)info;
    if (image_framed(scratch, image, e->side_px, &e->rule, &err) || image_bytes(scratch) > result_capacity) {
        failure->reason = IMAGE_DECODE_MEMORY;
        snprintf(failure->detail, sizeof failure->detail, "%.150s", err.text);
        return IMAGE_DECODE_MEMORY;
    }
    *n_result = image_bytes(scratch);
    memcpy(result, scratch->pixels, *n_result);
    return IMAGE_OK;
}

static int row_done(void *context, const char *const *fields, const struct decoded *d, struct error *err)
{
    struct run *r = context;
    struct embed *e = r->e;
    double variant = 0;
    r->n->n_read++;
    progress_update(&e->progress, r->n->n_read, NULL);
    size_t n_bytes = (size_t)e->side_px * (size_t)e->side_px * 3;
    if (d->slug || d->n_result != n_bytes) {
        r->n->n_rejected++;
        return manifest_writer_reject(r->rejects, fields, d->slug ? d->slug : "decode-crashed", d->detail,
                                      err);
    }
    if (r->variant >= 0 && fields[r->variant][0] &&
        (!parse_number(fields[r->variant], &variant) || !(variant >= 0 && variant <= 1e9))) {
        r->n->n_rejected++;
        return manifest_writer_reject(r->rejects, fields, "unknown-variant", "", err);
    }
    if (mem_grow(&e->keys, &e->keys_capacity, e->n_keys + 1, sizeof *e->keys, err)) return -1;
    dataset_key(&e->keys[e->n_keys], d->xxh128, xxh64_of(d->result, n_bytes), e->side_px, SHARD_RAW,
                (int)variant);
    r->n->n_kept++;
    return frozen_stream_add(r->stream, &e->keys[e->n_keys++], d->result, err) ||
                   manifest_writer_row(r->out, fields, (const char *const[]){d->xxh128}, err)
               ? -1
               : 0;
}

int embed_run(struct embed *e, struct manifest_reader *in, struct manifest_writer *out,
              struct manifest_writer *rejects, struct stage_counts *n, struct error *err)
{
    const struct embed_options *opt = e->opt;
    struct decode_pool_options o = DECODE_POOL_DEFAULTS;
    struct decode_pool *pool = NULL;
    struct engine_options engine = ENGINE_DEFAULTS;
    struct frozen_target targets[FROZEN_MAX_TARGETS];
    struct run r = {.e = e,
                    .out = out,
                    .rejects = rejects,
                    .n = n,
                    .variant = manifest_column(&in->schema, "variant")};
    struct image_rows rows = {.root = opt->common.root,
                              .allow_outside = opt->common.allow_outside,
                              .context = &r,
                              .done = row_done};
    int rc = -1;
    o.decode.allow_truncated = opt->allow_truncated;
    if (picture_rules_apply(&opt->rules, &o.decode, err)) return -1;
    o.decode.keep_gray = true;
    o.decode.shrink_to_px = image_shrink_hint(e->rule.method, resize_rule_side(&e->rule, e->side_px));
    o.finish = to_square;
    o.context = e;
    o.result_bytes = (size_t)e->side_px * (size_t)e->side_px * 3;
    o.threads = stage_threads(&opt->common);
    o.no_sandbox = opt->no_sandbox;
    engine.device = e->device;
    engine.precision = e->precision;
    engine.threads = stage_threads(&opt->common);
    engine.batch = (int)opt->batch;
    for (int t = 0; t < e->n_targets; t++)
        targets[t] = (struct frozen_target){e->cache[t], &e->boundary[t]};
    if (decode_pool_open(&pool, &o, err) ||
        frozen_stream_open(&r.stream, targets, e->n_targets, &e->net, &engine, o.result_bytes, err))
        goto out;
    progress_start(&e->progress, &opt->common, 0, "pictures");
    rc = image_rows_run(&rows, in, pool, err) || frozen_stream_flush(r.stream, err) ? -1 : 0;
    progress_end(&e->progress);
    e->n_computed = frozen_stream_computed(r.stream);
out:
    frozen_stream_close(r.stream);
    decode_pool_close(pool);
    return rc;
}
