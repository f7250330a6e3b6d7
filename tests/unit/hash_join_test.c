/* needs: base io hash */
/*
 * The near-hash join equals comparing everything with everything: all kernels that this machine runs, all
 * distances that matter, skewed and clustered hashes, two-part joins, and any number of threads.
 */
#include "hash/near_join.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hash/near_kept.h"
#include "io/io.h"
#include "tap.h"

static uint64_t state = 88172645463325252u;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545f4914f6cdd1du;
}

/* kind 0: uniform; 1: most words take few values, as real hashes do; 2: tight clusters.
 * A tenth are planted neighbours. */
static void make_hashes(struct pdq_hash *h, size_t n, int kind)
{
    for (size_t i = 0; i < n; i++) {
        for (int k = 0; k < 4; k++)
            h[i].word[k] = next_random();
        if (kind == 1)
            for (int k = 0; k < 4; k++)
                h[i].word[k] &= 0x0f0f00ff000f00ffu;
        if (i && (i % 10 == 0 || kind == 2)) {
            h[i] = h[kind == 2 ? next_random() % (1 + n / 100) % i : next_random() % i];
            for (uint64_t flips = next_random() % 70; flips; flips--) {
                unsigned bit = next_random() % 256;
                h[i].word[bit / 64] ^= 1ull << (bit % 64);
            }
        }
    }
}

static int compare_pairs(const void *a, const void *b) { return memcmp(a, b, sizeof(struct near_pair)); }

static bool equals_brute(const struct pdq_hash *h, size_t n, size_t n_first, unsigned wanted, int distance,
                         unsigned threads)
{
    struct near_pairs found = NEAR_PAIRS_EMPTY;
    struct error err = {0};
    if (near_join(h, n, n_first, wanted, distance, NEAR_EXACT, threads, NULL, &found, &err)) return false;
    size_t expected = 0;
    bool right = true;
    qsort(found.pairs, found.n, sizeof *found.pairs, compare_pairs);
    for (size_t i = 1; i < found.n; i++)
        right = right && memcmp(&found.pairs[i - 1], &found.pairs[i], sizeof *found.pairs);
    for (size_t a = 0; a < n; a++)
        for (size_t b = a + 1; b < n; b++) {
            unsigned kind = b < n_first ? NEAR_FIRST_FIRST : a < n_first ? NEAR_FIRST_REST : NEAR_REST_REST;
            struct near_pair want = {(uint32_t)a, (uint32_t)b, (uint32_t)pdq_distance(&h[a], &h[b])};
            if (!(wanted & kind) || want.distance > (uint32_t)distance) continue;
            expected++;
            right = right && bsearch(&want, found.pairs, found.n, sizeof want, compare_pairs);
        }
    right = right && expected == found.n;
    if (!right) printf("# %zu pairs where there are %zu\n", found.n, expected);
    near_pairs_release(&found);
    return right;
}

/* A radius of 1 at 63 bits: only true pairs, all of those within 31, most of the rest, the same for any
 * company and threads. */
static void test_radius(void)
{
    enum { N = 1500, FEW = 400 };
    struct pdq_hash *h = malloc(N * sizeof *h);
    struct near_pairs found = NEAR_PAIRS_EMPTY, again = NEAR_PAIRS_EMPTY, few = NEAR_PAIRS_EMPTY;
    struct error err = {0};
    size_t in_all = 0, near = 0, near_found = 0, expected_few = 0, both = 0;
    bool right = true;
    make_hashes(h, N, 0);
    CHECK(near_join(h, N, N, NEAR_ALL, 63, 1, 2, NULL, &found, &err) == 0 &&
          near_join(h, N, N, NEAR_ALL, 63, 1, 5, NULL, &again, &err) == 0);
    qsort(found.pairs, found.n, sizeof *found.pairs, compare_pairs);
    qsort(again.pairs, again.n, sizeof *again.pairs, compare_pairs);
    CHECK(found.n == again.n && !memcmp(found.pairs, again.pairs, found.n * sizeof *found.pairs));
    for (size_t i = 0; i < found.n; i++) {
        right = right &&
                (int)found.pairs[i].distance == pdq_distance(&h[found.pairs[i].a], &h[found.pairs[i].b]) &&
                found.pairs[i].distance <= 63;
        right = right && (i == 0 || memcmp(&found.pairs[i - 1], &found.pairs[i], sizeof *found.pairs));
        near_found += found.pairs[i].distance <= 31;
        expected_few += found.pairs[i].b < FEW;
    }
    for (size_t b = 1; b < N; b++)
        for (size_t a = 0; a < b; a++) {
            in_all += pdq_distance(&h[a], &h[b]) <= 63;
            near += pdq_distance(&h[a], &h[b]) <= 31;
        }
    CHECK_SAY(right && near == near_found && found.n * 10 >= in_all * 9,
              "radius 1: %zu of %zu pairs within 63 bits, %zu of %zu within 31", found.n, in_all, near_found,
              near);
    CHECK(near_join(h, FEW, FEW, NEAR_ALL, 63, 1, 1, NULL, &few, &err) == 0 && few.n == expected_few);
    for (size_t i = 0; i < few.n; i++)
        both += bsearch(&few.pairs[i], found.pairs, found.n, sizeof *found.pairs, compare_pairs) != NULL;
    CHECK(both == few.n);
    near_pairs_release(&found);
    near_pairs_release(&again);
    near_pairs_release(&few);
    free(h);
}

