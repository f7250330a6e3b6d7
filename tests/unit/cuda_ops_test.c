/* needs: base net tensor */
/*
 * Every operation of the CUDA backend against the plain loops: forward and backward, in float32, TF32 and
 * bfloat16, with whole tensors and slices, with every fallback that a card may make necessary.
 */
#include "cuda_common.h"

struct side {
    const struct backend_table *t;
    struct backend *b;
};

struct result {
    float *y, *dx[OP_MAX_INPUTS], *dw, *dbias, *mean, *variance;
};

struct op_case {
    const char *name;
    struct op_desc d;
    bool accumulate, slice, moving;
    double momentum;
};

static struct error err;

static size_t values_of(const struct tensor_shape *s)
{
    return (size_t)s->n * (size_t)s->h * (size_t)s->w * (size_t)s->c;
}
static struct tensor_shape whole(struct tensor_shape s)
{
    s.c = s.parent_c;
    s.first_c = 0;
    return s;
}

static struct slot make(const struct side *s, size_t bytes)
{
    struct slot out = {0};
    if (s->t->alloc(s->b, bytes ? bytes : 4, &out.buffer, &err)) CHECK_SAY(false, "alloc: %s", err.text);
    return out;
}

static struct slot tensor(const struct side *s, const struct tensor_shape *shape, const float *values)
{
    struct tensor_shape w = whole(*shape);
    struct slot out = make(s, s->t->tensor_bytes(s->b, &w));
    if (s->t->tensor_upload(s->b, out, &w, values, w.n, &err)) CHECK_SAY(false, "upload: %s", err.text);
    return out;
}

static struct param_shape kernel_shape(const struct op_desc *d)
{
    switch (d->kind) {
    case OP_CONV:
        return (struct param_shape){PARAM_CONV, d->kernel_h, d->kernel_w, d->x[0].c / conv_groups(d), d->y.c};
    case OP_DEPTHWISE:
        return (struct param_shape){PARAM_DEPTHWISE, d->kernel_h, d->kernel_w, d->x[0].c, d->y.c / d->x[0].c};
    case OP_DENSE: return (struct param_shape){PARAM_DENSE, 1, 1, d->x[0].c, d->y.c};
    default: return (struct param_shape){PARAM_VECTOR, 1, 1, 1, d->y.c};
    }
}

static bool has_kernel(const struct op_desc *d)
{
    return d->kind == OP_CONV || d->kind == OP_DEPTHWISE || d->kind == OP_DENSE;
}

static struct slot parameter(const struct side *s, const struct param_shape *p, const float *values)
{
    struct slot out = make(s, s->t->param_bytes(s->b, p));
    if (s->t->param_upload(s->b, out, p, values, &err)) CHECK_SAY(false, "param_upload: %s", err.text);
    return out;
}

static float *fetch_tensor(const struct side *s, struct slot from, const struct tensor_shape *shape)
{
    struct tensor_shape w = whole(*shape);
    float *out = calloc(values_of(&w) + 1, sizeof *out);
    if (s->t->tensor_download(s->b, from, &w, out, w.n, &err)) CHECK_SAY(false, "download: %s", err.text);
    return out;
}

static float *fetch_param(const struct side *s, struct slot from, const struct param_shape *p)
{
    float *out = calloc((size_t)p->kh * (size_t)p->kw * (size_t)p->cin * (size_t)p->cout, sizeof *out);
    if (s->t->param_download(s->b, from, p, out, &err)) CHECK_SAY(false, "param_download: %s", err.text);
    return out;
}

struct inputs {
    float *x[OP_MAX_INPUTS], *dx[OP_MAX_INPUTS], *y, *dy, *w, *bias, *beta, *mean, *variance, *mask;
};

static float *some(struct random *r, size_t n, double scale)
{
    float *p = malloc((n + 1) * sizeof *p);
    cuda_fill(r, p, n, scale);
    return p;
}

static void inputs_make(struct inputs *in, const struct op_desc *d)
{
    struct random r = random_start(7, random_key(d->name, strlen(d->name)), 0);
    struct tensor_shape y = whole(d->y);
    struct param_shape p = kernel_shape(d);
    size_t n_w = (size_t)p.kh * (size_t)p.kw * (size_t)p.cin * (size_t)p.cout, c = (size_t)d->y.c;
    memset(in, 0, sizeof *in);
    for (int i = 0; i < d->n_x; i++) {
        in->x[i] = some(&r, values_of(&d->x[i]), 1);
        in->dx[i] = some(&r, values_of(&d->x[i]), 1);
    }
    in->y = some(&r, values_of(&y), 1);
    in->dy = some(&r, values_of(&y), 1);
    in->w = some(&r, n_w, has_kernel(d) ? 1 / sqrt((double)p.kh * p.kw * p.cin) : 1);
    in->bias = some(&r, c, 1);
    in->beta = some(&r, c, 1);
    in->mean = some(&r, c, 1);
    in->variance = some(&r, c, 1);
    in->mask = some(&r, values_of(&d->y), 1);
    for (size_t i = 0; i < c; i++)
        in->variance[i] = fabsf(in->variance[i]) + 0.1f;
    for (size_t i = 0; i < values_of(&d->y); i++)
        in->mask[i] = in->mask[i] > 0 ? 2 : 0;
}

static void inputs_free(struct inputs *in)
{
    for (int i = 0; i < OP_MAX_INPUTS; i++) {
        free(in->x[i]);
        free(in->dx[i]);
    }
    free(in->y);
    free(in->dy);
    free(in->w);
    free(in->bias);
    free(in->beta);
    free(in->mean);
    free(in->variance);
    free(in->mask);
}

