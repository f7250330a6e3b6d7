/*
 * augment_stage.c: makes variants. The sandboxed workers decode, augment and encode. This process names the
 * files and writes them. The name of a file depends on the content of its source, the drawn parameters and
 * the settings of the decoder, so a run with other settings never overwrites it.
 */
#include "augment_stage.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/number.h"
#include "base/random.h"
#include "hash/content_hash.h"
#include "image/image.h"
#include "image/image_rows.h"
#include "io/io.h"
#include "io/signals.h"
#include "manifest/tsv.h"
#include "store/picture_memory.h"

const char *const augment_adds[] = {"variant", "source", "params", NULL};

/* The columns that augment reads, or sets in the row of a variant; -1 if absent. All others are copied. */
struct file_columns {
    int path, label, split, variant, source, params, bytes, xxh128, format, width, height, orientation,
        frames, mode, pdq, quality;
};

struct run {
    const struct augment_options *opt;
    struct file_columns c;
    size_t n_base;
    struct manifest_writer *out, *rejects;
    struct stage_counts *n;
    struct sheet *sheet;
    const char **fields; /* a made row under construction */
    struct progress progress;
    uint64_t n_made, n_recalled;
    struct picture_memory memory;
    bool remembers;
    char rules[PICTURE_RULES_BYTES];     /* picture_rules_text */
    struct text learned, recalled, file; /* reused */
};

static bool in_list(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *s = list; *s;) {
        size_t length = strcspn(s, ",");
        if ((length == n && memcmp(s, word, n) == 0) || (length == 3 && memcmp(s, "all", 3) == 0))
            return true;
        s += length + (s[length] == ',');
    }
    return false;
}

/* --- in the worker --- */

static int encode(const struct augment_options *o, const struct image *m, uint8_t **bytes, size_t *n,
                  struct error *err)
{
    switch (o->format) {
    case MADE_PNG: return image_encode_png(m, bytes, n, err);
    case MADE_WEBP: return image_encode_webp(m, (int)o->quality, bytes, n, err);
    default: return image_encode_jpeg(m, (int)o->quality, bytes, n, err);
    }
}

/*
 * Makes a thumbnail. For an HTML page it is a JPEG. For a PNG sheet, which this process draws, it is the
 * width and the height as bytes, and then RGB samples. So no data from a worker is decoded outside of a
 * worker.
 */
static int encode_thumb(const struct image *m, bool raw, uint8_t **bytes, size_t *n, struct error *err)
{
    struct image small = IMAGE_EMPTY;
    double scale = (double)SHEET_THUMB_PX / (m->width > m->height ? m->width : m->height);
    int width = (int)(m->width * scale + 0.5), height = (int)(m->height * scale + 0.5);
    int rc = -1;
    if (image_resize(&small, m, width < 1 ? 1 : width, height < 1 ? 1 : height, RESIZE_BILINEAR, err) ||
        image_to_rgb(&small, err))
        goto out;
    if (!raw) {
        rc = image_encode_jpeg(&small, 80, bytes, n, err);
        goto out;
    }
    *n = 2 + image_bytes(&small);
    if (!(*bytes = mem_alloc(*n, err))) goto out;
    (*bytes)[0] = (uint8_t)small.width;
    (*bytes)[1] = (uint8_t)small.height;
    memcpy(*bytes + 2, small.pixels, *n - 2);
    rc = 0;
out:
    image_release(&small);
    return rc;
}

/* The result has the sizes (of all variants, and with a sheet of variants + 1
 * thumbnails), and then the blocks. */
