/*
 * phash_rows.c: finds the hash of each row of a manifest. When the row already has a pdq of the wanted
 * family, or --index has the hash of its picture, the picture is not decoded. The other pictures go through
 * the sandboxed decode pool; the workers hash them, and return only some 300 bytes for each.
 */
#include "phash_dedup.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "image/image_rows.h"
#include "image/pdq_finish.h"

/* Opens a pool whose workers compute the hashes that the options ask for. *wanted describes these hashes and
 * must live as long as the pool. Returns 0, or -1 with err set. */
static int open_pool(struct decode_pool **pool, struct pdq_wanted *wanted, const struct phash_options *opt,
                     struct error *err)
{
    struct decode_pool_options o = DECODE_POOL_DEFAULTS;
    *wanted = (struct pdq_wanted){opt->family, opt->dihedral ? PDQ_DIHEDRALS : 1, false};
    pdq_finish_set(&o, wanted);
    if (picture_rules_apply(&opt->rules, &o.decode, err)) return -1;
    o.decode.allow_truncated = opt->allow_truncated;
    o.threads = stage_threads(&opt->dedup.common);
    return decode_pool_open(pool, &o, err);
}

/* --- hash only -------------------------------------------------------------------------------- */

struct hash_only {
    struct phash_dedup *s;
    struct dedup_files *f;
    struct stage_counts *n;
};

/* Writes one row with its hash, or rejects it when its picture has none. */
static int hash_only_row(void *context, const char *const *fields, const struct decoded *d, struct error *err)
{
    struct hash_only *h = context;
    struct pdq_found a;
    char hex[PDQ_HEX_BYTES], quality[8];
    h->n->n_read++;
    progress_update(&h->s->d.progress, h->n->n_read, NULL);
    if (!pdq_finish_take(d, &a)) {
        h->n->n_rejected++;
        return manifest_writer_reject(&h->f->rejects, fields, d->slug ? d->slug : "decode-crashed", d->detail,
                                      err);
    }
    pdq_to_hex(hex, &a.hashes[0]);
    snprintf(quality, sizeof quality, "%d", a.quality);
    const char *const added[] = {hex, quality, pdq_family_name(h->s->opt->family)};
    h->n->n_kept++;
    return manifest_writer_row(&h->f->out, fields, added, err);
}

int phash_hash_only(struct phash_dedup *s, struct dedup_files *f, struct stage_counts *n, struct error *err)
{
    struct hash_only h = {.s = s, .f = f, .n = n};
    struct image_rows rows = {.root = s->opt->dedup.common.root,
                              .allow_outside = s->opt->dedup.common.allow_outside,
                              .context = &h,
                              .done = hash_only_row};
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    struct decode_pool *pool = NULL;
    struct pdq_wanted hashing;
    int rc = -1;
    if (open_pool(&pool, &hashing, s->opt, err) || manifest_source_read(&f->in, &r, NULL, err)) goto out;
    progress_start(&s->d.progress, &s->opt->dedup.common, 0, "pictures");
    rc = image_rows_run(&rows, &r, pool, err);
    progress_end(&s->d.progress);
out:
    manifest_reader_close(&r);
    decode_pool_close(pool);
    return rc;
}

/* --- all rows --------------------------------------------------------------------------------- */

struct reading {
    struct phash_dedup *s;
    bool against;                   /* the rows are those of --against */
    struct dedup_columns of_all;    /* the columns that lib/dedup reads */
    int hash, pdq, quality, family; /* columns that only phash-dedup reads, or -1 */
};

static const char *field(const char *const *fields, int column) { return column < 0 ? "" : fields[column]; }

/* Returns the number in the column pdq_quality, or 0 when it is not a number from 0 to 100. */
static uint64_t quality_of(const char *text)
{
    struct error ignored;
    uint64_t value;
    return parse_u64(text, 0, 100, &value, "", &ignored) == 0 ? value : 0;
}

/* Whether the pdq in the row can be used, so that the picture need not be decoded. It must have a quality and
 * be of the wanted family; when pdq_family is empty or missing, it is assumed to be of that family. With
 * --dihedral no pdq can be used, because a row has the hash of one orientation only. */
static bool usable_pdq(const struct reading *g, const char *const *fields)
{
    const char *family = field(fields, g->family);
    /* Without xxh128 it cannot be verified that the file is the one that was hashed. */
    if (g->s->opt->dedup.delete_blocked && !*field(fields, g->hash)) return false;
    return *field(fields, g->pdq) && *field(fields, g->quality) && !g->s->opt->dihedral &&
           (!*family || !strcmp(family, pdq_family_name(g->s->opt->family)));
}

/* Whether the picture of the row must be decoded: neither the row nor --index has its hash. Pictures of
 * --against are never decoded. */
