/*
 * heic_decode.c: decodes HEIC with libheif: the primary item, with libheif's colour conversion, rotation and
 * cropping (irot, imir and clap in the file's order, never EXIF; no orientation rule disables this). HEVC
 * itself is decoded in this thread by hevc_plugin.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libheif/heif.h>

#include "base/mem.h"
#include "image/colour.h"
#include "image/heic/heic_references.h"
#include "image/heic/hevc_plugin.h"

/* The limit for the side of a part of a picture, when the picture itself is smaller. */
#define LEAST_LIMIT_PX 8192

static enum image_reason failed(struct heif_error e, const uint8_t *bytes, size_t n_bytes,
                                struct image_failure *f)
{
    enum image_reason reason =
        image_kind_complete(IMAGE_HEIC, bytes, n_bytes) ? IMAGE_DECODE_CORRUPT : IMAGE_DECODE_TRUNCATED;
    if (e.code == heif_error_Unsupported_feature || e.code == heif_error_Unsupported_filetype)
        reason = IMAGE_UNSUPPORTED;
    else if (e.subcode == heif_suberror_Security_limit_exceeded)
        reason = IMAGE_TOO_MANY_PIXELS;
    else if (e.code == heif_error_Memory_allocation_error || hevc_seen.out_of_memory)
        reason = IMAGE_DECODE_MEMORY;
    else if (e.subcode == heif_suberror_End_of_data)
        reason = IMAGE_DECODE_TRUNCATED;
    return image_fail(f, reason, "%s", hevc_seen.message ? hevc_seen.message : e.message);
}

static void note_colour(const struct heif_image_handle *handle, const struct heif_color_profile_nclx *nclx,
                        struct colour_note *note)
{
    struct error ignored = {0};
    size_t n = heif_image_handle_get_raw_color_profile_size(handle);
    uint8_t *icc = n > 0 && n <= IMAGE_MAX_FILE_BYTES ? mem_alloc(n, &ignored) : NULL;
    if (icc && heif_image_handle_get_raw_color_profile(handle, icc).code == heif_error_Ok)
        colour_note_icc(note, icc, n);
    else if (nclx)
        colour_note_cicp(note, (unsigned)nclx->color_primaries, (unsigned)nclx->transfer_characteristics);
    free(icc);
}

static void describe(const struct heif_image_handle *handle, int width, int height,
                     const struct decode_options *options, struct image_info *info)
{
    enum heif_color_profile_type profile = heif_image_handle_get_color_profile_type(handle);
    info->width = width < 0 ? 0 : width > IMAGE_MAX_SIDE_PX ? IMAGE_MAX_SIDE_PX + 1 : width;
    info->height = height < 0 ? 0 : height > IMAGE_MAX_SIDE_PX ? IMAGE_MAX_SIDE_PX + 1 : height;
    info->bits = heif_image_handle_get_luma_bits_per_pixel(handle);
    if (info->bits < 1 || info->bits > 16) info->bits = 8;
    info->alpha = heif_image_handle_has_alpha_channel(handle);
    info->icc = profile == heif_color_profile_type_rICC || profile == heif_color_profile_type_prof;
    struct heif_color_profile_nclx *nclx = NULL;
    if (heif_image_handle_get_nclx_color_profile(handle, &nclx).code == heif_error_Ok && nclx &&
        !cicp_is_srgb(nclx->color_primaries, nclx->transfer_characteristics))
        info->icc = true;
    if (options->colour) note_colour(handle, nclx, options->colour);
    heif_nclx_color_profile_free(nclx);
    image_set_mode(info, hevc_seen.any && hevc_seen.gray);
}

/* Whether samples have limited range. The colour box says it, or without one the stream. */
static bool limited_range(const struct heif_image_handle *handle)
{
    struct heif_color_profile_nclx *nclx = NULL;
    bool limited = !hevc_seen.full_range;
    if (heif_image_handle_get_nclx_color_profile(handle, &nclx).code == heif_error_Ok && nclx)
        limited = !nclx->full_range_flag;
    heif_nclx_color_profile_free(nclx);
    return limited;
}

/* Expands samples from 16..235 to 0..255, which libheif does not do for grey pictures. */
static void expand_range(uint8_t *samples, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int v = ((int)samples[i] - 16) * 255;
        samples[i] = (uint8_t)(v <= 0 ? 0 : v >= 219 * 255 ? 255 : (v + 109) / 219);
    }
}

