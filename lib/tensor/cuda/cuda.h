/*
 * cuda.h: the CUDA backend. cuDNN and cuBLAS do all arithmetic. The C code here describes tensors, and calls
 * these libraries in the right order.
 *
 * Layout: maps are NHWC, in float32 or (precisions bf16, fp16) in 16 bits. Vectors (h = w = 1), sums and
 * trainable parameters are float32. Kernels are [cout][kh][kw][cin], and dense weights are Keras'
 * [cin][cout].
 *
 * Several GPUs look like one device: each holds every buffer and works on n/k pictures of each batch, and
 * the engine has their gradients summed (cuda_multi_gpu.c).
 */
#ifndef WINNOW_TENSOR_CUDA_CUDA_H
#define WINNOW_TENSOR_CUDA_CUDA_H

#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

#include "base/choice_file.h"
#include "base/error.h"
#include "base/mem.h"
#include "tensor/backend.h"
#include "tensor/cuda/cuda_graph.h"

#define CUDA_MAX_GPUS BACKEND_MAX_DEVICES
#define CUDA_MAX_CHANNELS 16384 /* the vectors of ones and zeros; InceptionV3's widest layer has 2048 */
#define CUDA_ADAM_CHUNK ((size_t)3 << 20) /* values a piece of an Adam step: four buffers of 12 MiB */
#define STEP_MAX_KEY 8

struct staging { /* one of two sets of buffers for sending a batch to the GPU */
    void *pinned, *device;
    size_t bytes, device_bytes;
};

struct step_results { /* results of a step whose copy to the host is in progress or complete */
    void *pinned;     /* STEP_MAX_NORMS floats, the norms, then the logits */
    size_t bytes, part, n_norms;
};

struct gpu {
    int device;
    cudnnHandle_t dnn;
    cublasHandle_t blas;
    union {
        cudaStream_t streams[3];
        struct {
            cudaStream_t compute, copy, sum;
        }; /* sum: where gradients are summed */
    };
    struct staging staging[2];
    void *download_pinned;
    size_t download_bytes, convert_bytes, loss_bytes;
    cudnnTensorDescriptor_t shape[2]; /* set anew for each use */
    union {
        void *memory[7];
        struct {
            void *convert; /* for a download that changes type or layout */
            void *adam;    /* four times CUDA_ADAM_CHUNK floats; from the first Adam step on */
            void *loss;    /* of a step: factors of the rows, probabilities */
            void *blas_room;
            float *ones;  /* CUDA_MAX_CHANNELS, and as many zeros */
            float *norms; /* STEP_MAX_NORMS, and the factor that clips */
            float *minus_rate;
        };
    };
    float *zeros; /* in 16 bits, too */
    union {
        cudaEvent_t events[12];
        struct {
            cudaEvent_t timer[2]; /* these measure time */
            /* events for `staging`: the copy has ended; the compute stream has read the copy on the device */
            cudaEvent_t copied[2], consumed[2];
            cudaEvent_t small_left[2], there[2] /* of results */, written, summed;
        };
    };
    void *small;                 /* two halves of pinned memory, for small uploads */
    size_t small_at, small_half; /* where the next goes */
    float sent_rate;
    bool recording; /* a step is being recorded: no upload, no growth of memory and no wait is allowed */
    struct step_results results[2];
    struct ncclComm *comm; /* with several GPUs */
};

struct backend {
    struct backend_options options;
    int n_gpus;
    struct gpu gpu[CUDA_MAX_GPUS];
    struct cudaDeviceProp properties; /* of the first */
    char description[400];
    size_t workspace_limit;
    cudnnDataType_t map_type; /* of maps and of convolutions */
    struct choice_file plans;
    /* set for a card that is only described: operations can be planned, but not run */
    cudnnBackendDescriptor_t described;
    int next_staging, next_results, results_under_way;
    unsigned arenas; /* incremented when copies in 16 bits of any buffer become outdated */
    cudnnOpTensorDescriptor_t multiply, root;
    cudnnActivationDescriptor_t relu, cap_1; /* max(x, 0), min(max(x, 0), 1) */
    /* the recorded step; n_key 0: no step yet */
    cudaGraphExec_t graph;
    double key[STEP_MAX_KEY];
    size_t n_key;
    bool records;
    bool sends_bytes; /* pictures go up as bytes; cuDNN makes floats of them */
    /* cuda_multi_gpu.c */
    struct nccl *nccl;
    int n_parts; /* GPUs that share a batch, those of other ranks included */
    int (*wait)(void *context, struct error *err);
    void *wait_context;
};

