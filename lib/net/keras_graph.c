/*
 * keras_graph.c: reads Keras' models, from TFJS model.json, .h5 and .keras, into struct net. A layer of a
 * model may itself be a model, which is replaced by its layers. A layer may be called several times; each
 * call becomes separate layers with the same weights. Whatever winnow cannot compute exactly is an error that
 * names the layer, never a guess. (tfjs itself loops for ever on a file with a wrong inbound name.)
 */
#include "net/keras_graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "base/text.h"

/* One entry of a model's list of layers. */
struct item {
    const char *name, *class_name;
    const cJSON *config, *nodes;
    char *path;               /* path of its weights in a .keras; owned */
    struct keras_value *outs; /* result of each call; its layer is -1 until the call was made */
    int n_calls, n_done;
    bool is_model, is_operation;
    bool from_one;              /* Keras 2 counts the calls of a model from 1 */
    int first_layer, end_layer; /* the layers that its first call made */
};

struct scope {
    struct keras_reader *r;
    struct item *items;
    int n;
    struct keras_names names;
    const char *prefix, *top, *model; /* of the model; "" and NULL for the outermost */
    bool trainable;
};

/* --- names --- */

int keras_names_find(const struct keras_names *x, const char *name, size_t *where)
{
    size_t low = 0, high = x->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int c = strcmp(x->items[mid].name, name);
        if (c == 0) {
            *where = mid;
            return x->items[mid].at;
        }
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *where = low;
    return -1;
}

int keras_names_add(struct keras_names *x, const char *name, int at, struct error *err)
{
    size_t where;
    (void)keras_names_find(x, name, &where);
    if (mem_grow(&x->items, &x->room, x->n + 1, sizeof *x->items, err)) return -1;
    memmove(&x->items[where + 1], &x->items[where], (x->n - where) * sizeof *x->items);
    x->items[where] = (struct keras_name){name, at};
    x->n++;
    return 0;
}

void net_snake_case(const char *name, char *out, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; name[i] && n + 2 < room; i++) {
        bool upper = name[i] >= 'A' && name[i] <= 'Z';
        bool before_lower = name[i + 1] >= 'a' && name[i + 1] <= 'z';
        bool after_lower = i > 0 && name[i - 1] >= 'a' && name[i - 1] <= 'z';
        if (upper && i > 0 && (before_lower || after_lower)) out[n++] = '_';
        out[n++] = upper ? (char)(name[i] + ('a' - 'A')) : name[i];
    }
    out[n] = 0;
}

/* --- a model's list --- */

static bool is_model_class(const char *class_name, const cJSON *config)
{
    return (strcmp(class_name, "Functional") == 0 || strcmp(class_name, "Model") == 0 ||
            strcmp(class_name, "Sequential") == 0) &&
           (cJSON_IsArray(config) || net_json_get(config, "layers"));
}

/* Sets the path of an item: "layers/" and its class, with _1, _2 ... for further items of that class. counts:
 * the numbers of earlier items of each class. */
static int set_path(struct scope *s, int at, struct error *err)
{
    char snake[NET_MAX_NAME_BYTES + 64];
    struct text path = TEXT_EMPTY;
    int before = 0;
    struct item *x = &s->items[at];
    net_snake_case(x->class_name, snake, sizeof snake);
    for (int i = 0; i < at; i++)
        before += !s->items[i].is_operation && strcmp(s->items[i].class_name, x->class_name) == 0;
    int rc = before ? text_printf(&path, err, "%slayers/%s_%d", s->prefix, snake, before)
                    : text_printf(&path, err, "%slayers/%s", s->prefix, snake);
    x->path = path.data;
    return rc;
}

