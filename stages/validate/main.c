/*
 * validate: keeps the rows whose files are pictures that can be trained on. Reads: path. Adds: format width
 * height orientation frames mode; with options also icc, generated markers, bytes xxh128 pdq pdq_quality
 * pdq_family.
 */
#include <stddef.h>

#include "image/limits.h"
#include "validate.h"

static const struct option_row rows[] = {
    OPTION(struct validate_options, BYTES, 0, "min-bytes", min_bytes, "N",
           "reject smaller files; icons and error pages are usually smaller"),
    OPTION(struct validate_options, BYTES, 0, "max-bytes", max_bytes, "N", "reject larger files; at most 64M",
           RANGE(1, IMAGE_MAX_FILE_BYTES)),
    OPTION(struct validate_options, INT, 0, "min-side", min_side, "PX",
           "reject pictures with a shorter side below this; 0: any", RANGE(0, IMAGE_MAX_SIDE_PX)),
    OPTION(struct validate_options, INT, 0, "max-side", max_side, "PX",
           "reject pictures with a longer side above this; 0: any", RANGE(0, IMAGE_MAX_SIDE_PX)),
    OPTION(struct validate_options, INT, 0, "max-pixels", max_pixels, "N",
           "reject pictures with more pixels; 0: 100 million, or 200 million for pictures that are "
           "decoded row by row",
           RANGE(0, IMAGE_MAX_ROW_PIXELS)),
    OPTION(struct validate_options, DOUBLE, 0, "max-aspect", max_aspect, "RATIO",
           "reject pictures whose longer side divided by the shorter one exceeds this; 3 removes "
           "banners; 0: any",
           RANGE(0, 65535)),
    OPTION(struct validate_options, INT, 0, "max-frames", max_frames, "N",
           "reject pictures with more frames; 1 removes animations; 0: any", RANGE(0, IMAGE_MAX_FRAMES)),
    OPTION(struct validate_options, STRING, 0, "formats", formats, "LIST",
           "keep only these formats: jpeg,png,webp,gif,avif,heic,jxl (default: all)"),
    OPTION(struct validate_options, FLAG, 0, "header-only", header_only, NULL,
           "read only the headers: many times faster, but does not find damage in the picture itself"),
    OPTION(struct validate_options, FLAG, 0, "frames", frames, NULL,
           "decode every frame of an animation, not only the first"),
    OPTION(struct validate_options, STRING, 0, "with", with, "LIST",
           "also add columns for later programs. pdq: pdq, pdq_quality and pdq_family, so that phash-dedup "
           "need not open the pictures; stats: brightness, entropy and blurriness, for audit"),
    OPTION(struct validate_options, STRING, 0, "memory", memory, "FILE",
           "remember the results in this file, by xxh128; a known picture is not opened again in later "
           "runs with the same options"),
    COMMON_ROW_OUTPUT(struct validate_options, common),
    COMMON_ROW_REJECTS(struct validate_options, common),
    COMMON_ROW_ROOT(struct validate_options, common),
    COMMON_ROW_THREADS(struct validate_options, common),
    COMMON_ROW_TALK(struct validate_options, common),

    OPTION_GROUP("How a file becomes pixels, for its size as shown and for --with: as pack is told"),
    PICTURE_ROWS(struct validate_options, rules),

    OPTION_GROUP("Expert"),
    OPTION(struct validate_options, STRING, 0, "modes", modes, "LIST",
           "keep only these colour modes: rgb,rgb-alpha,gray,gray-alpha,palette,cmyk,ycck, with 16 "
           "appended for 16 bits (default: all)"),
    OPTION(struct validate_options, CHOICE, 0, "markers", markers, "WORD",
           "statements in the metadata of the file: record: add the columns generated and markers; obey: "
           "also reject a picture that prohibits training",
           CHOICES("off|record|obey")),
    OPTION(struct validate_options, FLAG, 0, "icc", icc, NULL,
           "add a column icc: 1 when the file has a colour profile, or a gAMA, cICP or nclx other than that "
           "of sRGB"),
    OPTION(struct validate_options, FLAG, 0, "allow-truncated", allow_truncated, NULL,
           "keep damaged or truncated pictures if a part of them can be decoded"),
    DECODE_ROW_SANDBOX(struct validate_options),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "validate",
    .synopsis = "[MANIFEST]",
    .summary = "keep the rows whose files are undamaged pictures of the wanted size and kind",
    .details =
        "Reads path, adds format width height orientation frames mode (sizes as shown, after EXIF "
        "orientation). The kind of a file is recognised by its bytes, never by its name. Every picture "
        "is decoded completely, in sandboxed worker processes.\n\n"
        "Reasons in --rejects: not-found unreadable outside-root empty-file too-few-bytes "
        "too-many-bytes not-a-picture unsupported too-many-pixels too-many-scans decode-truncated "
        "decode-corrupt decode-memory decode-timeout decode-crashed side-too-short side-too-long "
        "aspect-too-long too-many-frames format-not-wanted mode-not-wanted mining-prohibited.",
    .rows = rows,
    .min_operands = 0,
    .max_operands = 1,
};

int main(int argc, char **argv)
{
    static const char *const reads[] = {"path", NULL};
    struct validate_options opt = VALIDATE_DEFAULTS;
    struct manifest_filter f = MANIFEST_FILTER_EMPTY;
    struct stage_counts n = {0};
    struct operands operands;
    const char *adds[VALIDATE_MOST_ADDS + 1];
    struct error err = {0};
    stage_begin("validate");
    int rc = options_parse(&table, &opt, argc, argv, &operands);
    if (rc != OPTIONS_RUN) return rc;
    rc = validate_check_options(&opt, &err) ||
                 manifest_filter_open(&f, operands.n ? operands.items[0] : NULL, opt.common.output,
                                      opt.common.rejects, reads, validate_adds(&opt, adds), &err) ||
                 validate_run(&opt, &f, &n, &err) || manifest_filter_commit(&f, &opt.common, &err)
             ? -1
             : 0;
    manifest_filter_close(&f);
    options_release(&table, &opt);
    return stage_end(rc, &err, &n, &opt.common);
}
