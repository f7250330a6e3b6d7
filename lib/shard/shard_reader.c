/*
 * shard_reader.c: opens, checks and maps a shard set. The index of 300,000 records is a TSV of some 50 MB.
 * It is read once, into entries of fixed size whose strings are in an arena. The records themselves stay in
 * the mapped files.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash_index.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/random.h"
#include "base/text.h"
#include "hash/content_hash.h"
#include "io/io.h"
#include "manifest/manifest.h"
#include "shard/shard_format.h"

struct entry {
    const char *path, *xxh128, *group, *source, *params;
    uint64_t offset, checksum;
    uint32_t bytes, shard;
    int label, fold, variant;
    enum shard_split split;
};

struct shard_file {
    char *path; /* of the .bin */
    const uint8_t *map;
    struct shard_listed listed;
};

struct shard_set {
    struct shard_set_info info;
    char *folder;
    struct shard_file *files;
    size_t n_files, files_capacity;
    struct entry *entries;
    size_t n_entries, entries_capacity, classes_capacity;
    bool has_rows;         /* the second format */
    atomic_uchar *checked; /* one a record */
    struct arena arena;
    struct hash_index by_hash;       /* of xxh128 */
    struct shard_decoders *decoders; /* of a JPEG set; NULL after shard_set_open_stored */
};

const char *shard_split_name(enum shard_split s)
{
    static const char *const names[SHARD_SPLITS] = {"train", "val", "test"};
    return names[s];
}

bool shard_split_parse(const char *name, enum shard_split *out)
{
    for (int s = 0; s < SHARD_SPLITS; s++)
        if (strcmp(name, shard_split_name((enum shard_split)s)) == 0) {
            *out = (enum shard_split)s;
            return true;
        }
    return false;
}

const char *shard_encoding_name(enum shard_encoding e) { return e == SHARD_JPEG ? "jpeg" : "raw"; }

uint64_t shard_checksum(const void *bytes, size_t n_bytes) { return xxh64_of(bytes, n_bytes); }

void shard_chain_hash(char hash[33], const char *xxh128, const char *label, enum shard_split split, int fold,
                      int variant, uint64_t checksum)
{
    char text[512];
    struct xxh128 h;
    int n = snprintf(text, sizeof text, "%s %s %.250s %d %d %d %016llx", hash, xxh128, label, (int)split,
                     fold, variant, (unsigned long long)checksum);
    xxh128_of(&h, text, (size_t)n);
    xxh128_hex(hash, &h);
}

/* --- the index --- */

static bool plain_name(const char *name)
{
    return *name && strlen(name) < sizeof((struct shard_listed *)0)->name && !strchr(name, '/') &&
           strcmp(name, ".") && strcmp(name, "..");
}

static bool is_hex(const char *s, size_t n) { return strlen(s) == n && strspn(s, "0123456789abcdef") == n; }

static int wrong(const struct manifest_reader *r, struct error *err, const char *what)
{
    return error_set(err, EX_DATAERR, "'%s': row %llu: %s", r->name, (unsigned long long)r->row, what);
}

/* Sets err after a number could not be read. Returns -1. */
static int bad_number(const struct manifest_reader *r, struct error *err)
{
    err->code = EX_DATAERR; /* not of the command line */
    return error_prefix(err, "'%s': row %llu", r->name, (unsigned long long)r->row);
}

static int class_of(const struct shard_set *s, const char *label)
{
    int low = 0, high = s->info.n_classes - 1;
    while (low <= high) {
        int middle = (low + high) / 2, order = strcmp(label, s->info.classes[middle]);
        if (order == 0) return middle;
        if (order < 0)
            high = middle - 1;
        else
            low = middle + 1;
    }
    return -1;
}

static const char *const index_columns[] = {"path",    "label",    "split",  "group",  "fold",
                                            "variant", "source",   "params", "xxh128", "offset",
                                            "bytes",   "checksum", NULL};

/*
 * Reads one row of the table of a file, or with SHARD_ROWS of the set (column[12] is then `shard`). *at: the
 * end of the previous record in the file.
 */
