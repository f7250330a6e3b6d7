/*
 * net_int8.h: the quantisation of a network in a model folder: the scales of the outputs of layers, and the
 * convolutions with integer weights. It is the key "int8" of userDefinedMetadata; docs/model-folder.md
 * describes the fields.
 *
 * A value x of a layer is stored as the byte x / scale + zero. Kernels are integers from -64 to 64. They have
 * 7 bits because the sum of two products of a byte and such a number fits into 16 bits, in which AVX2 adds.
 * The scale of each channel is in the batch norm after the convolution, so that any other reader can compute
 * the network in floats.
 */
#ifndef WINNOW_NET_NET_INT8_H
#define WINNOW_NET_NET_INT8_H

#include <stdbool.h>

#include "base/error.h"
#include "net/net.h"

#define NET_INT8_VERSION 1
#define NET_INT8_MOST 64 /* the largest weight */

struct net_int8_layer {
    double scale; /* of the layer's output; 0: it stays float */
    int zero;     /* 0 to 255: the byte that means 0 */
    bool kernel;  /* its kernel consists of integers */
};
struct net_int8 {
    struct net_int8_layer *layers; /* one for each layer of the network; NULL: the model has no int8 form */
    int n_layers;
    int n_pictures; /* number of pictures that the scales were calibrated on */
};
#define NET_INT8_EMPTY ((struct net_int8){0})

/* Whether the metadata has the key at all. */
bool net_is_int8(const struct net *n);
/* Reads the quantisation from the metadata. Without the key, layers is NULL. Fails with EX_DATAERR when it is
 * damaged, is for another network, or has a later version, and also when n has its weights and a quantised
 * kernel has a value that is not an integer. */
int net_int8_read(struct net_int8 *out, const struct net *n, struct error *err);
/* Stores the quantisation in the metadata, in place of an older one. */
int net_int8_store(const struct net_int8 *q, struct net *n, struct error *err);
void net_int8_release(struct net_int8 *q);

/*
 * Adds an identity batch norm, which will contain the scales, after every convolution that has no batch norm.
 * The activation of the convolution moves to a layer after the batch norm. Indices of layers change. Shapes
 * must be known, and stay known.
 */
int net_int8_prepare(struct net *n, struct error *err);
/* Returns the index of the batch norm after this convolution, or -1. It must be the only layer that reads
 * the convolution. */
int net_int8_norm_of(const struct net *n, int layer);
/*
 * Folds the batch norm `norm` into the kernel of a convolution, and rounds the kernel to integers with one
 * scale for each output channel, which is stored in the norm. mean [input channels], or NULL, is the mean of
 * the inputs; beta of the norm is then corrected for the mean error of rounding. EX_DATAERR: a weight is not
 * finite.
 */
int net_int8_round_kernel(struct net *n, int layer, int norm, const double *mean, struct error *err);

#endif