static int add_item(struct scope *s, const cJSON *spec, bool chain, struct error *err)
{
    struct item *x = &s->items[s->n];
    size_t where;
    char shown[64];
    *x = (struct item){.config = net_json_get(spec, "config"),
                       .class_name = config_string(spec, "class_name"),
                       .name = config_string(spec, "name"),
                       .nodes = net_json_get(spec, "inbound_nodes")};
    if (!x->name) x->name = config_string(x->config, "name");
    if (!x->name || !layer_name_ok(x->name))
        return error_set(err, EX_DATAERR, "layer number %d has no usable name", s->n + 1);
    bool list = cJSON_IsArray(x->config); /* an old Sequential's layers */
    if (!x->class_name || (!cJSON_IsObject(x->config) && !list)) {
        error_set(err, EX_DATAERR, "has no class_name or config");
        goto fail;
    }
    if (keras_names_find(&s->names, x->name, &where) >= 0) {
        error_set(err, EX_DATAERR, "occurs twice");
        goto fail;
    }
    if (keras_names_add(&s->names, x->name, s->n, err)) return -1;
    x->is_model = is_model_class(x->class_name, x->config);
    x->is_operation = keras_is_operation(spec);
    if (!x->is_operation && set_path(s, s->n, err)) return -1;
    bool input = strcmp(x->class_name, "InputLayer") == 0;
    if (chain || input)
        x->n_calls = 1;
    else if (x->nodes && !cJSON_IsArray(x->nodes)) {
        config_wrong(err, "inbound_nodes", "must be a list");
        goto fail;
    } else
        x->n_calls = x->nodes ? cJSON_GetArraySize(x->nodes) : 0;
    if (input && x->nodes && cJSON_GetArraySize(x->nodes) > 0) {
        config_wrong(err, "inbound_nodes", "of an input layer must be empty");
        goto fail;
    }
    if (x->n_calls < 1) {
        error_set(err, EX_DATAERR, "has no inbound_nodes (0)");
        goto fail;
    }
    if (x->n_calls > NET_MAX_LAYERS || !(x->outs = mem_alloc((size_t)x->n_calls * sizeof *x->outs, err))) {
        if (!err->code) error_set(err, EX_DATAERR, "is used more than %d times", NET_MAX_LAYERS);
        goto fail;
    }
    for (int i = 0; i < x->n_calls; i++)
        x->outs[i] = KERAS_NOTHING;
    s->n++;
    return 0;
fail:
    free(x->path);
    x->path = NULL;
    return error_prefix(err, "layer '%s'", text_for_people(shown, sizeof shown, x->name));
}

/* --- references --- */

struct reference {
    const char *name;
    int node;
};

struct references {
    struct reference *items;
    size_t n, room;
};

bool keras_is_tensor(const cJSON *v)
{
    const char *class_name = config_string(v, "class_name");
    return class_name && strcmp(class_name, "__keras_tensor__") == 0;
}

/* ["name", node, tensor, ...] */
static int add_reference(struct references *refs, const cJSON *v, struct error *err)
{
    int node, tensor;
    char shown[64];
    if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) < 3 || !cJSON_IsString(v->child))
        return config_wrong(err, "inbound_nodes", "must hold [layer, 0, 0]");
    if (net_json_int(v->child->next, 0, NET_MAX_LAYERS, &node) ||
        net_json_int(v->child->next->next, 0, 0, &tensor))
        return error_set(err, EX_DATAERR, "takes another output than the only one of '%s'",
                         text_for_people(shown, sizeof shown, v->child->valuestring));
    if (refs->n >= NET_MAX_LAYERS) return config_wrong(err, "inbound_nodes", "lists too many inputs");
    if (mem_grow(&refs->items, &refs->room, refs->n + 1, sizeof *refs->items, err)) return -1;
    refs->items[refs->n++] = (struct reference){v->child->valuestring, node};
    return 0;
}

/* Keras 3: collects all tensors among the arguments, in their order. The recursion is limited by the depth
 * of the JSON. */
static int add_tensors(struct references *refs, const cJSON *v, struct error *err)
{
    const cJSON *child;
    if (keras_is_tensor(v))
        return add_reference(refs, net_json_get(net_json_get(v, "config"), "keras_history"), err);
    if (cJSON_IsArray(v) || cJSON_IsObject(v))
        cJSON_ArrayForEach(child, v) if (add_tensors(refs, child, err)) return -1;
    return 0;
}

