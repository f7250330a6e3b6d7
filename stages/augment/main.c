/* augment: makes variants of training pictures. Reads: path (label split variant). Adds:
 * variant source params, and rows. */
#include <stddef.h>

#include "augment_stage.h"

static const struct option_row rows[] = {
    OPTION(struct augment_options, STRING, 0, "spec", spec_text, "SPEC",
           "article is rotation=30,shift=0.2,shear=0.2,zoom=0.2,channel=20,flip=0.5 as Keras means them; "
           "more: crop=F brightness=F contrast=F jpeg=LOW:HIGH[:P] blur=PX erase[=P] vflip[=P] "
           "fill=nearest|reflect|wrap|R:G:B; none"),
    OPTION(struct augment_options, INT, 0, "variants", variants, "N",
           "variants of each picture; 0 passes every row through", RANGE(0, AUGMENT_MOST_VARIANTS)),
    OPTION(struct augment_options, STRING, 0, "out", folder, "DIR", "where files go, relative to --root"),
    OPTION(struct augment_options, STRING, 0, "splits", splits, "LIST",
           "augment these splits only; all: every row. A manifest without a column split is all training "
           "data"),
    OPTION(struct augment_options, INT, 0, "size", size, "PX",
           "make squares of this side before anything else; 0: leave sizes", RANGE(0, 4096)),
    OPTION(struct augment_options, STRING, 0, "color", color, "WORD",
           "srgb: convert pictures by their profile, gAMA or cICP; none; give pack the same"),
    OPTION(struct augment_options, STRING, 0, "background", background, "COLOUR",
           "lay transparent parts on white, black or #RRGGBB; give pack the same"),
    OPTION(struct augment_options, CHOICE, 0, "format", format, "FORMAT", "of the made files",
           CHOICES("jpeg|png|webp")),
    OPTION(struct augment_options, STRING, 0, "sheet", sheet, "FILE",
           "also draw pictures and their variants side by side: FILE.html (blurred until asked) or FILE.png"),
    OPTION(struct augment_options, STRING, 0, "memory", memory, "FILE",
           "keep here, by xxh128, which variants were made; those whose files are there are not made again"),
    COMMON_ROW_SEED(struct augment_options, common),
    COMMON_ROW_OUTPUT(struct augment_options, common),
    COMMON_ROW_REJECTS(struct augment_options, common),
    COMMON_ROW_ROOT(struct augment_options, common),
    COMMON_ROW_THREADS(struct augment_options, common),
    COMMON_ROW_TALK(struct augment_options, common),

    OPTION_GROUP("Expert"),
    OPTION(struct augment_options, INT, 0, "quality", quality, "Q", "of JPEG and WebP", RANGE(1, 100)),
    OPTION(struct augment_options, INT, 0, "sheet-rows", sheet_rows, "N",
           "pictures on the sheet, spread over the labels", RANGE(1, 500)),
    OPTION(struct augment_options, FLAG, 0, "allow-truncated", allow_truncated, NULL,
           "take truncated pictures as far as they can be decoded"),
    OPTION(struct augment_options, FLAG, 0, "no-sandbox", no_sandbox, NULL,
           "decode in this process: only for pictures of your own"),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "augment",
    .synopsis = "[MANIFEST]",
    .summary = "make rotated, shifted, zoomed ... variants of the training pictures",
    .details = "Reads path; adds variant (0 for the picture itself), source and params, and after each "
               "augmented row one row for each made picture with its label, group and split. Which variant "
               "comes out is a function of --seed, the picture's content and the variant's number alone, and "
               "params says what was drawn. train --augment does the same in memory, with new variants in "
               "each epoch.\n\n"
               "  augment --variants 4 --out augmented -o augmented.tsv split.tsv\n"
               "  augment --variants 7 --sheet look.html split.tsv >/dev/null     only the sheet: no --out, "
               "no files",
    .rows = rows,
    .min_operands = 0,
    .max_operands = 1,
};

int main(int argc, char **argv)
{
    static const char *const reads[] = {"path", NULL};
    struct augment_options opt = AUGMENT_DEFAULTS;
    struct manifest_filter f = MANIFEST_FILTER_EMPTY;
    struct stage_counts n = {0};
    struct operands operands;
    struct error err = {0};
    stage_begin("augment");
    int rc = options_parse(&table, &opt, argc, argv, &operands);
    if (rc != OPTIONS_RUN) return rc;
    rc = -1;
    if (opt.variants > 0 && !opt.folder && !opt.sheet) {
        error_set(&err, EX_USAGE,
                  "--out DIR says where made pictures go (--sheet FILE alone draws only the sheet)");
        goto out;
    }
    if ((opt.folder && !*opt.folder) || (opt.sheet && !*opt.sheet) || (opt.memory && !*opt.memory)) {
        error_set(&err, EX_USAGE, "%s: an empty name",
                  opt.folder && !*opt.folder ? "--out"
                  : opt.sheet && !*opt.sheet ? "--sheet"
                                             : "--memory");
        goto out;
    }
    if (augment_spec_parse(opt.spec_text, &opt.spec, &err) ||
        manifest_filter_open(&f, operands.n ? operands.items[0] : NULL, opt.common.output, opt.common.rejects,
                             reads, augment_adds, &err) ||
        augment_run(&opt, &f, &n, &err) || manifest_filter_commit(&f, &opt.common, &err))
        goto out;
    rc = 0;
out:
    manifest_filter_close(&f);
    options_release(&table, &opt);
    return stage_end(rc, &err, &n, &opt.common);
}
