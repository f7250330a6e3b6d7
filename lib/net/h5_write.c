/* h5_write.c: writes Keras .h5 in the layout of Keras 2.2.4, which every later Keras reads. The bytes depend
 * only on the network, because no times are stored. */
#include <hdf5.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "io/io.h"
#include "net/net_parts.h"

/* Keras' own limit for one attribute in an object header. Longer lists are divided. */
#define ATTRIBUTE_BYTES 64512

static int failed(struct error *err, const char *what)
{
    return error_set(err, EX_IOERR, "the HDF5 library cannot write %s", what);
}

/* Writes a variable-length ASCII string, as h5py writes Python's bytes: it may exceed
 * the 64 kB of an object header. */
static int put_text(hid_t object, const char *key, const char *text, struct error *err)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR), a = -1;
    int rc = -1;
    if (type >= 0 && space >= 0 && H5Tset_size(type, H5T_VARIABLE) >= 0 &&
        (a = H5Acreate2(object, key, type, space, H5P_DEFAULT, H5P_DEFAULT)) >= 0 &&
        H5Awrite(a, type, &text) >= 0)
        rc = 0;
    if (a >= 0) H5Aclose(a);
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    return rc ? failed(err, key) : 0;
}

/* Writes one attribute of fixed-length strings, as h5py writes numpy's 'S' arrays. */
static int put_name_array(hid_t object, const char *key, const char *const *names, size_t n, size_t each,
                          struct error *err)
{
    hsize_t dims[1] = {n};
    char *bytes = mem_zalloc(n, each, err);
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, dims, NULL), a = -1;
    int rc = -1;
    for (size_t i = 0; bytes && i < n; i++)
        memcpy(bytes + i * each, names[i], strlen(names[i]));
    if (bytes && type >= 0 && space >= 0 && H5Tset_size(type, each) >= 0 &&
        H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0 &&
        (a = H5Acreate2(object, key, type, space, H5P_DEFAULT, H5P_DEFAULT)) >= 0 &&
        H5Awrite(a, type, bytes) >= 0)
        rc = 0;
    if (a >= 0) H5Aclose(a);
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    free(bytes);
    return rc ? failed(err, key) : 0;
}

static int put_names(hid_t object, const char *key, const char *const *names, size_t n, struct error *err)
{
    size_t each = 1;
    if (n == 0) { /* the form in which numpy stores an empty list */
        hsize_t none[1] = {0};
        hid_t space = H5Screate_simple(1, none, NULL);
        hid_t a = space < 0 ? -1 : H5Acreate2(object, key, H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT);
        if (a >= 0) H5Aclose(a);
        if (space >= 0) H5Sclose(space);
        return a < 0 ? failed(err, key) : 0;
    }
    for (size_t i = 0; i < n; i++)
        each = strlen(names[i]) > each ? strlen(names[i]) : each;
    if (each * n <= ATTRIBUTE_BYTES) return put_name_array(object, key, names, n, each, err);
    size_t chunk = ATTRIBUTE_BYTES / each;
    for (size_t at = 0, part = 0; at < n; at += chunk, part++) {
        char numbered[64];
        snprintf(numbered, sizeof numbered, "%s%zu", key, part);
        if (put_name_array(object, numbered, names + at, n - at < chunk ? n - at : chunk, each, err))
            return -1;
    }
    return 0;
}

static int put_weight(hid_t group, const char *name, const struct net_weight *w, struct error *err)
{
    hsize_t dims[NET_MAX_RANK];
    hid_t space = -1, links = H5Pcreate(H5P_LINK_CREATE), create = H5Pcreate(H5P_DATASET_CREATE), d = -1;
    int rc = -1;
    for (int i = 0; i < w->shape.rank; i++)
        dims[i] = (hsize_t)w->shape.dim[i];
    space = H5Screate_simple(w->shape.rank, dims, NULL);
    /* The name is "conv2d_1/kernel:0" below the group of the layer. The inner group is made
     * together with it, as Keras does. */
    if (space >= 0 && links >= 0 && create >= 0 && H5Pset_create_intermediate_group(links, 1) >= 0 &&
        H5Pset_obj_track_times(create, 0) >= 0 &&
        (d = H5Dcreate2(group, name, H5T_IEEE_F32LE, space, links, create, H5P_DEFAULT)) >= 0 &&
        H5Dwrite(d, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, w->values) >= 0)
        rc = 0;
    if (d >= 0) H5Dclose(d);
    if (space >= 0) H5Sclose(space);
    if (links >= 0) H5Pclose(links);
    if (create >= 0) H5Pclose(create);
    return rc ? failed(err, name) : 0;
}

