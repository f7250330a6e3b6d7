/*
 * cpu_conv.c: computes convolutions and depthwise convolutions with oneDNN, or with cpu_conv_packed.c if our
 * own loops are faster.
 *
 * oneDNN's primitives are made once for the fixed layouts of their tensors, and choose the layout of the
 * weights. Constant weights are packed into that layout once. Trainable weights stay in Keras' order in the
 * arena, so that the optimiser, checkpoints and L2 need not know layouts. They are packed into the workspace
 * before each use, which takes about 1 % of the time of the multiplication.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/cpu/outer.h"

#define TRY(call, what)                                                                                      \
    do {                                                                                                     \
        if (dnnl_failed((call), (what), err)) goto fail;                                                     \
    } while (0)

/* --- primitives --- */

static int primitive_arg(struct backend *b, struct primitive *p, int arg, const dnnl_memory_desc_t *md,
                         struct error *err)
{
    dnnl_memory_t m;
    if (dnnl_failed(dnnl_memory_create(&m, md, b->engine, DNNL_MEMORY_NONE), "memory", err)) return -1;
    p->args[p->n_args++] = (dnnl_exec_arg_t){arg, m};
    return 0;
}

static int primitive_finish(struct backend *b, struct primitive *p, dnnl_primitive_desc_t pd,
                            struct error *err)
{
    const dnnl_memory_desc_t *scratch = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    p->scratch_bytes = scratch ? dnnl_memory_desc_get_size(scratch) : 0;
    if (p->scratch_bytes && primitive_arg(b, p, DNNL_ARG_SCRATCHPAD, scratch, err)) return -1;
    return dnnl_failed(dnnl_primitive_create(&p->p, pd), "primitive", err);
}

static void primitive_release(struct primitive *p)
{
    for (int i = 0; i < p->n_args; i++)
        dnnl_memory_destroy(p->args[i].memory);
    if (p->p) dnnl_primitive_destroy(p->p);
    *p = (struct primitive){0};
}

/* Pointers in the order in which the arguments were added, at least one for each. The
 * scratchpad, if there is one, comes last. */
static int primitive_run(struct backend *b, struct primitive *p, void *const *pointers, int n_pointers,
                         void *scratch, struct error *err)
{
    int n = p->n_args - (p->scratch_bytes > 0);
    assert(n <= n_pointers);
    for (int i = 0; i < p->n_args; i++)
        if (dnnl_failed(dnnl_memory_set_data_handle(p->args[i].memory, i < n ? pointers[i] : scratch),
                        "memory handle", err))
            return -1;
    return dnnl_failed(dnnl_primitive_execute(p->p, b->stream, p->n_args, p->args), "execute", err);
}

static int reorder_create(struct backend *b, struct primitive *p, const dnnl_memory_desc_t *from,
                          const dnnl_memory_desc_t *to, struct error *err)
{
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_attr_t attr = NULL;
    int rc = -1;
    if (dnnl_memory_desc_equal(from, to)) return 0;
    TRY(dnnl_primitive_attr_create(&attr), "attributes");
    TRY(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user), "attributes");
    TRY(dnnl_reorder_primitive_desc_create(&pd, from, b->engine, to, b->engine, attr), "reorder of weights");
    rc = primitive_arg(b, p, DNNL_ARG_FROM, from, err) || primitive_arg(b, p, DNNL_ARG_TO, to, err) ||
                 primitive_finish(b, p, pd, err)
             ? -1
             : 0;
fail:
    if (pd) dnnl_primitive_desc_destroy(pd);
    if (attr) dnnl_primitive_attr_destroy(attr);
    return rc;
}

/* --- descriptors --- */

static dnnl_status_t data_desc(const struct backend *b, const struct tensor_shape *s, int n,
                               dnnl_memory_desc_t *md)
{
    dnnl_dims_t dims = {n, s->c, s->h, s->w};
    int block = block_of(b, s->c);
    return dnnl_memory_desc_init_by_tag(md, 4, dims, dnnl_f32,
                                        block == s->c ? dnnl_nhwc
                                        : block == 1  ? dnnl_nchw
                                                      : dnnl_nChw8c);
}

/* Keras' layout as oneDNN describes it: dimensions o,i,h,w over [kh,kw,cin,cout]; grouped
 * g,o,i,h,w over [kh,kw,c,multiplier]. */
