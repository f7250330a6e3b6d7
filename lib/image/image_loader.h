/*
 * image_loader.h: decodes files into RGB squares of one size, in several sandboxed workers at once, and
 * returns them in the order of submission. pack, eval, classify and augment use it. Each picture is decoded
 * once and resized once, as docs/preprocessing.md says.
 */
#ifndef WINNOW_IMAGE_IMAGE_LOADER_H
#define WINNOW_IMAGE_IMAGE_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "image/picture_rules.h"

struct image_loader_options {
    int side_px; /* output is side x side x 3, RGB */
    struct resize_rule resize;
    unsigned threads; /* 0 = all processors */
    bool no_sandbox;  /* decode in this process: for tests and measuring the sandbox's cost */
    bool allow_truncated;
    /* Which frames of animations to decode: as in struct decode_pool_options. */
    int frames_every, frames_most;
    struct picture_rules rules;
};

struct loaded_image {
    void *token;           /* the token passed to image_loader_submit */
    const uint8_t *pixels; /* side*side*3, borrowed until the next take; NULL when it failed */
    int n_frames;          /* number of squares, which are stored one after another */
    char xxh128[33];       /* XXH3-128 of the file's bytes, when they could be read */
    const char *reason; /* NULL, or a reject slug: "decode-truncated", "too-many-pixels", "not-found" ... */
    char detail[200];
};

struct image_loader;
int image_loader_open(struct image_loader **out, const struct image_loader_options *options,
                      struct error *err);
bool image_loader_full(const struct image_loader *l); /* take one before the next submit */
/* Submits a file. path is copied. */
int image_loader_submit(struct image_loader *l, const char *path, void *token, struct error *err);
/* Sets *out to the oldest picture submitted, and returns 1. Returns 0 when none is left. Returns -1 when no
 * worker could be started or the disk failed; only the token of *out is then valid. */
int image_loader_take(struct image_loader *l, struct loaded_image *out, struct error *err);
/* Discards all pictures that were submitted, and calls release with the token of each. l may be NULL. */
void image_loader_drop(struct image_loader *l, void (*release)(void *token));
void image_loader_close(struct image_loader *l);

#endif
