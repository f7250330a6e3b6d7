/* needs: base io hash manifest image shard */
/* Shard sets: write then read is identity, appending and replacing, damage is found, wrong use is refused. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "hash/content_hash.h"
#include "image/image.h"
#include "io/io.h"
#include "shard/shard.h"
#include "shard/shard_forget.h"
#include "shard/shard_writer.h"
#include "tap.h"

enum { SIDE = 20, BYTES = SIDE * SIDE * 3 };

static void make_pixels(uint8_t *out, int i)
{
    struct random r = random_start(7, (uint64_t)i, 0);
    for (int k = 0; k < BYTES; k++)
        out[k] = (uint8_t)random_u64(&r);
}

static int add(struct shard_writer *w, int i, const char *label, int variant)
{
    uint8_t pixels[BYTES];
    char path[64], hash[33];
    struct xxh128 h;
    struct error err = {0};
    make_pixels(pixels, i);
    xxh128_of(&h, &i, sizeof i);
    xxh128_hex(hash, &h);
    snprintf(path, sizeof path, "a\tb/%d.jpg", i); /* a tab: the index escapes it */
    struct shard_writer_record r = {.path = path,
                                    .xxh128 = hash,
                                    .group = i % 3 ? "g" : NULL,
                                    .label = label,
                                    .split = (enum shard_split)(i % 3),
                                    .fold = i % 2 ? i % 5 : -1,
                                    .variant = variant,
                                    .params = variant ? "flip" : NULL,
                                    .bytes = pixels,
                                    .n_bytes = BYTES};
    return shard_writer_add(w, &r, &err);
}

static int write_set(const char *folder, int from, int to, bool append, uint64_t shard_bytes)
{
    struct shard_writer_options o = {.side_px = SIDE,
                                     .resize = "bilinear",
                                     .shard_bytes = shard_bytes,
                                     .append = append};
    struct shard_writer *w;
    struct error err = {0};
    static const char *const labels[] = {"zebra", "ant", "maus \\ ä"};
    int rc = shard_writer_open(&w, folder, &o, &err);
    for (int i = from; rc == 0 && i < to; i++)
        rc = add(w, i, labels[i % 3], i % 4);
    if (rc == 0) rc = shard_writer_commit(w, &err);
    shard_writer_close(w);
    if (rc) printf("# %s\n", err.text);
    return rc ? err.code : 0;
}

static int count_good(struct shard_set *s, int n)
{
    int good = 0;
    static const char *const labels[] = {"zebra", "ant", "maus \\ ä"};
    for (int i = 0; i < n; i++) {
        struct shard_record r;
        struct error err = {0};
        uint8_t pixels[BYTES];
        char path[64];
        make_pixels(pixels, i);
        snprintf(path, sizeof path, "a\tb/%d.jpg", i);
        good += shard_set_record(s, (uint64_t)i, &r, &err) == 0 && memcmp(r.pixels, pixels, BYTES) == 0 &&
                !strcmp(r.path, path) && !strcmp(shard_set_info(s)->classes[r.label], labels[i % 3]) &&
                (int)r.split == i % 3 && r.fold == (i % 2 ? i % 5 : -1) && r.variant == i % 4 &&
                !strcmp(r.group, i % 3 ? "g" : "") && (uintptr_t)r.pixels % 64 == 0 &&
                shard_set_find(s, r.xxh128, r.variant) == i &&
                shard_set_find(s, r.xxh128, r.variant + 1) == -1;
    }
    return good;
}

static void patch(const char *path, long at, int byte)
{
    FILE *f = fopen(path, "r+b");
    if (!f || fseek(f, at, at < 0 ? SEEK_END : SEEK_SET) || fputc(byte, f) == EOF || fclose(f)) exit(70);
}

/* Sends a signal (0: none) to every child of this process; how many there are. */
static int for_each_child(int signal_number)
{
    char path[64];
    int n = 0, pid;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *f = fopen(path, "r");
    while (f && fscanf(f, "%d", &pid) == 1) {
        n++;
        if (signal_number) kill(pid, signal_number);
    }
    if (f) fclose(f);
    return n;
}

