/*
 * tensor_backends_test.c: the CPU backend against the plain loops, operation by operation: y, dx, dw, dbias,
 * moving statistics, with and without accumulation, whole tensors and channel slices. Runs twice on a machine
 * with AVX-512: once as it is (NHWC), once limited to AVX2 (channels in blocks of 8).
 */
/* needs: tensor net base io */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/random.h"
#include "tap.h"
#include "tensor/backend.h"

/* Of the largest value: both sides sum float32 products, one of them in double; covers sums of a few thousand
 * terms. */
#define TOLERANCE 2e-5

struct side {
    const struct backend_table *t;
    struct backend *b;
};
static struct side sides[2]; /* ref, cpu */
static struct random dice;
static struct error err;

struct run {
    float *y, *dx[OP_MAX_INPUTS], *dw, *dbias, *mean, *variance;
};

static size_t count(const struct tensor_shape *s)
{
    return (size_t)s->n * (size_t)s->h * (size_t)s->w * (size_t)s->c;
}

static float *noise(size_t n, double low, double high)
{
    float *v = malloc((n + 1) * sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[i] = (float)random_range(&dice, low, high);
    return v;
}

static struct slot room(const struct side *s, size_t bytes)
{
    struct slot slot = {NULL, 0};
    if (s->t->alloc(s->b, bytes + 64, &slot.buffer, &err)) CHECK_SAY(false, "alloc: %s", err.text);
    return slot;
}

struct given {
    float *x[OP_MAX_INPUTS], *w, *bias, *dy, *before, *mask, *mean, *variance;
}; /* the same for both sides */

static struct param_shape kernel_shape(const struct op_desc *d)
{
    enum param_kind kind = d->kind == OP_DENSE       ? PARAM_DENSE
                           : d->kind == OP_DEPTHWISE ? PARAM_DEPTHWISE
                                                     : PARAM_CONV;
    return (struct param_shape){kind, d->kernel_h, d->kernel_w, d->x[0].c / conv_groups(d),
                                d->kind == OP_DEPTHWISE ? d->y.c / d->x[0].c : d->y.c};
}

static size_t n_weights(const struct op_desc *d)
{
    if (d->kind == OP_CONV || d->kind == OP_DENSE || d->kind == OP_DEPTHWISE) {
        struct param_shape s = kernel_shape(d);
        return (size_t)s.kh * (size_t)s.kw * (size_t)s.cin * (size_t)s.cout;
    }
    if (d->kind == OP_SCALE) return (size_t)d->scale_c;
    return d->kind == OP_BATCH_NORM || d->kind == OP_AFFINE ? (size_t)d->y.c : 0;
}

static int n_biases(const struct op_desc *d) { return d->kind == OP_SCALE ? d->bias_c : d->y.c; }

/* Forward, and backward where given_desc is for training, on one side. With `slice` the output lies in a
 * tensor twice as wide, at its second half. */
static struct run run_op(const struct side *s, const struct op_desc *given_desc, const struct given *g,
                         bool slice, bool constant, bool accumulate, const char *name)
{
    const struct backend_table *t = s->t;
    struct op_desc d = *given_desc;
    struct tensor_shape whole = d.y;
    struct op_io io = {.momentum = 0.9};
    struct backend_op *op = NULL;
    struct run r = {0};
    struct param_shape vector = {PARAM_VECTOR, 1, 1, 1, n_biases(&d)},
                       kernel = d.kind == OP_SCALE ? (struct param_shape){PARAM_VECTOR, 1, 1, 1, d.scale_c}
                                                   : kernel_shape(&d);
    bool norm = d.kind == OP_BATCH_NORM,
         weights = d.kind == OP_CONV || d.kind == OP_DENSE || d.kind == OP_DEPTHWISE || d.kind == OP_SCALE;
    d.name = name;
    d.needs_dx = d.training;
    d.constant_weights = constant || d.kind == OP_AFFINE;
    d.needs_dw = (weights && !constant) || norm;
    if (slice) {
        whole.c *= 2;
        whole.parent_c = whole.c;
        d.y.parent_c = whole.c;
        d.y.first_c = d.y.c;
    }
    if (t->op_create(s->b, &d, &op, &err)) {
        CHECK_SAY(false, "%s on %s: %s", name, t->name, err.text);
        exit(tap_done());
    }
    struct slot workspace = room(s, t->op_workspace_bytes(op));
    for (int i = 0; i < d.n_x; i++) {
        io.x[i] = room(s, t->tensor_bytes(s->b, &d.x[i]));
        io.dx[i] = room(s, t->tensor_bytes(s->b, &d.x[i]));
        io.accumulate[i] = accumulate;
        t->tensor_upload(s->b, io.x[i], &d.x[i], g->x[i], d.x[i].n, &err);
        /* what an accumulating run adds to */
        t->tensor_upload(s->b, io.dx[i], &d.x[i], g->x[i], d.x[i].n, &err);
        r.dx[i] = malloc(count(&d.x[i]) * sizeof(float));
    }
    io.y = room(s, t->tensor_bytes(s->b, &whole));
    io.dy = room(s, t->tensor_bytes(s->b, &whole));
    if (t->op_saved_bytes(op)) io.saved = room(s, t->op_saved_bytes(op));
    if (d.constant_weights)
        t->op_load(s->b, op, g->w, d.has_bias || d.kind == OP_AFFINE ? g->bias : NULL, &err);
    else if (weights) {
        io.w = room(s, t->param_bytes(s->b, &kernel));
        io.dw = room(s, t->param_bytes(s->b, &kernel));
        t->param_upload(s->b, io.w, &kernel, g->w, &err);
        if (d.has_bias || d.bias_c) {
            io.bias = room(s, t->param_bytes(s->b, &vector));
            io.dbias = room(s, t->param_bytes(s->b, &vector));
            t->param_upload(s->b, io.bias, &vector, g->bias, &err);
        }
    }
    if (norm) {
        io.gamma = room(s, t->param_bytes(s->b, &vector));
        io.beta = room(s, t->param_bytes(s->b, &vector));
        io.mean = room(s, t->param_bytes(s->b, &vector));
        io.variance = room(s, t->param_bytes(s->b, &vector));
        io.dw = room(s, t->param_bytes(s->b, &vector));
        io.dbias = room(s, t->param_bytes(s->b, &vector));
        t->param_upload(s->b, io.gamma, &vector, g->w, &err);
        t->param_upload(s->b, io.beta, &vector, g->bias, &err);
        t->param_upload(s->b, io.mean, &vector, g->mean, &err);
        t->param_upload(s->b, io.variance, &vector, g->variance, &err);
    }
    if (d.kind == OP_MULTIPLY) {
        struct tensor_shape flat = {1, 1, 1, (int)count(&d.y), (int)count(&d.y), 0, 0, 0};
        io.mask = room(s, count(&d.y) * sizeof(float));
        t->tensor_upload(s->b, io.mask, &flat, g->mask, 1, &err);
    }
    if (t->op_forward(s->b, op, &io, workspace, &err))
        CHECK_SAY(false, "%s on %s: forward: %s", name, t->name, err.text);
    r.y = malloc(count(&d.y) * sizeof(float));
    t->tensor_download(s->b, io.y, &d.y, r.y, d.y.n, &err);
    if (d.training && d.kind != OP_SOFTMAX) {
        /* the wide gradient holds dy in the slice's channels and rubbish
         * that nobody may read in the others */
        float *wide = noise(count(&whole), 5, 6);
        for (size_t i = 0; i < count(&d.y) / (size_t)d.y.c; i++)
            memcpy(wide + i * (size_t)whole.c + d.y.first_c, g->dy + i * (size_t)d.y.c,
                   (size_t)d.y.c * sizeof(float));
        t->tensor_upload(s->b, io.dy, &whole, wide, whole.n, &err);
        free(wide);
        if (t->op_backward(s->b, op, &io, workspace, &err))
            CHECK_SAY(false, "%s on %s: backward: %s", name, t->name, err.text);
        for (int i = 0; i < d.n_x; i++)
            t->tensor_download(s->b, io.dx[i], &d.x[i], r.dx[i], d.x[i].n, &err);
    }
    if (d.needs_dw) {
        size_t n = n_weights(&d);
        r.dw = malloc(n * sizeof(float));
        t->param_download(s->b, io.dw, norm ? &vector : &kernel, r.dw, &err);
        if (d.has_bias || norm || d.bias_c) {
            r.dbias = malloc((size_t)d.y.c * sizeof(float));
            t->param_download(s->b, io.dbias, &vector, r.dbias, &err);
        }
    }
    if (norm) {
        r.mean = malloc((size_t)d.y.c * sizeof(float));
        r.variance = malloc((size_t)d.y.c * sizeof(float));
        t->param_download(s->b, io.mean, &vector, r.mean, &err);
        t->param_download(s->b, io.variance, &vector, r.variance, &err);
    }
    t->op_destroy(s->b, op);
    struct slot all[] = {workspace, io.y,     io.dy,   io.saved, io.w,        io.bias, io.dw,
                         io.dbias,  io.gamma, io.beta, io.mean,  io.variance, io.mask};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        t->free(s->b, all[i].buffer);
    for (int i = 0; i < d.n_x; i++) {
        t->free(s->b, io.x[i].buffer);
        t->free(s->b, io.dx[i].buffer);
    }
    return r;
}

static double largest_of(const float *values, size_t n)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(values[i]));
    return largest;
}