static bool row_wanted(void *context, const char *const *fields)
{
    const struct reading *g = context;
    struct xxh128 id;
    if (g->against || usable_pdq(g, fields)) return false;
    return !g->s->opt->index || xxh128_from_hex(&id, field(fields, g->hash)) || !phash_index_find(g->s, &id);
}

/* Adds one row to s with its hash, which comes from the picture (d), from --index or from the column pdq. A
 * row without a valid hash is added, too, and is rejected; a row of --against without one is only not
 * compared. */
static int take_row(void *context, const char *const *fields, const struct decoded *d, struct error *err)
{
    struct reading *g = context;
    struct phash_dedup *s = g->s;
    struct pdq_found a;
    if (dedup_add_row(&s->d, &g->of_all, fields, g->against, err) ||
        mem_grow(&s->pdqs, &s->pdqs_capacity, s->d.n_rows, sizeof *s->pdqs, err) ||
        (s->opt->dihedral && mem_grow(&s->turned, &s->turned_capacity, s->d.n_rows, sizeof *s->turned, err)))
        return -1;
    size_t at = s->d.n_rows - 1;
    struct dedup_row *row = &s->d.rows[at];
    s->pdqs[at] = (struct pdq_hash){0};
    if (d) {
        if (d->hashed && !(row->flags & ROW_NAMED) && xxh128_from_hex(&row->id, d->xxh128) == 0)
            row->flags |= ROW_NAMED;
        if (d->hashed) row->bytes = d->bytes;
        if (!pdq_finish_take(d, &a)) {
            if (dedup_add_failure(&s->d, d->slug ? d->slug : "decode-crashed", d->detail, err)) return -1;
        } else {
            s->pdqs[at] = a.hashes[0];
            row->quality = (uint8_t)a.quality;
            row->pixels = a.pixels;
            row->flags |= ROW_HASHED | ROW_TURNED;
            if (s->opt->dihedral) memcpy(s->turned[at], a.hashes + 1, sizeof *s->turned);
            s->n_decoded++;
            if (s->opt->index && (row->flags & ROW_NAMED) && phash_index_add(s, (uint32_t)at, err)) return -1;
        }
    } else if (!g->against && !usable_pdq(g, fields)) {
        const struct pdq_index_entry *e = phash_index_find(s, &row->id);
        s->pdqs[at] = e->pdq;
        row->quality = e->quality;
        row->pixels = e->pixels;
        row->flags |= ROW_HASHED | ROW_TURNED;
        if (s->opt->dihedral) memcpy(s->turned[at], e->turned, sizeof *s->turned);
        s->n_reused++;
    } else {
        if (pdq_from_hex(&s->pdqs[at], field(fields, g->pdq))) {
            if (!g->against && dedup_add_failure(&s->d, "bad-hash", "pdq is not 64 hexadecimal digits", err))
                return -1;
        } else {
            row->quality = *field(fields, g->quality) ? (uint8_t)quality_of(field(fields, g->quality)) : 100;
            /* ROW_TURNED is not set. With --dihedral only rows of --against come here, and their other
             * orientations are not compared. */
            row->flags |= ROW_HASHED;
            s->n_reused++;
        }
    }
    progress_update(&s->d.progress, s->d.n_rows, NULL);
    return 0;
}

int phash_read_rows(struct phash_dedup *s, struct manifest_source *in, bool against, struct error *err)
{
    static const char *const required[] = {"path", NULL}, *const required_old[] = {"path", "pdq", NULL};
    struct reading g = {.s = s, .against = against};
    struct image_rows rows = {.root = s->opt->dedup.common.root,
                              .allow_outside = s->opt->dedup.common.allow_outside,
                              .context = &g,
                              .wanted = row_wanted,
                              .done = take_row};
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    struct decode_pool *pool = NULL;
    struct pdq_wanted hashing;
    uint32_t none;
    int rc = -1;
    if (open_pool(&pool, &hashing, s->opt, err) || names_find(&s->d.labels, "", &none, err) ||
        manifest_source_read(in, &r, against ? required_old : required, err))
        goto out;
    g.of_all = dedup_columns_of(&r.schema);
    g.hash = manifest_column(&r.schema, "xxh128");
    g.pdq = manifest_column(&r.schema, "pdq");
    g.quality = manifest_column(&r.schema, "pdq_quality");
    g.family = manifest_column(&r.schema, "pdq_family");
    progress_start(&s->d.progress, &s->opt->dedup.common, 0, "pictures");
    rc = image_rows_run(&rows, &r, pool, err);
    progress_end(&s->d.progress);
    if (against) s->d.n_against = s->d.n_rows;
out:
    manifest_reader_close(&r);
    decode_pool_close(pool);
    return rc;
}
