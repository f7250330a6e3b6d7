/*
 * int8.h: operations of the CPU backend on quantised tensors (tensor_shape.scale): convolutions of bytes with
 * 7-bit weights into 32-bit sums, and the layers between convolutions.
 *
 * Such a tensor is NHWC. The bytes of a pixel are padded to a multiple of 4. Sums are exact integers, and
 * each is scaled to a byte by one float multiplication that is rounded to even. A result therefore does not
 * depend on the order of sums, and is the same with every instruction set, batch and number of threads.
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
/* Returns the address of the first byte of the tensor, or of the slice that s describes. */
static inline uint8_t *int8_at(const struct slot *at, const struct tensor_shape *s)
{
    return at->buffer->data + at->offset + s->first_c;
}
bool int8_is(const struct op_desc *d); /* whether a tensor of the operation is quantised */

struct int8_op;
/* Plans an operation. The table in cpu.c calls it. Fails with EX_UNAVAILABLE when the operation cannot be
 * computed on quantised tensors. */
int int8_create(struct backend *b, const struct op_desc *d, struct int8_op **out, struct error *err);
void int8_destroy(struct int8_op *op);
size_t int8_constant_bytes(const struct int8_op *op);
size_t int8_workspace_bytes(const struct int8_op *op);
int int8_load(struct int8_op *op, const float *weights, const float *bias, struct error *err);
void int8_forward(struct backend *b, struct int8_op *op, const struct op_io *io, void *workspace);

void int8_upload(struct slot to, const struct tensor_shape *s, const float *nhwc, int n_rows);
void int8_upload_u8(struct backend *b, struct slot to, const struct tensor_shape *s, const uint8_t *nhwc,
                    int n_rows, float scale, float offset);
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
        /* for kernels that join steps: the order of steps [block][n_runs * n_steps], and for each block
         * the number of groups of four and of two */
        *step_at;
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
/* Sets the limits to which the activation clamps y, relative to the zero of y. */
void int8_limits(const struct op_desc *d, float *low, float *high);

/* int8_layers.c: all operations but convolutions */
void int8_layer_forward(struct backend *b, struct int8_op *op, const struct op_io *io);

#endif