/* Differences are relative to the largest value, or to `least` where that is larger. */
static void compare(const char *name, const char *what, float *want, float *have, size_t n, double least)
{
    double worst = 0;
    size_t at = 0;
    if (!want || !have) return;
    double largest = fmax(largest_of(want, n), least);
    for (size_t i = 0; i < n; i++) {
        double difference = fabs((double)want[i] - have[i]) / largest;
        if (difference > worst || difference != difference) {
            worst = difference;
            at = i;
        }
    }
    if (!(worst <= TOLERANCE))
        CHECK_SAY(false, "%s: %s[%zu] is %.9g, ref has %.9g", name, what, at, have[at], want[at]);
}

static void free_run(struct run *r)
{
    float *all[] = {r->y, r->dw, r->dbias, r->mean, r->variance};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    for (int i = 0; i < OP_MAX_INPUTS; i++)
        free(r->dx[i]);
}

static void check(const char *name, struct op_desc d)
{
    struct given g = {NULL};
    d.training = true;
    bool can_slice = d.kind == OP_BATCH_NORM || d.kind == OP_AFFINE || d.kind == OP_ACTIVATION ||
                     d.kind == OP_CURVE || d.kind == OP_ADD || d.kind == OP_MAX_POOL ||
                     d.kind == OP_AVERAGE_POOL || d.kind == OP_CONV || d.kind == OP_PRODUCT ||
                     d.kind == OP_SCALE;
    bool weights = d.kind == OP_CONV || d.kind == OP_DEPTHWISE || d.kind == OP_DENSE;
    for (int i = 0; i < d.n_x; i++)
        g.x[i] = noise(count(&d.x[i]), -1, 1);
    g.w = noise(n_weights(&d), -0.5, 0.5);
    for (size_t i = 0; i < n_weights(&d) && d.kind == OP_BATCH_NORM; i++)
        g.w[i] += 1;
    g.bias = noise((size_t)d.y.c, -0.5, 0.5);
    g.mean = noise((size_t)d.y.c, -0.5, 0.5);
    g.variance = noise((size_t)d.y.c, 0.5, 1.5);
    g.dy = noise(count(&d.y), -1, 1);
    g.mask = noise(count(&d.y), 0, 2);
    /* What is rounded is the sum before a cap cuts it down; where rounding may put it on the other side of an
     * activation's edge, the gradient is 0 on both sides. */
    double uncut = 1e-3;
    if (d.activation == OP_RELU || d.activation == OP_RELU_CAPPED) {
        struct op_desc linear = d;
        linear.activation = OP_LINEAR;
        struct run r = run_op(&sides[0], &linear, &g, false, false, false, name);
        double largest = largest_of(r.y, count(&d.y));
        for (size_t i = 0; i < count(&d.y); i++)
            if (fabs(r.y[i]) <= TOLERANCE * largest ||
                (d.activation == OP_RELU_CAPPED && fabs(r.y[i] - d.activation_max) <= TOLERANCE * largest))
                g.dy[i] = 0;
        if (d.activation == OP_RELU_CAPPED) uncut = largest;
        free_run(&r);
    }
    for (int variant = 0; variant < 8; variant++) {
        bool slice = variant == 2 || variant == 3 || variant == 7, constant = variant >= 4;
        bool accumulate = variant & 1;
        char label[128];
        if ((slice && !can_slice) || (constant && !weights)) continue;
        d.training = variant < 6;
        if (slice) {
            struct op_desc s = d;
            s.constant_weights = constant;
            s.y.parent_c = 2 * d.y.c;
            s.y.first_c = d.y.c;
            if (!sides[1].t->writes_slice(sides[1].b, &s)) continue;
        }
        snprintf(label, sizeof label, "%s%s%s%s", name, slice ? ", slice" : "",
                 !d.training ? ", inference"
                 : constant  ? ", constant weights"
                             : "",
                 accumulate ? ", accumulating" : "");
        struct run want = run_op(&sides[0], &d, &g, slice, constant, accumulate, name);
        struct run have = run_op(&sides[1], &d, &g, slice, constant, accumulate, name);
        compare(label, "y", want.y, have.y, count(&d.y), uncut);
        for (int i = 0; i < d.n_x && d.training && d.kind != OP_SOFTMAX; i++)
            compare(label, "dx", want.dx[i], have.dx[i], count(&d.x[i]), 1e-3);
        compare(label, "dw", want.dw, have.dw, n_weights(&d), 1e-3);
        compare(label, "dbias", want.dbias, have.dbias, (size_t)n_biases(&d), 1e-3);
        compare(label, "moving mean", want.mean, have.mean, (size_t)d.y.c, 1e-3);
        compare(label, "moving variance", want.variance, have.variance, (size_t)d.y.c, 1e-3);
        free_run(&want);
        free_run(&have);
    }
    CHECK_SAY(true, "%s compared", name);
    for (int i = 0; i < d.n_x; i++)
        free(g.x[i]);
    float *all[] = {g.w, g.bias, g.mean, g.variance, g.dy, g.mask};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static struct tensor_shape shape(int n, int h, int w, int c)
{
    return (struct tensor_shape){n, h, w, c, c, 0, 0, 0};
}

/* "same" padding by TensorFlow's rule when same, else valid. */
static struct op_desc window(enum op_kind kind, struct tensor_shape x, int c, int kh, int kw, int stride,
                             bool same)
{
    int h = same ? (x.h + stride - 1) / stride : (x.h - kh) / stride + 1,
        w = same ? (x.w + stride - 1) / stride : (x.w - kw) / stride + 1;
    int ph = same ? (h - 1) * stride + kh - x.h : 0, pw = same ? (w - 1) * stride + kw - x.w : 0;
    ph = ph > 0 ? ph : 0;
    pw = pw > 0 ? pw : 0;
    return (struct op_desc){.kind = kind,
                            .n_x = 1,
                            .x = {x},
                            .y = shape(x.n, h, w, c),
                            .kernel_h = kh,
                            .kernel_w = kw,
                            .stride_h = stride,
                            .stride_w = stride,
                            .dilation_h = 1,
                            .dilation_w = 1,
                            .pad_top = ph / 2,
                            .pad_left = pw / 2,
                            .pad_bottom = ph - ph / 2,
                            .pad_right = pw - pw / 2};
}

static struct op_desc plain(enum op_kind kind, struct tensor_shape x, struct tensor_shape y)
{
    struct op_desc d = window(kind, x, y.c, 1, 1, 1, false);
    d.y = y;
    return d;
}

static void convolutions(void)
{
    static const struct {
        int h, cin, cout, kh, kw, stride;
        bool same;
    } cases[] = {
        {15, 3, 32, 3, 3, 2, false},
        {9, 32, 32, 3, 3, 1, false},
        {9, 32, 64, 3, 3, 1, true},
        {7, 64, 80, 1, 1, 1, false},
        {9, 48, 64, 5, 5, 1, true},
        {17, 128, 128, 1, 7, 1, true},
        {17, 128, 192, 7, 1, 1, true},
        {17, 96, 96, 3, 3, 2, false},
        {8, 384, 384, 1, 3, 1, true},
        {8, 384, 64, 3, 1, 1, true},
        {8, 17, 13, 3, 3, 1, true},
        {14, 24, 40, 1, 1, 2, true},
        /* tiles that stick out, panels of every width, few tiles and many */
        {8, 64, 96, 3, 3, 1, true},
        {23, 16, 80, 3, 3, 1, true},
        {13, 80, 48, 3, 3, 1, false},
        {11, 16, 112, 1, 7, 1, false},
        {10, 48, 32, 7, 1, 1, true},
        {3, 32, 16, 1, 7, 1, true},
        {5, 16, 32, 3, 1, 1, false},
        {2, 32, 32, 3, 3, 1, true},
        {19, 32, 96, 3, 3, 1, false},
        {18, 16, 32, 5, 5, 1, false},
        /* direct sums: pixels or channels divided, panels of three, two and one vector, odd channels */
        {25, 32, 64, 1, 1, 1, true},
        {24, 16, 40, 1, 1, 1, true},
        {3, 24, 56, 1, 1, 1, true},
        {21, 20, 20, 1, 1, 1, true},
        {29, 20, 32, 2, 3, 2, false},
        {11, 64, 24, 3, 3, 2, false},
    };
    char name[96];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct op_desc d = window(OP_CONV, shape(2, cases[i].h, cases[i].h, cases[i].cin), cases[i].cout,
                                  cases[i].kh, cases[i].kw, cases[i].stride, cases[i].same);
        snprintf(name, sizeof name, "conv %dx%d %d to %d stride %d", cases[i].kh, cases[i].kw, cases[i].cin,
                 cases[i].cout, cases[i].stride);
        check(name, d);
        if (i % 3 && i < 22) continue;
        d.has_bias = true;
        d.activation = i % 2 ? OP_RELU_CAPPED : OP_RELU;
        d.activation_max = i % 2 ? 0.7f : 0;
        snprintf(name + strlen(name), sizeof name - strlen(name), " + bias + relu");
        check(name, d);
    }
    struct op_desc d = window(OP_DEPTHWISE, shape(2, 14, 14, 48), 48, 3, 3, 1, true);
    check("depthwise 3x3", d);
    d = window(OP_DEPTHWISE, shape(2, 14, 14, 40), 40, 3, 3, 2, true);
    d.has_bias = true;
    d.activation = OP_RELU_CAPPED;
    d.activation_max = 6;
    check("depthwise 3x3 stride 2 + bias + relu6", d);
    check("depthwise 3x3 x2", window(OP_DEPTHWISE, shape(2, 7, 7, 16), 32, 3, 3, 1, true));
    static const int groups[][3] = {{32, 64, 4}, {48, 48, 2}, {16, 32, 8}, {24, 36, 3}, {32, 32, 16}};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        for (int stride = 1; stride <= 2; stride++) {
            d = window(OP_CONV, shape(2, 9, 9, groups[i][0]), groups[i][1], 3, 3, stride, true);
            d.groups = groups[i][2];
            d.has_bias = true;
            d.activation = stride == 1 ? OP_LINEAR : OP_RELU;
            snprintf(name, sizeof name, "conv 3x3 %d to %d in %d groups", groups[i][0], groups[i][1],
                     groups[i][2]);
            check(name, d);
        }
    d = window(OP_CONV, shape(2, 9, 9, 32), 64, 1, 1, 1, true);
    d.groups = 2;
    check("conv 1x1 in two groups", d);
    d = window(OP_CONV, shape(2, 12, 12, 16), 16, 3, 3, 1, false);
    d.dilation_h = d.dilation_w = 2;
    d.y = shape(2, 8, 8, 16);
    check("conv 3x3 dilated", d);
}

