/* augment_stage.h: writes variants of training pictures as files, and a sheet to look at them; see main.c. */
#ifndef WINNOW_AUGMENT_STAGE_H
#define WINNOW_AUGMENT_STAGE_H

#include "cli/options.h"
#include "cli/stage.h"
#include "image/augment.h"
#include "image/decode_pool.h"
#include "image/picture_rules.h"
#include "manifest/filter.h"

enum made_format { MADE_JPEG, MADE_PNG, MADE_WEBP };

struct augment_options {
    struct common_options common;
    const char *spec_text, *folder, *splits, *sheet, *memory;
    struct picture_rules rules;
    int64_t variants, quality, size, sheet_rows;
    int format; /* enum made_format */
    bool allow_truncated, no_sandbox;
    struct augment_spec spec; /* from spec_text */
};
#define AUGMENT_DEFAULTS                                                                                     \
    {                                                                                                        \
        .common = COMMON_OPTIONS_DEFAULTS, .spec_text = "article", .splits = "train", .variants = 1,         \
        .quality = 92, .sheet_rows = 16                                                                      \
    }

extern const char *const augment_adds[]; /* variant source params */

#define AUGMENT_MOST_VARIANTS 1000 /* for more, run again with --seed 2, 3 ... */

/*
 * A sheet that shows variants side by side. It is an HTML file that contains the pictures, or one PNG. It has
 * at most most_rows rows, spread over the labels as evenly as the manifest allows: a new label replaces the
 * last row of the label with the most rows.
 */
struct sheet;
int sheet_open(struct sheet **out, const char *path, int n_columns, int64_t most_rows, const char *spec_text,
               struct error *err);
static inline bool sheet_is_png(const char *path) { return path && text_ends(path, ".png"); }
/* Whether the sheet has space for a row with that label. If so, the space is reserved, and sheet_add must
 * follow. */
bool sheet_promise(struct sheet *s, const char *label, struct error *err);
int sheet_begin_row(struct sheet *s, const char *path, const char *label, struct error *err);
/* Adds the thumbnail of the row for a column, from 0: a JPEG, or for a PNG sheet a byte of width, a byte
 * of height and RGB samples. caption may have the parameters. */
int sheet_add(struct sheet *s, int column, const uint8_t *thumb, size_t n_thumb, const char *caption,
              struct error *err);
int sheet_commit(struct sheet *s, struct error *err);
void sheet_close(struct sheet *s);
#define SHEET_THUMB_PX 160

int augment_run(const struct augment_options *opt, struct manifest_filter *f, struct stage_counts *n,
                struct error *err);

#endif
