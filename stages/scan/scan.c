/* scan.c: walks over the folders. A file needs no separate system call, because the folder's entry has its
 * type. It is made for millions of files: an entry takes 8 bytes and its name, and all entries are sorted in
 * memory at the end. */
#include "scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "io/io.h"

/* Limits of the kernel: later programs could not open a longer path. */
#define MAX_DEPTH 512

struct entry {
    const char *path, *label, *split;
    const char *reason, *detail;
};

struct folder_id {
    dev_t dev;
    ino_t ino;
};

struct walk {
    const struct scan_options *opt;
    struct arena arena;
    struct entry *entries;
    size_t n, capacity;
    /* The folders that contain the present folder: a link to one of them is a loop. */
    struct folder_id open[MAX_DEPTH];
    struct text path;          /* of the folder being read, relative to the root, no '/' at the end */
    const char *operand_label; /* the last component of the operand */
    size_t operand_bytes;      /* length of the operand in path */
    bool has_splits;           /* the operand's first level is train, val, test */
    uint64_t n_left;           /* files with other endings */
    char left_ending[16];      /* of the first of them */
    struct progress progress;
};

/* Returns "train", "val" or "test", or NULL when folder is not the name of a split. */
static const char *split_of(const char *folder)
{
    static const char *const names[][2] = {{"train", "train"}, {"training", "train"}, {"val", "val"},
                                           {"valid", "val"},   {"validation", "val"}, {"test", "test"},
                                           {"testing", "test"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(folder, names[i][0]) == 0) return names[i][1];
    return NULL;
}

bool scan_has_splits(const struct scan_options *opt, const char *folder)
{
    struct text path = TEXT_EMPTY;
    struct error ignored = {0};
    struct stat st;
    bool train = false, other = false, foreign = false;
    int rc = 0;
    if (opt->label || opt->label_from != SCAN_LABEL_AUTO ||
        path_join(&path, opt->common.root, folder, true, &ignored)) {
        text_release(&path);
        return false;
    }
    DIR *dir = opendir(path.data);
    for (struct dirent *d; dir && (d = io_next_entry(dir, path.data, &rc, &ignored));) {
        if (d->d_name[0] == '.' || fstatat(dirfd(dir), d->d_name, &st, 0) || !S_ISDIR(st.st_mode)) continue;
        const char *split = split_of(d->d_name);
        if (!split)
            foreign = true;
        else if (!strcmp(split, "train"))
            train = true;
        else
            other = true;
    }
    if (dir) closedir(dir);
    text_release(&path);
    return train && other && !foreign;
}

static int add(struct walk *w, const char *path, const char *label, const char *reason, const char *detail,
               struct error *err)
{
    struct entry e = {.label = label, .split = "", .reason = reason};
    if (w->has_splits) {
        char first[16];
        const char *below = path + w->operand_bytes;
        below += *below == '/';
        snprintf(first, sizeof first, "%.*s", (int)strcspn(below, "/"), below);
        const char *split = split_of(first);
        if (split) e.split = split;
    }
    if (!(e.path = arena_strdup(&w->arena, path, err)) ||
        (detail && !(e.detail = arena_strdup(&w->arena, detail, err))) ||
        mem_grow(&w->entries, &w->capacity, w->n + 1, sizeof *w->entries, err))
        return -1;
    w->entries[w->n++] = e;
    if (w->n % 1024 == 0) progress_update(&w->progress, w->n, NULL);
    return 0;
}

/* Adds a reject for path, with \xNN for every byte that is not part of valid UTF-8, so
 * that a person can find the file. */
static int add_not_utf8(struct walk *w, const char *path, struct error *err)
{
    struct text shown = TEXT_EMPTY;
    int rc = -1;
    for (const char *s = path; *s;) {
        size_t n = 1;
        while (n < 4 && s[n] && !text_is_utf8(s, n))
            n++;
        if (text_is_utf8(s, n) ? text_add(&shown, s, n, err)
                               : text_printf(&shown, err, "\\x%02x", (unsigned char)*s))
            goto out;
        s += text_is_utf8(s, n) ? n : 1;
    }
    rc = add(w, shown.data, "", "not-utf8", "the file name is not valid UTF-8; rename it", err);
out:
    text_release(&shown);
    return rc;
}

static bool wanted(const struct scan_options *opt, const char *name)
{
    if (opt->all_files) return true;
    const char *dot = strrchr(name, '.');
    if (!dot || !dot[1]) return false;
    size_t n = strlen(dot + 1);
    for (const char *s = opt->extensions; *s;) {
        size_t length = strcspn(s, ",");
        if (length == n && strncasecmp(s, dot + 1, n) == 0) return true;
        s += length + (s[length] == ',');
    }
    return false;
}

/*
 * Returns the label of the files in the folder w->path, or NULL when there is no memory. With AUTO it is the
 * first folder below the operand, or the name of the operand for files directly in it. So raw/cat/1.jpg has
 * the same label in `scan raw` and in `scan raw/cat`.
 */
static const char *label_here(struct walk *w, struct error *err)
{
    const char *below = w->path.data + w->operand_bytes;
    below += *below == '/';
    if (w->opt->label) return w->opt->label;
    if (w->opt->label_from == SCAN_LABEL_NONE) return "";
    if (w->has_splits && strchr(below, '/'))
        below = strchr(below, '/') + 1;
    else if (w->has_splits)
        return ""; /* a file beside the folders of classes has no label */
    if (w->opt->label_from == SCAN_LABEL_FOLDER || !*below) return w->operand_label;
    if (w->opt->label_from == SCAN_LABEL_PARENT) {
        const char *slash = strrchr(below, '/');
        return arena_strdup(&w->arena, slash ? slash + 1 : below, err);
    }
    return arena_strndup(&w->arena, below, strcspn(below, "/"), err);
}

/* Appends "/name" to the path. Sets *length to its old length, for path_pop. */
static int path_push(struct walk *w, const char *name, size_t *length, struct error *err)
{
    *length = w->path.n_bytes;
    return text_printf(&w->path, err, "%s%s", *length && w->path.data[*length - 1] != '/' ? "/" : "", name);
}

static void path_pop(struct walk *w, size_t length)
{
    w->path.n_bytes = length;
    if (w->path.data) w->path.data[length] = 0;
}

static int read_folder(struct walk *w, int fd, size_t depth, struct error *err);

/* Called when w->path cannot be opened or read; errno is the reason. The folder is rejected if the reason
 * concerns only this folder. */
static int unreadable_folder(struct walk *w, struct error *err)
{
    char shown[256];
    if (errno_of_machine(errno))
        return error_errno(err, EX_OSERR, "cannot read folder '%s'",
                           text_for_people(shown, sizeof shown, w->path.data));
    return add(w, w->path.data, "", "unreadable", strerror(errno), err);
}

/* Scans the folder `name` in the open folder `parent`. w->path already includes it. depth: the number of
 * folders around it. */
static int enter(struct walk *w, int parent, const char *name, size_t depth, struct error *err)
{
    struct stat st;
    if (depth >= MAX_DEPTH) return add(w, w->path.data, "", "unreadable", "folders too deep", err);
    int fd = openat(parent, name,
                    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK | (w->opt->follow ? 0 : O_NOFOLLOW));
    if (fd < 0 || fstat(fd, &st)) {
        int rc = unreadable_folder(w, err);
        if (fd >= 0) close(fd);
        return rc;
    }
    for (size_t i = 0; i < depth; i++)
        if (w->open[i].dev == st.st_dev && w->open[i].ino == st.st_ino) {
            close(fd);
            return add(w, w->path.data, "", "link-loop", "a link back to a folder above it", err);
        }
    w->open[depth] = (struct folder_id){st.st_dev, st.st_ino};
    return read_folder(w, fd, depth + 1, err);
}

static int one_entry(struct walk *w, int fd, const struct dirent *d, const char *label, size_t depth,
                     struct error *err)
{
    unsigned char type = d->d_type;
    const char *path = w->path.data;
    struct stat st;
    /* some file systems do not return the type */
    if (type == DT_UNKNOWN || (type == DT_LNK && w->opt->follow)) {
        bool there = fstatat(fd, d->d_name, &st, w->opt->follow ? 0 : AT_SYMLINK_NOFOLLOW) == 0;
        if (!there && errno_of_machine(errno)) return error_errno(err, EX_OSERR, "cannot examine '%s'", path);
        type = there ? (unsigned char)IFTODT(st.st_mode) : DT_LNK;
    }
    /* A link to a folder is reported, whatever its name is, because it may contain a whole class. */
    bool folder_link =
        type == DT_LNK && !w->opt->follow && fstatat(fd, d->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode);
    if (type != DT_DIR && !folder_link && !wanted(w->opt, d->d_name)) {
        const char *dot = strrchr(d->d_name, '.');
        if (w->n_left++ == 0) snprintf(w->left_ending, sizeof w->left_ending, "%s", dot ? dot : "no ending");
        return 0;
    }
    if (!text_is_utf8(path, w->path.n_bytes)) return add_not_utf8(w, path, err);
    switch (type) {
    case DT_DIR: return enter(w, fd, d->d_name, depth, err);
    case DT_REG: return add(w, path, label, NULL, NULL, err);
    case DT_LNK:
        return add(w, path, "", "symbolic-link",
                   w->opt->follow ? "its target is not there" : "links are taken with --follow only", err);
    default:
        return add(w, path, "", "not-a-regular-file",
                   type == DT_FIFO   ? "a FIFO"
                   : type == DT_SOCK ? "a socket"
                                     : "a device",
                   err);
    }
}

/* Reads every entry of the open folder, and closes it. */
static int read_folder(struct walk *w, int fd, size_t depth, struct error *err)
{
    const char *label = label_here(w, err);
    DIR *dir = label ? fdopendir(fd) : NULL;
    int rc = label ? 0 : -1;
    if (!dir) {
        if (label) rc = error_errno(err, EX_OSERR, "cannot read folder '%s'", w->path.data);
        close(fd);
        return rc;
    }
    for (;;) {
        size_t length;
        errno = 0;
        struct dirent *d = readdir(dir);
        if (!d) {
            if (errno) rc = unreadable_folder(w, err);
            break;
        }
        if (d->d_name[0] == '.' && (!w->opt->hidden || !strcmp(d->d_name, ".") || !strcmp(d->d_name, "..")))
            continue;
        if (path_push(w, d->d_name, &length, err)) {
            rc = -1;
            break;
        }
        rc = one_entry(w, dirfd(dir), d, label, depth, err);
        path_pop(w, length);
        if (rc) break;
    }
    closedir(dir);
    return rc;
}

/* Scans one operand. "./" at the start of its path and '/' at the end are removed, so that the rows do not
 * depend on how the folder is written. */
static int scan_operand(struct walk *w, int root, const char *folder, struct error *err)
{
    char shown[256];
    struct stat st;
    text_for_people(shown, sizeof shown, folder);
    while (folder[0] == '.' && folder[1] == '/')
        for (folder += 2; *folder == '/'; folder++)
            ;
    size_t n = strlen(folder);
    while (n > 1 && folder[n - 1] == '/')
        n--;
    bool here = n == 0 || (n == 1 && folder[0] == '.');
    if (!here && !w->opt->common.allow_outside && !path_is_inside(folder))
        return error_set(err, EX_DATAERR,
                         "folder '%s' is outside the root folder (--allow-outside accepts it)", shown);
    text_clear(&w->path);
    if (text_add(&w->path, folder, here ? 0 : n, err)) return -1;
    if (!text_is_utf8(w->path.data, w->path.n_bytes))
        return error_set(err, EX_DATAERR, "folder '%s' is not named in valid UTF-8", shown);
    int fd = openat(root, here ? "." : w->path.data,
                    O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* a link that the user names is followed */
    if (fd < 0 || fstat(fd, &st)) {
        error_errno(err, EX_NOINPUT, "cannot open folder '%s'", shown);
        if (fd >= 0) close(fd);
        return -1;
    }
    const char *slash = strrchr(w->path.data, '/');
    w->operand_label = here ? "" : arena_strdup(&w->arena, slash && slash[1] ? slash + 1 : w->path.data, err);
    w->operand_bytes = w->path.n_bytes;
    w->has_splits = scan_has_splits(w->opt, here ? "." : w->path.data);
    w->open[0] = (struct folder_id){st.st_dev, st.st_ino};
    if (!w->operand_label) {
        close(fd);
        return -1;
    }
    return read_folder(w, fd, 1, err);
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int c = strcmp(x->path, y->path);
    return c ? c : strcmp(x->label, y->label);
}

int scan_run(const struct scan_options *opt, char **folders, int n_folders, struct manifest_writer *out,
             struct manifest_writer *rejects, struct stage_counts *n, struct error *err)
{
    struct walk w = {.opt = opt};
    int rc = -1, root = open(opt->common.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        error_errno(err, EX_NOINPUT, "cannot open the root folder '%s'", opt->common.root);
        goto out;
    }
    progress_start(&w.progress, &opt->common, 0, "files");
    for (int i = 0; i < n_folders; i++)
        if ((!*folders[i] && error_set(err, EX_USAGE, "an empty folder name (the current folder is '.')")) ||
            scan_operand(&w, root, folders[i], err))
            goto out;
    progress_end(&w.progress);
    if (w.n) qsort(w.entries, w.n, sizeof *w.entries, compare_entries);
    for (size_t i = 0; i < w.n; i++) {
        const struct entry *e = &w.entries[i];
        const char *fields[] = {e->path, e->label, e->split};
        if (i && !strcmp(e->path, w.entries[i - 1].path))
            continue; /* a picture is one row, even when a folder is named twice or is inside another one */
        n->n_read++;
        n->n_rejected += e->reason != NULL;
        n->n_kept += e->reason == NULL;
        if (e->reason ? manifest_writer_reject(rejects, fields, e->reason, e->detail, err)
                      : manifest_writer_row(out, fields, NULL, err))
            goto out;
    }
    char shown[32];
    if (w.n_left && !opt->common.quiet)
        stage_warn(
            "%llu file%s left out because of %s extension (the first: %s); use --ext LIST or --all-files "
            "to include them",
            (unsigned long long)w.n_left, w.n_left == 1 ? " was" : "s were", w.n_left == 1 ? "its" : "their",
            text_for_people(shown, sizeof shown, w.left_ending));
    rc = 0;
out:
    progress_end(&w.progress);
    if (root >= 0) close(root);
    text_release(&w.path);
    free(w.entries);
    arena_release(&w.arena);
    return rc;
}