/* One run on one backend; everything it made comes back. false when it could not be run at all. */
static bool run(const struct side *s, const struct op_case *c, const struct inputs *in, struct result *out)
{
    const struct op_desc *d = &c->d;
    const struct backend_table *t = s->t;
    struct backend_op *op;
    struct op_io io = {.momentum = c->momentum, .use_moving = c->moving};
    struct param_shape kernel = kernel_shape(d), vector = {PARAM_VECTOR, 1, 1, 1, d->y.c};
    struct slot workspace = {0};
    memset(out, 0, sizeof *out);
    if (t->op_create(s->b, d, &op, &err)) {
        CHECK_SAY(false, "%s: op_create: %s", c->name, err.text);
        return false;
    }
    if (t->op_workspace_bytes(op)) workspace = make(s, t->op_workspace_bytes(op));
    for (int i = 0; i < d->n_x; i++)
        io.x[i] = tensor(s, &d->x[i], in->x[i]);
    io.y = tensor(s, &d->y, in->y);
    if (d->constant_weights) {
        if (t->op_load(s->b, op, in->w, d->has_bias || d->kind == OP_AFFINE ? in->bias : NULL, &err))
            CHECK_SAY(false, "%s: op_load: %s", c->name, err.text);
    } else if (has_kernel(d)) {
        io.w = parameter(s, &kernel, in->w);
        if (d->has_bias) io.bias = parameter(s, &vector, in->bias);
    }
    if (d->kind == OP_BATCH_NORM) {
        if (d->has_gamma) io.gamma = parameter(s, &vector, in->bias);
        if (d->has_beta) io.beta = parameter(s, &vector, in->beta);
        io.mean = parameter(s, &vector, in->mean);
        io.variance = parameter(s, &vector, in->variance);
    }
    if (d->kind == OP_MULTIPLY) {
        struct tensor_shape flat = {1, 1, 1, (int)values_of(&d->y), (int)values_of(&d->y), 0, 0, 0};
        io.mask = tensor(s, &flat, in->mask);
    }
    if (t->op_saved_bytes(op)) io.saved = make(s, t->op_saved_bytes(op));
    bool ok = true;
    if (has_kernel(d)) { /* once with y elsewhere: an operation does not remember where it wrote */
        struct op_io elsewhere = io;
        elsewhere.y = tensor(s, &d->y, in->y);
        ok = !t->op_forward(s->b, op, &elsewhere, workspace, &err);
        t->free(s->b, elsewhere.y.buffer);
    }
    ok = ok && !t->op_forward(s->b, op, &io, workspace, &err);
    if (!ok) CHECK_SAY(false, "%s: forward: %s", c->name, err.text);
    if (ok) out->y = fetch_tensor(s, io.y, &d->y);
    if (ok && d->training) {
        io.dy = tensor(s, &d->y, in->dy);
        for (int i = 0; i < d->n_x; i++)
            if (d->needs_dx) {
                io.dx[i] = tensor(s, &d->x[i], in->dx[i]);
                io.accumulate[i] = c->accumulate;
            }
        if (d->needs_dw && (has_kernel(d) || (d->kind == OP_BATCH_NORM && d->has_gamma)))
            io.dw = parameter(s, &kernel, in->w);
        if (io.dw.buffer && t->gradients_from_zero && has_kernel(d) &&
            t->fill_zero(s->b, io.dw, t->param_bytes(s->b, &kernel) / sizeof(float), &err))
            CHECK_SAY(false, "%s: zeros: %s", c->name, err.text);
        if (d->needs_dw && (d->has_bias || (d->kind == OP_BATCH_NORM && d->has_beta)))
            io.dbias = parameter(s, &vector, in->bias);
        ok = !t->op_backward(s->b, op, &io, workspace, &err);
        if (!ok) CHECK_SAY(false, "%s: backward: %s", c->name, err.text);
        for (int i = 0; ok && i < d->n_x; i++)
            if (io.dx[i].buffer) out->dx[i] = fetch_tensor(s, io.dx[i], &d->x[i]);
        if (ok && io.dw.buffer) out->dw = fetch_param(s, io.dw, &kernel);
        if (ok && io.dbias.buffer) out->dbias = fetch_param(s, io.dbias, &vector);
    }
    if (ok && io.mean.buffer) {
        out->mean = fetch_param(s, io.mean, &vector);
        out->variance = fetch_param(s, io.variance, &vector);
    }
    struct slot *all[] = {&io.y,     &io.w,    &io.bias, &io.gamma, &io.beta,  &io.mean,  &io.variance,
                          &io.saved, &io.mask, &io.dy,   &io.dw,    &io.dbias, &workspace};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        t->free(s->b, all[i]->buffer);
    for (int i = 0; i < d->n_x; i++) {
        t->free(s->b, io.x[i].buffer);
        t->free(s->b, io.dx[i].buffer);
    }
    t->op_destroy(s->b, op);
    return ok;
}

static void result_free(struct result *r)
{
    for (int i = 0; i < OP_MAX_INPUTS; i++)
        free(r->dx[i]);
    free(r->y);
    free(r->dw);
    free(r->dbias);
    free(r->mean);
    free(r->variance);
}

/*
 * rough: a gradient after a ReLU in less than float32. A sum that rounding carries over 0 or the cap
 * switches a whole gradient element on or off, so the largest difference says nothing; a tenth in the sense
 * of least squares still tells a wrong kernel.
 */
