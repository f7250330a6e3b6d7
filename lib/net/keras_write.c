/*
 * keras_write.c: writes a .keras of Keras 3: config.json with the model, and the weights by path. Keras
 * numbers the layers of each class in the order of its own list, which is sorted by depth, so the layers are
 * first brought into that order.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/text.h"
#include "io/io.h"
#include "net/build.h"
#include "net/net_parts.h"

#define KERAS_VERSION "3.15.1" /* the version with which this was tested */

/* --- settings --- */

static cJSON *object_of(const char *module, const char *class_name, cJSON *config)
{
    cJSON *v = cJSON_CreateObject();
    cJSON_AddStringToObject(v, "module", module);
    cJSON_AddStringToObject(v, "class_name", class_name);
    cJSON_AddItemToObject(v, "config", config ? config : cJSON_CreateObject());
    cJSON_AddNullToObject(v, "registered_name");
    return v;
}

/* Adds the modules, which the objects of Keras 2 do not have. */
static void say_modules(cJSON *config)
{
    for (cJSON *v = config->child; v; v = v->next) {
        bool initializer = strstr(v->string, "_initializer") != NULL;
        if (!cJSON_IsObject(v) || (!initializer && !strstr(v->string, "_regularizer"))) continue;
        cJSON_AddStringToObject(v, "module", initializer ? "keras.initializers" : "keras.regularizers");
        cJSON_AddNullToObject(v, "registered_name");
    }
}

/* Writes a scale with frozen numbers for each channel as Keras' Rescaling with lists. */
static void scale_config(const struct net_layer *l, cJSON *c)
{
    static const char *const keys[] = {"scale", "offset"};
    while (c->child)
        cJSON_DeleteItemFromObjectCaseSensitive(c, c->child->string);
    for (int k = 0; k < 2; k++) {
        const struct net_weight *w = NULL;
        for (int j = 0; j < l->n_weights; j++)
            if (l->weights[j].role == (k ? WEIGHT_BETA : WEIGHT_GAMMA)) w = &l->weights[j];
        cJSON *list = w && w->n_values > 1 ? cJSON_AddArrayToObject(c, keys[k]) : NULL;
        if (!list) cJSON_AddNumberToObject(c, keys[k], w ? (double)w->values[0] : k ? 0 : 1);
        for (size_t i = 0; list && i < w->n_values; i++)
            cJSON_AddItemToArray(list, cJSON_CreateNumber((double)w->values[i]));
    }
}

static const char *class_of(const struct net_layer *l)
{
    if (l->kind == LAYER_SCALE) return "Rescaling";
    if (l->kind == LAYER_CLIP) return "Clip";
    return net_layer_class(l);
}

static cJSON *config_of(const struct net_layer *l, const char *name, struct error *err)
{
    cJSON *c = cJSON_CreateObject(), *shape;
    net_layer_config(l, c);
    if (l->kind == LAYER_SCALE) scale_config(l, c);
    if (l->kind == LAYER_CLIP) { /* an operation */
        cJSON *clip = cJSON_CreateObject();
        cJSON_AddStringToObject(clip, "name", name);
        cJSON_AddNumberToObject(clip, "x_min", (double)l->clip_min);
        cJSON_AddNumberToObject(clip, "x_max", (double)l->clip_max);
        cJSON_Delete(c);
        return clip;
    }
    if (l->kind == LAYER_INPUT) {
        shape = cJSON_DetachItemFromObjectCaseSensitive(c, "batch_input_shape");
        cJSON_AddItemToObject(c, "batch_shape", shape);
    } else {
        cJSON *policy = cJSON_CreateObject();
        cJSON_AddStringToObject(policy, "name", "float32");
        cJSON_AddBoolToObject(c, "trainable", l->trainable && l->kind != LAYER_SCALE);
        cJSON_AddItemToObject(c, "dtype", object_of("keras", "DTypePolicy", policy));
    }
    if (strcmp(class_of(l), "LeakyReLU") == 0)
        cJSON_AddItemToObject(c, "negative_slope", cJSON_DetachItemFromObjectCaseSensitive(c, "alpha"));
    if (strcmp(class_of(l), "Activation") == 0) {
        const char *activation = net_activation_name(l->activation, l->alpha, true);
        cJSON_DeleteItemFromObjectCaseSensitive(c, "activation");
        if (!activation) {
            error_set(err, EX_DATAERR, "layer '%s': Keras 3 has no name for its activation", l->name);
            cJSON_Delete(c);
            return NULL;
        }
        cJSON_AddStringToObject(c, "activation", activation);
    }
    cJSON_AddStringToObject(c, "name", name);
    say_modules(c);
    return c;
}

/* --- the graph --- */

static cJSON *batch_shape(const struct net_shape *s)
{
    cJSON *list = cJSON_CreateArray();
    cJSON_AddItemToArray(list, cJSON_CreateNull());
    for (int i = 0; i < s->rank; i++)
        cJSON_AddItemToArray(list, s->dim[i] < 0 ? cJSON_CreateNull() : cJSON_CreateNumber(s->dim[i]));
    return list;
}

