/*
 * picture_memory.c: keeps results in a file. The file is a manifest with the columns xxh128, question, bytes,
 * outcome, values and check, so that people and `winnow purge` can read it. It is read in one piece and its
 * lines are split in place. Lines of other questions are only counted.
 */
#include "store/picture_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/number.h"
#include "io/io.h"
#include "manifest/tsv.h"

#define HEADER "xxh128\tquestion\tbytes\toutcome\tvalues\tcheck\n"
#define N_FIELDS 6
#define CHECK_BYTES 17                     /* tab and 16 digits at the end of a line */
#define FLUSH_BYTES (64u << 10)            /* a killed run loses at most this much */
#define MOST_BYTES ((uint64_t)16 << 30)    /* of a file: some 80 million pictures */
#define MOST_LINE_BYTES ((size_t)64 << 10) /* of a line that is added */

static uint64_t question_of(const char *words) { return xxh64_of(words, strlen(words)); }

static bool parse_hex64(const char *text, uint64_t *out)
{
    uint8_t bytes[8];
    if (strlen(text) != 16 || hex_decode(bytes, sizeof bytes, text)) return false;
    *out = 0;
    for (int i = 0; i < 8; i++)
        *out = *out << 8 | bytes[i];
    return true;
}

/*
 * Divides a line (n bytes, then a NUL) into its fields. Returns false when the checksum is wrong. Also
 * returns false when the fields are invalid although the checksum is right, as in a forged line.
 */
static bool cut_line(char *line, size_t n, char *fields[N_FIELDS])
{
    uint64_t check;
    if (n < CHECK_BYTES || line[n - CHECK_BYTES] != '\t' || strlen(line) != n ||
        !parse_hex64(line + n - CHECK_BYTES + 1, &check) || check != xxh64_of(line, n - CHECK_BYTES))
        return false;
    for (int i = 0; i < N_FIELDS; i++) {
        fields[i] = line;
        char *tab = strchr(line, '\t');
        if (!tab != (i == N_FIELDS - 1)) return false;
        if (tab) *tab = 0;
        line = tab ? tab + 1 : line;
    }
    return tsv_unescape(fields[3]) && tsv_unescape(fields[4]);
}

static struct remembered_line *find_line(const struct picture_memory *m, const struct xxh128 *content)
{
    uint32_t i;
    for (struct hash_walk w = hash_walk(&m->by_content, xxh128_u64(content));
         hash_walk_next(&m->by_content, &w, &i);)
        if (!memcmp(&m->lines[i].content, content, sizeof *content)) return &m->lines[i];
    return NULL;
}

static int take_line(struct picture_memory *m, char *const fields[N_FIELDS], struct error *err)
{
    struct error ignored;
    struct xxh128 content;
    struct remembered what = {.outcome = fields[3], .values = fields[4]};
    uint64_t question;
    if (xxh128_from_hex(&content, fields[0]) || !parse_hex64(fields[1], &question) ||
        parse_u64(fields[2], 0, INT64_MAX, &what.bytes, "", &ignored)) {
        m->n_bad++;
        return 0;
    }
    if (question != m->question) {
        m->n_other++;
        return 0;
    }
    struct remembered_line *old = find_line(m, &content);
    if (old) { /* two runs without a lock wrote the same picture; the results are the same */
        m->n_other++;
        old->what = what;
        return 0;
    }
    if (mem_grow(&m->lines, &m->capacity, m->n + 1, sizeof *m->lines, err) ||
        hash_index_add(&m->by_content, xxh128_u64(&content), m->n, err))
        return -1;
    m->lines[m->n++] = (struct remembered_line){.content = content, .what = what};
    return 0;
}

/* Adds the lines of block (n bytes, which m then owns). *n_whole: the number of bytes up to the end of the
 * last complete line. */
static int read_block(struct picture_memory *m, char *block, size_t n, size_t *n_whole, struct error *err)
{
    char *fields[N_FIELDS];
    m->block = block;
    *n_whole = sizeof HEADER - 1;
    for (char *at = block + *n_whole, *lf; (lf = memchr(at, '\n', (size_t)(block + n - at)));) {
        *lf = 0;
        if (!cut_line(at, (size_t)(lf - at), fields))
            m->n_bad++;
        else if (take_line(m, fields, err))
            return -1;
        at = lf + 1;
        *n_whole = (size_t)(at - block);
    }
    return 0;
}

