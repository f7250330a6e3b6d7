/*
 * h5_read.c: Keras .h5 files, full models and weights alone, as Keras 1 to 3 (legacy format) and tf.keras
 * write them. libhdf5 runs in a child (h5_child.c); here its records are checked as a stranger's bytes are.
 * Weights-only files of keras-applications have no topology: the built-in builders know it. Their layers are
 * numbered by whoever saved them (conv2d_1.., conv2d.., conv2d_95..), so they are mapped by creation number
 * and checked by shape.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/number.h"
#include "base/sanitized.h"
#include "base/text.h"
#include "io/io.h"
#include "net/h5_records.h"

struct h5_weight {
    char *layer, *name;
    struct net_shape shape;
    float *values;
    size_t n_values;
};

struct h5_file {
    char *config, *metadata; /* JSON texts or NULL */
    size_t config_bytes, metadata_bytes;
    char **layers;
    size_t n_layers, layer_room;
    struct h5_weight *weights;
    size_t n_weights, weight_room;
};

static void file_release(struct h5_file *f)
{
    for (size_t i = 0; i < f->n_layers; i++)
        free(f->layers[i]);
    for (size_t i = 0; i < f->n_weights; i++) {
        free(f->weights[i].layer);
        free(f->weights[i].name);
        free(f->weights[i].values);
    }
    free(f->layers);
    free(f->weights);
    free(f->config);
    free(f->metadata);
    *f = (struct h5_file){0};
}

/* --- the child --- */

static void limit(int resource, rlim_t value)
{
    struct rlimit l;
    if (getrlimit(resource, &l)) return;
    l.rlim_cur = l.rlim_max == RLIM_INFINITY || value < l.rlim_max ? value : l.rlim_max;
    (void)setrlimit(resource, &l);
}

/* Memory: what the process has, the file twice (chunks are unpacked) and room for the library. */
static void limit_child(uint64_t file_bytes)
{
#if !SANITIZED
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm) {
        if (fscanf(statm, "%lu", &pages) != 1) pages = 0;
        fclose(statm);
    }
    limit(RLIMIT_AS, (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + 2 * file_bytes + (1ull << 30));
#endif
    /* 0.1 s for InceptionV3; crafted files send the library into a loop (found
     * by fuzzing), which has to end. */
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    limit(RLIMIT_CPU, 1); /* the fuzzer makes such files by the dozen */
#else
    limit(RLIMIT_CPU, 10 + (rlim_t)(file_bytes >> 24));
#endif
    limit(RLIMIT_CORE, 0);
    if (!SANITIZED)             /* whose reports are files */
        limit(RLIMIT_FSIZE, 0); /* it writes to a pipe only */
}

static int read_text(int fd, uint64_t n_bytes, char **out, const char *path, struct error *err)
{
    free(*out);
    *out = NULL;
    if (n_bytes > H5_MAX_TEXT)
        return error_set(err, EX_DATAERR, "an attribute of %llu bytes", (unsigned long long)n_bytes);
    if (!(*out = mem_alloc((size_t)n_bytes + 1, err))) return -1;
    (*out)[n_bytes] = 0;
    return io_read_full(fd, *out, (size_t)n_bytes, path, err);
}

static int read_weight(struct h5_file *f, int fd, const struct h5_record *record, char **layer, char **name,
                       bool header_only, size_t *total, const char *path, struct error *err)
{
    struct net_shape shape = {.rank = (int)record->rank};
    size_t count;
    if (record->rank > NET_MAX_RANK) return error_set(err, EX_SOFTWARE, "a record of rank %u", record->rank);
    memcpy(shape.dim, record->dims, sizeof shape.dim);
    if (!net_shape_count(&shape, &count) || !size_add(*total, count, total) || *total > H5_MAX_VALUES ||
        record->n_bytes != (header_only ? 0 : count * sizeof(float)))
        return error_set(err, EX_DATAERR, "the weights are absurdly large");
    if (mem_grow(&f->weights, &f->weight_room, f->n_weights + 1, sizeof *f->weights, err)) return -1;
    struct h5_weight *w = &f->weights[f->n_weights];
    *w = (struct h5_weight){.shape = shape, .n_values = count};
    if (!header_only && (!(w->values = mem_alloc((size_t)record->n_bytes, err)) ||
                         io_read_full(fd, w->values, (size_t)record->n_bytes, path, err))) {
        free(w->values);
        return -1;
    }
    w->layer = *layer;
    w->name = *name;
    *layer = *name = NULL;
    f->n_weights++;
    return 0;
}

