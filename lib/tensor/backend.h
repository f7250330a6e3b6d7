/*
 * backend.h: the interface between the engine and a device: one table of functions on buffers whose layout
 * only the device knows.
 *
 * The engine (engine.h) plans a network once: which values exist, how long each must be kept, its offset in
 * one arena, and which layers are folded or fused. For every operation of that plan a backend makes a
 * `backend_op` once (descriptors, the chosen algorithm, packed constant weights). It then runs this operation
 * many times on slots, which are ranges in the arenas. There are three backends: `ref` (plain loops, with
 * which the others are compared), `cpu` (oneDNN and kernels of our own), and `cuda` (cuDNN and cuBLAS, a
 * plug-in that is opened at run time).
 *
 * Each backend chooses its own layouts. The engine asks how many bytes a tensor or parameter takes, and all
 * data go in and out by the upload and download functions, which use NHWC and Keras' layouts of weights in
 * float32. A shape always has the same layout, so that every operation can read what any other wrote.
 * Operations are queued: only sync and the download functions wait for them. Two threads must not call
 * anything here at the same time on one open device. All functions of type int return 0, or -1 with err set.
 */
#ifndef WINNOW_TENSOR_BACKEND_H
#define WINNOW_TENSOR_BACKEND_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define BACKEND_ABI 11    /* raised when the table changes: a plug-in of another number is refused */
#define BACKEND_ALIGN 256 /* the offset of every slot in its buffer is a multiple of this many bytes */
#define OP_MAX_INPUTS 8

/* The precision of multiplications. Parameters stay float32. Maps stay float32 except in bf16 and fp16. */
enum backend_precision { PRECISION_F32, PRECISION_TF32, PRECISION_BF16, PRECISION_F16 };
static inline const char *precision_name(enum backend_precision p)
{
    static const char *const names[] = {"fp32", "tf32", "bf16", "fp16"};
    return names[p];
}
static inline bool precision_is_short(enum backend_precision p) { return p >= PRECISION_BF16; }

enum { BACKEND_MAX_DEVICES = 8 };
struct card_numbers { /* of a described card */
    int capability;   /* 90 is 9.0 */
    int sms, clock_khz;
    size_t memory_bytes;
    char name[256];
};

struct backend_options {
    unsigned threads; /* 0 = as many as the process may use; ignored by cuda */
    int device_index; /* which GPU */
    enum backend_precision precision;
    bool deterministic; /* use only algorithms that give the same bits each time; the engine always sets it */
    /* cuda: the properties of a card as JSON text (cuda_cards.h). No card is opened; operations can be
     * created and queried for the described card, but not run. NULL: open a card */
    const char *described;
    /* cuda, set by backend_open: the properties in described, and the GPUs in WINNOW_CUDA_DEVICES
     * ("0,1,2"), which share each batch */
    struct card_numbers card;
    int devices[BACKEND_MAX_DEVICES], n_devices;
};

struct cuda_library;   /* cuda_libraries.h */
struct backend;        /* an open device */
struct backend_buffer; /* a piece of its memory */
struct backend_op;     /* a planned operation */

/* A range in a buffer. The offset is in bytes; buffer NULL means that the slot is absent. */
struct slot {
    struct backend_buffer *buffer;
    size_t offset;
};

/*
 * n x h x w x c values. h = w = 1 when there is a vector for each picture. A slice of the channels of a wider
 * tensor, the parent, has parent_c and first_c. Its slot is that of the parent, and its first value is
 * channel first_c of the parent. In this way, concatenations need no copies. For whole tensors parent_c = c
 * and first_c = 0. Only y and dy may be slices. Pictures are stored one after another: picture i begins at
 * offset i * tensor_bytes(one picture). A part of a batch is therefore a slot as well, but its offset may be
 * a multiple of only 4 bytes.
 */
struct tensor_shape {
    int n, h, w, c;
    int parent_c, first_c;
    /* Above 0: the tensor is quantised, with one byte for each value, and value = (byte - zero) * scale. Only
     * backends with has_int8 support it. A slice has the scale and zero of its parent. */
    float scale;
    int zero;
};

