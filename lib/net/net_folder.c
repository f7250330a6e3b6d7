/*
 * net_folder.c: replaces a folder, with all its files, in one step. They are written into a folder beside it,
 * which is exchanged with the old one by one system call, because the names (model.json,
 * group1-shard1of22.bin) are the same in every model.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "io/io.h"
#include "net/net_parts.h"

/* Matches only the names that our writer uses, because other files, such as firmware.bin, must not be
 * lost. */
static bool is_model_file(const char *name)
{
    unsigned group, shard, of;
    int end = 0;
    return strcmp(name, "model.json") == 0 ||
           (sscanf(name, "group%u-shard%uof%u.bin%n", &group, &shard, &of, &end) == 3 && end > 0 &&
            name[end] == 0);
}

/* Links every file of `from` that is not part of a model into `to`, if that name is free. */
static int carry_files(const char *from, const char *to, struct error *err)
{
    DIR *d = opendir(from);
    int rc = 0;
    if (!d) return error_errno(err, EX_CANTCREAT, "cannot read the folder '%s'", from);
    int to_fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (struct dirent *e; !rc && (e = io_next_entry(d, from, &rc, err));) {
        struct stat st;
        if (is_model_file(e->d_name) || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
            S_ISDIR(st.st_mode))
            continue;
        if (linkat(dirfd(d), e->d_name, to_fd, e->d_name, 0) && errno != EEXIST)
            rc = error_errno(err, EX_CANTCREAT, "cannot keep '%s/%s'", from, e->d_name);
    }
    if (to_fd >= 0) close(to_fd);
    closedir(d);
    return rc;
}

static void move_folders(const char *from, const char *to)
{
    DIR *d = opendir(from);
    int to_fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (struct dirent *e; d && (e = readdir(d));) {
        struct stat st;
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            !fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) && S_ISDIR(st.st_mode))
            (void)renameat(dirfd(d), e->d_name, to_fd, e->d_name);
    }
    if (to_fd >= 0) close(to_fd);
    if (d) closedir(d);
}

int net_publish_folder(const char *made, const char *folder, struct error *err)
{
    char *old;
    if ((io_exists(folder) && carry_files(folder, made, err)) || io_take_place(made, folder, &old, err))
        return -1;
    if (old) {
        move_folders(old, folder);
        io_remove_tree(old);
        free(old);
    }
    return io_fsync_dir_of(folder, err);
}

int net_begin_folder(const char *folder, struct text *made, struct text *target, struct error *err)
{
    char real[PATH_MAX], parent[PATH_MAX];
    struct stat st;
    if (io_mkdirs_for(folder, err)) return -1;
    /* The folder to which a symbolic link points is replaced, not the link. */
    if (!realpath(folder, real)) {
        if (errno != ENOENT || strlen(folder) >= sizeof real)
            return error_errno(err, EX_CANTCREAT, "cannot write the folder '%s'", folder);
        memcpy(real, folder, strlen(folder) + 1);
        for (size_t end = strlen(real); end > 1 && real[end - 1] == '/';)
            real[--end] = 0;
    } else if (stat(real, &st) || !S_ISDIR(st.st_mode))
        return error_set(err, EX_CANTCREAT, "cannot write '%s': it is not a folder", folder);
    char *slash = strrchr(real, '/');
    const char *base = slash ? slash + 1 : real;
    if (strlen(base) > 200 || !*base)
        return error_set(err, EX_CANTCREAT, "cannot write the folder '%s': an unusable name", folder);
    snprintf(parent, sizeof parent, "%.*s", slash ? (slash == real ? 1 : (int)(slash - real)) : 1,
             slash ? real : ".");
    io_sweep_leftovers(real);
    text_clear(made);
    text_clear(target);
    if (text_printf(made, err, "%s/.%s.new-%ld", parent, base, (long)getpid()) ||
        text_puts(target, real, err))
        return -1;
    io_remove_tree(made->data);
    if (mkdir(made->data, 0777))
        return error_errno(err, EX_CANTCREAT, "cannot create the folder '%s'", made->data);
    return 0;
}

void net_abandon_folder(const char *made) { io_remove_tree(made); }
