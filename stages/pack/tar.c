/*
 * tar.c: writes the WebDataset layout. Each record has three members with one name: KEY.jpg, KEY.cls (the
 * number of the class in classes.txt) and KEY.json. Owner, mode and time of the plain ustar members are
 * fixed, so that equal records give equal bytes. KEY counts the records of a split, and a tar never contains
 * two splits. The folder is written under a temporary name beside its final one and then renamed, so its path
 * is always the old set or the whole new one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/io.h"
#include "pack.h"

#define BLOCK 512

struct tar_file {
    int fd;
    uint64_t bytes, n_records;
    int number;
};

struct tar_writer {
    char *folder, *work;
    uint64_t shard_bytes;
    char *const *classes; /* borrowed, sorted */
    int n_classes;
    struct tar_file open[SHARD_SPLITS];
    struct text block, json, path;
    char **made; /* names of the files in the temporary folder, which are removed after an error */
    size_t n_made, made_capacity;
    bool committed;
};

/* Whether a set may contain this name: classes.txt, or a tar named after a split. A folder
 * with nothing else may be replaced. */
static bool is_ours(const char *name)
{
    unsigned number;
    int end = 0;
    for (int s = 0; s < SHARD_SPLITS; s++) {
        size_t n = strlen(shard_split_name(s));
        if (strncmp(name, shard_split_name(s), n) == 0 &&
            sscanf(name + n, "-%5u.tar%n", &number, &end) == 1 && end > 0 && !name[n + (size_t)end])
            return true;
    }
    return strcmp(name, "classes.txt") == 0;
}

/* Returns 0 when the folder does not exist, is empty or is such a set, or -1 with err set when it contains
 * other files or cannot be read. */
static int look_at(const char *folder, struct error *err)
{
    bool any = false, foreign = false, classes = false;
    int rc = 0;
    DIR *d = opendir(folder);
    if (!d) return errno == ENOENT ? 0 : error_errno(err, EX_CANTCREAT, "cannot look into '%s'", folder);
    for (struct dirent *e; (e = io_next_entry(d, folder, &rc, err));) {
        any = true;
        foreign = foreign || !is_ours(e->d_name);
        classes = classes || strcmp(e->d_name, "classes.txt") == 0;
    }
    closedir(d);
    if (rc == 0 && any && (foreign || !classes))
        rc = error_set(err, EX_CANTCREAT,
                       "'%s' is there and is not a set of tars (or holds other files, too)", folder);
    return rc;
}

static const char zeros[2 * BLOCK];

static int note_file(struct tar_writer *w, const char *name, struct error *err)
{
    if (mem_grow(&w->made, &w->made_capacity, w->n_made + 1, sizeof *w->made, err) ||
        !(w->made[w->n_made] = mem_strdup(name, err)))
        return -1;
    w->n_made++;
    text_clear(&w->path);
    return text_printf(&w->path, err, "%s/%s", w->work, name);
}

int tar_writer_open(struct tar_writer **out, const char *folder, uint64_t shard_bytes, char *const *classes,
                    int n_classes, struct error *err)
{
    *out = NULL;
    struct tar_writer *w = mem_zalloc(1, sizeof *w, err);
    struct text t = TEXT_EMPTY;
    if (!w) return -1;
    for (int s = 0; s < SHARD_SPLITS; s++)
        w->open[s].fd = -1;
    w->shard_bytes = shard_bytes;
    w->classes = classes;
    w->n_classes = n_classes;
    if (!(w->folder = mem_strdup(folder, err))) goto fail;
    for (size_t n = strlen(w->folder); n > 1 && w->folder[n - 1] == '/'; n--)
        w->folder[n - 1] = 0;
    if (look_at(w->folder, err)) goto fail;
    io_sweep_leftovers(w->folder);
    if (io_mkdirs_for(w->folder, err) || text_printf(&t, err, "%s.new-%ld", w->folder, (long)getpid()))
        goto fail;
    if (mkdir(t.data, 0777)) {
        error_errno(err, EX_CANTCREAT, "cannot make '%s'", t.data);
        goto fail;
    }
    w->work = t.data;
    *out = w;
    return 0;
fail:
    text_release(&t);
    tar_writer_close(w);
    return -1;
}

static void octal(char *field, int digits, uint64_t value)
{
    for (int i = digits - 1; i >= 0; i--, value >>= 3)
        field[i] = (char)('0' + (value & 7));
    field[digits] = 0;
}

/* Writes one ustar member. Sizes are below 8 GiB, the largest number with eleven octal digits. */
static int add_member(struct tar_writer *w, const char *name, const void *bytes, size_t n, struct error *err)
{
    char head[BLOCK] = "";
    unsigned sum = 0;
    snprintf(head, 100, "%s", name);
    octal(head + 100, 7, 0644);
    octal(head + 108, 7, 0);
    octal(head + 116, 7, 0);
    octal(head + 124, 11, n);
    octal(head + 136, 11, 0);
    memset(head + 148, ' ', 8);
    head[156] = '0';
    memcpy(head + 257,
           "ustar\0"
           "00",
           8);
    for (int i = 0; i < BLOCK; i++)
        sum += (unsigned char)head[i];
    octal(head + 148, 6, sum);
    return text_add(&w->block, head, sizeof head, err) || text_add(&w->block, bytes, n, err) ||
                   text_add(&w->block, zeros, (BLOCK - n % BLOCK) % BLOCK, err)
               ? -1
               : 0;
}

