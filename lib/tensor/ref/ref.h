/* ref.h: the backend with plain loops. All tensors are float32 NHWC in host memory; the loops run on one
 * thread, with sums in double. It is slow. Tests compare the other backends with it. */
#ifndef WINNOW_TENSOR_REF_REF_H
#define WINNOW_TENSOR_REF_REF_H

#include "tensor/backend.h"

struct backend_buffer {
    unsigned char *data;
    size_t bytes;
};
struct backend_op {
    struct op_desc d;
    float *weights, *bias; /* constant ones, owned; Keras layout */
};

/* A tensor for the loops: value (n,y,x,c) is data[((n*h + y)*w + x)*stride + c]. */
struct ref_view {
    float *data;
    int n, h, w, c;
    size_t stride;
};

static inline float *ref_at(const struct slot *s)
{
    return s->buffer ? (float *)(s->buffer->data + s->offset) : NULL;
}
static inline struct ref_view ref_view_of(const struct slot *s, const struct tensor_shape *t)
{
    float *p = ref_at(s);
    return (struct ref_view){p ? p + t->first_c : NULL, t->n, t->h, t->w, t->c, (size_t)t->parent_c};
}
static inline float *ref_pixel(const struct ref_view *v, int n, int y, int x)
{
    return v->data + (((size_t)n * (size_t)v->h + (size_t)y) * (size_t)v->w + (size_t)x) * v->stride;
}
static inline size_t ref_pixels(const struct ref_view *v)
{
    return (size_t)v->n * (size_t)v->h * (size_t)v->w;
}
static inline void ref_put(float *to, float v, bool accumulate) { *to = accumulate ? *to + v : v; }

float ref_activate(const struct op_desc *d, float v);
/* Computes dy *= act' for the activation of an operation. Of a slice, only its own channels are changed. */
void ref_activation_backward(const struct op_desc *d, const struct op_io *io);

/* One function for each kind of operation and direction. They return 0, or -1 with err set when there is no
 * memory. */
int ref_conv_forward(const struct backend_op *op, const struct op_io *io, struct error *err);
int ref_conv_backward(const struct backend_op *op, const struct op_io *io, struct error *err);
void ref_depthwise_forward(const struct backend_op *op, const struct op_io *io);
int ref_depthwise_backward(const struct backend_op *op, const struct op_io *io, struct error *err);
int ref_batch_norm_forward(const struct backend_op *op, const struct op_io *io, struct error *err);
int ref_batch_norm_backward(const struct backend_op *op, const struct op_io *io, struct error *err);
void ref_pool_forward(const struct backend_op *op, const struct op_io *io);
void ref_pool_backward(const struct backend_op *op, const struct op_io *io);
void ref_elementwise_forward(const struct backend_op *op, const struct op_io *io);
void ref_elementwise_backward(const struct backend_op *op, const struct op_io *io);
void ref_product_forward(const struct backend_op *op, const struct op_io *io);
void ref_product_backward(const struct backend_op *op, const struct op_io *io);
void ref_scale_forward(const struct backend_op *op, const struct op_io *io);
void ref_moves_forward(const struct op_desc *d, const struct op_io *io);
void ref_moves_backward(const struct op_desc *d, const struct op_io *io);
int ref_scale_backward(const struct backend_op *op, const struct op_io *io, struct error *err);

#endif
