/*
 * onnx_rename.c: gives tensors, nodes and weights of an exported network the names that they had in the ONNX
 * file from which it was read (recorded by onnx_names.c). Parts that the file does not have get names that it
 * does not use.
 */
#ifdef WINNOW_WITHOUT_ONNX
typedef int onnx_rename_is_left_out;
#else

#include "onnx/onnx_rename.h"

#include <cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash_index.h"
#include "net/net_parts.h"

struct pair {
    const char *from, *to;
};

struct renaming {
    struct graph *g;
    cJSON *names;
    const cJSON *layers;
    struct pair *pairs;
    size_t n_pairs, room;
    struct hash_index index;
};

static uint64_t hash_of(const char *name)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (const unsigned char *c = (const unsigned char *)name; *c; c++)
        h = (h ^ *c) * 0x100000001b3u;
    return h;
}

static const char *text_of(const cJSON *object, const char *key)
{
    const cJSON *v = net_json_get(object, key);
    return cJSON_IsString(v) && *v->valuestring ? v->valuestring : NULL;
}

static int open_names(struct renaming *r, const struct net *n, struct error *err)
{
    const char *text = n->metadata.onnx_json;
    if (text && net_json_parse(text, strlen(text), &r->names, err)) return -1;
    r->layers = net_json_get(r->names, "layers");
    return 0;
}

static const char *renamed(const struct renaming *r, const char *name)
{
    uint32_t i;
    if (!r->index.n_slots || !name) return NULL;
    for (struct hash_walk w = hash_walk(&r->index, hash_of(name)); hash_walk_next(&r->index, &w, &i);)
        if (strcmp(r->pairs[i].from, name) == 0) return r->pairs[i].to;
    return NULL;
}

static int add_pair(struct renaming *r, const char *from, const char *to)
{
    if (!from || !to || renamed(r, from)) return 0;
    if (mem_grow(&r->pairs, &r->room, r->n_pairs + 1, sizeof *r->pairs, r->g->err) ||
        hash_index_add(&r->index, hash_of(from), r->n_pairs, r->g->err))
        return -1;
    r->pairs[r->n_pairs++] = (struct pair){from, to};
    return 0;
}

static const char *key_of(enum weight_role role)
{
    static const char *const keys[] = {[WEIGHT_KERNEL] = "kernel",
                                       [WEIGHT_DEPTHWISE_KERNEL] = "kernel",
                                       [WEIGHT_BIAS] = "bias",
                                       [WEIGHT_GAMMA] = "gamma",
                                       [WEIGHT_BETA] = "beta",
                                       [WEIGHT_MOVING_MEAN] = "moving_mean",
                                       [WEIGHT_MOVING_VARIANCE] = "moving_variance"};
    return keys[role];
}

/* Collects the tensors that have another name in the file. */
static int collect(struct renaming *r)
{
    const struct net *n = r->g->net;
    for (int i = 0; i < n->n_layers; i++) {
        const struct net_layer *l = &n->layers[i];
        const cJSON *entry = net_json_get(r->layers, l->name);
        if (!cJSON_IsObject(entry)) continue;
        if (i != n->input && r->g->value[i] && strcmp(r->g->value[i], l->name) == 0 &&
            add_pair(r, l->name, text_of(entry, "output")))
            return -1;
        for (int w = 0; w < l->n_weights; w++)
            if (add_pair(r, l->weights[w].name, text_of(entry, key_of(l->weights[w].role)))) return -1;
    }
    return 0;
}

/* --- conflicts between winnow's names and those of the file --- */

struct taken {
    const char **names;
    size_t n, room;
    struct hash_index index;
};

static bool is_taken(const struct taken *t, const char *name)
{
    uint32_t i;
    if (!t->index.n_slots) return false;
    for (struct hash_walk w = hash_walk(&t->index, hash_of(name)); hash_walk_next(&t->index, &w, &i);)
        if (strcmp(t->names[i], name) == 0) return true;
    return false;
}

static int take_name(struct taken *t, const char *name, struct error *err)
{
    if (mem_grow(&t->names, &t->room, t->n + 1, sizeof *t->names, err) ||
        hash_index_add(&t->index, hash_of(name), t->n, err))
        return -1;
    t->names[t->n++] = name;
    return 0;
}

