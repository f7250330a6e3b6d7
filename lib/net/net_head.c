/* net_head.c: adds a new classifier to a trained network, with Keras' names of layers and Keras'
 * initialisers. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "base/text.h"
#include "net/net_parts.h"

/* --- cutting --- */

/* Returns the last feature map: walks back from the output over the layers that convert a map to scores. */
static int last_feature_map(const struct net *n)
{
    int at = n->output;
    for (;;) {
        const struct net_layer *l = &n->layers[at];
        bool map = l->output.rank == 3, single = map && l->output.dim[0] == 1 && l->output.dim[1] == 1;
        bool pool = l->kind == LAYER_AVERAGE_POOL || l->kind == LAYER_MAX_POOL;
        bool head = !map || l->kind == LAYER_RESHAPE || l->kind == LAYER_DROPOUT || (pool && single);
        if (!head || l->n_inputs != 1) return map ? at : -1;
        at = l->inputs[0];
    }
}

int net_keep_before(struct net *n, int keep, struct error *err)
{
    int *new_index = mem_alloc((size_t)n->n_layers * sizeof *new_index, err), kept = 0;
    if (!new_index) return -1;
    for (int i = 0; i < n->n_layers; i++)
        new_index[i] = i == keep;
    for (int i = n->n_layers - 1; i >= 0; i--)
        for (int j = 0; new_index[i] && j < n->layers[i].n_inputs; j++)
            new_index[n->layers[i].inputs[j]] = 1;
    for (int i = 0; i < n->n_layers; i++) {
        if (!new_index[i]) {
            net_layer_release(n, &n->layers[i]);
            continue;
        }
        new_index[i] = kept;
        if (kept != i) {
            n->layers[kept] = n->layers[i];
            n->layers[i] = (struct net_layer){0};
        }
        for (int j = 0; j < n->layers[kept].n_inputs; j++)
            n->layers[kept].inputs[j] = new_index[n->layers[kept].inputs[j]];
        kept++;
    }
    n->input = new_index[n->input];
    n->output = new_index[keep];
    free(new_index);
    /* net_add_layer grows the array when the count reaches a power of two: give
     * it the capacity that it expects. */
    size_t capacity = 1;
    while (capacity < (size_t)kept)
        capacity *= 2;
    struct net_layer *layers = mem_realloc(n->layers, capacity * sizeof *layers, err);
    n->n_layers = kept;
    if (!layers) return -1;
    n->layers = layers;
    return 0;
}

/* --- initial values --- */

/*
 * Keras' VarianceScaling: variance scale / fan. A normal distribution is truncated at two standard
 * deviations, and widened by what that removes (0.8796 is the deviation of a standard normal truncated at
 * +-2), as in Keras since 2.2.3.
 */
static void initialise(struct net_weight *w, const char *initializer, struct random *r)
{
    bool he = text_starts(initializer, "he_"), lecun = text_starts(initializer, "lecun_");
    bool normal = text_ends(initializer, "_normal");
    double receptive = 1;
    for (int i = 0; i + 2 < w->shape.rank; i++)
        receptive *= w->shape.dim[i];
    double fan_in = receptive * w->shape.dim[w->shape.rank - 2],
           fan_out = receptive * w->shape.dim[w->shape.rank - 1];
    double variance = he ? 2 / fan_in : lecun ? 1 / fan_in : 2 / (fan_in + fan_out);
    for (size_t i = 0; i < w->n_values; i++) {
        if (!normal) {
            double limit = sqrt(3 * variance);
            w->values[i] = (float)random_range(r, -limit, limit);
            continue;
        }
        double x;
        do
            x = random_normal(r);
        while (fabs(x) > 2);
        w->values[i] = (float)(x * sqrt(variance) / 0.87962566103423978);
    }
}

/* --- the head --- */

/* Keras numbers the layers of a class within a session: takes the next number
 * that the network does not use. */
static void free_name(const struct net *n, const char *prefix, char out[64])
{
    int highest = 0;
    for (int i = 0; i < n->n_layers; i++) {
        int number, end = 0;
        char pattern[64];
        snprintf(pattern, sizeof pattern, "%s_%%d%%n", prefix);
        if (sscanf(n->layers[i].name, pattern, &number, &end) == 1 && n->layers[i].name[end] == 0 &&
            number > highest)
            highest = number;
    }
    snprintf(out, 64, "%s_%d", prefix, highest + 1);
}

