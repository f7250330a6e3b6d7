/*
 * engine.h: runs a network (net.h) on a device: inference, training steps, optimisers, state for
 * checkpoints.
 *
 * engine_open plans the whole computation: which layers are needed between the chosen inputs and outputs,
 * which batch norms are folded into frozen convolutions, which activations are fused, and which
 * concatenations are written in place. Each value gets an offset in one arena, whose memory is reused;
 * gradients are planned only where an unlocked layer needs them. A run later makes no decisions and allocates
 * no memory. In a training engine, all layers before the first unlocked one run as an inference plan.
 *
 * The same net, options, seed and inputs give the same bits on the same device and machine with the same
 * number of threads. One thread at a time may use an engine. Several engines can be open at once; they share
 * no memory.
 *
 *     struct engine_options o = ENGINE_DEFAULTS;
 *     o.device = "cpu"; o.batch = 32; o.mode = ENGINE_TRAIN;
 *     engine_open(&e, &net, &o, &err);
 *     for (;;) { engine_train_step(e, &batch, &step, &result, &err); ... }
 *     engine_read_net(e, ENGINE_WEIGHTS, &net, &err);
 */
#ifndef WINNOW_TENSOR_ENGINE_H
#define WINNOW_TENSOR_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "dist/dist.h"
#include "net/net.h"
#include "net/net_int8.h"
#include "tensor/backend.h"

struct engine;

enum engine_mode {
    ENGINE_INFERENCE, /* every layer is frozen, whatever its flag; no dropout; batch norms are folded */
    ENGINE_TRAIN      /* layers with `trainable` learn; their batch norms use the batch's statistics */
};
enum engine_optimizer { ENGINE_SGD, ENGINE_ADAM };

struct engine_options {
    const char *device; /* "auto", "cpu", "ref", "cuda" */
    unsigned threads;   /* 0 = all processors that the process may use */
    int device_index;
    enum backend_precision precision;
    int batch; /* largest number of pictures in a run */
    enum engine_mode mode;
    enum engine_optimizer optimizer; /* determines which state is allocated (ENGINE_TRAIN) */
    bool ema;                        /* keep an exponential moving average of the unlocked weights */
    /* Layers whose outputs the caller supplies instead of the picture (borrowed during open). n_inputs 0
     * means the picture. They must cut every path from the picture to the outputs. */
    const int *inputs;
    int n_inputs;
    /* Layers whose outputs can be read after a forward pass. n_outputs 0 means the net's output. In
     * ENGINE_TRAIN the net's output must end in a softmax and is always computed; these are additional. */
    const int *outputs;
    int n_outputs;
    /*
     * Ranks that share each batch (ENGINE_TRAIN). NULL: a single process. `batch` is then the part of this
     * rank. Loss, accuracy and gradient are those of the whole batch, and after each step all ranks have the
     * same weights, bit for bit. With sync_statistics, unlocked batch norms use the statistics of the whole
     * batch. Without it they use those of each rank's part, and the moving statistics become the mean over
     * the ranks.
     */
    struct dist *dist;
    bool sync_statistics;
    /* The layers to compute with 8-bit integers (ENGINE_INFERENCE; borrowed during open). NULL: all layers
     * are computed in floats. engine_open fails with EX_NODEVICE when the device does not support
     * integers. */
    const struct net_int8 *int8;
    /* The net itself, if the caller does not need its weights after open (ENGINE_INFERENCE). The weights of
     * each layer are then freed when they are packed, so that there are never two copies of all weights. Call
     * net_drop_weights afterwards, whatever open returns. NULL: the net is only read. */
    struct net *spent;
    /* Refuse a plan that needs more memory (EX_OSERR; the message names the largest batch that fits). 0:
     * the memory of the machine. */
    size_t memory_limit_bytes;
    /* Keep the input on the device: a batch with neither pixels nor values uses the previous input again.
     * For measurements; only on devices that run whole batches at once. */
    bool keeps_input;
};
#define ENGINE_DEFAULTS ((struct engine_options){.device = "auto", .batch = 32})

/*
 * The boundary of a net is where its frozen part ends: the frozen layers whose outputs the unlocked part
 * reads. A layer is unlocked when it has weights and is `trainable`, or when it depends on such a layer. For
 * InceptionV3 with only the head unlocked the boundary is {flatten_1}, and unlocked from conv2d_56 on it is
 * {mixed5, activation_55}. A cache of features has the outputs of the boundary: they are outputs of an
 * ENGINE_INFERENCE engine, and inputs of an ENGINE_TRAIN engine. *layers is in the order of the net,
 * malloc'ed, and freed by the caller. When all layers are trainable it is {the input layer}; when none is,
 * the function fails with EX_DATAERR.
 */
