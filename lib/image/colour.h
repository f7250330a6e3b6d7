/* colour.h: what a file says about its colours, and the way from there to sRGB. Inside lib/image. */
#ifndef WINNOW_IMAGE_COLOUR_H
#define WINNOW_IMAGE_COLOUR_H

#include "image/codec.h"

/* The first of these that is there counts: cicp, icc, gamma. Filled by the decoders from the header. */
struct colour_note {
    bool has_cicp, has_gamma, has_chromaticities;
    unsigned primaries, transfer; /* cicp: ITU-T H.273 */
    uint8_t *icc;                 /* owned */
    size_t n_icc;
    double gamma, chromaticities[8]; /* samples are light to this power; x, y of white, red, green, blue */
};
void colour_note_release(struct colour_note *n);
/* Keeps a copy of a profile; what is too large or comes second is left out, as if it were not there. */
void colour_note_icc(struct colour_note *n, const uint8_t *icc, size_t n_bytes);
/* cicp, unless it is sRGB. */
void colour_note_cicp(struct colour_note *n, unsigned primaries, unsigned transfer);

/* image/colour: converts in place; grey stays grey where the result is. -1: out of memory. */
int colour_to_srgb(struct image *m, const struct colour_note *note, struct error *err);

/* Out of the files. */
void colour_of_jpeg(struct colour_note *n, const uint8_t *bytes, size_t n_bytes);
void colour_of_png(struct colour_note *n, const uint8_t *bytes, size_t n_bytes);

#endif