static dnnl_status_t weights_desc(const struct op_desc *d, bool any, dnnl_memory_desc_t *md)
{
    dnnl_dim_t kh = d->kernel_h, kw = d->kernel_w, ci = d->x[0].c, co = d->y.c;
    if (d->kind == OP_DEPTHWISE) {
        dnnl_dim_t m = co / ci;
        dnnl_dims_t dims = {ci, m, 1, kh, kw}, strides = {m, 1, 1, kw * co, co};
        return any ? dnnl_memory_desc_init_by_tag(md, 5, dims, dnnl_f32, dnnl_format_tag_any)
                   : dnnl_memory_desc_init_by_strides(md, 5, dims, dnnl_f32, strides);
    }
    if (conv_groups(d) > 1) {
        dnnl_dim_t g = conv_groups(d), o = co / g, i = ci / g;
        dnnl_dims_t dims = {g, o, i, kh, kw}, strides = {o, 1, co, kw * i * co, i * co};
        return any ? dnnl_memory_desc_init_by_tag(md, 5, dims, dnnl_f32, dnnl_format_tag_any)
                   : dnnl_memory_desc_init_by_strides(md, 5, dims, dnnl_f32, strides);
    }
    dnnl_dims_t dims = {co, ci, kh, kw};
    return dnnl_memory_desc_init_by_tag(md, 4, dims, dnnl_f32, any ? dnnl_format_tag_any : dnnl_hwio);
}

struct conv_descs {
    dnnl_memory_desc_t x, y, w, keras, bias;
    dnnl_dims_t strides, dilations, pad_first, pad_last;
};

static int describe(const struct backend *b, const struct op_desc *d, struct conv_descs *c, struct error *err)
{
    dnnl_dims_t bias_dims = {d->y.c};
    int need_h = (d->y.h - 1) * d->stride_h + (d->kernel_h - 1) * d->dilation_h + 1 - d->x[0].h - d->pad_top;
    int need_w = (d->y.w - 1) * d->stride_w + (d->kernel_w - 1) * d->dilation_w + 1 - d->x[0].w - d->pad_left;
    int n = d->training ? d->y.n : 1;
    TRY(data_desc(b, &d->x[0], n, &c->x), "source");
    TRY(data_desc(b, &d->y, n, &c->y), "destination");
    TRY(weights_desc(d, true, &c->w), "weights");
    TRY(weights_desc(d, false, &c->keras), "weights");
    TRY(dnnl_memory_desc_init_by_tag(&c->bias, 1, bias_dims, dnnl_f32, dnnl_x), "bias");
    c->strides[0] = d->stride_h;
    c->strides[1] = d->stride_w;
    c->dilations[0] = d->dilation_h - 1;
    c->dilations[1] = d->dilation_w - 1;
    c->pad_first[0] = d->pad_top;
    c->pad_first[1] = d->pad_left;
    /* The padding that the last window needs, which may be less than the given padding, and even negative. */
    c->pad_last[0] = need_h;
    c->pad_last[1] = need_w;
    return 0;
fail:
    return -1;
}

static int attributes(const struct op_desc *d, dnnl_primitive_attr_t *out, bool activation, struct error *err)
{
    dnnl_post_ops_t post = NULL;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_alg_kind_t kind = d->activation == OP_RELU          ? dnnl_eltwise_relu
                           : d->activation == OP_RELU_CAPPED ? dnnl_eltwise_bounded_relu
                                                             : dnnl_eltwise_logistic;
    TRY(dnnl_primitive_attr_create(&attr), "attributes");
    TRY(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user), "attributes");
    if (activation && d->activation != OP_LINEAR) {
        TRY(dnnl_post_ops_create(&post), "post operations");
        TRY(dnnl_post_ops_append_eltwise(post, 1, kind,
                                         d->activation == OP_RELU_CAPPED ? d->activation_max : 0, 0),
            "activation");
        TRY(dnnl_primitive_attr_set_post_ops(attr, post), "attributes");
        dnnl_post_ops_destroy(post);
    }
    *out = attr;
    return 0;
fail:
    if (post) dnnl_post_ops_destroy(post);
    if (attr) dnnl_primitive_attr_destroy(attr);
    return -1;
}

static const dnnl_memory_desc_t *md_of(dnnl_primitive_desc_t pd, dnnl_query_t what, int i)
{
    return dnnl_primitive_desc_query_md(pd, what, i);
}

/* --- making --- */

