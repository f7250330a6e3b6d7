/*
 * shard_rows.c: writes sets that reuse files of an earlier set. A file is linked unchanged, together with its
 * table. The table names the picture of every record, used or not, so that a takedown finds the pixels of
 * unused records as well.
 *
 * Dead records, which no row uses, waste space. When they are more than a fifth of the reused bytes, the live
 * records of every file with more than a fifth of dead bytes are copied to new files. Small files from many
 * small additions are merged, too, so that a set does not have a thousand files after a thousand nights.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/io.h"
#include "shard/shard_writer_inner.h"

#define DEAD_SHARE 5   /* one byte in this many may be dead */
#define MOST_SMALL 32  /* files */
#define SMALL_SHARE 32 /* share of the size of a full file below which a file is small */
#define COPY_BYTES (1 << 20)

/* For each file of the base: the bytes of live records, and whether the file is kept. */
struct kept_file {
    uint64_t live;
    bool moves;      /* its live records are copied to new files */
    uint32_t number; /* in the new list */
};

static void count_live(const struct shard_writer *w, struct kept_file *kept)
{
    for (size_t i = 0; i < w->n_rows; i++)
        if (w->rows[i].file < w->n_base) kept[w->rows[i].file].live += w->rows[i].bytes;
}

/* Chooses the files whose records are copied. Returns whether there are any. */
static bool choose(const struct shard_writer *w, struct kept_file *kept)
{
    uint64_t total = 0, dead = 0, n_small = 0;
    bool any = false;
    for (size_t i = 0; i < w->n_base; i++) {
        uint64_t bytes = shard_set_file(w->o.base, i)->bytes;
        if (kept[i].live == 0) continue;
        total += bytes;
        dead += bytes > kept[i].live ? bytes - kept[i].live : 0;
        n_small += bytes < w->o.shard_bytes / SMALL_SHARE;
    }
    for (size_t i = 0; i < w->n_base; i++) {
        uint64_t bytes = shard_set_file(w->o.base, i)->bytes;
        if (kept[i].live == 0) continue;
        bool small = n_small > MOST_SMALL && bytes < w->o.shard_bytes / SMALL_SHARE;
        bool mostly_dead =
            dead > total / DEAD_SHARE && bytes > kept[i].live && bytes - kept[i].live > bytes / DEAD_SHARE;
        any |= kept[i].moves = small || mostly_dead;
    }
    return any;
}

static size_t text_end(const struct shard_writer *w, size_t row)
{
    return row + 1 < w->n_rows ? w->rows[row + 1].text_at : w->row_text.n_bytes;
}

/*
 * Copies the records, and collects their new places. The old places stay valid until everything is written.
 */
static int move_records(struct shard_writer *w, const struct kept_file *kept, struct located *moved,
                        struct error *err)
{
    for (size_t i = 0; i < w->n_rows; i++) {
        const struct located *row = &w->rows[i];
        moved[i] = *row;
        if (row->file >= w->n_base || !kept[row->file].moves) continue;
        const uint8_t *bytes = shard_set_bytes(w->o.base, row->file) + row->offset;
        if (shard_checksum(bytes, row->bytes) != row->checksum)
            return error_set(err, EX_DATAERR, "'%s' is damaged: pack the set anew (without --reuse)",
                             shard_set_file(w->o.base, row->file)->path);
        if (shard_writer_put_record(w, w->row_text.data + row->text_at, text_end(w, i) - row->text_at, bytes,
                                    row->bytes, row->checksum, &moved[i].offset, err))
            return -1;
        moved[i].file = (uint32_t)(w->n_base + w->n_shards - 1);
        w->report.n_moved++;
    }
    return shard_writer_end_file(w, err);
}

/* If the disk is full, the copies are removed, and the set is written without copying. */
static int compact(struct shard_writer *w, struct kept_file *kept, struct error *err)
{
    size_t before = w->n_shards;
    struct error own = {0};
    struct located *moved = mem_alloc((w->n_rows + 1) * sizeof *moved, err);
    if (!moved) return -1;
    if (move_records(w, kept, moved, &own)) {
        free(moved);
        if (own.saved_errno != ENOSPC && own.saved_errno != EDQUOT) {
            *err = own;
            return -1;
        }
        shard_writer_drop_files(w, before);
        for (size_t i = 0; i < w->n_base; i++)
            kept[i].moves = false;
        w->report.n_moved = 0;
        w->report.no_room = true;
        return 0;
    }
    free(w->rows);
    w->rows = moved;
    w->rows_capacity = w->n_rows + 1;
    return 0;
}

/* --- files of the base --- */

static int copy_bytes(int from, int to, const char *path, struct error *err)
{
    char *buffer = mem_alloc(COPY_BYTES, err);
    ssize_t n = -1;
    if (!buffer) return -1;
    while ((n = io_read_some(from, buffer, COPY_BYTES, path, err)) > 0)
        if (io_write_full(to, buffer, (size_t)n, path, err)) {
            n = -1;
            break;
        }
    free(buffer);
    return n < 0 ? -1 : 0;
}

