/*
 * png_decode.c: decodes PNG with libpng. All bit depths become 8 bits, palettes and low grey depths are
 * expanded, alpha is flattened onto the background, and interlacing is undone. Of an animated PNG the default
 * picture is read. Gamma and colour profiles are ignored.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>
#include <zlib.h>

#include "base/mem.h"
#include "base/text.h"
#include "image/colour.h"
#include "image/frames.h"
#include "image/reduce.h"

struct png_state {
    png_structp png;
    png_infop info;
    const uint8_t *bytes;
    size_t n_bytes, at;
    bool past_end;
    struct image_failure *failure;
    uint8_t *wide;                /* rows with alpha: one, or the whole picture when interlaced */
    png_bytep *rows;              /* when interlaced */
    bool gray;                    /* wide has two channels, not four */
    uint64_t n_rows, n_rows_done; /* of all passes: a row is done once it is inflated and unfiltered */
    struct reducer reducer;       /* a picture that is not held whole */
    struct image line;            /* one row of it, on the background */
    bool rgba;                    /* four channels as they are, no background */
    bool bad_data;                /* a checksum shows that the pixel data are damaged */
};

/* Whether all rows were read; the rest of the file then does not matter. */
static bool pixels_done(const struct png_state *s)
{
    return s->n_rows > 0 && s->n_rows_done == s->n_rows && !s->bad_data;
}

