/* hash_keepers.c: forms groups of rows with equal hashes. One row of each group is kept, or none when
 * the labels of the group differ. */
#include "hash_dedup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static int compare_hashes(const void *a, const void *b, void *context)
{
    const struct dedup *d = context;
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    int c = memcmp(&d->rows[i].hash, &d->rows[j].hash, sizeof d->rows[i].hash);
    return c ? c : (i > j) - (i < j);
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static bool equal_hash(const struct dedup *d, uint32_t i, uint32_t j)
{
    return memcmp(&d->rows[i].hash, &d->rows[j].hash, sizeof d->rows[0].hash) == 0;
}

static int add_group(struct dedup *d, const uint32_t *rows, size_t n, struct error *err)
{
    if (mem_grow(&d->members, &d->members_capacity, d->n_members + n, sizeof *d->members, err) ||
        mem_grow(&d->groups, &d->groups_capacity, d->n_groups + 1, sizeof *d->groups, err))
        return -1;
    d->groups[d->n_groups++] = (struct group){(uint32_t)d->n_members, (uint32_t)n};
    for (size_t i = 0; i < n; i++) {
        d->members[d->n_members++] = rows[i];
        d->rows[rows[i]].flags |= ROW_GROUPED;
    }
    return 0;
}

/* Groups the rows of one bucket, whose hashes have the same first 32 bits. Usually this is a single row. */
static int group_run(struct dedup *d, const uint64_t *keys, size_t n, struct error *err)
{
    uint32_t few[64], *rows = n <= 64 ? few : mem_alloc(n * sizeof *rows, err);
    int rc = rows ? 0 : -1;
    for (size_t i = 0; i < n && rows; i++)
        rows[i] = (uint32_t)keys[i];
    if (rows) qsort_r(rows, n, sizeof *rows, compare_hashes, d);
    for (size_t i = 0, end; i < n && rc == 0; i = end) {
        for (end = i + 1; end < n && equal_hash(d, rows[i], rows[end]); end++)
            ;
        if (end - i > 1) rc = add_group(d, rows + i, end - i, err);
    }
    if (rows != few) free(rows);
    return rc;
}

/*
 * Puts the first 32 bits of every hash, with the number of its row, into 65536 buckets, and sorts each
 * bucket. This takes 8 bytes for each row and reads the rows once in the order of memory. A comparison sort
 * of all rows would mostly wait for memory.
 */
int dedup_group(struct dedup *d, struct error *err)
{
    size_t *start = mem_zalloc(65537, sizeof *start, err), n = 0;
    uint64_t *keys = NULL;
    int rc = -1;
    if (!start) return -1;
    for (size_t i = 0; i < d->n_rows; i++)
        if ((d->rows[i].flags & (ROW_HASHED | ROW_REJECTED)) == ROW_HASHED)
            start[d->rows[i].hash.bytes[0] << 8 | d->rows[i].hash.bytes[1]]++;
    for (size_t v = 0; v < 65536; v++) {
        size_t count = start[v];
        start[v] = n;
        n += count;
    }
    if (!(keys = mem_alloc((n + 1) * sizeof *keys, err))) goto out;
    for (size_t i = 0; i < d->n_rows; i++) {
        const uint8_t *h = d->rows[i].hash.bytes;
        if ((d->rows[i].flags & (ROW_HASHED | ROW_REJECTED)) == ROW_HASHED)
            keys[start[h[0] << 8 | h[1]]++] =
                (uint64_t)h[0] << 56 | (uint64_t)h[1] << 48 | (uint64_t)h[2] << 40 | (uint64_t)h[3] << 32 | i;
    }
    /* Each start now points past its bucket. */
    for (size_t v = 0, begin = 0; v < 65536; begin = start[v++]) {
        if (start[v] - begin > 1) qsort(keys + begin, start[v] - begin, sizeof *keys, compare_u64);
        for (size_t i = begin, end; i < start[v]; i = end) {
            for (end = i + 1; end < start[v] && keys[i] >> 32 == keys[end] >> 32; end++)
                ;
            if (end - i > 1 && group_run(d, keys + i, end - i, err)) goto out;
        }
    }
    rc = 0;
out:
    free(start);
    free(keys);
    return rc;
}

static bool wants_times(const struct dedup *d)
{
    return d->opt->keep == KEEP_OLDEST || d->opt->keep == KEEP_NEWEST;
}

static struct keep_copy copy_of(const struct dedup *d, uint32_t row)
{
    const struct row *r = &d->rows[row];
    const struct file *f = dedup_file(d, row);
    return (struct keep_copy){.against = r->flags & ROW_AGAINST,
                              .link = f->link,
                              .no_time = f->error_number != 0,
                              .path = dedup_path(d, row),
                              .label = d->labels.text[r->label],
                              .mtime_ns = wants_times(d) ? f->mtime_ns : 0,
                              .bytes = r->bytes,
                              .row = row};
}

static int compare_rank(const void *a, const void *b, void *context)
{
    const struct dedup *d = context;
    const struct keep_order order = {d->opt->keep, &d->opt->prefer, &d->opt->prefer_label};
    struct keep_copy x = copy_of(d, *(const uint32_t *)a), y = copy_of(d, *(const uint32_t *)b);
    return keep_compare(&order, &x, &y);
}

static void reject(struct row *r, enum row_reason reason, uint32_t keeper)
{
    r->flags |= ROW_REJECTED;
    r->reason = (uint8_t)reason;
    r->keeper = keeper;
}

static enum row_reason how_equal(const struct dedup *d, uint32_t row, uint32_t keeper)
{
    const struct file *f = dedup_file(d, row), *g = dedup_file(d, keeper);
    if (!strcmp(dedup_path(d, row), dedup_path(d, keeper))) return REJECT_SAME_ROW;
    return f->seen && g->seen && !f->error_number && !g->error_number && f->dev == g->dev && f->ino == g->ino
               ? REJECT_SAME_FILE
               : REJECT_DUPLICATE;
}

/* members: n rows with equal bytes, the best first. */
static void choose_keeper(struct dedup *d, uint32_t *members, size_t n)
{
    uint32_t keeper = members[0], first_label = 0, other = 0;
    bool conflict = false;
    for (size_t i = 0; i < n; i++) {
        uint32_t label = d->rows[members[i]].label;
        if (label && !first_label)
            first_label = label;
        else if (label && label != first_label && !conflict) {
            conflict = true;
            other = members[i];
        }
    }
    bool all_leave = conflict && d->opt->on_conflict != CONFLICT_KEEP_FIRST;
    d->n_conflicts += conflict;
    for (size_t i = 0; i < n; i++) {
        struct row *r = &d->rows[members[i]];
        if (r->flags & ROW_AGAINST) continue;
        /* The detail of a conflict names the best row that has another label. */
        uint32_t shown = r->label == first_label || !r->label ? other : members[0];
        for (size_t k = 0; conflict && shown == members[0] && k < n; k++)
            if (d->rows[members[k]].label == first_label) {
                shown = members[k];
                break;
            }
        if (all_leave)
            reject(r, REJECT_CONFLICT, shown);
        else if (members[i] != keeper && conflict && r->label && r->label != d->rows[keeper].label)
            reject(r, REJECT_CONFLICT, keeper);
        else if (members[i] != keeper)
            reject(r, how_equal(d, members[i], keeper), keeper);
        d->n_duplicates += (r->flags & ROW_REJECTED) != 0;
    }
}

int dedup_choose_keepers(struct dedup *d, struct error *err)
{
    for (size_t i = 0; i < d->n_files && wants_times(d); i++)
        if (!d->files[i].seen && (d->rows[d->files[i].row].flags & ROW_GROUPED))
            dedup_look_at(d, &d->files[i], &d->rows[d->files[i].row]);
    for (size_t g = 0; g < d->n_groups; g++) {
        uint32_t *members = d->members + d->groups[g].begin;
        qsort_r(members, d->groups[g].n, sizeof *members, compare_rank, d);
        choose_keeper(d, members, d->groups[g].n);
    }
    return 0;
}
