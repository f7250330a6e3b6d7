/* label_next.c: keeps two queues for each cluster, one by distance and one by margin. The next picture is
 * from the cluster with the fewest labels for its size. Time grows with pictures x clusters; memory is 20
 * bytes for each picture. */
#include "label_next.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "base/text.h"

struct queued {
    double key; /* small first */
    uint32_t cluster, point;
};

static int by_cluster_and_key(const void *x, const void *y)
{
    const struct queued *a = x, *b = y;
    if (a->cluster != b->cluster) return a->cluster < b->cluster ? -1 : 1;
    if (a->key != b->key) return a->key < b->key ? -1 : 1;
    return (a->point > b->point) - (a->point < b->point);
}

/* Sets *out to all points without a label, cluster by cluster. at[k + 1] becomes the end of those of cluster
 * k. */
static int queue(const struct audit_map *m, const double *key, struct queued **out, size_t *at, size_t *n,
                 struct error *err)
{
    *n = 0;
    if (!(*out = mem_alloc((m->n + 1) * sizeof **out, err))) return -1;
    for (size_t i = 0; i < m->n; i++)
        if (m->points[i].label == UINT32_MAX)
            (*out)[(*n)++] =
                (struct queued){isnan(key[i]) ? INFINITY : key[i], m->clusters.of[i], (uint32_t)i};
    qsort(*out, *n, sizeof **out, by_cluster_and_key);
    memset(at, 0, (m->clusters.n + 1) * sizeof *at);
    for (size_t i = 0; i < *n; i++)
        at[(*out)[i].cluster + 1]++;
    for (size_t k = 0; k < m->clusters.n; k++)
        at[k + 1] += at[k];
    return 0;
}

static size_t poorest(const struct audit_map *m, const size_t *left, const double *labels)
{
    size_t best = SIZE_MAX;
    double most = 0;
    for (size_t k = 0; k < m->clusters.n; k++) {
        double share = m->clusters.n_rows[k] / (labels[k] + 1);
        if (left[k] && share > most) {
            most = share;
            best = k;
        }
    }
    return best;
}

int label_next_order(const struct audit_map *m, const double *margin, struct label_next **out, size_t *n,
                     struct error *err)
{
    size_t n_clusters = m->clusters.n, n_queued = 0;
    struct queued *typical = NULL, *doubtful = NULL;
    size_t *at = mem_zalloc(n_clusters + 1, sizeof *at, err),
           *doubt_at = mem_zalloc(n_clusters + 1, sizeof *doubt_at, err),
           *left = mem_zalloc(n_clusters + 1, sizeof *left, err);
    double *labels = mem_zalloc(n_clusters + 1, sizeof *labels, err);
    uint8_t *taken = mem_zalloc(m->n + 1, 1, err);
    int rc = -1;
    *n = 0;
    if (!at || !doubt_at || !left || !labels || !taken ||
        queue(m, m->distance, &typical, at, &n_queued, err) ||
        (margin && queue(m, margin, &doubtful, doubt_at, &n_queued, err)) ||
        !(*out = mem_alloc((n_queued + 1) * sizeof **out, err)))
        goto out;
    for (size_t k = 0; k < n_clusters; k++)
        left[k] = at[k + 1] - at[k];
    for (size_t i = 0; i < m->n; i++)
        labels[m->clusters.of[i]] += m->points[i].label != UINT32_MAX;
    while (*n < n_queued) {
        size_t k = poorest(m, left, labels);
        bool by_margin = false;
        uint32_t point;
        if (margin && labels[k] >= LABELS_ENOUGH) {
            while (taken[doubtful[doubt_at[k]].point])
                doubt_at[k]++;
            point = doubtful[doubt_at[k]].point;
            by_margin = !isnan(margin[point]);
        }
        if (!by_margin) {
            while (taken[typical[at[k]].point])
                at[k]++;
            point = typical[at[k]].point;
        }
        taken[point] = 1;
        labels[k]++;
        left[k]--;
        (*out)[(*n)++] = (struct label_next){point, by_margin};
    }
    rc = 0;
out:
    free(typical);
    free(doubtful);
    free(at);
    free(doubt_at);
    free(left);
    free(labels);
    free(taken);
    return rc;
}

