/* ref.c: the function table of the backend with plain loops: host memory, NHWC, Keras' layouts of weights. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/op_host.h"
#include "tensor/ref/ref.h"

struct backend {
    struct backend_options options;
};

static int ref_open(struct backend **out, const struct backend_options *options, struct error *err)
{
    struct backend *b = mem_zalloc(1, sizeof *b, err);
    *out = b;
    if (!b) return -1;
    b->options = *options;
    return 0;
}

static void ref_close(struct backend *b) { free(b); }
static const char *ref_describe(const struct backend *b) { return "plain loops, 1 thread"; }
static size_t ref_memory_available(const struct backend *b) { return 0; }

static int ref_alloc(struct backend *b, size_t bytes, struct backend_buffer **out, struct error *err)
{
    struct backend_buffer *buffer = mem_zalloc(1, sizeof *buffer, err);
    *out = NULL;
    if (!buffer) return -1;
    size_t rounded;
    if (!size_add(bytes, BACKEND_ALIGN - 1, &rounded)) {
        free(buffer);
        return error_set(err, EX_OSERR, "cannot allocate %zu bytes", bytes);
    }
    rounded &= ~(size_t)(BACKEND_ALIGN - 1);
    if (!(buffer->data = mem_aligned(BACKEND_ALIGN, rounded ? rounded : BACKEND_ALIGN, err))) {
        free(buffer);
        return -1;
    }
    memset(buffer->data, 0, rounded);
    buffer->bytes = bytes;
    *out = buffer;
    return 0;
}

static void ref_free(struct backend *b, struct backend_buffer *buffer)
{
    if (!buffer) return;
    free(buffer->data);
    free(buffer);
}

static int ref_sync(struct backend *b, struct error *err) { return 0; }

static size_t ref_tensor_bytes(const struct backend *b, const struct tensor_shape *s)
{
    return shape_values(s) * sizeof(float);
}
static bool ref_writes_slice(const struct backend *b, const struct op_desc *d)
{
    return d->kind != OP_RESHAPE;
}
static bool ref_reshape_is_free(const struct backend *b, const struct tensor_shape *from,
                                const struct tensor_shape *to)
{
    return true;
}
static size_t ref_param_bytes(const struct backend *b, const struct param_shape *p)
{
    return param_shape_values(p) * sizeof(float);
}

static int ref_tensor_upload(struct backend *b, struct slot to, const struct tensor_shape *s,
                             const float *nhwc, int n_rows, struct error *err)
{
    size_t filled = (size_t)n_rows * shape_row_values(s);
    memcpy(ref_at(&to), nhwc, filled * sizeof(float));
    memset(ref_at(&to) + filled, 0, (shape_values(s) - filled) * sizeof(float));
    return 0;
}

static int ref_tensor_upload_u8(struct backend *b, struct slot to, const struct tensor_shape *s,
                                const uint8_t *nhwc, int n_rows, float scale, float offset, struct error *err)
{
    size_t filled = (size_t)n_rows * shape_row_values(s);
    float *out = ref_at(&to);
    for (size_t i = 0; i < filled; i++)
        out[i] = (float)nhwc[i] * scale + offset;
    memset(out + filled, 0, (shape_values(s) - filled) * sizeof(float));
    return 0;
}

static int ref_tensor_download(struct backend *b, struct slot from, const struct tensor_shape *s, float *nhwc,
                               int n_rows, struct error *err)
{
    struct ref_view v = ref_view_of(&from, s);
    size_t pixels = (size_t)n_rows * (size_t)s->h * (size_t)s->w;
    assert(v.data); /* only an operation's argument may be absent */
    for (size_t i = 0; i < pixels; i++)
        memcpy(nhwc + i * (size_t)s->c, v.data + i * v.stride, (size_t)s->c * sizeof(float));
    return 0;
}

static int ref_param_upload(struct backend *b, struct slot to, const struct param_shape *p,
                            const float *keras, struct error *err)
{
    memcpy(ref_at(&to), keras, param_shape_values(p) * sizeof(float));
    return 0;
}

