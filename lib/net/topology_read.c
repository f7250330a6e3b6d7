/*
 * topology_read.c: reads the settings of Keras' layers in TFJS model.json, .h5 and .keras. It accepts the
 * spellings of Keras 2.x, tf.keras and Keras 3 (batch_input_shape, batch_shape; initializers and regularizers
 * by name or as objects). A setting that winnow cannot compute exactly is an error.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "net/keras_graph.h"

/* --- fields of a layer's config --- */

int config_wrong(struct error *err, const char *key, const char *why)
{
    return error_set(err, EX_DATAERR, "'%s' %s", key, why);
}

int config_int(const cJSON *config, const char *key, int missing, long min, long max, int *out,
               struct error *err)
{
    const cJSON *v = net_json_get(config, key);
    if (!v && missing >= 0) {
        *out = missing;
        return 0;
    }
    if (!v) return config_wrong(err, key, "is missing");
    if (net_json_int(v, min, max, out))
        return error_set(err, EX_DATAERR, "'%s' must be a whole number from %ld to %ld", key, min, max);
    return 0;
}

/* Reads a number, or a list of two. */
static int get_pair(const cJSON *config, const char *key, int missing, int *a, int *b, struct error *err)
{
    const cJSON *v = net_json_get(config, key);
    if (!v && missing > 0) {
        *a = *b = missing;
        return 0;
    }
    if (!v) return config_wrong(err, key, "is missing");
    const cJSON *first = v, *second = v;
    if (cJSON_IsArray(v)) {
        if (cJSON_GetArraySize(v) != 2) return config_wrong(err, key, "must have two numbers");
        first = v->child;
        second = first->next;
    }
    if (net_json_int(first, 1, 4096, a) || net_json_int(second, 1, 4096, b))
        return config_wrong(err, key, "must have numbers from 1 to 4096");
    return 0;
}

int config_bool(const cJSON *config, const char *key, bool missing, bool *out, struct error *err)
{
    const cJSON *v = net_json_get(config, key);
    if (v && !cJSON_IsBool(v)) return config_wrong(err, key, "must be true or false");
    *out = v ? cJSON_IsTrue(v) : missing;
    return 0;
}

int config_double(const cJSON *config, const char *key, double missing, double min, double max, double *out,
                  struct error *err)
{
    const cJSON *v = net_json_get(config, key);
    if (!v) {
        *out = missing;
        return 0;
    }
    if (!cJSON_IsNumber(v) || !(v->valuedouble >= min) || !(v->valuedouble <= max))
        return error_set(err, EX_DATAERR, "'%s' must be a number from %g to %g", key, min, max);
    *out = v->valuedouble;
    return 0;
}

const char *config_string(const cJSON *object, const char *key)
{
    const cJSON *v = net_json_get(object, key);
    return cJSON_IsString(v) ? v->valuestring : NULL;
}

static int get_padding(const cJSON *config, bool *same, struct error *err)
{
    const cJSON *v = net_json_get(config, "padding");
    const char *s = cJSON_IsString(v) ? v->valuestring : v ? "?" : "valid";
    *same = strcmp(s, "same") == 0;
    if (!*same && strcmp(s, "valid") != 0)
        return config_wrong(err, "padding", "must be \"same\" or \"valid\"");
    return 0;
}

int config_channels_last(const cJSON *config, struct error *err)
{
    const cJSON *v = net_json_get(config, "data_format");
    if (v && !(cJSON_IsString(v) && strcmp(v->valuestring, "channels_last") == 0))
        return config_wrong(err, "data_format", "must be \"channels_last\"");
    return 0;
}

const char *config_activation(const cJSON *config, const cJSON **object)
{
    const cJSON *v = net_json_get(config, "activation");
    const char *class_name = config_string(v, "class_name");
    *object = NULL;
    if (cJSON_IsString(v)) return v->valuestring;
    if (class_name && strcmp(class_name, "function") == 0) return config_string(v, "config");
    *object = v;
    return NULL;
}