static bool compare_one(char *text, size_t bytes, const char *what, const float *a, const float *b, size_t n,
                        double tolerance, bool rough)
{
    if (!b) return true;
    double d = rough ? cuda_difference_rms(a, b, n) : cuda_difference(a, b, n);
    if (d <= (rough ? 0.1 : tolerance)) return true;
    size_t used = strlen(text);
    snprintf(text + used, bytes - used, " %s off by %.3g", what, d);
    return false;
}

static void compare(const struct op_case *c, const struct result *a, const struct result *b, double tolerance,
                    const char *mode)
{
    const struct op_desc *d = &c->d;
    struct param_shape p = kernel_shape(d);
    struct tensor_shape y = whole(d->y);
    size_t n_w = (size_t)p.kh * (size_t)p.kw * (size_t)p.cin * (size_t)p.cout, n_c = (size_t)d->y.c;
    char text[300] = "";
    bool rough = tolerance > 1e-3 && d->activation != OP_LINEAR;
    bool ok = compare_one(text, sizeof text, "y", a->y, b->y, values_of(&y), tolerance, false);
    for (int i = 0; i < d->n_x; i++)
        ok &= compare_one(text, sizeof text, "dx", a->dx[i], b->dx[i], values_of(&d->x[i]), tolerance, rough);
    ok &= compare_one(text, sizeof text, "dw", a->dw, b->dw, n_w, tolerance, rough);
    ok &= compare_one(text, sizeof text, "dbias", a->dbias, b->dbias, n_c, tolerance, rough);
    ok &= compare_one(text, sizeof text, "mean", a->mean, b->mean, n_c, tolerance, false);
    ok &= compare_one(text, sizeof text, "variance", a->variance, b->variance, n_c, tolerance, false);
    CHECK_SAY(ok, "%s, %s%s", c->name, mode, text);
}

/* --- the cases --- */

#define WHOLE(n, h, w, c)                                                                                    \
    {                                                                                                        \
        n, h, w, c, c, 0, 0, 0                                                                               \
    }
#define CONV_CASE(k_h, k_w, s, p, ...)                                                                       \
    .n_x = 1, .kernel_h = k_h, .kernel_w = k_w, .stride_h = s, .stride_w = s, .dilation_h = 1,               \
    .dilation_w = 1, .pad_top = p, .pad_left = p, .pad_bottom = p, .pad_right = p, __VA_ARGS__
#define LEARNS .training = true, .needs_dx = true, .needs_dw = true