static bool has_header(const char *bytes, size_t n)
{
    return n >= sizeof HEADER - 1 && memcmp(bytes, HEADER, sizeof HEADER - 1) == 0;
}

int picture_memory_read(struct picture_memory *m, const char *bytes, size_t n_bytes, const char *question,
                        struct error *err)
{
    size_t whole;
    m->question = question_of(question);
    if (!has_header(bytes, n_bytes)) return error_set(err, EX_DATAERR, "not a memory of pictures");
    char *copy = mem_alloc(n_bytes + 1, err);
    if (!copy) return -1;
    memcpy(copy, bytes, n_bytes);
    copy[n_bytes] = 0;
    return read_block(m, copy, n_bytes, &whole, err);
}

static int take_lock(struct picture_memory *m, struct error *err)
{
    struct text name = TEXT_EMPTY;
    int rc = text_printf(&name, err, "%s.lock", m->path) || file_lock_take(&m->lock, name.data, err) ? -1 : 0;
    text_release(&name);
    return rc;
}

int picture_memory_open(struct picture_memory *m, const char *path, const char *question, struct error *err)
{
    char *block = NULL;
    size_t n = 0, whole = 0;
    struct stat was = {0};
    m->question = question_of(question);
    if (!(m->path = mem_strdup(path, err)) || io_mkdirs_for(path, err) || take_lock(m, err)) return -1;
    if (stat(path, &was)) was = (struct stat){0};
    if (io_exists(path) && io_read_file(path, MOST_BYTES, &block, &n, err)) return -1;
    /* The first line is incomplete: the run that created the file was killed. */
    if (n < sizeof HEADER - 1 && memcmp(block ? block : "", HEADER, n) == 0) {
        free(block);
        if (atomic_file_write(path, HEADER, sizeof HEADER - 1, err)) return -1;
        whole = sizeof HEADER - 1;
    } else if (!has_header(block, n)) {
        free(block);
        return error_set(err, EX_DATAERR,
                         "'%s' is not a memory of pictures that this version reads: delete it", path);
    } else if (read_block(m, block, n, &whole, err)) {
        return -1;
    }
    m->n_before = whole;
    m->fd = fault_here(FAULT_OPEN) ? -1 : open(path, O_WRONLY | O_CLOEXEC);
    if (m->fd < 0) return error_errno(err, EX_CANTCREAT, "cannot write '%s'", path);
    m->written = was.st_mtim;
    if ((n > whole && ftruncate(m->fd, (off_t)whole)) || lseek(m->fd, 0, SEEK_END) < 0)
        return error_errno(err, EX_IOERR, "cannot write '%s'", path);
    return 0;
}

const struct remembered *picture_memory_find(struct picture_memory *m, const struct xxh128 *content)
{
    struct remembered_line *line = find_line(m, content);
    if (!line) return NULL;
    line->used = true;
    return &line->what;
}

bool picture_memory_is_older(const struct picture_memory *m, const struct timespec *changed)
{
    if (changed->tv_sec != m->written.tv_sec) return changed->tv_sec > m->written.tv_sec;
    return changed->tv_nsec > m->written.tv_nsec;
}

static int format_line(struct text *t, const struct xxh128 *content, uint64_t question,
                       const struct remembered *what, struct error *err)
{
    char hex[XXH128_HEX_BYTES];
    size_t start = t->n_bytes;
    xxh128_hex(hex, content);
    if (text_printf(t, err, "%s\t%016llx\t%llu\t", hex, (unsigned long long)question,
                    (unsigned long long)what->bytes) ||
        tsv_escape(t, what->outcome, err) || text_add(t, "\t", 1, err) || tsv_escape(t, what->values, err))
        return -1;
    return text_printf(t, err, "\t%016llx\n",
                       (unsigned long long)xxh64_of(t->data + start, t->n_bytes - start));
}

/* When the disk is full, only the lines are lost. A line that was written in part is removed later. */
static void flush(struct picture_memory *m)
{
    if (!m->broken && m->pending.n_bytes &&
        io_write_full(m->fd, m->pending.data, m->pending.n_bytes, m->path, &m->broken_by))
        m->broken = true;
    text_clear(&m->pending);
}

