/*
 * near_join.c: finds all pairs of 256-bit hashes within d bits, for up to tens of millions of hashes.
 *
 * A hash is sixteen words of 16 bits. When two hashes differ in at most d bits, at least one of the sixteen
 * words differs in at most r = d / 16 bits (pigeonhole). So for each word the hashes are sorted by the value
 * of that word, by counting. Each bucket of equal values is then compared with itself and with the buckets
 * whose value differs in at most r bits: 17 of 65536 for d = 31. A candidate pair is first compared in 128
 * other bits, which are adjacent in memory in the sorted order. Nearly every pair that passes this test is a
 * near pair. Only the first word that finds a pair reports it, so each pair is reported once. Real hashes
 * fill the buckets unevenly, so the work is divided by positions and not by buckets.
 */
#include "hash/near_join.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "hash/near_kernels.h"
#include "base/parallel.h"

#define WORDS 16
#define VALUES 65536
#define CHUNK 1024 /* positions a worker takes at a time */
/* Of pairs that differ in 63 bits, one in 20,000 has more than this in half of its bits. Of unrelated
 * pairs, 13 in 10,000 have less. */
#define FILTER_BITS 47
#define OVERREAD 8 /* elements the kernels may read past a run */
#define MOST_WORKERS 256

struct worker_pairs {
    struct near_pairs found;
    uint32_t *hits;            /* n + 8 positions */
    struct near_range *ranges; /* of one query: its own bucket and its neighbours */
    bool failed;
    struct error err;
};

struct join {
    const struct pdq_hash *hashes;
    size_t n, n_first;
    unsigned wanted, n_threads;
    int distance, radius;
    int filter; /* largest number of differing bits among the 128 that are compared first */
    const struct near_kernel *kernel;
    int (*report)(struct join *, struct worker_pairs *, uint32_t, uint32_t);
    uint16_t *masks; /* non-zero differences of at most `radius` bits */
    size_t n_masks;
    int word;        /* of this step */
    uint32_t *start; /* VALUES + 1: where each bucket begins */
    uint32_t *rest;  /* VALUES: where in the bucket the hashes of the second part begin */
    uint64_t *x, *y; /* 128 bits of each hash, in bucket order */
    uint32_t *index;
    uint16_t *value; /* of each position */
    atomic_size_t next;
    atomic_size_t n_found; /* as of the last finished runs */
    size_t n_slices;
    struct worker_pairs *workers;
    const struct near_progress *progress;
};

static const struct near_kernel *forced;

int near_join_use(const char *kernel)
{
    forced = kernel ? near_kernel_find(kernel) : NULL;
    return kernel && !forced ? -1 : 0;
}

void near_pairs_release(struct near_pairs *p)
{
    free(p->pairs);
    *p = NEAR_PAIRS_EMPTY;
}

static inline unsigned word_of(const struct pdq_hash *h, int word)
{
    return (unsigned)(h->word[word / 4] >> (word % 4 * 16)) & 0xffff;
}

/*
 * Sorts by the word of this step. The sort is stable, so within each bucket the first part stays before the
 * rest. Each worker reads every hash and sorts those in its own range of values, so no two workers write to
 * the same bucket.
 */
