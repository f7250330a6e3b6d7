/*
 * keras_layers.c: turns one call of a Keras layer into layers of the network. Most calls become one layer. A
 * separable convolution becomes two. An activation that cannot be fused becomes a layer after its
 * convolution. A layer without an effect at inference becomes none.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "net/keras_graph.h"

const struct net_shape *keras_shape(const struct keras_call *c, int layer)
{
    return &c->r->n->layers[layer].output;
}

static int channels_of(const struct keras_call *c, int layer)
{
    const struct net_shape *s = keras_shape(c, layer);
    return s->rank > 0 ? s->dim[s->rank - 1] : -1;
}

/* --- adding layers --- */

static int free_name(const struct keras_call *c, const char *suffix, struct text *name, struct error *err)
{
    size_t where;
    if (text_printf(name, err, "%.*s%s", NET_MAX_NAME_BYTES - 40, c->place->own, suffix)) return -1;
    if (keras_names_find(&c->r->names, name->data, &where) < 0) return 0;
    text_clear(name);
    if (c->place->model) {
        if (text_printf(name, err, "%.100s_%.100s%s", c->place->model, c->place->own, suffix)) return -1;
        if (keras_names_find(&c->r->names, name->data, &where) < 0) return 0;
    }
    for (int i = 2; i < 2 * NET_MAX_LAYERS; i++) {
        text_clear(name);
        if (text_printf(name, err, "%.200s%s_%d", c->place->own, suffix, i)) return -1;
        if (keras_names_find(&c->r->names, name->data, &where) < 0) return 0;
    }
    return error_set(err, EX_DATAERR, "has a name that too many others have");
}

int keras_emit(const struct keras_call *c, enum layer_kind kind, const char *suffix, const int *inputs,
               int n_inputs, struct error *err)
{
    struct net *n = c->r->n;
    struct net_sources *s = c->r->sources;
    struct text name = TEXT_EMPTY;
    const struct keras_place *p = c->place;
    int at = -1;
    if (mem_grow(&s->items, &s->room, s->n + 1, sizeof *s->items, err) || free_name(c, suffix, &name, err))
        goto out;
    struct net_layer *l = net_add_layer(n, kind, name.data, err);
    if (!l) goto out;
    struct net_source *to = &s->items[s->n++];
    *to = (struct net_source){0};
    if ((p->path && !(to->path = mem_strdup(p->path, err))) || !(to->top = mem_strdup(p->top, err)) ||
        !(to->own = mem_strdup(p->own, err)) || (p->model && !(to->model = mem_strdup(p->model, err))) ||
        keras_names_add(&c->r->names, l->name, n->n_layers - 1, err) ||
        (n_inputs > 0 && net_layer_connect(l, inputs, n_inputs, err)))
        goto out;
    at = n->n_layers - 1;
out:
    text_release(&name);
    return at;
}

int keras_finish(const struct keras_call *c, int layer, struct error *err)
{
    struct net_layer *l = &c->r->n->layers[layer];
    struct net_source *s = &c->r->sources->items[layer];
    bool trainable;
    if (config_bool(c->config, "trainable", true, &trainable, err) || net_layer_make_weights(l, err))
        return -1;
    l->trainable = trainable && c->place->trainable && l->kind != LAYER_INPUT;
    for (int j = 0; j < l->n_weights; j++) {
        s->slot[j] = j;
        s->leaf[j] = weight_role_name(l->weights[j].role);
    }
    return net_layer_infer(c->r->n, layer, err);
}

/* Adds a layer of this kind without settings, which is the result of the call. */
static int emit_plain(struct keras_call *c, enum layer_kind kind, const char *suffix, int from,
                      struct error *err)
{
    int at = keras_emit(c, kind, suffix, &from, 1, err);
    if (at < 0 || keras_finish(c, at, err)) return -1;
    c->out = (struct keras_value){at, -1};
    return 0;
}

int keras_activation(const struct keras_call *c, const char *suffix, int from, enum activation_kind kind,
                     float alpha, struct error *err)
{
    int at = keras_emit(c, LAYER_ACTIVATION, suffix, &from, 1, err);
    if (at < 0) return -1;
    c->r->n->layers[at].activation = kind;
    c->r->n->layers[at].alpha = alpha;
    return keras_finish(c, at, err) ? -1 : at;
}