static struct net_layer *append(struct net *n, enum layer_kind kind, const char *prefix, struct error *err)
{
    char name[64];
    int previous = n->n_layers == 0 ? 0 : n->output;
    free_name(n, prefix, name);
    struct net_layer *l = net_add_layer(n, kind, name, err);
    if (!l || net_layer_connect(l, &previous, 1, err)) return NULL;
    n->output = n->n_layers - 1;
    return l;
}

static int append_dense(struct net *n, int units, enum activation_kind activation, const char *initializer,
                        double l2, struct error *err)
{
    struct net_layer *l = append(n, LAYER_DENSE, "dense", err);
    if (!l) return -1;
    l->units = units;
    l->activation = activation;
    l->use_bias = true;
    l->l2 = l2;
    snprintf(l->initializer, sizeof l->initializer, "%s", initializer);
    return net_layer_make_weights(l, err);
}

static int append_dropout(struct net *n, double rate, struct error *err)
{
    struct net_layer *l = append(n, LAYER_DROPOUT, "dropout", err);
    if (!l) return -1;
    l->rate = rate;
    return 0;
}

static int set_classes(struct net_metadata *m, int n_classes, char *const *classes, struct error *err)
{
    char **copy = mem_zalloc((size_t)n_classes, sizeof *copy, err);
    if (!copy) return -1;
    for (int i = 0; i < n_classes; i++)
        if (!(copy[i] = mem_strdup(classes[i], err))) {
            while (i-- > 0)
                free(copy[i]);
            free(copy);
            return -1;
        }
    for (int i = 0; i < m->n_classes; i++)
        free(m->classes[i]);
    free(m->classes);
    m->classes = copy;
    m->n_classes = n_classes;
    return 0;
}

int net_cut_head(struct net *n, struct error *err)
{
    if (net_infer_shapes(n, 0, 0, err)) return -1;
    int map = last_feature_map(n);
    return map < 0 ? error_set(err, EX_DATAERR, "the network has no feature map to end in")
                   : net_keep_before(n, map, err);
}

int net_end_at(struct net *n, const char *layer, struct error *err)
{
    int at = net_block_end(n, layer);
    if (at < 0) return error_set(err, EX_USAGE, "the network has no layer or block '%s'", layer);
    const struct net_shape *s = &n->layers[at].output;
    if (at == n->input || s->rank != 3)
        return error_set(err, EX_USAGE,
                         "layer '%s' gives no feature map: height, width and channels are needed",
                         n->layers[at].name);
    return net_keep_before(n, at, err);
}

int net_replace_head(struct net *n, int n_classes, char *const *classes, uint64_t seed, struct error *err)
{
    if (n_classes < 1) return error_set(err, EX_DATAERR, "a classifier needs at least one class");
    if (net_infer_shapes(n, 0, 0, err)) return -1;
    int map = last_feature_map(n);
    if (map < 0) return error_set(err, EX_DATAERR, "the network has no feature map to put a new head on");
    struct net_shape shape = n->layers[map].output;
    if (shape.dim[0] < 0 || shape.dim[1] < 0)
        return error_set(err, EX_DATAERR, "the size of layer '%s' is unknown: fix the input size first",
                         n->layers[map].name);
    if (net_keep_before(n, map, err)) return -1;
    struct net_layer *l = append(n, LAYER_AVERAGE_POOL, "average_pooling2d", err);
    if (!l) return -1;
    l->kernel_h = l->stride_h = shape.dim[0];
    l->kernel_w = l->stride_w = shape.dim[1];
    int first = n->n_layers - 1;
    if (!append(n, LAYER_FLATTEN, "flatten", err) ||
        append_dense(n, 256, ACTIVATION_RELU, "he_normal", 0.0005, err) || append_dropout(n, 0.5, err) ||
        append_dense(n, 128, ACTIVATION_RELU, "he_normal", 0, err) || append_dropout(n, 0.25, err) ||
        append_dense(n, n_classes, ACTIVATION_SOFTMAX, "glorot_uniform", 0, err) ||
        net_infer_shapes(n, 0, 0, err) || net_alloc_weights(n, first, err) ||
        set_classes(&n->metadata, n_classes, classes, err))
        return -1;
    for (int i = first; i < n->n_layers; i++) {
        struct net_weight *kernel = net_weight_of(&n->layers[i], WEIGHT_KERNEL);
        struct random r = random_start(seed, random_key(n->layers[i].name, strlen(n->layers[i].name)), 0);
        if (kernel) initialise(kernel, n->layers[i].initializer, &r);
    }
    n->metadata.model_id[0] = 0;
    n->metadata.temperature = 1;
    return 0;
}
