/*
 * h5_child.c: the part of the HDF5 reader that uses the library. It runs in a child process with limits,
 * because libhdf5 1.10 has known crashes on crafted files (heap overflows in its header and B-tree code,
 * which Debian calls unimportant). It sends the contents through a pipe as records, which the parent checks
 * again (h5_file.c). Links to other files, external and virtual storage, and filters from plug-ins are
 * refused: otherwise a weight file could read any other file.
 */
#include <hdf5.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "io/io.h"
#include "net/h5_records.h"

struct reader {
    hid_t file;
    int out;   /* the pipe */
    bool torn; /* a record was not written whole, so the parent would misread another one */
    struct error *err;
};

static int put(struct reader *r, struct h5_record *record, const char *layer, const char *name,
               const void *bytes)
{
    record->layer_bytes = layer ? (uint32_t)strlen(layer) : 0;
    record->name_bytes = name ? (uint32_t)strlen(name) : 0;
    r->torn = io_write_full(r->out, record, sizeof *record, "pipe", r->err) ||
              io_write_full(r->out, layer ? layer : "", record->layer_bytes, "pipe", r->err) ||
              io_write_full(r->out, name ? name : "", record->name_bytes, "pipe", r->err) ||
              (record->n_bytes > 0 && io_write_full(r->out, bytes, record->n_bytes, "pipe", r->err));
    return r->torn ? -1 : 0;
}

/* --- attributes --- */

struct strings {
    char **items;
    size_t n;
};

static void strings_free(struct strings *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->items[i]);
    free(s->items);
    *s = (struct strings){0};
}

/* Appends the strings of one attribute, which have a fixed length padded with NULs, or a variable length. */
static int read_strings(struct reader *r, hid_t object, const char *key, struct strings *out)
{
    hid_t a = H5Aopen(object, key, H5P_DEFAULT), type = -1, space = -1, memory = -1;
    char *fixed = NULL, **variable = NULL;
    int rc = -1;
    if (a < 0) return error_set(r->err, EX_DATAERR, "the attribute '%s' cannot be read", key);
    type = H5Aget_type(a);
    space = H5Aget_space(a);
    hssize_t points = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
    if (type < 0 || points < 0 || points > H5_MAX_NAMES) {
        error_set(r->err, EX_DATAERR, "the attribute '%s' has an absurd size", key);
        goto out;
    }
    if (points == 0) { /* numpy writes an empty list as float64 of shape (0) */
        rc = 0;
        goto out;
    }
    if (H5Tget_class(type) != H5T_STRING) {
        error_set(r->err, EX_DATAERR, "the attribute '%s' does not contain strings", key);
        goto out;
    }
    char **grown = mem_realloc(out->items, (out->n + (size_t)points) * sizeof *grown, r->err);
    if (!grown) goto out;
    out->items = grown;
    if (H5Tis_variable_str(type) > 0) {
        variable = mem_zalloc((size_t)points, sizeof *variable, r->err);
        memory = H5Tcopy(H5T_C_S1);
        if (!variable || memory < 0 || H5Tset_size(memory, H5T_VARIABLE) < 0 ||
            H5Tset_cset(memory, H5Tget_cset(type)) < 0 || H5Aread(a, memory, variable) < 0) {
            error_set(r->err, EX_DATAERR, "the attribute '%s' cannot be read", key);
            goto out;
        }
        for (hssize_t i = 0; i < points; i++) {
            if (!(out->items[out->n] = mem_strdup(variable[i] ? variable[i] : "", r->err))) goto out;
            out->n++;
        }
    } else {
        size_t each = H5Tget_size(type), total;
        if (each == 0 || each > H5_MAX_TEXT || !size_mul(each, (size_t)points, &total) ||
            total > H5_MAX_TEXT) {
            error_set(r->err, EX_DATAERR, "the attribute '%s' has an absurd size", key);
            goto out;
        }
        if (!(fixed = mem_zalloc(total, 1, r->err))) goto out;
        if (H5Aread(a, type, fixed) < 0) {
            error_set(r->err, EX_DATAERR, "the attribute '%s' cannot be read", key);
            goto out;
        }
        for (hssize_t i = 0; i < points; i++) {
            const char *from = fixed + (size_t)i * each;
            size_t n = strnlen(from, each);
            char *copy = mem_alloc(n + 1, r->err);
            if (!copy) goto out;
            memcpy(copy, from, n);
            copy[n] = 0;
            out->items[out->n++] = copy;
        }
    }
    rc = 0;
out:
    if (variable)
        for (hssize_t i = 0; i < points; i++)
            H5free_memory(variable[i]);
    free(variable);
    free(fixed);
    if (memory >= 0) H5Tclose(memory);
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    H5Aclose(a);
    return rc;
}

