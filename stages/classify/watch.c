/*
 * watch.c: watches an inbox for moderation. It classifies the files in the folder, and then each file that is
 * moved there or closed there (inotify), until a signal. With --hand-off each picture is moved by one rename,
 * and its result is written beside the destination before that. A consumer that sees a picture therefore
 * finds its result. When the program dies, no picture is lost: one that was not handed off is still in the
 * inbox at the next start. Writers should use a name that begins with '.' or ends in .part or .tmp, and
 * rename the file. A file that is written in place is classified when it is closed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "io/signals.h"
#include "classify.h"

struct entry {
    char *name;
    dev_t device;
    ino_t inode;
    struct timespec written;
};
struct entries {
    struct entry *items;
    size_t n, room;
};

struct watch {
    struct classifier *c;
    const struct classify_options *opt;
    struct stage_counts *n;
    struct result_writer out;
    /* seen: without --hand-off, files stay in the folder and must not be classified twice */
    struct entries waiting, seen;
    int inotify;
};

static bool ignored(const char *name)
{
    return name[0] == '.' || text_ends(name, ".part") || text_ends(name, ".tmp") ||
           text_ends(name, ".crdownload");
}

static bool same_file(const struct entry *e, const struct stat *st)
{
    return e->device == st->st_dev && e->inode == st->st_ino && e->written.tv_sec == st->st_mtim.tv_sec &&
           e->written.tv_nsec == st->st_mtim.tv_nsec;
}

static int add_entry(struct entries *list, const char *name, const struct stat *st, struct error *err)
{
    if (mem_grow(&list->items, &list->room, list->n + 1, sizeof *list->items, err)) return -1;
    struct entry *e = &list->items[list->n];
    *e = (struct entry){.device = st->st_dev, .inode = st->st_ino, .written = st->st_mtim};
    if (!(e->name = mem_strdup(name, err))) return -1;
    list->n++;
    return 0;
}

static void clear_entries(struct entries *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->items[i].name);
    list->n = 0;
}

/* Adds a name, unless it is known already or is not a finished regular file. */
static int consider(struct watch *w, const char *name, struct error *err)
{
    struct text path = TEXT_EMPTY;
    struct stat st;
    if (ignored(name)) return 0;
    if (text_printf(&path, err, "%s/%s", w->opt->watch, name)) return -1;
    int rc = lstat(path.data, &st);
    text_release(&path);
    if (rc || !S_ISREG(st.st_mode)) return 0;
    for (size_t i = 0; i < w->waiting.n; i++)
        if (strcmp(w->waiting.items[i].name, name) == 0) return 0;
    for (size_t i = 0; i < w->seen.n; i++)
        if (strcmp(w->seen.items[i].name, name) == 0) {
            if (same_file(&w->seen.items[i], &st)) return 0;
            free(w->seen.items[i].name); /* rewritten: classify it again */
            w->seen.items[i] = w->seen.items[--w->seen.n];
            break;
        }
    return add_entry(&w->waiting, name, &st, err);
}

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static int rescan(struct watch *w, struct error *err)
{
    DIR *d = opendir(w->opt->watch);
    int rc = 0;
    if (!d) return error_errno(err, EX_NOINPUT, "cannot read the folder '%s'", w->opt->watch);
    for (struct dirent *e; !rc && (e = io_next_entry(d, w->opt->watch, &rc, err));)
        rc = consider(w, e->d_name, err);
    closedir(d);
    if (w->waiting.n > 1) qsort(w->waiting.items, w->waiting.n, sizeof *w->waiting.items, compare_entries);
    return rc;
}

/* --- handing off --- */

/* Makes a folder name from a class name: without a slash and without a dot at the start. */
static void folder_name(char *out, size_t bytes, const char *class_name)
{
    snprintf(out, bytes, "%s", class_name);
    for (char *p = out; *p; p++)
        if (*p == '/') *p = '_';
    if (out[0] == '.') out[0] = '_';
}

/* Whether an existing result file has this text. A run that was killed before it moved the picture leaves its
 * result. */
static bool is_ours(const char *side, const struct text *result)
{
    struct error ignored = {0};
    char *there = NULL;
    size_t n;
    bool same = io_read_file(side, result->n_bytes, &there, &n, &ignored) == 0 && n == result->n_bytes &&
                memcmp(there, result->data, n) == 0;
    free(there);
    return same;
}

