/* pack.c: decodes the pictures of rows in the decode pool, and writes records in the order of the rows, so
 * the bytes do not depend on -j. */
#include "pack.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/number.h"
#include "hash/content_hash.h"
#include "image/image_rows.h"
#include "io/io.h"

#include "copies.h"

struct run {
    const struct pack_options *opt;
    const struct pack_classes *classes;
    struct pack_columns c;
    struct shard_writer *shards;
    struct tar_writer *tars;
    struct shard_set *old; /* --append: the existing set; --reuse: the set from which records are taken */
    struct shard_set *reuse;
    struct manifest_writer *rejects;
    struct stage_counts *n;
    bool based; /* the new set reuses files of `reuse` (with --append: of `old`) instead of copying records */
    uint64_t n_reused, n_passed_over;
    struct resize_rule rule;
    struct decode_options decode;
    char resize[RESIZE_RULE_BYTES];         /* as the set records it */
    char background[BACKGROUND_TEXT_BYTES]; /* likewise */
    struct copies copies;
    struct progress progress;
};

/* --- in the worker --- */

static enum image_reason finish(void *context, const struct image_info *info, struct image *image,
                                struct image *scratch, uint8_t *result, size_t result_capacity,
                                size_t *n_result, struct image_failure *failure)
{
    const struct run *r = context;
    const struct pack_options *o = r->opt;
    struct error err = {0};
    uint8_t *jpeg = NULL;
    const uint8_t *bytes;
    (void)info;
    if (image_framed(scratch, image, (int)o->size, &r->rule, &err)) goto memory;
    bytes = scratch->pixels;
    *n_result = image_bytes(scratch);
    if (o->encoding == SHARD_JPEG || o->format == PACK_WEBDATASET) {
        if (image_encode_jpeg(scratch, (int)o->quality, &jpeg, n_result, &err)) goto memory;
        bytes = jpeg;
    }
    if (*n_result > result_capacity) goto memory;
    memcpy(result, bytes, *n_result);
    free(jpeg);
    return IMAGE_OK;
memory:
    free(jpeg);
    failure->reason = IMAGE_DECODE_MEMORY;
    snprintf(failure->detail, sizeof failure->detail, "%.150s", err.text);
    return IMAGE_DECODE_MEMORY;
}

/* --- rows --- */

static const char *cell(const char *const *fields, int column) { return column < 0 ? "" : fields[column]; }

/* Reads a whole number as people and spreadsheets write it: "1" or "1.0". */
static bool whole_number(const char *text, double max, int *out)
{
    double value;
    if (!parse_number(text, &value) || !(value >= 0 && value <= max) || value != floor(value)) return false;
    *out = (int)value;
    return true;
}

#define MAX_FOLD 1000000
#define MAX_VARIANT 1000000000

/* Sets all fields of the record except the bytes from the row. Returns NULL, or the reason why the row cannot
 * be packed; detail (128 bytes) then says what was found and what was expected. */
static const char *describe(const struct run *r, const char *const *f, struct shard_writer_record *out,
                            char *detail)
{
    char seen[64];
    detail[0] = 0;
    *out = (struct shard_writer_record){
        .path = f[r->c.path],
        .label = f[r->c.label],
        .group = cell(f, r->c.group),
        .source = cell(f, r->c.source),
        .params = cell(f, r->c.params),
        .xxh128 = cell(f, r->c.xxh128),
        .split = SHARD_TRAIN,
        .fold = -1,
    };
    const char *split = cell(f, r->c.split), *fold = cell(f, r->c.fold), *variant = cell(f, r->c.variant);
    if (!out->label[0]) return "no-label";
    if (split[0] && !shard_split_parse(split, &out->split)) {
        snprintf(detail, 128, "'%s' is not train, val or test", text_for_people(seen, sizeof seen, split));
        return "unknown-split";
    }
    if (fold[0] && !whole_number(fold, MAX_FOLD, &out->fold)) {
        snprintf(detail, 128, "'%s' is not a whole number from 0 to %d",
                 text_for_people(seen, sizeof seen, fold), MAX_FOLD);
        return "unknown-fold";
    }
    if (variant[0] && !whole_number(variant, MAX_VARIANT, &out->variant)) {
        snprintf(detail, 128, "'%s' is not a whole number from 0 to %d",
                 text_for_people(seen, sizeof seen, variant), MAX_VARIANT);
        return "unknown-variant";
    }
    return NULL;
}

