/*
 * h5_file.c: starts the child that runs libhdf5 (h5_child.c), and checks its records like untrusted data.
 */
#include "net/h5_file.h"

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

#include "base/sanitized.h"
#include "base/text.h"
#include "io/io.h"

void h5_file_release(struct h5_file *f)
{
    for (size_t i = 0; i < f->n_layers; i++)
        free(f->layers[i]);
    for (size_t i = 0; i < f->n_weights; i++) {
        free(f->weights[i].layer);
        free(f->weights[i].name);
        free(f->weights[i].values);
        free(f->weights[i].other);
    }
    free(f->layers);
    free(f->weights);
    free(f->config);
    free(f->metadata);
    free(f->version);
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

/* Limits the memory to the sum of what the process has now, twice the size of the file (chunks are unpacked),
 * and space for the library. */
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
    /* Processor time. InceptionV3 takes 0.1 s. Crafted files send the library into an endless loop (found
     * by fuzzing). */
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    limit(RLIMIT_CPU, 1); /* the fuzzer makes many such files */
#else
    limit(RLIMIT_CPU, 10 + (rlim_t)(file_bytes >> 24));
#endif
    limit(RLIMIT_CORE, 0);
    if (!SANITIZED)             /* sanitisers write their reports to files */
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
    *w = (struct h5_weight){.shape = shape, .n_values = count, .opaque = record->opaque != 0};
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

static int read_other(struct h5_file *f, int fd, const struct h5_record *record, char **layer, char **name,
                      const char *path, struct error *err)
{
    char *text = NULL;
    if (read_text(fd, record->n_bytes, &text, path, err) ||
        mem_grow(&f->weights, &f->weight_room, f->n_weights + 1, sizeof *f->weights, err)) {
        free(text);
        return -1;
    }
    f->weights[f->n_weights++] = (struct h5_weight){.layer = *layer, .name = *name, .other = text};
    *layer = *name = NULL;
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
            case H5_KERAS_VERSION: rc = read_text(fd, record.n_bytes, &f->version, path, err); break;
            case H5_OTHER: rc = read_other(f, fd, &record, &layer, &name, path, err); break;
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

int h5_file_read(struct h5_file *f, const struct h5_input *input, const char *name, enum h5_layout layout,
                 bool header_only, struct error *err)
{
    int ends[2], status = 0;
    struct stat st = {.st_size = (off_t)input->n_bytes};
    *f = (struct h5_file){0};
    if (input->path && stat(input->path, &st)) return error_errno(err, EX_NOINPUT, "cannot open '%s'", name);
    if (pipe2(ends, O_CLOEXEC)) return error_errno(err, EX_OSERR, "cannot make a pipe");
    pid_t child = fork();
    if (child < 0) {
        close(ends[0]);
        close(ends[1]);
        return error_errno(err, EX_OSERR, "cannot start a process to read '%s'", name);
    }
    if (child == 0) {
        signal(SIGPIPE, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        signal(SIGINT, SIG_DFL);
        signal(SIGHUP, SIG_DFL);
        close(ends[0]);
        limit_child((uint64_t)st.st_size);
        h5_child(input, ends[1], layout, header_only);
    }
    close(ends[1]);
    int rc = read_records(f, ends[0], header_only, name, err);
    close(ends[0]);
    /* after a failure the child has ended, may be stuck, or is no longer needed */
    if (rc) (void)kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (rc && WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
        error_set(err, EX_DATAERR, "the HDF5 library failed on this file (signal %d)", WTERMSIG(status));
    else if (rc && WIFEXITED(status) && WEXITSTATUS(status))
        error_set(err, WEXITSTATUS(status), "the process that reads it cannot write to its pipe");
    if (rc) {
        h5_file_release(f);
        return error_prefix(err, "'%s'", name);
    }
    return 0;
}