/* More threads than workers, each with its own scratch. NULL when all went well. */
static void *read_many(void *set)
{
    uint8_t scratch[BYTES + 64];
    struct shard_record r;
    struct error err = {0};
    int wrong = 0;
    for (int i = 0; i < 50; i++) {
        memset(scratch, 0, sizeof scratch);
        wrong += shard_set_read(set, 0, scratch, &r, &err) != 0 || abs(scratch[BYTES - 1] - 77) > 1;
        wrong += shard_set_read(set, 1, scratch, &r, &err) != -1;
    }
    return wrong ? set : NULL;
}

static uint64_t folder_bytes(const char *folder)
{
    char path[6000];
    uint64_t sum = 0;
    struct stat st;
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) sum += (uint64_t)st.st_size;
    }
    if (d) closedir(d);
    return sum;
}

/* --- sets that take files of an earlier one over --- */

static const char *const animals[] = {"ant", "bee", "cat"};

/*
 * Row i of a set: picture which[i], with a label that depends on the round. The data hash; "" after a
 * failure.
 */
static const char *write_rows(const char *folder, const char *base, const int *which, int n, int round,
                              uint64_t shard_bytes, struct shard_writer_report *report, char hash[33])
{
    struct shard_set *from = NULL, *made = NULL;
    struct shard_writer *w = NULL;
    struct error err = {0};
    struct shard_writer_options o = {.side_px = SIDE, .resize = "bilinear", .shard_bytes = shard_bytes};
    bool good = !base || shard_set_open_stored(&from, base, &err) == 0;
    *hash = 0;
    o.base = from;
    good = good && shard_writer_open(&w, folder, &o, &err) == 0;
    for (int i = 0; good && i < n; i++) {
        uint8_t pixels[BYTES];
        char path[64], hex[33];
        struct xxh128 h;
        xxh128_of(&h, &which[i], sizeof which[i]);
        xxh128_hex(hex, &h);
        snprintf(path, sizeof path, "%d.jpg", which[i]);
        struct shard_writer_record r = {.path = path,
                                        .xxh128 = hex,
                                        .label = animals[(which[i] + round) % 3],
                                        .split = (enum shard_split)((which[i] + round) % 2),
                                        .fold = -1};
        int64_t at = from ? shard_set_find(from, hex, 0) : -1;
        if (at < 0) {
            make_pixels(pixels, which[i]);
            r.bytes = pixels;
            r.n_bytes = BYTES;
        }
        good = (at < 0 ? shard_writer_add(w, &r, &err) : shard_writer_refer(w, &r, (uint64_t)at, &err)) == 0;
    }
    good = good && shard_writer_commit(w, &err) == 0;
    if (good && report) *report = *shard_writer_report(w);
    shard_writer_close(w);
    shard_set_close(from);
    good = good && shard_set_open(&made, folder, &err) == 0 && shard_set_check(made, &err) == 0 &&
           shard_set_info(made)->n_records == (uint64_t)n;
    for (int i = 0; good && i < n; i++) {
        uint8_t pixels[BYTES];
        struct shard_record r;
        make_pixels(pixels, which[i]);
        good = shard_set_record(made, (uint64_t)i, &r, &err) == 0 && !memcmp(r.pixels, pixels, BYTES) &&
               !strcmp(shard_set_info(made)->classes[r.label], animals[(which[i] + round) % 3]);
    }
    if (good) strcpy(hash, shard_set_info(made)->data_hash);
    if (!good) printf("# %s\n", err.text);
    shard_set_close(made);
    return hash;
}

/* Random rounds: pictures come, go, come back and change places and labels; each set has the data of one that
 * was written at once, and takes no more than a quarter more room. */