int engine_boundary(const struct net *net, int **layers, int *n_layers, struct error *err);

/*
 * Finds the layers of a network that an inference engine can compute with 8-bit integers. group[layer] is -1
 * for a layer that stays float; layers with the same number must have the same scale and zero (such as the
 * inputs of a concatenation, or a pool and its input). kernel[layer]: the layer is a convolution whose
 * weights can be integers. Both arrays have n_layers elements. EX_DATAERR: the network cannot be planned.
 */
int engine_int8_sites(const struct net *net, int *group, bool *kernel, struct error *err);

/*
 * Plans the computation and allocates its memory. The net is copied where needed, and may be changed or
 * released afterwards. Returns 0, or -1 with err set. EX_NODEVICE: there is no such device. EX_DATAERR: the
 * engine cannot run a layer, which the message names. EX_OSERR: memory is missing; the message says how much
 * is needed and which batch would fit.
 */
int engine_open(struct engine **out, const struct net *net, const struct engine_options *options,
                struct error *err);
void engine_close(struct engine *e); /* NULL is fine */

/*
 * With options.dist in ENGINE_TRAIN: every rank calls it once, after engine_open has succeeded on all.
 * A device with memory of its own joins those of the other ranks, so that it sums with them (cuda: NCCL).
 * Where one of them cannot, all send their gradients through the host, and *why (else empty) gives the
 * reason, the same on all ranks.
 */
int engine_join_ranks(struct engine *e, struct error *why, struct error *err);

/* Computes from the plan how many bytes engine_open would allocate (arenas, weights, workspace). */
int engine_memory_need(const struct net *net, const struct engine_options *options, size_t *bytes,
                       struct error *err);
size_t engine_memory_bytes(const struct engine *e);
/* the name of the device, for example "cpu" when the options say "auto" */
const char *engine_device(const struct engine *e);
const char *engine_description(const struct engine *e); /* "oneDNN 2.6.3, 2 threads, avx512_core" */

/* --- running --- */

struct engine_batch {
    int n; /* pictures, 1..batch. Rows from n on are ignored; a training engine with unlocked batch norms
              takes only n = batch (their statistics would see the padding): EX_USAGE otherwise */
    const uint8_t *pixels; /* n x h x w x 3 bytes NHWC, scaled by the net's metadata; or NULL and */
    int n_whole;           /* with ranks: pictures of all ranks together, and */
    /* where this rank's begin among them; 0: n, and 0. n = 0 is then allowed while n_whole > 0 */
    int first_row;
    const float *const
        /* one array for each input (in the order of options.inputs, or the picture already scaled): n x
         * its size, NHWC */
        *values;
};

/* Runs inference with the current weights. In ENGINE_TRAIN unlocked batch norms use their moving statistics,
 * and there is no dropout. */
int engine_forward(struct engine *e, const struct engine_batch *in, struct error *err);

/* Copies output i of the last run to out: n x size floats, NHWC. i is an index in options.outputs; when that
 * is empty, 0 is the net's output. */
int engine_output(struct engine *e, int i, float *out, struct error *err);
size_t engine_output_size(const struct engine *e, int i); /* floats per picture */

struct engine_target {
    const float *targets; /* n x classes, each row summing to 1: one-hot, smoothed or mixed */
    const float *weights; /* n row weights (class weights), or NULL = 1 */
};
struct engine_step { /* one optimiser step; fill with ENGINE_STEP_DEFAULTS first */
    double rate;
    double momentum;
    bool nesterov;                /* SGD */
    double beta1, beta2, epsilon; /* Adam */
    /* scale the gradient down to this global norm (L2 part included); 0 = off */
    double clip_norm;
    double ema_decay; /* with options.ema: ema = decay*ema + (1-decay)*weights after the step */
    uint64_t seed;    /* dropout: the mask is a function of (seed, step, layer, element) */
    /* number of the step over the whole training, from 0; Adam's t is step + 1 */
    uint64_t step;
};
#define ENGINE_STEP_DEFAULTS                                                                                 \
    ((struct engine_step){.rate = 0.001,                                                                     \
                          .momentum = 0.9,                                                                   \
                          .beta1 = 0.9,                                                                      \
                          .beta2 = 0.999,                                                                    \
                          .epsilon = 1e-7,                                                                   \
                          .ema_decay = 0.999})
