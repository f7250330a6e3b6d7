/*
 * picture_rules.h: the rules for decoding a file that the user may choose: background, colour, orientation
 * and frame. Each program that opens pictures embeds a struct picture_rules, has the option rows below, and
 * converts the rules to decode options with picture_rules_apply. Shard sets and models record the rules, so
 * that every later program uses the same.
 */
#ifndef WINNOW_IMAGE_PICTURE_RULES_H
#define WINNOW_IMAGE_PICTURE_RULES_H

#include "cli/options.h"
#include "image/image.h"
#include "image/limits.h"

/* NULL, "" and 0 mean that no option was given. The defaults are white, none, browser and 1. */
struct picture_rules {
    const char *background, *color, *orientation;
    int64_t frame; /* from 1 */
};

/* Sets the fields of *d that the rules concern, and leaves the others. Returns 0, or -1 with err set
 * (EX_USAGE; the message names the option). */
int picture_rules_apply(const struct picture_rules *r, struct decode_options *d, struct error *err);
/* Returns the rules that a set or a model recorded, with those of `own` in place of any that `own` gives.
 * Borrows the strings of both. */
struct picture_rules picture_rules_over(const struct picture_rules *own,
                                        const struct picture_rules *recorded);
/* Writes the rules as one text, such as "background #000000 frame 3", or "" for the defaults. Rules with the
 * same meaning have the same text. The text belongs to the list of settings that a remembered result depends
 * on. */
#define PICTURE_RULES_BYTES 96
const char *picture_rules_text(const struct picture_rules *r, char out[PICTURE_RULES_BYTES]);

/* Returns true when no picture is turned: --orientation none. */
bool picture_rules_unturned(const struct picture_rules *r);
/* Sets *width and *height to the size of the picture as these rules show it: as stored where nothing turns
 * it. */
void picture_rules_shown(const struct picture_rules *r, const struct image_info *i, int *width, int *height);

/* Parses "browser", "pillow" or "none". Returns 0, or -1 with err set (EX_USAGE) for another word. */
int orientation_rule_parse(const char *word, enum orientation_rule *out, struct error *err);
const char *orientation_rule_name(enum orientation_rule rule);

#define PICTURE_ROWS(S, M)                                                                                   \
    OPTION(                                                                                                  \
        S, INT, 0, "frame", M.frame, "N",                                                                    \
        "of an animation take frame N, counted from 1 and composed as browsers do, or the last one where "   \
        "there are fewer; the first, when not given",                                                        \
        RANGE(1, IMAGE_MAX_FRAMES)),                                                                         \
        OPTION(                                                                                              \
            S, STRING, 0, "orientation", M.orientation, "RULE",                                              \
            "which EXIF orientation turns a picture: browser: as Chromium and Firefox; pillow: also that "   \
            "of a WebP, after the data of a PNG, and of other types than SHORT; none"),                      \
        OPTION(S, STRING, 0, "color", M.color, "WORD",                                                       \
               "none: use the stored values; srgb: convert them by the profile, gAMA or cICP"),              \
        OPTION(S, STRING, 0, "background", M.background, "COLOUR",                                           \
               "colour under transparent parts: white, black (as nsfwjs) or #RRGGBB")

#endif