/* A sum in a convolution has the bits of the convolution and the sum one after the other. */
static void sums_in_convolutions(void)
{
    static const struct {
        int h, cin, cout, k, stride;
        enum op_activation activation;
    } cases[] = {{25, 32, 64, 1, 1, OP_RELU},  {24, 16, 40, 1, 1, OP_RELU_CAPPED},
                 {3, 24, 56, 1, 1, OP_LINEAR}, {21, 20, 20, 1, 1, OP_RELU},
                 {13, 400, 24, 1, 2, OP_RELU}, /* several passes */
                 {11, 64, 24, 3, 2, OP_RELU}};
    const struct side *s = &sides[1];
    int n = 0;
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        char name[96];
        struct op_desc d =
            window(OP_CONV, shape(2, cases[i / 2].h, cases[i / 2].h, cases[i / 2].cin), cases[i / 2].cout,
                   cases[i / 2].k, cases[i / 2].k, cases[i / 2].stride, false);
        struct op_desc sum = plain(OP_ADD, d.y, d.y), part = d;
        part.y.parent_c *= 2;
        part.y.first_c = d.y.c;
        part.constant_weights = true;
        bool slice = i % 2 && s->t->writes_slice(s->b, &part);
        struct given g = {.x = {noise(count(&d.x[0]), -1, 1), noise(count(&d.y), -1, 1)},
                          .w = noise(n_weights(&d), -1, 1),
                          .bias = noise((size_t)d.y.c, -1, 1)},
                     after = {.x = {NULL, g.x[1]}};
        snprintf(name, sizeof name, "conv %dx%d %d to %d stride %d + sum%s", d.kernel_h, d.kernel_w, d.x[0].c,
                 d.y.c, d.stride_h, slice ? ", slice" : "");
        d.constant_weights = d.has_bias = true;
        if (s->t->adds_in_conv && s->t->adds_in_conv(s->b, &d)) {
            struct run apart = run_op(s, &d, &g, false, true, false, name);
            after.x[0] = apart.y;
            sum.n_x = d.n_x = 2;
            sum.x[1] = d.x[1] = d.y;
            sum.activation = d.activation = cases[i / 2].activation;
            sum.activation_max = d.activation_max = d.activation == OP_RELU_CAPPED ? 0.7f : 0;
            struct run want = run_op(s, &sum, &after, false, false, false, name);
            struct run have = run_op(s, &d, &g, slice, true, false, name);
            CHECK_SAY(memcmp(want.y, have.y, count(&d.y) * sizeof(float)) == 0, "%s: other bits", name);
            free_run(&apart);
            free_run(&want);
            free_run(&have);
            n++;
        }
        free(g.x[0]);
        free(g.x[1]);
        free(g.w);
        free(g.bias);
    }
    bool has_vectors = strstr(s->t->describe(s->b), ", avx") != NULL;
    CHECK_SAY(n == (has_vectors ? 12 : 0), "%d of 12 convolutions take a sum", n);
}

