/* shard_writer.c: writes shard sets; shard_writer.h says in which order files appear. */
#include "base/number.h"
#include "manifest/tsv.h"

#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "hash/content_hash.h"
#include "io/io.h"
#include "manifest/manifest.h"
#include "shard/shard_writer_inner.h"

static const uint8_t zeros[SHARD_ALIGN > SHARD_TAIL ? SHARD_ALIGN : SHARD_TAIL];

/* --- names, classes --- */

const char *shard_writer_path(struct shard_writer *w, const char *folder, const char *name,
                              const char *ending, struct error *err)
{
    text_clear(&w->path);
    return text_printf(&w->path, err, "%s/%s%s", folder, name, ending) ? NULL : w->path.data;
}

static int add_class(struct shard_writer *w, const char *label, struct error *err)
{
    size_t low = 0, high = w->n_classes;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(label, w->classes[middle]);
        if (order == 0) return 0;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    char *copy = mem_strdup(label, err);
    if (!copy || mem_grow(&w->classes, &w->classes_capacity, w->n_classes + 1, sizeof *w->classes, err)) {
        free(copy);
        return -1;
    }
    memmove(w->classes + low + 1, w->classes + low, (w->n_classes - low) * sizeof *w->classes);
    w->classes[low] = copy;
    w->n_classes++;
    return 0;
}

/* --- opening --- */

static uint64_t whole(const char *s)
{
    uint64_t n;
    return parse_digits(s, strlen(s), &n) ? n : 0;
}

/* Continues an existing set: the settings must agree, and its shards are listed again without change. */
static int adopt_set(struct shard_writer *w, struct error *err)
{
    static const char *const columns[] = {"key", "value", "records", "bytes", "xxh128", NULL};
    struct shard_set *set = NULL;
    struct manifest_table t = MANIFEST_TABLE_EMPTY;
    int rc = -1, column[5];
    if (shard_set_open(&set, w->folder, err)) /* this checks every value that is used below */
        return -1;
    const struct shard_set_info *info = shard_set_info(set);
    if (info->rows_apart) {
        error_set(err, EX_SOFTWARE, "'%s' has a table of rows: it is appended to with itself as the base",
                  w->folder);
        goto out;
    }
    if (info->side_px != w->o.side_px || strcmp(info->resize, w->resize) || info->encoding != w->o.encoding) {
        error_set(err, EX_DATAERR, "'%s' holds %d px, %s, %s: cannot append %d px, %s, %s", w->folder,
                  info->side_px, info->resize, shard_encoding_name(info->encoding), w->o.side_px, w->resize,
                  shard_encoding_name(w->o.encoding));
        goto out;
    }
    if (strcmp(info->background, w->background)) {
        error_set(err, EX_DATAERR, "'%s' has transparent parts on %s: cannot append pictures on %s",
                  w->folder, shard_background_name(info->background), shard_background_name(w->background));
        goto out;
    }
    memcpy(w->data_hash, info->data_hash, sizeof w->data_hash);
    for (int i = 0; i < info->n_classes; i++)
        if (add_class(w, info->classes[i], err)) goto out;
    const char *path = shard_writer_path(w, w->folder, "index", ".tsv", err);
    if (!path || manifest_table_read(&t, path, columns, err)) goto out;
    for (int i = 0; i < 5; i++)
        column[i] = manifest_column(&t.schema, columns[i]);
    for (size_t row = 0; row < t.n_rows; row++) {
        const char *key = manifest_cell(&t, row, column[0]), *hash = manifest_cell(&t, row, column[4]);
        uint64_t bytes = whole(manifest_cell(&t, row, column[3]));
        if (strcmp(key, "shard") == 0) {
            struct written s = {.records = whole(manifest_cell(&t, row, column[2])), .bytes = bytes};
            const char *name = manifest_cell(&t, row, column[1]);
            if (!text_ends(name, ".bin")) {
                error_set(err, EX_DATAERR, "'%s': a shard with another name than pack gives", w->folder);
                goto out;
            }
            snprintf(s.xxh128, sizeof s.xxh128, "%s", hash);
            if (mem_grow(&w->shards, &w->shards_capacity, w->n_shards + 1, sizeof *w->shards, err) ||
                !(s.name = mem_strdup(name, err)))
                goto out;
            s.name[strlen(name) - 4] = 0;
            w->shards[w->n_shards++] = s;
            /* Set first, so that a failure below does not treat the old shards as new ones. */
            w->n_old = w->n_shards;
        } else if (strcmp(key, "index") == 0 && w->n_shards > 0) {
            w->shards[w->n_shards - 1].index_bytes = bytes;
            snprintf(w->shards[w->n_shards - 1].index_xxh128, sizeof w->shards->index_xxh128, "%s", hash);
        }
    }
    rc = 0;
out:
    manifest_table_release(&t);
    shard_set_close(set);
    return rc;
}