static const struct op_case cases[] = {
    {"conv 3x3",
     {OP_CONV, "a", CONV_CASE(3, 3, 1, 1, .x = {WHOLE(2, 7, 9, 8)}, .y = WHOLE(2, 7, 9, 16), LEARNS)},
     .accumulate = false},
    {"conv 3x3 stride 2, no padding, adding to dx",
     {OP_CONV, "b", CONV_CASE(3, 3, 2, 0, .x = {WHOLE(2, 9, 9, 4)}, .y = WHOLE(2, 4, 4, 12), LEARNS)},
     .accumulate = true},
    {"conv 1x1 with bias and ReLU",
     {OP_CONV, "c",
      CONV_CASE(1, 1, 1, 0, .x = {WHOLE(3, 5, 5, 16)}, .y = WHOLE(3, 5, 5, 8), .has_bias = true,
                .activation = OP_RELU, LEARNS)},
     .accumulate = false},
    {"conv 1x1 with bias, linear",
     {OP_CONV, "c2",
      CONV_CASE(1, 1, 1, 0, .x = {WHOLE(3, 5, 5, 16)}, .y = WHOLE(3, 5, 5, 8), .has_bias = true, LEARNS)},
     .accumulate = false},
    {"conv 1x7, padded along the width",
     {OP_CONV, "d", .n_x = 1, .kernel_h = 1, .kernel_w = 7, .stride_h = 1, .stride_w = 1, .dilation_h = 1,
      .dilation_w = 1, .pad_left = 3, .pad_right = 3, .x = {WHOLE(2, 6, 8, 8)}, .y = WHOLE(2, 6, 8, 8),
      LEARNS},
     .accumulate = false},
    {"conv 7x1 stride 1x2",
     {OP_CONV, "d2", .n_x = 1, .kernel_h = 7, .kernel_w = 1, .stride_h = 1, .stride_w = 2, .dilation_h = 1,
      .dilation_w = 1, .pad_top = 3, .pad_bottom = 3, .x = {WHOLE(2, 8, 7, 8)}, .y = WHOLE(2, 8, 4, 8),
      LEARNS},
     .accumulate = false},
    {"conv 3x3 stride 2, padded on one side only",
     {OP_CONV, "e", .n_x = 1, .kernel_h = 3, .kernel_w = 3, .stride_h = 2, .stride_w = 2, .dilation_h = 1,
      .dilation_w = 1, .pad_bottom = 1, .pad_right = 1, .x = {WHOLE(2, 8, 8, 8)}, .y = WHOLE(2, 4, 4, 8),
      LEARNS},
     .accumulate = true},
    {"conv 3x3 dilated",
     {OP_CONV, "f", .n_x = 1, .kernel_h = 3, .kernel_w = 3, .stride_h = 1, .stride_w = 1, .dilation_h = 2,
      .dilation_w = 2, .pad_top = 2, .pad_left = 2, .pad_bottom = 2, .pad_right = 2, .x = {WHOLE(1, 8, 8, 8)},
      .y = WHOLE(1, 8, 8, 8), LEARNS},
     .accumulate = false},
    {"conv 3x3 in four groups, stride 2, adding to dx",
     {OP_CONV, "f2",
      CONV_CASE(3, 3, 2, 1, .x = {WHOLE(2, 9, 9, 16)}, .y = WHOLE(2, 5, 5, 32), .groups = 4, LEARNS)},
     .accumulate = true},
    {"conv 1x1 in two groups with bias and ReLU",
     {OP_CONV, "f3",
      CONV_CASE(1, 1, 1, 0, .x = {WHOLE(3, 5, 5, 16)}, .y = WHOLE(3, 5, 5, 8), .groups = 2, .has_bias = true,
                .activation = OP_RELU, LEARNS)},
     .accumulate = false},
    {"frozen conv 3x3 in eight groups",
     {OP_CONV, "f4",
      CONV_CASE(3, 3, 1, 1, .x = {WHOLE(2, 6, 6, 32)}, .y = WHOLE(2, 6, 6, 32), .groups = 8, .has_bias = true,
                .activation = OP_RELU, .constant_weights = true)},
     .accumulate = false},
    {"conv of 3 channels, 5 out",
     {OP_CONV, "g",
      CONV_CASE(3, 3, 2, 0, .x = {WHOLE(2, 9, 9, 3)}, .y = WHOLE(2, 4, 4, 5), .activation = OP_RELU, LEARNS)},
     .accumulate = false},
    {"frozen conv with bias and ReLU",
     {OP_CONV, "h",
      CONV_CASE(3, 3, 1, 1, .x = {WHOLE(2, 6, 6, 8)}, .y = WHOLE(2, 6, 6, 16), .has_bias = true,
                .activation = OP_RELU, .constant_weights = true)},
     .accumulate = false},
    {"frozen conv with capped ReLU, gradient through it",
     {OP_CONV, "i",
      CONV_CASE(3, 3, 1, 1, .x = {WHOLE(2, 6, 6, 8)}, .y = WHOLE(2, 6, 6, 16), .has_bias = true,
                .activation = OP_RELU_CAPPED, .activation_max = 0.7f, .constant_weights = true,
                .training = true, .needs_dx = true)},
     .accumulate = false},
    {"frozen conv, linear, no bias",
     {OP_CONV, "j",
      CONV_CASE(1, 1, 1, 0, .x = {WHOLE(2, 6, 6, 8)}, .y = WHOLE(2, 6, 6, 16), .constant_weights = true)},
     .accumulate = false},
    {"conv into a slice, ReLU",
     {OP_CONV, "k",
      CONV_CASE(3, 3, 1, 1, .x = {WHOLE(2, 5, 6, 8)}, .y = {2, 5, 6, 8, 32, 16}, .has_bias = true,
                .activation = OP_RELU, LEARNS)},
     .slice = true},
    {"conv into a slice, linear",
     {OP_CONV, "l", CONV_CASE(3, 3, 1, 1, .x = {WHOLE(2, 5, 6, 8)}, .y = {2, 5, 6, 8, 32, 8}, LEARNS)},
     .slice = true},
    {"frozen conv into a slice, ReLU",
     {OP_CONV, "m",
      CONV_CASE(3, 3, 1, 1, .x = {WHOLE(2, 5, 6, 8)}, .y = {2, 5, 6, 8, 24, 8}, .has_bias = true,
                .activation = OP_RELU, .constant_weights = true)},
     .slice = true},
    {"conv between vectors",
     {OP_CONV, "n",
      CONV_CASE(1, 1, 1, 0, .x = {WHOLE(4, 1, 1, 16)}, .y = WHOLE(4, 1, 1, 8), .has_bias = true, LEARNS)},
     .accumulate = false},
    {"conv, sigmoid",
     {OP_CONV, "o",
      CONV_CASE(3, 3, 1, 1, .x = {WHOLE(2, 4, 4, 8)}, .y = WHOLE(2, 4, 4, 8), .has_bias = true,
                .activation = OP_SIGMOID, LEARNS)},
     .accumulate = false},
    {"conv, weights only",
     {OP_CONV, "p",
      CONV_CASE(3, 3, 1, 1, .x = {WHOLE(2, 4, 4, 8)}, .y = WHOLE(2, 4, 4, 8), .training = true,
                .needs_dw = true)},
     .accumulate = false},
    {"depthwise 3x3, capped ReLU",
     {OP_DEPTHWISE, "q",
      CONV_CASE(3, 3, 1, 1, .x = {WHOLE(2, 6, 6, 8)}, .y = WHOLE(2, 6, 6, 8), .has_bias = true,
                .activation = OP_RELU_CAPPED, .activation_max = 1.f, LEARNS)},
     .accumulate = false},
    {"depthwise, two for each channel, stride 2, one-sided padding",
     {OP_DEPTHWISE, "r", .n_x = 1, .kernel_h = 3, .kernel_w = 3, .stride_h = 2, .stride_w = 2,
      .dilation_h = 1, .dilation_w = 1, .pad_bottom = 1, .pad_right = 1, .x = {WHOLE(2, 8, 8, 4)},
      .y = WHOLE(2, 4, 4, 8), LEARNS},
     .accumulate = true},
    {"frozen depthwise",
     {OP_DEPTHWISE, "s",
      CONV_CASE(3, 3, 1, 1, .x = {WHOLE(2, 6, 6, 8)}, .y = WHOLE(2, 6, 6, 16), .has_bias = true,
                .activation = OP_RELU, .constant_weights = true)},
     .accumulate = false},
    {"dense with bias and ReLU",
     {OP_DENSE, "t", .n_x = 1, .x = {WHOLE(5, 1, 1, 24)}, .y = WHOLE(5, 1, 1, 7), .has_bias = true,
      .activation = OP_RELU, .kernel_h = 1, .kernel_w = 1, LEARNS},
     .accumulate = false},
    {"dense, adding to dx",
     {OP_DENSE, "u", .n_x = 1, .x = {WHOLE(5, 1, 1, 24)}, .y = WHOLE(5, 1, 1, 7), .kernel_h = 1,
      .kernel_w = 1, LEARNS},
     .accumulate = true},
    {"frozen dense",
     {OP_DENSE, "v", .n_x = 1, .x = {WHOLE(3, 1, 1, 12)}, .y = WHOLE(3, 1, 1, 9), .has_bias = true,
      .kernel_h = 1, .kernel_w = 1, .constant_weights = true, .training = true, .needs_dx = true},
     .accumulate = false},
    {"batch norm with ReLU",
     {OP_BATCH_NORM, "w", .n_x = 1, .x = {WHOLE(3, 5, 4, 8)}, .y = WHOLE(3, 5, 4, 8), .has_gamma = true,
      .has_beta = true, .epsilon = 1e-3, .activation = OP_RELU, LEARNS},
     .momentum = 0.9},
    {"batch norm without gamma, adding to dx",
     {OP_BATCH_NORM, "x", .n_x = 1, .x = {WHOLE(3, 5, 4, 8)}, .y = WHOLE(3, 5, 4, 8), .has_beta = true,
      .epsilon = 1e-3, LEARNS},
     .momentum = 0.75,
     .accumulate = true},
    {"batch norm of nothing learnt, replacing its statistics",
     {OP_BATCH_NORM, "y", .n_x = 1, .x = {WHOLE(2, 3, 4, 6)}, .y = WHOLE(2, 3, 4, 6), .epsilon = 1e-2,
      .training = true, .needs_dx = true},
     .momentum = 0},
    {"batch norm, statistics left alone, no dx",
     {OP_BATCH_NORM, "z", .n_x = 1, .x = {WHOLE(2, 3, 4, 8)}, .y = WHOLE(2, 3, 4, 8), .has_gamma = true,
      .has_beta = true, .epsilon = 1e-3, .activation = OP_RELU, .training = true, .needs_dw = true},
     .momentum = 1},
    {"batch norm with moving statistics",
     {OP_BATCH_NORM, "A", .n_x = 1, .x = {WHOLE(2, 3, 4, 8)}, .y = WHOLE(2, 3, 4, 8), .has_gamma = true,
      .has_beta = true, .epsilon = 1e-3, .activation = OP_RELU},
     .momentum = 1,
     .moving = true},
    {"batch norm into a slice, ReLU",
     {OP_BATCH_NORM, "B", .n_x = 1, .x = {WHOLE(2, 3, 4, 8)}, .y = {2, 3, 4, 8, 32, 16}, .has_gamma = true,
      .has_beta = true, .epsilon = 1e-3, .activation = OP_RELU, LEARNS},
     .momentum = 0.9,
     .slice = true},
    {"batch norm of vectors",
     {OP_BATCH_NORM, "C", .n_x = 1, .x = {WHOLE(6, 1, 1, 8)}, .y = WHOLE(6, 1, 1, 8), .has_gamma = true,
      .has_beta = true, .epsilon = 1e-3, .activation = OP_RELU, LEARNS},
     .momentum = 0.9},
    {"scale and shift, ReLU, adding to dx",
     {OP_AFFINE, "D", .n_x = 1, .x = {WHOLE(2, 3, 4, 8)}, .y = WHOLE(2, 3, 4, 8), .activation = OP_RELU,
      .constant_weights = true, .training = true, .needs_dx = true},
     .accumulate = true},
    {"scale and shift into a slice",
     {OP_AFFINE, "E", .n_x = 1, .x = {WHOLE(2, 3, 4, 8)}, .y = {2, 3, 4, 8, 16, 8}, .constant_weights = true,
      .training = true, .needs_dx = true},
     .slice = true},
    {"activation: ReLU",
     {OP_ACTIVATION, "F", .n_x = 1, .x = {WHOLE(2, 3, 4, 5)}, .y = WHOLE(2, 3, 4, 5), .activation = OP_RELU,
      .training = true, .needs_dx = true},
     .accumulate = false},
    {"activation: capped ReLU, adding",
     {OP_ACTIVATION, "G", .n_x = 1, .x = {WHOLE(2, 3, 4, 5)}, .y = WHOLE(2, 3, 4, 5),
      .activation = OP_RELU_CAPPED, .activation_max = 0.5f, .training = true, .needs_dx = true},
     .accumulate = true},
    {"activation: sigmoid of vectors",
     {OP_ACTIVATION, "H", .n_x = 1, .x = {WHOLE(4, 1, 1, 5)}, .y = WHOLE(4, 1, 1, 5),
      .activation = OP_SIGMOID, .training = true, .needs_dx = true},
     .accumulate = false},
    {"max pool 3x3 stride 2",
     {OP_MAX_POOL, "I",
      CONV_CASE(3, 3, 2, 0, .x = {WHOLE(2, 7, 7, 8)}, .y = WHOLE(2, 3, 3, 8), .training = true,
                .needs_dx = true)},
     .accumulate = false},
    {"max pool, padded on both sides, adding",
     {OP_MAX_POOL, "J",
      CONV_CASE(3, 3, 1, 1, .x = {WHOLE(2, 5, 5, 6)}, .y = WHOLE(2, 5, 5, 6), .training = true,
                .needs_dx = true)},
     .accumulate = true},
    {"max pool, padded on one side only",
     {OP_MAX_POOL, "K", .n_x = 1, .kernel_h = 3, .kernel_w = 3, .stride_h = 2, .stride_w = 2, .pad_bottom = 1,
      .pad_right = 1, .x = {WHOLE(2, 6, 6, 8)}, .y = WHOLE(2, 3, 3, 8), .training = true, .needs_dx = true},
     .accumulate = true},
    {"average pool 3x3, padded on both sides",
     {OP_AVERAGE_POOL, "L",
      CONV_CASE(3, 3, 1, 1, .x = {WHOLE(2, 5, 6, 8)}, .y = WHOLE(2, 5, 6, 8), .training = true,
                .needs_dx = true)},
     .accumulate = true},
    {"average pool, padded on one side only",
     {OP_AVERAGE_POOL, "M", .n_x = 1, .kernel_h = 2, .kernel_w = 2, .stride_h = 2, .stride_w = 2,
      .pad_bottom = 1, .pad_right = 1, .x = {WHOLE(2, 5, 5, 8)}, .y = WHOLE(2, 3, 3, 8), .training = true,
      .needs_dx = true},
     .accumulate = false},
    {"average pool of everything",
     {OP_AVERAGE_POOL, "N",
      CONV_CASE(4, 4, 4, 0, .x = {WHOLE(2, 4, 4, 8)}, .y = WHOLE(2, 1, 1, 8), .training = true,
                .needs_dx = true)},
     .accumulate = false},
    {"max pool of everything",
     {OP_MAX_POOL, "N2",
      CONV_CASE(4, 4, 4, 0, .x = {WHOLE(2, 4, 4, 8)}, .y = WHOLE(2, 1, 1, 8), .training = true,
                .needs_dx = true)},
     .accumulate = true},
    {"global average pool",
     {OP_GLOBAL_AVERAGE_POOL, "O", .n_x = 1, .x = {WHOLE(3, 3, 5, 8)}, .y = WHOLE(3, 1, 1, 8),
      .training = true, .needs_dx = true},
     .accumulate = true},
    {"concatenation of three",
     {OP_CONCAT, "P", .n_x = 3, .x = {WHOLE(2, 3, 4, 8), WHOLE(2, 3, 4, 4), WHOLE(2, 3, 4, 6)},
      .y = WHOLE(2, 3, 4, 18), .first_c = {0, 8, 12}, .training = true, .needs_dx = true},
     .accumulate = true},
    {"concatenation of some inputs",
     {OP_CONCAT, "Q", .n_x = 2, .x = {WHOLE(2, 3, 4, 8), WHOLE(2, 3, 4, 4)}, .y = WHOLE(2, 3, 4, 18),
      .first_c = {4, 14}, .training = true, .needs_dx = true},
     .accumulate = false},
    {"addition of three, ReLU",
     {OP_ADD, "R", .n_x = 3, .x = {WHOLE(2, 3, 4, 8), WHOLE(2, 3, 4, 8), WHOLE(2, 3, 4, 8)},
      .y = WHOLE(2, 3, 4, 8), .activation = OP_RELU, .training = true, .needs_dx = true},
     .accumulate = true},
    {"addition into a slice",
     {OP_ADD, "S", .n_x = 2, .x = {WHOLE(2, 3, 4, 8), WHOLE(2, 3, 4, 8)}, .y = {2, 3, 4, 8, 16, 4},
      .training = true, .needs_dx = true},
     .slice = true},
    {"zero padding",
     {OP_ZERO_PAD, "T", .n_x = 1, .pad_top = 1, .pad_bottom = 2, .pad_left = 0, .pad_right = 3,
      .x = {WHOLE(2, 3, 4, 8)}, .y = WHOLE(2, 6, 7, 8), .training = true, .needs_dx = true},
     .accumulate = true},
    {"reshape of a map to a vector",
     {OP_RESHAPE, "U", .n_x = 1, .x = {WHOLE(2, 3, 4, 8)}, .y = WHOLE(2, 1, 1, 96), .training = true,
      .needs_dx = true},
     .accumulate = false},
    {"reshape of a vector to a map",
     {OP_RESHAPE, "V", .n_x = 1, .x = {WHOLE(2, 1, 1, 96)}, .y = WHOLE(2, 3, 4, 8), .training = true,
      .needs_dx = true},
     .accumulate = true},
    {"dropout's product",
     {OP_MULTIPLY, "W", .n_x = 1, .x = {WHOLE(4, 1, 1, 10)}, .y = WHOLE(4, 1, 1, 10), .training = true,
      .needs_dx = true},
     .accumulate = true},
    {"product of two maps, adding to dx",
     {OP_PRODUCT, "Y", .n_x = 2, .x = {WHOLE(2, 3, 4, 8), WHOLE(2, 3, 4, 8)}, .y = WHOLE(2, 3, 4, 8),
      .training = true, .needs_dx = true},
     .accumulate = true},
    {"product of two maps",
     {OP_PRODUCT, "Z", .n_x = 2, .x = {WHOLE(2, 3, 4, 5), WHOLE(2, 3, 4, 5)}, .y = WHOLE(2, 3, 4, 5),
      .training = true, .needs_dx = true},
     .accumulate = false},
    {"product of a map and a vector",
     {OP_PRODUCT, "aa", .n_x = 2, .x = {WHOLE(3, 5, 4, 8), WHOLE(3, 1, 1, 8)}, .y = WHOLE(3, 5, 4, 8),
      .training = true, .needs_dx = true},
     .accumulate = false},
    {"product of a map and a vector, adding to dx",
     {OP_PRODUCT, "ab", .n_x = 2, .x = {WHOLE(3, 5, 4, 8), WHOLE(3, 1, 1, 8)}, .y = WHOLE(3, 5, 4, 8),
      .training = true, .needs_dx = true},
     .accumulate = true},
    {"product of vectors",
     {OP_PRODUCT, "ac", .n_x = 2, .x = {WHOLE(3, 1, 1, 8), WHOLE(3, 1, 1, 8)}, .y = WHOLE(3, 1, 1, 8),
      .training = true, .needs_dx = true},
     .accumulate = true},
    {"softmax",
     {OP_SOFTMAX, "X", .n_x = 1, .x = {WHOLE(4, 1, 1, 5)}, .y = WHOLE(4, 1, 1, 5)},
     .accumulate = false},
};

