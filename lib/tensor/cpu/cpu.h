/*
 * cpu.h: the CPU backend. oneDNN computes convolutions, through its C API. Loops of our own compute all other
 * operations, in one pass where a library needs several (kernels.h).
 *
 * Layouts are chosen once, when the device is opened. They are those with which oneDNN 2.6 is fast
 * (docs/measured.md has the figures): NHWC on machines with AVX-512; on others nChw8c for numbers of channels
 * that are multiples of 8, and NCHW for pictures.
 */
#ifndef WINNOW_TENSOR_CPU_CPU_H
#define WINNOW_TENSOR_CPU_CPU_H

#include <dnnl.h>

#include "tensor/backend.h"
#include "tensor/cpu/kernels.h"

struct backend_buffer {
    unsigned char *data;
    size_t bytes;
};

/* Memory for packed weights. It is allocated from its beginning to its end, and freed when the device is
 * closed. */
struct constants {
    struct constants *next;
    unsigned char *data;
    size_t bytes, used;
};

struct backend {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    int threads;
    int block; /* 0: NHWC everywhere; 8: channels in blocks of 8 */
    const struct kernels *k;
    struct constants *constants;
    char description[128];
};

struct primitive { /* one oneDNN primitive with its memory objects; handles are set at each run */
    dnnl_primitive_t p;
    dnnl_exec_arg_t args[8];
    int n_args;
    size_t scratch_bytes;
    dnnl_memory_t scratch;
};

enum conv_algorithm { CONV_ONEDNN, CONV_POINTWISE, CONV_WINOGRAD, CONV_TILED, CONV_DIRECT };

struct conv_state {                          /* OP_CONV and OP_DEPTHWISE */
    struct primitive forward, data, weights; /* weights: backward by weights */
    /* Convert from Keras' layout to that of each primitive, and back. p is NULL where they are the same. */
    struct primitive pack_forward, pack_data, unpack;
    size_t forward_bytes, data_bytes, weights_bytes;
    float *packed; /* constant weights, for forward (and for data where the layout differs) */
    float *packed_data;
    float *keras; /* constant weights that need no packing */
    /* When it is not CONV_ONEDNN, there are no primitives, and cpu_conv_packed.c uses packed and
     * packed_data. */
    enum conv_algorithm algorithm;
};

struct int8_op; /* int8.h */
struct backend_op {
    struct op_desc d;
    struct int8_op *int8; /* set for operations on quantised tensors; the fields below are then unused */
    struct conv_state conv;
    float *bias, *scale; /* constant: bias of convolutions and dense, scale and shift (bias) of AFFINE */
    float *dense;        /* constant dense weights */
    size_t workspace_bytes;
};

static inline float *slot_at(const struct slot *s)
{
    return s->buffer ? (float *)(s->buffer->data + s->offset) : NULL;
}
static inline struct act act_of(const struct op_desc *d)
{
    return (struct act){(int)d->activation, d->activation_max};
}
static inline size_t page_aligned(size_t bytes) { return (bytes + 4095) / 4096 * 4096; }
static inline int block_of(const struct backend *b, int c)
{
    return !b->block ? c : c % b->block == 0 ? b->block : c < b->block ? 1 : c;
}

int dnnl_failed(dnnl_status_t status, const char *what, struct error *err); /* 0 or -1 with err set */

/* Returns memory, in whole pages, for weights that an operation keeps. It belongs to the device. NULL with
 * err set on failure. */
float *cpu_constant_memory(struct backend *b, size_t bytes, struct error *err);

/* cpu_conv.c */
int conv_create(struct backend *b, struct backend_op *op, struct error *err);
void conv_destroy(struct backend_op *op);
size_t conv_constant_bytes(const struct backend_op *op);
int conv_load(struct backend *b, struct backend_op *op, const float *weights, struct error *err);
int conv_forward(struct backend *b, struct backend_op *op, const struct op_io *io, float *workspace,
                 struct error *err);
int conv_backward(struct backend *b, struct backend_op *op, const struct op_io *io, float *workspace,
                  struct error *err);

