/*
 * tfjs_read.c: reads TensorFlow.js layers models, as the converter, winnow and npm's nsfwjs write them. The
 * weights are one stream of bytes that is cut into shards anywhere. Each tensor is float32, float16, or
 * affinely quantised to 8 or 16 bits. It checks all that tfjs does not check: names, shapes, and, before
 * memory is allocated, the sizes of the shards against the tensors. It is fast: floats are read directly into
 * their final memory, and quantised tensors are decoded with a table.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_kind.h"
#include "base/text.h"
#include "io/io.h"
#include "net/net_sources.h"
#include "net/tfjs_encode.h"

struct tensor {
    struct net_weight *weight;
    struct tensor_encoding encoding;
};

/* The shards of one group as one stream. */
struct shards {
    int *fds;
    uint64_t *sizes;
    char **paths;
    int n, at;
    uint64_t done; /* bytes that were read from shard `at` */
};

static void shards_close(struct shards *s)
{
    for (int i = 0; i < s->n; i++) {
        close(s->fds[i]);
        free(s->paths[i]);
    }
    free(s->fds);
    free(s->sizes);
    free(s->paths);
    *s = (struct shards){0};
}

static int shards_open(struct shards *s, const char *folder, const cJSON *paths, struct error *err)
{
    const cJSON *v;
    int n = cJSON_IsArray(paths) ? cJSON_GetArraySize(paths) : 0;
    *s = (struct shards){0};
    if (n < 1 || n > NET_MAX_SHARDS)
        return error_set(err, EX_DATAERR, "weightsManifest: 'paths' must list 1 to %d files", NET_MAX_SHARDS);
    s->fds = mem_zalloc((size_t)n, sizeof *s->fds, err);
    s->sizes = mem_zalloc((size_t)n, sizeof *s->sizes, err);
    s->paths = mem_zalloc((size_t)n, sizeof *s->paths, err);
    if (!s->fds || !s->sizes || !s->paths) goto fail;
    cJSON_ArrayForEach(v, paths)
    {
        struct text path = TEXT_EMPTY;
        struct stat st;
        if (!cJSON_IsString(v)) {
            error_set(err, EX_DATAERR, "weightsManifest: a path is not a string");
            goto fail;
        }
        if (!path_is_inside(v->valuestring)) {
            char shown[128];
            error_set(err, EX_DATAERR, "weightsManifest: the path '%s' leaves the model folder",
                      text_for_people(shown, sizeof shown, v->valuestring));
            goto fail;
        }
        if (path_join(&path, folder, v->valuestring, false, err)) {
            text_release(&path);
            goto fail;
        }
        int fd = io_open_read(path.data, err);
        if (fd < 0) {
            text_release(&path);
            goto fail;
        }
        s->fds[s->n] = fd;
        s->paths[s->n++] = path.data;
        if (fstat(fd, &st)) {
            error_errno(err, EX_NOINPUT, "cannot stat '%s'", path.data);
            goto fail;
        }
        if (!S_ISREG(st.st_mode)) {
            error_set(err, EX_DATAERR, "'%s' is not a regular file", path.data);
            goto fail;
        }
        s->sizes[s->n - 1] = (uint64_t)st.st_size;
    }
    return 0;
fail:
    shards_close(s);
    return -1;
}

/* The sizes were checked before, so an early end means that the file has become shorter since then. */
static int shards_read(struct shards *s, void *out, size_t n_bytes, struct error *err)
{
    char *to = out;
    while (n_bytes > 0) {
        while (s->at < s->n && s->done == s->sizes[s->at]) {
            s->at++;
            s->done = 0;
        }
        if (s->at == s->n) return error_set(err, EX_DATAERR, "the weight files end too early");
        uint64_t left = s->sizes[s->at] - s->done;
        size_t take = left < n_bytes ? (size_t)left : n_bytes;
        if (io_read_full(s->fds[s->at], to, take, s->paths[s->at], err)) return -1;
        s->done += take;
        to += take;
        n_bytes -= take;
    }
    return 0;
}

/* --- the manifest --- */

/* Finds a weight by "layer/kernel". "layer/layer/kernel", and layer names that contain slashes, are also
 * accepted. */
