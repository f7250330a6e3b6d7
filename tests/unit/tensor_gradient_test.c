/*
 * tensor_gradient_test.c: the gradient of every layer kind of the plain-loops backend against central
 * differences, and two closed-form values per kind's corner: TensorFlow's "same" padding, average pools that
 * do not count it. For L(x, w) = sum of r * y with random r, (L(v + h) - L(v - h)) / 2h must equal the
 * gradient along random directions. Values are float32, sums double: with |values| near 1 the quotient is
 * good to some 1e-3 of its size. ReLU's kinks ask for a small h, so that no value crosses one.
 */
/* needs: tensor net base io */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "tap.h"
#include "tensor/backend.h"

#define MAX_VALUES 20000

static struct random dice;
static const struct backend_table *t;
static struct backend *b;
static struct error err;

struct probe { /* one operation with everything it reads and writes */
    struct op_desc d;
    struct backend_op *op;
    struct op_io io;
    size_t n_x[OP_MAX_INPUTS], n_y, n_w, n_b;
    float *x[OP_MAX_INPUTS], *w, *bias, *r;
};

static size_t count(const struct tensor_shape *s)
{
    return (size_t)s->n * (size_t)s->h * (size_t)s->w * (size_t)s->c;
}

static struct slot room(size_t n)
{
    struct slot s = {NULL, 0};
    if (t->alloc(b, (n + 1) * sizeof(float), &s.buffer, &err)) CHECK_SAY(false, "alloc: %s", err.text);
    return s;
}