static void release_names(struct taken *t)
{
    hash_index_release(&t->index);
    free(t->names);
}

/* `name`, or the next of name_1, ... that is free. */
static const char *free_one(struct renaming *r, const struct taken *t, const char *name)
{
    const char *one = name;
    for (int k = 1; one && is_taken(t, one); k++)
        one = graph_name(r->g, "%s_%d", name, k);
    return one;
}

/*
 * Every tensor without a name in the file keeps its own name, or gets another one if the file uses that name.
 * A name that two layers share, such as that of a weight that is used twice, is used for the first.
 */
static int settle_tensors(struct renaming *r)
{
    struct graph *g = r->g;
    struct taken t = {0};
    int rc = take_name(&t, g->image, g->err);
    for (size_t i = 0; !rc && i < r->n_pairs; i++) {
        r->pairs[i].to = free_one(r, &t, r->pairs[i].to);
        rc = !r->pairs[i].to || take_name(&t, r->pairs[i].to, g->err) ? -1 : 0;
    }
    for (size_t i = 0; !rc && i < g->n_nodes + g->n_tensors; i++) {
        const char *own = i < g->n_nodes ? g->nodes[i]->output[0] : g->tensors[i - g->n_nodes]->name;
        const char *other = renamed(r, own) ? own : free_one(r, &t, own);
        if (!other)
            rc = -1;
        else if (strcmp(other, own) != 0)
            rc = add_pair(r, own, other) || take_name(&t, other, g->err) ? -1 : 0;
    }
    release_names(&t);
    return rc;
}

/* Does the same for the names of nodes. Nodes with `named` set have names from the file. */
static int settle_nodes(struct renaming *r, const bool *named)
{
    struct graph *g = r->g;
    struct taken t = {0};
    int rc = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; !rc && i < g->n_nodes; i++) {
            if (named[i] != (pass == 0)) continue;
            const char *one = free_one(r, &t, g->nodes[i]->name);
            g->nodes[i]->name = (char *)(uintptr_t)one;
            rc = !one || take_name(&t, one, g->err) ? -1 : 0;
        }
    release_names(&t);
    return rc;
}

static char *copied(struct renaming *r, const char *text) { return graph_name(r->g, "%s", text); }

static Onnx__TensorProto *tensor_called(struct graph *g, const char *name)
{
    for (size_t i = 0; i < g->n_tensors; i++)
        if (strcmp(g->tensors[i]->name, name) == 0) return g->tensors[i];
    return NULL;
}

/* Transposes a matrix to [out,in], and sets transB of its Gemm. */
static void transpose(struct renaming *r, const char *weight)
{
    struct graph *g = r->g;
    Onnx__TensorProto *t = tensor_called(g, weight);
    if (!t || t->n_dims != 2) return;
    size_t rows = (size_t)t->dims[0], columns = (size_t)t->dims[1];
    float *from = (float *)(void *)t->raw_data.data, *to = graph_take(g, t->raw_data.len);
    for (size_t i = 0; to && i < rows; i++)
        for (size_t k = 0; k < columns; k++)
            to[k * rows + i] = from[i * columns + k];
    if (!to) return;
    t->raw_data.data = (uint8_t *)to;
    t->dims[0] = (int64_t)columns;
    t->dims[1] = (int64_t)rows;
    for (size_t i = 0; i < g->n_nodes; i++)
        if (g->nodes[i]->n_input > 1 && strcmp(g->nodes[i]->input[1], weight) == 0)
            graph_int(g, g->nodes[i], "transB", 1);
}

/* Restores the dimensions of a vector, such as [C,1,1]. */
static void set_dims(struct renaming *r, const char *weight, const cJSON *list)
{
    Onnx__TensorProto *t = tensor_called(r->g, weight);
    int rank = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : -1, i = 0, dim;
    int64_t *dims = t && rank >= 0 && rank <= 8 ? graph_take(r->g, 9 * sizeof *dims) : NULL, count = 1;
    const cJSON *v;
    if (!dims) return;
    cJSON_ArrayForEach(v, list)
    {
        if (net_json_int(v, 1, NET_MAX_DIM, &dim)) return;
        dims[i++] = dim;
        count *= dim;
        if (count > NET_MAX_DIM) return;
    }
    if ((size_t)count * sizeof(float) != t->raw_data.len) return;
    t->dims = dims;
    t->n_dims = (size_t)rank;
}