/* Reads `key`, or `key`0, `key`1 and so on, into which Keras divides lists that are too long for one
 * attribute. When it is absent, *found stays false. */
static int read_names(struct reader *r, hid_t object, const char *key, struct strings *out, bool *found)
{
    char part[64];
    *found = false;
    if (H5Aexists(object, key) > 0) {
        *found = true;
        return read_strings(r, object, key, out);
    }
    for (int i = 0; i < 4096; i++) {
        snprintf(part, sizeof part, "%s%d", key, i);
        if (H5Aexists(object, part) <= 0) break;
        *found = true;
        if (read_strings(r, object, part, out)) return -1;
    }
    return 0;
}

/* Sends a text attribute as a record of that kind, when it exists. */
static int send_text(struct reader *r, hid_t object, const char *key, uint32_t kind)
{
    struct strings s = {0};
    int rc = 0;
    if (H5Aexists(object, key) <= 0) return 0;
    if (read_strings(r, object, key, &s))
        rc = -1;
    else if (s.n != 1 || strlen(s.items[0]) > H5_MAX_TEXT)
        rc = error_set(r->err, EX_DATAERR, "the attribute '%s' is not text", key);
    else {
        struct h5_record record = {.kind = kind, .n_bytes = strlen(s.items[0])};
        rc = put(r, &record, NULL, NULL, s.items[0]);
    }
    strings_free(&s);
    return rc;
}

/* --- objects --- */

/* Checks that every step of `path` below `from` is a plain link within the file. */
static int check_links(struct reader *r, hid_t from, const char *path)
{
    char step[H5_MAX_PATH + 1], shown[128];
    size_t n = strlen(path);
    if (n == 0 || n > H5_MAX_PATH || path[0] == '/')
        return error_set(r->err, EX_DATAERR, "'%s' is not a name in this file",
                         text_for_people(shown, sizeof shown, path));
    for (size_t i = 1; i <= n; i++) {
        H5L_info_t info;
        if (path[i] != '/' && path[i] != 0) continue;
        memcpy(step, path, i);
        step[i] = 0;
        if (H5Lexists(from, step, H5P_DEFAULT) <= 0)
            return error_set(r->err, EX_DATAERR, "the file has no '%s'",
                             text_for_people(shown, sizeof shown, step));
        if (H5Lget_info(from, step, &info, H5P_DEFAULT) < 0 || info.type != H5L_TYPE_HARD)
            return error_set(r->err, EX_DATAERR, "'%s' is a link that may leave the file",
                             text_for_people(shown, sizeof shown, step));
    }
    return 0;
}

static int check_storage(struct reader *r, hid_t dataset)
{
    hid_t plist = H5Dget_create_plist(dataset);
    int rc = -1;
    if (plist < 0) return error_set(r->err, EX_DATAERR, "its storage cannot be read");
    H5D_layout_t layout = H5Pget_layout(plist);
    int n_filters = layout == H5D_CHUNKED ? H5Pget_nfilters(plist) : 0;
    if (layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED && layout != H5D_COMPACT)
        error_set(r->err, EX_DATAERR, "its storage is virtual or unknown");
    else if (H5Pget_external_count(plist) != 0)
        error_set(r->err, EX_DATAERR, "its values lie in another file");
    else
        rc = 0;
    for (int i = 0; !rc && i < n_filters; i++) {
        unsigned flags, config;
        size_t n_values = 0;
        H5Z_filter_t f = H5Pget_filter2(plist, (unsigned)i, &flags, &n_values, NULL, 0, NULL, &config);
        if (f != H5Z_FILTER_DEFLATE && f != H5Z_FILTER_SHUFFLE && f != H5Z_FILTER_FLETCHER32)
            rc = error_set(r->err, EX_DATAERR, "its values are packed by filter %d, which is not gzip",
                           (int)f);
    }
    H5Pclose(plist);
    return rc;
}

