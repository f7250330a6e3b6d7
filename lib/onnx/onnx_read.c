/*
 * onnx_read.c: reads an ONNX file with one input (a picture) and one output as a network. Nodes that the
 * output needs are read in the order of the file; all others are ignored.
 */
#include "onnx/onnx.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_kind.h"
#include "base/text.h"
#include "io/io.h"

#ifdef WINNOW_WITHOUT_ONNX

int onnx_read(struct net *n, const char *path, const struct onnx_read_options *options, struct error *err)
{
    *n = NET_EMPTY;
    return error_set(err, EX_UNAVAILABLE,
                     "cannot read '%s': this build has no ONNX (libprotobuf-c-dev, protobuf-c-compiler and "
                     "libonnx-dev bring it)",
                     path);
}

bool onnx_was_nchw(const struct net *n) { return false; }

#else

#include <math.h>
#include <stdlib.h>

#include "base/number.h"
#include "onnx/onnx_reader.h"

#define MAX_NODES 200000
#define MAX_FILE_BYTES INT32_MAX /* the limit of protocol buffers */

/* --- the model --- */

static int check_model(struct reader *r)
{
    const Onnx__ModelProto *m = r->model;
    if (!m->graph) return reader_fail(r, "it has no graph");
    for (size_t i = 0; i < m->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *o = m->opset_import[i];
        if (o->domain && *o->domain && strcmp(o->domain, "ai.onnx") != 0) continue;
        if (o->version < ONNX_MIN_OPSET || o->version > ONNX_MAX_OPSET)
            return reader_fail(r, "operator set %lld: %d to %d are read: export it again",
                               (long long)o->version, ONNX_MIN_OPSET, ONNX_MAX_OPSET);
        r->opset = (int)o->version;
    }
    if (m->n_opset_import == 0) return reader_fail(r, "it names no operator set");
    /* all operators belong to other operator sets, and are refused later */
    if (!r->opset) r->opset = ONNX_MIN_OPSET;
    if (m->graph->n_node > MAX_NODES) return reader_fail(r, "more than %d nodes", MAX_NODES);
    for (size_t i = 0; i < m->graph->n_node; i++) {
        r->node = m->graph->node[i];
        if (!r->node->op_type) return reader_fail(r, "is of no operator");
    }
    r->node = NULL;
    return 0;
}

static int add_initializers(struct reader *r)
{
    const Onnx__GraphProto *g = r->model->graph;
    for (size_t i = 0; i < g->n_initializer; i++) {
        struct value *v = value_define(r, g->initializer[i]->name ? g->initializer[i]->name : "");
        if (!v) return -1;
        v->tensor = g->initializer[i];
        v->origin = v->name;
    }
    return 0;
}

/* --- the ends --- */

static int note_use(struct reader *r, const char *name)
{
    struct value *v = value_find(r, name);
    if (!v) {
        if (!(v = value_define(r, name))) return -1;
        v->known = false;
    }
    v->uses++;
    return 0;
}

static const Onnx__TensorShapeProto *shape_of(const Onnx__ValueInfoProto *v)
{
    return v->type && v->type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE && v->type->tensor_type
               ? v->type->tensor_type->shape
               : NULL;
}

static int64_t dim_of(const Onnx__TensorShapeProto *s, size_t i)
{
    const Onnx__TensorShapeProto__Dimension *d = s->dim[i];
    return d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE ? d->dim_value : -1;
}

/* Sets *out to the height or width in the file, or else to the one that the caller wants. */
static int side_of(struct reader *r, int64_t own, int wanted, int *out)
{
    if (own > NET_MAX_DIM || own == 0) return reader_fail(r, "its input has a side of %lld", (long long)own);
    *out = own > 0 ? (int)own : wanted > 0 ? wanted : -1;
    if (own > 0 && wanted > 0 && own != wanted)
        return reader_fail(r, "the network takes pictures of %lld pixels, not %d", (long long)own, wanted);
    return 0;
}

static int add_vector_input(struct reader *r, const char *name, int64_t batch, int64_t n)
{
    struct net_layer *l =
        n > 0 && n <= NET_MAX_DIM ? net_add_layer(r->net, LAYER_INPUT, "input", r->err) : NULL;
    struct value *v = l ? value_define(r, name) : NULL;
    if (!v) return l ? -1 : reader_fail(r, "its input has an unusable size");
    l->output = (struct net_shape){1, {(int)n}};
    r->batch = batch > 0 ? batch : SIZE_BATCH;
    v->rank = 2;
    v->c_axis = 1;
    return 0;
}

