/*
 * topology_write.c: writes struct net as a model_config of Keras 2, in a form that Keras 2.x, tf.keras,
 * Keras 3 (legacy files) and tfjs all read. Every value is written, because tfjs' defaults differ silently
 * (a missing padding is "valid").
 */
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "net/net_parts.h"

static cJSON *pair(int a, int b)
{
    int both[2] = {a, b};
    return cJSON_CreateIntArray(both, 2);
}

/* Returns the name of an activation for Conv2D and Dense, and for Activation layers that have such a name. */
static const char *activation_name(enum activation_kind a)
{
    const char *name = net_activation_name(a, 0, false);
    return name ? name : "linear";
}

/* Returns an initializer as Keras 2 writes it. "" means the default, glorot_uniform. */
static cJSON *initializer(const char *name)
{
    cJSON *v = cJSON_CreateObject();
    if (strcmp(name, "zeros") == 0) {
        cJSON_AddStringToObject(v, "class_name", "Zeros");
        cJSON_AddObjectToObject(v, "config");
        return v;
    }
    bool he = strncmp(name, "he_", 3) == 0, lecun = strncmp(name, "lecun_", 6) == 0;
    bool normal = strstr(name, "_normal") != NULL;
    cJSON_AddStringToObject(v, "class_name", "VarianceScaling");
    cJSON *c = cJSON_AddObjectToObject(v, "config");
    cJSON_AddNumberToObject(c, "scale", he ? 2 : 1);
    cJSON_AddStringToObject(c, "mode", he || lecun ? "fan_in" : "fan_avg");
    cJSON_AddStringToObject(c, "distribution", normal ? "normal" : "uniform");
    cJSON_AddNullToObject(c, "seed");
    return v;
}

static cJSON *named(const char *class_name)
{
    cJSON *v = cJSON_CreateObject();
    cJSON_AddStringToObject(v, "class_name", class_name);
    cJSON_AddObjectToObject(v, "config");
    return v;
}

static cJSON *l2_regularizer(double l2)
{
    if (l2 == 0) return cJSON_CreateNull();
    cJSON *v = cJSON_CreateObject();
    cJSON_AddStringToObject(v, "class_name", "L1L2"); /* "L2" is not known to tfjs */
    cJSON *c = cJSON_AddObjectToObject(v, "config");
    cJSON_AddNumberToObject(c, "l1", 0);
    cJSON_AddNumberToObject(c, "l2", l2);
    return v;
}

static cJSON *shape_list(const struct net_shape *s, bool batch)
{
    cJSON *list = cJSON_CreateArray();
    if (batch) cJSON_AddItemToArray(list, cJSON_CreateNull());
    for (int i = 0; i < s->rank; i++)
        cJSON_AddItemToArray(list,
                             s->dim[i] < 0 && batch ? cJSON_CreateNull() : cJSON_CreateNumber(s->dim[i]));
    return list;
}

static void write_window(const struct net_layer *l, cJSON *c, const char *size_key)
{
    cJSON_AddItemToObject(c, size_key, pair(l->kernel_h, l->kernel_w));
    cJSON_AddItemToObject(c, "strides", pair(l->stride_h, l->stride_w));
    cJSON_AddStringToObject(c, "padding", l->same ? "same" : "valid");
    cJSON_AddStringToObject(c, "data_format", "channels_last");
}

/* Adds the shortest number that reads back as this float: 0.1, and not 0.10000000149. */
static void add_float(cJSON *c, const char *key, float value)
{
    char text[32];
    double v = (double)value;
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (parse_number(text, &v) && (float)v == value) break;
    }
    cJSON_AddNumberToObject(c, key, v);
}

/* LeakyReLU and ELU are written as separate layers when there is no name for their alpha. */
const char *net_layer_class(const struct net_layer *l)
{
    if (l->kind == LAYER_ACTIVATION && l->activation == ACTIVATION_LEAKY_RELU) return "LeakyReLU";
    if (l->kind == LAYER_ACTIVATION && l->activation == ACTIVATION_ELU && l->alpha != 1) return "ELU";
    /* A pool with the padding of ONNX gets another class, so that other readers refuse it. */
    if (l->kind == LAYER_ZERO_PADDING && net_is_cropping(l)) return "Cropping2D";
    if (net_is_padded_pool(l))
        return l->kind == LAYER_MAX_POOL ? "winnow>MaxPooling2D" : "winnow>AveragePooling2D";
    if (l->kind == LAYER_RESIZING && l->from_corner) return "winnow>Resizing";
    return layer_kind_name(l->kind);
}

static void write_activation(const struct net_layer *l, cJSON *c)
{
    if (strcmp(net_layer_class(l), "Activation") != 0)
        add_float(c, "alpha", l->alpha);
    else
        cJSON_AddStringToObject(c, "activation", net_activation_name(l->activation, l->alpha, false));
}

