/*
 * tensor_engine_test.c: whole small nets through the engine. A net in the style of InceptionV3 (branches,
 * nested concatenation, pools, batch norms) and one in the style of MobileNetV2 (padding, depthwise, ReLU6,
 * additions): forward, gradients (against central differences of the loss on `ref`, and cpu against ref), ten
 * steps, state, resume, boundary, refresh.
 */
/* needs: tensor net base io */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine_pieces.h"
#include "base/random.h"
#include "net/net.h"
#include "tap.h"
#include "tensor/engine.h"

#define SIDE 23
#define BATCH 4
#define CLASSES 5

static struct random dice;
static struct error err;

/* --- nets by hand --- */

static int layer(struct net *n, enum layer_kind kind, const char *name, int in0, int in1, int in2, int in3)
{
    int inputs[] = {in0, in1, in2, in3};
    n->layers = realloc(n->layers, (size_t)(n->n_layers + 1) * sizeof *n->layers);
    struct net_layer *l = &n->layers[n->n_layers];
    memset(l, 0, sizeof *l);
    l->name = strdup(name);
    l->kind = kind;
    l->trainable = true;
    l->kernel_h = l->kernel_w = l->stride_h = l->stride_w = l->dilation_h = l->dilation_w = 1;
    l->pick_step = l->pick_groups = 1;
    l->inputs = malloc(4 * sizeof *l->inputs);
    for (int i = 0; i < 4; i++)
        if (inputs[i] >= 0) l->inputs[l->n_inputs++] = inputs[i];
    return n->n_layers++;
}

static void weight(struct net *n, int at, enum weight_role role, int rank, int a, int b, int c, int d,
                   double low, double high)
{
    struct net_layer *l = &n->layers[at];
    int dims[] = {a, b, c, d};
    char name[96];
    l->weights = realloc(l->weights, (size_t)(l->n_weights + 1) * sizeof *l->weights);
    struct net_weight *w = &l->weights[l->n_weights++];
    memset(w, 0, sizeof *w);
    snprintf(name, sizeof name, "%s/w%d", l->name, (int)role);
    w->name = strdup(name);
    w->role = role;
    w->shape.rank = rank;
    w->n_values = 1;
    for (int i = 0; i < rank; i++) {
        w->shape.dim[i] = dims[i];
        w->n_values *= (size_t)dims[i];
    }
    w->values = malloc(w->n_values * sizeof *w->values);
    for (size_t i = 0; i < w->n_values; i++)
        w->values[i] = (float)random_range(&dice, low, high);
}

/* Convolution, batch norm, ReLU (or ReLU6): Keras' usual three layers. cin is looked up by the caller. */
static int conv(struct net *n, int from, int cin, int cout, int kh, int kw, int stride, bool same,
                bool depthwise, bool six)
{
    char name[64];
    double bound = sqrt(3.0 / (kh * kw * (depthwise ? 1 : cin)));
    snprintf(name, sizeof name, "conv_%d", n->n_layers);
    int c = layer(n, depthwise ? LAYER_DEPTHWISE_CONV2D : LAYER_CONV2D, name, from, -1, -1, -1);
    struct net_layer *l = &n->layers[c];
    l->kernel_h = kh;
    l->kernel_w = kw;
    l->stride_h = l->stride_w = stride;
    l->same = same;
    l->filters = depthwise ? 1 : cout;
    weight(n, c, depthwise ? WEIGHT_DEPTHWISE_KERNEL : WEIGHT_KERNEL, 4, kh, kw, cin, depthwise ? 1 : cout,
           -bound, bound);
    snprintf(name, sizeof name, "bn_%d", n->n_layers);
    int b = layer(n, LAYER_BATCH_NORM, name, c, -1, -1, -1);
    l = &n->layers[b];
    l->momentum = 0.9;
    l->epsilon = 1e-3;
    l->center = true;
    l->scale = six; /* the Inception kind has none, as published */
    if (six) weight(n, b, WEIGHT_GAMMA, 1, cout, 0, 0, 0, 0.5, 1.5);
    weight(n, b, WEIGHT_BETA, 1, cout, 0, 0, 0, -0.3, 0.5);
    weight(n, b, WEIGHT_MOVING_MEAN, 1, cout, 0, 0, 0, -0.2, 0.2);
    weight(n, b, WEIGHT_MOVING_VARIANCE, 1, cout, 0, 0, 0, 0.3, 1.5);
    snprintf(name, sizeof name, "relu_%d", n->n_layers);
    int r = layer(n, six ? LAYER_RELU : LAYER_ACTIVATION, name, b, -1, -1, -1);
    n->layers[r].activation = ACTIVATION_RELU;
    n->layers[r].relu_max = six ? 6 : 0;
    return r;
}

