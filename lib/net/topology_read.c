/*
 * topology_read.c: Keras' model_config, as TFJS model.json and Keras .h5 hold it, into struct net. Keras 2.x,
 * tf.keras and Keras 3 wordings are taken ("Model", "Functional", "Sequential"; batch_input_shape,
 * batch_shape; inbound_nodes as nested lists or as __keras_tensor__ objects). Whatever the product cannot
 * compute exactly is an error here that names the layer, never a guess: tfjs itself runs a file with a wrong
 * inbound name for ever.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "net/net_parts.h"

/* --- fields of a layer's config --- */

static int wrong(struct error *err, const char *key, const char *why)
{
    return error_set(err, EX_DATAERR, "'%s' %s", key, why);
}

static int get_int(const cJSON *config, const char *key, int missing, long min, long max, int *out,
                   struct error *err)
{
    const cJSON *v = net_json_get(config, key);
    if (!v && missing >= 0) {
        *out = missing;
        return 0;
    }
    if (!v) return wrong(err, key, "is missing");
    if (net_json_int(v, min, max, out))
        return error_set(err, EX_DATAERR, "'%s' must be a whole number from %ld to %ld", key, min, max);
    return 0;
}

/* A number or a list of two. */
static int get_pair(const cJSON *config, const char *key, int missing, int *a, int *b, struct error *err)
{
    const cJSON *v = net_json_get(config, key);
    if (!v && missing > 0) {
        *a = *b = missing;
        return 0;
    }
    if (!v) return wrong(err, key, "is missing");
    const cJSON *first = v, *second = v;
    if (cJSON_IsArray(v)) {
        if (cJSON_GetArraySize(v) != 2) return wrong(err, key, "must have two numbers");
        first = v->child;
        second = first->next;
    }
    if (net_json_int(first, 1, 4096, a) || net_json_int(second, 1, 4096, b))
        return wrong(err, key, "must have numbers from 1 to 4096");
    return 0;
}

static int get_bool(const cJSON *config, const char *key, bool missing, bool *out, struct error *err)
{
    const cJSON *v = net_json_get(config, key);
    if (v && !cJSON_IsBool(v)) return wrong(err, key, "must be true or false");
    *out = v ? cJSON_IsTrue(v) : missing;
    return 0;
}

static int get_double(const cJSON *config, const char *key, double missing, double min, double max,
                      double *out, struct error *err)
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

static const char *get_string(const cJSON *object, const char *key)
{
    const cJSON *v = net_json_get(object, key);
    return cJSON_IsString(v) ? v->valuestring : NULL;
}

static int get_padding(const cJSON *config, bool *same, struct error *err)
{
    const cJSON *v = net_json_get(config, "padding");
    const char *s = cJSON_IsString(v) ? v->valuestring : v ? "?" : "valid";
    *same = strcmp(s, "same") == 0;
    if (!*same && strcmp(s, "valid") != 0) return wrong(err, "padding", "must be \"same\" or \"valid\"");
    return 0;
}

static int want_channels_last(const cJSON *config, struct error *err)
{
    const cJSON *v = net_json_get(config, "data_format");
    if (v && !(cJSON_IsString(v) && strcmp(v->valuestring, "channels_last") == 0))
        return wrong(err, "data_format", "must be \"channels_last\"");
    return 0;
}

static int get_activation(const cJSON *config, struct net_layer *l, struct error *err)
{
    const cJSON *v = net_json_get(config, "activation");
    char shown[64];
    l->activation = ACTIVATION_LINEAR;
    if (!v) return 0;
    if (!cJSON_IsString(v)) return wrong(err, "activation", "must be a name");
    if (net_activation_parse(v->valuestring, false, &l->activation, &l->alpha))
        return error_set(err, EX_DATAERR, "activation '%s' is not known",
                         text_for_people(shown, sizeof shown, v->valuestring));
    if (l->kind != LAYER_ACTIVATION && !activation_is_plain(l->activation))
        return error_set(err, EX_DATAERR, "activation '%s' must be a layer of its own", v->valuestring);
    return 0;
}

/* The channel axis counted with the batch: -1, 3 for maps, 1 after Flatten (net_infer_shapes checks which
 * fits). */
