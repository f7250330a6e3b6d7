/*
 * conv_graph.h: describes a convolution in the form of cuDNN's graphs, and the choice of an engine for it, as
 * plain data and as text. It needs no header of cuDNN.
 */
#ifndef WINNOW_TENSOR_CONV_GRAPH_H
#define WINNOW_TENSOR_CONV_GRAPH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "tensor/backend.h"

#define GRAPH_MAX_KNOBS 16
#define GRAPH_MAX_TENSORS 5

enum conv_pass { PASS_FORWARD, PASS_DATA, PASS_FILTER };

/* The tensors of a graph: both x and dx are GRAPH_X, and so on. */
enum graph_tensor { GRAPH_X, GRAPH_W, GRAPH_Y, GRAPH_BIAS, GRAPH_ADD };

/* Graphs are compared by their bytes, so set all bytes to zero first. Sizes are in pixels, maps are NHWC,
 * and kernels are [k][kernel_h][kernel_w][c / groups]. */
struct conv_graph {
    enum conv_pass pass;
    int type; /* cudnnDataType_t, of all tensors in memory; sums are float */
    int n, h, w, c, oh, ow, k, groups;
    int y_pixel; /* values from one pixel of y to the next: k, or more where y is a slice of a wider map */
    int kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    int pad_top, pad_bottom, pad_left, pad_right;
    /* PASS_FORWARD: y = relu(conv(x, w) + add + bias), where each part is optional. bias is [k], of type */
    int bias, add, relu;
    int accumulate; /* PASS_DATA: dx += instead of dx = */
};

/* One of cuDNN's engines and its settings, from which the same plan can be made again. */
struct graph_choice {
    int64_t engine;
    int n_knobs;
    int64_t knob[GRAPH_MAX_KNOBS], value[GRAPH_MAX_KNOBS];
};

static inline int conv_graph_groups(const struct op_desc *d)
{
    return d->kind == OP_DEPTHWISE ? d->x[0].c : conv_groups(d);
}

/* Returns the graph of a convolution's forward pass over n pictures, with a dense y or with the y of the
 * operation. The caller sets the fused and added parts. */
static inline struct conv_graph conv_graph_of(const struct op_desc *d, int type, int n, bool dense_y)
{
    return (struct conv_graph){.pass = PASS_FORWARD,
                               .type = type,
                               .n = n,
                               .h = d->x[0].h,
                               .w = d->x[0].w,
                               .c = d->x[0].c,
                               .oh = d->y.h,
                               .ow = d->y.w,
                               .k = d->y.c,
                               .groups = conv_graph_groups(d),
                               .y_pixel = dense_y ? d->y.c : d->y.parent_c,
                               .kernel_h = d->kernel_h,
                               .kernel_w = d->kernel_w,
                               .stride_h = d->stride_h,
                               .stride_w = d->stride_w,
                               .dilation_h = d->dilation_h ? d->dilation_h : 1,
                               .dilation_w = d->dilation_w ? d->dilation_w : 1,
                               .pad_top = d->pad_top,
                               .pad_bottom = d->pad_bottom,
                               .pad_left = d->pad_left,
                               .pad_right = d->pad_right};
}

/* Writes the name under which a plan is remembered: "forward 32x299x299x3 -> 32x149x149x32 k3x3 ... bf16". */
static inline void graph_name(const struct conv_graph *g, const char *type, char *out, size_t bytes)
{
    static const char *const names[] = {"forward", "data", "filter"};
    snprintf(out, bytes, "%s%s%s%s%s %dx%dx%dx%d %dx%dx%d/%d k%dx%d s%dx%d d%dx%d p%d.%d.%d.%d g%d %s",
             names[g->pass], g->add ? "+add" : "", g->bias ? "+bias" : "", g->relu ? "+relu" : "",
             g->accumulate ? "+=" : "", g->n, g->h, g->w, g->c, g->oh, g->ow, g->k, g->y_pixel, g->kernel_h,
             g->kernel_w, g->stride_h, g->stride_w, g->dilation_h, g->dilation_w, g->pad_top, g->pad_bottom,
             g->pad_left, g->pad_right, g->groups, type);
}

/* The bytes of each of its tensors, 0 for those that it does not have; a value has value_bytes. */
static inline void graph_tensor_bytes(const struct conv_graph *g, size_t value_bytes,
                                      size_t bytes[GRAPH_MAX_TENSORS])
{
    size_t pixels = (size_t)g->n * (size_t)g->oh * (size_t)g->ow, k = (size_t)g->k;
    bytes[GRAPH_X] = (size_t)g->n * (size_t)g->h * (size_t)g->w * (size_t)g->c * value_bytes;
    bytes[GRAPH_W] = k * (size_t)g->kernel_h * (size_t)g->kernel_w * (size_t)(g->c / g->groups) * value_bytes;
    bytes[GRAPH_Y] = pixels * (size_t)g->y_pixel * value_bytes;
    bytes[GRAPH_BIAS] = g->bias ? k * value_bytes : 0;
    bytes[GRAPH_ADD] = g->add ? pixels * k * value_bytes : 0;
}

/* "67 3=1,9=2": engine 67 with knob 3 at 1 and knob 9 at 2. */
static inline void graph_choice_write(const struct graph_choice *c, char *out, size_t bytes)
{
    int used = snprintf(out, bytes, "%lld ", (long long)c->engine);
    for (int i = 0; i < c->n_knobs; i++)
        used += snprintf(out + used, bytes - (size_t)used, "%s%lld=%lld", i ? "," : "", (long long)c->knob[i],
                         (long long)c->value[i]);
}

/* Reads a whole number and the character `after` behind it, and moves *s past both. */
static inline bool graph_choice_number(const char **s, char after, int64_t *out)
{
    size_t n = strspn(*s, "0123456789");
    uint64_t v = 0;
    if (!n || !parse_digits(*s, n, &v) || v > INT64_MAX || (*s)[n] != after) return false;
    *out = (int64_t)v;
    *s += n + (after != 0);
    return true;
}

static inline bool graph_choice_read(const char *s, struct graph_choice *c)
{
    *c = (struct graph_choice){0};
    if (!graph_choice_number(&s, ' ', &c->engine)) return false;
    while (*s) {
        int i = c->n_knobs++;
        if (i == GRAPH_MAX_KNOBS || !graph_choice_number(&s, '=', &c->knob[i]) ||
            !graph_choice_number(&s, strchr(s, ',') ? ',' : 0, &c->value[i]))
            return false;
    }
    return true;
}

#endif