static int read_entry(struct shard_set *s, const struct manifest_reader *r, const int column[],
                      uint32_t shard, uint64_t *at, struct error *err)
{
    const char *f[12];
    uint64_t value;
    int64_t number;
    struct entry e = {.shard = shard, .fold = -1};
    for (int i = 0; i < 12; i++)
        f[i] = manifest_field(r, column[i]);
    if (s->info.rows_apart) {
        if (s->n_files == 0) return wrong(r, err, "a record of a set without shards");
        if (parse_u64(manifest_field(r, column[12]), 0, s->n_files - 1, &value, "column 'shard'", err))
            return bad_number(r, err);
        e.shard = (uint32_t)value;
    }
    if ((e.label = class_of(s, f[1])) < 0) return wrong(r, err, "a label that index.tsv does not list");
    if (!shard_split_parse(f[2], &e.split)) return wrong(r, err, "split is not train, val or test");
    if (f[4][0]) {
        if (parse_i64(f[4], 0, 1000000, &number, "column 'fold'", err)) return bad_number(r, err);
        e.fold = (int)number;
    }
    if (parse_i64(f[5], 0, 1000000000, &number, "column 'variant'", err)) return bad_number(r, err);
    e.variant = (int)number;
    if (!is_hex(f[8], 32) || !is_hex(f[11], 16)) return wrong(r, err, "a malformed hash");
    if (parse_u64(f[9], 0, UINT64_MAX, &e.offset, "column 'offset'", err) ||
        parse_u64(f[10], 1, UINT32_MAX, &value, "column 'bytes'", err))
        return bad_number(r, err);
    e.bytes = (uint32_t)value;
    uint8_t sum[8];
    hex_decode(sum, sizeof sum, f[11]);
    for (int i = 0; i < 8; i++)
        e.checksum = e.checksum << 8 | sum[i];
    uint64_t file_bytes = s->files[e.shard].listed.bytes;
    uint64_t raw = (uint64_t)s->info.side_px * (uint64_t)s->info.side_px * 3;
    if (s->info.encoding == SHARD_RAW && e.bytes != raw) return wrong(r, err, "a record of the wrong size");
    /* Records of a file's own table must be in order and must not overlap. The zeros at the end of the
     * file keep vector loads inside it. */
    if (e.offset % SHARD_ALIGN || e.offset < *at || e.offset > file_bytes ||
        file_bytes - e.offset < (uint64_t)e.bytes + SHARD_TAIL)
        return wrong(r, err, "a record outside its shard");
    if (!s->info.rows_apart) *at = e.offset + e.bytes; /* rows may refer to records in any order, and twice */
    if (!(e.path = arena_strdup(&s->arena, f[0], err)) ||
        !(e.group = f[3][0] ? arena_strdup(&s->arena, f[3], err) : "") ||
        !(e.source = f[6][0] ? arena_strdup(&s->arena, f[6], err) : "") ||
        !(e.params = f[7][0] ? arena_strdup(&s->arena, f[7], err) : "") ||
        !(e.xxh128 = arena_strdup(&s->arena, f[8], err)) ||
        mem_grow(&s->entries, &s->entries_capacity, s->n_entries + 1, sizeof *s->entries, err))
        return -1;
    s->entries[s->n_entries++] = e;
    return 0;
}

/* Reads a file of the set whole and compares its size and hash with what index.tsv says. */
static int read_listed(char **text, const char *path, uint64_t bytes, const char *xxh128, struct error *err)
{
    size_t n;
    struct xxh128 h;
    char hex[33];
    if (io_read_file(path, bytes, text, &n, err)) return -1;
    xxh128_of(&h, *text, n);
    xxh128_hex(hex, &h);
    if (n == bytes && strcmp(hex, xxh128) == 0) return 0;
    free(*text);
    *text = NULL;
    return error_set(err, EX_DATAERR,
                     "'%s' is not the file that index.tsv lists (changed, or a copy that was cut off)", path);
}

