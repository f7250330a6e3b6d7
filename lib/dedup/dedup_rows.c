/*
 * dedup_rows.c: stores the rows. For rows with a near neighbour it also reads paths from the manifest and
 * sizes from the headers of the files. It writes rejected rows.
 */
#include "dedup/near_dedup.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/number.h"
#include "image/decode_pool.h"

static const char *field(const char *const *fields, int column) { return column < 0 ? "" : fields[column]; }

static uint64_t number(const char *text, uint64_t max)
{
    struct error ignored;
    uint64_t value;
    return *text && parse_u64(text, 0, max, &value, "", &ignored) == 0 ? value : 0;
}

struct dedup_columns dedup_columns_of(const struct manifest_schema *s)
{
    return (struct dedup_columns){manifest_column(s, "path"),  manifest_column(s, "label"),
                                  manifest_column(s, "bytes"), manifest_column(s, "xxh128"),
                                  manifest_column(s, "width"), manifest_column(s, "height"),
                                  manifest_column(s, "group")};
}

int dedup_add_row(struct dedup *s, const struct dedup_columns *c, const char *const *fields, bool against,
                  struct error *err)
{
    uint32_t none;
    if (s->n_rows >= DEDUP_NONE - 1) return error_set(err, EX_DATAERR, "more than 4 billion rows");
    if ((s->n_rows == 0 && names_find(&s->labels, "", &none, err)) ||
        mem_grow(&s->rows, &s->rows_capacity, s->n_rows + 1, sizeof *s->rows, err))
        return -1;
    struct dedup_row *row = &s->rows[s->n_rows];
    *row = (struct dedup_row){.node = DEDUP_NONE,
                              .file = DEDUP_NONE,
                              .keeper = (uint32_t)s->n_rows,
                              .group_in = DEDUP_NONE,
                              .group = DEDUP_NONE,
                              .flags = against ? ROW_AGAINST : 0};
    if (names_find(&s->labels, field(fields, c->label), &row->label, err) ||
        (*field(fields, c->group) && names_find(&s->groups_in, field(fields, c->group), &row->group_in, err)))
        return -1;
    row->bytes = number(field(fields, c->bytes), UINT64_MAX);
    row->pixels =
        (uint32_t)(number(field(fields, c->width), 1u << 20) * number(field(fields, c->height), 1u << 20));
    if (xxh128_from_hex(&row->id, field(fields, c->hash)) == 0)
        row->flags |= ROW_NAMED;
    else
        xxh128_of(&row->id, fields[c->path], strlen(fields[c->path]));
    s->n_rows++;
    return 0;
}

int dedup_add_failure(struct dedup *s, const char *slug, const char *detail, struct error *err)
{
    struct dedup_row *row = &s->rows[s->n_rows - 1];
    if (mem_grow(&s->failures, &s->failures_capacity, s->n_failures + 1, sizeof *s->failures, err)) return -1;
    struct dedup_failure *f = &s->failures[s->n_failures];
    *f = (struct dedup_failure){.row = (uint32_t)(s->n_rows - 1), .slug = slug};
    if (!(f->detail = arena_strdup(&s->arena, detail, err))) return -1;
    s->n_failures++;
    row->flags |= ROW_REJECTED;
    row->reason = REJECT_UNREADABLE;
    return 0;
}

int dedup_block_row(struct dedup *s, uint32_t row, uint32_t distance, const char *algorithm,
                    const char *digest, struct error *err)
{
    struct dedup_row *r = &s->rows[row];
    if (r->flags & ROW_AGAINST) { /* rows of the older manifest are counted, but not rejected */
        s->n_blocked_against += !(r->flags & ROW_LISTED);
        r->flags |= ROW_LISTED;
        return 0;
    }
    if (r->flags & ROW_LISTED) {
        if (distance < r->distance) r->distance = (uint16_t)distance;
        return 0;
    }
    if (mem_grow(&s->blocked, &s->blocked_capacity, s->n_blocked + 1, sizeof *s->blocked, err)) return -1;
    struct dedup_blocked *b = &s->blocked[s->n_blocked++];
    *b = (struct dedup_blocked){.row = row, .algorithm = algorithm};
    snprintf(b->digest, sizeof b->digest, "%s", digest);
    r->flags |= ROW_REJECTED | ROW_LISTED;
    r->reason = REJECT_BLOCKED;
    r->distance = (uint16_t)distance;
    return 0;
}

static int by_row(const void *a, const void *b)
{
    const struct dedup_blocked *x = a, *y = b;
    return (x->row > y->row) - (x->row < y->row);
}

void dedup_sort_blocked(struct dedup *s)
{
    if (s->n_blocked) qsort(s->blocked, s->n_blocked, sizeof *s->blocked, by_row);
}

