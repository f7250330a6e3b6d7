/*
 * feature_bench.c: what feature-dedup.sh measures of lib/vector.
 *   pairs VECTORS ROOT NEIGHBOURS DISTANCE    candidate pairs of a folder of embed, each verified on its
 *                                             pixels, on all processors: a line for each, one about time
 *   copies FOLDER                             each NAME__ALTERATION.jpg beside NAME__plain.jpg, whatever the
 *                                             vectors say: the share that is verified, per alteration
 *   join N                                    all pairs within 450 of N made vectors of 64 values, and brute
 *                                             force over some of the rows
 */
#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/parallel.h"
#include "base/random.h"
#include "image/image.h"
#include "io/io.h"
#include "manifest/manifest.h"
#include "vector/copy_check.h"
#include "vector/vector_folder.h"
#include "vector/vector_join.h"

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec * 1e-6;
}

struct verify {
    const struct near_pairs *pairs;
    const struct copy_thumb *thumbs;
    bool *same;
    atomic_size_t next;
};

static void verify_work(void *context, unsigned worker)
{
    struct verify *v = context;
    struct copy_view *a = malloc(copy_view_bytes()), *b = malloc(copy_view_bytes());
    (void)worker;
    if (!a || !b) exit(71);
    for (size_t from; (from = atomic_fetch_add(&v->next, 64)) < v->pairs->n;)
        for (size_t i = from; i < from + 64 && i < v->pairs->n; i++) {
            const struct near_pair *p = &v->pairs->pairs[i];
            struct copy_match m;
            if (i == from || p->a != p[-1].a) copy_view_make(a, &v->thumbs[p->a]);
            copy_view_make(b, &v->thumbs[p->b]);
            copy_check(a, b, &m);
            v->same[i] = m.same;
        }
    free(a);
    free(b);
}

static void read_thumb(struct copy_thumb *t, const char *path)
{
    struct decode_options o = DECODE_DEFAULTS;
    struct image m = IMAGE_EMPTY;
    struct image_info info;
    struct image_failure failure;
    struct error err = {0};
    char *bytes;
    size_t n;
    memset(t, 0, sizeof *t);
    o.shrink_to_px = COPY_SIDE;
    if (io_read_file(path, 1 << 28, &bytes, &n, &err)) return;
    if (image_decode((const uint8_t *)bytes, n, &o, &m, &info, &failure) == IMAGE_OK)
        copy_thumb_make(t, m.pixels, m.width, m.height, m.channels);
    image_release(&m);
    free(bytes);
}

