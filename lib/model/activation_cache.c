/*
 * activation_cache.c: the append-only file of activation_cache.h.
 *   header 64 bytes: magic, format, values a row, dtype, identity, hash of these
 *   block: head 64 bytes (magic, rows, hash of payload, hash of head), then keys [n], then rows [n], each
 *   row's bytes rounded up to 64 so that a mapped row is aligned.
 * The index is a hash table over the keys of the rows, which is built at each opening (it reads 64 bytes a
 * row).
 */
#include "model/activation_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/half.h"
#include "base/hash_index.h"
#include "base/mem.h"
#include "base/text.h"
#include "hash/content_hash.h"
#include "io/io.h"

#define HEAD_BYTES 64u
#define MAX_BLOCK_ROWS (1u << 20)
#define LARGE_ROW_BYTES (64u << 10) /* rows like this are not kept mapped: see unmap_pages */

static const char file_magic[8] = "WNACTV01";
static const char block_magic[8] = "WNACTBLK";

struct file_head {
    char magic[8];
    uint64_t n_values;
    uint32_t dtype, reserved;
    struct xxh128 identity;
    uint8_t pad[8];
    struct xxh128 hash; /* of the 48 bytes before */
};

struct block_head {
    char magic[8];
    uint64_t n_rows;
    uint64_t payload_bytes;
    struct xxh128 payload_hash;
    uint8_t pad[8];
    struct xxh128 hash; /* of the 48 bytes before */
};

_Static_assert(sizeof(struct file_head) == HEAD_BYTES && sizeof(struct block_head) == HEAD_BYTES,
               "file layout");
_Static_assert(sizeof(struct activation_key) == 40, "file layout");

struct cached_row {
    struct activation_key key;
    uint64_t offset;
}; /* of the values in the file */

struct activation_cache {
    int fd;
    char *path;
    size_t n_values, row_bytes; /* row_bytes: values and padding */
    enum activation_dtype dtype;
    bool locked;
    uint64_t good_bytes; /* end of the last whole block */
    struct cached_row *rows;
    size_t n_rows, capacity;
    struct hash_index index; /* the newest row of each key */
    const uint8_t *map;
    size_t map_bytes;
    uint8_t *block; /* scratch of the writer */
    size_t block_bytes;
};

static size_t row_bytes_of(size_t n_values, enum activation_dtype dtype)
{
    return (n_values * (dtype == ACTIVATION_F16 ? 2 : 4) + 63) / 64 * 64;
}

uint64_t activation_cache_bytes(size_t n_values, enum activation_dtype dtype, uint64_t n_pictures)
{
    return n_pictures * (row_bytes_of(n_values, dtype) + sizeof(struct activation_key));
}

static uint64_t hash_of(const struct activation_key *key)
{
    uint64_t h;
    memcpy(&h, key->pixels, sizeof h); /* a hash already */
    return h ^ (key->variant * UINT64_C(0x9e3779b97f4a7c15));
}

static int index_add(struct activation_cache *c, const struct activation_key *key, uint64_t offset,
                     struct error *err)
{
    uint64_t hash = hash_of(key);
    uint32_t row = (uint32_t)c->n_rows, there;
    if (mem_grow(&c->rows, &c->capacity, c->n_rows + 1, sizeof *c->rows, err)) return -1;
    struct hash_walk w = hash_walk(&c->index, hash);
    bool known = false;
    while (!known && hash_walk_next(&c->index, &w, &there))
        known = !memcmp(&c->rows[there].key, key, sizeof *key);
    if (known) /* the same picture twice: the newer row counts */
        hash_walk_replace(&c->index, &w, row);
    else if (hash_index_add(&c->index, hash, row, err))
        return -1;
    c->rows[c->n_rows++] = (struct cached_row){.key = *key, .offset = offset};
    return 0;
}

