/*
 * cuda_transfer.c: pictures and weights between host and GPUs.
 *
 * A batch goes through one of two pinned buffers and a copy stream of its own into one of two device buffers,
 * and from there, on the compute stream, into its slot: so the copy of batch i+1 runs while the GPU still
 * works on batch i, and the slot (whose memory the plan shares with other values) is touched in the compute
 * stream's order only.
 */
#include "tensor/cuda/cuda.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define STAGING_BYTES ((size_t)32 << 20) /* thirty pictures: long enough for a link's full rate */

int pictures_each(const struct backend *b, int n) { return n % b->n_gpus ? n : n / b->n_gpus; }

static int staging_grow(struct gpu *g, struct staging *s, size_t wanted, struct error *err)
{
    if (wanted <= s->bytes) return 0;
    if (CUDA(NULL, cudaStreamSynchronize(g->copy)) || CUDA(NULL, cudaStreamSynchronize(g->compute)))
        return -1;
    if (s->pinned) cudaFreeHost(s->pinned);
    cudaFree(s->device);
    s->pinned = s->device = NULL;
    s->bytes = 0;
    if (CUDA("staging", cudaMallocHost(&s->pinned, wanted)) ||
        CUDA("staging", cudaMalloc(&s->device, wanted)))
        return -1;
    s->bytes = wanted;
    return 0;
}

/* The staging buffer to fill next: its last copy is over, so its pinned side may be overwritten. */
static int staging_begin(struct backend *b, struct gpu *g, size_t bytes, struct staging **out,
                         struct error *err)
{
    struct staging *s = &g->staging[b->next_staging];
    *out = s;
    if (gpu_use(g, err) || staging_grow(g, s, bytes, err)) return -1;
    return CUDA(NULL, cudaEventSynchronize(s->copied));
}

/* Pinned to device on the copy stream, after the compute stream has read what was there before; the compute
 * stream waits for it. */
static int staging_send(struct gpu *g, struct staging *s, size_t bytes, struct error *err)
{
    return CUDA(NULL, cudaStreamWaitEvent(g->copy, s->consumed, 0)) ||
                   CUDA(NULL,
                        cudaMemcpyAsync(s->device, s->pinned, bytes, cudaMemcpyHostToDevice, g->copy)) ||
                   CUDA(NULL, cudaEventRecord(s->copied, g->copy)) ||
                   CUDA(NULL, cudaStreamWaitEvent(g->compute, s->copied, 0))
               ? -1
               : 0;
}

static int staging_done(struct gpu *g, struct staging *s, struct error *err)
{
    return CUDA(NULL, cudaEventRecord(s->consumed, g->compute));
}

int gpu_upload(struct gpu *g, void *to, const void *values, size_t n_bytes, struct error *err)
{
    struct staging *s = &g->staging[0];
    if (gpu_use(g, err) || staging_grow(g, s, n_bytes, err) || CUDA(NULL, cudaEventSynchronize(s->copied)))
        return -1;
    memcpy(s->pinned, values, n_bytes);
    return staging_send(g, s, n_bytes, err) ||
                   CUDA(NULL,
                        cudaMemcpyAsync(to, s->device, n_bytes, cudaMemcpyDeviceToDevice, g->compute)) ||
                   staging_done(g, s, err)
               ? -1
               : 0;
}

/* One GPU's pictures, already float in the staging buffer, into their slot: a copy, or a change of type. */
static int place(struct backend *b, struct gpu *g, struct staging *st, char *to, const struct tensor_shape *s,
                 size_t bytes, struct error *err)
{
    if (stored_type(b, s) == CUDNN_DATA_FLOAT)
        return CUDA(NULL, cudaMemcpyAsync(to, st->device, bytes, cudaMemcpyDeviceToDevice, g->compute));
    cudnnTensorDescriptor_t wide = NULL, narrow = NULL;
    int rc = tensor_make(&wide, NULL, CUDNN_DATA_FLOAT, s->n, s->c, s->h, s->w, err) ||
             tensor_make(&narrow, NULL, CUDNN_DATA_BFLOAT16, s->n, s->c, s->h, s->w, err) ||
             transform(g, NULL, wide, st->device, narrow, to, false, err);
    if (wide) cudnnDestroyTensorDescriptor(wide);
    if (narrow) cudnnDestroyTensorDescriptor(narrow);
    return rc ? -1 : 0;
}

