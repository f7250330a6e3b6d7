/*
 * dedup_keepers.c: finds conflicts between labels, and chooses which of several near duplicates is kept.
 *
 * A row within --distance of a row with another label is in conflict, whatever other rows are near it. The
 * rows without a conflict are processed in the order of --keep, the best first. A row that no better row has
 * claimed is kept, and claims every unclaimed row within --distance of itself. Three things follow. A row is
 * rejected only because of a kept row within --distance of it. Any two kept rows are further apart than
 * --distance. A second run over the output changes nothing.
 */
#include "dedup/near_dedup.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

static struct keep_copy copy_of(const struct dedup *s, uint32_t row)
{
    const struct dedup_row *r = &s->rows[row];
    const struct dedup_file *f = &s->files[r->file];
    return (struct keep_copy){.against = r->flags & ROW_AGAINST,
                              .protected = r->flags & ROW_PROTECTED,
                              .no_time = f->mtime_ns == INT64_MAX,
                              .path = f->path,
                              .label = s->labels.text[r->label],
                              .mtime_ns = f->mtime_ns,
                              .pixels = r->pixels,
                              .bytes = r->bytes,
                              .id = &r->id,
                              .row = row};
}

static int compare_rank(const void *a, const void *b, void *context)
{
    const struct dedup *s = context;
    const struct keep_order order = {s->opt->keep, NULL, &s->opt->prefer_label};
    struct keep_copy x = copy_of(s, *(const uint32_t *)a), y = copy_of(s, *(const uint32_t *)b);
    return keep_compare(&order, &x, &y);
}

/* --- conflicts -------------------------------------------------------------------------------- */

/* The first two different labels among the rows of a node and of its neighbours; 0 means no label. */
struct label_pair {
    uint32_t one, two;
};

static void add_label(struct label_pair *p, uint32_t label)
{
    if (!label || label == p->one || label == p->two) return;
    if (!p->one)
        p->one = label;
    else if (!p->two)
        p->two = label;
}

static struct label_pair labels_around(const struct dedup *s, const struct label_pair *own, uint32_t node)
{
    struct label_pair p = own[node];
    for (uint32_t k = s->adjacent_start[node]; k < s->adjacent_start[node + 1] && !p.two; k++) {
        add_label(&p, own[s->adjacent[k].node].one);
        add_label(&p, own[s->adjacent[k].node].two);
    }
    return p;
}

/* Finds the best row with another label within the distance. rank: the position of each row in the order of
 * compare_rank. */
static void find_opponent(struct dedup *s, uint32_t row, const uint32_t *rank)
{
    struct dedup_row *r = &s->rows[row];
    uint32_t best = DEDUP_NONE, best_distance = 0;
    for (uint32_t k = s->node_start[r->node]; k < s->node_start[r->node + 1]; k++) {
        uint32_t other = s->node_rows[k];
        if (s->rows[other].label && s->rows[other].label != r->label &&
            (best == DEDUP_NONE || rank[other] < rank[best]))
            best = other;
    }
    for (uint32_t k = s->adjacent_start[r->node]; k < s->adjacent_start[r->node + 1]; k++)
        for (uint32_t m = s->node_start[s->adjacent[k].node]; m < s->node_start[s->adjacent[k].node + 1];
             m++) {
            uint32_t other = s->node_rows[m];
            if (s->rows[other].label && s->rows[other].label != r->label &&
                (best == DEDUP_NONE || rank[other] < rank[best])) {
                best = other;
                best_distance = s->adjacent[k].distance;
            }
        }
    r->keeper = best == DEDUP_NONE ? row : best;
    r->distance = (uint16_t)best_distance;
}