static struct side open_side(const char *name, enum backend_precision precision, const char *mode)
{
    struct side s = {0};
    struct backend_options o = {.threads = 1, .precision = precision, .deterministic = true};
    if (backend_open(name, &o, &s.t, &s.b, &err)) CHECK_SAY(false, "%s: %s opens: %s", mode, name, err.text);
    return s;
}

/* Tolerances as a part of the largest value: float32 sums in another order; TF32 keeps 10 bits, bfloat16 8
 * (and rounds y and dx, too). */
static void run_all(enum backend_precision precision, double tolerance, const char *mode)
{
    struct side ref = open_side("ref", PRECISION_F32, mode), cuda = open_side("cuda", precision, mode);
    if (!cuda.b || !ref.b) return;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct op_case c = cases[i];
        struct inputs in;
        struct result got, wanted;
        c.d.adds_dx = c.accumulate;
        if (c.slice && !cuda.t->writes_slice(cuda.b, &c.d)) continue;
        inputs_make(&in, &c.d);
        if (run(&ref, &c, &in, &wanted) && run(&cuda, &c, &in, &got)) {
            compare(&c, &got, &wanted, tolerance, mode);
            result_free(&got);
        }
        result_free(&wanted);
        inputs_free(&in);
    }
    ref.t->close(ref.b);
    cuda.t->close(cuda.b);
    cuda_check_clean(mode);
}