/* Sets the weight to the n values, repeated. */
static int give_values(struct net_weight *w, const struct net_shape *shape, const double *values, size_t n,
                       struct error *err)
{
    if (!net_shape_count(shape, &w->n_values) ||
        !(w->values = mem_alloc(w->n_values * sizeof *w->values, err)))
        return -1;
    for (size_t k = 0; k < w->n_values; k++)
        w->values[k] = (float)values[k % n];
    w->shape = *shape;
    return 0;
}

int keras_rescale(const struct keras_call *c, const char *suffix, int from, const double *scale,
                  const double *offset, size_t n, struct error *err)
{
    int channels = channels_of(c, from);
    if (n != 1 && (long)n != channels)
        return error_set(err, EX_DATAERR, "has %zu numbers for %d channels", n, channels);
    int at = keras_emit(c, n == 1 ? LAYER_RESCALING : LAYER_SCALE, suffix, &from, 1, err);
    if (at < 0) return -1;
    struct net_layer *l = &c->r->n->layers[at];
    if (n == 1) {
        l->rescale = scale[0];
        l->offset = offset[0];
        return keras_finish(c, at, err) ? -1 : at;
    }
    if (keras_finish(c, at, err)) return -1;
    l = &c->r->n->layers[at];
    struct net_shape vector = {1, {channels}};
    l->trainable = false;
    c->r->sources->items[at].kind = SOURCE_GIVEN;
    return give_values(&l->weights[0], &vector, scale, n, err) ||
                   give_values(&l->weights[1], &vector, offset, n, err)
               ? -1
               : at;
}

int keras_permute(const struct keras_call *c, int from, const int *order, int n, struct error *err)
{
    int channels = channels_of(c, from), at = keras_emit(c, LAYER_CONV2D, "", &from, 1, err);
    if (at < 0) return -1;
    struct net_layer *l = &c->r->n->layers[at];
    l->filters = n;
    l->use_bias = false;
    if (keras_finish(c, at, err)) return -1;
    l = &c->r->n->layers[at];
    l->trainable = false;
    c->r->sources->items[at].kind = SOURCE_GIVEN;
    struct net_shape shape = {4, {1, 1, channels, n}};
    double zero = 0;
    if (give_values(&l->weights[0], &shape, &zero, 1, err)) return -1;
    for (int i = 0; i < n; i++)
        l->weights[0].values[order[i] * n + i] = 1;
    return at;
}

/* --- convolutions and Dense --- */

static int build_activation_object(struct keras_call *c, const cJSON *object, int from, struct error *err);

/* Adds the activation of a layer as a separate layer, if the layer itself cannot have it. */
static int after(struct keras_call *c, int at, struct error *err)
{
    const cJSON *object = NULL;
    const char *name = config_activation(c->config, &object);
    enum activation_kind kind = ACTIVATION_LINEAR;
    float alpha = 0;
    c->out = (struct keras_value){at, -1};
    if (object) return build_activation_object(c, object, at, err);
    if (name && net_activation_parse(name, c->r->keras3, &kind, &alpha))
        return error_set(err, EX_SOFTWARE, "activation '%s' was taken and is not known", name);
    bool own =
        activation_is_plain(kind) && (kind != ACTIVATION_SOFTMAX || c->r->n->layers[at].kind == LAYER_DENSE);
    if (own) return 0;
    c->r->n->layers[at].activation = ACTIVATION_LINEAR;
    at = keras_activation(c, "_activation", at, kind, alpha, err);
    c->out.layer = at;
    return at < 0 ? -1 : 0;
}

static int build_window(struct keras_call *c, enum layer_kind kind, struct error *err)
{
    int at = keras_emit(c, kind, "", &c->in[0].layer, 1, err);
    if (at < 0 || config_read(&c->r->n->layers[at], c->config, c->r->keras3, err) || keras_finish(c, at, err))
        return -1;
    return after(c, at, err);
}

