/*
 * jxl_decode.c: decodes JPEG XL with libjxl, in one thread; of an animation, the first frame as it is shown.
 * A picture that was coded in XYB becomes sRGB. The samples of other pictures are used as they are stored;
 * profiles are ignored. Spot colours are mixed in. A picture with a black channel (CMYK) is refused, because
 * libjxl ignores the black.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jxl/decode.h>

#include "base/mem.h"
#include "image/colour.h"
#include "image/frames.h"

/* The state while the decoder runs. */
struct jxl_state {
    const struct decode_options *options;
    struct image *out;
    enum alpha_kind alpha;
};

static void on_pixels(void *context, size_t x, size_t y, size_t n, const void *pixels)
{
    struct jxl_state *s = context;
    if (y < (size_t)s->out->height && x <= (size_t)s->out->width && n <= (size_t)s->out->width - x)
        rgba_to_pixels(s->out, (int)x, (int)y, (int)n, pixels, s->alpha, s->options->background);
}

/* Counts the frames from their headers, without decoding. */
static int count_frames(const uint8_t *bytes, size_t n_bytes)
{
    int frames = 0;
    JxlDecoder *d = JxlDecoderCreate(NULL);
    if (d && JxlDecoderSubscribeEvents(d, JXL_DEC_FRAME) == JXL_DEC_SUCCESS &&
        JxlDecoderSetInput(d, bytes, n_bytes) == JXL_DEC_SUCCESS)
        while (frames < IMAGE_MAX_FRAMES && JxlDecoderProcessInput(d) == JXL_DEC_FRAME)
            frames++;
    if (d) JxlDecoderDestroy(d);
    return frames > 0 ? frames : 1;
}

static enum image_reason describe(JxlDecoder *d, const JxlBasicInfo *basic, struct jxl_state *s,
                                  struct image_info *info, struct image_failure *f)
{
    info->width = basic->xsize > IMAGE_MAX_SIDE_PX ? IMAGE_MAX_SIDE_PX + 1 : (int)basic->xsize;
    info->height = basic->ysize > IMAGE_MAX_SIDE_PX ? IMAGE_MAX_SIDE_PX + 1 : (int)basic->ysize;
    info->orientation = basic->orientation >= 1 && basic->orientation <= 8 ? (int)basic->orientation : 1;
    info->bits = basic->bits_per_sample > 16 ? 16 : (int)basic->bits_per_sample;
    info->alpha = basic->alpha_bits > 0;
    image_set_mode(info, basic->num_color_channels == 1);
    s->alpha = basic->alpha_bits == 0 || s->options->drop_alpha ? ALPHA_NONE
               : basic->alpha_premultiplied                     ? ALPHA_PREMULTIPLIED
                                                                : ALPHA_STRAIGHT;
    for (uint32_t i = 0; i < basic->num_extra_channels; i++) {
        JxlExtraChannelInfo extra;
        if (JxlDecoderGetExtraChannelInfo(d, i, &extra) == JXL_DEC_SUCCESS && extra.type == JXL_CHANNEL_BLACK)
            return image_fail(f, IMAGE_UNSUPPORTED, "CMYK in JPEG XL");
    }
    return image_check_size(basic->xsize, basic->ysize, s->options->max_pixels, f);
}