/* --- flat arenas --- */

enum { ARENA = 5000 }; /* not a multiple of a row of 1024 */

static void arena_run(const struct side *s, const float *start, float *out, double *squares)
{
    struct param_shape flat = {PARAM_VECTOR, 1, 1, 1, ARENA};
    struct slot a[5];
    struct sgd_step sgd = {0.1f, 0.9f, false}, nesterov = {0.05f, 0.8f, true};
    for (int i = 0; i < 5; i++)
        a[i] = parameter(s, &flat, start + i * ARENA);
    const struct backend_table *t = s->t;
    bool ok = !t->scale(s->b, a[0], ARENA, 0.5f, &err) && !t->axpy(s->b, a[0], a[1], ARENA, -2, &err) &&
              !t->sum_of_squares(s->b, a[0], ARENA, squares, &err) &&
              !t->sgd(s->b, a[0], a[1], a[2], ARENA, &sgd, &err) &&
              !t->sgd(s->b, a[0], a[1], a[2], ARENA, &nesterov, &err) &&
              !t->fill_zero(s->b, a[3], ARENA, &err) && !t->fill_zero(s->b, a[4], ARENA, &err);
    for (uint64_t step = 1; step <= 3 && ok; step++) {
        struct adam_step adam = {0.01f, 0.9f, 0.999f, 1e-7f, step};
        ok = !t->adam(s->b, a[0], a[1], a[3], a[4], ARENA, &adam, &err) &&
             !t->scale(s->b, a[1], ARENA, 0.7f, &err);
    }
    ok = ok && !t->copy(s->b, a[1], a[0], ARENA, &err);
    if (!ok) CHECK_SAY(false, "arena: %s", err.text);
    for (int i = 0; i < 5; i++) {
        float *v = fetch_param(s, a[i], &flat);
        memcpy(out + i * ARENA, v, ARENA * sizeof *v);
        free(v);
        t->free(s->b, a[i].buffer);
    }
}

