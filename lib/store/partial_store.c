#include "store/partial_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/number.h"
#include "io/io.h"

/*
 * winnow-partial 1 <XXH3-128 of all that follows this line>\n
 * <bytes of the body>\t<bytes of the whole, or 0>\t<url>\t<validator>\n
 * the body
 */
static const char magic[] = "winnow-partial 1 ";
#define MAGIC_BYTES (sizeof magic - 1)
#define FIRST_LINE_BYTES (MAGIC_BYTES + 32 + 1)
#define SECOND_LINE_MAX_BYTES (16u << 10)
#define FUTURE_S 86400 /* a file from further ahead has no age that could be trusted */

/* --- one part --- */

void partial_release(struct partial *p)
{
    free(p->image);
    *p = PARTIAL_EMPTY;
}

static bool is_printable(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 0x7f) return false;
    return true;
}

int partial_make(struct partial *out, const char *url, const char *validator, uint64_t total,
                 const void *body, size_t n_body, struct error *err)
{
    struct text t = TEXT_EMPTY;
    struct xxh128 hash;
    char hex[XXH128_HEX_BYTES];
    *out = PARTIAL_EMPTY;
    if (!*url || !*validator || !is_printable(url) || !is_printable(validator))
        return error_set(err, EX_DATAERR,
                         "a partial body needs an address and a validator without control characters");
    if (text_printf(&t, err, "%s%32s\n%zu\t%llu\t%s\t%s\n", magic, "", n_body, (unsigned long long)total, url,
                    validator) ||
        text_add(&t, body, n_body, err)) {
        text_release(&t);
        return -1;
    }
    xxh128_of(&hash, t.data + FIRST_LINE_BYTES, t.n_bytes - FIRST_LINE_BYTES);
    xxh128_hex(hex, &hash);
    memcpy(t.data + MAGIC_BYTES, hex, 32);
    return partial_parse(out, t.data, t.n_bytes)
               ? error_set(err, EX_SOFTWARE, "a partial body cannot be read back")
               : 0;
}

/* Reads digits up to a tab, and moves *s past it. */
static bool take_number(char **s, uint64_t *out)
{
    char *tab = strchr(*s, '\t');
    if (!tab || tab - *s > 18 || !parse_digits(*s, (size_t)(tab - *s), out)) return false;
    *s = tab + 1;
    return true;
}

int partial_parse(struct partial *out, char *image, size_t n)
{
    struct xxh128 hash, named;
    char hex[XXH128_HEX_BYTES] = "";
    uint64_t n_body, total;
    *out = PARTIAL_EMPTY;
    if (n <= FIRST_LINE_BYTES || memcmp(image, magic, MAGIC_BYTES) != 0 ||
        image[FIRST_LINE_BYTES - 1] != '\n')
        goto bad;
    memcpy(hex, image + MAGIC_BYTES, 32);
    xxh128_of(&hash, image + FIRST_LINE_BYTES, n - FIRST_LINE_BYTES);
    if (xxh128_from_hex(&named, hex) || memcmp(&hash, &named, sizeof hash) != 0) goto bad;
    /* The hash agrees, so winnow wrote this. It is nevertheless checked. */
    char *line = image + FIRST_LINE_BYTES;
    size_t rest = n - FIRST_LINE_BYTES;
    char *end = memchr(line, '\n', rest < SECOND_LINE_MAX_BYTES ? rest : SECOND_LINE_MAX_BYTES);
    if (!end || memchr(line, 0, (size_t)(end - line)) || !take_number(&line, &n_body) ||
        !take_number(&line, &total))
        goto bad;
    char *tab = memchr(line, '\t', (size_t)(end - line));
    if (!tab || n_body != (uint64_t)(image + n - (end + 1)) || (total && total <= n_body) || n_body == 0)
        goto bad;
    *out = (struct partial){.image = image,
                            .n_image = n,
                            .url = line,
                            .validator = tab + 1,
                            .total_bytes = total,
                            .body = (const uint8_t *)end + 1,
                            .n_body = (size_t)n_body};
    /* The two separators become ends of strings. partial_store_put restores them for the file. */
    *tab = *end = 0;
    if (!*out->url || !*out->validator || !is_printable(out->url) || !is_printable(out->validator)) goto bad;
    return 0;
bad:
    free(image);
    *out = PARTIAL_EMPTY;
    return -1;
}

/* --- the folder --- */

