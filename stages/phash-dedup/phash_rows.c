/*
 * phash_rows.c: makes hashes from manifest rows and pictures. A row that already has a pdq of the wanted
 * family is not decoded. The other pictures go through the sandboxed decode pool and are hashed there, so
 * that some 300 bytes come back for each.
 */
#include "phash_dedup.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "image/image_rows.h"
#include "image/pdq_finish.h"

static int open_pool(struct decode_pool **pool, struct pdq_wanted *wanted, const struct phash_options *opt,
                     struct error *err)
{
    struct decode_pool_options o = DECODE_POOL_DEFAULTS;
    *wanted = (struct pdq_wanted){opt->family, opt->dihedral ? PDQ_DIHEDRALS : 1};
    pdq_finish_set(&o, wanted);
    o.decode.no_orient = opt->no_orient;
    o.decode.allow_truncated = opt->allow_truncated;
    o.threads = stage_threads(&opt->common);
    return decode_pool_open(pool, &o, err);
}

/* --- hash only -------------------------------------------------------------------------------- */

struct hash_only {
    struct phash_dedup *s;
    struct manifest_writer *out, *rejects;
    struct stage_counts *n;
};

static int hash_only_row(void *context, const char *const *fields, const struct decoded *d, struct error *err)
{
    struct hash_only *h = context;
    struct pdq_found a;
    char hex[PDQ_HEX_BYTES], quality[8];
    h->n->n_read++;
    progress_update(&h->s->progress, h->n->n_read, NULL);
    if (!pdq_finish_take(d, &a)) {
        h->n->n_rejected++;
        return manifest_writer_reject(h->rejects, fields, d->slug ? d->slug : "decode-crashed", d->detail,
                                      err);
    }
    pdq_to_hex(hex, &a.hashes[0]);
    snprintf(quality, sizeof quality, "%d", a.quality);
    const char *const added[] = {hex, quality, pdq_family_name(h->s->opt->family)};
    h->n->n_kept++;
    return manifest_writer_row(h->out, fields, added, err);
}

int phash_hash_only(struct phash_dedup *s, struct manifest_source *in, struct manifest_writer *out,
                    struct manifest_writer *rejects, struct stage_counts *n, struct error *err)
{
    struct hash_only h = {.s = s, .out = out, .rejects = rejects, .n = n};
    struct image_rows rows = {.root = s->opt->common.root,
                              .allow_outside = s->opt->common.allow_outside,
                              .context = &h,
                              .done = hash_only_row};
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    struct decode_pool *pool = NULL;
    struct pdq_wanted hashing;
    int rc = -1;
    if (open_pool(&pool, &hashing, s->opt, err) || manifest_source_read(in, &r, NULL, err)) goto out;
    progress_start(&s->progress, &s->opt->common, 0, "pictures");
    rc = image_rows_run(&rows, &r, pool, err);
    progress_end(&s->progress);
out:
    manifest_reader_close(&r);
    decode_pool_close(pool);
    return rc;
}

/* --- all rows --------------------------------------------------------------------------------- */

struct reading {
    struct phash_dedup *s;
    bool against;
    int path, label, bytes, hash, pdq, quality, family, width, height, group;
    struct manifest_reader *r;
};

static const char *field(const char *const *fields, int column) { return column < 0 ? "" : fields[column]; }

static uint64_t number(const char *text, uint64_t max)
{
    struct error ignored;
    uint64_t value;
    return *text && parse_u64(text, 0, max, &value, "", &ignored) == 0 ? value : 0;
}

/* Whether the row has a pdq of the wanted family. A column pdq without the column pdq_family is believed. */
static bool usable_pdq(const struct reading *g, const char *const *fields)
{
    const char *family = field(fields, g->family);
    /* Without xxh128 nothing would prove that the file is the one that was hashed. */
    if (g->s->opt->delete_blocked && !*field(fields, g->hash)) return false;
    return *field(fields, g->pdq) && *field(fields, g->quality) && !g->s->opt->dihedral &&
           (!*family || !strcmp(family, pdq_family_name(g->s->opt->family)));
}

static bool row_wanted(void *context, const char *const *fields)
{
    const struct reading *g = context;
    struct xxh128 id;
    if (g->against || usable_pdq(g, fields)) return false;
    return !g->s->opt->index || xxh128_from_hex(&id, field(fields, g->hash)) || !phash_index_find(g->s, &id);
}

