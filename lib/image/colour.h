/* colour.h: reads the colour description of a file, and converts the picture to sRGB. Internal to
 * lib/image. */
#ifndef WINNOW_IMAGE_COLOUR_H
#define WINNOW_IMAGE_COLOUR_H

#include "image/codec.h"

/* The decoders fill this from the header. The first of cicp, icc and gamma that is set is used. */
struct colour_note {
    bool has_cicp, has_gamma, has_chromaticities;
    unsigned primaries, transfer; /* cicp: ITU-T H.273 */
    uint8_t *icc;                 /* owned */
    size_t n_icc;
    double gamma, chromaticities[8]; /* samples are light to this power; x, y of white, red, green, blue */
};
void colour_note_release(struct colour_note *n);
/* Keeps a copy of a profile. A profile that is too large, or a second one, is ignored. */
void colour_note_icc(struct colour_note *n, const uint8_t *icc, size_t n_bytes);
/* cicp, unless it is sRGB. */
void colour_note_cicp(struct colour_note *n, unsigned primaries, unsigned transfer);

/* Converts in place. A grey picture stays grey if the result is grey. -1: out of memory. */
int colour_to_srgb(struct image *m, const struct colour_note *note, struct error *err);

/*
 * Inks by the profile of the file: rows of C, M, Y, K as JPEG stores them (255 is no ink) become sRGB.
 * colour_inks_open gives NULL where the note has no profile for four inks that lcms accepts; the plain
 * formula then holds. colour_to_srgb leaves such a picture alone. Close takes NULL.
 */
struct colour_inks;
struct colour_inks *colour_inks_open(const struct colour_note *note);
void colour_inks_row(const struct colour_inks *inks, uint8_t *rgb, const uint8_t *cmyk, size_t n);
void colour_inks_close(struct colour_inks *inks);

/* Read the description from the file. */
void colour_of_jpeg(struct colour_note *n, const uint8_t *bytes, size_t n_bytes);
void colour_of_png(struct colour_note *n, const uint8_t *bytes, size_t n_bytes);

#endif
