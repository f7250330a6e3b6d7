/*
 * zip_archive.c: a reader of zip archives with limits, which uses zlib. A member is described twice: by its
 * entry in the directory at the end, and by a header before its bytes. Both must agree, because programs that
 * use one or the other would read different files. Sizes are checked before memory is allocated.
 */
#include "net/zip_archive.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/mem.h"
#include "base/text.h"
#include "io/io.h"

#define END_BYTES 22
#define ENTRY_BYTES 46
#define HEADER_BYTES 30
#define MAX_COMMENT 65535
/* The best ratio of deflate: 258 bytes for two bits. */
#define DEFLATE_RATIO 1032
#define BLOCK_BYTES ((size_t)1 << 18)

static unsigned get16(const unsigned char *p) { return (unsigned)p[0] | (unsigned)p[1] << 8; }
static uint32_t get32(const unsigned char *p) { return get16(p) | (uint32_t)get16(p + 2) << 16; }

static int bad(struct error *err, const struct zip_member *m, const char *why)
{
    char shown[128];
    return error_set(err, EX_DATAERR, "its member '%s' %s", text_for_people(shown, sizeof shown, m->name),
                     why);
}

/* --- the directory --- */

/* Finds the end record, which a comment may follow. *at becomes its offset. */
static int find_end(const struct zip_archive *z, unsigned char out[END_BYTES], uint64_t *at,
                    struct error *err)
{
    size_t n = z->bytes < END_BYTES + MAX_COMMENT ? (size_t)z->bytes : END_BYTES + MAX_COMMENT;
    unsigned char *tail = n < END_BYTES ? NULL : mem_alloc(n, err);
    int rc = -1;
    if (n < END_BYTES) return error_set(err, EX_DATAERR, "not a zip archive, or cut off");
    if (!tail) return -1;
    if (io_pread_full(z->fd, tail, n, z->bytes - n, "zip archive", err)) goto out;
    for (size_t i = n - END_BYTES + 1; rc && i-- > 0;)
        if (get32(tail + i) == 0x06054b50 && i + END_BYTES + get16(tail + i + 20) == n) {
            memcpy(out, tail + i, END_BYTES);
            *at = z->bytes - n + i;
            rc = 0;
        }
    if (rc) error_set(err, EX_DATAERR, "not a zip archive, or incomplete: its end is missing");
out:
    free(tail);
    return rc;
}

static int read_entry(struct zip_archive *z, const unsigned char *p, size_t left, size_t *used,
                      struct error *err)
{
    struct zip_member *m = &z->members[z->n_members];
    if (left < ENTRY_BYTES || get32(p) != 0x02014b50)
        return error_set(err, EX_DATAERR, "its directory is damaged");
    size_t name = get16(p + 28), rest = (size_t)get16(p + 30) + get16(p + 32);
    if (name + rest > left - ENTRY_BYTES) return error_set(err, EX_DATAERR, "its directory is damaged");
    *m = (struct zip_member){.offset = get32(p + 42),
                             .packed = get32(p + 20),
                             .bytes = get32(p + 24),
                             .crc = get32(p + 16),
                             .method = get16(p + 10),
                             .flags = get16(p + 8)};
    if (!(m->name = mem_alloc(name + 1, err))) return -1;
    memcpy(m->name, p + ENTRY_BYTES, name);
    m->name[name] = 0;
    z->n_members++;
    if (strlen(m->name) != name || strchr(m->name, '\\') || !path_is_inside(m->name))
        return bad(err, m, "has a name that leaves the archive");
    if (m->offset == UINT32_MAX || m->packed == UINT32_MAX || m->bytes == UINT32_MAX)
        return bad(err, m, "is larger than 4 GiB (ZIP64), which is not read");
    if (m->offset + HEADER_BYTES + name + m->packed > z->directory)
        return bad(err, m, "is said to be longer than the file");
    *used = ENTRY_BYTES + name + rest;
    return 0;
}

