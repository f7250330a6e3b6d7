/* tfjs_write.c: writes a network as a TensorFlow.js layers model folder, as a
 * whole or not at all (net_folder.c). */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "io/io.h"
#include "net/net_parts.h"
#include "net/tfjs_encode.h"

/* The converter's default. Such files are small enough to be cached, and can be downloaded in parallel. */
#define SHARD_BYTES (4u << 20)

/* --- the files --- */

struct shard_stream {
    const char *folder;
    unsigned n, at; /* n: number of shards; at: the current one, from 1 */
    int fd;
    uint64_t done; /* bytes in the current one */
};

static int write_close(int fd, const char *path, struct error *err)
{
    if (fault_here(FAULT_FSYNC) || fsync(fd)) {
        error_errno(err, EX_IOERR, "cannot write '%s'", path);
        close(fd);
        return -1;
    }
    if (close(fd)) return error_errno(err, EX_IOERR, "cannot write '%s'", path);
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
            if ((s->fd = create(path, err)) < 0) return -1;
        }
        size_t room = SHARD_BYTES - s->done, take = n_bytes < room ? n_bytes : room;
        if (io_write_full(s->fd, from, take, path, err)) return -1;
        s->done += take;
        from += take;
        n_bytes -= take;
        if (s->done == SHARD_BYTES) {
            int fd = s->fd;
            s->fd = -1;
            if (write_close(fd, path, err)) return -1;
        }
    }
    return 0;
}

static int write_shards(const struct net *n, const char *folder, unsigned n_shards,
                        enum net_encoding encoding, struct error *err)
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
    if (!(metadata = net_write_metadata(n, model_id, err))) goto out;
    cJSON_AddItemToObject(root, "userDefinedMetadata", metadata);
    if (!(model = net_write_topology(n, err))) goto out;
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
    if ((fd = create(path, err)) < 0) goto out;
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

/* Computes the id of the weights that a reader of the file will get. */
static int id_as_read(const struct net *n, enum net_encoding encoding, char id[33], struct error *err)
{
    struct net rounded;
    if (encoding == NET_FLOAT32) return net_hash(n, id, err);
    if (net_copy(&rounded, n, err)) return -1;
    net_requantize(&rounded, encoding);
    int rc = net_hash(&rounded, id, err);
    net_release(&rounded);
    return rc;
}

int net_write_tfjs_as(const struct net *n, const char *folder, enum net_encoding encoding, struct error *err)
{
    struct text made = TEXT_EMPTY, target = TEXT_EMPTY, json = TEXT_EMPTY;
    char id[33];
    int rc = -1;
    if (n->n_layers == 0) return error_set(err, EX_SOFTWARE, "cannot write a network without layers");
    for (int i = 0; i < n->n_layers; i++)
        for (int j = 0; j < n->layers[i].n_weights; j++)
            if (!n->layers[i].weights[j].values)
                return error_set(err, EX_SOFTWARE, "layer '%s' has no values to write", n->layers[i].name);
    unsigned n_shards = count_shards(n, encoding);
    if (!net_begin_folder(folder, &made, &target, err) &&
        !text_printf(&json, err, "%s/model.json", made.data) && !id_as_read(n, encoding, id, err) &&
        !write_shards(n, made.data, n_shards, encoding, err) &&
        !write_json(n, json.data, n_shards, encoding, id, err) &&
        !net_publish_folder(made.data, target.data, err))
        rc = 0;
    if (rc && made.data) net_abandon_folder(made.data);
    text_release(&made);
    text_release(&target);
    text_release(&json);
    return rc ? error_prefix(err, "model '%s'", folder) : 0;
}

int net_write_tfjs(const struct net *n, const char *folder, struct error *err)
{
    return net_write_tfjs_as(n, folder, NET_FLOAT32, err);
}