static int put_layer(hid_t weights, const struct net_layer *layer, struct error *err)
{
    char *names[4] = {NULL};
    hid_t group = H5Gcreate2(weights, layer->name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    int rc = group < 0 ? failed(err, layer->name) : 0;
    for (int i = 0; i < layer->n_weights && !rc; i++) {
        struct text name = TEXT_EMPTY;
        rc = text_printf(&name, err, "%s:0", layer->weights[i].name);
        names[i] = name.data;
    }
    if (!rc) rc = put_names(group, "weight_names", (const char *const *)names, (size_t)layer->n_weights, err);
    for (int i = 0; i < layer->n_weights && !rc; i++)
        rc = put_weight(group, names[i], &layer->weights[i], err);
    for (int i = 0; i < 4; i++)
        free(names[i]);
    if (group >= 0) H5Gclose(group);
    return rc;
}

static int put_json(hid_t object, const char *key, cJSON *json, struct error *err)
{
    char *text = json ? cJSON_PrintUnformatted(json) : NULL;
    int rc = json && !text ? error_set(err, EX_OSERR, "cannot allocate the text of '%s'", key)
             : json        ? 0
                           : -1;
    if (!rc) rc = put_text(object, key, text, err);
    cJSON_free(text);
    cJSON_Delete(json);
    return rc;
}

static int put_everything(hid_t file, const struct net *n, bool weights_only, struct error *err)
{
    hid_t weights = file;
    char id[33];
    int rc = 0;
    if (!weights_only) {
        if (net_hash(n, id, err) || put_text(file, "keras_version", "2.2.4", err) ||
            put_text(file, "backend", "tensorflow", err) ||
            put_json(file, "model_config", net_write_topology(n, err), err) ||
            put_json(file, "winnow_metadata", net_write_metadata(n, id, err), err))
            return -1;
        weights = H5Gcreate2(file, "model_weights", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        if (weights < 0) return failed(err, "model_weights");
    }
    const char **names = mem_zalloc((size_t)n->n_layers, sizeof *names, err);
    for (int i = 0; names && i < n->n_layers; i++)
        names[i] = n->layers[i].name;
    if (!names || put_names(weights, "layer_names", names, (size_t)n->n_layers, err) ||
        put_text(weights, "backend", "tensorflow", err) || put_text(weights, "keras_version", "2.2.4", err))
        rc = -1;
    for (int i = 0; i < n->n_layers && !rc; i++)
        rc = put_layer(weights, &n->layers[i], err);
    free(names);
    if (weights != file) H5Gclose(weights);
    return rc;
}

/* The contents of a file: in the legacy layout, or, with paths, in that of a .keras. */
struct contents {
    const struct net *n;
    bool weights_only;
    char *const *paths;
    const char *const *names;
};

/* Every layer has a group with a group `vars`, even if it has no weights. */
static int put_store(hid_t file, const struct contents *c, struct error *err)
{
    hid_t links = H5Pcreate(H5P_LINK_CREATE), root = -1;
    int rc = links < 0 || H5Pset_create_intermediate_group(links, 1) < 0 ? failed(err, "anything") : 0;
    for (int i = 0; i < c->n->n_layers && !rc; i++) {
        const struct net_layer *l = &c->n->layers[i];
        struct text vars = TEXT_EMPTY;
        char number[16];
        if (!c->paths[i]) continue;
        rc = text_printf(&vars, err, "%s/vars", c->paths[i]);
        hid_t group = rc ? -1 : H5Gcreate2(file, vars.data, links, H5P_DEFAULT, H5P_DEFAULT);
        if (!rc && group < 0) rc = failed(err, vars.data);
        if (!rc) rc = put_text(group, "name", c->names[i], err);
        for (int j = 0; j < l->n_weights && !rc && l->kind != LAYER_SCALE; j++) {
            snprintf(number, sizeof number, "%d", j);
            rc = put_weight(group, number, &l->weights[j], err);
        }
        if (group >= 0) H5Gclose(group);
        text_release(&vars);
    }
    if (!rc && (root = H5Gcreate2(file, "vars", links, H5P_DEFAULT, H5P_DEFAULT)) < 0)
        rc = failed(err, "vars");
    if (root >= 0) H5Gclose(root);
    if (links >= 0) H5Pclose(links);
    return rc;
}

/* Makes the file in memory: on a full disk the library (1.10) crashes while it closes, and it does not
 * write atomically. *bytes is the image of the file, malloc'ed. */
static int make_image(const struct contents *c, char **bytes, size_t *n_bytes, struct error *err)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), file = -1;
    int rc = -1;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    if (access < 0 || H5Pset_fapl_core(access, 8u << 20, false) < 0 ||
        (file = H5Fcreate("in memory", H5F_ACC_TRUNC, H5P_DEFAULT, access)) < 0) {
        failed(err, "anything");
        goto out;
    }
    if (c->paths ? put_store(file, c, err) : put_everything(file, c->n, c->weights_only, err)) goto out;
    ssize_t size = H5Fflush(file, H5F_SCOPE_LOCAL) < 0 ? -1 : H5Fget_file_image(file, NULL, 0);
    if (size <= 0) {
        failed(err, "the end of the file");
        goto out;
    }
    if (!(*bytes = mem_alloc((size_t)size, err))) goto out;
    if (H5Fget_file_image(file, *bytes, (size_t)size) != size) {
        failed(err, "the file");
        goto out;
    }
    *n_bytes = (size_t)size;
    rc = 0;
out:
    if (file >= 0) H5Fclose(file);
    if (access >= 0) H5Pclose(access);
    return rc;
}

int net_h5_store(const struct net *n, char *const *paths, const char *const *names, char **bytes,
                 size_t *n_bytes, struct error *err)
{
    struct contents c = {.n = n, .paths = paths, .names = names};
    *bytes = NULL;
    return make_image(&c, bytes, n_bytes, err);
}

int net_write_h5(const struct net *n, const char *path, bool weights_only, struct error *err)
{
    char *bytes = NULL;
    size_t n_bytes;
    if (strchr(path, 0)[-1] == '/') return error_set(err, EX_CANTCREAT, "'%s' is a folder's name", path);
    struct contents c = {.n = n, .weights_only = weights_only};
    int rc = io_mkdirs_for(path, err) || make_image(&c, &bytes, &n_bytes, err) ||
                     atomic_file_write(path, bytes, n_bytes, err)
                 ? -1
                 : 0;
    free(bytes);
    return rc ? error_prefix(err, "'%s'", path) : 0;
}
