/* pack: decodes and resizes pictures once, into shards that training reads. Reads: path label (split group
 * fold variant source params xxh128). */
#include <stddef.h>
#include <stdio.h>

#include "pack.h"

static const struct option_row rows[] = {
    OPTION(struct pack_options, STRING, 'o', "output", folder, "DIR", "folder of the set"),
    OPTION(struct pack_options, INT, 0, "size", size, "PX", "side of the squares",
           RANGE(1, SHARD_MAX_SIDE_PX)),
    OPTION(struct pack_options, STRING, 0, "resize", resize, "METHOD",
           "bilinear (antialiased), area, lanczos, bicubic, or tfjs (as the browser demo); with +256 or "
           "+256x256 resize the shorter side or both to 256 and cut out the central square; recorded in the "
           "set"),
    OPTION(struct pack_options, CHOICE, 0, "format", format, "FORMAT",
           "winnow shards, or tar files for WebDataset", CHOICES("winnow|webdataset")),
    OPTION(struct pack_options, CHOICE, 0, "encoding", encoding, "KIND",
           "raw pixels; jpeg: about a tenth of the size, but decoded whenever read; auto: raw if the set "
           "takes at most a quarter of the memory and half of the free disk; webdataset is always jpeg",
           CHOICES("raw|jpeg|auto")),
    OPTION(struct pack_options, FLAG, 0, "append", append, NULL,
           "add to an existing set; rows whose path, content and variant are already in it are skipped; "
           "records are never changed, so new labels or splits need a new set (--reuse)"),
    OPTION(struct pack_options, STRING, 0, "reuse", reuse, "DIR",
           "link the shard files of this set instead of decoding the pictures in it again: for adding "
           "pictures, and for new labels or splits; with a column xxh128, files are not even read; may be "
           "the set that -o names"),
    OPTION(struct pack_options, STRING, 0, "check", check, "DIR",
           "compare all bytes of a set with its checksums, and do nothing else"),
    COMMON_ROW_REJECTS(struct pack_options, common),
    COMMON_ROW_ROOT(struct pack_options, common),
    COMMON_ROW_THREADS(struct pack_options, common),
    COMMON_ROW_TALK(struct pack_options, common),

    OPTION_GROUP("How a file becomes pixels (recorded in the set, and by train in the model)"),
    PICTURE_ROWS(struct pack_options, rules),

    OPTION_GROUP("Expert"),
    OPTION(struct pack_options, INT, 0, "quality", quality, "Q", "quality of JPEG records", RANGE(1, 100)),
    OPTION(struct pack_options, BYTES, 0, "shard-size", shard_bytes, "N",
           "begin a new shard before the current one grows larger than this", RANGE(1 << 16, 1e15)),
    DECODE_ROW_TRUNCATED(struct pack_options),
    DECODE_ROW_SANDBOX(struct pack_options),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "pack",
    .synopsis = "[MANIFEST]",
    .summary = "decode and resize pictures once, into shards",
    .details =
        "Reads path and label, and copies split (train if empty), group, fold, variant, source and "
        "params to the index where they exist. Pictures are prepared as docs/preprocessing.md describes; "
        "eval, classify and the demo page do the same.\n\n"
        "  pack --size 299 -o shards augmented.tsv      shards/index.tsv lists shard-00000.bin, "
        "shard-00000.tsv ...\n"
        "  pack --check shards                          0: not damaged; 65: the message says what is "
        "damaged\n"
        "  pack --format webdataset -o tars split.tsv   tars/train-00000.tar with KEY.jpg KEY.cls KEY.json",
    .rows = rows,
    .min_operands = 0,
    .max_operands = 1,
};

static int check_set(const struct pack_options *opt, struct error *err)
{
    struct shard_set *set;
    if (shard_set_open_stored(&set, opt->check, err)) return -1;
    int rc = shard_set_check(set, err);
    if (rc == 0)
        stage_note(&opt->common, "%llu records are sound",
                   (unsigned long long)shard_set_info(set)->n_records);
    shard_set_close(set);
    return rc;
}

int main(int argc, char **argv)
{
    static const char *const reads[] = {"path", "label", NULL};
    struct pack_options opt = PACK_DEFAULTS;
    struct manifest_source source = MANIFEST_SOURCE_EMPTY;
    struct manifest_reader in = MANIFEST_READER_EMPTY, first = MANIFEST_READER_EMPTY;
    struct pack_classes classes = {0};
    struct manifest_writer rejects = MANIFEST_WRITER_EMPTY;
    struct stage_counts n = {0};
    struct operands operands;
    struct resize_rule rule;
    struct decode_options decode = DECODE_DEFAULTS;
    char background[BACKGROUND_TEXT_BYTES];
    struct error err = {0};
    stage_begin("pack");
    int rc = options_parse(&table, &opt, argc, argv, &operands);
    if (rc != OPTIONS_RUN) return rc;
    const char *const names[] = {opt.check, opt.folder, opt.reuse};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i] && !*names[i]) {
            rc = error_set(&err, EX_USAGE, "%s: an empty folder name",
                           i == 0   ? "--check"
                           : i == 1 ? "-o"
                                    : "--reuse");
            goto out;
        }
    if (opt.check) {
        rc = check_set(&opt, &err);
        goto out;
    }
    rc = -1;
    if (!opt.folder) {
        error_set(&err, EX_USAGE, "-o DIR is needed: the folder for the set");
        goto out;
    }
    /* This comes before any file is opened, so that a mistake on the command line is reported as such. */
    if (pack_picture_rules(&opt, &rule, &decode, background, &err)) goto out;
    if (opt.format == PACK_WEBDATASET && (opt.append || opt.reuse)) {
        error_set(&err, EX_USAGE, "--append and --reuse are for winnow's own format");
        goto out;
    }
    const char *path = operands.n ? operands.items[0] : NULL;
    /* the manifest is read twice, because the classes are numbered first */
    if (opt.format == PACK_WEBDATASET) {
        if (manifest_source_open(&source, path, &err) || manifest_source_read(&source, &first, reads, &err) ||
            pack_classes_read(&classes, &first, &err) || manifest_source_read(&source, &in, reads, &err))
            goto out;
    } else if (opt.encoding == PACK_AUTO) {
        int more = 1;
        if (manifest_source_open(&source, path, &err) || manifest_source_read(&source, &first, reads, &err))
            goto out;
        while (more == 1)
            more = manifest_reader_next(&first, &err);
        if (more < 0 || pack_choose_encoding(&opt, first.row - 1, &err) ||
            manifest_source_read(&source, &in, reads, &err))
            goto out;
    } else if (manifest_reader_open(&in, path, reads, &err)) {
        goto out;
    }
    if (manifest_rejects_open(&rejects, opt.common.rejects, &in.schema, &err) ||
        pack_run(&opt, &classes, &in, &rejects, &n, &err) ||
        manifest_commit(NULL, &rejects, n.n_kept, &opt.common, &err))
        goto out;
    rc = 0;
out:
    manifest_writer_discard(&rejects);
    manifest_reader_close(&in);
    manifest_reader_close(&first);
    manifest_source_close(&source);
    pack_classes_release(&classes);
    options_release(&table, &opt);
    return stage_end(rc, &err, &n, &opt.common);
}
