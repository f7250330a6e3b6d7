/*
 * frames.c: decodes several frames of an animation in one pass over the file.
 */
#include "image/colour.h"
#include "image/frames.h"

#include <string.h>

enum image_reason frame_give(struct frame_walk *w, struct image_failure *f)
{
    struct error err = {0};
    if (w->options->colour && colour_to_srgb(w->out, w->options->colour, &err))
        return image_fail_error(f, &err);
    if (!w->options->keep_gray && image_to_rgb(w->out, &err)) return image_fail_error(f, &err);
    if (w->options->orientation != ORIENT_NONE && image_orient(w->out, w->orientation, &err))
        return image_fail_error(f, &err);
    return w->sink ? w->sink(w->context, w->n_given++, w->out, f) : (w->n_given++, IMAGE_OK);
}

static image_frames_decoder *decoder_of(const struct image_info *info)
{
    static image_frames_decoder *const decoders[IMAGE_JXL + 1] = {
        [IMAGE_PNG] = png_frames,   [IMAGE_WEBP] = webp_frames, [IMAGE_GIF] = gif_frames,
#ifndef WITHOUT_AVIF
        [IMAGE_AVIF] = avif_frames,
#endif
#ifndef WITHOUT_JXL
        [IMAGE_JXL] = jxl_frames,
#endif
    };
    return info->frames > 1 ? decoders[info->format] : NULL;
}

/* Reads the header, and checks the size of the canvas, which is kept in memory as a whole. */
static enum image_reason read_header(const uint8_t *bytes, size_t n_bytes,
                                     const struct decode_options *options, struct image_info *info,
                                     struct image_failure *f)
{
    enum image_reason reason = image_read_header(bytes, n_bytes, options, info, f);
    return reason == IMAGE_OK && info->frames > 1
               ? image_check_size((uint64_t)info->width, (uint64_t)info->height, options->max_pixels, f)
               : reason;
}

enum image_reason image_decode_frames(const uint8_t *bytes, size_t n_bytes,
                                      const struct decode_options *options, int every, int most,
                                      struct image *out, image_frame_sink *sink, void *context,
                                      struct image_info *info, struct image_failure *failure)
{
    struct colour_note note = {0};
    struct decode_options own = *options;
    if (options->srgb) own.colour = &note;
    struct frame_walk w = {.options = &own,
                           .every = every > 0 ? every : 1,
                           .most = most > 0 ? most : IMAGE_MAX_FRAMES,
                           .out = out,
                           .sink = sink,
                           .context = context};
    enum image_reason reason = read_header(bytes, n_bytes, &own, info, failure);
    if (reason != IMAGE_OK) goto out;
    /* There are more frames than wanted: choose them spread over the whole animation. */
    int spread = (info->frames + w.most - 1) / w.most;
    if (w.every < spread) w.every = spread;
    w.orientation = info->orientation;
    image_frames_decoder *decoder = decoder_of(info);
    if (!decoder) {
        reason = image_decode_first(bytes, n_bytes, options, out, info, failure);
        if (reason == IMAGE_OK && sink) reason = sink(context, 0, out, failure);
        goto out;
    }
    reason = decoder(bytes, n_bytes, &w, info, failure);
    if (reason == IMAGE_OK && w.n_given == 0)
        reason = image_fail(failure, IMAGE_DECODE_CORRUPT, "an animation without a frame");
out:
    colour_note_release(&note);
    return reason;
}

/*
 * A header may announce more frames than there are, which is known only after a pass over all of them. The
 * last frame is then decoded in a second pass.
 */
enum image_reason image_decode_nth(const uint8_t *bytes, size_t n_bytes, const struct decode_options *options,
                                   struct image *out, struct image_info *info, struct image_failure *failure)
{
    struct colour_note note = {0};
    struct decode_options own = *options;
    if (options->srgb) own.colour = &note;
    enum image_reason reason = read_header(bytes, n_bytes, &own, info, failure);
    image_frames_decoder *decoder = reason == IMAGE_OK ? decoder_of(info) : NULL;
    if (reason == IMAGE_OK && !decoder)
        reason = image_decode_first(bytes, n_bytes, options, out, info, failure);
    int wanted = options->frame < info->frames ? options->frame : info->frames;
    while (decoder) {
        struct frame_walk w = {.options = &own,
                               .every = 1,
                               .most = 1,
                               .only = wanted,
                               .out = out,
                               .orientation = info->orientation};
        *failure = (struct image_failure){IMAGE_OK, ""};
        reason = decoder(bytes, n_bytes, &w, info, failure);
        if (w.n_given > 0) break;
        bool ends_there =
            reason == IMAGE_OK || (reason == IMAGE_DECODE_TRUNCATED && options->allow_truncated);
        if (!ends_there || w.n_seen < 1 || w.n_seen >= wanted) {
            if (reason == IMAGE_OK)
                reason = image_fail(failure, IMAGE_DECODE_CORRUPT, "an animation without a frame");
            break;
        }
        wanted = w.n_seen;
    }
    colour_note_release(&note);
    return reason;
}