static int map_to(struct activation_cache *c, uint64_t n_bytes, struct error *err)
{
    if (c->map) munmap((void *)(uintptr_t)c->map, c->map_bytes);
    c->map = NULL;
    void *map = mmap(NULL, n_bytes, PROT_READ, MAP_SHARED, c->fd, 0);
    if (map == MAP_FAILED) return error_errno(err, EX_OSERR, "cannot map '%s'", c->path);
    c->map = map;
    c->map_bytes = n_bytes;
    return 0;
}

static bool head_ok(const void *head, const char *magic)
{
    struct xxh128 h;
    xxh128_of(&h, head, HEAD_BYTES - sizeof h);
    return !memcmp(head, magic, 8) && !memcmp(&h, (const char *)head + HEAD_BYTES - sizeof h, sizeof h);
}

static void unmap_pages(const struct activation_cache *c, uint64_t from, uint64_t to);

/* Reads all blocks of the mapped file into the index. Stops at the first head that is not complete. */
static int read_blocks(struct activation_cache *c, struct error *err)
{
    uint64_t at = HEAD_BYTES;
    while (c->map_bytes - at >= HEAD_BYTES) {
        struct block_head head;
        struct xxh128 h;
        memcpy(&head, c->map + at, sizeof head);
        if (!head_ok(&head, block_magic) || head.n_rows == 0 || head.n_rows > MAX_BLOCK_ROWS) break;
        uint64_t key_bytes = (head.n_rows * sizeof(struct activation_key) + 63) / 64 * 64;
        if (head.payload_bytes != key_bytes + head.n_rows * c->row_bytes ||
            head.payload_bytes > c->map_bytes - at - HEAD_BYTES)
            break;
        const uint8_t *payload = c->map + at + HEAD_BYTES;
        xxh128_of(&h, payload, head.payload_bytes);
        /* A damaged block is skipped: its pictures will be computed again. */
        if (!memcmp(&h, &head.payload_hash, sizeof h))
            for (uint64_t i = 0; i < head.n_rows; i++) {
                struct activation_key key;
                memcpy(&key, payload + i * sizeof key, sizeof key);
                if (index_add(c, &key, at + HEAD_BYTES + key_bytes + i * c->row_bytes, err)) return -1;
            }
        if (c->row_bytes >= LARGE_ROW_BYTES) unmap_pages(c, at, at + HEAD_BYTES + head.payload_bytes);
        at += HEAD_BYTES + head.payload_bytes;
        c->good_bytes = at;
    }
    return 0;
}