static int add_input(struct reader *r)
{
    const Onnx__GraphProto *g = r->model->graph;
    const Onnx__ValueInfoProto *input = NULL;
    char name[NET_MAX_NAME_BYTES - 15];
    for (size_t i = 0; i < g->n_input; i++) {
        struct value *v = g->input[i]->name ? value_find(r, g->input[i]->name) : NULL;
        if (v && v->known) continue; /* an initializer, as old files list them */
        if (input) return reader_fail(r, "it has several inputs; only networks of one picture are supported");
        input = g->input[i];
    }
    const Onnx__TensorShapeProto *s = input && input->name ? shape_of(input) : NULL;
    bool any = r->options->any_input;
    if (any && s && s->n_dim == 2) return add_vector_input(r, input->name, dim_of(s, 0), dim_of(s, 1));
    if (!s || s->n_dim != 4) return reader_fail(r, "its input is not a batch of pictures (four dimensions)");
    int32_t type = input->type->tensor_type->elem_type;
    if (type != 1 && type != 2 && type != 10)
        return reader_fail(r, "its input has numbers of type %d, and pictures are float or uint8", type);
    bool nchw = any || dim_of(s, 1) == 3 || (dim_of(s, 1) < 0 && dim_of(s, 3) != 3);
    int64_t channels = dim_of(s, nchw ? 1 : 3);
    if (any ? channels < 1 || channels > NET_MAX_DIM : channels != 3 && channels >= 0)
        return reader_fail(r, "its input has %lld and %lld channels: only pictures of three are supported",
                           (long long)dim_of(s, 1), (long long)dim_of(s, 3));
    int64_t batch = dim_of(s, 0);
    r->batch = batch > 0 ? batch : SIZE_BATCH;
    snprintf(name, sizeof name, "%s", input->name);
    for (size_t i = 0; reader_is_own_file(r) && i < g->n_node;
         i++) { /* the layer's name is the first Transpose's */
        const Onnx__NodeProto *n = g->node[i];
        if (n->n_input == 1 && strcmp(n->input[0], input->name) == 0 && n->name &&
            text_ends(n->name, "/nchw"))
            snprintf(name, sizeof name, "%.*s", (int)(strlen(n->name) - strlen("/nchw")), n->name);
    }
    for (char *c = name; *c; c++)
        if (*c == '/') *c = '_';
    if (!text_is_utf8(name, strlen(name)) || !layer_name_ok(name)) snprintf(name, sizeof name, "input");
    struct net_layer *l = net_add_layer(r->net, LAYER_INPUT, name, r->err);
    if (!l) return -1;
    l->trainable = false;
    l->output = (struct net_shape){3, {0, 0, any ? (int)channels : 3}};
    if (side_of(r, dim_of(s, nchw ? 2 : 1), r->options->height, &l->output.dim[0]) ||
        side_of(r, dim_of(s, nchw ? 3 : 2), r->options->width, &l->output.dim[1]))
        return -1;
    struct value *v = value_define(r, input->name);
    if (!v) return -1;
    v->layer = 0;
    v->rank = 4;
    v->c_axis = nchw ? 1 : 3;
    if (r->names) cJSON_AddStringToObject(r->names, "input", input->name);
    if (r->names) cJSON_AddStringToObject(r->names, "layout", nchw ? "NCHW" : "NHWC");
    return 0;
}

/* Returns the output. If there are several, it is the only one that is a vector for each picture. */
static const char *find_output(struct reader *r)
{
    const Onnx__GraphProto *g = r->model->graph;
    const Onnx__ValueInfoProto *found = NULL;
    int n_lists = 0;
    for (size_t i = 0; i < g->n_output; i++) {
        const Onnx__TensorShapeProto *s = shape_of(g->output[i]);
        if (g->n_output == 1 || (s && s->n_dim == 2)) {
            found = g->output[i];
            n_lists++;
        }
    }
    if (n_lists == 1 && found->name) return found->name;
    reader_fail(r, "it has %zu outputs, and not one list of classes (a detector?)", g->n_output);
    return NULL;
}

/* --- the nodes --- */

