/* frozen.c: boundary, identity and computation of cached activations; see frozen.h. */
#include "model/frozen.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "hash/content_hash.h"

static bool shape_size(const struct net_shape *s, size_t *out)
{
    *out = 1;
    for (int i = 0; i < s->rank; i++)
        if (s->dim[i] <= 0 || !size_mul(*out, (size_t)s->dim[i], out))
            return false;
    return true;
}

int frozen_find(struct frozen *f, const struct net *net, struct error *err)
{
    int *layers = NULL, n = 0;
    *f = (struct frozen){0};
    if (engine_boundary(net, &layers, &n, err))
        return -1;
    if (n > FROZEN_MAX_LAYERS) {
        free(layers);
        return error_set(err, EX_DATAERR, "the frozen part ends at %d layers, more than %d", n, FROZEN_MAX_LAYERS);
    }
    f->n_layers = n;
    f->is_input = n == 1 && layers[0] == net->input;
    memcpy(f->layers, layers, (size_t)n * sizeof *layers);
    free(layers);
    for (int i = 0; i < n; i++) {
        if (!shape_size(&net->layers[f->layers[i]].output, &f->sizes[i]))
            return error_set(err, EX_DATAERR, "layer '%s' has no known output shape", net->layers[f->layers[i]].name);
        f->total += f->sizes[i];
    }
    return 0;
}

static void hash_layer(struct xxh128_stream *h, const struct net_layer *l)
{
    /* Field by field: the struct has pointers and padding. */
    int32_t numbers[] = {(int32_t)l->kind, l->kernel_h, l->kernel_w, l->stride_h, l->stride_w, l->dilation_h, l->dilation_w,
                         l->same, l->filters, l->use_bias, l->pad_top, l->pad_bottom, l->pad_left, l->pad_right,
                         (int32_t)l->activation, l->units, l->scale, l->center, l->n_inputs, l->n_weights, l->output.rank,
                         l->output.dim[0], l->output.dim[1], l->output.dim[2], l->axis, l->target.rank, l->target.dim[0],
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

int frozen_identity(const struct frozen *f, const struct net *net, const char *device, enum backend_precision precision,
                    char out[33], struct error *err)
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
    for (int i = net->n_layers - 1; i >= 0; i--)    /* inputs are earlier in the list */
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

/* Rows not yet in the cache, one for each key, in record order. */
static size_t missing_rows(const struct activation_cache *cache, const struct dataset *d, const uint32_t *rows, size_t n_rows,
                           uint32_t *missing)
{
    size_t n = 0, kept = 0;
    for (size_t i = 0; i < n_rows; i++)
        if (activation_cache_find(cache, &d->keys[rows[i]]) < 0)
            missing[n++] = rows[i];
    qsort_r(missing, n, sizeof *missing, by_key, d->keys);
    for (size_t i = 0; i < n; i++)
        if (!kept || memcmp(&d->keys[missing[kept - 1]], &d->keys[missing[i]], sizeof *d->keys))
            missing[kept++] = missing[i];
    qsort(missing, kept, sizeof *missing, by_number);
    return kept;
}

int frozen_fill(struct activation_cache *cache, const struct frozen *f, const struct net *net, struct dataset *d,
                const uint32_t *rows, size_t n_rows, const struct engine_options *options, frozen_progress *progress,
                void *context, size_t *computed, bool *stopped, struct error *err)
{
    int rc = -1;
    struct engine *engine = NULL;
    struct engine_options o = *options;
    size_t side = (size_t)d->info->side_px, pixel_bytes = side * side * 3, batch = (size_t)o.batch;
    uint8_t *pixels = NULL, *scratch = NULL;
    float *values = NULL, *part = NULL;
    struct activation_key *keys = NULL;
    uint32_t *missing = mem_zalloc(n_rows ? n_rows : 1, sizeof *missing, err);
    *computed = 0;
    *stopped = false;
    if (!missing)
        return -1;
    size_t n_missing = missing_rows(cache, d, rows, n_rows, missing);
    if (!n_missing) {
        free(missing);
        return 0;
    }
    o.mode = ENGINE_INFERENCE;
    o.inputs = NULL;
    o.n_inputs = 0;
    o.outputs = f->layers;
    o.n_outputs = f->n_layers;
    if (!(pixels = mem_zalloc(batch, pixel_bytes, err)) || !(scratch = mem_zalloc(1, pixel_bytes + 64, err)) || !(values = mem_zalloc(batch, f->total * sizeof *values, err)) ||
        !(part = mem_zalloc(batch, f->total * sizeof *part, err)) || !(keys = mem_zalloc(batch, sizeof *keys, err)) ||
        engine_open(&engine, net, &o, err))
        goto out;
    for (size_t at = 0; at < n_missing;) {
        size_t n = n_missing - at < batch ? n_missing - at : batch;
        for (size_t i = 0; i < n; i++) {
            struct shard_record r;
            if (shard_set_read(d->shards, missing[at + i], scratch, &r, err))
                goto out;
            memcpy(pixels + i * pixel_bytes, r.pixels, pixel_bytes);
            keys[i] = d->keys[missing[at + i]];
        }
        struct engine_batch in = {.n = (int)n, .pixels = pixels};
        if (engine_forward(engine, &in, err))
            goto out;
        size_t first = 0;
        for (int k = 0; k < f->n_layers; k++) {
            if (engine_output(engine, k, part, err))
                goto out;
            for (size_t i = 0; i < n; i++)
                memcpy(values + i * f->total + first, part + i * f->sizes[k], f->sizes[k] * sizeof *values);
            first += f->sizes[k];
        }
        if (activation_cache_append(cache, keys, values, n, err))
            goto out;
        at += n;
        *computed = at;
        if (progress && progress(context, at, n_missing)) {
            *stopped = true;
            break;
        }
    }
    rc = activation_cache_flush(cache, err);
out:
    engine_close(engine);
    free(missing);
    free(pixels);
    free(scratch);
    free(values);
    free(part);
    free(keys);
    return rc;
}