/* An activation that the layer cannot have is set to linear here; keras_layers.c adds it as a separate
 * layer. */
static int get_activation(const cJSON *config, struct net_layer *l, bool keras3, struct error *err)
{
    const cJSON *object;
    const char *name = config_activation(config, &object);
    char shown[64];
    l->activation = ACTIVATION_LINEAR;
    if (object && !cJSON_IsObject(object)) return config_wrong(err, "activation", "must be a name");
    if (!name) return 0;
    if (net_activation_parse(name, keras3, &l->activation, &l->alpha))
        return error_set(err, EX_DATAERR, "activation '%s' is not known",
                         text_for_people(shown, sizeof shown, name));
    if (!activation_is_plain(l->activation)) l->activation = ACTIVATION_LINEAR;
    return 0;
}

/* The channel axis, counted with the batch: -1, or 3 for maps, or 1 after Flatten
 * (net_infer_shapes checks which one fits). */
static int want_last_axis(struct net_layer *l, const cJSON *config, struct error *err)
{
    const cJSON *v = net_json_get(config, "axis");
    l->axis = -1;
    if (cJSON_IsArray(v) && cJSON_GetArraySize(v) == 1) v = v->child;
    if (v && (net_json_int(v, -1, 3, &l->axis) || (l->axis != -1 && l->axis != 3 && l->axis != 1)))
        return config_wrong(err, "axis", "must be the last one");
    return 0;
}

static void get_initializer(const cJSON *config, const char *key, char out[24])
{
    static const struct {
        const char *class_name, *name;
    } plain[] = {
        {"GlorotUniform", "glorot_uniform"},
        {"GlorotNormal", "glorot_normal"},
        {"HeNormal", "he_normal"},
        {"HeUniform", "he_uniform"},
        {"LecunNormal", "lecun_normal"},
        {"LecunUniform", "lecun_uniform"},
        {"Zeros", "zeros"},
    };
    const cJSON *v = net_json_get(config, key);
    const char *name = cJSON_IsString(v) ? v->valuestring : config_string(v, "class_name");
    out[0] = 0;
    if (!name) return;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (strcmp(name, plain[i].class_name) == 0 || strcmp(name, plain[i].name) == 0) {
            snprintf(out, 24, "%s", plain[i].name);
            return;
        }
    if (strcmp(name, "VarianceScaling") != 0)
        return; /* anything else: the default is used if the layer is ever initialized again */
    const cJSON *c = net_json_get(v, "config");
    const cJSON *scale = net_json_get(c, "scale");
    const char *mode = config_string(c, "mode"), *distribution = config_string(c, "distribution");
    bool uniform = distribution && strcmp(distribution, "uniform") == 0;
    double s = cJSON_IsNumber(scale) ? scale->valuedouble : 1.0;
    if (mode && strcmp(mode, "fan_avg") == 0 && s == 1.0)
        snprintf(out, 24, "glorot_%s", uniform ? "uniform" : "normal");
    else if (mode && strcmp(mode, "fan_in") == 0 && s == 2.0)
        snprintf(out, 24, "he_%s", uniform ? "uniform" : "normal");
    else if (mode && strcmp(mode, "fan_in") == 0 && s == 1.0)
        snprintf(out, 24, "lecun_%s", uniform ? "uniform" : "normal");
}

/* Regularizers matter for training only. L2 of the kernel is supported; a layer with another one cannot be
 * trained. */
static int get_l2(const cJSON *config, struct net_layer *l, struct error *err)
{
    static const char *const others[] = {"bias_regularizer", "activity_regularizer", "depthwise_regularizer",
                                         "pointwise_regularizer"};
    const cJSON *v = net_json_get(config, "kernel_regularizer"), *c = net_json_get(v, "config");
    const char *class_name = config_string(v, "class_name");
    double l1 = 0;
    l->l2 = 0;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        l->other_loss |= net_json_get(config, others[i]) != NULL;
    if (!v) return 0;
    if (cJSON_IsString(v)) {
        if (strcmp(v->valuestring, "l2") == 0)
            l->l2 = 0.01;
        else
            l->other_loss = true;
        return 0;
    }
    if (config_double(c, "l1", 0, 0, 1e6, &l1, err) || config_double(c, "l2", 0, 0, 1e6, &l->l2, err))
        return error_prefix(err, "kernel_regularizer");
    bool known = !class_name || strcmp(class_name, "L2") == 0 || strcmp(class_name, "L1L2") == 0;
    if (l1 != 0 || !known) {
        l->other_loss = true;
        l->l2 = 0;
    }
    return 0;
}