/* Adds a Dense layer. Over the pixels of a map it is a 1x1 convolution. */
static int build_dense(struct keras_call *c, struct error *err)
{
    bool map = keras_shape(c, c->in[0].layer)->rank == 3;
    int at = keras_emit(c, LAYER_DENSE, "", &c->in[0].layer, 1, err);
    if (at < 0 || config_read(&c->r->n->layers[at], c->config, c->r->keras3, err)) return -1;
    if (map) {
        struct net_layer *l = &c->r->n->layers[at];
        l->kind = LAYER_CONV2D;
        l->filters = l->units;
        c->r->sources->items[at].as_matrix = true;
    }
    return keras_finish(c, at, err) || after(c, at, err) ? -1 : 0;
}

static int build_separable(struct keras_call *c, struct error *err)
{
    int first = keras_emit(c, LAYER_DEPTHWISE_CONV2D, "_depthwise", &c->in[0].layer, 1, err);
    if (first < 0 || config_read(&c->r->n->layers[first], c->config, c->r->keras3, err)) return -1;
    struct net_layer *l = &c->r->n->layers[first];
    bool bias = l->use_bias;
    l->use_bias = false;
    l->activation = ACTIVATION_LINEAR;
    if (keras_finish(c, first, err)) return -1;
    int at = keras_emit(c, LAYER_CONV2D, "", &first, 1, err);
    if (at < 0 || config_read(&c->r->n->layers[at], c->config, c->r->keras3, err)) return -1;
    l = &c->r->n->layers[at];
    l->kernel_h = l->kernel_w = l->stride_h = l->stride_w = l->dilation_h = l->dilation_w = 1;
    l->use_bias = bias;
    if (keras_finish(c, at, err)) return -1;
    struct net_source *s = &c->r->sources->items[at];
    for (int j = 0; j < c->r->n->layers[at].n_weights; j++)
        s->slot[j] = j + 1;
    s->leaf[0] = "pointwise_kernel";
    return after(c, at, err);
}

/* --- activations --- */

static int build_softmax(struct keras_call *c, int from, const cJSON *axis, struct error *err)
{
    int last = keras_shape(c, from)->rank, at = -1;
    if (cJSON_IsArray(axis) && cJSON_GetArraySize(axis) == 1) axis = axis->child;
    if (axis && (net_json_int(axis, -1, last, &at) || (at != -1 && at != last)))
        return config_wrong(err, "axis", "must be the last one");
    c->out.layer = keras_activation(c, "", from, ACTIVATION_SOFTMAX, 0, err);
    return c->out.layer < 0 ? -1 : 0;
}

/* Adds a PReLU: max(x, 0) + alpha * min(x, 0), with a learned alpha. */
static int build_prelu(struct keras_call *c, const char *suffix, int from, struct error *err)
{
    const cJSON *axes = net_json_get(c->config, "shared_axes");
    double minus = -1, zero = 0;
    int a = -1, b = -1, both[2];
    if (keras_shape(c, from)->rank != 3 || !cJSON_IsArray(axes) || cJSON_GetArraySize(axes) != 2 ||
        net_json_int(axes->child, 1, 2, &a) || net_json_int(axes->child->next, 1, 2, &b) || a == b)
        return error_set(err, EX_DATAERR,
                         "has a slope for each value; a PReLU is read after maps, with "
                         "shared_axes [1,2]");
    (void)suffix;
    int above = keras_activation(c, "_above", from, ACTIVATION_RELU, 0, err);
    int turned = above < 0 ? -1 : keras_rescale(c, "_turned", from, &minus, &zero, 1, err);
    int cut = turned < 0 ? -1 : keras_activation(c, "_below", turned, ACTIVATION_RELU, 0, err);
    int back = cut < 0 ? -1 : keras_rescale(c, "_back", cut, &minus, &zero, 1, err);
    int slope = back < 0 ? -1 : keras_emit(c, LAYER_DEPTHWISE_CONV2D, "_slope", &back, 1, err);
    if (slope < 0) return -1;
    c->r->n->layers[slope].use_bias = false;
    c->r->sources->items[slope].kind = SOURCE_ALPHA;
    if (keras_finish(c, slope, err)) return -1;
    c->r->sources->items[slope].leaf[0] = "alpha";
    both[0] = above;
    both[1] = slope;
    return keras_add(c, "", both, 2, err);
}

