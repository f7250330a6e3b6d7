/* webp_decode.c: decodes WebP with libwebp. Of an animation, the first frame is drawn on the canvas. Alpha is
 * flattened onto the background. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

#include "base/mem.h"
#include "image/colour.h"
#include "image/frames.h"
#include "image/reduce.h"

/* Returns the reason for a status of libwebp, and fills f. */
static enum image_reason status_reason(VP8StatusCode status, struct image_failure *f)
{
    switch (status) {
    case VP8_STATUS_OK: return IMAGE_OK;
    case VP8_STATUS_OUT_OF_MEMORY: return image_fail(f, IMAGE_DECODE_MEMORY, "libwebp ran out of memory");
    case VP8_STATUS_UNSUPPORTED_FEATURE: return image_fail(f, IMAGE_UNSUPPORTED, "a WebP feature");
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA: return image_fail(f, IMAGE_DECODE_TRUNCATED, "the file ends early");
    default: return image_fail(f, IMAGE_DECODE_CORRUPT, "damaged WebP data");
    }
}

/* Whether libwebp decodes the picture row by row, and can reduce it while decoding. This is so for a lossy
 * picture without alpha that is not an animation and fills the canvas. */
static bool row_wise(const WebPIterator *frame, uint32_t width, uint32_t height, uint32_t frames)
{
    WebPBitstreamFeatures features;
    return frames == 1 && !frame->has_alpha && frame->width == (int)width && frame->height == (int)height &&
           WebPGetFeatures(frame->fragment.bytes, frame->fragment.size, &features) == VP8_STATUS_OK &&
           features.format == 1;
}

/* Decodes one VP8 or VP8L bitstream into its place on the canvas out. reduced: the frame fills the canvas,
 * and libwebp scales it to the size of out. Returns IMAGE_OK, or the reason with f filled. */
static enum image_reason decode_frame(const WebPIterator *frame, const struct decode_options *options,
                                      bool reduced, struct image *out, struct image_failure *f)
{
    struct error err = {0};
    WebPDecoderConfig config;
    size_t stride = (size_t)out->width * 3;
    uint8_t *wide = NULL;
    if (!WebPInitDecoderConfig(&config))
        return image_fail(f, IMAGE_UNSUPPORTED, "another libwebp than this was built for");
    if (reduced) {
        config.options.use_scaling = 1;
        config.options.scaled_width = out->width;
        config.options.scaled_height = out->height;
    } else if (frame->x_offset < 0 || frame->y_offset < 0 || frame->width < 1 || frame->height < 1 ||
               frame->x_offset > out->width - frame->width || frame->y_offset > out->height - frame->height) {
        return image_fail(f, IMAGE_DECODE_CORRUPT, "a frame outside the canvas");
    }
    config.output.is_external_memory = 1;
    if (frame->has_alpha) {
        size_t wide_bytes = (size_t)frame->width * (size_t)frame->height * 4;
        if (!(wide = mem_alloc(wide_bytes, &err))) return image_fail_error(f, &err);
        config.output.colorspace = MODE_RGBA;
        config.output.u.RGBA = (WebPRGBABuffer){wide, frame->width * 4, wide_bytes};
    } else {
        uint8_t *at = out->pixels + (size_t)frame->y_offset * stride + (size_t)frame->x_offset * 3;
        size_t room =
            reduced ? image_bytes(out) : (size_t)(frame->height - 1) * stride + (size_t)frame->width * 3;
        config.output.colorspace = MODE_RGB;
        config.output.u.RGBA = (WebPRGBABuffer){at, (int)stride, room};
    }
    VP8StatusCode status = VP8_STATUS_OK;
    if (options->allow_truncated) {
        WebPIDecoder *decoder = WebPIDecode(NULL, 0, &config);
        if (wide) memset(wide, 0, (size_t)frame->width * (size_t)frame->height * 4);
        status = decoder ? WebPIUpdate(decoder, frame->fragment.bytes, frame->fragment.size)
                         : VP8_STATUS_OUT_OF_MEMORY;
        int last_row = 0;
        if (decoder && status == VP8_STATUS_SUSPENDED &&
            WebPIDecGetRGB(decoder, &last_row, NULL, NULL, NULL) && last_row > 0)
            status = VP8_STATUS_OK;
        WebPIDelete(decoder);
    } else {
        status = WebPDecode(frame->fragment.bytes, frame->fragment.size, &config);
    }
    if (wide && status == VP8_STATUS_OK) {
        for (int y = 0; y < frame->height; y++) {
            const uint8_t *in = wide + (size_t)y * (size_t)frame->width * 4;
            uint8_t *to = out->pixels + (size_t)(frame->y_offset + y) * stride + (size_t)frame->x_offset * 3;
            for (int x = 0; x < frame->width; x++, in += 4, to += 3)
                for (int c = 0; c < 3; c++)
                    to[c] = blend_over(in[c], options->drop_alpha ? 255 : in[3], options->background[c]);
        }
    }
    free(wide);
    return status_reason(status, f);
}