void net_layer_config(const struct net_layer *l, cJSON *c)
{
    switch (l->kind) {
    case LAYER_INPUT:
        cJSON_AddItemToObject(c, "batch_input_shape", shape_list(&l->output, true));
        cJSON_AddStringToObject(c, "dtype", "float32");
        cJSON_AddFalseToObject(c, "sparse");
        return; /* no trainable */
    case LAYER_CONV2D:
        cJSON_AddNumberToObject(c, "filters", l->filters);
        write_window(l, c, "kernel_size");
        cJSON_AddItemToObject(c, "dilation_rate", pair(l->dilation_h, l->dilation_w));
        if (l->groups > 1) cJSON_AddNumberToObject(c, "groups", l->groups);
        cJSON_AddStringToObject(c, "activation", activation_name(l->activation));
        cJSON_AddBoolToObject(c, "use_bias", l->use_bias);
        cJSON_AddItemToObject(c, "kernel_initializer", initializer(l->initializer));
        cJSON_AddItemToObject(c, "bias_initializer", named("Zeros"));
        cJSON_AddItemToObject(c, "kernel_regularizer", l2_regularizer(l->l2));
        break;
    case LAYER_DEPTHWISE_CONV2D:
        write_window(l, c, "kernel_size");
        cJSON_AddItemToObject(c, "dilation_rate", pair(l->dilation_h, l->dilation_w));
        cJSON_AddStringToObject(c, "activation", activation_name(l->activation));
        cJSON_AddBoolToObject(c, "use_bias", l->use_bias);
        cJSON_AddNumberToObject(c, "depth_multiplier", l->filters);
        cJSON_AddItemToObject(c, "depthwise_initializer", initializer(l->initializer));
        cJSON_AddItemToObject(c, "bias_initializer", named("Zeros"));
        break;
    case LAYER_BATCH_NORM:
        cJSON_AddNumberToObject(c, "axis", l->axis ? l->axis : -1);
        cJSON_AddNumberToObject(c, "momentum", l->momentum);
        cJSON_AddNumberToObject(c, "epsilon", l->epsilon);
        cJSON_AddBoolToObject(c, "center", l->center);
        cJSON_AddBoolToObject(c, "scale", l->scale);
        cJSON_AddItemToObject(c, "beta_initializer", named("Zeros"));
        cJSON_AddItemToObject(c, "gamma_initializer", named("Ones"));
        cJSON_AddItemToObject(c, "moving_mean_initializer", named("Zeros"));
        cJSON_AddItemToObject(c, "moving_variance_initializer", named("Ones"));
        break;
    case LAYER_ACTIVATION: write_activation(l, c); break;
    case LAYER_RELU:
        if (l->relu_max > 0)
            add_float(c, "max_value", l->relu_max);
        else
            cJSON_AddNullToObject(c, "max_value");
        add_float(c, "negative_slope", l->relu_slope);
        add_float(c, "threshold", l->relu_threshold);
        break;
    case LAYER_MAX_POOL:
    case LAYER_AVERAGE_POOL:
        write_window(l, c, "pool_size");
        if (net_is_padded_pool(l)) {
            int pads[4] = {l->pad_top, l->pad_bottom, l->pad_left, l->pad_right};
            cJSON_AddItemToObject(c, "pads", cJSON_CreateIntArray(pads, 4));
        }
        break;
    case LAYER_RESCALING:
        cJSON_AddNumberToObject(c, "scale", l->rescale);
        cJSON_AddNumberToObject(c, "offset", l->offset);
        break;
    case LAYER_RESIZING:
        cJSON_AddNumberToObject(c, "height", l->resize_h);
        cJSON_AddNumberToObject(c, "width", l->resize_w);
        cJSON_AddStringToObject(c, "interpolation", l->nearest ? "nearest" : "bilinear");
        cJSON_AddFalseToObject(c, "crop_to_aspect_ratio");
        if (l->from_corner) cJSON_AddTrueToObject(c, "from_corner");
        break;
    case LAYER_SCALE:
        cJSON_AddBoolToObject(c, "scale", l->scale);
        cJSON_AddBoolToObject(c, "center", l->center);
        cJSON_AddBoolToObject(c, "one_scale", l->one_scale);
        cJSON_AddBoolToObject(c, "one_center", l->one_center);
        break;
    case LAYER_CLIP:
        add_float(c, "min", l->clip_min);
        add_float(c, "max", l->clip_max);
        break;
    case LAYER_CHANNELS:
        cJSON_AddNumberToObject(c, "count", l->filters);
        cJSON_AddNumberToObject(c, "first", l->pick_first);
        cJSON_AddNumberToObject(c, "step", l->pick_step);
        cJSON_AddNumberToObject(c, "groups", l->pick_groups);
        cJSON_AddNumberToObject(c, "span", l->pick_span);
        break;
    case LAYER_GLOBAL_AVERAGE_POOL:
    case LAYER_FLATTEN: cJSON_AddStringToObject(c, "data_format", "channels_last"); break;
    case LAYER_CONCATENATE: cJSON_AddNumberToObject(c, "axis", l->axis ? l->axis : -1); break;
    case LAYER_ZERO_PADDING: {
        int sign = net_is_cropping(l) ? -1 : 1;
        cJSON *both = cJSON_AddArrayToObject(c, sign < 0 ? "cropping" : "padding");
        cJSON_AddItemToArray(both, pair(sign * l->pad_top, sign * l->pad_bottom));
        cJSON_AddItemToArray(both, pair(sign * l->pad_left, sign * l->pad_right));
        cJSON_AddStringToObject(c, "data_format", "channels_last");
        break;
    }
    case LAYER_RESHAPE: cJSON_AddItemToObject(c, "target_shape", shape_list(&l->target, false)); break;
    case LAYER_DROPOUT:
        cJSON_AddNumberToObject(c, "rate", l->rate);
        cJSON_AddNullToObject(c, "noise_shape");
        cJSON_AddNullToObject(c, "seed");
        break;
    case LAYER_DENSE:
        cJSON_AddNumberToObject(c, "units", l->units);
        cJSON_AddStringToObject(c, "activation", activation_name(l->activation));
        cJSON_AddBoolToObject(c, "use_bias", l->use_bias);
        cJSON_AddItemToObject(c, "kernel_initializer", initializer(l->initializer));
        cJSON_AddItemToObject(c, "bias_initializer", named("Zeros"));
        cJSON_AddItemToObject(c, "kernel_regularizer", l2_regularizer(l->l2));
        break;
    case LAYER_MULTIPLY:
    case LAYER_ADD:
    case LAYER_KINDS: break;
    }
}

