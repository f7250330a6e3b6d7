/*
 * vector_reduce.h: pooled features to few numbers whose cosine says how alike two pictures are. Written as
 * "sqrt,pca:64,whiten:0.5": the square root evens out a few large features, the principal components drop
 * what varies little, and half whitening (each component divided by the fourth root of its variance) keeps
 * the first ones from drowning the rest. A fit belongs to the base network that made the features.
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
/* Rows that a fit looks at: those with the smallest content hashes; more change the components by little. */
#define VECTOR_FIT_ROWS 16384

struct vector_fit {
    char spec[VECTOR_SPEC_BYTES]; /* as vector_spec_parse takes it, with the components there are */
    bool sqrt;
    size_t n_values, n_components;
    char base[33];     /* what made the values: vector_info has it, too */
    float *mean;       /* [n_values] */
    float *components; /* [n_values][n_components], divided by the whitening */
    char hash[33];     /* of all of these */
};
#define VECTOR_FIT_EMPTY ((struct vector_fit){0})

/*
 * Fits on rows [n][n_values], which are written over (the square root is taken in place). Fewer components
 * than asked for where rows or values are fewer, or where the rest has no variance; none with one row. The
 * result depends on the order of the rows by rounding only, and not at all on n_threads. base: 32 hex digits
 * of what made the values. Memory: n_values * n_values doubles, and some.
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