static bool is_ours(const char *name)
{
    return strcmp(name, "index.tsv") == 0 || text_starts(name, ".index.tsv.") ||
           text_starts(name, ".shard-") ||
           (text_starts(name, "shard-") && (text_ends(name, ".bin") || text_ends(name, ".tsv")));
}

/* Finds out what exists at the path of the folder. Returns 0 when there is no file or an empty folder, 1 for
 * a set, or -1 for anything else. A folder is replaced as a whole, so it counts as a set only if it contains
 * no other files. */
static int look_at(struct shard_writer *w, struct error *err)
{
    static const char head[] = "key\tvalue\trecords\tbytes\txxh128\nformat\twinnow-shards-";
    char first[sizeof head - 1];
    bool foreign = false, any = false;
    DIR *d = opendir(w->folder);
    if (!d) {
        if (errno == ENOENT) return 0;
        if (errno == ENOTDIR) return -1;
        error_errno(err, EX_CANTCREAT, "cannot look into '%s'", w->folder);
        return -2;
    }
    int rc;
    for (struct dirent *e; (e = io_next_entry(d, w->folder, &rc, err));) {
        any = true;
        foreign = foreign || !is_ours(e->d_name);
    }
    int fd = rc ? -1 : openat(dirfd(d), "index.tsv", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (!rc && fd < 0 && errno_of_machine(errno))
        rc = error_errno(err, EX_CANTCREAT, "cannot look into '%s'", w->folder);
    struct error ignored = {0};
    bool set = fd >= 0 && io_read_full(fd, first, sizeof first, "index.tsv", &ignored) == 0 &&
               memcmp(first, head, sizeof first) == 0;
    if (fd >= 0) close(fd);
    closedir(d);
    return rc ? -2 : !any ? 0 : set && !foreign ? 1 : -1;
}

/* The names of new files must differ from those of all files of the base. */
static int number_after_base(struct shard_writer *w, struct error *err)
{
    w->n_base = shard_set_n_files(w->o.base);
    for (size_t i = 0; i < w->n_base; i++) {
        const char *name = shard_set_file(w->o.base, i)->name;
        unsigned number;
        int end = 0;
        if (sscanf(name, "shard-%9u.bin%n", &number, &end) != 1 || !end || name[end])
            return error_set(err, EX_DATAERR, "'%s': a shard with another name than pack gives", name);
        if (number >= w->first_number) w->first_number = (size_t)number + 1;
    }
    return 0;
}

int shard_writer_open(struct shard_writer **out, const char *folder,
                      const struct shard_writer_options *options, struct error *err)
{
    *out = NULL;
    if (options->side_px < 1 || options->side_px > SHARD_MAX_SIDE_PX)
        return error_set(err, EX_USAGE, "a side of %d pixels: 1 to %d", options->side_px, SHARD_MAX_SIDE_PX);
    struct shard_writer *w = mem_zalloc(1, sizeof *w, err);
    struct text name = TEXT_EMPTY;
    if (!w) return -1;
    w->o = *options;
    w->fd = -1;
    memcpy(w->data_hash, SHARD_HASH_START, sizeof w->data_hash);
    if (w->o.shard_bytes == 0) w->o.shard_bytes = SHARD_DEFAULT_BYTES;
    snprintf(w->resize, sizeof w->resize, "%s", options->resize);
    snprintf(w->background, sizeof w->background, "%s", options->background ? options->background : "");
    snprintf(w->made, sizeof w->made, "%s", options->made ? options->made : "");
    size_t n = strlen(folder);
    while (n > 1 && folder[n - 1] == '/')
        n--;
    if (!(w->folder = mem_dup(folder, n + 1, err))) goto fail;
    w->folder[n] = 0;
    if (xxh128_stream_open(&w->hash, err) || (options->base && number_after_base(w, err))) goto fail;
    int there = look_at(w, err);
    if (there == -1)
        error_set(err, EX_CANTCREAT, "'%s' is there and is not a shard set (or holds other files, too)",
                  w->folder);
    if (there < 0) goto fail;
    if (options->append && there == 1) {
        if (!(w->work = mem_strdup(w->folder, err)) || adopt_set(w, err)) goto fail;
    } else {
        io_sweep_leftovers(w->folder);
        if (io_mkdirs_for(w->folder, err) ||
            text_printf(&name, err, "%s.new-%ld", w->folder, (long)getpid()) ||
            !(w->work = mem_strdup(name.data, err)))
            goto fail;
        if (mkdir(w->work, 0777)) {
            error_errno(err, EX_CANTCREAT, "cannot make '%s'", w->work);
            free(w->work);
            w->work = NULL;
            goto fail;
        }
    }
    text_release(&name);
    *out = w;
    return 0;
fail:
    text_release(&name);
    shard_writer_close(w);
    return -1;
}

bool shard_writer_appends(const struct shard_writer *w) { return strcmp(w->work, w->folder) == 0; }

/* --- records --- */

static int put(struct shard_writer *w, const void *bytes, size_t n, struct error *err)
{
    if (io_write_full(w->fd, bytes, n, w->shards[w->n_shards - 1].name, err)) return -1;
    xxh128_stream_add(w->hash, bytes, n);
    w->at += n;
    return 0;
}

static int begin_shard(struct shard_writer *w, struct error *err)
{
    char name[32], head[SHARD_ALIGN] = SHARD_MAGIC;
    struct written s = {0};
    snprintf(name, sizeof name, "shard-%05zu", w->first_number + w->n_shards);
    if (mem_grow(&w->shards, &w->shards_capacity, w->n_shards + 1, sizeof *w->shards, err) ||
        !(s.name = mem_strdup(name, err)))
        return -1;
    w->shards[w->n_shards++] = s;
    const char *path = shard_writer_path(w, w->work, name, ".bin", err);
    if (!path) return -1;
    if (fault_here(FAULT_OPEN) || (w->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) < 0)
        return error_errno(err, EX_CANTCREAT, "cannot create '%s'", path);
    w->at = 0;
    w->n_in_shard = 0;
    xxh128_stream_reset(w->hash);
    text_clear(&w->index);
    if (put(w, head, sizeof head, err)) return -1;
    return text_puts(&w->index,
                     "path\tlabel\tsplit\tgroup\tfold\tvariant\tsource\tparams\txxh128\toffset\tbytes\tchecks"
                     "um\n",
                     err);
}

int shard_writer_end_file(struct shard_writer *w, struct error *err)
{
    struct xxh128 h;
    if (w->fd < 0) return 0;
    struct written *s = &w->shards[w->n_shards - 1];
    if (put(w, zeros, SHARD_TAIL, err)) return -1;
    if (fsync(w->fd)) return error_errno(err, EX_IOERR, "cannot sync '%s'", s->name);
    int fd = w->fd;
    w->fd = -1;
    if (close(fd)) return error_errno(err, EX_IOERR, "cannot close '%s'", s->name);
    s->records = w->n_in_shard;
    s->bytes = w->at;
    xxh128_stream_end(w->hash, &h);
    xxh128_hex(s->xxh128, &h);
    s->index_bytes = w->index.n_bytes;
    xxh128_of(&h, w->index.data, w->index.n_bytes);
    xxh128_hex(s->index_xxh128, &h);
    const char *path = shard_writer_path(w, w->work, s->name, ".tsv", err);
    return path ? atomic_file_write(path, w->index.data, w->index.n_bytes, err) : -1;
}

static int field(struct text *t, const char *value, struct error *err)
{
    return tsv_escape(t, value ? value : "", err) || text_add(t, "\t", 1, err) ? -1 : 0;
}

int shard_writer_put_record(struct shard_writer *w, const char *prefix, size_t n, const uint8_t *bytes,
                            size_t n_bytes, uint64_t checksum, uint64_t *offset, struct error *err)
{
    uint64_t padding = (SHARD_ALIGN - w->at % SHARD_ALIGN) % SHARD_ALIGN;
    if (w->fd >= 0 && w->n_in_shard > 0 && w->at + padding + n_bytes + SHARD_TAIL > w->o.shard_bytes &&
        shard_writer_end_file(w, err))
        return -1;
    if (w->fd < 0 && begin_shard(w, err)) return -1;
    padding = (SHARD_ALIGN - w->at % SHARD_ALIGN) % SHARD_ALIGN;
    if (put(w, zeros, padding, err)) return -1;
    *offset = w->at;
    if (put(w, bytes, n_bytes, err) || text_add(&w->index, prefix, n, err) ||
        text_printf(&w->index, err, "%llu\t%zu\t%016llx\n", (unsigned long long)*offset, n_bytes,
                    (unsigned long long)checksum))
        return -1;
    w->n_in_shard++;
    return 0;
}

/* Appends the row's columns up to xxh128 to row_text, from *at on, and adds its class and its part of the
 * hash. */
static int begin_row(struct shard_writer *w, const struct shard_writer_record *r, uint64_t checksum,
                     size_t *at, struct error *err)
{
    struct text *t = &w->row_text;
    char fold[16] = "";
    if (!w->o.base) text_clear(t);
    *at = t->n_bytes;
    if (r->fold >= 0) snprintf(fold, sizeof fold, "%d", r->fold);
    if (add_class(w, r->label, err) || field(t, r->path, err) || field(t, r->label, err) ||
        field(t, shard_split_name(r->split), err) || field(t, r->group, err) ||
        text_printf(t, err, "%s\t%d\t", fold, r->variant) || field(t, r->source, err) ||
        field(t, r->params, err) || field(t, r->xxh128, err))
        return -1;
    shard_chain_hash(w->data_hash, r->xxh128, r->label, r->split, r->fold, r->variant, checksum);
    return 0;
}

static int add_row(struct shard_writer *w, const struct located *row, struct error *err)
{
    if (!w->o.base) return 0;
    if (mem_grow(&w->rows, &w->rows_capacity, w->n_rows + 1, sizeof *w->rows, err)) return -1;
    w->rows[w->n_rows++] = *row;
    return 0;
}

int shard_writer_add(struct shard_writer *w, const struct shard_writer_record *r, struct error *err)
{
    size_t raw = (size_t)w->o.side_px * (size_t)w->o.side_px * 3;
    if (r->n_bytes == 0 || r->n_bytes > UINT32_MAX || (w->o.encoding == SHARD_RAW && r->n_bytes != raw))
        return error_set(err, EX_SOFTWARE, "a record of %zu bytes", r->n_bytes);
    struct located row = {.bytes = (uint32_t)r->n_bytes, .checksum = shard_checksum(r->bytes, r->n_bytes)};
    if (begin_row(w, r, row.checksum, &row.text_at, err) ||
        shard_writer_put_record(w, w->row_text.data + row.text_at, w->row_text.n_bytes - row.text_at,
                                r->bytes, r->n_bytes, row.checksum, &row.offset, err))
        return -1;
    row.file = (uint32_t)(w->n_base + w->n_shards - 1);
    return add_row(w, &row, err);
}

int shard_writer_refer(struct shard_writer *w, const struct shard_writer_record *r, uint64_t base_record,
                       struct error *err)
{
    struct shard_record old;
    struct located row = {0};
    if (!w->o.base) return error_set(err, EX_SOFTWARE, "a set without a base");
    if (shard_set_describe(w->o.base, base_record, &old, err) ||
        begin_row(w, r, old.checksum, &row.text_at, err))
        return -1;
    row.bytes = (uint32_t)old.n_encoded;
    row.checksum = old.checksum;
    shard_set_place(w->o.base, base_record, &row.file, &row.offset);
    w->n_referred++;
    return add_row(w, &row, err);
}

/* --- commit --- */

int shard_writer_list_files(struct shard_writer *w, struct text *t, struct error *err)
{
    for (size_t i = 0; i < w->n_shards; i++) {
        const struct written *s = &w->shards[i];
        if (text_printf(t, err, "shard\t%s.bin\t%llu\t%llu\t%s\nindex\t%s.tsv\t%llu\t%llu\t%s\n", s->name,
                        (unsigned long long)s->records, (unsigned long long)s->bytes, s->xxh128, s->name,
                        (unsigned long long)s->records, (unsigned long long)s->index_bytes, s->index_xxh128))
            return -1;
    }
    return 0;
}

static int write_set(struct shard_writer *w, struct error *err)
{
    struct text t = TEXT_EMPTY, files = TEXT_EMPTY;
    int rc = -1;
    /* a set that reuses no file has the first format */
    if (w->n_referred ? shard_rows_finish(w, &files, err) : shard_writer_list_files(w, &files, err)) goto out;
    if (text_printf(&t, err,
                    "key\tvalue\trecords\tbytes\txxh128\nformat\t%s\t\t\t\n"
                    "side_px\t%d\t\t\t\nresize\t%s\t\t\t\n%s%s%sencoding\t%s\t\t\t\n",
                    w->n_referred ? SHARD_FORMAT_ROWS : SHARD_FORMAT, w->o.side_px, w->resize,
                    w->background[0] ? "background\t" : "", w->background, w->background[0] ? "\t\t\t\n" : "",
                    shard_encoding_name(w->o.encoding)) ||
        (w->made[0] && text_printf(&t, err, "made\t%s\t\t\t\n", w->made)) ||
        text_printf(&t, err, "data_hash\t%s\t\t\t\n", w->data_hash))
        goto out;
    for (size_t i = 0; i < w->n_classes; i++)
        if (text_puts(&t, "class\t", err) || tsv_escape(&t, w->classes[i], err) ||
            text_puts(&t, "\t\t\t\n", err))
            goto out;
    if (text_add(&t, files.data, files.n_bytes, err)) goto out;
    const char *path = shard_writer_path(w, w->work, "index", ".tsv", err);
    rc = path ? atomic_file_write(path, t.data, t.n_bytes, err) : -1;
out:
    text_release(&t);
    text_release(&files);
    return rc;
}

/* Removes only the files of a set. A folder with any other file is therefore not removed. */
static void remove_set(const char *folder)
{
    DIR *d = opendir(folder);
    if (!d) return;
    for (struct dirent *e; (e = readdir(d));)
        if (is_ours(e->d_name)) unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
    rmdir(folder);
}

static int move_into_place(struct shard_writer *w, struct error *err)
{
    char *old;
    if (io_take_place(w->work, w->folder, &old, err)) return -1;
    if (old) remove_set(old);
    free(old);
    return 0;
}

void shard_writer_drop_files(struct shard_writer *w, size_t n)
{
    struct error ignored = {0};
    if (w->fd >= 0) close(w->fd);
    w->fd = -1;
    for (size_t i = n; i < w->n_shards; i++) {
        for (int k = 0; k < 2; k++) {
            const char *path =
                shard_writer_path(w, w->work, w->shards[i].name, k ? ".tsv" : ".bin", &ignored);
            if (path) unlink(path);
        }
        free(w->shards[i].name);
    }
    w->n_shards = n < w->n_shards ? n : w->n_shards;
}

const struct shard_writer_report *shard_writer_report(const struct shard_writer *w) { return &w->report; }

int shard_writer_commit(struct shard_writer *w, struct error *err)
{
    if (shard_writer_end_file(w, err)) return -1;
    w->listed = true;
    if (write_set(w, err)) return -1;
    if (strcmp(w->work, w->folder) && move_into_place(w, err)) return -1;
    w->committed = true;
    return io_fsync_dir_of(w->folder, err);
}

void shard_writer_close(struct shard_writer *w)
{
    if (!w) return;
    int saved = errno;
    if (w->fd >= 0) close(w->fd);
    /* Only an uncommitted set must be undone. */
    bool undo = !w->committed && w->folder && w->work;
    if (undo && !shard_writer_appends(w)) {
        remove_set(w->work);
    } else if (undo && !w->listed) {
        shard_writer_drop_files(w, w->n_old);
    }
    for (size_t i = 0; i < w->n_shards; i++)
        free(w->shards[i].name);
    for (size_t i = 0; i < w->n_classes; i++)
        free(w->classes[i]);
    free(w->shards);
    free(w->classes);
    free(w->folder);
    free(w->work);
    text_release(&w->index);
    text_release(&w->path);
    text_release(&w->row_text);
    free(w->rows);
    xxh128_stream_close(w->hash);
    free(w);
    errno = saved;
}