static int add_failure(struct phash_dedup *s, const char *slug, const char *detail, struct error *err)
{
    if (mem_grow(&s->failures, &s->failures_capacity, s->n_failures + 1, sizeof *s->failures, err)) return -1;
    struct failure *f = &s->failures[s->n_failures];
    *f = (struct failure){.row = (uint32_t)s->n_rows, .slug = slug};
    if (!(f->detail = arena_strdup(&s->arena, detail, err))) return -1;
    s->n_failures++;
    s->rows[s->n_rows].flags |= ROW_REJECTED;
    s->rows[s->n_rows].reason = REJECT_UNREADABLE;
    return 0;
}

static int take_row(void *context, const char *const *fields, const struct decoded *d, struct error *err)
{
    struct reading *g = context;
    struct phash_dedup *s = g->s;
    struct pdq_found a;
    if (s->n_rows >= NONE - 1) return error_set(err, EX_DATAERR, "more than 4 billion rows");
    if (mem_grow(&s->rows, &s->rows_capacity, s->n_rows + 1, sizeof *s->rows, err) ||
        (s->opt->dihedral &&
         mem_grow(&s->turned, &s->turned_capacity, s->n_rows + 1, sizeof *s->turned, err)))
        return -1;
    struct row *row = &s->rows[s->n_rows];
    *row = (struct row){.node = NONE,
                        .file = NONE,
                        .keeper = (uint32_t)s->n_rows,
                        .group_in = NONE,
                        .group = NONE,
                        .flags = g->against ? ROW_AGAINST : 0};
    if (names_find(&s->labels, field(fields, g->label), &row->label, err) ||
        (*field(fields, g->group) && names_find(&s->groups_in, field(fields, g->group), &row->group_in, err)))
        return -1;
    row->bytes = number(field(fields, g->bytes), UINT64_MAX);
    row->pixels =
        (uint32_t)(number(field(fields, g->width), 1u << 20) * number(field(fields, g->height), 1u << 20));
    if (xxh128_from_hex(&row->id, field(fields, g->hash)) == 0)
        row->flags |= ROW_NAMED;
    else
        xxh128_of(&row->id, fields[g->path], strlen(fields[g->path]));
    if (d) {
        if (d->hashed && !(row->flags & ROW_NAMED) && xxh128_from_hex(&row->id, d->xxh128) == 0)
            row->flags |= ROW_NAMED;
        if (d->hashed) row->bytes = d->bytes;
        if (!pdq_finish_take(d, &a)) {
            if (add_failure(s, d->slug ? d->slug : "decode-crashed", d->detail, err)) return -1;
        } else {
            row->pdq = a.hashes[0];
            row->quality = (uint8_t)a.quality;
            row->pixels = a.pixels;
            row->flags |= ROW_HASHED | ROW_TURNED;
            if (s->opt->dihedral) memcpy(s->turned[s->n_rows], a.hashes + 1, sizeof *s->turned);
            s->n_decoded++;
            if (s->opt->index && (row->flags & ROW_NAMED) && phash_index_add(s, (uint32_t)s->n_rows, err))
                return -1;
        }
    } else if (!g->against && !usable_pdq(g, fields)) {
        const struct pdq_index_entry *e = phash_index_find(s, &row->id);
        row->pdq = e->pdq;
        row->quality = e->quality;
        row->pixels = e->pixels;
        row->flags |= ROW_HASHED | ROW_TURNED;
        if (s->opt->dihedral) memcpy(s->turned[s->n_rows], e->turned, sizeof *s->turned);
        s->n_reused++;
    } else {
        if (pdq_from_hex(&row->pdq, field(fields, g->pdq))) {
            if (!g->against && add_failure(s, "bad-hash", "pdq is not 64 hexadecimal digits", err)) return -1;
        } else {
            row->quality = *field(fields, g->quality) ? (uint8_t)number(field(fields, g->quality), 100) : 100;
            row->flags |= ROW_HASHED; /* with --dihedral only of --against: it takes part unturned */
            s->n_reused++;
        }
    }
    s->n_rows++;
    progress_update(&s->progress, s->n_rows, NULL);
    return 0;
}

