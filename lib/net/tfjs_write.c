/*
 * tfjs_write.c: a network as a TensorFlow.js layers model folder, whole or not at all.
 * The files are made in a sibling folder and that is exchanged with the old one in one system call, because shards and
 * model.json only mean something together and their names do not change from one model to the next.
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
#include "net/internal.h"
#include "net/tfjs_encode.h"

#define SHARD_BYTES (4u << 20)      /* the converter's default: small enough to be cached and fetched in parallel */

/* --- the files ------------------------------------------------------------------------------------------------------ */

struct shard_stream {
    const char *folder;
    unsigned n, at;                 /* shards in all; the current one, 1 first */
    int fd;
    uint64_t done;                  /* bytes in the current one */
};

static int write_close(int fd, const char *path, struct error *err)
{
    if (fault_here(FAULT_FSYNC) || fsync(fd)) {
        error_errno(err, EX_IOERR, "cannot write '%s'", path);
        close(fd);
        return -1;
    }
    if (close(fd))
        return error_errno(err, EX_IOERR, "cannot write '%s'", path);
    return 0;
}

static int create(const char *path, struct error *err)
{
    int fd = fault_here(FAULT_OPEN) ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return fd < 0 ? error_errno(err, EX_CANTCREAT, "cannot create '%s'", path) : fd;
}

static int stream_put(struct shard_stream *s, const void *bytes, size_t n_bytes, struct error *err)
{
    const char *from = bytes;
    while (n_bytes > 0) {
        char path[PATH_MAX + 64];
        snprintf(path, sizeof path, "%s/group1-shard%uof%u.bin", s->folder, s->at + (s->fd < 0), s->n);
        if (s->fd < 0) {
            s->at++;
            s->done = 0;
            if ((s->fd = create(path, err)) < 0)
                return -1;
        }
        size_t room = SHARD_BYTES - s->done, take = n_bytes < room ? n_bytes : room;
        if (io_write_full(s->fd, from, take, path, err))
            return -1;
        s->done += take;
        from += take;
        n_bytes -= take;
        if (s->done == SHARD_BYTES) {
            int fd = s->fd;
            s->fd = -1;
            if (write_close(fd, path, err))
                return -1;
        }
    }
    return 0;
}

static int write_shards(const struct net *n, const char *folder, unsigned n_shards, enum net_encoding encoding, struct error *err)
{
    struct shard_stream s = {.folder = folder, .n = n_shards, .fd = -1};
    const size_t step = 1 << 16;
    void *buffer = mem_alloc(step * sizeof(float), err);
    int rc = buffer ? 0 : -1;
    for (int i = 0; i < n->n_layers && !rc; i++)
        for (int j = 0; j < n->layers[i].n_weights && !rc; j++) {
            const struct net_weight *w = &n->layers[i].weights[j];
            struct tensor_encoding e = tensor_encoding_of(w, encoding);
            for (size_t at = 0; at < w->n_values && !rc; at += step) {
                size_t count = w->n_values - at < step ? w->n_values - at : step;
                if (e.as == NET_FLOAT32) {
                    rc = stream_put(&s, w->values + at, count * sizeof(float), err);
                    continue;
                }
                tensor_encode(&e, w->values + at, count, buffer);
                rc = stream_put(&s, buffer, count * tensor_encoded_bytes(&e), err);
            }
        }
    free(buffer);
    if (s.fd >= 0 && !rc)
        rc = write_close(s.fd, "the last shard", err);
    else if (s.fd >= 0)
        close(s.fd);
    return rc;
}

static cJSON *weight_spec(const struct net_weight *w, enum net_encoding encoding)
{
    static const char *const names[NET_ENCODINGS] = {"float32", "float16", "uint16", "uint8"};
    struct tensor_encoding e = tensor_encoding_of(w, encoding);
    cJSON *spec = cJSON_CreateObject();
    cJSON_AddStringToObject(spec, "name", w->name);
    cJSON_AddItemToObject(spec, "shape", cJSON_CreateIntArray(w->shape.dim, w->shape.rank));
    cJSON_AddStringToObject(spec, "dtype", "float32");
    if (e.as != NET_FLOAT32) {
        cJSON *q = cJSON_AddObjectToObject(spec, "quantization");
        if (e.as != NET_FLOAT16) {
            cJSON_AddNumberToObject(q, "min", e.min);
            cJSON_AddNumberToObject(q, "scale", e.scale);
        }
        cJSON_AddStringToObject(q, "dtype", names[e.as]);
        cJSON_AddStringToObject(q, "original_dtype", "float32");
    }
    return spec;
}

