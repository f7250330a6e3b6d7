#include "store/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "io/io.h"
#include "manifest/manifest.h"
#include "manifest/tsv.h"
#include "store/hash_list.h"
#include "store/journal.h"

#define SALT_BYTES 16

static int read_salt(int folder_fd, const char *folder, uint8_t salt[SALT_BYTES], struct error *err)
{
    int fd = openat(folder_fd, "audit.salt", O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        /* The file is written under another name and then renamed: with an incomplete salt, the log could no
         * longer be used. */
        if (getrandom(salt, SALT_BYTES, 0) != SALT_BYTES)
            return error_errno(err, EX_OSERR, "cannot get random numbers for audit.salt");
        fd = openat(folder_fd, "audit.salt.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0) return error_errno(err, EX_CANTCREAT, "cannot create '%s/audit.salt.new'", folder);
        int rc = io_write_full(fd, salt, SALT_BYTES, "audit.salt.new", err);
        if (rc == 0 && (fsync(fd) || fault_here(FAULT_RENAME) ||
                        renameat(folder_fd, "audit.salt.new", folder_fd, "audit.salt")))
            rc = error_errno(err, EX_CANTCREAT, "cannot write '%s/audit.salt'", folder);
        close(fd);
        return rc;
    }
    if (fd < 0) return error_errno(err, EX_NOINPUT, "cannot read '%s/audit.salt'", folder);
    int rc = io_read_full(fd, salt, SALT_BYTES, "audit.salt", err);
    close(fd);
    return rc;
}

/* Sets *whole to the number of bytes up to the last line feed. After it there may be a part of a line that a
 * full disk or a power cut left. */
static int find_whole_lines(int fd, uint64_t n_bytes, const char *name, uint64_t *whole, struct error *err)
{
    char block[4096];
    for (*whole = n_bytes; *whole > 0;) {
        size_t n = *whole < sizeof block ? (size_t)*whole : sizeof block;
        if (io_pread_full(fd, block, n, *whole - n, name, err)) return -1;
        const char *last = memrchr(block, '\n', n);
        if (last) {
            *whole -= n - (size_t)(last + 1 - block);
            break;
        }
        *whole -= n;
    }
    return 0;
}

/* Opens a small file of the store for appending, and removes an incomplete last line. *whole is then its
 * length. The file is created if it does not exist and flags allow it. */
static int open_whole(int folder_fd, const char *folder, const char *name, int flags, uint64_t *whole,
                      struct error *err)
{
    struct stat st;
    int fd =
        fault_here(FAULT_OPEN) ? -1 : openat(folder_fd, name, O_RDWR | O_APPEND | O_CLOEXEC | flags, 0600);
    if (fd < 0 || fstat(fd, &st)) {
        error_errno(err, EX_CANTCREAT, "cannot open '%s/%s'", folder, name);
        goto fail;
    }
    if (find_whole_lines(fd, (uint64_t)st.st_size, name, whole, err)) goto fail;
    if (*whole != (uint64_t)st.st_size && ftruncate(fd, (off_t)*whole)) {
        error_errno(err, EX_IOERR, "cannot cut '%s/%s' to whole lines", folder, name);
        goto fail;
    }
    return fd;
fail:
    if (fd >= 0) close(fd);
    return -1;
}

/* Appends to a small file of the store, with its header when it is new, and syncs it. After a failure the
 * file is unchanged. */
static int append(int folder_fd, const char *folder, const char *name, const char *header, const char *rows,
                  size_t n_bytes, struct error *err)
{
    struct text all = TEXT_EMPTY;
    uint64_t whole;
    int rc = -1, fd = open_whole(folder_fd, folder, name, O_CREAT, &whole, err);
    if (fd < 0 || (whole == 0 && text_puts(&all, header, err)) || text_add(&all, rows, n_bytes, err))
        goto out;
    if (io_write_full(fd, all.data, all.n_bytes, name, err)) {
        if (ftruncate(fd, (off_t)whole))
            error_prefix(err, "'%s/%s' now ends in the middle of a line", folder, name);
        goto out;
    }
    rc = fault_here(FAULT_FSYNC) || fsync(fd)
             ? error_errno(err, EX_IOERR, "cannot sync '%s/%s'", folder, name)
             : 0;
out:
    text_release(&all);
    if (fd >= 0) close(fd);
    return rc;
}

int takedown_mend(int folder_fd, const char *folder, bool dry_run, bool *there, struct error *err)
{
    struct stat st;
    uint64_t whole;
    *there = false;
    if (fstatat(folder_fd, "takedown.tsv", &st, 0)) {
        if (errno == ENOENT) return 0;
        return error_errno(err, EX_IOERR, "cannot check for '%s/takedown.tsv'", folder);
    }
    if (!dry_run) {
        int fd = open_whole(folder_fd, folder, "takedown.tsv", 0, &whole, err);
        if (fd < 0) return -1;
        close(fd);
        st.st_size = (off_t)whole;
    }
    *there = st.st_size > 0;
    return 0;
}

int audit_append(int folder_fd, const char *folder, const struct audit_line *l, struct error *err)
{
    static const char header[] = "time\taction\tlist\talgorithm\tdigest\turl_sha256\thost\turl\n";
    struct text line = TEXT_EMPTY, salted = TEXT_EMPTY, host = TEXT_EMPTY;
    uint8_t salt[SALT_BYTES], digest[32];
    char hex[65] = "", when[21];
    int rc = -1;
    if (*l->url) {
        if (read_salt(folder_fd, folder, salt, err) || text_add(&salted, salt, sizeof salt, err) ||
            text_puts(&salted, l->url, err))
            goto out;
        hash_digest(HASH_SHA256, salted.data, salted.n_bytes, digest);
        hex_encode(hex, digest, sizeof digest);
    }
    const char *from = strstr(l->url, "://");
    from = from ? from + 3 : "";
    if (text_add(&host, from, strcspn(from, "/?#"), err) ||
        text_printf(&line, err, "%s\t%s\t%s\t%s\t%s\t%s\t", format_time(when, l->time), l->action, l->list,
                    l->algorithm, l->digest, hex) ||
        tsv_escape(&line, host.data ? host.data : "", err) || text_puts(&line, "\t", err) ||
        (l->keep_url && tsv_escape(&line, l->url, err)) || text_puts(&line, "\n", err))
        goto out;
    rc = append(folder_fd, folder, "audit.tsv", header, line.data, line.n_bytes, err);
out:
    text_release(&line);
    text_release(&salted);
    text_release(&host);
    return rc;
}

int takedown_append(int folder_fd, const char *folder, const char *rows, size_t n_bytes, struct error *err)
{
    return n_bytes ? append(folder_fd, folder, "takedown.tsv", "time\tkind\tvalue\n", rows, n_bytes, err) : 0;
}

int takedown_append_hash(int folder_fd, const char *folder, int64_t time, const struct xxh128 *hash,
                         struct error *err)
{
    char row[96], when[21], hex[XXH128_HEX_BYTES];
    xxh128_hex(hex, hash);
    int n = snprintf(row, sizeof row, "%s\txxh128\t%s\n", format_time(when, time), hex);
    return takedown_append(folder_fd, folder, row, (size_t)n, err);
}

int takedown_read(const char *path, takedown_row *row, void *context, struct error *err)
{
    static const char *const required[] = {"kind", "value", NULL};
    struct manifest_reader in = MANIFEST_READER_EMPTY;
    int rc = -1, got = 0;
    if (manifest_reader_open(&in, path, required, err)) goto out;
    int kind = manifest_column(&in.schema, "kind"), value = manifest_column(&in.schema, "value");
    while ((got = manifest_reader_next(&in, err)) > 0) {
        int taken = row(context, in.fields[kind], in.fields[value], err);
        if (taken == 0)
            error_set(err, EX_DATAERR, "'%s' row %llu: not a takedown", path, (unsigned long long)in.row);
        if (taken <= 0) goto out;
    }
    rc = got;
out:
    manifest_reader_close(&in);
    return rc;
}
