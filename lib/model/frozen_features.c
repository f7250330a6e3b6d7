/* frozen_features.c: see frozen_features.h. */
#include "model/frozen_features.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "hash/content_hash.h"

static bool shape_size(const struct net_shape *s, size_t *out)
{
    *out = 1;
    for (int i = 0; i < s->rank; i++)
        if (s->dim[i] <= 0 || !size_mul(*out, (size_t)s->dim[i], out)) return false;
    return true;
}

int frozen_boundary_find(struct frozen_boundary *f, const struct net *net, struct error *err)
{
    int *layers = NULL, n = 0;
    *f = (struct frozen_boundary){0};
    if (engine_boundary(net, &layers, &n, err)) return -1;
    if (n > FROZEN_MAX_LAYERS) {
        free(layers);
        return error_set(err, EX_DATAERR, "the frozen part ends at %d layers, more than %d", n,
                         FROZEN_MAX_LAYERS);
    }
    f->n_layers = n;
    f->is_input = n == 1 && layers[0] == net->input;
    memcpy(f->layers, layers, (size_t)n * sizeof *layers);
    free(layers);
    for (int i = 0; i < n; i++) {
        if (!shape_size(&net->layers[f->layers[i]].output, &f->sizes[i]))
            return error_set(err, EX_DATAERR, "layer '%s' has no known output shape",
                             net->layers[f->layers[i]].name);
        f->total += f->sizes[i];
    }
    return 0;
}

static void hash_layer(struct xxh128_stream *h, const struct net_layer *l)
{
    /* Field by field, since the struct has pointers and padding. */
    int32_t numbers[] = {(int32_t)l->kind, l->kernel_h,      l->kernel_w,
                         l->stride_h,      l->stride_w,      l->dilation_h,
                         l->dilation_w,    l->same,          l->filters,
                         l->use_bias,      l->pad_top,       l->pad_bottom,
                         l->pad_left,      l->pad_right,     (int32_t)l->activation,
                         l->units,         l->scale,         l->center,
                         l->n_inputs,      l->n_weights,     l->output.rank,
                         l->output.dim[0], l->output.dim[1], l->output.dim[2],
                         l->axis,          l->target.rank,   l->target.dim[0],
                         l->target.dim[1], l->target.dim[2]};
    double reals[] = {l->relu_max, l->epsilon};
    xxh128_stream_add(h, numbers, sizeof numbers);
    xxh128_stream_add(h, reals, sizeof reals);
    xxh128_stream_add(h, l->inputs, (size_t)l->n_inputs * sizeof *l->inputs);
    for (int w = 0; w < l->n_weights; w++) {
        xxh128_stream_add(h, &l->weights[w].role, sizeof l->weights[w].role);
        xxh128_stream_add(h, l->weights[w].values, l->weights[w].n_values * sizeof(float));
    }
}

int frozen_boundary_identity(const struct frozen_boundary *f, const struct net *net, const char *device,
                             enum backend_precision precision, char out[33], struct error *err)
{
    static const char version[] = "winnow activations 1";
    struct xxh128_stream *h;
    struct xxh128 hash;
    bool *needed = mem_zalloc((size_t)net->n_layers, sizeof *needed, err);
    if (!needed || xxh128_stream_open(&h, err)) {
        free(needed);
        return -1;
    }
    for (int i = 0; i < f->n_layers; i++)
        needed[f->layers[i]] = true;
    for (int i = net->n_layers - 1; i >= 0; i--) /* inputs are earlier in the list */
        for (int k = 0; needed[i] && k < net->layers[i].n_inputs; k++)
            needed[net->layers[i].inputs[k]] = true;
    int32_t kind = (int32_t)precision;
    xxh128_stream_add(h, version, sizeof version);
    xxh128_stream_add(h, device, strlen(device) + 1);
    xxh128_stream_add(h, &kind, sizeof kind);
    xxh128_stream_add(h, &net->metadata.input_scale, sizeof net->metadata.input_scale);
    xxh128_stream_add(h, &net->metadata.input_offset, sizeof net->metadata.input_offset);
    xxh128_stream_add(h, f->layers, (size_t)f->n_layers * sizeof *f->layers);
    for (int32_t i = 0; i < net->n_layers; i++)
        if (needed[i]) {
            xxh128_stream_add(h, &i, sizeof i);
            hash_layer(h, &net->layers[i]);
        }
    xxh128_stream_end(h, &hash);
    xxh128_hex(out, &hash);
    xxh128_stream_close(h);
    free(needed);
    return 0;
}

