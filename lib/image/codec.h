/* codec.h: declarations that are internal to lib/image. */
#ifndef WINNOW_IMAGE_CODEC_H
#define WINNOW_IMAGE_CODEC_H

#include "image/image.h"
#include "image/limits.h"

/* Fills f and returns the reason, so that a decoder can say `return image_fail(...)`. */
enum image_reason image_fail(struct image_failure *f, enum image_reason reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same from a struct error, for a failed allocation. */
enum image_reason image_fail_error(struct image_failure *f, const struct error *err);

/* Compares the size with the limits, before anything of that size is allocated. Returns IMAGE_OK, or the
 * reason with f filled. */
enum image_reason image_check_size(uint64_t width, uint64_t height, uint64_t max_pixels,
                                   struct image_failure *f);

/* Returns the orientation, 1..8, in the TIFF block of EXIF data; 1 when it is missing or not valid.
 * ORIENT_PILLOW takes any type of number, and the last entry of several. */
int exif_orientation(const uint8_t *tiff, size_t n_bytes, enum orientation_rule rule);

/* The function that each decoder offers. When out is NULL it reads the header only. The caller has set
 * info->format and emptied the rest of info, and applies the orientation afterwards. */
typedef enum image_reason image_decoder(const uint8_t *bytes, size_t n_bytes,
                                        const struct decode_options *options, struct image *out,
                                        struct image_info *info, struct image_failure *f);
image_decoder jpeg_decode, png_decode, webp_decode, gif_decode, avif_decode, heic_decode, jxl_decode;

/* The two ways of image_decode: the first frame, and (frames.c) options->frame. */
enum image_reason image_decode_first(const uint8_t *bytes, size_t n_bytes,
                                     const struct decode_options *options, struct image *out,
                                     struct image_info *info, struct image_failure *failure);
enum image_reason image_decode_nth(const uint8_t *bytes, size_t n_bytes, const struct decode_options *options,
                                   struct image *out, struct image_info *info, struct image_failure *failure);

/*
 * Reads the header, and counts the frames, without decoding: format, size, mode, orientation, limits, and
 * options->colour. Returns IMAGE_OK or the reason, with a few words for people in failure->detail. *info is
 * filled as far as known.
 */
enum image_reason image_read_header(const uint8_t *bytes, size_t n_bytes,
                                    const struct decode_options *options, struct image_info *info,
                                    struct image_failure *f);

/* Whether primaries and transfer (ITU-T H.273) are taken for sRGB's: BT.709's and unspecified ones, too. */
static inline bool cicp_is_srgb(unsigned primaries, unsigned transfer)
{
    return primaries <= 2 && (transfer <= 2 || transfer == 6 || (transfer >= 13 && transfer <= 15));
}

/* Sets info->mode from gray, info->alpha and info->bits: "gray-alpha", "rgb", or "rgb16" for more than 8
 * bits. */
void image_set_mode(struct image_info *info, bool gray);

/* What the fourth sample of a pixel means; premultiplied: the first three have been multiplied by it. */
enum alpha_kind { ALPHA_NONE, ALPHA_STRAIGHT, ALPHA_PREMULTIPLIED };

/*
 * Blends n pixels of R, G, B, A over the background, which is in m, at x, y. With one channel R is used.
 */
void rgba_to_pixels(struct image *m, int x, int y, int n, const uint8_t *rgba, enum alpha_kind alpha,
                    const uint8_t background[3]);
static inline void rgba_to_row(struct image *m, int y, const uint8_t *rgba, enum alpha_kind alpha,
                               const uint8_t background[3])
{
    rgba_to_pixels(m, 0, y, m->width, rgba, alpha, background);
}

/* Returns colour c, with opacity a, over colour b. All are 0..255, and the result is rounded to nearest. */
static inline uint8_t blend_over(unsigned c, unsigned a, unsigned b)
{
    unsigned t = c * a + b * (255 - a) + 128;
    return (uint8_t)((t + (t >> 8)) >> 8);
}

static inline unsigned be16(const uint8_t *p) { return (unsigned)p[0] << 8 | p[1]; }
static inline uint32_t be32(const uint8_t *p) { return (uint32_t)be16(p) << 16 | be16(p + 2); }
static inline unsigned le16(const uint8_t *p) { return (unsigned)p[1] << 8 | p[0]; }
static inline uint32_t le32(const uint8_t *p) { return (uint32_t)le16(p + 2) << 16 | le16(p); }

#endif
