/*
 * sort.c: least-significant-digit radix sort of (64-bit key, row), with 11 bits in each pass. Passes in which
 * all keys agree are left out: scores in [0,1] agree in their top bits, so only four or five of six passes
 * are needed.
 */
#include "metric/sort.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/spill.h"

#define DIGIT_BITS 11
#define DIGITS (1u << DIGIT_BITS)
#define PASSES 6 /* 6 * 11 >= 64 */

/* Returns an integer that orders as the double does: all bits of a negative number are flipped, and the sign
 * of any other. -0 counts as 0. */
static uint64_t key_of(double value)
{
    uint64_t bits;
    value += 0.0;
    memcpy(&bits, &value, sizeof bits);
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

static int sort_keys(uint64_t *keys, uint32_t *order, size_t n, struct error *err)
{
    uint64_t *other_keys = NULL;
    uint32_t *other_rows = NULL;
    size_t(*counts)[DIGITS] = NULL;
    uint64_t *from = keys, *to;
    uint32_t *from_rows = order, *to_rows;
    int rc = -1;
    if (!(other_keys = spill_alloc(n * sizeof *other_keys, err)) ||
        !(other_rows = spill_alloc(n * sizeof *other_rows, err)) ||
        !(counts = mem_zalloc(PASSES, sizeof *counts, err)))
        goto out;
    to = other_keys;
    to_rows = other_rows;
    for (size_t i = 0; spill_step(i) < n; i++)
        for (int pass = 0; pass < PASSES; pass++)
            counts[pass][keys[i] >> (pass * DIGIT_BITS) & (DIGITS - 1)]++;
    for (int pass = 0; pass < PASSES; pass++) {
        size_t *count = counts[pass], at = 0;
        if (n == 0 || count[keys[0] >> (pass * DIGIT_BITS) & (DIGITS - 1)] == n) continue;
        for (size_t d = 0; d < DIGITS; d++) {
            size_t here = count[d];
            count[d] = at;
            at += here;
        }
        for (size_t i = 0; spill_step(i) < n; i++) {
            size_t place = count[from[i] >> (pass * DIGIT_BITS) & (DIGITS - 1)]++;
            to[place] = from[i];
            to_rows[place] = from_rows[i];
        }
        uint64_t *k = from;
        uint32_t *r = from_rows;
        from = to, to = k;
        from_rows = to_rows, to_rows = r;
    }
    if (from_rows != order) memcpy(order, from_rows, n * sizeof *order);
    rc = 0;
out:
    spill_free(other_keys);
    spill_free(other_rows);
    free(counts);
    return rc;
}

static int sort_rows(const double *values, size_t n, uint32_t *order, uint64_t flip, struct error *err)
{
    uint64_t *keys = spill_alloc(n * sizeof *keys, err);
    int rc;
    if (!keys) return -1;
    for (size_t i = 0; spill_step(i) < n; i++) {
        keys[i] = key_of(values[i]) ^ flip;
        order[i] = (uint32_t)i;
    }
    rc = sort_keys(keys, order, n, err);
    spill_free(keys);
    return rc;
}

int sort_rows_ascending(const double *values, size_t n, uint32_t *order, struct error *err)
{
    return sort_rows(values, n, order, 0, err);
}

int sort_rows_descending(const double *values, size_t n, uint32_t *order, struct error *err)
{
    return sort_rows(values, n, order, ~UINT64_C(0), err);
}

/* --- keys without rows --- */

#define FEW 24 /* up to this many are sorted by insertion */
#define MOST_BUCKETS_BITS 11

static void insert_keys(uint64_t *keys, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        uint64_t key = keys[i];
        size_t j = i;
        for (; j > 0 && keys[j - 1] > key; j--)
            keys[j] = keys[j - 1];
        keys[j] = key;
    }
}

/*
 * Sorts from [n], and leaves the result there or, with to_other, in `other`. The range of the keys is divided
 * into buckets of equal width. Scores that are concentrated near 0 and 1 are separated at the second level at
 * the latest, and are then in the cache.
 */
static void sort_by_buckets(uint64_t *from, uint64_t *other, size_t n, bool to_other)
{
    size_t start[(1u << MOST_BUCKETS_BITS) + 2];
    uint64_t low = UINT64_MAX, high = 0;
    bool large = n > 0xffff;
    if (n <= FEW) insert_keys(from, n);
    for (size_t i = 0; n > FEW && (large ? spill_step(i) : i) < n; i++) {
        low = from[i] < low ? from[i] : low;
        high = from[i] > high ? from[i] : high;
    }
    if (n <= FEW || low == high) {
        if (to_other) memcpy(other, from, n * sizeof *from);
        return;
    }
    int bits = 64 - __builtin_clzll(high - low),
        wanted = n > 1u << 18 ? MOST_BUCKETS_BITS
                 : n > 4096   ? 8
                              : 5,
        shift = bits > wanted ? bits - wanted : 0;
    size_t n_buckets = (size_t)((high - low) >> shift) + 1;
    memset(start, 0, (n_buckets + 1) * sizeof *start);
    for (size_t i = 0; (large ? spill_step(i) : i) < n; i++)
        start[((from[i] - low) >> shift) + 1]++;
    for (size_t b = 1; b <= n_buckets; b++)
        start[b] += start[b - 1];
    for (size_t i = 0; (large ? spill_step(i) : i) < n; i++)
        other[start[(from[i] - low) >> shift]++] = from[i];
    for (size_t b = 0, begin = 0; b < n_buckets; begin = start[b++])
        if (start[b] > begin) sort_by_buckets(other + begin, from + begin, start[b] - begin, !to_other);
}

int sort_keys_ascending(uint64_t *keys, size_t n, struct error *err)
{
    uint64_t *other = spill_alloc(n * sizeof *other, err);
    if (!other) return -1;
    sort_by_buckets(keys, other, n, false);
    spill_free(other);
    return 0;
}

bool sort_score_key(uint64_t *key, double score, bool flag)
{
    uint64_t bits;
    score += 0.0; /* -0 counts as 0 */
    memcpy(&bits, &score, sizeof bits);
    *key = bits << 1 | flag;
    return bits < UINT64_C(1) << 62;
}

double sort_key_score(uint64_t key)
{
    double score;
    key >>= 1;
    memcpy(&score, &key, sizeof score);
    return score;
}

int sort_compare_doubles(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return a < b ? -1 : a > b;
}

double sort_quantile(const double *sorted, size_t n, double q)
{
    double at = (double)(n - 1) * q;
    size_t i = (size_t)at;
    double rest = at - (double)i;
    return i + 1 < n ? sorted[i] + (sorted[i + 1] - sorted[i]) * rest : sorted[i];
}

double sort_far_above(const double *sorted, size_t n)
{
    double median = sort_quantile(sorted, n, 0.5), high = sort_quantile(sorted, n, 0.95);
    return high + (high - median) / 2;
}