static void give_forms(struct renaming *r, bool *named)
{
    const struct net *n = r->g->net;
    for (int i = 0; i < n->n_layers; i++) {
        const struct net_layer *l = &n->layers[i];
        const cJSON *entry = net_json_get(r->layers, l->name);
        if (!cJSON_IsObject(entry)) continue;
        if (l->kind == LAYER_DENSE && cJSON_IsTrue(net_json_get(entry, "transposed")))
            transpose(r, l->weights[0].name);
        for (int w = 0; w < l->n_weights; w++) {
            char key[40];
            snprintf(key, sizeof key, "%s_dims", key_of(l->weights[w].role));
            const cJSON *dims = net_json_get(entry, key);
            if (dims) set_dims(r, l->weights[w].name, dims);
        }
        if (text_of(entry, "node") && r->g->value[i])
            for (size_t k = 0; k < r->g->n_nodes; k++)
                if (!named[k] && strcmp(r->g->nodes[k]->output[0], r->g->value[i]) == 0) {
                    r->g->nodes[k]->name = copied(r, text_of(entry, "node"));
                    named[k] = true;
                }
    }
}

static void rename_all(struct renaming *r)
{
    struct graph *g = r->g;
    const char *to;
    for (size_t i = 0; i < g->n_nodes; i++) {
        Onnx__NodeProto *n = g->nodes[i];
        for (size_t k = 0; k < n->n_input; k++)
            if ((to = renamed(r, n->input[k]))) n->input[k] = copied(r, to);
        if ((to = renamed(r, n->output[0]))) n->output[0] = copied(r, to);
    }
    for (size_t i = 0; i < g->n_tensors; i++)
        if ((to = renamed(r, g->tensors[i]->name))) g->tensors[i]->name = copied(r, to);
}

static bool has_tensor(const struct graph *g, const char *name)
{
    for (size_t i = 0; i < g->n_nodes; i++)
        if (strcmp(g->nodes[i]->output[0], name) == 0) return true;
    return false;
}

/* The last node only names the output. Removes it if the layer before it has that name. */
static void drop_identity(struct renaming *r)
{
    struct graph *g = r->g;
    const char *output = text_of(r->names, "output");
    if (g->n_nodes < 2 || !output) return;
    const Onnx__NodeProto *last = g->nodes[g->n_nodes - 1];
    if (strcmp(last->op_type, "Identity") != 0) return;
    if (strcmp(last->input[0], output) == 0) {
        g->probs = copied(r, output);
        g->n_nodes--;
    } else if (net_json_get(r->layers, g->net->layers[g->net->output].name) && !has_tensor(g, output)) {
        g->probs = last->output[0] = copied(r, output);
    }
}

int graph_rename(struct graph *g)
{
    struct renaming r = {.g = g};
    bool *named = NULL;
    int rc = open_names(&r, g->net, g->err);
    if (!rc && r.layers) {
        named = mem_zalloc(g->n_nodes + 1, sizeof *named, g->err);
        rc = !named || collect(&r) || settle_tensors(&r) ? -1 : 0;
        if (!rc) give_forms(&r, named);
        rc = rc || settle_nodes(&r, named) ? -1 : 0;
        if (!rc) rename_all(&r);
        if (!rc) drop_identity(&r);
    }
    cJSON_Delete(r.names);
    free(named);
    free(r.pairs);
    hash_index_release(&r.index);
    return rc || g->failed ? -1 : 0;
}

const char *graph_input_name(struct graph *g, const char *missing)
{
    struct renaming r = {.g = g};
    const char *name = missing;
    if (open_names(&r, g->net, g->err))
        g->failed = true;
    else if (text_of(r.names, "input"))
        name = copied(&r, text_of(r.names, "input"));
    cJSON_Delete(r.names);
    return name;
}

bool onnx_was_nchw(const struct net *n)
{
    struct renaming r = {.g = NULL};
    struct error ignored = {0};
    const char *layout = open_names(&r, n, &ignored) ? NULL : text_of(r.names, "layout");
    bool nchw = layout && strcmp(layout, "NCHW") == 0;
    cJSON_Delete(r.names);
    return nchw;
}

#endif
