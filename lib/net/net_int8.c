/* net_int8.c: reads and writes the key "int8" of a model's metadata, and rounds weights to integers; see
 * net_int8.h. */
#include "net/net_int8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/net_parts.h"

#define KEY "int8"

static int damaged(struct error *err, const char *what, const char *layer)
{
    return error_set(
        err, EX_DATAERR,
        "userDefinedMetadata: 'int8' is damaged: %s%s%s: make the model again (export --precision "
        "int8)",
        what, layer ? " " : "", layer ? layer : "");
}

bool net_is_int8(const struct net *n)
{
    cJSON *all = NULL;
    struct error ignored = {0};
    if (!n->metadata.extra_json) return false;
    bool is = !net_json_parse(n->metadata.extra_json, strlen(n->metadata.extra_json), &all, &ignored) &&
              net_json_get(all, KEY);
    cJSON_Delete(all);
    return is;
}

static int layer_of(const struct net *n, const cJSON *name)
{
    return cJSON_IsString(name) ? net_find(n, name->valuestring) : -1;
}

static bool is_convolution(const struct net_layer *l)
{
    return l->kind == LAYER_CONV2D || l->kind == LAYER_DEPTHWISE_CONV2D;
}

static struct net_weight *kernel_of(const struct net *n, int layer)
{
    struct net_layer *l = &n->layers[layer];
    return net_weight_of(l, l->kind == LAYER_CONV2D ? WEIGHT_KERNEL : WEIGHT_DEPTHWISE_KERNEL);
}

static bool is_whole(const struct net_weight *w)
{
    for (size_t i = 0; w->values && i < w->n_values; i++)
        if (!(fabsf(w->values[i]) <= NET_INT8_MOST) || w->values[i] != rintf(w->values[i])) return false;
    return true;
}

static int read_layers(struct net_int8 *q, const struct net *n, const cJSON *o, struct error *err)
{
    const cJSON *kernels = net_json_get(o, "kernels"), *values = net_json_get(o, "values"), *v;
    if (!cJSON_IsArray(kernels) || !cJSON_IsArray(values))
        return damaged(err, "'kernels' and 'values' must be lists", NULL);
    cJSON_ArrayForEach(v, kernels)
    {
        int i = layer_of(n, v);
        if (i < 0 || !is_convolution(&n->layers[i]))
            return damaged(err, "'kernels' names what is not a convolution of this network", NULL);
        const struct net_weight *w = kernel_of(n, i);
        if (!w || !is_whole(w))
            return damaged(err, "its kernels must be whole numbers from -64 to 64, unlike that of layer",
                           n->layers[i].name);
        q->layers[i].kernel = true;
    }
    cJSON_ArrayForEach(v, values)
    {
        const cJSON *scale = net_json_get(v, "scale"), *zero = net_json_get(v, "zero");
        int i = layer_of(n, net_json_get(v, "layer"));
        if (i < 0) return damaged(err, "'values' names a layer that this network does not have", NULL);
        if (!cJSON_IsNumber(scale) || !(scale->valuedouble > 1e-20) || !(scale->valuedouble < 1e20))
            return damaged(err, "'scale' must be a number from 1e-20 to 1e20 in layer", n->layers[i].name);
        if (net_json_int(zero, 0, 255, &q->layers[i].zero))
            return damaged(err, "'zero' must be a whole number from 0 to 255 in layer", n->layers[i].name);
        q->layers[i].scale = scale->valuedouble;
    }
    return 0;
}

int net_int8_read(struct net_int8 *out, const struct net *n, struct error *err)
{
    cJSON *all = NULL;
    const cJSON *o, *version;
    int rc = -1;
    *out = NET_INT8_EMPTY;
    if (!n->metadata.extra_json) return 0;
    if (net_json_parse(n->metadata.extra_json, strlen(n->metadata.extra_json), &all, err)) return -1;
    if (!(o = net_json_get(all, KEY))) {
        cJSON_Delete(all);
        return 0;
    }
    version = net_json_get(o, "version");
    if (!cJSON_IsNumber(version) || version->valuedouble < 1)
        damaged(err, "it has no version", NULL);
    else if (version->valuedouble > NET_INT8_VERSION)
        error_set(err, EX_DATAERR,
                  "userDefinedMetadata: 'int8' has version %g, and this winnow knows %d: use a later winnow",
                  version->valuedouble, NET_INT8_VERSION);
    else if ((out->layers = mem_zalloc((size_t)n->n_layers, sizeof *out->layers, err))) {
        out->n_layers = n->n_layers;
        (void)net_json_int(net_json_get(o, "pictures"), 0, 1 << 30, &out->n_pictures);
        rc = read_layers(out, n, o, err);
    }
    cJSON_Delete(all);
    if (rc) net_int8_release(out);
    return rc;
}