static int want_last_axis(struct net_layer *l, const cJSON *config, struct error *err)
{
    const cJSON *v = net_json_get(config, "axis");
    l->axis = -1;
    if (cJSON_IsArray(v) && cJSON_GetArraySize(v) == 1) v = v->child;
    if (v && (net_json_int(v, -1, 3, &l->axis) || (l->axis != -1 && l->axis != 3 && l->axis != 1)))
        return wrong(err, "axis", "must be the last one");
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
    const char *name = cJSON_IsString(v) ? v->valuestring : get_string(v, "class_name");
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
    const char *mode = get_string(c, "mode"), *distribution = get_string(c, "distribution");
    bool uniform = distribution && strcmp(distribution, "uniform") == 0;
    double s = cJSON_IsNumber(scale) ? scale->valuedouble : 1.0;
    if (mode && strcmp(mode, "fan_avg") == 0 && s == 1.0)
        snprintf(out, 24, "glorot_%s", uniform ? "uniform" : "normal");
    else if (mode && strcmp(mode, "fan_in") == 0 && s == 2.0)
        snprintf(out, 24, "he_%s", uniform ? "uniform" : "normal");
    else if (mode && strcmp(mode, "fan_in") == 0 && s == 1.0)
        snprintf(out, 24, "lecun_%s", uniform ? "uniform" : "normal");
}

static int get_l2(const cJSON *config, double *out, struct error *err)
{
    const cJSON *v = net_json_get(config, "kernel_regularizer"), *c = net_json_get(v, "config");
    double l1 = 0;
    *out = 0;
    if (!v || cJSON_IsString(v)) return v && strcmp(v->valuestring, "l2") == 0 ? (*out = 0.01, 0) : 0;
    if (get_double(c, "l1", 0, 0, 1e6, &l1, err) || get_double(c, "l2", 0, 0, 1e6, out, err))
        return error_prefix(err, "kernel_regularizer");
    if (l1 != 0) return wrong(err, "kernel_regularizer", "has an L1 term, which is not supported");
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

static int read_input_shape(struct net_layer *l, const cJSON *config, struct error *err)
{
    const cJSON *shape = net_json_get(config, "batch_input_shape");
    if (!shape) shape = net_json_get(config, "batch_shape");
    if (!shape) return wrong(err, "batch_input_shape", "is missing");
    if (shape_from_list(shape, 1, &l->output, err, "batch_input_shape")) return -1;
    if (l->output.dim[l->output.rank - 1] < 0)
        return wrong(err, "batch_input_shape", "does not say how many channels there are");
    return 0;
}

static int read_conv(struct net_layer *l, const cJSON *c, struct error *err)
{
    bool depthwise = l->kind == LAYER_DEPTHWISE_CONV2D;
    if (want_channels_last(c, err) || get_padding(c, &l->same, err) || get_activation(c, l, err) ||
        get_pair(c, "kernel_size", 0, &l->kernel_h, &l->kernel_w, err) ||
        get_pair(c, "strides", 1, &l->stride_h, &l->stride_w, err) ||
        get_pair(c, "dilation_rate", 1, &l->dilation_h, &l->dilation_w, err) ||
        get_bool(c, "use_bias", true, &l->use_bias, err) ||
        get_int(c, depthwise ? "depth_multiplier" : "filters", depthwise ? 1 : -1, 1, NET_MAX_DIM,
                &l->filters, err) ||
        get_int(c, "groups", 1, 1, NET_MAX_DIM, &l->groups, err) || get_l2(c, &l->l2, err))
        return -1;
    if (depthwise) l->groups = 1; /* Keras writes it and does not use it */
    if (l->activation == ACTIVATION_SOFTMAX)
        return wrong(err, "activation", "softmax in a convolution is not supported");
    get_initializer(c, depthwise ? "depthwise_initializer" : "kernel_initializer", l->initializer);
    return 0;
}

/* Ours: [top, bottom, left, right] of a pool. */
static int get_pads(struct net_layer *l, const cJSON *c, struct error *err)
{
    const cJSON *v = net_json_get(c, "pads");
    int *sides[] = {&l->pad_top, &l->pad_bottom, &l->pad_left, &l->pad_right};
    if (!v) return 0;
    if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) != 4 || l->same)
        return wrong(err, "pads", "must be four numbers, without padding \"same\"");
    for (int i = 0; i < 4; i++)
        if (net_json_int(cJSON_GetArrayItem(v, i), 0, 4096, sides[i]))
            return wrong(err, "pads", "must have numbers from 0 to 4096");
    return 0;
}

