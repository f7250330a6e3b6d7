/* picture_rules.c: converts the rules from program options to decode options and to text. */
#include "image/picture_rules.h"

#include <stdio.h>
#include <string.h>

static const char *const orientation_words[] = {"browser", "pillow", "none"};

int orientation_rule_parse(const char *word, enum orientation_rule *out, struct error *err)
{
    *out = ORIENT_BROWSER;
    if (!word || !*word) return 0;
    for (int i = ORIENT_BROWSER; i <= ORIENT_NONE; i++)
        if (strcmp(word, orientation_words[i]) == 0) {
            *out = (enum orientation_rule)i;
            return 0;
        }
    return error_set(err, EX_USAGE, "'%s' is not a rule of orientation: browser, pillow or none", word);
}

const char *orientation_rule_name(enum orientation_rule rule) { return orientation_words[rule]; }

int picture_rules_apply(const struct picture_rules *r, struct decode_options *d, struct error *err)
{
    char ignored[BACKGROUND_TEXT_BYTES];
    if (image_background_parse(r->background, d->background, ignored, err))
        return error_prefix(err, "--background");
    if (image_color_parse(r->color, &d->srgb, err)) return error_prefix(err, "--color");
    if (orientation_rule_parse(r->orientation, &d->orientation, err))
        return error_prefix(err, "--orientation");
    d->frame = (int)r->frame;
    return 0;
}

struct picture_rules picture_rules_over(const struct picture_rules *own, const struct picture_rules *recorded)
{
    struct picture_rules r = *own;
    if (!r.background) r.background = recorded->background;
    if (!r.color) r.color = recorded->color;
    if (!r.orientation) r.orientation = recorded->orientation;
    if (!r.frame) r.frame = recorded->frame;
    return r;
}

const char *picture_rules_text(const struct picture_rules *r, char out[PICTURE_RULES_BYTES])
{
    struct decode_options d = DECODE_DEFAULTS;
    struct error ignored = {0};
    char background[BACKGROUND_TEXT_BYTES] = "", frame[24] = "";
    /* an error was already reported when the rules were first applied */
    (void)picture_rules_apply(r, &d, &ignored);
    (void)image_background_parse(r->background, d.background, background, &ignored);
    if (d.frame > 1) snprintf(frame, sizeof frame, " frame %d", d.frame);
    snprintf(out, PICTURE_RULES_BYTES, "%s%s%s%s%s%s", background[0] ? " background " : "", background,
             d.srgb ? " color srgb" : "", d.orientation != ORIENT_BROWSER ? " orientation " : "",
             d.orientation != ORIENT_BROWSER ? orientation_rule_name(d.orientation) : "", frame);
    memmove(out, out + (*out == ' '), PICTURE_RULES_BYTES - 1);
    return out;
}

bool picture_rules_unturned(const struct picture_rules *r)
{
    return r->orientation && strcmp(r->orientation, "none") == 0;
}

void picture_rules_shown(const struct picture_rules *r, const struct image_info *i, int *width, int *height)
{
    struct image_info own = *i;
    if (picture_rules_unturned(r)) own.orientation = 1;
    image_info_shown(&own, width, height);
}