static void test_arena(void)
{
    static const char *const names[] = {"weights after SGD, Nesterov and Adam", "their copy", "velocity",
                                        "Adam's mean", "Adam's square"};
    struct side ref = open_side("ref", PRECISION_F32, "arena"),
                cuda = open_side("cuda", PRECISION_F32, "arena");
    static float start[5 * ARENA], a[5 * ARENA], b[5 * ARENA];
    struct random r = random_start(3, 4, 5);
    double sa, sb;
    if (!ref.b || !cuda.b) return;
    cuda_fill(&r, start, 5 * ARENA, 1);
    arena_run(&ref, start, a, &sa);
    arena_run(&cuda, start, b, &sb);
    for (int i = 0; i < 5; i++) {
        double d = cuda_difference(b + i * ARENA, a + i * ARENA, ARENA);
        CHECK_SAY(d < 1e-5, "arena: %s (off by %.2g)", names[i], d);
    }
    CHECK_CLOSE(sb, sa, 0, 1e-5, "arena: sum of squares");
    ref.t->close(ref.b);
    cuda.t->close(cuda.b);
    cuda_check_clean("arena");
}

/* --- in and out --- */

/* More batches than there are staging buffers, without waiting in between: each must
 * arrive where and as it was sent. */
static void test_transfers(enum backend_precision precision, double tolerance, const char *mode)
{
    enum { ROUNDS = 5, VALUES = 420 };
    struct side s = open_side("cuda", precision, mode);
    struct tensor_shape shape = WHOLE(4, 3, 5, 7);
    size_t n = values_of(&shape), row = n / 4;
    uint8_t bytes[VALUES];
    float wanted[ROUNDS][VALUES], got[VALUES];
    struct slot a[ROUNDS];
    double worst = 0;
    if (!s.b) return;
    for (int round = 0; round < ROUNDS; round++)
        a[round] = make(&s, s.t->tensor_bytes(s.b, &shape));
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < n; i++) {
            bytes[i] = (uint8_t)(i * 37 + (size_t)round * 11);
            wanted[round][i] = i < 3 * row ? (float)bytes[i] * 0.5f - 1 : 0;
        }
        if (s.t->tensor_upload_u8(s.b, a[round], &shape, bytes, 3, 0.5f, -1, &err))
            CHECK_SAY(false, "%s", err.text);
        memset(bytes, 0, sizeof bytes); /* the caller's memory is free again on return */
    }
    for (int round = 0; round < ROUNDS; round++) {
        if (s.t->tensor_download(s.b, a[round], &shape, got, 4, &err)) CHECK_SAY(false, "%s", err.text);
        double d = cuda_difference(got, wanted[round], n);
        worst = d > worst ? d : worst;
    }
    CHECK_SAY(worst <= tolerance, "%s: bytes up, floats down, rows that are not given are 0 (off by %.2g)",
              mode, worst);
    /* Given back while its upload is still queued: the backend has to wait. */
    bool ok = !s.t->tensor_upload_u8(s.b, a[0], &shape, bytes, 4, 1, 0, &err);
    s.t->free(s.b, a[0].buffer);
    ok = ok && !s.t->sync(s.b, &err);
    CHECK_SAY(ok, "%s: memory given back while work is queued%s%s", mode, ok ? "" : ": ", ok ? "" : err.text);
    for (int round = 1; round < ROUNDS; round++)
        s.t->free(s.b, a[round].buffer);
    s.t->close(s.b);
    cuda_check_clean(mode);
}