static int read_pool(struct net_layer *l, const cJSON *c, struct error *err)
{
    if (want_channels_last(c, err) || get_padding(c, &l->same, err) || get_pads(l, c, err) ||
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
    if (want_channels_last(c, err)) return -1;
    for (int axis = 0; axis < 2; axis++) {
        const cJSON *pair = cJSON_IsArray(v) ? cJSON_GetArrayItem(v, axis) : v;
        for (int side = 0; side < 2; side++) {
            const cJSON *one = cJSON_IsArray(pair) ? cJSON_GetArrayItem(pair, side) : pair;
            if (!v)
                *sides[axis][side] = 1;
            else if (net_json_int(one, 0, 4096, sides[axis][side]))
                return wrong(err, "padding", "must be a number, a pair or two pairs from 0 to 4096");
        }
    }
    return 0;
}

static int read_relu(struct net_layer *l, const cJSON *c, struct error *err)
{
    double max, slope, threshold;
    if (get_double(c, "max_value", 0, 0, 1e30, &max, err) ||
        get_double(c, "negative_slope", 0, -1e30, 1e30, &slope, err) ||
        get_double(c, "threshold", 0, -1e30, 1e30, &threshold, err))
        return -1;
    l->relu_max = (float)max;
    l->relu_slope = (float)slope;
    l->relu_threshold = (float)threshold;
    return 0;
}

/* LeakyReLU (Keras 2: alpha, Keras 3: negative_slope) and ELU. */
static int read_alpha(struct net_layer *l, const cJSON *c, struct error *err)
{
    bool leaky = l->activation == ACTIVATION_LEAKY_RELU;
    double alpha;
    const char *key = leaky && net_json_get(c, "negative_slope") ? "negative_slope" : "alpha";
    if (get_double(c, key, leaky ? 0.3 : 1, -1e30, 1e30, &alpha, err)) return -1;
    l->alpha = (float)alpha;
    return 0;
}

static int read_scale(struct net_layer *l, const cJSON *c, struct error *err)
{
    if (get_bool(c, "scale", true, &l->scale, err) || get_bool(c, "center", true, &l->center, err) ||
        get_bool(c, "one_scale", false, &l->one_scale, err) ||
        get_bool(c, "one_center", false, &l->one_center, err))
        return -1;
    return l->scale || l->center ? 0 : wrong(err, "scale", "or 'center' must be true");
}

static int read_clip(struct net_layer *l, const cJSON *c, struct error *err)
{
    double min, max;
    if (get_double(c, "min", -1e30, -1e30, 1e30, &min, err) ||
        get_double(c, "max", 1e30, min, 1e30, &max, err))
        return -1;
    l->clip_min = (float)min;
    l->clip_max = (float)max;
    return 0;
}

static int read_config(struct net_layer *l, const cJSON *c, struct error *err)
{
    bool keepdims = false;
    switch (l->kind) {
    case LAYER_INPUT: return read_input_shape(l, c, err);
    case LAYER_CONV2D:
    case LAYER_DEPTHWISE_CONV2D: return read_conv(l, c, err);
    case LAYER_MAX_POOL:
    case LAYER_AVERAGE_POOL: return read_pool(l, c, err);
    case LAYER_GLOBAL_AVERAGE_POOL:
        if (want_channels_last(c, err) || get_bool(c, "keepdims", false, &keepdims, err)) return -1;
        return keepdims ? wrong(err, "keepdims", "must be false") : 0;
    case LAYER_BATCH_NORM:
        return want_last_axis(l, c, err) || get_double(c, "momentum", 0.99, 0, 1, &l->momentum, err) ||
                       get_double(c, "epsilon", 1e-3, 1e-12, 1, &l->epsilon, err) ||
                       get_bool(c, "scale", true, &l->scale, err) ||
                       get_bool(c, "center", true, &l->center, err)
                   ? -1
                   : 0;
    case LAYER_CONCATENATE: return want_last_axis(l, c, err);
    case LAYER_DENSE:
        if (get_int(c, "units", -1, 1, NET_MAX_DIM, &l->units, err) || get_activation(c, l, err) ||
            get_bool(c, "use_bias", true, &l->use_bias, err) || get_l2(c, &l->l2, err))
            return -1;
        get_initializer(c, "kernel_initializer", l->initializer);
        return 0;
    case LAYER_ACTIVATION: return get_activation(c, l, err);
    case LAYER_RELU: return read_relu(l, c, err);
    case LAYER_DROPOUT: return get_double(c, "rate", 0.5, 0, 1, &l->rate, err);
    case LAYER_ZERO_PADDING: return read_zero_padding(l, c, err);
    case LAYER_RESHAPE:
        return shape_from_list(net_json_get(c, "target_shape"), 0, &l->target, err, "target_shape");
    case LAYER_FLATTEN: return want_channels_last(c, err);
    case LAYER_RESCALING:
        return get_double(c, "scale", 1, -1e30, 1e30, &l->rescale, err) ||
                       get_double(c, "offset", 0, -1e30, 1e30, &l->offset, err)
                   ? -1
                   : 0;
    case LAYER_SCALE: return read_scale(l, c, err);
    case LAYER_CLIP: return read_clip(l, c, err);
    case LAYER_MULTIPLY:
    case LAYER_ADD:
    case LAYER_KINDS: break;
    }
    return 0;
}

static int kind_of(const char *class_name)
{
    for (int i = 0; i < LAYER_KINDS; i++)
        if (strcmp(layer_kind_name((enum layer_kind)i), class_name) == 0) return i;
    if (strcmp(class_name, "winnow>MaxPooling2D") == 0) return LAYER_MAX_POOL;
    if (strcmp(class_name, "winnow>AveragePooling2D") == 0) return LAYER_AVERAGE_POOL;
    return -1;
}

/* --- the graph --- */

/* Names seen so far, sorted, so that a file with 8,192 layers costs no quadratic search. */
struct name_index {
    struct {
        const char *name;
        int layer;
    } * items;
    int n;
};

static int index_find(const struct name_index *x, const char *name, int *where)
{
    int low = 0, high = x->n;
    while (low < high) {
        int mid = (low + high) / 2, c = strcmp(x->items[mid].name, name);
        if (c == 0) {
            *where = mid;
            return x->items[mid].layer;
        }
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *where = low;
    return -1;
}

struct inbound {
    const char *name;
    const cJSON *node, *tensor;
};

/* One input: ["name", node, tensor, {...}] or a Keras 3 __keras_tensor__ object. */
static int read_inbound(const cJSON *v, struct inbound *out)
{
    if (cJSON_IsObject(v)) v = net_json_get(net_json_get(v, "config"), "keras_history");
    if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) < 3 || !cJSON_IsString(v->child)) return -1;
    *out = (struct inbound){v->child->valuestring, v->child->next, v->child->next->next};
    return 0;
}

