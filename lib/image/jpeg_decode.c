/*
 * jpeg_decode.c: decodes JPEG with libjpeg-turbo. The picture is refused when a warning means lost picture
 * data. Other warnings are ignored: stray bytes between markers, an odd JFIF version, a missing end marker
 * after complete data. CMYK and YCCK become RGB by the plain formula, because colour profiles are ignored
 * everywhere.
 */
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "base/mem.h"
#include "image/colour.h"
#include "image/reduce.h"

struct jpeg_state {
    struct jpeg_decompress_struct c;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    struct image_failure *failure;
    enum image_reason reason; /* set before longjmp */
    bool past_end;            /* read past the last byte */
    bool short_data;          /* a scan ran out of bits */
    bool damaged;
    char message[JMSG_LENGTH_MAX];
    JSAMPLE *line;            /* one row of CMYK */
    struct colour_inks *inks; /* NULL: by formula */
    struct reducer reducer;   /* for a picture that is not kept in memory at full size */
    struct image row;         /* one row of it */
};

static struct jpeg_state *state_of(j_common_ptr c)
{
    return (struct jpeg_state *)((char *)c - offsetof(struct jpeg_state, c));
}

static void on_error(j_common_ptr c)
{
    struct jpeg_state *s = state_of(c);
    char text[JMSG_LENGTH_MAX];
    (*c->err->format_message)(c, text);
    enum image_reason reason = IMAGE_DECODE_CORRUPT;
    switch (c->err->msg_code) {
    case JERR_OUT_OF_MEMORY: reason = IMAGE_DECODE_MEMORY; break;
    case JERR_BAD_PRECISION:
    case JERR_SOF_UNSUPPORTED:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_BAD_J_COLORSPACE:
    case JERR_COMPONENT_COUNT:
    case JERR_CCIR601_NOTIMPL:
    case JERR_FRACT_SAMPLE_NOTIMPL:
    case JERR_NOTIMPL:
    case JERR_NOT_COMPILED:
    case JERR_BAD_SAMPLING: reason = IMAGE_UNSUPPORTED; break;
    case JERR_IMAGE_TOO_BIG:
    case JERR_WIDTH_OVERFLOW: reason = IMAGE_TOO_MANY_PIXELS; break;
    case JERR_INPUT_EOF:
    case JERR_INPUT_EMPTY: reason = IMAGE_DECODE_TRUNCATED; break;
    default:
        if (s->past_end) reason = IMAGE_DECODE_TRUNCATED;
    }
    s->reason = image_fail(s->failure, reason, "%s", text);
    longjmp(s->escape, 1);
}

static void on_message(j_common_ptr c, int level)
{
    struct jpeg_state *s = state_of(c);
    if (level >= 0) return;
    switch (c->err->msg_code) {
    case JWRN_JPEG_EOF: s->past_end = true; return;
    case JWRN_HIT_MARKER: s->short_data = true; break;
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
    case JWRN_BOGUS_PROGRESSION:
    case JWRN_NOT_SEQUENTIAL: s->damaged = true; break;
    default: return;
    }
    if (!s->message[0]) (*c->err->format_message)(c, s->message);
}

static void on_output(j_common_ptr c) { (void)c; /* libjpeg would print on stderr */ }

static void on_progress(j_common_ptr c)
{
    struct jpeg_state *s = state_of(c);
    uint64_t scans = (uint64_t)s->c.input_scan_number,
             pixels = (uint64_t)s->c.image_width * s->c.image_height;
    if (scans > IMAGE_MAX_JPEG_SCANS || (scans > 10 && scans * pixels > IMAGE_MAX_SCAN_PIXELS)) {
        s->reason = image_fail(s->failure, IMAGE_TOO_MANY_SCANS, "%llu scans", (unsigned long long)scans);
        longjmp(s->escape, 1);
    }
}

/* Walks over the markers up to the first scan, to find the orientation (Exif in APP1) and a colour profile
 * (APP2). It skips what libjpeg skips on its way to the next marker: stray bytes, and a length below 2. */