/* Runs with random additions and removals, in random order, against full joins. */
static void test_kept(int distance, int radius, int kind)
{
    enum { N = 1600 };
    bool in[N] = {false};
    struct pdq_hash *all = malloc(N * sizeof *all), *now = malloc(N * sizeof *now);
    char path[4200];
    struct error err = {0};
    size_t n_pairs = 0, n_old = 0;
    bool right = true;
    snprintf(path, sizeof path, "%s/near-%d-%d-%d", tap_tmpdir(), distance, radius, kind);
    make_hashes(all, N, kind);
    for (int round = 0; round < 14 && right; round++) {
        struct near_kept kept = NEAR_KEPT_EMPTY;
        struct near_pairs found = NEAR_PAIRS_EMPTY, full = NEAR_PAIRS_EMPTY;
        size_t n = 0, n_new = 0;
        /* mostly a few percent come and go, now and then half of them; once none is left, once one */
        uint64_t share = round == 0 || round % 5 == 4 ? 50 : 1 + next_random() % 5;
        for (size_t i = 0; i < N; i++) {
            if (next_random() % 100 < share) in[i] = !in[i];
            if (in[i]) now[n++] = all[i];
        }
        if (round == 7) n = 0;
        if (round == 9) n = n > 1;
        for (size_t i = n; i > 1; i--) {
            size_t k = next_random() % i;
            struct pdq_hash h = now[i - 1];
            now[i - 1] = now[k];
            now[k] = h;
        }
        size_t distinct = 0; /* callers fold equal hashes */
        for (size_t i = 0; i < n; i++) {
            bool twice = false;
            for (size_t k = 0; k < distinct; k++)
                twice = twice || !memcmp(&now[k], &now[i], sizeof *now);
            if (!twice) now[distinct++] = now[i];
        }
        n = distinct;
        right = near_kept_read(&kept, path, distance, radius, &err) == 0 &&
                near_kept_join(&kept, now, n, distance, radius, 1 + (unsigned)round % 3, NULL, &found, &n_new,
                               &err) == 0 &&
                near_join(now, n, n, NEAR_ALL, distance, radius, 2, NULL, &full, &err) == 0 &&
                near_kept_write(path, now, n, &found, distance, radius, &err) == 0 && found.n == full.n;
        qsort(found.pairs, found.n, sizeof *found.pairs, compare_pairs);
        qsort(full.pairs, full.n, sizeof *full.pairs, compare_pairs);
        right = right && (full.n == 0 || memcmp(found.pairs, full.pairs, full.n * sizeof *full.pairs) == 0);
        if (!right)
            printf("# round %d: %zu pairs where there are %zu; %s\n", round, found.n, full.n, err.text);
        n_pairs += full.n;
        n_old += n - n_new;
        near_pairs_release(&found);
        near_pairs_release(&full);
        near_kept_release(&kept);
    }
    CHECK_SAY(right && n_old > 1000 && n_pairs > 100,
              "kept pairs, distance %d, radius %d, hashes %d: %zu pairs, %zu hashes known", distance, radius,
              kind, n_pairs, n_old);
    free(all);
    free(now);
}