static int ref_param_download(struct backend *b, struct slot from, const struct param_shape *p, float *keras,
                              struct error *err)
{
    memcpy(keras, ref_at(&from), param_shape_values(p) * sizeof(float));
    return 0;
}

/* --- operations --- */

static int ref_op_create(struct backend *b, const struct op_desc *d, struct backend_op **out,
                         struct error *err)
{
    struct backend_op *op = mem_zalloc(1, sizeof *op, err);
    *out = op;
    if (!op) return -1;
    op->d = *d;
    op->d.name = NULL;
    return 0;
}

static void ref_op_destroy(struct backend *b, struct backend_op *op)
{
    if (!op) return;
    free(op->weights);
    free(op->bias);
    free(op);
}

static unsigned ref_op_backward_reads(const struct backend_op *op) { return op_host_backward_reads(&op->d); }

static size_t ref_op_saved_bytes(const struct backend_op *op)
{
    if (op->d.kind == OP_BATCH_NORM) return 2 * (size_t)op->d.y.c * sizeof(float);
    return op->d.kind == OP_MAX_POOL && op->d.training ? shape_values(&op->d.y) * sizeof(int32_t) : 0;
}

static size_t n_weights_of(const struct op_desc *d)
{
    switch (d->kind) {
    case OP_CONV:
    case OP_DENSE:
        return (size_t)d->kernel_h * (size_t)d->kernel_w * (size_t)(d->x[0].c / conv_groups(d)) *
               (size_t)d->y.c;
    case OP_DEPTHWISE: return (size_t)d->kernel_h * (size_t)d->kernel_w * (size_t)d->y.c;
    case OP_AFFINE: return (size_t)d->y.c;
    default: return 0;
    }
}

static size_t ref_op_constant_bytes(const struct backend_op *op)
{
    return op->d.constant_weights ? (n_weights_of(&op->d) + (size_t)op->d.y.c) * sizeof(float) : 0;
}

static size_t ref_op_workspace_bytes(const struct backend_op *op) { return 0; }

static int ref_op_load(struct backend *b, struct backend_op *op, const float *weights, const float *bias,
                       struct error *err)
{
    size_t n = n_weights_of(&op->d);
    if (!op->weights && (!(op->weights = mem_alloc(n * sizeof(float), err)) ||
                         !(op->bias = mem_zalloc((size_t)op->d.y.c, sizeof(float), err))))
        return -1;
    memcpy(op->weights, weights, n * sizeof(float));
    if (bias) memcpy(op->bias, bias, (size_t)op->d.y.c * sizeof(float));
    return 0;
}

static int ref_op_forward(struct backend *b, struct backend_op *op, const struct op_io *io,
                          struct slot workspace, struct error *err)
{
    switch (op->d.kind) {
    case OP_CONV:
    case OP_DENSE: return ref_conv_forward(op, io, err);
    case OP_DEPTHWISE: ref_depthwise_forward(op, io); return 0;
    case OP_BATCH_NORM: return ref_batch_norm_forward(op, io, err);
    case OP_PRODUCT: ref_product_forward(op, io); return 0;
    case OP_SCALE: ref_scale_forward(op, io); return 0;
    case OP_RESIZE:
    case OP_CHANNELS: ref_moves_forward(&op->d, io); return 0;
    case OP_MAX_POOL:
    case OP_AVERAGE_POOL:
    case OP_GLOBAL_AVERAGE_POOL: ref_pool_forward(op, io); return 0;
    default: ref_elementwise_forward(op, io); return 0;
    }
}

static int ref_op_backward(struct backend *b, struct backend_op *op, const struct op_io *io,
                           struct slot workspace, struct error *err)
{
    switch (op->d.kind) {
    case OP_CONV:
    case OP_DENSE: return ref_conv_backward(op, io, err);
    case OP_DEPTHWISE: return ref_depthwise_backward(op, io, err);
    case OP_BATCH_NORM: return ref_batch_norm_backward(op, io, err);
    case OP_PRODUCT: ref_product_backward(op, io); return 0;
    case OP_SCALE: return ref_scale_backward(op, io, err);
    case OP_RESIZE:
    case OP_CHANNELS: ref_moves_backward(&op->d, io); return 0;
    case OP_MAX_POOL:
    case OP_AVERAGE_POOL:
    case OP_GLOBAL_AVERAGE_POOL: ref_pool_backward(op, io); return 0;
    default: ref_elementwise_backward(op, io); return 0;
    }
}