#define NAME_BYTES (8 + XXH128_HEX_BYTES)

static char *partial_name(char out[NAME_BYTES], const struct xxh128 *key)
{
    char hex[XXH128_HEX_BYTES];
    xxh128_hex(hex, key);
    snprintf(out, NAME_BYTES, "partial/%s", hex);
    return out;
}

struct found {
    struct xxh128 key;
    uint64_t bytes;
    struct timespec saved;
};

static int oldest_first(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->saved.tv_sec != y->saved.tv_sec) return x->saved.tv_sec < y->saved.tv_sec ? -1 : 1;
    if (x->saved.tv_nsec != y->saved.tv_nsec) return x->saved.tv_nsec < y->saved.tv_nsec ? -1 : 1;
    return memcmp(&x->key, &y->key, sizeof x->key);
}

/* Lists all parts in store_fd/partial and removes other files. Without the folder there are none. */
static int list_parts(int store_fd, const char *folder, bool remove_strays, struct found **out, size_t *n,
                      struct error *err)
{
    size_t capacity = 0;
    int rc = -1;
    *out = NULL;
    *n = 0;
    int fd = openat(store_fd, "partial", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT ? 0 : error_errno(err, EX_NOINPUT, "cannot read '%s/partial'", folder);
    DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return error_errno(err, EX_OSERR, "cannot read '%s/partial'", folder);
    }
    for (struct dirent *e; (e = io_next_entry(d, "partial", &rc, err));) {
        struct xxh128 key;
        struct stat st;
        if (e->d_name[0] == '.') continue;
        if (xxh128_from_hex(&key, e->d_name) || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
            !S_ISREG(st.st_mode)) {
            if (remove_strays) unlinkat(dirfd(d), e->d_name, 0);
            continue;
        }
        if ((rc = mem_grow(out, &capacity, *n + 1, sizeof **out, err))) goto out;
        (*out)[(*n)++] = (struct found){key, (uint64_t)st.st_size, st.st_mtim};
    }
out:
    closedir(d);
    if (rc) {
        free(*out);
        *out = NULL;
        *n = 0;
    }
    return rc;
}

static int unlink_part(int store_fd, const char *folder, const struct xxh128 *key, struct error *err)
{
    char name[NAME_BYTES];
    if (unlinkat(store_fd, partial_name(name, key), 0) && errno != ENOENT)
        return error_errno(err, EX_IOERR, "cannot remove '%s/%s'", folder, name);
    return 0;
}

int partial_store_open(struct partial_store *p, const struct object_store *s, uint64_t limit_bytes,
                       double max_age_s, int64_t now_s, partial_visit *visit, void *context,
                       struct error *err)
{
    struct found *all;
    size_t n, first = 0;
    int rc = -1;
    *p = (struct partial_store){.store = s, .limit_bytes = limit_bytes};
    if (list_parts(s->folder_fd, s->folder, true, &all, &n, err)) return -1;
    if (n) qsort(all, n, sizeof *all, oldest_first);
    for (size_t i = 0; i < n; i++)
        p->n_bytes += all[i].bytes;
    for (; first < n; first++) {
        bool old = (double)(now_s - all[first].saved.tv_sec) >= max_age_s;
        if (!old && p->n_bytes <= limit_bytes) break;
        if (unlink_part(s->folder_fd, s->folder, &all[first].key, err)) goto out;
        p->n_bytes -= all[first].bytes;
    }
    for (size_t i = first; i < n; i++) {
        if (all[i].saved.tv_sec > now_s + FUTURE_S) {
            if (unlink_part(s->folder_fd, s->folder, &all[i].key, err)) goto out;
            p->n_bytes -= all[i].bytes;
        } else if (visit(context, &all[i].key, err)) {
            goto out;
        }
    }
    rc = 0;
out:
    free(all);
    return rc;
}

int partial_store_remove(struct partial_store *p, const struct xxh128 *key, struct error *err)
{
    char name[NAME_BYTES];
    struct stat st;
    if (fstatat(p->store->folder_fd, partial_name(name, key), &st, AT_SYMLINK_NOFOLLOW)) return 0;
    if (unlink_part(p->store->folder_fd, p->store->folder, key, err)) return -1;
    p->n_bytes -= p->n_bytes < (uint64_t)st.st_size ? p->n_bytes : (uint64_t)st.st_size;
    return 0;
}

