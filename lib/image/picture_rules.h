/*
 * picture_rules.h: where winnow leaves a choice of how a file becomes pixels: background, colour,
 * orientation, frame. Each program that opens pictures embeds a struct picture_rules, has the rows of
 * options below, and turns the rules into decode options here. Sets and models record them, so that every
 * later program agrees.
 */
#ifndef WINNOW_IMAGE_PICTURE_RULES_H
#define WINNOW_IMAGE_PICTURE_RULES_H

#include "cli/options.h"
#include "image/image.h"
#include "image/limits.h"

/* NULL, "" and 0 mean that nobody said anything: white, none, browser, 1. */
struct picture_rules {
    const char *background, *color, *orientation;
    int64_t frame;  /* from 1 */
    bool no_orient; /* --no-orient, the older way to say --orientation none */
};

/* Sets what the rules say in *d and leaves the rest. EX_USAGE names the option. */
int picture_rules_apply(const struct picture_rules *r, struct decode_options *d, struct error *err);
/* The rules as a set or a model recorded them, where own says nothing else. Borrows the texts of both. */
struct picture_rules picture_rules_over(const struct picture_rules *own,
                                        const struct picture_rules *recorded);
/* The rules as one text, "background #000000 frame 3", "" for what is usual: for lists of what an answer
 * depends on. Rules that mean the same have the same text. */
#define PICTURE_RULES_BYTES 96
const char *picture_rules_text(const struct picture_rules *r, char out[PICTURE_RULES_BYTES]);

/* The size of a picture as these rules show it: that as stored where nothing turns it. */
void picture_rules_shown(const struct picture_rules *r, const struct image_info *i, int *width, int *height);

/* "browser", "pillow" or "none". -1 with err set (EX_USAGE) for another word. */
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
        OPTION(S, FLAG, 0, "no-orient", M.no_orient, NULL, "the same as --orientation none"),                \
        OPTION(S, STRING, 0, "color", M.color, "WORD",                                                       \
               "none: use the stored values; srgb: convert them by the profile, gAMA or cICP"),              \
        OPTION(S, STRING, 0, "background", M.background, "COLOUR",                                           \
               "colour under transparent parts: white, black (as nsfwjs) or #RRGGBB")

#endif