/* --- layers by class --- */

static int shape_from_list(const cJSON *list, int skip, struct net_shape *out, struct error *err,
                           const char *key)
{
    const cJSON *v;
    int i = 0;
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) - skip < 1 ||
        cJSON_GetArraySize(list) - skip > NET_MAX_RANK)
        return error_set(err, EX_DATAERR, "'%s' must be a list of at most %d sizes", key,
                         NET_MAX_RANK + skip);
    out->rank = 0;
    cJSON_ArrayForEach(v, list)
    {
        if (i++ < skip) continue;
        int *dim = &out->dim[out->rank++];
        if (cJSON_IsNull(v))
            *dim = -1;
        else if (net_json_int(v, -1, NET_MAX_DIM, dim) || *dim == 0)
            return error_set(err, EX_DATAERR, "'%s' must hold sizes from 1 to %d", key, NET_MAX_DIM);
    }
    return 0;
}

int config_input_shape(struct net_layer *l, const cJSON *config, struct error *err)
{
    const cJSON *shape = net_json_get(config, "batch_input_shape");
    if (!shape) shape = net_json_get(config, "batch_shape");
    if (!shape) return config_wrong(err, "batch_input_shape", "is missing");
    if (shape_from_list(shape, 1, &l->output, err, "batch_input_shape")) return -1;
    if (l->output.dim[l->output.rank - 1] < 0)
        return config_wrong(err, "batch_input_shape", "does not say how many channels there are");
    return 0;
}

static int read_conv(struct net_layer *l, const cJSON *c, bool keras3, struct error *err)
{
    bool depthwise = l->kind == LAYER_DEPTHWISE_CONV2D;
    if (config_channels_last(c, err) || get_padding(c, &l->same, err) || get_activation(c, l, keras3, err) ||
        get_pair(c, "kernel_size", 0, &l->kernel_h, &l->kernel_w, err) ||
        get_pair(c, "strides", 1, &l->stride_h, &l->stride_w, err) ||
        get_pair(c, "dilation_rate", 1, &l->dilation_h, &l->dilation_w, err) ||
        config_bool(c, "use_bias", true, &l->use_bias, err) ||
        config_int(c, depthwise ? "depth_multiplier" : "filters", depthwise ? 1 : -1, 1, NET_MAX_DIM,
                   &l->filters, err) ||
        config_int(c, "groups", 1, 1, NET_MAX_DIM, &l->groups, err) || get_l2(c, l, err))
        return -1;
    if (depthwise) l->groups = 1; /* Keras writes it and does not use it */
    if (l->activation == ACTIVATION_SOFTMAX) l->activation = ACTIVATION_LINEAR; /* so is this one */
    get_initializer(c, depthwise ? "depthwise_initializer" : "kernel_initializer", l->initializer);
    return 0;
}

/* Reads winnow's own key: the padding [top, bottom, left, right] of a pool. */
static int get_pads(struct net_layer *l, const cJSON *c, struct error *err)
{
    const cJSON *v = net_json_get(c, "pads");
    int *sides[] = {&l->pad_top, &l->pad_bottom, &l->pad_left, &l->pad_right};
    if (!v) return 0;
    if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) != 4 || l->same)
        return config_wrong(err, "pads", "must be four numbers, without padding \"same\"");
    for (int i = 0; i < 4; i++)
        if (net_json_int(cJSON_GetArrayItem(v, i), 0, 4096, sides[i]))
            return config_wrong(err, "pads", "must have numbers from 0 to 4096");
    return 0;
}

