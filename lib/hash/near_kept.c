/*
 * near_kept.c: keeps near pairs from one run to the next. This comment proves that the pairs of an earlier
 * run, together with a join of the new hashes, are the pairs of a full join.
 *
 * Let found(x, y) say whether near_join reports two hashes. It depends on x and y alone (near_join.h), not on
 * the others, their order or their number. So a full join over the set N gives P(N) = { {x, y} in N : found
 * }. The file holds an earlier set K and P(K). Each pair of N lies either in the intersection of N and K, or
 * has at least one member that is not in K. Pairs of the first kind are the pairs of P(K) with both members
 * in N, because found does not depend on the set. Pairs of the second kind are found by joining the old part
 * (N and K) with the new part (N without K), and the new part with itself, for the same reason. The two kinds
 * exclude each other, so no pair comes twice. Hence the union is P(N), for any additions and removals. The
 * file is then written with N and P(N), so the same holds for the next run.
 */
#include "hash/near_kept.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "hash/content_hash.h"
#include "io/io.h"

#define MAGIC "winnow near pairs 1\n"
#define MOST_BYTES ((uint64_t)8 << 30) /* of a file: 200 million hashes */

/* The head of the file. All numbers are little-endian, as in all binary files of winnow. n hashes, n_pairs
 * pairs, and the XXH3-64 of all bytes before it follow. */
struct head {
    char magic[24];
    uint32_t distance, radius;
    uint64_t n, n_pairs;
};

static struct head head_of(int max_distance, int radius)
{
    struct head h = {.distance = (uint32_t)max_distance, .radius = (uint32_t)radius};
    memcpy(h.magic, MAGIC, sizeof MAGIC);
    return h;
}

static int compare_hashes(const void *a, const void *b) { return memcmp(a, b, sizeof(struct pdq_hash)); }

static int compare_pairs(const void *a, const void *b)
{
    const struct near_pair *x = a, *y = b;
    if (x->a != y->a) return x->a < y->a ? -1 : 1;
    return (x->b > y->b) - (x->b < y->b);
}

static bool sound(const struct near_kept *k, int max_distance)
{
    for (size_t i = 1; i < k->n; i++)
        if (compare_hashes(&k->hashes[i - 1], &k->hashes[i]) >= 0) return false;
    for (size_t i = 0; i < k->n_pairs; i++) {
        const struct near_pair *p = &k->pairs[i];
        if ((i && compare_pairs(p - 1, p) >= 0) || p->a >= k->n || p->b >= k->n || p->a >= p->b ||
            p->distance > (uint32_t)max_distance ||
            (uint32_t)pdq_distance(&k->hashes[p->a], &k->hashes[p->b]) != p->distance)
            return false;
    }
    return true;
}

int near_kept_read_memory(struct near_kept *k, const char *bytes, size_t n_bytes, const char *name,
                          int max_distance, int radius, struct error *err)
{
    const struct head want = head_of(max_distance, radius);
    struct head h;
    uint64_t check;
    *k = NEAR_KEPT_EMPTY;
    if (n_bytes < sizeof h + sizeof check) goto damaged;
    memcpy(&h, bytes, sizeof h);
    memcpy(&check, bytes + n_bytes - sizeof check, sizeof check);
    uint64_t body = n_bytes - sizeof h - sizeof check;
    if (memcmp(h.magic, want.magic, sizeof h.magic) || h.n > body / sizeof *k->hashes ||
        h.n_pairs != (body - h.n * sizeof *k->hashes) / sizeof *k->pairs ||
        body != h.n * sizeof *k->hashes + h.n_pairs * sizeof *k->pairs || h.n_pairs > NEAR_KEPT_MOST_PAIRS ||
        check != xxh64_of(bytes, n_bytes - sizeof check))
        goto damaged;
    if (h.distance != want.distance || h.radius != want.radius) return 0;
    if (!(k->hashes = mem_alloc((size_t)(h.n + 1) * sizeof *k->hashes, err)) ||
        !(k->pairs = mem_alloc((size_t)(h.n_pairs + 1) * sizeof *k->pairs, err))) {
        near_kept_release(k);
        return -1;
    }
    k->n = (size_t)h.n;
    k->n_pairs = (size_t)h.n_pairs;
    memcpy(k->hashes, bytes + sizeof h, k->n * sizeof *k->hashes);
    memcpy(k->pairs, bytes + sizeof h + k->n * sizeof *k->hashes, k->n_pairs * sizeof *k->pairs);
    if (sound(k, max_distance)) return 0;
damaged:
    near_kept_release(k);
    return error_set(err, EX_DATAERR, "'%s' is damaged, or no file of near pairs that this version reads",
                     name);
}

int near_kept_read(struct near_kept *k, const char *path, int max_distance, int radius, struct error *err)
{
    char *bytes;
    size_t n;
    *k = NEAR_KEPT_EMPTY;
    if (!io_exists(path)) return 0;
    if (io_read_file(path, MOST_BYTES, &bytes, &n, err)) return -1;
    int rc = near_kept_read_memory(k, bytes, n, path, max_distance, radius, err);
    free(bytes);
    return rc;
}

