/*
 * likeness.c: uses the features of embed to compute the distance of each picture to its nearest neighbours,
 * and to group similar suspects. A group has only suspects with the same label and the same suggestion, so
 * that one decision can be right for all, or only pictures that are off topic.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "hash/content_hash.h"
#include "metric/sort.h"
#include "mine_errors.h"
#include "vector/vector_groups.h"

/* Several neighbours are used, so that an unusual picture is found although it has a few copies. */
#define NEIGHBOURS 5

static int find_vectors(struct likeness *l, const struct mine_options *o, const struct predictions *p,
                        struct error *err)
{
    size_t n_found = 0;
    if (!(l->vector = mem_alloc((p->n_rows + 1) * sizeof *l->vector, err))) return -1;
    memset(l->vector, 0xff, p->n_rows * sizeof *l->vector);
    for (size_t i = 0; i < l->set.info.n_rows; i++) {
        struct xxh128 id;
        char hex[XXH128_HEX_BYTES];
        memcpy(id.bytes, l->set.ids[i], sizeof id.bytes);
        xxh128_hex(hex, &id);
        struct id_key key = id_key_of(hex);
        int64_t row = predictions_find(p, &key);
        if (row < 0) continue;
        n_found += l->vector[row] == UINT32_MAX;
        l->vector[row] = (uint32_t)i;
    }
    if (n_found) return 0;
    return error_set(err, EX_DATAERR,
                     "'%s' has none of the pictures of the predictions: is it about other data?",
                     o->features);
}

int likeness_read(struct likeness *l, const struct mine_options *o, const struct predictions *p,
                  struct mine_inputs *f, struct error *err)
{
    double *distance = NULL;
    int rc = -1;
    if (vector_set_read(&l->set, o->features, err)) return -1;
    size_t n = l->set.info.n_rows;
    if (!*l->set.info.fit) {
        return error_set(err, EX_DATAERR,
                         "'%s' has features that are not reduced: write them with embed --reduce "
                         "sqrt,pca:64,whiten:0.5",
                         o->features);
    }
    if (find_vectors(l, o, p, err) ||
        !(f->distance = mem_alloc((p->n_rows + 1) * sizeof *f->distance, err)) ||
        !(distance = mem_alloc((n + 1) * sizeof *distance, err)) ||
        vector_neighbour_distances(l->set.values, n, l->set.info.n_values, NEIGHBOURS,
                                   stage_threads(&o->common), distance, err))
        goto out;
    for (size_t i = 0; i < p->n_rows; i++)
        f->distance[i] = l->vector[i] == UINT32_MAX ? NAN : distance[l->vector[i]];
    rc = 0;
out:
    free(distance);
    return rc;
}

int likeness_off_topic(const struct mine_inputs *f, size_t n_rows, uint8_t *flagged, struct error *err)
{
    double *sorted = mem_alloc((n_rows + 1) * sizeof *sorted, err);
    size_t n = 0;
    if (!sorted) return -1;
    for (size_t i = 0; i < n_rows; i++)
        if (!isnan(f->distance[i])) sorted[n++] = f->distance[i];
    qsort(sorted, n, sizeof *sorted, sort_compare_doubles);
    double most_usual = sort_far_above(sorted, n);
    for (size_t i = 0; i < n_rows; i++)
        flagged[i] = !isnan(f->distance[i]) && f->distance[i] > most_usual;
    free(sorted);
    return 0;
}

/* --- groups --- */

struct in_pair {
    uint64_t pair; /* label and suggestion; pictures that are off topic have a separate value */
    uint32_t at;   /* in the list of suspects */
};

static int by_pair(const void *x, const void *y)
{
    const struct in_pair *a = x, *b = y;
    if (a->pair != b->pair) return a->pair < b->pair ? -1 : 1;
    return (a->at > b->at) - (a->at < b->at);
}

/* Groups the suspects of one pair, from [n], in the order of the list. Groups get numbers from *n_groups + 1
 * on. */
static int group_pair(const struct likeness *l, const struct mine_options *o, struct suspects *s,
                      const struct in_pair *from, size_t n, float *values, uint32_t *group, struct error *err)
{
    size_t n_values = l->set.info.n_values;
    uint32_t most = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t v = l->vector[s->items[from[i].at].row];
        if (v == UINT32_MAX)
            memset(values + i * n_values, 0, n_values * sizeof *values);
        else
            memcpy(values + i * n_values, l->set.values + (size_t)v * n_values, n_values * sizeof *values);
    }
    if (vector_stars(values, n, n_values, (uint32_t)lrint(1000 * (1 - o->alike)), (uint32_t)o->group_size,
                     stage_threads(&o->common), group, err))
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (!group[i]) continue;
        s->items[from[i].at].group = (uint32_t)s->n_groups + group[i];
        if (group[i] > most) most = group[i];
        s->n_grouped++;
    }
    s->n_groups += most;
    return 0;
}

int likeness_group(const struct likeness *l, const struct mine_options *o, const struct predictions *p,
                   struct suspects *s, struct error *err)
{
    struct in_pair *order = mem_alloc((s->n + 1) * sizeof *order, err);
    float *values = mem_alloc((s->n + 1) * (l->set.info.n_values + 1) * sizeof *values, err);
    uint32_t *group = mem_alloc((s->n + 1) * sizeof *group, err);
    int rc = order && values && group ? 0 : -1;
    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        uint64_t pair = (uint64_t)p->label[s->items[i].row] << 32 | (uint32_t)s->items[i].suggested;
        order[i] = (struct in_pair){i < s->n_label ? pair : UINT64_MAX, (uint32_t)i};
    }
    if (rc == 0) qsort(order, s->n, sizeof *order, by_pair);
    for (size_t from = 0, to; rc == 0 && o->group_size > 1 && from < s->n; from = to) {
        for (to = from; to < s->n && order[to].pair == order[from].pair; to++) {
        }
        rc = group_pair(l, o, s, order + from, to - from, values, group, err);
    }
    free(order);
    free(values);
    free(group);
    return rc;
}

void likeness_release(struct likeness *l)
{
    vector_set_release(&l->set);
    free(l->vector);
}