static int pool(struct net *n, enum layer_kind kind, const char *name, int from, int size, int stride,
                bool same)
{
    int p = layer(n, kind, name, from, -1, -1, -1);
    n->layers[p].kernel_h = n->layers[p].kernel_w = size;
    n->layers[p].stride_h = n->layers[p].stride_w = stride;
    n->layers[p].same = same;
    return p;
}

static int dense(struct net *n, const char *name, int from, int cin, int units, enum activation_kind act,
                 double l2)
{
    double bound = sqrt(3.0 / cin);
    int d = layer(n, LAYER_DENSE, name, from, -1, -1, -1);
    n->layers[d].units = units;
    n->layers[d].use_bias = true;
    n->layers[d].activation = act;
    n->layers[d].l2 = l2;
    weight(n, d, WEIGHT_KERNEL, 2, cin, units, 0, 0, -bound, bound);
    weight(n, d, WEIGHT_BIAS, 1, units, 0, 0, 0, -0.1, 0.1);
    return d;
}

static int input(struct net *n)
{
    int i = layer(n, LAYER_INPUT, "input", -1, -1, -1, -1);
    n->layers[i].output = (struct net_shape){3, {SIDE, SIDE, 3}};
    n->input = i;
    n->metadata.input_scale = 1.0 / 127.5;
    n->metadata.input_offset = -1;
    return i;
}

static void inception_like(struct net *n)
{
    *n = NET_EMPTY;
    n->name = strdup("inception-like");
    int x = conv(n, input(n), 3, 16, 3, 3, 2, false, false, false); /* 11x11 */
    x = conv(n, x, 16, 24, 3, 3, 1, true, false, false);
    int a = conv(n, x, 24, 16, 1, 1, 1, true, false, false);
    int b = conv(n, conv(n, x, 24, 16, 1, 1, 1, true, false, false), 16, 16, 1, 5, 1, true, false, false);
    int c1 = conv(n, x, 24, 16, 3, 3, 1, true, false, false);
    int c2 = conv(n, c1, 16, 8, 1, 3, 1, true, false, false),
        c3 = conv(n, c1, 16, 8, 3, 1, 1, true, false, false);
    int nested = layer(n, LAYER_CONCATENATE, "nested", c2, c3, -1, -1);
    int p = conv(n, pool(n, LAYER_AVERAGE_POOL, "avg", x, 3, 1, true), 24, 16, 1, 1, 1, true, false, false);
    x = layer(n, LAYER_CONCATENATE, "mixed0", a, b, nested, p); /* 64 */
    a = conv(n, x, 64, 24, 3, 3, 2, false, false, false);       /* 5x5 */
    b = pool(n, LAYER_MAX_POOL, "max", x, 3, 2, false);
    x = layer(n, LAYER_CONCATENATE, "mixed1", a, b, -1, -1); /* 88 */
    a = conv(n, x, 88, 16, 1, 1, 1, true, false, false);
    b = conv(n, x, 88, 24, 3, 3, 1, true, false, false);
    x = layer(n, LAYER_CONCATENATE, "mixed2", a, b, a, -1); /* one branch twice: has to be copied */
    x = pool(n, LAYER_AVERAGE_POOL, "pool", x, 5, 5, false);
    x = layer(n, LAYER_FLATTEN, "flatten", x, -1, -1, -1);
    x = dense(n, "dense_1", x, 56, 20, ACTIVATION_RELU, 0.0005);
    x = layer(n, LAYER_DROPOUT, "dropout", x, -1, -1, -1);
    n->layers[x].rate = 0.5;
    x = dense(n, "dense_2", x, 20, 12, ACTIVATION_RELU, 0);
    n->output = dense(n, "dense_3", x, 12, CLASSES, ACTIVATION_SOFTMAX, 0);
}