static int run_pairs(const char *folder, const char *root, int neighbours, int distance)
{
    struct vector_set s;
    struct manifest_table rows = MANIFEST_TABLE_EMPTY;
    struct near_pairs pairs = NEAR_PAIRS_EMPTY;
    struct error err = {0};
    char path[4096];
    unsigned threads = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    snprintf(path, sizeof path, "%s/rows.tsv", folder);
    if (vector_set_read(&s, folder, &err) || manifest_table_read(&rows, path, NULL, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    struct vector_join j = {.values = s.values,
                            .n = s.info.n_rows,
                            .n_values = s.info.n_values,
                            .n_first = s.info.n_rows,
                            .wanted = NEAR_ALL,
                            .max_distance = (uint32_t)distance,
                            .n_neighbours = (uint32_t)neighbours,
                            .n_threads = threads};
    int column = manifest_column(&rows.schema, "path");
    struct copy_thumb *thumbs = malloc(s.info.n_rows * sizeof *thumbs);
    if (!thumbs || vector_join_run(&j, &pairs, &err)) return 1;
    for (size_t i = 0; i < s.info.n_rows; i++) {
        snprintf(path, sizeof path, "%s/%s", root, manifest_cell(&rows, i, column));
        read_thumb(&thumbs[i], path);
    }
    struct verify v = {.pairs = &pairs, .thumbs = thumbs, .same = calloc(pairs.n + 1, 1)};
    double began = seconds(), cpu = cpu_seconds();
    parallel_run(threads, verify_work, &v);
    double took = seconds() - began, worked = cpu_seconds() - cpu;
    printf("a\tb\tdistance\tsame\n");
    for (size_t i = 0; i < pairs.n; i++)
        printf("%s\t%s\t%u\t%d\n", manifest_cell(&rows, pairs.pairs[i].a, column),
               manifest_cell(&rows, pairs.pairs[i].b, column), pairs.pairs[i].distance, v.same[i]);
    fprintf(stderr, "verified: %zu pairs, %.0f a second, %.0f a second of one processor\n", pairs.n,
            (double)pairs.n / took, (double)pairs.n / worked);
    return 0;
}

struct copies {
    const char *folder;
    struct dirent **names;
    int n;
    bool *same;
    atomic_int next;
};

/* How long the name of the original is in NAME__ALTERATION.jpg. */
static size_t original_of(const char *name)
{
    const char *end = strstr(name, "__");
    return end ? (size_t)(end - name) + 2 : 0;
}

static void copies_work(void *context, unsigned worker)
{
    struct copies *c = context;
    struct copy_view *a = malloc(copy_view_bytes()), *b = malloc(copy_view_bytes());
    (void)worker;
    if (!a || !b) exit(71);
    for (int i; (i = atomic_fetch_add(&c->next, 1)) < c->n;) {
        const char *name = c->names[i]->d_name;
        size_t of = original_of(name);
        char path[4096];
        struct copy_thumb t;
        struct copy_match m;
        if (!of || !strcmp(name + of, "plain.jpg")) continue;
        snprintf(path, sizeof path, "%s/%.*splain.jpg", c->folder, (int)of, name);
        read_thumb(&t, path);
        copy_view_make(a, &t);
        snprintf(path, sizeof path, "%s/%s", c->folder, name);
        read_thumb(&t, path);
        copy_view_make(b, &t);
        copy_check(a, b, &m);
        c->same[i] = m.same;
    }
    free(a);
    free(b);
}

static int run_copies(const char *folder)
{
    struct copies c = {.folder = folder};
    c.n = scandir(folder, &c.names, NULL, alphasort);
    if (c.n < 0 || !(c.same = calloc((size_t)c.n + 1, 1))) return 1;
    parallel_run((unsigned)sysconf(_SC_NPROCESSORS_ONLN), copies_work, &c);
    printf("alteration\tverified\tcopies\tshare\n");
    for (int i = 0; i < c.n; i++) {
        const char *what = c.names[i]->d_name + original_of(c.names[i]->d_name);
        bool seen = !original_of(c.names[i]->d_name) || !strcmp(what, "plain.jpg");
        int n = 0, same = 0;
        for (int k = 0; k < c.n && !seen; k++) {
            if (strcmp(c.names[k]->d_name + original_of(c.names[k]->d_name), what)) continue;
            seen = k < i;
            n++;
            same += c.same[k];
        }
        if (!seen) printf("%.*s\t%d\t%d\t%.1f\n", (int)strlen(what) - 4, what, same, n, 100.0 * same / n);
    }
    return 0;
}

/* A hundredth of the vectors lie near another one. */
static void make_vectors(float *v, size_t n, size_t d)
{
    for (size_t i = 0; i < n; i++) {
        struct random r = random_start(1, i, 0xBE0C), near = random_start(1, i - 1, 0xBE0C);
        double sum = 0;
        for (size_t k = 0; k < d; k++) {
            double own = random_normal(&r), other = random_normal(&near);
            v[i * d + k] = (float)(i % 100 == 1 ? other + 0.4 * own : own);
            sum += (double)v[i * d + k] * (double)v[i * d + k];
        }
        for (size_t k = 0; k < d; k++)
            v[i * d + k] = (float)((double)v[i * d + k] / __builtin_sqrt(sum));
    }
}

static int run_join(size_t n)
{
    enum { D = 64, SOME = 300, DISTANCE = 450 };
    struct near_pairs found = NEAR_PAIRS_EMPTY;
    struct error err = {0};
    struct rusage u;
    unsigned threads = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    float *v = malloc(n * D * sizeof *v);
    if (!v) return 1;
    make_vectors(v, n, D);
    struct vector_join j = {v, n, D, n, NEAR_ALL, DISTANCE, 0, threads, NULL};
    double began = seconds(), cpu = cpu_seconds();
    if (vector_join_run(&j, &found, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    double took = seconds() - began, worked = cpu_seconds() - cpu;
    getrusage(RUSAGE_SELF, &u);
    size_t expected = 0, there = 0, step = n / SOME + 1;
    for (size_t a = 0; a < n; a += step) /* every row that some are compared with */
        for (size_t b = 0; b < n; b++)
            expected += a != b && vector_distance(v + a * D, v + b * D, D) <= DISTANCE;
    for (size_t i = 0; i < found.n; i++)
        there += (found.pairs[i].a % step == 0) + (found.pairs[i].b % step == 0);
    printf("join: %zu vectors, %zu pairs, %.1f s, %.1f s of processors, %ld MB; brute force over %zu rows: "
           "%zu of %zu\n",
           n, found.n, took, worked, u.ru_maxrss >> 10, (n + step - 1) / step, there, expected);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 6 && !strcmp(argv[1], "pairs"))
        return run_pairs(argv[2], argv[3], atoi(argv[4]), atoi(argv[5]));
    if (argc == 3 && !strcmp(argv[1], "join")) return run_join(strtoul(argv[2], NULL, 10));
    if (argc == 3 && !strcmp(argv[1], "copies")) return run_copies(argv[2]);
    fprintf(stderr, "usage: feature_bench pairs VECTORS ROOT NEIGHBOURS DISTANCE | copies FOLDER | join N\n");
    return 64;
}