static int by_offset(const void *a, const void *b)
{
    const struct zip_member *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Refuses members that share bytes, with which a small file could unpack to a huge one. */
static int check_members(struct zip_archive *z, struct error *err)
{
    if (z->n_members > 1) qsort(z->members, z->n_members, sizeof *z->members, by_offset);
    for (size_t i = 0; i < z->n_members; i++) {
        const struct zip_member *m = &z->members[i];
        if (i + 1 < z->n_members &&
            m->offset + HEADER_BYTES + strlen(m->name) + m->packed > z->members[i + 1].offset)
            return bad(err, m, "lies over another");
        for (size_t k = 0; k < i; k++)
            if (strcmp(z->members[k].name, m->name) == 0) return bad(err, m, "occurs twice");
    }
    return 0;
}

int zip_open(struct zip_archive *z, const char *path, struct error *err)
{
    unsigned char end[END_BYTES] = {0}, *entries = NULL;
    struct stat st;
    uint64_t at = 0;
    int rc = -1;
    *z = ZIP_ARCHIVE_EMPTY;
    if ((z->fd = io_open_read(path, err)) < 0) return -1;
    if (fstat(z->fd, &st)) return error_errno(err, EX_NOINPUT, "cannot stat it");
    z->bytes = st.st_size < 0 ? 0 : (uint64_t)st.st_size;
    if (find_end(z, end, &at, err)) return -1;
    size_t n = get16(end + 10), bytes = get32(end + 12);
    z->directory = get32(end + 16);
    if (get16(end + 4) || get16(end + 6) || get16(end + 8) != n)
        return error_set(err, EX_DATAERR, "a zip archive in several parts");
    if (n == 0xffff || bytes == UINT32_MAX || z->directory == UINT32_MAX)
        return error_set(err, EX_DATAERR, "a ZIP64 archive (over 4 GiB), which is not read");
    if (n > ZIP_MAX_MEMBERS)
        return error_set(err, EX_DATAERR, "a zip archive of more than %d members", ZIP_MAX_MEMBERS);
    if (z->directory + bytes != at) return error_set(err, EX_DATAERR, "its directory is damaged");
    if (!(z->members = mem_zalloc(n + 1, sizeof *z->members, err)) || !(entries = mem_alloc(bytes + 1, err)))
        goto out;
    if (io_pread_full(z->fd, entries, bytes, z->directory, path, err)) goto out;
    size_t done = 0, used = 0;
    for (size_t i = 0; i < n; i++, done += used)
        if (read_entry(z, entries + done, bytes - done, &used, err)) goto out;
    if (done != bytes) {
        error_set(err, EX_DATAERR, "its directory is damaged");
        goto out;
    }
    rc = check_members(z, err);
out:
    free(entries);
    return rc;
}

void zip_close(struct zip_archive *z)
{
    for (size_t i = 0; i < z->n_members; i++)
        free(z->members[i].name);
    free(z->members);
    if (z->fd >= 0) close(z->fd);
    *z = ZIP_ARCHIVE_EMPTY;
}

const struct zip_member *zip_find(const struct zip_archive *z, const char *name)
{
    for (size_t i = 0; i < z->n_members; i++)
        if (strcmp(z->members[i].name, name) == 0) return &z->members[i];
    return NULL;
}

/* --- a member --- */

struct sink {
    char *to; /* room for `bytes` */
    uint64_t done, bytes;
    uLong crc;
};

static int pour(struct sink *s, const unsigned char *from, size_t n, struct error *err)
{
    if (n > s->bytes - s->done) return error_set(err, EX_DATAERR, "unpacks to more bytes than its size");
    s->crc = crc32(s->crc, from, (uInt)n);
    memcpy(s->to + s->done, from, n);
    s->done += n;
    return 0;
}

/* Checks that the header of the member agrees with the directory. *at: the offset of its bytes. */
static int check_header(const struct zip_archive *z, const struct zip_member *m, uint64_t *at,
                        struct error *err)
{
    unsigned char h[HEADER_BYTES];
    char name[65536];
    if (io_pread_full(z->fd, h, sizeof h, m->offset, "zip archive", err)) return -1;
    size_t n = get16(h + 26);
    *at = m->offset + HEADER_BYTES + n + get16(h + 28);
    bool later = get16(h + 6) & 8; /* sizes follow the bytes, and are 0 here */
    if (get32(h) != 0x04034b50 || get16(h + 8) != m->method || n != strlen(m->name) ||
        *at + m->packed > z->directory ||
        (!later && (get32(h + 14) != m->crc || get32(h + 18) != m->packed || get32(h + 22) != m->bytes)))
        return bad(err, m, "is described in two ways");
    if (io_pread_full(z->fd, name, n, m->offset + HEADER_BYTES, "zip archive", err)) return -1;
    if (memcmp(name, m->name, n) != 0) return bad(err, m, "is described in two ways");
    if ((m->flags | get16(h + 6)) & 1) return bad(err, m, "is encrypted");
    if (m->method != 0 && m->method != 8) return bad(err, m, "is packed by a method that is not deflate");
    if (m->method == 0 ? m->packed != m->bytes : m->bytes / DEFLATE_RATIO > m->packed)
        return bad(err, m, "says a size that its bytes cannot have");
    return 0;
}

static int inflate_to(const struct zip_archive *z, const struct zip_member *m, uint64_t at, struct sink *s,
                      struct error *err)
{
    unsigned char *buffers = mem_alloc(2 * BLOCK_BYTES, err), *out = buffers + BLOCK_BYTES;
    z_stream stream = {.next_in = NULL};
    uint64_t left = m->packed;
    int rc = -1, status = Z_OK;
    if (!buffers) return -1;
    if (m->method == 8 && inflateInit2(&stream, -MAX_WBITS) != Z_OK) {
        free(buffers);
        return error_set(err, EX_OSERR, "cannot start zlib");
    }
    while (left > 0 && status != Z_STREAM_END) {
        size_t n = left < BLOCK_BYTES ? (size_t)left : BLOCK_BYTES;
        if (io_pread_full(z->fd, buffers, n, at, "zip archive", err)) goto out;
        at += n;
        left -= n;
        if (m->method == 0) {
            if (pour(s, buffers, n, err)) goto out;
            continue;
        }
        stream.next_in = buffers;
        stream.avail_in = (uInt)n;
        do {
            stream.next_out = out;
            stream.avail_out = (uInt)BLOCK_BYTES;
            status = inflate(&stream, Z_NO_FLUSH);
            if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
                error_set(err, EX_DATAERR, "is damaged");
                goto out;
            }
            if (pour(s, out, BLOCK_BYTES - stream.avail_out, err)) goto out;
        } while (status == Z_OK && stream.avail_out == 0);
    }
    if (s->done != m->bytes || (m->method == 8 && (status != Z_STREAM_END || left || stream.avail_in)))
        error_set(err, EX_DATAERR, "is cut off or damaged");
#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION /* a fuzzer cannot produce the right CRC */
    else if (s->crc != m->crc)
        error_set(err, EX_DATAERR, "is damaged (its checksum differs)");
#endif
    else
        rc = 0;
out:
    if (m->method == 8) inflateEnd(&stream);
    free(buffers);
    return rc;
}

int zip_read(const struct zip_archive *z, const struct zip_member *m, uint64_t max_bytes, char **out,
             size_t *n_bytes, struct error *err)
{
    struct sink s = {.bytes = m->bytes, .crc = crc32(0, NULL, 0)};
    uint64_t at;
    char shown[128];
    *out = NULL;
    if (m->bytes > max_bytes) return bad(err, m, "is larger than it may be");
    if (check_header(z, m, &at, err) || !(s.to = mem_alloc((size_t)m->bytes + 1, err))) return -1;
    if (inflate_to(z, m, at, &s, err)) {
        free(s.to);
        return error_prefix(err, "its member '%s'", text_for_people(shown, sizeof shown, m->name));
    }
    s.to[m->bytes] = 0;
    *out = s.to;
    *n_bytes = (size_t)m->bytes;
    return 0;
}