static void mobile_like(struct net *n)
{
    *n = NET_EMPTY;
    n->name = strdup("mobile-like");
    int pad = layer(n, LAYER_ZERO_PADDING, "pad1", input(n), -1, -1, -1);
    n->layers[pad].pad_bottom = n->layers[pad].pad_right = 1;
    int x = conv(n, pad, 3, 16, 3, 3, 2, false, false, true);
    int y = conv(n, x, 16, 16, 3, 3, 1, true, true, true);
    y = conv(n, y, 16, 16, 1, 1, 1, true, false, true);
    x = layer(n, LAYER_ADD, "add", x, y, -1, -1);
    pad = layer(n, LAYER_ZERO_PADDING, "pad2", x, -1, -1, -1);
    n->layers[pad].pad_bottom = n->layers[pad].pad_right = 1;
    x = conv(n, pad, 16, 16, 3, 3, 2, false, true, true);
    x = conv(n, x, 16, 32, 1, 1, 1, true, false, true);
    x = layer(n, LAYER_GLOBAL_AVERAGE_POOL, "gap", x, -1, -1, -1);
    x = layer(n, LAYER_RESHAPE, "reshape", x, -1, -1, -1);
    n->layers[x].target = (struct net_shape){3, {1, 1, 32}};
    x = layer(n, LAYER_FLATTEN, "flat", x, -1, -1, -1);
    x = dense(n, "logits", x, 32, CLASSES, ACTIVATION_LINEAR, 0);
    n->output = layer(n, LAYER_ACTIVATION, "softmax", x, -1, -1, -1);
    n->layers[n->output].activation = ACTIVATION_SOFTMAX;
}

static int activation(struct net *n, int from, enum activation_kind kind)
{
    char name[64];
    snprintf(name, sizeof name, "act_%d", n->n_layers);
    int a = layer(n, LAYER_ACTIVATION, name, from, -1, -1, -1);
    n->layers[a].activation = kind;
    return a;
}

static int plain_conv(struct net *n, int from, int cin, int cout, int k, int groups, enum activation_kind act)
{
    char name[64];
    double bound = sqrt(3.0 / (k * k * cin / groups));
    snprintf(name, sizeof name, "conv_%d", n->n_layers);
    int c = layer(n, LAYER_CONV2D, name, from, -1, -1, -1);
    struct net_layer *l = &n->layers[c];
    l->kernel_h = l->kernel_w = k;
    l->same = true;
    l->filters = cout;
    l->groups = groups;
    l->use_bias = true;
    weight(n, c, WEIGHT_KERNEL, 4, k, k, cin / groups, cout, -bound, bound);
    weight(n, c, WEIGHT_BIAS, 1, cout, 0, 0, 0, -0.2, 0.2);
    return act == ACTIVATION_LINEAR ? c : activation(n, c, act);
}

/* What newer networks have: groups, gates, learned scales, padded pools, smooth activations. */
static void newer_like(struct net *n)
{
    *n = NET_EMPTY;
    n->name = strdup("newer-like");
    int x = layer(n, LAYER_RESCALING, "rescaling", input(n), -1, -1, -1);
    n->layers[x].rescale = 1.5;
    n->layers[x].offset = -0.1;
    x = plain_conv(n, x, 3, 16, 3, 1, ACTIVATION_SILU);
    x = pool(n, LAYER_MAX_POOL, "padded", x, 3, 2, false);
    n->layers[x].pad_top = n->layers[x].pad_bottom = n->layers[x].pad_left = n->layers[x].pad_right = 1;
    int grouped = plain_conv(n, x, 16, 32, 3, 4, ACTIVATION_LINEAR);
    x = layer(n, LAYER_SCALE, "scale", activation(n, grouped, ACTIVATION_HARD_SWISH), -1, -1, -1);
    n->layers[x].scale = n->layers[x].center = n->layers[x].one_scale = true;
    weight(n, x, WEIGHT_GAMMA, 1, 1, 0, 0, 0, 0.5, 1.5);
    weight(n, x, WEIGHT_BETA, 1, 32, 0, 0, 0, -0.3, 0.3);
    int half = layer(n, LAYER_CHANNELS, "half", x, -1, -1, -1);
    n->layers[half].filters = 16;
    n->layers[half].pick_first = 16;
    int small = pool(n, LAYER_AVERAGE_POOL, "small", half, 2, 2, true);
    int large = layer(n, LAYER_RESIZING, "large", small, -1, -1, -1);
    n->layers[large].resize_h = n->layers[large].resize_w = (SIDE + 1) / 2;
    n->layers[large].nearest = true;
    x = layer(n, LAYER_CONCATENATE, "beside", large, half, -1, -1);
    x = layer(n, LAYER_CHANNELS, "shuffled", x, -1, -1, -1);
    n->layers[x].filters = 32;
    n->layers[x].pick_groups = 2;
    n->layers[x].pick_span = 16;
    int gate = layer(n, LAYER_GLOBAL_AVERAGE_POOL, "squeeze", x, -1, -1, -1);
    gate = layer(n, LAYER_RESHAPE, "squeezed", gate, -1, -1, -1);
    n->layers[gate].target = (struct net_shape){3, {1, 1, 32}};
    gate = plain_conv(n, gate, 32, 8, 1, 1, ACTIVATION_SILU);
    gate = activation(n, plain_conv(n, gate, 8, 32, 1, 1, ACTIVATION_LINEAR), ACTIVATION_HARD_SIGMOID);
    x = layer(n, LAYER_MULTIPLY, "excite", gate, x, -1, -1);
    int clip = layer(n, LAYER_CLIP, "clip", plain_conv(n, x, 32, 16, 1, 1, ACTIVATION_LINEAR), -1, -1, -1);
    n->layers[clip].clip_min = -0.7f;
    n->layers[clip].clip_max = 0.9f;
    int other = activation(n, plain_conv(n, x, 32, 16, 1, 1, ACTIVATION_LINEAR), ACTIVATION_SIGMOID);
    x = layer(n, LAYER_MULTIPLY, "product", clip, other, -1, -1);
    x = layer(n, LAYER_GLOBAL_AVERAGE_POOL, "gap", x, -1, -1, -1);
    n->output = dense(n, "dense", x, 16, CLASSES, ACTIVATION_SOFTMAX, 0);
}

