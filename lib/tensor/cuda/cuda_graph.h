/*
 * cuda_graph.h: one convolution as a cuDNN operation graph, and the execution plans for it.
 *
 * A graph is asked of a device: a card that is there (its handle), or one that is only described by the JSON
 * text that cuDNN 9.8 and later read. The second kind can be planned, not run, and needs neither card nor
 * driver: so the same code plans for a card and answers which plans another card would get.
 */
#ifndef WINNOW_TENSOR_CUDA_GRAPH_H
#define WINNOW_TENSOR_CUDA_GRAPH_H

#include <cudnn.h>

#include "base/error.h"

#define GRAPH_MAX_KNOBS 16
#define GRAPH_MAX_TENSORS 5
#define GRAPH_MAX_DESCRIPTORS 40

enum conv_pass { PASS_FORWARD, PASS_DATA, PASS_FILTER };

/* Names of the tensors of a graph in a run: x and dx are GRAPH_X, and so on. */
enum graph_tensor { GRAPH_X, GRAPH_W, GRAPH_Y, GRAPH_BIAS, GRAPH_ADD };

/* Plain data: two graphs are the same when their bytes are, so start from zeros. Sizes are in pixels, maps
 * are NHWC, and kernels are [k][kernel_h][kernel_w][c / groups]. */
struct conv_graph {
    enum conv_pass pass;
    cudnnDataType_t type; /* of all tensors in memory; sums are float */
    int n, h, w, c, oh, ow, k, groups;
    int y_pixel; /* values from one pixel of y to the next: k, or more where y is a slice of a wider map */
    int kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    int pad_top, pad_bottom, pad_left, pad_right;
    /* PASS_FORWARD: y = relu(conv(x, w) + add + bias), each part where it is set. bias is [k], of type */
    int bias, add, relu;
    int accumulate; /* PASS_DATA: dx += instead of dx = */
};

struct graph_device {
    cudnnHandle_t handle;                /* of a card that is there, or NULL: then */
    cudnnBackendDescriptor_t properties; /* of a described one (graph_device_describe) */
};

/* Which of cuDNN's engines, and its settings: enough to make the same plan again. */
struct graph_choice {
    int64_t engine;
    int n_knobs;
    int64_t knob[GRAPH_MAX_KNOBS], value[GRAPH_MAX_KNOBS];
};

struct graph_plan {
    struct conv_graph graph;
    cudnnBackendDescriptor_t plan;
    cudnnBackendDescriptor_t parts[GRAPH_MAX_DESCRIPTORS]; /* what it was made of: lives as long as it */
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

/* "forward 32x299x299x3 -> 32x149x149x32 k3x3 ... bf16": the name under which a plan is remembered. */
void graph_name(const struct conv_graph *g, char *out, size_t bytes);

/* A device from the text of its properties; an error with cuDNN's own words when it does not take them. */
int graph_device_describe(struct graph_device *d, const char *json, struct error *err);
void graph_device_release(struct graph_device *d);
/* The text of the properties of a handle's card. */
int graph_device_text(cudnnHandle_t handle, char *json, size_t bytes, struct error *err);

/*
 * Plans for g that keep to the wish, in the order of cuDNN's heuristics (mode A, then the fallback): at most
 * max of them, *n are found. 0 with *n = 0: cuDNN has none. Each is released with graph_plan_release.
 */
int graph_plans(const struct conv_graph *g, const struct graph_device *d, const struct graph_wish *wish,
                const char *subject, struct graph_plan *out, int max, int *n, struct error *err);
/* Makes the plan of an earlier choice. 1 (err not changed): cuDNN does not accept it
 * now, or the wish contradicts it. */
int graph_plan_again(const struct conv_graph *g, const struct graph_device *d, const struct graph_wish *wish,
                     const char *subject, const struct graph_choice *choice, struct graph_plan *out,
                     struct error *err);
void graph_plan_release(struct graph_plan *p);

/* Queues a run. addresses by enum graph_tensor, NULL for those that g does not have; room: at least
 * p->workspace bytes. */
int graph_run(struct graph_plan *p, cudnnHandle_t handle, const char *subject,
              void *const addresses[GRAPH_MAX_TENSORS], void *room, struct error *err);

#endif