/* Keras 2: collects a reference or a list of references; keyword arguments of operations may be tensors,
 * too. */
static int add_old_references(struct references *refs, const cJSON *node, const cJSON **kwargs,
                              struct error *err)
{
    const cJSON *v, *one = cJSON_IsArray(node) && cJSON_IsString(node->child) ? node : NULL;
    if (!cJSON_IsArray(node) || !node->child) return config_wrong(err, "inbound_nodes", "lists no inputs");
    const cJSON *first = one ? one : node->child;
    *kwargs = cJSON_GetArraySize(first) > 3 ? cJSON_GetArrayItem(first, 3) : NULL;
    if (one) {
        if (add_reference(refs, one, err)) return -1;
        const cJSON *y = net_json_get(*kwargs, "y");
        return cJSON_IsArray(y) && cJSON_IsString(y->child) ? add_reference(refs, y, err) : 0;
    }
    cJSON_ArrayForEach(v, node)
    {
        if (keras_is_tensor(v) ? add_tensors(refs, v, err) : add_reference(refs, v, err)) return -1;
    }
    return 0;
}

static int node_references(struct references *refs, const cJSON *node, const cJSON **arguments,
                           struct error *err)
{
    refs->n = 0;
    if (!cJSON_IsObject(node)) return add_old_references(refs, node, arguments, err);
    *arguments = node;
    if (add_tensors(refs, net_json_get(node, "args"), err) ||
        add_tensors(refs, net_json_get(node, "kwargs"), err))
        return -1;
    return refs->n ? 0 : config_wrong(err, "inbound_nodes", "lists no inputs");
}

/* Returns the number of the call of item x that a reference means, or -1 with err set. */
static int call_of(const struct item *x, const struct reference *ref, struct error *err)
{
    char shown[64];
    int call = ref->node - (x->from_one ? 1 : 0);
    if (call >= 0 && call < x->n_calls) return call;
    return error_set(err, EX_DATAERR, "takes another output than the only one of '%s'",
                     text_for_people(shown, sizeof shown, ref->name));
}

static struct item *find_item(const struct scope *s, const char *name)
{
    size_t where;
    int at = keras_names_find(&s->names, name, &where);
    return at < 0 ? NULL : &s->items[at];
}

/* In Keras 2 the calls of a model that has an input layer are counted from 1. This is so if the highest
 * number in the references equals the number of calls. */
static int find_counting(struct scope *s, struct error *err)
{
    struct references refs = {0};
    const cJSON *node, *ignored;
    int rc = -1;
    for (int i = 0; i < s->n; i++)
        cJSON_ArrayForEach(node, s->items[i].nodes)
        {
            char shown[64];
            if (cJSON_IsObject(node)) continue;
            if (node_references(&refs, node, &ignored, err)) {
                error_prefix(err, "layer '%s'", text_for_people(shown, sizeof shown, s->items[i].name));
                goto out;
            }
            for (size_t k = 0; k < refs.n; k++) {
                struct item *x = find_item(s, refs.items[k].name);
                if (x && x->is_model && refs.items[k].node == x->n_calls) x->from_one = true;
            }
        }
    rc = 0;
out:
    free(refs.items);
    return rc;
}

/* --- calls --- */

static int read_model(struct keras_reader *r, const cJSON *config, const char *class_name,
                      const struct keras_place *place, const struct keras_value *in, int n_in,
                      struct keras_value *out, struct error *err);

/* Keras 2 uses the `training` that was given to a call; in Keras 3, predict and fit override it. */
static int check_training(const struct keras_call *c, bool is_model, struct error *err)
{
    const cJSON *training = net_json_get(c->arguments, "training");
    bool keras2 = !c->r->keras3 && !net_json_get(c->arguments, "args");
    bool matters =
        is_model || strcmp(c->class_name, "BatchNormalization") == 0 || strcmp(c->class_name, "Dropout") == 0;
    if (!keras2 || !matters || !(cJSON_IsTrue(training) || (cJSON_IsNumber(training) && training->valueint)))
        return 0;
    return error_set(err, EX_DATAERR,
                     "was called with training=True: in Keras 2 a picture's scores then depend on the others "
                     "or on chance; build the model without it");
}