/* cpu_conv_packed.c: convolutions whose weights we pack ourselves. They can also write slices. */
enum conv_algorithm conv_algorithm_of(const struct backend *b, const struct op_desc *d);
size_t conv_packed_workspace_bytes(const struct backend *b, const struct backend_op *op);
size_t conv_packed_bytes(const struct backend *b, const struct backend_op *op, bool backward);
int conv_packed_load(struct backend *b, struct backend_op *op, const float *weights, struct error *err);
void conv_packed_forward(struct backend *b, struct backend_op *op, const struct op_io *io, float *workspace);
void conv_packed_backward(struct backend *b, struct backend_op *op, const struct op_io *io, float *workspace);

/* cpu_conv_tiled.c: forward convolutions with constant weights, by direct sums. Call the other functions only
 * for operations for which the first returned true. */
bool conv_tiled_suits(const struct backend *b, const struct op_desc *d);
size_t conv_tiled_packed_bytes(const struct backend *b, const struct op_desc *d);
size_t conv_tiled_workspace_bytes(const struct backend *b, const struct op_desc *d);
/* turned: 1x1 only; keras has [cout,cin] */
void conv_tiled_pack(const struct backend *b, const struct op_desc *d, const float *keras, bool turned,
                     float *packed);
void conv_tiled_forward(const struct backend *b, const struct backend_op *op, const struct op_io *io,
                        float *workspace);

/* cpu_conv_direct.c: convolutions with constant weights for which oneDNN has only a matrix product or a
 * reference loop. */
size_t conv_direct_workspace_bytes(const struct backend *b, const struct op_desc *d);
void conv_direct_forward(struct backend *b, const struct backend_op *op, const struct op_io *io,
                         float *workspace);

/* cpu_dense.c */
size_t dense_constant_bytes(const struct backend_op *op);
int dense_load(struct backend *b, struct backend_op *op, const float *weights, struct error *err);
int dense_forward(struct backend *b, struct backend_op *op, const struct op_io *io, struct error *err);
int dense_backward(struct backend *b, struct backend_op *op, const struct op_io *io, float *workspace,
                   struct error *err);

/* cpu_norm.c */
size_t cpu_batch_norm_workspace_bytes(int c);
void cpu_batch_norm_forward(struct backend *b, const struct backend_op *op, const struct op_io *io,
                            float *workspace);
void cpu_batch_norm_backward(struct backend *b, const struct backend_op *op, const struct op_io *io,
                             float *workspace);
void cpu_affine_forward(struct backend *b, const struct backend_op *op, const struct op_io *io);

/* cpu_pool.c */
void cpu_pool_forward(struct backend *b, const struct op_desc *d, const struct op_io *io);
void cpu_pool_backward(struct backend *b, const struct op_desc *d, const struct op_io *io);

/* cpu_scale.c: products of two tensors, and scales that learn (workspace: cpu_scale_workspace_bytes) */
void cpu_product_forward(struct backend *b, const struct op_desc *d, const struct op_io *io);
void cpu_product_backward(struct backend *b, const struct op_desc *d, const struct op_io *io);
size_t cpu_scale_workspace_bytes(const struct op_desc *d);
void cpu_scale_forward(struct backend *b, const struct op_desc *d, const struct op_io *io, float *workspace);
void cpu_scale_backward(struct backend *b, const struct op_desc *d, const struct op_io *io, float *workspace);

/* cpu_elementwise.c: all other operations, and OP_AFFINE backward */
/* cpu_moves.c */
void cpu_moves_forward(struct backend *b, const struct op_desc *d, const struct op_io *io);
void cpu_moves_backward(struct backend *b, const struct op_desc *d, const struct op_io *io);

void cpu_elementwise_forward(struct backend *b, const struct op_desc *d, const struct op_io *io);
void cpu_elementwise_backward(struct backend *b, const struct backend_op *op, const struct op_io *io);
/* dy *= act' over the whole output of an operation */
void cpu_activation_backward(struct backend *b, const struct op_desc *d, const struct op_io *io);
/* dbias = the sum of dy over pixels and pictures. scratch has as many floats as y has channels. */
void cpu_bias_gradient(struct backend *b, const struct op_desc *d, const struct op_io *io, float *scratch);
void cpu_add(struct backend *b, float *y, const float *x, size_t n); /* y += x */

#endif
