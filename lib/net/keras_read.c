/*
 * keras_read.c: reads a .keras archive, the format of Keras 3. config.json has the model, and
 * model.weights.h5 has its weights by path, which the child process that runs libhdf5 reads from memory.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "io/io.h"
#include "net/net_sources.h"
#include "net/zip_archive.h"

#define METADATA_BYTES ((uint64_t)1 << 20)

/* The archive, or the folder that save_model(zipped=False) makes: the same three files. */
struct source {
    const struct zip_archive *zip;
    const char *folder;
};

/* *out NULL: there is no such member. */
static int read_member(const struct source *s, const char *name, uint64_t max_bytes, char **out, size_t *n,
                       struct error *err)
{
    struct text path = TEXT_EMPTY;
    *out = NULL;
    if (s->zip) {
        const struct zip_member *m = zip_find(s->zip, name);
        return m ? zip_read(s->zip, m, max_bytes, out, n, err) : 0;
    }
    int rc = text_printf(&path, err, "%s/%s", s->folder, name) ||
                     (io_exists(path.data) && io_read_file(path.data, max_bytes, out, n, err))
                 ? -1
                 : 0;
    text_release(&path);
    return rc;
}

/* *out NULL: there is no such member. */
static int read_json(const struct source *s, const char *name, uint64_t max_bytes, cJSON **out,
                     struct error *err)
{
    char *bytes;
    size_t n;
    *out = NULL;
    if (read_member(s, name, max_bytes, &bytes, &n, err)) return -1;
    int rc = bytes ? net_json_parse(bytes, n, out, err) : 0;
    free(bytes);
    return rc ? error_prefix(err, "its member '%s'", name) : 0;
}

static int read_weights(struct h5_file *f, const struct source *s, bool header_only, struct error *err)
{
    char *image;
    size_t n_bytes;
    if (read_member(s, "model.weights.h5", NET_MAX_WEIGHT_BYTES, &image, &n_bytes, err)) return -1;
    if (!image)
        return error_set(
            err, EX_DATAERR,
            s->zip && zip_find(s->zip, "model.weights.npz")
                ? "its weights are a NumPy archive; in Keras, load it and save it again as .keras"
                : "it has no model.weights.h5: not a Keras 3 model, or an unknown layout of one: save it "
                  "again with model.save('NAME.keras')");
    int rc = h5_file_read(f, &(struct h5_input){NULL, image, n_bytes}, "model.weights.h5", H5_STORE,
                          header_only, err);
    free(image);
    return rc;
}

static int read_model(struct net *n, const struct source *s, bool header_only, struct error *err)
{
    struct net_sources sources = {0};
    struct h5_file f = {0};
    cJSON *config = NULL, *about = NULL;
    int rc = -1;
    if (read_json(s, "config.json", NET_MAX_JSON_BYTES, &config, err) ||
        read_json(s, "metadata.json", METADATA_BYTES, &about, err))
        goto out;
    if (!config) {
        error_set(err, EX_DATAERR,
                  "a zip archive without config.json, so not a Keras 3 model: save one with "
                  "model.save('NAME.keras')");
        goto out;
    }
    const cJSON *version = net_json_get(about, "keras_version"), *own = net_json_get(about, "winnow");
    net_metadata_defaults(&n->metadata);
    if (net_read_topology(n, config, cJSON_IsString(version) ? version->valuestring : "3", &sources, err) ||
        (own && net_read_metadata(&n->metadata, own, err)) || read_weights(&f, s, header_only, err) ||
        net_take_weights(n, &sources, &f, H5_STORE, header_only, err) || net_check_complete(n, err))
        goto out;
    if (!own) net_guess_input(n, header_only);
    rc = 0;
out:
    h5_file_release(&f);
    net_sources_release(&sources);
    cJSON_Delete(config);
    cJSON_Delete(about);
    return rc;
}

int net_read_keras(struct net *n, const char *path, bool header_only, struct error *err)
{
    struct zip_archive z;
    struct source s = {&z, NULL};
    *n = NET_EMPTY;
    int rc = zip_open(&z, path, err) || read_model(n, &s, header_only, err) ? -1 : 0;
    zip_close(&z);
    if (!rc) return 0;
    net_release(n);
    return error_prefix(err, "'%s'", path);
}

int net_read_keras_folder(struct net *n, const char *folder, bool header_only, struct error *err)
{
    struct source s = {NULL, folder};
    *n = NET_EMPTY;
    if (!read_model(n, &s, header_only, err)) return 0;
    net_release(n);
    return error_prefix(err, "'%s'", folder);
}