static int read_index(struct shard_set *s, const char *name, uint64_t records, uint64_t bytes,
                      const char *xxh128, struct error *err)
{
    struct text path = TEXT_EMPTY;
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    char *text = NULL;
    int rc = -1, more, column[13];
    uint64_t at = SHARD_ALIGN, n = 0;
    if (text_printf(&path, err, "%s/%s", s->folder, name) ||
        read_listed(&text, path.data, bytes, xxh128, err) ||
        manifest_reader_open_memory(&r, text, bytes, path.data, index_columns, err))
        goto out;
    for (int i = 0; i < 12; i++)
        column[i] = manifest_column(&r.schema, index_columns[i]);
    column[12] = manifest_column(&r.schema, "shard");
    for (; (more = manifest_reader_next(&r, err)) == 1; n++)
        if (read_entry(s, &r, column, (uint32_t)s->n_files - 1, &at, err)) goto out;
    if (more < 0) goto out;
    if (n != records) {
        error_set(err, EX_DATAERR, "'%s' has %llu rows, index.tsv says %llu", path.data,
                  (unsigned long long)n, (unsigned long long)records);
        goto out;
    }
    rc = 0;
out:
    manifest_reader_close(&r);
    free(text);
    text_release(&path);
    return rc;
}

static int map_shard(struct shard_set *s, const char *name, uint64_t records, uint64_t bytes,
                     const char *xxh128, struct error *err)
{
    struct text path = TEXT_EMPTY;
    struct stat st;
    struct shard_file file = {.listed = {.bytes = bytes, .records = records}};
    int fd = -1, rc = -1;
    if (mem_grow(&s->files, &s->files_capacity, s->n_files + 1, sizeof *s->files, err) ||
        text_printf(&path, err, "%s/%s", s->folder, name))
        goto out;
    if ((fd = io_open_read(path.data, err)) < 0) {
        if (errno == ENOENT) err->code = EX_DATAERR; /* the set exists, but a file of it is missing */
        goto out;
    }
    if (fstat(fd, &st)) {
        error_errno(err, EX_IOERR, "cannot stat '%s'", path.data);
        goto out;
    }
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != bytes || bytes < SHARD_ALIGN + SHARD_TAIL) {
        error_set(err, EX_DATAERR, "'%s' has %lld bytes, index.tsv says %llu", path.data,
                  (long long)st.st_size, (unsigned long long)bytes);
        goto out;
    }
    void *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        error_errno(err, EX_OSERR, "cannot map '%s'", path.data);
        goto out;
    }
    if (memcmp(map, SHARD_MAGIC, strlen(SHARD_MAGIC)) != 0) {
        munmap(map, bytes);
        error_set(err, EX_DATAERR, "'%s' is not a shard file", path.data);
        goto out;
    }
    file.map = map;
    file.path = path.data;
    path = TEXT_EMPTY;
    file.listed.path = file.path;
    snprintf(file.listed.xxh128, sizeof file.listed.xxh128, "%s", xxh128);
    snprintf(file.listed.name, sizeof file.listed.name, "%s", name);
    s->files[s->n_files++] = file;
    rc = 0;
out:
    if (fd >= 0) close(fd);
    text_release(&path);
    return rc;
}

void shard_made_read(struct shard_made *out, const struct shard_set_info *info)
{
    struct error ignored = {0};
    int64_t frame;
    char word[SHARD_MADE_BYTES];
    *out = (struct shard_made){.frame = 1, .orientation = "browser"};
    for (const char *at = info->made; *at;) {
        size_t n = strcspn(at, " ");
        snprintf(word, sizeof word, "%.*s", (int)n, at);
        if (strcmp(word, "color=srgb") == 0) out->srgb = true;
        if (strcmp(word, "no-orient") == 0) out->orientation = "none";
        if (strcmp(word, "orientation=pillow") == 0) out->orientation = "pillow";
        if (text_starts(word, "frame=") && parse_i64(word + 6, 1, 1000000, &frame, "frame", &ignored) == 0)
            out->frame = (int)frame;
        at += n + (at[n] == ' ');
    }
}

/* Reads one row of index.tsv. Settings come before classes, classes before shards, and the index
 * of a shard comes right after it. */
