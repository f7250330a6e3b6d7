/* import.c: reads, hashes and stores one file after another. The disk takes most of the time. */
#include "import.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hash/content_hash.h"
#include "io/file_lock.h"
#include "io/io.h"
#include "store/audit.h"
#include "store/hash_list.h"
#include "store/object_store.h"
#include "base/image_kind.h"

#define MAX_FILE_BYTES (64u << 20) /* the limit of the decoders: lib/image/limits.h */

struct import {
    const struct import_options *o;
    struct object_store store;
    struct hash_list unwanted, taken_down;
    struct text source; /* path of the file, relative to the current folder */
    char *prefix;       /* first part of an object's path, relative to the root */
    const char *reason; /* reject reason of the current row; NULL: the row is kept */
    char detail[256];
};

static int reject(struct import *w, const char *reason, const char *detail)
{
    w->reason = reason;
    snprintf(w->detail, sizeof w->detail, "%s", detail);
    return 0;
}

static int keep_hash(void *context, const char *kind, const char *value, struct error *err)
{
    struct import *w = context;
    return strcmp(kind, "url") == 0 ? 1 : hash_list_add_named(&w->taken_down, kind, value, err);
}

/* Reads the hashes of pictures that were taken down from this store. Addresses are ignored, because files
 * have none. */
static int read_taken_down(struct import *w, struct error *err)
{
    struct text path = TEXT_EMPTY;
    bool there;
    if (takedown_mend(w->store.folder_fd, w->store.folder, false, &there, err)) return -1;
    if (!there) return 0;
    int rc = text_printf(&path, err, "%s/takedown.tsv", w->store.folder)
                 ? -1
                 : takedown_read(path.data, keep_hash, w, err);
    text_release(&path);
    return rc;
}

/* Returns the bytes of the file, malloc'ed, or NULL with the row's reason set, or NULL with err set and *rc =
 * -1. */
