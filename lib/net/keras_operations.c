/*
 * keras_operations.c: reads operations of Keras 3 in the list of layers (x / 127.5, keras.ops.relu), and the
 * few that tf.keras 2 writes as TFOpLambda. Arithmetic with constants becomes a scale and an offset. Channels
 * that preprocess_input reorders become a 1x1 convolution.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "net/keras_graph.h"

/* An argument of an operation: one of the call's inputs, or a constant. */
struct operand {
    const struct keras_value *value;
    const cJSON *constant;
};

/* keras.ops.gelu, silu, ...: an activation by another name. */
static const struct named_activation {
    const char *name;
    enum activation_kind kind;
    const char *key; /* of its number */
    double number;
} activations[] = {{"Relu", ACTIVATION_RELU, NULL, 0},
                   {"Relu6", ACTIVATION_RELU6, NULL, 0},
                   {"Sigmoid", ACTIVATION_SIGMOID, NULL, 0},
                   {"Tanh", ACTIVATION_TANH, NULL, 0},
                   {"Silu", ACTIVATION_SILU, NULL, 0},
                   {"Gelu", ACTIVATION_GELU, NULL, 0},
                   {"Elu", ACTIVATION_ELU, "alpha", 1},
                   {"Selu", ACTIVATION_SELU, NULL, 0},
                   {"Celu", ACTIVATION_CELU, "alpha", 1},
                   {"LeakyRelu", ACTIVATION_LEAKY_RELU, "negative_slope", 0.2},
                   {"Softplus", ACTIVATION_SOFTPLUS, NULL, 0},
                   {"Softsign", ACTIVATION_SOFTSIGN, NULL, 0},
                   {"Exp", ACTIVATION_EXPONENTIAL, NULL, 0},
                   {"LogSigmoid", ACTIVATION_LOG_SIGMOID, NULL, 0},
                   {"HardSigmoid", ACTIVATION_HARD_SIGMOID, NULL, 0},
                   {"HardSilu", ACTIVATION_HARD_SWISH, NULL, 0},
                   {"HardTanh", ACTIVATION_HARD_TANH, NULL, 0},
                   {"Softmax", ACTIVATION_SOFTMAX, NULL, 0}};

static const struct named_activation *find_activation(const char *name)
{
    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++)
        if (strcmp(name, activations[i].name) == 0) return &activations[i];
    return NULL;
}

/* Names of operations that are not names of layers; find_activation knows more of them. */
static bool is_name(const char *class_name)
{
    static const char *const names[] = {"TrueDivide", "Divide", "GetItem", "Stack",   "Cast", "Negative",
                                        "Mean",       "Max",    "Amax",    "Maximum", "Clip"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(class_name, names[i]) == 0) return true;
    return find_activation(class_name) != NULL && strcmp(class_name, "Softmax") != 0;
}

/* A .keras has the module of each class; a .h5 does not. Three names are both layers and operations; the
 * layers have a single list as their argument. */
bool keras_is_operation(const cJSON *spec)
{
    static const char *const both[] = {"Add", "Subtract", "Multiply"}, *const layers[] = {"Softmax",
                                                                                          "Reshape"};
    const cJSON *config = net_json_get(spec, "config"), *node = net_json_get(spec, "inbound_nodes");
    const char *module = config_string(spec, "module"), *class_name = config_string(spec, "class_name");
    if (class_name && strcmp(class_name, "TFOpLambda") == 0) return true;
    if (module) return strncmp(module, "keras.src.ops", 13) == 0 || strncmp(module, "keras.ops", 9) == 0;
    node = cJSON_IsArray(node) ? node->child : NULL;
    if (!class_name || !cJSON_IsObject(node)) return false;
    const cJSON *args = net_json_get(node, "args");
    for (size_t i = 0; i < sizeof both / sizeof *both; i++)
        if (strcmp(class_name, both[i]) == 0) return cJSON_IsArray(args) && !cJSON_IsArray(args->child);
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        if (strcmp(class_name, layers[i]) == 0)
            return !net_json_get(config, "dtype") && !net_json_get(config, "trainable");
    return is_name(class_name);
}

/* Reads the arguments of a node of Keras 3, or the first tensor and y of Keras 2. *n is at most max. */
static int operands(const struct keras_call *c, struct operand *out, int max, int *n, struct error *err)
{
    static const char *const keywords[] = {"x", "x1", "x2", "y"};
    const cJSON *args = net_json_get(c->arguments, "args"), *v;
    const cJSON *kwargs = args ? net_json_get(c->arguments, "kwargs") : c->arguments;
    int taken = 0;
    *n = 0;
    if (!args && c->n_in > 0) out[(*n)++] = (struct operand){&c->in[taken++], NULL};
    cJSON_ArrayForEach(v, args)
    {
        if (*n >= max) return error_set(err, EX_DATAERR, "has more than %d arguments", max);
        out[(*n)++] = keras_is_tensor(v) && taken < c->n_in ? (struct operand){&c->in[taken++], NULL}
                                                            : (struct operand){NULL, v};
    }
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords && *n < max; i++) {
        if (!(v = net_json_get(kwargs, keywords[i]))) continue;
        bool tensor = keras_is_tensor(v) || (!args && cJSON_IsArray(v) && cJSON_IsString(v->child));
        out[(*n)++] =
            tensor && taken < c->n_in ? (struct operand){&c->in[taken++], NULL} : (struct operand){NULL, v};
    }
    return 0;
}