static int create_forward(struct backend *b, struct backend_op *op, const struct conv_descs *c,
                          dnnl_primitive_desc_t *hint, struct error *err)
{
    const struct op_desc *d = &op->d;
    struct conv_state *s = &op->conv;
    dnnl_convolution_desc_t cd;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_attr_t attr = NULL;
    int rc = -1;
    if (attributes(d, &attr, true, err)) return -1;
    TRY(dnnl_dilated_convolution_forward_desc_init(&cd,
                                                   d->training ? dnnl_forward_training
                                                               : dnnl_forward_inference,
                                                   dnnl_convolution_direct, &c->x, &c->w,
                                                   d->has_bias ? &c->bias : NULL, &c->y, c->strides,
                                                   c->dilations, c->pad_first, c->pad_last),
        "convolution");
    TRY(dnnl_primitive_desc_create(&pd, &cd, attr, b->engine, NULL), "convolution");
    const dnnl_memory_desc_t *w = md_of(pd, dnnl_query_weights_md, 0);
    s->forward_bytes = dnnl_memory_desc_get_size(w);
    if (primitive_arg(b, &s->forward, DNNL_ARG_SRC, &c->x, err) ||
        primitive_arg(b, &s->forward, DNNL_ARG_WEIGHTS, w, err) ||
        primitive_arg(b, &s->forward, DNNL_ARG_DST, &c->y, err) ||
        (d->has_bias && primitive_arg(b, &s->forward, DNNL_ARG_BIAS, &c->bias, err)) ||
        primitive_finish(b, &s->forward, pd, err) || reorder_create(b, &s->pack_forward, &c->keras, w, err))
        goto fail;
    rc = 0;
fail:
    if (attr) dnnl_primitive_attr_destroy(attr);
    *hint = pd;
    return rc;
}

static int create_data(struct backend *b, struct backend_op *op, const struct conv_descs *c,
                       dnnl_primitive_desc_t hint, dnnl_primitive_attr_t attr, struct error *err)
{
    struct conv_state *s = &op->conv;
    dnnl_convolution_desc_t cd;
    dnnl_primitive_desc_t pd = NULL;
    int rc = -1;
    TRY(dnnl_dilated_convolution_backward_data_desc_init(&cd, dnnl_convolution_direct, &c->x, &c->w, &c->y,
                                                         c->strides, c->dilations, c->pad_first, c->pad_last),
        "convolution, backward data");
    TRY(dnnl_primitive_desc_create(&pd, &cd, attr, b->engine, hint), "convolution, backward data");
    const dnnl_memory_desc_t *w = md_of(pd, dnnl_query_weights_md, 0);
    s->data_bytes = dnnl_memory_desc_get_size(w);
    if (primitive_arg(b, &s->data, DNNL_ARG_DIFF_DST, &c->y, err) ||
        primitive_arg(b, &s->data, DNNL_ARG_WEIGHTS, w, err) ||
        primitive_arg(b, &s->data, DNNL_ARG_DIFF_SRC, &c->x, err) || primitive_finish(b, &s->data, pd, err) ||
        reorder_create(b, &s->pack_data, &c->keras, w, err))
        goto fail;
    rc = 0;
fail:
    if (pd) dnnl_primitive_desc_destroy(pd);
    return rc;
}

static int create_weights(struct backend *b, struct backend_op *op, const struct conv_descs *c,
                          dnnl_primitive_desc_t hint, dnnl_primitive_attr_t attr, struct error *err)
{
    struct conv_state *s = &op->conv;
    dnnl_convolution_desc_t cd;
    dnnl_primitive_desc_t pd = NULL;
    int rc = -1;
    TRY(dnnl_dilated_convolution_backward_weights_desc_init(&cd, dnnl_convolution_direct, &c->x, &c->w,
                                                            op->d.has_bias ? &c->bias : NULL, &c->y,
                                                            c->strides, c->dilations, c->pad_first,
                                                            c->pad_last),
        "convolution, backward weights");
    TRY(dnnl_primitive_desc_create(&pd, &cd, attr, b->engine, hint), "convolution, backward weights");
    const dnnl_memory_desc_t *w = md_of(pd, dnnl_query_diff_weights_md, 0);
    s->weights_bytes = dnnl_memory_desc_get_size(w);
    if (primitive_arg(b, &s->weights, DNNL_ARG_SRC, &c->x, err) ||
        primitive_arg(b, &s->weights, DNNL_ARG_DIFF_DST, &c->y, err) ||
        primitive_arg(b, &s->weights, DNNL_ARG_DIFF_WEIGHTS, w, err) ||
        (op->d.has_bias && primitive_arg(b, &s->weights, DNNL_ARG_DIFF_BIAS, &c->bias, err)) ||
        primitive_finish(b, &s->weights, pd, err) || reorder_create(b, &s->unpack, w, &c->keras, err))
        goto fail;
    rc = 0;
fail:
    if (pd) dnnl_primitive_desc_destroy(pd);
    return rc;
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* The workspace has the scratchpad of the running primitive, then packed weights or an unpacked gradient,
 * then dx of a backward pass that adds to it. */
static size_t scratch_bytes(const struct conv_state *s)
{
    size_t n = larger(larger(s->forward.scratch_bytes, s->data.scratch_bytes), s->weights.scratch_bytes);
    n = larger(larger(n, s->pack_forward.scratch_bytes),
               larger(s->pack_data.scratch_bytes, s->unpack.scratch_bytes));
    return page_aligned(n);
}

static size_t packed_bytes(const struct conv_state *s)
{
    return page_aligned(larger(larger(s->forward_bytes, s->data_bytes), s->weights_bytes));
}

static bool packs_itself(const struct conv_state *s)
{
    return s->algorithm == CONV_POINTWISE || s->algorithm == CONV_WINOGRAD || s->algorithm == CONV_TILED;
}

/* In oneDNN's gemm convolutions the order of sums depends on the numbers of pictures and
 * threads; its reference loops are slow. */
static bool has_fixed_sums(dnnl_primitive_desc_t pd)
{
    const char *name = "";
    return !dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name) && !strstr(name, "gemm") &&
           !strstr(name, "ref");
}