static void read_markers(const uint8_t *b, size_t n, enum orientation_rule rule, struct image_info *info)
{
    size_t at = 2;
    bool oriented = false;
    while (at + 4 <= n) {
        if (b[at] != 0xFF || b[at + 1] == 0xFF) { /* stray byte, or fill byte */
            at++;
            continue;
        }
        unsigned marker = b[at + 1];
        if (marker == 0xDA || marker == 0xD9) return;
        if (marker == 0x00 || marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8)) {
            at += 2; /* no length, or a stray FF 00 */
            continue;
        }
        size_t length = be16(b + at + 2);
        if (length < 2) length = 2;
        if (at + 2 + length > n) return;
        const uint8_t *payload = b + at + 4;
        if (marker == 0xE1 && !oriented && length >= 8 && memcmp(payload, "Exif\0", 5) == 0) {
            info->orientation = exif_orientation(payload, length - 2, rule);
            oriented = true;
        }
        if (marker == 0xE2 && length >= 14 && memcmp(payload, "ICC_PROFILE", 12) == 0) info->icc = true;
        at += 2 + length;
    }
}

/* A sample is 255 minus the ink, as Adobe writes it. This also holds without an Adobe marker: tools that
 * remove metadata drop the marker and leave the samples, and every browser reads them in this way. */
static void cmyk_to_rgb(uint8_t *rgb, const JSAMPLE *cmyk, size_t n)
{
    for (size_t i = 0; i < n; i++, rgb += 3, cmyk += 4)
        for (int j = 0; j < 3; j++) {
            unsigned v = (unsigned)cmyk[j] * cmyk[3] + 128;
            rgb[j] = (uint8_t)((v + (v >> 8)) >> 8);
        }
}

static void set_mode(struct image_info *info, const struct jpeg_decompress_struct *c)
{
    const char *mode = "unknown";
    switch (c->jpeg_color_space) {
    case JCS_GRAYSCALE: mode = "gray"; break;
    case JCS_RGB:
    case JCS_YCbCr: mode = "rgb"; break;
    case JCS_CMYK: mode = "cmyk"; break;
    case JCS_YCCK: mode = "ycck"; break;
    default: break;
    }
    snprintf(info->mode, sizeof info->mode, "%s", mode);
}

static void choose_scale(struct jpeg_decompress_struct *c, int shrink_to_px)
{
    unsigned least = 2u * (unsigned)shrink_to_px, denominator = 1;
    while (denominator < 8 && c->image_width / (2 * denominator) >= least &&
           c->image_height / (2 * denominator) >= least)
        denominator *= 2;
    c->scale_num = 1;
    c->scale_denom = denominator;
}

/*
 * Whether the file has every scan that the pixels need, and none of them ran out of data: then only the end
 * marker is missing. An arithmetic decoder reads zeros past the end and does not say whether the encoder
 * meant them, so in this case the marker must be present.
 */
static bool all_scans(const struct jpeg_decompress_struct *c)
{
    if (c->arith_code) return false;
    for (int i = 0; i < c->num_components; i++) {
        if (!c->comp_info[i].quant_table) return false; /* set by the first scan of a component */
        for (int k = 0; c->progressive_mode && k < DCTSIZE2; k++)
            if (c->coef_bits[i][k] != 0) return false; /* not sent, or bits below these are still to come */
    }
    return true;
}

static void release(struct jpeg_state *s)
{
    jpeg_destroy_decompress(&s->c);
    free(s->line);
    colour_inks_close(s->inks);
    reducer_release(&s->reducer);
    image_release(&s->row);
}