/* Stores the colour space of the samples as a profile. libjxl makes a profile when the file has none. */
static void note_profile(JxlDecoder *d, struct colour_note *note)
{
    struct error ignored = {0};
    size_t n = 0;
#if JPEGXL_NUMERIC_VERSION >= JPEGXL_COMPUTE_NUMERIC_VERSION(0, 9, 0)
    JxlDecoderStatus known = JxlDecoderGetICCProfileSize(d, JXL_COLOR_PROFILE_TARGET_DATA, &n);
#else
    JxlDecoderStatus known = JxlDecoderGetICCProfileSize(d, NULL, JXL_COLOR_PROFILE_TARGET_DATA, &n);
#endif
    uint8_t *icc =
        known == JXL_DEC_SUCCESS && n > 0 && n <= IMAGE_MAX_FILE_BYTES ? mem_alloc(n, &ignored) : NULL;
    if (!icc) return;
#if JPEGXL_NUMERIC_VERSION >= JPEGXL_COMPUTE_NUMERIC_VERSION(0, 9, 0)
    known = JxlDecoderGetColorAsICCProfile(d, JXL_COLOR_PROFILE_TARGET_DATA, icc, n);
#else
    known = JxlDecoderGetColorAsICCProfile(d, NULL, JXL_COLOR_PROFILE_TARGET_DATA, icc, n);
#endif
    if (known == JXL_DEC_SUCCESS) colour_note_icc(note, icc, n);
    free(icc);
}

/* Chooses the colour space of the output, before pixels are decoded. XYB has no output space of its own;
 * other pictures keep their samples. */
static void choose_colour(JxlDecoder *d, const JxlBasicInfo *basic, struct colour_note *note,
                          struct image_info *info)
{
    const JxlColorEncoding srgb = {
        .color_space = basic->num_color_channels == 1 ? JXL_COLOR_SPACE_GRAY : JXL_COLOR_SPACE_RGB,
        .white_point = JXL_WHITE_POINT_D65,
        .primaries = JXL_PRIMARIES_SRGB,
        .transfer_function = JXL_TRANSFER_FUNCTION_SRGB,
        .rendering_intent = JXL_RENDERING_INTENT_RELATIVE,
    };
    JxlColorEncoding own;
#if JPEGXL_NUMERIC_VERSION >= JPEGXL_COMPUTE_NUMERIC_VERSION(0, 9, 0)
    JxlDecoderStatus known = JxlDecoderGetColorAsEncodedProfile(d, JXL_COLOR_PROFILE_TARGET_ORIGINAL, &own);
#else
    JxlDecoderStatus known =
        JxlDecoderGetColorAsEncodedProfile(d, NULL, JXL_COLOR_PROFILE_TARGET_ORIGINAL, &own);
#endif
    info->icc = known != JXL_DEC_SUCCESS ||
                (own.transfer_function != JXL_TRANSFER_FUNCTION_SRGB &&
                 own.transfer_function != JXL_TRANSFER_FUNCTION_709) ||
                (own.color_space == JXL_COLOR_SPACE_RGB && own.primaries != JXL_PRIMARIES_SRGB);
    if (!basic->uses_original_profile)
        (void)JxlDecoderSetPreferredColorProfile(d, &srgb);
    else if (note && info->icc)
        note_profile(d, note);
}

static enum image_reason give_room(JxlDecoder *d, const JxlBasicInfo *basic, struct jxl_state *s,
                                   struct image_failure *f)
{
    struct error err = {0};
    bool gray = basic->num_color_channels == 1 && s->alpha == ALPHA_NONE;
    JxlPixelFormat format = {gray ? 1 : 3, JXL_TYPE_UINT8, JXL_NATIVE_ENDIAN, 0};
    if (image_reserve(s->out, (int)basic->xsize, (int)basic->ysize, gray ? 1 : 3, &err))
        return image_fail_error(f, &err);
    if (s->options->allow_truncated) memset(s->out->pixels, 128, image_bytes(s->out));
    JxlDecoderStatus status;
    if (s->alpha != ALPHA_NONE) {
        format.num_channels = 4;
        status = JxlDecoderSetImageOutCallback(d, &format, on_pixels, s);
    } else {
        size_t want;
        status = JxlDecoderImageOutBufferSize(d, &format, &want);
        if (status == JXL_DEC_SUCCESS && want != image_bytes(s->out)) status = JXL_DEC_ERROR;
        if (status == JXL_DEC_SUCCESS)
            status = JxlDecoderSetImageOutBuffer(d, &format, s->out->pixels, image_bytes(s->out));
    }
    return status == JXL_DEC_SUCCESS ? IMAGE_OK
                                     : image_fail(f, IMAGE_UNSUPPORTED, "samples that libjxl cannot give");
}

