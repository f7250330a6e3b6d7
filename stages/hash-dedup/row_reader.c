/* row_reader.c: reads the rows of the manifest, 36 bytes each, and examines files without a hash by stat. */
#include "hash_dedup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/number.h"
#include "base/parallel.h"

#define STAT_CHUNK 256 /* files a worker takes at a time */

static int add_file(struct dedup *d, uint32_t row, const char *path, struct error *err)
{
    if (mem_grow(&d->files, &d->files_capacity, d->n_files + 1, sizeof *d->files, err)) return -1;
    struct file *f = &d->files[d->n_files];
    *f = (struct file){.row = row};
    if (!(f->path = arena_strdup(&d->paths, path, err))) return -1;
    d->rows[row].file = (uint32_t)d->n_files++;
    return 0;
}

static int add_path(struct dedup *d, uint32_t row, const char *path, struct error *err)
{
    if (mem_grow(&d->only_paths, &d->only_paths_capacity, d->n_only_paths + 1, sizeof *d->only_paths, err) ||
        !(d->only_paths[d->n_only_paths] = arena_strdup(&d->paths, path, err)))
        return -1;
    d->rows[row].file = (uint32_t)d->n_only_paths++ | ONLY_PATH;
    return 0;
}

static void reject(struct row *r, enum row_reason reason)
{
    r->flags |= ROW_REJECTED;
    r->reason = (uint8_t)reason;
}

int dedup_read_rows(struct dedup *d, struct manifest_source *in, bool against, struct error *err)
{
    static const char *const required[] = {"path", NULL};
    struct manifest_reader r;
    int got;
    uint32_t none;
    if (manifest_source_read(in, &r, required, err)) return -1;
    int path = manifest_column(&r.schema, "path"), label = manifest_column(&r.schema, "label");
    int bytes = manifest_column(&r.schema, "bytes"), hash = manifest_column(&r.schema, "xxh128");
    if (names_find(&d->labels, "", &none, err)) goto fail;
    while ((got = manifest_reader_next(&r, err)) > 0) {
        if (d->n_rows >= ONLY_PATH - 1) {
            error_set(err, EX_DATAERR, "'%s' has more than 2 billion rows", in->name);
            goto fail;
        }
        if (mem_grow(&d->rows, &d->rows_capacity, d->n_rows + 1, sizeof *d->rows, err)) goto fail;
        struct row *row = &d->rows[d->n_rows];
        *row =
            (struct row){.file = NO_FILE, .keeper = (uint32_t)d->n_rows, .flags = against ? ROW_AGAINST : 0};
        uint32_t name;
        if (names_find(&d->labels, manifest_field(&r, label), &name, err)) goto fail;
        row->label = name;
        const char *h = manifest_field(&r, hash), *b = manifest_field(&r, bytes),
                   *p = manifest_field(&r, path);
        struct error ignored;
        uint64_t size;
        if (*b && parse_u64(b, 0, UINT64_MAX, &size, "bytes", &ignored) == 0) {
            row->bytes = size;
            row->flags |= ROW_SIZED;
        }
        d->n_rows++;
        if (!d->opt->common.allow_outside && !path_is_inside(p))
            reject(row, REJECT_OUTSIDE_ROOT);
        else if (*h && xxh128_from_hex(&row->hash, h))
            reject(row, REJECT_BAD_HASH);
        else if (*h && (row->flags & ROW_SIZED) && row->bytes == 0)
            reject(row, REJECT_EMPTY);
        else if (*h)
            row->flags |= ROW_HASHED;
        else if (add_file(d, (uint32_t)d->n_rows - 1, p, err))
            goto fail;
        if (d->n_rows % 65536 == 0) progress_update(&d->progress, d->n_rows, NULL);
    }
    if (against) d->n_against = d->n_rows;
    manifest_reader_close(&r);
    return got;
fail:
    manifest_reader_close(&r);
    return -1;
}