/* Finds the record that an earlier run made from the same row, with the same content, variant and path.
 * Returns -1 when there is none. */
static int64_t find_old(const struct run *r, const struct shard_writer_record *want)
{
    struct shard_record found;
    struct error ignored = {0};
    int64_t at = r->old && want->xxh128[0] ? shard_set_find(r->old, want->xxh128, want->variant) : -1;
    return at >= 0 && shard_set_describe(r->old, (uint64_t)at, &found, &ignored) == 0 &&
                   strcmp(found.path, want->path) == 0
               ? at
               : -1;
}

/* Finds a record with the same pixels. They depend only on the file, so the record may have any variant. */
static int64_t find_pixels(const struct run *r, const char *xxh128)
{
    return r->reuse && xxh128[0] ? shard_set_find(r->reuse, xxh128, -1) : -1;
}

static bool known(void *context, const char *xxh128) { return find_pixels(context, xxh128) >= 0; }

static bool wanted(void *context, const char *const *fields)
{
    const struct run *r = context;
    struct shard_writer_record record;
    char detail[128];
    return !describe(r, fields, &record, detail) && find_old(r, &record) < 0 &&
           find_pixels(r, record.xxh128) < 0;
}

/* Rejects a picture whose content was packed before. Returns 1 when it was rejected, 0 when it is new, or -1
 * with err set. The content of a variant may equal that of another record. */
static int reject_copy(struct run *r, const char *const *fields, const struct shard_writer_record *record,
                       struct error *err)
{
    struct shard_record old;
    uint64_t first;
    bool same_label = false;
    char detail[300];
    if (record->variant != 0 || !record->xxh128[0]) return 0;
    int64_t at = r->old ? shard_set_find(r->old, record->xxh128, 0) : -1;
    if (at >= 0) {
        if (shard_set_describe(r->old, (uint64_t)at, &old, err)) return -1;
        same_label = strcmp(shard_set_info(r->old)->classes[old.label], record->label) == 0;
        snprintf(detail, sizeof detail, "%.280s", old.path);
        r->copies.n_copies++;
    } else {
        if (copies_add(&r->copies, record->xxh128, record->label, r->n->n_read, &first, &same_label, err))
            return -1;
        if (first == 0) return 0;
        snprintf(detail, sizeof detail, "row %llu", (unsigned long long)first);
    }
    r->n->n_rejected++;
    return manifest_writer_reject(r->rejects, fields, same_label ? "duplicate-of" : "label-conflict", detail,
                                  err)
               ? -1
               : 1;
}

static int keep(struct run *r, const struct shard_writer_record *record, struct error *err)
{
    r->n->n_kept++;
    return r->tars ? tar_writer_add(r->tars, record, err) : shard_writer_add(r->shards, record, err);
}

static int done(void *context, const char *const *fields, const struct decoded *d, struct error *err)
{
    struct run *r = context;
    struct shard_writer_record record;
    struct shard_record old;
    r->n->n_read++;
    progress_update(&r->progress, r->n->n_read, NULL);
    char detail[128];
    const char *reason = describe(r, fields, &record, detail);
    if (reason || (d && d->slug)) {
        r->n->n_rejected++;
        return manifest_writer_reject(r->rejects, fields, reason ? reason : d->slug,
                                      reason ? detail : d->detail, err);
    }
    if (d) {
        record.xxh128 = d->xxh128;
        record.bytes = d->result;
        record.n_bytes = d->n_result;
    }
    if (find_old(r, &record) >= 0) { /* the record is already in the set, so a second run changes nothing */
        r->n_passed_over++;
        r->n->n_kept++;
        return 0;
    }
    int copy = reject_copy(r, fields, &record, err);
    if (copy) return copy < 0 ? -1 : 0;
    if (record.bytes) return keep(r, &record, err);
    int64_t at = find_pixels(r, record.xxh128);
    if (at < 0 || shard_set_describe(r->reuse, (uint64_t)at, &old, err))
        return at < 0 ? error_set(err, EX_SOFTWARE, "a record to reuse is gone") : -1;
    r->n_reused++;
    if (r->based) {
        r->n->n_kept++;
        return shard_writer_refer(r->shards, &record, (uint64_t)at, err);
    }
    record.bytes = old.encoded;
    record.n_bytes = old.n_encoded;
    return keep(r, &record, err);
}

