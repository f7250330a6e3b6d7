/*
 * net_int8.h: what a model folder says about computing its network with bytes instead of floats: the scale
 * of the values that layers hand on, and which convolutions have whole numbers as weights. It is the key
 * "int8" of userDefinedMetadata; docs/model-folder.md describes the fields.
 *
 * A value x of a layer is the byte x / scale + zero. A kernel is whole numbers from -64 to 64 (7 bits: two
 * products of a byte and such a number, added, fit into 16 bits, which is what AVX2 adds in); the factor of
 * each channel is in the batch norm after the convolution. Such a folder is therefore also a network that any
 * reader can compute in floats.
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
    bool kernel;  /* its kernel is whole numbers */
};
struct net_int8 {
    struct net_int8_layer *layers; /* by the network's layers; NULL: the model has no int8 form */
    int n_layers;
    int n_pictures; /* that it was calibrated on */
};
#define NET_INT8_EMPTY ((struct net_int8){0})

/* Whether the metadata has the key at all. */
bool net_is_int8(const struct net *n);
/* Reads it. Without the key layers is NULL. EX_DATAERR: damaged, for another network, or a later version;
 * with weights in n also when a kernel is not whole numbers. */
int net_int8_read(struct net_int8 *out, const struct net *n, struct error *err);
/* Puts it into the metadata, in place of an older one. */
int net_int8_store(const struct net_int8 *q, struct net *n, struct error *err);
void net_int8_release(struct net_int8 *q);

/*
 * Gives every convolution without a batch norm of its own one that changes nothing (and its activation a
 * layer after that), so that there is a place for the factors. Layers move; shapes are known before and
 * after.
 */
int net_int8_prepare(struct net *n, struct error *err);
/* The batch norm that only this convolution feeds, and that nothing else reads the convolution: its index, or
 * -1. */
int net_int8_norm_of(const struct net *n, int layer);
/*
 * Rounds the kernel of a convolution to whole numbers with one factor for each output channel, after the
 * batch norm `norm` is taken into it; the norm gets the factors. mean [input channels], or NULL: of the
 * values that enter; the norm's beta then takes back what rounding changes for them. EX_DATAERR: a weight
 * is not a finite number.
 */
int net_int8_round_kernel(struct net *n, int layer, int norm, const double *mean, struct error *err);

#endif
