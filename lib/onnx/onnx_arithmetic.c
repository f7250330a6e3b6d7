/*
 * onnx_arithmetic.c: reads activations, sums, products and scales. Exporters write some activations as
 * several operators; x * Sigmoid(x) and x * HardSigmoid(x) are recognised here.
 */
#ifdef WINNOW_WITHOUT_ONNX
typedef int onnx_arithmetic_is_left_out;
#else

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "onnx/onnx_reader.h"

static struct net_layer *layer_of(struct reader *r, const struct value *v)
{
    return &r->net->layers[v->layer];
}

/* Adds an elementwise layer, for which the layout of a map or vector does not matter. */
static struct net_layer *one_by_one(struct reader *r, enum layer_kind kind, const char *weight,
                                    const struct value *v)
{
    int from = v->layer;
    return layer_new(r, kind, weight, &from, 1);
}

static int finished(struct reader *r, int rank, int c_axis, bool chw)
{
    int at = r->net->n_layers - 1;
    if (layer_finish(r, at) || layer_output(r, at, rank, c_axis)) return -1;
    value_find(r, r->node->output[0])->chw = chw;
    return 0;
}

/* --- activations --- */

/*
 * In winnow's own files a layer with an activation is written as "conv1/linear" followed by "conv1". Moves
 * the activation back into the layer. Returns 1, or 0 when this is another case.
 */
static int taken_back(struct reader *r, struct value *v, enum activation_kind kind)
{
    struct net_layer *l = layer_of(r, v);
    if (!reader_is_own_file(r) || v->uses != 1 || v->layer != r->net->n_layers - 1 ||
        (l->kind != LAYER_CONV2D && l->kind != LAYER_DEPTHWISE_CONV2D && l->kind != LAYER_DENSE) ||
        l->activation != ACTIVATION_LINEAR || !r->node->name || strcmp(r->node->name, l->name) != 0)
        return 0;
    int layer = v->layer, rank = v->rank, c_axis = v->c_axis;
    l->activation = kind;
    return layer_output(r, layer, rank, c_axis) ? -1 : 1;
}

static int read_activation(struct reader *r)
{
    static const struct {
        const char *op;
        enum activation_kind kind;
    } kinds[] = {
        {"Relu", ACTIVATION_RELU},         {"Sigmoid", ACTIVATION_SIGMOID},
        {"Tanh", ACTIVATION_TANH},         {"HardSwish", ACTIVATION_HARD_SWISH},
        {"Elu", ACTIVATION_ELU},           {"Selu", ACTIVATION_SELU},
        {"Celu", ACTIVATION_CELU},         {"LeakyRelu", ACTIVATION_LEAKY_RELU},
        {"Softplus", ACTIVATION_SOFTPLUS}, {"Softsign", ACTIVATION_SOFTSIGN},
        {"Exp", ACTIVATION_EXPONENTIAL},   {"Mish", ACTIVATION_MISH},
        {"Gelu", ACTIVATION_GELU},         {"Swish", ACTIVATION_SILU},
    };
    struct value *v = node_input(r, 0);
    const char *op = r->node->op_type;
    size_t i = 0;
    while (i + 1 < sizeof kinds / sizeof *kinds && strcmp(kinds[i].op, op) != 0)
        i++;
    if (!value_is_layer(v)) return reader_fail(r, "must read a layer");
    enum activation_kind kind = kinds[i].kind;
    double alpha = attribute_float(r, "alpha", kind == ACTIVATION_LEAKY_RELU ? 0.01 : 1);
    if (kind == ACTIVATION_GELU && attribute_is(r, "approximate", "tanh", false)) kind = ACTIVATION_GELU_TANH;
    if (kind == ACTIVATION_SILU && alpha != 1) return reader_fail(r, "'alpha' must be 1");
    if (kind == ACTIVATION_SELU && (fabs(attribute_float(r, "alpha", 1.6732632) - 1.6732632) > 1e-6 ||
                                    fabs(attribute_float(r, "gamma", 1.0507010) - 1.0507010) > 1e-6))
        return reader_fail(r, "'alpha' and 'gamma' must be the usual ones");
    int done = activation_is_plain(kind) ? taken_back(r, v, kind) : 0;
    if (done) return done < 0 ? -1 : 0;
    if (!isfinite(alpha) || (kind == ACTIVATION_CELU && alpha == 0))
        return reader_fail(r, "'alpha' is not usable");
    int rank = v->rank, c_axis = v->c_axis;
    bool chw = v->chw;
    struct net_layer *l = one_by_one(r, LAYER_ACTIVATION, NULL, v);
    if (!l) return -1;
    l->activation = kind;
    l->alpha = (float)alpha;
    return finished(r, rank, c_axis, chw);
}