static char *read_image(struct import *w, size_t *n_bytes, int *rc, struct error *err)
{
    struct stat st;
    char *bytes = NULL;
    /* O_NONBLOCK: the path may have become a FIFO since it was scanned, and opening it must not wait. */
    int fd = open(w->source.data, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    *rc = 0;
    if (fd < 0 || fstat(fd, &st)) {
        if (errno_of_machine(errno))
            *rc = error_errno(err, EX_OSERR, "cannot open '%s'", w->source.data);
        else
            reject(w, errno == ENOENT || errno == ENOTDIR ? "not-found" : "unreadable", strerror(errno));
    } else if (!S_ISREG(st.st_mode))
        reject(w, "unreadable", "not a regular file");
    else if (st.st_size == 0)
        reject(w, "empty-file", "");
    else if (st.st_size > MAX_FILE_BYTES)
        reject(w, "too-many-bytes", "over 64 MiB");
    else if ((bytes = mem_alloc((size_t)st.st_size, err))) {
        *n_bytes = (size_t)st.st_size;
        if (io_read_full(fd, bytes, *n_bytes, w->source.data, err)) {
            free(bytes);
            bytes = NULL;
            *rc = -1;
        }
    } else
        *rc = -1;
    if (fd >= 0) close(fd);
    return bytes;
}

static int give_place(struct import *w, const struct xxh128 *hash, const char *extension, const char *bytes,
                      size_t n_bytes, struct error *err)
{
    bool was_there;
    if (w->o->by == IMPORT_COPY)
        return object_store_put(&w->store, hash, extension, bytes, n_bytes, &was_there, err);
    if (w->o->by == IMPORT_LEAVE) {
        char *target = realpath(w->source.data, NULL);
        if (!target) return error_errno(err, EX_NOINPUT, "cannot find '%s'", w->source.data);
        int rc = object_store_link(&w->store, hash, extension, n_bytes, target, true, err);
        free(target);
        return rc < 0 ? -1 : 0;
    }
    int rc = object_store_link(&w->store, hash, extension, n_bytes, w->source.data, false, err);
    return rc > 0 ? object_store_put(&w->store, hash, extension, bytes, n_bytes, &was_there, err) : rc;
}

/* Handles one row: sets the added fields in added[], or w->reason. */
static int import_row(struct import *w, const char *path, char object[OBJECT_PATH_BYTES + 4096],
                      char count[24], char hex[XXH128_HEX_BYTES], struct error *err)
{
    struct error outside = {0};
    struct xxh128 hash;
    enum hash_kind kind;
    char listed[65], name[OBJECT_PATH_BYTES];
    size_t n_bytes = 0;
    int rc;
    w->reason = NULL;
    if (path_join(&w->source, w->o->from, path, w->o->common.allow_outside, &outside))
        return outside.code == EX_DATAERR ? reject(w, "outside-root", "") : (*err = outside, -1);
    char *bytes = read_image(w, &n_bytes, &rc, err);
    if (!bytes) return rc;
    enum image_kind picture = image_kind_of((const uint8_t *)bytes, n_bytes);
    if (!image_kind_kept(picture)) {
        reject(w, "not-a-picture", image_kind_name(picture));
        goto out;
    }
    xxh128_of(&hash, bytes, n_bytes);
    if (hash_list_matches(&w->taken_down, bytes, n_bytes, &hash, &kind, listed))
        reject(w, "taken-down", hash_kind_name(kind));
    else if (hash_list_matches(&w->unwanted, bytes, n_bytes, &hash, &kind, listed))
        reject(w, "blocked", hash_kind_name(kind));
    else {
        const char *extension = image_kind_extension(picture);
        rc = give_place(w, &hash, extension, bytes, n_bytes, err);
        snprintf(object, OBJECT_PATH_BYTES + 4096, "%s%s", w->prefix, object_path(name, &hash, extension));
        snprintf(count, 24, "%zu", n_bytes);
        xxh128_hex(hex, &hash);
    }
out:
    free(bytes);
    return rc;
}

static int open_all(struct import *w, struct file_lock *lock, struct error *err)
{
    const struct import_options *o = w->o;
    struct text store = TEXT_EMPTY, path = TEXT_EMPTY;
    int rc = -1;
    if ((o->store ? text_puts(&store, o->store, err)
                  : text_printf(&store, err, "%s/store", o->common.root)) ||
        io_mkdirs(store.data, err) ||
        object_store_prefix(store.data, o->common.root, o->common.allow_outside, &w->prefix, err) ||
        text_printf(&path, err, "%s/lock", store.data) || file_lock_take(lock, path.data, err) ||
        object_store_open(&w->store, store.data, err) || read_taken_down(w, err))
        goto out;
    for (size_t i = 0; i < o->blocklists.n; i++)
        if (hash_list_add_file(&w->unwanted, o->blocklists.items[i], err)) goto out;
    rc = 0;
out:
    text_release(&store);
    text_release(&path);
    return rc;
}

int import_run(const struct import_options *o, struct manifest_filter *f, struct stage_counts *n,
               struct error *err)
{
    struct import w = {.o = o, .store = OBJECT_STORE_EMPTY};
    struct file_lock lock = FILE_LOCK_EMPTY;
    struct progress progress;
    char object[OBJECT_PATH_BYTES + 4096], count[24], hex[XXH128_HEX_BYTES];
    int rc = -1, got, path = manifest_column(&f->in.schema, "path");
    progress_start(&progress, &o->common, 0, "pictures");
    if (open_all(&w, &lock, err)) goto out;
    while ((got = manifest_reader_next(&f->in, err)) > 0) {
        const char *const added[] = {object, count, hex, f->in.fields[path]};
        if (import_row(&w, f->in.fields[path], object, count, hex, err) ||
            (w.reason ? manifest_writer_reject(&f->rejects, f->in.fields, w.reason, w.detail, err)
                      : manifest_writer_row(&f->out, f->in.fields, added, err)))
            goto out;
        n->n_read++;
        n->n_rejected += w.reason != NULL;
        n->n_kept += w.reason == NULL;
        progress_update(&progress, n->n_read, NULL);
    }
    rc = got || object_store_sync(&w.store, err) ? -1 : 0;
out:
    progress_end(&progress);
    object_store_close(&w.store);
    file_lock_release(&lock);
    hash_list_release(&w.unwanted);
    hash_list_release(&w.taken_down);
    text_release(&w.source);
    free(w.prefix);
    return rc;
}
