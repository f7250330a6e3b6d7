/*
 * cuda_transfer.c: copies pictures and weights between the host and the GPUs.
 *
 * A batch goes from one of two pinned buffers, on a copy stream of its own, to one of two device buffers,
 * and from there, on the compute stream, into its slot. The copy of batch i+1 therefore runs while the GPU
 * still works on batch i, and the slot, whose memory other values of the plan use as well, is touched only
 * in the order of the compute stream.
 */
#include <stdlib.h>
#include <string.h>

#include "tensor/cuda/cuda.h"
#include "tensor/op_host.h"

#define STAGING_BYTES ((size_t)48 << 20) /* 180 pictures as bytes */
#define SMALL_BYTES ((size_t)2 << 20)    /* the dropout masks and targets of two steps */

int images_per_gpu(const struct backend *b, int n) { return n % b->n_gpus ? n : n / b->n_gpus; }

/* Makes a staging buffer ready to be filled: its last copy is finished, so that its pinned side may be
 * overwritten. */
static int staging_begin(struct gpu *g, struct staging *s, size_t bytes, struct error *err)
{
    return outcome(gpu_use(g, err) || gpu_grow(g, &s->pinned, &s->bytes, bytes, true, "staging", err) ||
                   gpu_grow(g, &s->device, &s->device_bytes, bytes, false, "staging", err) ||
                   CUDA(NULL, cudaEventSynchronize(g->copied[s - g->staging])));
}

/* Copies from pinned memory to the device on the copy stream, after the compute stream has read what was
 * there. The compute stream waits for the copy. */
static int staging_send(struct gpu *g, struct staging *s, size_t bytes, struct error *err)
{
    return outcome(
        CUDA(NULL, cudaStreamWaitEvent(g->copy, g->consumed[s - g->staging], 0)) ||
        CUDA(NULL, cudaMemcpyAsync(s->device, s->pinned, bytes, cudaMemcpyHostToDevice, g->copy)) ||
        CUDA(NULL, cudaEventRecord(g->copied[s - g->staging], g->copy)) ||
        CUDA(NULL, cudaStreamWaitEvent(g->compute, g->copied[s - g->staging], 0)));
}

static int staging_done(struct gpu *g, struct staging *s, struct error *err)
{
    return CUDA(NULL, cudaEventRecord(g->consumed[s - g->staging], g->compute));
}

/*
 * Small uploads are copied on the compute stream directly to their destination, from two halves of pinned
 * memory that are filled in turn. The host waits only if it fills a half before the copies from it have
 * finished.
 */
int gpu_upload(struct gpu *g, void *to, const void *values, size_t n_bytes, struct error *err)
{
    struct staging *s = &g->staging[0];
    if (g->recording) return error_set(err, EX_SOFTWARE, "cuda: an upload within a recording");
    if (gpu_use(g, err)) return -1;
    if (n_bytes <= SMALL_BYTES) {
        if (!g->small && CUDA("small uploads", cudaMallocHost((void **)&g->small, 2 * SMALL_BYTES)))
            return -1;
        if (g->small_at + n_bytes > SMALL_BYTES) {
            if (CUDA(NULL, cudaEventRecord(g->small_left[g->small_half], g->compute)) ||
                CUDA(NULL, cudaEventSynchronize(g->small_left[g->small_half ^= 1])))
                return -1;
            g->small_at = 0;
        }
        char *from =
            memcpy((char *)g->small + (g->small_half ? SMALL_BYTES : 0) + g->small_at, values, n_bytes);
        g->small_at += round_up(n_bytes);
        return CUDA(NULL, cudaMemcpyAsync(to, from, n_bytes, cudaMemcpyHostToDevice, g->compute));
    }
    if (staging_begin(g, s, n_bytes, err)) return -1;
    memcpy(s->pinned, values, n_bytes);
    return outcome(
        staging_send(g, s, n_bytes, err) ||
        CUDA(NULL, cudaMemcpyAsync(to, s->device, n_bytes, cudaMemcpyDeviceToDevice, g->compute)) ||
        staging_done(g, s, err));
}

/* What is uploaded: floats, or bytes that become value * scale + offset. */
struct upload {
    const float *floats;
    const uint8_t *bytes;
    float scale, offset;
    int n_rows; /* pictures given; the rest becomes 0 */
};

/*
 * Converts rows of the staging buffer into their slot. Bytes arrive as value - 128 in a signed byte, which
 * cuDNN can convert. The slot is first filled with the offset plus 128 times the scale, and the scaled values
 * are added.
 */