static enum image_reason finish(void *context, const struct image_info *info, struct image *image,
                                struct image *scratch, uint8_t *result, size_t result_capacity,
                                size_t *n_result, struct image_failure *failure)
{
    const struct augment_options *o = context;
    struct augment_scratch extra = AUGMENT_SCRATCH_EMPTY;
    struct image square = IMAGE_EMPTY;
    const struct image *from = image;
    struct error err = {0};
    uint32_t *sizes = (uint32_t *)(void *)result;
    size_t n_files = o->folder ? (size_t)o->variants : 0, n_thumbs = o->sheet ? (size_t)o->variants + 1 : 0;
    size_t at = (n_files + n_thumbs) * sizeof *sizes;
    enum image_reason reason = IMAGE_DECODE_MEMORY;
    if (o->size) {
        if (image_square(&square, image, (int)o->size, RESIZE_BILINEAR, &err)) goto out;
        from = &square;
    }
    for (int64_t v = 0; v <= o->variants; v++) {
        struct augment_params p;
        augment_draw(&o->spec, (uint64_t)o->common.seed, info->xxh128, (uint64_t)v, &p);
        if (augment_apply(&p, &o->spec, from, scratch, &extra, &err)) goto out;
        for (int thumb = 0; thumb < 2; thumb++) {
            uint8_t *bytes = NULL;
            size_t n = 0;
            if (thumb ? n_thumbs == 0 : n_files == 0 || v == 0) continue;
            if (thumb ? encode_thumb(scratch, sheet_is_png(o->sheet), &bytes, &n, &err)
                      : encode(o, scratch, &bytes, &n, &err))
                goto out;
            if (n > result_capacity - at) {
                free(bytes);
                error_set(&err, EX_OSERR, "the variants of one picture are too large");
                goto out;
            }
            memcpy(result + at, bytes, n);
            free(bytes);
            at += n;
            sizes[thumb ? n_files + (size_t)v : (size_t)v - 1] = (uint32_t)n;
        }
    }
    *n_result = at;
    reason = IMAGE_OK;
out:
    if (reason != IMAGE_OK) {
        failure->reason = reason;
        snprintf(failure->detail, sizeof failure->detail, "%.150s", err.text);
    }
    image_release(&square);
    augment_scratch_release(&extra);
    return reason;
}

/* Finds the blocks in a result, in the order in which they were made: thumb 0; file 1, thumb 1; and so on.
 * Returns 0, or -1 when the sizes are inconsistent, which happens only if a hostile picture controls the
 * worker. */
static int split_result(const struct augment_options *o, const struct decoded *d, const uint8_t **files,
                        uint32_t *n_files, const uint8_t **thumbs, uint32_t *n_thumbs)
{
    size_t files_n = o->folder ? (size_t)o->variants : 0, thumbs_n = o->sheet ? (size_t)o->variants + 1 : 0;
    size_t at = (files_n + thumbs_n) * sizeof(uint32_t);
    if (d->n_result < at) return -1;
    for (size_t v = 0; v <= (size_t)o->variants; v++)
        for (int thumb = 0; thumb < 2; thumb++) {
            uint32_t size;
            if (thumb ? thumbs_n == 0 : files_n == 0 || v == 0) continue;
            memcpy(&size, d->result + (thumb ? files_n + v : v - 1) * sizeof size, sizeof size);
            if (size > d->n_result - at) return -1;
            *(thumb ? &thumbs[v] : &files[v]) = d->result + at;
            *(thumb ? &n_thumbs[v] : &n_files[v]) = size;
            at += size;
        }
    return 0;
}

/* --- rows --- */

static const char *cell(const char *const *fields, int column) { return column < 0 ? "" : fields[column]; }

/* The values of a variant in the manifest. */
struct made {
    const char *name, *bytes, *xxh128, *width, *height;
};
#define MADE_FIELDS 5

static int write_made_row(struct run *r, const char *const *fields, int64_t v, const struct made *m,
                          const char *params, struct error *err)
{
    static const char *const formats[] = {"jpeg", "png", "webp"};
    char variant[24];
    snprintf(variant, sizeof variant, "%lld", (long long)v);
    memcpy(r->fields, fields, r->n_base * sizeof *r->fields);
    const struct {
        int column;
        const char *value;
    } changed[] = {
        {r->c.path, m->name},     {r->c.bytes, m->bytes},
        {r->c.xxh128, m->xxh128}, {r->c.format, formats[r->opt->format]},
        {r->c.width, m->width},   {r->c.height, m->height},
        {r->c.orientation, "1"},  {r->c.frames, "1"},
        {r->c.mode, "rgb"},       {r->c.pdq, ""},
        {r->c.quality, ""},
    };
    for (size_t i = 0; i < sizeof changed / sizeof *changed; i++)
        if (changed[i].column >= 0) r->fields[changed[i].column] = changed[i].value;
    const char *const added[] = {variant, fields[r->c.path], params};
    return manifest_writer_row(r->out, r->fields, added, err);
}