static void test_rounds(void)
{
    char grown[5000], whole[5000], hash_grown[33], hash_whole[33];
    struct random r = random_start(11, 0, 0);
    int which[400], n = 0;
    uint64_t n_moved = 0, n_linked = 0;
    snprintf(grown, sizeof grown, "%s/grown", tap_tmpdir());
    snprintf(whole, sizeof whole, "%s/whole", tap_tmpdir());
    for (int round = 0; round < 30; round++) {
        struct shard_writer_report report = {0};
        int rate = round % 7 == 3 ? 3 : 30; /* now and then a third goes */
        int kept = 0;
        for (int i = 0; i < n; i++)
            if (random_below(&r, (uint64_t)rate)) which[kept++] = which[i];
        n = kept;
        for (int i = (int)random_below(&r, 12); i >= 0 && n < 400; i--) {
            int at = (int)random_below(&r, (uint64_t)n + 1), new = (int)random_below(&r, 500);
            bool there = false;
            for (int k = 0; k < n; k++)
                there |= which[k] == new;
            if (there) continue;
            memmove(which + at + 1, which + at, (size_t)(n - at) * sizeof *which);
            which[at] = new;
            n++;
        }
        write_rows(grown, round ? grown : NULL, which, n, round, 40 * BYTES, &report, hash_grown);
        write_rows(whole, NULL, which, n, round, 40 * BYTES, NULL, hash_whole);
        if (!CHECK_SAY(*hash_whole && !strcmp(hash_grown, hash_whole),
                       "round %d, %d rows: the data of a set written at once", round, n))
            break;
        n_moved += report.n_moved;
        n_linked += report.n_linked;
        CHECK(n == 0 || folder_bytes(grown) < (uint64_t)n * BYTES * 5 / 4 + 24 * 1024);
    }
    CHECK_SAY(n_moved > 50 && n_linked > 50, "%d records were moved, %d files linked", (int)n_moved,
              (int)n_linked);
}

static bool is_seven(void *context, const char *path, const char *source, const char *xxh128)
{
    (void)source, (void)xxh128;
    ++*(int *)context;
    return !strcmp(path, "7.jpg");
}

/* A picture that two sets share, in one of them without a row: its pixels are gone from both. */
static void test_forget(void)
{
    static const int all[] = {1, 7, 2, 3, 4, 5, 6, 8}, seven[] = {3, 2, 1, 4, 5, 6, 8};
    char first[5000], second[5000], path[5100], hash[33], wanted[33];
    struct shard_set *s;
    struct shard_record r;
    struct error err = {0};
    uint8_t pixels[BYTES], *found;
    char *bytes = NULL;
    size_t n;
    uint64_t n_records;
    int asked = 0;
    snprintf(first, sizeof first, "%s/first", tap_tmpdir());
    snprintf(second, sizeof second, "%s/second", tap_tmpdir());
    write_rows(first, NULL, all, 8, 0, 0, NULL, hash);
    write_rows(second, first, seven, 7, 1, 0, NULL, wanted);
    make_pixels(pixels, 7);
    snprintf(path, sizeof path, "%s/shard-00000.bin", second);
    CHECK(io_read_file(path, 1 << 20, &bytes, &n, &err) == 0 && memmem(bytes, n, pixels, BYTES));
    free(bytes);
    CHECK(shard_set_forget(second, true, is_seven, &asked, &n_records, &err) == 0 && n_records == 1);
    CHECK(io_read_file(path, 1 << 20, &bytes, &n, &err) == 0 && memmem(bytes, n, pixels, BYTES));
    free(bytes);
    CHECK(shard_set_forget(second, false, is_seven, &asked, &n_records, &err) == 0 && n_records == 1);
    CHECK(io_read_file(path, 1 << 20, &bytes, &n, &err) == 0 && !(found = memmem(bytes, n, pixels + 3, 40)));
    free(bytes);
    CHECK(shard_set_open(&s, second, &err) == 0 && shard_set_check(s, &err) == 0 &&
          !strcmp(shard_set_info(s)->data_hash, wanted));
    shard_set_close(s);
    /* the other set still has the row: damaged, until it is told, too */
    CHECK(shard_set_open(&s, first, &err) == 0 && shard_set_record(s, 1, &r, &err) == -1);
    shard_set_close(s);
    CHECK(shard_set_forget(first, false, is_seven, &asked, &n_records, &err) == 0 && n_records == 1);
    CHECK(shard_set_open(&s, first, &err) == 0 && shard_set_check(s, &err) == 0 &&
          shard_set_info(s)->n_records == 7 && shard_set_describe(s, 1, &r, &err) == 0 &&
          !strcmp(r.path, "2.jpg"));
    shard_set_close(s);
}

