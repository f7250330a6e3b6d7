/* augment_text.c: parses and writes augmentation as text: the user's SPEC, and the drawn numbers in a
 * manifest. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "base/text.h"
#include "image/augment.h"

bool augment_spec_is_none(const struct augment_spec *s)
{
    return s->rotation_deg == 0 && s->width_shift == 0 && s->height_shift == 0 && s->shear_deg == 0 &&
           s->zoom_low == 1 && s->zoom_high == 1 && s->channel_shift == 0 && s->horizontal_flip == 0 &&
           s->vertical_flip == 0 && s->crop == 0 && s->brightness == 0 && s->contrast == 0 &&
           s->jpeg_probability == 0 && s->blur_sigma_px == 0 && s->erase == 0;
}

#define MOST_PARTS 5

/* Reads "A:B:C" as numbers, each within low..high. Returns how many there are, or -1 with err set. */
static int numbers(const char *key, const char *text, double low, double high, double out[MOST_PARTS],
                   struct error *err)
{
    char part[64];
    int n = 0;
    for (const char *s = text;; s++) {
        size_t length = strcspn(s, ":");
        if (n == MOST_PARTS || length == 0 || length >= sizeof part)
            return error_set(err, EX_USAGE, "augmentation '%s': '%s' is not a number", key, text);
        snprintf(part, sizeof part, "%.*s", (int)length, s);
        if (parse_double(part, low, high, &out[n], key, err)) {
            error_prefix(err, "augmentation");
            err->code = EX_USAGE;
            return -1;
        }
        n++;
        s += length;
        if (*s == 0) return n;
    }
}

static int wrong_count(const char *key, const char *text, const char *form, struct error *err)
{
    return error_set(err, EX_USAGE, "augmentation '%s=%s': give %s", key, text, form);
}

static int parse_fill(struct augment_spec *s, const char *value, struct error *err)
{
    static const char *const names[] = {"nearest", "reflect", "wrap"};
    double v[MOST_PARTS];
    for (int i = 0; i < 3; i++)
        if (strcmp(value, names[i]) == 0) {
            s->fill = (enum augment_fill)i;
            return 0;
        }
    int n = numbers("fill", value, 0, 255, v, err);
    if (n != 3) return wrong_count("fill", value, "nearest, reflect, wrap or R:G:B", err);
    s->fill = FILL_CONSTANT;
    for (int i = 0; i < 3; i++)
        s->fill_value[i] = (uint8_t)v[i];
    return 0;
}

/* The words that take one number: where it is stored and its range. Flips and erase may come without a
 * number. */
static const struct {
    const char *key;
    size_t offset;
    double low, high, alone;
} single[] = {
    {"rotation", offsetof(struct augment_spec, rotation_deg), 0, 180, -1},
    {"width-shift", offsetof(struct augment_spec, width_shift), 0, 1, -1},
    {"height-shift", offsetof(struct augment_spec, height_shift), 0, 1, -1},
    {"shear", offsetof(struct augment_spec, shear_deg), 0, 80, -1},
    {"channel", offsetof(struct augment_spec, channel_shift), 0, 255, -1},
    {"flip", offsetof(struct augment_spec, horizontal_flip), 0, 1, 0.5},
    {"vflip", offsetof(struct augment_spec, vertical_flip), 0, 1, 0.5},
    {"crop", offsetof(struct augment_spec, crop), 0, 0.95, -1},
    {"brightness", offsetof(struct augment_spec, brightness), 0, 1, -1},
    {"contrast", offsetof(struct augment_spec, contrast), 0, 1, -1},
    {"blur", offsetof(struct augment_spec, blur_sigma_px), 0, 20, -1},
    {"erase", offsetof(struct augment_spec, erase), 0, 1, 0.5},
};