int picture_memory_add(struct picture_memory *m, const struct xxh128 *content, const struct remembered *what,
                       struct error *err)
{
    size_t before = m->pending.n_bytes;
    if (m->broken) return 0;
    if (format_line(&m->pending, content, m->question, what, err)) return -1;
    if (m->pending.n_bytes - before > MOST_LINE_BYTES) {
        m->pending.n_bytes = before;
        return 0;
    }
    m->n_added++;
    if (m->pending.n_bytes >= FLUSH_BYTES && !m->hold) flush(m);
    return 0;
}

/* Rewrites the file with the lines that were used and those that this run appended (from offset `from`
 * on). */
static int compact(struct picture_memory *m, uint64_t from, struct error *err)
{
    struct text t = TEXT_EMPTY;
    char *now = NULL;
    size_t n = 0;
    int rc = -1;
    if (io_read_file(m->path, MOST_BYTES, &now, &n, err) || text_puts(&t, HEADER, err)) goto out;
    for (size_t i = 0; i < m->n; i++)
        if (m->lines[i].used && format_line(&t, &m->lines[i].content, m->question, &m->lines[i].what, err))
            goto out;
    if (from < n && text_add(&t, now + from, n - from, err)) goto out;
    rc = atomic_file_write(m->path, t.data, t.n_bytes, err);
out:
    text_release(&t);
    free(now);
    return rc;
}

int picture_memory_commit(struct picture_memory *m, struct error *err)
{
    uint64_t n_unused = m->n_other + m->n_bad;
    if (m->fd < 0) return 0;
    flush(m);
    if (!m->broken && m->n_added && (fault_here(FAULT_FSYNC) || fsync(m->fd))) {
        m->broken = true;
        error_errno(&m->broken_by, EX_IOERR, "cannot sync '%s'", m->path);
    }
    if (m->broken) {
        *err = m->broken_by;
        return -1;
    }
    for (size_t i = 0; i < m->n; i++)
        n_unused += !m->lines[i].used;
    uint64_t n_live = m->n + m->n_other + m->n_bad - n_unused + m->n_added;
    return n_unused > n_live ? compact(m, m->n_before, err) : 0;
}

void picture_memory_close(struct picture_memory *m)
{
    int saved = errno;
    if (m->fd >= 0) {
        if (!m->hold) flush(m); /* a run that failed for another reason keeps what it learned */
        close(m->fd);
    }
    file_lock_release(&m->lock);
    hash_index_release(&m->by_content);
    text_release(&m->pending);
    free(m->lines);
    free(m->block);
    free(m->path);
    *m = PICTURE_MEMORY_EMPTY;
    errno = saved;
}

bool picture_memory_is(const char *path)
{
    char first[sizeof HEADER - 1];
    struct error ignored = {0};
    int fd = io_open_read(path, &ignored);
    if (fd < 0) return false;
    bool is = io_read_full(fd, first, sizeof first, path, &ignored) == 0 && has_header(first, sizeof first);
    close(fd);
    return is;
}

int picture_memory_mend(const char *path, struct error *err)
{
    struct text t = TEXT_EMPTY;
    char *block = NULL, *copy = NULL, *fields[N_FIELDS];
    size_t n, n_bad = 0;
    int rc = -1;
    if (io_read_file(path, MOST_BYTES, &block, &n, err)) return -1;
    if (!has_header(block, n)) {
        error_set(err, EX_DATAERR, "'%s' is not a memory of pictures", path);
        goto out;
    }
    if (!(copy = mem_dup(block, n + 1, err)) || text_puts(&t, HEADER, err)) goto out;
    for (char *at = copy + sizeof HEADER - 1, *end = copy + n, *lf; at < end; at = lf + 1) {
        if (!(lf = memchr(at, '\n', (size_t)(end - at)))) {
            n_bad++;
            break;
        }
        *lf = 0;
        size_t length = (size_t)(lf - at);
        if (!cut_line(at, length, fields))
            n_bad++;
        else if (text_add(&t, block + (at - copy), length + 1, err))
            goto out;
    }
    rc = n_bad == 0 ? 0 : atomic_file_write(path, t.data, t.n_bytes, err) ? -1 : 1;
out:
    text_release(&t);
    free(block);
    free(copy);
    return rc;
}
