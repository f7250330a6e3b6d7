/*
 * frames.h: shared by the decoders of animations: selects the wanted frames and passes each to the sink.
 * Internal to lib/image; callers use image_decode_frames in image.h.
 */
#ifndef WINNOW_IMAGE_FRAMES_H
#define WINNOW_IMAGE_FRAMES_H

#include "image/codec.h"

struct frame_walk {
    const struct decode_options *options;
    int every, most; /* frames 0, every, 2 * every ..., and no more than most */
    int only;        /* not 0: this frame alone, from 1 */
    struct image *out;
    image_frame_sink *sink;
    void *context;
    int orientation;
    int n_seen, n_given;
};

/* Whether the next frame must be decoded into out and passed to the sink. */
static inline bool frame_wanted(const struct frame_walk *w)
{
    return w->only ? w->n_seen + 1 == w->only : w->n_seen % w->every == 0 && w->n_given < w->most;
}
static inline bool frames_done(const struct frame_walk *w) { return w->n_given >= w->most; }
/* Converts the colours of the frame in out as the options say, applies the orientation, and passes the frame
 * to the sink. Returns IMAGE_OK, or the reason with f filled. */
enum image_reason frame_give(struct frame_walk *w, struct image_failure *f);

/*
 * Decodes the frames in order and composes them as browsers do. A frame counts as seen when it is complete,
 * even if it is not wanted. Returns IMAGE_OK at the end of the animation or when w has enough frames, and
 * otherwise the reason with f filled.
 */
typedef enum image_reason image_frames_decoder(const uint8_t *bytes, size_t n_bytes, struct frame_walk *w,
                                               struct image_info *info, struct image_failure *f);
image_frames_decoder gif_frames, png_frames, webp_frames, avif_frames, jxl_frames;

/* Decodes one PNG to 4 channels, R, G, B and A, without blending it over a background. */
enum image_reason png_decode_rgba(const uint8_t *bytes, size_t n_bytes, struct image *out,
                                  struct image_failure *f);
/* Returns true for an animated PNG whose IDAT picture is not a frame of the animation. Browsers do not show
 * this picture, but the first frame. */
bool png_default_hidden(const uint8_t *bytes, size_t n_bytes);

#endif