int net_int8_store(const struct net_int8 *q, struct net *n, struct error *err)
{
    struct net_metadata *m = &n->metadata;
    cJSON *all, *o;
    if (net_json_reopen(m->extra_json, KEY, &all, &o, err)) return -1;
    cJSON_AddNumberToObject(o, "version", NET_INT8_VERSION);
    cJSON_AddNumberToObject(o, "pictures", q->n_pictures);
    cJSON *kernels = cJSON_AddArrayToObject(o, "kernels"), *values = cJSON_AddArrayToObject(o, "values");
    for (int i = 0; i < q->n_layers; i++) {
        if (q->layers[i].kernel) cJSON_AddItemToArray(kernels, cJSON_CreateString(n->layers[i].name));
        if (q->layers[i].scale <= 0) continue;
        cJSON *v = cJSON_CreateObject();
        cJSON_AddStringToObject(v, "layer", n->layers[i].name);
        cJSON_AddNumberToObject(v, "scale", q->layers[i].scale);
        cJSON_AddNumberToObject(v, "zero", q->layers[i].zero);
        cJSON_AddItemToArray(values, v);
    }
    return net_json_keep(&m->extra_json, all, err);
}

void net_int8_release(struct net_int8 *q)
{
    free(q->layers);
    *q = NET_INT8_EMPTY;
}

/* --- making it --- */

int net_int8_norm_of(const struct net *n, int layer)
{
    int norm = -1, readers = 0;
    for (int i = layer + 1; i < n->n_layers; i++)
        for (int k = 0; k < n->layers[i].n_inputs; k++)
            if (n->layers[i].inputs[k] == layer) {
                readers++;
                norm = i;
            }
    return readers == 1 && layer != n->output && n->layers[norm].kind == LAYER_BATCH_NORM ? norm : -1;
}

/* Inserts a new layer after layer `at`: layers that read `at` now read the new layer. */
static struct net_layer *insert_after(struct net *n, int at, enum layer_kind kind, const char *ending,
                                      struct error *err)
{
    char name[NET_MAX_NAME_BYTES + 1];
    snprintf(name, sizeof name, "%.200s_%s", n->layers[at].name, ending);
    for (int i = 2; net_find(n, name) >= 0; i++)
        snprintf(name, sizeof name, "%.200s_%s_%d", n->layers[at].name, ending, i);
    if (!net_add_layer(n, kind, name, err)) return NULL;
    struct net_layer moved = n->layers[n->n_layers - 1];
    memmove(&n->layers[at + 2], &n->layers[at + 1], (size_t)(n->n_layers - at - 2) * sizeof moved);
    n->layers[at + 1] = moved;
    for (int i = at + 2; i < n->n_layers; i++)
        for (int k = 0; k < n->layers[i].n_inputs; k++)
            n->layers[i].inputs[k] += n->layers[i].inputs[k] >= at;
    n->output += n->output >= at;
    n->input += n->input > at;
    struct net_layer *l = &n->layers[at + 1];
    l->trainable = false;
    return net_layer_connect(l, &at, 1, err) ? NULL : l;
}

/* Adds the missing vectors of a batch norm, with values that have no effect, so that it has all four. */
static int make_norm(struct net *n, struct net_layer *l, struct error *err)
{
    size_t n_c = (size_t)l->output.dim[l->output.rank - 1];
    for (int i = 0; i < l->n_weights; i++) {
        net_weight_drop_values(n, &l->weights[i]);
        free(l->weights[i].name);
    }
    free(l->weights);
    l->weights = NULL;
    l->n_weights = 0;
    l->scale = l->center = true;
    if (net_layer_make_weights(l, err)) return -1;
    for (int i = 0; i < l->n_weights; i++) {
        struct net_weight *w = &l->weights[i];
        w->shape = (struct net_shape){1, {(int)n_c}};
        if (!(w->values = mem_zalloc(n_c, sizeof *w->values, err))) return -1;
        w->n_values = n_c;
        for (size_t c = 0; c < n_c; c++)
            w->values[c] =
                w->role == WEIGHT_MOVING_VARIANCE ? (float)(1 - l->epsilon) : w->role == WEIGHT_GAMMA;
    }
    return 0;
}

int net_int8_prepare(struct net *n, struct error *err)
{
    for (int i = 0; i < n->n_layers; i++) {
        struct net_layer *l = &n->layers[i];
        if (!is_convolution(l) || l->activation == ACTIVATION_SOFTMAX) continue;
        if (l->activation == ACTIVATION_LINEAR && net_int8_norm_of(n, i) >= 0) continue;
        enum activation_kind activation = l->activation;
        l->activation = ACTIVATION_LINEAR;
        if (activation != ACTIVATION_LINEAR) {
            struct net_layer *a = insert_after(n, i, LAYER_ACTIVATION, "activation", err);
            if (!a) return -1;
            a->activation = activation;
        }
        struct net_layer *norm = insert_after(n, i, LAYER_BATCH_NORM, "int8", err);
        if (!norm) return -1;
        norm->epsilon = 1e-3;
        norm->momentum = 0.99;
        norm->axis = 3;
        norm->output = n->layers[i].output;
        if (make_norm(n, norm, err)) return -1;
        i++;
    }
    return net_infer_shapes(n, 0, 0, err);
}

