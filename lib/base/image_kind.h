/*
 * image_kind.h: recognises the kind of an image by its signature, and checks whether the file has the end
 * that its format requires. Nothing is decoded here, because a downloader must not expose a decoder to the
 * network; validate checks the contents of the image. For files that are not images see file_kind.h.
 */
#ifndef WINNOW_BASE_IMAGE_KIND_H
#define WINNOW_BASE_IMAGE_KIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum image_kind {
    IMAGE_UNKNOWN,
    IMAGE_JPEG,
    IMAGE_PNG,
    IMAGE_WEBP,
    IMAGE_GIF,
    IMAGE_AVIF,
    IMAGE_HEIC,
    IMAGE_JXL, /* these seven are decoded, the last three where their library was built in */
    IMAGE_BMP,
    IMAGE_TIFF,
    IMAGE_ICO,
    IMAGE_SVG, /* images, but refused */
    IMAGE_JP2,
    IMAGE_PSD,
    IMAGE_MP4,
    IMAGE_WEBM,
    IMAGE_RIFF,
    IMAGE_VIDEO, /* of another kind */
    IMAGE_HTML,
    IMAGE_XML,
    IMAGE_JSON,
    IMAGE_TEXT,
    IMAGE_PDF,
    IMAGE_GZIP,
    IMAGE_ZIP,
    IMAGE_ELF,
    IMAGE_KINDS
};

/* Returns the kind that the first bytes show. 32 bytes are enough for every kind but text, and 256 nearly
 * always for text. */
enum image_kind image_kind_of(const uint8_t *bytes, size_t n_bytes);
static inline bool image_kind_kept(enum image_kind k) { return k >= IMAGE_JPEG && k <= IMAGE_JXL; }
const char *image_kind_name(enum image_kind k); /* "jpeg", "jxl", "video", "html"; "unknown" */
/* for the detail of a reject: "jpeg xl", "mp4", "xml", "unknown bytes" */
const char *image_kind_detail(enum image_kind k);
const char *image_kind_extension(enum image_kind k);    /* "jpg" for a kind that fetch keeps, else NULL */
enum image_kind image_kind_from_name(const char *name); /* the first of that name, or IMAGE_UNKNOWN */

/*
 * Whether a whole file, of a kind that fetch keeps, ends as its format says: JPEG's end marker, PNG's IEND,
 * GIF's trailer, WebP's RIFF size, the boxes of AVIF, HEIC and JPEG XL. Blanks and zero padding may follow.
 * Returns true where the format does not mark its end: a bare JPEG XL codestream, or a last box without a
 * length. Used for HTTP bodies whose length was not announced.
 */
bool image_kind_complete(enum image_kind k, const uint8_t *bytes, size_t n_bytes);

#endif