enum image_reason jpeg_decode(const uint8_t *bytes, size_t n_bytes, const struct decode_options *options,
                              struct image *out, struct image_info *info, struct image_failure *f)
{
    struct jpeg_state s = {.failure = f};
    struct error err = {0};
    s.c.err = jpeg_std_error(&s.errors);
    s.errors.error_exit = on_error;
    s.errors.emit_message = on_message;
    s.errors.output_message = on_output;
    if (setjmp(s.escape)) {
        release(&s);
        return s.reason;
    }
    jpeg_create_decompress(&s.c);
    s.progress.progress_monitor = on_progress;
    s.c.progress = &s.progress;
    jpeg_mem_src(&s.c, bytes, n_bytes);
    jpeg_read_header(&s.c, TRUE);
    info->width = (int)s.c.image_width;
    info->height = (int)s.c.image_height;
    info->bits = s.c.data_precision;
    info->progressive = s.c.progressive_mode;
    set_mode(info, &s.c);
    read_markers(bytes, n_bytes, options->orientation, info);
    if (options->colour) colour_of_jpeg(options->colour, bytes, n_bytes);

    int factor = 1;
    s.reason = jpeg_has_multiple_scans(&s.c)
                   ? image_check_size(s.c.image_width, s.c.image_height, options->max_pixels, f)
                   : image_check_rows(s.c.image_width, s.c.image_height, options->max_pixels, &factor, f);
    if (s.reason == IMAGE_OK && strcmp(info->mode, "unknown") == 0)
        s.reason = image_fail(f, IMAGE_UNSUPPORTED, "%d colour components", s.c.num_components);
    if (s.reason != IMAGE_OK || !out) goto out;

    bool gray = s.c.jpeg_color_space == JCS_GRAYSCALE, four = s.c.num_components == 4;
    if (four && options->colour) s.inks = colour_inks_open(options->colour);
    s.c.out_color_space = gray ? JCS_GRAYSCALE : four ? JCS_CMYK : JCS_RGB;
    if (options->shrink_to_px > 0) choose_scale(&s.c, options->shrink_to_px);
    jpeg_start_decompress(&s.c);
    /* The picture may be small enough after the inverse DCT has reduced it. */
    if (factor > 1) factor = reduce_factor(s.c.output_width, s.c.output_height);
    int width = (int)s.c.output_width, height = (int)s.c.output_height, channels = gray ? 1 : 3;
    if ((factor > 1 ? reducer_open(&s.reducer, out, width, height, channels, factor, &err) ||
                          image_reserve(&s.row, width, 1, channels, &err)
                    : image_reserve(out, width, height, channels, &err)) ||
        (four && !(s.line = mem_alloc((size_t)s.c.output_width * 4, &err)))) {
        s.reason = image_fail_error(f, &err);
        goto out;
    }
    size_t stride = (size_t)width * (size_t)channels;
    while (s.c.output_scanline < s.c.output_height) {
        uint8_t *row = factor > 1 ? s.row.pixels : out->pixels + s.c.output_scanline * stride;
        JSAMPROW rows[16] = {row};
        if (four || factor > 1) {
            jpeg_read_scanlines(&s.c, four ? &s.line : rows, 1);
            if (four && s.inks)
                colour_inks_row(s.inks, row, s.line, (size_t)width);
            else if (four)
                cmyk_to_rgb(row, s.line, (size_t)width);
            if (factor > 1) reducer_add(&s.reducer, row, s.c.output_scanline == s.c.output_height);
            continue;
        }
        JDIMENSION n = s.c.output_height - s.c.output_scanline;
        if (n > 16) n = 16;
        for (JDIMENSION i = 0; i < n; i++)
            rows[i] = row + i * stride;
        jpeg_read_scanlines(&s.c, rows, n);
    }
    bool cut = s.past_end && (s.short_data || !all_scans(&s.c));
    if (cut && !options->allow_truncated)
        s.reason =
            image_fail(f, IMAGE_DECODE_TRUNCATED, "%s", s.message[0] ? s.message : "the file ends early");
    else if (!cut && (s.short_data || s.damaged) && !options->allow_truncated)
        s.reason = image_fail(f, IMAGE_DECODE_CORRUPT, "%s", s.message);
out:
    release(&s);
    return s.reason;
}
