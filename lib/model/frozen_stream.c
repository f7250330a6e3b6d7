/* frozen_stream.c: see frozen_stream.h. */
#include "model/frozen_stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct frozen_stream {
    struct frozen_target targets[FROZEN_MAX_TARGETS];
    int n_targets;
    const struct net *net;
    struct engine_options options;
    struct engine *engine; /* NULL until a picture has to be computed */
    size_t pixel_bytes, n, n_computed;
    /* Of the batch: keys and pixels [batch], and for each picture a bit for every target that lacks it. */
    struct activation_key *keys, *lacking;
    uint8_t *pixels, *lacks;
    float *part, *values;
};

int frozen_stream_open(struct frozen_stream **out, const struct frozen_target *targets, int n_targets,
                       const struct net *net, const struct engine_options *options, size_t pixel_bytes,
                       struct error *err)
{
    size_t batch = (size_t)options->batch, part = 0, total = 0;
    *out = NULL;
    struct frozen_stream *s = mem_zalloc(1, sizeof *s, err);
    if (!s) return -1;
    s->n_targets = n_targets;
    s->net = net;
    s->options = *options;
    s->pixel_bytes = pixel_bytes;
    for (int t = 0; t < n_targets; t++) {
        const struct frozen_boundary *at = targets[t].boundary;
        s->targets[t] = targets[t];
        total = at->total > total ? at->total : total;
        for (int k = 0; k < at->n_layers; k++)
            part = at->sizes[k] > part ? at->sizes[k] : part;
    }
    if (!(s->keys = mem_zalloc(batch, sizeof *s->keys, err)) ||
        !(s->lacking = mem_zalloc(batch, sizeof *s->lacking, err)) ||
        !(s->lacks = mem_zalloc(batch, 1, err)) || !(s->pixels = mem_zalloc(batch, pixel_bytes, err)) ||
        !(s->part = mem_zalloc(batch, part * sizeof(float), err)) ||
        !(s->values = mem_zalloc(batch, total * sizeof(float), err))) {
        frozen_stream_close(s);
        return -1;
    }
    *out = s;
    return 0;
}

static int open_engine(struct frozen_stream *s, struct error *err)
{
    struct engine_options o = s->options;
    int outputs[FROZEN_MAX_TARGETS * FROZEN_MAX_LAYERS];
    o.mode = ENGINE_INFERENCE;
    o.inputs = NULL;
    o.n_inputs = o.n_outputs = 0;
    o.outputs = outputs;
    for (int t = 0; t < s->n_targets; t++)
        for (int k = 0; k < s->targets[t].boundary->n_layers; k++)
            outputs[o.n_outputs++] = s->targets[t].boundary->layers[k];
    return engine_open(&s->engine, s->net, &o, err);
}

/* Appends the values of one target's layers, one after another, for the pictures that its cache lacks. */
static int append(struct frozen_stream *s, int t, int first_output, struct error *err)
{
    const struct frozen_boundary *f = s->targets[t].boundary;
    size_t first = 0, kept = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->lacks[i] >> t & 1) s->lacking[kept++] = s->keys[i];
    if (!kept) return 0;
    for (int k = 0; k < f->n_layers; k++) {
        if (engine_output(s->engine, first_output + k, s->part, err)) return -1;
        for (size_t i = 0, at = 0; i < s->n; i++)
            if (s->lacks[i] >> t & 1)
                memcpy(s->values + at++ * f->total + first, s->part + i * f->sizes[k],
                       f->sizes[k] * sizeof(float));
        first += f->sizes[k];
    }
    return activation_cache_append(s->targets[t].cache, s->lacking, s->values, kept, err);
}

static int compute(struct frozen_stream *s, struct error *err)
{
    struct engine_batch in = {.n = (int)s->n, .pixels = s->pixels};
    if (!s->n) return 0;
    if ((!s->engine && open_engine(s, err)) || engine_forward(s->engine, &in, err)) return -1;
    for (int t = 0, first = 0; t < s->n_targets; first += s->targets[t++].boundary->n_layers)
        if (append(s, t, first, err)) return -1;
    s->n_computed += s->n;
    s->n = 0;
    return 0;
}

int frozen_stream_add(struct frozen_stream *s, const struct activation_key *key, const uint8_t *pixels,
                      struct error *err)
{
    uint8_t lacks = 0;
    for (int t = 0; t < s->n_targets; t++)
        if (activation_cache_find(s->targets[t].cache, key) < 0) lacks |= (uint8_t)(1u << t);
    for (size_t i = 0; i < s->n && lacks; i++)
        if (!memcmp(&s->keys[i], key, sizeof *key)) lacks = 0;
    if (!lacks) return 0;
    s->keys[s->n] = *key;
    s->lacks[s->n] = lacks;
    memcpy(s->pixels + s->n * s->pixel_bytes, pixels, s->pixel_bytes);
    return ++s->n == (size_t)s->options.batch ? compute(s, err) : 0;
}

int frozen_stream_flush(struct frozen_stream *s, struct error *err)
{
    if (compute(s, err)) return -1;
    for (int t = 0; t < s->n_targets; t++)
        if (activation_cache_flush(s->targets[t].cache, err)) return -1;
    return 0;
}

size_t frozen_stream_computed(const struct frozen_stream *s) { return s->n_computed; }

void frozen_stream_close(struct frozen_stream *s)
{
    if (!s) return;
    engine_close(s->engine);
    free(s->keys);
    free(s->lacking);
    free(s->lacks);
    free(s->pixels);
    free(s->part);
    free(s->values);
    free(s);
}