static enum image_reason keep_pixels(const struct heif_image_handle *handle, const struct heif_image *image,
                                     const struct decode_options *options, struct image *out,
                                     struct image_info *info, struct image_failure *f)
{
    struct error err = {0};
    int stride = 0, width = heif_image_get_width(image, heif_channel_interleaved),
        height = heif_image_get_height(image, heif_channel_interleaved);
    const uint8_t *plane = heif_image_get_plane_readonly(image, heif_channel_interleaved, &stride);
    bool rgba = heif_image_get_chroma_format(image) == heif_chroma_interleaved_RGBA;
    describe(handle, width, height, options, info);
    enum image_reason reason = image_check_size((uint64_t)(width < 0 ? 0 : width),
                                                (uint64_t)(height < 0 ? 0 : height), options->max_pixels, f);
    if (reason != IMAGE_OK) return reason;
    if (!plane || (int64_t)stride < (int64_t)width * (rgba ? 4 : 3))
        return image_fail(f, IMAGE_DECODE_CORRUPT, "libheif gave no pixels");
    bool gray = hevc_seen.gray && !info->alpha;
    if (image_reserve(out, width, height, gray ? 1 : 3, &err)) return image_fail_error(f, &err);
    enum alpha_kind alpha = !info->alpha || !rgba || options->drop_alpha       ? ALPHA_NONE
                            : heif_image_handle_is_premultiplied_alpha(handle) ? ALPHA_PREMULTIPLIED
                                                                               : ALPHA_STRAIGHT;
    for (int y = 0; y < height; y++) {
        const uint8_t *row = plane + (size_t)y * (size_t)stride;
        if (rgba)
            rgba_to_row(out, y, row, alpha, options->background);
        else if (gray)
            for (int x = 0; x < width; x++)
                out->pixels[(size_t)y * (size_t)width + (size_t)x] = row[3 * x];
        else
            memcpy(out->pixels + (size_t)y * (size_t)width * 3, row, (size_t)width * 3);
    }
    if (gray && limited_range(handle)) expand_range(out->pixels, image_bytes(out));
    return IMAGE_OK;
}

enum image_reason heic_decode(const uint8_t *bytes, size_t n_bytes, const struct decode_options *options,
                              struct image *out, struct image_info *info, struct image_failure *f)
{
    struct heif_image_handle *handle = NULL;
    struct heif_image *image = NULL;
    struct heif_decoding_options *how = NULL;
    enum image_reason reason = IMAGE_OK;
    struct heif_error e;
    struct error refused = {0};
    if (heic_check_references(bytes, n_bytes, &refused))
        return refused.code == EX_DATAERR ? image_fail(f, IMAGE_DECODE_CORRUPT, "%s", refused.text)
                                          : image_fail_error(f, &refused);
    hevc_plugin_use();
    struct heif_context *context = heif_context_alloc();
    if (!context) return image_fail(f, IMAGE_DECODE_MEMORY, "libheif ran out of memory");
    heif_context_set_maximum_image_size_limit(context, IMAGE_MAX_SIDE_PX);
    heif_context_set_max_decoding_threads(context, 0);
    e = heif_context_read_from_memory_without_copy(context, bytes, n_bytes, NULL);
    /* The first error decides, because the context still returns pictures after it. */
    if (e.code == heif_error_Ok) e = heif_context_get_primary_image_handle(context, &handle);
    if (e.code != heif_error_Ok) {
        reason = failed(e, bytes, n_bytes, f);
        goto out;
    }
    describe(handle, heif_image_handle_get_width(handle), heif_image_handle_get_height(handle), options,
             info);
    reason = image_check_size((uint64_t)info->width, (uint64_t)info->height, options->max_pixels, f);
    if (reason != IMAGE_OK || !out) goto out;
    /* A grid or an overlay has a separate size. libheif checks each side by itself; tiles may be larger than
     * the picture. */
    int side = info->width > info->height ? info->width : info->height;
    heif_context_set_maximum_image_size_limit(context, side > LEAST_LIMIT_PX ? side : LEAST_LIMIT_PX);
    if (!(how = heif_decoding_options_alloc())) {
        reason = image_fail(f, IMAGE_DECODE_MEMORY, "libheif ran out of memory");
        goto out;
    }
    how->convert_hdr_to_8bit = 1;
    e = heif_decode_image(handle, &image, heif_colorspace_RGB,
                          info->alpha ? heif_chroma_interleaved_RGBA : heif_chroma_interleaved_RGB, how);
    if (e.code != heif_error_Ok || !image)
        reason = failed(e, bytes, n_bytes, f);
    else if (hevc_seen.message && !options->allow_truncated)
        reason = image_fail(f, IMAGE_DECODE_CORRUPT, "%s", hevc_seen.message);
    else
        reason = keep_pixels(handle, image, options, out, info, f);
out:
    if (how) heif_decoding_options_free(how);
    if (image) heif_image_release(image);
    if (handle) heif_image_handle_release(handle);
    heif_context_free(context);
    return reason;
}