/* Pictures first.. of each GPU's part of an upload, `part` of them, through one staging buffer. */
struct upload {
    const float *floats;
    const uint8_t *bytes;
    const float *table;
    size_t filled_values;
};

static int upload_part(struct backend *b, struct slot to, const struct tensor_shape *each, bool split,
                       int first, const struct tensor_shape *part, const struct upload *u, struct error *err)
{
    size_t row = (size_t)each->h * (size_t)each->w * (size_t)each->c, values = shape_values(part);
    for (int k = 0; k < b->n_gpus; k++) {
        struct gpu *g = &b->gpu[k];
        struct staging *st;
        if (staging_begin(b, g, values * sizeof(float), &st, err)) return -1;
        float *pinned = st->pinned;
        size_t from = ((split ? (size_t)k * (size_t)each->n : 0) + (size_t)first) * row;
        size_t filled = u->filled_values > from ? u->filled_values - from : 0;
        filled = filled < values ? filled : values;
        if (u->bytes)
            for (size_t i = 0; i < filled; i++)
                pinned[i] = u->table[u->bytes[from + i]];
        else if (filled > 0) { /* else `from` may lie behind the end of what was given */
            assert(u->floats);
            memcpy(pinned, u->floats + from, filled * sizeof(float));
        }
        memset(pinned + filled, 0, (values - filled) * sizeof(float));
        char *place_at = at(&to, k) + (size_t)first * row * type_bytes(stored_type(b, each));
        if (staging_send(g, st, values * sizeof(float), err) ||
            place(b, g, st, place_at, part, values * sizeof(float), err) || staging_done(g, st, err))
            return -1;
    }
    b->next_staging ^= 1;
    return 0;
}

/*
 * floats: n_rows pictures, or bytes: the same times scale plus offset. Rows that are not given become 0. In
 * pieces of at most STAGING_BYTES, so that what an upload takes on the card does not grow with the batch and
 * the plan's figure stays true.
 */
static int upload(struct backend *b, struct slot to, const struct tensor_shape *s, const float *floats,
                  const uint8_t *bytes, int n_rows, float scale, float offset, struct error *err)
{
    struct tensor_shape each = *s;
    float table[256];
    each.n = pictures_each(b, s->n);
    size_t row = (size_t)s->h * (size_t)s->w * (size_t)s->c,
           rows = STAGING_BYTES / (row * sizeof(float) + 1) + 1;
    struct upload u = {floats, bytes, table, (size_t)n_rows * row};
    for (int i = 0; bytes && i < 256; i++)
        table[i] = (float)i * scale + offset;
    for (int first = 0; first < each.n; first += (int)rows) {
        struct tensor_shape part = each;
        part.n = each.n - first < (int)rows ? each.n - first : (int)rows;
        if (upload_part(b, to, &each, each.n != s->n, first, &part, &u, err)) return -1;
    }
    return 0;
}

int cuda_tensor_upload(struct backend *b, struct slot to, const struct tensor_shape *s, const float *nhwc,
                       int n_rows, struct error *err)
{
    return upload(b, to, s, nhwc, NULL, n_rows, 1, 0, err);
}

int cuda_tensor_upload_u8(struct backend *b, struct slot to, const struct tensor_shape *s,
                          const uint8_t *nhwc, int n_rows, float scale, float offset, struct error *err)
{
    return upload(b, to, s, NULL, nhwc, n_rows, scale, offset, err);
}

/* n_bytes of device memory into pinned memory, waited for. */
static int fetch(struct gpu *g, const void *from, size_t n_bytes, struct error *err)
{
    if (n_bytes > g->download_bytes) {
        if (CUDA(NULL, cudaStreamSynchronize(g->compute))) return -1;
        if (g->download_pinned) cudaFreeHost(g->download_pinned);
        g->download_pinned = NULL;
        g->download_bytes = 0;
        if (CUDA("download", cudaMallocHost(&g->download_pinned, n_bytes))) return -1;
        g->download_bytes = n_bytes;
    }
    return CUDA(NULL,
                cudaMemcpyAsync(g->download_pinned, from, n_bytes, cudaMemcpyDeviceToHost, g->compute)) ||
                   CUDA(NULL, cudaStreamSynchronize(g->compute))
               ? -1
               : 0;
}