static int json_field(struct text *t, const char *key, const char *value, struct error *err)
{
    if (text_printf(t, err, "%s\"%s\": \"", t->n_bytes > 1 ? ", " : "", key)) return -1;
    for (const unsigned char *s = (const unsigned char *)(value ? value : ""); *s; s++) {
        int rc = *s == '"' || *s == '\\' ? text_printf(t, err, "\\%c", *s)
                 : *s < 32               ? text_printf(t, err, "\\u%04x", *s)
                                         : text_add(t, s, 1, err);
        if (rc) return -1;
    }
    return text_puts(t, "\"", err);
}

static int make_json(struct tar_writer *w, const struct shard_writer_record *r, struct error *err)
{
    struct text *t = &w->json;
    text_clear(t);
    if (text_puts(t, "{", err) || json_field(t, "path", r->path, err) ||
        json_field(t, "label", r->label, err) || json_field(t, "split", shard_split_name(r->split), err) ||
        json_field(t, "group", r->group, err) || json_field(t, "xxh128", r->xxh128, err) ||
        json_field(t, "source", r->source, err) || json_field(t, "params", r->params, err) ||
        text_printf(t, err, ", \"variant\": %d", r->variant) ||
        (r->fold >= 0 ? text_printf(t, err, ", \"fold\": %d", r->fold) : 0))
        return -1;
    return text_puts(t, "}\n", err);
}

static int finish_tar(struct tar_writer *w, struct tar_file *f, struct error *err)
{
    int fd = f->fd;
    if (fd < 0) return 0;
    f->fd = -1;
    if (io_write_full(fd, zeros, sizeof zeros, "the end of a tar file", err)) {
        close(fd);
        return -1;
    }
    if (fsync(fd) || close(fd))
        return error_errno(err, EX_IOERR, "cannot finish a tar file in '%s'", w->work);
    f->number++;
    return 0;
}

static int class_number(const struct tar_writer *w, const char *label)
{
    for (int i = 0; i < w->n_classes; i++)
        if (strcmp(w->classes[i], label) == 0) return i;
    return -1;
}

int tar_writer_add(struct tar_writer *w, const struct shard_writer_record *r, struct error *err)
{
    struct tar_file *f = &w->open[r->split];
    char name[64], number[16];
    text_clear(&w->block);
    snprintf(number, sizeof number, "%d", class_number(w, r->label));
    if (make_json(w, r, err)) return -1;
    const struct {
        const char *ending;
        const void *bytes;
        size_t n;
    } members[] = {
        {"cls", number, strlen(number)},
        {"jpg", r->bytes, r->n_bytes},
        {"json", w->json.data, w->json.n_bytes},
    };
    for (size_t i = 0; i < 3; i++) {
        /* The key contains the split, because readers that join the splits need unique keys. */
        snprintf(name, sizeof name, "%s-%08llu.%s", shard_split_name(r->split),
                 (unsigned long long)f->n_records, members[i].ending);
        if (add_member(w, name, members[i].bytes, members[i].n, err)) return -1;
    }
    if (f->fd >= 0 && f->bytes + w->block.n_bytes + sizeof zeros > w->shard_bytes && finish_tar(w, f, err))
        return -1;
    if (f->fd < 0) {
        snprintf(name, sizeof name, "%s-%05d.tar", shard_split_name(r->split), f->number);
        if (note_file(w, name, err)) return -1;
        if ((f->fd = open(w->path.data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)) < 0)
            return error_errno(err, EX_CANTCREAT, "cannot create '%s'", w->path.data);
        f->bytes = 0;
    }
    f->bytes += w->block.n_bytes;
    f->n_records++;
    return io_write_full(f->fd, w->block.data, w->block.n_bytes, w->work, err);
}

int tar_writer_commit(struct tar_writer *w, struct error *err)
{
    struct text t = TEXT_EMPTY;
    char *old;
    int rc = -1;
    for (int s = 0; s < SHARD_SPLITS; s++)
        if (finish_tar(w, &w->open[s], err)) goto out;
    for (int i = 0; i < w->n_classes; i++)
        if (text_printf(&t, err, "%s\n", w->classes[i])) goto out;
    if (note_file(w, "classes.txt", err) || atomic_file_write(w->path.data, t.data, t.n_bytes, err)) goto out;
    if (io_take_place(w->work, w->folder, &old, err)) goto out;
    w->committed = true;
    if (old) io_remove_tree(old);
    free(old);
    rc = io_fsync_dir_of(w->folder, err);
out:
    text_release(&t);
    return rc;
}

void tar_writer_close(struct tar_writer *w)
{
    struct error ignored = {0};
    if (!w) return;
    for (int s = 0; s < SHARD_SPLITS; s++)
        if (w->open[s].fd >= 0) close(w->open[s].fd);
    for (size_t i = 0; i < w->n_made; i++) {
        text_clear(&w->path);
        if (!w->committed && text_printf(&w->path, &ignored, "%s/%s", w->work, w->made[i]) == 0)
            unlink(w->path.data);
        free(w->made[i]);
    }
    if (w->work && !w->committed) rmdir(w->work);
    free(w->made);
    free(w->folder);
    free(w->work);
    text_release(&w->block);
    text_release(&w->json);
    text_release(&w->path);
    free(w);
}
