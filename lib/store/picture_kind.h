/*
 * picture_kind.h: what a run of bytes is, by its signature, and whether it has the end that its format
 * demands. No decoding: a fetcher must not expose a decoder to the network. What a picture really holds is
 * validate's business.
 */
#ifndef WINNOW_STORE_PICTURE_KIND_H
#define WINNOW_STORE_PICTURE_KIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum picture_kind {
    PICTURE_UNKNOWN,
    PICTURE_JPEG,
    PICTURE_PNG,
    PICTURE_WEBP,
    PICTURE_GIF, /* the last four are kept */
    PICTURE_AVIF,
    PICTURE_HEIC,
    PICTURE_JXL,
    PICTURE_BMP,
    PICTURE_TIFF,
    PICTURE_ICO,
    PICTURE_SVG, /* refused by name */
    PICTURE_VIDEO,
    PICTURE_HTML,
    PICTURE_JSON,
    PICTURE_TEXT,
    PICTURE_PDF,
    PICTURE_GZIP,
    PICTURE_ZIP,
    PICTURE_KINDS
};

enum picture_kind picture_kind_of(const uint8_t *bytes,
                                  /* 32 bytes settle everything but HTML behind blanks */
                                  size_t n_bytes);
const char *picture_kind_name(enum picture_kind k); /* "jpeg", "avif", "html" */
static inline bool picture_kind_kept(enum picture_kind k) { return k >= PICTURE_JPEG && k <= PICTURE_GIF; }
const char *picture_kind_extension(enum picture_kind k);    /* "jpg" for a kept kind, else NULL */
enum picture_kind picture_kind_from_name(const char *name); /* PICTURE_UNKNOWN when there is none */

/*
 * Whether a kept kind's whole file ends as its format says: JPEG's end marker, PNG's IEND, GIF's trailer,
 * WebP's RIFF size. Blanks and zero padding behind are allowed. For bodies whose length nobody announced.
 */
bool picture_kind_complete(enum picture_kind k, const uint8_t *bytes, size_t n_bytes);

#endif
