/*
 * engine_outlook.h: what an engine would need on a device, computed from its plan: memory by part, and what
 * each operation computes and moves. Nothing runs, and the device may be a card that is only described
 * (backend_options.described).
 */
#ifndef WINNOW_TENSOR_ENGINE_OUTLOOK_H
#define WINNOW_TENSOR_ENGINE_OUTLOOK_H

#include "tensor/engine.h"

struct outlook_row {
    char layer[64];
    char pass[32];  /* "forward+bias+relu", "data", "filter"; "forward", "backward" where nothing is chosen */
    int64_t engine; /* the library's number for its kernel; -1: it does not say */
    size_t workspace_bytes;
    bool tensor_core;
    double operations,
        bytes; /* a multiplication and an addition are two; operands read and results written */
};

struct engine_outlook {
    char device[400];
    size_t memory_there; /* bytes that a plan may take */
    /* bytes of the plan: maps and their gradients; room for the library; frozen weights, and copies of others
     * in a narrow type; what learns, its gradient, the optimiser's state and the average; batch norms'
     * moving statistics */
    size_t maps, workspace, constants, weights, gradients, optimizer, average, statistics;
    size_t total;
    struct outlook_row *rows;
    size_t n_rows;
};

/*
 * The plan for options->batch pictures. card: the description of one, or NULL for the device that
 * options->device names. A plan that does not fit is EX_OSERR and names the largest batch that does. Release
 * it in any case.
 */
int engine_outlook(struct engine_outlook *out, const struct net *net, const struct engine_options *options,
                   const char *card, struct error *err);
void engine_outlook_release(struct engine_outlook *o);

/* The largest batch up to `most` whose plan takes at most `share` of the memory there (options'
 * memory_limit_bytes, or the device's): one of 1 to 16 or a multiple of 8. *batch is 0 where not even one
 * picture fits. */
int engine_largest_batch(const struct net *net, const struct engine_options *options, const char *card,
                         int most, double share, int *batch, struct error *err);

#endif