static int clipped(struct reader *r, struct value *v, double low, double high)
{
    int rank = v->rank, c_axis = v->c_axis;
    bool chw = v->chw, relu = low == 0 && high > 0;
    if (!(low <= high)) return reader_fail(r, "its lower bound is above its upper one");
    struct net_layer *l = one_by_one(r, relu ? LAYER_RELU : LAYER_CLIP, NULL, v);
    if (!l) return -1;
    l->relu_max = high < 1e30 ? (float)high : 0;
    if (!relu) l->relu_max = 0;
    l->clip_min = low > -1e30 ? (float)low : -1e30f;
    l->clip_max = high < 1e30 ? (float)high : 1e30f;
    return finished(r, rank, c_axis, chw);
}

/* Reads a constant that is a single number. */
static int number_of(struct reader *r, struct value *v, double *out)
{
    const struct constant *c = value_constant(r, v);
    if (!c) return -1;
    if (c->n != 1) return reader_fail(r, "must have one number, not %zu", c->n);
    *out = c->f ? (double)c->f[0] : (double)c->i[0];
    return 0;
}

static int read_clip(struct reader *r)
{
    double bound[2] = {attribute_float(r, "min", -INFINITY), attribute_float(r, "max", INFINITY)};
    if (!value_is_layer(node_input(r, 0))) return reader_fail(r, "must read a layer");
    for (size_t i = 0; i < 2; i++) {
        struct value *v = node_input(r, i + 1);
        if (v && number_of(r, v, &bound[i])) return -1;
    }
    int done = bound[0] == 0 && bound[1] == 6 ? taken_back(r, node_input(r, 0), ACTIVATION_RELU6) : 0;
    return done < 0 ? -1 : done ? 0 : clipped(r, node_input(r, 0), bound[0], bound[1]);
}

/* Reads Min or Max of a layer and a number. */
static int read_bound(struct reader *r)
{
    struct value *a = node_input(r, 0), *b = node_input(r, 1);
    double bound;
    bool max = strcmp(r->node->op_type, "Max") == 0;
    if (r->node->n_input != 2 || value_is_layer(a) == value_is_layer(b) || !a || !b)
        return reader_fail(r, "is supported for a layer and a number only");
    if (number_of(r, value_is_layer(a) ? b : a, &bound)) return -1;
    return clipped(r, value_is_layer(a) ? a : b, max ? bound : -INFINITY, max ? INFINITY : bound);
}

static bool is_near(double a, double b) { return fabs(a - b) < 1e-6; }