static int place(struct backend *b, struct gpu *g, struct staging *st, char *to, const struct tensor_shape *s,
                 const struct upload *u, struct error *err)
{
    cudnnDataType_t type = stored_type(b, s), from = u->bytes ? CUDNN_DATA_INT8 : CUDNN_DATA_FLOAT;
    cudnnTensorDescriptor_t sent = g->shape[0], stored = g->shape[1];
    if (from == type)
        return CUDA(NULL, cudaMemcpyAsync(to, st->device, shape_values(s) * sizeof(float),
                                          cudaMemcpyDeviceToDevice, g->compute));
    return shape_dense(sent, "upload", from, s->n, s->c, s->h, s->w, err) ||
                   shape_dense(stored, "upload", type, s->n, s->c, s->h, s->w, err) ||
                   (u->bytes &&
                    fill_tensor(g, "upload", stored, type, to, u->offset + 128 * u->scale, err)) ||
                   DNN("upload", cudnnTransformTensor(g->dnn, u->bytes ? &u->scale : &one, sent, st->device,
                                                      u->bytes ? &one : &zero, stored, to))
               ? -1
               : 0;
}

/* Uploads part->n pictures, from `first` on, of each GPU's part, through one staging buffer. */
static int upload_part(struct backend *b, struct slot to, const struct tensor_shape *each, bool split,
                       int first, const struct tensor_shape *part, const struct upload *u, struct error *err)
{
    size_t row = shape_row_values(each), bytes = type_bytes(stored_type(b, each)),
           sent = row * (u->bytes ? 1 : sizeof(float));
    for (int k = 0; k < b->n_gpus; k++) {
        struct gpu *g = &b->gpu[k];
        struct staging *st = &g->staging[b->next_staging];
        int from = (split ? k * each->n : 0) + first, given = u->n_rows - from;
        struct tensor_shape rows = *part;
        rows.n = given < 0 ? 0 : given < part->n ? given : part->n;
        char *place_at = at(&to, k) + (size_t)first * row * bytes;
        if (rows.n < part->n &&
            (gpu_use(g, err) ||
             CUDA("upload", cudaMemsetAsync(place_at + (size_t)rows.n * row * bytes, 0,
                                            (size_t)(part->n - rows.n) * row * bytes, g->compute))))
            return -1;
        if (!rows.n) continue;
        bool small = u->floats && (size_t)rows.n * sent <= SMALL_BYTES && bytes == sizeof(float);
        if (small ? gpu_upload(g, place_at, u->floats + (size_t)from * row, (size_t)rows.n * sent, err)
                  : staging_begin(g, st, (size_t)rows.n * sent, err))
            return -1;
        if (small) continue;
        if (u->floats) memcpy(st->pinned, u->floats + (size_t)from * row, (size_t)rows.n * sent);
        if (u->bytes) op_host_to_signed(st->pinned, u->bytes + (size_t)from * row, (size_t)rows.n * row);
        if (staging_send(g, st, (size_t)rows.n * sent, err) || place(b, g, st, place_at, &rows, u, err) ||
            staging_done(g, st, err))
            return -1;
    }
    b->next_staging ^= 1;
    return 0;
}

/* Uploads in pieces of at most STAGING_BYTES, so that the memory on the card does not grow with the batch
 * and the estimate of the plan stays correct. */
static int upload(struct backend *b, struct slot to, const struct tensor_shape *s, const struct upload *u,
                  struct error *err)
{
    struct tensor_shape each = *s;
    each.n = images_per_gpu(b, s->n);
    size_t row = shape_row_values(s) * (u->bytes ? 1 : sizeof(float)), rows = STAGING_BYTES / (row + 1) + 1;
    for (int first = 0; first < each.n; first += (int)rows) {
        struct tensor_shape part = each;
        part.n = each.n - first < (int)rows ? each.n - first : (int)rows;
        if (upload_part(b, to, &each, each.n != s->n, first, &part, u, err)) return -1;
    }
    return 0;
}

static int cuda_tensor_upload(struct backend *b, struct slot to, const struct tensor_shape *s,
                              const float *nhwc, int n_rows, struct error *err)
{
    return upload(b, to, s, &(struct upload){nhwc, NULL, 1, 0, n_rows}, err);
}

