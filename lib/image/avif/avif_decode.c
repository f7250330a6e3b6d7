/*
 * avif_decode.c: decodes AVIF with libavif, in one thread; of a sequence, the first frame. Colour is
 * converted with libavif's defaults (libyuv for 8 bits, chroma of 4:2:0 and 4:2:2 interpolated). The result
 * is exactly what avifdec and Chromium show; profiles are ignored. Alpha is used as it is stored. irot and
 * imir determine the orientation, and EXIF does not.
 *
 * Planes are converted to RGB in bands of rows, so no second copy of a large picture is needed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <avif/avif.h>

#include "base/mem.h"
#include "image/colour.h"
#include "image/frames.h"

/* libavif's own limit is 2^28 pixels. It refuses a larger picture with this text when it reads the boxes. */
#define TOO_LARGE "too large"

/* A row of 4:2:0 uses the chroma of adjacent rows, so a band has two more rows on each side. */
#define OVERLAP_ROWS 2

/* Size of a band in RGBA. It stays in the cache until it is copied. */
#define BAND_BYTES (256u << 10)

static enum image_reason failed(const avifDecoder *d, avifResult result, const uint8_t *bytes, size_t n_bytes,
                                struct image_failure *f)
{
    const char *why = d->diag.error[0] ? d->diag.error : avifResultToString(result);
    enum image_reason reason =
        image_kind_complete(IMAGE_AVIF, bytes, n_bytes) ? IMAGE_DECODE_CORRUPT : IMAGE_DECODE_TRUNCATED;
    switch (result) {
    case AVIF_RESULT_TRUNCATED_DATA: reason = IMAGE_DECODE_TRUNCATED; break;
    case AVIF_RESULT_OUT_OF_MEMORY: reason = IMAGE_DECODE_MEMORY; break;
    case AVIF_RESULT_NO_CODEC_AVAILABLE:
    case AVIF_RESULT_NOT_IMPLEMENTED:
    case AVIF_RESULT_UNSUPPORTED_DEPTH: reason = IMAGE_UNSUPPORTED; break;
    default: break;
    }
    if (strstr(why, TOO_LARGE)) reason = IMAGE_TOO_MANY_PIXELS;
    return image_fail(f, reason, "%s", why);
}

/* Returns the EXIF orientation that is equal to irot (quarter turns anticlockwise) followed by imir. */
static int orientation_of(const avifImage *image)
{
    static const uint8_t orientations[4][3] = {{1, 4, 2}, {8, 5, 7}, {3, 2, 4}, {6, 7, 5}};
    int turns = image->transformFlags & AVIF_TRANSFORM_IROT ? image->irot.angle & 3 : 0,
        mirror = image->transformFlags & AVIF_TRANSFORM_IMIR ? 1 + (image->imir.mode & 1) : 0;
    return orientations[turns][mirror];
}

/* As in Chromium, a clean aperture is used only when its sides are integers and it begins in the corner. */
static void clean_aperture(const avifImage *image, uint32_t *width, uint32_t *height)
{
    avifCropRect rect;
    avifDiagnostics ignored;
    *width = image->width;
    *height = image->height;
    if (!(image->transformFlags & AVIF_TRANSFORM_CLAP)) return;
    avifDiagnosticsClearError(&ignored);
    if (avifCropRectConvertCleanApertureBox(&rect, &image->clap, image->width, image->height,
                                            image->yuvFormat, &ignored) &&
        rect.x == 0 && rect.y == 0 && rect.width > 0 && rect.height > 0) {
        *width = rect.width;
        *height = rect.height;
    }
}

static enum image_reason describe(const avifDecoder *d, const struct decode_options *options,
                                  struct image_info *info, struct image_failure *f)
{
    const avifImage *image = d->image;
    enum image_reason reason = image_check_size(image->width, image->height, options->max_pixels, f);
    uint32_t width, height;
    clean_aperture(image, &width, &height);
    info->width = width > IMAGE_MAX_SIDE_PX ? IMAGE_MAX_SIDE_PX + 1 : (int)width;
    info->height = height > IMAGE_MAX_SIDE_PX ? IMAGE_MAX_SIDE_PX + 1 : (int)height;
    info->orientation = orientation_of(image);
    info->bits = (int)image->depth;
    info->icc = image->icc.size > 0 || !cicp_is_srgb(image->colorPrimaries, image->transferCharacteristics);
    if (options->colour && image->icc.size > 0)
        colour_note_icc(options->colour, image->icc.data, image->icc.size);
    else if (options->colour)
        colour_note_cicp(options->colour, image->colorPrimaries, image->transferCharacteristics);
    info->alpha = d->alphaPresent || image->alphaPlane;
    info->frames = d->imageCount < 1                  ? 1
                   : d->imageCount > IMAGE_MAX_FRAMES ? IMAGE_MAX_FRAMES
                                                      : d->imageCount;
    image_set_mode(info, image->yuvFormat == AVIF_PIXEL_FORMAT_YUV400);
    return reason;
}