static int read_set_row(struct shard_set *s, const struct manifest_reader *r, const int column[],
                        bool *has_index, bool *has_rows, struct error *err)
{
    const char *key = manifest_field(r, column[0]), *value = manifest_field(r, column[1]);
    uint64_t records = 0, bytes = 0;
    int64_t number;
    bool setting = strcmp(key, "side_px") == 0 || strcmp(key, "resize") == 0 ||
                   strcmp(key, "encoding") == 0 || strcmp(key, "data_hash") == 0 ||
                   strcmp(key, "background") == 0 || strcmp(key, "made") == 0;
    if (setting && s->n_files)
        return wrong(r, err, "a setting after a shard"); /* shards were checked with the earlier ones */
    if (strcmp(key, "format") == 0) {
        s->info.rows_apart = strcmp(value, SHARD_FORMAT_ROWS) == 0;
        return s->info.rows_apart || strcmp(value, SHARD_FORMAT) == 0
                   ? 0
                   : wrong(r, err, "a format that this version does not read");
    }
    if (strcmp(key, "side_px") == 0) {
        if (parse_i64(value, 1, SHARD_MAX_SIDE_PX, &number, "side_px", err)) return bad_number(r, err);
        s->info.side_px = (int)number;
        return 0;
    }
    if (strcmp(key, "resize") == 0) {
        if (strlen(value) >= sizeof s->info.resize) return wrong(r, err, "a resize method with a long name");
        snprintf(s->info.resize, sizeof s->info.resize, "%s", value);
        return 0;
    }
    if (strcmp(key, "background") == 0) {
        if (value[0] != '#' || !is_hex(value + 1, 6)) return wrong(r, err, "a malformed background");
        memcpy(s->info.background, value, sizeof s->info.background);
        return 0;
    }
    if (strcmp(key, "encoding") == 0) {
        if (strcmp(value, "raw") && strcmp(value, "jpeg")) return wrong(r, err, "an unknown encoding");
        s->info.encoding = value[0] == 'j' ? SHARD_JPEG : SHARD_RAW;
        return 0;
    }
    if (strcmp(key, "made") == 0) {
        if (strlen(value) >= sizeof s->info.made) return wrong(r, err, "settings that are too long");
        snprintf(s->info.made, sizeof s->info.made, "%s", value);
        return 0;
    }
    if (strcmp(key, "data_hash") == 0) {
        if (!is_hex(value, 32)) return wrong(r, err, "a malformed hash");
        memcpy(s->info.data_hash, value, sizeof s->info.data_hash);
        return 0;
    }
    if (strcmp(key, "class") == 0) {
        int n = s->info.n_classes;
        if (n >= SHARD_MAX_CLASSES || s->n_files || !*value ||
            (n > 0 && strcmp(s->info.classes[n - 1], value) >= 0))
            return wrong(r, err, "classes are not sorted, or come after a shard");
        if (mem_grow(&s->info.classes, &s->classes_capacity, (size_t)n + 1, sizeof *s->info.classes, err) ||
            !(s->info.classes[n] = arena_strdup(&s->arena, value, err)))
            return -1;
        s->info.n_classes++;
        return 0;
    }
    bool shard = strcmp(key, "shard") == 0, index = strcmp(key, "index") == 0,
         rows = s->info.rows_apart && strcmp(key, "rows") == 0;
    if (!shard && !index && !rows) return 0; /* an entry of a later version */
    const char *hash = manifest_field(r, column[4]);
    if (parse_u64(manifest_field(r, column[2]), 0, UINT32_MAX - 1, &records, "records", err) ||
        parse_u64(manifest_field(r, column[3]), 1, shard ? (uint64_t)INT64_MAX : SHARD_MAX_INDEX_BYTES,
                  &bytes, "bytes", err))
        return bad_number(r, err);
    bool changed = s->info.rows_apart && !rows && !*hash; /* by a takedown */
    if (!plain_name(value) || (!changed && !is_hex(hash, 32)) || s->info.side_px == 0 ||
        s->n_files >= SHARD_MAX_FILES || index == *has_index || *has_rows)
        return wrong(r, err, "a shard out of place");
    *has_index = !shard;
    *has_rows = rows;
    if (shard) return map_shard(s, value, records, bytes, hash, err);
    if (index) {
        struct shard_listed *listed = &s->files[s->n_files - 1].listed;
        listed->table_bytes = bytes;
        snprintf(listed->table_xxh128, sizeof listed->table_xxh128, "%s", hash);
    }
    return rows || !s->info.rows_apart ? read_index(s, value, records, bytes, hash, err) : 0;
}

