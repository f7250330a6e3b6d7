/* audit_map.c: sorts rows by content hash, so that the order of the manifest does not matter, and then
 * finds neighbours, clusters and the map with lib/vector. */
#include "audit_map.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "metric/interval.h"
#include "metric/sort.h"
#include "vector/vector_groups.h"
#include "vector/vector_join.h"
#include "vector/vector_map.h"

#define NEIGHBOURS 5
/* The quantile for 99.9 %, as for facts, because many clusters are tested at once. */
#define Z_CLEAR 3.2905
#define LEAST_ROWS 10 /* smallest cluster that is tested */

int audit_map_add(struct audit_map *m, const char *xxh128, const char *path, uint32_t label,
                  struct error *err)
{
    struct audit_point p = {.label = label, .said = UINT32_MAX};
    if (xxh128_from_hex(&p.id, xxh128)) {
        m->n_left_out++;
        return 0;
    }
    if (!(p.path = arena_strdup(&m->arena, path, err)) ||
        mem_grow(&m->points, &m->capacity, m->n + 1, sizeof *m->points, err))
        return -1;
    m->points[m->n++] = p;
    return 0;
}

static int by_id(const void *x, const void *y)
{
    const struct audit_point *a = x, *b = y;
    int c = memcmp(a->id.bytes, b->id.bytes, sizeof a->id.bytes);
    return c ? c : strcmp(a->path, b->path);
}

/* Keeps the points that have a vector, and copies the vectors in the order of the points. */
static int find_vectors(struct audit_map *m, const struct vector_set *set, const char *folder, float **values,
                        struct error *err)
{
    struct hash_index index = HASH_INDEX_EMPTY;
    size_t d = set->info.n_values, n = 0;
    int rc = hash_index_reserve(&index, set->info.n_rows, err);
    for (size_t i = 0; rc == 0 && i < set->info.n_rows; i++) {
        struct xxh128 id;
        memcpy(id.bytes, set->ids[i], sizeof id.bytes);
        rc = hash_index_add(&index, xxh128_u64(&id), i, err);
    }
    if (rc == 0 && !(*values = mem_alloc((m->n * d + 1) * sizeof **values, err))) rc = -1;
    for (size_t i = 0; rc == 0 && i < m->n; i++) {
        uint32_t at;
        for (struct hash_walk w = hash_walk(&index, xxh128_u64(&m->points[i].id));
             hash_walk_next(&index, &w, &at);)
            if (memcmp(set->ids[at], m->points[i].id.bytes, sizeof set->ids[at]) == 0) {
                memcpy(*values + n * d, set->values + (size_t)at * d, d * sizeof **values);
                m->points[n++] = m->points[i];
                break;
            }
    }
    hash_index_release(&index);
    if (rc) return rc;
    m->n_left_out += m->n - n;
    m->n = n;
    if (n == 0)
        return error_set(err, EX_DATAERR,
                         "'%s' has none of the pictures of the manifest: is it about other data?", folder);
    return 0;
}

static int find_neighbours(struct audit_map *m, const float *values, size_t d, unsigned n_threads,
                           struct near_pairs *near, struct error *err)
{
    const struct vector_join join = {.values = values,
                                     .n = m->n,
                                     .n_values = d,
                                     .n_first = m->n,
                                     .wanted = NEAR_ALL,
                                     .max_distance = VECTOR_MAX_DISTANCE,
                                     .n_neighbours = VECTOR_MAP_NEIGHBOURS,
                                     .n_threads = n_threads};
    double *sorted = mem_alloc((m->n + 1) * sizeof *sorted, err);
    int rc = sorted && (m->distance = mem_alloc((m->n + 1) * sizeof *m->distance, err)) &&
                     !vector_join_run(&join, near, err) &&
                     !vector_pair_distances(near, m->n, NEIGHBOURS, m->distance, err)
                 ? 0
                 : -1;
    if (rc == 0) {
        memcpy(sorted, m->distance, m->n * sizeof *sorted);
        qsort(sorted, m->n, sizeof *sorted, sort_compare_doubles);
        m->most_usual = sort_far_above(sorted, m->n);
    }
    free(sorted);
    return rc;
}

/* --- predictions --- */

static void find_answers(struct audit_map *m, const struct predictions *p, const char *const *labels,
                         size_t n_labels)
{
    for (size_t i = 0; i < m->n; i++) {
        struct audit_point *point = &m->points[i];
        char hex[XXH128_HEX_BYTES];
        xxh128_hex(hex, &point->id);
        struct id_key key = id_key_of(hex);
        int64_t row = predictions_find(p, &key);
        if (row < 0 || point->label == UINT32_MAX) continue;
        const char *said = p->classes[p->pred[row]];
        point->answer = strcmp(said, labels[point->label]) == 0 ? ANSWER_RIGHT : ANSWER_WRONG;
        for (size_t k = 0; k < n_labels; k++)
            if (strcmp(labels[k], said) == 0) point->said = (uint32_t)k;
    }
}

struct tally {
    uint32_t cluster, given, said, n;
};

static int by_pair(const void *x, const void *y)
{
    const struct tally *a = x, *b = y;
    if (a->cluster != b->cluster) return a->cluster < b->cluster ? -1 : 1;
    if (a->given != b->given) return a->given < b->given ? -1 : 1;
    return (a->said > b->said) - (a->said < b->said);
}

/* Finds the most frequent entry of each cluster. mistakes: the entries are pairs of label and prediction of
 * the wrong rows; otherwise they are the labels of all rows. */