/* --- the whole --- */

/* Writes the settings on which the records depend besides size, method and encoding; "" for the defaults. */
static void describe_settings(const struct run *r, char out[SHARD_MADE_BYTES])
{
    const struct pack_options *o = r->opt;
    char quality[24] = "", frame[24] = "";
    if (o->encoding == SHARD_JPEG && o->quality != 95)
        snprintf(quality, sizeof quality, " quality=%lld", (long long)o->quality);
    if (r->decode.frame > 1) snprintf(frame, sizeof frame, " frame=%d", r->decode.frame);
    snprintf(out, SHARD_MADE_BYTES, "%s%s%s%s%s%s", r->decode.orientation == ORIENT_NONE ? " no-orient" : "",
             o->allow_truncated ? " allow-truncated" : "", quality, r->decode.srgb ? " color=srgb" : "",
             frame, r->decode.orientation == ORIENT_PILLOW ? " orientation=pillow" : "");
    memmove(out, out + (*out == ' '), SHARD_MADE_BYTES - 1);
}

static bool suits(const struct run *r, const struct shard_set_info *info)
{
    const struct pack_options *o = r->opt;
    char made[SHARD_MADE_BYTES];
    describe_settings(r, made);
    return info->side_px == o->size && (int)info->encoding == o->encoding &&
           strcmp(info->resize, r->resize) == 0 && strcmp(info->background, r->background) == 0 &&
           strcmp(info->made, made) == 0;
}

/* Opens the set of --reuse. If it cannot be used, that is not an error: the pictures are then decoded. */
static int open_reuse(struct run *r, struct error *err)
{
    const struct pack_options *o = r->opt;
    struct error own = {0};
    if (!o->reuse) return 0;
    if (!io_exists(o->reuse)) return error_set(err, EX_NOINPUT, "--reuse: there is no '%s'", o->reuse);
    if (shard_set_open_stored(&r->reuse, o->reuse, &own)) {
        if (own.code == EX_OSERR) {
            *err = own;
            return -1;
        }
        stage_warn("every picture is decoded: %s", own.text);
        return 0;
    }
    const struct shard_set_info *info = shard_set_info(r->reuse);
    if (suits(r, info)) return 0;
    stage_warn("every picture is decoded: '%s' holds %d px, %s, %s, on %s%s%s: its pixels are not the ones "
               "asked for",
               o->reuse, info->side_px, info->resize, shard_encoding_name(info->encoding),
               shard_background_name(info->background), *info->made ? ", " : "", info->made);
    shard_set_close(r->reuse);
    r->reuse = NULL;
    return 0;
}

/* Keeps all rows of the set that is appended to. */
static int refer_to_all(struct run *r, struct shard_set *set, struct error *err)
{
    const struct shard_set_info *info = shard_set_info(set);
    for (uint64_t i = 0; i < info->n_records; i++) {
        struct shard_record old;
        if (shard_set_describe(set, i, &old, err)) return -1;
        const struct shard_writer_record record = {.path = old.path,
                                                   .xxh128 = old.xxh128,
                                                   .group = old.group,
                                                   .source = old.source,
                                                   .params = old.params,
                                                   .label = info->classes[old.label],
                                                   .split = old.split,
                                                   .fold = old.fold,
                                                   .variant = old.variant};
        if (shard_writer_refer(r->shards, &record, i, err)) return -1;
    }
    return 0;
}

/* Writes the names of the options of m that differ from those of other. */
static void name_rules(const struct shard_made *m, const struct shard_made *other, char out[80])
{
    char frame[24] = "";
    bool turned = strcmp(m->orientation, other->orientation) != 0;
    if (m->frame != other->frame) snprintf(frame, sizeof frame, " --frame %d", m->frame);
    snprintf(out, 80, "%s%s%s%s",
             m->srgb == other->srgb ? ""
             : m->srgb              ? " --color srgb"
                                    : " --color none",
             frame, turned ? " --orientation " : "", turned ? m->orientation : "");
}

