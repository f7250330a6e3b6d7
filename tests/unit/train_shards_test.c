/* needs: model hash */
/*
 * What training sees of a shard set. Called with a folder (and a number of pictures, and "bent": one label in
 * ten wrong) it writes the made-up set that tests/suites/train.sh trains on: 16 x 16, three classes that
 * differ in which channel carries a stripe, groups of near copies, made variants of training pictures, all
 * three splits.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "hash/content_hash.h"
#include "model/dataset.h"
#include "shard/shard_writer.h"
#include "tap.h"

#define SIDE 16
static const char *const classes[] = {"cat", "dog", "fox"};

static void paint(uint8_t *pixels, int label, uint64_t picture, int variant)
{
    struct random r = random_start(5, picture, 1), noise = random_start(5, picture, 100 + (uint64_t)variant);
    int at = (int)random_below(&r, SIDE - 4), strength = 40 + (int)random_below(&r, 120);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            for (int c = 0; c < 3; c++) {
                int v =
                    60 + (int)random_below(&noise, 80) + (c == label && y >= at && y < at + 4 ? strength : 0);
                pixels[(y * SIDE + x) * 3 + c] = (uint8_t)(v > 255 ? 255 : v);
            }
}

static int write_set(const char *folder, int n, bool bent, struct error *err)
{
    struct shard_writer_options o = {.side_px = SIDE,
                                     .resize = "area",
                                     .encoding = SHARD_RAW,
                                     .shard_bytes = 20000};
    struct shard_writer *w;
    uint8_t pixels[SIDE * SIDE * 3];
    if (shard_writer_open(&w, folder, &o, err)) return -1;
    for (int i = 0; i < n; i++) {
        int label = i * 7 % 3, said = bent && i % 10 == 3 ? (label + 1) % 3 : label, fifth = i / 2 % 5;
        enum shard_split split = fifth == 3 ? SHARD_VAL : fifth == 4 ? SHARD_TEST : SHARD_TRAIN;
        int n_variants = split == SHARD_TRAIN && i % 4 == 0 ? 2 : 0;
        char path[64], source[64], group[32] = "", hex[33];
        snprintf(source, sizeof source, "%s/%04d.png", classes[said], i);
        if (i % 2 == 0 || i % 6 == 1) snprintf(group, sizeof group, "g%d", i / 2);
        for (int v = 0; v <= n_variants; v++) {
            struct xxh128 h;
            paint(pixels, label, (uint64_t)i, v);
            xxh128_of(&h, pixels, sizeof pixels);
            xxh128_hex(hex, &h);
            snprintf(path, sizeof path, "made/%04d-%d.png", i, v);
            struct shard_writer_record r = {.path = v ? path : source,
                                            .xxh128 = hex,
                                            .group = group,
                                            .source = v ? source : "",
                                            .label = classes[said],
                                            .split = split,
                                            .fold = -1,
                                            .variant = v,
                                            .bytes = pixels,
                                            .n_bytes = sizeof pixels};
            if (shard_writer_add(w, &r, err)) {
                shard_writer_close(w);
                return -1;
            }
        }
    }
    int rc = shard_writer_commit(w, err);
    shard_writer_close(w);
    return rc;
}

static void test_dataset(void)
{
    char one[512], two[512];
    struct dataset d, e;
    struct error err = {0};
    double weights[3];
    snprintf(one, sizeof one, "%s/one", tap_tmpdir());
    snprintf(two, sizeof two, "%s/two", tap_tmpdir());
    CHECK(write_set(one, 60, false, &err) == 0 && write_set(two, 60, true, &err) == 0);
    CHECK_SAY(dataset_open(&d, one, &err) == 0, "a set opens: %s", err.text);
    CHECK(d.info->n_classes == 3 && d.n_split[SHARD_VAL] == 12 && d.n_split[SHARD_TEST] == 12);
    size_t made = 0;
    for (size_t i = 0; i < d.n_split[SHARD_TRAIN]; i++)
        made += d.variants[d.rows[SHARD_TRAIN][i]] > 0;
    CHECK_SAY(d.n_split[SHARD_TRAIN] == 36 + made && made > 0, "made variants train too: %zu", made);
    CHECK(dataset_open(&e, two, &err) == 0);
    CHECK_SAY(strcmp(d.hash, e.hash) != 0, "another label gives another hash");
    dataset_release(&e);
    CHECK(dataset_open(&e, one, &err) == 0 && !strcmp(d.hash, e.hash));
    dataset_release(&e);
    CHECK(dataset_class_weights(&d, "balanced", weights, &err) == 0);
    double mean = 0;
    for (size_t i = 0; i < d.n_split[SHARD_TRAIN]; i++)
        mean += weights[d.labels[d.rows[SHARD_TRAIN][i]]] / (double)d.n_split[SHARD_TRAIN];
    CHECK_CLOSE(mean, 1, 1e-12, 0, "balanced weights have mean 1 over the rows");
    CHECK(dataset_class_weights(&d, "1,2.5,0", weights, &err) == 0 && weights[1] == 2.5);
    CHECK(dataset_class_weights(&d, "1,2", weights, &err) == -1 && strstr(err.text, "2 numbers"));
    CHECK(dataset_class_weights(&d, "1,2,3,4", weights, &err) == -1);
    CHECK(dataset_class_weights(&d, "even", weights, &err) == -1);
    dataset_release(&d);
    CHECK(dataset_open(&d, tap_tmpdir(), &err) == -1);
}

int main(int argc, char **argv)
{
    struct error err = {0};
    if (argc > 2) {
        if (write_set(argv[1], atoi(argv[2]), argc > 3 && !strcmp(argv[3], "bent"), &err)) {
            fprintf(stderr, "%s\n", err.text);
            return 1;
        }
        return 0;
    }
    test_dataset();
    return tap_done();
}
