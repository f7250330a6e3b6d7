/* cuda_operand.c: describes tensors for cuDNN, and copies them to and from scratch memory when
 * their stored form cannot be used. */
#include "tensor/cuda/cuda.h"

#include <string.h>

#include "base/half.h"

cudnnDataType_t stored_type(const struct backend *b, const struct tensor_shape *s)
{
    return is_vector(s) ? CUDNN_DATA_FLOAT : b->map_type;
}

size_t type_bytes(cudnnDataType_t type)
{
    return type == CUDNN_DATA_INT8 ? 1 : type == CUDNN_DATA_FLOAT ? 4 : 2;
}

int shape_dense(cudnnTensorDescriptor_t t, const char *subject, cudnnDataType_t type, int n, int c, int h,
                int w, struct error *err)
{
    return DNN(subject, cudnnSetTensor4dDescriptor(t, CUDNN_TENSOR_NHWC, type, n, c, h, w));
}

int shape_flat(cudnnTensorDescriptor_t t, cudnnDataType_t type, int rows, int columns, struct error *err)
{
    int all = rows * columns;
    return DNN("arena", cudnnSetTensor4dDescriptorEx(t, type, 1, 1, rows, columns, all, all, columns, 1));
}

int tensor_make(cudnnTensorDescriptor_t *out, const char *subject, cudnnDataType_t type, int n, int c, int h,
                int w, struct error *err)
{
    *out = NULL;
    if (DNN(subject, cudnnCreateTensorDescriptor(out))) return -1;
    return shape_dense(*out, subject, type, n, c, h, w, err);
}

static int tensor_make_strided(cudnnTensorDescriptor_t *out, const char *subject, cudnnDataType_t type,
                               const int dims[4], const int strides[4], struct error *err)
{
    *out = NULL;
    if (DNN(subject, cudnnCreateTensorDescriptor(out))) return -1;
    return DNN(subject, cudnnSetTensor4dDescriptorEx(*out, type, dims[0], dims[1], dims[2], dims[3],
                                                     strides[0], strides[1], strides[2], strides[3]));
}

int operand_make(struct operand *o, const char *subject, const struct tensor_shape *s, cudnnDataType_t stored,
                 cudnnDataType_t type, const int pads[4], enum operand_staging how, struct error *err)
{
    static const int none[4] = {0};
    const int *p = pads ? pads : none;
    bool slice = s->parent_c != s->c || s->first_c;
    int H = s->h + p[0] + p[1], W = s->w + p[2] + p[3], wide = s->parent_c;
    operand_release(o);
    *o = (struct operand){.shape = *s, .type = type, .stored_type = stored};
    o->padded = p[0] || p[1] || p[2] || p[3];
    o->staged = how == STAGE_ALWAYS || (slice && how == STAGE_SLICES) || o->padded || type != stored;
    o->first_offset = (size_t)s->first_c * type_bytes(o->stored_type);
    int dims[4] = {s->n, s->c, s->h, s->w};
    int lies[4] = {s->h * s->w * wide, 1, s->w * wide, wide};
    int inner[4] = {H * W * s->c, 1, W * s->c, s->c};
    o->inner_offset = ((size_t)p[0] * (size_t)inner[2] + (size_t)p[2] * (size_t)inner[3]) * type_bytes(type);
    o->full_bytes = (size_t)s->n * (size_t)s->c * (size_t)H * (size_t)W * type_bytes(type);
    if (tensor_make_strided(&o->stored, subject, o->stored_type, dims, lies, err) ||
        tensor_make_strided(&o->inner, subject, type, dims, inner, err))
        return -1;
    return slice && !o->staged ? tensor_make_strided(&o->full, subject, type, dims, lies, err)
                               : tensor_make(&o->full, subject, type, s->n, s->c, H, W, err);
}