static int hand_off(struct watch *w, const char *name, const char *where, const struct result *r,
                    struct error *err)
{
    struct text from = TEXT_EMPTY, to = TEXT_EMPTY, side = TEXT_EMPTY;
    int rc = -1;
    if (text_printf(&from, err, "%s/%s", w->opt->watch, name)) goto out;
    for (int try = 0; try < 10000; try++) {
        char number[16] = "";
        if (try > 0) snprintf(number, sizeof number, "%d.", try);
        text_clear(&to);
        text_clear(&side);
        if (text_printf(&to, err, "%s/%s/%s%s", w->opt->hand_off, where, number, name) ||
            text_printf(&side, err, "%s.json", to.data))
            goto out;
        if (result_json(&w->out, r, err) || text_puts(&w->out.line, "\n", err)) goto out;
        if (io_exists(to.data) || (io_exists(side.data) && !is_ours(side.data, &w->out.line)))
            continue; /* never overwrite an earlier picture of that name */
        if (io_mkdirs_for(to.data, err)) goto out;
        if (atomic_file_write(side.data, w->out.line.data, w->out.line.n_bytes, err)) {
            /* It may have been renamed although syncing the folder failed. */
            (void)unlink(side.data);
            goto out;
        }
        if (renameat2(AT_FDCWD, from.data, AT_FDCWD, to.data, RENAME_NOREPLACE) == 0) {
            rc = io_fsync_dir_of(to.data, err);
            goto out;
        }
        int saved = errno;
        if (!io_exists(to.data)) /* else another watcher has moved it there, and this is its result, too */
            (void)unlink(side.data);
        errno = saved;
        if (errno == EEXIST) continue;
        if (errno == ENOENT) { /* the picture was removed meanwhile */
            rc = 0;
            goto out;
        }
        error_errno(err, errno == EXDEV ? EX_USAGE : EX_CANTCREAT, "cannot move '%s' to '%s'", from.data,
                    to.data);
        goto out;
    }
    error_set(err, EX_CANTCREAT, "no free name for '%s' in '%s/%s'", name, w->opt->hand_off, where);
out:
    text_release(&from);
    text_release(&to);
    text_release(&side);
    return rc;
}

static int finish(struct watch *w, const struct entry *e, const struct result *r, struct error *err)
{
    char where[300];
    w->n->n_kept += r->scores != NULL;
    w->n->n_rejected += r->scores == NULL;
    w->c->n_unreadable += r->scores == NULL;
    if (!r->scores)
        snprintf(where, sizeof where, "unreadable");
    else if (r->flags)
        snprintf(where, sizeof where, "flagged");
    else if (w->c->decisions.n_views)
        snprintf(where, sizeof where, "%s", net_decision_names[r->scores->decision]);
    else
        folder_name(where, sizeof where, w->c->class_names[result_argmax(r->scores->p, w->c->n_classes)]);
    if (result_writer_put(&w->out, r, err)) return -1;
    if (w->opt->hand_off) return hand_off(w, e->name, where, r, err);
    struct stat st = {.st_dev = e->device, .st_ino = e->inode, .st_mtim = e->written};
    return add_entry(&w->seen, e->name, &st, err);
}

/* --- classifying --- */

