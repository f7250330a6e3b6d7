/*
 * shard_forget.c: removes single pictures from a set. The rows are removed first, and then the pixels are
 * overwritten in place. A file that several sets share by hard links is changed for all of them. The table of
 * the file still names the pictures until the caller removes those rows last, so that an interrupted run is
 * continued by the next one.
 */
#include "shard/shard_forget.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/number.h"
#include "hash/content_hash.h"
#include "io/io.h"
#include "manifest/manifest.h"
#include "manifest/tsv.h"
#include "shard/shard_format.h"

/* The bytes of a record that must be overwritten. */
struct hole {
    uint32_t file;
    uint64_t offset, bytes;
};

struct forget {
    struct shard_set *set;
    const char *folder;
    shard_listed_fn *listed;
    void *context;
    struct hole *holes;
    size_t n_holes, capacity;
    bool *changed; /* of each file */
};

static int find_holes(struct forget *f, uint32_t file, struct error *err)
{
    static const char *const columns[] = {"path", "source", "xxh128", "offset", "bytes", NULL};
    const struct shard_listed *l = shard_set_file(f->set, file);
    struct text path = TEXT_EMPTY;
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    int more = -1, at[5];
    if (text_printf(&path, err, "%.*s.tsv", (int)(strlen(l->path) - 4), l->path) ||
        manifest_reader_open(&r, path.data, columns, err))
        goto out;
    for (int i = 0; i < 5; i++)
        at[i] = manifest_column(&r.schema, columns[i]);
    while ((more = manifest_reader_next(&r, err)) == 1) {
        struct hole h = {.file = file};
        struct error ignored;
        if (!f->listed(f->context, manifest_field(&r, at[0]), manifest_field(&r, at[1]),
                       manifest_field(&r, at[2])))
            continue;
        if (parse_u64(manifest_field(&r, at[3]), SHARD_ALIGN, l->bytes, &h.offset, "", &ignored) ||
            parse_u64(manifest_field(&r, at[4]), 1, l->bytes - h.offset, &h.bytes, "", &ignored)) {
            more = error_set(err, EX_DATAERR, "'%s', row %llu: a record outside its shard", path.data,
                             (unsigned long long)r.row);
            goto out;
        }
        if (mem_grow(&f->holes, &f->capacity, f->n_holes + 1, sizeof *f->holes, err)) {
            more = -1;
            goto out;
        }
        f->holes[f->n_holes++] = h;
        f->changed[file] = true;
    }
out:
    manifest_reader_close(&r);
    text_release(&path);
    return more < 0 ? -1 : 0;
}

static int put_row(struct text *t, const struct forget *f, uint64_t i, const struct shard_record *r,
                   struct error *err)
{
    char fold[16] = "";
    uint32_t file;
    uint64_t offset;
    const char *const fields[] = {r->path, shard_set_info(f->set)->classes[r->label],
                                  shard_split_name(r->split), r->group};
    if (r->fold >= 0) snprintf(fold, sizeof fold, "%d", r->fold);
    for (int k = 0; k < 4; k++)
        if (tsv_escape(t, fields[k], err) || text_add(t, "\t", 1, err)) return -1;
    shard_set_place(f->set, i, &file, &offset);
    return text_printf(t, err, "%s\t%d\t", fold, r->variant) || tsv_escape(t, r->source, err) ||
                   text_add(t, "\t", 1, err) || tsv_escape(t, r->params, err) ||
                   text_printf(t, err, "\t%s\t%u\t%llu\t%zu\t%016llx\n", r->xxh128, file,
                               (unsigned long long)offset, r->n_encoded, (unsigned long long)r->checksum)
               ? -1
               : 0;
}

static int write_file(const struct forget *f, const char *name, const struct text *t, struct error *err)
{
    struct text path = TEXT_EMPTY;
    int rc = text_printf(&path, err, "%s/%s", f->folder, name) ||
                     atomic_file_write(path.data, t->data, t->n_bytes, err)
                 ? -1
                 : 0;
    text_release(&path);
    return rc;
}

/* Writes the set without the rows, in the second format. Hashes of files that will be changed are left
 * empty. */
