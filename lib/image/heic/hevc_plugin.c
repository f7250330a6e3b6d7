/*
 * hevc_plugin.c: see hevc_plugin.h. An item's data consist of NAL units, each after its length in four bytes.
 * The first decoded picture is copied into a heif_image.
 */
#include "image/heic/hevc_plugin.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include <libde265/de265.h>
#include <libheif/heif.h>
#include <libheif/heif_plugin.h>

#include "image/codec.h"

/* The priority of this plug-in; those of libheif have 100. */
#define PRIORITY 1000

_Thread_local struct hevc_seen hevc_seen;

static const struct heif_error fine = {heif_error_Ok, heif_suberror_Unspecified, "Success"};

static struct heif_error refuse(const char *why)
{
    return (struct heif_error){heif_error_Decoder_plugin_error, heif_suberror_Unspecified, why};
}

static const char *plugin_name(void) { return "winnow: libde265 without threads"; }

static int supports_hevc(enum heif_compression_format format)
{
    return format == heif_compression_HEVC ? PRIORITY : 0;
}

static struct heif_error open_hevc(void **decoder)
{
    *decoder = de265_new_decoder();
    if (*decoder) return fine;
    hevc_seen.out_of_memory = true;
    return refuse("libde265 ran out of memory");
}

static void close_hevc(void *decoder) { de265_free_decoder(decoder); }

static struct heif_error push(void *decoder, const void *data, size_t n_bytes)
{
    const uint8_t *at = data;
    while (n_bytes > 0) {
        if (n_bytes < 4) return refuse("a NAL unit without its length");
        uint32_t n = be32(at);
        at += 4;
        n_bytes -= 4;
        if (n > n_bytes || n > INT32_MAX) return refuse("a NAL unit longer than its item");
        if (!de265_isOK(de265_push_NAL(decoder, at, (int)n, 0, NULL)))
            return refuse("libde265 takes no more data");
        at += n;
        n_bytes -= n;
    }
    return fine;
}

/* Whether a warning does not affect the pixels. */
static bool harmless(de265_error w)
{
    return w == DE265_WARNING_NO_WPP_CANNOT_USE_MULTITHREADING || w == DE265_WARNING_WARNING_BUFFER_FULL ||
           w == DE265_WARNING_INCORRECT_ENTRY_POINT_OFFSET ||
           w == DE265_WARNING_NUMBER_OF_THREADS_LIMITED_TO_MAXIMUM ||
           w == DE265_WARNING_SPS_MISSING_CANNOT_DECODE_SEI;
}

static void note(de265_error e)
{
    if (e == DE265_OK || harmless(e)) return;
    if (e == DE265_ERROR_OUT_OF_MEMORY || e == DE265_WARNING_CANNOT_APPLY_SAO_OUT_OF_MEMORY)
        hevc_seen.out_of_memory = true;
    if (!hevc_seen.message) hevc_seen.message = de265_get_error_text(e);
}

static struct heif_error copy_plane(struct heif_image *to, enum heif_channel channel,
                                    const struct de265_image *from, int component)
{
    int from_stride = 0, to_stride = 0, width = de265_get_image_width(from, component),
        height = de265_get_image_height(from, component), bits = de265_get_bits_per_pixel(from, component);
    const uint8_t *in = de265_get_image_plane(from, component, &from_stride);
    if (!in || width < 1 || height < 1 || bits < 8 || bits > 16) return refuse("a picture without pixels");
    struct heif_error e = heif_image_add_plane(to, channel, width, height, bits);
    if (e.code != heif_error_Ok) return e;
    uint8_t *out = heif_image_get_plane(to, channel, &to_stride);
    size_t row_bytes = (size_t)width * (bits > 8 ? 2 : 1);
    if (!out || (size_t)to_stride < row_bytes || (size_t)from_stride < row_bytes)
        return refuse("a picture with short rows");
    for (int y = 0; y < height; y++)
        memcpy(out + (size_t)y * (size_t)to_stride, in + (size_t)y * (size_t)from_stride, row_bytes);
    return fine;
}

