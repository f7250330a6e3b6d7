#include "store/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash_index.h"
#include "base/mem.h"
#include "base/number.h"
#include "io/io.h"
#include "manifest/tsv.h"

#define FIRST_HEADER                                                                                         \
    "time\tevent\turl\tstatus\treason\tdetail\terror\tfinal_url\tetag\tlast_modified\tcontent_type\t"        \
    "bytes\txxh128\tformat\tfetched_at\ttries\tfailed_runs\tdue"
static const char first_header[] = FIRST_HEADER, header[] = FIRST_HEADER "\trights";
#define N_FIELDS 19
#define N_FIRST_FIELDS 18 /* of stores that were begun before rights were recorded */
/* A canonical URL of 8 KiB can become this long when it is escaped. A line contains two. */
#define FIELD_MAX_BYTES 24576
#define DETAIL_MAX_BYTES 400
#define RIGHTS_MAX_BYTES 1000

static const char *const event_names[JOURNAL_EVENTS] = {"ok",   "same",    "retry", "fail",
                                                        "dead", "blocked", "sync"};

/* --- lines --- */

/* Empty is 0. */
static bool number(const char *s, uint64_t max, uint64_t *out)
{
    *out = 0;
    return !*s || (parse_digits(s, strlen(s), out) && *out <= max);
}

static bool optional_time(const char *s, int64_t *out)
{
    *out = 0;
    return !*s || parse_time(s, out) == 0;
}

static bool is_first_header(const char *line, size_t n)
{
    return n == sizeof first_header - 1 && memcmp(line, first_header, n) == 0;
}

int journal_parse(char *line, size_t n_bytes, struct journal_record *r)
{
    char *field[N_FIELDS];
    char *at = line, *end = line + n_bytes;
    uint64_t status, tries, failed_runs;
    *r = (struct journal_record){0};
    *end = 0;
    if (n_bytes == 0 || n_bytes > JOURNAL_MAX_LINE_BYTES || memchr(line, 0, n_bytes)) return -1;
    if ((n_bytes == sizeof header - 1 && memcmp(line, header, n_bytes) == 0) ||
        is_first_header(line, n_bytes))
        return 0;
    field[N_FIELDS - 1] = end;
    for (int i = 0, more = 1; more; i++) {
        if (i == N_FIELDS) return -1;
        char *tab = memchr(at, '\t', (size_t)(end - at));
        more = tab != NULL;
        if (!more && i + 1 < N_FIRST_FIELDS) return -1;
        field[i] = at;
        if (tab) {
            *tab = 0;
            at = tab + 1;
        }
        if (!tsv_unescape(field[i])) return -1;
    }
    int event = 0;
    while (event < JOURNAL_EVENTS && strcmp(field[1], event_names[event]) != 0)
        event++;
    if (event == JOURNAL_EVENTS || parse_time(field[0], &r->time) || !number(field[3], 999, &status) ||
        !number(field[11], UINT64_MAX, &r->bytes) || !optional_time(field[14], &r->fetched_at) ||
        !number(field[15], UINT32_MAX, &tries) || !number(field[16], UINT32_MAX, &failed_runs) ||
        !optional_time(field[17], &r->due))
        return -1;
    r->event = (enum journal_event)event;
    r->url = field[2];
    r->status = (int)status;
    r->tries = (unsigned)tries;
    r->failed_runs = (unsigned)failed_runs;
    r->reason = field[4], r->detail = field[5], r->error = field[6], r->final_url = field[7];
    r->etag = field[8], r->last_modified = field[9], r->content_type = field[10];
    r->kind = image_kind_from_name(field[13]);
    r->rights = field[18];
    bool has_hash = field[12][0] != 0, stored = event == JOURNAL_OK || event == JOURNAL_SAME;
    if (has_hash && xxh128_from_hex(&r->hash, field[12])) return -1;
    if (stored && (!has_hash || !image_kind_kept(r->kind) || !r->fetched_at)) return -1;
    if (event != JOURNAL_SYNC && !*r->url) return -1;
    return 1;
}

static int add_field(struct text *out, const char *s, size_t max, struct error *err)
{
    return tsv_escape_cut(out, s ? s : "", max, err) || text_add(out, "\t", 1, err) ? -1 : 0;
}

