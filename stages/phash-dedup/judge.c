/*
 * judge.c: near pairs, conflicts of labels, and the stars of near duplicates.
 *
 * Rows with the same 256 bits are one node; the join runs over nodes. A row that lies within --distance of a
 * row with another label is in conflict, whatever the rest looks like. Of what remains, rows are taken best
 * first: one that nobody has claimed stays and claims every unclaimed row within --distance of itself. So a
 * row only ever leaves for a picture that it is near to itself (no chains), what stays is pairwise further
 * apart than --distance, and running it again changes nothing.
 */
#include "near.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash_index.h"
#include "base/mem.h"

static bool compared(const struct near *s, const struct row *r)
{
    return (r->flags & (ROW_HASHED | ROW_LEAVES)) == ROW_HASHED && r->quality >= s->opt->min_quality;
}

bool near_comparable(const struct near *s, uint32_t row) { return compared(s, &s->rows[row]); }

static uint64_t hash_of(const struct pdq_hash *h)
{
    return (h->word[0] ^ h->word[1] * 0x9e3779b97f4a7c15u) + (h->word[2] ^ h->word[3] * 0xc2b2ae3d27d4eb4fu);
}

static int find_node(struct near *s, struct hash_index *index, const struct pdq_hash *pdq, uint32_t *out,
                     struct error *err)
{
    uint64_t hash = hash_of(pdq);
    for (struct hash_walk w = hash_walk(index, hash); hash_walk_next(index, &w, out);)
        if (!memcmp(&s->nodes[*out], pdq, sizeof *pdq)) return 0;
    if (mem_grow(&s->nodes, &s->nodes_capacity, s->n_nodes + 1, sizeof *s->nodes, err) ||
        hash_index_add(index, hash, s->n_nodes, err))
        return -1;
    s->nodes[s->n_nodes] = *pdq;
    *out = (uint32_t)s->n_nodes++;
    return 0;
}

/* Nodes in the order of their first row, so those of --against come first. */
static int make_nodes(struct near *s, struct error *err)
{
    size_t n = 0;
    struct hash_index index = HASH_INDEX_EMPTY;
    int rc = 0;
    for (size_t i = 0; i < s->n_rows && rc == 0; i++) {
        struct row *r = &s->rows[i];
        if (i == s->n_against) s->n_first = s->n_nodes;
        if (compared(s, r)) {
            n++;
            rc = find_node(s, &index, &r->pdq, &r->node, err);
        } else {
            s->n_flat += (r->flags & ROW_HASHED) && r->quality < s->opt->min_quality;
        }
    }
    hash_index_release(&index);
    if (rc) return -1;
    if (s->n_against == s->n_rows) s->n_first = s->n_nodes;
    s->node_start = mem_zalloc(s->n_nodes + 2, sizeof *s->node_start, err);
    s->node_rows = mem_alloc((n + 1) * sizeof *s->node_rows, err);
    if (!s->node_start || !s->node_rows) return -1;
    /* Counting, two places ahead: the second loop then leaves the starts where they belong. */
    for (size_t i = 0; i < s->n_rows; i++)
        if (s->rows[i].node != NONE)
            s->node_start[s->rows[i].node + 2 <= s->n_nodes ? s->rows[i].node + 2 : s->n_nodes + 1]++;
    for (size_t i = 2; i <= s->n_nodes; i++)
        s->node_start[i] += s->node_start[i - 1];
    for (size_t i = 0; i < s->n_rows; i++)
        if (s->rows[i].node != NONE) s->node_rows[s->node_start[s->rows[i].node + 1]++] = (uint32_t)i;
    return 0;
}

static int compare_pairs(const void *a, const void *b)
{
    const struct near_pair *x = a, *y = b;
    if (x->a != y->a) return x->a < y->a ? -1 : 1;
    if (x->b != y->b) return x->b < y->b ? -1 : 1;
    return (x->distance > y->distance) - (x->distance < y->distance);
}

/*
 * Turned copies: every row's other seven hashes against all nodes. A picture and its mirror image then meet
 * from either side; the smaller distance counts.
 */