static cJSON *history(const char *name)
{
    cJSON *v = cJSON_CreateArray();
    cJSON_AddItemToArray(v, cJSON_CreateString(name));
    cJSON_AddItemToArray(v, cJSON_CreateNumber(0));
    cJSON_AddItemToArray(v, cJSON_CreateNumber(0));
    return v;
}

static cJSON *tensor_of(const struct net_layer *l, const char *name)
{
    cJSON *v = cJSON_CreateObject(), *config;
    cJSON_AddStringToObject(v, "class_name", "__keras_tensor__");
    config = cJSON_AddObjectToObject(v, "config");
    cJSON_AddItemToObject(config, "shape", batch_shape(&l->output));
    cJSON_AddStringToObject(config, "dtype", "float32");
    cJSON_AddItemToObject(config, "keras_history", history(name));
    return v;
}

static cJSON *layer_of(const struct net *n, int at, const char *const *names, struct error *err)
{
    const struct net_layer *l = &n->layers[at];
    bool operation = l->kind == LAYER_CLIP,
         many = l->kind == LAYER_ADD || l->kind == LAYER_CONCATENATE || l->kind == LAYER_MULTIPLY;
    cJSON *config = config_of(l, names[at], err);
    if (!config) return NULL;
    cJSON *v = object_of(operation ? "keras.src.ops.numpy" : "keras.layers", class_of(l), config);
    if (operation) {
        cJSON_DeleteItemFromObjectCaseSensitive(v, "registered_name");
        cJSON_AddStringToObject(v, "registered_name", class_of(l));
    }
    cJSON_AddStringToObject(v, "name", names[at]);
    cJSON *nodes = cJSON_AddArrayToObject(v, "inbound_nodes");
    if (l->n_inputs == 0) return v;
    cJSON *node = cJSON_CreateObject(), *args = cJSON_AddArrayToObject(node, "args"), *list = args;
    if (many) cJSON_AddItemToArray(args, list = cJSON_CreateArray());
    for (int k = 0; k < l->n_inputs; k++)
        cJSON_AddItemToArray(list, tensor_of(&n->layers[l->inputs[k]], names[l->inputs[k]]));
    cJSON_AddObjectToObject(node, "kwargs");
    cJSON_AddItemToArray(nodes, node);
    return v;
}

static cJSON *model_of(const struct net *n, const char *const *names, struct error *err)
{
    cJSON *config = cJSON_CreateObject(),
          *model = object_of("keras.src.models.functional", "Functional", config);
    cJSON_DeleteItemFromObjectCaseSensitive(model, "registered_name");
    cJSON_AddStringToObject(model, "registered_name", "Functional");
    cJSON_AddStringToObject(config, "name", n->name && !strchr(n->name, '/') ? n->name : "model");
    cJSON_AddTrueToObject(config, "trainable");
    cJSON *layers = cJSON_AddArrayToObject(config, "layers");
    for (int i = 0; i < n->n_layers; i++) {
        cJSON *v = layer_of(n, i, names, err);
        if (!v) {
            cJSON_Delete(model);
            return NULL;
        }
        cJSON_AddItemToArray(layers, v);
    }
    cJSON_AddItemToObject(config, "input_layers", history(names[n->input]));
    cJSON_AddItemToObject(config, "output_layers", history(names[n->output]));
    cJSON *built = cJSON_AddObjectToObject(model, "build_config");
    cJSON_AddNullToObject(built, "input_shape");
    cJSON_AddObjectToObject(model, "compile_config");
    if (cJSON_GetArraySize(layers) == n->n_layers &&
        cJSON_GetObjectItemCaseSensitive(model, "compile_config"))
        return model;
    cJSON_Delete(model);
    error_set(err, EX_OSERR, "cannot allocate the model's description");
    return NULL;
}

/* --- the archive --- */

static void put16(unsigned char *p, unsigned v)
{
    p[0] = (unsigned char)v;
    p[1] = (unsigned char)(v >> 8);
}

static void put32(unsigned char *p, uint64_t v)
{
    put16(p, (unsigned)(v & 0xffff));
    put16(p + 2, (unsigned)(v >> 16 & 0xffff));
}

struct archive {
    struct text bytes, directory;
    unsigned n_members;
};

/* Members are stored without compression, with the date 1 January 1980, as Keras does. */
static int add_member(struct archive *a, const char *name, const void *bytes, size_t n, struct error *err)
{
    unsigned char h[30] = {'P', 'K', 3, 4, 20}, e[46] = {'P', 'K', 1, 2, 20, 3, 20};
    uLong crc = crc32(0, NULL, 0);
    for (size_t at = 0; at < n; at += 1u << 30)
        crc = crc32(crc, (const unsigned char *)bytes + at, (uInt)(n - at < 1u << 30 ? n - at : 1u << 30));
    if (n > UINT32_MAX - 65536 || a->bytes.n_bytes > UINT32_MAX - 65536)
        return error_set(err, EX_DATAERR, "the model is larger than a .keras of 4 GiB");
    put16(h + 12, 1 << 5 | 1); /* the date; month and day count from 1 */
    put32(h + 14, crc);
    put32(h + 18, n);
    put32(h + 22, n);
    put16(h + 26, (unsigned)strlen(name));
    memcpy(e + 12, h + 10, 16); /* time, date, CRC, sizes */
    put16(e + 28, (unsigned)strlen(name));
    put32(e + 38, 0600u << 16);
    put32(e + 42, a->bytes.n_bytes);
    a->n_members++;
    return text_add(&a->directory, e, sizeof e, err) || text_puts(&a->directory, name, err) ||
                   text_add(&a->bytes, h, sizeof h, err) || text_puts(&a->bytes, name, err) ||
                   text_add(&a->bytes, bytes, n, err)
               ? -1
               : 0;
}