static int make_call(struct scope *s, struct item *x, const cJSON *arguments, const struct keras_value *in,
                     int n_in, struct error *err)
{
    struct keras_reader *r = s->r;
    bool trainable = s->trainable;
    struct keras_place place = {x->path,       s->top ? s->top : x->name, x->name, s->model, trainable,
                                x->n_calls > 1};
    struct keras_call c = {r, &place, x->class_name, x->config, arguments, in, n_in, KERAS_NOTHING};
    char shown[64];
    int first = r->n->n_layers, rc;
    if (check_training(&c, x->is_model, err))
        rc = -1;
    else if (x->is_model)
        rc = read_model(r, x->config, x->class_name, &place, in, n_in, &c.out, err);
    else if (x->is_operation)
        rc = keras_build_operation(&c, err);
    else
        rc = keras_build_layer(&c, err);
    if (rc) return error_prefix(err, "layer '%s'", text_for_people(shown, sizeof shown, x->name));
    for (int i = first; x->n_calls > 1 && i < r->n->n_layers; i++)
        r->n->layers[i].shared = r->n->layers[i].n_weights > 0;
    x->outs[x->n_done++] = c.out;
    return 0;
}

/* Makes the next call of x. *made stays false if one of its inputs does not exist yet. */
static int try_call(struct scope *s, struct item *x, bool last_try, bool *made, struct error *err)
{
    struct references refs = {0};
    struct keras_value *in = NULL;
    const cJSON *arguments = NULL;
    char shown[64];
    int rc = -1;
    if (node_references(&refs, cJSON_GetArrayItem(x->nodes, x->n_done), &arguments, err) ||
        !(in = mem_alloc((refs.n + 1) * sizeof *in, err)))
        goto out;
    for (size_t k = 0; k < refs.n; k++) {
        const struct item *from = find_item(s, refs.items[k].name);
        int call = from ? call_of(from, &refs.items[k], err) : -1;
        if (from && call < 0) goto out;
        if (!from || (from->outs[call].layer < 0 && last_try)) {
            error_set(err, EX_DATAERR, "takes its input from '%s', which is not a layer before it",
                      text_for_people(shown, sizeof shown, refs.items[k].name));
            goto out;
        }
        if (from->outs[call].layer < 0) {
            rc = 0;
            goto out;
        }
        in[k] = from->outs[call];
    }
    *made = true;
    free(refs.items);
    rc = make_call(s, x, arguments, in, (int)refs.n, err);
    free(in);
    return rc;
out:
    free(refs.items);
    free(in);
    return rc ? error_prefix(err, "layer '%s'", text_for_people(shown, sizeof shown, x->name)) : 0;
}

/* Makes the calls in the order of the file. A call that needs a later layer (a layer may be used twice) is
 * tried again. */
static int make_calls(struct scope *s, struct error *err)
{
    bool progress = true, left = true;
    while (left) {
        bool last_try = !progress;
        progress = left = false;
        for (int i = 0; i < s->n; i++)
            while (s->items[i].n_done < s->items[i].n_calls) {
                bool made = false;
                if (try_call(s, &s->items[i], last_try, &made, err)) return -1;
                if (!made) {
                    left = true;
                    break;
                }
                progress = true;
            }
    }
    return 0;
}

/* --- ends --- */

/* input_layers and output_layers: [["name",0,0]] or, in Keras 3, ["name",0,0]. */
static struct item *find_end(const struct scope *s, const cJSON *model, const char *key, int *node,
                             struct error *err)
{
    const cJSON *list = net_json_get(model, key);
    char shown[64];
    if (cJSON_IsArray(list) && cJSON_IsArray(list->child)) {
        if (cJSON_GetArraySize(list) != 1) {
            error_set(err, EX_DATAERR, "'%s' names %d layers; only networks with one are supported", key,
                      cJSON_GetArraySize(list));
            return NULL;
        }
        list = list->child;
    }
    if (!cJSON_IsArray(list) || !cJSON_IsString(list->child)) {
        error_set(err, EX_DATAERR, "'%s' must be [[\"name\",0,0]]", key);
        return NULL;
    }
    struct item *found = find_item(s, list->child->valuestring);
    if (!found)
        error_set(err, EX_DATAERR, "'%s' names '%s', which is not a layer", key,
                  text_for_people(shown, sizeof shown, list->child->valuestring));
    else if (net_json_int(list->child->next, 0, NET_MAX_LAYERS, node))
        *node = 0;
    return found;
}