/* --- the memory --------------------------------------------------------------------------------- */

/* Increase this when the same picture and options give another file than before. */
#define ANSWERS_VERSION 1
#define MADE "made"

static int open_memory(struct run *r, struct error *err)
{
    const struct augment_options *o = r->opt;
    struct text words = TEXT_EMPTY;
    struct error own = {0};
    if (!o->memory || !o->folder) return 0;
    int rc =
        text_printf(&words, err,
                    "augment %d winnow %s spec %s seed %lld variants %lld size %lld format %d quality %lld "
                    "background %s color %s truncated %d folder %s%s%s",
                    ANSWERS_VERSION, WINNOW_VERSION, o->spec_text, (long long)o->common.seed,
                    (long long)o->variants, (long long)o->size, o->format, (long long)o->quality,
                    o->rules.background ? o->rules.background : "white",
                    o->rules.color ? o->rules.color : "none", o->allow_truncated, o->folder,
                    *r->rules ? " " : "", r->rules);
    if (rc == 0 && picture_memory_open(&r->memory, o->memory, words.data, &own) == 0) {
        r->remembers = r->memory.hold = true;
    } else if (rc == 0) {
        stage_warn("every variant is made: %s", own.text);
        picture_memory_close(&r->memory);
    }
    text_release(&words);
    return rc;
}

static const struct remembered *find_made(struct run *r, const char *const *fields, struct xxh128 *content)
{
    const char *hash = cell(fields, r->c.xxh128);
    return r->remembers && *hash && !xxh128_from_hex(content, hash) ? picture_memory_find(&r->memory, content)
                                                                    : NULL;
}

/* Parses the next variant in a remembered result, in place. Returns false when there is none. */
static bool next_made(char **at, struct made *m)
{
    const char **const fields[MADE_FIELDS] = {&m->name, &m->bytes, &m->xxh128, &m->width, &m->height};
    for (int i = 0; i < MADE_FIELDS; i++) {
        char *tab = strchr(*at, '\t');
        if (!tab) return false;
        *tab = 0;
        *fields[i] = *at;
        if (!tsv_unescape(*at)) return false;
        *at = tab + 1;
    }
    return true;
}

/* Whether all variants of the row's picture are known, and their files exist with the same sizes. */
static bool known(struct run *r, const char *const *fields)
{
    struct xxh128 content;
    struct error ignored = {0};
    struct made m;
    struct stat st;
    const struct remembered *what = r->sheet ? NULL : find_made(r, fields, &content);
    if (!what || strcmp(what->outcome, MADE)) return false;
    text_clear(&r->recalled);
    if (text_puts(&r->recalled, what->values, &ignored)) return false;
    char *at = r->recalled.data;
    for (int64_t v = 1; v <= r->opt->variants; v++) {
        uint64_t bytes;
        text_clear(&r->file);
        if (!next_made(&at, &m) || parse_u64(m.bytes, 0, UINT64_MAX, &bytes, "", &ignored) ||
            path_join(&r->file, r->opt->common.root, m.name, r->opt->common.allow_outside, &ignored) ||
            stat(r->file.data, &st) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != bytes)
            return false;
    }
    return !*at;
}