int partial_store_put(struct partial_store *p, const struct xxh128 *key, const struct partial *part,
                      bool *kept, struct error *err)
{
    const struct object_store *s = p->store;
    char name[NAME_BYTES], temporary[48];
    *kept = false;
    /* The older part is removed first: its bytes count against the limit, and when it cannot be replaced
     * by this one, it belongs to another version or is shorter. */
    if (partial_store_remove(p, key, err)) return -1;
    if (part->n_image > p->limit_bytes || p->n_bytes > p->limit_bytes - part->n_image) return 0;
    if (mkdirat(s->folder_fd, "partial", 0700) && errno != EEXIST)
        return error_errno(err, EX_CANTCREAT, "cannot make '%s/partial'", s->folder);
    snprintf(temporary, sizeof temporary, "tmp/partial-%llu", (unsigned long long)++p->n_made);
    int fd = fault_here(FAULT_OPEN)
                 ? -1
                 : openat(s->folder_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return error_errno(err, EX_CANTCREAT, "cannot make '%s/%s'", s->folder, temporary);
    /* partial_parse cut the second line into strings. In the file its
     * separators are a tab and a line feed. */
    const char *url_end = part->url + strlen(part->url), *line_end = (const char *)part->body - 1;
    const char *end = part->image + part->n_image;
    int rc = io_write_full(fd, part->image, (size_t)(url_end - part->image), temporary, err) ||
                     io_write_full(fd, "\t", 1, temporary, err) ||
                     io_write_full(fd, url_end + 1, (size_t)(line_end - url_end - 1), temporary, err) ||
                     io_write_full(fd, "\n", 1, temporary, err) ||
                     io_write_full(fd, part->body, (size_t)(end - (const char *)part->body), temporary, err)
                 ? -1
                 : 0;
    if (close(fd) && rc == 0) rc = error_errno(err, EX_IOERR, "cannot write '%s/%s'", s->folder, temporary);
    if (rc == 0 && (fault_here(FAULT_RENAME) ||
                    renameat(s->folder_fd, temporary, s->folder_fd, partial_name(name, key))))
        rc = error_errno(err, EX_CANTCREAT, "cannot make '%s/%s'", s->folder, name);
    if (rc) {
        unlinkat(s->folder_fd, temporary, 0);
        return -1;
    }
    p->n_bytes += part->n_image;
    *kept = true;
    return 0;
}

int partial_store_get(const struct partial_store *p, const struct xxh128 *key, struct partial *out,
                      struct error *err)
{
    const struct object_store *s = p->store;
    char name[NAME_BYTES], *image = NULL;
    struct error why = {0};
    struct stat st;
    *out = PARTIAL_EMPTY;
    int fd = openat(s->folder_fd, partial_name(name, key), O_RDONLY | O_NOFOLLOW | O_CLOEXEC), rc = 0;
    if (fd < 0) return 0;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > (off_t)PARTIAL_MAX_BYTES) goto bad;
    if (!(image = mem_alloc((size_t)st.st_size + 1, err))) {
        rc = -1;
        goto out;
    }
    if (io_read_full(fd, image, (size_t)st.st_size, name, &why)) {
        free(image);
        goto bad;
    }
    image[st.st_size] = 0;
    if (partial_parse(out, image, (size_t)st.st_size)) goto bad;
    rc = 1;
    goto out;
bad:
    /* A part that was cut off, is empty or cannot be read is removed. Its bytes are
     * still counted until the next run. */
    unlinkat(s->folder_fd, name, 0);
out:
    close(fd);
    return rc;
}

int partial_remove_all(const char *folder, bool dry_run, uint64_t *n, struct error *err)
{
    struct found *all = NULL;
    size_t n_found = 0;
    *n = 0;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return error_errno(err, EX_NOINPUT, "cannot open the store '%s'", folder);
    int rc = list_parts(fd, folder, !dry_run, &all, &n_found, err);
    for (size_t i = 0; rc == 0 && !dry_run && i < n_found; i++)
        rc = unlink_part(fd, folder, &all[i].key, err);
    int inner =
        rc == 0 && !dry_run && n_found ? openat(fd, "partial", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (inner >= 0) {
        if (fsync(inner)) /* makes the removal durable */
            rc = error_errno(err, EX_IOERR, "cannot sync '%s/partial'", folder);
        close(inner);
    }
    *n = n_found;
    free(all);
    close(fd);
    return rc;
}