static int read_pool(struct net_layer *l, const cJSON *c, struct error *err)
{
    if (config_channels_last(c, err) || get_padding(c, &l->same, err) || get_pads(l, c, err) ||
        get_pair(c, "pool_size", 2, &l->kernel_h, &l->kernel_w, err))
        return -1;
    if (!net_json_get(c, "strides")) { /* Keras: as large as the window */
        l->stride_h = l->kernel_h;
        l->stride_w = l->kernel_w;
        return 0;
    }
    return get_pair(c, "strides", 0, &l->stride_h, &l->stride_w, err);
}

static int read_zero_padding(struct net_layer *l, const cJSON *c, struct error *err)
{
    const cJSON *v = net_json_get(c, "padding");
    int *sides[2][2] = {{&l->pad_top, &l->pad_bottom}, {&l->pad_left, &l->pad_right}};
    if (config_channels_last(c, err)) return -1;
    for (int axis = 0; axis < 2; axis++) {
        const cJSON *pair = cJSON_IsArray(v) ? cJSON_GetArrayItem(v, axis) : v;
        for (int side = 0; side < 2; side++) {
            const cJSON *one = cJSON_IsArray(pair) ? cJSON_GetArrayItem(pair, side) : pair;
            if (!v)
                *sides[axis][side] = 1;
            else if (net_json_int(one, 0, 4096, sides[axis][side]))
                return config_wrong(err, "padding", "must be a number, a pair or two pairs from 0 to 4096");
        }
    }
    return 0;
}

static int read_relu(struct net_layer *l, const cJSON *c, struct error *err)
{
    double max, slope, threshold;
    if (config_double(c, "max_value", 0, 0, 1e30, &max, err) ||
        config_double(c, "negative_slope", 0, -1e30, 1e30, &slope, err) ||
        config_double(c, "threshold", 0, -1e30, 1e30, &threshold, err))
        return -1;
    l->relu_max = (float)max;
    l->relu_slope = (float)slope;
    l->relu_threshold = (float)threshold;
    return 0;
}

static int read_scale(struct net_layer *l, const cJSON *c, struct error *err)
{
    if (config_bool(c, "scale", true, &l->scale, err) || config_bool(c, "center", true, &l->center, err) ||
        config_bool(c, "one_scale", false, &l->one_scale, err) ||
        config_bool(c, "one_center", false, &l->one_center, err))
        return -1;
    return l->scale || l->center ? 0 : config_wrong(err, "scale", "or 'center' must be true");
}

static int read_clip(struct net_layer *l, const cJSON *c, struct error *err)
{
    double min, max;
    if (config_double(c, "min", -1e30, -1e30, 1e30, &min, err) ||
        config_double(c, "max", 1e30, min, 1e30, &max, err))
        return -1;
    l->clip_min = (float)min;
    l->clip_max = (float)max;
    return 0;
}

static int read_channels(struct net_layer *l, const cJSON *c, struct error *err)
{
    return config_int(c, "count", -1, 1, NET_MAX_DIM, &l->filters, err) ||
                   config_int(c, "first", 0, 0, NET_MAX_DIM, &l->pick_first, err) ||
                   config_int(c, "step", 1, -NET_MAX_DIM, NET_MAX_DIM, &l->pick_step, err) ||
                   config_int(c, "groups", 1, 1, NET_MAX_DIM, &l->pick_groups, err) ||
                   config_int(c, "span", 0, -NET_MAX_DIM, NET_MAX_DIM, &l->pick_span, err)
               ? -1
               : 0;
}