static int read_hard_sigmoid(struct reader *r)
{
    struct value *v = node_input(r, 0);
    double alpha = attribute_float(r, "alpha", 0.2), beta = attribute_float(r, "beta", 0.5);
    if (!value_is_layer(v)) return reader_fail(r, "must read a layer");
    int rank = v->rank, c_axis = v->c_axis;
    bool chw = v->chw, known = is_near(beta, 0.5) && (is_near(alpha, 1 / 6.0) || is_near(alpha, 0.2));
    struct net_layer *l = one_by_one(r, known ? LAYER_ACTIVATION : LAYER_RESCALING, NULL, v);
    if (!l) return -1;
    if (known) {
        l->activation = is_near(alpha, 0.2) ? ACTIVATION_HARD_SIGMOID_2 : ACTIVATION_HARD_SIGMOID;
        return finished(r, rank, c_axis, chw);
    }
    l->rescale = alpha;
    l->offset = beta;
    if (layer_finish(r, r->net->n_layers - 1)) return -1;
    struct value scaled = {.name = "",
                           .layer = r->net->n_layers - 1,
                           .rank = rank,
                           .c_axis = c_axis,
                           .chw = chw};
    return clipped(r, &scaled, 0, 1);
}

static int read_softmax(struct reader *r)
{
    struct value *v = node_input(r, 0);
    if (!value_is_layer(v)) return reader_fail(r, "must read a layer");
    int64_t axis = attribute_int(r, "axis", r->opset < 13 ? 1 : -1);
    int rank = v->rank, c_axis = v->c_axis;
    axis = axis < 0 ? axis + rank : axis;
    /* before opset 13, softmax is over all dimensions from the axis on */
    if (r->opset < 13 ? axis < 1 || axis > c_axis : axis != c_axis)
        return reader_fail(r, "works along another axis than the channels");
    if (!value_is_vector(r, v) || v->chw) return reader_fail(r, "over a map is not supported");
    int done = taken_back(r, v, ACTIVATION_SOFTMAX);
    if (done) return done < 0 ? -1 : 0;
    int from = layer_as_vector(r, v);
    struct net_layer *l = from < 0 ? NULL : layer_new(r, LAYER_ACTIVATION, NULL, &from, 1);
    if (!l) return -1;
    l->activation = ACTIVATION_SOFTMAX;
    return finished(r, rank, c_axis, false);
}

/* --- with constants --- */

/* Returns how many numbers the constant has: 1, or the number of channels, or 0 with err set for anything
 * else. */
static int spread_of(struct reader *r, const struct value *v, const struct constant *c)
{
    int channels = value_channels(r, v);
    if (!c->f) return reader_fail(r, "takes real numbers"), 0;
    if (c->n == 1) return 1;
    bool fits = c->n == (size_t)channels && c->rank <= v->rank && !v->chw;
    for (int i = 0; fits && i < c->rank; i++)
        fits = c->dim[i] == 1 || v->rank - c->rank + i == v->c_axis;
    if (!fits) reader_fail(r, "a constant that is neither one number nor one for each channel");
    return fits ? channels : 0;
}

/*
 * Reads x * c or x + c (power -1: x / c; sign -1: x - c, and negated: c - x). A scalar becomes a fixed number
 * of the layer; a constant with dimensions becomes a weight.
 */
static int read_scale(struct reader *r, struct value *v, struct value *constant, bool product, bool inverse,
                      bool negated)
{
    const char *name = constant->origin ? constant->origin : constant->name;
    const struct constant *c = value_constant(r, constant);
    int n = c ? spread_of(r, v, c) : 0, rank = v->rank, c_axis = v->c_axis;
    bool chw = v->chw, fixed = n == 1 && (c->rank == 0 || !constant->origin);
    if (!n) return -1;
    struct net_layer *l = one_by_one(r, fixed ? LAYER_RESCALING : LAYER_SCALE, constant->origin, v);
    if (!l) return -1;
    int at = r->net->n_layers - 1;
    double one = (double)c->f[0];
    if (fixed) {
        l->rescale = product ? (inverse ? 1 / one : one) : negated ? -1 : 1;
        l->offset = product ? 0 : inverse && !negated ? -one : one;
        if (!isfinite(l->rescale) || !isfinite(l->offset))
            return reader_fail(r, "a number that is not usable");
        return finished(r, rank, c_axis, chw);
    }
    l->scale = product || negated;
    l->center = !product;
    l->one_scale = n == 1 || negated;
    l->one_center = n == 1;
    if (layer_finish(r, at)) return -1;
    for (int side = 0; side < 2; side++) {
        enum weight_role role = side ? WEIGHT_BETA : WEIGHT_GAMMA;
        if (!(side ? r->net->layers[at].center : r->net->layers[at].scale)) continue;
        float *to = layer_weight(r, at, role, name);
        if (!to) return -1;
        if (!side && negated) {
            *to = -1;
            continue;
        }
        for (int k = 0; k < n; k++)
            to[k] = product && inverse ? 1 / c->f[k] : !product && inverse && !negated ? -c->f[k] : c->f[k];
        if (!inverse && names_weight(r, at, role, name, c, NULL)) return -1;
    }
    if (layer_output(r, at, rank, c_axis)) return -1;
    value_find(r, r->node->output[0])->chw = chw;
    return 0;
}