static int open_output(struct run *r, struct error *err)
{
    const struct pack_options *o = r->opt;
    char made[SHARD_MADE_BYTES];
    struct error none = {0};
    describe_settings(r, made);
    if (o->format == PACK_WEBDATASET)
        return tar_writer_open(&r->tars, o->folder, o->shard_bytes, r->classes->names, r->classes->n, err);
    struct shard_writer_options w = {.side_px = (int)o->size,
                                     .resize = r->resize,
                                     .background = r->background,
                                     .encoding = (enum shard_encoding)o->encoding,
                                     .shard_bytes = o->shard_bytes,
                                     .append = o->append,
                                     .made = made};
    if (o->append && shard_set_open_stored(&r->old, o->folder, &none) == 0 &&
        shard_set_info(r->old)->rows_apart && suits(r, shard_set_info(r->old))) {
        w.append = false;
        w.base = r->old;
        return shard_writer_open(&r->shards, o->folder, &w, err) || refer_to_all(r, r->old, err) ? -1 : 0;
    }
    shard_set_close(r->old);
    r->old = NULL;
    if (!o->append) w.base = r->reuse;
    r->based = w.base != NULL;
    if (shard_writer_open(&r->shards, o->folder, &w, err)) return -1;
    if (!o->append || !shard_writer_appends(r->shards)) return 0;
    if (shard_set_open_stored(&r->old, o->folder, err)) return -1;
    struct shard_made old;
    char there[80], asked[80];
    shard_made_read(&old, shard_set_info(r->old));
    const struct shard_made own = {.srgb = r->decode.srgb,
                                   .frame = r->decode.frame > 1 ? r->decode.frame : 1,
                                   .orientation = orientation_rule_name(r->decode.orientation)};
    name_rules(&old, &own, there);
    name_rules(&own, &old, asked);
    if (strcmp(there, asked) == 0) return 0;
    return error_set(err, EX_DATAERR, "'%s' was packed with%s: cannot append with%s", o->folder, there,
                     asked);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int pack_classes_read(struct pack_classes *c, struct manifest_reader *in, struct error *err)
{
    int more, label = manifest_column(&in->schema, "label");
    while ((more = manifest_reader_next(in, err)) == 1) {
        const char *name = manifest_field(in, label);
        if (!name[0] || (c->n && bsearch(&name, c->names, (size_t)c->n, sizeof *c->names, by_name))) continue;
        if (mem_grow(&c->names, &c->capacity, (size_t)c->n + 1, sizeof *c->names, err) ||
            !(c->names[c->n] = mem_strdup(name, err)))
            return -1;
        c->n++;
        qsort(c->names, (size_t)c->n, sizeof *c->names, by_name);
    }
    return more;
}

void pack_classes_release(struct pack_classes *c)
{
    for (int i = 0; i < c->n; i++)
        free(c->names[i]);
    free(c->names);
    *c = (struct pack_classes){0};
}

static void tell_report(const struct pack_options *opt, const struct shard_writer_report *report)
{
    if (report->n_linked || report->n_copied)
        stage_note(&opt->common,
                   "%zu shard files taken over, %zu copied (no links there), %llu records moved",
                   report->n_linked, report->n_copied, (unsigned long long)report->n_moved);
    if (report->no_room)
        stage_warn(
            "the disk has no room to pack the shards more tightly: they stay as they are, with records "
            "that no row needs");
}

#define MEMORY_SHARE 4
#define DISK_SHARE 2

/* Returns the free bytes on the disk of the folder, or of its nearest existing parent. */
static uint64_t free_disk(const char *folder, struct error *err)
{
    struct statvfs disk;
    uint64_t bytes = 0;
    char *at = mem_strdup(folder, err);
    while (at && statvfs(at, &disk) && errno == ENOENT && strcmp(at, ".") && strcmp(at, "/")) {
        char *above = path_folder(at, err);
        free(at);
        at = above;
    }
    if (at && statvfs(at, &disk) == 0) bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    free(at);
    return bytes;
}

int pack_choose_encoding(struct pack_options *opt, uint64_t n_rows, struct error *err)
{
    struct shard_set *set = NULL;
    struct error none = {0};
    const char *there = opt->reuse ? opt->reuse : opt->folder;
    uint64_t raw = n_rows * (uint64_t)(opt->size * opt->size * 3);
    uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / MEMORY_SHARE;
    uint64_t disk = free_disk(opt->folder, err) / DISK_SHARE, most = memory < disk ? memory : disk;
    const char *why = "";
    if (err->code) return -1;
    opt->encoding = raw <= most ? SHARD_RAW : SHARD_JPEG;
    if (io_exists(there) && shard_set_open_stored(&set, there, &none) == 0) {
        enum shard_encoding old = shard_set_info(set)->encoding;
        if (shard_set_info(set)->side_px == opt->size && (int)old != opt->encoding &&
            (old == SHARD_JPEG || raw <= 2 * most)) {
            opt->encoding = (int)old;
            why = ", as the set that is there";
        }
        shard_set_close(set);
    }
    stage_note(
        &opt->common,
        "%s%s: raw records take %.1f GB; a quarter of the memory and half of the free disk are %.1f and "
        "%.1f GB",
        shard_encoding_name((enum shard_encoding)opt->encoding), why, (double)raw / 1e9, (double)memory / 1e9,
        (double)disk / 1e9);
    return 0;
}

int pack_picture_rules(const struct pack_options *opt, struct resize_rule *rule,
                       struct decode_options *decode, char background[BACKGROUND_TEXT_BYTES],
                       struct error *err)
{
    if (resize_rule_parse(opt->resize, rule, err) ||
        (resize_rule_side(rule, (int)opt->size) < opt->size &&
         error_set(err, EX_USAGE, "a square of %d cannot be cut from it", (int)opt->size)))
        return error_prefix(err, "--resize");
    return picture_rules_apply(&opt->rules, decode, err) ||
                   image_background_parse(opt->rules.background, decode->background, background, err)
               ? -1
               : 0;
}

int pack_run(const struct pack_options *opt, const struct pack_classes *classes, struct manifest_reader *in,
             struct manifest_writer *rejects, struct stage_counts *n, struct error *err)
{
    struct run r = {.opt = opt, .classes = classes, .rejects = rejects, .n = n};
    struct decode_pool_options o = DECODE_POOL_DEFAULTS;
    struct decode_pool *pool = NULL;
    int rc = -1;
    const struct manifest_schema *s = &in->schema;
    r.c = (struct pack_columns){
        manifest_column(s, "path"),   manifest_column(s, "label"),  manifest_column(s, "split"),
        manifest_column(s, "group"),  manifest_column(s, "fold"),   manifest_column(s, "variant"),
        manifest_column(s, "source"), manifest_column(s, "params"), manifest_column(s, "xxh128"),
    };
    o.decode.allow_truncated = opt->allow_truncated;
    if (pack_picture_rules(opt, &r.rule, &o.decode, r.background, err)) return -1;
    resize_rule_text(&r.rule, r.resize);
    r.decode = o.decode;
    o.decode.keep_gray = true;
    o.decode.shrink_to_px = image_shrink_hint(r.rule.method, resize_rule_side(&r.rule, (int)opt->size));
    o.finish = finish;
    o.known = known;
    o.context = &r;
    /* A JPEG of noise can be larger than its samples. */
    o.result_bytes = (size_t)opt->size * (size_t)opt->size * 3 + 65536;
    o.threads = stage_threads(&opt->common);
    o.no_sandbox = opt->no_sandbox;
    struct image_rows rows = {.root = opt->common.root,
                              .allow_outside = opt->common.allow_outside,
                              .context = &r,
                              .wanted = wanted,
                              .done = done};
    /* The workers are forked before the sets are mapped, since they do not need them. */
    if (decode_pool_open(&pool, &o, err)) return -1;
    progress_start(&r.progress, &opt->common, 0, "pictures");
    if (open_reuse(&r, err) == 0 && open_output(&r, err) == 0 && image_rows_run(&rows, in, pool, err) == 0)
        rc = r.tars ? tar_writer_commit(r.tars, err) : shard_writer_commit(r.shards, err);
    progress_end(&r.progress);
    if (rc == 0 && r.shards) tell_report(opt, shard_writer_report(r.shards));
    if (rc == 0 && (r.n_reused || r.n_passed_over))
        stage_note(&opt->common, "%llu taken from an earlier set, %llu there already",
                   (unsigned long long)r.n_reused, (unsigned long long)r.n_passed_over);
    if (rc == 0 && r.copies.n_copies && !opt->common.quiet)
        stage_warn(
            "%llu exact cop%s of other pictures left out: the first of each is kept (--rejects FILE lists "
            "them; hash-dedup chooses by rules)",
            (unsigned long long)r.copies.n_copies, r.copies.n_copies == 1 ? "y" : "ies");
    copies_release(&r.copies);
    tar_writer_close(r.tars);
    shard_writer_close(r.shards);
    shard_set_close(r.old);
    shard_set_close(r.reuse);
    decode_pool_close(pool);
    return rc;
}