int activation_cache_open(struct activation_cache **out, const char *folder, const char *name,
                          const char *identity, size_t n_values, enum activation_dtype dtype,
                          struct error *err)
{
    struct file_head want = {.n_values = n_values, .dtype = (uint32_t)dtype}, have;
    struct text path = TEXT_EMPTY;
    struct stat st;
    *out = NULL;
    struct activation_cache *c = mem_zalloc(1, sizeof *c, err);
    if (!c) return -1;
    c->fd = -1;
    c->n_values = n_values;
    c->dtype = dtype;
    c->row_bytes = row_bytes_of(n_values, dtype);
    c->good_bytes = HEAD_BYTES;
    memcpy(want.magic, file_magic, sizeof want.magic);
    if (xxh128_from_hex(&want.identity, identity)) {
        error_set(err, EX_SOFTWARE, "cache identity '%s'", identity);
        goto fail;
    }
    xxh128_of(&want.hash, &want, HEAD_BYTES - sizeof want.hash);
    if (text_printf(&path, err, "%s/%s-%.16s%s.cache", folder, name, identity,
                    dtype == ACTIVATION_F16 ? "-f16" : "") ||
        io_mkdirs(folder, err))
        goto fail;
    c->path = path.data;
    path = TEXT_EMPTY;
    c->fd = open(c->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (c->fd < 0 || fstat(c->fd, &st)) {
        error_errno(err, EX_CANTCREAT, "cannot open '%s'", c->path);
        goto fail;
    }
    if ((uint64_t)st.st_size >= HEAD_BYTES) {
        if (io_pread_full(c->fd, &have, sizeof have, 0, c->path, err)) goto fail;
        if (!memcmp(&have, &want, sizeof have)) {
            if (map_to(c, (uint64_t)st.st_size, err) || read_blocks(c, err)) goto fail;
            *out = c;
            return 0;
        }
    }
    /* The file is new, or its header is incomplete or damaged. Its contents cannot be used and will be
     * computed again. */
    if (flock(c->fd, LOCK_EX | LOCK_NB)) {
        error_set(err, EX_TEMPFAIL, "another process is writing '%s'", c->path);
        goto fail;
    }
    c->locked = true;
    if (ftruncate(c->fd, 0) || lseek(c->fd, 0, SEEK_SET) < 0) {
        error_errno(err, EX_IOERR, "cannot empty '%s'", c->path);
        goto fail;
    }
    if (io_write_full(c->fd, &want, sizeof want, c->path, err) || map_to(c, HEAD_BYTES, err)) goto fail;
    *out = c;
    return 0;
fail:
    text_release(&path);
    activation_cache_close(c);
    return -1;
}

int activation_cache_reread(struct activation_cache *c, struct error *err)
{
    struct stat st;
    /* The file is opened again, because network file systems show another machine's writes only in a file
     * that is opened after they were synced. */
    int fd = open(c->path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st)) {
        error_errno(err, EX_NOINPUT, "cannot open '%s' again", c->path);
        if (fd >= 0) close(fd);
        return -1;
    }
    close(c->fd);
    c->fd = fd;
    c->locked = false;
    c->n_rows = 0;
    c->good_bytes = HEAD_BYTES;
    hash_index_clear(&c->index);
    return (uint64_t)st.st_size < HEAD_BYTES ? error_set(err, EX_DATAERR, "'%s' is cut off", c->path)
           : map_to(c, (uint64_t)st.st_size, err) || read_blocks(c, err) ? -1
                                                                         : 0;
}

int64_t activation_cache_find(const struct activation_cache *c, const struct activation_key *key)
{
    uint32_t row;
    for (struct hash_walk w = hash_walk(&c->index, hash_of(key)); hash_walk_next(&c->index, &w, &row);)
        if (!memcmp(&c->rows[row].key, key, sizeof *key)) return row;
    return -1;
}

/*
 * Unmaps whole pages between the two offsets; they stay in the page cache. The boundary activations of a set
 * are gigabytes, and pages that were read once would otherwise count as memory of this process to its end.
 */
static void unmap_pages(const struct activation_cache *c, uint64_t from, uint64_t to)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    from = (from + page - 1) / page * page;
    to = to / page * page;
    if (from < to) madvise((void *)(uintptr_t)(c->map + from), to - from, MADV_DONTNEED);
}

size_t activation_cache_rows(const struct activation_cache *c) { return c->n_rows; }

void activation_cache_get(const struct activation_cache *c, int64_t row, float *out)
{
    const uint8_t *bytes = c->map + c->rows[row].offset;
    if (c->dtype == ACTIVATION_F16)
        half_to_float(out, (const uint16_t *)(const void *)bytes, c->n_values);
    else
        memcpy(out, bytes, c->n_values * sizeof *out);
    if (c->row_bytes >= LARGE_ROW_BYTES)
        unmap_pages(c, c->rows[row].offset, c->rows[row].offset + c->row_bytes);
}

