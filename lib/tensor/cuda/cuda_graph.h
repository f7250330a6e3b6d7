/*
 * cuda_graph.h: one convolution as a cuDNN operation graph, and the execution plans for it.
 *
 * A device is a real card (its handle), or one that is only described by the JSON text that cuDNN 9.8 and
 * later read. For the second kind, plans can be made but not run, without a card or a driver. The same code
 * therefore plans for the card in the machine and predicts the plans for another card.
 */
#ifndef WINNOW_TENSOR_CUDA_GRAPH_H
#define WINNOW_TENSOR_CUDA_GRAPH_H

#include <cudnn.h>

#include "base/error.h"
#include "tensor/conv_graph.h"

#define GRAPH_MAX_DESCRIPTORS 40

struct graph_device {
    cudnnHandle_t handle;                /* of a real card, or NULL for a described one */
    cudnnBackendDescriptor_t properties; /* of a described card (graph_device_describe) */
};

struct graph_plan {
    struct conv_graph graph;
    cudnnBackendDescriptor_t plan;
    /* the descriptors of its parts, which live as long as the plan */
    cudnnBackendDescriptor_t parts[GRAPH_MAX_DESCRIPTORS];
    int n_parts;
    struct graph_choice choice;
    size_t workspace; /* bytes */
    bool tensor_core, repeatable;
    cudnnBackendDescriptor_t pack; /* the addresses of the last run */
    void *addresses[GRAPH_MAX_TENSORS], *room;
};

struct graph_wish {
    size_t workspace_limit;
    bool tensor_core; /* whether tensor cores may be used; for type float this means TF32 */
    bool repeatable;  /* whether only engines that give the same bits every time may be used */
};

/* Creates a description of a card from JSON text, or (json NULL) from the card of a handle. When cuDNN
 * rejects the text, the message quotes cuDNN. Destroy *out if it is not NULL, also after an error. */
int graph_device_describe(cudnnBackendDescriptor_t *out, const char *json, cudnnHandle_t handle,
                          struct error *err);
/* Writes the properties of a handle's card as JSON text. */
int graph_device_text(cudnnHandle_t handle, char *json, size_t bytes, struct error *err);

/*
 * Creates at most max plans for g that fulfil the wish, in the order of cuDNN's heuristics (mode A, then the
 * fallback), and sets *n to their number. When cuDNN has none, it returns 0 with *n = 0. Release each plan
 * with graph_plan_release.
 */
int graph_plans(const struct conv_graph *g, const struct graph_device *d, const struct graph_wish *wish,
                const char *subject, struct graph_plan *out, int max, int *n, struct error *err);
/* Creates the plan of an earlier choice. Returns 0, 1 (err not changed) when cuDNN no longer accepts the
 * choice or it does not fulfil the wish, or -1 with err set. */
int graph_plan_again(const struct conv_graph *g, const struct graph_device *d, const struct graph_wish *wish,
                     const char *subject, const struct graph_choice *choice, struct graph_plan *out,
                     struct error *err);
void graph_plan_release(struct graph_plan *p);

/* Queues a run of the plan. addresses: indexed by enum graph_tensor, NULL for tensors that g does not have.
 * room: at least p->workspace bytes. */
int graph_run(struct graph_plan *p, cudnnHandle_t handle, const char *subject,
              void *const addresses[GRAPH_MAX_TENSORS], void *room, struct error *err);

#endif