static int build_relu(struct keras_call *c, int from, const char *suffix, struct error *err)
{
    int at = keras_emit(c, LAYER_RELU, suffix, &from, 1, err);
    if (at < 0 || config_read(&c->r->n->layers[at], c->config, c->r->keras3, err) || keras_finish(c, at, err))
        return -1;
    c->out.layer = at;
    return 0;
}

/* Adds a LeakyReLU (its slope is alpha in Keras 2 and negative_slope in Keras 3) or an ELU. */
static int build_sloped(struct keras_call *c, int from, const char *suffix, enum activation_kind kind,
                        struct error *err)
{
    bool leaky = kind == ACTIVATION_LEAKY_RELU;
    double alpha;
    const char *key = leaky && net_json_get(c->config, "negative_slope") ? "negative_slope" : "alpha";
    if (config_double(c->config, key, leaky ? 0.3 : 1, -1e30, 1e30, &alpha, err)) return -1;
    c->out.layer = keras_activation(c, suffix, from, kind, (float)alpha, err);
    return c->out.layer < 0 ? -1 : 0;
}

/* Adds Keras 2's ThresholdedReLU: x above theta, else 0. */
static int build_thresholded(struct keras_call *c, int from, struct error *err)
{
    double theta;
    int at = keras_emit(c, LAYER_RELU, "", &from, 1, err);
    if (at < 0 || config_double(c->config, "theta", 1, -1e30, 1e30, &theta, err)) return -1;
    c->r->n->layers[at].relu_threshold = (float)theta;
    c->out.layer = at;
    return keras_finish(c, at, err);
}

static int build_activation_layer(struct keras_call *c, int from, const char *suffix, struct error *err)
{
    const cJSON *object = NULL;
    enum activation_kind kind = ACTIVATION_LINEAR;
    float alpha = 0;
    char shown[64];
    const char *name = config_activation(c->config, &object);
    if (object) return build_activation_object(c, object, from, err);
    if (name && net_activation_parse(name, c->r->keras3, &kind, &alpha))
        return error_set(err, EX_DATAERR, "activation '%s' is not known",
                         text_for_people(shown, sizeof shown, name));
    c->out.layer = keras_activation(c, suffix, from, kind, alpha, err);
    return c->out.layer < 0 ? -1 : 0;
}

/* Adds a layer that is the activation of another layer. */
static int build_activation_object(struct keras_call *c, const cJSON *object, int from, struct error *err)
{
    const char *class_name = config_string(object, "class_name");
    struct keras_call inner = *c;
    char shown[64];
    int rc = -1;
    inner.config = net_json_get(object, "config");
    inner.out = (struct keras_value){from, -1};
    if (!class_name || !cJSON_IsObject(inner.config))
        error_set(err, EX_DATAERR, "has an activation that is neither a name nor a layer");
    else if (strcmp(class_name, "LeakyReLU") == 0)
        rc = build_sloped(&inner, from, "_activation", ACTIVATION_LEAKY_RELU, err);
    else if (strcmp(class_name, "ELU") == 0)
        rc = build_sloped(&inner, from, "_activation", ACTIVATION_ELU, err);
    else if (strcmp(class_name, "ReLU") == 0)
        rc = build_relu(&inner, from, "_activation", err);
    else if (strcmp(class_name, "Softmax") == 0)
        rc = build_softmax(&inner, from, net_json_get(inner.config, "axis"), err);
    else if (strcmp(class_name, "Activation") == 0 && !net_json_get(inner.config, "activation"))
        rc = 0;
    else
        error_set(err, EX_DATAERR, "activation '%s' is not known",
                  text_for_people(shown, sizeof shown, class_name));
    c->out = inner.out;
    return rc;
}

/* --- pools --- */