static int mark_needed(struct reader *r, const char *output, bool *needed)
{
    const Onnx__GraphProto *g = r->model->graph;
    if (note_use(r, output)) return -1;
    for (size_t i = g->n_node; i-- > 0;) {
        const Onnx__NodeProto *n = g->node[i];
        for (size_t k = 0; k < n->n_output; k++) {
            struct value *v = n->output[k] && *n->output[k] ? value_find(r, n->output[k]) : NULL;
            needed[i] |= v && v->uses > 0;
        }
        for (size_t k = 0; needed[i] && k < n->n_input; k++)
            if (n->input[k] && *n->input[k] && note_use(r, n->input[k])) return -1;
    }
    return 0;
}

static int read_one(struct reader *r)
{
    const Onnx__NodeProto *n = r->node;
    struct constant *c = NULL;
    const char *origin = NULL;
    char shown[96];
    for (size_t k = 0; k < n->n_input; k++) {
        if (!n->input[k] || !*n->input[k]) continue;
        struct value *v = value_find(r, n->input[k]);
        if (!v || !v->known)
            return reader_fail(r,
                               "its input '%s' comes from no node before it (a cycle, or nodes out of order)",
                               text_for_people(shown, sizeof shown, n->input[k]));
    }
    int folded = n->domain && *n->domain && strcmp(n->domain, "ai.onnx") != 0 ? 0 : fold_node(r, &c, &origin);
    if (folded < 0) return -1;
    if (folded == 0) return read_node(r);
    struct value *v = node_output(r);
    if (!v) return -1;
    v->constant = c;
    v->origin = origin;
    return 0;
}

static int read_nodes(struct reader *r, const bool *needed)
{
    const Onnx__GraphProto *g = r->model->graph;
    /* report unsupported operators before errors that follow from them */
    for (size_t i = 0; i < g->n_node; i++) {
        r->node = g->node[i];
        if (needed[i] && check_operator(r)) return -1;
    }
    for (size_t i = 0; i < g->n_node; i++) {
        if (!needed[i]) continue;
        r->node = g->node[i];
        if (read_one(r)) return -1;
    }
    r->node = NULL;
    return 0;
}

static int take_output(struct reader *r, const char *name)
{
    struct value *v = value_find(r, name);
    if (!v || !value_is_layer(v) || v->form) return reader_fail(r, "its output comes from no layer");
    bool list = value_is_vector(r, v) && !v->chw, map = v->rank == 4 && !list;
    if (!list && !map) return reader_fail(r, "its output is neither a list of classes nor a feature map");
    int layer = list && r->net->layers[v->layer].output.rank == 1 ? v->layer
                : list && v->rank == 2                            ? layer_as_vector(r, v)
                                                                  : layer_as_map(r, v);
    if (layer < 0) return -1;
    if (r->names) cJSON_AddStringToObject(r->names, "output", name);
    r->net->output = layer;
    return net_keep_before(r->net, layer, r->err);
}

/* --- metadata --- */

static const char *property_of(const struct reader *r, const char *key)
{
    for (size_t i = 0; i < r->model->n_metadata_props; i++) {
        const Onnx__StringStringEntryProto *e = r->model->metadata_props[i];
        if (e->key && e->value && strcmp(e->key, key) == 0) return e->value;
    }
    return NULL;
}

/* Reads the metadata of winnow's own writer, which have the form of a model folder's metadata. */
static int own_metadata(struct reader *r)
{
    static const char *const numbers[] = {"scale", "offset"};
    cJSON *object = cJSON_CreateObject(), *input = cJSON_AddObjectToObject(object, "input"), *classes = NULL;
    cJSON *decisions = NULL;
    const char *text = property_of(r, "classes");
    struct error ignored = {0};
    double number;
    char key[32];
    if (text && !net_json_parse(text, strlen(text), &classes, &ignored))
        cJSON_AddItemToObject(object, "classes", classes);
    for (int i = 0; i < 2; i++) {
        snprintf(key, sizeof key, "input_%s", numbers[i]);
        if ((text = property_of(r, key)) && parse_number(text, &number))
            cJSON_AddNumberToObject(input, numbers[i], number);
    }
    if ((text = property_of(r, "input_resize"))) cJSON_AddStringToObject(input, "resize", text);
    if ((text = property_of(r, "temperature")) && parse_number(text, &number))
        cJSON_AddNumberToObject(object, "temperature", number);
    if ((text = property_of(r, "decisions")) && !net_json_parse(text, strlen(text), &decisions, &ignored))
        cJSON_AddItemToObject(object, "decisions", decisions);
    if ((text = property_of(r, "model_id"))) cJSON_AddStringToObject(object, "model_id", text);
    int rc = net_read_metadata(&r->net->metadata, object, r->err);
    cJSON_Delete(object);
    return rc;
}