struct engine_result {
    double loss;          /* data_loss + l2_loss, before the step */
    double data_loss;     /* (1/n) sum of row weight * cross-entropy */
    double l2_loss;       /* sum over unlocked layers of l2 * sum w^2 */
    double gradient_norm; /* global, before clipping; in fp16 without the factor that keeps it in range */
    int n_correct;        /* rows whose largest target is the largest probability */
    /* false: the loss or the gradient norm is NaN or infinite. The weights are unchanged, or, if
     * engine_steps_ahead is not 0, damaged by a later step that had already begun */
    bool finite;
};

/*
 * Runs one training step: forward pass (with batch statistics and dropout), loss, backward pass, and one step
 * of the optimiser. When the result is not finite, the optimiser's step is left out (only the statistics of
 * batch norms have changed), and 0 is returned. The caller must then stop the run, or return to a checkpoint.
 */
int engine_train_step(struct engine *e, const struct engine_batch *in, const struct engine_target *target,
                      const struct engine_step *step, struct engine_result *result, struct error *err);

/*
 * Do the same without waiting. begin queues a step, and end returns the result of the oldest step that has
 * not ended. Up to engine_steps_ahead() further steps may begin before end is called, so that the device has
 * work while the host handles results. (It is 0 with ranks, where begin does all the work.) The arguments of
 * begin may be changed after it returns. engine_probabilities returns those of the step that ended last.
 */
int engine_train_begin(struct engine *e, const struct engine_batch *in, const struct engine_target *target,
                       const struct engine_step *step, struct error *err);
int engine_train_end(struct engine *e, struct engine_result *result, struct error *err);
int engine_steps_ahead(const struct engine *e);

/* Do the same in two parts. engine_gradients runs forward pass, loss and backward pass, and leaves the
 * gradient, with its L2 part, in the gradient arena. engine_apply runs the step of the optimiser. */
int engine_gradients(struct engine *e, const struct engine_batch *in, const struct engine_target *target,
                     const struct engine_step *step, struct engine_result *result, struct error *err);
int engine_apply(struct engine *e, const struct engine_step *step, struct engine_result *result,
                 struct error *err);

/* Copies the probabilities (n x classes) of the last forward, gradients or train_step run to out. */
int engine_probabilities(struct engine *e, float *out, struct error *err);

/*
 * Recompute the moving statistics of unlocked batch norms. After begin, each run is a forward pass with the
 * statistics of its batch (no dropout, no gradient). The moving statistics become the mean over all runs so
 * far.
 */
int engine_refresh_begin(struct engine *e, struct error *err);
int engine_refresh_run(struct engine *e, const struct engine_batch *in, struct error *err);
/* whether there is an unlocked batch norm, for which a refresh is useful */
bool engine_has_batch_norm(const struct engine *e);

/* --- state --- */

/*
 * The state as flat float32 arrays for checkpoints. They are in the order of the net and in Keras' layouts,
 * and therefore the same for every device. With this state, and the step number and seed of the caller, a run
 * continues with the same bits on the same device and machine with the same number of threads.
 */
enum engine_state {
    ENGINE_WEIGHTS,     /* unlocked kernels, biases, gammas, betas */
    ENGINE_STATISTICS,  /* moving mean and variance of unlocked batch norms */
    ENGINE_OPTIMIZER_1, /* SGD velocity, Adam m; size of ENGINE_WEIGHTS */
    ENGINE_OPTIMIZER_2, /* Adam v; size 0 with SGD */
    ENGINE_EMA,         /* size 0 without options.ema; starts as the weights */
    ENGINE_GRADIENTS,   /* gradients of the last engine_gradients; for tests */
    ENGINE_STATES
};
size_t engine_state_size(const struct engine *e, enum engine_state which); /* floats */
int engine_state_get(struct engine *e, enum engine_state which, float *out, struct error *err);
int engine_state_set(struct engine *e, enum engine_state which, const float *values, struct error *err);

/*
 * Writes the current unlocked weights (which = ENGINE_WEIGHTS or ENGINE_EMA) and the moving statistics into a
 * net with the same topology (the one that was opened, or a copy), to save it as a model. Frozen weights of
 * the net are not changed.
 */
int engine_read_net(struct engine *e, enum engine_state which, struct net *net, struct error *err);

/* Loads all weights, including frozen ones, from a net with the same topology. The state of the optimiser
 * is not changed. */
int engine_write_net(struct engine *e, const struct net *net, struct error *err);

#endif
