/* image.c: blocks of pixels, names of formats and reasons, and the choice of a decoder. */
#include "image/image.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "image/colour.h"

int image_reserve(struct image *m, int width, int height, int channels, struct error *err)
{
    size_t bytes;
    if (width < 1 || height < 1 || !size_mul((size_t)width, (size_t)height, &bytes) ||
        !size_mul(bytes, (size_t)channels, &bytes) || !size_add(bytes, IMAGE_SLACK_BYTES, &bytes))
        return error_set(err, EX_SOFTWARE, "a picture of %d x %d x %d", width, height, channels);
    if (!m->pixels || bytes > m->capacity_bytes) {
        free(m->pixels); /* not realloc: the old pixels need not move */
        m->capacity_bytes = 0;
        if (!(m->pixels = mem_aligned(64, bytes, err))) return -1;
        m->capacity_bytes = bytes;
    }
    m->width = width;
    m->height = height;
    m->channels = channels;
    memset(m->pixels + bytes - IMAGE_SLACK_BYTES, 0, IMAGE_SLACK_BYTES);
    return 0;
}

int image_copy(struct image *out, const struct image *m, struct error *err)
{
    if (image_reserve(out, m->width, m->height, m->channels, err)) return -1;
    memcpy(out->pixels, m->pixels, image_bytes(m));
    return 0;
}

int image_to_rgb(struct image *m, struct error *err)
{
    struct image rgb = IMAGE_EMPTY;
    if (m->channels == 3) return 0;
    if (image_reserve(&rgb, m->width, m->height, 3, err)) return -1;
    size_t n = image_bytes(m);
    for (size_t i = 0; i < n; i++)
        rgb.pixels[3 * i] = rgb.pixels[3 * i + 1] = rgb.pixels[3 * i + 2] = m->pixels[i];
    image_release(m);
    *m = rgb;
    return 0;
}

void image_release(struct image *m)
{
    free(m->pixels);
    *m = IMAGE_EMPTY;
}

/* --- names --- */

const char *image_reason_slug(enum image_reason r)
{
    static const char *const slugs[IMAGE_REASONS] = {
        [IMAGE_OK] = NULL,
        [IMAGE_NOT_FOUND] = "not-found",
        [IMAGE_UNREADABLE] = "unreadable",
        [IMAGE_OUTSIDE_ROOT] = "outside-root",
        [IMAGE_FILE_EMPTY] = "empty-file",
        [IMAGE_TOO_MANY_BYTES] = "too-many-bytes",
        [IMAGE_NOT_AN_IMAGE] = "not-a-picture",
        [IMAGE_UNSUPPORTED] = "unsupported",
        [IMAGE_TOO_MANY_PIXELS] = "too-many-pixels",
        [IMAGE_TOO_MANY_SCANS] = "too-many-scans",
        [IMAGE_DECODE_TRUNCATED] = "decode-truncated",
        [IMAGE_DECODE_CORRUPT] = "decode-corrupt",
        [IMAGE_DECODE_MEMORY] = "decode-memory",
        [IMAGE_DECODE_TIMEOUT] = "decode-timeout",
        [IMAGE_DECODE_CRASHED] = "decode-crashed",
    };
    return (unsigned)r < IMAGE_REASONS ? slugs[r] : slugs[IMAGE_DECODE_CORRUPT];
}

int resize_method_parse(const char *name, enum resize_method *out, struct error *err)
{
    for (int m = RESIZE_BILINEAR; m <= RESIZE_BICUBIC; m++)
        if (strcmp(name, resize_method_name((enum resize_method)m)) == 0) {
            *out = (enum resize_method)m;
            return 0;
        }
    return error_set(err, EX_USAGE, "'%s' is not a resize method: bilinear, area, lanczos, bicubic or tfjs",
                     name);
}

int resize_rule_parse(const char *text, struct resize_rule *out, struct error *err)
{
    char method[16];
    int first = 0, second = 0, end = 0;
    const char *plus = strchr(text, '+');
    size_t bytes = plus ? (size_t)(plus - text) : strlen(text);
    *out = (struct resize_rule){.method = RESIZE_BILINEAR};
    snprintf(method, sizeof method, "%.*s", (int)(bytes < sizeof method ? bytes : sizeof method - 1), text);
    if (bytes && resize_method_parse(method, &out->method, err)) return -1;
    if (!plus) return 0;
    int n = sscanf(plus, "+%5d%nx%5d%n", &first, &end, &second, &end);
    if (n < 1 || plus[end] || first < 1 || first > 8192 || (n == 2 && second != first))
        return error_set(err, EX_USAGE, "'%s' is not METHOD, METHOD+SHORTER-SIDE or METHOD+SIDExSIDE", text);
    out->first_px = first;
    out->keep_shape = n == 1;
    return 0;
}

