/* net.c: simple operations on a network: they release, copy, find, count, hash and freeze. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/text.h"
#include "hash/content_hash.h"
#include "net/net_parts.h"

static const char *const kind_names[LAYER_KINDS] = {
    [LAYER_INPUT] = "InputLayer",
    [LAYER_CONV2D] = "Conv2D",
    [LAYER_DEPTHWISE_CONV2D] = "DepthwiseConv2D",
    [LAYER_BATCH_NORM] = "BatchNormalization",
    [LAYER_ACTIVATION] = "Activation",
    [LAYER_RELU] = "ReLU",
    [LAYER_MAX_POOL] = "MaxPooling2D",
    [LAYER_AVERAGE_POOL] = "AveragePooling2D",
    [LAYER_GLOBAL_AVERAGE_POOL] = "GlobalAveragePooling2D",
    [LAYER_CONCATENATE] = "Concatenate",
    [LAYER_ADD] = "Add",
    [LAYER_ZERO_PADDING] = "ZeroPadding2D",
    [LAYER_FLATTEN] = "Flatten",
    [LAYER_RESHAPE] = "Reshape",
    [LAYER_DROPOUT] = "Dropout",
    [LAYER_DENSE] = "Dense",
    [LAYER_MULTIPLY] = "Multiply",
    [LAYER_RESCALING] = "Rescaling",
    [LAYER_RESIZING] = "Resizing",
    [LAYER_SCALE] = "winnow>Scale",
    [LAYER_CLIP] = "winnow>Clip",
    [LAYER_CHANNELS] = "winnow>Channels",
};

const char *layer_kind_name(enum layer_kind kind)
{
    return (unsigned)kind < LAYER_KINDS ? kind_names[kind] : "?";
}

bool net_is_padded_pool(const struct net_layer *l)
{
    return (l->kind == LAYER_MAX_POOL || l->kind == LAYER_AVERAGE_POOL) &&
           (l->pad_top || l->pad_bottom || l->pad_left || l->pad_right);
}

/* --- owning --- */

float *net_store_floats(struct net *n, size_t n_values, struct error *err)
{
    const size_t large_page = (size_t)2 << 20;
    size_t bytes;
    if (!size_mul(n_values, sizeof(float), &bytes) || bytes > NET_MAX_WEIGHT_BYTES) {
        error_set(err, EX_DATAERR, "the weights would take more than %llu bytes",
                  (unsigned long long)NET_MAX_WEIGHT_BYTES);
        return NULL;
    }
    if (bytes == 0) bytes = sizeof(float);
    struct net_store *store = mem_zalloc(1, sizeof *store, err);
    if (!store) return NULL;
    /* Anonymous memory is zeroed. Large pages save 20,000 page faults on the 89 MB of InceptionV3. */
    bool big = bytes >= large_page;
    if (big) {
        if (fault_here(FAULT_ALLOC) ||
            (store->base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) ==
                MAP_FAILED) {
            error_errno(err, EX_OSERR, "cannot allocate %zu bytes for weights", bytes);
            free(store);
            return NULL;
        }
        store->mapped = true;
        (void)madvise(store->base, bytes, MADV_HUGEPAGE);
    } else {
        store->base = mem_aligned(64, (bytes + 63) & ~(size_t)63, err);
        if (!store->base) {
            free(store);
            return NULL;
        }
        memset(store->base, 0, bytes);
    }
    store->bytes = bytes;
    store->next = n->stores;
    n->stores = store;
    return store->base;
}

static bool in_a_store(const struct net *n, const float *values)
{
    for (const struct net_store *s = n->stores; s; s = s->next)
        if ((const char *)values >= (const char *)s->base &&
            (const char *)values < (const char *)s->base + s->bytes)
            return true;
    return false;
}

void net_weight_drop_values(struct net *n, struct net_weight *w)
{
    if (w->values && !in_a_store(n, w->values)) free(w->values);
    w->values = NULL;
    w->n_values = 0;
}

void net_forget_values(struct net *n, int layer)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < n->layers[layer].n_weights; i++) {
        const struct net_weight *w = &n->layers[layer].weights[i];
        uintptr_t begin = ((uintptr_t)w->values + page - 1) / page * page,
                  end = (uintptr_t)(w->values + w->n_values) / page * page;
        for (const struct net_store *s = n->stores; s && w->values && begin < end; s = s->next)
            if (s->mapped && begin >= (uintptr_t)s->base && end <= (uintptr_t)s->base + s->bytes)
                (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
    }
}

void net_layer_release(struct net *n, struct net_layer *layer)
{
    for (int i = 0; i < layer->n_weights; i++) {
        net_weight_drop_values(n, &layer->weights[i]);
        free(layer->weights[i].name);
    }
    free(layer->weights);
    free(layer->inputs);
    free(layer->name);
    *layer = (struct net_layer){0};
}