/* Acquires the writer's lock, and removes an incomplete block that a crash left at the end. */
static int begin_writing(struct activation_cache *c, struct error *err)
{
    if (!c->locked) {
        if (flock(c->fd, LOCK_EX | LOCK_NB)) {
            if (errno == EWOULDBLOCK)
                return error_set(err, EX_TEMPFAIL, "another process is writing '%s'", c->path);
            return error_errno(err, EX_IOERR, "cannot lock '%s'", c->path);
        }
        c->locked = true;
        struct stat st; /* another writer may have added blocks since this one opened: take them in */
        if (fstat(c->fd, &st)) return error_errno(err, EX_IOERR, "cannot examine '%s'", c->path);
        if ((uint64_t)st.st_size > c->map_bytes) {
            c->n_rows = 0;
            hash_index_clear(&c->index);
            c->good_bytes = HEAD_BYTES;
            if (map_to(c, (uint64_t)st.st_size, err) || read_blocks(c, err)) return -1;
        }
    }
    if (ftruncate(c->fd, (off_t)c->good_bytes))
        return error_errno(err, EX_IOERR, "cannot cut '%s' back", c->path);
    return 0;
}

int activation_cache_append(struct activation_cache *c, const struct activation_key *keys,
                            const float *values, size_t n, struct error *err)
{
    if (!n || n > MAX_BLOCK_ROWS) return error_set(err, EX_SOFTWARE, "cache block of %zu rows", n);
    if (begin_writing(c, err)) return -1;
    struct block_head head = {.n_rows = n};
    size_t key_bytes = (n * sizeof *keys + 63) / 64 * 64;
    size_t payload_bytes = key_bytes + n * c->row_bytes, total = HEAD_BYTES + payload_bytes;
    if (total > c->block_bytes) {
        free(c->block);
        c->block_bytes = 0;
        if (!(c->block = mem_alloc(total, err))) return -1;
        c->block_bytes = total;
    }
    uint8_t *payload = c->block + HEAD_BYTES;
    size_t value_bytes = c->n_values * (c->dtype == ACTIVATION_F16 ? 2 : 4);
    memset(payload, 0, key_bytes);
    memcpy(payload, keys, n * sizeof *keys);
    for (size_t i = 0; i < n; i++) {
        uint8_t *row = payload + key_bytes + i * c->row_bytes;
        if (c->dtype == ACTIVATION_F16)
            half_from_float((uint16_t *)(void *)row, values + i * c->n_values, c->n_values);
        else
            memcpy(row, values + i * c->n_values, value_bytes);
        memset(row + value_bytes, 0, c->row_bytes - value_bytes);
    }
    memcpy(head.magic, block_magic, sizeof head.magic);
    head.payload_bytes = payload_bytes;
    xxh128_of(&head.payload_hash, payload, payload_bytes);
    xxh128_of(&head.hash, &head, HEAD_BYTES - sizeof head.hash);
    memcpy(c->block, &head, sizeof head);
    if (lseek(c->fd, (off_t)c->good_bytes, SEEK_SET) < 0)
        return error_errno(err, EX_IOERR, "cannot seek in '%s'", c->path);
    if (io_write_full(c->fd, c->block, total, c->path, err) || map_to(c, c->good_bytes + total, err))
        return -1;
    for (size_t i = 0; i < n; i++)
        if (index_add(c, &keys[i], c->good_bytes + HEAD_BYTES + key_bytes + i * c->row_bytes, err)) return -1;
    c->good_bytes += total;
    return 0;
}

int activation_cache_flush(struct activation_cache *c, struct error *err)
{
    if (!c->locked) return 0;
    if (fsync(c->fd)) return error_errno(err, EX_IOERR, "cannot write '%s'", c->path);
    flock(c->fd, LOCK_UN);
    c->locked = false;
    free(c->block);
    c->block = NULL;
    c->block_bytes = 0;
    return 0;
}

void activation_cache_close(struct activation_cache *c)
{
    if (!c) return;
    int saved = errno;
    if (c->map) munmap((void *)(uintptr_t)c->map, c->map_bytes);
    if (c->fd >= 0) close(c->fd); /* lets the lock go */
    free(c->path);
    free(c->rows);
    hash_index_release(&c->index);
    free(c->block);
    free(c);
    errno = saved;
}
