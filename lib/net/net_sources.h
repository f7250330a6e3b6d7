/*
 * net_sources.h: where a file of Keras' keeps the weights of each layer of a network that was read from it.
 * The readers need it and the network does not: a layer may come from a model that is a layer of another, be
 * one of several that one Keras layer became, or share its weights with another.
 */
#ifndef WINNOW_NET_NET_SOURCES_H
#define WINNOW_NET_NET_SOURCES_H

#include "net/h5_file.h"
#include "net/net_parts.h"

#define SOURCE_MAX_WEIGHTS 4

enum source_kind {
    SOURCE_PLAIN,
    SOURCE_ALPHA,                 /* PReLU's alpha as the kernel of a depthwise convolution */
    SOURCE_NORMALIZATION,         /* mean and variance, to become scale and offset */
    SOURCE_INVERSE_NORMALIZATION, /* the way back */
    SOURCE_GIVEN                  /* the settings said them: in no file of weights */
};

struct net_source {
    char *path;     /* in a .keras: "layers/functional/layers/conv2d_1" */
    char *top;      /* in a .h5: the group, which is the layer or the model around it */
    char *own;      /* the layer's name in the file */
    char *model;    /* of the innermost model that is a layer, or NULL: own alone may not be enough */
    bool bfloat16;  /* its policy says so: nothing in the file does */
    bool as_matrix; /* a Dense layer over the pixels of a map, here a convolution of 1x1 */
    enum source_kind kind;
    int slot[SOURCE_MAX_WEIGHTS];         /* in a .keras: number of the dataset, for weights[i] */
    const char *leaf[SOURCE_MAX_WEIGHTS]; /* in a .h5: last part of the name; constant text */
};

struct net_sources {
    struct net_source *items; /* one for each layer of the network */
    size_t n, room;
};
void net_sources_release(struct net_sources *s);

/* The usual ones: each layer's group and weights have its own name, as winnow and Keras 2 write them. */
int net_sources_make(struct net_sources *s, const struct net *n, struct error *err);
/* The weight of a network that a file calls "layer/kernel", "model/layer/kernel:0"; NULL: none, or several.
 * hint: where to begin, kept by the caller. */
struct net_weight *net_sources_find(const struct net_sources *s, struct net *n, const char *name, int *hint);

/*
 * Gives every weight of n its values, which f loses. EX_DATAERR: a weight that is missing, has another shape
 * or other values than floats, or that no layer takes.
 */
int net_take_weights(struct net *n, const struct net_sources *s, struct h5_file *f, enum h5_layout layout,
                     bool header_only, struct error *err);

#endif