static int whole(const struct operand *o, struct error *err)
{
    if (o->value && o->value->channel < 0) return 0;
    return error_set(err, EX_DATAERR, "takes one channel of a picture, which is not supported");
}

enum arithmetic { ARITHMETIC_ADD, ARITHMETIC_SUBTRACT, ARITHMETIC_MULTIPLY, ARITHMETIC_DIVIDE };

/* Adds arithmetic of x with a constant, which may be the first or the second operand. */
static int with_constant(struct keras_call *c, enum arithmetic what, const struct operand *x, const cJSON *v,
                         bool constant_first, struct error *err)
{
    size_t n = 0;
    double *scale = mem_alloc(2 * KERAS_MAX_NUMBERS * sizeof *scale, err),
           *offset = scale + KERAS_MAX_NUMBERS;
    int rc = -1;
    if (!scale || whole(x, err)) goto out;
    if (keras_numbers(v, offset, KERAS_MAX_NUMBERS, &n) || n < 1) {
        error_set(err, EX_DATAERR, "has an argument that is neither a number nor a list of one a channel");
        goto out;
    }
    for (size_t i = 0; i < n; i++) {
        double number = offset[i];
        if (what == ARITHMETIC_DIVIDE && (constant_first || number == 0)) {
            error_set(err, EX_DATAERR, "divides by %s, which is not supported",
                      constant_first ? "a layer" : "0");
            goto out;
        }
        bool linear = what == ARITHMETIC_MULTIPLY || what == ARITHMETIC_DIVIDE;
        bool turned = what == ARITHMETIC_SUBTRACT && constant_first;
        scale[i] = what == ARITHMETIC_MULTIPLY ? number
                   : what == ARITHMETIC_DIVIDE ? 1 / number
                   : turned                    ? -1
                                               : 1;
        offset[i] = linear ? 0 : what == ARITHMETIC_SUBTRACT && !constant_first ? -number : number;
    }
    c->out = (struct keras_value){keras_rescale(c, "", x->value->layer, scale, offset, n, err), -1};
    rc = c->out.layer < 0 ? -1 : 0;
out:
    free(scale);
    return rc;
}

static int arithmetic(struct keras_call *c, enum arithmetic what, struct error *err)
{
    struct operand o[8];
    double minus = -1, zero = 0;
    int n, pair[2];
    if (operands(c, o, 8, &n, err)) return -1;
    while (n > 2 && o[n - 1].constant && !cJSON_IsNumber(o[n - 1].constant))
        n--; /* a name, null */
    if (n != 2) return error_set(err, EX_DATAERR, "has %d arguments instead of two", n);
    if (!o[0].value && !o[1].value) return error_set(err, EX_DATAERR, "has no input");
    if (!o[0].value) return with_constant(c, what, &o[1], o[0].constant, true, err);
    if (!o[1].value) return with_constant(c, what, &o[0], o[1].constant, false, err);
    if (whole(&o[0], err) || whole(&o[1], err)) return -1;
    if (what == ARITHMETIC_DIVIDE)
        return error_set(err, EX_DATAERR, "divides by a layer, which is not supported");
    if (what == ARITHMETIC_MULTIPLY) return keras_multiply(c, err);
    pair[0] = o[0].value->layer;
    pair[1] = o[1].value->layer;
    if (what == ARITHMETIC_SUBTRACT &&
        (pair[1] = keras_rescale(c, "_minus", pair[1], &minus, &zero, 1, err)) < 0)
        return -1;
    return keras_add(c, "", pair, 2, err);
}

/* --- channels --- */

