/*
 * dedup_remove.c: --delete-blocked STORE: deletes the files of pictures on the block list, in three steps as
 * fetch does. The content hash is added to STORE/takedown.tsv, so that fetch never stores the file again and
 * purge finds the data derived from it. A line in STORE/audit.tsv says when it happened, which kind of hash
 * matched, and where the picture came from. Then the file is deleted. No file is deleted before its line is
 * written.
 *
 * Unlike the actions of hash-dedup, this also deletes the last copy of a picture. But a file is not deleted
 * through a link, nor when its bytes differ from those that were hashed. For each file that is not deleted, a
 * message is printed; these files are counted.
 */
#include "dedup/near_dedup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/audit.h"

int dedup_removal_open(struct dedup *s, struct error *err)
{
    const char *folder = s->opt->delete_blocked;
    struct text lock = TEXT_EMPTY;
    int rc = -1;
    if (io_mkdirs(folder, err)) return -1;
    s->store_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->store_fd < 0) return error_errno(err, EX_NOINPUT, "cannot open the store '%s'", folder);
    if (text_printf(&lock, err, "%s/lock", folder) == 0) rc = file_lock_take(&s->store_lock, lock.data, err);
    text_release(&lock);
    return rc;
}

/* Opens the row's file and verifies that its content is what was hashed; *id becomes its hash. Returns the
 * descriptor, or -1 when the file must not be deleted; *why is then the reason. */
static int open_proven(const char *path, const struct dedup_row *r, struct xxh128 *id, struct stat *st,
                       const char **why)
{
    struct error err = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        *why = errno == ELOOP ? "a symbolic link; its target is still there" : strerror(errno);
        return -1;
    }
    if (fstat(fd, st))
        *why = strerror(errno);
    else if (!S_ISREG(st->st_mode))
        *why = "not a regular file";
    else if (xxh128_of_fd(id, NULL, fd, path, &err))
        *why = err.saved_errno ? strerror(err.saved_errno) : "cannot be read";
    else if ((r->flags & ROW_NAMED) && memcmp(id, &r->id, sizeof *id))
        *why = "its bytes are not those that the row's hashes are of; run again without its columns xxh128 "
               "and pdq";
    else
        return fd;
    close(fd);
    return -1;
}

/* Deletes one file. Returns 1, or 0 when the file was not deleted; *why is then the reason. Returns -1 with
 * err set when the store cannot be written, which ends the run. */
static int remove_one(struct dedup *s, const struct dedup_blocked *b, const char *path, const char *url,
                      const char **why, struct error *err)
{
    const char *folder = s->opt->delete_blocked;
    const struct audit_line line = {time(NULL), "removed", "blocklist", b->algorithm, b->digest, url, false};
    struct stat st, now;
    struct xxh128 id;
    struct error sync_error = {0};
    int fd = open_proven(path, &s->rows[b->row], &id, &st, why);
    if (fd < 0) return 0;
    close(fd);
    if (takedown_append_hash(s->store_fd, folder, line.time, &id, err) ||
        audit_append(s->store_fd, folder, &line, err))
        return -1;
    if (s->forget) s->forget(s->forget_context, &id);
    if (lstat(path, &now) || now.st_ino != st.st_ino || now.st_dev != st.st_dev) {
        *why = "replaced while it was examined";
        return 0;
    }
    if (fault_here(FAULT_RENAME) || unlink(path)) {
        *why = strerror(errno);
        return 0;
    }
    if (io_fsync_dir_of(path, &sync_error)) stage_warn("%s", sync_error.text);
    if (st.st_nlink > 1) {
        *why = "removed, but it has other names (hard links), which still hold it";
        return 0;
    }
    return 1;
}

int dedup_remove_blocked(struct dedup *s, struct manifest_source *in, struct error *err)
{
    struct manifest_reader r;
    struct text path = TEXT_EMPTY;
    size_t next = 0;
    int got = 0, rc = -1;
    if (s->n_blocked == 0) return 0;
    if (manifest_source_read(in, &r, NULL, err)) return -1;
    int path_column = manifest_column(&r.schema, "path"), url = manifest_column(&r.schema, "url");
    for (uint32_t row = (uint32_t)s->n_against;
         next < s->n_blocked && (got = manifest_reader_next(&r, err)) > 0; row++) {
        const struct dedup_blocked *b = &s->blocked[next];
        struct error refused = {0};
        const char *why = "";
        if (b->row != row) continue;
        next++;
        text_clear(&path);
        if (path_join(&path, s->opt->common.root, manifest_field(&r, path_column),
                      s->opt->common.allow_outside, &refused)) {
            stage_warn("%s: left alone", refused.text);
            s->n_left++;
            continue;
        }
        struct stat st;
        /* the manifest has the row twice, or an earlier run was killed */
        if (lstat(path.data, &st) && errno == ENOENT) continue;
        int done = remove_one(s, b, path.data, manifest_field(&r, url), &why, err);
        if (done < 0) goto out;
        if (done == 0) stage_warn("listed picture '%s': %s", path.data, why);
        s->n_left += done == 0;
        s->n_removed += done == 1;
    }
    if (got < 0) goto out;
    rc = manifest_source_check(in, err);
out:
    text_release(&path);
    manifest_reader_close(&r);
    return rc;
}