static int download_part(struct backend *b, struct gpu *g, char *from, const struct tensor_shape *each,
                         struct error *err)
{
    struct operand o = {0};
    size_t bytes = shape_values(each) * sizeof(float);
    if (operand_make(&o, "download", each, stored_type(b, each), CUDNN_DATA_FLOAT, NULL, STAGE_SLICES, err)) {
        operand_release(&o);
        return -1;
    }
    const void *values = from;
    int rc = 0;
    if (o.stored_type != CUDNN_DATA_FLOAT || each->parent_c != each->c) {
        o.staged = true;
        rc = gpu_grow(g, &g->convert, &g->convert_bytes, bytes, "download", err) ||
             operand_in(&o, g, "download", from, g->convert, 0, &values, err);
    }
    if (!rc) rc = fetch(g, values, bytes, err);
    operand_release(&o);
    return rc ? -1 : 0;
}

int cuda_tensor_download(struct backend *b, struct slot from, const struct tensor_shape *s, float *nhwc,
                         int n_rows, struct error *err)
{
    size_t row = (size_t)s->h * (size_t)s->w * (size_t)s->c;
    struct tensor_shape each = *s;
    each.n = pictures_each(b, s->n);
    bool split = each.n != s->n;
    for (int k = 0; k < (split ? b->n_gpus : 1); k++) {
        int first = split ? k * each.n : 0, rows = n_rows - first < each.n ? n_rows - first : each.n;
        if (rows <= 0) break;
        if (gpu_use(&b->gpu[k], err) || download_part(b, &b->gpu[k], at(&from, k), &each, err)) return -1;
        memcpy(nhwc + (size_t)first * row, b->gpu[k].download_pinned, (size_t)rows * row * sizeof(float));
    }
    return 0;
}

/* --- parameters --- */

static size_t param_values(const struct param_shape *p)
{
    return (size_t)p->kh * (size_t)p->kw * (size_t)p->cin * (size_t)p->cout;
}
size_t cuda_param_bytes(const struct backend *b, const struct param_shape *p)
{
    return param_values(p) * sizeof(float);
}

/*
 * Keras [kh,kw,cin,cout] and ours: PARAM_CONV [cout,kh,kw,cin]; PARAM_DEPTHWISE (cout the multiplier) one
 * filter of [kh,kw] for each of the cin * cout channels that come out. Dense kernels and vectors are the same
 * on both sides.
 */
static void reorder(const struct param_shape *p, const float *from, float *to, bool to_keras)
{
    size_t taps = (size_t)p->kh * (size_t)p->kw, cin = (size_t)p->cin, cout = (size_t)p->cout;
    if (p->kind == PARAM_DENSE || p->kind == PARAM_VECTOR) {
        memcpy(to, from, taps * cin * cout * sizeof *to);
        return;
    }
    for (size_t t = 0; t < taps; t++)
        for (size_t i = 0; i < cin; i++)
            for (size_t o = 0; o < cout; o++) {
                size_t keras = (t * cin + i) * cout + o;
                size_t ours = p->kind == PARAM_CONV ? (o * taps + t) * cin + i : (i * cout + o) * taps + t;
                if (to_keras)
                    to[keras] = from[ours];
                else
                    to[ours] = from[keras];
            }
}

int cuda_param_upload(struct backend *b, struct slot to, const struct param_shape *p, const float *keras,
                      struct error *err)
{
    size_t n = param_values(p);
    float *ours = mem_alloc(n * sizeof *ours, err);
    int rc = ours ? multi_gpu_settle(b, to.buffer, err) : -1;
    if (!rc) reorder(p, keras, ours, false);
    for (int k = 0; !rc && k < b->n_gpus; k++)
        rc = gpu_upload(&b->gpu[k], at(&to, k), ours, n * sizeof *ours, err);
    free(ours);
    return rc;
}

int cuda_param_download(struct backend *b, struct slot from, const struct param_shape *p, float *keras,
                        struct error *err)
{
    if (multi_gpu_settle(b, from.buffer, err) || gpu_use(&b->gpu[0], err) ||
        fetch(&b->gpu[0], at(&from, 0), param_values(p) * sizeof(float), err))
        return -1;
    reorder(p, b->gpu[0].download_pinned, keras, true);
    return 0;
}