static void on_error(png_structp png, png_const_charp text)
{
    struct png_state *s = png_get_error_ptr(png);
    enum image_reason reason = s->past_end ? IMAGE_DECODE_TRUNCATED : IMAGE_DECODE_CORRUPT;
    if (strstr(text, "memory") || strstr(text, "Out of")) reason = IMAGE_DECODE_MEMORY;
    s->bad_data = strncmp(text, "IDAT: CRC", 9) == 0;
    if (strstr(text, "exceeds user limit")) reason = IMAGE_TOO_MANY_PIXELS;
    image_fail(s->failure, reason, "%s", s->past_end ? "the file ends early" : text);
    longjmp(png_jmpbuf(png), 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png, (void)text; /* about profiles, times and text chunks: nothing that pixels depend on */
}

static void on_read(png_structp png, png_bytep out, size_t n)
{
    struct png_state *s = png_get_io_ptr(png);
    if (n > s->n_bytes - s->at) {
        s->past_end = true;
        png_error(png, "the file ends early");
    }
    memcpy(out, s->bytes + s->at, n);
    s->at += n;
}

/* libpng calls it for every row of every pass, before it reads on, which may fail. */
static void on_row(png_structp png, png_row_infop row, png_bytep data)
{
    struct png_state *s = png_get_user_transform_ptr(png);
    (void)row, (void)data;
    s->n_rows_done++;
}

/*
 * The orientation in ImageMagick's way to keep EXIF in a text chunk, which Pillow reads: after the keyword
 * (for zTXt a byte 0 and a zlib stream of) "\nexif\n", the length, LF, and hexadecimal digits with line ends.
 */
static int hex_exif(const uint8_t *b, size_t n, bool packed, enum orientation_rule rule)
{
    uint8_t text[8192], tiff[4096]; /* the first directory comes first; a thumbnail does not matter */
    size_t n_tiff = 0, at = 0;
    if (packed) {
        z_stream z = {.next_in = (Bytef *)(uintptr_t)(b + 1), .avail_in = (uInt)(n - 1)};
        if (b[0] != 0 || inflateInit(&z) != Z_OK) return 1;
        z.next_out = text;
        z.avail_out = sizeof text;
        (void)inflate(&z, Z_SYNC_FLUSH);
        n = sizeof text - z.avail_out;
        b = text;
        inflateEnd(&z);
    }
    for (int lines = 0; lines < 3; at++) {
        if (at >= n) return 1;
        lines += b[at] == '\n';
    }
    for (; at + 1 < n && n_tiff < sizeof tiff; at++) {
        const char pair[3] = {(char)b[at], (char)b[at + 1], 0};
        if (b[at] == '\n') continue;
        if (hex_decode(&tiff[n_tiff], 1, pair)) break;
        n_tiff++;
        at++;
    }
    return exif_orientation(tiff, n_tiff, rule);
}

/* Reads chunks that libpng does not report: animation frames (acTL) and orientation (eXIf), at any place
 * in the file. */
static void read_chunks(const uint8_t *b, size_t n, enum orientation_rule rule, struct image_info *info)
{
    static const char raw_exif[] = "Raw profile type exif"; /* and NUL */
    size_t at = 8;
    bool past_header = false, srgb = false, gamma = false, exif = false, raw = false,
         pillow = rule == ORIENT_PILLOW;
    for (int i = 0; i < 100000 && at + 12 <= n; i++) {
        uint32_t length = be32(b + at);
        const uint8_t *type = b + at + 4, *data = b + at + 8;
        if (length > n - at - 12) break;
        if (memcmp(type, "acTL", 4) == 0 && length >= 8) {
            uint32_t frames = be32(data);
            info->frames = frames < 1 ? 1 : frames > IMAGE_MAX_FRAMES ? IMAGE_MAX_FRAMES : (int)frames;
        } else if (memcmp(type, "IDAT", 4) == 0) {
            past_header = true;
        } else if (memcmp(type, "eXIf", 4) == 0 && (pillow || !(past_header || exif))) {
            /* browsers take the first one, Pillow the last */
            info->orientation = exif_orientation(data, length, rule);
            exif = true;
        } else if (pillow && !exif && !raw && length > sizeof raw_exif &&
                   (memcmp(type, "zTXt", 4) == 0 || memcmp(type, "tEXt", 4) == 0) &&
                   memcmp(data, raw_exif, sizeof raw_exif) == 0) {
            info->orientation =
                hex_exif(data + sizeof raw_exif, length - sizeof raw_exif, *type == 'z', rule);
            raw = true;
        } else if (memcmp(type, "iCCP", 4) == 0) {
            info->icc = true;
        } else if (memcmp(type, "cICP", 4) == 0 && length == 4 && !cicp_is_srgb(data[0], data[1])) {
            info->icc = true;
        } else if (memcmp(type, "sRGB", 4) == 0) {
            srgb = true;
        } else if (memcmp(type, "gAMA", 4) == 0 && length == 4) {
            /* 1/2.2 in units of 1/100000, with the rounding of various encoders. */
            gamma = be32(data) < 45000 || be32(data) > 46000;
        } else if (memcmp(type, "IEND", 4) == 0) {
            break;
        }
        at += 12 + (size_t)length;
    }
    if (gamma && !srgb) info->icc = true; /* an sRGB chunk overrides it */
}

static void set_mode(struct image_info *info, int colour, bool transparent)
{
    const char *mode = colour == PNG_COLOR_TYPE_PALETTE ? "palette"
                       : colour & PNG_COLOR_MASK_COLOR  ? (info->alpha && !transparent ? "rgb-alpha" : "rgb")
                       : info->alpha && !transparent    ? "gray-alpha"
                                                        : "gray";
    snprintf(info->mode, sizeof info->mode, "%s%s", mode, info->bits == 16 ? "16" : "");
}

/* Flattens n rows from y on, which are in s->wide, onto the background. */
static void flatten(const struct png_state *s, struct image *out, size_t y, size_t n,
                    const struct decode_options *options)
{
    const uint8_t *in = s->wide;
    uint8_t *to = out->pixels + y * (size_t)out->width * 3;
    for (size_t i = 0; i < n * (size_t)out->width; i++, to += 3) {
        unsigned a = options->drop_alpha ? 255 : in[s->gray ? 1 : 3];
        for (int c = 0; c < 3; c++)
            to[c] = blend_over(in[s->gray ? 0 : c], a, options->background[c]);
        in += s->gray ? 2 : 4;
    }
}

/* Contains every call that libpng may leave by longjmp. s survives the jump, and no local variable is used
 * after it. */
static enum image_reason decode(struct png_state *s, const struct decode_options *options, struct image *out,
                                struct image_info *info)
{
    struct error err = {0};
    png_uint_32 width, height;
    int bits, colour, interlace;
    png_set_user_limits(s->png, 0x7FFFFFFF, 0x7FFFFFFF); /* our own limits are checked below */
    png_set_chunk_malloc_max(s->png, IMAGE_MAX_PNG_CHUNK_BYTES);
    png_set_chunk_cache_max(s->png, IMAGE_MAX_PNG_CHUNKS);
    /* Some encoders announce a smaller window than they use, or write a wrong checksum of the unpacked
     * data. Neither loses pixels, and the CRC of each chunk still finds damage. */
    png_set_option(s->png, PNG_MAXIMUM_INFLATE_WINDOW, PNG_OPTION_ON);
    png_set_option(s->png, PNG_IGNORE_ADLER32, PNG_OPTION_ON);
    png_set_keep_unknown_chunks(s->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    static const png_byte ignored[] = "iCCP\0sPLT\0tEXt\0zTXt\0iTXt\0eXIf\0hIST";
    png_set_keep_unknown_chunks(s->png, PNG_HANDLE_CHUNK_NEVER, ignored, 7);
    png_set_read_fn(s->png, s, on_read);
    png_read_info(s->png, s->info);
    png_get_IHDR(s->png, s->info, &width, &height, &bits, &colour, &interlace, NULL, NULL);
    bool transparent = png_get_valid(s->png, s->info, PNG_INFO_tRNS) != 0;
    info->width = width > IMAGE_MAX_SIDE_PX ? IMAGE_MAX_SIDE_PX + 1 : (int)width;
    info->height = height > IMAGE_MAX_SIDE_PX ? IMAGE_MAX_SIDE_PX + 1 : (int)height;
    info->bits = bits;
    info->alpha = (colour & PNG_COLOR_MASK_ALPHA) || transparent;
    info->progressive = interlace != PNG_INTERLACE_NONE;
    set_mode(info, colour, transparent);
    int factor = 1;
    enum image_reason reason = interlace == PNG_INTERLACE_NONE
                                   ? image_check_rows(width, height, options->max_pixels, &factor, s->failure)
                                   : image_check_size(width, height, options->max_pixels, s->failure);
    if (reason != IMAGE_OK || !out) return reason;

    png_set_expand(s->png);
    png_set_scale_16(s->png);
    png_set_read_user_transform_fn(s->png, on_row);
    png_set_user_transform_info(s->png, s, 0, 0);
    if (s->rgba) {
        png_set_gray_to_rgb(s->png);
        png_set_add_alpha(s->png, 255, PNG_FILLER_AFTER);
    }
    int passes = png_set_interlace_handling(s->png);
    png_read_update_info(s->png, s->info);
    int channels = png_get_channels(s->png, s->info); /* 1 gray, 2 gray-alpha, 3 rgb, 4 rgb-alpha */
    size_t row_bytes = png_get_rowbytes(s->png, s->info);
    bool alpha = !s->rgba && (channels == 2 || channels == 4);
    s->gray = channels == 2;
    if (row_bytes != (size_t)width * (size_t)channels)
        return image_fail(s->failure, IMAGE_UNSUPPORTED, "an odd row length");
    int out_channels = s->rgba ? 4 : channels == 1 ? 1 : 3;
    if (factor > 1 ? reducer_open(&s->reducer, out, (int)width, (int)height, out_channels, factor, &err) ||
                         image_reserve(&s->line, (int)width, 1, out_channels, &err)
                   : image_reserve(out, (int)width, (int)height, out_channels, &err))
        return image_fail_error(s->failure, &err);
    if (options->allow_truncated) memset(out->pixels, 128, image_bytes(out));
    size_t stride = (size_t)out->width * (size_t)out->channels;
    if (alpha && !(s->wide = mem_zalloc(passes > 1 ? height : 1, row_bytes, &err)))
        return image_fail_error(s->failure, &err);
    s->n_rows = height;
    if (passes > 1) {
        s->n_rows = 0;
        for (int pass = 0; pass < PNG_INTERLACE_ADAM7_PASSES; pass++)
            if (PNG_PASS_COLS(width, pass) > 0) s->n_rows += PNG_PASS_ROWS(height, pass);
        if (!(s->rows = mem_alloc(height * sizeof *s->rows, &err))) return image_fail_error(s->failure, &err);
        for (size_t y = 0; y < height; y++)
            s->rows[y] = alpha ? s->wide + y * row_bytes : out->pixels + y * stride;
        png_read_image(s->png, s->rows);
        if (alpha) flatten(s, out, 0, height, options);
    } else if (factor > 1) {
        for (size_t y = 0; y < height; y++) {
            png_read_row(s->png, alpha ? s->wide : s->line.pixels, NULL);
            if (alpha) flatten(s, &s->line, 0, 1, options);
            reducer_add(&s->reducer, s->line.pixels, y + 1 == height);
        }
    } else {
        for (size_t y = 0; y < height; y++) {
            png_read_row(s->png, alpha ? s->wide : out->pixels + y * stride, NULL);
            if (alpha) flatten(s, out, y, 1, options);
        }
    }
    png_read_end(s->png, NULL); /* the last checksums */
    return IMAGE_OK;
}

static enum image_reason decode_one(const uint8_t *bytes, size_t n_bytes,
                                    const struct decode_options *options, bool rgba, struct image *out,
                                    struct image_info *info, struct image_failure *f)
{
    struct png_state s = {.bytes = bytes, .n_bytes = n_bytes, .failure = f, .rgba = rgba};
    enum image_reason reason = IMAGE_DECODE_MEMORY;
    s.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &s, on_error, on_warning);
    if (s.png) s.info = png_create_info_struct(s.png);
    if (!s.info) {
        image_fail(f, IMAGE_DECODE_MEMORY, "libpng cannot start");
        goto out;
    }
    read_chunks(bytes, n_bytes, options->orientation, info);
    if (options->colour) colour_of_png(options->colour, bytes, n_bytes);
    if (setjmp(png_jmpbuf(s.png))) {
        reason = f->reason;
        /* A row that is reduced counts after the reduction, not when it arrived. */
        bool done = out && pixels_done(&s) && (!s.line.pixels || s.reducer.y == out->height);
        if (done && s.rows && s.wide)
            flatten(&s, out, 0, (size_t)out->height, options);
        else if (done && s.wide && !s.line.pixels) /* the jump came after the last row was read */
            flatten(&s, out, (size_t)out->height - 1, 1, options);
        if (done || (out && reason == IMAGE_DECODE_TRUNCATED && options->allow_truncated && !s.rows &&
                     s.n_rows_done > 0)) {
            *f = (struct image_failure){IMAGE_OK, ""};
            reason = IMAGE_OK;
        }
        goto out;
    }
    reason = decode(&s, options, out, info);
out:
    png_destroy_read_struct(&s.png, &s.info, NULL);
    free(s.wide);
    free(s.rows);
    reducer_release(&s.reducer);
    image_release(&s.line);
    return reason;
}

enum image_reason png_decode_rgba(const uint8_t *bytes, size_t n_bytes, struct image *out,
                                  struct image_failure *f)
{
    struct decode_options options = DECODE_DEFAULTS;
    struct image_info info = {0};
    return decode_one(bytes, n_bytes, &options, true, out, &info, f);
}

enum image_reason png_decode(const uint8_t *bytes, size_t n_bytes, const struct decode_options *options,
                             struct image *out, struct image_info *info, struct image_failure *f)
{
    if (!out || !png_default_hidden(bytes, n_bytes))
        return decode_one(bytes, n_bytes, options, false, out, info, f);
    enum image_reason reason = decode_one(bytes, n_bytes, options, false, NULL, info, f);
    struct decode_options stored = *options;
    stored.orientation = ORIENT_NONE; /* the caller applies the orientation and converts the colours */
    stored.colour = NULL;
    struct frame_walk w = {.options = &stored, .every = 1, .most = 1, .out = out, .orientation = 1};
    if (reason == IMAGE_OK) /* the canvas is held whole */
        reason = image_check_size((uint64_t)info->width, (uint64_t)info->height, options->max_pixels, f);
    if (reason == IMAGE_OK) reason = png_frames(bytes, n_bytes, &w, info, f);
    return reason == IMAGE_OK && w.n_given == 0 ? image_fail(f, IMAGE_DECODE_CORRUPT, "no frame") : reason;
}