static void release_stores(struct net *n)
{
    for (struct net_store *s = n->stores, *next; s; s = next) {
        next = s->next;
        if (s->mapped)
            munmap(s->base, s->bytes);
        else
            free(s->base);
        free(s);
    }
    n->stores = NULL;
}

void net_drop_weights(struct net *n)
{
    for (int i = 0; i < n->n_layers; i++)
        for (int j = 0; j < n->layers[i].n_weights; j++)
            net_weight_drop_values(n, &n->layers[i].weights[j]);
    release_stores(n);
}

void net_release(struct net *n)
{
    int saved = errno;
    for (int i = 0; i < n->n_layers; i++)
        net_layer_release(n, &n->layers[i]);
    free(n->layers);
    for (int i = 0; i < n->metadata.n_classes; i++)
        free(n->metadata.classes[i]);
    free(n->metadata.classes);
    free(n->metadata.extra_json);
    free(n->metadata.license_json);
    free(n->metadata.onnx_json);
    free(n->name);
    release_stores(n);
    *n = NET_EMPTY;
    errno = saved;
}

/* --- making layers --- */

bool layer_name_ok(const char *name)
{
    size_t bytes = strlen(name);
    if (bytes == 0 || bytes > NET_MAX_NAME_BYTES) return false;
    for (const unsigned char *p = (const unsigned char *)name; *p; p++)
        if (*p < 0x20 || *p == 0x7f) return false;
    return true;
}

struct net_layer *net_add_layer(struct net *n, enum layer_kind kind, const char *name, struct error *err)
{
    if (n->n_layers >= NET_MAX_LAYERS) {
        error_set(err, EX_DATAERR, "more than %d layers", NET_MAX_LAYERS);
        return NULL;
    }
    /* The capacity is not kept: it is the next power of two, so the array
     * grows when the count reaches one. */
    if ((n->n_layers & (n->n_layers - 1)) == 0) {
        size_t capacity = n->n_layers ? (size_t)n->n_layers * 2 : 1;
        struct net_layer *grown = mem_realloc(n->layers, capacity * sizeof *grown, err);
        if (!grown) return NULL;
        n->layers = grown;
    }
    struct net_layer *layer = &n->layers[n->n_layers];
    *layer = (struct net_layer){.kind = kind,
                                .trainable = true,
                                .kernel_h = 1,
                                .kernel_w = 1,
                                .stride_h = 1,
                                .stride_w = 1,
                                .dilation_h = 1,
                                .dilation_w = 1,
                                .filters = 1,
                                .groups = 1,
                                .rescale = 1,
                                .pick_step = 1,
                                .pick_groups = 1,
                                .momentum = 0.99,
                                .epsilon = 1e-3,
                                .scale = true,
                                .center = true};
    layer->name = mem_strdup(name, err);
    if (!layer->name) return NULL;
    n->n_layers++;
    return layer;
}

int net_layer_connect(struct net_layer *layer, const int *inputs, int n_inputs, struct error *err)
{
    free(layer->inputs);
    layer->n_inputs = 0;
    layer->inputs = mem_dup(inputs, (size_t)n_inputs * sizeof *inputs, err);
    if (!layer->inputs) return -1;
    layer->n_inputs = n_inputs;
    return 0;
}

/* --- copying --- */

static int copy_metadata(struct net_metadata *out, const struct net_metadata *m, struct error *err)
{
    *out = *m;
    out->classes = NULL;
    out->n_classes = 0;
    out->extra_json = out->license_json = out->onnx_json = NULL;
    if ((m->extra_json && !(out->extra_json = mem_strdup(m->extra_json, err))) ||
        (m->onnx_json && !(out->onnx_json = mem_strdup(m->onnx_json, err))) ||
        (m->license_json && !(out->license_json = mem_strdup(m->license_json, err))))
        return -1;
    if (m->n_classes > 0) {
        if (!(out->classes = mem_zalloc((size_t)m->n_classes, sizeof *out->classes, err))) return -1;
        for (; out->n_classes < m->n_classes; out->n_classes++)
            if (!(out->classes[out->n_classes] = mem_strdup(m->classes[out->n_classes], err))) return -1;
    }
    return 0;
}