/* What is not as it was written is refused; other settings are another file. */
static void test_kept_damage(void)
{
    enum { N = 300 };
    struct pdq_hash h[N];
    struct near_pairs found = NEAR_PAIRS_EMPTY;
    struct near_kept k;
    struct error err = {0};
    char path[4200], *bytes;
    size_t n, n_read = 0;
    snprintf(path, sizeof path, "%s/kept", tap_tmpdir());
    make_hashes(h, N, 2);
    size_t distinct = 1;
    for (size_t i = 1; i < N; i++) {
        size_t m = 0;
        while (m < distinct && memcmp(&h[m], &h[i], sizeof *h))
            m++;
        if (m == distinct) h[distinct++] = h[i];
    }
    CHECK(near_join(h, distinct, distinct, NEAR_ALL, 63, 1, 1, NULL, &found, &err) == 0 && found.n > 50);
    CHECK(near_kept_write(path, h, distinct, &found, 63, 1, &err) == 0);
    CHECK(near_kept_read(&k, path, 63, 1, &err) == 0 && k.n == distinct && k.n_pairs == found.n);
    near_kept_release(&k);
    CHECK(near_kept_read(&k, path, 47, 1, &err) == 0 && k.n == 0);
    CHECK(near_kept_read(&k, path, 63, NEAR_EXACT, &err) == 0 && k.n == 0);
    CHECK(io_read_file(path, 1 << 20, &bytes, &n, &err) == 0);
    for (size_t i = 0; i < n; i += 1 + i / 200) {
        bytes[i] ^= 4;
        n_read += near_kept_read_memory(&k, bytes, n, "x", 63, 1, &err) == 0;
        near_kept_release(&k);
        bytes[i] ^= 4;
        n_read += near_kept_read_memory(&k, bytes, i, "x", 63, 1, &err) == 0;
        near_kept_release(&k);
    }
    CHECK_SAY(n_read == 0, "a changed bit or a cut anywhere: %zu read", n_read);
    free(bytes);
    near_pairs_release(&found);
}

int main(void)
{
    enum { N = 1400 };
    static const char *const kernels[] = {NULL, "avx512", "avx2", "popcnt", "plain"};
    static const int distances[] = {0, 7, 16, 31, 47, 63};
    struct pdq_hash *h = malloc(N * sizeof *h);
    struct near_pairs none = NEAR_PAIRS_EMPTY;
    struct error err = {0};
    for (int kind = 0; kind < 3; kind++) {
        make_hashes(h, N, kind);
        for (int k = 0; k < 5; k++) {
            if (near_join_use(kernels[k])) {
                tap_skip(kernels[k], "not on this processor");
                continue;
            }
            for (int d = 0; d < 6; d++)
                if (k == 0 || d == 3)
                    CHECK_SAY(equals_brute(h, N, N, NEAR_ALL, distances[d], 2),
                              "hashes %d, kernel %s, distance %d", kind, kernels[k] ? kernels[k] : "chosen",
                              distances[d]);
        }
        near_join_use(NULL);
        for (unsigned wanted = 1; wanted < 8; wanted++)
            CHECK_SAY(equals_brute(h, N, N / 3, wanted, 31, 1 + wanted % 8), "hashes %d, parts wanted %u",
                      kind, wanted);
        CHECK_SAY(equals_brute(h, N, 0, NEAR_ALL, 31, 8), "hashes %d, all in the second part, 8 threads",
                  kind);
        CHECK_SAY(equals_brute(h, 300, 100, NEAR_FIRST_REST, 31, 2), "hashes %d, few", kind);
    }
    CHECK(near_join(h, 0, 0, NEAR_ALL, 31, NEAR_EXACT, 1, NULL, &none, &err) == 0 && none.n == 0);
    CHECK(near_join(h, 1, 1, NEAR_ALL, 31, NEAR_EXACT, 1, NULL, &none, &err) == 0 && none.n == 0);
    CHECK(near_join(h, N, N, NEAR_ALL, NEAR_MAX_DISTANCE + 1, NEAR_EXACT, 1, NULL, &none, &err) == -1 &&
          err.code == EX_USAGE);
    CHECK(near_join_use("no such kernel") == -1);
    free(h);
    test_radius();
    for (int kind = 0; kind < 3; kind++) {
        test_kept(31, NEAR_EXACT, kind);
        test_kept(63, 1, kind);
    }
    test_kept_damage();
    return tap_done();
}