static int read_resizing(struct net_layer *l, const cJSON *c, struct error *err)
{
    const char *method = config_string(c, "interpolation");
    bool antialias, crop, pad;
    if (config_channels_last(c, err) || config_int(c, "height", -1, 1, 4096, &l->resize_h, err) ||
        config_int(c, "width", -1, 1, 4096, &l->resize_w, err) ||
        config_bool(c, "antialias", false, &antialias, err) ||
        config_bool(c, "crop_to_aspect_ratio", false, &crop, err) ||
        config_bool(c, "pad_to_aspect_ratio", false, &pad, err))
        return -1;
    l->nearest = method && strcmp(method, "nearest") == 0;
    l->from_corner = l->nearest && cJSON_IsTrue(net_json_get(c, "from_corner"));
    if (method && !l->nearest && strcmp(method, "bilinear") != 0)
        return config_wrong(err, "interpolation", "must be \"bilinear\" or \"nearest\"");
    return antialias || crop || pad ? config_wrong(err,
                                                   antialias ? "antialias"
                                                   : crop    ? "crop_to_aspect_ratio"
                                                             : "pad_to_aspect_ratio",
                                                   "must be false")
                                    : 0;
}

int config_read(struct net_layer *l, const cJSON *c, bool keras3, struct error *err)
{
    bool renorm = false;
    switch (l->kind) {
    case LAYER_INPUT: return config_input_shape(l, c, err);
    case LAYER_CONV2D:
    case LAYER_DEPTHWISE_CONV2D: return read_conv(l, c, keras3, err);
    case LAYER_MAX_POOL:
    case LAYER_AVERAGE_POOL: return read_pool(l, c, err);
    case LAYER_GLOBAL_AVERAGE_POOL: return config_channels_last(c, err);
    case LAYER_BATCH_NORM:
        if (config_bool(c, "renorm", false, &renorm, err)) return -1;
        if (renorm) return config_wrong(err, "renorm", "must be false");
        return want_last_axis(l, c, err) || config_double(c, "momentum", 0.99, 0, 1, &l->momentum, err) ||
                       config_double(c, "epsilon", 1e-3, 1e-12, 1, &l->epsilon, err) ||
                       config_bool(c, "scale", true, &l->scale, err) ||
                       config_bool(c, "center", true, &l->center, err)
                   ? -1
                   : 0;
    case LAYER_CONCATENATE: return want_last_axis(l, c, err);
    case LAYER_DENSE:
        if (config_int(c, "units", -1, 1, NET_MAX_DIM, &l->units, err) || get_activation(c, l, keras3, err) ||
            config_bool(c, "use_bias", true, &l->use_bias, err) || get_l2(c, l, err))
            return -1;
        get_initializer(c, "kernel_initializer", l->initializer);
        return 0;
    case LAYER_ACTIVATION: return get_activation(c, l, keras3, err);
    case LAYER_RELU: return read_relu(l, c, err);
    case LAYER_DROPOUT: return config_double(c, "rate", 0.5, 0, 1, &l->rate, err);
    case LAYER_ZERO_PADDING: return read_zero_padding(l, c, err);
    case LAYER_RESHAPE:
        return shape_from_list(net_json_get(c, "target_shape"), 0, &l->target, err, "target_shape");
    case LAYER_FLATTEN: return config_channels_last(c, err);
    case LAYER_RESCALING:
        return config_double(c, "scale", 1, -1e30, 1e30, &l->rescale, err) ||
                       config_double(c, "offset", 0, -1e30, 1e30, &l->offset, err)
                   ? -1
                   : 0;
    case LAYER_SCALE: return read_scale(l, c, err);
    case LAYER_RESIZING: return read_resizing(l, c, err);
    case LAYER_CLIP: return read_clip(l, c, err);
    case LAYER_CHANNELS: return read_channels(l, c, err);
    case LAYER_MULTIPLY:
    case LAYER_ADD:
    case LAYER_KINDS: break;
    }
    return 0;
}

int config_kind(const char *class_name)
{
    for (int i = 0; i < LAYER_KINDS; i++)
        if (strcmp(layer_kind_name((enum layer_kind)i), class_name) == 0) return i;
    if (strcmp(class_name, "winnow>MaxPooling2D") == 0) return LAYER_MAX_POOL;
    if (strcmp(class_name, "winnow>AveragePooling2D") == 0) return LAYER_AVERAGE_POOL;
    if (strcmp(class_name, "winnow>Resizing") == 0) return LAYER_RESIZING;
    return -1;
}