static int join_turned(struct near *s, int distance, int radius, const struct near_progress *progress,
                       struct error *err)
{
    size_t n_turned = 0, bytes;
    struct near_pairs found = NEAR_PAIRS_EMPTY;
    uint32_t *row_of = NULL;
    struct pdq_hash *all = NULL;
    int rc = -1;
    for (size_t i = 0; i < s->n_rows; i++)
        n_turned += s->rows[i].node != NONE && (s->rows[i].flags & ROW_TURNED) ? N_TURNED : 0;
    if (!size_mul(s->n_nodes + n_turned + 1, sizeof *all, &bytes) || !(all = mem_alloc(bytes, err)) ||
        !(row_of = mem_alloc((n_turned + 1) * sizeof *row_of, err)))
        goto out;
    memcpy(all, s->nodes, s->n_nodes * sizeof *all);
    n_turned = 0;
    for (size_t i = 0; i < s->n_rows; i++)
        for (int t = 0; t < N_TURNED && s->rows[i].node != NONE && (s->rows[i].flags & ROW_TURNED); t++) {
            all[s->n_nodes + n_turned] = s->turned[i][t];
            row_of[n_turned++] = (uint32_t)i;
        }
    if (near_join(all, s->n_nodes + n_turned, s->n_nodes, NEAR_FIRST_REST, distance, radius,
                  stage_threads(&s->opt->common), progress, &found, err) ||
        mem_grow(&s->pairs.pairs, &s->pairs.capacity, s->pairs.n + found.n, sizeof *s->pairs.pairs, err))
        goto out;
    for (size_t i = 0; i < found.n; i++) {
        uint32_t a = found.pairs[i].a, b = s->rows[row_of[found.pairs[i].b - s->n_nodes]].node;
        if (a != b && (a >= s->n_first || b >= s->n_first))
            s->pairs.pairs[s->pairs.n++] =
                (struct near_pair){a < b ? a : b, a < b ? b : a, found.pairs[i].distance};
    }
    if (s->pairs.n) qsort(s->pairs.pairs, s->pairs.n, sizeof *s->pairs.pairs, compare_pairs);
    size_t n = 0;
    for (size_t i = 0; i < s->pairs.n; i++) /* the nearest of a pair's several meetings comes first */
        if (n == 0 || s->pairs.pairs[n - 1].a != s->pairs.pairs[i].a ||
            s->pairs.pairs[n - 1].b != s->pairs.pairs[i].b)
            s->pairs.pairs[n++] = s->pairs.pairs[i];
    s->pairs.n = n;
    rc = 0;
out:
    near_pairs_release(&found);
    free(row_of);
    free(all);
    return rc;
}

static void tell_progress(void *context, double share)
{
    struct progress *p = context;
    progress_update(p, (uint64_t)(share * 100), NULL);
}

/* Neighbours within opt->distance of each node. */
static int make_lists(struct near *s, struct error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < s->pairs.n; i++)
        n += s->pairs.pairs[i].distance <= s->opt->distance;
    if (n > UINT32_MAX / 2 - 1)
        return error_set(err, EX_DATAERR,
                         "%zu pairs of near duplicates are more than can be held; use a smaller --distance",
                         n);
    s->adjacent_start = mem_zalloc(s->n_nodes + 2, sizeof *s->adjacent_start, err);
    s->adjacent = mem_alloc((2 * n + 1) * sizeof *s->adjacent, err);
    if (!s->adjacent_start || !s->adjacent) return -1;
    uint32_t *start = s->adjacent_start;
    for (int fill = 0; fill < 2; fill++) {
        for (size_t i = 0; i < s->pairs.n; i++) {
            const struct near_pair *p = &s->pairs.pairs[i];
            if (p->distance > s->opt->distance) continue;
            if (fill) {
                s->adjacent[start[p->a + 1]++] = (struct neighbour){p->b, p->distance};
                s->adjacent[start[p->b + 1]++] = (struct neighbour){p->a, p->distance};
            } else {
                /* One place further than the usual counting, so that filling moves the starts where they
                 * belong. */
                if (p->a + 2 <= s->n_nodes) start[p->a + 2]++;
                if (p->b + 2 <= s->n_nodes) start[p->b + 2]++;
            }
        }
        for (size_t i = 2; i <= s->n_nodes && !fill; i++)
            start[i] += start[i - 1];
    }
    return 0;
}