/* Decodes the first frame into out, or with w the frames that w wants. */
static enum image_reason decode(const uint8_t *bytes, size_t n_bytes, const struct decode_options *options,
                                struct image *out, struct frame_walk *w, struct image_info *info,
                                struct image_failure *f)
{
    struct jxl_state s = {options, out, ALPHA_NONE};
    JxlBasicInfo basic;
    enum image_reason reason = IMAGE_OK;
    bool room = false, done = false;
    JxlDecoder *d = JxlDecoderCreate(NULL);
    if (!d) return image_fail(f, IMAGE_DECODE_MEMORY, "libjxl ran out of memory");
    memset(&basic, 0, sizeof basic);
    /* The input is not closed, so that libjxl reports an early end differently from damage. */
    if (JxlDecoderSubscribeEvents(d, JXL_DEC_BASIC_INFO | JXL_DEC_COLOR_ENCODING |
                                         (out ? (int)JXL_DEC_FULL_IMAGE : 0)) != JXL_DEC_SUCCESS ||
        JxlDecoderSetKeepOrientation(d, JXL_TRUE) != JXL_DEC_SUCCESS ||
        JxlDecoderSetInput(d, bytes, n_bytes) != JXL_DEC_SUCCESS)
        reason = image_fail(f, IMAGE_UNSUPPORTED, "another libjxl than this was built for");
    while (reason == IMAGE_OK && !done) {
        switch (JxlDecoderProcessInput(d)) {
        case JXL_DEC_BASIC_INFO:
            if (JxlDecoderGetBasicInfo(d, &basic) != JXL_DEC_SUCCESS)
                reason = image_fail(f, IMAGE_DECODE_CORRUPT, "damaged JPEG XL header");
            else
                reason = describe(d, &basic, &s, info, f);
            break;
        case JXL_DEC_COLOR_ENCODING:
            choose_colour(d, &basic, options->colour, info);
            done = !out;
            break;
        case JXL_DEC_NEED_IMAGE_OUT_BUFFER:
            reason = give_room(d, &basic, &s, f);
            room = true;
            break;
        case JXL_DEC_FULL_IMAGE:
            if (w && frame_wanted(w)) reason = frame_give(w, f);
            if (w) w->n_seen++;
            done = !w || frames_done(w);
            break;
        case JXL_DEC_SUCCESS: done = true; break;
        case JXL_DEC_NEED_MORE_INPUT:
            if (options->allow_truncated && room && JxlDecoderFlushImage(d) == JXL_DEC_SUCCESS)
                done = true;
            else
                reason = image_fail(f, IMAGE_DECODE_TRUNCATED, "the file ends early");
            break;
        default: reason = image_fail(f, IMAGE_DECODE_CORRUPT, "damaged JPEG XL data"); break;
        }
    }
    JxlDecoderDestroy(d);
    if (reason == IMAGE_OK && out && !room) reason = image_fail(f, IMAGE_DECODE_CORRUPT, "no frame");
    if (reason == IMAGE_OK && basic.have_animation) info->frames = count_frames(bytes, n_bytes);
    return reason;
}

enum image_reason jxl_decode(const uint8_t *bytes, size_t n_bytes, const struct decode_options *options,
                             struct image *out, struct image_info *info, struct image_failure *f)
{
    return decode(bytes, n_bytes, options, out, NULL, info, f);
}

enum image_reason jxl_frames(const uint8_t *bytes, size_t n_bytes, struct frame_walk *w,
                             struct image_info *info, struct image_failure *f)
{
    return decode(bytes, n_bytes, w->options, w->out, w, info, f);
}