static int add_json(struct archive *a, const char *name, cJSON *json, struct error *err)
{
    char *text = json ? cJSON_PrintUnformatted(json) : NULL;
    int rc = text ? add_member(a, name, text, strlen(text), err) : -1;
    if (json && !text) error_set(err, EX_OSERR, "cannot allocate the text of '%s'", name);
    cJSON_free(text);
    cJSON_Delete(json);
    return rc;
}

static int close_archive(struct archive *a, struct error *err)
{
    unsigned char end[22] = {'P', 'K', 5, 6};
    put16(end + 8, a->n_members);
    put16(end + 10, a->n_members);
    put32(end + 12, a->directory.n_bytes);
    put32(end + 16, a->bytes.n_bytes);
    return text_add(&a->bytes, a->directory.data, a->directory.n_bytes, err) ||
                   text_add(&a->bytes, end, sizeof end, err)
               ? -1
               : 0;
}

static cJSON *about(const struct net *n, struct error *err)
{
    char id[33];
    cJSON *v = net_hash(n, id, err) ? NULL : net_write_metadata(n, id, err);
    if (!v) return NULL;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "keras_version", KERAS_VERSION);
    cJSON_AddStringToObject(object, "date_saved", "1980-01-01@00:00:00");
    cJSON_AddItemToObject(object, "winnow", v);
    return object;
}

/* --- names and places --- */

/* Sets names to names without '/', which Keras 3 refuses, and paths to the path of each layer. The caller
 * owns both. */
static int name_layers(const struct net *n, char **names, char **paths, struct error *err)
{
    for (int i = 0; i < n->n_layers; i++) {
        const struct net_layer *l = &n->layers[i];
        struct text path = TEXT_EMPTY;
        char snake[128];
        int before = 0;
        if (net_is_padded_pool(l) && l->kind != LAYER_ZERO_PADDING)
            return error_set(err, EX_DATAERR,
                             "layer '%s' is a pool that pads as ONNX does, which Keras lacks", l->name);
        if (!(names[i] = mem_strdup(l->name, err))) return -1;
        for (char *c = names[i]; (c = strchr(c, '/'));)
            *c = '_';
        if (l->kind == LAYER_CLIP) continue;
        net_snake_case(class_of(l), snake, sizeof snake);
        for (int k = 0; k < i; k++)
            before += n->layers[k].kind != LAYER_CLIP && strcmp(class_of(&n->layers[k]), class_of(l)) == 0;
        if (before ? text_printf(&path, err, "layers/%s_%d", snake, before)
                   : text_printf(&path, err, "layers/%s", snake))
            return -1;
        paths[i] = path.data;
    }
    return 0;
}

static int make_archive(const struct net *n, struct archive *a, struct error *err)
{
    char **names = mem_zalloc((size_t)n->n_layers, sizeof *names, err), *weights = NULL;
    char **paths = names ? mem_zalloc((size_t)n->n_layers, sizeof *paths, err) : NULL;
    size_t n_weights;
    int rc = -1;
    if (paths && !name_layers(n, names, paths, err) && !add_json(a, "metadata.json", about(n, err), err) &&
        !add_json(a, "config.json", model_of(n, (const char *const *)names, err), err) &&
        !net_h5_store(n, paths, (const char *const *)names, &weights, &n_weights, err) &&
        !add_member(a, "model.weights.h5", weights, n_weights, err))
        rc = close_archive(a, err);
    for (int i = 0; paths && i < n->n_layers; i++) {
        free(names[i]);
        free(paths[i]);
    }
    free(names);
    free(paths);
    free(weights);
    return rc;
}

int net_write_keras(const struct net *n, const char *path, struct error *err)
{
    struct archive a = {TEXT_EMPTY, TEXT_EMPTY, 0};
    struct net sorted;
    if (net_copy(&sorted, n, err)) return -1;
    int rc = net_keep_before(&sorted, sorted.output, err) || net_sort_keras_order(&sorted, err) ||
                     net_infer_shapes(&sorted, 0, 0, err) || make_archive(&sorted, &a, err) ||
                     io_mkdirs_for(path, err) || atomic_file_write(path, a.bytes.data, a.bytes.n_bytes, err)
                 ? -1
                 : 0;
    net_release(&sorted);
    text_release(&a.bytes);
    text_release(&a.directory);
    return rc ? error_prefix(err, "'%s'", path) : 0;
}