int conv_create(struct backend *b, struct backend_op *op, struct error *err)
{
    const struct op_desc *d = &op->d;
    op->conv.algorithm = conv_algorithm_of(b, d);
    if (op->conv.algorithm != CONV_ONEDNN) {
        op->conv.forward_bytes = conv_packed_bytes(b, op, false);
        op->conv.data_bytes = conv_packed_bytes(b, op, true);
        op->workspace_bytes = conv_packed_workspace_bytes(b, op);
        return 0;
    }
    struct conv_descs c;
    dnnl_primitive_desc_t hint = NULL;
    dnnl_primitive_attr_t attr = NULL;
    int rc = -1;
    if (describe(b, d, &c, err) || create_forward(b, op, &c, &hint, err)) goto fail;
    if (d->constant_weights && !d->training && !has_fixed_sums(hint)) {
        conv_destroy(op);
        op->conv = (struct conv_state){.algorithm = CONV_DIRECT};
        op->workspace_bytes = conv_direct_workspace_bytes(b, d);
        rc = 0;
        goto fail;
    }
    if (d->training) {
        if (attributes(d, &attr, false, err) || (d->needs_dx && create_data(b, op, &c, hint, attr, err)) ||
            (d->needs_dw && !outer_suits(b, d) && create_weights(b, op, &c, hint, attr, err)))
            goto fail;
    }
    op->workspace_bytes =
        scratch_bytes(&op->conv) + packed_bytes(&op->conv) +
        (d->training && d->needs_dx ? page_aligned(shape_values(&d->x[0]) * sizeof(float)) : 0);
    if (d->training && d->needs_dw && outer_suits(b, d))
        op->workspace_bytes =
            larger(larger(op->workspace_bytes, outer_workspace_bytes(b, d)), (size_t)d->y.c * sizeof(float));
    rc = 0;
fail:
    if (hint) dnnl_primitive_desc_destroy(hint);
    if (attr) dnnl_primitive_attr_destroy(attr);
    return rc;
}

void conv_destroy(struct backend_op *op)
{
    struct conv_state *s = &op->conv;
    struct primitive *const all[] = {&s->forward,      &s->data,      &s->weights,
                                     &s->pack_forward, &s->pack_data, &s->unpack};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        primitive_release(all[i]);
}

static size_t keras_values(const struct op_desc *d)
{
    size_t each = d->kind == OP_DEPTHWISE ? 1 : (size_t)(d->x[0].c / conv_groups(d));
    return (size_t)d->kernel_h * (size_t)d->kernel_w * each * (size_t)d->y.c;
}

size_t conv_constant_bytes(const struct backend_op *op)
{
    const struct conv_state *s = &op->conv;
    if (packs_itself(s)) return s->forward_bytes + (op->d.needs_dx ? s->data_bytes : 0);
    size_t bytes = s->pack_forward.p ? s->forward_bytes : 0;
    if (s->data.p && s->pack_data.p) bytes += s->data_bytes;
    if (!s->pack_forward.p || (s->data.p && !s->pack_data.p)) bytes += keras_values(&op->d) * sizeof(float);
    return bytes;
}

static int pack(struct backend *b, struct primitive *reorder, size_t bytes, const float *keras, float **out,
                struct error *err)
{
    void *scratch = NULL;
    int rc = -1;
    if (!*out && !(*out = cpu_constant_memory(b, bytes, err))) return -1;
    if (reorder->scratch_bytes && !(scratch = mem_aligned(4096, page_aligned(reorder->scratch_bytes), err)))
        return -1;
    void *pointers[] = {(void *)keras, *out};
    rc = primitive_run(b, reorder, pointers, 2, scratch, err) ||
                 dnnl_failed(dnnl_stream_wait(b->stream), "wait", err)
             ? -1
             : 0;
    free(scratch);
    return rc;
}