static inline size_t shape_row_values(const struct tensor_shape *s) /* of one picture */
{
    return (size_t)s->h * (size_t)s->w * (size_t)s->c;
}
static inline size_t shape_values(const struct tensor_shape *s) { return (size_t)s->n * shape_row_values(s); }

enum param_kind {
    PARAM_CONV,      /* Keras [kh,kw,cin,cout]; cin is that of one group */
    PARAM_DEPTHWISE, /* Keras [kh,kw,cin,cout], cout = depth multiplier */
    PARAM_DENSE,     /* Keras [cin,cout], kh = kw = 1 */
    /* [cout]: biases, gamma, beta, moving mean and variance; plain float32, kh = kw = cin = 1 */
    PARAM_VECTOR
};
struct param_shape {
    enum param_kind kind;
    int kh, kw, cin, cout;
};
static inline size_t param_shape_values(const struct param_shape *p)
{
    return (size_t)p->kh * (size_t)p->kw * (size_t)p->cin * (size_t)p->cout;
}

enum op_kind {
    OP_CONV,       /* y = act(conv(x, w) + bias), cross-correlation */
    OP_DEPTHWISE,  /* convolves each channel c by itself, into the channels c*multiplier + m of y */
    OP_DENSE,      /* y = act(x w + bias), x and y are vectors */
    OP_BATCH_NORM, /* with the batch's statistics: y = act(gamma * (x - mean)/sqrt(var + eps) + beta) */
    /* A frozen batch norm that could not be folded into a convolution: y = act(x *
     * weights[c] + bias[c]), constants. */
    OP_AFFINE,
    OP_ACTIVATION, /* y = act(x) */
    /* y = curve(x): activations whose derivative cannot be computed from their value. They are never
     * fused. */
    OP_CURVE,
    OP_MAX_POOL,
    OP_AVERAGE_POOL,        /* padding counts neither as a value nor in the divisor */
    OP_GLOBAL_AVERAGE_POOL, /* y is a vector */
    /* x[i] becomes the channels from first_c[i] on of y (only for inputs that could not be written in
     * place). If x or y is quantised, values are converted to the scale of y. */
    OP_CONCAT,
    OP_ADD, /* y = act(sum of x[i]) */
    OP_ZERO_PAD,
    OP_RESIZE,   /* bilinear, or the nearest pixel */
    OP_CHANNELS, /* selects channels of x in the order that channels_of gives */
    OP_RESHAPE,  /* the same values in NHWC order with another shape (only when reshape_is_free is false) */
    OP_MULTIPLY, /* y = x * mask for vectors: dropout, where the mask is 0 or 1/(1-rate) */
    /* y = x[0] * x[1]. x[1] has the same size, or is a vector that is used for all pixels of its picture. */
    OP_PRODUCT,
    OP_SCALE,   /* y = x * w[c] + bias[c] with trainable w and bias, which have scale_c and bias_c values */
    OP_SOFTMAX, /* over channels; forward only (the engine computes the gradient of the loss on the host) */
    OP_KINDS
};
enum op_activation { OP_LINEAR, OP_RELU, OP_RELU_CAPPED, OP_SIGMOID };
enum op_curve { /* OP_CURVE; curves.h has the formulas */
                CURVE_RELU,
                CURVE_TANH,
                CURVE_SILU,
                CURVE_GELU,
                CURVE_GELU_TANH,
                CURVE_ELU,
                CURVE_SELU,
                CURVE_CELU,
                CURVE_SOFTPLUS,
                CURVE_SOFTSIGN,
                CURVE_EXPONENTIAL,
                CURVE_MISH,
                CURVE_LOG_SIGMOID,
                CURVE_HARD_SIGMOID,
                CURVE_HARD_SWISH,
                CURVE_HARD_TANH,
                CURVE_CLIP
};

