/*
 * cuda_algorithms.c: which algorithm for which convolution. cuDNN's own search tries them all on the GPU; its
 * answer is kept in a small text file, so that it is asked once for each shape, card and cuDNN version.
 *
 * A line is: device, compute capability, cuDNN version, the convolution, algorithm, tab-separated. Lines are
 * appended whole; one that does not parse, or names an algorithm that is refused now, is passed over.
 * WINNOW_CUDA_CACHE names another file; "" none.
 */
#include "tensor/cuda/cuda.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_RESULTS 16
#define MAX_FILE_BYTES (8 << 20) /* some fifty thousand lines: more is not ours */

struct entry {
    char *key;
    int algorithm;
};

struct algorithms {
    char *path; /* NULL: none */
    char prefix[360];
    struct entry *entries;
    size_t n, capacity;
};

static int remember(struct algorithms *a, const char *key, int algorithm, struct error *err)
{
    if (mem_grow(&a->entries, &a->capacity, a->n + 1, sizeof *a->entries, err) ||
        !(a->entries[a->n].key = mem_strdup(key, err)))
        return -1;
    a->entries[a->n++].algorithm = algorithm;
    return 0;
}

/* $WINNOW_CUDA_CACHE, else $XDG_CACHE_HOME/winnow/..., else ~/.cache/winnow/...; none where there is no home.
 */
static int choose_path(struct algorithms *a, struct error *err)
{
    const char *chosen = getenv("WINNOW_CUDA_CACHE"), *cache = getenv("XDG_CACHE_HOME"),
               *home = getenv("HOME");
    char path[4000];
    if (chosen) return *chosen && !(a->path = mem_strdup(chosen, err)) ? -1 : 0;
    if (cache && *cache)
        snprintf(path, sizeof path, "%s", cache);
    else if (home && *home)
        snprintf(path, sizeof path, "%s/.cache", home);
    else
        return 0;
    mkdir(path, 0777);
    size_t n = strlen(path);
    snprintf(path + n, sizeof path - n, "/winnow");
    mkdir(path, 0777);
    n = strlen(path);
    snprintf(path + n, sizeof path - n, "/cudnn-algorithms.tsv");
    return (a->path = mem_strdup(path, err)) ? 0 : -1;
}

static int read_file(struct algorithms *a, struct error *err)
{
    FILE *f = a->path ? fopen(a->path, "re") : NULL;
    char line[1200];
    int rc = 0;
    size_t prefix = strlen(a->prefix), bytes = 0;
    if (!f) return 0; /* not there yet, or not ours to read: then the search is asked */
    while (!rc && fgets(line, sizeof line, f) && (bytes += strlen(line)) < MAX_FILE_BYTES) {
        char *end = strchr(line, '\n'), *last = strrchr(line, '\t');
        if (!end || !last || strncmp(line, a->prefix, prefix) || last < line + prefix) continue;
        char *number_end;
        long algorithm = strtol(last + 1, &number_end, 10);
        if (number_end != end || algorithm < 0 || algorithm > 100) continue;
        *last = 0;
        rc = remember(a, line + prefix, (int)algorithm, err);
    }
    fclose(f);
    return rc;
}

int algorithms_open(struct backend *b, struct error *err)
{
    struct algorithms *a = b->algorithms = mem_zalloc(1, sizeof *a, err);
    if (!a) return -1;
    char device[256];
    snprintf(device, sizeof device, "%s", b->properties.name);
    for (char *c = device; *c; c++)
        if ((unsigned char)*c < ' ') *c = '?';
    snprintf(a->prefix, sizeof a->prefix, "%s\t%d.%d\t%zu\t", device, b->properties.major,
             b->properties.minor, cudnnGetVersion());
    return choose_path(a, err) || read_file(a, err) ? -1 : 0;
}

void algorithms_close(struct backend *b)
{
    struct algorithms *a = b->algorithms;
    if (!a) return;
    for (size_t i = 0; i < a->n; i++)
        free(a->entries[i].key);
    free(a->entries);
    free(a->path);
    free(a);
    b->algorithms = NULL;
}

/* A file that cannot be written costs the next run a search, nothing else: no error. One write, so that lines
 * of two runs do not mix. */
