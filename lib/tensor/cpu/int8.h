/*
 * int8.h: operations of the CPU backend on tensors of bytes (tensor_shape.scale): convolutions of bytes with
 * whole weights of 7 bits into 32-bit sums, and what lies between them.
 *
 * Such a tensor is NHWC; a pixel takes the channels rounded up to a multiple of 4 bytes, of which the last
 * mean nothing. Every result is a whole number that does not depend on the order of sums, so that it is the
 * same on every instruction set, for any batch and any number of threads: sums are exact, and each is
 * brought to a byte by one float multiplication that is rounded to even.
 */
#ifndef WINNOW_TENSOR_CPU_INT8_H
#define WINNOW_TENSOR_CPU_INT8_H

#include "tensor/cpu/cpu.h"
#include "tensor/cpu/int8_kernels.h"

static inline size_t int8_pixel_bytes(int c) { return ((size_t)c + 3) & ~(size_t)3; }
static inline size_t int8_picture_bytes(const struct tensor_shape *s)
{
    return (size_t)s->h * (size_t)s->w * int8_pixel_bytes(s->parent_c ? s->parent_c : s->c);
}
/* The first byte of the tensor, or of the slice that s describes. */
static inline uint8_t *int8_at(const struct slot *at, const struct tensor_shape *s)
{
    return at->buffer->data + at->offset + s->first_c;
}
bool int8_is(const struct op_desc *d); /* some tensor has a scale */
uint8_t int8_byte(float value, const struct tensor_shape *s);

struct int8_op;
/* The plan of an operation, for cpu.c's table. EX_UNAVAILABLE: there is no form of it for bytes. */
int int8_create(struct backend *b, const struct op_desc *d, struct int8_op **out, struct error *err);
void int8_destroy(struct int8_op *op);
size_t int8_constant_bytes(const struct int8_op *op);
size_t int8_workspace_bytes(const struct int8_op *op);
int int8_load(struct int8_op *op, const float *weights, const float *bias, struct error *err);
void int8_forward(struct backend *b, struct int8_op *op, const struct op_io *io, void *workspace);

void int8_upload(struct slot to, const struct tensor_shape *s, const float *nhwc, int n_rows);
void int8_upload_u8(struct slot to, const struct tensor_shape *s, const uint8_t *nhwc, int n_rows,
                    float scale, float offset);
void int8_download(struct slot from, const struct tensor_shape *s, float *nhwc, int n_rows);

/* int8_conv.c */
struct int8_conv {
    int8_t *weights; /* packed; of DEPTHWISE int16_t [tap][channel] */
    int16_t *depthwise;
    int32_t *bias;
    float *factor;  /* to bytes, or to floats */
    size_t *run_at; /* of a picture with its padding */
    int n_runs, n_steps;
    int32_t
        *step_at; /* where kernels join steps: [block][n_runs * n_steps], and by block how many fours, twos */
    int *n_joined;
};
struct int8_op {
    struct op_desc d;
    const struct int8_kernels *k;
    int threads;
    struct int8_conv conv;
};
int int8_conv_create(struct int8_op *op, struct error *err);
void int8_conv_destroy(struct int8_op *op);
size_t int8_conv_constant_bytes(const struct int8_op *op);
size_t int8_conv_workspace_bytes(const struct int8_op *op);
int int8_conv_load(struct int8_op *op, const float *weights, const float *bias, struct error *err);
void int8_conv_forward(struct backend *b, struct int8_op *op, const struct op_io *io, uint8_t *workspace);
/* Where y is clamped: the activation, on bytes less their zero. */
void int8_limits(const struct op_desc *d, float *low, float *high);

/* int8_layers.c: everything that is not a convolution */
void int8_layer_forward(struct backend *b, struct int8_op *op, const struct op_io *io);

#endif