enum image_reason webp_decode(const uint8_t *bytes, size_t n_bytes, const struct decode_options *options,
                              struct image *out, struct image_info *info, struct image_failure *f)
{
    struct error err = {0};
    enum image_reason reason = IMAGE_OK;
    WebPData data = {bytes, n_bytes};
    WebPDemuxState state;
    WebPIterator frame;
    bool have_frame = false;
    WebPDemuxer *demuxer = WebPDemuxPartial(&data, &state);
    if (!demuxer) {
        if (state == WEBP_DEMUX_PARSING_HEADER || (n_bytes >= 8 && (uint64_t)le32(bytes + 4) + 8 > n_bytes))
            return image_fail(f, IMAGE_DECODE_TRUNCATED, "the file ends in its header");
        return image_fail(f, IMAGE_DECODE_CORRUPT, "damaged WebP container");
    }
    uint32_t width = WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_WIDTH),
             height = WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_HEIGHT);
    uint32_t flags = WebPDemuxGetI(demuxer, WEBP_FF_FORMAT_FLAGS),
             frames = WebPDemuxGetI(demuxer, WEBP_FF_FRAME_COUNT);
    info->width = width > IMAGE_MAX_SIDE_PX ? IMAGE_MAX_SIDE_PX + 1 : (int)width;
    info->height = height > IMAGE_MAX_SIDE_PX ? IMAGE_MAX_SIDE_PX + 1 : (int)height;
    info->bits = 8;
    info->frames = frames < 1 ? 1 : frames > IMAGE_MAX_FRAMES ? IMAGE_MAX_FRAMES : (int)frames;
    info->icc = flags & ICCP_FLAG;
    WebPChunkIterator chunk;
    if (options->colour && info->icc && WebPDemuxGetChunk(demuxer, "ICCP", 1, &chunk)) {
        colour_note_icc(options->colour, chunk.chunk.bytes, chunk.chunk.size);
        WebPDemuxReleaseChunkIterator(&chunk);
    }
    if (options->orientation == ORIENT_PILLOW && WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk)) {
        info->orientation = exif_orientation(chunk.chunk.bytes, chunk.chunk.size, ORIENT_PILLOW);
        WebPDemuxReleaseChunkIterator(&chunk);
    }
    info->alpha = flags & ALPHA_FLAG;
    memset(&frame, 0, sizeof frame);
    have_frame = frames > 0 && WebPDemuxGetFrame(demuxer, 1, &frame);
    if (have_frame && frame.has_alpha) info->alpha = true;
    snprintf(info->mode, sizeof info->mode, "%s", info->alpha ? "rgb-alpha" : "rgb");
    if (!have_frame && state < WEBP_DEMUX_DONE && (width == 0 || width == (uint32_t)-1)) {
        info->width = info->height = 0; /* libwebp says -1 until it has seen the first frame's header */
        reason = image_fail(f, IMAGE_DECODE_TRUNCATED, "the file ends in its header");
        goto out;
    }
    int factor = 1;
    reason = have_frame && row_wise(&frame, width, height, frames)
                 ? image_check_rows(width, height, options->max_pixels, &factor, f)
                 : image_check_size(width, height, options->max_pixels, f);
    if (reason != IMAGE_OK) goto out;
    if (!out) goto out;
    if (!have_frame) {
        reason = image_fail(f, state == WEBP_DEMUX_DONE ? IMAGE_DECODE_CORRUPT : IMAGE_DECODE_TRUNCATED,
                            "no whole frame");
        goto out;
    }
    if (image_reserve(out, ((int)width + factor - 1) / factor, ((int)height + factor - 1) / factor, 3,
                      &err)) {
        reason = image_fail_error(f, &err);
        goto out;
    }
    for (size_t i = 0, n = (size_t)out->width * (size_t)out->height; i < n; i++)
        memcpy(out->pixels + 3 * i, options->background, 3);
    reason = decode_frame(&frame, options, factor > 1, out, f);
    /* The pixels may be complete although the file is cut off: metadata or later frames are missing. */
    if (reason == IMAGE_OK && state < WEBP_DEMUX_DONE && !frame.complete && !options->allow_truncated)
        reason = image_fail(f, IMAGE_DECODE_TRUNCATED, "the file ends early");
out:
    WebPDemuxReleaseIterator(&frame);
    WebPDemuxDelete(demuxer);
    return reason;
}

/* Decodes the wanted frames of an animation; frames.h declares it. As in browsers, the canvas is transparent
 * at first, whatever background colour the file names. */
enum image_reason webp_frames(const uint8_t *bytes, size_t n_bytes, struct frame_walk *w,
                              struct image_info *info, struct image_failure *f)
{
    struct error err = {0};
    enum image_reason reason = IMAGE_OK;
    WebPData data = {bytes, n_bytes};
    WebPAnimDecoderOptions how;
    uint8_t *canvas;
    int time_ms;
    if (!WebPAnimDecoderOptionsInit(&how))
        return image_fail(f, IMAGE_UNSUPPORTED, "another libwebp than this was built for");
    how.color_mode = MODE_RGBA;
    how.use_threads = 0;
    WebPAnimDecoder *d = WebPAnimDecoderNew(&data, &how);
    bool cut = n_bytes >= 8 && (uint64_t)le32(bytes + 4) + 8 > n_bytes;
    if (!d) return image_fail(f, cut ? IMAGE_DECODE_TRUNCATED : IMAGE_DECODE_CORRUPT, "damaged animation");
    while (reason == IMAGE_OK && !frames_done(w) && WebPAnimDecoderHasMoreFrames(d)) {
        if (!WebPAnimDecoderGetNext(d, &canvas, &time_ms)) {
            reason = image_fail(f, cut ? IMAGE_DECODE_TRUNCATED : IMAGE_DECODE_CORRUPT, "frame %d is damaged",
                                w->n_seen + 1);
            break;
        }
        if (frame_wanted(w)) {
            if (image_reserve(w->out, info->width, info->height, 3, &err)) {
                reason = image_fail_error(f, &err);
                break;
            }
            for (int y = 0; y < info->height; y++)
                rgba_to_row(w->out, y, canvas + (size_t)y * (size_t)info->width * 4, ALPHA_STRAIGHT,
                            w->options->background);
            reason = frame_give(w, f);
        }
        w->n_seen++;
    }
    WebPAnimDecoderDelete(d);
    return reason;
}