static int copy_layer(struct net *out, const struct net_layer *from, float **at, struct error *err)
{
    struct net_layer *to = net_add_layer(out, from->kind, from->name, err);
    if (!to) return -1;
    char *name = to->name;
    *to = *from;
    to->name = name;
    to->inputs = NULL;
    to->n_inputs = 0;
    to->weights = NULL;
    to->n_weights = 0;
    if (net_layer_connect(to, from->inputs, from->n_inputs, err)) return -1;
    if (from->n_weights == 0) return 0;
    if (!(to->weights = mem_zalloc((size_t)from->n_weights, sizeof *to->weights, err))) return -1;
    for (int i = 0; i < from->n_weights; i++) {
        const struct net_weight *w = &from->weights[i];
        struct net_weight *copy = &to->weights[i];
        copy->role = w->role;
        copy->shape = w->shape;
        if (!(copy->name = mem_strdup(w->name, err))) return -1;
        to->n_weights++;
        if (w->values) {
            copy->values = *at;
            copy->n_values = w->n_values;
            memcpy(copy->values, w->values, w->n_values * sizeof(float));
            *at += w->n_values;
        }
    }
    return 0;
}

int net_copy(struct net *out, const struct net *n, struct error *err)
{
    float *at;
    *out = NET_EMPTY;
    if (n->name && !(out->name = mem_strdup(n->name, err))) goto fail;
    if (copy_metadata(&out->metadata, &n->metadata, err) ||
        !(at = net_store_floats(out, net_count_parameters(n, false), err)))
        goto fail;
    for (int i = 0; i < n->n_layers; i++)
        if (copy_layer(out, &n->layers[i], &at, err)) goto fail;
    out->input = n->input;
    out->output = n->output;
    return 0;
fail:
    net_release(out);
    return -1;
}

/* --- looking up --- */

const char *net_class_name(const struct net_metadata *m, int i, char plain[32])
{
    if (i < m->n_classes) return m->classes[i];
    snprintf(plain, 32, "class_%d", i);
    return plain;
}

int net_find(const struct net *n, const char *layer_name)
{
    for (int i = 0; i < n->n_layers; i++)
        if (strcmp(n->layers[i].name, layer_name) == 0) return i;
    return -1;
}

struct net_weight *net_weight_of(struct net_layer *layer, enum weight_role role)
{
    for (int i = 0; i < layer->n_weights; i++)
        if (layer->weights[i].role == role) return &layer->weights[i];
    return NULL;
}

/* Keras counts moving statistics among the non-trainable parameters, so they
 * are left out of trainable_only. */
size_t net_count_parameters(const struct net *n, bool trainable_only)
{
    size_t count = 0;
    for (int i = 0; i < n->n_layers; i++)
        for (int j = 0; j < n->layers[i].n_weights; j++) {
            enum weight_role role = n->layers[i].weights[j].role;
            if (!trainable_only ||
                (n->layers[i].trainable && role != WEIGHT_MOVING_MEAN && role != WEIGHT_MOVING_VARIANCE))
                count += n->layers[i].weights[j].n_values;
        }
    return count;
}

int net_hash(const struct net *n, char out[33], struct error *err)
{
    struct xxh128_stream *stream;
    struct xxh128 hash;
    out[0] = 0;
    if (xxh128_stream_open(&stream, err)) return -1;
    for (int i = 0; i < n->n_layers; i++)
        for (int j = 0; j < n->layers[i].n_weights; j++) {
            const struct net_weight *w = &n->layers[i].weights[j];
            char shape[64];
            net_shape_text(shape, &w->shape);
            xxh128_stream_add(stream, w->name, strlen(w->name) + 1);
            xxh128_stream_add(stream, shape, strlen(shape) + 1);
            if (w->values) xxh128_stream_add(stream, w->values, w->n_values * sizeof(float));
        }
    xxh128_stream_end(stream, &hash);
    xxh128_stream_close(stream);
    xxh128_hex(out, &hash);
    return 0;
}

int net_fold_temperature(struct net *n, struct error *err)
{
    int at = n->output;
    while (n->layers[at].kind == LAYER_ACTIVATION || n->layers[at].kind == LAYER_DROPOUT)
        at = n->layers[at].inputs[0];
    struct net_layer *dense = &n->layers[at];
    if (n->metadata.temperature == 1) return 0;
    if (dense->kind != LAYER_DENSE || (dense->activation != ACTIVATION_SOFTMAX && at == n->output))
        return error_set(err, EX_DATAERR,
                         "the temperature cannot be folded: the network does not end in a dense softmax "
                         "layer");
    for (int j = 0; j < dense->n_weights; j++)
        for (size_t k = 0; k < dense->weights[j].n_values; k++)
            dense->weights[j].values[k] =
                (float)((double)dense->weights[j].values[k] / n->metadata.temperature);
    n->metadata.temperature = 1;
    n->metadata.model_id[0] = 0;
    return 0;
}

int net_unlock_from(struct net *n, const char *from, struct error *err)
{
    int first = net_find(n, from);
    if (first < 0) return error_set(err, EX_DATAERR, "the network has no layer '%s'", from);
    for (int i = 0; i < n->n_layers; i++)
        n->layers[i].trainable = i >= first && n->layers[i].kind != LAYER_INPUT;
    return 0;
}