int keras_pool_all(struct keras_call *c, bool average, bool keepdims, struct error *err)
{
    int from = c->in[0].layer, at;
    struct net_shape in = *keras_shape(c, from);
    if (average) {
        if (emit_plain(c, LAYER_GLOBAL_AVERAGE_POOL, "", from, err)) return -1;
        if (!keepdims) return 0;
        from = c->out.layer;
        if ((at = keras_emit(c, LAYER_RESHAPE, "_keepdims", &from, 1, err)) < 0) return -1;
        c->r->n->layers[at].target = (struct net_shape){3, {1, 1, in.dim[2]}};
        c->out.layer = at;
        return keras_finish(c, at, err);
    }
    if (in.rank != 3 || in.dim[0] < 1 || in.dim[1] < 1)
        return error_set(err, EX_DATAERR, "needs an input of a fixed size");
    if ((at = keras_emit(c, LAYER_MAX_POOL, keepdims ? "" : "_map", &from, 1, err)) < 0) return -1;
    struct net_layer *l = &c->r->n->layers[at];
    l->kernel_h = l->stride_h = in.dim[0];
    l->kernel_w = l->stride_w = in.dim[1];
    c->out = (struct keras_value){at, -1};
    if (keras_finish(c, at, err)) return -1;
    return keepdims ? 0 : emit_plain(c, LAYER_FLATTEN, "", at, err);
}

static int build_global_pool(struct keras_call *c, bool average, struct error *err)
{
    bool keepdims;
    if (config_channels_last(c->config, err) || config_bool(c->config, "keepdims", false, &keepdims, err))
        return -1;
    return keras_pool_all(c, average, keepdims, err);
}

/* --- several inputs --- */

/* Returns the inputs of c as layers; an input that is a single channel is an error. */
static int inputs_of(const struct keras_call *c, int **out, struct error *err)
{
    if (!(*out = mem_alloc(((size_t)c->n_in + 1) * sizeof **out, err))) return -1;
    for (int i = 0; i < c->n_in; i++)
        (*out)[i] = c->in[i].layer;
    return 0;
}

int keras_add(struct keras_call *c, const char *suffix, const int *inputs, int n, struct error *err)
{
    int at = keras_emit(c, LAYER_ADD, suffix, inputs, n, err);
    if (at < 0 || keras_finish(c, at, err)) return -1;
    c->out = (struct keras_value){at, -1};
    return 0;
}

/* More than two inputs are multiplied one after another. */
int keras_multiply(struct keras_call *c, struct error *err)
{
    int pair[2] = {c->in[0].layer, -1};
    if (c->n_in < 2) return error_set(err, EX_DATAERR, "has %d inputs", c->n_in);
    for (int i = 1; i < c->n_in; i++) {
        pair[1] = c->in[i].layer;
        int at = keras_emit(c, LAYER_MULTIPLY, i + 1 < c->n_in ? "_part" : "", pair, 2, err);
        if (at < 0 || keras_finish(c, at, err)) return -1;
        pair[0] = at;
    }
    c->out = (struct keras_value){pair[0], -1};
    return 0;
}

int keras_concatenate(struct keras_call *c, const cJSON *axis, struct error *err)
{
    int *inputs, at = -1, rank = keras_shape(c, c->in[0].layer)->rank, place = -1;
    if (axis && (net_json_int(axis, -1, 3, &place) || (place != -1 && place != rank)))
        return config_wrong(err, "axis", "must be the last one");
    if (inputs_of(c, &inputs, err)) return -1;
    at = keras_emit(c, LAYER_CONCATENATE, "", inputs, c->n_in, err);
    free(inputs);
    if (at < 0) return -1;
    c->r->n->layers[at].axis = place;
    c->out = (struct keras_value){at, -1};
    return keras_finish(c, at, err);
}

/* Add, Average, Subtract. */
static int build_sum(struct keras_call *c, const char *class_name, struct error *err)
{
    double minus = -1, zero = 0, share = 1.0 / c->n_in;
    bool average = strcmp(class_name, "Average") == 0;
    int *inputs, rc = -1;
    if (inputs_of(c, &inputs, err)) return -1;
    if (strcmp(class_name, "Subtract") == 0 &&
        (c->n_in != 2 || (inputs[1] = keras_rescale(c, "_minus", inputs[1], &minus, &zero, 1, err)) < 0)) {
        if (!err->code) error_set(err, EX_DATAERR, "has %d inputs instead of two", c->n_in);
    } else
        rc = keras_add(c, average ? "_sum" : "", inputs, c->n_in, err);
    free(inputs);
    if (!rc && average) rc = (c->out.layer = keras_rescale(c, "", c->out.layer, &share, &zero, 1, err)) < 0;
    return rc ? -1 : 0;
}