static int cuda_tensor_upload_u8(struct backend *b, struct slot to, const struct tensor_shape *s,
                                 const uint8_t *nhwc, int n_rows, float scale, float offset,
                                 struct error *err)
{
    if (b->sends_bytes) return upload(b, to, s, &(struct upload){NULL, nhwc, scale, offset, n_rows}, err);
    size_t n = (size_t)n_rows * shape_row_values(s);
    float *floats = mem_alloc((n + 1) * sizeof *floats, err);
    if (floats) op_host_to_floats(floats, nhwc, n, scale, offset);
    int rc = floats ? upload(b, to, s, &(struct upload){floats, NULL, 1, 0, n_rows}, err) : -1;
    free(floats);
    return rc;
}

/* Copies n_bytes of device memory to pinned memory, and waits. */
static int fetch(struct gpu *g, const void *from, size_t n_bytes, struct error *err)
{
    return outcome(
        gpu_grow(g, &g->download_pinned, &g->download_bytes, n_bytes, true, "download", err) ||
        CUDA(NULL, cudaMemcpyAsync(g->download_pinned, from, n_bytes, cudaMemcpyDeviceToHost, g->compute)) ||
        CUDA(NULL, cudaStreamSynchronize(g->compute)));
}

static int download_part(struct backend *b, int gpu, struct slot from, const struct tensor_shape *each,
                         struct error *err)
{
    struct gpu *g = &b->gpu[gpu];
    struct backend_op op = {.name = (char *)"download"};
    struct run r = {b, &op, g, gpu, NULL, NULL, false};
    struct operand o = {0};
    size_t bytes = shape_values(each) * sizeof(float);
    const void *values;
    if (stored_type(b, each) == CUDNN_DATA_FLOAT && each->parent_c == each->c)
        return fetch(g, at(&from, gpu), bytes, err);
    int rc =
        operand_make(&o, op.name, each, stored_type(b, each), CUDNN_DATA_FLOAT, NULL, STAGE_ALWAYS, err) ||
        gpu_grow(g, &g->convert, &g->convert_bytes, bytes, false, op.name, err);
    r.workspace = g->convert;
    rc = rc || operand_in(&r, &o, &from, 0, &values, err) || fetch(g, values, bytes, err);
    operand_release(&o);
    return rc ? -1 : 0;
}

static int cuda_tensor_download(struct backend *b, struct slot from, const struct tensor_shape *s,
                                float *nhwc, int n_rows, struct error *err)
{
    size_t row = shape_row_values(s);
    struct tensor_shape each = *s;
    each.n = images_per_gpu(b, s->n);
    bool split = each.n != s->n;
    for (int k = 0; k < (split ? b->n_gpus : 1); k++) {
        int first = split ? k * each.n : 0, rows = n_rows - first < each.n ? n_rows - first : each.n;
        if (rows <= 0) break;
        if (gpu_use(&b->gpu[k], err) || download_part(b, k, from, &each, err)) return -1;
        memcpy(nhwc + (size_t)first * row, b->gpu[k].download_pinned, (size_t)rows * row * sizeof(float));
    }
    return 0;
}

/* --- parameters --- */

static size_t cuda_param_bytes(const struct backend *b, const struct param_shape *p)
{
    return param_shape_values(p) * sizeof(float);
}

static int cuda_param_upload(struct backend *b, struct slot to, const struct param_shape *p,
                             const float *keras, struct error *err)
{
    size_t n = param_shape_values(p);
    float *ours = mem_alloc(n * sizeof *ours, err);
    int rc = ours ? arena_settle(b, to.buffer, err) : -1;
    arena_changed(to.buffer);
    if (!rc) op_host_reorder(p, keras, ours, false);
    for (int k = 0; !rc && k < b->n_gpus; k++)
        rc = gpu_upload(&b->gpu[k], at(&to, k), ours, n * sizeof *ours, err);
    free(ours);
    return rc;
}

static int cuda_param_download(struct backend *b, struct slot from, const struct param_shape *p, float *keras,
                               struct error *err)
{
    if (arena_settle(b, from.buffer, err) || gpu_use(&b->gpu[0], err) ||
        fetch(&b->gpu[0], at(&from, 0), param_shape_values(p) * sizeof(float), err))
        return -1;
    op_host_reorder(p, b->gpu[0].download_pinned, keras, true);
    return 0;
}

void transfer_functions(struct backend_table *t)
{
    t->tensor_upload = cuda_tensor_upload;
    t->tensor_upload_u8 = cuda_tensor_upload_u8;
    t->tensor_download = cuda_tensor_download;
    t->param_upload = cuda_param_upload;
    t->param_download = cuda_param_download;
    t->param_bytes = cuda_param_bytes;
}