/* The constant properties of an operation. Strides, dilations (1 = dense) and pads are in pixels. */
struct op_desc {
    enum op_kind kind;
    const char *name; /* name of the layer, for error messages; borrowed until op_create returns */
    int n_x;
    struct tensor_shape x[OP_MAX_INPUTS], y;
    int kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    int pad_top, pad_left, pad_bottom, pad_right;
    /* Fused after the operation. Allowed for CONV DEPTHWISE DENSE BATCH_NORM AFFINE ACTIVATION ADD. */
    enum op_activation activation;
    float activation_max; /* OP_RELU_CAPPED: min(max(v, 0), activation_max) */
    bool nearest;         /* RESIZE */
    /* RESIZE, nearest: output pixel i is input pixel i * in / out instead of (i + 0.5) * in / out */
    bool from_corner;
    int pick_first, pick_step, pick_groups, pick_span; /* CHANNELS: op_channel */
    enum op_curve curve;                               /* CURVE */
    float curve_at[3];                                 /* CURVE: the parameters; see curves.h */
    /* CONV: the output channels from k*(y.c/groups) on read only the k-th part of x's channels; 0 means 1 */
    int groups;
    int scale_c, bias_c; /* SCALE: 0 = absent, 1 = the same for all channels, else y.c */
    bool has_bias;       /* CONV, DEPTHWISE, DENSE */
    /* CONV, DEPTHWISE with quantised x: the constant weights are integers from -64 to 64. The bias of
     * op_load then has y.c scales of the weights, followed by y.c biases. y is quantised or float. */
    bool whole_weights;
    bool has_gamma, has_beta; /* BATCH_NORM */
    double epsilon;           /* BATCH_NORM */
    /* BATCH_NORM: where the device sums over the parts of the batch (sum_begin), its statistics are those of
     * all of them */
    bool whole_batch;
    /* CONCAT. Channels of y that no x[i] covers are not changed, because other operations write them. */
    int first_c[OP_MAX_INPUTS];
    /* CONV DEPTHWISE DENSE AFFINE: op_load sets the weights once; otherwise each run has them in the slots w
     * and bias */
    bool constant_weights;
    bool training;           /* backward will be called after forward */
    bool needs_dx, needs_dw; /* whether backward must compute the gradient of x, and of the parameters */
    bool adds_dx;            /* CONV, DEPTHWISE: backward adds to dx[0] (op_io.accumulate[0] is then set) */
};

/*
 * For a batch norm over a batch of which this device has only a part. sum() adds n doubles in place over all
 * parts, which have the same size. It returns no error. If it fails, the engine stores the error, finds it
 * after the operation, and discards the result.
 */
struct op_exchange {
    int n_parts;
    void (*sum)(struct op_exchange *x, double *values, size_t n);
};

/*
 * The slots of one run. Forward reads x, w, bias, gamma, beta and mask, and overwrites y, saved and (batch
 * norm) mean and variance. Backward reads dy, and also x, y (op_backward_reads), w, gamma, saved and mask
 * with the values that they had after forward. It computes dx and the gradients of the parameters. - Backward
 * may overwrite dy, because nothing reads it afterwards. dx never overlaps it. - dx[i] is overwritten, or
 * added to when accumulate is set. It is absent when it is not needed. - dw, dbias (dgamma, dbeta) are
 * overwritten. They have the layout of the parameter (param_bytes), with zero
 *    padding.
 */
struct op_io {
    struct slot x[OP_MAX_INPUTS], y;
    struct slot w, bias;     /* CONV DEPTHWISE DENSE with constant_weights = false; SCALE */
    struct slot gamma, beta; /* BATCH_NORM; absent if the layer has none */
    /* BATCH_NORM: moving statistics, updated by forward: m = momentum*m + (1-momentum)*batch; the batch's
     * variance is multiplied by n/(n-1), as in TensorFlow's fused kernel and cuDNN */
    struct slot mean, variance;
    double momentum; /* momentum of this run (1 = do not change the moving statistics, 0 = replace them) */
    /* BATCH_NORM forward with the moving statistics instead (validation); no backward follows */
    bool use_moving;
    /* BATCH_NORM, if exchanges_statistics: the statistics are those of all parts of the batch; dgamma and
     * dbeta are those of this part. NULL: this device has the whole batch */
    struct op_exchange *exchange;
    /* op_saved_bytes bytes that forward stores for backward (batch mean and scale, pool indices) */
    struct slot saved;
    struct slot mask; /* MULTIPLY: n x c float32, plain */
    struct slot dy;
    struct slot dx[OP_MAX_INPUTS];
    bool accumulate[OP_MAX_INPUTS];
    struct slot dw, dbias; /* BATCH_NORM: dgamma in dw, dbeta in dbias */
};