/* Copies the colour description of the stream, which libheif uses when the file has no colour box. */
static void copy_colour(struct heif_image *to, const struct de265_image *from)
{
    struct heif_color_profile_nclx *nclx = heif_nclx_color_profile_alloc();
    if (!nclx) return;
    nclx->full_range_flag = de265_get_image_full_range_flag(from) != 0;
    heif_nclx_color_profile_set_color_primaries(nclx, (uint16_t)de265_get_image_colour_primaries(from));
    heif_nclx_color_profile_set_transfer_characteristics(nclx,
                                                         (uint16_t)de265_get_image_transfer_characteristics(
                                                             from));
    heif_nclx_color_profile_set_matrix_coefficients(nclx,
                                                    (uint16_t)de265_get_image_matrix_coefficients(from));
    heif_image_set_nclx_color_profile(to, nclx);
    heif_nclx_color_profile_free(nclx);
}

static struct heif_error copy_picture(const struct de265_image *from, struct heif_image **out)
{
    static const enum heif_chroma formats[] = {heif_chroma_monochrome, heif_chroma_420, heif_chroma_422,
                                               heif_chroma_444};
    static const enum heif_channel channels[] = {heif_channel_Y, heif_channel_Cb, heif_channel_Cr};
    unsigned chroma = (unsigned)de265_get_chroma_format(from);
    if (chroma > 3) return refuse("an unknown chroma format");
    if (!hevc_seen.any) {
        hevc_seen.any = true;
        hevc_seen.gray = chroma == 0;
        hevc_seen.full_range = de265_get_image_full_range_flag(from) != 0;
    }
    struct heif_image *to = NULL;
    struct heif_error e = heif_image_create(de265_get_image_width(from, 0), de265_get_image_height(from, 0),
                                            chroma == 0 ? heif_colorspace_monochrome : heif_colorspace_YCbCr,
                                            formats[chroma], &to);
    for (int c = 0; e.code == heif_error_Ok && c < (chroma == 0 ? 1 : 3); c++)
        e = copy_plane(to, channels[c], from, c);
    if (e.code != heif_error_Ok) {
        if (to) heif_image_release(to);
        return e;
    }
    copy_colour(to, from);
    *out = to;
    return fine;
}

static struct heif_error decode(void *decoder, struct heif_image **out)
{
    const struct de265_image *picture = NULL;
    de265_error e = de265_flush_data(decoder);
    int more = 1;
    *out = NULL;
    while (de265_isOK(e) && more && !picture) {
        more = 0;
        e = de265_decode(decoder, &more);
        picture = de265_get_next_picture(decoder);
    }
    if (!de265_isOK(e)) note(e);
    for (de265_error w; (w = de265_get_warning(decoder)) != DE265_OK;)
        note(w);
    if (!picture) return refuse(hevc_seen.message ? hevc_seen.message : "no picture in the HEVC data");
    return copy_picture(picture, out);
}

static void set_strict(void *decoder, int flag) { (void)decoder, (void)flag; }

/* --- AV1 in a HEIC container: dav1d as libheif uses it starts threads --- */

static const char *refuser_name(void) { return "winnow: no AV1 in HEIC"; }

static int supports_av1(enum heif_compression_format format)
{
    return format == heif_compression_AV1 ? PRIORITY : 0;
}

static struct heif_error open_av1(void **decoder)
{
    *decoder = NULL;
    return (struct heif_error){heif_error_Unsupported_feature, heif_suberror_Unsupported_codec,
                               "AV1 in a HEIC container"};
}

static void close_av1(void *decoder) { (void)decoder; }

static struct heif_error push_av1(void *decoder, const void *data, size_t n_bytes)
{
    (void)data, (void)n_bytes;
    return open_av1(&decoder);
}

static struct heif_error decode_av1(void *decoder, struct heif_image **out)
{
    *out = NULL;
    return open_av1(&decoder);
}

static void register_plugins(void)
{
    static const struct heif_decoder_plugin hevc = {
        .plugin_api_version = 3,
        .get_plugin_name = plugin_name,
        .does_support_format = supports_hevc,
        .new_decoder = open_hevc,
        .free_decoder = close_hevc,
        .push_data = push,
        .decode_image = decode,
        .set_strict_decoding = set_strict,
        .id_name = "winnow-hevc",
    };
    static const struct heif_decoder_plugin av1 = {
        .plugin_api_version = 3,
        .get_plugin_name = refuser_name,
        .does_support_format = supports_av1,
        .new_decoder = open_av1,
        .free_decoder = close_av1,
        .push_data = push_av1,
        .decode_image = decode_av1,
        .set_strict_decoding = set_strict,
        .id_name = "winnow-no-av1",
    };
    heif_register_decoder_plugin(&hevc);
    heif_register_decoder_plugin(&av1);
}

void hevc_plugin_use(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_plugins);
    hevc_seen = (struct hevc_seen){0};
}
