/*
 * decide.c: rows with equal hashes become groups; of each group one row stays, or none where its labels disagree.
 */
#include "dedup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const struct dedup *sorting;

static int compare_hashes(const void *a, const void *b)
{
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    int c = memcmp(&sorting->rows[i].hash, &sorting->rows[j].hash, sizeof sorting->rows[i].hash);
    return c ? c : (i > j) - (i < j);
}

static uint32_t hash_digit(const struct row *r, int at)
{
    return (uint32_t)r->hash.bytes[at] << 8 | r->hash.bytes[at + 1];
}

/*
 * Two passes of counting by 16 bits put ten million rows in order of their leading 32 bits; what is left, runs of some equal
 * leading bits, is sorted in full. No comparison sort over everything: its cache misses would be the whole run time.
 */
static int sort_by_hash(struct dedup *d, struct error *err)
{
    uint32_t *other = mem_alloc((d->n_order + 1) * sizeof *other, err);
    size_t *count = mem_alloc(65537 * sizeof *count, err);
    if (!other || !count) {
        free(other);
        free(count);
        return -1;
    }
    for (int at = 2; at >= 0; at -= 2) {
        memset(count, 0, 65537 * sizeof *count);
        for (size_t i = 0; i < d->n_order; i++)
            count[hash_digit(&d->rows[d->order[i]], at) + 1]++;
        for (size_t i = 1; i <= 65536; i++)
            count[i] += count[i - 1];
        for (size_t i = 0; i < d->n_order; i++)
            other[count[hash_digit(&d->rows[d->order[i]], at)]++] = d->order[i];
        uint32_t *t = d->order;
        d->order = other;
        other = t;
    }
    sorting = d;
    for (size_t i = 0, end; i < d->n_order; i = end) {
        for (end = i + 1; end < d->n_order && !memcmp(&d->rows[d->order[i]].hash, &d->rows[d->order[end]].hash, 4); end++)
            ;
        if (end - i > 1)
            qsort(d->order + i, end - i, sizeof *d->order, compare_hashes);
    }
    free(other);
    free(count);
    return 0;
}

static bool equal_hash(const struct dedup *d, size_t i, size_t j)
{
    return memcmp(&d->rows[d->order[i]].hash, &d->rows[d->order[j]].hash, sizeof d->rows[0].hash) == 0;
}

int dedup_group(struct dedup *d, struct error *err)
{
    if (!(d->order = mem_alloc((d->n_rows + 1) * sizeof *d->order, err)))
        return -1;
    for (size_t i = 0; i < d->n_rows; i++)
        if ((d->rows[i].flags & (ROW_HASHED | ROW_LEAVES)) == ROW_HASHED)
            d->order[d->n_order++] = (uint32_t)i;
    if (sort_by_hash(d, err))
        return -1;
    for (size_t i = 0; i < d->n_order; i++)
        if ((i && equal_hash(d, i, i - 1)) || (i + 1 < d->n_order && equal_hash(d, i, i + 1)))
            d->rows[d->order[i]].flags |= ROW_GROUPED;
    return 0;
}

/* Index of the first entry that fits (a path prefix, or an equal label), or their number when none does. */
static size_t preference(const struct option_strings *list, const char *value, bool prefix)
{
    size_t i = 0;
    for (; i < list->n; i++)
        if (prefix ? strncmp(value, list->items[i], strlen(list->items[i])) == 0 : strcmp(value, list->items[i]) == 0)
            break;
    return i;
}

#define COMPARE(a, b) do { if ((a) != (b)) return (a) < (b) ? -1 : 1; } while (0)

