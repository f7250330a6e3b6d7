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
           "smallest file; icons and error pages are smaller"),
    OPTION(struct validate_options, BYTES, 0, "max-bytes", max_bytes, "N",
           "largest file; larger ones than 64M are never read", RANGE(1, IMAGE_MAX_FILE_BYTES)),
    OPTION(struct validate_options, INT, 0, "min-side", min_side, "PX",
           "least length of the shorter side; 0: any", RANGE(0, IMAGE_MAX_SIDE_PX)),
    OPTION(struct validate_options, INT, 0, "max-side", max_side, "PX",
           "greatest length of the longer side; 0: any", RANGE(0, IMAGE_MAX_SIDE_PX)),
    OPTION(struct validate_options, INT, 0, "max-pixels", max_pixels, "N",
           "most width times height; 0: 100 million, and 200 million for what is decoded row by row",
           RANGE(0, IMAGE_MAX_ROW_PIXELS)),
    OPTION(struct validate_options, DOUBLE, 0, "max-aspect", max_aspect, "RATIO",
           "longest side over shortest: 3 drops banners; 0: any", RANGE(0, 65535)),
    OPTION(struct validate_options, INT, 0, "max-frames", max_frames, "N", "1 drops animations; 0: any",
           RANGE(0, IMAGE_MAX_FRAMES)),
    OPTION(struct validate_options, STRING, 0, "formats", formats, "LIST",
           "only these: jpeg,png,webp,gif (default: all)"),
    OPTION(struct validate_options, FLAG, 0, "header-only", header_only, NULL,
           "look at headers and do not decode: many times faster, and finds no damage in the picture itself"),
    OPTION(struct validate_options, FLAG, 0, "frames", frames, NULL,
           "decode every frame of an animation, not only the first"),
    OPTION(
        struct validate_options, STRING, 0, "with", with, "LIST",
        "from the same decode, pdq: pdq, pdq_quality and pdq_family, so that phash-dedup opens no picture; "
        "stats: brightness, entropy and blurriness, by which audit finds dark, light, blurred and empty "
        "pictures"),
    OPTION(struct validate_options, STRING, 0, "memory", memory, "FILE",
           "keep here, by xxh128, what became of each picture; one that is known under the same options is "
           "not opened again"),
    COMMON_ROW_OUTPUT(struct validate_options, common),
    COMMON_ROW_REJECTS(struct validate_options, common),
    COMMON_ROW_ROOT(struct validate_options, common),
    COMMON_ROW_THREADS(struct validate_options, common),
    COMMON_ROW_TALK(struct validate_options, common),

    OPTION_GROUP("Expert"),
    OPTION(struct validate_options, STRING, 0, "modes", modes, "LIST",
           "only these: rgb,rgb-alpha,gray,gray-alpha,palette,cmyk,ycck, with 16 appended for 16 bits "
           "(default: all)"),
    OPTION(struct validate_options, CHOICE, 0, "markers", markers, "WORD",
           "what the file says of itself: record: add generated and markers; obey: also reject what "
           "prohibits training",
           CHOICES("off|record|obey")),
    OPTION(
        struct validate_options, FLAG, 0, "icc", icc, NULL,
        "also add a column icc: 1 where the file carries a colour profile, or gAMA, cICP or nclx other than "
        "sRGB's; decoding ignores them"),
    OPTION(struct validate_options, FLAG, 0, "allow-truncated", allow_truncated, NULL,
           "keep pictures that are cut off or damaged but can be decoded in part"),
    OPTION(struct validate_options, FLAG, 0, "no-sandbox", no_sandbox, NULL,
           "decode in this process: only for pictures of your own"),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "validate",
    .synopsis = "[MANIFEST]",
    .summary = "keep the rows whose files are sound pictures within the rules",
    .details = "Reads path, adds format width height orientation frames mode (sizes as shown, after EXIF "
               "orientation). What a file is comes from its bytes, never from its name. Every picture is "
               "decoded whole, in sandboxed worker processes.\n\n"
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