static void sort_work(void *context, unsigned worker)
{
    struct join *j = context;
    /* Ranges are claimed, not assigned: if a thread could not be started, the others do its range. */
    for (size_t slice; (slice = atomic_fetch_add(&j->next, 1)) < j->n_slices;) {
        unsigned low = (unsigned)(VALUES * slice / j->n_slices),
                 high = (unsigned)(VALUES * (slice + 1) / j->n_slices);
        /* Uses 64-bit words that do not contain the word of this step, because the bits of that word
         * differ little in every candidate. */
        int a = (j->word / 4 + 1) % 4, b = (j->word / 4 + 2) % 4;
        size_t before = 0;
        memset(j->rest + low, 0, (high - low) * sizeof *j->rest);
        for (size_t i = 0; i < j->n; i++) {
            unsigned v = word_of(&j->hashes[i], j->word);
            before += v < low;
            if (v >= low && v < high) j->rest[v]++;
        }
        for (unsigned v = low; v < high; v++) {
            uint32_t count = j->rest[v];
            j->start[v] = j->rest[v] = (uint32_t)before;
            before += count;
        }
        for (size_t i = 0; i < j->n; i++) {
            const struct pdq_hash *h = &j->hashes[i];
            unsigned v = word_of(h, j->word);
            if (v < low || v >= high) continue;
            uint32_t at = j->rest[v]++;
            j->x[at] = h->word[a];
            j->y[at] = h->word[b];
            j->index[at] = (uint32_t)i;
            j->value[at] = (uint16_t)v;
        }
        /* Each `rest` now points past its bucket. It becomes the border
         * between the first part and the rest. */
        for (unsigned v = low; v < high && j->n_first < j->n; v++) {
            uint32_t at = j->start[v], end = j->rest[v];
            while (j->n_first && at < end && j->index[at] < j->n_first)
                at++;
            j->rest[v] = at;
        }
    }
    (void)worker;
}

static void sort_step(struct join *j)
{
    /* Every slice reads all hashes. More than four at once would wait for memory. */
    j->n_slices = j->n_threads < 4 ? j->n_threads : 4;
    atomic_store(&j->next, 0);
    parallel_run((unsigned)j->n_slices, sort_work, j);
    j->start[VALUES] = (uint32_t)j->n;
}

/* Whether the step of that word finds the pair. Like pdq_distance, it is inlined into two functions, of which
 * one may use the popcnt instruction. In dense clusters most of the time is spent here. */
static inline __attribute__((always_inline)) bool found_at(const struct join *j, const struct pdq_hash *a,
                                                           const struct pdq_hash *b, int word)
{
    int x = (word / 4 + 1) % 4, y = (word / 4 + 2) % 4;
    return __builtin_popcount(word_of(a, word) ^ word_of(b, word)) <= j->radius &&
           __builtin_popcountll(a->word[x] ^ b->word[x]) + __builtin_popcountll(a->word[y] ^ b->word[y]) <=
               j->filter;
}

static int too_many(size_t n_found, struct error *err)
{
    return n_found <= NEAR_MAX_PAIRS
               ? 0
               : error_set(err, EX_DATAERR,
                           "more than %u near pairs: a picture has many thousand variants, or the distance "
                           "is too large (take the nearest ones out first, in a run with a smaller distance)",
                           NEAR_MAX_PAIRS);
}

static inline __attribute__((always_inline)) int report_body(struct join *j, struct worker_pairs *w,
                                                             uint32_t i, uint32_t k)
{
    const struct pdq_hash *a = &j->hashes[i], *b = &j->hashes[k];
    int d = 0;
    for (int n = 0; n < 4; n++)
        d += __builtin_popcountll(a->word[n] ^ b->word[n]);
    if (d > j->distance) return 0;
    for (int word = 0; word < j->word; word++) /* an earlier step has found it */
        if (found_at(j, a, b, word)) return 0;
    if (mem_grow(&w->found.pairs, &w->found.capacity, w->found.n + 1, sizeof *w->found.pairs, &w->err))
        return -1;
    w->found.pairs[w->found.n++] = (struct near_pair){i < k ? i : k, i < k ? k : i, (uint32_t)d};
    return 0;
}

static int report_plain(struct join *j, struct worker_pairs *w, uint32_t i, uint32_t k)
{
    return report_body(j, w, i, k);
}

#if defined(__x86_64__)
__attribute__((target("popcnt"))) static int report_popcnt(struct join *j, struct worker_pairs *w, uint32_t i,
                                                           uint32_t k)
{
    return report_body(j, w, i, k);
}
#endif

/* The part of bucket v, from position `from` on, with which a hash of the first part (or
 * of the rest) is to be compared. */