static int write_json(const struct net *n, const char *path, unsigned n_shards, enum net_encoding encoding,
                      const char *model_id, struct error *err)
{
    cJSON *root = cJSON_CreateObject(), *model, *metadata;
    int rc = -1, fd = -1;
    char *text = NULL;
    cJSON_AddStringToObject(root, "format", "layers-model");
    cJSON_AddStringToObject(root, "generatedBy", "winnow v" WINNOW_VERSION);
    cJSON_AddNullToObject(root, "convertedBy");
    if (!(metadata = net_write_metadata(n, model_id, err)))
        goto out;
    cJSON_AddItemToObject(root, "userDefinedMetadata", metadata);
    if (!(model = net_write_topology(n, err)))
        goto out;
    cJSON *topology = cJSON_AddObjectToObject(root, "modelTopology");
    cJSON_AddStringToObject(topology, "keras_version", "2.2.4");
    cJSON_AddStringToObject(topology, "backend", "tensorflow");
    cJSON_AddItemToObject(topology, "model_config", model);
    cJSON *group = cJSON_CreateObject(), *paths = cJSON_AddArrayToObject(group, "paths");
    for (unsigned i = 1; i <= n_shards; i++) {
        char name[64];
        snprintf(name, sizeof name, "group1-shard%uof%u.bin", i, n_shards);
        cJSON_AddItemToArray(paths, cJSON_CreateString(name));
    }
    cJSON *weights = cJSON_AddArrayToObject(group, "weights");
    for (int i = 0; i < n->n_layers; i++)
        for (int j = 0; j < n->layers[i].n_weights; j++)
            cJSON_AddItemToArray(weights, weight_spec(&n->layers[i].weights[j], encoding));
    cJSON *manifest = cJSON_AddArrayToObject(root, "weightsManifest");
    if (n_shards > 0)
        cJSON_AddItemToArray(manifest, group);
    else
        cJSON_Delete(group);
    text = cJSON_PrintUnformatted(root);
    if (!text || !manifest) {
        error_set(err, EX_OSERR, "cannot allocate the text of '%s'", path);
        goto out;
    }
    if ((fd = create(path, err)) < 0)
        goto out;
    if (io_write_full(fd, text, strlen(text), path, err) || io_write_full(fd, "\n", 1, path, err)) {
        close(fd);
        goto out;
    }
    rc = write_close(fd, path, err);
out:
    cJSON_free(text);
    cJSON_Delete(root);
    return rc;
}

/* --- the folder ----------------------------------------------------------------------------------------------------- */

static void remove_tree(const char *folder)
{
    DIR *d = opendir(folder);
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            (void)unlinkat(dirfd(d), e->d_name, 0);     /* folders inside were moved away before */
    closedir(d);
    (void)rmdir(folder);
}

/* What a killed writer left: ".NAME.new-PID" beside the folder, where PID is no more. */
static void sweep(const char *parent, const char *base)
{
    char prefix[300];
    DIR *d = opendir(parent);
    if (!d)
        return;
    snprintf(prefix, sizeof prefix, ".%s.new-", base);
    for (struct dirent *e; (e = readdir(d));) {
        char *end, path[PATH_MAX + 700];
        if (!text_starts(e->d_name, prefix))
            continue;
        long pid = strtol(e->d_name + strlen(prefix), &end, 10);
        if (*end || pid <= 0 || pid == (long)getpid() || kill((pid_t)pid, 0) == 0 || errno != ESRCH)
            continue;
        snprintf(path, sizeof path, "%s/%s", parent, e->d_name);
        remove_tree(path);
    }
    closedir(d);
}

static bool is_model_file(const char *name)
{
    return strcmp(name, "model.json") == 0 || text_ends(name, ".bin");
}

/* Gives every file of `from` that is no part of a model a second name in `to`, where there is none yet. */
static int carry_files(const char *from, const char *to, struct error *err)
{
    DIR *d = opendir(from);
    int rc = 0;
    if (!d)
        return error_errno(err, EX_CANTCREAT, "cannot read the folder '%s'", from);
    int to_fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (struct dirent *e; !rc && (e = readdir(d));) {
        struct stat st;
        if (is_model_file(e->d_name) || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) || S_ISDIR(st.st_mode))
            continue;
        if (linkat(dirfd(d), e->d_name, to_fd, e->d_name, 0) && errno != EEXIST)
            rc = error_errno(err, EX_CANTCREAT, "cannot keep '%s/%s'", from, e->d_name);
    }
    if (to_fd >= 0)
        close(to_fd);
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
    if (to_fd >= 0)
        close(to_fd);
    if (d)
        closedir(d);
}