static int connect(struct net_layer *l, const cJSON *inbound, const struct name_index *names,
                   struct error *err)
{
    const cJSON *list = inbound, *v;
    int *inputs, n = 0, node, tensor, where, rc = -1;
    char shown[64];
    if (list && !cJSON_IsArray(list)) return wrong(err, "inbound_nodes", "must be a list");
    int uses = list ? cJSON_GetArraySize(list) : 0;
    if (l->kind == LAYER_INPUT)
        return uses == 0 ? 0 : wrong(err, "inbound_nodes", "of an input layer must be empty");
    if (uses != 1)
        return error_set(err, EX_DATAERR,
                         uses ? "is used %d times; shared layers are not supported"
                              : "has no inbound_nodes (%d)",
                         uses);
    list = list->child;
    if (cJSON_IsObject(list)) { /* Keras 3: {"args": [x] or [[x, y]], "kwargs": {}} */
        list = net_json_get(list, "args");
        if (cJSON_IsArray(list) && cJSON_IsArray(list->child)) list = list->child;
    }
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) < 1 || cJSON_GetArraySize(list) > NET_MAX_LAYERS)
        return wrong(err, "inbound_nodes", "lists no inputs");
    if (!(inputs = mem_zalloc((size_t)cJSON_GetArraySize(list), sizeof *inputs, err))) return -1;
    cJSON_ArrayForEach(v, list)
    {
        struct inbound in;
        if (read_inbound(v, &in)) {
            wrong(err, "inbound_nodes", "must hold [layer, 0, 0]");
            goto out;
        }
        inputs[n] = index_find(names, in.name, &where);
        if (inputs[n] < 0) {
            error_set(err, EX_DATAERR, "takes its input from '%s', which is not a layer before it",
                      text_for_people(shown, sizeof shown, in.name));
            goto out;
        }
        if (net_json_int(in.node, 0, 0, &node) || net_json_int(in.tensor, 0, 0, &tensor)) {
            error_set(err, EX_DATAERR, "takes another output than the only one of '%s'",
                      text_for_people(shown, sizeof shown, in.name));
            goto out;
        }
        n++;
    }
    bool many = l->kind == LAYER_CONCATENATE || l->kind == LAYER_ADD || l->kind == LAYER_MULTIPLY;
    if (!many && n != 1) {
        error_set(err, EX_DATAERR, "has %d inputs instead of one", n);
        goto out;
    }
    rc = net_layer_connect(l, inputs, n, err);