/* More than a staging buffer holds, the last rows missing: in pieces, each in its place. */
static void test_large_transfer(enum backend_precision precision, double tolerance, const char *mode)
{
    struct side s = open_side("cuda", precision, mode);
    struct tensor_shape shape = WHOLE(37, 300, 300, 3);
    size_t n = values_of(&shape), row = n / 37;
    float *values = malloc(n * sizeof *values), *got = malloc(n * sizeof *got);
    if (!s.b) return;
    struct slot a = make(&s, s.t->tensor_bytes(s.b, &shape));
    for (size_t i = 0; i < n; i++)
        values[i] = (float)(i * 2654435761u >> 20 & 255);
    bool ok = !s.t->tensor_upload(s.b, a, &shape, values, 35, &err) &&
              !s.t->tensor_download(s.b, a, &shape, got, 37, &err);
    memset(values + 35 * row, 0, 2 * row * sizeof *values);
    double d = ok ? cuda_difference(got, values, n) : 1e30;
    CHECK_SAY(d <= tolerance, "%s: 40 MB in pieces (off by %.2g)%s", mode, d, ok ? "" : err.text);
    s.t->free(s.b, a.buffer);
    s.t->close(s.b);
    free(values);
    free(got);
    cuda_check_clean(mode);
}

int main(int argc, char **argv)
{
    cuda_test_begin(argv, "the CUDA backend, operation by operation");
    if (cuda_wanted(argv, "fp32")) run_all(PRECISION_F32, 2e-5, "fp32");
    if (cuda_wanted(argv, "tf32")) run_all(PRECISION_TF32, 3e-3, "tf32");
    if (cuda_wanted(argv, "arena")) test_arena();
    if (cuda_wanted(argv, "transfers")) {
        test_transfers(PRECISION_F32, 1e-6, "transfers, fp32");
        test_transfers(PRECISION_TF32, 1e-6, "transfers, tf32");
        test_large_transfer(PRECISION_F32, 0, "a large transfer, fp32");
    }
    if (cuda_wanted(argv, "bf16") && cuda_has_bf16("bf16")) {
        run_all(PRECISION_BF16, 4e-2, "bf16");
        test_transfers(PRECISION_BF16, 4e-3, "transfers, bf16");
        test_large_transfer(PRECISION_BF16, 0, "a large transfer, bf16");
    }
    if (cuda_wanted(argv, "fp16")) {
        run_all(PRECISION_F16, 5e-3, "fp16");
        test_transfers(PRECISION_F16, 5e-4, "transfers, fp16");
        test_large_transfer(PRECISION_F16, 0, "a large transfer, fp16");
    }
    if (fake.there && cuda_wanted(argv, "fallbacks")) {
        setenv("FAKECUDA_SUPPORT", "no-fused-conv no-fused-norm", 1);
        run_all(PRECISION_F32, 2e-5, "fp32, nothing fused");
        run_all(PRECISION_BF16, 4e-2, "bf16, nothing fused");
        setenv("FAKECUDA_SUPPORT", "no-strided-conv no-heuristics", 1);
        run_all(PRECISION_F32, 2e-5, "fp32, fallback engines, slices copied");
        setenv("FAKECUDA_SUPPORT", "no-bytes", 1);
        test_transfers(PRECISION_F32, 0, "transfers of floats, fp32");
        test_transfers(PRECISION_BF16, 4e-3, "transfers of floats, bf16");
        setenv("FAKECUDA_SUPPORT", "bf16-channels-8", 1);
        run_all(PRECISION_BF16, 4e-2, "bf16, channels in eights only");
        unsetenv("FAKECUDA_SUPPORT");
        setenv("FAKECUDA_CC", "75", 1);
        run_all(PRECISION_TF32, 2e-5, "Turing: TF32 is float32");
        run_all(PRECISION_F16, 5e-3, "Turing: fp16");
        unsetenv("FAKECUDA_CC");
    }
    return tap_done();
}