static bool wanted_range(const struct join *j, bool first, unsigned v, size_t from, struct near_range *out)
{
    uint32_t begin = j->start[v], border = j->rest[v], end = j->start[v + 1];
    bool with_first = j->wanted & (first ? NEAR_FIRST_FIRST : NEAR_FIRST_REST);
    bool with_rest = j->wanted & (first ? NEAR_FIRST_REST : NEAR_REST_REST);
    begin = begin > from ? begin : (uint32_t)from;
    if (!with_first) begin = begin > border ? begin : border;
    if (!with_rest) end = end < border ? end : border;
    *out = (struct near_range){begin, end};
    return begin < end;
}

/* Compares positions begin..end, all in bucket v and in one part, with the rest of their
 * bucket and with its neighbours. */
static int scan_run(struct join *j, struct worker_pairs *w, unsigned v, size_t begin, size_t end)
{
    size_t n = 1; /* ranges[0]: what follows in the own bucket, different for each query */
    bool first = begin < j->rest[v];
    for (size_t m = 0; m < j->n_masks; m++) {
        unsigned u = v ^ j->masks[m];
        if (u > v && wanted_range(j, first, u, 0, &w->ranges[n])) n++;
    }
    for (size_t q = begin; q < end; q++) {
        bool own = wanted_range(j, first, v, q + 1, &w->ranges[0]);
        size_t n_hits =
            j->kernel->scan(j->x, j->y, w->ranges + !own, n - !own, j->x[q], j->y[q], j->filter, w->hits);
        for (size_t i = 0; i < n_hits; i++)
            if (j->report(j, w, j->index[q], j->index[w->hits[i]])) return -1;
    }
    return 0;
}

static void step_work(void *context, unsigned worker)
{
    struct join *j = context;
    struct worker_pairs *w = &j->workers[worker];
    for (;;) {
        size_t begin = atomic_fetch_add(&j->next, CHUNK), end = begin + CHUNK < j->n ? begin + CHUNK : j->n;
        if (begin >= j->n) return;
        if (worker == 0 && j->progress)
            j->progress->tell(j->progress->context, (j->word + (double)begin / (double)j->n) / WORDS);
        for (size_t p = begin, stop; p < end; p = stop) {
            unsigned v = j->value[p];
            stop = p < j->rest[v] ? j->rest[v] : j->start[v + 1];
            stop = stop < end ? stop : end;
            size_t before = w->found.n;
            if (scan_run(j, w, v, p, stop) ||
                too_many(atomic_fetch_add(&j->n_found, w->found.n - before) + w->found.n - before, &w->err)) {
                w->failed = true;
                return;
            }
        }
    }
}

static int make_masks(struct join *j, struct error *err)
{
    if (!(j->masks = mem_alloc(VALUES * sizeof *j->masks, err))) return -1;
    for (unsigned v = 1; v < VALUES; v++)
        if (__builtin_popcount(v) <= j->radius) j->masks[j->n_masks++] = (uint16_t)v;
    return 0;
}

/* For a small number of hashes: compares each with each, without sixteen sorts. */
static int join_few(struct join *j, struct near_pairs *out, struct error *err)
{
    for (size_t b = j->wanted & NEAR_FIRST_FIRST ? 1 : j->n_first; b < j->n; b++)
        for (size_t a = 0; a < b; a++) {
            unsigned kind = b < j->n_first   ? NEAR_FIRST_FIRST
                            : a < j->n_first ? NEAR_FIRST_REST
                                             : NEAR_REST_REST;
            int d = j->wanted & kind ? pdq_distance(&j->hashes[a], &j->hashes[b]) : PDQ_BITS + 1;
            /* whether two hashes are found must not depend on how many others there are */
            bool found = false;
            for (int word = 0; word < WORDS && d <= j->distance && !found; word++)
                found = found_at(j, &j->hashes[a], &j->hashes[b], word);
            if (!found) continue;
            if (mem_grow(&out->pairs, &out->capacity, out->n + 1, sizeof *out->pairs, err)) return -1;
            out->pairs[out->n++] = (struct near_pair){(uint32_t)a, (uint32_t)b, (uint32_t)d};
        }
    return 0;
}

