/* cpu.c: the function table of the CPU backend. It opens the device, manages its memory, uploads and
 * downloads tensors, and runs elementwise operations on all floats of an arena (fill, scale, optimiser
 * steps). */
#include <omp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/simd.h"
#include "tensor/cpu/cpu_view.h"
#include "tensor/cpu/int8.h"

/* number of values below which one thread finishes before another has woken up */
#define SMALL_PART ((size_t)1 << 20)

int dnnl_failed(dnnl_status_t status, const char *what, struct error *err)
{
    if (status == dnnl_success) return 0;
    return error_set(err,
                     status == dnnl_out_of_memory   ? EX_OSERR
                     : status == dnnl_unimplemented ? EX_UNAVAILABLE
                                                    : EX_SOFTWARE,
                     "oneDNN: %s: status %d", what, (int)status);
}

static int usable_processors(void)
{
    cpu_set_t set;
    if (!sched_getaffinity(0, sizeof set, &set) && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

/* WINNOW_SIMD limits oneDNN as well, unless oneDNN's own ONEDNN_MAX_CPU_ISA is set; our kernels then
 * follow that. oneDNN accepts a limit only before its first use. */
static dnnl_cpu_isa_t limited_isa(void)
{
    enum simd level = simd_level();
    if (level < SIMD_AVX512 && !getenv("ONEDNN_MAX_CPU_ISA"))
        dnnl_set_max_cpu_isa(level == SIMD_AVX2 ? dnnl_cpu_isa_avx2 : dnnl_cpu_isa_sse41);
    return dnnl_get_effective_cpu_isa();
}

static const struct kernels *best_kernels(dnnl_cpu_isa_t isa)
{
    if (((unsigned)isa & (unsigned)dnnl_cpu_isa_avx512_core) == (unsigned)dnnl_cpu_isa_avx512_core &&
        kernels_avx512())
        return kernels_avx512();
    if (((unsigned)isa & (unsigned)dnnl_cpu_isa_avx2) == (unsigned)dnnl_cpu_isa_avx2 && kernels_avx2())
        return kernels_avx2();
    return kernels_base();
}

static void cpu_close(struct backend *b)
{
    if (!b) return;
    if (b->stream) dnnl_stream_destroy(b->stream);
    if (b->engine) dnnl_engine_destroy(b->engine);
    for (struct constants *c = b->constants, *next; c; c = next) {
        next = c->next;
        free(c->data);
        free(c);
    }
    free(b);
}

static int cpu_open(struct backend **out, const struct backend_options *options, struct error *err)
{
    struct backend *b = mem_zalloc(1, sizeof *b, err);
    dnnl_cpu_isa_t isa = limited_isa();
    *out = NULL;
    if (!b) return -1;
    if (options->precision == PRECISION_TF32) {
        free(b);
        return error_set(err, EX_NODEVICE, "device 'cpu' has no TF32; its precision is f32");
    }
    if (precision_is_short(options->precision)) {
        free(b);
        return error_set(err, EX_NODEVICE, "device 'cpu' runs in f32 only");
    }
    b->threads = options->threads ? (int)options->threads : usable_processors();
    omp_set_num_threads(b->threads);
    if (dnnl_failed(dnnl_engine_create(&b->engine, dnnl_cpu, 0), "engine", err) ||
        dnnl_failed(dnnl_stream_create(&b->stream, b->engine, dnnl_stream_default_flags), "stream", err)) {
        cpu_close(b);
        return -1;
    }
    const dnnl_version_t *v = dnnl_version();
    b->k = best_kernels(isa);
    b->block = b->k == kernels_avx512() ? 0 : 8;
    snprintf(b->description, sizeof b->description, "oneDNN %d.%d.%d, %d thread%s, %s, %s", v->major,
             v->minor, v->patch, b->threads, b->threads == 1 ? "" : "s", b->k->isa,
             b->block ? "blocks of 8 channels" : "NHWC");
    *out = b;
    return 0;
}

static const char *cpu_describe(const struct backend *b) { return b->description; }

/* MemAvailable in /proc/meminfo, or the limit of a cgroup when that is less. */
static size_t cpu_memory_available(const struct backend *b)
{
    unsigned long long kib = 0, limit = 0, used = 0;
    char line[128];
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1) break;
    if (f) fclose(f);
    if ((f = fopen("/sys/fs/cgroup/memory.max", "re"))) {
        if (fscanf(f, "%llu", &limit) != 1) limit = 0;
        fclose(f);
    }
    if (limit && (f = fopen("/sys/fs/cgroup/memory.current", "re"))) {
        if (fscanf(f, "%llu", &used) != 1) used = 0;
        fclose(f);
    }
    size_t available = (size_t)kib * 1024;
    if (limit > used && (!available || limit - used < available)) available = (size_t)(limit - used);
    return available;
}

/* Large arenas use large pages if the system has some. A loop that reads blocks of channels, or many
 * transformed tiles, or all weights once, reads more pages than the processor's TLB has entries. */
#define LARGE_PAGE ((size_t)2 << 20)
/* bytes of constants that are reserved together; unused ones are never resident */
#define CONSTANTS (32 * LARGE_PAGE)

static int cpu_alloc(struct backend *b, size_t bytes, struct backend_buffer **out, struct error *err)
{
    struct backend_buffer *buffer = mem_zalloc(1, sizeof *buffer, err);
    size_t page = bytes >= 2 * LARGE_PAGE ? LARGE_PAGE : 4096, rounded;
    *out = NULL;
    if (!buffer) return -1;
    if (!size_add(bytes, page - 1 + 4096, &rounded) ||
        !(buffer->data = mem_aligned(page, rounded / page * page, err))) {
        free(buffer);
        return err->code ? -1 : error_set(err, EX_OSERR, "cannot allocate %zu bytes", bytes);
    }
    /* Zeroed by the system when it is used first. */
    if (page != LARGE_PAGE || madvise(buffer->data, rounded / page * page, MADV_HUGEPAGE) ||
        madvise(buffer->data, rounded / page * page, MADV_DONTNEED))
        memset(buffer->data, 0, rounded / page * page);
    buffer->bytes = bytes;
    *out = buffer;
    return 0;
}

float *cpu_constant_memory(struct backend *b, size_t bytes, struct error *err)
{
    struct constants *c = b->constants;
    bytes = page_aligned(bytes);
    if (!c || c->bytes - c->used < bytes) {
        if (!(c = mem_zalloc(1, sizeof *c, err))) return NULL;
        c->bytes = bytes > CONSTANTS ? (bytes + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE : CONSTANTS;
        if (!(c->data = mem_aligned(LARGE_PAGE, c->bytes, err))) {
            free(c);
            return NULL;
        }
        (void)madvise(c->data, c->bytes, MADV_HUGEPAGE);
        c->next = b->constants;
        b->constants = c;
    }
    c->used += bytes;
    return (float *)(void *)(c->data + c->used - bytes);
}

static void cpu_free(struct backend *b, struct backend_buffer *buffer)
{
    if (!buffer) return;
    free(buffer->data);
    free(buffer);
}

static int cpu_sync(struct backend *b, struct error *err)
{
    return dnnl_failed(dnnl_stream_wait(b->stream), "wait", err);
}

/* --- layouts --- */

static size_t cpu_tensor_bytes(const struct backend *b, const struct tensor_shape *s)
{
    return s->scale > 0 ? (size_t)s->n * int8_picture_bytes(s) : shape_values(s) * sizeof(float);
}

/* Convolutions of oneDNN 2.6 use a slow reference loop for strided destinations.
 * Our own code writes to any place. */
static bool cpu_writes_slice(const struct backend *b, const struct op_desc *d)
{
    bool own = d->kind == OP_BATCH_NORM || d->kind == OP_AFFINE || d->kind == OP_ACTIVATION ||
               d->kind == OP_CURVE || d->kind == OP_ADD || d->kind == OP_MAX_POOL ||
               d->kind == OP_AVERAGE_POOL || d->kind == OP_ZERO_PAD || d->kind == OP_PRODUCT ||
               d->kind == OP_SCALE || (d->kind == OP_CONV && conv_algorithm_of(b, d) != CONV_ONEDNN);
    int block = block_of(b, d->y.parent_c);
    if (d->y.scale > 0) return true;
    return own && (block == d->y.parent_c ? block_of(b, d->y.c) == d->y.c
                                          : block_of(b, d->y.c) == block && d->y.first_c % block == 0);
}

/* Elsewhere a sum in the convolution would be a pass of its own, as it is without. */
static bool cpu_adds_in_conv(const struct backend *b, const struct op_desc *d)
{
    return conv_algorithm_of(b, d) == CONV_TILED;
}

static bool cpu_reshape_is_free(const struct backend *b, const struct tensor_shape *from,
                                const struct tensor_shape *to)
{
    bool plain_from = block_of(b, from->c) == from->c || (from->h == 1 && from->w == 1);
    bool plain_to = block_of(b, to->c) == to->c || (to->h == 1 && to->w == 1);
    return plain_from && plain_to;
}

static size_t cpu_param_bytes(const struct backend *b, const struct param_shape *p)
{
    return param_shape_values(p) * sizeof(float);
}

static int cpu_tensor_upload(struct backend *b, struct slot to, const struct tensor_shape *s,
                             const float *nhwc, int n_rows, struct error *err)
{
    struct view v = view_of(b, &to, s);
    size_t plane = (size_t)s->h * (size_t)s->w, row = shape_row_values(s);
    if (s->scale > 0) {
        int8_upload(to, s, nhwc, n_rows);
        return 0;
    }
#pragma omp parallel for num_threads((size_t)s->n *row < SMALL_PART ? 1 : b->threads) schedule(static)
    for (int n = 0; n < s->n; n++) {
        float *out = v.p + (size_t)n * v.n_stride;
        if (n >= n_rows)
            memset(out, 0, row * sizeof(float));
        else if (v.blocks == 1)
            memcpy(out, nhwc + (size_t)n * row, row * sizeof(float));
        else
            for (int k = 0; k < v.blocks; k++)
                for (size_t i = 0; i < plane; i++)
                    memcpy(pixel_of(&v, i, n, k), nhwc + (size_t)n * row + i * (size_t)s->c + k * v.inner,
                           (size_t)v.inner * sizeof(float));
    }
    return 0;
}

static int cpu_tensor_upload_u8(struct backend *b, struct slot to, const struct tensor_shape *s,
                                const uint8_t *nhwc, int n_rows, float scale, float offset, struct error *err)
{
    struct view v = view_of(b, &to, s);
    size_t plane = (size_t)s->h * (size_t)s->w, row = shape_row_values(s);
    if (s->scale > 0) {
        int8_upload_u8(b, to, s, nhwc, n_rows, scale, offset);
        return 0;
    }
#pragma omp parallel for num_threads((size_t)s->n *row < SMALL_PART ? 1 : b->threads) schedule(static)
    for (int n = 0; n < s->n; n++) {
        float *out = v.p + (size_t)n * v.n_stride;
        const uint8_t *in = nhwc + (size_t)n * row;
        if (n >= n_rows)
            memset(out, 0, row * sizeof(float));
        else if (v.blocks == 1)
            b->k->bytes(out, in, row, scale, offset);
        else
            for (int k = 0; k < v.blocks; k++)
                for (size_t i = 0; i < plane; i++)
                    for (int c = 0; c < v.inner; c++)
                        pixel_of(&v, i, n, k)[c] =
                            (float)in[i * (size_t)s->c + (size_t)(k * v.inner + c)] * scale + offset;
    }
    return 0;
}

static int cpu_tensor_download(struct backend *b, struct slot from, const struct tensor_shape *s, float *nhwc,
                               int n_rows, struct error *err)
{
    struct view v = view_of(b, &from, s);
    size_t plane = (size_t)s->h * (size_t)s->w, row = shape_row_values(s);
    if (cpu_sync(b, err)) return -1;
    if (s->scale > 0) {
        int8_download(from, s, nhwc, n_rows);
        return 0;
    }
#pragma omp parallel for num_threads((size_t)s->n *row < SMALL_PART ? 1 : b->threads) schedule(static)
    for (int n = 0; n < n_rows; n++)
        for (int k = 0; k < v.blocks; k++)
            for (size_t i = 0; i < plane; i++)
                memcpy(nhwc + (size_t)n * row + i * (size_t)s->c + k * v.inner, pixel_of(&v, i, n, k),
                       (size_t)v.inner * sizeof(float));
    return 0;
}

static int cpu_param_upload(struct backend *b, struct slot to, const struct param_shape *p,
                            const float *keras, struct error *err)
{
    memcpy(slot_at(&to), keras, param_shape_values(p) * sizeof(float));
    return 0;
}

static int cpu_param_download(struct backend *b, struct slot from, const struct param_shape *p, float *keras,
                              struct error *err)
{
    if (cpu_sync(b, err)) return -1;
    memcpy(keras, slot_at(&from), param_shape_values(p) * sizeof(float));
    return 0;
}

/* --- operations --- */

static bool is_conv(const struct op_desc *d) { return d->kind == OP_CONV || d->kind == OP_DEPTHWISE; }

static void cpu_op_destroy(struct backend *b, struct backend_op *op)
{
    if (!op) return;
    int8_destroy(op->int8);
    conv_destroy(op);
    free(op->bias);
    free(op->scale);
    free(op);
}

static int cpu_op_create(struct backend *b, const struct op_desc *d, struct backend_op **out,
                         struct error *err)
{
    struct backend_op *op = mem_zalloc(1, sizeof *op, err);
    *out = NULL;
    if (!op) return -1;
    op->d = *d;
    op->d.name = NULL;
    omp_set_num_threads(b->threads);
    if (int8_is(d)) {
        if (int8_create(b, d, &op->int8, err)) goto fail;
        op->workspace_bytes = int8_workspace_bytes(op->int8);
        *out = op;
        return 0;
    }
    if (d->kind == OP_MAX_POOL && d->training && d->kernel_h * d->kernel_w > 255) {
        error_set(err, EX_UNAVAILABLE, "a max pool of %d x %d does not train here", d->kernel_h, d->kernel_w);
        goto fail;
    }
    if (is_conv(d)) {
        if (conv_create(b, op, err)) goto fail;
    } else {
        op->workspace_bytes = d->kind == OP_BATCH_NORM ? cpu_batch_norm_workspace_bytes(d->y.c)
                              : d->kind == OP_SCALE    ? cpu_scale_workspace_bytes(d)
                                                       : 0;
    }
    *out = op;
    return 0;
fail:
    cpu_op_destroy(b, op);
    return -1;
}

static unsigned cpu_op_backward_reads(const struct backend_op *op)
{
    unsigned reads = op->d.activation != OP_LINEAR ? BACKWARD_READS_Y : 0;
    if (is_conv(&op->d) || op->d.kind == OP_DENSE) return reads | (op->d.needs_dw ? BACKWARD_READS_X : 0);
    /* The mask of a batch norm's activation is computed again from x. */
    bool by_x = op->d.kind == OP_BATCH_NORM || op->d.kind == OP_CURVE || op->d.kind == OP_PRODUCT ||
                op->d.kind == OP_SCALE;
    return by_x ? BACKWARD_READS_X : reads;
}

static size_t cpu_op_saved_bytes(const struct backend_op *op)
{
    const struct tensor_shape *y = &op->d.y;
    if (op->d.kind == OP_BATCH_NORM) return 4 * (size_t)y->c * sizeof(float);
    if (op->d.kind == OP_MAX_POOL && op->d.training) return shape_values(y);
    return 0;
}

static size_t cpu_op_constant_bytes(const struct backend_op *op)
{
    size_t c = (size_t)op->d.y.c * sizeof(float);
    if (!op->d.constant_weights) return 0;
    if (op->int8) return int8_constant_bytes(op->int8);
    return is_conv(&op->d)          ? conv_constant_bytes(op) + c
           : op->d.kind == OP_DENSE ? dense_constant_bytes(op) + c
                                    : 2 * c;
}

static size_t cpu_op_workspace_bytes(const struct backend_op *op) { return op->workspace_bytes; }

static int load_copy(float **to, const float *from, size_t n, struct error *err)
{
    if (!*to && !(*to = mem_aligned(64, (n * sizeof(float) + 63) / 64 * 64, err))) return -1;
    if (from)
        memcpy(*to, from, n * sizeof(float));
    else
        memset(*to, 0, n * sizeof(float));
    return 0;
}

static int cpu_op_load(struct backend *b, struct backend_op *op, const float *weights, const float *bias,
                       struct error *err)
{
    size_t c = (size_t)op->d.y.c;
    omp_set_num_threads(b->threads);
    if (op->int8) return int8_load(op->int8, weights, bias, err);
    if (load_copy(&op->bias, bias, c, err)) return -1;
    if (is_conv(&op->d)) return conv_load(b, op, weights, err);
    if (op->d.kind == OP_DENSE) return dense_load(b, op, weights, err);
    return load_copy(&op->scale, weights, c, err);
}

static int cpu_op_forward(struct backend *b, struct backend_op *op, const struct op_io *io,
                          struct slot workspace, struct error *err)
{
    float *scratch = slot_at(&workspace);
    omp_set_num_threads(b->threads);
    if (op->int8) {
        int8_forward(b, op->int8, io, scratch);
        return 0;
    }
    switch (op->d.kind) {
    case OP_CONV:
    case OP_DEPTHWISE: return conv_forward(b, op, io, scratch, err);
    case OP_DENSE: return dense_forward(b, op, io, err);
    case OP_BATCH_NORM: cpu_batch_norm_forward(b, op, io, scratch); return 0;
    case OP_AFFINE: cpu_affine_forward(b, op, io); return 0;
    case OP_PRODUCT: cpu_product_forward(b, &op->d, io); return 0;
    case OP_SCALE: cpu_scale_forward(b, &op->d, io, scratch); return 0;
    case OP_RESIZE:
    case OP_CHANNELS: cpu_moves_forward(b, &op->d, io); return 0;
    case OP_MAX_POOL:
    case OP_AVERAGE_POOL:
    case OP_GLOBAL_AVERAGE_POOL: cpu_pool_forward(b, &op->d, io); return 0;
    default: cpu_elementwise_forward(b, &op->d, io); return 0;
    }
}

static int cpu_op_backward(struct backend *b, struct backend_op *op, const struct op_io *io,
                           struct slot workspace, struct error *err)
{
    float *scratch = slot_at(&workspace);
    omp_set_num_threads(b->threads);
    switch (op->d.kind) {
    case OP_CONV:
    case OP_DEPTHWISE: return conv_backward(b, op, io, scratch, err);
    case OP_DENSE: return dense_backward(b, op, io, scratch, err);
    case OP_BATCH_NORM: cpu_batch_norm_backward(b, op, io, scratch); return 0;
    case OP_PRODUCT: cpu_product_backward(b, &op->d, io); return 0;
    case OP_SCALE: cpu_scale_backward(b, &op->d, io, scratch); return 0;
    case OP_RESIZE:
    case OP_CHANNELS: cpu_moves_backward(b, &op->d, io); return 0;
    case OP_MAX_POOL:
    case OP_AVERAGE_POOL:
    case OP_GLOBAL_AVERAGE_POOL: cpu_pool_backward(b, &op->d, io); return 0;
    default: cpu_elementwise_backward(b, op, io); return 0;
    }
}

/* --- flat arenas --- */

/* Computes the part of this thread. Parts begin at multiples of 16 floats, which are boundaries of cache
 * lines. */
static void part(size_t n, size_t *first, size_t *last)
{
    size_t t = (size_t)omp_get_thread_num(), all = (size_t)omp_get_num_threads(), lines = (n + 15) / 16;
    *first = lines * t / all * 16;
    *last = lines * (t + 1) / all * 16;
    *first = *first < n ? *first : n;
    *last = *last < n ? *last : n;
}

#define EACH_PART(n, ...)                                                                                    \
    do {                                                                                                     \
        const int threads_ = (n) < SMALL_PART ? 1 : b->threads;                                              \
        _Pragma("omp parallel num_threads(threads_)")                                                        \
        {                                                                                                    \
            size_t first, last;                                                                              \
            part((n), &first, &last);                                                                        \
            __VA_ARGS__                                                                                      \
        }                                                                                                    \
    } while (0)

static int cpu_fill_zero(struct backend *b, struct slot y, size_t n, struct error *err)
{
    float *p = slot_at(&y);
    EACH_PART(n, memset(p + first, 0, (last - first) * sizeof(float)););
    return 0;
}

static int cpu_copy(struct backend *b, struct slot y, struct slot x, size_t n, struct error *err)
{
    float *p = slot_at(&y);
    const float *q = slot_at(&x);
    EACH_PART(n, memcpy(p + first, q + first, (last - first) * sizeof(float)););
    return 0;
}

static int cpu_scale(struct backend *b, struct slot y, size_t n, float a, struct error *err)
{
    float *p = slot_at(&y);
    EACH_PART(n, b->k->scale(p + first, last - first, a););
    return 0;
}

static int cpu_axpy(struct backend *b, struct slot y, struct slot x, size_t n, float a, struct error *err)
{
    float *p = slot_at(&y);
    const float *q = slot_at(&x);
    EACH_PART(n, b->k->axpy(p + first, q + first, last - first, a););
    return 0;
}

#define MAX_PARTIAL 256

static int cpu_sum_of_squares(struct backend *b, struct slot x, size_t n, double *out, struct error *err)
{
    const float *p = slot_at(&x);
    double partial[MAX_PARTIAL] = {0}, sum = 0;
    size_t each = (n + MAX_PARTIAL - 1) / MAX_PARTIAL;
#pragma omp parallel for num_threads(n < SMALL_PART ? 1 : b->threads) schedule(static)
    for (int i = 0; i < MAX_PARTIAL; i++) {
        size_t first = (size_t)i * each, last = first + each < n ? first + each : n;
        if (first < last) partial[i] = b->k->squares(p + first, last - first);
    }
    for (int i = 0; i < MAX_PARTIAL; i++)
        sum += partial[i];
    *out = sum;
    return 0;
}

static int cpu_sgd(struct backend *b, struct slot sp, struct slot sg, struct slot sv, size_t n,
                   const struct sgd_step *s, struct error *err)
{
    float *p = slot_at(&sp), *v = slot_at(&sv);
    const float *g = slot_at(&sg);
    EACH_PART(n,
              b->k->sgd(p + first, g + first, v + first, last - first, s->rate, s->momentum, s->nesterov););
    return 0;
}

static int cpu_adam(struct backend *b, struct slot sp, struct slot sg, struct slot sm, struct slot sv,
                    size_t n, const struct adam_step *s, struct error *err)
{
    float *p = slot_at(&sp), *m = slot_at(&sm), *v = slot_at(&sv);
    const float *g = slot_at(&sg);
    float rate = adam_rate(s);
    EACH_PART(n, b->k->adam(p + first, g + first, m + first, v + first, last - first, rate, s->beta1,
                            s->beta2, s->epsilon););
    return 0;
}

static float *cpu_host_memory(struct slot s) { return slot_at(&s); }

static const struct backend_table table = {
    .abi = BACKEND_ABI,
    .name = "cpu",
    .open = cpu_open,
    .close = cpu_close,
    .describe = cpu_describe,
    .memory_available = cpu_memory_available,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .sync = cpu_sync,
    .tensor_bytes = cpu_tensor_bytes,
    .writes_slice = cpu_writes_slice,
    .reshape_is_free = cpu_reshape_is_free,
    .param_bytes = cpu_param_bytes,
    .tensor_upload = cpu_tensor_upload,
    .tensor_upload_u8 = cpu_tensor_upload_u8,
    .tensor_download = cpu_tensor_download,
    .param_upload = cpu_param_upload,
    .param_download = cpu_param_download,
    .op_create = cpu_op_create,
    .op_destroy = cpu_op_destroy,
    .op_backward_reads = cpu_op_backward_reads,
    .op_saved_bytes = cpu_op_saved_bytes,
    .op_constant_bytes = cpu_op_constant_bytes,
    .op_workspace_bytes = cpu_op_workspace_bytes,
    .op_load = cpu_op_load,
    .op_forward = cpu_op_forward,
    .op_backward = cpu_op_backward,
    .fill_zero = cpu_fill_zero,
    .copy = cpu_copy,
    .scale = cpu_scale,
    .axpy = cpu_axpy,
    .sum_of_squares = cpu_sum_of_squares,
    .sgd = cpu_sgd,
    .adam = cpu_adam,
    .host_memory = cpu_host_memory,
    .exchanges_statistics = true,
    .adds_in_conv = cpu_adds_in_conv,
    .has_int8 = true,
};

const struct backend_table *backend_cpu(void) { return &table; }