static int read_records(struct h5_file *f, int fd, bool header_only, const char *path, struct error *err)
{
    struct h5_record record;
    size_t total = 0;
    for (;;) {
        char *layer = NULL, *name = NULL;
        int rc = io_read_full(fd, &record, sizeof record, path, err);
        if (rc) return -1;
        if (record.layer_bytes > H5_MAX_TEXT || record.name_bytes > H5_MAX_TEXT)
            return error_set(err, EX_SOFTWARE, "a record that cannot be");
        rc = read_text(fd, record.layer_bytes, &layer, path, err) ||
             read_text(fd, record.name_bytes, &name, path, err);
        if (!rc) switch (record.kind) {
            case H5_CONFIG:
                rc = read_text(fd, record.n_bytes, &f->config, path, err);
                f->config_bytes = (size_t)record.n_bytes;
                break;
            case H5_METADATA:
                rc = read_text(fd, record.n_bytes, &f->metadata, path, err);
                f->metadata_bytes = (size_t)record.n_bytes;
                break;
            case H5_LAYER:
                if (!(rc = mem_grow(&f->layers, &f->layer_room, f->n_layers + 1, sizeof *f->layers, err))) {
                    f->layers[f->n_layers++] = layer;
                    layer = NULL;
                }
                break;
            case H5_WEIGHT:
                rc = read_weight(f, fd, &record, &layer, &name, header_only, &total, path, err);
                break;
            case H5_ERROR: {
                char *text = NULL;
                rc = -1;
                if (!read_text(fd, record.n_bytes, &text, path, err))
                    error_set(err, record.rank ? (int)record.rank : EX_DATAERR, "%s", text);
                free(text);
                break;
            }
            case H5_END:
                free(layer);
                free(name);
                return 0;
            default: rc = error_set(err, EX_SOFTWARE, "a record of kind %u", record.kind);
            }
        free(layer);
        free(name);
        if (rc) return -1;
    }
}