/* bfloat16 is the upper half of a float32. */
static void widen_bfloat16(float *values, size_t n)
{
    const uint16_t *from = (const uint16_t *)values;
    for (size_t i = n; i-- > 0;) {
        uint32_t bits = (uint32_t)from[i] << 16;
        memcpy(&values[i], &bits, sizeof bits);
    }
}

static int read_values(struct reader *r, hid_t dataset, hid_t type, size_t count, float **out)
{
    bool opaque = H5Tget_class(type) == H5T_OPAQUE;
    /* Contiguous values must be completely in the file. Compressed values may not be more than gzip can
     * compress (1:1032). */
    unsigned long long stored = H5Dget_storage_size(dataset);
    if (stored < (unsigned long long)count * H5Tget_size(type) / 1032)
        return error_set(r->err, EX_DATAERR, "its values are not in the file");
    float *values = *out = mem_alloc(count * sizeof *values, r->err);
    if (!values) return -1;
    if (H5Dread(dataset, opaque ? type : H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
        return error_set(r->err, EX_DATAERR, "its values cannot be read (a cut-off file?)");
    if (opaque) widen_bfloat16(values, count);
    return 0;
}

/* Sends a record for a dataset of another type, such as integers. The parent decides whether it is needed. */
static int send_other(struct reader *r, hid_t type, const char *layer, const char *name)
{
    char word[64];
    bool whole = H5Tget_class(type) == H5T_INTEGER;
    snprintf(word, sizeof word, whole ? "%sint%zu" : "%svalues of %zu bits that are not numbers",
             whole && H5Tget_sign(type) == H5T_SGN_NONE ? "u" : "", 8 * H5Tget_size(type));
    struct h5_record record = {.kind = H5_OTHER, .n_bytes = strlen(word)};
    return put(r, &record, layer, name, word);
}

static int send_values(struct reader *r, hid_t dataset, const char *layer, const char *name, bool header_only)
{
    struct h5_record record = {.kind = H5_WEIGHT};
    hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset);
    hsize_t dims[H5S_MAX_RANK];
    float *values = NULL;
    int rc = -1;
    if (type < 0 || space < 0) {
        error_set(r->err, EX_DATAERR, "it cannot be read");
        goto out;
    }
    size_t each = H5Tget_size(type);
    record.opaque = H5Tget_class(type) == H5T_OPAQUE && each == 2;
    if (!record.opaque && (H5Tget_class(type) != H5T_FLOAT || (each != 2 && each != 4 && each != 8))) {
        rc = send_other(r, type, layer, name);
        goto out;
    }
    int rank = H5Sget_simple_extent_ndims(space);
    if (rank < 0 || rank > NET_MAX_RANK || H5Sget_simple_extent_dims(space, dims, NULL) != rank) {
        error_set(r->err, EX_DATAERR, "it has more than %d dimensions", NET_MAX_RANK);
        goto out;
    }
    size_t count = 1;
    record.rank = (uint32_t)rank;
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 1 || dims[i] > INT32_MAX || !size_mul(count, (size_t)dims[i], &count) ||
            count > H5_MAX_VALUES) {
            error_set(r->err, EX_DATAERR, "it has absurd dimensions");
            goto out;
        }
        record.dims[i] = (int32_t)dims[i];
    }
    if (check_storage(r, dataset)) goto out;
    if (!header_only) {
        record.n_bytes = count * sizeof(float);
        if (read_values(r, dataset, type, count, &values)) goto out;
    }
    rc = put(r, &record, layer, name, values);
out:
    free(values);
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    return rc;
}

/* --- the layout of .keras --- */

struct walk {
    struct text path; /* of the group */
    size_t objects;   /* number of objects visited: groups may contain themselves */
    bool header_only;
};

static int walk_group(struct reader *r, struct walk *w, hid_t group, bool vars);

