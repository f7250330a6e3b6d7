/*
 * actions.c: deletes, moves or links files, when an option says so.
 *
 * The manifest or a hash alone is never a reason to remove a file. Immediately before a file is removed, it
 * and the kept file are opened without following links. Both must be regular and different files of one size,
 * unchanged since they were examined, and equal byte by byte. Even then the name is removed only if it still
 * belongs to that file. The last copy can therefore not be lost: the kept copy has just been read. Files of
 * conflicting labels (review) are never touched.
 */
#include "hash_dedup.h"

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
#include "io/signals.h"
#include "manifest/tsv.h"

#define COMPARE_BYTES (128u << 10)

struct actor {
    struct dedup *d;
    uint8_t *a, *b;
    struct text path, other, temporary;
    struct atomic_file log;
    const char *why; /* of the last refusal */
};

/* Opens the file of a row for a comparison. Returns its descriptor, or -1 with the reason in a->why; the file
 * must then not be changed. */
static int open_own(struct actor *a, uint32_t row, struct stat *st)
{
    const struct row *r = &a->d->rows[row];
    const struct file *f = dedup_file(a->d, row);
    int fd = openat(a->d->root_fd, dedup_path(a->d, row),
                    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        a->why = errno == ELOOP ? "a symbolic link" : strerror(errno);
        return -1;
    }
    if (fstat(fd, st))
        a->why = strerror(errno);
    else if (!S_ISREG(st->st_mode))
        a->why = "not a regular file";
    else if (f->seen && (st->st_dev != f->dev || st->st_ino != f->ino))
        a->why = "replaced since it was hashed";
    else if (f->seen && (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec != f->mtime_ns)
        a->why = "changed since it was hashed";
    else if ((r->flags & ROW_SIZED) && (uint64_t)st->st_size != r->bytes)
        a->why = "its size changed";
    else
        return fd;
    close(fd);
    return -1;
}

/* Whether the files of both descriptors have the same bytes, and (if hash is not NULL) that hash. */
static bool equal_bytes(struct actor *a, int fd, int keeper, const struct xxh128 *hash, struct error *err)
{
    struct xxh128_stream *s = NULL;
    struct xxh128 now;
    uint64_t at = 0;
    bool equal = false;
    a->why = "its bytes differ from the copy that stays";
    if (xxh128_stream_open(&s, err)) return a->why = "out of memory", false;
    for (;;) {
        ssize_t n = pread(fd, a->a, COMPARE_BYTES, (off_t)at), m = 0;
        if (n < 0) {
            a->why = strerror(errno);
            break;
        }
        while (m < n || n == 0) {
            ssize_t got = pread(keeper, a->b + m, n ? (size_t)(n - m) : 1, (off_t)at + m);
            if (got <= 0) {
                if (got < 0) a->why = strerror(errno);
                break;
            }
            m += got;
            if (n == 0) break;
        }
        if (m != n || memcmp(a->a, a->b, (size_t)n)) break;
        if (n == 0) {
            xxh128_stream_end(s, &now);
            equal = !memcmp(&now, hash, sizeof now);
            if (!equal) a->why = "its bytes are not those of its hash";
            break;
        }
        xxh128_stream_add(s, a->a, (size_t)n);
        at += (uint64_t)n;
    }
    xxh128_stream_close(s);
    return equal;
}

/* Whether the files of row and keeper are two equal, unchanged, regular files. When true, both are open. */
static bool proven(struct actor *a, uint32_t row, uint32_t keeper, int *fd, int *keeper_fd, struct stat *st,
                   struct error *err)
{
    struct stat keeper_st;
    *keeper_fd = -1;
    if ((*fd = open_own(a, row, st)) < 0) return false;
    if ((*keeper_fd = open_own(a, keeper, &keeper_st)) >= 0) {
        if (st->st_dev == keeper_st.st_dev && st->st_ino == keeper_st.st_ino)
            a->why = "the same file under another name";
        else if (st->st_size != keeper_st.st_size)
            a->why = "its size differs from the copy that stays";
        else if (equal_bytes(a, *fd, *keeper_fd, &a->d->rows[row].hash, err))
            return true;
        close(*keeper_fd);
    }
    close(*fd);
    return false;
}

/* Whether the name still belongs to the file that was compared. A file system offers no way to prevent a
 * change between this check and the next call. */
static bool still_there(struct actor *a, const char *path, const struct stat *st)
{
    struct stat now;
    if (fstatat(a->d->root_fd, path, &now, AT_SYMLINK_NOFOLLOW) || now.st_dev != st->st_dev ||
        now.st_ino != st->st_ino || now.st_mtim.tv_sec != st->st_mtim.tv_sec ||
        now.st_mtim.tv_nsec != st->st_mtim.tv_nsec || now.st_size != st->st_size) {
        a->why = "changed while it was compared";
        return false;
    }
    return true;
}

static int temporary_name(struct actor *a, const char *path, unsigned number, struct error *err)
{
    text_clear(&a->temporary);
    return io_temporary_name(&a->temporary, path, number, err);
}

/* Whether both names lead to one file. Keeps errno. */
static bool same_inode(const struct actor *a, const char *x, const char *y)
{
    struct stat one, other;
    int saved = errno, root = a->d->root_fd;
    bool same = fstatat(root, x, &one, AT_SYMLINK_NOFOLLOW) == 0 &&
                fstatat(root, y, &other, AT_SYMLINK_NOFOLLOW) == 0 && one.st_dev == other.st_dev &&
                one.st_ino == other.st_ino;
    errno = saved;
    return same;
}

/*
 * Makes the name a hard link to the keeper. The link is created under a temporary name, and then renamed to
 * the old name, so the name exists at all times. A temporary name that already is a link to the keeper is
 * used. Either a killed run left it, or another run is at the same step; one of the two runs then finds the
 * name gone when it renames.
 */
static bool do_hardlink(struct actor *a, const char *path, const char *keeper, struct error *err)
{
    int root = a->d->root_fd;
    if (temporary_name(a, path, 0, err)) return a->why = "out of memory", false;
    if (linkat(root, keeper, root, a->temporary.data, 0) &&
        !(errno == EEXIST && same_inode(a, a->temporary.data, keeper))) {
        a->why = errno == EXDEV ? "on another file system" : strerror(errno);
        return false;
    }
    if (renameat(root, a->temporary.data, root, path) && !(errno == ENOENT && same_inode(a, path, keeper))) {
        a->why = strerror(errno);
        unlinkat(root, a->temporary.data, 0);
        return false;
    }
    /* When another run has just linked the same two files, rename(2) does nothing, returns 0
     * and leaves the temporary name. */
    unlinkat(root, a->temporary.data, 0);
    return true;
}

static bool do_reflink(struct actor *a, const char *path, int keeper, const struct stat *st,
                       struct error *err)
{
    int root = a->d->root_fd;
    if (temporary_name(a, path, (unsigned)getpid(), err)) return a->why = "out of memory", false;
    int fd = openat(root, a->temporary.data, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, st->st_mode & 07777);
    if (fd < 0) return a->why = strerror(errno), false;
    const struct timespec times[2] = {st->st_atim, st->st_mtim};
    bool ok = ioctl(fd, FICLONE, keeper) == 0;
    if (!ok)
        a->why = errno == EOPNOTSUPP || errno == ENOTTY || errno == EINVAL
                     ? "this file system has no reflinks"
                     : strerror(errno);
    else if (fchmod(fd, st->st_mode & 07777) || futimens(fd, times) || fsync(fd) ||
             renameat(root, a->temporary.data, root, path)) {
        a->why = strerror(errno);
        ok = false;
    }
    if (fchown(fd, st->st_uid, st->st_gid) && geteuid() == 0)
        stage_warn("owner of '%s' could not be kept: %s", path, strerror(errno));
    close(fd);
    if (!ok) unlinkat(root, a->temporary.data, 0);
    return ok;
}

static bool do_quarantine(struct actor *a, const char *path, struct error *err)
{
    text_clear(&a->other);
    while (*path == '/')
        path++;
    /* A path with ".." occurs only with --allow-outside. The file then gets its own name, without folders. */
    const char *name = path_is_inside(path) ? path : strrchr(path, '/') + 1;
    if (text_printf(&a->other, err, "%s/%s", a->d->opt->quarantine, name) ||
        io_mkdirs_for(a->other.data, err))
        return a->why = "its place in the quarantine folder cannot be made", false;
    if (renameat2(a->d->root_fd, path, AT_FDCWD, a->other.data, RENAME_NOREPLACE)) {
        a->why = errno == EXDEV    ? "the quarantine folder is on another file system"
                 : errno == EEXIST ? "the quarantine folder has a file of that name"
                                   : strerror(errno);
        return false;
    }
    return true;
}

static bool act_on(struct actor *a, uint32_t row, uint32_t keeper, struct error *err)
{
    const struct dedup_options *opt = a->d->opt;
    const char *path = dedup_path(a->d, row), *keeper_path = dedup_path(a->d, keeper);
    struct stat st;
    int fd, keeper_fd;
    if (!proven(a, row, keeper, &fd, &keeper_fd, &st, err)) return false;
    bool ok = still_there(a, path, &st);
    if (ok && !opt->dry_run) {
        signals_hold(true); /* between a link and its renaming there is a temporary name */
        if (opt->delete) {
            ok = unlinkat(a->d->root_fd, path, 0) == 0;
            a->why = ok ? "" : strerror(errno);
        } else if (opt->hardlink) {
            ok = do_hardlink(a, path, keeper_path, err);
        } else if (opt->reflink) {
            ok = do_reflink(a, path, keeper_fd, &st, err);
        } else {
            ok = do_quarantine(a, path, err);
        }
        signals_hold(false);
    }
    close(fd);
    close(keeper_fd);
    return ok;
}

static const char *action_name(const struct dedup_options *opt)
{
    return opt->delete ? "delete" : opt->hardlink ? "hardlink" : opt->reflink ? "reflink" : "quarantine";
}

static int log_action(struct actor *a, uint32_t row, uint32_t keeper, bool done, struct error *err)
{
    const struct dedup_options *opt = a->d->opt;
    const char *path = dedup_path(a->d, row), *keeper_path = dedup_path(a->d, keeper);
    const char *result = !done ? a->why : opt->dry_run ? "would be done" : "done";
    if (!done)
        stage_warn("'%s' is left alone: %s", path, a->why);
    else if (!opt->common.quiet && !opt->log)
        stage_warn("%s%s '%s': the same bytes as '%s'", opt->dry_run ? "would " : "", action_name(opt), path,
                   keeper_path);
    if (!a->log.stream) return 0;
    char hex[XXH128_HEX_BYTES];
    xxh128_hex(hex, &a->d->rows[row].hash);
    const char *const fields[] = {action_name(opt), path, keeper_path, hex, result};
    text_clear(&a->other);
    for (int i = 0; i < 5; i++)
        if ((i && text_add(&a->other, "\t", 1, err)) || tsv_escape(&a->other, fields[i], err)) return -1;
    if (text_add(&a->other, "\n", 1, err)) return -1;
    if (fwrite(a->other.data, 1, a->other.n_bytes, a->log.stream) != a->other.n_bytes)
        return error_errno(err, EX_IOERR, "cannot write '%s'", opt->log);
    return 0;
}

/* Returns the row whose file is kept for this row, or the row itself if its file must not be changed. When
 * a conflict rejects every row (--on-conflict drop), the best file is still kept. */
static uint32_t staying(const struct dedup *d, const uint32_t *members, size_t i)
{
    const struct row *r = &d->rows[members[i]];
    if (i == 0 || !(r->flags & ROW_REJECTED) ||
        (r->reason == REJECT_CONFLICT && d->opt->on_conflict == CONFLICT_REVIEW))
        return members[i];
    return r->reason == REJECT_DUPLICATE || r->reason == REJECT_CONFLICT ? members[0] : members[i];
}

static int actor_open(struct actor *a, struct dedup *d, struct error *err)
{
    *a = (struct actor){.d = d, .why = "", .log = ATOMIC_FILE_EMPTY};
    return (a->a = mem_alloc(COMPARE_BYTES, err)) && (a->b = mem_alloc(COMPARE_BYTES, err)) ? 0 : -1;
}

static void actor_close(struct actor *a)
{
    atomic_file_discard(&a->log);
    text_release(&a->path);
    text_release(&a->other);
    text_release(&a->temporary);
    free(a->a);
    free(a->b);
}

int dedup_act(struct dedup *d, uint64_t *n_done, uint64_t *n_failed, struct error *err)
{
    const struct dedup_options *opt = d->opt;
    struct actor a = {.log = ATOMIC_FILE_EMPTY};
    struct error log_error = {0};
    int rc = -1;
    *n_done = *n_failed = 0;
    if (actor_open(&a, d, err)) goto out;
    if (opt->log) {
        if (atomic_file_open(&a.log, opt->log, err)) goto out;
        fputs("action\tpath\tkeeper\txxh128\tresult\n", a.log.stream);
    }
    rc = 0;
    for (size_t g = 0; g < d->n_groups; g++) {
        const uint32_t *members = d->members + d->groups[g].begin;
        for (size_t i = 0; i < d->groups[g].n; i++) {
            uint32_t row = members[i], keeper = staying(d, members, i);
            if (keeper == row) continue;
            bool done = act_on(&a, row, keeper, err);
            *(done ? n_done : n_failed) += 1;
            /* When the log cannot be written, no further file is changed: each change must have a line in the
             * log. */
            if (log_action(&a, row, keeper, done, &log_error)) {
                *err = log_error;
                rc = -1;
                break;
            }
        }
        if (rc) break;
    }
    if (a.log.stream && atomic_file_commit(&a.log, rc ? &log_error : err)) rc = -1;
out:
    actor_close(&a);
    return rc;
}

int dedup_verify(struct dedup *d, struct error *err)
{
    struct actor a = {.log = ATOMIC_FILE_EMPTY};
    int rc = actor_open(&a, d, err);
    for (size_t g = 0; g < d->n_groups && rc == 0; g++) {
        const uint32_t *members = d->members + d->groups[g].begin;
        for (size_t i = 1; i < d->groups[g].n; i++) {
            struct row *r = &d->rows[members[i]];
            struct stat st;
            int fd, keeper_fd;
            if (!(r->flags & ROW_REJECTED) || r->reason == REJECT_SAME_FILE || r->reason == REJECT_SAME_ROW)
                continue;
            if (proven(&a, members[i], members[0], &fd, &keeper_fd, &st, err)) {
                close(fd);
                close(keeper_fd);
            } else if (r->reason == REJECT_DUPLICATE) {
                stage_warn("'%s' is not proven equal to '%s': %s", dedup_path(d, members[i]),
                           dedup_path(d, members[0]), a.why);
                r->reason = REJECT_DIFFERS;
            }
        }
    }
    actor_close(&a);
    return rc;
}
