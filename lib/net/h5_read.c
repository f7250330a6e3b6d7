/*
 * h5_read.c: reads Keras .h5 files, full models or only weights, that Keras 2 and 3 (legacy format) and
 * tf.keras write.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "net/h5_file.h"
#include "net/net_sources.h"

static int read_model(struct net *n, struct h5_file *f, struct net_sources *sources, struct error *err)
{
    cJSON *json = NULL, *metadata = NULL;
    int rc = -1;
    if (net_json_parse(f->config, f->config_bytes, &json, err))
        error_prefix(err, "model_config");
    else if (!net_read_topology(n, json, f->version, sources, err)) {
        if (f->metadata && (net_json_parse(f->metadata, f->metadata_bytes, &metadata, err) ||
                            net_read_metadata(&n->metadata, metadata, err)))
            error_prefix(err, "winnow_metadata");
        else
            rc = 0;
    }
    cJSON_Delete(json);
    cJSON_Delete(metadata);
    return rc;
}

int net_read_h5(struct net *n, const char *path, bool header_only, struct error *err)
{
    struct h5_file f;
    struct net_sources sources = {0};
    int rc = -1;
    *n = NET_EMPTY;
    if (h5_file_read(&f, &(struct h5_input){.path = path}, path, H5_LEGACY, header_only, err)) return -1;
    net_metadata_defaults(&n->metadata);
    if (f.config ? read_model(n, &f, &sources, err)
                 : h5_build_application(n, &f, err) || net_sources_make(&sources, n, err))
        goto out;
    if (net_take_weights(n, &sources, &f, H5_LEGACY, header_only, err)) goto out;
    rc = net_check_complete(n, err);
    if (!rc && f.config && !f.metadata) net_guess_input(n, header_only);
out:
    net_sources_release(&sources);
    h5_file_release(&f);
    if (rc) {
        net_release(n);
        error_prefix(err, "'%s'", path);
    }
    return rc;
}