#define FEW 512
#define FEW_NEW 200 /* hashes of the rest, when pairs of the first part are not wanted */

int near_join(const struct pdq_hash *hashes, size_t n, size_t n_first, unsigned wanted, int max_distance,
              int radius, unsigned n_threads, const struct near_progress *progress, struct near_pairs *out,
              struct error *err)
{
    struct join j = {.hashes = hashes,
                     .n = n,
                     .n_first = n_first < n ? n_first : n,
                     .wanted = wanted,
                     .distance = max_distance,
                     .radius = max_distance / WORDS,
                     .filter = max_distance,
                     .progress = progress,
                     .n_threads = n_threads < 1              ? 1
                                  : n_threads < MOST_WORKERS ? n_threads
                                                             : MOST_WORKERS};
    int rc = -1;
    if (max_distance < 0 || max_distance > NEAR_MAX_DISTANCE)
        return error_set(err, EX_USAGE, "a distance of %d is outside 0..%d", max_distance, NEAR_MAX_DISTANCE);
    if (radius != NEAR_EXACT && radius < j.radius) {
        j.radius = radius < 0 ? 0 : radius;
        j.filter = max_distance < FILTER_BITS ? max_distance : FILTER_BITS;
    }
    if (n >= UINT32_MAX) return error_set(err, EX_DATAERR, "more than 4 billion hashes");
    bool few_new = !(wanted & NEAR_FIRST_FIRST) && n - j.n_first <= FEW_NEW;
    if ((n <= FEW || few_new) && !forced) return join_few(&j, out, err);
    j.kernel = forced ? forced : near_kernel_find(NULL);
    j.report = report_plain;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("popcnt") && strcmp(j.kernel->name, "plain")) j.report = report_popcnt;
#endif
    j.start = mem_zalloc(VALUES + 1, sizeof *j.start, err);
    j.rest = mem_zalloc(VALUES, sizeof *j.rest, err);
    j.x = mem_zalloc(n + OVERREAD, sizeof *j.x, err);
    j.y = mem_zalloc(n + OVERREAD, sizeof *j.y, err);
    j.index = mem_alloc((n + 1) * sizeof *j.index, err);
    j.value = mem_alloc((n + 1) * sizeof *j.value, err);
    j.workers = mem_zalloc(j.n_threads, sizeof *j.workers, err);
    for (unsigned i = 0; j.workers && i < j.n_threads; i++) {
        j.workers[i].hits = mem_alloc((n + OVERREAD) * sizeof *j.workers[i].hits, err);
        j.workers[i].ranges = mem_alloc(VALUES * sizeof *j.workers[i].ranges, err);
        if (!j.workers[i].hits || !j.workers[i].ranges) goto out;
    }
    if (!j.start || !j.rest || !j.x || !j.y || !j.index || !j.value || !j.workers || make_masks(&j, err))
        goto out;
    for (j.word = 0; j.word < WORDS; j.word++) {
        sort_step(&j);
        atomic_store(&j.next, 0);
        parallel_run(j.n_threads, step_work, &j);
        for (unsigned i = 0; i < j.n_threads; i++)
            if (j.workers[i].failed) {
                *err = j.workers[i].err;
                goto out;
            }
    }
    for (unsigned i = 0; i < j.n_threads; i++) {
        struct near_pairs *found = &j.workers[i].found;
        if (found->n == 0) continue;
        if (mem_grow(&out->pairs, &out->capacity, out->n + found->n, sizeof *out->pairs, err)) goto out;
        memcpy(out->pairs + out->n, found->pairs, found->n * sizeof *out->pairs);
        out->n += found->n;
        near_pairs_release(found);
    }
    rc = 0;
out:
    for (unsigned i = 0; j.workers && i < j.n_threads; i++) {
        near_pairs_release(&j.workers[i].found);
        free(j.workers[i].hits);
        free(j.workers[i].ranges);
    }
    free(j.workers);
    free(j.masks);
    free(j.start);
    free(j.rest);
    free(j.x);
    free(j.y);
    free(j.index);
    free(j.value);
    return rc;
}