int phash_read_rows(struct phash_dedup *s, struct manifest_source *in, bool against, struct error *err)
{
    static const char *const required[] = {"path", NULL}, *const required_old[] = {"path", "pdq", NULL};
    struct reading g = {.s = s, .against = against};
    struct image_rows rows = {.root = s->opt->common.root,
                              .allow_outside = s->opt->common.allow_outside,
                              .context = &g,
                              .wanted = row_wanted,
                              .done = take_row};
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    struct decode_pool *pool = NULL;
    struct pdq_wanted hashing;
    uint32_t none;
    int rc = -1;
    if (open_pool(&pool, &hashing, s->opt, err) || names_find(&s->labels, "", &none, err) ||
        manifest_source_read(in, &r, against ? required_old : required, err))
        goto out;
    g.path = manifest_column(&r.schema, "path");
    g.label = manifest_column(&r.schema, "label");
    g.bytes = manifest_column(&r.schema, "bytes");
    g.hash = manifest_column(&r.schema, "xxh128");
    g.pdq = manifest_column(&r.schema, "pdq");
    g.quality = manifest_column(&r.schema, "pdq_quality");
    g.family = manifest_column(&r.schema, "pdq_family");
    g.width = manifest_column(&r.schema, "width");
    g.height = manifest_column(&r.schema, "height");
    g.group = manifest_column(&r.schema, "group");
    progress_start(&s->progress, &s->opt->common, 0, "pictures");
    rc = image_rows_run(&rows, &r, pool, err);
    progress_end(&s->progress);
    if (against) s->n_against = s->n_rows;
out:
    manifest_reader_close(&r);
    decode_pool_close(pool);
    return rc;
}

static int take_size(struct phash_dedup *s, struct decode_pool *pool, struct error *err)
{
    struct decoded d;
    int got = decode_pool_take(pool, &d, err);
    if (got <= 0) return got;
    struct row *r = &s->rows[(size_t)(uintptr_t)d.token];
    if (d.hashed && !r->bytes) r->bytes = d.bytes;
    if (d.reason == IMAGE_OK && !r->pixels)
        r->pixels = (uint32_t)((uint64_t)d.info.width * (uint64_t)d.info.height);
    return 1;
}

int phash_read_sizes(struct phash_dedup *s, struct error *err)
{
    struct decode_pool_options o = DECODE_POOL_DEFAULTS;
    struct decode_pool *pool = NULL;
    struct text path = TEXT_EMPTY;
    struct error ignored;
    int rc = -1, got;
    if (s->opt->keep != KEEP_LARGEST && s->opt->keep != KEEP_SMALLEST) return 0;
    o.probe_only = true;
    o.threads = stage_threads(&s->opt->common);
    for (size_t i = 0; i < s->n_rows; i++) {
        const struct row *r = &s->rows[i];
        if (!(r->flags & ROW_PATH) || (r->flags & ROW_AGAINST) || (r->pixels && r->bytes) ||
            path_join(&path, s->opt->common.root, phash_path(s, (uint32_t)i), s->opt->common.allow_outside,
                      &ignored) ||
            !io_exists(path.data))
            continue;
        if (!pool && decode_pool_open(&pool, &o, err)) goto out;
        while (decode_pool_full(pool))
            if (take_size(s, pool, err) < 0) goto out;
        if (decode_pool_submit(pool, path.data, (void *)(uintptr_t)i, err)) goto out;
    }
    while (pool && (got = take_size(s, pool, err)) != 0)
        if (got < 0) goto out;
    rc = 0;
out:
    text_release(&path);
    decode_pool_close(pool);
    return rc;
}

int phash_read_paths(struct phash_dedup *s, struct manifest_source *in, bool against, struct error *err)
{
    static const char *const required[] = {"path", NULL};
    struct manifest_reader r;
    size_t row = against ? 0 : s->n_against, end = against ? s->n_against : s->n_rows;
    int got, rc = -1;
    if (manifest_source_read(in, &r, required, err)) return -1;
    int path = manifest_column(&r.schema, "path");
    for (; (got = manifest_reader_next(&r, err)) > 0 && row < end; row++) {
        if (!(s->rows[row].flags & ROW_PATH) || s->rows[row].file != NONE) continue;
        if (mem_grow(&s->files, &s->files_capacity, s->n_files + 1, sizeof *s->files, err)) goto out;
        s->files[s->n_files] = (struct file){.path = arena_strdup(&s->arena, manifest_field(&r, path), err)};
        if (!s->files[s->n_files].path) goto out;
        s->rows[row].file = (uint32_t)s->n_files++;
    }
    if (got < 0) goto out;
    rc = got || row != end ? error_set(err, EX_DATAERR, "'%s' was written to while it was read", in->name)
                           : manifest_source_check(in, err);
out:
    manifest_reader_close(&r);
    return rc;
}
