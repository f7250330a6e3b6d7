/* augment: makes variants of training pictures. Reads: path (label split variant). Adds:
 * variant source params, and rows. */
#include <stddef.h>

#include "augment_stage.h"

static const struct option_row rows[] = {
    OPTION(struct augment_options, STRING, 0, "spec", spec_text, "SPEC",
           "the random changes; article is rotation=30,shift=0.2,shear=0.2,zoom=0.2,channel=20,flip=0.5, "
           "as in Keras; also crop=F brightness=F contrast=F jpeg=LOW:HIGH[:P] blur=PX erase[=P] "
           "vflip[=P] fill=nearest|reflect|wrap|R:G:B; none"),
    OPTION(struct augment_options, INT, 0, "variants", variants, "N",
           "variants of each picture; 0: only copy the rows", RANGE(0, AUGMENT_MOST_VARIANTS)),
    OPTION(struct augment_options, STRING, 0, "out", folder, "DIR",
           "folder for the variants, relative to --root"),
    OPTION(struct augment_options, STRING, 0, "splits", splits, "LIST",
           "make variants only of these splits; all: of every row. Without a column split every row "
           "counts as train"),
    OPTION(struct augment_options, INT, 0, "size", size, "PX",
           "first resize each picture to a square of this side; 0: keep its size", RANGE(0, 4096)),
    OPTION(struct augment_options, CHOICE, 0, "format", format, "FORMAT", "format of the variants",
           CHOICES("jpeg|png|webp")),
    OPTION(struct augment_options, STRING, 0, "sheet", sheet, "FILE",
           "also draw a sheet of pictures beside their variants: FILE.html (blurred) or FILE.png"),
    OPTION(struct augment_options, STRING, 0, "memory", memory, "FILE",
           "remember the variants in this file, by xxh128; a variant whose file exists is not made again"),
    COMMON_ROW_SEED(struct augment_options, common),
    COMMON_ROW_OUTPUT(struct augment_options, common),
    COMMON_ROW_REJECTS(struct augment_options, common),
    COMMON_ROW_ROOT(struct augment_options, common),
    COMMON_ROW_THREADS(struct augment_options, common),
    COMMON_ROW_TALK(struct augment_options, common),

    OPTION_GROUP("How a file becomes pixels: give pack the same"),
    PICTURE_ROWS(struct augment_options, rules),

    OPTION_GROUP("Expert"),
    OPTION(struct augment_options, INT, 0, "quality", quality, "Q", "quality of JPEG and WebP",
           RANGE(1, 100)),
    OPTION(struct augment_options, INT, 0, "sheet-rows", sheet_rows, "N",
           "number of pictures on the sheet, from all labels", RANGE(1, 500)),
    DECODE_ROW_TRUNCATED(struct augment_options),
    DECODE_ROW_SANDBOX(struct augment_options),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "augment",
    .synopsis = "[MANIFEST]",
    .summary = "make rotated, shifted, zoomed and otherwise changed variants of training pictures",
    .details = "Reads path; adds variant (0 for the original), source and params. After each original it "
               "writes a row for each variant, with the same label, group and split. A variant depends only "
               "on --seed, the content of the picture and the number of the variant; params has its "
               "parameters. train --augment does the same in memory, with new variants in each epoch.\n\n"
               "  augment --variants 4 --out augmented -o augmented.tsv split.tsv\n"
               "  augment --variants 7 --sheet look.html split.tsv >/dev/null     only the sheet, no "
               "variants",
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
        error_set(
            &err, EX_USAGE,
            "--out DIR is needed: the folder for the new pictures (--sheet FILE alone draws only the sheet)");
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