static int remove_conflicts(struct dedup *s, const uint32_t *order, size_t n, const uint32_t *rank,
                            struct error *err)
{
    struct label_pair *own = mem_zalloc(s->n_nodes + 1, sizeof *own, err);
    if (!own) return -1;
    for (size_t i = 0; i < n; i++)
        add_label(&own[s->rows[order[i]].node], s->rows[order[i]].label);
    for (size_t i = 0; i < n; i++) {
        struct dedup_row *r = &s->rows[order[i]];
        struct label_pair p = labels_around(s, own, r->node);
        if (!r->label || !p.two || (r->flags & (ROW_AGAINST | ROW_PROTECTED))) continue;
        r->flags |= ROW_REJECTED;
        r->reason = REJECT_CONFLICT;
        s->n_conflicts++;
        find_opponent(s, order[i], rank);
    }
    free(own);
    return 0;
}

/* --- stars ------------------------------------------------------------------------------------ */

static void claim(struct dedup *s, uint32_t keeper, uint32_t node, uint32_t distance, uint8_t *claimed)
{
    for (uint32_t k = s->node_start[node]; k < s->node_start[node + 1]; k++) {
        uint32_t row = s->node_rows[k];
        struct dedup_row *r = &s->rows[row];
        if (claimed[row] || row == keeper || (r->flags & (ROW_REJECTED | ROW_AGAINST | ROW_PROTECTED)))
            continue;
        claimed[row] = 1;
        uint32_t label = s->rows[keeper].label;
        r->flags |= ROW_REJECTED;
        r->reason = r->label && label && r->label != label ? REJECT_CONFLICT : REJECT_NEAR_DUPLICATE;
        r->keeper = keeper;
        r->distance = (uint16_t)distance;
        s->n_near += r->reason == REJECT_NEAR_DUPLICATE;
        s->n_conflicts += r->reason == REJECT_CONFLICT;
    }
}

static void look_at_times(struct dedup *s)
{
    struct text path = TEXT_EMPTY;
    struct error ignored;
    struct stat st;
    if (s->opt->keep != KEEP_OLDEST && s->opt->keep != KEEP_NEWEST && s->opt->keep != KEEP_LARGEST &&
        s->opt->keep != KEEP_SMALLEST)
        return;
    for (size_t i = 0; i < s->n_files; i++) {
        s->files[i].mtime_ns = INT64_MAX; /* the file cannot be read */
        if (path_join(&path, s->opt->common.root, s->files[i].path, s->opt->common.allow_outside, &ignored) ==
                0 &&
            stat(path.data, &st) == 0)
            s->files[i].mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    }
    text_release(&path);
}

int dedup_choose_keepers(struct dedup *s, struct error *err)
{
    uint32_t *order = mem_alloc((s->n_rows + 1) * sizeof *order, err), *rank = NULL;
    uint8_t *claimed = NULL;
    size_t n = 0;
    int rc = -1;
    if (!order || !(rank = mem_alloc((s->n_rows + 1) * sizeof *rank, err)) ||
        !(claimed = mem_zalloc(s->n_rows + 1, 1, err)))
        goto out;
    look_at_times(s);
    for (size_t i = 0; i < s->n_rows; i++)
        if ((s->rows[i].flags & ROW_PATH) && s->rows[i].node != DEDUP_NONE) order[n++] = (uint32_t)i;
    if (n) qsort_r(order, n, sizeof *order, compare_rank, s);
    for (size_t i = 0; i < n; i++)
        rank[order[i]] = (uint32_t)i;
    if (s->opt->on_conflict == CONFLICT_REVIEW && remove_conflicts(s, order, n, rank, err)) goto out;
    for (size_t i = 0; i < n; i++) {
        uint32_t row = order[i], node = s->rows[row].node;
        if (claimed[row] || (s->rows[row].flags & ROW_REJECTED)) continue;
        claim(s, row, node, 0, claimed);
        for (uint32_t k = s->adjacent_start[node]; k < s->adjacent_start[node + 1]; k++)
            claim(s, row, s->adjacent[k].node, s->adjacent[k].distance, claimed);
    }
    rc = 0;
out:
    free(order);
    free(rank);
    free(claimed);
    return rc;
}