/* Who stays: smaller is better. A total order that ends at the row's number, so the answer depends on nothing else. */
static int compare_rank(const void *a, const void *b)
{
    const struct dedup *d = sorting;
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    const struct row *x = &d->rows[i], *y = &d->rows[j];
    const struct file *f = &d->files[x->file], *g = &d->files[y->file];
    COMPARE(!(x->flags & ROW_AGAINST), !(y->flags & ROW_AGAINST));
    COMPARE(f->link, g->link);          /* a link is never kept in place of its target */
    size_t px = preference(&d->opt->prefer, f->path, true), py = preference(&d->opt->prefer, g->path, true);
    COMPARE(px, py);
    size_t lx = preference(&d->opt->prefer_label, d->labels[x->label], false);
    size_t ly = preference(&d->opt->prefer_label, d->labels[y->label], false);
    COMPARE(lx, ly);
    COMPARE(x->label == 0, y->label == 0);      /* a labelled copy says more than one without */
    size_t nf = strlen(f->path), ng = strlen(g->path);
    switch ((enum keep_rule)d->opt->keep) {
    case KEEP_FIRST: COMPARE(i, j); break;
    case KEEP_LAST: COMPARE(j, i); break;
    case KEEP_OLDEST: case KEEP_NEWEST:
        COMPARE(f->error_number != 0, g->error_number != 0);
        if (f->mtime_ns != g->mtime_ns)
            return (f->mtime_ns < g->mtime_ns) == (d->opt->keep == KEEP_OLDEST) ? -1 : 1;
        break;
    case KEEP_SHORTEST_PATH: COMPARE(nf, ng); break;
    case KEEP_LONGEST_PATH: COMPARE(ng, nf); break;
    case KEEP_LARGEST: COMPARE(y->bytes, x->bytes); break;      /* equal by nature; here for pipelines that say it */
    case KEEP_PATH: break;
    }
    int c = strcmp(f->path, g->path);
    return c ? c : (i > j) - (i < j);
}

static void leave(struct row *r, enum row_reason reason, uint32_t keeper)
{
    r->flags |= ROW_LEAVES;
    r->reason = (uint8_t)reason;
    r->keeper = keeper;
}

static enum row_reason how_equal(const struct dedup *d, uint32_t row, uint32_t keeper)
{
    const struct file *f = &d->files[d->rows[row].file], *g = &d->files[d->rows[keeper].file];
    if (!strcmp(f->path, g->path))
        return LEAVES_SAME_ROW;
    return f->seen && g->seen && !f->error_number && !g->error_number && f->dev == g->dev && f->ino == g->ino
        ? LEAVES_SAME_FILE : LEAVES_DUPLICATE;
}

/* members: n rows with equal bytes, best first. */
static void judge_group(struct dedup *d, uint32_t *members, size_t n)
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
    d->n_groups++;
    d->n_conflicts += conflict;
    for (size_t i = 0; i < n; i++) {
        struct row *r = &d->rows[members[i]];
        if (r->flags & ROW_AGAINST)
            continue;
        /* A conflict is told by the best row that has another label. */
        uint32_t told = r->label == first_label || !r->label ? other : members[0];
        for (size_t k = 0; conflict && told == members[0] && k < n; k++)
            if (d->rows[members[k]].label == first_label) {
                told = members[k];
                break;
            }
        if (all_leave)
            leave(r, LEAVES_CONFLICT, told);
        else if (members[i] != keeper && conflict && r->label && r->label != d->rows[keeper].label)
            leave(r, LEAVES_CONFLICT, keeper);
        else if (members[i] != keeper)
            leave(r, how_equal(d, members[i], keeper), keeper);
        d->n_duplicates += (r->flags & ROW_LEAVES) != 0;
    }
}

int dedup_judge(struct dedup *d, struct error *err)
{
    bool times = d->opt->keep == KEEP_OLDEST || d->opt->keep == KEEP_NEWEST;
    for (size_t i = 0; i < d->n_files && times; i++)
        if (!d->files[i].seen && (d->rows[d->files[i].row].flags & ROW_GROUPED))
            dedup_look_at(d, &d->files[i], &d->rows[d->files[i].row]);
    for (size_t i = 0, end; i < d->n_order; i = end) {
        for (end = i + 1; end < d->n_order && equal_hash(d, i, end); end++)
            ;
        if (end - i < 2)
            continue;
        sorting = d;
        qsort(d->order + i, end - i, sizeof *d->order, compare_rank);
        judge_group(d, d->order + i, end - i);
    }
    return 0;
}