static void others(void)
{
    struct op_desc d = plain(OP_DENSE, shape(8, 1, 1, 200), shape(8, 1, 1, 30));
    d.has_bias = true;
    check("dense", d);
    d.activation = OP_RELU;
    check("dense + relu", d);
    /* 8: one block of channels, whose slice of a wider tensor is no run of pixels */
    static const int widths[] = {192, 16, 13, 8};
    for (int i = 0; i < 4; i++) {
        int c = widths[i];
        d = plain(OP_BATCH_NORM, shape(6, 17, 17, c), shape(6, 17, 17, c));
        d.epsilon = 1e-3;
        d.has_gamma = d.has_beta = true;
        check("batch norm", d);
        d.activation = OP_RELU;
        check("batch norm + relu", d);
        d.activation = OP_RELU_CAPPED;
        d.activation_max = 1;
        check("batch norm + relu capped", d);
        d = plain(OP_AFFINE, shape(2, 9, 9, c), shape(2, 9, 9, c));
        d.activation = OP_RELU;
        check("affine + relu", d);
        check("max pool 3x3 stride 2", window(OP_MAX_POOL, shape(3, 17, 17, c), c, 3, 3, 2, false));
        check("max pool same", window(OP_MAX_POOL, shape(3, 8, 8, c), c, 3, 3, 2, true));
        check("average pool 3x3 same", window(OP_AVERAGE_POOL, shape(3, 17, 17, c), c, 3, 3, 1, true));
        check("average pool 2x2 stride 2", window(OP_AVERAGE_POOL, shape(3, 7, 7, c), c, 2, 2, 2, true));
        check("average pool 8x8", window(OP_AVERAGE_POOL, shape(3, 8, 8, c), c, 8, 8, 8, false));
        check("global average pool", plain(OP_GLOBAL_AVERAGE_POOL, shape(3, 7, 7, c), shape(3, 1, 1, c)));
        d = plain(OP_ADD, shape(3, 9, 9, c), shape(3, 9, 9, c));
        d.n_x = 3;
        d.x[1] = d.x[2] = d.x[0];
        check("add of three", d);
        d.activation = OP_RELU;
        check("add + relu", d);
        d = plain(OP_CONCAT, shape(2, 9, 9, c), shape(2, 9, 9, c + 48));
        d.n_x = 2;
        d.x[1] = shape(2, 9, 9, 48);
        d.first_c[1] = c;
        check("concat", d);
        d = plain(OP_ZERO_PAD, shape(2, 9, 9, c), shape(2, 11, 12, c));
        d.pad_top = 0;
        d.pad_bottom = 2;
        d.pad_left = 1;
        d.pad_right = 2;
        check("zero pad", d);
        check("reshape", plain(OP_RESHAPE, shape(2, 4, 6, c), shape(2, 1, 1, 24 * c)));
        for (int a = OP_RELU; a <= OP_SIGMOID; a++) {
            d = plain(OP_ACTIVATION, shape(2, 9, 9, c), shape(2, 9, 9, c));
            d.activation = (enum op_activation)a;
            d.activation_max = 0.6f;
            check("activation", d);
        }
        for (int k = CURVE_RELU; k <= CURVE_CLIP; k++) {
            d = plain(OP_CURVE, shape(2, 9, 9, c), shape(2, 9, 9, c));
            d.curve = (enum op_curve)k;
            d.curve_at[0] = k == CURVE_CLIP ? -0.2f : 0.7f;
            d.curve_at[1] = 0.3f;
            check("curve", d);
        }
        d = plain(OP_PRODUCT, shape(3, 9, 9, c), shape(3, 9, 9, c));
        d.n_x = 2;
        d.x[1] = d.x[0];
        check("product", d);
        d.x[1] = shape(3, 1, 1, c);
        check("product with a gate", d);
        d = plain(OP_SCALE, shape(3, 9, 9, c), shape(3, 9, 9, c));
        d.scale_c = d.bias_c = c;
        check("scale and shift", d);
        d.scale_c = d.bias_c = 1;
        check("one scale and shift", d);
        d.scale_c = 0;
        check("one shift", d);
        d = window(OP_MAX_POOL, shape(3, 8, 8, c), c, 3, 3, 2, false);
        d.pad_top = d.pad_left = d.pad_bottom = d.pad_right = 1;
        d.y = shape(3, 4, 4, c);
        check("max pool, padded on all sides", d);
        check("multiply", plain(OP_MULTIPLY, shape(5, 1, 1, c), shape(5, 1, 1, c)));
        check("softmax", plain(OP_SOFTMAX, shape(5, 1, 1, c), shape(5, 1, 1, c)));
        check("softmax of a map", plain(OP_SOFTMAX, shape(2, 3, 4, c), shape(2, 3, 4, c)));
        d = plain(OP_ZERO_PAD, shape(2, 9, 9, c), shape(2, 7, 8, c));
        d.pad_top = -2;
        d.pad_left = 1;
        d.pad_right = -2;
        check("crop", d);
        for (int nearest = 0; nearest < 2; nearest++) {
            d = plain(OP_RESIZE, shape(2, 9, 7, c), shape(2, 4, 12, c));
            d.nearest = nearest;
            check("resize", d);
        }
        d.from_corner = true;
        d.y = shape(2, 20, 15, c);
        check("resize to the nearest pixel from the corner", d);
        d = plain(OP_CHANNELS, shape(2, 9, 7, c), shape(2, 9, 7, c));
        d.pick_groups = 2;
        d.pick_span = c / 2;
        d.pick_step = 1;
        check("channels shuffled", d);
        d = plain(OP_CHANNELS, shape(3, 9, 7, c), shape(3, 9, 7, c / 2));
        d.pick_groups = 1;
        d.pick_first = c / 2 - 1;
        d.pick_step = 1;
        check("channels from the middle", d);
        d.pick_first = c - 1;
        d.pick_step = -2;
        check("every other channel, backwards", d);
        d.y = shape(3, 9, 7, 16);
        d.pick_first = 3;
        d.pick_step = 1;
        if (c >= 19) check("sixteen channels", d);
    }
}