static int most_frequent(struct audit_map *m, bool mistakes, struct error *err)
{
    struct tally *all = mem_alloc((m->n + 1) * sizeof *all, err);
    size_t n = 0;
    if (!all) return -1;
    for (size_t i = 0; i < m->n; i++) {
        const struct audit_point *p = &m->points[i];
        if (mistakes ? p->answer == ANSWER_WRONG && p->said != UINT32_MAX : p->label != UINT32_MAX)
            all[n++] = (struct tally){m->clusters.of[i], p->label, mistakes ? p->said : 0, 0};
    }
    qsort(all, n, sizeof *all, by_pair);
    for (size_t from = 0, to; from < n; from = to) {
        struct audit_cluster *c = &m->about[all[from].cluster];
        for (to = from + 1; to < n && by_pair(&all[from], &all[to]) == 0; to++) {
        }
        uint32_t many = (uint32_t)(to - from);
        if (mistakes && many > c->n_confused) {
            c->n_confused = many;
            c->given = all[from].given;
            c->said = all[from].said;
        } else if (!mistakes && many > c->n_label) {
            c->n_label = many;
            c->label = all[from].given;
        }
    }
    free(all);
    return 0;
}

static int describe_clusters(struct audit_map *m, struct error *err)
{
    uint64_t n_asked = 0, n_right = 0;
    if (!(m->about = mem_zalloc(m->clusters.n, sizeof *m->about, err))) return -1;
    for (size_t c = 0; c < m->clusters.n; c++)
        m->about[c].label = m->about[c].given = m->about[c].said = UINT32_MAX;
    for (size_t i = 0; i < m->n; i++) {
        struct audit_cluster *c = &m->about[m->clusters.of[i]];
        c->n_asked += m->points[i].answer != ANSWER_UNKNOWN;
        c->n_right += m->points[i].answer == ANSWER_RIGHT;
    }
    if (most_frequent(m, false, err) || most_frequent(m, true, err)) return -1;
    for (size_t c = 0; c < m->clusters.n; c++) {
        n_asked += m->about[c].n_asked;
        n_right += m->about[c].n_right;
    }
    m->accuracy = n_asked ? (double)n_right / (double)n_asked : NAN;
    for (size_t c = 0; c < m->clusters.n; c++) {
        struct audit_cluster *a = &m->about[c];
        struct interval at = interval_wilson(a->n_right, a->n_asked, Z_CLEAR);
        a->low = at.low;
        a->high = at.high;
        a->weak = a->n_asked >= LEAST_ROWS && at.high < m->accuracy;
    }
    return 0;
}

int audit_map_make(struct audit_map *m, const char *folder, const struct predictions *p,
                   const char *const *labels, size_t n_labels, size_t n_clusters, unsigned n_threads,
                   struct error *err)
{
    struct vector_set set = VECTOR_SET_EMPTY;
    struct near_pairs near = NEAR_PAIRS_EMPTY;
    float *values = NULL;
    int rc = -1;
    if (vector_set_read(&set, folder, err)) return -1;
    size_t d = set.info.n_values;
    if (!*set.info.fit) {
        error_set(err, EX_DATAERR,
                  "'%s' has features that are not reduced: write them with embed --reduce "
                  "sqrt,pca:64,whiten:0.5",
                  folder);
        goto out;
    }
    if (m->n) qsort(m->points, m->n, sizeof *m->points, by_id);
    if (find_vectors(m, &set, folder, &values, err)) goto out;
    vector_set_release(&set);
    if (!n_clusters) n_clusters = vector_cluster_count(m->n);
    if (find_neighbours(m, values, d, n_threads, &near, err) ||
        vector_clusters_make(&m->clusters, values, m->n, d, n_clusters, n_threads, err) ||
        !(m->xy = mem_alloc((2 * m->n + 1) * sizeof *m->xy, err)) ||
        vector_map_make(m->xy, values, m->n, d, &near, n_threads, err))
        goto out;
    if (p) find_answers(m, p, labels, n_labels);
    rc = describe_clusters(m, err);
out:
    vector_set_release(&set);
    near_pairs_release(&near);
    free(values);
    return rc;
}

int audit_map_write(const struct audit_map *m, const char *path, const char *const *labels, struct error *err)
{
    static const char *const columns[] = {"path", "label", "cluster", "likeness", "x", "y", "distance", NULL};
    struct manifest_writer out = MANIFEST_WRITER_EMPTY;
    int rc = manifest_writer_open(&out, path, NULL, columns, err);
    for (size_t i = 0; rc == 0 && i < m->n; i++) {
        const struct audit_point *p = &m->points[i];
        char text[5][32];
        snprintf(text[0], sizeof text[0], "%u", m->clusters.of[i] + 1);
        snprintf(text[1], sizeof text[1], "%.4f", (double)m->clusters.likeness[i]);
        snprintf(text[2], sizeof text[2], "%.6f", m->xy[2 * i]);
        snprintf(text[3], sizeof text[3], "%.6f", m->xy[2 * i + 1]);
        snprintf(text[4], sizeof text[4], "%.4f", m->distance[i]);
        const char *const fields[] = {p->path, p->label == UINT32_MAX ? "" : labels[p->label],
                                      text[0], text[1],
                                      text[2], text[3],
                                      text[4]};
        rc = manifest_writer_row(&out, NULL, fields, err);
    }
    if (rc == 0) rc = manifest_writer_commit(&out, err);
    manifest_writer_discard(&out);
    return rc;
}

void audit_map_release(struct audit_map *m)
{
    free(m->points);
    free(m->distance);
    free(m->xy);
    free(m->about);
    vector_clusters_release(&m->clusters);
    arena_release(&m->arena);
    *m = AUDIT_MAP_EMPTY;
}