static struct net_weight *find_weight(struct net *n, const struct net_sources *sources, const char *name,
                                      int *hint, struct error *err)
{
    struct net_weight *found = net_sources_find(sources, n, name, hint);
    if (found) return found;
    char layer_name[NET_MAX_NAME_BYTES + 1], shown[128];
    const char *slash = strrchr(name, '/');
    text_for_people(shown, sizeof shown, name);
    if (slash && (size_t)(slash - name) <= NET_MAX_NAME_BYTES) {
        size_t bytes = (size_t)(slash - name);
        memcpy(layer_name, name, bytes);
        layer_name[bytes] = 0;
        for (int attempt = 0; attempt < 2; attempt++) {
            for (int k = 0; k < n->n_layers; k++) {
                struct net_layer *layer = &n->layers[(*hint + k) % n->n_layers];
                if (strcmp(layer->name, layer_name) != 0) continue;
                int role = weight_role_parse(layer->kind, slash + 1);
                struct net_weight *w = role < 0 ? NULL : net_weight_of(layer, (enum weight_role)role);
                if (!w)
                    error_set(err, EX_DATAERR, "layer '%s' (%s) has no weight '%s', but the file does",
                              layer->name, layer_kind_name(layer->kind), shown);
                *hint = (*hint + k) % n->n_layers;
                return w;
            }
            char *first = strchr(layer_name, '/');
            if (!first) break;
            *first = 0;
        }
    }
    error_set(err, EX_DATAERR, "the weight '%s' does not belong to a layer", shown);
    return NULL;
}

static int read_quantization(struct tensor *t, const cJSON *spec, struct error *err)
{
    const cJSON *dtype = net_json_get(spec, "dtype"), *q = net_json_get(spec, "quantization");
    if (!cJSON_IsString(dtype) || strcmp(dtype->valuestring, "float32") != 0)
        return error_set(err, EX_DATAERR, "dtype must be float32");
    t->encoding = (struct tensor_encoding){.as = NET_FLOAT32};
    if (!q) return 0;
    dtype = net_json_get(q, "dtype");
    const char *name = cJSON_IsString(dtype) ? dtype->valuestring : "";
    if (strcmp(name, "float16") == 0) {
        t->encoding.as = NET_FLOAT16;
        return 0;
    }
    if (strcmp(name, "uint8") == 0)
        t->encoding.as = NET_UINT8;
    else if (strcmp(name, "uint16") == 0)
        t->encoding.as = NET_UINT16;
    else
        return error_set(err, EX_DATAERR, "quantization dtype must be uint8, uint16 or float16");
    const cJSON *scale = net_json_get(q, "scale"), *min = net_json_get(q, "min");
    if (!cJSON_IsNumber(scale) || !cJSON_IsNumber(min) || !isfinite(scale->valuedouble) ||
        !isfinite(min->valuedouble))
        return error_set(err, EX_DATAERR, "quantization needs a finite scale and min");
    t->encoding.scale = scale->valuedouble;
    t->encoding.min = min->valuedouble;
    return 0;
}

static int read_spec(struct net *n, const struct net_sources *sources, const cJSON *spec, struct tensor *t,
                     int *hint, struct error *err)
{
    const cJSON *name = net_json_get(spec, "name"), *shape = net_json_get(spec, "shape"), *v;
    size_t count;
    if (!cJSON_IsString(name)) return error_set(err, EX_DATAERR, "weightsManifest: a weight has no name");
    if (!(t->weight = find_weight(n, sources, name->valuestring, hint, err))) return -1;
    struct net_weight *w = t->weight;
    if (w->shape.rank > 0) return error_set(err, EX_DATAERR, "the weight '%s' occurs twice", w->name);
    if (!cJSON_IsArray(shape) || cJSON_GetArraySize(shape) < 1 || cJSON_GetArraySize(shape) > NET_MAX_RANK)
        return error_set(err, EX_DATAERR, "the weight '%s' must have 1 to %d dimensions", w->name,
                         NET_MAX_RANK);
    cJSON_ArrayForEach(v, shape) if (
        net_json_int(v, 1, INT32_MAX,
                     &w->shape.dim[w->shape.rank++])) return error_set(err, EX_DATAERR,
                                                                       "the weight '%s' has a dimension that "
                                                                       "is not a size",
                                                                       w->name);
    if (w->shape.rank == 2 && sources->items[*hint].as_matrix) /* a Dense layer over pixels */
        w->shape = (struct net_shape){4, {1, 1, w->shape.dim[0], w->shape.dim[1]}};
    if (!net_shape_count(&w->shape, &count) || count > NET_MAX_WEIGHT_BYTES / sizeof(float))
        return error_set(err, EX_DATAERR, "the weight '%s' is absurdly large", w->name);
    w->n_values = count;
    if (read_quantization(t, spec, err)) return error_prefix(err, "weight '%s'", w->name);
    return 0;
}

/* --- values --- */

static int read_values(struct shards *s, const struct tensor *t, void *buffer, size_t buffer_bytes,
                       struct error *err)
{
    float *to = t->weight->values;
    size_t left = t->weight->n_values, each = tensor_encoded_bytes(&t->encoding);
    if (t->encoding.as == NET_FLOAT32) return shards_read(s, to, left * sizeof(float), err);
    while (left > 0) {
        size_t n = left < buffer_bytes / each ? left : buffer_bytes / each;
        if (shards_read(s, buffer, n * each, err)) return -1;
        tensor_decode(&t->encoding, buffer, n, to);
        to += n;
        left -= n;
    }
    return 0;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "weights are read as they lie in the file");

