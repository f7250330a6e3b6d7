/* validate.c: decode in the pool, then the rules, first the ones that say most. */
#include "validate.h"

#include <stdio.h>
#include <string.h>

#include "image/markers.h"
#include "image/image_rows.h"
#include "image/pdq_finish.h"

const char *const *validate_adds(const struct validate_options *opt,
                                 const char *names[VALIDATE_MOST_ADDS + 1])
{
    static const char *const plain[] = {"format", "width", "height", "orientation", "frames", "mode"};
    size_t n = 0;
    for (; n < sizeof plain / sizeof *plain; n++)
        names[n] = plain[n];
    if (opt->icc) names[n++] = "icc";
    if (opt->markers != MARKERS_OFF) {
        names[n++] = "generated";
        names[n++] = "markers";
    }
    if (opt->with) {
        names[n++] = "bytes";
        names[n++] = "xxh128";
        names[n++] = "pdq";
        names[n++] = "pdq_quality";
        names[n++] = "pdq_family";
    }
    names[n] = NULL;
    return names;
}

struct run {
    const struct validate_options *opt;
    struct manifest_writer *out, *rejects;
    struct stage_counts *n;
    int bytes, hash; /* columns of the input, -1: absent */
    struct progress progress;
};

/* What the row says, or value where it says nothing: a manifest's own word for a file's content stays. */
static const char *filled(const char *const *fields, int column, const char *value)
{
    return column >= 0 && *fields[column] ? fields[column] : value;
}

static bool listed(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *s = list; *s;) {
        size_t length = strcspn(s, ",");
        if (length == n && memcmp(s, word, n) == 0) return true;
        s += length + (s[length] == ',');
    }
    return false;
}

/* The slug of the first rule that the picture breaks, with detail filled; NULL when it meets them all. */
static const char *broken_rule(const struct validate_options *o, const struct decoded *d, char *detail,
                               size_t detail_bytes)
{
    int width, height;
    image_info_shown(&d->info, &width, &height);
    int64_t shorter = width < height ? width : height, longer = width < height ? height : width;
    const char *format = image_kind_name(d->info.format);
    snprintf(detail, detail_bytes, "%d x %d", width, height);
    if (o->min_side && shorter < o->min_side) return "side-too-short";
    if (o->max_side && longer > o->max_side) return "side-too-long";
    if (o->max_aspect > 0 && (double)longer > o->max_aspect * (double)shorter) return "aspect-too-long";
    snprintf(detail, detail_bytes, "%d frames", d->info.frames);
    if (o->max_frames && d->info.frames > o->max_frames) return "too-many-frames";
    snprintf(detail, detail_bytes, "%s", format);
    if (o->formats && !listed(o->formats, format)) return "format-not-wanted";
    snprintf(detail, detail_bytes, "%s", d->info.mode);
    if (o->modes && !listed(o->modes, d->info.mode)) return "mode-not-wanted";
    snprintf(detail, detail_bytes, "%llu bytes", (unsigned long long)d->bytes);
    if (d->bytes < o->min_bytes) return "too-few-bytes";
    image_markers_text(detail, d->info.markers);
    if (o->markers == MARKERS_OBEY && image_markers_prohibit(d->info.markers)) return "mining-prohibited";
    return NULL;
}

static int done(void *context, const char *const *fields, const struct decoded *d, struct error *err)
{
    struct run *r = context;
    char detail[MARKERS_TEXT_BYTES], markers[MARKERS_TEXT_BYTES], width_text[16], height_text[16],
        orientation[4], frames[16], pdq[PDQ_HEX_BYTES], quality[8], size[24];
    struct pdq_found found;
    int width, height;
    r->n->n_read++;
    progress_update(&r->progress, r->n->n_read, NULL);
    bool wrong_answer = !d->slug && r->opt->with && !pdq_finish_take(d, &found);
    if (d->slug || wrong_answer) {
        r->n->n_rejected++;
        return manifest_writer_reject(r->rejects, fields,
                                      wrong_answer ? image_reason_slug(IMAGE_DECODE_CRASHED) : d->slug,
                                      wrong_answer ? "a wrong answer" : d->detail, err);
    }
    const char *rule = broken_rule(r->opt, d, detail, sizeof detail);
    if (rule) {
        r->n->n_rejected++;
        return manifest_writer_reject(r->rejects, fields, rule, detail, err);
    }
    image_info_shown(&d->info, &width, &height);
    snprintf(width_text, sizeof width_text, "%d", width);
    snprintf(height_text, sizeof height_text, "%d", height);
    snprintf(orientation, sizeof orientation, "%d", d->info.orientation);
    snprintf(frames, sizeof frames, "%d", d->info.frames);
    const char *values[VALIDATE_MOST_ADDS] =
        {image_kind_name(d->info.format), width_text, height_text, orientation, frames, d->info.mode};
    int n = 6;
    if (r->opt->icc) values[n++] = d->info.icc ? "1" : "0";
    if (r->opt->markers != MARKERS_OFF) {
        values[n++] = image_markers_generated(d->info.markers);
        values[n++] = image_markers_text(markers, d->info.markers);
    }
    if (r->opt->with) {
        pdq_to_hex(pdq, &found.hashes[0]);
        snprintf(quality, sizeof quality, "%d", found.quality);
        snprintf(size, sizeof size, "%llu", (unsigned long long)d->bytes);
        values[n++] = filled(fields, r->bytes, size);
        values[n++] = filled(fields, r->hash, d->xxh128);
        values[n++] = pdq;
        values[n++] = quality;
        values[n++] = pdq_family_name(PDQ_FULL);
    }
    r->n->n_kept++;
    return manifest_writer_row(r->out, fields, values, err);
}

