/* augment_params.h: reads what augment_params_text writes. It shows that the text has everything that a
 * variant was made with, and lets tests state variants as text. */
#ifndef WINNOW_TESTS_AUGMENT_PARAMS_H
#define WINNOW_TESTS_AUGMENT_PARAMS_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "image/augment.h"

/* Reads up to five numbers "A:B:C", each within low..high. Returns how many there are, or -1 with err set. */
static inline int augment_numbers(const char *key, const char *text, double low, double high, double out[5],
                                  struct error *err)
{
    char part[64];
    int n = 0;
    for (const char *s = text;; s++) {
        size_t length = strcspn(s, ":");
        if (n == 5 || length == 0 || length >= sizeof part)
            return error_set(err, EX_DATAERR, "params: '%s' is not a number", text);
        snprintf(part, sizeof part, "%.*s", (int)length, s);
        if (parse_double(part, low, high, &out[n++], key, err)) return -1;
        s += length;
        if (!*s) return n;
    }
}

static inline int augment_params_parse(const char *text, struct augment_params *p, struct error *err)
{
    static const struct {
        const char *key;
        int n;
        size_t offset[4];
        double low, high;
    } fields[] = {
        {"rotation", 1, {offsetof(struct augment_params, rotation_deg)}, -180, 180},
        {"shift",
         2,
         {offsetof(struct augment_params, shift_y), offsetof(struct augment_params, shift_x)},
         -1,
         1},
        {"shear", 1, {offsetof(struct augment_params, shear_deg)}, -80, 80},
        {"zoom",
         2,
         {offsetof(struct augment_params, zoom_y), offsetof(struct augment_params, zoom_x)},
         0,
         10},
        {"crop",
         3,
         {offsetof(struct augment_params, crop_scale), offsetof(struct augment_params, crop_y),
          offsetof(struct augment_params, crop_x)},
         -1,
         1},
        {"channel", 1, {offsetof(struct augment_params, channel_shift)}, -255, 255},
        {"brightness", 1, {offsetof(struct augment_params, brightness)}, 0, 2},
        {"contrast", 1, {offsetof(struct augment_params, contrast)}, 0, 2},
        {"blur", 1, {offsetof(struct augment_params, blur_sigma_px)}, 0, 20},
    };
    *p = (struct augment_params){.zoom_y = 1, .zoom_x = 1, .crop_scale = 1, .brightness = 1, .contrast = 1};
    if (strcmp(text, "none") == 0 || !*text) return 0;
    for (const char *s = text; *s;) {
        char word[160], *value;
        double v[5];
        size_t length = strcspn(s, ","), i = 0;
        if (length >= sizeof word) return error_set(err, EX_DATAERR, "params: '%.40s...' is not known", s);
        snprintf(word, sizeof word, "%.*s", (int)length, s);
        s += length + (s[length] == ',');
        if (strcmp(word, "flip") == 0 || strcmp(word, "vflip") == 0) {
            *(word[0] == 'v' ? &p->vflip : &p->flip) = true;
            continue;
        }
        if (!(value = strchr(word, '=')))
            return error_set(err, EX_DATAERR, "params: '%s' is not known", word);
        *value++ = 0;
        if (strcmp(word, "jpeg") == 0 || strcmp(word, "erase") == 0) {
            bool jpeg = word[0] == 'j';
            if (augment_numbers(word, value, jpeg ? 1 : 0, jpeg ? 100 : 4294967295.0, v, err) !=
                    (jpeg ? 1 : 5) ||
                (!jpeg && (v[0] > 1 || v[1] > 1 || v[2] > 1 || v[3] > 1)))
                return error_set(err, EX_DATAERR, "params: '%s=%s' makes no sense", word, value);
            if (jpeg) {
                p->jpeg_quality = (int)v[0];
                continue;
            }
            p->erase = true;
            p->erase_y = v[0], p->erase_x = v[1], p->erase_h = v[2], p->erase_w = v[3];
            p->noise = (uint64_t)v[4];
            continue;
        }
        while (i < sizeof fields / sizeof *fields && strcmp(word, fields[i].key))
            i++;
        if (i == sizeof fields / sizeof *fields)
            return error_set(err, EX_DATAERR, "params: '%s' is not known", word);
        if (augment_numbers(word, value, fields[i].low, fields[i].high, v, err) != fields[i].n)
            return error_set(err, EX_DATAERR, "params: '%s=%s' makes no sense", word, value);
        for (int k = 0; k < fields[i].n; k++)
            *(double *)(void *)((char *)p + fields[i].offset[k]) = v[k];
    }
    return 0;
}

#endif