/* Returns the scale for the weights of one channel with the smallest error. The largest weights may be
 * clipped. */
static double best_factor(const double *w, size_t n, size_t stride, double largest)
{
    double best = largest / (NET_INT8_MOST - 1), least = INFINITY;
    for (int step = 0; step < 12; step++) {
        double factor = largest * (1 - 0.04 * step) / (NET_INT8_MOST - 1), error = 0;
        for (size_t i = 0; i < n; i++) {
            double v = w[i * stride], r = nearbyint(v / factor);
            r = r > NET_INT8_MOST - 1 ? NET_INT8_MOST - 1 : r < 1 - NET_INT8_MOST ? 1 - NET_INT8_MOST : r;
            error += (v - r * factor) * (v - r * factor);
        }
        if (error < least) {
            least = error;
            best = factor;
        }
    }
    return best;
}

static float value_or(struct net_layer *l, enum weight_role role, size_t c, float otherwise)
{
    const struct net_weight *w = net_weight_of(l, role);
    return w ? w->values[c] : otherwise;
}

int net_int8_round_kernel(struct net *n, int layer, int norm, const double *mean, struct error *err)
{
    struct net_layer *l = &n->layers[layer], *b = &n->layers[norm];
    struct net_weight *k = kernel_of(n, layer);
    size_t n_c = (size_t)b->output.dim[b->output.rank - 1], n_each = k->n_values / n_c;
    size_t n_in = (size_t)k->shape.dim[2];
    bool depthwise = l->kind == LAYER_DEPTHWISE_CONV2D;
    double *w = mem_alloc(k->n_values * sizeof *w, err), *shift = NULL;
    float *factor = NULL;
    int rc = -1;
    if (!w || !(shift = mem_alloc(n_c * sizeof *shift, err)) ||
        !(factor = mem_alloc(n_c * sizeof *factor, err)))
        goto out;
    for (size_t c = 0; c < n_c; c++) {
        double scale = (double)value_or(b, WEIGHT_GAMMA, c, 1) /
                       sqrt((double)value_or(b, WEIGHT_MOVING_VARIANCE, c, 1) + b->epsilon);
        double centre = (double)value_or(b, WEIGHT_MOVING_MEAN, c, 0) -
                        (l->use_bias ? (double)value_or(l, WEIGHT_BIAS, c, 0) : 0);
        double largest = 0;
        shift[c] = (double)value_or(b, WEIGHT_BETA, c, 0) - centre * scale;
        for (size_t i = 0; i < n_each; i++) {
            w[i * n_c + c] = (double)k->values[i * n_c + c] * scale;
            largest = fmax(largest, fabs(w[i * n_c + c]));
        }
        if (!isfinite(largest) || !isfinite(shift[c])) {
            error_set(err, EX_DATAERR, "layer '%s': a weight is not a number", l->name);
            goto out;
        }
        /* A channel of zeros or of nearly denormal numbers gets the scale 1. */
        factor[c] = largest > 1e-30 ? (float)best_factor(w + c, n_each, n_c, largest) : 1;
        for (size_t i = 0; i < n_each; i++) {
            double r = nearbyint(w[i * n_c + c] / (double)factor[c]);
            r = fmax(fmin(r, NET_INT8_MOST - 1), 1 - NET_INT8_MOST);
            k->values[i * n_c + c] = (float)r;
            size_t from = depthwise ? c / (n_c / n_in) : i % n_in;
            if (mean) shift[c] += (w[i * n_c + c] - r * (double)factor[c]) * mean[from];
        }
    }
    /* The norm now has all four vectors; the bias of the convolution is in its beta. */
    struct net_weight *own = l->use_bias ? net_weight_of(l, WEIGHT_BIAS) : NULL;
    if (own) memset(own->values, 0, own->n_values * sizeof *own->values);
    if (make_norm(n, b, err)) goto out;
    for (size_t c = 0; c < n_c; c++) {
        float variance = net_weight_of(b, WEIGHT_MOVING_VARIANCE)->values[c];
        net_weight_of(b, WEIGHT_GAMMA)->values[c] =
            (float)((double)factor[c] * sqrt((double)variance + b->epsilon));
        net_weight_of(b, WEIGHT_BETA)->values[c] = (float)shift[c];
    }
    rc = 0;
out:
    free(w);
    free(shift);
    free(factor);
    return rc;
}