/* CHANNELS: returns the channel of x[0] that becomes channel c of y. The engine has checked that x[0] has
 * this channel. */
static inline int op_channel(const struct op_desc *d, int c)
{
    return d->pick_first + c / d->pick_groups * d->pick_step + c % d->pick_groups * d->pick_span;
}

static inline int conv_groups(const struct op_desc *d) { return d->groups > 1 ? d->groups : 1; }

enum { BACKWARD_READS_X = 1, BACKWARD_READS_Y = 2 };

/* v = momentum*v - rate*g; p += v, or p += momentum*v - rate*g */
struct sgd_step {
    float rate, momentum;
    bool nesterov;
};
/* Keras: rate corrected by sqrt(1-b2^t)/(1-b1^t), epsilon outside the root. */
struct adam_step {
    float rate, beta1, beta2, epsilon;
    uint64_t step;
};
static inline float adam_rate(const struct adam_step *s)
{
    double t = (double)s->step;
    return (float)(s->rate * sqrt(1 - pow(s->beta2, t)) / (1 - pow(s->beta1, t)));
}

/* One plan that the device's library chose for an operation, for display and tests. */
struct op_plan {
    char what[200]; /* "forward+bias+relu 32x35x35x64 35x35x96/288 k3x3 ... g1 bf16" */
    int64_t engine; /* the library's number for the kernel */
    size_t workspace_bytes;
    bool tensor_core, repeatable;
};

/* A Euclidean norm of n values that the device computes in a step for which the host does not wait. */
struct step_norm {
    struct slot x;
    size_t n;
};
enum { STEP_MAX_NORMS = 64 };

#define RANKS_ID_BYTES 128 /* of the number under which ranks find each other (ranks_id) */

/* Opened backends share this table; it is constant and outlives every device. */
struct backend_table {
    int abi;          /* BACKEND_ABI */
    const char *name; /* "ref", "cpu", "cuda" */

    /* open fails with EX_NODEVICE when the device, its driver or its library does not exist. close waits for
     * queued work and accepts NULL. */
    int (*open)(struct backend **out, const struct backend_options *options, struct error *err);
    void (*close)(struct backend *b);
    const char *(*describe)(const struct backend *b); /* "oneDNN 2.6.3, 2 threads, avx512_core"; owned by b */
    size_t (*memory_available)(const struct backend *b); /* bytes that a plan may use; 0 = unknown */
    /* Writes the properties of the device as JSON, as in backend_options.described. NULL: not supported. */
    int (*card)(struct backend *b, char *json, size_t bytes, struct error *err);

    /* zero-filled */
    int (*alloc)(struct backend *b, size_t bytes, struct backend_buffer **out, struct error *err);
    void (*free)(struct backend *b, struct backend_buffer *buffer);
    int (*sync)(struct backend *b, struct error *err);

    /* --- layouts --- */
    size_t (*tensor_bytes)(const struct backend *b, const struct tensor_shape *whole);
    /* Whether this operation can write y (and read dy) as the slice of channels that d->y
     * describes. Inputs are never slices. */
    bool (*writes_slice)(const struct backend *b, const struct op_desc *d);
    bool (*reshape_is_free)(const struct backend *b, const struct tensor_shape *from,
                            const struct tensor_shape *to);
    size_t (*param_bytes)(const struct backend *b,
                          const struct param_shape *p); /* a multiple of 4: elementwise steps run over all */

    /* --- upload and download. On the host, tensors are NHWC and weights have Keras' layout. n_rows is at
     * most shape.n; an upload sets the other pictures to 0. --- */
    int (*tensor_upload)(struct backend *b, struct slot to, const struct tensor_shape *s, const float *nhwc,
                         int n_rows, struct error *err);
    int (*tensor_upload_u8)(struct backend *b, struct slot to, const struct tensor_shape *s,
                            const uint8_t *nhwc,
                            /* value * scale + offset */
                            int n_rows, float scale, float offset, struct error *err);
    int (*tensor_download)(struct backend *b, struct slot from, const struct tensor_shape *s, float *nhwc,
                           int n_rows, struct error *err);
    int (*param_upload)(struct backend *b, struct slot to, const struct param_shape *p, const float *keras,
                        struct error *err);
    int (*param_download)(struct backend *b, struct slot from, const struct param_shape *p, float *keras,
                          struct error *err);