/* Classifies at most one batch of the waiting pictures. */
static int classify_some(struct watch *w, struct error *err)
{
    struct classifier *c = w->c;
    struct {
        char xxh128[33];
        const char *reason;
        char detail[200];
        struct scores *scores;
    } *state = NULL;
    size_t n = 0, taken = 0;
    int rc = -1, got;
    struct loaded_image image;
    if (classifier_ready(c, w->opt, 0, err) || !(state = mem_zalloc((size_t)c->batch, sizeof *state, err)))
        return -1;
    while (n < w->waiting.n && n < (size_t)c->batch && !image_loader_full(c->loader)) {
        struct text path = TEXT_EMPTY;
        int bad = text_printf(&path, err, "%s/%s", w->opt->watch, w->waiting.items[n].name) ||
                  image_loader_submit(c->loader, path.data, NULL, err);
        text_release(&path);
        if (bad) goto out;
        n++;
    }
    while ((got = image_loader_take(c->loader, &image, err)) > 0) {
        memcpy(state[taken].xxh128, image.xxh128, sizeof image.xxh128);
        state[taken].reason = image.reason;
        snprintf(state[taken].detail, sizeof state[taken].detail, "%s", image.detail);
        if (image.pixels && classifier_add(c, &image, &state[taken].scores, err)) goto out;
        taken++;
    }
    if (got < 0 || classifier_flush(c, err)) goto out;
    for (size_t i = 0; i < n; i++) {
        struct entry *e = &w->waiting.items[i];
        const char *base[] = {e->name};
        struct result r = {.base = base,
                           .xxh128 = state[i].xxh128,
                           .reason = state[i].reason,
                           .detail = state[i].detail};
        if (state[i].scores) {
            r.scores = state[i].scores;
            r.flags = classifier_judge(c, r.scores);
        }
        w->n->n_read++;
        /* Another process moved the picture before it was read. It does not count as unreadable. */
        if (r.reason && strcmp(r.reason, "not-found") == 0) continue;
        if (finish(w, e, &r, err)) goto out;
    }
    for (size_t i = 0; i < n; i++)
        free(w->waiting.items[i].name);
    memmove(w->waiting.items, w->waiting.items + n, (w->waiting.n - n) * sizeof *w->waiting.items);
    w->waiting.n -= n;
    rc = 0;
out:
    for (int i = 0; i < c->batch; i++)
        free(state[i].scores);
    free(state);
    return rc;
}

/* Reads the events of inotify. Waits for them when there is nothing else to do. */
static int read_events(struct watch *w, bool wait, struct error *err)
{
    char buffer[65536] __attribute__((aligned(__alignof__(struct inotify_event))));
    struct pollfd p = {.fd = w->inotify, .events = POLLIN};
    /* Half a second, so that a signal that arrives between the check and poll() is noticed soon. */
    int ready = poll(&p, 1, wait ? 500 : 0);
    if (ready < 0 && errno != EINTR) return error_errno(err, EX_OSERR, "cannot wait for '%s'", w->opt->watch);
    if (ready <= 0) return 0;
    ssize_t got = read(w->inotify, buffer, sizeof buffer);
    if (got < 0)
        return errno == EINTR || errno == EAGAIN
                   ? 0
                   : error_errno(err, EX_OSERR, "cannot watch '%s'", w->opt->watch);
    for (ssize_t at = 0; at < got;) {
        const struct inotify_event *e = (const struct inotify_event *)(buffer + at);
        at += (ssize_t)(sizeof *e + e->len);
        if (e->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED))
            return error_set(err, EX_NOINPUT, "the inbox '%s' is gone", w->opt->watch);
        if (e->mask & IN_Q_OVERFLOW ? rescan(w, err) : e->len > 0 ? consider(w, e->name, err) : 0) return -1;
    }
    return 0;
}

int classify_watch(struct classifier *c, const struct classify_options *opt, struct stage_counts *n,
                   struct error *err)
{
    char *names[] = {"path"};
    struct manifest_schema base = {.names = names, .n = 1};
    struct watch w = {.c = c, .opt = opt, .n = n, .inotify = -1, .out = {.file = ATOMIC_FILE_EMPTY}};
    int rc = -1;
    signals_long_stage();
    /* The watch begins before the folder is listed, so that no file is missed in between. */
    w.inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (w.inotify < 0 ||
        inotify_add_watch(w.inotify, opt->watch,
                          IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR) < 0) {
        error_errno(err, EX_NOINPUT, "cannot watch '%s'", opt->watch);
        goto out;
    }
    if (classifier_ready(c, opt, 0, err) || result_writer_open(&w.out, c, opt, &base, true, err) ||
        rescan(&w, err))
        goto out;
    while (!signals_asked_to_stop()) {
        if (read_events(&w, w.waiting.n == 0 && !opt->once, err)) goto out;
        if (w.waiting.n > 0 && classify_some(&w, err)) goto out;
        if (w.waiting.n == 0 && opt->once) break;
    }
    rc = result_writer_commit(&w.out, err);
out:
    if (w.inotify >= 0) close(w.inotify);
    clear_entries(&w.waiting);
    clear_entries(&w.seen);
    free(w.waiting.items);
    free(w.seen.items);
    result_writer_close(&w.out);
    return rc;
}
