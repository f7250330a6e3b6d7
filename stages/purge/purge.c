#include "purge.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/stage.h"
#include "http/http_url.h"
#include "io/io.h"
#include "shard/shard_forget.h"
#include "store/audit.h"
#include "store/journal.h"
#include "store/picture_memory.h"

/* --- the list --- */

static int by_bytes(const void *a, const void *b) { return memcmp(a, b, sizeof(struct xxh128)); }

static int keep_row(void *context, const char *kind, const char *value, struct error *err)
{
    struct taken_down *t = context;
    struct xxh128 h;
    bool url = strcmp(kind, "url") == 0;
    if (!url && strcmp(kind, "xxh128") != 0) return 1;
    if (xxh128_from_hex(&h, value)) return 0;
    if (url ? mem_grow(&t->urls, &t->urls_capacity, t->n_urls + 1, sizeof h, err)
            : mem_grow(&t->hashes, &t->hashes_capacity, t->n_hashes + 1, sizeof h, err))
        return -1;
    *(url ? &t->urls[t->n_urls++] : &t->hashes[t->n_hashes++]) = h;
    return 1;
}

int taken_down_read(struct taken_down *t, const char *path, struct error *err)
{
    int rc = takedown_read(path, keep_row, t, err);
    if (t->n_urls) qsort(t->urls, t->n_urls, sizeof *t->urls, by_bytes);
    if (t->n_hashes) qsort(t->hashes, t->n_hashes, sizeof *t->hashes, by_bytes);
    return rc;
}

void taken_down_release(struct taken_down *t)
{
    free(t->hashes);
    free(t->urls);
    *t = (struct taken_down){0};
}

static bool listed(const struct taken_down *t, const struct xxh128 *h)
{
    return t->n_hashes && bsearch(h, t->hashes, t->n_hashes, sizeof *h, by_bytes);
}

static bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

/* Whether text names a listed picture: 32 hexadecimal digits, or "ab/" and 30.
 * For fields, paths and file names. */
static bool taken_down_named(const struct taken_down *t, const char *text)
{
    struct xxh128 h;
    char hex[XXH128_HEX_BYTES];
    for (const char *at = text; *at;) {
        size_t n = 0;
        while (is_hex(at[n]))
            n++;
        hex[0] = 0;
        if (n == 32) {
            memcpy(hex, at, 32);
        } else if (n == 30 && at - text >= 3 && at[-1] == '/' && is_hex(at[-2]) && is_hex(at[-3])) {
            memcpy(hex, at - 3, 2);
            memcpy(hex + 2, at, 30);
        }
        hex[32] = 0;
        if (hex[0] && xxh128_from_hex(&h, hex) == 0 && listed(t, &h)) return true;
        at += n + (n == 0);
    }
    return false;
}

static int url_is_listed(const struct taken_down *t, const char *url, struct error *err)
{
    struct text canonical = TEXT_EMPTY, form = TEXT_EMPTY;
    struct http_url_parts parts;
    struct xxh128 key, key_of_form;
    const char *why;
    if (t->n_urls == 0) return 0;
    int rc = http_url_comparable(url, strlen(url), &form, err);
    if (rc == 1) rc = http_url_canonical(url, strlen(url), &canonical, &parts, &why, err);
    if (rc == 1) {
        journal_key(&key_of_form, form.data); /* older stores have the canonical address */
        journal_key(&key, canonical.data);
        rc = bsearch(&key, t->urls, t->n_urls, sizeof key, by_bytes) ||
             bsearch(&key_of_form, t->urls, t->n_urls, sizeof key, by_bytes);
    }
    text_release(&canonical);
    text_release(&form);
    return rc;
}

/* --- files --- */

/* Which data of listed pictures a file still contains: none; the picture itself; rows of a table; rows of a
 * shard set's table; rows of such a table whose records were already removed; a member of a tar. */
enum left { LEFT_NOTHING, LEFT_ITSELF, LEFT_ROWS, LEFT_SHARDS, LEFT_SHARD_ROWS, LEFT_TAR };
struct file {
    char *path;
    struct timespec changed;
    enum left left;
};
struct files {
    struct file *items;
    size_t n, capacity;
};

static void files_release(struct files *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->items[i].path);
    free(l->items);
    *l = (struct files){0};
}