int journal_format(struct text *out, const struct journal_record *r, struct error *err)
{
    char hex[XXH128_HEX_BYTES] = "", when[21], fetched[21] = "", due[21] = "";
    bool stored = r->event == JOURNAL_OK || r->event == JOURNAL_SAME;
    static const struct xxh128 none;
    if (memcmp(&r->hash, &none, sizeof none) != 0) xxh128_hex(hex, &r->hash);
    if (r->fetched_at) format_time(fetched, r->fetched_at);
    if (r->due) format_time(due, r->due);
    if (text_printf(out, err, "%s\t%s\t", format_time(when, r->time), event_names[r->event]) ||
        add_field(out, r->url, FIELD_MAX_BYTES, err) || text_printf(out, err, "%d\t", r->status) ||
        add_field(out, r->reason, 64, err) || add_field(out, r->detail, DETAIL_MAX_BYTES, err) ||
        add_field(out, r->error, DETAIL_MAX_BYTES, err) ||
        add_field(out, r->final_url, FIELD_MAX_BYTES, err) || add_field(out, r->etag, 512, err) ||
        add_field(out, r->last_modified, 128, err) || add_field(out, r->content_type, 128, err))
        return -1;
    if (text_printf(out, err, "%llu\t%s\t%s\t%s\t%u\t%u\t%s\t", (unsigned long long)r->bytes, hex,
                    stored ? image_kind_name(r->kind) : "", fetched, r->tries, r->failed_runs, due) ||
        tsv_escape_cut(out, r->rights ? r->rights : "", RIGHTS_MAX_BYTES, err))
        return -1;
    return text_add(out, "\n", 1, err);
}

void journal_key(struct xxh128 *out, const char *url)
{
    if (url[0] == '#' && xxh128_from_hex(out, url + 1) == 0) return;
    xxh128_of(out, url, strlen(url));
}

/* --- reading --- */

#define PIECE_BYTES (1u << 20)

/*
 * Calls each(context, line, n_bytes, offset) for every line that ends in LF; the line may be changed.
 * *n_torn is the number of bytes after the last LF. A line that is too long is passed as one malformed line,
 * which is cut.
 */
typedef int line_visit(void *context, char *line, size_t n_bytes, uint64_t offset, struct error *err);
static int read_lines(int fd, const char *path, line_visit *each, void *context, uint64_t *n_torn,
                      struct error *err)
{
    char *buffer = mem_alloc(PIECE_BYTES + 1, err);
    size_t held = 0;
    uint64_t offset = 0; /* of buffer[0] in the file */
    int rc = -1;
    bool skipping = false; /* inside a line that was too long */
    *n_torn = 0;
    if (!buffer) return -1;
    for (;;) {
        ssize_t n = io_read_some(fd, buffer + held, PIECE_BYTES - held, path, err);
        if (n < 0) goto out;
        if (n == 0) break;
        held += (size_t)n;
        size_t from = 0;
        for (char *lf; (lf = memchr(buffer + from, '\n', held - from)); from = (size_t)(lf - buffer) + 1) {
            char *line = buffer + from;
            if (!skipping && each(context, line, (size_t)(lf - line), offset + from, err)) goto out;
            skipping = false;
        }
        if (from == 0 && held == PIECE_BYTES) {
            skipping = true;
            from = held;
        }
        memmove(buffer, buffer + from, held - from);
        held -= from;
        offset += from;
    }
    *n_torn = held;
    rc = 0;
out:
    free(buffer);
    return rc;
}

struct scan {
    journal_visit *visit;
    void *context;
    struct journal_stats *stats;
};

/* The first pass looks only for sync lines, which say which other lines are durable. They are rare, and
 * recognised by a few bytes. */
static int find_sync(void *context, char *line, size_t n, uint64_t offset, struct error *err)
{
    struct journal_stats *stats = context;
    struct journal_record r;
    (void)err;
    if (offset == 0) stats->first_form = is_first_header(line, n);
    if (n > 26 && memcmp(line + 20, "\tsync\t", 6) == 0 && journal_parse(line, n, &r) == 1 &&
        r.bytes > stats->synced_bytes)
        stats->synced_bytes = r.bytes;
    return 0;
}

static int give_record(void *context, char *line, size_t n, uint64_t offset, struct error *err)
{
    struct scan *s = context;
    struct journal_record r;
    switch (journal_parse(line, n, &r)) {
    case 0: return 0;
    case 1:
        s->stats->n_lines++;
        return r.event == JOURNAL_SYNC ? 0 : s->visit(s->context, &r, offset < s->stats->synced_bytes, err);
    default: s->stats->n_malformed++; return 0;
    }
}