/* Elementwise steps over arenas, long enough to be shared among threads. */
static void arenas(void)
{
    size_t n = 1300003;
    float *p = noise(n, -1, 1), *g = noise(n, -1, 1), *have[2][3];
    double squares[2];
    struct tensor_shape flat = {1, 1, 1, (int)n, (int)n, 0, 0, 0};
    for (int k = 0; k < 2; k++) {
        const struct side *s = &sides[k];
        struct slot slots[4];
        for (int i = 0; i < 4; i++)
            slots[i] = room(s, n * sizeof(float));
        s->t->tensor_upload(s->b, slots[0], &flat, p, 1, &err);
        s->t->tensor_upload(s->b, slots[1], &flat, g, 1, &err);
        struct sgd_step sgd = {0.1f, 0.9f, false}, nesterov = {0.1f, 0.9f, true};
        s->t->sgd(s->b, slots[0], slots[1], slots[2], n, &sgd, &err);
        s->t->sgd(s->b, slots[0], slots[1], slots[2], n, &nesterov, &err);
        s->t->scale(s->b, slots[2], n, 0.01f, &err);
        for (uint64_t step = 1; step < 3; step++) {
            struct adam_step adam = {0.01f, 0.9f, 0.999f, 1e-7f, step};
            s->t->adam(s->b, slots[0], slots[1], slots[2], slots[3], n, &adam, &err);
        }
        s->t->axpy(s->b, slots[0], slots[1], n, 0.25f, &err);
        s->t->copy(s->b, slots[2], slots[0], n, &err);
        s->t->fill_zero(s->b, slots[0], n / 2, &err);
        s->t->sum_of_squares(s->b, slots[0], n, &squares[k], &err);
        for (int i = 0; i < 3; i++) {
            have[k][i] = malloc(n * sizeof(float));
            s->t->tensor_download(s->b, slots[i ? i + 1 : 0], &flat, have[k][i], 1, &err);
        }
        for (int i = 0; i < 4; i++)
            s->t->free(s->b, slots[i].buffer);
    }
    static const char *const names[] = {"p", "copy", "v"};
    for (int i = 0; i < 3; i++) {
        compare("arena steps", names[i], have[0][i], have[1][i], n, 1e-3);
        free(have[0][i]);
        free(have[1][i]);
    }
    CHECK_SAY(fabs(squares[0] - squares[1]) <= 1e-6 * squares[0], "sum of squares: %.9g, ref %.9g",
              squares[1], squares[0]);
    free(p);
    free(g);
}

