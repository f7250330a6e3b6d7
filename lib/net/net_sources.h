/*
 * net_sources.h: records where in a Keras file the weights of each layer of a network are. Only the readers
 * need it. A layer may come from a model that is itself a layer, may be one of several layers that replace
 * one Keras layer, or may share its weights with another.
 */
#ifndef WINNOW_NET_NET_SOURCES_H
#define WINNOW_NET_NET_SOURCES_H

#include "net/h5_file.h"
#include "net/net_parts.h"

#define SOURCE_MAX_WEIGHTS 4

enum source_kind {
    SOURCE_PLAIN,
    SOURCE_ALPHA,                 /* PReLU's alpha as the kernel of a depthwise convolution */
    SOURCE_NORMALIZATION,         /* mean and variance, which are converted to scale and offset */
    SOURCE_INVERSE_NORMALIZATION, /* the same for invert=True */
    SOURCE_GIVEN                  /* values that are in the settings of the layer, not stored as weights */
};

struct net_source {
    char *path; /* in a .keras: "layers/functional/layers/conv2d_1" */
    char *top;  /* in a .h5: the group, which is the layer or the model around it */
    char *own;  /* the layer's name in the file */
    /* name of the innermost model that is a layer and contains this one, or NULL; own alone may be
     * ambiguous */
    char *model;
    bool bfloat16;  /* the dtype policy says bfloat16; the stored values themselves do not show it */
    bool as_matrix; /* a Dense layer over the pixels of a map, which is a 1x1 convolution here */
    enum source_kind kind;
    int slot[SOURCE_MAX_WEIGHTS];         /* in a .keras: number of the dataset, for weights[i] */
    const char *leaf[SOURCE_MAX_WEIGHTS]; /* in a .h5: last part of the name; constant text */
};

struct net_sources {
    struct net_source *items; /* one for each layer of the network */
    size_t n, room;
};
void net_sources_release(struct net_sources *s);

/* Fills s for files in which the group and the weights of each layer have the layer's name, as winnow and
 * Keras 2 write them. */
int net_sources_make(struct net_sources *s, const struct net *n, struct error *err);
/* Returns the weight of a network that a file calls "layer/kernel" or "model/layer/kernel:0", or NULL when no
 * weight or several weights have that name. *hint is where the search begins; the caller keeps it for the
 * next call. */
struct net_weight *net_sources_find(const struct net_sources *s, struct net *n, const char *name, int *hint);

/*
 * Moves the values of all weights from f to n. Fails with EX_DATAERR when a weight is missing, has another
 * shape or another type than float, or belongs to no layer.
 */
int net_take_weights(struct net *n, const struct net_sources *s, struct h5_file *f, enum h5_layout layout,
                     bool header_only, struct error *err);

#endif