/* --- helpers --- */

static uint8_t pixels[2 * BATCH * SIDE * SIDE * 3];
static float targets[2 * BATCH * CLASSES], row_weights[2 * BATCH];

static void make_data(void)
{
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)random_u64(&dice);
    for (int i = 0; i < 2 * BATCH; i++) {
        for (int c = 0; c < CLASSES; c++)
            targets[i * CLASSES + c] = 0.1f / CLASSES;
        targets[i * CLASSES + (int)random_below(&dice, CLASSES)] += 0.9f;
        row_weights[i] = (float)random_range(&dice, 0.5, 1.5);
    }
}

static struct engine *open_engine(const struct net *n, const char *device, enum engine_mode mode,
                                  enum engine_optimizer optimizer)
{
    struct engine *e = NULL;
    struct engine_options o = ENGINE_DEFAULTS;
    o.device = device;
    o.threads = 2;
    o.batch = BATCH;
    o.mode = mode;
    o.optimizer = optimizer;
    o.ema = mode == ENGINE_TRAIN;
    if (engine_open(&e, n, &o, &err)) CHECK_SAY(false, "%s opens on %s: %s", n->name, device, err.text);
    return e;
}

static float *state_of(struct engine *e, enum engine_state which)
{
    float *v = malloc((engine_state_size(e, which) + 1) * sizeof *v);
    if (engine_state_get(e, which, v, &err)) CHECK_SAY(false, "state: %s", err.text);
    return v;
}

/* Largest difference over the largest value. */
static double apart(const float *a, const float *b, size_t n)
{
    double largest = 1e-6, worst = 0;
    for (size_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs(a[i]));
        worst = fmax(worst, fabs((double)a[i] - b[i]));
        if (a[i] != a[i] || b[i] != b[i]) return NAN;
    }
    return worst / largest;
}

static struct engine_batch batch_of(int which)
{
    return (struct engine_batch){.n = BATCH, .pixels = pixels + which * BATCH * SIDE * SIDE * 3};
}
static struct engine_target target_of(int which)
{
    return (struct engine_target){targets + which * BATCH * CLASSES, row_weights + which * BATCH};
}

static bool train(struct engine *e, int n_steps, uint64_t first, struct engine_result *r)
{
    struct engine_step step = ENGINE_STEP_DEFAULTS;
    step.rate = 0.01;
    step.clip_norm = 5;
    step.seed = 11;
    for (int i = 0; i < n_steps; i++) {
        step.step = first + (uint64_t)i;
        struct engine_batch in = batch_of((int)(step.step % 2));
        struct engine_target target = target_of((int)(step.step % 2));
        if (engine_train_step(e, &in, &target, &step, r, &err)) {
            CHECK_SAY(false, "step: %s", err.text);
            return false;
        }
    }
    return true;
}

