/*
 * engine_internal.h: the plan of an engine. The layers of a net become nodes (coarse operations, folded and
 * fused) over values. Values are in storages, and storages have offsets in one arena.
 *
 * There are two segments. Segment 0 runs over `chunk` pictures at a time, as often as the batch has chunks:
 * it is the whole net of an inference engine, or the frozen part of a training engine. It needs memory for a
 * few pictures only. Segment 1 runs once over the whole batch: it is the part that learns. A storage that
 * segment 1 or the caller reads has space for the whole batch.
 */
#ifndef WINNOW_TENSOR_ENGINE_INTERNAL_H
#define WINNOW_TENSOR_ENGINE_INTERNAL_H

#include "tensor/engine.h"

#define NO (-1)
#define TIME_END 1000000000 /* a storage that lives until the engine is closed */

struct storage {
    struct tensor_shape whole; /* n = rows: batch or chunk; n = 0 for raw bytes (saved state, masks) */
    size_t bytes, row_bytes;
    int begin, end; /* first and last step of the plan that reads or writes it; begin = -1: not used */
    size_t offset;  /* in the arena */
    bool whole_batch;
    int gradient; /* storage of its gradient, or NO */
};

struct value { /* a layer's output as some operation sees it */
    int layer;
    int storage;               /* NO until decided */
    struct tensor_shape shape; /* n = 0; parent_c and first_c say which slice of the storage */
    int producer;              /* index of a node, or NO when the caller supplies the value */
    bool needs_gradient;
    int segment; /* segment of its producer, or of its readers when the caller supplies it */
};

enum { P_KERNEL, P_BIAS, P_GAMMA, P_BETA, P_MEAN, P_VARIANCE, P_SLOTS };

struct node {
    struct op_desc d;
    int x[OP_MAX_INPUTS], y; /* values */
    int segment;
    bool backward;    /* the node is between the loss and a layer that learns */
    int weight_layer; /* net layer of kernel and bias, or NO */
    /* net layer of the batch norm that is folded into the node or that the node (BATCH_NORM, AFFINE) is, or
     * NO */
    int norm_layer;
    int param[P_SLOTS]; /* index in plan.params (of the first, where joined), NO where constant or absent */
    double momentum, rate; /* BATCH_NORM; MULTIPLY */
    float line[2];         /* AFFINE without weights of a layer: y = line[0] * x + line[1] */
    bool joined;           /* BATCH_NORM: the node computes the batch norms of several layers (plan_join.c) */
    int saved, mask;       /* storages */
    struct backend_op *op;
};

struct param {
    int layer, weight; /* net->layers[layer].weights[weight] */
    struct param_shape shape;
    size_t n_values;      /* in Keras layout */
    size_t offset, bytes; /* in the arena of weights, or of statistics */
    bool statistic;
    double l2;
    int next; /* the parameter that lies right after it in memory, for a joined node; or NO */
};

struct plan {
    struct value *values;
    size_t n_values, cap_values;
    struct storage *storages;
    size_t n_storages, cap_storages;
    struct node *nodes;
    size_t n_nodes, cap_nodes; /* segment 0 first, each in net order */
    struct param *params;
    size_t n_params, cap_params; /* net order */
    int *fed;
    int n_fed; /* values the caller supplies, in options.inputs order (or the picture) */
    int *taps;
    int n_taps;         /* values the caller may read */
    int logits, output; /* values; logits = NO without a softmax at the end */
    int batch, chunk, n_classes;
    size_t arena_bytes, weights_bytes, statistics_bytes, workspace_bytes, constant_bytes;
    bool has_batch_norm, has_l2, keeps_input;
};

/* Whether this dropout has an effect in training. Only dropouts on vectors have; those within a base would
 * drop whole maps or blocks, and are not applied. */
static inline bool plan_drops(const struct net_layer *l)
{
    const struct net_shape *s = &l->output;
    return l->kind == LAYER_DROPOUT && l->rate > 0 &&
           (s->rank == 1 || (s->rank == 3 && s->dim[0] == 1 && s->dim[1] == 1));
}

/* plan_graph.c: creates values and nodes from the net. It uses only writes_slice and reshape_is_free of the
 * backend. */
int plan_build(struct plan *p, const struct net *net, const struct engine_options *o,
               const struct backend_table *t, const struct backend *b, struct error *err);
/*
 * plan_join.c: joins batch norms before a concatenation. Adjacent inputs among x[*n] that are outputs of
 * batch norms are replaced by one value, which one batch norm computes for all their channels. alone[layer]:
 * only one layer reads this layer. movable[i]: only the concatenation reads x[i].
 */