static int by_key(const void *a, const void *b, void *context)
{
    const struct activation_key *keys = context;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    int order = memcmp(&keys[x], &keys[y], sizeof keys[x]);
    return order ? order : (x > y) - (x < y);
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Finds the rows that at least one cache lacks, one for each key, in the order of records. Returns their
 * number. */
static size_t missing_rows(const struct frozen_fill *f, uint32_t *missing)
{
    const struct activation_key *keys = f->data->keys;
    size_t n = 0, kept = 0;
    for (size_t i = 0; i < f->n_rows; i++) {
        bool lacks = false;
        for (int t = 0; t < f->n_targets; t++)
            lacks = lacks || activation_cache_find(f->targets[t].cache, &keys[f->rows[i]]) < 0;
        if (lacks) missing[n++] = f->rows[i];
    }
    qsort_r(missing, n, sizeof *missing, by_key, f->data->keys);
    for (size_t i = 0; i < n; i++)
        if (!kept || memcmp(&keys[missing[kept - 1]], &keys[missing[i]], sizeof *keys))
            missing[kept++] = missing[i];
    qsort(missing, kept, sizeof *missing, by_number);
    return kept;
}

/* The work, as determined by the caches of rank 0: rows, and for each row a bit for every target that
 * lacks it. */
struct work {
    uint32_t *rows;
    uint8_t *lacks;
    size_t n;
};

static int plan_work(struct work *w, const struct frozen_fill *f, struct error *err)
{
    struct dist *dist = f->options->dist;
    size_t most = f->n_rows ? f->n_rows : 1, n = 0;
    uint32_t *rows = NULL;
    uint8_t *lacks = NULL;
    int rc = 0;
    if (dist_rank(dist) == 0) {
        rc = (rows = mem_zalloc(most, sizeof *rows, err)) && (lacks = mem_zalloc(most, 1, err)) ? 0 : -1;
        n = rc ? 0 : missing_rows(f, rows);
    }
    for (size_t i = 0; i < n; i++)
        for (int t = 0; t < f->n_targets; t++)
            if (activation_cache_find(f->targets[t].cache, &f->data->keys[rows[i]]) < 0)
                lacks[i] |= (uint8_t)(1u << t);
    void *shared_rows = rows, *shared_lacks = lacks;
    uint64_t rows_bytes = n * sizeof *rows, lacks_bytes = n;
    rc = dist_share(dist, rc, &shared_rows, &rows_bytes, err) ||
                 dist_share(dist, 0, &shared_lacks, &lacks_bytes, err)
             ? -1
             : 0;
    *w = (struct work){shared_rows, shared_lacks, lacks_bytes};
    return rc;
}

/* The memory on the host for one batch. */
struct fill_buffers {
    uint8_t *pixels, *scratch;
    float *part, *values;
    struct activation_key *keys;
};

static size_t pixel_bytes_of(const struct dataset *d)
{
    return (size_t)d->info->side_px * (size_t)d->info->side_px * 3;
}

static int make_buffers(struct fill_buffers *b, const struct frozen_fill *f, struct error *err)
{
    size_t part = 0, total = 0, batch = (size_t)f->options->batch, pixel_bytes = pixel_bytes_of(f->data);
    for (int t = 0; t < f->n_targets; t++) {
        const struct frozen_boundary *at = f->targets[t].boundary;
        total = at->total > total ? at->total : total;
        for (int k = 0; k < at->n_layers; k++)
            part = at->sizes[k] > part ? at->sizes[k] : part;
    }
    return (b->pixels = mem_zalloc(batch, pixel_bytes, err)) &&
                   (b->scratch = mem_zalloc(1, pixel_bytes + 64, err)) &&
                   (b->part = mem_zalloc(batch, part * sizeof(float), err)) &&
                   (b->values = mem_zalloc(batch, total * sizeof(float), err)) &&
                   (b->keys = mem_zalloc(batch, sizeof *b->keys, err))
               ? 0
               : -1;
}

static void free_buffers(struct fill_buffers *b)
{
    free(b->pixels);
    free(b->scratch);
    free(b->part);
    free(b->values);
    free(b->keys);
}

/* A batch of the work: n rows from `at` on; n is 0 after the end. */
struct piece {
    size_t at, n;
};

static struct piece piece_of(const struct work *w, size_t round_at, size_t batch, int rank)
{
    size_t at = round_at + (size_t)rank * batch;
    return (struct piece){at, at >= w->n ? 0 : w->n - at < batch ? w->n - at : batch};
}

/* The keys of a piece that target t lacks. Returns their number. */
static size_t lacking_keys(const struct work *w, struct piece p, int t, const struct dataset *d,
                           struct activation_key *keys)
{
    size_t kept = 0;
    for (size_t i = 0; i < p.n; i++)
        if (w->lacks[p.at + i] >> t & 1) keys[kept++] = d->keys[w->rows[p.at + i]];
    return kept;
}

/* Copies the values of those rows from the last forward pass. first_output: the first output of the engine
 * that belongs to the target. */
static int lacking_values(const struct work *w, struct piece p, int t, const struct frozen_boundary *f,
                          int first_output, struct engine *engine, struct fill_buffers *b, struct error *err)
{
    size_t first = 0;
    for (int k = 0; k < f->n_layers; k++) {
        if (engine_output(engine, first_output + k, b->part, err)) return -1;
        for (size_t i = 0, at = 0; i < p.n; i++)
            if (w->lacks[p.at + i] >> t & 1)
                memcpy(b->values + at++ * f->total + first, b->part + i * f->sizes[k],
                       f->sizes[k] * sizeof(float));
        first += f->sizes[k];
    }
    return 0;
}

static int compute_piece(const struct frozen_fill *f, const struct work *w, struct piece p,
                         struct engine *engine, struct fill_buffers *b, struct error *err)
{
    size_t pixel_bytes = pixel_bytes_of(f->data);
    for (size_t i = 0; i < p.n; i++) {
        struct shard_record r;
        if (shard_set_read(f->data->shards, w->rows[p.at + i], b->scratch, &r, err)) return -1;
        memcpy(b->pixels + i * pixel_bytes, r.pixels, pixel_bytes);
    }
    struct engine_batch in = {.n = (int)p.n, .pixels = b->pixels};
    return p.n ? engine_forward(engine, &in, err) : 0;
}

/* Every rank has computed its piece of the round. The other ranks send theirs to rank 0, which appends all of
 * them in order, so that the file is the same as with one rank. */
static int append_round(const struct frozen_fill *f, const struct work *w, size_t round_at,
                        struct engine *engine, struct fill_buffers *b, struct error *err)
{
    struct dist *dist = f->options->dist;
    int me = dist_rank(dist);
    for (int from = 0; from < dist_size(dist); from++) {
        struct piece p = piece_of(w, round_at, (size_t)f->options->batch, from);
        if (me && me != from) continue;
        for (int t = 0, first = 0; t < f->n_targets; first += f->targets[t++].boundary->n_layers) {
            const struct frozen_target *target = &f->targets[t];
            size_t kept = lacking_keys(w, p, t, f->data, b->keys);
            if (!kept) continue;
            if ((me == from && lacking_values(w, p, t, target->boundary, first, engine, b, err)) ||
                dist_to_first(dist, from, b->values, kept * target->boundary->total * sizeof(float), err) ||
                (!me && activation_cache_append(target->cache, b->keys, b->values, kept, err)))
                return -1;
        }
    }
    return 0;
}

/* Rank 0 has written. The other ranks read the file again. */
static int reread_caches(const struct frozen_fill *f, struct error *err)
{
    struct dist *dist = f->options->dist;
    int rc = 0;
    if (dist_size(dist) == 1) return 0;
    for (int t = 0; dist_rank(dist) && !rc && t < f->n_targets; t++) {
        rc = activation_cache_reread(f->targets[t].cache, err);
        for (size_t i = 0; !rc && i < f->n_rows; i++)
            if (activation_cache_find(f->targets[t].cache, &f->data->keys[f->rows[i]]) < 0)
                rc = error_set(err, EX_NOINPUT,
                               "the activation cache here is not the one that rank 0 wrote: put --cache (or "
                               "--out) on a file system that all machines see");
    }
    return dist_agree(dist, rc, err);
}

int frozen_features_fill(struct frozen_fill *f, struct error *err)
{
    int rc = -1, outputs[FROZEN_MAX_TARGETS * FROZEN_MAX_LAYERS], stop = 0;
    struct engine *engine = NULL;
    struct engine_options o = *f->options;
    struct fill_buffers buffers = {0};
    struct work w = {0};
    size_t batch = (size_t)o.batch, round = batch * (size_t)dist_size(o.dist);
    f->n_computed = 0;
    f->stopped = false;
    if (plan_work(&w, f, err)) goto out;
    if (!w.n) {
        rc = reread_caches(f, err);
        goto out;
    }
    o.mode = ENGINE_INFERENCE;
    o.inputs = NULL;
    o.n_inputs = o.n_outputs = 0;
    o.outputs = outputs;
    for (int t = 0; t < f->n_targets; t++)
        for (int k = 0; k < f->targets[t].boundary->n_layers; k++)
            outputs[o.n_outputs++] = f->targets[t].boundary->layers[k];
    if (make_buffers(&buffers, f, err) || engine_open(&engine, f->net, &o, err)) goto out;
    for (size_t at = 0; at < w.n && !stop; at += round) {
        if (compute_piece(f, &w, piece_of(&w, at, batch, dist_rank(o.dist)), engine, &buffers, err) ||
            append_round(f, &w, at, engine, &buffers, err))
            goto out;
        f->n_computed = w.n - at < round ? w.n : at + round;
        stop = f->progress ? f->progress(f->context, f->n_computed, w.n) : 0;
        if (dist_any(o.dist, &stop, err)) goto out;
    }
    f->stopped = stop != 0;
    rc = 0;
    for (int t = 0; t < f->n_targets && !rc; t++)
        rc = activation_cache_flush(f->targets[t].cache, err);
    if (!rc && !stop) rc = reread_caches(f, err);
out:
    engine_close(engine);
    free_buffers(&buffers);
    free(w.rows);
    free(w.lacks);
    return rc;
}