/* Writes the rows of a picture whose variants exist: the same rows as when they were made. */
static int recall(struct run *r, const char *const *fields, struct error *err)
{
    static const char *const original[] = {"0", "", ""};
    struct xxh128 content;
    char hash[XXH128_HEX_BYTES];
    const struct remembered *what = find_made(r, fields, &content);
    if (!what) return error_set(err, EX_SOFTWARE, "the file could not be kept");
    r->n->n_kept++;
    r->n_recalled++;
    text_clear(&r->recalled);
    if (text_puts(&r->recalled, what->values, err) || manifest_writer_row(r->out, fields, original, err))
        return -1;
    char *at = r->recalled.data;
    xxh128_hex(hash, &content);
    for (int64_t v = 1; v <= r->opt->variants; v++) {
        struct augment_params p;
        struct made m;
        char text[AUGMENT_TEXT_BYTES];
        augment_draw(&r->opt->spec, (uint64_t)r->opt->common.seed, hash, (uint64_t)v, &p);
        augment_params_text(&p, text);
        if (!next_made(&at, &m))
            return error_set(err, EX_DATAERR, "'%s' is damaged: delete it", r->opt->memory);
        if (write_made_row(r, fields, v, &m, text, err)) return -1;
    }
    return 0;
}

/*
 * Whether variants are made of the row's picture: it must be in a split that is augmented, and must not be a
 * variant.
 */
static bool is_source(const struct run *r, const char *const *fields)
{
    const char *variant = cell(fields, r->c.variant),
               *split = r->c.split < 0 ? "train" : cell(fields, r->c.split);
    return r->opt->variants > 0 && in_list(r->opt->splits, split) && (!variant[0] || !strcmp(variant, "0"));
}

static bool wanted(void *context, const char *const *fields)
{
    struct run *r = context;
    if (!is_source(r, fields)) return false;
    if (r->opt->folder) return !known(r, fields);
    /* When there is no memory the row is not on the sheet; the next allocation will report it. */
    struct error err = {0};
    return sheet_promise(r->sheet, cell(fields, r->c.label), &err);
}

/*
 * The file appears whole or not at all, but is not synced. One syncfs before the manifest is committed takes
 * less time than an fsync for each of a million files. It is as safe, because only that manifest names the
 * files.
 */
