/*
 * vector_reduce.h: reduces pooled features to short vectors whose cosine measures the similarity of two
 * pictures. In the specification "sqrt,pca:64,whiten:0.5", the square root weakens a few large features, the
 * principal components drop directions of little variance, and half whitening (each component divided by the
 * fourth root of its variance) prevents the first components from dominating. A fit can be used only for
 * features of the base network on whose features it was made.
 */
#ifndef WINNOW_VECTOR_VECTOR_REDUCE_H
#define WINNOW_VECTOR_VECTOR_REDUCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct vector_spec {
    bool sqrt;        /* first replace x by sign(x) * sqrt(|x|) */
    int components;   /* of pca:N */
    double whitening; /* of whiten:P, 0 to 1 */
};
/* Parses "[sqrt,]pca:N[,whiten:P]". Returns 0, or -1 with err set (EX_USAGE). */
int vector_spec_parse(struct vector_spec *out, const char *text, struct error *err);

#define VECTOR_MAX_VALUES 65536
#define VECTOR_MAX_COMPONENTS 1024
#define VECTOR_SPEC_BYTES 64
/* Number of rows that a fit uses: those with the smallest content hashes. More rows would change the
 * components little. */
#define VECTOR_FIT_ROWS 16384

struct vector_fit {
    /* in the form that vector_spec_parse reads, with the actual number of components */
    char spec[VECTOR_SPEC_BYTES];
    bool sqrt;
    size_t n_values, n_components;
    char base[33];     /* hash of the base network, as in vector_info */
    float *mean;       /* [n_values] */
    float *components; /* [n_values][n_components], divided by the whitening */
    char hash[33];     /* of all of these */
};
#define VECTOR_FIT_EMPTY ((struct vector_fit){0})

/*
 * Learns a reduction from rows [n][n_values], which are overwritten (the square root is computed in place).
 * There are fewer components than requested if there are fewer rows or values, or if the others have no
 * variance; with one row there are none. The order of the rows affects only rounding. The result does not
 * depend on n_threads. base: 32 hex digits, the hash of the base. Memory: a little more than n_values *
 * n_values doubles.
 */
int vector_fit_make(struct vector_fit *f, const struct vector_spec *spec, const char *base, float *rows,
                    size_t n, size_t n_values, unsigned n_threads, struct error *err);
/* Reduces values [n_values] to out [n_components]. scratch has n_values floats. Any thread may call it. */
void vector_fit_apply(const struct vector_fit *f, const float *values, float *out, float *scratch);
/* Writes the reduction to one file, which appears whole or not at all. */
int vector_fit_write(const struct vector_fit *f, const char *path, struct error *err);
/* Reads the file and checks its sizes and hash. Fails with EX_DATAERR; the message names the file. */
int vector_fit_read(struct vector_fit *f, const char *path, struct error *err);
int vector_fit_read_memory(struct vector_fit *f, const char *bytes, size_t n_bytes, const char *name,
                           struct error *err);
void vector_fit_release(struct vector_fit *f);

#endif