static int read_set(struct shard_set *s, struct error *err)
{
    static const char *const columns[] = {"key", "value", "records", "bytes", "xxh128", NULL};
    struct text path = TEXT_EMPTY;
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    char *text = NULL;
    size_t n;
    int rc = -1, more, column[5];
    bool has_index = true, has_rows = false, format = false;
    if (text_printf(&path, err, "%s/index.tsv", s->folder) ||
        io_read_file(path.data, SHARD_MAX_SET_BYTES, &text, &n, err) ||
        manifest_reader_open_memory(&r, text, n, path.data, columns, err))
        goto out;
    for (int i = 0; i < 5; i++)
        column[i] = manifest_column(&r.schema, columns[i]);
    while ((more = manifest_reader_next(&r, err)) == 1) {
        format |= r.row == 1 && strcmp(manifest_field(&r, column[0]), "format") == 0;
        if (read_set_row(s, &r, column, &has_index, &has_rows, err)) goto out;
    }
    if (more < 0) goto out;
    if (!format || !has_index || has_rows != s->info.rows_apart || s->info.side_px == 0) {
        error_set(err, EX_DATAERR, "'%s' is not the list of a shard set", path.data);
        goto out;
    }
    rc = 0;
out:
    manifest_reader_close(&r);
    free(text);
    text_release(&path);
    return rc;
}

static uint64_t hash_of(const char *xxh128) { return random_key(xxh128, strlen(xxh128)); }

static int index_hashes(struct shard_set *s, struct error *err)
{
    if (hash_index_reserve(&s->by_hash, s->n_entries, err)) return -1;
    for (size_t i = 0; i < s->n_entries; i++)
        if (hash_index_add(&s->by_hash, hash_of(s->entries[i].xxh128), i, err)) return -1;
    return 0;
}

int shard_set_open_stored(struct shard_set **out, const char *folder, struct error *err)
{
    *out = NULL;
    struct shard_set *s = mem_zalloc(1, sizeof *s, err);
    if (!s) return -1;
    if (!(s->folder = mem_strdup(folder, err)) || read_set(s, err) || index_hashes(s, err) ||
        !(s->checked = mem_zalloc(s->n_entries + 1, sizeof *s->checked, err))) {
        shard_set_close(s);
        return -1;
    }
    s->info.n_records = s->n_entries;
    *out = s;
    return 0;
}

int shard_set_open(struct shard_set **out, const char *folder, struct error *err)
{
    if (shard_set_open_stored(out, folder, err)) return -1;
    struct shard_set *s = *out;
    if (s->info.encoding != SHARD_JPEG || shard_decoders_open(&s->decoders, s->info.side_px, err) == 0)
        return 0;
    shard_set_close(s);
    *out = NULL;
    return error_prefix(err,
                        "'%s' holds JPEG records, which are decoded in a sandbox (pack --encoding raw needs "
                        "none)",
                        folder);
}

const struct shard_set_info *shard_set_info(const struct shard_set *s) { return &s->info; }

int64_t shard_set_find(const struct shard_set *s, const char *xxh128, int variant)
{
    uint32_t i;
    for (struct hash_walk w = hash_walk(&s->by_hash, hash_of(xxh128)); hash_walk_next(&s->by_hash, &w, &i);) {
        const struct entry *e = &s->entries[i];
        if ((variant < 0 || e->variant == variant) && strcmp(e->xxh128, xxh128) == 0) return i;
    }
    return -1;
}

size_t shard_set_n_files(const struct shard_set *s) { return s->n_files; }

const struct shard_listed *shard_set_file(const struct shard_set *s, size_t file)
{
    return &s->files[file].listed;
}

const uint8_t *shard_set_bytes(const struct shard_set *s, size_t file) { return s->files[file].map; }

void shard_set_place(const struct shard_set *s, uint64_t index, uint32_t *file, uint64_t *offset)
{
    *file = s->entries[index].shard;
    *offset = s->entries[index].offset;
}

/* --- records --- */