    /* --- operations --- */
    /* Plans an operation, without large allocations. Fails with EX_UNAVAILABLE when the device cannot run it;
     * the message says why. */
    int (*op_create)(struct backend *b, const struct op_desc *d, struct backend_op **out, struct error *err);
    void (*op_destroy)(struct backend *b, struct backend_op *op);
    unsigned (*op_backward_reads)(
        /* BACKWARD_READS_X | BACKWARD_READS_Y: the values that must be kept until backward */
        const struct backend_op *op);
    size_t (*op_saved_bytes)(const struct backend_op *op);
    size_t (*op_constant_bytes)(const struct backend_op *op); /* what op_load will allocate */
    size_t (*op_workspace_bytes)(
        /* the larger of the workspaces of forward and backward; shared by all operations */
        const struct backend_op *op);
    /* Packs constant weights (Keras layout; bias is NULL when has_bias is false; for AFFINE they are scale
     * and shift). It may be called again with other weights. */
    int (*op_load)(struct backend *b, struct backend_op *op, const float *weights, const float *bias,
                   struct error *err);
    /* Sets *out to the i-th plan of an operation; returns false after the last. NULL: the device's library
     * does not choose plans. */
    bool (*op_plan)(const struct backend_op *op, int i, struct op_plan *out);
    /* workspace: at least the largest op_workspace_bytes of the ops that use it */
    int (*op_forward)(struct backend *b, struct backend_op *op, const struct op_io *io, struct slot workspace,
                      struct error *err);
    int (*op_backward)(struct backend *b, struct backend_op *op, const struct op_io *io,
                       struct slot workspace, struct error *err);

    /* --- flat arenas of n float32 values, any slot --- */
    int (*fill_zero)(struct backend *b, struct slot y, size_t n, struct error *err);
    int (*copy)(struct backend *b, struct slot y, struct slot x, size_t n, struct error *err);
    /* y *= a */
    int (*scale)(struct backend *b, struct slot y, size_t n, float a, struct error *err);
    /* y += a*x */
    int (*axpy)(struct backend *b, struct slot y, struct slot x, size_t n, float a, struct error *err);
    /* waits */
    int (*sum_of_squares)(struct backend *b, struct slot x, size_t n, double *out, struct error *err);
    int (*sgd)(struct backend *b, struct slot p, struct slot g, struct slot v, size_t n,
               const struct sgd_step *s, struct error *err);
    int (*adam)(struct backend *b, struct slot p, struct slot g, struct slot m, struct slot v, size_t n,
                const struct adam_step *s, struct error *err);

    /* --- a training step that the host does not wait for; NULL: the engine computes the loss on the host
     * --- */
    /* Uploads the values that differ from step to step: n x c factors and n x c offsets for loss_gradient
     * (the offsets are stored in dz), and the rate for sgd and adam (step_rate). values may be changed
     * afterwards. */
    int (*step_values)(struct backend *b, struct slot dz, const struct tensor_shape *s, const float *values,
                       float rate, struct error *err);
    /*
     * Calls body, or queues again the work that an earlier call of body queued. For equal keys (n_key
     * numbers) body must queue the same work, without uploads; upload the values that change before, with
     * step_values and tensor_upload. If the work cannot be recorded, body is called in every step, and
     * describe says why.
     */
    int (*run_step)(struct backend *b, const double *key, size_t n_key,
                    int (*body)(void *context, struct error *err), void *context, struct error *err);
    /* computes dz = factor * softmax(z) + offset for n vectors */
    int (*loss_gradient)(struct backend *b, struct slot z, struct slot dz, const struct tensor_shape *s,
                         struct error *err);
    /* Computes the norms and keeps them on the device. clip > 0: norms[0].x is scaled down to that norm if
     * it is larger. */
    int (*keep_norms)(struct backend *b, const struct step_norm *norms, int n_norms, float clip,
                      struct error *err);
    /* Queues the copy of z and of the kept norms to the host. At most two steps may be in progress. */
    int (*queue_results)(struct backend *b, struct slot z, const struct tensor_shape *s, int n_norms,
                         struct error *err);
    /* Waits for the oldest of these copies, and returns z [n x c] and the norms. */
    int (*take_results)(struct backend *b, float *z, float *norms, struct error *err);