void operand_place(struct operand *o, size_t *workspace)
{
    if (!o->staged) return;
    o->scratch = *workspace;
    *workspace += round_up(o->full_bytes);
}

void operand_release(struct operand *o)
{
    if (o->stored) cudnnDestroyTensorDescriptor(o->stored);
    if (o->inner) cudnnDestroyTensorDescriptor(o->inner);
    if (o->full) cudnnDestroyTensorDescriptor(o->full);
    *o = (struct operand){.shape = o->shape};
}

int transform(struct gpu *g, const char *subject, cudnnTensorDescriptor_t from, const void *x,
              cudnnTensorDescriptor_t to, void *y, bool accumulate, struct error *err)
{
    return DNN(subject, cudnnTransformTensor(g->dnn, &one, from, x, accumulate ? &one : &zero, to, y));
}

int activation_make(cudnnActivationDescriptor_t *out, const char *subject, cudnnActivationMode_t mode,
                    cudnnNanPropagation_t nan, double cap, struct error *err)
{
    return outcome(DNN(subject, cudnnCreateActivationDescriptor(out)) ||
                   DNN(subject, cudnnSetActivationDescriptor(*out, mode, nan, cap)));
}

int fill_tensor(struct gpu *g, const char *subject, cudnnTensorDescriptor_t d, cudnnDataType_t type, void *y,
                float value, struct error *err)
{
    union {
        float f;
        uint32_t u;
    } v = {value};
    uint16_t half = (uint16_t)((v.u + (value < -1e38f ? 0 : 0x8000)) >> 16); /* -FLT_MAX stays finite */
    if (type == CUDNN_DATA_HALF) half_from_float(&half, &value, 1);
    return DNN(subject, cudnnSetTensor(g->dnn, d, y, type == CUDNN_DATA_FLOAT ? (void *)&value : &half));
}

/* Pixels of one type between a slice and a tensor without gaps: a copy of rows, which needs no kernel. */
static int copy_pixels(const struct run *r, const struct operand *o, char *slice, char *dense, bool to_slice,
                       struct error *err)
{
    size_t bytes = type_bytes(o->type), width = (size_t)o->shape.c * bytes,
           pitch = (size_t)o->shape.parent_c * bytes, pixels = shape_values(&o->shape) / (size_t)o->shape.c;
    return CUDA(r->op->name, cudaMemcpy2DAsync(to_slice ? slice : dense, to_slice ? pitch : width,
                                               to_slice ? dense : slice, to_slice ? width : pitch, width,
                                               pixels, cudaMemcpyDeviceToDevice, r->g->compute));
}

int operand_in(const struct run *r, const struct operand *o, const struct slot *slot, float fill,
               const void **out, struct error *err)
{
    char *stored = operand_stored(o, at(slot, r->gpu)), *full = r->workspace + o->scratch;
    *out = o->staged ? full : stored;
    if (!o->staged) return 0;
    if (!o->padded && o->type == o->stored_type) return copy_pixels(r, o, stored, full, false, err);
    if (o->padded && fill_tensor(r->g, r->op->name, o->full, o->type, full, fill, err)) return -1;
    return transform(r->g, r->op->name, o->stored, stored, o->inner, full + o->inner_offset, false, err);
}

void *operand_out(const struct run *r, const struct operand *o, const struct slot *slot)
{
    return o->staged ? r->workspace + o->scratch : (char *)operand_stored(o, at(slot, r->gpu));
}

int operand_out_done(const struct run *r, const struct operand *o, const struct slot *slot, bool accumulate,
                     struct error *err)
{
    char *stored = operand_stored(o, at(slot, r->gpu)), *full = r->workspace + o->scratch;
    if (!o->staged) return 0;
    if (!o->padded && o->type == o->stored_type && !accumulate)
        return copy_pixels(r, o, stored, full, true, err);
    return transform(r->g, r->op->name, o->inner, full + o->inner_offset, o->stored, stored, accumulate, err);
}