static int publish(const char *made, const char *folder, struct error *err)
{
    if (fault_here(FAULT_RENAME))
        return error_errno(err, EX_CANTCREAT, "cannot rename '%s' to '%s'", made, folder);
    if (rename(made, folder) == 0)                      /* nothing there, or an empty folder */
        return io_fsync_dir_of(folder, err);
    if (errno != ENOTEMPTY && errno != EEXIST)
        return error_errno(err, EX_CANTCREAT, "cannot rename '%s' to '%s'", made, folder);
    if (carry_files(folder, made, err))
        return -1;
    if (renameat2(AT_FDCWD, made, AT_FDCWD, folder, RENAME_EXCHANGE)) {
        /* A file system without exchange (NFS): the old model is away for a moment. */
        char aside[PATH_MAX + 320];
        snprintf(aside, sizeof aside, "%s.old", made);
        if (rename(folder, aside) || rename(made, folder))
            return error_errno(err, EX_CANTCREAT, "cannot rename '%s' to '%s'", made, folder);
        move_folders(aside, folder);
        remove_tree(aside);
        return io_fsync_dir_of(folder, err);
    }
    move_folders(made, folder);
    remove_tree(made);
    return io_fsync_dir_of(folder, err);
}

static unsigned count_shards(const struct net *n, enum net_encoding encoding)
{
    uint64_t bytes = 0;
    for (int i = 0; i < n->n_layers; i++)
        for (int j = 0; j < n->layers[i].n_weights; j++) {
            const struct net_weight *w = &n->layers[i].weights[j];
            struct tensor_encoding e = tensor_encoding_of(w, encoding);
            bytes += w->n_values * tensor_encoded_bytes(&e);
        }
    return (unsigned)((bytes + SHARD_BYTES - 1) / SHARD_BYTES);
}

/* The id of the weights as a reader of the file will have them. */
static int id_as_read(const struct net *n, enum net_encoding encoding, char id[33], struct error *err)
{
    struct net rounded;
    if (encoding == NET_FLOAT32) {
        net_hash(n, id);
        return 0;
    }
    if (net_copy(&rounded, n, err))
        return -1;
    net_requantize(&rounded, encoding);
    net_hash(&rounded, id);
    net_release(&rounded);
    return 0;
}

int net_write_tfjs_as(const struct net *n, const char *folder, enum net_encoding encoding, struct error *err)
{
    char real[PATH_MAX], made[PATH_MAX + 300] = "", json[PATH_MAX + 320], id[33];
    struct stat st;
    if (n->n_layers == 0)
        return error_set(err, EX_SOFTWARE, "cannot write a network without layers");
    for (int i = 0; i < n->n_layers; i++)
        for (int j = 0; j < n->layers[i].n_weights; j++)
            if (!n->layers[i].weights[j].values)
                return error_set(err, EX_SOFTWARE, "layer '%s' has no values to write", n->layers[i].name);
    if (io_mkdirs_for(folder, err))
        return -1;
    /* Through a symbolic link the folder it points to is replaced, not the link. */
    if (!realpath(folder, real)) {
        if (errno != ENOENT || strlen(folder) >= sizeof real)
            return error_errno(err, EX_CANTCREAT, "cannot write the model '%s'", folder);
        strcpy(real, folder);
        for (size_t end = strlen(real); end > 1 && real[end - 1] == '/';)
            real[--end] = 0;
    } else if (stat(real, &st) || !S_ISDIR(st.st_mode))
        return error_set(err, EX_CANTCREAT, "cannot write the model '%s': it is no folder", folder);
    char *slash = strrchr(real, '/');
    const char *base = slash ? slash + 1 : real;
    if (strlen(base) > 200 || !*base)
        return error_set(err, EX_CANTCREAT, "cannot write the model '%s': an unusable name", folder);
    int parent_bytes = slash ? (int)(slash - real) : 1;
    const char *parent = slash ? real : ".";
    if (slash == real)
        parent_bytes = 1;
    snprintf(json, sizeof json, "%.*s", parent_bytes, parent);
    sweep(json, base);
    snprintf(made, sizeof made, "%.*s/.%s.new-%ld", parent_bytes, parent, base, (long)getpid());
    remove_tree(made);
    if (mkdir(made, 0777))
        return error_errno(err, EX_CANTCREAT, "cannot create the folder '%s'", made);
    unsigned n_shards = count_shards(n, encoding);
    snprintf(json, sizeof json, "%s/model.json", made);
    if (id_as_read(n, encoding, id, err) || write_shards(n, made, n_shards, encoding, err) ||
        write_json(n, json, n_shards, encoding, id, err) || publish(made, real, err)) {
        remove_tree(made);
        return error_prefix(err, "model '%s'", folder);
    }
    return 0;
}

int net_write_tfjs(const struct net *n, const char *folder, struct error *err)
{
    return net_write_tfjs_as(n, folder, NET_FLOAT32, err);
}