/* One member of a group: another group, or a dataset below vars. */
static int walk_member(struct reader *r, struct walk *w, hid_t group, const char *name, bool vars)
{
    size_t before = w->path.n_bytes;
    char shown[128];
    hid_t object = -1;
    int rc = -1;
    if (++w->objects > H5_MAX_NAMES)
        return error_set(r->err, EX_DATAERR, "it has more than %d objects", H5_MAX_NAMES);
    if (strchr(name, '/') || check_links(r, group, name)) return -1;
    if ((object = H5Oopen(group, name, H5P_DEFAULT)) < 0)
        return error_set(r->err, EX_DATAERR, "'%s' cannot be opened",
                         text_for_people(shown, sizeof shown, name));
    if (H5Iget_type(object) == H5I_DATASET) {
        rc = vars ? send_values(r, object, w->path.data ? w->path.data : "", name, w->header_only) : 0;
        if (rc)
            error_prefix(r->err, "weight '%s/vars/%s'", w->path.data ? w->path.data : "",
                         text_for_people(shown, sizeof shown, name));
    } else if (vars || H5Iget_type(object) != H5I_GROUP) {
        rc = 0; /* not written by Keras */
    } else if (strcmp(name, "vars") == 0) {
        rc = walk_group(r, w, object, true);
    } else if (before + strlen(name) + 1 > H5_MAX_PATH) {
        error_set(r->err, EX_DATAERR, "its groups are nested too deeply");
    } else {
        rc = text_printf(&w->path, r->err, "%s%s", before ? "/" : "", name) || walk_group(r, w, object, false)
                 ? -1
                 : 0;
        w->path.n_bytes = before;
        if (w->path.data) w->path.data[before] = 0;
    }
    H5Oclose(object);
    return rc;
}

static int walk_group(struct reader *r, struct walk *w, hid_t group, bool vars)
{
    H5G_info_t info;
    char name[NET_MAX_NAME_BYTES + 1];
    if (H5Gget_info(group, &info) < 0 || info.nlinks > H5_MAX_NAMES)
        return error_set(r->err, EX_DATAERR, "a group of it cannot be read");
    for (hsize_t i = 0; i < info.nlinks; i++) {
        ssize_t n =
            H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT);
        if (n < 1 || (size_t)n >= sizeof name)
            return error_set(r->err, EX_DATAERR, "a group of it cannot be read");
        if (walk_member(r, w, group, name, vars)) return -1;
    }
    return 0;
}

/* Reads the group "layers"; the variables of the optimizer are in another group. */
static int send_store(struct reader *r, bool header_only)
{
    struct walk w = {.path = TEXT_EMPTY, .header_only = header_only};
    if (H5Lexists(r->file, "layers", H5P_DEFAULT) <= 0)
        return error_set(r->err, EX_DATAERR, "it has no group 'layers'");
    int rc = walk_member(r, &w, r->file, "layers", false);
    text_release(&w.path);
    return rc;
}

/* --- the layout of .h5 --- */

static int send_layer(struct reader *r, hid_t weights, const char *layer, bool header_only)
{
    struct strings names = {0};
    char shown[128];
    bool found;
    int rc = -1;
    hid_t group = -1;
    struct h5_record record = {.kind = H5_LAYER};
    if (check_links(r, weights, layer)) return -1;
    if ((group = H5Gopen2(weights, layer, H5P_DEFAULT)) < 0)
        return error_set(r->err, EX_DATAERR, "layer '%s' is not a group",
                         text_for_people(shown, sizeof shown, layer));
    if (read_names(r, group, "weight_names", &names, &found) || put(r, &record, layer, NULL, NULL)) goto out;
    for (size_t i = 0; i < names.n; i++) {
        hid_t dataset = -1;
        if (check_links(r, group, names.items[i])) goto out;
        dataset = H5Dopen2(group, names.items[i], H5P_DEFAULT);
        int bad = dataset < 0 ? error_set(r->err, EX_DATAERR, "it is not a dataset")
                              : send_values(r, dataset, layer, names.items[i], header_only);
        if (dataset >= 0) H5Dclose(dataset);
        if (bad) {
            error_prefix(r->err, "weight '%s'", text_for_people(shown, sizeof shown, names.items[i]));
            goto out;
        }
    }
    rc = 0;
out:
    if (rc) error_prefix(r->err, "layer '%s'", text_for_people(shown, sizeof shown, layer));
    strings_free(&names);
    H5Gclose(group);
    return rc;
}