int near_find_pairs(struct near *s, struct error *err)
{
    struct near_progress tell = {tell_progress, &s->progress};
    int64_t distance = s->opt->group_distance > s->opt->distance && !s->opt->check_leak
                           ? s->opt->group_distance
                           : s->opt->distance;
    /* Everything within --distance is found; what lies between it and --group-distance nearly, unless
     * --exact-groups asks. */
    int radius = s->opt->exact_groups || distance == s->opt->distance
                     ? NEAR_EXACT
                     : (int)(s->opt->distance > 31 ? s->opt->distance : 31) / 16;
    if (make_nodes(s, err)) return -1;
    progress_start(&s->progress, &s->opt->common, 100, "% compared");
    /* Two old pictures near each other are no news. */
    unsigned wanted = s->n_first ? NEAR_FIRST_REST | NEAR_REST_REST : NEAR_ALL;
    if (near_join(s->nodes, s->n_nodes, s->n_first ? s->n_first : s->n_nodes, wanted, (int)distance, radius,
                  stage_threads(&s->opt->common), &tell, &s->pairs, err) ||
        (s->opt->dihedral && join_turned(s, (int)distance, radius, &tell, err)) || make_lists(s, err))
        return -1;
    progress_end(&s->progress);
    for (size_t i = 0; i < s->n_nodes; i++)
        if (s->node_start[i + 1] - s->node_start[i] > 1 || s->adjacent_start[i + 1] > s->adjacent_start[i])
            for (uint32_t k = s->node_start[i]; k < s->node_start[i + 1]; k++)
                s->rows[s->node_rows[k]].flags |= ROW_PATH;
    return 0;
}

/* --- who is better ---------------------------------------------------------------------------------------
 */

static const struct near *sorting; /* qsort's context; one sort at a time */

#define COMPARE(a, b)                                                                                        \
    do {                                                                                                     \
        if ((a) != (b)) return (a) < (b) ? -1 : 1;                                                           \
    } while (0)

static size_t label_preference(const struct near *s, uint32_t label)
{
    size_t i = 0;
    while (i < s->opt->prefer_label.n && strcmp(s->labels.text[label], s->opt->prefer_label.items[i]))
        i++;
    return i;
}

/* Smaller is better: a total order that ends in path and content, so it does not depend on the order of the
 * rows (but for --keep first). */
static int compare_rank(const void *a, const void *b)
{
    const struct near *s = sorting;
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    const struct row *x = &s->rows[i], *y = &s->rows[j];
    const struct file *f = &s->files[x->file], *g = &s->files[y->file];
    COMPARE(!(x->flags & ROW_AGAINST), !(y->flags & ROW_AGAINST));
    COMPARE(!(x->flags & ROW_PROTECTED), !(y->flags & ROW_PROTECTED));
    COMPARE(label_preference(s, x->label), label_preference(s, y->label));
    COMPARE(x->label == 0, y->label == 0);
    switch ((enum near_keep)s->opt->keep) {
    case KEEP_LARGEST:
        COMPARE(y->pixels, x->pixels);
        COMPARE(y->bytes, x->bytes);
        COMPARE(f->mtime_ns, g->mtime_ns);
        break;
    case KEEP_SMALLEST:
        COMPARE(x->pixels, y->pixels);
        COMPARE(x->bytes, y->bytes);
        COMPARE(f->mtime_ns, g->mtime_ns);
        break;
    case KEEP_OLDEST: COMPARE(f->mtime_ns, g->mtime_ns); break;
    case KEEP_NEWEST: COMPARE(g->mtime_ns, f->mtime_ns); break;
    case KEEP_FIRST: COMPARE(i, j); break;
    case KEEP_PATH: break;
    }
    int c = strcmp(f->path, g->path);
    if (c == 0) c = memcmp(&x->id, &y->id, sizeof x->id);
    return c ? c : (i > j) - (i < j);
}

/* --- conflicts -------------------------------------------------------------------------------------------
 */

/* The first two different labels among the rows of a node and of its neighbours; 0: none. */
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

static struct label_pair labels_around(const struct near *s, const struct label_pair *own, uint32_t node)
{
    struct label_pair p = own[node];
    for (uint32_t k = s->adjacent_start[node]; k < s->adjacent_start[node + 1] && !p.two; k++) {
        add_label(&p, own[s->adjacent[k].node].one);
        add_label(&p, own[s->adjacent[k].node].two);
    }
    return p;
}