static int say(struct purge *p, const char *action, const char *path, uint64_t n_rows, struct error *err)
{
    char rows[24] = "";
    if (n_rows) snprintf(rows, sizeof rows, "%llu", (unsigned long long)n_rows);
    return manifest_writer_row(p->report, NULL, (const char *const[]){action, path, rows}, err);
}

/* Returns 1 when the path exists, 0 when it does not, or -1 with err set when this is unknown because of an
 * error, which must not count as absent. */
static int is_there(const char *path, struct error *err)
{
    struct stat st;
    if (lstat(path, &st) == 0) return 1;
    return errno == ENOENT || errno == ENOTDIR ? 0 : error_errno(err, EX_IOERR, "cannot look at '%s'", path);
}

/* Removes an unfinished shard set or page, because it is unknown which pictures are in it. */
static int remove_leftover(struct purge *p, const char *path, struct error *err)
{
    if (!p->dry_run) {
        io_remove_tree(path);
        int there = is_there(path, err);
        if (there) return there < 0 ? -1 : error_set(err, EX_IOERR, "cannot remove '%s'", path);
    }
    p->counts.n_files++;
    return say(p, "leftover-removed", path, 0, err) || (!p->dry_run && io_fsync_dir_of(path, err)) ? -1 : 0;
}

/* Whether the file is a journal or list of another store. Such files are not changed; run fetch --takedown
 * for that store. */
static bool is_record_of_store(const char *folder, const char *name)
{
    struct text objects = TEXT_EMPTY;
    struct error err = {0};
    struct stat st;
    bool is = (strcmp(name, "journal.tsv") == 0 || strcmp(name, "audit.tsv") == 0 ||
               strcmp(name, "takedown.tsv") == 0) &&
              text_printf(&objects, &err, "%s/objects", folder) == 0 && stat(objects.data, &st) == 0 &&
              S_ISDIR(st.st_mode);
    text_release(&objects);
    return is;
}

/* Collects the regular files below folder, without following links and without the store. Temporary files
 * of killed programs are removed at once. */
static int collect(struct purge *p, const char *folder, struct files *l, struct error *err)
{
    struct text path = TEXT_EMPTY;
    char *real = realpath(folder, NULL);
    bool store = real && strcmp(real, p->store) == 0;
    free(real);
    if (store) return 0;
    DIR *d = opendir(folder);
    if (!d) return error_errno(err, EX_NOINPUT, "cannot read '%s'", folder);
    int rc = 0;
    for (struct dirent *e; rc == 0 && (e = io_next_entry(d, folder, &rc, err));) {
        struct stat st;
        text_clear(&path);
        if (text_printf(&path, err, "%s/%s", folder, e->d_name)) {
            rc = -1;
        } else if (lstat(path.data, &st)) {
            rc = errno == ENOENT ? 0 : error_errno(err, EX_NOINPUT, "cannot look at '%s'", path.data);
        } else if (!S_ISLNK(st.st_mode) &&
                   (io_is_leftover(e->d_name) || (S_ISREG(st.st_mode) && io_is_temporary(e->d_name)))) {
            rc = remove_leftover(p, path.data, err);
        } else if (S_ISDIR(st.st_mode)) {
            rc = collect(p, path.data, l, err);
        } else if (S_ISREG(st.st_mode) && !is_record_of_store(folder, e->d_name)) {
            if (mem_grow(&l->items, &l->capacity, l->n + 1, sizeof *l->items, err) ||
                !(l->items[l->n].path = mem_strdup(path.data, err)))
                rc = -1;
            else
                l->items[l->n] = (struct file){.path = l->items[l->n].path, .changed = st.st_mtim}, l->n++;
        }
    }
    closedir(d);
    text_release(&path);
    return rc;
}

static int compare_age(const struct file *x, const struct file *y)
{
    if (x->changed.tv_sec != y->changed.tv_sec) return x->changed.tv_sec < y->changed.tv_sec ? -1 : 1;
    return (x->changed.tv_nsec > y->changed.tv_nsec) - (x->changed.tv_nsec < y->changed.tv_nsec);
}