struct backend_buffer {
    void *p[CUDA_MAX_GPUS];
    size_t bytes;
    /* A copy of it in 16 bits, for the weights of convolutions: made anew after the buffer has changed. */
    void *narrow[CUDA_MAX_GPUS];
    unsigned narrow_made[CUDA_MAX_GPUS]; /* value of backend.arenas when the copy was made */
    bool gathered; /* gradients: the copy holds what must still be added to the buffer, else zeros */
};

/*
 * A tensor for one operation. `stored` describes it as it is in its slot. Some calls cannot use this form,
 * because of a slice, another type, an unaligned address, a padding that cuDNN cannot express, or a layout
 * that it does not support. The tensor is then staged: copied to scratch memory in the form `full`.
 */
struct operand {
    struct tensor_shape shape; /* pictures of one GPU */
    cudnnDataType_t type, stored_type;
    /* inner: the part of a padded `full` that contains the values */
    cudnnTensorDescriptor_t stored, inner, full;
    /* in bytes: offset of the slice in its parent; offset of inner in full */
    size_t first_offset, inner_offset;
    size_t scratch, full_bytes; /* offset in the workspace; valid when staged */
    bool staged, padded;
};

enum { CUDA_MAX_OPERANDS = OP_MAX_INPUTS + 1 };

struct backend_op {
    struct op_desc d; /* n of the shapes: all pictures */
    char *name;       /* "conv2d_5 (Conv 32x73x73x64 -> 32x71x71x192, 3x3)" */
    int n;            /* pictures of one GPU */
    struct operand x[OP_MAX_INPUTS], y, w;
    cudnnTensorDescriptor_t bias;   /* [1,c,1,1] of y's compute type */
    cudnnTensorDescriptor_t wide;   /* y in float, for a bias gradient from 16 bits or from a slice */
    cudnnTensorDescriptor_t vector; /* [1,c,1,1] float: batch norm's, bias gradients of float layers */
    cudnnPoolingDescriptor_t pool;
    cudnnActivationDescriptor_t activation, fused_activation;
    cudnnTensorDescriptor_t divisor;            /* [1,1,h,w]: asymmetric average pools */
    struct graph_plan *forward, *data, *filter; /* of a convolution, one for each GPU */
    cudnnDataType_t type;                       /* it computes with */
    struct conv_graph graph;                    /* of forward */
    bool persistent, fused_norm;                /* batch norm uses cuDNN's Ex calls; these apply ReLU, too */
    cudnnBatchNormOps_t norm_ops;
    size_t norm_reserve, shared; /* shared: offset of two vectors for all parts of the batch */
    /* further scratch: for a capped ReLU, a bias or gradient in another type, an unneeded gradient */
    size_t extra, extra_bytes, extra2;
    size_t tail, workspace_bytes; /* offset of the library's own workspace; size of the whole workspace */
    size_t weight_bytes, constant_bytes;
    void *constant[CUDA_MAX_GPUS]; /* weights, then (round_up(weight_bytes)) bias; of pools, the divisors */
};

/* The addresses that one GPU needs to run an operation. */
struct run {
    struct backend *b;
    struct backend_op *op;
    struct gpu *g;
    int gpu;
    const struct op_io *io;
    char *workspace;
    bool rest; /* where op_shares: the values at op->shared are those of all parts now */
};

/* --- errors (cuda.c) --- */

/* Return 0 when the status is success. Otherwise return -1 with err set; the message names the layer with its
 * shapes, the call and the status. subject: op->name or NULL. */
int cuda_check(struct error *err, const char *subject, const char *call, cudaError_t status);
int dnn_check(struct error *err, const char *subject, const char *call, cudnnStatus_t status);
int blas_check(struct error *err, const char *subject, const char *call, cublasStatus_t status);
#define CUDA(subject, call) cuda_check(err, subject, #call, call)
#define DNN(subject, call) dnn_check(err, subject, #call, call)
#define BLAS(subject, call) blas_check(err, subject, #call, call)
#define DNN_RUN(call) dnn_check(err, r->op->name, #call, call) /* of an operation that runs */
static inline int outcome(bool failed) { return failed ? -1 : 0; }

