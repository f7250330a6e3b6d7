/*
 * image.h: pictures in memory. It recognises the kind of a file, decodes to 8-bit RGB or grey within limits,
 * applies the orientation, resizes and encodes. The other public headers of lib/image are decode_pool.h
 * (decoding in sandboxed workers: use that for strangers' files), image_loader.h (files to squares of one
 * size) and augment.h. docs/preprocessing.md has the rules. No function keeps state between calls, and each
 * may run in several threads at once on different objects.
 */
#ifndef WINNOW_IMAGE_IMAGE_H
#define WINNOW_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/image_kind.h"

/* --- pixels --- */

/*
 * 8 bits a sample, rows from top to bottom without padding: pixels[(y * width + x) * channels + c]. channels
 * is 3 (R, G, B) or 1 (grey). Functions that write into an image reuse its block; image_release frees it.
 */
struct image {
    int width, height, channels;
    uint8_t *pixels;
    /* Size of the allocated block: at least width * height * channels + IMAGE_SLACK_BYTES when the image has
     * pixels. */
    size_t capacity_bytes;
};
#define IMAGE_EMPTY ((struct image){0})
#define IMAGE_SLACK_BYTES 64 /* readable past the last sample, so that vector loads may overrun */

/* Sets the size of m and allocates its pixels, which are undefined. */
int image_reserve(struct image *m, int width, int height, int channels, struct error *err);
static inline size_t image_bytes(const struct image *m)
{
    return (size_t)m->width * (size_t)m->height * (size_t)m->channels;
}
int image_copy(struct image *out, const struct image *m, struct error *err);
int image_to_rgb(struct image *m, struct error *err); /* grey becomes three equal samples; RGB stays */
void image_release(struct image *m);

/* Why a picture was refused. These are the reject reasons of every stage that decodes. */
enum image_reason {
    IMAGE_OK,
    IMAGE_NOT_FOUND,      /* "not-found": cannot be opened */
    IMAGE_UNREADABLE,     /* "unreadable": a folder, a FIFO, no permission */
    IMAGE_OUTSIDE_ROOT,   /* "outside-root": absolute or with '..' */
    IMAGE_FILE_EMPTY,     /* "empty-file" */
    IMAGE_TOO_MANY_BYTES, /* "too-many-bytes" */
    IMAGE_NOT_AN_IMAGE,   /* "not-a-picture": HTML, text, other formats; the detail says what it looks like */
    IMAGE_UNSUPPORTED,    /* "unsupported": a picture of a kind that is not read (12-bit, lossless JPEG) */
    IMAGE_TOO_MANY_PIXELS,  /* "too-many-pixels" */
    IMAGE_TOO_MANY_SCANS,   /* "too-many-scans" */
    IMAGE_DECODE_TRUNCATED, /* "decode-truncated": the file ends before the end of the picture */
    IMAGE_DECODE_CORRUPT,   /* "decode-corrupt": damaged data */
    IMAGE_DECODE_MEMORY,    /* "decode-memory": over the worker's memory limit */
    IMAGE_DECODE_TIMEOUT,   /* "decode-timeout": over the CPU limit */
    IMAGE_DECODE_CRASHED,   /* "decode-crashed": the worker died */
    IMAGE_REASONS
};
const char *image_reason_slug(enum image_reason r); /* returns NULL for IMAGE_OK */

struct image_failure {
    enum image_reason reason;
    char detail[160];
};

#define IMAGE_MODE_BYTES 24
struct image_info {
    enum image_kind format;
    /* as stored in the file; orientation >= 5 swaps them when the picture is shown (image_info_shown) */
    int width, height;
    int orientation; /* EXIF 1..8, 1 when absent or wrong */
    int frames;      /* 1 unless animated */
    int bits;        /* a sample, as stored */
    bool icc; /* the file has a colour profile, or a gAMA, cICP or nclx other than sRGB's (all are ignored) */
    bool alpha, progressive;
    uint32_t markers; /* set by the decode pool on request: a set of image/markers.h */
    char xxh128
        /* set by the decode pool: the content hash of the file, from which random choices are derived; else
         * "" */
        [33];
    /* "rgb" "rgb-alpha" "gray" "gray-alpha" "palette" "cmyk" "ycck", followed by "16" for more than
     * 8 bits a sample. */
    char mode[IMAGE_MODE_BYTES];
};
void image_info_shown(const struct image_info *i, int *width, int *height);

/* Those of avif, heic and jxl that this build supports, for example "avif,jxl". */
const char *image_optional_formats(void);
/* Parses a colour conversion: "none" (use the stored values) or "srgb"; NULL and "" mean none. Returns 0, or
 * -1 with err set: EX_USAGE for another word, EX_UNAVAILABLE when winnow was built without lcms2. */
int image_color_parse(const char *name, bool *srgb, struct error *err);

/* --- decoding --- */

/* Which EXIF orientation is applied to a picture (docs/preprocessing.md): the one that Chromium and Firefox
 * apply, the one that Pillow applies, or none. */
enum orientation_rule { ORIENT_BROWSER, ORIENT_PILLOW, ORIENT_NONE };

