/*
 * image_rows.h: the rows of a manifest through a decode pool: pictures are decoded several at once, rows
 * come back one at a time in their order. What validate, augment and pack have in common.
 */
#ifndef WINNOW_IMAGE_IMAGE_ROWS_H
#define WINNOW_IMAGE_IMAGE_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "image/decode_pool.h"
#include "manifest/manifest.h"

struct image_rows {
    const char *root;
    bool allow_outside;
    void *context;
    /* Whether the row's picture is to be decoded; NULL: always. Called in row order, before any row after it
     * is read. */
    bool (*wanted)(void *context, const char *const *fields);
    /* One row: its fields (borrowed during the call) and what became of its picture; d NULL when it was not
     * wanted. 0, or -1 to stop. */
    int (*done)(void *context, const char *const *fields, const struct decoded *d, struct error *err);
};

/* Reads in to its end. 0, or -1 with err set by the reader, the pool or done. The manifest needs a column
 * path. */
int image_rows_run(const struct image_rows *p, struct manifest_reader *in, struct decode_pool *pool,
                   struct error *err);

#endif