/* Adds InceptionResNetV2's custom layer: the first input plus the second times a number. */
static int build_custom_scale(struct keras_call *c, struct error *err)
{
    double scale, zero = 0;
    int pair[2] = {c->in[0].layer, -1};
    if (c->n_in != 2) return error_set(err, EX_DATAERR, "has %d inputs instead of two", c->n_in);
    if (config_double(c->config, "scale", 1, -1e30, 1e30, &scale, err) ||
        (pair[1] = keras_rescale(c, "_scaled", c->in[1].layer, &scale, &zero, 1, err)) < 0)
        return -1;
    return keras_add(c, "", pair, 2, err);
}

/* --- all classes --- */

/* Whether a layer of this class does nothing at inference. */
static bool is_inert(const char *class_name)
{
    static const char *const names[] = {"Identity",
                                        "ActivityRegularization",
                                        "GaussianDropout",
                                        "GaussianNoise",
                                        "AlphaDropout",
                                        "SpatialDropout2D",
                                        "RandomBrightness",
                                        "RandomColorDegeneration",
                                        "RandomColorJitter",
                                        "RandomContrast",
                                        "RandomElasticTransform",
                                        "RandomErasing",
                                        "RandomFlip",
                                        "RandomGaussianBlur",
                                        "RandomGrayscale",
                                        "RandomHue",
                                        "RandomInvert",
                                        "RandomPerspective",
                                        "RandomPosterization",
                                        "RandomRotation",
                                        "RandomSaturation",
                                        "RandomSharpness",
                                        "RandomShear",
                                        "RandomTranslation",
                                        "RandomZoom",
                                        "RandomHeight",
                                        "RandomWidth",
                                        "RandAugment",
                                        "AugMix",
                                        "CutMix",
                                        "MixUp"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(class_name, names[i]) == 0) return true;
    return false;
}