out:
    free(inputs);
    return rc;
}

/* Keras classes that are another spelling of Activation. */
static int alias_kind(const char *class_name, enum activation_kind *activation)
{
    static const struct {
        const char *name;
        enum activation_kind activation;
    } aliases[] = {{"Softmax", ACTIVATION_SOFTMAX},
                   {"LeakyReLU", ACTIVATION_LEAKY_RELU},
                   {"ELU", ACTIVATION_ELU}};
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (strcmp(class_name, aliases[i].name) == 0) {
            *activation = aliases[i].activation;
            return LAYER_ACTIVATION;
        }
    return -1;
}

static int add_one(struct net *n, const cJSON *spec, const struct name_index *names, bool chain,
                   struct error *err)
{
    const cJSON *config = net_json_get(spec, "config");
    const char *class_name = get_string(spec, "class_name"), *name = get_string(spec, "name");
    char shown[64];
    if (!name) name = get_string(config, "name");
    if (!name || !layer_name_ok(name))
        return error_set(err, EX_DATAERR, "layer number %d has no usable name", n->n_layers + 1);
    enum activation_kind activation = ACTIVATION_LINEAR;
    int where, kind = class_name ? kind_of(class_name) : -1;
    bool alias = kind < 0 && class_name && (kind = alias_kind(class_name, &activation)) >= 0;
    if (!class_name || !cJSON_IsObject(config)) {
        error_set(err, EX_DATAERR, "has no class_name or config");
        goto fail;
    }
    if (kind < 0) {
        error_set(err, EX_DATAERR, "is a '%s', a kind that is not supported",
                  text_for_people(shown, sizeof shown, class_name));
        goto fail;
    }
    if (index_find(names, name, &where) >= 0) {
        error_set(err, EX_DATAERR, "comes twice");
        goto fail;
    }
    if (chain && n->n_layers == 0 && kind != LAYER_INPUT) { /* Sequential may leave the input layer out */
        struct net_layer *input = net_add_layer(n, LAYER_INPUT, "input_1", err);
        if (!input || read_input_shape(input, config, err)) goto fail;
    }
    struct net_layer *layer = net_add_layer(n, (enum layer_kind)kind, name, err);
    if (!layer) return -1;
    int previous = n->n_layers - 2;
    if (alias) {
        layer->activation = activation;
        if (activation != ACTIVATION_SOFTMAX && read_alpha(layer, config, err)) goto fail;
    } else if (read_config(layer, config, err))
        goto fail;
    if (get_bool(config, "trainable", true, &layer->trainable, err) || net_layer_make_weights(layer, err))
        goto fail;
    if (layer->kind == LAYER_INPUT) layer->trainable = false;
    if (chain ? (layer->kind != LAYER_INPUT && net_layer_connect(layer, &previous, 1, err))
              : connect(layer, net_json_get(spec, "inbound_nodes"), names, err))
        goto fail;
    return 0;
fail:
    return error_prefix(err, "layer '%s'", text_for_people(shown, sizeof shown, name));
}