/* --- tests --- */

/* d loss / d weights along random directions, by differences of the loss the engine itself reports. */
static void gradients_are_right(const struct net *n, bool dropout)
{
    struct engine *e = open_engine(n, "ref", ENGINE_TRAIN, ENGINE_SGD);
    struct engine_batch in = batch_of(0);
    struct engine_target target = target_of(0);
    struct engine_step step = ENGINE_STEP_DEFAULTS;
    struct engine_result r;
    step.seed = 5;
    if (!e) return;
    size_t size = engine_state_size(e, ENGINE_WEIGHTS), offset, count;
    float *w = state_of(e, ENGINE_WEIGHTS), *moved = malloc(size * sizeof *moved);
    CHECK_SAY(!engine_gradients(e, &in, &target, &step, &r, &err) && r.finite, "%s: gradients", n->name);
    float *g = state_of(e, ENGINE_GRADIENTS);
    int which, piece = 0, layer_index, n_bad = 0, n_pieces = 0;
    for (; engine_state_piece(e, ENGINE_WEIGHTS, piece, &layer_index, &which, &offset, &count); piece++) {
        const double h = 1e-3;
        double by_gradient = 0, loss[2];
        memcpy(moved, w, size * sizeof *w);
        float *direction = malloc(count * sizeof *direction);
        double length = 0;
        for (size_t i = 0; i < count; i++) {
            direction[i] = (float)random_range(&dice, -1, 1);
            length += direction[i] * direction[i];
        }
        for (size_t i = 0; i < count; i++) {
            direction[i] = (float)(direction[i] / sqrt(length));
            by_gradient += (double)g[offset + i] * direction[i];
        }
        for (int s = 0; s < 2; s++) {
            for (size_t i = 0; i < count; i++)
                moved[offset + i] = w[offset + i] + (float)(s ? -h : h) * direction[i];
            engine_state_set(e, ENGINE_WEIGHTS, moved, &err);
            engine_gradients(e, &in, &target, &step, &r, &err);
            loss[s] = r.loss;
        }
        double by_difference = (loss[0] - loss[1]) / (2 * h);
        /* float32 forward passes: the loss is good to some 1e-6, over 2h; kinks that are crossed cost more
         * than that now and then */
        bool bad = !(fabs(by_gradient - by_difference) <= 3e-3 + 0.03 * fabs(by_difference));
        n_bad += bad;
        n_pieces++;
        if (bad)
            printf("# %s %s: gradient %.6f, differences %.6f\n", n->layers[layer_index].name,
                   n->layers[layer_index].weights[which].name, by_gradient, by_difference);
        free(direction);
    }
    CHECK_SAY(n_pieces > 10 && n_bad <= n_pieces / 20,
              "%s: gradients of %d weights agree with differences of the loss (%d do not)", n->name, n_pieces,
              n_bad);
    free(w);
    free(moved);
    free(g);
    engine_close(e);
}

static void cpu_agrees_with_ref(const struct net *n)
{
    static const enum engine_optimizer optimizers[] = {ENGINE_SGD, ENGINE_ADAM};
    for (int o = 0; o < 2; o++) {
        struct engine *e[2] = {open_engine(n, "ref", ENGINE_TRAIN, optimizers[o]),
                               open_engine(n, "cpu", ENGINE_TRAIN, optimizers[o])};
        const char *name = o ? "Adam" : "SGD";
        struct engine_result r[2];
        if (!e[0] || !e[1]) return;
        struct engine_batch in = batch_of(0);
        struct engine_target target = target_of(0);
        struct engine_step step = ENGINE_STEP_DEFAULTS;
        float p[2][BATCH * CLASSES], *g[2];
        for (int k = 0; k < 2; k++) {
            engine_gradients(e[k], &in, &target, &step, &r[k], &err);
            g[k] = state_of(e[k], ENGINE_GRADIENTS);
        }
        double d = apart(g[0], g[1], engine_state_size(e[0], ENGINE_GRADIENTS));
        CHECK_SAY(d < 1e-4, "%s, %s: gradients of cpu and ref: %.1e apart", n->name, name, d);
        CHECK_SAY(fabs(r[0].loss - r[1].loss) < 1e-5, "%s, %s: loss %.7f and %.7f", n->name, name, r[0].loss,
                  r[1].loss);
        for (int k = 0; k < 2; k++) {
            free(g[k]);
            train(e[k], 10, 0, &r[k]);
            g[k] = state_of(e[k], ENGINE_WEIGHTS);
        }
        /* Adam divides by the root of the squared gradient: where that is near 0 a rounding moves a weight by
         * a whole rate */
        double bound = o ? 2e-2 : 1e-3;
        d = apart(g[0], g[1], engine_state_size(e[0], ENGINE_WEIGHTS));
        CHECK_SAY(d < bound, "%s, %s: weights after ten steps: %.1e apart", n->name, name, d);
        for (int k = 0; k < 2; k++) {
            free(g[k]);
            g[k] = state_of(e[k], ENGINE_STATISTICS);
        }
        d = apart(g[0], g[1], engine_state_size(e[0], ENGINE_STATISTICS));
        CHECK_SAY(d < (o ? 5e-2 : 1e-3), "%s, %s: moving statistics after ten steps: %.1e apart", n->name,
                  name, d);
        for (int k = 0; k < 2; k++) {
            engine_forward(e[k], &in, &err);
            engine_probabilities(e[k], p[k], &err);
            free(g[k]);
            engine_close(e[k]);
        }
        d = apart(p[0], p[1], BATCH * CLASSES);
        CHECK_SAY(d < (o ? 5e-2 : 1e-3), "%s, %s: probabilities then: %.1e apart", n->name, name, d);
    }
}