int shard_set_describe(const struct shard_set *s, uint64_t index, struct shard_record *out, struct error *err)
{
    if (index >= s->n_entries)
        return error_set(err, EX_SOFTWARE, "'%s' has no record %llu", s->folder, (unsigned long long)index);
    const struct entry *e = &s->entries[index];
    *out = (struct shard_record){
        .path = e->path,
        .xxh128 = e->xxh128,
        .group = e->group,
        .label = e->label,
        .split = e->split,
        .fold = e->fold,
        .variant = e->variant,
        .source = e->source,
        .params = e->params,
        .checksum = e->checksum,
        .encoded = s->files[e->shard].map + e->offset,
        .n_encoded = e->bytes,
    };
    return 0;
}

/* Checks a record when it is first used. Two threads may check the same record, with the same result. */
static int check_record(struct shard_set *s, uint64_t index, const struct shard_record *r, struct error *err)
{
    if (atomic_load_explicit(&s->checked[index], memory_order_relaxed)) return 0;
    if (shard_checksum(r->encoded, r->n_encoded) != r->checksum)
        return error_set(err, EX_DATAERR, "'%s': record %llu ('%s') is damaged",
                         s->files[s->entries[index].shard].path, (unsigned long long)index, r->path);
    atomic_store_explicit(&s->checked[index], 1, memory_order_relaxed);
    return 0;
}

int shard_set_record(struct shard_set *s, uint64_t index, struct shard_record *out, struct error *err)
{
    if (s->info.encoding != SHARD_RAW)
        return error_set(err, EX_DATAERR,
                         "'%s' holds JPEG records: raw ones are needed here (pack --encoding raw)",
                         s->folder);
    if (shard_set_describe(s, index, out, err) || check_record(s, index, out, err)) return -1;
    out->pixels = out->encoded;
    return 0;
}

int shard_set_read(struct shard_set *s, uint64_t index, uint8_t *scratch, struct shard_record *out,
                   struct error *err)
{
    if (s->info.encoding == SHARD_RAW) return shard_set_record(s, index, out, err);
    if (!s->decoders) return error_set(err, EX_SOFTWARE, "'%s' was opened without decoders", s->folder);
    if (shard_set_describe(s, index, out, err) || check_record(s, index, out, err)) return -1;
    char why[SHARD_WHY_BYTES];
    int decoded = shard_decoders_run(s->decoders, out->encoded, out->n_encoded, scratch, why, err);
    if (decoded == 0)
        error_set(err, EX_DATAERR, "'%s': record %llu ('%s') cannot be read: %s", s->folder,
                  (unsigned long long)index, out->path, why);
    if (decoded != 1) return -1;
    out->pixels = scratch;
    return 0;
}

int shard_set_check(struct shard_set *s, struct error *err)
{
    char chain[33] = SHARD_HASH_START;
    for (size_t i = 0; i < s->n_files; i++) {
        struct xxh128 h;
        char hex[33];
        madvise((void *)s->files[i].map, s->files[i].listed.bytes, MADV_SEQUENTIAL);
        xxh128_of(&h, s->files[i].map, s->files[i].listed.bytes);
        xxh128_hex(hex, &h);
        if (*s->files[i].listed.xxh128 && strcmp(hex, s->files[i].listed.xxh128))
            return error_set(err, EX_DATAERR, "'%s' is damaged: its hash is %s, index.tsv says %s",
                             s->files[i].path, hex, s->files[i].listed.xxh128);
    }
    for (size_t i = 0; i < s->n_entries; i++) {
        struct shard_record r;
        if (shard_set_describe(s, i, &r, err) || check_record(s, i, &r, err)) return -1;
        shard_chain_hash(chain, r.xxh128, s->info.classes[r.label], r.split, r.fold, r.variant, r.checksum);
    }
    if (strcmp(chain, s->info.data_hash))
        return error_set(err, EX_DATAERR, "'%s': the records are not those that data_hash was taken over",
                         s->folder);
    return 0;
}

void shard_set_close(struct shard_set *s)
{
    if (!s) return;
    shard_decoders_close(s->decoders);
    for (size_t i = 0; i < s->n_files; i++) {
        munmap((void *)s->files[i].map, s->files[i].listed.bytes);
        free(s->files[i].path);
    }
    free(s->files);
    free(s->entries);
    free(s->info.classes);
    free((void *)s->checked);
    hash_index_release(&s->by_hash);
    free(s->folder);
    arena_release(&s->arena);
    free(s);
}