/* The best row of another label within the distance. rank: place of each row in the order of compare_rank. */
static void find_opponent(struct near *s, uint32_t row, const uint32_t *rank)
{
    struct row *r = &s->rows[row];
    uint32_t best = NONE, best_distance = 0;
    for (uint32_t k = s->node_start[r->node]; k < s->node_start[r->node + 1]; k++) {
        uint32_t other = s->node_rows[k];
        if (s->rows[other].label && s->rows[other].label != r->label &&
            (best == NONE || rank[other] < rank[best]))
            best = other;
    }
    for (uint32_t k = s->adjacent_start[r->node]; k < s->adjacent_start[r->node + 1]; k++)
        for (uint32_t m = s->node_start[s->adjacent[k].node]; m < s->node_start[s->adjacent[k].node + 1];
             m++) {
            uint32_t other = s->node_rows[m];
            if (s->rows[other].label && s->rows[other].label != r->label &&
                (best == NONE || rank[other] < rank[best])) {
                best = other;
                best_distance = s->adjacent[k].distance;
            }
        }
    r->keeper = best == NONE ? row : best;
    r->distance = (uint8_t)best_distance;
}

static int remove_conflicts(struct near *s, const uint32_t *order, size_t n, const uint32_t *rank,
                            struct error *err)
{
    struct label_pair *own = mem_zalloc(s->n_nodes + 1, sizeof *own, err);
    if (!own) return -1;
    for (size_t i = 0; i < n; i++)
        add_label(&own[s->rows[order[i]].node], s->rows[order[i]].label);
    for (size_t i = 0; i < n; i++) {
        struct row *r = &s->rows[order[i]];
        struct label_pair p = labels_around(s, own, r->node);
        if (!r->label || !p.two || (r->flags & (ROW_AGAINST | ROW_PROTECTED))) continue;
        r->flags |= ROW_LEAVES;
        r->reason = LEAVES_CONFLICT;
        s->n_conflicts++;
        find_opponent(s, order[i], rank);
    }
    free(own);
    return 0;
}

/* --- stars -----------------------------------------------------------------------------------------------
 */

static void claim(struct near *s, uint32_t keeper, uint32_t node, uint32_t distance, uint8_t *claimed)
{
    for (uint32_t k = s->node_start[node]; k < s->node_start[node + 1]; k++) {
        uint32_t row = s->node_rows[k];
        struct row *r = &s->rows[row];
        if (claimed[row] || row == keeper || (r->flags & (ROW_LEAVES | ROW_AGAINST | ROW_PROTECTED)))
            continue;
        claimed[row] = 1;
        uint32_t label = s->rows[keeper].label;
        r->flags |= ROW_LEAVES;
        r->reason = r->label && label && r->label != label ? LEAVES_CONFLICT : LEAVES_NEAR;
        r->keeper = keeper;
        r->distance = (uint8_t)distance;
        s->n_near += r->reason == LEAVES_NEAR;
        s->n_conflicts += r->reason == LEAVES_CONFLICT;
    }
}

static void look_at_times(struct near *s)
{
    struct text path = TEXT_EMPTY;
    struct error ignored;
    struct stat st;
    if (s->opt->keep == KEEP_FIRST || s->opt->keep == KEEP_PATH) return;
    for (size_t i = 0; i < s->n_files; i++) {
        s->files[i].mtime_ns = INT64_MAX; /* a file that is gone is no one's elder */
        if (path_join(&path, s->opt->common.root, s->files[i].path, s->opt->common.allow_outside, &ignored) ==
                0 &&
            stat(path.data, &st) == 0)
            s->files[i].mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    }
    text_release(&path);
}

int near_judge(struct near *s, struct error *err)
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
        if ((s->rows[i].flags & ROW_PATH) && s->rows[i].node != NONE) order[n++] = (uint32_t)i;
    sorting = s;
    qsort(order, n, sizeof *order, compare_rank);
    for (size_t i = 0; i < n; i++)
        rank[order[i]] = (uint32_t)i;
    if (s->opt->on_conflict == CONFLICT_REVIEW && remove_conflicts(s, order, n, rank, err)) goto out;
    for (size_t i = 0; i < n; i++) {
        uint32_t row = order[i], node = s->rows[row].node;
        if (claimed[row] || (s->rows[row].flags & ROW_LEAVES)) continue;
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