/* Recognises the bias of a convolution or dense layer that no other node reads. Returns 1, 0 when it is not a
 * bias, or -1 with err set. */
static int read_bias(struct reader *r, struct value *v, struct value *constant)
{
    struct net_layer *l = layer_of(r, v);
    bool fits = (l->kind == LAYER_CONV2D || l->kind == LAYER_DEPTHWISE_CONV2D || l->kind == LAYER_DENSE) &&
                !l->use_bias && v->uses == 1 && v->layer == r->net->n_layers - 1;
    const struct constant *c = fits ? value_constant(r, constant) : NULL;
    if (!fits) return 0;
    if (!c) return -1;
    if (c->rank == 0 || !c->f || c->n != (size_t)value_channels(r, v)) return 0;
    if (!spread_of(r, v, c)) return -1;
    int at = v->layer, rank = v->rank, c_axis = v->c_axis;
    const char *name = constant->origin ? constant->origin : constant->name;
    float *kernel = l->weights[0].values;
    struct net_shape shape = l->weights[0].shape;
    size_t n_values = l->weights[0].n_values;
    l->use_bias = true;
    free(l->weights[0].name);
    free(l->weights);
    l->weights = NULL;
    l->n_weights = 0;
    if (net_layer_make_weights(l, r->err)) return -1;
    l->weights[0].values = kernel;
    l->weights[0].shape = shape;
    l->weights[0].n_values = n_values;
    float *to = layer_weight(r, at, WEIGHT_BIAS, name);
    if (!to) return -1;
    memcpy(to, c->f, c->n * sizeof *to);
    if (names_weight(r, at, WEIGHT_BIAS, name, c, NULL) || layer_output(r, at, rank, c_axis)) return -1;
    return 1;
}

/* --- of layers --- */

static bool same_dims(const struct reader *r, const struct value *a, const struct value *b)
{
    int64_t da[VALUE_MAX_RANK], db[VALUE_MAX_RANK];
    value_dims(r, a, da);
    value_dims(r, b, db);
    bool same = a->rank == b->rank && a->c_axis == b->c_axis && a->chw == b->chw;
    for (int i = 0; same && i < a->rank; i++)
        same = da[i] == db[i];
    return same;
}

static int join_layers(struct reader *r, enum layer_kind kind)
{
    int list[8], n = (int)r->node->n_input;
    struct value *first = node_input(r, 0);
    if (n > 8 || n < 1) return reader_fail(r, "has %d inputs", n);
    bool all_vectors = true;
    for (int i = 0; i < n; i++) {
        struct value *v = node_input(r, (size_t)i);
        if (!value_is_layer(v)) return reader_fail(r, "must read layers");
        if (kind == LAYER_ADD && !same_dims(r, first, v))
            return reader_fail(r, "adds values with different dimensions");
        all_vectors &= layer_of(r, v)->output.rank == 1;
    }
    int rank = first->rank, c_axis = first->c_axis;
    bool chw = first->chw;
    for (int i = 0; i < n; i++) {
        struct value *v = node_input(r, (size_t)i);
        if (v->rank != rank || v->c_axis != c_axis || v->chw != chw)
            return reader_fail(r, "joins what is not alike");
        list[i] = all_vectors || chw ? v->layer : rank == 4 ? layer_as_map(r, v) : layer_as_vector(r, v);
        if (list[i] < 0) return -1;
    }
    struct net_layer *l = layer_new(r, kind, NULL, list, n);
    return l ? finished(r, rank, c_axis, chw) : -1;
}

