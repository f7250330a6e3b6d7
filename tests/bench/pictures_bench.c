/*
 * pictures_bench.c: the timed loops of pictures.sh. One line: pictures or records, wall and CPU seconds (of
 * this process and its workers).
 *   load METHOD WORKERS SANDBOX(0|1) REPEATS FILE...     decode and resize to 299 through the picture loader
 *   square METHOD FILE                                   that square on standard output, for PSNR
 *   augment SPEC REPEATS SIDE                            variants of one picture in memory, one thread
 *   shards DIR REPEATS                                   every record: looked up, checked at first, all bytes
 *   read
 *   jpegs DIR SANDBOX(0|1) REPEATS                       every record of a JPEG set to pixels, in a worker or
 *   in this process
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "hash/pdq.h"
#include "image/augment.h"
#include "image/image.h"
#include "image/image_loader.h"
#include "image/picture_stats.h"
#include "io/io.h"
#include "shard/shard.h"

static double cpu_seconds(void)
{
    struct rusage self, children;
    getrusage(RUSAGE_SELF, &self);
    getrusage(RUSAGE_CHILDREN, &children);
    return (double)(self.ru_utime.tv_sec + self.ru_stime.tv_sec + children.ru_utime.tv_sec +
                    children.ru_stime.tv_sec) +
           1e-6 * (double)(self.ru_utime.tv_usec + self.ru_stime.tv_usec + children.ru_utime.tv_usec +
                           children.ru_stime.tv_usec);
}

static double thread_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int fail(const struct error *err)
{
    fprintf(stderr, "pictures_bench: %s\n", err->text);
    return 1;
}

static int load(int argc, char **argv)
{
    struct image_loader_options o = {.side_px = 299,
                                     .threads = (unsigned)atoi(argv[3]),
                                     .no_sandbox = !atoi(argv[4])};
    int repeats = atoi(argv[5]), n_files = argc - 6, total = repeats * n_files, submitted = 0, n = 0;
    struct image_loader *l;
    struct loaded_image p;
    struct error err = {0};
    if (resize_rule_parse(argv[2], &o.resize, &err) || image_loader_open(&l, &o, &err)) return fail(&err);
    double started = clock_seconds();
    for (int rc;; n++) {
        while (submitted < total && !image_loader_full(l))
            if (image_loader_submit(l, argv[6 + submitted++ % n_files], NULL, &err)) return fail(&err);
        if ((rc = image_loader_take(l, &p, &err)) < 0) return fail(&err);
        if (rc == 0) break;
        if (p.reason) fprintf(stderr, "pictures_bench: %s %s\n", p.reason, p.detail);
    }
    double wall = clock_seconds() - started;
    image_loader_close(l);
    printf("%d %.4f %.4f\n", n, wall, cpu_seconds());
    return 0;
}

static int square(char **argv)
{
    struct image_loader_options o = {.side_px = 299, .threads = 1};
    struct image_loader *l;
    struct loaded_image p;
    struct error err = {0};
    if (resize_rule_parse(argv[2], &o.resize, &err) || image_loader_open(&l, &o, &err) ||
        image_loader_submit(l, argv[3], NULL, &err) || image_loader_take(l, &p, &err) != 1 || !p.pixels)
        return fail(&err);
    fwrite(p.pixels, 1, 299 * 299 * 3, stdout);
    image_loader_close(l);
    return 0;
}

static int augment(char **argv)
{
    int repeats = atoi(argv[3]), side = atoi(argv[4]);
    size_t bytes = (size_t)side * (size_t)side * 3;
    struct augment_scratch scratch = AUGMENT_SCRATCH_EMPTY;
    struct augment_spec spec;
    struct error err = {0};
    uint8_t *in = malloc(bytes + 64), *out = malloc(bytes + 64);
    if (!in || !out || augment_spec_parse(argv[2], &spec, &err)) return fail(&err);
    for (size_t i = 0; i < bytes; i++)
        in[i] = (uint8_t)(i * i >> 7);
    double started = clock_seconds();
    for (int k = 1; k <= repeats; k++)
        if (augment_pixels(&spec, 1, "0123456789abcdef0123456789abcdef", (uint64_t)k, in, out, side, &scratch,
                           &err))
            return fail(&err);
    printf("%d %.4f %.4f\n", repeats, clock_seconds() - started, cpu_seconds());
    augment_scratch_release(&scratch);
    free(in);
    free(out);
    return 0;
}

static int shards(char **argv)
{
    struct shard_set *s;
    struct error err = {0};
    uint64_t sum = 0, n = 0;
    int repeats = atoi(argv[3]);
    double started = clock_seconds();
    if (shard_set_open(&s, argv[2], &err)) return fail(&err);
    const struct shard_set_info *info = shard_set_info(s);
    size_t words = (size_t)info->side_px * (size_t)info->side_px * 3 / 8;
    for (int k = 0; k < repeats; k++) {
        double before = clock_seconds();
        for (uint64_t i = 0; i < info->n_records; i++, n++) {
            struct shard_record r;
            if (shard_set_record(s, i, &r, &err)) return fail(&err);
            const uint64_t *p = (const uint64_t *)(const void *)r.pixels;
            for (size_t j = 0; j < words; j++)
                sum += p[j];
        }
        fprintf(stderr, "pass %d: %.0f records/s\n", k, (double)info->n_records / (clock_seconds() - before));
    }
    printf("%llu %.4f %.4f\n", (unsigned long long)n, clock_seconds() - started, cpu_seconds());
    shard_set_close(s);
    return sum == 1;
}

static int jpegs(char **argv)
{
    struct shard_set *s;
    struct error err = {0};
    struct decode_options options = DECODE_DEFAULTS;
    struct image picture = IMAGE_EMPTY;
    struct image_info info;
    struct image_failure failure;
    int sandbox = atoi(argv[3]), repeats = atoi(argv[4]);
    uint64_t n = 0;
    if (sandbox ? shard_set_open(&s, argv[2], &err) : shard_set_open_stored(&s, argv[2], &err))
        return fail(&err);
    size_t bytes = (size_t)shard_set_info(s)->side_px * (size_t)shard_set_info(s)->side_px * 3;
    uint8_t *scratch = malloc(bytes + 64);
    double started = clock_seconds();
    for (int k = 0; k < repeats && scratch; k++)
        for (uint64_t i = 0; i < shard_set_info(s)->n_records; i++, n++) {
            struct shard_record r;
            if (sandbox ? shard_set_read(s, i, scratch, &r, &err) : shard_set_describe(s, i, &r, &err))
                return fail(&err);
            if (sandbox) continue;
            if (image_decode(r.encoded, r.n_encoded, &options, &picture, &info, &failure) != IMAGE_OK)
                return 1;
            memcpy(scratch, picture.pixels, bytes);
        }
    double wall = clock_seconds() - started;
    shard_set_close(s);
    free(scratch);
    image_release(&picture);
    printf("%llu %.4f %.4f\n", (unsigned long long)n, wall, cpu_seconds());
    return 0;
}

static int stats(int argc, char **argv)
{
    struct decode_options options = DECODE_DEFAULTS;
    struct image picture = IMAGE_EMPTY;
    struct image_info info;
    struct image_failure failure;
    struct error err = {0};
    struct pdq_hash hash;
    struct pdq *pdq;
    struct picture_stats s;
    double total[3] = {0};
    uint64_t checksum = 0;
    int repeats = atoi(argv[2]), quality;
    options.keep_gray = true;
    if (pdq_open(&pdq, &err)) return fail(&err);
    for (int i = 3; i < argc; i++) {
        double least[3] = {1e9, 1e9, 1e9};
        char *bytes;
        size_t n;
        if (io_read_file(argv[i], 64 << 20, &bytes, &n, &err)) return fail(&err);
        for (int k = 0; k < repeats; k++) {
            double at[4] = {thread_seconds()};
            if (image_decode((const uint8_t *)bytes, n, &options, &picture, &info, &failure) != IMAGE_OK)
                return 1;
            at[1] = thread_seconds();
            if (pdq_of_pixels(pdq, PDQ_FULL, picture.pixels, (uint32_t)picture.width,
                              (uint32_t)picture.height, (unsigned)picture.channels,
                              (size_t)picture.width * (size_t)picture.channels, &hash, 1, &quality, &err))
                return fail(&err);
            at[2] = thread_seconds();
            if (picture_stats(&picture, &s, &err)) return fail(&err);
            at[3] = thread_seconds();
            for (int j = 0; j < 3; j++)
                if (at[j + 1] - at[j] < least[j]) least[j] = at[j + 1] - at[j];
        }
        for (int j = 0; j < 3; j++)
            total[j] += least[j];
        for (size_t j = 0; j < sizeof s; j++)
            checksum = (checksum ^ ((const uint8_t *)&s)[j]) * 0x100000001b3;
        free(bytes);
    }
    printf("decode %.3f pdq %.3f stats %.3f ms, checksum %016llx\n", 1e3 * total[0] / (argc - 3),
           1e3 * total[1] / (argc - 3), 1e3 * total[2] / (argc - 3), (unsigned long long)checksum);
    pdq_close(pdq);
    image_release(&picture);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 6 && !strcmp(argv[1], "load")) return load(argc, argv);
    if (argc == 4 && !strcmp(argv[1], "square")) return square(argv);
    if (argc == 5 && !strcmp(argv[1], "augment")) return augment(argv);
    if (argc == 4 && !strcmp(argv[1], "shards")) return shards(argv);
    if (argc == 5 && !strcmp(argv[1], "jpegs")) return jpegs(argv);
    if (argc > 3 && !strcmp(argv[1], "stats")) return stats(argc, argv);
    fprintf(stderr, "usage: pictures_bench load|square|augment|shards|jpegs|stats ...\n");
    return 64;
}