static float *noise(size_t n, double low, double high)
{
    float *v = malloc((n + 1) * sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[i] = (float)random_range(&dice, low, high);
    return v;
}

static struct param_shape kernel_shape(const struct op_desc *d)
{
    enum param_kind kind = d->kind == OP_DENSE       ? PARAM_DENSE
                           : d->kind == OP_DEPTHWISE ? PARAM_DEPTHWISE
                                                     : PARAM_CONV;
    return (struct param_shape){kind, d->kernel_h, d->kernel_w, d->x[0].c / conv_groups(d),
                                d->kind == OP_DEPTHWISE ? d->y.c / d->x[0].c : d->y.c};
}

static struct param_shape vector_shape(int c) { return (struct param_shape){PARAM_VECTOR, 1, 1, 1, c}; }

static struct param_shape w_shape(const struct op_desc *d)
{
    return d->kind == OP_BATCH_NORM ? vector_shape(d->y.c)
           : d->kind == OP_SCALE    ? vector_shape(d->scale_c)
                                    : kernel_shape(d);
}

static struct param_shape bias_shape(const struct op_desc *d)
{
    return vector_shape(d->kind == OP_SCALE ? d->bias_c : d->y.c);
}

static double forward(struct probe *p, float *y)
{
    struct slot none = {NULL, 0};
    double sum = 0;
    for (int i = 0; i < p->d.n_x; i++)
        t->tensor_upload(b, p->io.x[i], &p->d.x[i], p->x[i], p->d.x[i].n, &err);
    if (p->n_w) {
        struct param_shape s = w_shape(&p->d);
        t->param_upload(b, p->d.kind == OP_BATCH_NORM ? p->io.gamma : p->io.w, &s, p->w, &err);
    }
    if (p->n_b) {
        struct param_shape s = bias_shape(&p->d);
        t->param_upload(b, p->d.kind == OP_BATCH_NORM ? p->io.beta : p->io.bias, &s, p->bias, &err);
    }
    if (t->op_forward(b, p->op, &p->io, none, &err)) CHECK_SAY(false, "forward: %s", err.text);
    t->tensor_download(b, p->io.y, &p->d.y, y, p->d.y.n, &err);
    for (size_t i = 0; i < p->n_y; i++)
        sum += (double)y[i] * p->r[i];
    return sum;
}

/* The derivative along a random direction of one of the operation's inputs, by differences and by its
 * gradient. */
static void check_along(struct probe *p, const char *name, const char *what, float *values,
                        const float *gradient, size_t n, float *y)
{
    bool kinks = p->d.activation == OP_RELU || p->d.activation == OP_RELU_CAPPED;
    const double h = kinks ? 1.0 / 8192 : 1.0 / 512;
    float *kept = malloc(n * sizeof *kept), *direction = noise(n, -1, 1);
    double by_gradient = 0, scale = 0;
    memcpy(kept, values, n * sizeof *kept);
    for (size_t i = 0; i < n; i++) {
        by_gradient += (double)gradient[i] * direction[i];
        scale += fabs((double)gradient[i] * direction[i]);
    }
    for (size_t i = 0; i < n; i++)
        values[i] = kept[i] + (float)h * direction[i];
    double up = forward(p, y);
    for (size_t i = 0; i < n; i++)
        values[i] = kept[i] - (float)h * direction[i];
    double down = forward(p, y), by_difference = (up - down) / (2 * h);
    memcpy(values, kept, n * sizeof *kept);
    /* rounding of the float32 values over 2h; half as much again for the
     * curvature of batch norm and sigmoid */
    double allowed = (kinks ? 1.5e-3 : 1e-3) * (1 + sqrt(scale)) + 1e-3 * fabs(by_difference);
    CHECK_SAY(fabs(by_gradient - by_difference) <= allowed,
              "%s: d/d%s: gradient %.6f, differences %.6f (allowed %.4f)", name, what, by_gradient,
              by_difference, allowed);
    free(kept);
    free(direction);
}

static void check_op(const char *name, struct op_desc d)
{
    struct probe p = {.d = d};
    struct slot none = {NULL, 0};
    float *y, *g;
    p.d.training = p.d.needs_dx = true;
    p.d.name = name;
    if (!p.d.n_x) p.d.n_x = 1;
    p.n_y = count(&p.d.y);
    for (int i = 0; i < p.d.n_x; i++) {
        p.n_x[i] = count(&p.d.x[i]);
        p.x[i] = noise(p.n_x[i], -1, 1);
        /* values apart from each other and from the kinks, so that h moves no maximum and no sign */
        for (size_t k = 0; k < p.n_x[i] && p.d.kind == OP_MAX_POOL; k++)
            p.x[i][k] = (float)((k * 7919) % p.n_x[i]) * 0.05f;
        p.io.x[i] = room(p.n_x[i]);
        p.io.dx[i] = room(p.n_x[i]);
    }
    p.io.y = room(p.n_y);
    p.io.dy = room(p.n_y);
    if (d.kind == OP_CONV || d.kind == OP_DEPTHWISE || d.kind == OP_DENSE) {
        p.d.needs_dw = true;
        p.n_w = (size_t)d.kernel_h * (size_t)d.kernel_w *
                (size_t)(d.kind == OP_DEPTHWISE ? 1 : d.x[0].c / conv_groups(&d)) * (size_t)d.y.c;
        p.n_b = d.has_bias ? (size_t)d.y.c : 0;
    } else if (d.kind == OP_BATCH_NORM) {
        p.d.needs_dw = true;
        p.n_w = d.has_gamma ? (size_t)d.y.c : 0;
        p.n_b = d.has_beta ? (size_t)d.y.c : 0;
        p.io.mean = room((size_t)d.y.c);
        p.io.variance = room((size_t)d.y.c);
        p.io.momentum = 1;
    }
    if (d.kind == OP_SCALE) {
        p.d.needs_dw = true;
        p.n_w = (size_t)d.scale_c;
        p.n_b = (size_t)d.bias_c;
    }
    p.w = noise(p.n_w, 0.2, 1);
    p.bias = noise(p.n_b, -0.5, 0.5);
    for (size_t i = 0; i < p.n_w; i++)
        p.w[i] *= random_u64(&dice) & 1 && d.kind != OP_BATCH_NORM ? -1 : 1;
    *(d.kind == OP_BATCH_NORM ? &p.io.gamma : &p.io.w) = p.n_w ? room(p.n_w) : none;
    *(d.kind == OP_BATCH_NORM ? &p.io.beta : &p.io.bias) = p.n_b ? room(p.n_b) : none;
    p.io.dw = p.n_w ? room(p.n_w) : none;
    p.io.dbias = p.n_b ? room(p.n_b) : none;
    p.r = noise(p.n_y, -1, 1);
    if (d.kind == OP_MULTIPLY) {
        float *mask = noise(p.n_y, 0, 2);
        struct tensor_shape s = {1, 1, 1, (int)p.n_y, (int)p.n_y, 0, 0, 0};
        p.io.mask = room(p.n_y);
        t->tensor_upload(b, p.io.mask, &s, mask, 1, &err);
        free(mask);
    }
    if (t->op_create(b, &p.d, &p.op, &err)) {
        CHECK_SAY(false, "%s: %s", name, err.text);
        return;
    }
    if (t->op_saved_bytes(p.op)) p.io.saved = room(t->op_saved_bytes(p.op) / sizeof(float) + 1);
    if (d.kind == OP_AFFINE) {
        float *scale = noise((size_t)d.y.c, -1, 1), *shift = noise((size_t)d.y.c, -1, 1);
        t->op_load(b, p.op, scale, shift, &err);
        free(scale);
        free(shift);
    }
    y = malloc(MAX_VALUES * sizeof *y);
    g = malloc(MAX_VALUES * sizeof *g);
    forward(&p, y);
    t->tensor_upload(b, p.io.dy, &p.d.y, p.r, p.d.y.n, &err);
    CHECK_SAY(!t->op_backward(b, p.op, &p.io, none, &err), "%s: backward", name);
    for (int i = 0; i < p.d.n_x; i++) {
        t->tensor_download(b, p.io.dx[i], &p.d.x[i], g, p.d.x[i].n, &err);
        check_along(&p, name, "x", p.x[i], g, p.n_x[i], y);
    }
    if (p.n_w) {
        struct param_shape s = w_shape(&d);
        t->param_download(b, p.io.dw, &s, g, &err);
        check_along(&p, name, "w", p.w, g, p.n_w, y);
    }
    if (p.n_b) {
        struct param_shape s = bias_shape(&d);
        t->param_download(b, p.io.dbias, &s, g, &err);
        check_along(&p, name, "b", p.bias, g, p.n_b, y);
    }
    /* once more with accumulate: twice the gradient */
    for (int i = 0; i < p.d.n_x; i++) {
        float *once = malloc(p.n_x[i] * sizeof *once);
        double worst = 0;
        forward(&p, y);
        t->tensor_download(b, p.io.dx[i], &p.d.x[i], once, p.d.x[i].n, &err);
        for (int k = 0; k < p.d.n_x; k++)
            p.io.accumulate[k] = k == i;
        t->tensor_upload(b, p.io.dy, &p.d.y, p.r, p.d.y.n, &err);
        t->op_backward(b, p.op, &p.io, none, &err);
        t->tensor_download(b, p.io.dx[i], &p.d.x[i], g, p.d.x[i].n, &err);
        for (size_t k = 0; k < p.n_x[i]; k++)
            worst = fmax(worst, fabs(g[k] - 2.0 * once[k]) / (1 + fabs(once[k])));
        CHECK_SAY(worst < 1e-5, "%s: accumulates into dx[%d] (worst %.1e)", name, i, worst);
        p.io.accumulate[i] = false;
        free(once);
    }
    t->op_destroy(b, p.op);
    struct slot all[] = {p.io.y,    p.io.dy,       p.io.w,     p.io.bias, p.io.gamma, p.io.beta,
                         p.io.mean, p.io.variance, p.io.saved, p.io.mask, p.io.dw,    p.io.dbias};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        t->free(b, all[i].buffer);
    for (int i = 0; i < p.d.n_x; i++) {
        t->free(b, p.io.x[i].buffer);
        t->free(b, p.io.dx[i].buffer);
        free(p.x[i]);
    }
    free(p.w);
    free(p.bias);
    free(p.r);
    free(y);
    free(g);
}

static struct tensor_shape shape(int n, int h, int w, int c)
{
    return (struct tensor_shape){n, h, w, c, c, 0, 0, 0};
}

static struct op_desc window(enum op_kind kind, struct tensor_shape x, struct tensor_shape y, int kh, int kw,
                             int stride, int top, int left, int bottom, int right)
{
    return (struct op_desc){.kind = kind,
                            .n_x = 1,
                            .x = {x},
                            .y = y,
                            .kernel_h = kh,
                            .kernel_w = kw,
                            .stride_h = stride,
                            .stride_w = stride,
                            .dilation_h = 1,
                            .dilation_w = 1,
                            .pad_top = top,
                            .pad_left = left,
                            .pad_bottom = bottom,
                            .pad_right = right};
}

static struct op_desc plain(enum op_kind kind, struct tensor_shape x, struct tensor_shape y)
{
    return window(kind, x, y, 1, 1, 1, 0, 0, 0, 0);
}

static void every_kind(void)
{
    struct op_desc d = window(OP_CONV, shape(2, 5, 6, 3), shape(2, 5, 6, 4), 3, 3, 1, 1, 1, 1, 1);
    check_op("conv 3x3 same", d);
    d.has_bias = true;
    d.activation = OP_SIGMOID;
    check_op("conv 3x3 + bias + sigmoid", d);
    d.activation = OP_RELU;
    check_op("conv 3x3 + bias + relu", d);
    check_op("conv 3x3 stride 2, padding after",
             window(OP_CONV, shape(2, 6, 6, 3), shape(2, 3, 3, 5), 3, 3, 2, 0, 0, 1, 1));
    d = window(OP_CONV, shape(1, 7, 7, 2), shape(1, 3, 3, 3), 3, 3, 1, 0, 0, 0, 0);
    d.dilation_h = d.dilation_w = 2;
    check_op("conv 3x3 dilated", d);
    check_op("conv 1x7", window(OP_CONV, shape(2, 4, 7, 3), shape(2, 4, 7, 3), 1, 7, 1, 0, 3, 0, 3));
    d = window(OP_DEPTHWISE, shape(2, 5, 5, 4), shape(2, 3, 3, 4), 3, 3, 2, 1, 1, 1, 1);
    check_op("depthwise 3x3 stride 2", d);
    d = window(OP_DEPTHWISE, shape(2, 4, 4, 3), shape(2, 4, 4, 6), 3, 3, 1, 1, 1, 1, 1);
    d.has_bias = true;
    d.activation = OP_RELU_CAPPED;
    d.activation_max = 1.5f;
    check_op("depthwise x2 + bias + relu capped", d);
    d = plain(OP_DENSE, shape(4, 1, 1, 12), shape(4, 1, 1, 7));
    d.has_bias = true;
    check_op("dense", d);
    d.activation = OP_RELU;
    check_op("dense + relu", d);
    d = plain(OP_BATCH_NORM, shape(3, 4, 4, 5), shape(3, 4, 4, 5));
    d.epsilon = 1e-3;
    d.has_beta = true;
    check_op("batch norm, beta only", d);
    d.has_gamma = true;
    check_op("batch norm", d);
    d.activation = OP_SIGMOID;
    check_op("batch norm + sigmoid", d);
    d.activation = OP_RELU;
    check_op("batch norm + relu", d);
    check_op("affine", plain(OP_AFFINE, shape(2, 3, 3, 4), shape(2, 3, 3, 4)));
    d = plain(OP_ACTIVATION, shape(2, 3, 3, 4), shape(2, 3, 3, 4));
    d.activation = OP_SIGMOID;
    check_op("sigmoid", d);
    d.activation = OP_RELU;
    check_op("relu", d);
    d.activation = OP_RELU_CAPPED;
    d.activation_max = 0.6f;
    check_op("relu capped", d);
    for (int k = CURVE_RELU; k <= CURVE_CLIP; k++) {
        char name[32];
        d = plain(OP_CURVE, shape(2, 3, 3, 4), shape(2, 3, 3, 4));
        d.curve = (enum op_curve)k;
        d.curve_at[0] = k == CURVE_RELU ? 0.1f : 0.7f;
        d.curve_at[1] = k == CURVE_RELU ? 0.8f : 0.3f;
        d.curve_at[2] = 0;
        snprintf(name, sizeof name, "curve %d", k);
        check_op(name, d);
    }
    check_op("max pool 3x3 stride 2",
             window(OP_MAX_POOL, shape(2, 7, 7, 3), shape(2, 3, 3, 3), 3, 3, 2, 0, 0, 0, 0));
    check_op("max pool same", window(OP_MAX_POOL, shape(2, 6, 6, 3), shape(2, 3, 3, 3), 3, 3, 2, 0, 0, 1, 1));
    check_op("average pool same",
             window(OP_AVERAGE_POOL, shape(2, 5, 5, 3), shape(2, 5, 5, 3), 3, 3, 1, 1, 1, 1, 1));
    check_op("average pool stride 2",
             window(OP_AVERAGE_POOL, shape(2, 6, 6, 3), shape(2, 3, 3, 3), 2, 2, 2, 0, 0, 0, 0));
    check_op("average pool 8x8",
             window(OP_AVERAGE_POOL, shape(2, 8, 8, 3), shape(2, 1, 1, 3), 8, 8, 8, 0, 0, 0, 0));
    check_op("global average pool", plain(OP_GLOBAL_AVERAGE_POOL, shape(2, 4, 5, 3), shape(2, 1, 1, 3)));
    d = plain(OP_CONCAT, shape(2, 3, 3, 2), shape(2, 3, 3, 7));
    d.n_x = 2;
    d.x[1] = shape(2, 3, 3, 5);
    d.first_c[1] = 2;
    check_op("concat", d);
    d = plain(OP_ADD, shape(2, 3, 3, 4), shape(2, 3, 3, 4));
    d.n_x = 3;
    d.x[1] = d.x[2] = d.x[0];
    d.activation = OP_SIGMOID;
    check_op("add + sigmoid", d);
    check_op("zero pad", window(OP_ZERO_PAD, shape(2, 3, 3, 2), shape(2, 5, 6, 2), 1, 1, 1, 0, 1, 2, 2));
    d = plain(OP_RESIZE, shape(2, 3, 4, 2), shape(2, 5, 7, 2));
    check_op("resize, bilinear", d);
    d.nearest = true;
    check_op("resize, nearest", d);
    d.from_corner = true;
    check_op("resize, nearest from the corner", d);
    d = plain(OP_CHANNELS, shape(2, 3, 3, 8), shape(2, 3, 3, 5));
    d.pick_first = 2;
    d.pick_step = d.pick_groups = 1;
    check_op("channels from the middle", d);
    d = plain(OP_CHANNELS, shape(2, 3, 3, 6), shape(2, 3, 3, 6));
    d.pick_step = 1;
    d.pick_groups = 3;
    d.pick_span = 2;
    check_op("channels shuffled", d);
    check_op("reshape", plain(OP_RESHAPE, shape(2, 3, 4, 2), shape(2, 1, 1, 24)));
    d = window(OP_CONV, shape(2, 5, 6, 4), shape(2, 5, 6, 6), 3, 3, 1, 1, 1, 1, 1);
    d.groups = 2;
    d.has_bias = true;
    check_op("conv 3x3 in two groups", d);
    d = plain(OP_PRODUCT, shape(2, 3, 3, 4), shape(2, 3, 3, 4));
    d.n_x = 2;
    d.x[1] = d.x[0];
    check_op("product", d);
    d.x[1] = shape(2, 1, 1, 4);
    check_op("product with a gate", d);
    d = plain(OP_SCALE, shape(2, 3, 3, 4), shape(2, 3, 3, 4));
    d.scale_c = d.bias_c = 4;
    check_op("scale and shift", d);
    d.scale_c = d.bias_c = 1;
    check_op("one scale and shift", d);
    d.scale_c = 0;
    check_op("one shift", d);
    check_op("multiply", plain(OP_MULTIPLY, shape(3, 1, 1, 9), shape(3, 1, 1, 9)));
}

/* 4x4 ones, 3x3, "same", stride 1: corners of an average pool stay 1; of a convolution of ones they are 4. */
static void padding_rules(void)
{
    struct op_desc d = window(OP_AVERAGE_POOL, shape(1, 4, 4, 1), shape(1, 4, 4, 1), 3, 3, 1, 1, 1, 1, 1);
    struct probe p = {.d = d};
    float y[16];
    p.d.name = "padding";
    p.n_y = p.n_x[0] = 16;
    p.x[0] = noise(16, 1, 1);
    p.r = noise(16, 0, 0);
    p.io.x[0] = room(16);
    p.io.y = room(16);
    CHECK(!t->op_create(b, &p.d, &p.op, &err));
    forward(&p, y);
    CHECK_SAY(y[0] == 1 && y[5] == 1 && y[15] == 1, "an average pool does not count its padding");
    t->op_destroy(b, p.op);
    p.d.kind = OP_CONV;
    p.n_w = 9;
    p.w = noise(9, 1, 1);
    p.io.w = room(9);
    CHECK(!t->op_create(b, &p.d, &p.op, &err));
    forward(&p, y);
    CHECK_SAY(y[0] == 4 && y[1] == 6 && y[5] == 9, "a convolution sees zeros there");
    t->op_destroy(b, p.op);
    t->free(b, p.io.x[0].buffer);
    t->free(b, p.io.y.buffer);
    t->free(b, p.io.w.buffer);
    free(p.x[0]);
    free(p.r);
    free(p.w);
}

int main(void)
{
    struct backend_options o = {.threads = 1, .deterministic = true};
    dice = random_start(20261122, 1, 0);
    if (!CHECK_SAY(!backend_open("ref", &o, &t, &b, &err), "ref opens")) return tap_done();
    every_kind();
    padding_rules();
    t->close(b);
    return tap_done();
}
