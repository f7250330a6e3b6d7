/* calibrate.c: computes the int8 form of the model, with scales that are chosen on training pictures of the
 * shard set. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "export.h"
#include "model/quantise.h"
#include "shard/shard.h"

struct pictures {
    struct shard_set *set;
    uint64_t *record; /* record numbers of the chosen pictures */
    int n;
    size_t bytes;
    uint8_t *scratch;
    struct progress progress;
};

static int read_picture(void *context, int i, uint8_t *pixels, struct error *err)
{
    struct pictures *p = context;
    struct shard_record r;
    if (shard_set_read(p->set, p->record[i], p->scratch, &r, err)) return -1;
    memcpy(pixels, r.pixels, p->bytes);
    progress_update(&p->progress, (uint64_t)i, NULL);
    return 0;
}

/* Chooses training pictures at equal distances in the set, without variants. The choice uses no random
 * number, so it is the same every time. */
static int choose(struct pictures *p, const struct export *x, struct error *err)
{
    uint64_t n_all = shard_set_info(p->set)->n_records, n_train = 0, most = (uint64_t)x->opt->calibration;
    struct shard_record r;
    uint64_t *all = mem_alloc(((size_t)n_all + 1) * sizeof *all, err);
    p->record = all;
    if (!all) return -1;
    for (uint64_t i = 0; i < n_all; i++) {
        if (shard_set_describe(p->set, i, &r, err)) return -1;
        if (r.split == SHARD_TRAIN && r.variant == 0) all[n_train++] = i;
    }
    if (n_train == 0)
        return error_set(err, EX_DATAERR,
                         "--precision int8: '%s' has no pictures in the split 'train' to choose scales on",
                         x->opt->shards);
    p->n = (int)(n_train < most ? n_train : most);
    for (int i = 0; i < p->n; i++)
        all[i] = all[(uint64_t)i * n_train / (uint64_t)p->n];
    return 0;
}

int export_int8(struct export *x, struct error *err)
{
    const struct net_shape *in = &x->net.layers[x->net.input].output;
    struct pictures p = {0};
    struct quantise_options o = {.device = x->opt->device,
                                 .threads = stage_threads(&x->opt->common),
                                 .picture = read_picture,
                                 .context = &p};
    struct text remarks = TEXT_EMPTY;
    int rc = -1;
    if (!x->opt->shards)
        return error_set(err, EX_USAGE,
                         "--precision int8 needs --shards DIR: pictures on which the scales are chosen");
    if (in->rank != 3 || in->dim[0] != in->dim[1] || in->dim[2] != 3)
        return error_set(err, EX_DATAERR, "'%s' does not take square RGB pictures of a known size",
                         x->opt->model);
    if (shard_set_open(&p.set, x->opt->shards, err)) return -1;
    int side = shard_set_info(p.set)->side_px;
    p.bytes = (size_t)side * (size_t)side * 3;
    if (side != in->dim[0]) {
        error_set(
            err, EX_DATAERR,
            "the shard set has pictures of %d pixels, the model needs %d: pack them again with --size %d",
            side, in->dim[0], in->dim[0]);
        goto out;
    }
    if (!(p.scratch = mem_alloc(p.bytes + 64, err)) || choose(&p, x, err)) goto out;
    o.n_pictures = p.n;
    progress_start(&p.progress, &x->opt->common, (uint64_t)p.n, "pictures looked at");
    rc = quantise_net(&x->net, &o, &remarks, err);
    progress_end(&p.progress);
    if (!rc && !x->opt->common.quiet) stage_warn_lines(remarks.data);
    if (rc) error_prefix(err, "'%s'", x->opt->model);
out:
    text_release(&remarks);
    free(p.record);
    free(p.scratch);
    shard_set_close(p.set);
    return rc;
}
