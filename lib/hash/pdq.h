/*
 * pdq.h: the perceptual hash PDQ: 256 bits, and a quality of 0..100. The bits are those of the published
 * algorithm.
 *
 * Two families are in use and give different bits for the same picture, so that only hashes of one family
 * can be compared:
 *   full    blurs the picture at its own size (the Java and Rust programs, Python's pdqhash);
 *   nn512   first reduces a picture with a side over 512 to 512x512 by nearest neighbour (C++ tool, WASM).
 * A third name, fast, means `full` on a picture that the caller decoded at a reduced size. It differs from
 * `full` in some bits (docs/measured.md).
 *
 * Rows are given from top to bottom, so that a decoder needs only one row at a time. Memory is about
 * (50 + height / 64) rows of floats. A struct pdq may be reused for the next picture; one thread at a time
 * may use it.
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
/* the authors advise against comparing hashes of lower quality: in pictures with little detail the bits are
 * noise */
#define PDQ_MIN_QUALITY 50
#define PDQ_MIN_SIDE 5 /* smaller pictures get the hash 0 and the quality 0 */
/* the arithmetic on windows cannot overflow up to this side; decoders accept only smaller pictures */
#define PDQ_MAX_SIDE (1u << 20)

enum pdq_family { PDQ_FULL, PDQ_NN512, PDQ_FAST };
const char *pdq_family_name(enum pdq_family family);

/* Bit k (16 * vertical frequency + horizontal) is bit k % 64 of word[k / 64]. */
struct pdq_hash {
    uint64_t word[4];
};

/* The eight orientations, in the order in which hashes are returned. Each hash is that of the picture
 * after it was turned in this way. */
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

/* Begins a picture of width x height with 8-bit rows of 3 channels (R, G, B) or 1 (grey). An unfinished
 * picture is dropped. Returns 0, or -1 with err set: EX_OSERR without memory, EX_DATAERR when a side is 0 or
 * larger than PDQ_MAX_SIDE. */
int pdq_begin(struct pdq *p, enum pdq_family family, uint32_t width, uint32_t height, unsigned channels,
              struct error *err);
/* Adds the next row, width * channels bytes. Rows come from top to bottom. */
void pdq_row(struct pdq *p, const uint8_t *row);
/*
 * After `height` rows: sets hashes[0] to the hash of the picture. With n_hashes == PDQ_DIHEDRALS the other
 * orientations follow. They are computed from the same transform. Each differs in some 20 bits at most from
 * the hash of the picture when it is really turned.
 */
void pdq_end(struct pdq *p, struct pdq_hash *hashes, unsigned n_hashes, int *quality);

/* Hashes a whole picture in memory: pdq_begin, the rows at stride_bytes, pdq_end. */
int pdq_of_pixels(struct pdq *p, enum pdq_family family, const uint8_t *pixels, uint32_t width,
                  uint32_t height, unsigned channels, size_t stride_bytes, struct pdq_hash *hashes,
                  unsigned n_hashes, int *quality, struct error *err);

/* pdq_to_hex writes 64 lower-case digits in the order of the published programs (bit 255 first). pdq_from_hex
 * reads them, and returns 0, or -1 when hex is anything else. */
void pdq_to_hex(char out[PDQ_HEX_BYTES], const struct pdq_hash *h);
int pdq_from_hex(struct pdq_hash *out, const char *hex);

static inline int pdq_distance(const struct pdq_hash *a, const struct pdq_hash *b)
{
    return __builtin_popcountll(a->word[0] ^ b->word[0]) + __builtin_popcountll(a->word[1] ^ b->word[1]) +
           __builtin_popcountll(a->word[2] ^ b->word[2]) + __builtin_popcountll(a->word[3] ^ b->word[3]);
}

#endif