static enum image_reason to_rgb(const avifImage *image, const struct decode_options *options,
                                struct image *out, struct image_failure *f)
{
    struct error err = {0};
    avifResult result = AVIF_RESULT_OK;
    const size_t row_bytes = (size_t)image->width * 4;
    uint32_t band = (uint32_t)(BAND_BYTES / row_bytes) & ~1u, rows = (uint32_t)out->height;
    if (band < 16) band = 16;
    uint8_t *rgba = mem_alloc((band + 2 * OVERLAP_ROWS) * row_bytes, &err);
    avifImage *view = avifImageCreateEmpty();
    if (!rgba || !view) {
        if (!rgba)
            image_fail_error(f, &err);
        else
            image_fail(f, IMAGE_DECODE_MEMORY, "libavif ran out of memory");
        result = AVIF_RESULT_OUT_OF_MEMORY;
    }
    for (uint32_t y = 0; y < rows && result == AVIF_RESULT_OK; y += band) {
        uint32_t n = rows - y < band ? rows - y : band, from = y > 0 ? y - OVERLAP_ROWS : 0,
                 to = y + n + OVERLAP_ROWS < image->height ? y + n + OVERLAP_ROWS : image->height;
        avifCropRect rect = {0, from, image->width, to - from};
        avifRGBImage rgb;
        if ((result = avifImageSetViewRect(view, image, &rect)) != AVIF_RESULT_OK) break;
        avifRGBImageSetDefaults(&rgb, view);
        rgb.depth = 8;
        rgb.format = AVIF_RGB_FORMAT_RGBA;
        rgb.ignoreAlpha = !image->alphaPlane;
        /* libyuv truncates 10 bits to 8 before it computes, which causes an error of up to two levels. */
        rgb.avoidLibYUV = image->depth > 8;
        rgb.pixels = rgba;
        rgb.rowBytes = (uint32_t)row_bytes;
        if ((result = avifImageYUVToRGB(view, &rgb)) != AVIF_RESULT_OK) break;
        for (uint32_t i = 0; i < n; i++)
            rgba_to_row(out, (int)(y + i), rgba + (y - from + i) * row_bytes,
                        image->alphaPlane && !options->drop_alpha ? ALPHA_STRAIGHT : ALPHA_NONE,
                        options->background);
    }
    if (view) avifImageDestroy(view);
    free(rgba);
    if (result == AVIF_RESULT_OK) return IMAGE_OK;
    if (f->reason == IMAGE_OK)
        image_fail(f, result == AVIF_RESULT_OUT_OF_MEMORY ? IMAGE_DECODE_MEMORY : IMAGE_UNSUPPORTED, "%s",
                   avifResultToString(result));
    return f->reason;
}

/* Opens the file and reads its boxes. On success *out is the decoder. */
static enum image_reason open_file(avifDecoder **out, const uint8_t *bytes, size_t n_bytes,
                                   const struct decode_options *options, struct image_info *info,
                                   struct image_failure *f)
{
    enum image_reason reason;
    avifResult result;
    avifDecoder *d = avifDecoderCreate();
    *out = NULL;
    if (!d) return image_fail(f, IMAGE_DECODE_MEMORY, "libavif ran out of memory");
    d->maxThreads = 1;
    d->ignoreExif = d->ignoreXMP = AVIF_TRUE;
    d->imageDimensionLimit = 0; /* ours tell the sizes */
    d->imageCountLimit = IMAGE_MAX_FRAMES;
    /* Browsers show files without pixi, or with a fractional clap, that libavif's own rules refuse. */
    d->strictFlags = AVIF_STRICT_DISABLED;
    if ((result = avifDecoderSetIOMemory(d, bytes, n_bytes)) != AVIF_RESULT_OK ||
        (result = avifDecoderParse(d)) != AVIF_RESULT_OK)
        reason = failed(d, result, bytes, n_bytes, f);
    else
        reason = describe(d, options, info, f);
    if (reason != IMAGE_OK) {
        avifDecoderDestroy(d);
        return reason;
    }
    /* dav1d has a limit of its own, because the bitstream may have another size than the boxes. */
    d->imageSizeLimit =
        (uint32_t)(options->max_pixels > 0 && options->max_pixels < IMAGE_MAX_PIXELS ? options->max_pixels
                                                                                     : IMAGE_MAX_PIXELS);
    *out = d;
    return IMAGE_OK;
}

static enum image_reason next_frame(avifDecoder *d, const uint8_t *bytes, size_t n_bytes,
                                    const struct decode_options *options, struct image *out,
                                    struct image_info *info, struct image_failure *f)
{
    struct error err = {0};
    avifResult result = avifDecoderNextImage(d);
    if (result != AVIF_RESULT_OK) return failed(d, result, bytes, n_bytes, f);
    enum image_reason reason = describe(d, options, info, f);
    if (reason != IMAGE_OK || !out) return reason;
    bool gray = d->image->yuvFormat == AVIF_PIXEL_FORMAT_YUV400 && !d->image->alphaPlane;
    return image_reserve(out, info->width, info->height, gray ? 1 : 3, &err)
               ? image_fail_error(f, &err)
               : to_rgb(d->image, options, out, f);
}

enum image_reason avif_decode(const uint8_t *bytes, size_t n_bytes, const struct decode_options *options,
                              struct image *out, struct image_info *info, struct image_failure *f)
{
    avifDecoder *d;
    enum image_reason reason = open_file(&d, bytes, n_bytes, options, info, f);
    if (reason != IMAGE_OK) return reason;
    if (out) reason = next_frame(d, bytes, n_bytes, options, out, info, f);
    avifDecoderDestroy(d);
    return reason;
}

enum image_reason avif_frames(const uint8_t *bytes, size_t n_bytes, struct frame_walk *w,
                              struct image_info *info, struct image_failure *f)
{
    avifDecoder *d;
    enum image_reason reason = open_file(&d, bytes, n_bytes, w->options, info, f);
    if (reason != IMAGE_OK) return reason;
    while (reason == IMAGE_OK && !frames_done(w) && w->n_seen < d->imageCount) {
        bool wanted = frame_wanted(w);
        reason = next_frame(d, bytes, n_bytes, w->options, wanted ? w->out : NULL, info, f);
        if (reason == IMAGE_OK && wanted) reason = frame_give(w, f);
        w->n_seen++;
    }
    avifDecoderDestroy(d);
    return reason;
}