static void append(const struct algorithms *a, const char *key, int algorithm)
{
    char line[1200];
    int n = snprintf(line, sizeof line, "%s%s\t%d\n", a->prefix, key, algorithm);
    int fd =
        a->path && n < (int)sizeof line ? open(a->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
    if (fd < 0) return;
    ssize_t written = write(fd, line, (size_t)n);
    (void)written;
    close(fd);
}

static void key_of(const struct backend *b, const struct backend_op *op, enum conv_pass pass, char *out,
                   size_t bytes)
{
    static const char *const passes[] = {"forward", "backward-data", "backward-filter"};
    const struct op_desc *d = &op->d;
    const struct tensor_shape *x = &op->x[0].shape, *y = &op->y.shape;
    bool own = op->x[0].padded; /* its padding is done before: what cuDNN sees has none */
    snprintf(out, bytes, "%s %dx%dx%dx%d %dx%dx%dx%d k%dx%d s%dx%d d%dx%d p%d.%d.%d.%d%s g%d %s %s %s %zuMiB",
             passes[pass], x->n, x->h, x->w, x->c, y->n, y->h, y->w, y->c, d->kernel_h, d->kernel_w,
             d->stride_h, d->stride_w, d->dilation_h, d->dilation_w, d->pad_top, d->pad_bottom, d->pad_left,
             d->pad_right, own ? "o" : "", d->kind == OP_DEPTHWISE ? d->x[0].c : 1,
             op->type == CUDNN_DATA_BFLOAT16 ? "bf16" : "f32",
             op->format == CUDNN_TENSOR_NHWC ? "nhwc" : "nchw",
             b->options.precision == PRECISION_F32 ? "fma" : "tensor", b->workspace_limit >> 20);
}

static bool not_supported(cudnnStatus_t status) { return status / 1000 == CUDNN_STATUS_NOT_SUPPORTED / 1000; }

static cudnnStatus_t workspace_of(const struct backend *b, const struct backend_op *op, enum conv_pass pass,
                                  int algorithm, size_t *bytes)
{
    cudnnHandle_t dnn = b->gpu[0].dnn;
    *bytes = 0;
    switch (pass) {
    case PASS_FORWARD:
        return cudnnGetConvolutionForwardWorkspaceSize(dnn, op->x[0].full, op->filter, op->conv, op->y.full,
                                                       (cudnnConvolutionFwdAlgo_t)algorithm, bytes);
    case PASS_DATA:
        return cudnnGetConvolutionBackwardDataWorkspaceSize(dnn, op->filter, op->y.full, op->conv,
                                                            op->x[0].full,
                                                            (cudnnConvolutionBwdDataAlgo_t)algorithm, bytes);
    default:
        return cudnnGetConvolutionBackwardFilterWorkspaceSize(dnn, op->x[0].full, op->y.full, op->conv,
                                                              op->filter,
                                                              (cudnnConvolutionBwdFilterAlgo_t)algorithm,
                                                              bytes);
    }
}

/* The largest workspace that any algorithm within the limit wants: what the search needs beside the tensors.
 * -1 = none is supported. */
static long long search_workspace(const struct backend *b, const struct backend_op *op, enum conv_pass pass)
{
    static const int counts[] = {CUDNN_CONVOLUTION_FWD_ALGO_COUNT, CUDNN_CONVOLUTION_BWD_DATA_ALGO_COUNT,
                                 CUDNN_CONVOLUTION_BWD_FILTER_ALGO_COUNT};
    long long most = -1;
    for (int i = 0; i < counts[pass]; i++) {
        size_t bytes;
        if (workspace_of(b, op, pass, i, &bytes) == CUDNN_STATUS_SUCCESS && bytes <= b->workspace_limit &&
            (long long)bytes > most)
            most = (long long)bytes;
    }
    return most;
}

/* The first of the results, which come quickest first, that ran, gives the same bits every time, and keeps to
 * the limit. */
#define PICK(results, n)                                                                                     \
    do {                                                                                                     \
        for (int i_ = 0; i_ < (n); i_++)                                                                     \
            if (results[i_].status == CUDNN_STATUS_SUCCESS && results[i_].memory <= b->workspace_limit &&    \
                (!b->options.deterministic || results[i_].determinism == CUDNN_DETERMINISTIC))               \
                return *algorithm = (int)results[i_].algo, 0;                                                \
        return 1;                                                                                            \
    } while (0)

static int search(struct backend *b, struct backend_op *op, enum conv_pass pass, int *algorithm,
                  struct error *err)
{
    struct gpu *g = &b->gpu[0];
    long long workspace = search_workspace(b, op, pass);
    if (workspace < 0) return 1;
    size_t x_bytes = round_up(op->x[0].full_bytes), y_bytes = round_up(op->y.full_bytes),
           w_bytes = round_up(op->w.full_bytes), bytes = (size_t)workspace;
    if (gpu_grow(g, &g->search, &g->search_bytes, x_bytes + y_bytes + w_bytes + bytes + BACKEND_ALIGN,
                 op->name, err))
        return -1;
    char *x = g->search, *y = x + x_bytes, *w = y + y_bytes, *room = w + w_bytes;
    int found = 0;
    cudnnStatus_t status;
    if (CUDA(op->name, cudaMemsetAsync(x, 0, x_bytes + y_bytes + w_bytes, g->compute))) return -1;
    switch (pass) {
    case PASS_FORWARD: {
        cudnnConvolutionFwdAlgoPerf_t results[MAX_RESULTS];
        status =
            cudnnFindConvolutionForwardAlgorithmEx(g->dnn, op->x[0].full, x, op->filter, w, op->conv,
                                                   op->y.full, y, MAX_RESULTS, &found, results, room, bytes);
        if (not_supported(status)) return 1;
        if (dnn_check(err, op->name, "cudnnFindConvolutionForwardAlgorithmEx", status)) return -1;
        PICK(results, found);
    }
    case PASS_DATA: {
        cudnnConvolutionBwdDataAlgoPerf_t results[MAX_RESULTS];
        status = cudnnFindConvolutionBackwardDataAlgorithmEx(g->dnn, op->filter, w, op->y.full, y, op->conv,
                                                             op->x[0].full, x, MAX_RESULTS, &found, results,
                                                             room, bytes);
        if (not_supported(status)) return 1;
        if (dnn_check(err, op->name, "cudnnFindConvolutionBackwardDataAlgorithmEx", status)) return -1;
        PICK(results, found);
    }
    default: {
        cudnnConvolutionBwdFilterAlgoPerf_t results[MAX_RESULTS];
        status = cudnnFindConvolutionBackwardFilterAlgorithmEx(g->dnn, op->x[0].full, x, op->y.full, y,
                                                               op->conv, op->filter, w, MAX_RESULTS, &found,
                                                               results, room, bytes);
        if (not_supported(status)) return 1;
        if (dnn_check(err, op->name, "cudnnFindConvolutionBackwardFilterAlgorithmEx", status)) return -1;
        PICK(results, found);
    }
    }
}

int algorithm_choose(struct backend *b, struct backend_op *op, enum conv_pass pass, struct pass *out,
                     struct error *err)
{
    char key[500];
    struct algorithms *a = b->algorithms;
    key_of(b, op, pass, key, sizeof key);
    for (size_t i = 0; i < a->n; i++)
        if (!strcmp(a->entries[i].key, key) &&
            workspace_of(b, op, pass, a->entries[i].algorithm, &out->workspace) == CUDNN_STATUS_SUCCESS &&
            out->workspace <= b->workspace_limit) {
            out->algorithm = a->entries[i].algorithm;
            return 0;
        }
    int algorithm, rc = search(b, op, pass, &algorithm, err);
    if (rc) return rc;
    out->algorithm = algorithm;
    static const char *const calls[] = {"cudnnGetConvolutionForwardWorkspaceSize",
                                        "cudnnGetConvolutionBackwardDataWorkspaceSize",
                                        "cudnnGetConvolutionBackwardFilterWorkspaceSize"};
    if (dnn_check(err, op->name, calls[pass], workspace_of(b, op, pass, algorithm, &out->workspace)) ||
        remember(a, key, algorithm, err))
        return -1;
    append(a, key, algorithm);
    return 0;
}