/* --- margins --- */

struct keyed {
    struct id_key key;
    uint32_t point;
};

static int by_key(const void *x, const void *y)
{
    const struct keyed *a = x, *b = y;
    int c = id_key_compare(&a->key, &b->key);
    return c ? c : (a->point > b->point) - (a->point < b->point);
}

static int read_margin(const struct manifest_reader *r, double *out, struct error *err)
{
    double most = -1, second = -1;
    for (int c = 0; c < (int)r->schema.n; c++) {
        double p;
        if (!text_starts(r->schema.names[c], "p_")) continue;
        if (!parse_number(r->fields[c], &p) || !(p >= 0 && p <= 1))
            return error_set(err, EX_DATAERR, "'%s', row %llu: %s '%.40s' is not a probability", r->name,
                             (unsigned long long)r->row, r->schema.names[c], r->fields[c]);
        if (p > most) {
            second = most;
            most = p;
        } else if (p > second) {
            second = p;
        }
    }
    if (second < 0)
        return error_set(err, EX_DATAERR, "'%s' has no two columns p_CLASS: write it with classify", r->name);
    *out = most - second;
    return 0;
}

int label_next_margins(const struct audit_map *m, const char *path, double *margin, struct error *err)
{
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    struct keyed *keys = mem_alloc((m->n + 1) * sizeof *keys, err);
    int rc = -1, got = -1, id;
    if (!keys || manifest_reader_open(&r, path, NULL, err)) goto out;
    if ((id = manifest_column(&r.schema, "xxh128")) < 0 && (id = id_column_find(&r, false, err)) < 0)
        goto out;
    for (size_t i = 0; i < m->n; i++) {
        char hex[XXH128_HEX_BYTES];
        xxh128_hex(hex, &m->points[i].id);
        keys[i] = (struct keyed){id_key_of(hex), (uint32_t)i};
        margin[i] = NAN;
    }
    if (m->n) qsort(keys, m->n, sizeof *keys, by_key);
    while ((got = manifest_reader_next(&r, err)) > 0) {
        struct keyed wanted = {id_key_of(r.fields[id]), 0};
        double value = 0;
        size_t low = 0, high = m->n;
        if (read_margin(&r, &value, err)) goto out;
        while (low < high) {
            size_t middle = (low + high) / 2;
            if (by_key(&keys[middle], &wanted) < 0)
                low = middle + 1;
            else
                high = middle;
        }
        for (; low < m->n && id_key_compare(&keys[low].key, &wanted.key) == 0; low++)
            margin[keys[low].point] = value;
    }
    rc = got;
out:
    manifest_reader_close(&r);
    free(keys);
    return rc;
}

int label_next_write(const struct audit_map *m, const double *margin, const struct label_next *order,
                     size_t n, const char *path, struct error *err)
{
    static const char *const columns[] = {"rank", "path",     "xxh128", "cluster",
                                          "why",  "distance", "margin", NULL};
    struct manifest_writer out = MANIFEST_WRITER_EMPTY;
    int rc = manifest_writer_open(&out, path, NULL, columns, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        uint32_t at = order[i].point;
        char rank[24], hex[XXH128_HEX_BYTES], cluster[16], distance[32], doubt[32] = "";
        snprintf(rank, sizeof rank, "%zu", i + 1);
        snprintf(cluster, sizeof cluster, "%u", m->clusters.of[at] + 1);
        snprintf(distance, sizeof distance, "%.4f", m->distance[at]);
        if (margin && !isnan(margin[at])) snprintf(doubt, sizeof doubt, "%.6f", margin[at]);
        xxh128_hex(hex, &m->points[at].id);
        const char *const fields[] =
            {rank, m->points[at].path, hex, cluster, order[i].by_margin ? "margin" : "typical", distance,
             doubt};
        rc = manifest_writer_row(&out, NULL, fields, err);
    }
    if (rc == 0) rc = manifest_writer_commit(&out, err);
    manifest_writer_discard(&out);
    return rc;
}
