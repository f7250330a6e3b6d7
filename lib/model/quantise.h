/*
 * quantise.h: makes the int8 form of a network (net_int8.h) after training: runs it in floats over pictures,
 * looks at the values that layers hand on, and chooses for each a scale with the least squared error; rounds
 * the kernels of convolutions to 7 bits with a factor for each channel.
 */
#ifndef WINNOW_MODEL_QUANTISE_H
#define WINNOW_MODEL_QUANTISE_H

#include <stdint.h>

#include "base/text.h"
#include "net/net.h"

struct quantise_options {
    const char *device; /* that computes the floats */
    unsigned threads;
    int n_pictures; /* at least 1 */
    /* Fills side x side x 3 bytes with picture i. */
    int (*picture)(void *context, int i, uint8_t *pixels, struct error *err);
    void *context;
};

/*
 * n gets whole kernels, factors in batch norms (some of them new layers), and the key "int8" in its metadata.
 * remarks: one line about the layers that stay float. EX_DATAERR: no convolution of the network has such a
 * form, or it has one already. After an error n is as it was or half done: release it.
 */
int quantise_net(struct net *n, const struct quantise_options *o, struct text *remarks, struct error *err);

#endif