int plan_join_norms(struct plan *p, const struct backend_table *t, const struct backend *b, const bool *alone,
                    int *x, bool *movable, int *n, struct error *err);

/* plan_memory.c: creates the backend's operations, computes sizes, lifetimes and offsets of the storages, and
 * lays out the parameters. */
int plan_finish(struct plan *p, const struct engine_options *o, const struct backend_table *t,
                struct backend *b, struct error *err);
void plan_release(struct plan *p, const struct backend_table *t, struct backend *b);

static inline struct backend_options engine_backend_options(const struct engine_options *o, const char *card)
{
    return (struct backend_options){.threads = o->threads,
                                    .device_index = o->device_index,
                                    .precision = o->precision,
                                    .deterministic = true,
                                    .described = card};
}

/* engine_outlook.c: returns the number of bytes that an engine with this plan allocates. */
size_t plan_bytes(const struct plan *p, const struct engine_options *o);
/* Sets EX_OSERR: how much memory is missing, and which batch would fit. */
int plan_too_large(const struct net *net, const struct engine_options *o, const struct backend_table *t,
                   struct backend *b, size_t need, size_t limit, struct error *err);

struct exchange { /* the context of op_io.exchange */
    struct op_exchange x;
    struct dist *dist;
    struct error err; /* error of the first sum that failed; the engine checks it after each operation */
};

/* A step that has begun. queued: its results are still being copied; otherwise they are in `result`. */
struct begun_step {
    bool queued;
    int n, n_whole;
    float *targets, *weights; /* [batch x classes], [batch] */
    bool weighted;
    struct engine_result result;
};

struct engine {
    const struct backend_table *table;
    struct backend *backend;
    struct engine_options options;
    struct plan plan;
    float input_scale, input_offset;
    struct backend_buffer *arena, *workspace, *weights, *gradients, *state[2], *ema, *statistics;
    size_t bytes;
    /* host, for the loss and dropout; targets_gradient has room for factors and offsets (step_values) */
    float *logits, *probabilities, *targets_gradient, *mask;
    struct begun_step begun[2];
    int first_begun, n_begun;
    size_t mask_values;
    bool joined;        /* the device sums with those of other ranks */
    size_t *final_from; /* [n_nodes], with several parts: see engine_ranks.c */
    /* Gradients or statistics of a device whose memory is not host memory, on their way between ranks. */
    float *flat;
    struct exchange exchange;
    int rows;                 /* of the last run */
    bool probabilities_ready; /* the host copy is up to date */
    uint64_t refresh_runs;
    int n_layers; /* number of layers of the net; a net with another number is refused */
};

/* engine.c, for the training half */
struct slot engine_slot(const struct engine *e, int storage);
struct tensor_shape engine_shape(const struct engine *e, int value, int rows);
/* RUN_AGAIN: as RUN_TRAIN, but the moving statistics stay */
enum run_kind { RUN_INFERENCE, RUN_TRAIN, RUN_AGAIN, RUN_REFRESH };
int engine_run_forward(struct engine *e, const struct engine_batch *in, enum run_kind kind,
                       const struct engine_step *step, struct error *err);
/* The two halves of a run: the upload of the input (if the device has run_step, of the whole batch), then the
 * layers. */
int engine_feed(struct engine *e, const struct engine_batch *in, enum run_kind kind,
                const struct engine_step *step, struct error *err);
int engine_compute(struct engine *e, const struct engine_batch *in, enum run_kind kind,
                   const struct engine_step *step, struct error *err);
void engine_node_io(const struct engine *e, const struct node *n, int chunk_index, struct op_io *io);
/* engine_ranks.c: combines the gradients and statistics of all parts of the batch. */
bool engine_has_ranks(const struct engine *e);
bool engine_is_a_part(const struct engine *e); /* ranks, or GPUs of this process */
/* Where the device sums with those of other ranks: waits until it has done everything that is queued, and
 * watches the ranks meanwhile. To be called before any other wait for the device, which a lost rank would
 * make endless. */
int engine_wait_for_ranks(struct engine *e, struct error *err);
int engine_exchange_open(struct engine *e, struct error *err);
/* Called after the backward pass of a node. Begins to sum the gradients that no earlier node will write.
 * The sum of all gradients from offset *from of the arena on has begun; at first *from is the end of the
 * arena. */
int engine_sum_gradients(struct engine *e, size_t node, size_t *from, struct error *err);
int engine_finish_gradients(struct engine *e, size_t *from, struct error *err);
int engine_mean_statistics(struct engine *e, struct error *err);
int engine_load_constants(struct engine *e, const struct net *net, struct error *err);

#endif
