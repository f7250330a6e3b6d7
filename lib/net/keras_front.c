/*
 * keras_front.c: reads the layers that preprocess the input of a network: Rescaling, Normalization,
 * Cropping2D, CenterCrop; and UpSampling2D.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "net/keras_graph.h"

int keras_numbers(const cJSON *v, double *out, size_t max, size_t *n)
{
    const cJSON *child;
    if (cJSON_IsNumber(v)) {
        if (*n >= max || !isfinite(v->valuedouble)) return -1;
        out[(*n)++] = v->valuedouble;
        return 0;
    }
    if (cJSON_IsObject(v)) { /* __tensor__, __numpy__ */
        const char *class_name = config_string(v, "class_name");
        bool tensor =
            class_name && (strcmp(class_name, "__tensor__") == 0 || strcmp(class_name, "__numpy__") == 0);
        return tensor ? keras_numbers(net_json_get(net_json_get(v, "config"), "value"), out, max, n) : -1;
    }
    if (!cJSON_IsArray(v)) return -1;
    cJSON_ArrayForEach(child, v) if (keras_numbers(child, out, max, n)) return -1;
    return 0;
}

/* Reads two settings, each of which is one number or one for each channel, and repeats a single number to the
 * length of the other. */
static int two_lists(const cJSON *a, const cJSON *b, double first, double second, double **out, size_t *n,
                     struct error *err)
{
    size_t count[2] = {0, 0};
    const cJSON *given[2] = {a, b};
    double missing[2] = {first, second};
    if (!(*out = mem_alloc(2 * KERAS_MAX_NUMBERS * sizeof **out, err))) return -1;
    for (int k = 0; k < 2; k++) {
        double *to = *out + k * KERAS_MAX_NUMBERS;
        if (!given[k])
            to[count[k]++] = missing[k];
        else if (keras_numbers(given[k], to, KERAS_MAX_NUMBERS, &count[k]) || !count[k])
            goto bad;
    }
    *n = count[0] > count[1] ? count[0] : count[1];
    for (int k = 0; k < 2; k++) {
        if (count[k] != 1 && count[k] != *n) goto bad;
        for (size_t i = count[k]; i < *n; i++)
            (*out)[k * KERAS_MAX_NUMBERS + (int)i] = (*out)[k * KERAS_MAX_NUMBERS];
    }
    return 0;
bad:
    free(*out);
    *out = NULL;
    return error_set(err, EX_DATAERR, "its settings must be numbers, or one number for each channel");
}

int keras_rescaling(struct keras_call *c, struct error *err)
{
    double *numbers;
    size_t n;
    if (two_lists(net_json_get(c->config, "scale"), net_json_get(c->config, "offset"), 1, 0, &numbers, &n,
                  err))
        return -1;
    c->out.layer = keras_rescale(c, "", c->in[0].layer, numbers, numbers + KERAS_MAX_NUMBERS, n, err);
    free(numbers);
    return c->out.layer < 0 ? -1 : 0;
}

int keras_normalization(struct keras_call *c, struct error *err)
{
    const cJSON *axis = net_json_get(c->config, "axis"), *mean = net_json_get(c->config, "mean"),
                *variance = net_json_get(c->config, "variance");
    int from = c->in[0].layer, rank = keras_shape(c, from)->rank, at = -1;
    bool inverse;
    double *numbers;
    size_t n;
    if (cJSON_IsArray(axis) && cJSON_GetArraySize(axis) == 1) axis = axis->child;
    bool last = axis && !net_json_int(axis, -1, rank, &at) && (at == -1 || at == rank);
    if (config_bool(c->config, "invert", false, &inverse, err)) return -1;
    if (!last && !(mean && variance)) return config_wrong(err, "axis", "must be the last one");
    if (!mean || !variance) {
        if ((at = keras_emit(c, LAYER_SCALE, "", &from, 1, err)) < 0 || keras_finish(c, at, err)) return -1;
        struct net_source *s = &c->r->sources->items[at];
        s->kind = inverse ? SOURCE_INVERSE_NORMALIZATION : SOURCE_NORMALIZATION;
        s->slot[0] = 1;
        s->slot[1] = 0;
        s->leaf[0] = "variance";
        s->leaf[1] = "mean";
        c->r->n->layers[at].trainable = false;
        c->out.layer = at;
        return 0;
    }
    if (two_lists(mean, variance, 0, 1, &numbers, &n, err)) return -1;
    double *means = numbers, *variances = numbers + KERAS_MAX_NUMBERS;
    for (size_t i = 0; i < n; i++) {
        double deviation = fmax(sqrt(variances[i]), 1e-7), m = means[i];
        variances[i] = inverse ? deviation : 1 / deviation;
        means[i] = inverse ? m : -m / deviation;
    }
    c->out.layer = keras_rescale(c, "", from, variances, means, n, err);
    free(numbers);
    return c->out.layer < 0 ? -1 : 0;
}

