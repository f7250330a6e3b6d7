/* validate.c: decodes each picture in the pool, and then applies the rules. A picture that breaks several
 * rules is rejected with the most informative reason. */
#include "validate.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/number.h"
#include "image/markers.h"
#include "image/image_rows.h"
#include "image/pdq_finish.h"
#include "manifest/tsv.h"
#include "store/picture_memory.h"

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

static bool wants(const struct validate_options *o, const char *what)
{
    return o->with && listed(o->with, what);
}

static const char *const stat_columns[] = {"brightness", "brightness_5",   "brightness_99", "entropy",
                                           "blurriness", "blurriness_std", "edge_width"};
#define N_STATS (sizeof stat_columns / sizeof *stat_columns)

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
    }
    if (wants(opt, "pdq")) {
        names[n++] = "pdq";
        names[n++] = "pdq_quality";
        names[n++] = "pdq_family";
    }
    for (size_t i = 0; i < N_STATS && wants(opt, "stats"); i++)
        names[n++] = stat_columns[i];
    names[n] = NULL;
    return names;
}

struct run {
    const struct validate_options *opt;
    struct manifest_writer *out, *rejects;
    struct stage_counts *n;
    int path, bytes, hash; /* columns of the input, -1: absent */
    const char *adds[VALIDATE_MOST_ADDS + 1];
    int n_adds;
    struct picture_memory memory;
    bool remembers;
    uint64_t n_recalled, n_other; /* n_other: files whose content differs from the hash in the manifest */
    struct text file, values;     /* reused */
    struct progress progress;
};

/* Returns the row's value of a column, or `value` when the row has none. Facts about the content that are in
 * the manifest are not changed. */
static const char *filled(const char *const *fields, int column, const char *value)
{
    return column >= 0 && *fields[column] ? fields[column] : value;
}

/* Returns the reject reason of the first rule that the picture breaks, and sets detail; returns NULL when it
 * meets all rules. */