/* Returns the usual name of a class that has several names. */
static const char *plain_class(const char *class_name)
{
    static const char *const pairs[][2] = {{"Convolution2D", "Conv2D"},
                                           {"DepthwiseConvolution2D", "DepthwiseConv2D"},
                                           {"SeparableConvolution2D", "SeparableConv2D"},
                                           {"MaxPool2D", "MaxPooling2D"},
                                           {"AvgPool2D", "AveragePooling2D"},
                                           {"GlobalAvgPool2D", "GlobalAveragePooling2D"},
                                           {"GlobalMaxPool2D", "GlobalMaxPooling2D"},
                                           {"BatchNormalizationV1", "BatchNormalization"},
                                           {"SyncBatchNormalization", "BatchNormalization"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (strcmp(class_name, pairs[i][0]) == 0) return pairs[i][1];
    return class_name;
}

/* Checks the dtype policy of the layer. Quantised layers are refused, because their weights are not those
 * of the kernel. */
static int check_dtype(const struct keras_call *c, bool *bfloat16, struct error *err)
{
    const cJSON *dtype = net_json_get(c->config, "dtype");
    const char *class_name = config_string(dtype, "class_name"),
               *name = cJSON_IsString(dtype) ? dtype->valuestring
                                             : config_string(net_json_get(dtype, "config"), "name"),
               *mode = config_string(net_json_get(dtype, "config"), "mode");
    char shown[64];
    *bfloat16 = name && strcmp(name, "bfloat16") == 0;
    if (!mode && name &&
        (strncmp(name, "int8", 4) == 0 || strncmp(name, "int4", 4) == 0 || strncmp(name, "float8", 6) == 0))
        mode = name;
    if (!mode && class_name && strcmp(class_name, "DTypePolicy") != 0 && strcmp(class_name, "Policy") != 0 &&
        strcmp(class_name, "PolicyV1") != 0)
        mode = class_name;
    if (!mode) return 0;
    return error_set(
        err, EX_DATAERR,
        "is quantised (%s): Keras rounds its inputs or weights in a way of its own; save the model "
        "that it was made from",
        text_for_people(shown, sizeof shown, mode));
}

static int build_input(struct keras_call *c, struct error *err)
{
    int at = keras_emit(c, LAYER_INPUT, "", NULL, 0, err);
    const char *dtype = config_string(c->config, "dtype");
    if (at < 0 || config_input_shape(&c->r->n->layers[at], c->config, err) || keras_finish(c, at, err))
        return -1;
    c->r->bytes = dtype && strcmp(dtype, "uint8") == 0;
    c->out = (struct keras_value){at, -1};
    return 0;
}

static int unknown(const struct keras_call *c, struct error *err)
{
    char shown[64];
    if (strcmp(c->class_name, "Lambda") == 0)
        return error_set(
            err, EX_DATAERR,
            "is a 'Lambda': it holds Python code, which winnow does not run; write it with layers or "
            "keras.ops, and save again");
    return error_set(err, EX_DATAERR,
                     "is a '%s', a kind that is not supported (docs/model-folder.md lists those that are)",
                     text_for_people(shown, sizeof shown, c->class_name));
}

static int build(struct keras_call *c, const char *class_name, struct error *err)
{
    int from = c->n_in > 0 ? c->in[0].layer : -1, kind = config_kind(class_name);
    char shown[64];
    if (strcmp(class_name, "InputLayer") == 0) return build_input(c, err);
    if (from < 0) return error_set(err, EX_DATAERR, "has no input");
    if (strcmp(class_name, "Concatenate") == 0)
        return keras_concatenate(c, net_json_get(c->config, "axis"), err);
    if (strcmp(class_name, "Add") == 0 || strcmp(class_name, "Average") == 0 ||
        strcmp(class_name, "Subtract") == 0)
        return build_sum(c, class_name, err);
    if (strcmp(class_name, "Multiply") == 0) return keras_multiply(c, err);
    if (strcmp(class_name, "CustomScaleLayer") == 0) return build_custom_scale(c, err);
    if (c->n_in != 1)
        return error_set(err, EX_DATAERR, "is a '%s' with %d inputs, which is not supported",
                         text_for_people(shown, sizeof shown, c->class_name), c->n_in);
    c->out = c->in[0];
    if (is_inert(class_name)) return 0;
    c->out.channel = -1;
    if (strcmp(class_name, "Dense") == 0) return build_dense(c, err);
    if (strcmp(class_name, "SeparableConv2D") == 0) return build_separable(c, err);
    if (strcmp(class_name, "Activation") == 0) return build_activation_layer(c, from, "", err);
    if (strcmp(class_name, "Softmax") == 0)
        return build_softmax(c, from, net_json_get(c->config, "axis"), err);
    if (strcmp(class_name, "ReLU") == 0) return build_relu(c, from, "", err);
    if (strcmp(class_name, "LeakyReLU") == 0) return build_sloped(c, from, "", ACTIVATION_LEAKY_RELU, err);
    if (strcmp(class_name, "ELU") == 0) return build_sloped(c, from, "", ACTIVATION_ELU, err);
    if (strcmp(class_name, "PReLU") == 0) return build_prelu(c, "", from, err);
    if (strcmp(class_name, "ThresholdedReLU") == 0) return build_thresholded(c, from, err);
    if (strcmp(class_name, "GlobalAveragePooling2D") == 0) return build_global_pool(c, true, err);
    if (strcmp(class_name, "GlobalMaxPooling2D") == 0) return build_global_pool(c, false, err);
    if (strcmp(class_name, "Rescaling") == 0) return keras_rescaling(c, err);
    if (strcmp(class_name, "Normalization") == 0) return keras_normalization(c, err);
    if (strcmp(class_name, "Cropping2D") == 0) return keras_cropping(c, err);
    if (strcmp(class_name, "CenterCrop") == 0) return keras_center_crop(c, err);
    if (strcmp(class_name, "UpSampling2D") == 0) return keras_upsampling(c, err);
    if (kind < 0) return unknown(c, err);
    return build_window(c, (enum layer_kind)kind, err);
}

int keras_build_layer(struct keras_call *c, struct error *err)
{
    int first = c->r->n->n_layers;
    bool bfloat16 = false;
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i].channel >= 0)
            return error_set(err, EX_DATAERR, "takes one channel of a picture, which is not supported");
    if (!cJSON_IsObject(c->config)) return error_set(err, EX_DATAERR, "has no class_name or config");
    if (check_dtype(c, &bfloat16, err) || build(c, plain_class(c->class_name), err)) return -1;
    for (int i = first; i < c->r->n->n_layers; i++)
        c->r->sources->items[i].bfloat16 = bfloat16;
    return 0;
}