int main(int argc, char **argv)
{
    struct backend_options o = {.threads = 2, .deterministic = true};
    dice = random_start(77, 1, 0);
    if (!CHECK_SAY(!backend_open("ref", &o, &sides[0].t, &sides[0].b, &err), "ref opens")) return tap_done();
    if (backend_open("cpu", &o, &sides[1].t, &sides[1].b, &err)) {
        tap_skip("cpu", err.text);
        return tap_done();
    }
    printf("# %s\n", sides[1].t->describe(sides[1].b));
    convolutions();
    sums_in_convolutions();
    others();
    arenas();
    bool wide = strstr(sides[1].t->describe(sides[1].b), "NHWC") != NULL;
    for (int i = 0; i < 2; i++)
        sides[i].t->close(sides[i].b);
    if (wide && !getenv("ONEDNN_MAX_CPU_ISA")) {
        /* the other layout, in a fresh process: oneDNN reads its limit once */
        char command[1024];
        snprintf(command, sizeof command,
                 "ONEDNN_MAX_CPU_ISA=AVX2 '%s' | sed 's/^ok [0-9]*/# ok/; s/^not ok/# not ok/; /^1\\.\\./d'; "
                 "exit ${PIPESTATUS[0]}",
                 argv[0]);
        fflush(stdout);
        setenv("WINNOW_TEST_COMMAND", command, 1);
        CHECK_SAY(system("exec bash -c \"$WINNOW_TEST_COMMAND\"") == 0, "the same with AVX2's layout");
    }
    return tap_done();
}
