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
    cudnnHandle_t handle;                /* of a real card, or NULL: then */
    cudnnBackendDescriptor_t properties; /* of a described one (graph_device_describe) */
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
    bool tensor_core; /* allowed: TF32 where the type is float */
    bool repeatable;  /* only engines that give the same bits every time */
};

/* A description made of text, or (json NULL) of the card of a handle; an error with cuDNN's own words when it
 * does not take the text. Destroy *out if it is not NULL, also after an error. */
int graph_device_describe(cudnnBackendDescriptor_t *out, const char *json, cudnnHandle_t handle,
                          struct error *err);
/* The text of the properties of a handle's card. */
int graph_device_text(cudnnHandle_t handle, char *json, size_t bytes, struct error *err);

/*
 * Makes plans for g that fulfil the wish, in the order of cuDNN's heuristics (mode A, then the fallback): at
 * most max, and *n in all. 0 with *n = 0: cuDNN has none. Release each with graph_plan_release.
 */
int graph_plans(const struct conv_graph *g, const struct graph_device *d, const struct graph_wish *wish,
                const char *subject, struct graph_plan *out, int max, int *n, struct error *err);
/* Makes the plan of an earlier choice. 1 (err not changed): cuDNN no longer accepts it, or it does not
 * fulfil the wish. */
int graph_plan_again(const struct conv_graph *g, const struct graph_device *d, const struct graph_wish *wish,
                     const char *subject, const struct graph_choice *choice, struct graph_plan *out,
                     struct error *err);
void graph_plan_release(struct graph_plan *p);

/* Queues a run. addresses by enum graph_tensor, NULL for those that g does not have; room: at least
 * p->workspace bytes. */
int graph_run(struct graph_plan *p, cudnnHandle_t handle, const char *subject,
              void *const addresses[GRAPH_MAX_TENSORS], void *room, struct error *err);

#endif