int main(void)
{
    char folder[4096], path[5000];
    struct shard_set *s;
    struct error err = {0};
    char first_hash[33];
    snprintf(folder, sizeof folder, "%s/set", tap_tmpdir());

    CHECK(write_set(folder, 0, 25, false, 0) == 0);
    CHECK(shard_set_open(&s, folder, &err) == 0);
    CHECK(shard_set_info(s)->n_records == 25 && shard_set_info(s)->n_classes == 3 &&
          shard_set_info(s)->side_px == SIDE);
    CHECK(strcmp(shard_set_info(s)->classes[0], "ant") == 0 &&
          strcmp(shard_set_info(s)->resize, "bilinear") == 0);
    CHECK(count_good(s, 25) == 25);
    CHECK(shard_set_check(s, &err) == 0);
    strcpy(first_hash, shard_set_info(s)->data_hash);
    struct shard_record r;
    CHECK(shard_set_record(s, 25, &r, &err) == -1);
    shard_set_close(s);

    /* Replaced by several small shards: the same records, the same data hash. */
    CHECK(write_set(folder, 0, 25, false, 4 * BYTES) == 0);
    CHECK(shard_set_open(&s, folder, &err) == 0 && count_good(s, 25) == 25 &&
          !strcmp(first_hash, shard_set_info(s)->data_hash));
    shard_set_close(s);
    snprintf(path, sizeof path, "%s/shard-00008.bin", folder);
    CHECK(io_exists(path));

    /* Appending gives what one go gives. */
    CHECK(write_set(folder, 0, 11, false, 4 * BYTES) == 0);
    CHECK(!io_exists(path));
    CHECK(write_set(folder, 11, 25, true, 4 * BYTES) == 0);
    CHECK(shard_set_open(&s, folder, &err) == 0 && count_good(s, 25) == 25 &&
          !strcmp(first_hash, shard_set_info(s)->data_hash) && shard_set_check(s, &err) == 0);
    shard_set_close(s);

    /* Damage: one bit of a record, a longer index, a shard cut off. */
    snprintf(path, sizeof path, "%s/shard-00000.bin", folder);
    patch(path, 64 + 5, 0x5A);
    CHECK(shard_set_open(&s, folder, &err) == 0);
    CHECK(shard_set_record(s, 0, &r, &err) == -1 && err.code == EX_DATAERR && strstr(err.text, "damaged"));
    CHECK(shard_set_record(s, 1, &r, &err) == 0);
    CHECK(shard_set_check(s, &err) == -1 && err.code == EX_DATAERR);
    shard_set_close(s);
    CHECK(truncate(path, 3000) == 0);
    CHECK(shard_set_open(&s, folder, &err) == -1 && err.code == EX_DATAERR && s == NULL);
    CHECK(write_set(folder, 0, 5, false, 0) == 0);
    snprintf(path, sizeof path, "%s/shard-00000.tsv", folder);
    patch(path, -3, '0');
    CHECK(shard_set_open(&s, folder, &err) == -1 && err.code == EX_DATAERR);
    CHECK(unlink(path) == 0 && shard_set_open(&s, folder, &err) == -1);

    /* A folder that is no set is left alone; a set of another kind is not appended to. */
    snprintf(path, sizeof path, "%s/mine", tap_tmpdir());
    CHECK(mkdir(path, 0777) == 0);
    snprintf(path, sizeof path, "%s/mine/letter.txt", tap_tmpdir());
    CHECK(atomic_file_write(path, "x", 1, &err) == 0);
    snprintf(folder, sizeof folder, "%s/mine", tap_tmpdir());
    CHECK(write_set(folder, 0, 2, false, 0) == EX_CANTCREAT && io_exists(path));
    snprintf(folder, sizeof folder, "%s/set", tap_tmpdir());
    CHECK(write_set(folder, 0, 2, false, 0) == 0);
    struct shard_writer_options other = {.side_px = SIDE + 1, .resize = "bilinear", .append = true};
    struct shard_writer *w;
    CHECK(shard_writer_open(&w, folder, &other, &err) == -1 && err.code == EX_DATAERR);

    /* Without a commit nothing changes and nothing stays. */
    struct shard_writer_options o = {.side_px = SIDE, .resize = "bilinear"};
    CHECK(shard_writer_open(&w, folder, &o, &err) == 0 && add(w, 9, "x", 0) == 0);
    shard_writer_close(w);
    o.append = true;
    CHECK(shard_writer_open(&w, folder, &o, &err) == 0 && add(w, 9, "x", 0) == 0);
    shard_writer_close(w);
    CHECK(shard_set_open(&s, folder, &err) == 0 && shard_set_info(s)->n_records == 2 &&
          count_good(s, 2) == 2);
    shard_set_close(s);

    /* No record at all is a set, too. */
    CHECK(write_set(folder, 0, 0, false, 0) == 0 && shard_set_open(&s, folder, &err) == 0 &&
          shard_set_info(s)->n_records == 0 && shard_set_check(s, &err) == 0);
    shard_set_close(s);

    /* JPEG records. */
    struct image m = IMAGE_EMPTY;
    uint8_t *jpeg, scratch[BYTES + 64];
    size_t n;
    o = (struct shard_writer_options){.side_px = SIDE, .resize = "area", .encoding = SHARD_JPEG};
    CHECK(image_reserve(&m, SIDE, SIDE, 3, &err) == 0);
    memset(m.pixels, 77, BYTES);
    CHECK(image_encode_jpeg(&m, 90, &jpeg, &n, &err) == 0 && shard_writer_open(&w, folder, &o, &err) == 0);
    struct shard_writer_record record = {.path = "p",
                                         .xxh128 = "0123456789abcdef0123456789abcdef",
                                         .label = "a",
                                         .fold = -1,
                                         .bytes = jpeg,
                                         .n_bytes = n};
    CHECK(shard_writer_add(w, &record, &err) == 0);
    record.n_bytes = n / 2;
    CHECK(shard_writer_add(w, &record, &err) == 0 && shard_writer_commit(w, &err) == 0);
    shard_writer_close(w);
    if (!CHECK_SAY(shard_set_open(&s, folder, &err) == 0 && shard_set_info(s)->encoding == SHARD_JPEG,
                   "opens a set of JPEG records %s", err.text))
        return tap_done();
    CHECK(shard_set_record(s, 0, &r, &err) == -1 && err.code == EX_DATAERR);
    CHECK(shard_set_read(s, 0, scratch, &r, &err) == 0 && r.pixels == scratch && abs(scratch[100] - 77) <= 1);
    CHECK(shard_set_read(s, 1, scratch, &r, &err) == -1 && err.code == EX_DATAERR);
    int n_workers = for_each_child(SIGKILL);
    CHECK_SAY(n_workers > 0, "%d worker processes decode it", n_workers);
    for (int i = 0; i <= n_workers; i++)
        CHECK(shard_set_read(s, 0, scratch, &r, &err) == 0 && abs(scratch[100] - 77) <= 1);
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        CHECK(pthread_create(&threads[i], NULL, read_many, s) == 0);
    for (int i = 0; i < 8; i++) {
        void *wrong;
        CHECK(pthread_join(threads[i], &wrong) == 0 && wrong == NULL);
    }
    shard_set_close(s);
    CHECK(for_each_child(0) == 0);
    CHECK(shard_set_open_stored(&s, folder, &err) == 0 && for_each_child(0) == 0 &&
          shard_set_check(s, &err) == 0);
    CHECK(shard_set_describe(s, 0, &r, &err) == 0 && r.n_encoded == n);
    CHECK(shard_set_read(s, 0, scratch, &r, &err) == -1 && err.code == EX_SOFTWARE);
    shard_set_close(s);
    free(jpeg);
    image_release(&m);
    test_rounds();
    test_forget();
    return tap_done();
}
