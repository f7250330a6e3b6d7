/* int8_op.c: the functions that cpu.c's table calls for quantised tensors; see int8.h. */
#include <stdlib.h>

#include "base/mem.h"
#include "tensor/cpu/int8.h"

static bool is_conv(const struct op_desc *d) { return d->kind == OP_CONV || d->kind == OP_DEPTHWISE; }

bool int8_is(const struct op_desc *d)
{
    bool is = d->y.scale > 0;
    for (int k = 0; k < d->n_x; k++)
        is |= d->x[k].scale > 0;
    return is;
}

static bool has_form(const struct op_desc *d)
{
    switch (d->kind) {
    case OP_CONV:
    case OP_DEPTHWISE: return d->whole_weights && d->constant_weights && d->x[0].scale > 0;
    case OP_MAX_POOL:
    case OP_ZERO_PAD:
    case OP_ADD: return d->y.scale > 0 && d->x[0].scale > 0;
    case OP_AVERAGE_POOL:
    case OP_GLOBAL_AVERAGE_POOL: return d->x[0].scale > 0;
    case OP_CONCAT: return true;
    default: return false;
    }
}

int int8_create(struct backend *b, const struct op_desc *d, struct int8_op **out, struct error *err)
{
    *out = NULL;
    if (d->training || !has_form(d))
        return error_set(err, EX_UNAVAILABLE, "int8: this operation has no form");
    struct int8_op *op = mem_zalloc(1, sizeof *op, err);
    if (!op) return -1;
    op->d = *d;
    op->k = int8_kernels_best(b->k == kernels_avx512() ? SIMD_AVX512
                              : b->k == kernels_avx2() ? SIMD_AVX2
                                                       : SIMD_BASE);
    op->threads = b->threads;
    if (is_conv(d) && int8_conv_create(op, err)) {
        int8_destroy(op);
        return -1;
    }
    *out = op;
    return 0;
}

void int8_destroy(struct int8_op *op)
{
    if (!op) return;
    int8_conv_destroy(op);
    free(op);
}

size_t int8_constant_bytes(const struct int8_op *op)
{
    return is_conv(&op->d) ? int8_conv_constant_bytes(op) : 0;
}
size_t int8_workspace_bytes(const struct int8_op *op)
{
    return is_conv(&op->d) ? int8_conv_workspace_bytes(op) : 0;
}

int int8_load(struct int8_op *op, const float *weights, const float *bias, struct error *err)
{
    return int8_conv_load(op, weights, bias, err);
}

void int8_forward(struct backend *b, struct int8_op *op, const struct op_io *io, void *workspace)
{
    if (is_conv(&op->d))
        int8_conv_forward(b, op, io, workspace);
    else
        int8_layer_forward(b, op, io);
}