static cJSON *end_list(const char *name)
{
    cJSON *all = cJSON_CreateArray(), *one = cJSON_CreateArray();
    cJSON_AddItemToArray(one, cJSON_CreateString(name));
    cJSON_AddItemToArray(one, cJSON_CreateNumber(0));
    cJSON_AddItemToArray(one, cJSON_CreateNumber(0));
    cJSON_AddItemToArray(all, one);
    return all;
}

cJSON *net_write_topology(const struct net *n, struct error *err)
{
    cJSON *model = cJSON_CreateObject();
    cJSON_AddStringToObject(model, "class_name", "Model");
    cJSON *config = cJSON_AddObjectToObject(model, "config");
    cJSON_AddStringToObject(config, "name", n->name ? n->name : "model_1");
    cJSON *layers = cJSON_AddArrayToObject(config, "layers"), *last = NULL;
    for (int i = 0; i < n->n_layers; i++) {
        const struct net_layer *l = &n->layers[i];
        cJSON *layer = cJSON_CreateObject();
        cJSON_AddStringToObject(layer, "name", l->name);
        cJSON_AddStringToObject(layer, "class_name", net_layer_class(l));
        cJSON *c = cJSON_AddObjectToObject(layer, "config");
        cJSON_AddStringToObject(c, "name", l->name);
        if (l->kind != LAYER_INPUT) cJSON_AddBoolToObject(c, "trainable", l->trainable);
        net_layer_config(l, c);
        cJSON *nodes = cJSON_AddArrayToObject(layer, "inbound_nodes");
        if (l->n_inputs > 0) {
            cJSON *node = cJSON_CreateArray();
            for (int j = 0; j < l->n_inputs; j++) {
                cJSON *in = cJSON_CreateArray();
                cJSON_AddItemToArray(in, cJSON_CreateString(n->layers[l->inputs[j]].name));
                cJSON_AddItemToArray(in, cJSON_CreateNumber(0));
                cJSON_AddItemToArray(in, cJSON_CreateNumber(0));
                cJSON_AddItemToArray(in, cJSON_CreateObject());
                cJSON_AddItemToArray(node, in);
            }
            cJSON_AddItemToArray(nodes, node);
        }
        last = layer;
        cJSON_AddItemToArray(layers, layer);
    }
    cJSON_AddItemToObject(config, "input_layers", end_list(n->layers[n->input].name));
    cJSON_AddItemToObject(config, "output_layers", end_list(n->layers[n->output].name));
    /* Without memory, cJSON leaves out an addition. If the last addition exists, all exist. */
    if (!last || !cJSON_GetObjectItemCaseSensitive(config, "output_layers")) {
        cJSON_Delete(model);
        error_set(err, EX_OSERR, "cannot allocate the model's description");
        return NULL;
    }
    return model;
}