/* A sum after a 1x1 convolution, which the CPU computes with it, before each kind of curve. */
static void sums_before_curves(void)
{
    static const enum activation_kind curves[] = {ACTIVATION_LINEAR, ACTIVATION_RELU, ACTIVATION_SIGMOID};
    for (int i = 0; i < 3; i++) {
        struct net n = NET_EMPTY;
        n.name = strdup("sum");
        int x = plain_conv(&n, input(&n), 3, 32, 1, 1, ACTIVATION_RELU);
        int y = plain_conv(&n, x, 32, 32, 1, 1, ACTIVATION_LINEAR);
        x = layer(&n, LAYER_ADD, "add", x, y, -1, -1);
        if (curves[i] != ACTIVATION_LINEAR) x = activation(&n, x, curves[i]);
        x = plain_conv(&n, x, 32, 16, 1, 1, ACTIVATION_RELU);
        x = layer(&n, LAYER_GLOBAL_AVERAGE_POOL, "gap", x, -1, -1, -1);
        n.output = dense(&n, "dense", x, 16, CLASSES, ACTIVATION_SOFTMAX, 0);
        if (!CHECK_SAY(!net_infer_shapes(&n, 0, 0, &err), "shapes of a sum: %s", err.text)) return;
        float p[2][BATCH * CLASSES];
        struct engine_batch in = batch_of(0);
        for (int k = 0; k < 2; k++) {
            struct engine *e = open_engine(&n, k ? "cpu" : "ref", ENGINE_INFERENCE, ENGINE_SGD);
            if (!e) return;
            CHECK(!engine_forward(e, &in, &err) && !engine_probabilities(e, p[k], &err));
            engine_close(e);
        }
        double d = apart(p[0], p[1], BATCH * CLASSES);
        CHECK_SAY(d < 1e-5, "a sum, then curve %d: probabilities of cpu and ref: %.1e apart", i, d);
        net_release(&n);
    }
}

/* Eleven steps in one go, and four, saved, loaded into a fresh engine, seven more: the same bits. And twice
 * the same run. */
static void resume_and_repeat(const struct net *n, const char *device)
{
    struct engine *whole = open_engine(n, device, ENGINE_TRAIN, ENGINE_SGD),
                  *first = open_engine(n, device, ENGINE_TRAIN, ENGINE_SGD);
    struct engine *second = open_engine(n, device, ENGINE_TRAIN, ENGINE_SGD);
    struct engine_result r;
    bool same = true;
    if (!whole || !first || !second) return;
    train(whole, 11, 0, &r);
    train(first, 4, 0, &r);
    for (int s = 0; s <= ENGINE_EMA; s++) {
        float *v = state_of(first, (enum engine_state)s);
        CHECK_SAY(!engine_state_set(second, (enum engine_state)s, v, &err), "%s: state %d goes in", device,
                  s);
        free(v);
    }
    train(second, 7, 4, &r);
    for (int s = 0; s <= ENGINE_EMA; s++) {
        float *a = state_of(whole, (enum engine_state)s), *b = state_of(second, (enum engine_state)s);
        same &= !memcmp(a, b, engine_state_size(whole, (enum engine_state)s) * sizeof *a);
        free(a);
        free(b);
    }
    CHECK_SAY(same, "%s on %s: four steps, resume, seven steps = eleven steps, bit for bit", n->name, device);
    engine_close(first);
    engine_close(whole);
    engine_close(second);
}

