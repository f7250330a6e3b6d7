/* dataset.c: reads everything that training needs from a shard set; see dataset.h. */
#include "base/number.h"
#include "model/dataset.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "hash/content_hash.h"

static int hash_classes(struct xxh128_stream *h, const struct shard_set_info *info)
{
    for (int i = 0; i < info->n_classes; i++)
        xxh128_stream_add(h, info->classes[i], strlen(info->classes[i]) + 1);
    xxh128_stream_add(h, info->resize, strlen(info->resize) + 1);
    xxh128_stream_add(h, &info->side_px, sizeof info->side_px);
    return 0;
}

void dataset_key(struct activation_key *key, const char *xxh128, uint64_t checksum, int side_px,
                 enum shard_encoding encoding, int variant)
{
    struct xxh128 content;
    /* The checksum of the stored bytes identifies the pixels: the reader verifies it before it returns
     * them. */
    uint32_t kind[2] = {(uint32_t)side_px, (uint32_t)encoding};
    *key = (struct activation_key){.variant = (uint32_t)variant};
    if (xxh128_from_hex(&content, xxh128)) /* a set packed without content hashes still has keys */
        xxh128_of(&content, xxh128, strlen(xxh128));
    memcpy(key->content, content.bytes, sizeof content.bytes);
    memcpy(key->pixels, &checksum, sizeof checksum);
    memcpy(key->pixels + sizeof checksum, kind, sizeof kind);
}

static int read_rows(struct dataset *d, struct xxh128_stream *h, struct error *err)
{
    for (size_t i = 0; i < d->n_rows; i++) {
        struct shard_record r;
        if (shard_set_describe(d->shards, i, &r, err)) return -1;
        if (r.label < 0 || r.label >= d->info->n_classes)
            return error_set(err, EX_DATAERR, "record %zu ('%s') has no known class", i, r.path);
        dataset_key(&d->keys[i], r.xxh128, r.checksum, d->info->side_px, d->info->encoding, r.variant);
        d->labels[i] = r.label;
        d->variants[i] = r.variant;
        if (r.split == SHARD_TRAIN || r.variant == 0) d->rows[r.split][d->n_split[r.split]++] = (uint32_t)i;
        int32_t numbers[4] = {r.label, (int32_t)r.split, r.variant, r.fold};
        xxh128_stream_add(h, &d->keys[i], sizeof d->keys[i]);
        xxh128_stream_add(h, numbers, sizeof numbers);
        xxh128_stream_add(h, r.group, strlen(r.group) + 1);
    }
    return 0;
}

int dataset_open(struct dataset *d, const char *folder, struct error *err)
{
    struct xxh128_stream *h = NULL;
    struct xxh128 hash;
    *d = DATASET_EMPTY;
    if (shard_set_open(&d->shards, folder, err)) return -1;
    d->info = shard_set_info(d->shards);
    if (d->info->n_records >= UINT32_MAX - 1) {
        error_set(err, EX_DATAERR, "'%s' has more records than can be trained on at once", folder);
        goto fail;
    }
    d->n_rows = (size_t)d->info->n_records;
    size_t n = d->n_rows ? d->n_rows : 1;
    if (!(d->labels = mem_zalloc(n, sizeof *d->labels, err)) ||
        !(d->variants = mem_zalloc(n, sizeof *d->variants, err)) ||
        !(d->keys = mem_zalloc(n, sizeof *d->keys, err)) || xxh128_stream_open(&h, err))
        goto fail;
    for (int s = 0; s < SHARD_SPLITS; s++)
        if (!(d->rows[s] = mem_zalloc(n, sizeof *d->rows[s], err))) goto fail;
    hash_classes(h, d->info);
    if (read_rows(d, h, err)) goto fail;
    xxh128_stream_end(h, &hash);
    xxh128_hex(d->hash, &hash);
    xxh128_stream_close(h);
    h = NULL;
    if (!d->n_split[SHARD_TRAIN]) {
        error_set(err, EX_DATAERR, "'%s' has no training pictures: pack rows whose split is 'train' or empty",
                  folder);
        goto fail;
    }
    if (d->info->n_classes < 2) {
        error_set(err, EX_DATAERR, "'%s' has only the class '%s': pack pictures of at least two labels",
                  folder, d->info->classes[0]);
        goto fail;
    }
    for (int c = 0; c < d->info->n_classes; c++) {
        size_t found = 0;
        for (size_t i = 0; i < d->n_split[SHARD_TRAIN]; i++)
            found += d->labels[d->rows[SHARD_TRAIN][i]] == c;
        if (!found) {
            error_set(err, EX_DATAERR,
                      "'%s': class '%s' has no training pictures: move some from its test and validation "
                      "splits, or leave the class out",
                      folder, d->info->classes[c]);
            goto fail;
        }
    }
    return 0;
fail:
    xxh128_stream_close(h);
    dataset_release(d);
    return -1;
}

void dataset_release(struct dataset *d)
{
    shard_set_close(d->shards);
    free(d->labels);
    free(d->variants);
    free(d->keys);
    for (int s = 0; s < SHARD_SPLITS; s++)
        free(d->rows[s]);
    *d = DATASET_EMPTY;
}

int dataset_class_weights(const struct dataset *d, const char *spec, double *weights, struct error *err)
{
    int n_classes = d->info->n_classes;
    if (!strcmp(spec, "none") || !strcmp(spec, "balanced")) {
        for (int c = 0; c < n_classes; c++)
            weights[c] = 1;
        if (spec[0] == 'n') return 0;
        for (int c = 0; c < n_classes; c++) {
            size_t found = 0;
            for (size_t i = 0; i < d->n_split[SHARD_TRAIN]; i++)
                found += d->labels[d->rows[SHARD_TRAIN][i]] == c;
            weights[c] = (double)d->n_split[SHARD_TRAIN] / ((double)n_classes * (double)found);
        }
        return 0;
    }
    int n = 0;
    for (const char *at = spec;; at++) {
        char field[64];
        size_t length = strcspn(at, ",");
        if (n == n_classes || length >= sizeof field) break;
        memcpy(field, at, length);
        field[length] = 0;
        if (parse_double(field, 0, 1e6, &weights[n++], "--class-weights", err))
            return error_prefix(err, "none, balanced or %d numbers", n_classes);
        at += length;
        if (!*at)
            return n == n_classes
                       ? 0
                       : error_set(err, EX_USAGE, "--class-weights has %d numbers, there are %d classes", n,
                                   n_classes);
    }
    return error_set(err, EX_USAGE, "--class-weights '%s': none, balanced or %d numbers", spec, n_classes);
}