/* Makes the input layer of the outermost model. The input layers of models within it are replaced by the
 * arguments of the call. */
static int make_inputs(struct scope *s, const struct keras_value *in, int n_in, struct error *err)
{
    int n_inputs = 0;
    for (int i = 0; i < s->n; i++) {
        struct item *x = &s->items[i];
        if (strcmp(x->class_name, "InputLayer") != 0) continue;
        if (s->model) {
            if (n_in != 1 || ++n_inputs > 1)
                return error_set(err, EX_DATAERR, "has %d inputs; only models with one are supported",
                                 n_in > 1 ? n_in : 2);
            x->outs[x->n_done++] = in[0];
        } else {
            if (make_call(s, x, NULL, NULL, 0, err)) return -1;
            n_inputs++;
        }
    }
    if (n_inputs != 1 && !s->model)
        return error_set(err, EX_DATAERR,
                         "the model has %d input layers; only networks with one are supported", n_inputs);
    return n_inputs == 1 ? 0 : error_set(err, EX_DATAERR, "has no input layer");
}

/* --- models --- */

static int read_functional(struct scope *s, const cJSON *config, const struct keras_value *in, int n_in,
                           struct keras_value *out, struct error *err)
{
    int node = 0;
    if (find_counting(s, err) || make_inputs(s, in, n_in, err) || make_calls(s, err)) return -1;
    const struct item *input = find_end(s, config, "input_layers", &node, err);
    if (!input) return -1;
    if (strcmp(input->class_name, "InputLayer") != 0)
        return error_set(err, EX_DATAERR, "'input_layers' names '%s', which is not an input layer",
                         input->name);
    const struct item *output = find_end(s, config, "output_layers", &node, err);
    if (!output) return -1;
    /* In this list, Keras 3 also counts the calls of a Functional from 1. */
    if (output->is_model && node > 0 && strcmp(output->class_name, "Sequential") != 0) node--;
    if (node >= output->n_calls) node = output->n_calls - 1;
    *out = output->outs[node];
    return 0;
}

/* Reads a Sequential model, a chain of layers. The outermost model may have no input layer; the shape is then
 * in the first layer or in the model. */
static int read_sequential(struct scope *s, const cJSON *config, const struct keras_value *in, int n_in,
                           struct keras_value *out, struct error *err)
{
    struct keras_value at = n_in > 0 ? in[0] : KERAS_NOTHING;
    if (s->model && n_in != 1) return error_set(err, EX_DATAERR, "has %d inputs", n_in);
    for (int i = 0; i < s->n; i++) {
        struct item *x = &s->items[i];
        bool input = strcmp(x->class_name, "InputLayer") == 0;
        if (input && (s->model || i > 0)) {
            if (i > 0) return error_set(err, EX_DATAERR, "the model has an input layer within");
            x->outs[x->n_done++] = at;
            continue;
        }
        if (!input && at.layer < 0) {
            struct keras_place place = {NULL, "input_1", "input_1", NULL, true, false};
            struct keras_call c = {s->r, &place, "InputLayer", x->config, NULL, NULL, 0, KERAS_NOTHING};
            const cJSON *built = net_json_get(config, "build_input_shape");
            cJSON *shaped = NULL;
            if (built && (!(shaped = cJSON_CreateObject()) ||
                          !cJSON_AddItemToObject(shaped, "batch_shape", cJSON_Duplicate(built, true)))) {
                cJSON_Delete(shaped);
                return error_set(err, EX_OSERR, "cannot allocate the input layer");
            }
            if (shaped) c.config = shaped;
            int rc = keras_build_layer(&c, err);
            char shown[64];
            cJSON_Delete(shaped);
            if (rc) return error_prefix(err, "layer '%s'", text_for_people(shown, sizeof shown, x->name));
            at = c.out;
        }
        if (make_call(s, x, NULL, &at, input ? 0 : 1, err)) return -1;
        at = x->outs[0];
    }
    *out = at;
    return 0;
}

