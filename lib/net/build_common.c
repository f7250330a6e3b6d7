/*
 * build_common.c: sorts the layers of a built-in network into Keras' order. Builders add layers in the order
 * of the calls in keras-applications, which gives the numbers in their names. Keras lists them by depth, the
 * deepest first, and layers of one depth in the order in which a walk back from the output meets them. "From
 * conv2d_56 on" refers to this list, so the order must be that of Keras.
 */
#include <stdlib.h>
#include <string.h>

#include "net/build.h"

struct order {
    int layer, depth, met;
};

static int compare_order(const void *a, const void *b)
{
    const struct order *x = a, *y = b;
    if (x->depth != y->depth) return x->depth > y->depth ? -1 : 1;
    return x->met < y->met ? -1 : x->met > y->met;
}

/* Visits each layer once, before its inputs. The recursion is at most as deep as the number of layers, some
 * hundreds. */
static void meet(const struct net *n, int layer, struct order *order, int *count)
{
    if (order[layer].met >= 0) return;
    order[layer].met = (*count)++;
    for (int i = 0; i < n->layers[layer].n_inputs; i++)
        meet(n, n->layers[layer].inputs[i], order, count);
}

int net_sort_keras_order(struct net *n, struct error *err)
{
    int count = 0;
    struct order *order = mem_zalloc((size_t)n->n_layers, sizeof *order, err);
    int *place = mem_zalloc((size_t)n->n_layers, sizeof *place, err);
    struct net_layer *sorted = mem_zalloc((size_t)n->n_layers, sizeof *sorted, err);
    if (!order || !place || !sorted) {
        free(order);
        free(place);
        free(sorted);
        return -1;
    }
    for (int i = 0; i < n->n_layers; i++)
        order[i] = (struct order){.layer = i, .met = -1};
    meet(n, n->output, order, &count);
    /* The depth of a layer is the length of its longest path to the output. Layers come after their inputs,
     * so one pass from the end is enough. */
    for (int i = n->n_layers - 1; i >= 0; i--)
        for (int j = 0; j < n->layers[i].n_inputs; j++) {
            struct order *in = &order[n->layers[i].inputs[j]];
            if (in->depth < order[i].depth + 1) in->depth = order[i].depth + 1;
        }
    qsort(order, (size_t)n->n_layers, sizeof *order, compare_order);
    for (int i = 0; i < n->n_layers; i++)
        place[order[i].layer] = i;
    for (int i = 0; i < n->n_layers; i++) {
        sorted[i] = n->layers[order[i].layer];
        for (int j = 0; j < sorted[i].n_inputs; j++)
            sorted[i].inputs[j] = place[sorted[i].inputs[j]];
    }
    memcpy(n->layers, sorted, (size_t)n->n_layers * sizeof *sorted);
    n->input = place[n->input];
    n->output = place[n->output];
    free(order);
    free(place);
    free(sorted);
    return 0;
}

int build_layer(struct builder *b, enum layer_kind kind, const char *name, const int *inputs, int n_inputs)
{
    if (b->failed) return 0;
    struct net_layer *l = net_add_layer(b->net, kind, name, b->err);
    if (!l || (n_inputs > 0 && net_layer_connect(l, inputs, n_inputs, b->err))) {
        b->failed = true;
        return 0;
    }
    b->net->output = b->net->n_layers - 1;
    return b->net->output;
}

struct net_layer *build_last(struct builder *b)
{
    /* The layer that build_last returns after a failure, so that builders need to check for failures only
     * once. */
    static _Thread_local struct net_layer nowhere;
    return b->failed ? &nowhere : &b->net->layers[b->net->n_layers - 1];
}

int build_finish(struct builder *b, const char *name)
{
    struct net *n = b->net;
    if (b->failed || !(n->name = mem_strdup(name, b->err))) goto fail;
    net_metadata_defaults(&n->metadata);
    for (int i = 0; i < n->n_layers; i++)
        if (net_layer_make_weights(&n->layers[i], b->err)) goto fail;
    if (net_sort_keras_order(n, b->err) || net_infer_shapes(n, 0, 0, b->err) ||
        net_alloc_weights(n, 0, b->err))
        goto fail;
    return 0;
fail:
    net_release(n);
    return -1;
}

int build_input(struct builder *b, int side)
{
    build_layer(b, LAYER_INPUT, "input_1", NULL, 0);
    struct net_layer *l = build_last(b);
    l->output = (struct net_shape){3, {side, side, 3}};
    l->trainable = false;
    b->net->input = 0;
    return 0;
}
