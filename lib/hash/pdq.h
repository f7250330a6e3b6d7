/*
 * pdq.h: the PDQ perceptual hash, 256 bits and a quality of 0..100, bit-exact with the published algorithm.
 *
 * Two families are in use and give different bits for the same picture, so a hash is only comparable within
 * its own:
 *   full    the blur runs over the picture at its own size (Java, Python's pdqhash, Rust);
 *   nn512   a picture with a side over 512 is first brought to 512x512 by nearest neighbour (the C++ tool,
 *   WASM).
 * A third name, fast, is `full` over whatever the caller decoded at a reduced scale: not exact, but close
 * (docs/measured.md).
 *
 * Rows go in from the top, so a decoder needs no more than one row at a time; memory is about (50 + 2 *
 * height / 128) rows of floats. A struct pdq is reused from picture to picture by one thread at a time; it
 * holds no global state.
 */
#ifndef WINNOW_HASH_PDQ_H
#define WINNOW_HASH_PDQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define PDQ_BITS 256
#define PDQ_HEX_BYTES 65        /* 64 digits and NUL */
#define PDQ_DEFAULT_DISTANCE 31 /* the authors' advice for "the same picture" */
#define PDQ_MIN_QUALITY 50      /* and for "worth comparing": flat pictures have noise for bits */
#define PDQ_MIN_SIDE 5          /* smaller pictures have the hash 0 and quality 0 */
#define PDQ_MAX_SIDE (1u << 20) /* the window arithmetic stays far from overflow; decoders stop earlier */

enum pdq_family { PDQ_FULL, PDQ_NN512, PDQ_FAST };
const char *pdq_family_name(enum pdq_family family);

/* Bit k (16 * vertical frequency + horizontal) is bit k % 64 of word[k / 64]. */
struct pdq_hash {
    uint64_t word[4];
};

/* The eight orientations, in the order in which hashes are returned: each is the hash of the picture so
 * turned. */
enum pdq_dihedral {
    PDQ_ORIGINAL,
    PDQ_ROTATE_90,
    PDQ_ROTATE_180,
    PDQ_ROTATE_270,
    PDQ_FLIP_X,
    PDQ_FLIP_Y,
    PDQ_TRANSPOSE,
    PDQ_ANTITRANSPOSE,
    PDQ_DIHEDRALS
};

struct pdq; /* working memory and the state of the picture in progress */
int pdq_open(struct pdq **out, struct error *err);
void pdq_close(struct pdq *p);

/*
 * Starts a picture of width x height with 8-bit rows of 3 channels (R, G, B) or 1 (grey). What was in
 * progress is forgotten. EX_OSERR without memory, EX_DATAERR for a side of 0 or over PDQ_MAX_SIDE.
 */
int pdq_begin(struct pdq *p, enum pdq_family family, uint32_t width, uint32_t height, unsigned channels,
              struct error *err);
/* The next row, width * channels bytes, top first. */
void pdq_row(struct pdq *p, const uint8_t *row);
/*
 * After `height` rows: hashes[0] is the picture's hash; with n_hashes == PDQ_DIHEDRALS the other orientations
 * follow (from the same transform: within some 20 bits of the hash of the really turned picture). Quality
 * 0..100.
 */
void pdq_end(struct pdq *p, struct pdq_hash *hashes, unsigned n_hashes, int *quality);

/* A whole picture in memory: pdq_begin, the rows at stride_bytes, pdq_end. */
int pdq_of_pixels(struct pdq *p, enum pdq_family family, const uint8_t *pixels, uint32_t width,
                  uint32_t height, unsigned channels, size_t stride_bytes, struct pdq_hash *hashes,
                  unsigned n_hashes, int *quality, struct error *err);

/* 64 lower-case digits in the reference's order (bit 255 first), and back: 0, or -1 when it is not exactly
 * that. */
void pdq_to_hex(char out[PDQ_HEX_BYTES], const struct pdq_hash *h);
int pdq_from_hex(struct pdq_hash *out, const char *hex);

static inline int pdq_distance(const struct pdq_hash *a, const struct pdq_hash *b)
{
    return __builtin_popcountll(a->word[0] ^ b->word[0]) + __builtin_popcountll(a->word[1] ^ b->word[1]) +
           __builtin_popcountll(a->word[2] ^ b->word[2]) + __builtin_popcountll(a->word[3] ^ b->word[3]);
}

#endif