int conv_load(struct backend *b, struct backend_op *op, const float *weights, struct error *err)
{
    struct conv_state *s = &op->conv;
    if (packs_itself(s)) return conv_packed_load(b, op, weights, err);
    size_t bytes = keras_values(&op->d) * sizeof(float);
    if (s->pack_forward.p && pack(b, &s->pack_forward, s->forward_bytes, weights, &s->packed, err)) return -1;
    if (s->data.p && s->pack_data.p && pack(b, &s->pack_data, s->data_bytes, weights, &s->packed_data, err))
        return -1;
    if (s->pack_forward.p && (!s->data.p || s->pack_data.p)) return 0;
    if (!s->keras && !(s->keras = cpu_constant_memory(b, bytes, err))) return -1;
    memcpy(s->keras, weights, bytes);
    return 0;
}

/* --- running --- */

/* The weights in the layout of a primitive: packed once, packed now into the
 * workspace, or as they are in the arena. */
static float *weights_for(struct backend *b, struct backend_op *op, const struct op_io *io,
                          struct primitive *reorder, float *constant, float *workspace, struct error *err)
{
    if (op->d.constant_weights) return reorder->p ? constant : op->conv.keras;
    if (!reorder->p) return slot_at(&io->w);
    float *to = (float *)((unsigned char *)workspace + scratch_bytes(&op->conv));
    void *pointers[] = {slot_at(&io->w), to};
    return primitive_run(b, reorder, pointers, 2, workspace, err) ? NULL : to;
}

int conv_forward(struct backend *b, struct backend_op *op, const struct op_io *io, float *workspace,
                 struct error *err)
{
    struct conv_state *s = &op->conv;
    if (s->algorithm != CONV_ONEDNN) {
        if (s->algorithm == CONV_DIRECT)
            conv_direct_forward(b, op, io, workspace);
        else
            conv_packed_forward(b, op, io, workspace);
        return 0;
    }
    float *w = weights_for(b, op, io, &s->pack_forward, s->packed, workspace, err);
    int n_runs = op->d.training ? 1 : op->d.y.n;
    for (int n = 0; w && n < n_runs; n++) {
        void *pointers[] = {slot_at(&io->x[0]) + (size_t)n * shape_row_values(&op->d.x[0]), w,
                            slot_at(&io->y) + (size_t)n * shape_row_values(&op->d.y),
                            op->d.constant_weights ? op->bias : slot_at(&io->bias)};
        if (primitive_run(b, &s->forward, pointers, 4, workspace, err)) return -1;
    }
    return w ? 0 : -1;
}

int conv_backward(struct backend *b, struct backend_op *op, const struct op_io *io, float *workspace,
                  struct error *err)
{
    struct conv_state *s = &op->conv;
    if (s->algorithm != CONV_ONEDNN) {
        conv_packed_backward(b, op, io, workspace);
        return 0;
    }
    unsigned char *packed = (unsigned char *)workspace + scratch_bytes(s);
    cpu_activation_backward(b, &op->d, io);
    if (op->d.needs_dw && outer_suits(b, &op->d)) {
        outer_gradient(b, &op->d, io, workspace);
        if (op->d.has_bias) cpu_bias_gradient(b, &op->d, io, workspace);
    } else if (op->d.needs_dw) {
        float *dw = slot_at(&io->dw), *to = s->unpack.p ? (float *)packed : dw;
        void *pointers[] = {slot_at(&io->x[0]), slot_at(&io->dy), to, slot_at(&io->dbias)};
        void *unpacking[] = {to, dw};
        if (primitive_run(b, &s->weights, pointers, 4, workspace, err) ||
            (s->unpack.p && primitive_run(b, &s->unpack, unpacking, 2, workspace, err)))
            return -1;
    }
    if (!op->d.needs_dx) return 0;
    float *w = weights_for(b, op, io, &s->pack_data, s->packed_data, workspace, err);
    float *dx = slot_at(&io->dx[0]), *to = io->accumulate[0] ? (float *)(packed + packed_bytes(s)) : dx;
    void *pointers[] = {slot_at(&io->dy), w, to};
    if (!w || primitive_run(b, &s->data, pointers, 3, workspace, err)) return -1;
    if (io->accumulate[0]) cpu_add(b, dx, to, shape_values(&op->d.x[0]));
    return 0;
}