static int keep_names(struct reader *r)
{
    char *text = cJSON_PrintUnformatted(r->names);
    r->net->metadata.onnx_json = text ? mem_strdup(text, r->err) : NULL;
    cJSON_free(text);
    return r->net->metadata.onnx_json ? 0 : error_set(r->err, EX_OSERR, "cannot allocate names");
}

/* --- all of it --- */

static int read_graph(struct reader *r)
{
    const char *output;
    const Onnx__GraphProto *g = r->model->graph;
    bool *needed = mem_zalloc(g->n_node + 1, sizeof *needed, r->err);
    int rc = -1;
    if (!needed || add_initializers(r) || add_input(r) || !(output = find_output(r)) ||
        mark_needed(r, output, needed) || read_nodes(r, needed) || take_output(r, output))
        goto out;
    const char *name = g->name && *g->name && text_is_utf8(g->name, strlen(g->name)) && layer_name_ok(g->name)
                           ? g->name
                           : "model";
    if (!(r->net->name = mem_strdup(name, r->err)) || net_check_complete(r->net, r->err)) goto out;
    net_metadata_defaults(&r->net->metadata);
    if (!reader_is_own_file(r)) net_guess_input(r->net, false);
    rc = reader_is_own_file(r) ? own_metadata(r) : r->names ? keep_names(r) : 0;
out:
    free(needed);
    return rc;
}

static int read_bytes(struct reader *r, const char *bytes, size_t n_bytes)
{
    const unsigned char *at = (const unsigned char *)bytes;
    if (onnx_scan(at, n_bytes, r->err)) return -1;
    if (!(r->model = onnx__model_proto__unpack(NULL, n_bytes, at)))
        return error_set(r->err, EX_DATAERR, "not an ONNX file, or a damaged one");
    if (check_model(r)) return -1;
    if (!reader_is_own_file(r) && !(r->names = cJSON_CreateObject()))
        return error_set(r->err, EX_OSERR, "cannot allocate names");
    return read_graph(r);
}

int onnx_read(struct net *n, const char *path, const struct onnx_read_options *options, struct error *err)
{
    struct reader r = {.err = err, .path = path, .options = options, .net = n, .arena = ARENA_EMPTY};
    char *bytes = NULL;
    size_t n_bytes = 0;
    *n = NET_EMPTY;
    int rc = io_read_file(path, MAX_FILE_BYTES, &bytes, &n_bytes, err) ? -1 : read_bytes(&r, bytes, n_bytes);
    free(bytes);
    if (r.model) onnx__model_proto__free_unpacked(r.model, NULL);
    arena_release(&r.arena);
    hash_index_release(&r.index);
    free(r.values);
    free(r.as_map);
    free(r.as_vector);
    cJSON_Delete(r.names);
    if (!rc) return 0;
    net_release(n);
    return error_prefix(err, "'%s'", path);
}

#endif

bool onnx_is_file(const char *path)
{
    unsigned char first[FILE_KIND_BYTES];
    struct error ignored = {0};
    struct stat st;
    if (text_ends(path, ".onnx") || text_ends(path, ".ONNX")) return stat(path, &st) || S_ISREG(st.st_mode);
    if (stat(path, &st) || !S_ISREG(st.st_mode)) return false;
    int fd = io_open_read(path, &ignored);
    if (fd < 0) return false;
    ssize_t got = io_read_some(fd, first, sizeof first, path, &ignored);
    close(fd);
    const struct file_kind *kind = got > 0 ? file_kind_of(first, (size_t)got) : NULL;
    return kind && strcmp(kind->name, "an ONNX model") == 0;
}

int onnx_open_model(struct net *n, const char *path, int side_px, bool header_only, struct error *err)
{
    struct onnx_read_options options = {.height = side_px, .width = side_px};
    if (onnx_is_file(path)) return onnx_read(n, path, &options, err);
    return header_only ? net_open_header(n, path, err) : net_open(n, path, err);
}