static void scope_release(struct scope *s)
{
    for (int i = 0; i < s->n; i++) {
        free(s->items[i].path);
        free(s->items[i].outs);
    }
    free(s->items);
    free(s->names.items);
}

/* Reads a model. place NULL: the outermost model. The depth of the JSON limits the recursion. */
static int read_model(struct keras_reader *r, const cJSON *config, const char *class_name,
                      const struct keras_place *place, const struct keras_value *in, int n_in,
                      struct keras_value *out, struct error *err)
{
    struct text prefix = TEXT_EMPTY;
    struct scope s = {.r = r, .prefix = "", .trainable = true};
    bool chain = strcmp(class_name, "Sequential") == 0;
    const cJSON *layers = chain && cJSON_IsArray(config) ? config : net_json_get(config, "layers"), *spec;
    int rc = -1;
    if (!cJSON_IsArray(layers) || !layers->child)
        return error_set(err, EX_DATAERR, place ? "is a model without layers" : "the model has no layers");
    if (place) {
        if (text_printf(&prefix, err, "%s/", place->path ? place->path : "")) goto out;
        s.prefix = prefix.data;
        s.top = place->top;
        s.model = place->own;
        if (cJSON_IsObject(config) && config_bool(config, "trainable", true, &s.trainable, err)) goto out;
        s.trainable = s.trainable && place->trainable;
    }
    if (!(s.items = mem_zalloc((size_t)cJSON_GetArraySize(layers) + 1, sizeof *s.items, err))) goto out;
    cJSON_ArrayForEach(spec, layers) if (add_item(&s, spec, chain, err)) goto out;
    rc = chain ? read_sequential(&s, config, in, n_in, out, err)
               : read_functional(&s, config, in, n_in, out, err);
out:
    scope_release(&s);
    text_release(&prefix);
    return rc;
}

int net_read_topology(struct net *n, const cJSON *topology, const char *version, struct net_sources *sources,
                      struct error *err)
{
    struct keras_reader r = {.n = n, .sources = sources};
    struct keras_value out = KERAS_NOTHING;
    const cJSON *model = net_json_get(topology, "model_config");
    int rc = -1;
    const char *own_version = config_string(topology, "keras_version");
    if (own_version) version = own_version;
    if (!model) model = topology;
    const char *class_name = config_string(model, "class_name");
    const cJSON *config = net_json_get(model, "config");
    uint64_t major;
    r.keras3 = version && parse_digits(version, strcspn(version, "."), &major) && major >= 3;
    if (!class_name && cJSON_IsArray(net_json_get(topology, "node")))
        return error_set(err, EX_DATAERR, "a TensorFlow graph model; only layers models can be read");
    if (!class_name || (strcmp(class_name, "Sequential") != 0 && strcmp(class_name, "Model") != 0 &&
                        strcmp(class_name, "Functional") != 0))
        return error_set(err, EX_DATAERR, "not a Keras model (Model, Functional or Sequential)");
    const char *name = config_string(config, "name");
    if (!(n->name = mem_strdup(name && layer_name_ok(name) ? name : "model", err)) ||
        read_model(&r, config, class_name, NULL, NULL, 0, &out, err))
        goto out;
    if (out.layer < 0 || out.channel >= 0 || n->n_layers == 0) {
        error_set(err, EX_DATAERR, "the model gives one channel of a picture");
        goto out;
    }
    n->output = out.layer;
    for (int i = 0; i < n->n_layers; i++)
        if (n->layers[i].kind == LAYER_INPUT) n->input = i;
    n->bytes_input = r.bytes;
    rc = 0;
out:
    free(r.names.items);
    return rc;
}
