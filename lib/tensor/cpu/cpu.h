/*
 * cpu.h: the CPU backend from the inside: convolutions through oneDNN's C API, everything else by loops of
 * our own that do in one pass what a library does in several (kernels.h).
 *
 * Layouts, chosen once when the device is opened, from what oneDNN 2.6 is fast with (docs/measured.md has
 * the figures): NHWC where the machine has AVX-512, nChw8c on other machines for channel counts that are
 * multiples of 8, NCHW there for pictures.
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

struct backend {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    int threads;
    int block; /* 0: NHWC everywhere; 8: channels in blocks of 8 */
    const struct kernels *k;
    char description[128];
};

struct primitive { /* one oneDNN primitive with its memory objects; handles are set at each run */
    dnnl_primitive_t p;
    dnnl_exec_arg_t args[8];
    int n_args;
    size_t scratch_bytes;
    dnnl_memory_t scratch;
};

enum conv_way { CONV_ONEDNN, CONV_POINTWISE, CONV_WINOGRAD, CONV_DIRECT };

struct conv_state {                          /* OP_CONV and OP_DEPTHWISE */
    struct primitive forward, data, weights; /* weights: backward by weights */
    /* Keras layout to what each primitive wants and back; p = NULL where they are the same */
    struct primitive pack_forward, pack_data, unpack;
    size_t forward_bytes, data_bytes, weights_bytes;
    float *packed; /* constant weights, for forward (and for data where the layout differs) */
    float *packed_data;
    float *keras; /* constant weights where nothing is to be packed */
    enum conv_way
        way; /* other than CONV_ONEDNN: no primitives; packed and packed_data are cpu_conv_packed.c's */
};

struct backend_op {
    struct op_desc d;
    struct conv_state conv;
    float *bias, *scale; /* constant: bias of convolutions and dense, scale and shift (bias) of AFFINE */
    float *dense;        /* constant dense weights */
    size_t workspace_bytes;
};

static inline float *slot_at(const struct slot *s)
{
    return s->buffer ? (float *)(s->buffer->data + s->offset) : NULL;
}
static inline size_t page_aligned(size_t bytes) { return (bytes + 4095) / 4096 * 4096; }
static inline int block_of(const struct backend *b, int c)
{
    return !b->block ? c : c % b->block == 0 ? b->block : c < b->block ? 1 : c;
}

/*
 * A tensor as runs: value (n, block, pixel, i) lies at p[n*n_stride + block*b_stride + pixel*px_stride + i],
 * i < inner. NHWC is one block of all channels, NCHW as many blocks as channels.
 */
struct view {
    float *p;
    int n, h, w, blocks, inner;
    size_t n_stride, b_stride, px_stride;
};
struct view view_of(const struct backend *b, const struct slot *s, const struct tensor_shape *t);

int dnnl_failed(dnnl_status_t status, const char *what, struct error *err); /* 0 or -1 with err set */

/* cpu_conv.c */
int conv_create(struct backend *b, struct backend_op *op, struct error *err);
void conv_destroy(struct backend_op *op);
size_t conv_constant_bytes(const struct backend_op *op);
int conv_load(struct backend *b, struct backend_op *op, const float *weights, struct error *err);
int conv_forward(struct backend *b, struct backend_op *op, const struct op_io *io, float *workspace,
                 struct error *err);
int conv_backward(struct backend *b, struct backend_op *op, const struct op_io *io, float *workspace,
                  struct error *err);

/* cpu_conv_packed.c: those that are loops of our own; they write slices, too */
enum conv_way conv_way_of(const struct backend *b, const struct op_desc *d);
size_t conv_own_workspace_bytes(const struct backend *b, const struct backend_op *op);
size_t conv_own_constant_bytes(const struct backend_op *op);
int conv_own_load(const struct backend *b, struct backend_op *op, const float *weights, struct error *err);
void conv_own_forward(struct backend *b, struct backend_op *op, const struct op_io *io, float *workspace);
int conv_own_backward(struct backend *b, struct backend_op *op, const struct op_io *io, float *workspace,
                      struct error *err);

/* cpu_conv_direct.c: the constant ones that oneDNN has only a matrix product or a reference loop for */
size_t conv_direct_workspace_bytes(const struct backend *b, const struct op_desc *d);
void conv_direct_forward(struct backend *b, const struct backend_op *op, const struct op_io *io,
                         float *workspace);

/* cpu_dense.c */
size_t dense_constant_bytes(const struct backend_op *op);
int dense_load(struct backend_op *op, const float *weights, struct error *err);
int dense_forward(struct backend *b, struct backend_op *op, const struct op_io *io, struct error *err);
int dense_backward(struct backend *b, struct backend_op *op, const struct op_io *io, float *workspace,
                   struct error *err);

/* own.c: operations that are loops of our own */
size_t own_saved_bytes(const struct backend_op *op);
size_t own_workspace_bytes(const struct backend *b, const struct op_desc *d);
void own_forward(struct backend *b, struct backend_op *op, const struct op_io *io, float *workspace);
void own_backward(struct backend *b, struct backend_op *op, const struct op_io *io, float *workspace);
/* dy *= act'(y) over a whole operation's output */
void own_activation_backward(struct backend *b, const struct op_desc *d, const struct op_io *io);
/* dbias = sum of dy over pixels and pictures; scratch: as many floats as y has channels */
void own_bias_gradient(struct backend *b, const struct op_desc *d, const struct op_io *io, float *scratch);
void own_add(struct backend *b, float *y, const float *x, size_t n); /* y += x */

#endif