static int take_size(struct dedup *s, struct decode_pool *pool, struct error *err)
{
    struct decoded d;
    int got = decode_pool_take(pool, &d, err);
    if (got <= 0) return got;
    struct dedup_row *r = &s->rows[(size_t)(uintptr_t)d.token];
    if (d.hashed && !r->bytes) r->bytes = d.bytes;
    if (d.reason == IMAGE_OK && !r->pixels)
        r->pixels = (uint32_t)((uint64_t)d.info.width * (uint64_t)d.info.height);
    return 1;
}

int dedup_read_sizes(struct dedup *s, struct error *err)
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
        const struct dedup_row *r = &s->rows[i];
        if (!(r->flags & ROW_PATH) || (r->flags & ROW_AGAINST) || (r->pixels && r->bytes) ||
            path_join(&path, s->opt->common.root, dedup_path(s, (uint32_t)i), s->opt->common.allow_outside,
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

static int read_paths(struct dedup *s, struct manifest_source *in, bool against, struct error *err)
{
    static const char *const required[] = {"path", NULL};
    struct manifest_reader r;
    size_t row = against ? 0 : s->n_against, end = against ? s->n_against : s->n_rows;
    int got, rc = -1;
    if (manifest_source_read(in, &r, required, err)) return -1;
    int path = manifest_column(&r.schema, "path");
    for (; (got = manifest_reader_next(&r, err)) > 0 && row < end; row++) {
        if (!(s->rows[row].flags & ROW_PATH) || s->rows[row].file != DEDUP_NONE) continue;
        if (mem_grow(&s->files, &s->files_capacity, s->n_files + 1, sizeof *s->files, err)) goto out;
        s->files[s->n_files] =
            (struct dedup_file){.path = arena_strdup(&s->arena, manifest_field(&r, path), err)};
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

int dedup_read_missing_paths(struct dedup *s, struct manifest_source *in, struct manifest_source *against,
                             struct error *err)
{
    bool missing[2] = {false, false};
    for (size_t i = 0; i < s->n_rows; i++)
        if ((s->rows[i].flags & ROW_PATH) && s->rows[i].file == DEDUP_NONE) missing[i < s->n_against] = true;
    return (missing[1] && read_paths(s, against, true, err)) || (missing[0] && read_paths(s, in, false, err))
               ? -1
               : 0;
}

int dedup_write_reject(struct dedup *s, uint32_t row, const struct dedup_failure *failure,
                       const char *const *fields, struct manifest_writer *rejects, struct text *detail,
                       struct error *err)
{
    const struct dedup_row *r = &s->rows[row];
    text_clear(detail);
    switch ((enum row_reason)r->reason) {
    case REJECT_NEAR_DUPLICATE:
        return text_printf(detail, err, "%u %s", r->distance, dedup_path(s, r->keeper)) ||
                       manifest_writer_reject(rejects, fields, "near-duplicate-of", detail->data, err)
                   ? -1
                   : 0;
    case REJECT_CONFLICT:
        return text_printf(detail, err, "%u %s: %s", r->distance, s->labels.text[s->rows[r->keeper].label],
                           dedup_path(s, r->keeper)) ||
                       manifest_writer_reject(rejects, fields, "label-conflict", detail->data, err)
                   ? -1
                   : 0;
    case REJECT_BLOCKED:
        return text_printf(detail, err, "%u %s from a listed hash", r->distance, s->unit) ||
                       manifest_writer_reject(rejects, fields, "blocklisted", detail->data, err)
                   ? -1
                   : 0;
    default:
        assert(failure); /* a row that was not decoded has its reason in the list */
        return manifest_writer_reject(rejects, fields, failure->slug, failure->detail, err);
    }
}

void dedup_mark_of(const struct dedup *s, uint32_t row, const char *own, struct dedup_mark *out)
{
    const struct dedup_row *r = &s->rows[row];
    bool near = r->flags & ROW_REJECTED;
    out->keeper = near ? dedup_path(s, r->keeper) : own;
    out->reason = !near ? "" : r->reason == REJECT_CONFLICT ? "label-conflict" : "near-duplicate-of";
    snprintf(out->distance, sizeof out->distance, "%u", near ? r->distance : 0u);
}

void dedup_warn_blocked(const struct dedup *s)
{
    if (s->n_blocked)
        stage_warn("%zu pictures matched the block list and are not in the output%s", s->n_blocked,
                   s->opt->delete_blocked
                       ? ""
                       : "; their files are still there (--delete-blocked STORE removes them)");
    if (s->n_blocked_against)
        stage_warn("%llu pictures of '%s' match the block list; run this over it, too",
                   (unsigned long long)s->n_blocked_against, s->opt->against);
}

void dedup_release(struct dedup *s)
{
    file_lock_release(&s->store_lock);
    if (s->store_fd >= 0) close(s->store_fd);
    free(s->blocked);
    names_release(&s->labels);
    free(s->rows);
    free(s->files);
    free(s->failures);
    free(s->node_start);
    free(s->node_rows);
    free(s->adjacent_start);
    free(s->adjacent);
    near_pairs_release(&s->pairs);
    names_release(&s->groups_in);
    arena_release(&s->arena);
}
