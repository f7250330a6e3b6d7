/*
 * onnx_names.c: records the names in an ONNX file in the metadata (key "onnx"), so that an export can use the
 * same names: for each layer "node", "output", and the name of each weight, with the dimensions of a vector
 * that has more than one, and "transposed" for a transposed matrix.
 */
#ifdef WINNOW_WITHOUT_ONNX
typedef int onnx_names_is_left_out;
#else

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "onnx/onnx_reader.h"

#define MAX_NAME_BYTES 1000 /* longer names are not stored, because they would enlarge every model folder */

static cJSON *entry_of(struct reader *r, int layer)
{
    cJSON *layers = cJSON_GetObjectItemCaseSensitive(r->names, "layers");
    if (!layers) layers = cJSON_AddObjectToObject(r->names, "layers");
    const char *name = r->net->layers[layer].name;
    /* The parts of a layer come one after another, so only the last entry must be checked. */
    cJSON *last = layers && layers->child ? layers->child->prev : NULL;
    if (last && strcmp(last->string, name) == 0) return last;
    cJSON *old = last ? cJSON_GetObjectItemCaseSensitive(layers, name) : NULL;
    return old ? old : cJSON_AddObjectToObject(layers, name);
}

static int put(struct reader *r, cJSON *entry, const char *key, const char *text)
{
    if (!text || !*text || strlen(text) > MAX_NAME_BYTES || !text_is_utf8(text, strlen(text))) return 0;
    cJSON_DeleteItemFromObjectCaseSensitive(entry, key);
    return cJSON_AddStringToObject(entry, key, text) ? 0
                                                     : error_set(r->err, EX_OSERR, "cannot allocate names");
}

int names_layer(struct reader *r, int layer, const char *node, const char *output)
{
    if (!r->names) return 0;
    cJSON *entry = entry_of(r, layer);
    return entry && !put(r, entry, "node", node) && !put(r, entry, "output", output)
               ? 0
               : error_set(r->err, EX_OSERR, "cannot allocate names");
}

int names_weight(struct reader *r, int layer, enum weight_role role, const char *name,
                 const struct constant *c, const char *how)
{
    static const char *const keys[] = {[WEIGHT_KERNEL] = "kernel",
                                       [WEIGHT_DEPTHWISE_KERNEL] = "kernel",
                                       [WEIGHT_BIAS] = "bias",
                                       [WEIGHT_GAMMA] = "gamma",
                                       [WEIGHT_BETA] = "beta",
                                       [WEIGHT_MOVING_MEAN] = "moving_mean",
                                       [WEIGHT_MOVING_VARIANCE] = "moving_variance"};
    if (!r->names) return 0;
    cJSON *entry = entry_of(r, layer);
    if (!entry || put(r, entry, keys[role], name))
        return error_set(r->err, EX_OSERR, "cannot allocate names");
    if (how) cJSON_AddTrueToObject(entry, how);
    bool vector = role != WEIGHT_KERNEL && role != WEIGHT_DEPTHWISE_KERNEL;
    if (vector && c->rank != 1) {
        double dims[ONNX_MAX_RANK];
        char key[40];
        for (int i = 0; i < c->rank; i++)
            dims[i] = (double)c->dim[i];
        snprintf(key, sizeof key, "%s_dims", keys[role]);
        cJSON_AddItemToObject(entry, key, cJSON_CreateDoubleArray(dims, c->rank));
    }
    return 0;
}

#endif