/* Checks that the shards contain all tensors. The message names the first incomplete tensor, so that the user
 * recognises an incomplete download. */
static int check_sizes(const struct shards *s, const struct tensor *tensors, int n, struct error *err)
{
    uint64_t have = 0, need = 0;
    const char *first_missing = NULL;
    for (int i = 0; i < s->n; i++)
        if (__builtin_add_overflow(have, s->sizes[i], &have))
            return error_set(err, EX_DATAERR, "the weight files are absurdly large");
    for (int i = 0; i < n; i++) {
        need += tensors[i].weight->n_values * tensor_encoded_bytes(&tensors[i].encoding);
        if (need > have && !first_missing) first_missing = tensors[i].weight->name;
    }
    /* is a shard in fact a Git LFS pointer or an error page? */
    for (int i = 0; have != need && i < s->n; i++) {
        char first[FILE_KIND_BYTES];
        ssize_t got = pread(s->fds[i], first, sizeof first, 0);
        if (got > 0 && file_kind_refuse(s->paths[i], first, (size_t)got, err)) return -1;
    }
    if (first_missing)
        return error_set(err, EX_DATAERR,
                         "'%s' and the shards before it end within the weight '%s': %llu bytes of %llu",
                         s->paths[s->n - 1], first_missing, (unsigned long long)have,
                         (unsigned long long)need);
    if (have > need)
        return error_set(err, EX_DATAERR, "'%s' goes on after the last weight: %llu bytes instead of %llu",
                         s->paths[s->n - 1], (unsigned long long)have, (unsigned long long)need);
    return 0;
}

static int read_group(struct net *n, const struct net_sources *sources, const char *folder,
                      const cJSON *group, bool header_only, struct error *err)
{
    const size_t buffer_bytes = 1 << 18;
    const cJSON *specs = net_json_get(group, "weights"), *spec;
    struct shards shards = {0};
    void *buffer = NULL;
    size_t total = 0;
    int n_tensors = 0, hint = 0, rc = -1;
    if (!cJSON_IsArray(specs)) return error_set(err, EX_DATAERR, "weightsManifest: 'weights' must be a list");
    struct tensor *tensors = mem_zalloc((size_t)cJSON_GetArraySize(specs) + 1, sizeof *tensors, err);
    if (!tensors) return -1;
    cJSON_ArrayForEach(spec, specs)
    {
        struct tensor *t = &tensors[n_tensors++];
        if (read_spec(n, sources, spec, t, &hint, err) || !size_add(total, t->weight->n_values, &total))
            goto out;
    }
    if (header_only) {
        rc = 0;
        goto out;
    }
    if (shards_open(&shards, folder, net_json_get(group, "paths"), err) ||
        check_sizes(&shards, tensors, n_tensors, err))
        goto out;
    float *values = net_store_floats(n, total, err);
    if (!values || !(buffer = mem_aligned(64, buffer_bytes, err))) goto out;
    for (int i = 0; i < n_tensors; i++) {
        tensors[i].weight->values = values;
        values += tensors[i].weight->n_values;
        if (read_values(&shards, &tensors[i], buffer, buffer_bytes, err)) {
            error_prefix(err, "weight '%s'", tensors[i].weight->name);
            goto out;
        }
    }
    rc = 0;
out:
    free(buffer);
    shards_close(&shards);
    free(tensors);
    return rc;
}

int net_read_tfjs(struct net *n, const char *folder, const char *json_path, bool header_only,
                  struct error *err)
{
    char *bytes = NULL;
    size_t n_bytes;
    cJSON *root = NULL;
    const cJSON *group;
    struct net_sources sources = {0};
    int rc = -1;
    *n = NET_EMPTY;
    if (io_read_text(json_path, NET_MAX_JSON_BYTES, &bytes, &n_bytes, err)) return -1;
    if (net_json_parse(bytes, n_bytes, &root, err) ||
        net_read_metadata(&n->metadata, net_json_get(root, "userDefinedMetadata"), err))
        goto out;
    const cJSON *topology = net_json_get(root, "modelTopology"),
                *manifest = net_json_get(root, "weightsManifest");
    if (!topology || !cJSON_IsArray(manifest)) {
        error_set(err, EX_DATAERR,
                  "not a TensorFlow.js layers model: 'modelTopology' or 'weightsManifest' is missing");
        goto out;
    }
    if (net_read_topology(n, topology, NULL, &sources, err)) goto out;
    cJSON_ArrayForEach(group,
                       manifest) if (read_group(n, &sources, folder, group, header_only, err)) goto out;
    rc = net_check_complete(n, err);
out:
    if (rc) {
        net_release(n);
        error_prefix(err, "'%s'", json_path);
    }
    cJSON_Delete(root);
    free(bytes);
    net_sources_release(&sources);
    return rc;
}