/* Frozen prefix inside, or its outputs given: the same training. */
static void boundary_equals_whole(const struct net *original, const char *from)
{
    struct net n = NET_EMPTY;
    int *layers = NULL, n_layers = 0;
    struct engine *cache = NULL, *whole, *suffix = NULL;
    struct engine_options o = ENGINE_DEFAULTS;
    float *values[8] = {NULL};
    struct engine_result a, b;
    if (!CHECK_SAY(!net_copy(&n, original, &err) && !net_unlock_from(&n, from, &err), "copy: %s", err.text))
        return;
    if (!CHECK_SAY(!engine_boundary(&n, &layers, &n_layers, &err), "boundary: %s", err.text)) return;
    o.device = "cpu";
    o.threads = 2;
    o.batch = BATCH;
    o.outputs = layers;
    o.n_outputs = n_layers;
    whole = open_engine(&n, "cpu", ENGINE_TRAIN, ENGINE_SGD);
    if (engine_open(&cache, &n, &o, &err)) {
        CHECK_SAY(false, "cache engine: %s", err.text);
        return;
    }
    o.outputs = NULL;
    o.n_outputs = 0;
    o.inputs = layers;
    o.n_inputs = n_layers;
    o.mode = ENGINE_TRAIN;
    o.ema = true;
    if (engine_open(&suffix, &n, &o, &err)) {
        CHECK_SAY(false, "suffix engine: %s", err.text);
        return;
    }
    struct engine_batch in = batch_of(0);
    struct engine_target target = target_of(0);
    struct engine_step step = ENGINE_STEP_DEFAULTS;
    engine_forward(cache, &in, &err);
    for (int i = 0; i < n_layers; i++) {
        values[i] = malloc(BATCH * engine_output_size(cache, i) * sizeof(float));
        CHECK_SAY(engine_output_size(cache, i) == engine_input_size(suffix, i), "sizes agree");
        engine_output(cache, i, values[i], &err);
    }
    struct engine_batch cached = {.n = BATCH, .values = (const float *const *)values};
    bool ran = !engine_train_step(whole, &in, &target, &step, &a, &err) &&
               !engine_train_step(suffix, &cached, &target, &step, &b, &err);
    CHECK_SAY(ran && a.loss == b.loss, "from %s: %d cached tensors: loss %.9g and %.9g %s", from, n_layers,
              a.loss, b.loss, ran ? "" : err.text);
    float *wa = state_of(whole, ENGINE_WEIGHTS), *wb = state_of(suffix, ENGINE_WEIGHTS);
    CHECK_SAY(engine_state_size(whole, ENGINE_WEIGHTS) == engine_state_size(suffix, ENGINE_WEIGHTS) &&
                  !memcmp(wa, wb, engine_state_size(whole, ENGINE_WEIGHTS) * sizeof *wa),
              "the same weights after a step");
    free(wa);
    free(wb);
    for (int i = 0; i < n_layers; i++)
        free(values[i]);
    free(layers);
    engine_close(cache);
    engine_close(whole);
    engine_close(suffix);
    net_release(&n);
}