static int parse_word(struct augment_spec *s, const char *key, const char *value, struct error *err)
{
    double v[MOST_PARTS];
    for (size_t i = 0; i < sizeof single / sizeof *single; i++) {
        double *field = (double *)(void *)((char *)s + single[i].offset);
        if (strcmp(key, single[i].key)) continue;
        if (!value && single[i].alone < 0)
            return error_set(err, EX_USAGE, "augmentation '%s' wants a number: %s=N", key, key);
        if (!value) {
            *field = single[i].alone;
            return 0;
        }
        int n = numbers(key, value, single[i].low, single[i].high, v, err);
        if (n != 1) return n < 0 ? -1 : wrong_count(key, value, "one number", err);
        *field = v[0];
        return 0;
    }
    if (value && strcmp(key, "shift") == 0) {
        int n = numbers(key, value, 0, 1, v, err);
        if (n != 1) return n < 0 ? -1 : wrong_count(key, value, "one number", err);
        s->width_shift = s->height_shift = v[0];
        return 0;
    }
    if (value && strcmp(key, "zoom") == 0) {
        int n = numbers(key, value, 0, 10, v, err);
        if (n < 0) return -1;
        if ((n == 1 && v[0] >= 1) || (n == 2 && (v[0] <= 0 || v[0] > v[1])) || n > 2)
            return wrong_count(key, value, "one number below 1, or LOW:HIGH", err);
        s->zoom_low = n == 1 ? 1 - v[0] : v[0];
        s->zoom_high = n == 1 ? 1 + v[0] : v[1];
        return 0;
    }
    if (value && strcmp(key, "jpeg") == 0) {
        int n = numbers(key, value, 0, 100, v, err);
        if (n < 0) return -1;
        if (n < 2 || n > 3 || v[0] < 1 || v[0] > v[1] || (n == 3 && v[2] > 1))
            return wrong_count(key, value, "LOW:HIGH or LOW:HIGH:PROBABILITY", err);
        s->jpeg_low = (int)v[0];
        s->jpeg_high = (int)v[1];
        s->jpeg_probability = n == 3 ? v[2] : 0.5;
        return 0;
    }
    if (value && strcmp(key, "fill") == 0) return parse_fill(s, value, err);
    return error_set(
        err, EX_USAGE,
        "augmentation '%s' is not known (or wants =VALUE); known: article none rotation shift width-shift "
        "height-shift shear zoom channel flip vflip crop brightness contrast jpeg blur erase fill",
        key);
}

int augment_spec_parse(const char *text, struct augment_spec *out, struct error *err)
{
    *out = AUGMENT_NONE;
    if (!*text) return error_set(err, EX_USAGE, "an empty augmentation: give none, article or a list");
    for (const char *s = text; *s;) {
        char word[128], *value;
        size_t length = strcspn(s, ",");
        snprintf(word, sizeof word, "%.*s", (int)length, s);
        if (length >= sizeof word) return error_set(err, EX_USAGE, "augmentation '%.40s...' is not known", s);
        if ((value = strchr(word, '='))) *value++ = 0;
        if (!value && strcmp(word, "article") == 0)
            *out = AUGMENT_ARTICLE;
        else if (!value && strcmp(word, "none") == 0)
            *out = AUGMENT_NONE;
        else if (parse_word(out, word, value, err))
            return -1;
        s += length + (s[length] == ',');
    }
    return 0;
}

/* --- the drawn numbers --- */

void augment_params_text(const struct augment_params *p, char *text)
{
    char *at = text, *end = text + AUGMENT_TEXT_BYTES;
    *at = 0;
#define ADD(condition, ...)                                                                                  \
    do {                                                                                                     \
        if (condition) {                                                                                     \
            at += snprintf(at, (size_t)(end - at), "%s", at > text ? "," : "");                              \
            at += snprintf(at, (size_t)(end - at), __VA_ARGS__);                                             \
        }                                                                                                    \
    } while (0)
    ADD(p->rotation_deg != 0, "rotation=%.9g", p->rotation_deg);
    ADD(p->shift_y != 0 || p->shift_x != 0, "shift=%.9g:%.9g", p->shift_y, p->shift_x);
    ADD(p->shear_deg != 0, "shear=%.9g", p->shear_deg);
    ADD(p->zoom_y != 1 || p->zoom_x != 1, "zoom=%.9g:%.9g", p->zoom_y, p->zoom_x);
    ADD(p->crop_scale != 1 || p->crop_y != 0 || p->crop_x != 0, "crop=%.9g:%.9g:%.9g", p->crop_scale,
        p->crop_y, p->crop_x);
    ADD(p->flip, "flip");
    ADD(p->vflip, "vflip");
    ADD(p->channel_shift != 0, "channel=%.9g", p->channel_shift);
    ADD(p->brightness != 1, "brightness=%.9g", p->brightness);
    ADD(p->contrast != 1, "contrast=%.9g", p->contrast);
    ADD(p->blur_sigma_px != 0, "blur=%.9g", p->blur_sigma_px);
    ADD(p->jpeg_quality != 0, "jpeg=%d", p->jpeg_quality);
    ADD(p->erase, "erase=%.9g:%.9g:%.9g:%.9g:%llu", p->erase_y, p->erase_x, p->erase_h, p->erase_w,
        (unsigned long long)p->noise);
    ADD(at == text, "none");
#undef ADD
}