/* input_layers and output_layers: [["name",0,0]] or, in Keras 3, ["name",0,0]. */
static int find_end(const struct net *n, const cJSON *model, const char *key, struct error *err)
{
    const cJSON *list = net_json_get(model, key);
    char shown[64];
    if (cJSON_IsArray(list) && cJSON_IsArray(list->child)) {
        if (cJSON_GetArraySize(list) != 1)
            return error_set(err, EX_DATAERR, "'%s' names %d layers; only networks with one are supported",
                             key, cJSON_GetArraySize(list));
        list = list->child;
    }
    if (!cJSON_IsArray(list) || !cJSON_IsString(list->child))
        return error_set(err, EX_DATAERR, "'%s' must be [[\"name\",0,0]]", key);
    int found = net_find(n, list->child->valuestring);
    if (found < 0)
        error_set(err, EX_DATAERR, "'%s' names '%s', which is not a layer", key,
                  text_for_people(shown, sizeof shown, list->child->valuestring));
    return found;
}

int net_read_topology(struct net *n, const cJSON *topology, struct error *err)
{
    struct name_index names = {0};
    const cJSON *model = net_json_get(topology, "model_config"), *spec;
    int rc = -1, n_inputs = 0;
    if (!model) model = topology;
    const char *class_name = get_string(model, "class_name");
    const cJSON *config = net_json_get(model, "config");
    if (!class_name && cJSON_IsArray(net_json_get(topology, "node")))
        return error_set(err, EX_DATAERR, "a TensorFlow graph model; only layers models can be read");
    bool chain = class_name && strcmp(class_name, "Sequential") == 0;
    if (!class_name || (!chain && strcmp(class_name, "Model") != 0 && strcmp(class_name, "Functional") != 0))
        return error_set(err, EX_DATAERR, "not a Keras model (Model, Functional or Sequential)");
    const cJSON *layers = chain && cJSON_IsArray(config) ? config : net_json_get(config, "layers");
    if (!cJSON_IsArray(layers) || !layers->child)
        return error_set(err, EX_DATAERR, "the model has no layers");
    const char *name = get_string(config, "name");
    if (!(n->name = mem_strdup(name && layer_name_ok(name) ? name : "model", err)) ||
        !(names.items = mem_zalloc((size_t)cJSON_GetArraySize(layers) + 1, sizeof *names.items, err)))
        goto out;
    cJSON_ArrayForEach(spec, layers)
    {
        int before = n->n_layers;
        if (add_one(n, spec, &names, chain, err)) goto out;
        for (int i = before; i < n->n_layers && names.n <= cJSON_GetArraySize(layers); i++) {
            int where;
            (void)index_find(&names, n->layers[i].name, &where);
            memmove(&names.items[where + 1], &names.items[where],
                    (size_t)(names.n - where) * sizeof *names.items);
            names.items[where].name = n->layers[i].name;
            names.items[where].layer = i;
            names.n++;
        }
    }
    for (int i = 0; i < n->n_layers; i++)
        if (n->layers[i].kind == LAYER_INPUT) {
            n->input = i;
            n_inputs++;
        }
    if (n_inputs != 1) {
        error_set(err, EX_DATAERR, "the model has %d input layers; only networks with one are supported",
                  n_inputs);
        goto out;
    }
    n->output = n->n_layers - 1;
    if (!chain) {
        int input = find_end(n, config, "input_layers", err);
        if (input < 0 || (n->output = find_end(n, config, "output_layers", err)) < 0) goto out;
        if (input != n->input) {
            error_set(err, EX_DATAERR, "'input_layers' names '%s', which is not an input layer",
                      n->layers[input].name);
            goto out;
        }
    }
    rc = 0;
out:
    free(names.items);
    return rc;
}