static const char *broken_rule(const struct validate_options *o, const struct decoded *d, char *detail,
                               size_t detail_bytes)
{
    int width, height;
    picture_rules_shown(&o->rules, &d->info, &width, &height);
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

/* --- the memory --------------------------------------------------------------------------------- */

/* Increase this when the same picture and options give another result than before. */
#define ANSWERS_VERSION 4
#define KEPT "kept"
/* the content of the file differs from its row's hash: it is decoded in every run */
#define OTHER "other-content"

/* Writes the settings on which the result depends besides the picture. */
static int question(const struct validate_options *o, struct text *t, struct error *err)
{
    char rules[PICTURE_RULES_BYTES];
    picture_rules_text(&o->rules, rules);
    return text_printf(
        t, err,
        "validate %d winnow %s bytes %llu %llu sides %lld %lld pixels %lld aspect %.17g frames "
        "%lld formats %s of %s modes %s markers %d header-only %d frames %d icc %d truncated %d with %s%s%s",
        ANSWERS_VERSION, WINNOW_VERSION, (unsigned long long)o->min_bytes, (unsigned long long)o->max_bytes,
        (long long)o->min_side, (long long)o->max_side, (long long)o->max_pixels, o->max_aspect,
        (long long)o->max_frames, o->formats ? o->formats : "all", image_optional_formats(),
        o->modes ? o->modes : "all", o->markers, o->header_only, o->frames, o->icc, o->allow_truncated,
        o->with ? o->with : "nothing", *rules ? " " : "", rules);
}

/* Opens the file of --memory. When it cannot be used, the run takes longer but does not fail. */
static int open_memory(struct run *r, struct error *err)
{
    struct text words = TEXT_EMPTY;
    struct error own = {0};
    if (!r->opt->memory) return 0;
    int rc = question(r->opt, &words, err);
    if (rc == 0 && picture_memory_open(&r->memory, r->opt->memory, words.data, &own) == 0) {
        r->remembers = true;
    } else if (rc == 0) {
        stage_warn("every picture is looked at: %s", own.text);
        picture_memory_close(&r->memory);
    }
    text_release(&words);
    return rc;
}

static void commit_memory(struct run *r)
{
    struct error own = {0};
    if (!r->remembers) return;
    if (picture_memory_commit(&r->memory, &own))
        stage_warn("the next run looks at these pictures again: %s", own.text);
    if (r->n_other)
        stage_warn(
            "%llu files are not what xxh128 of their rows says: they changed under their names, and are "
            "looked at in every run",
            (unsigned long long)r->n_other);
    stage_note(&r->opt->common, "%llu pictures looked at, %llu remembered",
               (unsigned long long)(r->n->n_read - r->n_recalled), (unsigned long long)r->n_recalled);
}

/* Whether the remembered line has all values that this run writes: somebody may have edited the file. */
static bool complete(const struct run *r, const struct remembered *m)
{
    int n = 0;
    if (strcmp(m->outcome, KEPT)) return true;
    for (const char *at = m->values; (at = strchr(at, '\t')); at++)
        n++;
    return n == r->n_adds;
}

/* Returns the remembered result for the row's content, if its file exists with the same size and has not
 * changed since the memory was last written; otherwise NULL. */
static const struct remembered *known(struct run *r, const char *const *fields)
{
    struct xxh128 content;
    struct error ignored = {0};
    struct stat st;
    if (!r->remembers || r->hash < 0 || !*fields[r->hash] || xxh128_from_hex(&content, fields[r->hash]))
        return NULL;
    const struct remembered *m = picture_memory_find(&r->memory, &content);
    text_clear(&r->file);
    bool there =
        m && complete(r, m) && strcmp(m->outcome, OTHER) &&
        !path_join(&r->file, r->opt->common.root, fields[r->path], r->opt->common.allow_outside, &ignored) &&
        stat(r->file.data, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == m->bytes;
    /* Objects of a store are never changed; a changed one is another picture under the old name. */
    return there && !picture_memory_is_older(&r->memory, &st.st_mtim) ? m : NULL;
}

static bool unknown(void *context, const char *const *fields)
{
    struct run *r = context;
    return !known(r, fields);
}

/* Remembers a result that depends on the content alone. A result that depends on the machine or the build is
 * not remembered: too little memory, the time limit, or a kind of picture that another build can read. */
static int remember(struct run *r, const char *const *fields, const struct decoded *d, const char *outcome,
                    const char *const *values, const char *detail, struct error *err)
{
    struct xxh128 content;
    struct text t = TEXT_EMPTY;
    if (r->remembers && d->hashed && r->hash >= 0 && strcasecmp(fields[r->hash], d->xxh128) &&
        xxh128_from_hex(&content, fields[r->hash]) == 0) {
        const struct remembered other = {.bytes = d->bytes, .outcome = OTHER, .values = d->xxh128};
        r->n_other++;
        if (picture_memory_add(&r->memory, &content, &other, err)) return -1;
    }
    bool lasting = d->reason == IMAGE_OK || d->reason == IMAGE_TOO_MANY_PIXELS ||
                   d->reason == IMAGE_TOO_MANY_SCANS || d->reason == IMAGE_DECODE_TRUNCATED ||
                   d->reason == IMAGE_DECODE_CORRUPT;
    if (!r->remembers || !lasting || !d->hashed || xxh128_from_hex(&content, d->xxh128)) return 0;
    int rc = text_puts(&t, detail ? detail : "", err);
    for (int i = 0; values && r->adds[i] && rc == 0; i++)
        rc = tsv_escape(&t, values[i], err) || text_add(&t, "\t", 1, err) ? -1 : 0;
    const struct remembered what = {.bytes = d->bytes, .outcome = outcome, .values = t.data};
    if (rc == 0) rc = picture_memory_add(&r->memory, &content, &what, err);
    text_release(&t);
    return rc;
}

static int reject(struct run *r, const char *const *fields, const char *reason, const char *detail,
                  struct error *err)
{
    r->n->n_rejected++;
    return manifest_writer_reject(r->rejects, fields, reason, detail, err);
}

/* Writes a kept row. values has one entry for each column of validate_adds. */
static int keep(struct run *r, const char *const *fields, const char **values, struct error *err)
{
    for (int i = 0; r->opt->with && r->adds[i]; i++) {
        if (!strcmp(r->adds[i], "bytes")) values[i] = filled(fields, r->bytes, values[i]);
        if (!strcmp(r->adds[i], "xxh128")) values[i] = filled(fields, r->hash, values[i]);
    }
    r->n->n_kept++;
    return manifest_writer_row(r->out, fields, values, err);
}

/* Writes a row whose picture is remembered, as it was written when the picture was decoded. */
static int recall(struct run *r, const char *const *fields, struct error *err)
{
    const char *values[VALIDATE_MOST_ADDS + 1] = {0};
    struct xxh128 content;
    const struct remembered *m =
        xxh128_from_hex(&content, fields[r->hash]) ? NULL : picture_memory_find(&r->memory, &content);
    if (!m) return error_set(err, EX_SOFTWARE, "the file could not be kept");
    r->n_recalled++;
    if (strcmp(m->outcome, KEPT)) return reject(r, fields, m->outcome, m->values, err);
    text_clear(&r->values);
    if (text_puts(&r->values, m->values, err)) return -1;
    char *at = r->values.data;
    for (int i = 0; i < r->n_adds; i++) {
        char *tab = strchr(at, '\t'); /* complete() has counted them */
        *tab = 0;
        values[i] = at;
        if (!tsv_unescape(at))
            return error_set(err, EX_DATAERR, "'%s' is damaged: delete it", r->opt->memory);
        at = tab + 1;
    }
    return keep(r, fields, values, err);
}

static int done(void *context, const char *const *fields, const struct decoded *d, struct error *err)
{
    struct run *r = context;
    char detail[MARKERS_TEXT_BYTES], markers[MARKERS_TEXT_BYTES], width_text[16], height_text[16],
        orientation[4], frames[16], pdq[PDQ_HEX_BYTES], quality[8], size[24], stats[N_STATS][32];
    struct pdq_found found;
    int width, height;
    r->n->n_read++;
    progress_update(&r->progress, r->n->n_read, NULL);
    if (!d) return recall(r, fields, err);
    bool wrong_answer = !d->slug && r->opt->with && !pdq_finish_take(d, &found);
    if (wrong_answer)
        return reject(r, fields, image_reason_slug(IMAGE_DECODE_CRASHED), "a wrong answer", err);
    if (d->slug)
        return remember(r, fields, d, d->slug, NULL, d->detail, err) ||
                       reject(r, fields, d->slug, d->detail, err)
                   ? -1
                   : 0;
    const char *rule = broken_rule(r->opt, d, detail, sizeof detail);
    if (rule)
        return remember(r, fields, d, rule, NULL, detail, err) || reject(r, fields, rule, detail, err) ? -1
                                                                                                       : 0;
    picture_rules_shown(&r->opt->rules, &d->info, &width, &height);
    snprintf(width_text, sizeof width_text, "%d", width);
    snprintf(height_text, sizeof height_text, "%d", height);
    snprintf(orientation, sizeof orientation, "%d", d->info.orientation);
    snprintf(frames, sizeof frames, "%d", d->info.frames);
    const char *values[VALIDATE_MOST_ADDS + 1] =
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
        values[n++] = size;
        values[n++] = d->xxh128;
    }
    if (wants(r->opt, "pdq")) {
        values[n++] = pdq;
        values[n++] = quality;
        values[n++] = pdq_family_name(PDQ_FULL);
    }
    if (wants(r->opt, "stats")) {
        const struct picture_stats *s = &found.stats;
        const double numbers[N_STATS] = {s->brightness_mean,
                                         s->brightness[BRIGHTNESS_5],
                                         s->brightness[BRIGHTNESS_99],
                                         s->entropy,
                                         s->blurriness,
                                         s->gray_counts_std,
                                         s->edge_width};
        for (size_t i = 0; i < N_STATS; i++)
            values[n++] = i == N_STATS - 1 && s->edge_width == 0 ? "" : format_real(stats[i], numbers[i]);
    }
    return remember(r, fields, d, KEPT, values, NULL, err) || keep(r, fields, values, err) ? -1 : 0;
}

/* Refuses an unknown word in --formats or --modes, which would silently reject every picture. */
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
    /* Rules that no picture can meet are probably a typing error, too. */
    if (opt->min_bytes > opt->max_bytes)
        return error_set(err, EX_USAGE, "--min-bytes is more than --max-bytes: nothing would be kept");
    if (opt->max_side && opt->min_side > opt->max_side)
        return error_set(err, EX_USAGE, "--min-side is more than --max-side: nothing would be kept");
    if (opt->max_aspect > 0 && opt->max_aspect < 1)
        return error_set(err, EX_USAGE, "--max-aspect is longest over shortest side, so 1 or more");
    if (opt->with && opt->header_only)
        return error_set(err, EX_USAGE, "--with needs the pixels, which --header-only does not decode");
    if (opt->frames && (opt->header_only || opt->with))
        return error_set(err, EX_USAGE, "--frames does not go with %s",
                         opt->with ? "--with, which looks at first frames" : "--header-only");
    if (opt->memory && !*opt->memory) return error_set(err, EX_USAGE, "--memory: an empty name");
    return check_list("--with", opt->with, "pdq,stats", err) ||
                   check_list("--formats", opt->formats, "jpeg,png,webp,gif,avif,heic,jxl", err) ||
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
                    .memory = PICTURE_MEMORY_EMPTY,
                    .path = manifest_column(&f->in.schema, "path"),
                    .bytes = manifest_column(&f->in.schema, "bytes"),
                    .hash = manifest_column(&f->in.schema, "xxh128")};
    struct decode_pool_options o = DECODE_POOL_DEFAULTS;
    const struct pdq_wanted wanted = {PDQ_FULL, wants(opt, "pdq") ? 1 : 0, wants(opt, "stats")};
    struct decode_pool *pool = NULL;
    o.frames_every = opt->frames;
    o.decode.allow_truncated = opt->allow_truncated;
    o.decode.max_pixels = (uint64_t)opt->max_pixels;
    if (picture_rules_apply(&opt->rules, &o.decode, err)) return -1;
    if (opt->with) {
        pdq_finish_set(&o, &wanted);
    } else {
        o.decode.keep_gray = true;
        /* A JPEG can be damaged only in its entropy coding, which is read completely at every scale. */
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
                              .wanted = unknown,
                              .done = done};
    validate_adds(opt, r.adds);
    while (r.adds[r.n_adds])
        r.n_adds++;
    /* The workers are forked before the memory file is read, since they do not need it. */
    if (decode_pool_open(&pool, &o, err)) return -1;
    progress_start(&r.progress, &opt->common, 0, "pictures");
    int rc = open_memory(&r, err) || image_rows_run(&rows, &f->in, pool, err) ? -1 : 0;
    progress_end(&r.progress);
    if (rc == 0) commit_memory(&r);
    picture_memory_close(&r.memory);
    text_release(&r.file);
    text_release(&r.values);
    decode_pool_close(pool);
    return rc;
}
