/* image_rows.h: decodes the pictures of a manifest in a decode pool, several at once, and returns the rows
 * one at a time in their order. validate, augment and pack use it. */
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
    /* Returns whether the picture of a row is to be decoded. NULL: always. It is called for the rows in
     * order, before any later row is read. */
    bool (*wanted)(void *context, const char *const *fields);
    /* Receives one row: its fields (borrowed during the call) and the result for its picture. d is NULL
     * when the picture was not wanted. Returns 0, or -1 to stop. */
    int (*done)(void *context, const char *const *fields, const struct decoded *d, struct error *err);
};

/* Reads the manifest in to its end; it needs the column path. Returns 0, or -1 with err set by the reader,
 * the pool or done. */
int image_rows_run(const struct image_rows *p, struct manifest_reader *in, struct decode_pool *pool,
                   struct error *err);

#endif