    /* --- sums over the parts of a batch: the GPUs of this device, and after ranks_join those of all ranks;
     * NULL: the device is always one part --- */
    /* How many bytes are worth a sum of their own while the backward pass continues; 0: there is one part. */
    size_t (*sum_bytes)(const struct backend *b);
    /* Queues: n floats become their sum, or their mean, over all parts, after everything that was queued
     * before. All parts make the same calls in the same order. */
    int (*sum_begin)(struct backend *b, struct slot x, size_t n, bool mean, struct error *err);
    /* What is queued from now on comes after these sums. */
    int (*sum_end)(struct backend *b, struct error *err);
    /* Finds what the device needs to join other ranks; make: fills id, which the caller sends to the other
     * ranks. EX_NODEVICE: it is not there. */
    int (*ranks_id)(struct backend *b, bool make, char id[RANKS_ID_BYTES], struct error *err);
    /*
     * Joins n_ranks devices, on all ranks at once. wait is kept, and called whenever other ranks may keep
     * this one waiting: it returns 0 when ranks_test says done, and -1 when a rank is lost.
     */
    int (*ranks_join)(struct backend *b, const char *id, int rank, int n_ranks,
                      int (*wait)(void *context, struct error *err), void *context, struct error *err);
    /* done: the last call was accepted; finished: everything that was queued has run, too. Does not wait.
     * EX_TEMPFAIL: another rank is gone. */
    int (*ranks_test)(struct backend *b, bool finished, bool *done, struct error *err);
    /* Ends sums that wait for a lost rank, so that the device can be read again. */
    void (*ranks_leave)(struct backend *b);

    /* the address of a slot in host memory; NULL: buffers are not host memory */
    float *(*host_memory)(struct slot s);
    /* dw of CONV and DEPTHWISE must be 0 before op_backward. The device may accumulate the gradient
     * elsewhere, and add it to the arena only when it is read */
    bool gradients_from_zero;
    /* Adjacent batch norms before a concatenation run as one operation, which makes operations fewer and
     * larger without copies. */
    bool joins_norms;
    /* Whether this CONV, which no backward follows, may have a second input of y's shape, which is added
     * before the activation. NULL: none may. */
    bool (*adds_in_conv)(const struct backend *b, const struct op_desc *d);
    /* There is no CURVE: those that are products with a sigmoid, or with a line cut off at 0 and 1, are
     * planned as such. */
    bool gates_curves;
    bool exchanges_statistics; /* op_io.exchange works */
    /* The frozen part runs over the whole batch at once, and not in chunks that fit into a processor's
     * cache. */
    bool whole_batches;
    bool has_int8; /* quantised tensors are supported, and the operations that plan_int8.c makes for them */
};

/* --- finding a backend (backend.c) --- */

/*
 * Opens "ref", "cpu" or "cuda", or for "auto" (NULL, "") the first of cuda, cpu and ref that can be opened.
 * Fails with EX_NODEVICE for a backend that was not built ("built without oneDNN", "built without CUDA:
 * ..."), and with EX_USAGE for an unknown name. The table is valid until the process ends. cuda is the
 * plug-in "winnow-cuda.so", which exports `const struct backend_table *winnow_backend(void)`. It is opened
 * with dlopen from the folder of the running program, from ../lib/winnow beside it, or from
 * $WINNOW_PLUGIN_DIR. cuda_libraries.h says where its libraries are searched.
 */
int backend_open(const char *name, const struct backend_options *options, const struct backend_table **table,
                 struct backend **out, struct error *err);

/* Returns the *n libraries with which cuda is (or would be) opened, to show them to the user. *n is 0 in a
 * build without cuda. */
const struct cuda_library *backend_cuda_libraries(size_t *n);

extern const struct backend_table backend_ref;
const struct backend_table *backend_cpu(void); /* NULL in a build without oneDNN */

#endif