int journal_read(const char *path, journal_visit *visit, void *context, struct journal_stats *stats,
                 struct error *err)
{
    struct scan scan = {visit, context, stats};
    *stats = (struct journal_stats){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc = -1;
    if (fd < 0) return errno == ENOENT ? 0 : error_errno(err, EX_NOINPUT, "cannot open '%s'", path);
    if (read_lines(fd, path, find_sync, stats, &stats->torn_bytes, err) == 0) {
        if (lseek(fd, 0, SEEK_SET) != 0)
            error_errno(err, EX_IOERR, "cannot read '%s'", path);
        else
            rc = read_lines(fd, path, give_record, &scan, &stats->torn_bytes, err);
    }
    close(fd);
    return rc;
}

/* --- writing --- */

/* Finds the end of the last complete line, searching backwards from the end of the file. */
static int whole_bytes(int fd, const char *path, uint64_t size, uint64_t *out, struct error *err)
{
    char piece[4096];
    *out = 0;
    while (size > 0) {
        size_t n = size < sizeof piece ? (size_t)size : sizeof piece;
        if (io_pread_full(fd, piece, n, size - n, path, err)) return -1;
        const char *lf = memrchr(piece, '\n', n);
        if (lf) {
            *out = size - n + (uint64_t)(lf - piece) + 1;
            return 0;
        }
        size -= n;
    }
    return 0;
}

int journal_open(struct journal *j, const char *path, struct error *err)
{
    struct journal opened = JOURNAL_EMPTY;
    struct stat st;
    uint64_t whole;
    *j = JOURNAL_EMPTY;
    if (!(opened.path = mem_strdup(path, err))) return -1;
    opened.fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (opened.fd < 0 || fstat(opened.fd, &st)) {
        error_errno(err, EX_CANTCREAT, "cannot open '%s'", path);
        goto fail;
    }
    if (whole_bytes(opened.fd, path, (uint64_t)st.st_size, &whole, err)) goto fail;
    if (whole != (uint64_t)st.st_size && ftruncate(opened.fd, (off_t)whole)) {
        error_errno(err, EX_IOERR, "cannot cut the torn end off '%s'", path);
        goto fail;
    }
    opened.n_written = whole;
    if (whole == 0 && (text_puts(&opened.pending, header, err) || text_puts(&opened.pending, "\n", err)))
        goto fail;
    *j = opened;
    return 0;
fail:
    journal_close(&opened);
    return -1;
}

int journal_append(struct journal *j, const struct journal_record *r, struct error *err)
{
    return journal_format(&j->pending, r, err);
}

int journal_flush(struct journal *j, struct error *err)
{
    if (j->pending.n_bytes == 0) return 0;
    if (io_write_full(j->fd, j->pending.data, j->pending.n_bytes, j->path, err)) return -1;
    j->n_written += j->pending.n_bytes;
    text_clear(&j->pending);
    return 0;
}

void journal_close(struct journal *j)
{
    if (j->fd >= 0) close(j->fd);
    free(j->path);
    text_release(&j->pending);
    *j = JOURNAL_EMPTY;
}

/* --- compaction --- */

struct last {
    struct xxh128 key;
    uint64_t stored, any; /* line numbers, 0 for none */
};

struct compaction {
    struct hash_index index;
    struct last *last;
    size_t n, capacity;
    uint64_t line;
    FILE *out;
    struct text text;
    uint64_t n_kept;
    bool all;
};

static struct last *find(const struct compaction *c, const struct xxh128 *key)
{
    uint32_t i;
    for (struct hash_walk w = hash_walk(&c->index, xxh128_u64(key)); hash_walk_next(&c->index, &w, &i);)
        if (memcmp(&c->last[i].key, key, sizeof *key) == 0) return &c->last[i];
    return NULL;
}

static int note_last(void *context, const struct journal_record *r, bool durable, struct error *err)
{
    struct compaction *c = context;
    struct xxh128 key;
    (void)durable;
    c->line++;
    journal_key(&key, r->url);
    struct last *l = find(c, &key);
    if (!l) {
        if (mem_grow(&c->last, &c->capacity, c->n + 1, sizeof *c->last, err) ||
            hash_index_add(&c->index, xxh128_u64(&key), c->n, err))
            return -1;
        l = &c->last[c->n++];
        *l = (struct last){.key = key};
    }
    l->any = c->line;
    if (r->event == JOURNAL_OK || r->event == JOURNAL_SAME) l->stored = c->line;
    return 0;
}

static int copy_last(void *context, const struct journal_record *r, bool durable, struct error *err)
{
    struct compaction *c = context;
    struct xxh128 key;
    (void)durable;
    c->line++;
    journal_key(&key, r->url);
    const struct last *l = find(c, &key);
    if (!l || (!c->all && l->any != c->line && l->stored != c->line)) return 0;
    text_clear(&c->text);
    if (journal_format(&c->text, r, err)) return -1;
    c->n_kept++;
    if (fwrite(c->text.data, 1, c->text.n_bytes, c->out) != c->text.n_bytes)
        return error_errno(err, EX_IOERR, "cannot write the compacted journal");
    return 0;
}

int journal_compact(const char *path, bool all, uint64_t *n_before, uint64_t *n_after, struct error *err)
{
    struct compaction c = {.all = all};
    struct atomic_file file = ATOMIC_FILE_EMPTY;
    struct journal_stats stats = {0};
    int rc = -1;
    if (journal_read(path, note_last, &c, &stats, err) || atomic_file_open(&file, path, err)) goto out;
    *n_before = c.line;
    c.line = 0;
    c.out = file.stream;
    if (fprintf(c.out, "%s\n", header) < 0) {
        error_errno(err, EX_IOERR, "cannot write '%s'", path);
        goto out;
    }
    if (journal_read(path, copy_last, &c, &stats, err) || atomic_file_commit(&file, err)) goto out;
    *n_after = c.n_kept;
    rc = 0;
out:
    atomic_file_discard(&file);
    hash_index_release(&c.index);
    free(c.last);
    text_release(&c.text);
    return rc;
}