/* Frees memory that queued work may still read. p may be NULL. */
void gpu_free(const struct gpu *g, void *p);
int gpu_use(const struct gpu *g, struct error *err); /* makes g the current device of the calling thread */
/* Enlarges a block of device memory, or of pinned memory. It first waits for queued work, because that may
 * use the old block. */
int gpu_grow(struct gpu *g, void **p, size_t *bytes, size_t wanted, bool pinned, const char *what,
             struct error *err);

static inline char *at(const struct slot *s, int gpu)
{
    return s->buffer ? (char *)s->buffer->p[gpu] + s->offset : NULL;
}

extern const float one, zero; /* host scalars of the libraries' alpha and beta */

/* --- descriptors (cuda_operand.c) --- */

static inline bool is_vector(const struct tensor_shape *s) { return s->h == 1 && s->w == 1; }
cudnnDataType_t stored_type(const struct backend *b, const struct tensor_shape *s);
size_t type_bytes(cudnnDataType_t type);
static inline const char *type_name(int type) /* in the names of plans */
{
    return type == CUDNN_DATA_BFLOAT16 ? "bf16" : type == CUDNN_DATA_HALF ? "f16" : "f32";
}
static inline size_t round_up(size_t bytes)
{
    return (bytes + BACKEND_ALIGN - 1) & ~(size_t)(BACKEND_ALIGN - 1);
}

/* Set an existing descriptor: to NHWC without gaps, or to adjacent rows. */
int shape_dense(cudnnTensorDescriptor_t t, const char *subject, cudnnDataType_t type, int n, int c, int h,
                int w, struct error *err);
int shape_flat(cudnnTensorDescriptor_t t, cudnnDataType_t type, int rows, int columns, struct error *err);
/* NHWC without gaps */
int tensor_make(cudnnTensorDescriptor_t *out, const char *subject, cudnnDataType_t type, int n, int c, int h,
                int w, struct error *err);
/*
 * Sets o to describe the tensor s (whose n is already that of one GPU). It is stored as NHWC of type
 * `stored`. The calls need NHWC of type `type`, with pads {top, bottom, left, right} of zeros around it
 * (NULL: none). It is staged when the stored form cannot be used, and when `how` requires it. operand_place
 * assigns scratch memory to it later.
 */
enum operand_staging { STAGE_SLICES, STAGE_ALWAYS, STAGE_OTHER_TYPES /* a slice is used in place */ };
int operand_make(struct operand *o, const char *subject, const struct tensor_shape *s, cudnnDataType_t stored,
                 cudnnDataType_t type, const int pads[4], enum operand_staging how, struct error *err);
/* If the operand is staged: assigns its scratch memory in the workspace, and advances *workspace. */
void operand_place(struct operand *o, size_t *workspace);
void operand_release(struct operand *o);

/* The address for reading: in the memory of the slot, or of its staged copy in the workspace, which is queued
 * here. fill: the value for the padding. */
int operand_in(const struct run *r, const struct operand *o, const struct slot *slot, float fill,
               const void **out, struct error *err);
/* The address for a result. operand_out_done then copies the result to the slot, or adds it with
 * accumulate. */
void *operand_out(const struct run *r, const struct operand *o, const struct slot *slot);
int operand_out_done(const struct run *r, const struct operand *o, const struct slot *slot, bool accumulate,
                     struct error *err);
static inline void *operand_stored(const struct operand *o, char *slot) { return slot + o->first_offset; }

int transform(struct gpu *g, const char *subject, cudnnTensorDescriptor_t from, const void *x,
              cudnnTensorDescriptor_t to, void *y, bool accumulate, struct error *err);
int activation_make(cudnnActivationDescriptor_t *out, const char *subject, cudnnActivationMode_t mode,
                    cudnnNanPropagation_t nan, double cap, struct error *err);
int fill_tensor(struct gpu *g, const char *subject, cudnnTensorDescriptor_t d, cudnnDataType_t type, void *y,
                float value, struct error *err);

/* --- operations --- */

/* Sets the functions of each file in the backend's table. */
void op_functions(struct backend_table *t);
void transfer_functions(struct backend_table *t);
void arena_functions(struct backend_table *t);
void step_functions(struct backend_table *t);
void multi_gpu_functions(struct backend_table *t);