/* Reads indexing: x[..., 2] is one channel, and x[..., ::-1] all channels in reverse order. */
static int get_item(struct keras_call *c, struct error *err)
{
    struct operand o[8];
    int n, at;
    if (operands(c, o, 8, &n, err)) return -1;
    const cJSON *key = n > 1 ? o[1].constant : NULL;
    const cJSON *last = cJSON_IsArray(key) && cJSON_GetArraySize(key) == 2 ? key->child->next : NULL;
    const char *first = cJSON_IsArray(key) ? config_string(key->child, "class_name") : NULL;
    const char *slice = config_string(last, "class_name");
    int channels = n > 0 && o[0].value ? keras_shape(c, o[0].value->layer)->dim[2] : -1;
    if (n < 2 || !o[0].value || o[0].value->channel >= 0 || !first || strcmp(first, "__ellipsis__") != 0 ||
        keras_shape(c, o[0].value->layer)->rank != 3 || channels < 1 || channels > 16)
        return error_set(err, EX_DATAERR, "picks a part that is not a channel of a picture");
    c->out = *o[0].value;
    if (!net_json_int(last, -channels, channels - 1, &at)) {
        c->out.channel = at < 0 ? at + channels : at;
        return 0;
    }
    const cJSON *bounds = net_json_get(last, "config");
    int step, order[16];
    if (slice && strcmp(slice, "__slice__") == 0 && !net_json_get(bounds, "start") &&
        !net_json_get(bounds, "stop") && !net_json_int(net_json_get(bounds, "step"), -1, -1, &step)) {
        for (int i = 0; i < channels; i++)
            order[i] = channels - 1 - i;
        c->out.layer = keras_permute(c, o[0].value->layer, order, channels, err);
        return c->out.layer < 0 ? -1 : 0;
    }
    return error_set(err, EX_DATAERR, "picks a part that is not a channel of a picture");
}

static int stack(struct keras_call *c, struct error *err)
{
    int order[16], from = c->in[0].layer, axis = -1, rank = keras_shape(c, from)->rank;
    const cJSON *v = net_json_get(c->config, "axis");
    bool fits = c->n_in <= 16 && (!v || !net_json_int(v, -1, 3, &axis)) && (axis == -1 || axis == rank) && v;
    for (int i = 0; i < c->n_in && fits; i++) {
        fits = c->in[i].layer == from && c->in[i].channel >= 0;
        order[i] = c->in[i].channel;
    }
    if (!fits) return error_set(err, EX_DATAERR, "stacks other things than the channels of one picture");
    c->out = (struct keras_value){keras_permute(c, from, order, c->n_in, err), -1};
    return c->out.layer < 0 ? -1 : 0;
}

/* --- the others --- */

/* Returns a setting of an operation. It is in the config, or, in other versions, among the call's
 * keywords. */
static const cJSON *setting(const struct keras_call *c, const char *key)
{
    const cJSON *v = net_json_get(c->config, key);
    return v ? v : net_json_get(net_json_get(c->arguments, "kwargs"), key);
}

static int number_setting(const struct keras_call *c, const char *key, double missing, double *out,
                          struct error *err)
{
    const cJSON *v = setting(c, key);
    *out = cJSON_IsNumber(v) ? v->valuedouble : missing;
    return v && !cJSON_IsNumber(v) ? config_wrong(err, key, "must be a number") : 0;
}

static int mean_or_max(struct keras_call *c, bool average, struct error *err)
{
    const cJSON *axis = setting(c, "axis");
    double axes[4];
    size_t n = 0;
    if (keras_shape(c, c->in[0].layer)->rank != 3 || keras_numbers(axis, axes, 4, &n) || n != 2 ||
        !((axes[0] == 1 && axes[1] == 2) || (axes[0] == 2 && axes[1] == 1) ||
          (axes[0] == -3 && axes[1] == -2)))
        return config_wrong(err, "axis", "must be [1,2], the height and width of a map");
    return keras_pool_all(c, average, cJSON_IsTrue(setting(c, "keepdims")), err);
}

static int reshape(struct keras_call *c, struct error *err)
{
    const cJSON *shape = setting(c, "newshape"), *v;
    struct net_shape target = {0};
    if (!cJSON_IsArray(shape) || cJSON_GetArraySize(shape) < 2 ||
        cJSON_GetArraySize(shape) > NET_MAX_RANK + 1)
        return config_wrong(err, "newshape", "must be a list of sizes that begins with the batch");
    for (v = shape->child->next; v; v = v->next)
        if (net_json_int(v, -1, NET_MAX_DIM, &target.dim[target.rank++]) || target.dim[target.rank - 1] == 0)
            return config_wrong(err, "newshape", "must hold sizes");
    int at = keras_emit(c, LAYER_RESHAPE, "", &c->in[0].layer, 1, err);
    if (at < 0) return -1;
    c->r->n->layers[at].target = target;
    c->out = (struct keras_value){at, -1};
    return keras_finish(c, at, err);
}

static int clip(struct keras_call *c, struct error *err)
{
    double min, max;
    if (number_setting(c, "x_min", -1e30, &min, err) || number_setting(c, "x_max", 1e30, &max, err))
        return -1;
    int at = keras_emit(c, LAYER_CLIP, "", &c->in[0].layer, 1, err);
    if (at < 0) return -1;
    c->r->n->layers[at].clip_min = (float)min;
    c->r->n->layers[at].clip_max = (float)max;
    c->out = (struct keras_value){at, -1};
    return keras_finish(c, at, err);
}