static void reading_and_refresh(const struct net *original)
{
    struct net n = NET_EMPTY;
    struct engine *e = open_engine(original, "cpu", ENGINE_TRAIN, ENGINE_SGD), *i = NULL;
    struct engine_result r;
    struct engine_batch in = batch_of(0), odd = {.n = 3, .pixels = pixels};
    struct engine_target target = target_of(0);
    struct engine_step step = ENGINE_STEP_DEFAULTS;
    float p[BATCH * CLASSES], q[BATCH * CLASSES];
    size_t need = 0;
    struct engine_options o = ENGINE_DEFAULTS;
    if (!e) return;
    train(e, 3, 0, &r);
    CHECK_SAY(engine_has_batch_norm(e), "there are unlocked batch norms");
    CHECK_SAY(!engine_refresh_begin(e, &err) && !engine_refresh_run(e, &in, &err), "refresh: %s", err.text);
    struct engine_batch other = batch_of(1);
    CHECK(!engine_refresh_run(e, &other, &err));
    engine_forward(e, &in, &err);
    engine_probabilities(e, p, &err);
    CHECK(!net_copy(&n, original, &err) && !engine_read_net(e, ENGINE_WEIGHTS, &n, &err));
    i = open_engine(&n, "cpu", ENGINE_INFERENCE, ENGINE_SGD);
    engine_forward(i, &in, &err);
    engine_output(i, 0, q, &err);
    double d = apart(p, q, BATCH * CLASSES);
    CHECK_SAY(d < 1e-5, "a trained net read out and run for inference: %.1e apart", d);
    engine_forward(i, &odd, &err);
    memset(q, 0, sizeof q);
    engine_output(i, 0, q, &err);
    d = apart(p, q, 3 * CLASSES);
    CHECK_SAY(d < 1e-5 && q[3 * CLASSES] == 0,
              "three of four pictures: %.1e apart, and no more than three rows", d);
    error_clear(&err);
    CHECK_SAY(engine_train_step(e, &odd, &target, &step, &r, &err) && err.code == EX_USAGE,
              "a part of a batch is refused: %s", err.text);
    error_clear(&err);
    step.rate = NAN;
    float nan_targets[BATCH * CLASSES];
    for (int k = 0; k < BATCH * CLASSES; k++)
        nan_targets[k] = NAN;
    struct engine_target broken = {nan_targets, NULL};
    float *before = state_of(e, ENGINE_WEIGHTS);
    CHECK_SAY(!engine_train_step(e, &in, &broken, &step, &r, &err) && !r.finite, "a NaN loss is told");
    float *after = state_of(e, ENGINE_WEIGHTS);
    CHECK_SAY(!memcmp(before, after, engine_state_size(e, ENGINE_WEIGHTS) * sizeof *before),
              "and steps nothing");
    free(before);
    free(after);
    o.device = "cpu";
    o.threads = 2;
    o.batch = BATCH;
    o.mode = ENGINE_TRAIN;
    o.ema = true;
    CHECK(!engine_memory_need(original, &o, &need, &err));
    CHECK_SAY(need == engine_memory_bytes(e), "memory is known before: %zu and %zu", need,
              engine_memory_bytes(e));
    o.batch = 64;
    engine_memory_need(original, &o, &need, &err);
    o.memory_limit_bytes = need / 2;
    struct engine *none = NULL;
    CHECK_SAY(engine_open(&none, original, &o, &err) && err.code == EX_OSERR &&
                  strstr(err.text, "would fit") && !none,
              "too much is refused: %s", err.text);
    error_clear(&err);
    o.memory_limit_bytes = 0;
    o.device = "abacus";
    CHECK_SAY(engine_open(&none, original, &o, &err) && err.code == EX_USAGE, "an unknown device: %s",
              err.text);
    error_clear(&err);
    engine_close(e);
    engine_close(i);
    net_release(&n);
}

int main(void)
{
    struct net inception, mobile, newer;
    dice = random_start(424242, 1, 0);
    make_data();
    inception_like(&inception);
    mobile_like(&mobile);
    newer_like(&newer);
    if (!CHECK_SAY(!net_infer_shapes(&inception, 0, 0, &err) && !net_infer_shapes(&mobile, 0, 0, &err) &&
                       !net_infer_shapes(&newer, 0, 0, &err),
                   "shapes: %s", err.text))
        return tap_done();
    gradients_are_right(&inception, true);
    gradients_are_right(&mobile, false);
    gradients_are_right(&newer, true);
    struct backend_options o = {.threads = 2};
    const struct backend_table *t;
    struct backend *b;
    resume_and_repeat(&inception, "ref");
    if (backend_open("cpu", &o, &t, &b, &err)) {
        tap_skip("cpu", err.text);
    } else {
        t->close(b);
        cpu_agrees_with_ref(&inception);
        cpu_agrees_with_ref(&mobile);
        cpu_agrees_with_ref(&newer);
        resume_and_repeat(&inception, "cpu");
        resume_and_repeat(&mobile, "cpu");
        resume_and_repeat(&newer, "cpu");
        boundary_equals_whole(&inception, "dense_1");
        boundary_equals_whole(&inception, "mixed1");
        boundary_equals_whole(&mobile, "add");
        reading_and_refresh(&inception);
        sums_before_curves();
    }
    net_release(&inception);
    net_release(&mobile);
    net_release(&newer);
    return tap_done();
}