static int by_age(const void *a, const void *b)
{
    const struct file *x = a, *y = b;
    int order = compare_age(x, y);
    return order ? order : strcmp(x->path, y->path);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Removes a file. Does nothing when it does not exist. */
static int remove_file(struct purge *p, const char *action, const char *path, struct error *err)
{
    int there = is_there(path, err);
    if (there <= 0) return there;
    if (!p->dry_run && unlink(path)) return error_errno(err, EX_IOERR, "cannot remove '%s'", path);
    p->counts.n_files++;
    return say(p, action, path, 0, err) || (!p->dry_run && io_fsync_dir_of(path, err)) ? -1 : 0;
}

/* --- tables --- */

/* Whether a column identifies the picture of a row. group and reject_detail do not: they name other
 * pictures. */
static bool about(const char *column)
{
    static const char *const names[] = {"path", "source", "xxh128", "id", NULL};
    for (const char *const *n = names; *n; n++)
        if (strcmp(*n, column) == 0) return true;
    return false;
}

static int row_is_hit(const struct purge *p, const struct manifest_reader *r, const bool *looked_at, int url,
                      struct error *err)
{
    for (size_t i = 0; i < r->schema.n; i++)
        if (looked_at[i] && taken_down_named(&p->list, r->fields[i])) return 1;
    return url < 0 ? 0 : url_is_listed(&p->list, r->fields[url], err);
}

/* Counts the rows about listed pictures. If out is not NULL, writes the other rows to it. A table that is not
 * a manifest is skipped with a warning. */
static int read_table(struct purge *p, const char *path, struct manifest_writer *out, uint64_t *n_hits,
                      struct error *err)
{
    struct manifest_reader in = MANIFEST_READER_EMPTY;
    struct error own = {0};
    bool *looked_at = NULL;
    int rc = -1, got = 0;
    *n_hits = 0;
    if (manifest_reader_open(&in, path, NULL, &own)) {
        p->damaged = true;
        stage_warn("%s: skipped", own.text);
        rc = 0;
        goto out;
    }
    if (!(looked_at = mem_zalloc(in.schema.n + 1, sizeof *looked_at, err))) goto out;
    for (size_t i = 0; i < in.schema.n; i++)
        looked_at[i] = about(in.schema.names[i]);
    int url = manifest_column(&in.schema, "url");
    if (out && manifest_writer_open(out, path, &in.schema, NULL, err)) goto out;
    while ((got = manifest_reader_next(&in, &own)) > 0) {
        int hit = row_is_hit(p, &in, looked_at, url, err);
        if (hit < 0 || (!hit && out && manifest_writer_row(out, in.fields, NULL, err))) goto out;
        *n_hits += (uint64_t)hit;
    }
    if (got < 0) {
        if (out) {
            *err = own;
            goto out;
        }
        p->damaged = true;
        stage_warn("%s: skipped", own.text);
        *n_hits = 0;
    }
    rc = 0;
out:
    free(looked_at);
    manifest_reader_close(&in);
    return rc;
}

/*
 * like: the table that was rewritten before, or NULL. If both had the same time (two names of one file), they
 * get the same time again, so that make does not consider one older than the other.
 */
static int rewrite_table(struct purge *p, const char *path, const char *like, struct error *err)
{
    struct stat st;
    struct manifest_writer out = MANIFEST_WRITER_EMPTY;
    uint64_t n_hits;
    int rc = -1;
    if (read_table(p, path, p->dry_run ? NULL : &out, &n_hits, err) ||
        (!p->dry_run && manifest_writer_commit(&out, err)))
        goto out;
    if (like && !p->dry_run && stat(like, &st) == 0) {
        const struct timespec times[2] = {st.st_atim, st.st_mtim};
        (void)utimensat(AT_FDCWD, path, times, 0); /* a failure only makes make rebuild more files */
    }
    p->counts.n_rows += n_hits;
    rc = say(p, "rows-removed", path, n_hits, err);
out:
    manifest_writer_discard(&out);
    return rc;
}

static bool is_shard_table(const char *name)
{
    return text_starts(name, "shard-") && text_ends(name, ".tsv");
}

static bool record_is_listed(void *context, const char *path, const char *source, const char *xxh128)
{
    const struct taken_down *t = context;
    return taken_down_named(t, path) || taken_down_named(t, source) || taken_down_named(t, xxh128);
}

/*
 * Removes only the rows and pixels of listed pictures from an undamaged set. The rows in the tables of its
 * files are removed last, so that an interrupted run is continued by the next one.
 */
static int remove_from_sets(struct purge *p, struct files *l, struct error *err)
{
    struct text folder = TEXT_EMPTY, index = TEXT_EMPTY;
    int rc = -1;
    for (size_t i = 0; i < l->n; i++) {
        const char *table = l->items[i].path;
        size_t n_folder = (size_t)(base_name(table) - table);
        struct error own = {0};
        uint64_t n_records;
        if (l->items[i].left != LEFT_SHARDS || n_folder < 2) continue;
        text_clear(&folder);
        text_clear(&index);
        if (text_add(&folder, table, n_folder - 1, err) ||
            text_printf(&index, err, "%s/index.tsv", folder.data))
            goto out;
        if (shard_set_forget(folder.data, p->dry_run, record_is_listed, &p->list, &n_records, &own)) {
            /* Only a damaged set is removed as a whole. A set that could not be opened for another reason is
             * not changed. */
            if (own.code == EX_DATAERR || (own.code == EX_NOINPUT && errno == ENOENT)) continue;
            *err = own;
            goto out;
        }
        if (say(p, "shard-records-removed", index.data, n_records, err)) goto out;
        for (size_t k = i; k < l->n; k++) {
            const char *path = l->items[k].path, *name = base_name(path);
            if (l->items[k].left == LEFT_SHARDS && (size_t)(name - path) == n_folder &&
                strncmp(path, table, n_folder) == 0)
                l->items[k].left = strcmp(name, "shard-rows.tsv") ? LEFT_SHARD_ROWS : LEFT_NOTHING;
        }
    }
    rc = 0;
out:
    text_release(&folder);
    text_release(&index);
    return rc;
}

/* Removes a whole set that contains a listed picture. The index is removed first, because without it there is
 * no set. The tables, which name the picture, are removed last. pack can make the set again. */
static int remove_records(struct purge *p, const struct files *l, const char *table, struct error *err)
{
    size_t n_folder = (size_t)(base_name(table) - table);
    struct text index = TEXT_EMPTY;
    int rc = text_add(&index, table, n_folder, err) || text_puts(&index, "index.tsv", err) ? -1 : 0;
    if (rc == 0) rc = remove_file(p, "shard-set-removed", index.data, err);
    text_release(&index);
    for (size_t i = 0; rc == 0 && i < l->n; i++) {
        const char *path = l->items[i].path;
        if (strncmp(path, table, n_folder) == 0 && path + n_folder == base_name(path) &&
            text_starts(path + n_folder, "shard-") && !is_shard_table(base_name(path)))
            rc = remove_file(p, "shard-set-removed", path, err);
    }
    return rc;
}

/* Removes the tables of removed sets, which are the last files that name the picture. */
static int remove_shard_tables(struct purge *p, const struct files *l, struct error *err)
{
    for (int named = 0; named < 2; named++)
        for (size_t i = 0; i < l->n; i++) {
            const char *path = l->items[i].path;
            bool gone = l->items[i].left == LEFT_SHARDS;
            size_t n_folder = (size_t)(base_name(path) - path);
            if (!is_shard_table(base_name(path)) || gone != (named == 1)) continue;
            for (size_t k = 0; !gone && k < l->n; k++)
                gone = l->items[k].left == LEFT_SHARDS &&
                       (size_t)(base_name(l->items[k].path) - l->items[k].path) == n_folder &&
                       strncmp(l->items[k].path, path, n_folder) == 0;
            if (gone && remove_file(p, "shard-set-removed", path, err)) return -1;
        }
    return 0;
}

static int has_listed_bytes(const struct purge *p, const char *path, bool *hit, struct error *err)
{
    struct xxh128 h;
    uint64_t n_bytes;
    *hit = false;
    if (xxh128_of_file(&h, &n_bytes, path, err)) return -1;
    *hit = listed(&p->list, &h);
    return 0;
}

/* Whether a WebDataset tar has a member that names a listed picture
 * (KEY.json has path, xxh128 and source). */
static int tar_is_hit(const struct purge *p, const char *path, bool *hit, struct error *err)
{
    char head[512], text[1 << 16];
    int fd = io_open_read(path, err), rc = -1;
    ssize_t got = 0;
    *hit = false;
    if (fd < 0) return -1;
    while (!*hit && (got = io_read_some(fd, head, sizeof head, path, err)) == (ssize_t)sizeof head &&
           head[0]) {
        uint64_t n_bytes = 0, kept;
        for (int i = 124; i < 136 && head[i] >= '0' && head[i] <= '7'; i++)
            n_bytes = n_bytes << 3 | (uint64_t)(head[i] - '0');
        kept = n_bytes < sizeof text - 1 ? n_bytes : sizeof text - 1;
        head[99] = 0;
        bool json = text_ends(head, ".json");
        if (json && io_read_full(fd, text, kept, path, err)) goto out;
        text[json ? kept : 0] = 0;
        *hit = taken_down_named(&p->list, text);
        if (n_bytes > INT64_MAX - 512 ||
            lseek(fd, (off_t)((n_bytes + 511) / 512 * 512 - (json ? kept : 0)), SEEK_CUR) < 0) {
            error_set(err, EX_DATAERR, "'%s' is damaged", path);
            goto out;
        }
    }
    rc = got < 0 ? -1 : 0;
out:
    close(fd);
    return rc;
}

/* Sets f->left to the data of listed pictures that the file still contains. */
static int look(struct purge *p, const char *folder, struct file *f, struct error *err)
{
    const char *name = base_name(f->path);
    uint64_t n_hits = 0;
    bool hit = taken_down_named(&p->list, f->path + strlen(folder));
    if (!hit && p->deep && !text_ends(name, ".cache") && !text_ends(name, ".bin") &&
        has_listed_bytes(p, f->path, &hit, err))
        return -1;
    /* The last line is often incomplete after a killed run, which must not prevent reading the other
     * lines. */
    if (!p->dry_run && text_ends(name, ".tsv") && picture_memory_is(f->path) &&
        picture_memory_mend(f->path, err) < 0)
        return -1;
    if (!hit && text_ends(name, ".tsv") && read_table(p, f->path, NULL, &n_hits, err)) return -1;
    if (!hit && text_ends(name, ".tar")) {
        bool inside;
        if (tar_is_hit(p, f->path, &inside, err)) return -1;
        f->left = inside ? LEFT_TAR : LEFT_NOTHING;
        return 0;
    }
    f->left = hit ? LEFT_ITSELF : n_hits == 0 ? LEFT_NOTHING : is_shard_table(name) ? LEFT_SHARDS : LEFT_ROWS;
    return 0;
}

/*
 * Reads all files of a run first. Data that do not themselves name their picture (caches, pages, records) are
 * removed next, then files and rows, and the tables of shards last. When purge is interrupted at any point,
 * the next run therefore still finds the name of the picture, and continues.
 */
int purge_run(struct purge *p, const char *folder, struct error *err)
{
    struct files l = {0};
    int rc = -1;
    bool any = false, trained = false;
    if (collect(p, folder, &l, err)) goto out;
    if (l.n) qsort(l.items, l.n, sizeof *l.items, by_age);
    for (size_t i = 0; i < l.n; i++) {
        if (look(p, folder, &l.items[i], err)) goto out;
        any = any || l.items[i].left != LEFT_NOTHING;
        trained = trained || l.items[i].left == LEFT_SHARDS || l.items[i].left == LEFT_TAR;
    }
    /* Single pictures cannot be removed from caches of activations, and pages contain small pictures. Both
     * are quickly made again, so the whole files are removed. */
    for (size_t i = 0; any && i < l.n; i++) {
        const char *path = l.items[i].path, *name = base_name(path);
        if (l.items[i].left == LEFT_NOTHING && (text_ends(name, ".cache") || text_ends(name, ".html"))) {
            if (remove_file(p, text_ends(name, ".cache") ? "cache-removed" : "page-removed", path, err))
                goto out;
        } else if (trained && strcmp(name, "model.json") == 0 &&
                   say(p, "model-trained-with-it", path, 0, err)) {
            goto out;
        }
    }
    if (remove_from_sets(p, &l, err)) goto out;
    for (size_t i = 0; i < l.n; i++)
        if (l.items[i].left == LEFT_SHARDS && remove_records(p, &l, l.items[i].path, err)) goto out;
    const struct file *before = NULL;
    for (size_t i = 0; i < l.n; i++) {
        const struct file *f = &l.items[i];
        const char *like = before && compare_age(before, f) == 0 ? before->path : NULL;
        if ((f->left == LEFT_ITSELF && remove_file(p, "file-removed", f->path, err)) ||
            (f->left == LEFT_TAR && remove_file(p, "tar-removed", f->path, err)) ||
            (f->left == LEFT_ROWS && rewrite_table(p, f->path, like, err)))
            goto out;
        if (f->left == LEFT_ROWS) before = f;
    }
    for (size_t i = 0; i < l.n; i++)
        if (l.items[i].left == LEFT_SHARD_ROWS && rewrite_table(p, l.items[i].path, NULL, err)) goto out;
    if (remove_shard_tables(p, &l, err)) goto out;
    rc = 0;
out:
    files_release(&l);
    return rc;
}