static int activation(struct keras_call *c, const struct named_activation *a, struct error *err)
{
    const cJSON *approximate = setting(c, "approximate"), *axis = setting(c, "axis");
    enum activation_kind kind = a->kind;
    double number = a->number;
    int at = -1, rank = keras_shape(c, c->in[0].layer)->rank;
    if (a->key && number_setting(c, a->key, number, &number, err)) return -1;
    /* keras.ops.gelu approximates unless it is told not to */
    if (kind == ACTIVATION_GELU && (!approximate || cJSON_IsTrue(approximate))) kind = ACTIVATION_GELU_TANH;
    if (kind == ACTIVATION_SOFTMAX && axis && (net_json_int(axis, -1, rank, &at) || (at != -1 && at != rank)))
        return config_wrong(err, "axis", "must be the last one");
    c->out.layer = keras_activation(c, "", c->in[0].layer, kind, (float)number, err);
    return c->out.layer < 0 ? -1 : 0;
}

/* Returns Keras 3's name for an operation of tf.keras 2, or NULL when it is not supported. */
static const char *old_operation(const char *function)
{
    static const char *const pairs[][2] = {{"math.truediv", "TrueDivide"},
                                           {"__operators__.truediv", "TrueDivide"},
                                           {"math.divide", "TrueDivide"},
                                           {"math.multiply", "Multiply"},
                                           {"__operators__.mul", "Multiply"},
                                           {"math.subtract", "Subtract"},
                                           {"__operators__.sub", "Subtract"},
                                           {"math.add", "Add"},
                                           {"__operators__.add", "Add"},
                                           {"nn.relu", "Relu"},
                                           {"nn.relu6", "Relu6"},
                                           {"nn.silu", "Silu"},
                                           {"math.sigmoid", "Sigmoid"},
                                           {"nn.softmax", "Softmax"},
                                           {"cast", "Cast"}};
    for (size_t i = 0; function && i < sizeof pairs / sizeof *pairs; i++)
        if (strcmp(function, pairs[i][0]) == 0) return pairs[i][1];
    return NULL;
}

int keras_build_operation(struct keras_call *c, struct error *err)
{
    const char *name = c->class_name;
    char shown[64];
    double minus = -1, zero = 0;
    if (strcmp(name, "TFOpLambda") == 0) {
        const char *function = config_string(c->config, "function");
        if (!(name = old_operation(function)))
            return error_set(err, EX_DATAERR, "is the operation '%s', which is not supported",
                             text_for_people(shown, sizeof shown, function ? function : "?"));
        c->class_name = name;
    }
    if (c->n_in < 1) return error_set(err, EX_DATAERR, "has no input");
    c->out = c->in[0];
    if (strcmp(name, "Add") == 0) return arithmetic(c, ARITHMETIC_ADD, err);
    if (strcmp(name, "Subtract") == 0) return arithmetic(c, ARITHMETIC_SUBTRACT, err);
    if (strcmp(name, "Multiply") == 0) return arithmetic(c, ARITHMETIC_MULTIPLY, err);
    if (strcmp(name, "TrueDivide") == 0 || strcmp(name, "Divide") == 0)
        return arithmetic(c, ARITHMETIC_DIVIDE, err);
    if (strcmp(name, "GetItem") == 0) return get_item(c, err);
    if (strcmp(name, "Stack") == 0) return stack(c, err);
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i].channel >= 0)
            return error_set(err, EX_DATAERR, "takes one channel of a picture, which is not supported");
    if (strcmp(name, "Concatenate") == 0) return keras_concatenate(c, setting(c, "axis"), err);
    if (c->n_in != 1)
        return error_set(err, EX_DATAERR, "is the operation '%s' with %d inputs, which is not supported",
                         text_for_people(shown, sizeof shown, name), c->n_in);
    if (strcmp(name, "Cast") == 0 || strcmp(name, "Identity") == 0) return 0;
    if (strcmp(name, "Negative") == 0) {
        c->out.layer = keras_rescale(c, "", c->in[0].layer, &minus, &zero, 1, err);
        return c->out.layer < 0 ? -1 : 0;
    }
    if (strcmp(name, "Mean") == 0) return mean_or_max(c, true, err);
    if (strcmp(name, "Max") == 0 || strcmp(name, "Amax") == 0) return mean_or_max(c, false, err);
    if (strcmp(name, "Reshape") == 0) return reshape(c, err);
    if (strcmp(name, "Clip") == 0) return clip(c, err);
    const struct named_activation *named = find_activation(name);
    if (named) return activation(c, named, err);
    return error_set(err, EX_DATAERR, "is the operation '%s', which is not supported",
                     text_for_people(shown, sizeof shown, name));
}