const char *resize_rule_text(const struct resize_rule *rule, char out[RESIZE_RULE_BYTES])
{
    const char *method = resize_method_name(rule->method);
    if (!rule->first_px)
        snprintf(out, RESIZE_RULE_BYTES, "%s", method);
    else if (rule->keep_shape)
        snprintf(out, RESIZE_RULE_BYTES, "%s+%d", method, rule->first_px);
    else
        snprintf(out, RESIZE_RULE_BYTES, "%s+%dx%d", method, rule->first_px, rule->first_px);
    return out;
}

const char *resize_method_name(enum resize_method m)
{
    static const char *const names[] = {"bilinear", "area", "lanczos", "tfjs", "bicubic"};
    return names[m];
}

int image_background_parse(const char *name, uint8_t rgb[3], char text[BACKGROUND_TEXT_BYTES],
                           struct error *err)
{
    const char *digits = !name || !*name || strcmp(name, "white") == 0 ? "#ffffff"
                         : strcmp(name, "black") == 0                  ? "#000000"
                                                                       : name;
    char lower[BACKGROUND_TEXT_BYTES] = "";
    if (strlen(digits) == 7)
        for (int i = 0; i < 7; i++)
            lower[i] = (char)(digits[i] >= 'A' && digits[i] <= 'F' ? digits[i] + 32 : digits[i]);
    if (lower[0] != '#' || hex_decode(rgb, 3, lower + 1))
        return error_set(err, EX_USAGE, "'%s' is not a background: white, black or #RRGGBB", digits);
    memcpy(text, lower, sizeof lower);
    if (strcmp(text, "#ffffff") == 0) text[0] = 0;
    return 0;
}

enum image_reason image_fail(struct image_failure *f, enum image_reason reason, const char *format, ...)
{
    char raw[sizeof f->detail];
    va_list args;
    va_start(args, format);
    vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    text_for_people(f->detail, sizeof f->detail, raw);
    f->reason = reason;
    return reason;
}

enum image_reason image_fail_error(struct image_failure *f, const struct error *err)
{
    return image_fail(f, IMAGE_DECODE_MEMORY, "%.120s", err->text);
}

enum image_reason image_check_size(uint64_t width, uint64_t height, uint64_t max_pixels,
                                   struct image_failure *f)
{
    if (max_pixels == 0 || max_pixels > IMAGE_MAX_PIXELS) max_pixels = IMAGE_MAX_PIXELS;
    if (width == 0 || height == 0) return image_fail(f, IMAGE_DECODE_CORRUPT, "a side of 0 pixels");
    if (width > IMAGE_MAX_SIDE_PX || height > IMAGE_MAX_SIDE_PX || width * height > max_pixels)
        return image_fail(f, IMAGE_TOO_MANY_PIXELS, "%llu x %llu", (unsigned long long)width,
                          (unsigned long long)height);
    return IMAGE_OK;
}

void image_info_shown(const struct image_info *i, int *width, int *height)
{
    bool swap = i->orientation >= 5 && i->orientation <= 8;
    *width = swap ? i->height : i->width;
    *height = swap ? i->width : i->height;
}

/* --- decoding --- */

void image_set_mode(struct image_info *info, bool gray)
{
    snprintf(info->mode, sizeof info->mode, "%s%s%s", gray ? "gray" : "rgb", info->alpha ? "-alpha" : "",
             info->bits > 8 ? "16" : "");
}

void rgba_to_pixels(struct image *m, int x, int y, int n, const uint8_t *rgba, enum alpha_kind alpha,
                    const uint8_t background[3])
{
    uint8_t *to = m->pixels + ((size_t)y * (size_t)m->width + (size_t)x) * (size_t)m->channels;
    if (m->channels == 1) {
        for (int i = 0; i < n; i++)
            to[i] = rgba[4 * i];
        return;
    }
    for (int i = 0; i < n; i++, to += 3, rgba += 4)
        for (int c = 0; c < 3; c++)
            if (alpha == ALPHA_NONE) {
                to[c] = rgba[c];
            } else if (alpha == ALPHA_STRAIGHT) {
                to[c] = blend_over(rgba[c], rgba[3], background[c]);
            } else {
                unsigned sum = rgba[c] + blend_over(0, rgba[3], background[c]);
                to[c] = (uint8_t)(sum > 255 ? 255 : sum);
            }
}