/* In place on the full y, then copied into the slot. */
int op_activate(const struct run *r, void *full, struct error *err);
int op_activation_backward(const struct run *r, struct error *err); /* dy *= act'(y), in the slot */

/* Whether this run of a batch norm needs statistics of all parts of the batch. */
static inline bool op_shares(const struct backend *b, const struct backend_op *op, const struct op_io *io)
{
    return op->d.whole_batch && b->n_parts > 1 && !io->use_moving && (!io->dy.buffer || io->dx[0].buffer);
}

/* The calls of a kind of operation. make describes and plans one, after x, y, n and name are set. */
struct calls {
    int (*make)(struct backend *b, struct backend_op *op, struct error *err);
    int (*forward)(const struct run *r, struct error *err);
    int (*backward)(const struct run *r, struct error *err);
};
extern const struct calls conv_calls, dense_calls, norm_calls, affine_calls, elementwise_calls, pool_calls;
int conv_load(struct backend *b, struct backend_op *op, const float *weights, const float *bias,
              struct error *err);
/* Uploads n floats and converts them to the type of the operation. wide and narrow describe them as floats
 * and in that type. */
int op_constant(struct gpu *g, const struct backend_op *op, const float *values, size_t n,
                cudnnTensorDescriptor_t wide, cudnnTensorDescriptor_t narrow, void *to, struct error *err);

/* --- choosing plans (cuda_plans.c) --- */

int plans_open(struct backend *b, struct error *err);
/*
 * Chooses a plan for g that is repeatable, has the wanted precision, and needs no more workspace than the
 * limit: the remembered plan, or the fastest of the first few. *out has one plan for each GPU; plans_free
 * releases them. Returns 0, 1 when cuDNN has no such plan (err is not changed), or -1 with err set.
 */
int plan_choose(struct backend *b, const struct conv_graph *g, const char *subject, struct graph_plan **out,
                struct error *err);
void plans_free(struct backend *b, struct graph_plan *p);

/* --- upload and download (cuda_transfer.c) --- */

/* Copies n_bytes from the host to the address `to` on GPU g. The copy is queued on the GPU's compute stream.
 * values may be changed after the call. */
int gpu_upload(struct gpu *g, void *to, const void *values, size_t n_bytes, struct error *err);
/* Returns how many pictures of a batch of n one of the k GPUs computes: n / k. */
int images_per_gpu(const struct backend *b, int n);

/* --- steps for which the host does not wait (cuda_step.c) --- */

void step_forget(struct backend *b); /* drops the recorded step */
/* Sets minus_rate on each GPU, if the rate has changed. */
int card_rate(struct backend *b, float rate, struct error *err);

/* --- flat arenas (cuda_optimizer.c) --- */

/* Sets *out to the address of s in the 16-bit copy of its buffer on that GPU. The update of the copy is
 * queued. */
int arena_narrow(struct backend *b, int gpu, const struct slot *s, const void **out, struct error *err);
/* Returns the address at which a convolution stores its dw when there is only one GPU. */
int arena_gather(struct gpu *g, const struct slot *s, void **out, struct error *err);
/* Adds what was gathered. Called before anything else reads or writes the buffer. */
int arena_settle(struct backend *b, struct backend_buffer *buffer, struct error *err);
/* to be called when any code but an operation has changed the buffer */
void arena_changed(struct backend_buffer *buffer);
/* to be called when all buffers, or unknown ones, have changed */
static inline void arenas_changed(struct backend *b) { b->arenas++; }
/* Computes y = 0, y = x, a = |x|, y *= a, or y += a x over n values. a is on the host, or on the card, which
 * needs no wait. */
enum arena_call { ARENA_ZERO, ARENA_COPY, ARENA_NORM, ARENA_SCALE, ARENA_AXPY };
int arena_call(struct gpu *g, enum arena_call what, bool on_card, size_t n, float *a, const float *x,
               float *y, struct error *err);

/* --- several GPUs (cuda_multi_gpu.c) --- */

int multi_gpu_open(struct backend *b, struct error *err);
void multi_gpu_close(struct backend *b);
/* Queues: n floats become their mean over all parts of the batch. */
int multi_gpu_mean(struct backend *b, struct slot x, size_t n, struct error *err);

#endif