/* Recognises x * gate(x). Returns 1, or 0 for another product. */
static int read_gated(struct reader *r, struct value *x, struct value *gate)
{
    struct net_layer *g = layer_of(r, gate);
    if (g->kind != LAYER_ACTIVATION || g->inputs[0] != x->layer || !same_dims(r, x, gate)) return 0;
    enum activation_kind kind = g->activation == ACTIVATION_SIGMOID        ? ACTIVATION_SILU
                                : g->activation == ACTIVATION_HARD_SIGMOID ? ACTIVATION_HARD_SWISH
                                                                           : ACTIVATION_LINEAR;
    if (kind == ACTIVATION_LINEAR) return 0;
    int rank = x->rank, c_axis = x->c_axis;
    bool chw = x->chw;
    struct net_layer *l = one_by_one(r, LAYER_ACTIVATION, NULL, x);
    if (!l) return -1;
    l->activation = kind;
    return finished(r, rank, c_axis, chw) ? -1 : 1;
}

/* --- GELU in pieces --- */

static int gelu_step(struct reader *r, const struct value *from, enum value_form part)
{
    int layer = from->layer, rank = from->rank, c_axis = from->c_axis;
    bool chw = from->chw;
    struct value *v = node_output(r);
    if (!v) return -1;
    v->layer = layer;
    v->rank = rank;
    v->c_axis = c_axis;
    v->chw = chw;
    v->form = part;
    return 0;
}

static int read_erf(struct reader *r)
{
    struct value *v = node_input(r, 0);
    if (!value_is_layer(v)) return reader_fail(r, "must read a layer");
    const struct net_layer *l = layer_of(r, v);
    if (l->kind != LAYER_RESCALING || l->offset != 0 || !is_near(l->rescale, sqrt(0.5)))
        return reader_fail(r, "is supported as a part of GELU only");
    struct value x = *v;
    x.layer = l->inputs[0];
    return gelu_step(r, &x, FORM_ERF);
}

/* Whether v is `factor` times the layer: a constant (layer -1), or the layer's output rescaled. */
static bool is_times(struct reader *r, struct value *v, double factor, int layer)
{
    if (layer < 0) {
        const struct constant *c = value_is_constant(v) ? value_constant(r, v) : NULL;
        return c && c->n == 1 && c->f && is_near((double)c->f[0], factor);
    }
    if (!value_is_layer(v) || v->form) return false;
    const struct net_layer *l = layer_of(r, v);
    if (factor == 1) return v->layer == layer;
    return l->kind == LAYER_RESCALING && l->inputs[0] == layer && l->offset == 0 && l->rescale == factor;
}

static int read_gelu(struct reader *r)
{
    struct value *a = node_input(r, 0), *b = node_input(r, 1), *part = a && form_is_gelu(a->form) ? a : b,
                 *other = part == a ? b : a;
    bool product = r->node->op_type[0] == 'M', whole = false;
    enum value_form to = FORM_PLAIN;
    int x = part->layer, rank = part->rank, c_axis = part->c_axis;
    bool chw = part->chw;
    if (!other || r->node->n_input != 2) return reader_fail(r, "must have two inputs");
    if (!product && part->form == FORM_ERF && is_times(r, other, 1, -1)) to = FORM_ONE_AND_ERF;
    if (product && part->form == FORM_ONE_AND_ERF) {
        to = is_times(r, other, 1, x)      ? FORM_DOUBLE_GELU
             : is_times(r, other, 0.5, -1) ? FORM_GELU_GATE
                                           : FORM_PLAIN;
        whole = is_times(r, other, 0.5, x);
    }
    if (product && part->form == FORM_DOUBLE_GELU) whole = is_times(r, other, 0.5, -1);
    if (product && part->form == FORM_GELU_GATE) whole = is_times(r, other, 1, x);
    if (to) return gelu_step(r, part, to);
    if (!whole) return reader_fail(r, "reads an error function, which is supported as a part of GELU only");
    struct net_layer *l = layer_new(r, LAYER_ACTIVATION, NULL, &x, 1);
    if (!l) return -1;
    l->activation = ACTIVATION_GELU;
    return finished(r, rank, c_axis, chw);
}

