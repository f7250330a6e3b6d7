/*
 * engine_outlook.h: predicts from a plan what an engine needs on a device: the memory of each part, and the
 * arithmetic and memory traffic of each operation. No operation is run, and the device may be a card that is
 * only described (backend_options.described).
 */
#ifndef WINNOW_TENSOR_ENGINE_OUTLOOK_H
#define WINNOW_TENSOR_ENGINE_OUTLOOK_H

#include "tensor/engine.h"

struct outlook_row {
    char layer[64];
    /* "forward+bias+relu", "data", "filter"; "forward", "backward" for operations without a choice of
     * kernels */
    char pass[32];
    int64_t engine; /* the library's number for its kernel; -1: unknown */
    size_t workspace_bytes;
    bool tensor_core;
    double operations,
        /* operations: a multiplication and an addition are two; bytes: operands read and results written */
        bytes;
};

struct engine_outlook {
    char device[400];
    size_t memory_there; /* bytes that a plan may take */
    /* bytes of the plan: maps: feature maps and their gradients; workspace: for the library; constants:
     * frozen weights, and copies of other weights in a narrow type; weights, gradients, optimizer,
     * average: of trainable weights; statistics: moving statistics of batch norms */
    size_t maps, workspace, constants, weights, gradients, optimizer, average, statistics;
    size_t total;
    struct outlook_row *rows;
    size_t n_rows;
};

/*
 * Plans for options->batch pictures. card: a description, or NULL for the device that options->device names.
 * Fails with EX_OSERR when the plan does not fit into memory; the message names the largest batch that fits.
 * Call the release function also after an error.
 */
int engine_outlook(struct engine_outlook *out, const struct net *net, const struct engine_options *options,
                   const char *card, struct error *err);
void engine_outlook_release(struct engine_outlook *o);

/* Finds the largest batch up to `most` whose plan takes at most `share` of the available memory
 * (memory_limit_bytes in options, or that of the device). It is one of 1 to 16 or a multiple of 8; *batch
 * is 0 when not even one picture fits. */
int engine_largest_batch(const struct net *net, const struct engine_options *options, const char *card,
                         int most, double share, int *batch, struct error *err);

#endif