/* --- flat arenas --- */

static int ref_fill_zero(struct backend *b, struct slot y, size_t n, struct error *err)
{
    memset(ref_at(&y), 0, n * sizeof(float));
    return 0;
}

static int ref_copy(struct backend *b, struct slot y, struct slot x, size_t n, struct error *err)
{
    memmove(ref_at(&y), ref_at(&x), n * sizeof(float));
    return 0;
}

static int ref_scale(struct backend *b, struct slot y, size_t n, float a, struct error *err)
{
    float *p = ref_at(&y);
    for (size_t i = 0; i < n; i++)
        p[i] *= a;
    return 0;
}

static int ref_axpy(struct backend *b, struct slot y, struct slot x, size_t n, float a, struct error *err)
{
    float *p = ref_at(&y);
    const float *q = ref_at(&x);
    for (size_t i = 0; i < n; i++)
        p[i] += a * q[i];
    return 0;
}

static int ref_sum_of_squares(struct backend *b, struct slot x, size_t n, double *out, struct error *err)
{
    const float *p = ref_at(&x);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)p[i] * p[i];
    *out = sum;
    return 0;
}

static int ref_sgd(struct backend *b, struct slot sp, struct slot sg, struct slot sv, size_t n,
                   const struct sgd_step *s, struct error *err)
{
    float *p = ref_at(&sp), *v = ref_at(&sv);
    const float *g = ref_at(&sg);
    for (size_t i = 0; i < n; i++) {
        float move = s->rate * g[i];
        v[i] = s->momentum * v[i] - move;
        p[i] += s->nesterov ? s->momentum * v[i] - move : v[i];
    }
    return 0;
}

static int ref_adam(struct backend *b, struct slot sp, struct slot sg, struct slot sm, struct slot sv,
                    size_t n, const struct adam_step *s, struct error *err)
{
    float *p = ref_at(&sp), *m = ref_at(&sm), *v = ref_at(&sv);
    const float *g = ref_at(&sg);
    float rate = adam_rate(s);
    for (size_t i = 0; i < n; i++) {
        m[i] = s->beta1 * m[i] + (1 - s->beta1) * g[i];
        v[i] = s->beta2 * v[i] + (1 - s->beta2) * g[i] * g[i];
        p[i] -= rate * m[i] / (sqrtf(v[i]) + s->epsilon);
    }
    return 0;
}

static float *ref_host_memory(struct slot s) { return ref_at(&s); }

const struct backend_table backend_ref = {
    .abi = BACKEND_ABI,
    .name = "ref",
    .open = ref_open,
    .close = ref_close,
    .describe = ref_describe,
    .memory_available = ref_memory_available,
    .alloc = ref_alloc,
    .free = ref_free,
    .sync = ref_sync,
    .tensor_bytes = ref_tensor_bytes,
    .writes_slice = ref_writes_slice,
    .reshape_is_free = ref_reshape_is_free,
    .param_bytes = ref_param_bytes,
    .tensor_upload = ref_tensor_upload,
    .tensor_upload_u8 = ref_tensor_upload_u8,
    .tensor_download = ref_tensor_download,
    .param_upload = ref_param_upload,
    .param_download = ref_param_download,
    .op_create = ref_op_create,
    .op_destroy = ref_op_destroy,
    .op_backward_reads = ref_op_backward_reads,
    .op_saved_bytes = ref_op_saved_bytes,
    .op_constant_bytes = ref_op_constant_bytes,
    .op_workspace_bytes = ref_op_workspace_bytes,
    .op_load = ref_op_load,
    .op_forward = ref_op_forward,
    .op_backward = ref_op_backward,
    .fill_zero = ref_fill_zero,
    .copy = ref_copy,
    .scale = ref_scale,
    .axpy = ref_axpy,
    .sum_of_squares = ref_sum_of_squares,
    .sgd = ref_sgd,
    .adam = ref_adam,
    .host_memory = ref_host_memory,
    .exchanges_statistics = true,
};