static int write_file(const char *path, const uint8_t *bytes, size_t n, struct error *err)
{
    struct text temporary = TEXT_EMPTY;
    int fd = -1, slot = -1, rc = -1;
    if (text_printf(&temporary, err, "%s.%ld.tmp", path, (long)getpid())) goto out;
    slot = cleanup_remember(temporary.data);
    if (fault_here(FAULT_OPEN) ||
        (fd = open(temporary.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) < 0) {
        error_errno(err, EX_CANTCREAT, "cannot create '%s'", temporary.data);
        goto out;
    }
    rc = io_write_full(fd, bytes, n, temporary.data, err);
    if (close(fd) && rc == 0) rc = error_errno(err, EX_IOERR, "cannot write '%s'", temporary.data);
    if (rc == 0 && (fault_here(FAULT_RENAME) || rename(temporary.data, path)))
        rc = error_errno(err, EX_CANTCREAT, "cannot rename '%s'", temporary.data);
    if (rc) unlink(temporary.data);
out:
    cleanup_forget(slot);
    text_release(&temporary);
    return rc;
}

static int sync_files(const struct augment_options *o, struct error *err)
{
    struct text path = TEXT_EMPTY;
    int fd = -1, rc = -1;
    if (path_join(&path, o->common.root, o->folder, o->common.allow_outside, err)) goto out;
    if ((fd = open(path.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 || fault_here(FAULT_FSYNC) ||
        syncfs(fd)) {
        error_errno(err, EX_IOERR, "cannot sync '%s'", path.data);
        goto out;
    }
    rc = 0;
out:
    if (fd >= 0) close(fd);
    text_release(&path);
    return rc;
}

/* Writes the file and its row, and appends the data with which a later run can write the row again to
 * r->learned. */
static int write_made(struct run *r, const char *const *fields, const struct decoded *d, int64_t v,
                      const uint8_t *bytes, size_t n, const char *params, struct error *err)
{
    static const char *const endings[] = {"jpg", "png", "webp"};
    struct text name = TEXT_EMPTY, path = TEXT_EMPTY;
    char n_bytes[24], hash[33], width[16], height[16];
    struct xxh128 h;
    int rc = -1, shown_w, shown_h;
    uint64_t drawn = random_key(params, strlen(params)) ^ (uint64_t)r->opt->size * 0x9E3779B97F4A7C15ull ^
                     (uint64_t)r->opt->quality;
    if (*r->rules) drawn ^= random_key(r->rules, strlen(r->rules));
    if (r->opt->spec.fill != FILL_NEAREST) {
        const char fill[4] = {(char)r->opt->spec.fill, (char)r->opt->spec.fill_value[0],
                              (char)r->opt->spec.fill_value[1], (char)r->opt->spec.fill_value[2]};
        drawn ^= random_key(fill, sizeof fill);
    }
    if (text_printf(&name, err, "%s/%.2s/%s-%lld-%08x.%s", r->opt->folder, d->xxh128, d->xxh128, (long long)v,
                    (unsigned)(drawn >> 32), endings[r->opt->format]) ||
        path_join(&path, r->opt->common.root, name.data, r->opt->common.allow_outside, err) ||
        io_mkdirs_for(path.data, err) || write_file(path.data, bytes, n, err))
        goto out;
    xxh128_of(&h, bytes, n);
    xxh128_hex(hash, &h);
    snprintf(n_bytes, sizeof n_bytes, "%zu", n);
    picture_rules_shown(&r->opt->rules, &d->info, &shown_w, &shown_h);
    snprintf(width, sizeof width, "%d", r->opt->size ? (int)r->opt->size : shown_w);
    snprintf(height, sizeof height, "%d", r->opt->size ? (int)r->opt->size : shown_h);
    const char *const told[MADE_FIELDS] = {name.data, n_bytes, hash, width, height};
    for (int i = 0; r->remembers && i < MADE_FIELDS; i++)
        if (tsv_escape(&r->learned, told[i], err) || text_add(&r->learned, "\t", 1, err)) goto out;
    r->n_made++;
    const struct made made = {name.data, n_bytes, hash, width, height};
    rc = write_made_row(r, fields, v, &made, params, err);
out:
    text_release(&name);
    text_release(&path);
    return rc;
}

static int done(void *context, const char *const *fields, const struct decoded *d, struct error *err)
{
    struct run *r = context;
    const struct augment_options *o = r->opt;
    const uint8_t *files[AUGMENT_MOST_VARIANTS + 1] = {0}, *thumbs[AUGMENT_MOST_VARIANTS + 1] = {0};
    uint32_t n_files[AUGMENT_MOST_VARIANTS + 1] = {0}, n_thumbs[AUGMENT_MOST_VARIANTS + 1] = {0};
    r->n->n_read++;
    progress_update(&r->progress, r->n->n_read, NULL);
    if (!d && r->remembers && is_source(r, fields)) return recall(r, fields, err);
    /* The row is copied without change. If it has a variant number, it keeps it. */
    if (!d) {
        const char *variant = cell(fields, r->c.variant);
        const char *const same[] = {variant[0] ? variant : "0", cell(fields, r->c.source),
                                    cell(fields, r->c.params)};
        r->n->n_kept++;
        return manifest_writer_row(r->out, fields, same, err);
    }
    const char *slug = d->slug, *detail = d->detail;
    if (!slug && split_result(o, d, files, n_files, thumbs, n_thumbs)) {
        slug = image_reason_slug(IMAGE_DECODE_CRASHED);
        detail = "a wrong answer";
    }
    if (slug) {
        r->n->n_rejected++;
        return manifest_writer_reject(r->rejects, fields, slug, detail, err);
    }
    const char *const original[] = {"0", "", ""};
    r->n->n_kept++;
    if (manifest_writer_row(r->out, fields, original, err)) return -1;
    bool on_sheet = o->sheet && (!o->folder || sheet_promise(r->sheet, cell(fields, r->c.label), err));
    if (o->sheet && !on_sheet && err->code) return -1;
    text_clear(&r->learned);
    if (on_sheet && sheet_begin_row(r->sheet, fields[r->c.path], cell(fields, r->c.label), err)) return -1;
    for (int64_t v = 0; v <= o->variants; v++) {
        struct augment_params p;
        char text[AUGMENT_TEXT_BYTES];
        /* Compute the parameters here again, because the worker is not trusted. */
        augment_draw(&o->spec, (uint64_t)o->common.seed, d->xxh128, (uint64_t)v, &p);
        augment_params_text(&p, text);
        if (v > 0 && o->folder && write_made(r, fields, d, v, files[v], n_files[v], text, err)) return -1;
        if (on_sheet && sheet_add(r->sheet, (int)v, thumbs[v], n_thumbs[v], text, err)) return -1;
    }
    struct xxh128 content;
    const struct remembered made = {.bytes = d->bytes, .outcome = MADE, .values = r->learned.data};
    return r->remembers && xxh128_from_hex(&content, d->xxh128) == 0
               ? picture_memory_add(&r->memory, &content, &made, err)
               : 0;
}

int augment_run(const struct augment_options *opt, struct manifest_filter *f, struct stage_counts *n,
                struct error *err)
{
    struct run r = {.opt = opt, .out = &f->out, .rejects = &f->rejects, .n = n, .n_base = f->in.schema.n};
    struct error own = {0};
    r.memory = PICTURE_MEMORY_EMPTY;
    struct decode_pool_options o = DECODE_POOL_DEFAULTS;
    struct decode_pool *pool = NULL;
    const struct manifest_schema *s = &f->in.schema;
    int rc = -1;
    r.c = (struct file_columns){
        manifest_column(s, "path"),        manifest_column(s, "label"),  manifest_column(s, "split"),
        manifest_column(s, "variant"),     manifest_column(s, "source"), manifest_column(s, "params"),
        manifest_column(s, "bytes"),       manifest_column(s, "xxh128"), manifest_column(s, "format"),
        manifest_column(s, "width"),       manifest_column(s, "height"), manifest_column(s, "orientation"),
        manifest_column(s, "frames"),      manifest_column(s, "mode"),   manifest_column(s, "pdq"),
        manifest_column(s, "pdq_quality"),
    };
    if (picture_rules_apply(&opt->rules, &o.decode, err)) return -1;
    picture_rules_text(&opt->rules, r.rules);
    o.decode.allow_truncated = opt->allow_truncated;
    o.decode.shrink_to_px = (int)opt->size;
    o.finish = finish;
    o.context = (void *)opt;
    /* This is only address space: a page takes memory when it is first written. */
    o.result_bytes = (size_t)(opt->variants + 1) * (64u << 20);
    if (o.result_bytes > (size_t)8 << 30) o.result_bytes = (size_t)8 << 30;
    o.threads = stage_threads(&opt->common);
    o.no_sandbox = opt->no_sandbox;
    struct image_rows rows = {.root = opt->common.root,
                              .allow_outside = opt->common.allow_outside,
                              .context = &r,
                              .wanted = wanted,
                              .done = done};
    if (!(r.fields = mem_zalloc(r.n_base + 1, sizeof *r.fields, err)) ||
        (opt->sheet &&
         sheet_open(&r.sheet, opt->sheet, (int)opt->variants + 1, opt->sheet_rows, opt->spec_text, err)) ||
        decode_pool_open(&pool, &o, err) || open_memory(&r, err))
        goto out;
    progress_start(&r.progress, &opt->common, 0, "pictures");
    rc = image_rows_run(&rows, &f->in, pool, err);
    progress_end(&r.progress);
    if (rc == 0 && r.n_made) rc = sync_files(opt, err);
    /* after the files are on the disk, so that every remembered file exists */
    if (rc == 0 && r.remembers && picture_memory_commit(&r.memory, &own))
        stage_warn("the next run makes these variants again: %s", own.text);
    if (rc == 0 && r.sheet) rc = sheet_commit(r.sheet, err);
    if (rc == 0)
        stage_note(&opt->common, "%llu made; variants of %llu pictures were there",
                   (unsigned long long)r.n_made, (unsigned long long)r.n_recalled);
out:
    picture_memory_close(&r.memory);
    text_release(&r.learned);
    text_release(&r.recalled);
    text_release(&r.file);
    sheet_close(r.sheet);
    decode_pool_close(pool);
    free(r.fields);
    return rc;
}