/* A word in --formats or --modes that names nothing would silently drop everything. */
static int check_list(const char *option, const char *list, const char *known, struct error *err)
{
    if (list && !*list) return error_set(err, EX_USAGE, "%s: an empty list would drop everything", option);
    for (const char *s = list; s && *s;) {
        char word[32];
        size_t length = strcspn(s, ",");
        snprintf(word, sizeof word, "%.*s", (int)length, s);
        if (length >= sizeof word || !listed(known, word))
            return error_set(err, EX_USAGE, "%s: '%s' is not one of %s", option, word, known);
        s += length + (s[length] == ',');
    }
    return 0;
}

int validate_check_options(const struct validate_options *opt, struct error *err)
{
    /* Rules that nothing can meet are a slip of the keyboard, too. */
    if (opt->min_bytes > opt->max_bytes)
        return error_set(err, EX_USAGE, "--min-bytes is more than --max-bytes: nothing would be kept");
    if (opt->max_side && opt->min_side > opt->max_side)
        return error_set(err, EX_USAGE, "--min-side is more than --max-side: nothing would be kept");
    if (opt->max_aspect > 0 && opt->max_aspect < 1)
        return error_set(err, EX_USAGE, "--max-aspect is longest over shortest side, so 1 or more");
    if (opt->with && opt->header_only)
        return error_set(err, EX_USAGE, "--with needs the pixels, which --header-only does not decode");
    if (opt->with && strcmp(opt->with, "pdq"))
        return error_set(err, EX_USAGE, "--with: '%s' is not pdq", opt->with);
    return check_list("--formats", opt->formats, "jpeg,png,webp,gif", err) ||
                   check_list("--modes", opt->modes,
                              "rgb,rgb-alpha,gray,gray-alpha,palette,cmyk,ycck,rgb16,rgb-alpha16,gray16,gray-"
                              "alpha16",
                              err)
               ? -1
               : 0;
}

int validate_run(const struct validate_options *opt, struct manifest_filter *f, struct stage_counts *n,
                 struct error *err)
{
    struct run r = {.opt = opt,
                    .out = &f->out,
                    .rejects = &f->rejects,
                    .n = n,
                    .bytes = manifest_column(&f->in.schema, "bytes"),
                    .hash = manifest_column(&f->in.schema, "xxh128")};
    struct decode_pool_options o = DECODE_POOL_DEFAULTS;
    const struct pdq_wanted wanted = {PDQ_FULL, 1};
    struct decode_pool *pool = NULL;
    o.decode.allow_truncated = opt->allow_truncated;
    o.decode.max_pixels = (uint64_t)opt->max_pixels;
    if (opt->with) {
        pdq_finish_set(&o, &wanted);
    } else {
        o.decode.keep_gray = true;
        o.decode.no_orient = true; /* the pixels are not used */
        /* a JPEG's damage is in its entropy coding, which is read whole at any scale */
        o.decode.shrink_to_px = 1;
    }
    o.markers = opt->markers != MARKERS_OFF;
    o.probe_only = opt->header_only;
    o.max_file_bytes = opt->max_bytes;
    o.threads = stage_threads(&opt->common);
    o.no_sandbox = opt->no_sandbox;
    struct image_rows rows = {.root = opt->common.root,
                              .allow_outside = opt->common.allow_outside,
                              .context = &r,
                              .done = done};
    if (decode_pool_open(&pool, &o, err)) return -1;
    progress_start(&r.progress, &opt->common, 0, "pictures");
    int rc = image_rows_run(&rows, &f->in, pool, err);
    progress_end(&r.progress);
    decode_pool_close(pool);
    return rc;
}
