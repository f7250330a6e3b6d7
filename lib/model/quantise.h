/*
 * quantise.h: quantises a network (net_int8.h) after training. It runs the network in floats on calibration
 * pictures, observes the outputs of layers, and chooses for each the scale with the smallest squared error.
 * It rounds the kernels of convolutions to 7 bits with a scale for each channel.
 */
#ifndef WINNOW_MODEL_QUANTISE_H
#define WINNOW_MODEL_QUANTISE_H

#include <stdint.h>

#include "base/text.h"
#include "net/net.h"

struct quantise_options {
    const char *device; /* device for the computation in floats */
    unsigned threads;
    int n_pictures; /* at least 1 */
    /* Fills side x side x 3 bytes with picture i. */
    int (*picture)(void *context, int i, uint8_t *pixels, struct error *err);
    void *context;
};

/*
 * Changes n: kernels become integers, their scales go into batch norms (some of which are new layers), and
 * the metadata get the key "int8". Sets remarks to one line about the layers that stay float. Returns 0, or
 * -1 with err set: EX_DATAERR when no convolution of the network can be quantised, or the network is
 * quantised already. After an error n may be partly changed; release it.
 */
int quantise_net(struct net *n, const struct quantise_options *o, struct text *remarks, struct error *err);

#endif