/* For another file system, or one without hard links: shares the storage (reflink), or copies. */
static int copy_file(const char *from, const char *to, struct error *err)
{
    int in = io_open_read(from, err), out = -1, rc = -1;
    if (in < 0) return -1;
    if ((out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)) < 0) {
        error_errno(err, EX_CANTCREAT, "cannot create '%s'", to);
        goto out;
    }
    if (ioctl(out, FICLONE, in) && copy_bytes(in, out, to, err)) goto out;
    rc = fault_here(FAULT_FSYNC) || fsync(out) ? error_errno(err, EX_IOERR, "cannot sync '%s'", to) : 0;
out:
    close(in);
    if (out >= 0) close(out);
    return rc;
}

static int take_file(struct shard_writer *w, const char *from, const char *name, const char *ending,
                     bool *linked, struct error *err)
{
    const char *to = shard_writer_path(w, w->work, name, ending, err);
    if (!to) return -1;
    if (!fault_here(FAULT_RENAME) && link(from, to) == 0) return 0;
    *linked = false;
    return copy_file(from, to, err);
}

/* Links both files of a pair, and adds their lines to the list. */
static int take_pair(struct shard_writer *w, size_t file, struct text *list, struct error *err)
{
    const struct shard_listed *f = shard_set_file(w->o.base, file);
    struct text table = TEXT_EMPTY;
    char name[sizeof f->name];
    bool linked = true;
    snprintf(name, sizeof name, "%.*s", (int)(strlen(f->name) - 4), f->name);
    int rc = text_printf(&table, err, "%.*s.tsv", (int)(strlen(f->path) - 4), f->path) ||
                     take_file(w, f->path, name, ".bin", &linked, err) ||
                     take_file(w, table.data, name, ".tsv", &linked, err) ||
                     text_printf(list, err, "shard\t%s\t%llu\t%llu\t%s\nindex\t%s.tsv\t%llu\t%llu\t%s\n",
                                 f->name, (unsigned long long)f->records, (unsigned long long)f->bytes,
                                 f->xxh128, name, (unsigned long long)f->records,
                                 (unsigned long long)f->table_bytes, f->table_xxh128)
                 ? -1
                 : 0;
    w->report.n_linked += linked;
    w->report.n_copied += !linked;
    text_release(&table);
    return rc;
}

/* --- the table of rows --- */

static int write_rows(struct shard_writer *w, const struct kept_file *kept, uint32_t n_kept,
                      struct text *list, struct error *err)
{
    struct atomic_file f = ATOMIC_FILE_EMPTY;
    struct text line = TEXT_EMPTY;
    struct xxh128_stream *hash = NULL;
    struct xxh128 h;
    char hex[XXH128_HEX_BYTES];
    uint64_t n_bytes = 0;
    int rc = -1;
    const char *path = shard_writer_path(w, w->work, SHARD_ROWS, "", err);
    if (!path || xxh128_stream_open(&hash, err) || atomic_file_open(&f, path, err) ||
        text_puts(&line, SHARD_ROWS_HEADER, err))
        goto out;
    for (size_t i = 0;; i++) {
        xxh128_stream_add(hash, line.data, line.n_bytes);
        n_bytes += line.n_bytes;
        if (fault_here(FAULT_WRITE) || fwrite(line.data, 1, line.n_bytes, f.stream) != line.n_bytes) {
            error_errno(err, EX_IOERR, "cannot write '%s/%s'", w->work, SHARD_ROWS);
            goto out;
        }
        if (i == w->n_rows) break;
        const struct located *row = &w->rows[i];
        uint32_t file =
            row->file < w->n_base ? kept[row->file].number : n_kept + row->file - (uint32_t)w->n_base;
        text_clear(&line);
        if (text_add(&line, w->row_text.data + row->text_at, text_end(w, i) - row->text_at, err) ||
            text_printf(&line, err, "%u\t%llu\t%u\t%016llx\n", file, (unsigned long long)row->offset,
                        row->bytes, (unsigned long long)row->checksum))
            goto out;
    }
    if (atomic_file_commit(&f, err)) goto out;
    xxh128_stream_end(hash, &h);
    xxh128_hex(hex, &h);
    rc = text_printf(list, err, "rows\t%s\t%zu\t%llu\t%s\n", SHARD_ROWS, w->n_rows,
                     (unsigned long long)n_bytes, hex);
out:
    atomic_file_discard(&f);
    text_release(&line);
    xxh128_stream_close(hash);
    return rc;
}

int shard_rows_finish(struct shard_writer *w, struct text *list, struct error *err)
{
    uint32_t n_kept = 0;
    int rc = -1;
    struct kept_file *kept = mem_zalloc(w->n_base + 1, sizeof *kept, err);
    if (!kept) return -1;
    count_live(w, kept);
    if (choose(w, kept) && compact(w, kept, err)) goto out;
    for (size_t i = 0; i < w->n_base; i++)
        if (kept[i].live && !kept[i].moves) {
            kept[i].number = n_kept++;
            if (take_pair(w, i, list, err)) goto out;
        }
    if (shard_writer_list_files(w, list, err)) goto out;
    rc = write_rows(w, kept, n_kept, list, err);
out:
    free(kept);
    return rc;
}