static int write_set(const struct forget *f, struct error *err)
{
    const struct shard_set_info *info = shard_set_info(f->set);
    struct text rows = TEXT_EMPTY, list = TEXT_EMPTY;
    char chain[33] = SHARD_HASH_START, hex[XXH128_HEX_BYTES];
    struct xxh128 h;
    uint64_t n = 0;
    bool *used = mem_zalloc((size_t)info->n_classes + 1, sizeof *used, err);
    int rc = -1;
    if (!used || text_puts(&rows, SHARD_ROWS_HEADER, err)) goto out;
    for (uint64_t i = 0; i < info->n_records; i++) {
        struct shard_record r;
        if (shard_set_describe(f->set, i, &r, err)) goto out;
        if (f->listed(f->context, r.path, r.source, r.xxh128)) continue;
        if (put_row(&rows, f, i, &r, err)) goto out;
        shard_chain_hash(chain, r.xxh128, info->classes[r.label], r.split, r.fold, r.variant, r.checksum);
        used[r.label] = true;
        n++;
    }
    xxh128_of(&h, rows.data, rows.n_bytes);
    xxh128_hex(hex, &h);
    if (text_printf(&list, err,
                    "key\tvalue\trecords\tbytes\txxh128\nformat\t" SHARD_FORMAT_ROWS
                    "\t\t\t\nside_px\t%d\t\t\t\nresize\t%s\t\t\t\n%s%s%sencoding\t%s\t\t\t\n",
                    info->side_px, info->resize, info->background[0] ? "background\t" : "", info->background,
                    info->background[0] ? "\t\t\t\n" : "", shard_encoding_name(info->encoding)) ||
        (*info->made && text_printf(&list, err, "made\t%s\t\t\t\n", info->made)) ||
        text_printf(&list, err, "data_hash\t%s\t\t\t\n", chain))
        goto out;
    for (int i = 0; i < info->n_classes; i++)
        if (used[i] && (text_puts(&list, "class\t", err) || tsv_escape(&list, info->classes[i], err) ||
                        text_puts(&list, "\t\t\t\n", err)))
            goto out;
    for (size_t i = 0; i < shard_set_n_files(f->set); i++) {
        const struct shard_listed *l = shard_set_file(f->set, i);
        if (text_printf(&list, err, "shard\t%s\t%llu\t%llu\t%s\nindex\t%.*s.tsv\t%llu\t%llu\t%s\n", l->name,
                        (unsigned long long)l->records, (unsigned long long)l->bytes,
                        f->changed[i] ? "" : l->xxh128, (int)(strlen(l->name) - 4), l->name,
                        (unsigned long long)l->records, (unsigned long long)l->table_bytes,
                        f->changed[i] ? "" : l->table_xxh128))
            goto out;
    }
    if (text_printf(&list, err, "rows\t" SHARD_ROWS "\t%llu\t%zu\t%s\n", (unsigned long long)n, rows.n_bytes,
                    hex))
        goto out;
    rc = write_file(f, SHARD_ROWS, &rows, err) || write_file(f, "index.tsv", &list, err) ? -1 : 0;
out:
    free(used);
    text_release(&rows);
    text_release(&list);
    return rc;
}

static int overwrite(const struct forget *f, struct error *err)
{
    static const char zeros[1 << 16];
    int fd = -1, rc = -1;
    for (size_t i = 0; i < f->n_holes; i++) {
        const struct hole *h = &f->holes[i];
        const char *path = shard_set_file(f->set, h->file)->path;
        if (i == 0 || f->holes[i - 1].file != h->file) {
            if (fault_here(FAULT_OPEN) || (fd = open(path, O_WRONLY | O_CLOEXEC)) < 0) {
                error_errno(err, EX_IOERR, "cannot write '%s'", path);
                goto out;
            }
        }
        if (lseek(fd, (off_t)h->offset, SEEK_SET) < 0) {
            error_errno(err, EX_IOERR, "cannot write '%s'", path);
            goto out;
        }
        for (uint64_t done = 0; done < h->bytes; done += sizeof zeros) {
            uint64_t n = h->bytes - done < sizeof zeros ? h->bytes - done : sizeof zeros;
            if (io_write_full(fd, zeros, n, path, err)) goto out;
        }
        if (i + 1 == f->n_holes || f->holes[i + 1].file != h->file) {
            if (fault_here(FAULT_FSYNC) || fsync(fd)) {
                error_errno(err, EX_IOERR, "cannot sync '%s'", path);
                goto out;
            }
            close(fd);
            fd = -1;
        }
    }
    rc = 0;
out:
    if (fd >= 0) close(fd);
    return rc;
}

int shard_set_forget(const char *folder, bool dry_run, shard_listed_fn *listed, void *context,
                     uint64_t *n_records, struct error *err)
{
    struct forget f = {.folder = folder, .listed = listed, .context = context};
    int rc = -1;
    *n_records = 0;
    if (shard_set_open_stored(&f.set, folder, err)) return -1;
    size_t n = shard_set_n_files(f.set);
    if (!(f.changed = mem_zalloc(n + 1, sizeof *f.changed, err))) goto out;
    for (size_t i = 0; i < n; i++) {
        const char *name = shard_set_file(f.set, i)->name;
        if (!text_ends(name, ".bin")) {
            error_set(err, EX_DATAERR, "'%s': a shard with another name than pack gives", name);
            goto out;
        }
        if (find_holes(&f, (uint32_t)i, err)) goto out;
    }
    *n_records = f.n_holes;
    rc = dry_run || (write_set(&f, err) == 0 && overwrite(&f, err) == 0) ? 0 : -1;
out:
    shard_set_close(f.set);
    free(f.changed);
    free(f.holes);
    return rc;
}
