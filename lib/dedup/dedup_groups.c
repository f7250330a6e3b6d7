/*
 * dedup_groups.c: groups the pictures that a split must keep together: the connected components of all pairs
 * within --group-distance. No row is rejected because of its group. Pictures at the two ends of a long chain
 * may look different. This does no harm here, unlike in dedup_keepers.c.
 *
 * The name of a group is the smallest group name that its rows already have, or else the smallest content
 * hash of its rows. A group thus keeps its name when pictures are added to an old manifest. A picture without
 * a near neighbour forms a group by itself.
 */
#include "dedup/near_dedup.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/union_find.h"

static bool stays(const struct dedup *s, uint32_t row)
{
    return !(s->rows[row].flags & ROW_REJECTED) || s->opt->mark;
}

/* Whether row a gives its group the name, rather than row b. */
static bool names_before(const struct dedup *s, uint32_t a, uint32_t b)
{
    const struct dedup_row *x = &s->rows[a], *y = &s->rows[b];
    if ((x->group_in == DEDUP_NONE) != (y->group_in == DEDUP_NONE)) return x->group_in != DEDUP_NONE;
    if (x->group_in != DEDUP_NONE && x->group_in != y->group_in)
        return strcmp(s->groups_in.text[x->group_in], s->groups_in.text[y->group_in]) < 0;
    int c = memcmp(&x->id, &y->id, sizeof x->id);
    return c ? c < 0 : a < b;
}

/* The root of a component is always the row that gives it the name. */
static void unite(const struct dedup *s, uint32_t *parent, uint32_t a, uint32_t b)
{
    a = union_find_root(parent, a);
    b = union_find_root(parent, b);
    if (a == b) return;
    if (names_before(s, a, b))
        parent[b] = a;
    else
        parent[a] = b;
}

int dedup_group(struct dedup *s, struct error *err)
{
    uint32_t *parent = union_find_start(s->n_rows, err);
    uint32_t *first_of_node = mem_alloc((s->n_nodes + 1) * sizeof *first_of_node, err);
    uint32_t *first_of_name = mem_alloc((s->groups_in.n + 1) * sizeof *first_of_name, err);
    int rc = -1;
    if (!parent || !first_of_node || !first_of_name) goto out;
    memset(first_of_node, 0xff, s->n_nodes * sizeof *first_of_node);
    memset(first_of_name, 0xff, s->groups_in.n * sizeof *first_of_name);
    for (uint32_t i = 0; i < s->n_rows; i++) {
        const struct dedup_row *r = &s->rows[i];
        if (!stays(s, i)) continue;
        if (r->node != DEDUP_NONE && s->opt->group_distance >= 0) {
            if (first_of_node[r->node] == DEDUP_NONE)
                first_of_node[r->node] = i;
            else
                unite(s, parent, first_of_node[r->node], i);
        }
        if (r->group_in != DEDUP_NONE) {
            if (first_of_name[r->group_in] == DEDUP_NONE)
                first_of_name[r->group_in] = i;
            else
                unite(s, parent, first_of_name[r->group_in], i);
        }
    }
    for (size_t i = 0; i < s->pairs.n; i++) {
        const struct near_pair *p = &s->pairs.pairs[i];
        if ((int64_t)p->distance <= s->opt->group_distance && first_of_node[p->a] != DEDUP_NONE &&
            first_of_node[p->b] != DEDUP_NONE)
            unite(s, parent, first_of_node[p->a], first_of_node[p->b]);
    }
    for (uint32_t i = 0; i < s->n_rows; i++)
        s->rows[i].group = union_find_root(parent, i);
    rc = 0;
out:
    free(parent);
    free(first_of_node);
    free(first_of_name);
    return rc;
}

const char *dedup_group_name(const struct dedup *s, uint32_t row, char out[XXH128_HEX_BYTES])
{
    const struct dedup_row *r = &s->rows[s->rows[row].group];
    if (r->group_in != DEDUP_NONE) return s->groups_in.text[r->group_in];
    xxh128_hex(out, &r->id);
    return out;
}
