/*
 * vector_reduce.h: reduces pooled features to short vectors whose cosine measures the similarity of two
 * pictures. In the specification "sqrt,pca:64,whiten:0.5", the square root weakens a few large features, the
 * principal components drop directions of little variance, and half whitening (each component divided by the
 * fourth root of its variance) prevents the first components from dominating. A fit belongs to the base
 * network that made the features.
 */
#ifndef WINNOW_VECTOR_VECTOR_REDUCE_H
#define WINNOW_VECTOR_VECTOR_REDUCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct vector_spec {
    bool sqrt;        /* sign(x) * sqrt(|x|) first */
    int components;   /* of pca:N */
    double whitening; /* of whiten:P, 0 to 1 */
};
/* EX_USAGE: not "[sqrt,]pca:N[,whiten:P]". */
int vector_spec_parse(struct vector_spec *out, const char *text, struct error *err);

#define VECTOR_MAX_VALUES 65536
#define VECTOR_MAX_COMPONENTS 1024
#define VECTOR_SPEC_BYTES 64
/* Number of rows that a fit uses: those with the smallest content hashes. More rows would change the
 * components little. */
#define VECTOR_FIT_ROWS 16384

struct vector_fit {
    char spec[VECTOR_SPEC_BYTES]; /* as vector_spec_parse takes it, with the components there are */
    bool sqrt;
    size_t n_values, n_components;
    char base[33];     /* hash of the base that made the values, as in vector_info */
    float *mean;       /* [n_values] */
    float *components; /* [n_values][n_components], divided by the whitening */
    char hash[33];     /* of all of these */
};
#define VECTOR_FIT_EMPTY ((struct vector_fit){0})

/*
 * Learns a reduction from rows [n][n_values], which are overwritten (the square root is taken in place).
 * There are fewer components than requested if there are fewer rows or values, or if the rest has no
 * variance; with one row there are none. The order of the rows affects only rounding, and n_threads changes
 * nothing. base: 32 hex digits, the hash of the base. Memory: a little more than n_values * n_values doubles.
 */
int vector_fit_make(struct vector_fit *f, const struct vector_spec *spec, const char *base, float *rows,
                    size_t n, size_t n_values, unsigned n_threads, struct error *err);
/* values [n_values] to out [n_components]; scratch [n_values]. Any thread. */
void vector_fit_apply(const struct vector_fit *f, const float *values, float *out, float *scratch);
/* One file; whole or not at all. */
int vector_fit_write(const struct vector_fit *f, const char *path, struct error *err);
/* Checks sizes and hash: EX_DATAERR names the file. */
int vector_fit_read(struct vector_fit *f, const char *path, struct error *err);
int vector_fit_read_memory(struct vector_fit *f, const char *bytes, size_t n_bytes, const char *name,
                           struct error *err);
void vector_fit_release(struct vector_fit *f);

#endif