static int read_pair_of(struct reader *r)
{
    const char *op = r->node->op_type;
    bool product = op[0] == 'M' || op[0] == 'D', inverse = op[0] == 'D' || strcmp(op, "Sub") == 0;
    struct value *a = node_input(r, 0), *b = node_input(r, 1);
    int done;
    if (r->node->n_input != 2 || !a || !b) return reader_fail(r, "must have two inputs");
    if (form_is_gelu(a->form) || form_is_gelu(b->form)) return read_gelu(r);
    if (value_is_layer(a) && value_is_layer(b)) {
        if (inverse) return reader_fail(r, "of two layers is not supported");
        if (!product) return join_layers(r, LAYER_ADD);
        if ((done = read_gated(r, a, b)) || (done = read_gated(r, b, a))) return done < 0 ? -1 : 0;
        if (a->layer == b->layer) return reader_fail(r, "a layer times itself is not supported");
        return join_layers(r, LAYER_MULTIPLY);
    }
    bool swapped = value_is_layer(b);
    struct value *v = swapped ? b : a, *constant = swapped ? a : b;
    if (!value_is_layer(v)) return reader_fail(r, "is not supported on these constants");
    if (product && inverse && swapped) return reader_fail(r, "a number divided by a layer is not supported");
    if (!product && !inverse && (done = read_bias(r, v, constant))) return done < 0 ? -1 : 0;
    return read_scale(r, v, constant, product, inverse, !product && inverse && swapped);
}

static int read_sum(struct reader *r)
{
    return r->node->n_input == 2 ? read_pair_of(r) : join_layers(r, LAYER_ADD);
}

static int read_negative(struct reader *r)
{
    struct value *v = node_input(r, 0);
    if (!value_is_layer(v)) return reader_fail(r, "must read a layer");
    int rank = v->rank, c_axis = v->c_axis;
    bool chw = v->chw;
    struct net_layer *l = one_by_one(r, LAYER_RESCALING, NULL, v);
    if (!l) return -1;
    l->rescale = -1;
    return finished(r, rank, c_axis, chw);
}

const struct onnx_operator arithmetic_operators[] = {
    {"Relu", "", read_activation},
    {"Sigmoid", "", read_activation},
    {"Tanh", "", read_activation},
    {"HardSwish", "", read_activation},
    {"Elu", "alpha", read_activation},
    {"Selu", "alpha gamma", read_activation},
    {"Celu", "alpha", read_activation},
    {"LeakyRelu", "alpha", read_activation},
    {"Softplus", "", read_activation},
    {"Softsign", "", read_activation},
    {"Exp", "", read_activation},
    {"Mish", "", read_activation},
    {"Gelu", "approximate", read_activation},
    {"Swish", "alpha", read_activation},
    {"HardSigmoid", "alpha beta", read_hard_sigmoid},
    {"Clip", "max min", read_clip},
    {"Max", "", read_bound},
    {"Min", "", read_bound},
    {"Softmax", "axis", read_softmax},
    {"Add", "", read_pair_of},
    {"Sub", "", read_pair_of},
    {"Mul", "", read_pair_of},
    {"Div", "", read_pair_of},
    {"Sum", "", read_sum},
    {"Neg", "", read_negative},
    {"Erf", "", read_erf},
    {NULL, NULL, NULL},
};

#endif