struct colour_note;
struct decode_options {
    bool allow_truncated; /* decode a truncated picture as far as possible; the rest becomes grey or black */
    /* A grey picture without alpha is decoded to one channel. Otherwise the result is RGB. */
    bool keep_gray;
    /*
     * A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, which is faster, as long as both sides stay at
     * least twice this. 0: always at full size. The pixels then differ from those of a full decode: never
     * set this for PDQ or RESIZE_TFJS.
     */
    int shrink_to_px;
    uint8_t background[3]; /* colour under transparent parts; DECODE_DEFAULTS sets white */
    /* ignore alpha and use the stored colours, also in transparent parts; not for GIF */
    bool drop_alpha;
    bool srgb; /* convert pictures in other colour spaces to sRGB */
    enum orientation_rule orientation;
    /* the frame of an animation, from 1; 0 means 1; a number beyond the last frame means the last */
    int frame;
    uint64_t max_pixels; /* 0: IMAGE_MAX_PIXELS */
    /* internal to lib/image: NULL, or receives the colour description in the header */
    struct colour_note *colour;
};
/*
 * Parses a background: white, black or #RRGGBB; NULL and "" mean white. Sets rgb to the colour, and text to
 * the form that shard sets and models record: "#rrggbb", or "" for white. Returns 0, or -1 with err set
 * (EX_USAGE).
 */
#define BACKGROUND_TEXT_BYTES 8
int image_background_parse(const char *name, uint8_t rgb[3], char text[BACKGROUND_TEXT_BYTES],
                           struct error *err);
#define DECODE_DEFAULTS ((struct decode_options){.background = {255, 255, 255}})

/*
 * Decodes the first frame, or options->frame, into *out, which is reused. Returns IMAGE_OK, or the reason
 * with failure filled and *out undefined. It decodes in THIS process: use it for our own files, in tests and
 * fuzzing, and inside the workers. info may not be NULL and is filled as by image_read_header.
 */
enum image_reason image_decode(const uint8_t *bytes, size_t n_bytes, const struct decode_options *options,
                               struct image *out, struct image_info *info, struct image_failure *failure);

/*
 * Decodes the frames 0, every, 2 * every ... of an animation in one pass, and composes them as browsers do
 * (disposal, blending). If there are more than `most` such frames (0: no limit), that many are chosen, spread
 * over the animation. Each chosen frame is decoded into out and passed to sink (NULL: none). sink may change
 * the frame, and returns IMAGE_OK or a reason to stop. A file that is not animated has one frame. All frames
 * up to the last chosen one are decoded, because each may depend on those before it. options->frame is
 * ignored.
 */
typedef enum image_reason image_frame_sink(void *context, int given, struct image *frame,
                                           struct image_failure *failure);
enum image_reason image_decode_frames(const uint8_t *bytes, size_t n_bytes,
                                      const struct decode_options *options, int every, int most,
                                      struct image *out, image_frame_sink *sink, void *context,
                                      struct image_info *info, struct image_failure *failure);

/* Turns the pixels as stored into the pixels as shown, for EXIF orientation 1..8. */
int image_orient(struct image *m, int orientation, struct error *err);

/* --- resizing --- */

enum resize_method { RESIZE_BILINEAR, RESIZE_AREA, RESIZE_LANCZOS, RESIZE_TFJS, RESIZE_BICUBIC };
/* Parses "bilinear", "area", "lanczos", "tfjs" or "bicubic". Returns -1 with err set (EX_USAGE) for another
 * name. */
int resize_method_parse(const char *name, enum resize_method *out, struct error *err);
const char *resize_method_name(enum resize_method m);

/*
 * How a picture of any shape becomes square. "bilinear" stretches it. "bilinear+256" first makes the shorter
 * side 256 (and "bilinear+256x256" both sides) and then cuts out the central square, as for many published
 * networks.
 */
struct resize_rule {
    enum resize_method method;
    int first_px;    /* 0: the picture is stretched to the final square at once */
    bool keep_shape; /* first_px is the length of the shorter side */
};
#define RESIZE_RULE_BYTES 32                                                         /* its text */
int resize_rule_parse(const char *text, struct resize_rule *out, struct error *err); /* "" is bilinear */
/* The text; returns out. */
const char *resize_rule_text(const struct resize_rule *rule, char out[RESIZE_RULE_BYTES]);

/* Resizes `in` (1 or 3 channels, any size within the limits) to width x height with the same channels. A
 * picture that already has this size is copied. in and out must be different objects. */
int image_resize(struct image *out, const struct image *in, int width, int height, enum resize_method method,
                 struct error *err);
/* Sets out to the input of a model, side_px x side_px in RGB, made from m (1 or 3 channels). m and out must
 * be different objects. */
int image_square(struct image *out, const struct image *m, int side_px, enum resize_method method,
                 struct error *err);
int image_framed(struct image *out, const struct image *m, int side_px, const struct resize_rule *rule,
                 struct error *err);
/* Returns the side that decides how small a picture may be decoded: the size to which the rule first resizes
 * it, or else side_px. */
static inline int resize_rule_side(const struct resize_rule *rule, int side_px)
{
    return rule->first_px ? rule->first_px : side_px;
}
/* Returns the shrink_to_px for a picture that will be resized to side_px with this method. It is 0 for a
 * method whose result would change when the picture is decoded at a smaller size. */
int image_shrink_hint(enum resize_method method, int side_px);

/* --- encoding --- */

/* The encoders. Each sets *out to a malloc'ed block, which the caller frees. The same pixels give the same
 * bytes with the same versions of the libraries. */
/* Quality below 90 uses 4:2:0. */
int image_encode_jpeg(const struct image *m, int quality, uint8_t **out, size_t *n_bytes, struct error *err);
int image_encode_png(const struct image *m, uint8_t **out, size_t *n_bytes, struct error *err);
/* Quality 0..100 is lossy; 101 means lossless. */
int image_encode_webp(const struct image *m, int quality, uint8_t **out, size_t *n_bytes, struct error *err);

#endif
