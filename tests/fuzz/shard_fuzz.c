/* needs: base io hash manifest image shard */
/*
 * shard_fuzz.c: a shard set whose index a stranger wrote. First byte 'i': the rest is index.tsv beside a
 * sound pair; otherwise the rest is shard-00000.tsv and index.tsv lists it with its right hash (a stranger
 * can compute hashes, too); with 'R' and 'K' the rest is shard-rows.tsv of the second format. The .bin file
 * holds a small JPEG and samples.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hash/content_hash.h"
#include "image/image.h"
#include "shard/shard.h"

#define SIDE 8
#define BIN_BYTES 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[64];

static void write_file(const char *name, const void *bytes, size_t n)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f)) exit(70);
}

static void clean_up(void)
{
    static const char *const names[] = {"index.tsv", "shard-00000.tsv", "shard-00000.bin", "shard-rows.tsv"};
    char path[128];
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void make_bin(void)
{
    static char bin[BIN_BYTES] = "winnow shard 1\n";
    struct image m = IMAGE_EMPTY;
    struct error err = {0};
    uint8_t *jpeg;
    size_t n;
    strcpy(folder, access("/dev/shm", W_OK) == 0 ? "/dev/shm/winnow-fuzz-XXXXXX" : "/tmp/winnow-fuzz-XXXXXX");
    if (!mkdtemp(folder)) exit(70);
    atexit(clean_up);
    if (image_reserve(&m, SIDE, SIDE, 3, &err)) exit(70);
    memset(m.pixels, 90, image_bytes(&m));
    if (image_encode_jpeg(&m, 80, &jpeg, &n, &err)) exit(70);
    memcpy(bin + 64, jpeg, n < 1900 ? n : 1900);
    memset(bin + 2048, 77, 1024);
    free(jpeg);
    image_release(&m);
    write_file("shard-00000.bin", bin, sizeof bin);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct shard_set *s;
    struct error err = {0};
    static uint8_t scratch[4096 * 3 + 64];
    if (size < 1 || size > 20000) return 0;
    if (!folder[0]) make_bin();
    if (data[0] == 'i') {
        static const char rows[] =
            "path\tlabel\tsplit\tgroup\tfold\tvariant\tsource\tparams\txxh128\toffset\tbytes\tchecksum\n";
        write_file("index.tsv", data + 1, size - 1);
        write_file("shard-00000.tsv", rows, sizeof rows - 1);
    } else {
        char index[1024], hex[33];
        struct xxh128 h;
        size_t n_rows = 0;
        for (size_t i = 1; i < size; i++)
            n_rows += data[i] == '\n';
        xxh128_of(&h, data + 1, size - 1);
        xxh128_hex(hex, &h);
        bool rows = data[0] == 'R' || data[0] == 'K';
        int n = snprintf(index, sizeof index,
                         "key\tvalue\trecords\tbytes\txxh128\nformat\twinnow-shards-%d\t\t\t\nside_px\t%"
                         "d\t\t\t\nresize\tbilinear\t\t\t\n"
                         "encoding\t%s\t\t\t\nclass\ta\t\t\t\nclass\tb\t\t\t\nshard\tshard-00000.bin\t%zu\t%"
                         "d\t%s\nindex\tshard-00000.tsv\t%zu\t%zu\t%s\n",
                         rows ? 2 : 1, SIDE, data[0] == 'j' || data[0] == 'K' ? "jpeg" : "raw", n_rows - 1,
                         BIN_BYTES, hex, n_rows - 1, size - 1, hex);
        if (rows)
            n += snprintf(index + n, sizeof index - (size_t)n, "rows\tshard-rows.tsv\t%zu\t%zu\t%s\n",
                          n_rows - 1, size - 1, hex);
        write_file("index.tsv", index, (size_t)n);
        write_file(rows ? "shard-rows.tsv" : "shard-00000.tsv", data + 1, size - 1);
    }
    /* no workers: what they decode, jpeg_fuzz decodes */
    if (shard_set_open_stored(&s, folder, &err) == 0) {
        const struct shard_set_info *info = shard_set_info(s);
        for (uint64_t i = 0; i < info->n_records && i < 50; i++) {
            struct shard_record r;
            if (shard_set_describe(s, i, &r, &err) || r.label < 0 || r.label >= info->n_classes) abort();
            volatile uint8_t sum = 0;
            /* the promised bytes and the tail lie in the mapping */
            for (size_t k = 0; k < r.n_encoded + 64; k++)
                sum = (uint8_t)(sum + r.encoded[k]);
            if (info->side_px <= 64 && info->encoding == SHARD_RAW &&
                shard_set_read(s, i, scratch, &r, &err) == 0)
                sum = (uint8_t)(sum + r.pixels[(size_t)info->side_px * (size_t)info->side_px * 3 - 1]);
            shard_set_find(s, r.xxh128, r.variant);
        }
        shard_set_check(s, &err);
        shard_set_close(s);
    } else if (err.code == 0 || s) {
        abort();
    }
    return 0;
}