#ifdef WITHOUT_AVIF
#define AVIF_WORD ""
#define avif_decode NULL
#else
#define AVIF_WORD ",avif"
#endif
#ifdef WITHOUT_HEIC
#define HEIC_WORD ""
#define heic_decode NULL
#else
#define HEIC_WORD ",heic"
#endif
#ifdef WITHOUT_JXL
#define JXL_WORD ""
#define jxl_decode NULL
#else
#define JXL_WORD ",jxl"
#endif

const char *image_optional_formats(void)
{
    static const char words[] = AVIF_WORD HEIC_WORD JXL_WORD;
    return words[0] ? words + 1 : words;
}

static enum image_reason dispatch(const uint8_t *bytes, size_t n_bytes, const struct decode_options *options,
                                  struct image *out, struct image_info *info, struct image_failure *f)
{
    static image_decoder *const decoders[] = {
        [IMAGE_JPEG] = jpeg_decode, [IMAGE_PNG] = png_decode,   [IMAGE_WEBP] = webp_decode,
        [IMAGE_GIF] = gif_decode,   [IMAGE_AVIF] = avif_decode, [IMAGE_HEIC] = heic_decode,
        [IMAGE_JXL] = jxl_decode,
    };
    *f = (struct image_failure){IMAGE_OK, ""};
    *info = (struct image_info){.orientation = 1, .frames = 1};
    if (n_bytes == 0) return image_fail(f, IMAGE_FILE_EMPTY, "0 bytes");
    if (n_bytes > IMAGE_MAX_FILE_BYTES) return image_fail(f, IMAGE_TOO_MANY_BYTES, "%zu bytes", n_bytes);
    enum image_kind kind = image_kind_of(bytes, n_bytes);
    if (!image_kind_kept(kind)) return image_fail(f, IMAGE_NOT_AN_IMAGE, "%s", image_kind_detail(kind));
    info->format = kind;
    if (!decoders[kind])
        return image_fail(f, IMAGE_UNSUPPORTED, "%s: built without %s", image_kind_detail(kind),
                          kind == IMAGE_AVIF   ? "libavif"
                          : kind == IMAGE_HEIC ? "libheif"
                                               : "libjxl");
    return decoders[info->format](bytes, n_bytes, options, out, info, f);
}

enum image_reason image_read_header(const uint8_t *bytes, size_t n_bytes,
                                    const struct decode_options *options, struct image_info *info,
                                    struct image_failure *f)
{
    return dispatch(bytes, n_bytes, options, NULL, info, f);
}

int image_color_parse(const char *name, bool *srgb, struct error *err)
{
    *srgb = name && strcmp(name, "srgb") == 0;
    if (name && *name && !*srgb && strcmp(name, "none") != 0)
        return error_set(err, EX_USAGE, "'%s' is not a colour conversion: none or srgb", name);
#ifdef WITHOUT_COLOUR
    if (*srgb) return error_set(err, EX_NODEVICE, "winnow was built without lcms2 (Debian: liblcms2-dev)");
#endif
    return 0;
}

#ifdef WITHOUT_COLOUR
int colour_to_srgb(struct image *m, const struct colour_note *note, struct error *err)
{
    (void)m, (void)note, (void)err;
    return 0;
}

struct colour_inks *colour_inks_open(const struct colour_note *note)
{
    (void)note;
    return NULL;
}

void colour_inks_row(const struct colour_inks *inks, uint8_t *rgb, const uint8_t *cmyk, size_t n)
{
    (void)inks, (void)rgb, (void)cmyk, (void)n;
}

void colour_inks_close(struct colour_inks *inks) { (void)inks; }
#endif

enum image_reason image_decode(const uint8_t *bytes, size_t n_bytes, const struct decode_options *options,
                               struct image *out, struct image_info *info, struct image_failure *failure)
{
    return options->frame > 1 ? image_decode_nth(bytes, n_bytes, options, out, info, failure)
                              : image_decode_first(bytes, n_bytes, options, out, info, failure);
}

enum image_reason image_decode_first(const uint8_t *bytes, size_t n_bytes,
                                     const struct decode_options *options, struct image *out,
                                     struct image_info *info, struct image_failure *failure)
{
    struct error err = {0};
    struct colour_note note = {0};
    struct decode_options own = *options;
    if (options->srgb) own.colour = &note;
    enum image_reason reason = dispatch(bytes, n_bytes, &own, out, info, failure);
    if (reason == IMAGE_OK &&
        ((options->srgb && colour_to_srgb(out, &note, &err)) ||
         (!options->keep_gray && image_to_rgb(out, &err)) ||
         (options->orientation != ORIENT_NONE && image_orient(out, info->orientation, &err))))
        reason = image_fail_error(failure, &err);
    colour_note_release(&note);
    return reason;
}