static int file_read(struct h5_file *f, const char *path, bool header_only, struct error *err)
{
    int ends[2], status = 0;
    struct stat st;
    *f = (struct h5_file){0};
    if (stat(path, &st)) return error_errno(err, EX_NOINPUT, "cannot open '%s'", path);
    if (pipe2(ends, O_CLOEXEC)) return error_errno(err, EX_OSERR, "cannot make a pipe");
    pid_t child = fork();
    if (child < 0) {
        close(ends[0]);
        close(ends[1]);
        return error_errno(err, EX_OSERR, "cannot start a process to read '%s'", path);
    }
    if (child == 0) {
        signal(SIGPIPE, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        signal(SIGINT, SIG_DFL);
        signal(SIGHUP, SIG_DFL);
        close(ends[0]);
        limit_child((uint64_t)st.st_size);
        h5_child(path, ends[1], header_only);
    }
    close(ends[1]);
    int rc = read_records(f, ends[0], header_only, path, err);
    close(ends[0]);
    if (rc) (void)kill(child, SIGKILL); /* it may be stuck; it has ended or is of no use */
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (rc && WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
        error_set(err, EX_DATAERR, "the HDF5 library failed on this file (signal %d)", WTERMSIG(status));
    if (rc) {
        file_release(f);
        return error_prefix(err, "'%s'", path);
    }
    return 0;
}

/* --- weights into a network --- */

/* "conv2d_1/kernel:0", "conv2d_1_W:0" is Keras 1 and not taken. */
static int role_of(const struct net_layer *layer, const char *name)
{
    char last[64];
    const char *slash = strrchr(name, '/'), *from = slash ? slash + 1 : name, *colon = strchr(from, ':');
    size_t n = colon ? (size_t)(colon - from) : strlen(from);
    if (n >= sizeof last) return -1;
    memcpy(last, from, n);
    last[n] = 0;
    return weight_role_parse(layer->kind, last);
}

static int give(struct net *n, struct net_layer *layer, struct h5_weight *from, struct error *err)
{
    char shown[128], a[64], b[64];
    int role = role_of(layer, from->name);
    struct net_weight *w = role < 0 ? NULL : net_weight_of(layer, (enum weight_role)role);
    if (!w)
        return error_set(err, EX_DATAERR, "layer '%s' (%s) has no weight '%s', but the file does",
                         layer->name, layer_kind_name(layer->kind),
                         text_for_people(shown, sizeof shown, from->name));
    struct net_shape want = w->shape.rank > 0 ? w->shape : from->shape;
    if (!net_shape_equal(&want, &from->shape))
        return error_set(err, EX_DATAERR, "layer '%s': weight '%s' has shape %s, must be %s", layer->name,
                         text_for_people(shown, sizeof shown, from->name), net_shape_text(a, &from->shape),
                         net_shape_text(b, &want));
    net_weight_drop_values(n, w);
    w->shape = from->shape;
    w->values = from->values;
    w->n_values = from->n_values;
    from->values = NULL;
    return 0;
}

static int give_by_name(struct net *n, struct h5_file *f, bool *given, struct error *err)
{
    int at = 0;
    char shown[128];
    for (size_t i = 0; i < f->n_weights; i++) {
        int k = 0;
        while (k < n->n_layers && strcmp(n->layers[(at + k) % n->n_layers].name, f->weights[i].layer) != 0)
            k++;
        if (k == n->n_layers)
            return error_set(err, EX_DATAERR, "the file has weights for '%s', which is not a layer",
                             text_for_people(shown, sizeof shown, f->weights[i].layer));
        at = (at + k) % n->n_layers;
        if (give(n, &n->layers[at], &f->weights[i], err)) return -1;
        given[at] = true;
    }
    for (int i = 0; i < n->n_layers; i++)
        if (n->layers[i].n_weights > 0 && !given[i])
            return error_set(err, EX_DATAERR, "layer '%s': the file has no weights for it",
                             n->layers[i].name);
    return 0;
}

int net_load_h5_weights(struct net *n, const char *path, struct error *err)
{
    struct h5_file f;
    if (file_read(&f, path, false, err)) return -1;
    bool *given = mem_zalloc((size_t)n->n_layers, sizeof *given, err);
    int rc = !given || give_by_name(n, &f, given, err) || net_check_complete(n, err) ? -1 : 0;
    free(given);
    file_release(&f);
    return rc ? error_prefix(err, "'%s'", path) : 0;
}

/* --- weights alone: keras-applications --- */

/* The number in "conv2d_95" or 0 in "conv2d"; -1 when the name is another. */
static long number_after(const char *name, const char *prefix)
{
    size_t n = strlen(prefix);
    uint64_t number;
    if (strncmp(name, prefix, n) != 0) return -1;
    if (name[n] == 0) return 0;
    if (name[n] != '_' || !parse_digits(name + n + 1, strlen(name + n + 1), &number)) return -1;
    return number > 1000000 ? -1 : (long)number;
}

struct numbered {
    long number;
    const char *layer;
};

static int compare_numbered(const void *a, const void *b)
{
    const struct numbered *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* The file's layers of one prefix by creation number; those without weights count too. *out is the caller's
 * to free. */
static int collect(const struct h5_file *f, const char *prefix, struct numbered **out, size_t *n,
                   struct error *err)
{
    *n = 0;
    if (!(*out = mem_zalloc(f->n_layers + 1, sizeof **out, err))) return -1;
    for (size_t i = 0; i < f->n_layers; i++) {
        long number = number_after(f->layers[i], prefix);
        if (number >= 0) (*out)[(*n)++] = (struct numbered){number, f->layers[i]};
    }
    qsort(*out, *n, sizeof **out, compare_numbered);
    return 0;
}

static bool has_layer(const struct h5_file *f, const char *name)
{
    for (size_t i = 0; i < f->n_layers; i++)
        if (strcmp(f->layers[i], name) == 0) return true;
    return false;
}

/* Renames the weights' layers from the file's numbering to the builder's prefix_1, prefix_2, ... */
static int renumber(struct h5_file *f, const char *prefix, size_t expected, struct error *err)
{
    struct numbered *list;
    size_t n;
    char name[64];
    int rc = -1;
    if (collect(f, prefix, &list, &n, err)) return -1;
    if (n != expected) {
        error_set(err, EX_DATAERR, "%zu layers are called %s_*, InceptionV3 has %zu", n, prefix, expected);
        goto out;
    }
    /* In two steps would be needed if names were overwritten in place; each weight's layer is replaced once
     * instead. */
    for (size_t i = 0; i < f->n_weights; i++)
        for (size_t k = 0; k < n; k++)
            if (strcmp(f->weights[i].layer, list[k].layer) == 0) {
                snprintf(name, sizeof name, "%s_%zu", prefix, k + 1);
                char *copy = mem_strdup(name, err);
                if (!copy) goto out;
                free(f->weights[i].layer);
                f->weights[i].layer = copy;
                break;
            }
    rc = 0;
out:
    free(list);
    return rc;
}

/* The published files with a top have a last dense layer for 1,000 classes: a new head takes its place
 * anyway. */
static void drop_top(struct h5_file *f)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->n_weights; i++) {
        bool top =
            strcmp(f->weights[i].layer, "predictions") == 0 || strcmp(f->weights[i].layer, "Logits") == 0;
        if (top) {
            free(f->weights[i].layer);
            free(f->weights[i].name);
            free(f->weights[i].values);
        } else
            f->weights[kept++] = f->weights[i];
    }
    f->n_weights = kept;
}

static const struct h5_weight *weight_in(const struct h5_file *f, const char *layer)
{
    for (size_t i = 0; i < f->n_weights; i++)
        if (strcmp(f->weights[i].layer, layer) == 0) return &f->weights[i];
    return NULL;
}

/* MobileNetV2's width multiplier from its first convolution: 32 * alpha, rounded to 8, never more than 10%
 * down. */
static double mobilenet_alpha(const struct h5_file *f)
{
    static const double published[] = {0.35, 0.5, 0.75, 1.0, 1.3, 1.4};
    const struct h5_weight *last = weight_in(f, "block_16_project");
    for (size_t i = 0; last && last->shape.rank == 4 && i < sizeof published / sizeof *published; i++) {
        int channels = (int)(320 * published[i] + 4) / 8 * 8;
        if (channels < 0.9 * 320 * published[i]) channels += 8;
        if (channels == last->shape.dim[3]) return published[i];
    }
    return 1.0;
}

static int from_weights_alone(struct net *n, struct h5_file *f, struct error *err)
{
    struct numbered *convs;
    size_t n_convs;
    if (collect(f, "conv2d", &convs, &n_convs, err)) return -1;
    free(convs);
    drop_top(f);
    if (n_convs == 94) {
        if (renumber(f, "conv2d", 94, err) || renumber(f, "batch_normalization", 94, err) ||
            net_build_inception_v3(n, 299, err))
            return -1;
    } else if (has_layer(f, "Conv1") && has_layer(f, "block_1_expand")) {
        if (net_build_mobilenet_v2(n, mobilenet_alpha(f), 224, err)) return -1;
    } else
        return error_set(err, EX_DATAERR,
                         "weights without a topology (no model_config), and neither InceptionV3's nor "
                         "MobileNetV2's");
    /* keras-applications trained both on inputs from -1 to 1. */
    n->metadata.input_scale = 2.0 / 255.0;
    n->metadata.input_offset = -1.0;
    return 0;
}

int net_read_h5(struct net *n, const char *path, bool header_only, struct error *err)
{
    struct h5_file f;
    cJSON *json = NULL, *metadata = NULL;
    bool *given = NULL;
    int rc = -1;
    *n = NET_EMPTY;
    if (file_read(&f, path, header_only, err)) return -1;
    net_metadata_defaults(&n->metadata);
    if (f.config) {
        if (net_json_parse(f.config, f.config_bytes, &json, err)) {
            error_prefix(err, "model_config");
            goto out;
        }
        if (net_read_topology(n, json, err)) goto out;
        if (f.metadata && (net_json_parse(f.metadata, f.metadata_bytes, &metadata, err) ||
                           net_read_metadata(&n->metadata, metadata, err))) {
            error_prefix(err, "winnow_metadata");
            goto out;
        }
    } else if (from_weights_alone(n, &f, err))
        goto out;
    if (!(given = mem_zalloc((size_t)n->n_layers, sizeof *given, err)) || give_by_name(n, &f, given, err))
        goto out;
    rc = net_check_complete(n, err);
out:
    free(given);
    cJSON_Delete(json);
    cJSON_Delete(metadata);
    file_release(&f);
    if (rc) {
        net_release(n);
        error_prefix(err, "'%s'", path);
    }
    return rc;
}
