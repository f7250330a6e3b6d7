/*
 * embed: computes the features of each picture with a base network, and writes them as vectors. Reads: path
 * (variant). Writes a folder: features.npy, rows.tsv, reduce.fit, info.tsv.
 */
#include "embed.h"

#include "manifest/filter.h"
#include "model/base_net.h"

static const struct option_row rows[] = {
    OPTION(struct embed_options, STRING, 0, "base", base, "MODEL",
           "TFJS layers model folder, .keras, .h5 or .onnx, or the name of a folder in models/base "
           "(efficientnet_lite1), as train takes it"),
    OPTION(struct embed_options, STRING, 0, "input", input, "SPEC",
           "how pictures are scaled and resized for a base whose file does not say it; see classify "
           "--input"),
    OPTION(struct embed_options, STRING, 0, "feature-layer", feature_layer, "LAYER",
           "average the output of this layer, or of the last layer of a block; give train the same option"),
    OPTION(struct embed_options, STRING, 'o', "output", folder, "DIR",
           "folder for features.npy, rows.tsv, info.tsv and, with --reduce, reduce.fit"),
    OPTION(struct embed_options, STRING, 0, "cache", cache, "DIR",
           "folder of the feature cache; give train --cache the same (default: DIR/cache)"),
    OPTION(struct embed_options, STRING, 0, "reduce", reduce, "SPEC",
           "write shorter vectors, by a reduction that is learnt from these pictures: "
           "sqrt,pca:64,whiten:0.5 means square roots, then 64 principal components, each divided by the "
           "0.5th power of its standard deviation"),
    OPTION(struct embed_options, STRING, 0, "fit", fit, "FILE",
           "apply the reduction of this earlier reduce.fit, so that vectors of both sets can be compared"),
    OPTION(struct embed_options, INT, 0, "size", size, "PX",
           "side of the squares that the base gets, as pack --size; 0: the size that the base prefers",
           RANGE(0, SHARD_MAX_SIDE_PX)),
    OPTION(struct embed_options, STRING, 0, "resize", resize, "METHOD",
           "bilinear (antialiased), area, lanczos, bicubic or tfjs, as pack --resize (default: the "
           "method in --input or preprocessor_config.json, or bilinear)"),
    OPTION(struct embed_options, CHOICE, 0, "boundary-cache", boundary, "TYPE",
           "also store the inputs of the layers that fine-tuning will train (1 MiB for each picture as "
           "f32, half as f16)",
           CHOICES("none|f16|f32")),
    OPTION(struct embed_options, STRING, 0, "unlock-from", unlock_from, "LAYER",
           "for --boundary-cache: the first layer that fine-tuning will train, as train --unlock-from"),
    OPTION(struct embed_options, STRING, 0, "device", device, "D", "auto, cpu, cuda or ref"),
    COMMON_ROW_REJECTS(struct embed_options, common),
    COMMON_ROW_ROOT(struct embed_options, common),
    COMMON_ROW_THREADS(struct embed_options, common),
    COMMON_ROW_TALK(struct embed_options, common),

    OPTION_GROUP("How a file becomes pixels: as pack is told"),
    PICTURE_ROWS(struct embed_options, rules),

    OPTION_GROUP("Expert"),
    OPTION(struct embed_options, INT, 0, "batch", batch, "N", "pictures in one forward pass",
           RANGE(1, 65536)),
    OPTION(struct embed_options, CHOICE, 0, "precision", precision, "P",
           "precision of multiplications; auto: tf32 on a GPU, fp32 elsewhere", CHOICES(BASE_NET_PRECISIONS)),
    DECODE_ROW_TRUNCATED(struct embed_options),
    DECODE_ROW_SANDBOX(struct embed_options),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "embed",
    .synopsis = "[MANIFEST]",
    .summary = "compute feature vectors of pictures with a base network",
    .details =
        "Reads path (and variant if present). Each picture goes through the base once. Its features are "
        "kept in a cache that phase head of train also uses, so that neither program computes them "
        "twice. rows.tsv has the rows of the manifest in the order of the vectors, with xxh128 filled "
        "in.\n\n"
        "  embed --base inception_v3 --cache cache --reduce sqrt,pca:64,whiten:0.5 -o features unique.tsv",
    .rows = rows,
    .min_operands = 0,
    .max_operands = 1,
};

int main(int argc, char **argv)
{
    static const char *const reads[] = {"path", NULL}, *const adds[] = {"xxh128", NULL};
    struct embed_options opt = EMBED_DEFAULTS;
    struct embed e = EMBED_EMPTY;
    struct manifest_filter f = MANIFEST_FILTER_EMPTY;
    struct text rows_path = TEXT_EMPTY, cache = TEXT_EMPTY;
    struct stage_counts n = {0};
    struct operands operands;
    struct error err = {0};
    stage_begin("embed");
    int rc = options_parse(&table, &opt, argc, argv, &operands);
    if (rc != OPTIONS_RUN) return rc;
    e.opt = &opt;
    rc = -1;
    if (embed_check_options(&opt, &err) || io_mkdirs(opt.folder, &err) ||
        text_printf(&rows_path, &err, "%s/rows.tsv", opt.folder) ||
        text_printf(&cache, &err, "%s/cache", opt.folder))
        goto out;
    if (!opt.cache) opt.cache = cache.data;
    if (manifest_filter_open(&f, operands.n ? operands.items[0] : NULL, rows_path.data, opt.common.rejects,
                             reads, adds, &err) ||
        embed_open(&e, &err) || embed_run(&e, &f.in, &f.out, &f.rejects, &n, &err) || embed_write(&e, &err) ||
        manifest_filter_commit(&f, &opt.common, &err) || embed_finish(&e, &err))
        goto out;
    rc = 0;
out:
    progress_end(&e.progress);
    manifest_filter_close(&f);
    embed_release(&e);
    text_release(&rows_path);
    text_release(&cache);
    options_release(&table, &opt);
    return stage_end(rc, &err, &n, &opt.common);
}