static int compare_places(const void *a, const void *b, void *context)
{
    const struct pdq_hash *hashes = context;
    return compare_hashes(&hashes[*(const uint32_t *)a], &hashes[*(const uint32_t *)b]);
}

int near_kept_write(const char *path, const struct pdq_hash *hashes, size_t n, const struct near_pairs *pairs,
                    int max_distance, int radius, struct error *err)
{
    struct head h = head_of(max_distance, radius);
    size_t bytes = sizeof h + n * sizeof *hashes + pairs->n * sizeof *pairs->pairs;
    uint32_t *order = NULL, *place = NULL;
    char *block = NULL;
    int rc = -1;
    if (pairs->n > NEAR_KEPT_MOST_PAIRS || n >= UINT32_MAX) return 0;
    if (!(order = mem_alloc((n + 1) * sizeof *order, err)) ||
        !(place = mem_alloc((n + 1) * sizeof *place, err)) ||
        !(block = mem_alloc(bytes + sizeof(uint64_t), err)))
        goto out;
    for (size_t i = 0; i < n; i++)
        order[i] = (uint32_t)i;
    if (n) qsort_r(order, n, sizeof *order, compare_places, (void *)hashes);
    h.n = n;
    h.n_pairs = pairs->n;
    memcpy(block, &h, sizeof h);
    for (size_t i = 0; i < n; i++) {
        place[order[i]] = (uint32_t)i;
        memcpy(block + sizeof h + i * sizeof *hashes, &hashes[order[i]], sizeof *hashes);
    }
    struct near_pair *sorted = (struct near_pair *)(void *)(block + sizeof h + n * sizeof *hashes);
    for (size_t i = 0; i < pairs->n; i++) {
        uint32_t a = place[pairs->pairs[i].a], b = place[pairs->pairs[i].b];
        sorted[i] = (struct near_pair){a < b ? a : b, a < b ? b : a, pairs->pairs[i].distance};
    }
    if (pairs->n) qsort(sorted, pairs->n, sizeof *sorted, compare_pairs);
    uint64_t check = xxh64_of(block, bytes);
    memcpy(block + bytes, &check, sizeof check);
    rc = atomic_file_write(path, block, bytes + sizeof check, err);
out:
    free(order);
    free(place);
    free(block);
    return rc;
}

void near_kept_release(struct near_kept *k)
{
    free(k->hashes);
    free(k->pairs);
    *k = NEAR_KEPT_EMPTY;
}

#define NONE UINT32_MAX

/* Adds the pairs of k whose members are both among the hashes. now[i]: the index of the i-th hash of k, or
 * NONE. */
static int take_kept(const struct near_kept *k, const uint32_t *now, struct near_pairs *out,
                     struct error *err)
{
    for (size_t i = 0; i < k->n_pairs; i++) {
        uint32_t a = now[k->pairs[i].a], b = now[k->pairs[i].b];
        if (a == NONE || b == NONE) continue;
        if (mem_grow(&out->pairs, &out->capacity, out->n + 1, sizeof *out->pairs, err)) return -1;
        out->pairs[out->n++] = (struct near_pair){a < b ? a : b, a < b ? b : a, k->pairs[i].distance};
    }
    return 0;
}

int near_kept_join(const struct near_kept *k, const struct pdq_hash *hashes, size_t n, int max_distance,
                   int radius, unsigned n_threads, const struct near_progress *progress,
                   struct near_pairs *out, size_t *n_new, struct error *err)
{
    struct pdq_hash *parts = NULL; /* old hashes, then new ones */
    uint32_t *which = NULL, *now = NULL;
    size_t n_old = 0, at, before = out->n;
    int rc = -1;
    *n_new = n;
    if (k->n == 0)
        return near_join(hashes, n, n, NEAR_ALL, max_distance, radius, n_threads, progress, out, err);
    if (!(parts = mem_alloc((n + 1) * sizeof *parts, err)) ||
        !(which = mem_alloc((n + 1) * sizeof *which, err)) || !(now = mem_alloc(k->n * sizeof *now, err)))
        goto out;
    memset(now, 0xff, k->n * sizeof *now);
    at = n;
    for (size_t i = 0; i < n; i++) {
        const struct pdq_hash *old = bsearch(&hashes[i], k->hashes, k->n, sizeof *k->hashes, compare_hashes);
        size_t to = old ? n_old++ : --at;
        if (old) now[old - k->hashes] = (uint32_t)i;
        parts[to] = hashes[i];
        which[to] = (uint32_t)i;
    }
    *n_new = n - n_old;
    if (*n_new && near_join(parts, n, n_old, NEAR_FIRST_REST | NEAR_REST_REST, max_distance, radius,
                            n_threads, progress, out, err))
        goto out;
    for (size_t i = before; i < out->n; i++) {
        uint32_t a = which[out->pairs[i].a], b = which[out->pairs[i].b];
        out->pairs[i].a = a < b ? a : b;
        out->pairs[i].b = a < b ? b : a;
    }
    rc = take_kept(k, now, out, err);
out:
    free(parts);
    free(which);
    free(now);
    return rc;
}