static int send_all(struct reader *r, bool header_only)
{
    struct strings layers = {0};
    bool found = false;
    int rc = -1;
    hid_t weights = r->file;
    if (H5Lexists(r->file, "model_weights", H5P_DEFAULT) > 0) {
        if (check_links(r, r->file, "model_weights")) return -1;
        if ((weights = H5Gopen2(r->file, "model_weights", H5P_DEFAULT)) < 0)
            return error_set(r->err, EX_DATAERR, "'model_weights' is not a group");
    }
    if (send_text(r, r->file, "model_config", H5_CONFIG) ||
        send_text(r, r->file, "winnow_metadata", H5_METADATA) ||
        send_text(r, r->file, "keras_version", H5_KERAS_VERSION) ||
        read_names(r, weights, "layer_names", &layers, &found))
        goto out;
    if (!found) {
        error_set(r->err, EX_DATAERR,
                  H5Lexists(r->file, "layers", H5P_DEFAULT) > 0
                      ? "a Keras 3 file of weights alone; save the whole model as .keras"
                      : "no Keras file: the attribute 'layer_names' is missing");
        goto out;
    }
    if (layers.n > NET_MAX_LAYERS) {
        error_set(r->err, EX_DATAERR, "more than %d layers", NET_MAX_LAYERS);
        goto out;
    }
    for (size_t i = 0; i < layers.n; i++)
        if (send_layer(r, weights, layers.items[i], header_only)) goto out;
    rc = 0;
out:
    strings_free(&layers);
    if (weights != r->file && weights >= 0) H5Gclose(weights);
    return rc;
}

/* --- opening --- */

/* Lets the library read the image in place: each "copy" is the same memory, which the library does not
 * free. */
static void *same_image(size_t n, H5FD_file_image_op_t why, void *image) { return n && image ? image : NULL; }
static void *copy_image(void *to, const void *from, size_t n, H5FD_file_image_op_t why, void *image)
{
    return to == from ? to : memcpy(to, from, n);
}
static void *no_larger_image(void *image, size_t n, H5FD_file_image_op_t why, void *same) { return NULL; }
static herr_t keep_image(void *image, H5FD_file_image_op_t why, void *same) { return 0; }
static void *same_context(void *image) { return image; }
static herr_t keep_context(void *image) { return 0; }

static hid_t open_image(const struct h5_input *in)
{
    void *image = (void *)(uintptr_t)in->image;
    H5FD_file_image_callbacks_t calls = {same_image,   copy_image, no_larger_image, keep_image, same_context,
                                         keep_context, image};
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (access < 0 || H5Pset_fapl_core(access, 1u << 20, false) < 0 ||
        H5Pset_file_image_callbacks(access, &calls) < 0 || H5Pset_file_image(access, image, in->n_bytes) < 0)
        return -1;
    return H5Fopen("in memory", H5F_ACC_RDONLY, access);
}

void h5_child(const struct h5_input *input, int out, enum h5_layout layout, bool header_only)
{
    struct error err = {0};
    struct reader r = {.out = out, .err = &err};
    int rc = -1;
    setenv("HDF5_USE_FILE_LOCKING", "FALSE", 1); /* read-only file systems */
    if (H5open() < 0 || H5Eset_auto2(H5E_DEFAULT, NULL, NULL) < 0 || H5PLset_loading_state(0) < 0)
        error_set(&err, EX_SOFTWARE, "the HDF5 library cannot be started");
    else if ((r.file = input->path ? H5Fopen(input->path, H5F_ACC_RDONLY, H5P_DEFAULT) : open_image(input)) <
             0)
        error_set(&err, EX_DATAERR, "the HDF5 library cannot open it (damaged or incomplete)");
    else
        rc = layout == H5_STORE ? send_store(&r, header_only) : send_all(&r, header_only);
    struct h5_record last = {.kind = rc ? H5_ERROR : H5_END,
                             .rank = (uint32_t)err.code,
                             .n_bytes = rc ? strlen(err.text) : 0};
    if (!r.torn) (void)put(&r, &last, NULL, NULL, err.text);
    /* without the parent's exit handlers, and without H5's clean-up of a hostile file */
    _exit(r.torn ? EX_IOERR : 0);
}