int keras_cropping(struct keras_call *c, struct error *err)
{
    const cJSON *v = net_json_get(c->config, "cropping");
    int sides[4];
    if (config_channels_last(c->config, err)) return -1;
    for (int axis = 0; axis < 2; axis++) {
        const cJSON *pair = cJSON_IsArray(v) ? cJSON_GetArrayItem(v, axis) : v;
        for (int side = 0; side < 2; side++)
            if (net_json_int(cJSON_IsArray(pair) ? cJSON_GetArrayItem(pair, side) : pair, 0, 4096,
                             &sides[2 * axis + side]))
                return config_wrong(err, "cropping", "must be a number, a pair or two pairs from 0 to 4096");
    }
    int at = keras_emit(c, LAYER_ZERO_PADDING, "", &c->in[0].layer, 1, err);
    if (at < 0) return -1;
    struct net_layer *l = &c->r->n->layers[at];
    l->pad_top = -sides[0];
    l->pad_bottom = -sides[1];
    l->pad_left = -sides[2];
    l->pad_right = -sides[3];
    c->out.layer = at;
    return keras_finish(c, at, err);
}

/* CenterCrop of a picture that is at least as large. (Keras would enlarge a smaller one.) */
int keras_center_crop(struct keras_call *c, struct error *err)
{
    int from = c->in[0].layer, height, width;
    const struct net_shape in = *keras_shape(c, from);
    if (config_channels_last(c->config, err) || config_int(c->config, "height", -1, 1, 4096, &height, err) ||
        config_int(c->config, "width", -1, 1, 4096, &width, err))
        return -1;
    if (in.rank != 3 || in.dim[0] < height || in.dim[1] < width)
        return error_set(err, EX_DATAERR, "is read where its input is known to be larger only");
    int at = keras_emit(c, LAYER_ZERO_PADDING, "", &from, 1, err);
    if (at < 0) return -1;
    struct net_layer *l = &c->r->n->layers[at];
    l->pad_top = -((in.dim[0] - height) / 2);
    l->pad_bottom = height - in.dim[0] - l->pad_top;
    l->pad_left = -((in.dim[1] - width) / 2);
    l->pad_right = width - in.dim[1] - l->pad_left;
    c->out.layer = at;
    return keras_finish(c, at, err);
}

/* UpSampling2D by whole factors: repeats each pixel, or interpolates bilinearly with the same pixel
 * centres as Resizing. */
int keras_upsampling(struct keras_call *c, struct error *err)
{
    const cJSON *size = net_json_get(c->config, "size");
    const char *method = config_string(c->config, "interpolation");
    int from = c->in[0].layer, by[2];
    const struct net_shape in = *keras_shape(c, from);
    bool nearest = !method || strcmp(method, "nearest") == 0;
    for (int i = 0; i < 2; i++)
        if (net_json_int(cJSON_IsArray(size) ? cJSON_GetArrayItem(size, i) : size, 1, 64, &by[i]))
            return config_wrong(err, "size", "must be a number or a pair from 1 to 64");
    if (!nearest && strcmp(method, "bilinear") != 0)
        return config_wrong(err, "interpolation", "must be \"bilinear\" or \"nearest\"");
    if (config_channels_last(c->config, err)) return -1;
    if (in.rank != 3 || in.dim[0] < 1 || in.dim[1] < 1 || in.dim[0] > NET_MAX_DIM / 64 ||
        in.dim[1] > NET_MAX_DIM / 64)
        return error_set(err, EX_DATAERR, "needs an input of a fixed size");
    int at = keras_emit(c, LAYER_RESIZING, "", &from, 1, err);
    if (at < 0) return -1;
    struct net_layer *l = &c->r->n->layers[at];
    l->resize_h = in.dim[0] * by[0];
    l->resize_w = in.dim[1] * by[1];
    l->nearest = nearest;
    c->out.layer = at;
    return keras_finish(c, at, err);
}