int dedup_read_paths(struct dedup *d, struct manifest_source *in, bool against, enum row_flag flag,
                     struct error *err)
{
    static const char *const required[] = {"path", NULL};
    struct manifest_reader r;
    int got, rc = -1;
    size_t row = against ? 0 : d->n_against, end = against ? d->n_against : d->n_rows;
    if (manifest_source_read(in, &r, required, err)) return -1;
    int path = manifest_column(&r.schema, "path");
    /* The files of peers are examined. Those of groups are, too, when their
     * times decide which one is kept. */
    int (*add)(struct dedup *, uint32_t, const char *, struct error *) =
        flag == ROW_PEER || d->opt->keep == KEEP_OLDEST || d->opt->keep == KEEP_NEWEST ? add_file : add_path;
    for (; (got = manifest_reader_next(&r, err)) > 0 && row < end; row++)
        if ((d->rows[row].flags & flag) && d->rows[row].file == NO_FILE &&
            add(d, (uint32_t)row, manifest_field(&r, path), err))
            goto out;
    if (got < 0) goto out;
    rc = got || row != end ? error_set(err, EX_DATAERR, "'%s' was written to while it was read", in->name)
                           : manifest_source_check(in, err);
out:
    manifest_reader_close(&r);
    return rc;
}

/*
 * Examines a path with lstat, and sets the row's size. A link is followed and marked, because it is never
 * kept in place of its target and never changed. Sets the row's reject reason if the file cannot be a
 * picture.
 */
void dedup_look_at(struct dedup *d, struct file *f, struct row *r)
{
    struct stat st;
    f->seen = true;
    int rc = fstatat(d->root_fd, f->path, &st, AT_SYMLINK_NOFOLLOW);
    if (rc == 0 && S_ISLNK(st.st_mode)) {
        f->link = true;
        rc = fstatat(d->root_fd, f->path, &st, 0);
    }
    if (rc) {
        f->error_number = errno;
        if (!(r->flags & ROW_HASHED))
            reject(r, errno == ENOENT || errno == ENOTDIR ? REJECT_NOT_FOUND : REJECT_UNREADABLE);
        return;
    }
    f->dev = st.st_dev;
    f->ino = st.st_ino;
    f->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    if (r->flags & ROW_HASHED) {
        /* The file has changed since the manifest was written: reject the row. */
        if (!S_ISREG(st.st_mode) || ((r->flags & ROW_SIZED) && r->bytes != (uint64_t)st.st_size))
            f->error_number = EINVAL;
        return;
    }
    r->bytes = (uint64_t)st.st_size;
    r->flags |= ROW_SIZED;
    if (!S_ISREG(st.st_mode))
        reject(r, REJECT_NOT_REGULAR);
    else if (st.st_size == 0)
        reject(r, REJECT_EMPTY);
}

int dedup_check_machine(const struct dedup *d, struct error *err)
{
    char shown[256];
    for (size_t i = 0; i < d->n_files; i++)
        if (errno_of_machine(d->files[i].error_number) && !(d->rows[d->files[i].row].flags & ROW_HASHED)) {
            errno = d->files[i].error_number;
            return error_errno(err, EX_OSERR, "cannot read '%s'",
                               text_for_people(shown, sizeof shown, d->files[i].path));
        }
    return 0;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int dedup_find_peers(struct dedup *d, size_t *n, struct error *err)
{
    uint64_t *sizes = mem_alloc((d->n_files + 1) * sizeof *sizes, err);
    size_t n_sizes = 0;
    *n = 0;
    if (!sizes) return -1;
    for (size_t i = 0; i < d->n_files; i++)
        if (!(d->rows[d->files[i].row].flags & ROW_REJECTED))
            sizes[n_sizes++] = d->rows[d->files[i].row].bytes;
    qsort(sizes, n_sizes, sizeof *sizes, compare_u64);
    for (size_t i = 0; i < d->n_rows; i++) {
        struct row *r = &d->rows[i];
        if ((r->flags & (ROW_HASHED | ROW_SIZED | ROW_REJECTED)) == (ROW_HASHED | ROW_SIZED) &&
            bsearch(&r->bytes, sizes, n_sizes, sizeof *sizes, compare_u64)) {
            r->flags |= ROW_PEER;
            ++*n;
        }
    }
    free(sizes);
    return 0;
}

struct look {
    struct dedup *d;
    atomic_size_t next;
};

static void look_work(void *context, unsigned worker)
{
    struct look *l = context;
    struct dedup *d = l->d;
    for (;;) {
        size_t begin = atomic_fetch_add(&l->next, STAT_CHUNK), end = begin + STAT_CHUNK;
        if (begin >= d->n_files) return;
        for (size_t i = begin; i < end && i < d->n_files; i++)
            if (!d->files[i].seen) dedup_look_at(d, &d->files[i], &d->rows[d->files[i].row]);
        if (worker == 0) progress_update(&d->progress, begin, NULL);
    }
}

void dedup_look_at_all(struct dedup *d)
{
    struct look l = {.d = d};
    parallel_run(d->n_files > STAT_CHUNK ? stage_threads(&d->opt->common) : 1, look_work, &l);
}
