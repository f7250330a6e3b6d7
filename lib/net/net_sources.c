/*
 * net_sources.c: copies values from an HDF5 file to a network. Weights are found by path and number in a
 * .keras, and by group and name in a .h5, never by their order in the file.
 */
#include "net/net_sources.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "base/text.h"

void net_sources_release(struct net_sources *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->items[i].path);
        free(s->items[i].top);
        free(s->items[i].own);
        free(s->items[i].model);
    }
    free(s->items);
    *s = (struct net_sources){0};
}

int net_sources_make(struct net_sources *s, const struct net *n, struct error *err)
{
    *s = (struct net_sources){0};
    for (int i = 0; i < n->n_layers; i++) {
        const struct net_layer *l = &n->layers[i];
        if (mem_grow(&s->items, &s->room, s->n + 1, sizeof *s->items, err)) return -1;
        struct net_source *to = &s->items[s->n++];
        *to = (struct net_source){0};
        if (!(to->own = mem_strdup(l->name, err)) || !(to->top = mem_strdup(l->name, err))) return -1;
        for (int j = 0; j < l->n_weights && j < SOURCE_MAX_WEIGHTS; j++) {
            to->slot[j] = j;
            to->leaf[j] = weight_role_name(l->weights[j].role);
        }
    }
    return 0;
}

/* --- names --- */

/* A name such as "model/conv2d_1/kernel:0", divided into two parts. */
struct parts {
    char before[1024], leaf[64]; /* "model/conv2d_1", "kernel" */
};

static int split(struct parts *p, const char *name)
{
    const char *slash = strrchr(name, '/'), *leaf = slash ? slash + 1 : name;
    size_t n = slash ? (size_t)(slash - name) : 0, n_leaf = strcspn(leaf, ":");
    if (n >= sizeof p->before || n_leaf >= sizeof p->leaf) return -1;
    memcpy(p->before, name, n);
    p->before[n] = 0;
    memcpy(p->leaf, leaf, n_leaf);
    p->leaf[n_leaf] = 0;
    return 0;
}

/* Whether text[0..n) is `last` or ends with "/last". *n then becomes the length of the text before it. */
static bool ends_with(const char *text, size_t *n, const char *last)
{
    size_t bytes = strlen(last);
    if (bytes > *n || memcmp(text + *n - bytes, last, bytes) != 0) return false;
    if (bytes < *n && text[*n - bytes - 1] != '/') return false;
    *n -= bytes < *n ? bytes + 1 : bytes;
    return true;
}

static bool leaf_fits(const struct net_layer *l, const char *wanted, const char *leaf)
{
    if (strcmp(wanted, leaf) == 0) return true;
    /* Keras 3 calls a depthwise kernel just "kernel". */
    return l->kind == LAYER_DEPTHWISE_CONV2D && strcmp(wanted, "depthwise_kernel") == 0 &&
           strcmp(leaf, "kernel") == 0;
}

/* Returns 0 when the name is not that of this layer, 1 when the layer's name matches, and 2 when its model's
 * name matches, too. */
static int layer_fits(const struct net_source *s, const struct parts *p)
{
    size_t n = strlen(p->before);
    if (!ends_with(p->before, &n, s->own)) return 0;
    return s->model && ends_with(p->before, &n, s->model) ? 2 : 1;
}

struct net_weight *net_sources_find(const struct net_sources *s, struct net *n, const char *name, int *hint)
{
    struct parts p;
    struct net_weight *found = NULL;
    int best = 0, n_best = 0;
    if (split(&p, name)) return NULL;
    for (int k = 0; k < n->n_layers && (size_t)n->n_layers == s->n; k++) {
        int i = (*hint + k) % n->n_layers, fit = layer_fits(&s->items[i], &p);
        struct net_layer *l = &n->layers[i];
        if (fit < best || !fit) continue;
        for (int j = 0; j < l->n_weights; j++) {
            if (!leaf_fits(l, s->items[i].leaf[j], p.leaf)) continue;
            n_best = fit > best ? 1 : n_best + 1;
            best = fit;
            found = &l->weights[j];
            *hint = i;
        }
    }
    return n_best == 1 ? found : NULL;
}

/* --- which record belongs to which weight --- */

struct keyed {
    const char *layer;
    size_t at; /* in f->weights */
};

struct taking {
    struct net *n;
    const struct net_sources *s;
    struct h5_file *f;
    struct keyed *sorted; /* f->weights by layer */
    struct parts *parts;  /* of f->weights' names */
    int *users;           /* for each record, the number of weights that use it */
    bool legacy, header_only;
};

static int by_layer(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;
    int c = strcmp(x->layer, y->layer);
    return c ? c : x->at < y->at ? -1 : 1;
}

static size_t first_of(const struct taking *t, const char *layer)
{
    size_t low = 0, high = t->f->n_weights;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (strcmp(t->sorted[mid].layer, layer) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Returns the index in f->weights of the record for weight j of layer i, -1 when there is none, or -2 when
 * several match. */
static long record_of(const struct taking *t, int i, int j)
{
    const struct net_source *s = &t->s->items[i];
    const char *key = t->legacy ? s->top : s->path;
    long found = -1;
    int best = 0;
    if (!key) return -1;
    for (size_t k = first_of(t, key); k < t->f->n_weights && strcmp(t->sorted[k].layer, key) == 0; k++) {
        size_t at = t->sorted[k].at;
        uint64_t number;
        if (!t->legacy) {
            const char *name = t->f->weights[at].name;
            if (parse_digits(name, strlen(name), &number) && number == (uint64_t)s->slot[j]) return (long)at;
            continue;
        }
        /* A group of a single layer matches whatever name the layer had when the weights were created. */
        int fit = s->model ? layer_fits(s, &t->parts[at]) : 1;
        if (fit < best || !fit || !leaf_fits(&t->n->layers[i], s->leaf[j], t->parts[at].leaf)) continue;
        found = fit > best ? (long)at : -2;
        best = fit;
    }
    return found;
}

/* --- values --- */

static int shape_wrong(const struct net_layer *l, const struct h5_weight *from, const struct net_shape *want,
                       struct error *err)
{
    char shown[128], a[NET_SHAPE_TEXT_BYTES], b[NET_SHAPE_TEXT_BYTES];
    return error_set(err, EX_DATAERR,
                     "layer '%s': weight '%s' has shape %s, must be %s: these are the weights of another "
                     "model, so save both together",
                     l->name, text_for_people(shown, sizeof shown, from->name),
                     net_shape_text(a, &from->shape), net_shape_text(b, want));
}

/* Sets *shape to the shape that the weight has in winnow, which may differ for the same values. */
static int reshaped(const struct net_source *s, const struct h5_weight *from, struct net_shape *shape,
                    struct error *err)
{
    *shape = from->shape;
    if (s->kind == SOURCE_ALPHA) {
        const int *d = from->shape.dim;
        if (from->shape.rank != 3 || d[0] != 1 || d[1] != 1)
            return error_set(err, EX_DATAERR,
                             "layer '%s': has a slope for each pixel; a PReLU is read with shared_axes [1,2]",
                             s->own);
        *shape = (struct net_shape){4, {1, 1, d[2], 1}};
    }
    if (s->as_matrix && from->shape.rank == 2)
        *shape = (struct net_shape){4, {1, 1, from->shape.dim[0], from->shape.dim[1]}};
    return 0;
}

static int give(struct taking *t, int i, int j, long at, struct error *err)
{
    const struct net_source *s = &t->s->items[i];
    struct net_layer *l = &t->n->layers[i];
    struct net_weight *w = &l->weights[j];
    struct h5_weight *from = &t->f->weights[at];
    struct net_shape shape;
    char shown[128];
    if (from->other)
        return error_set(err, EX_DATAERR,
                         "layer '%s': weight '%s' holds %s: a quantised model; save the one that it was made "
                         "from",
                         l->name, text_for_people(shown, sizeof shown, from->name), from->other);
    if (from->opaque && !s->bfloat16)
        return error_set(
            err, EX_DATAERR,
            "layer '%s': weight '%s' holds values of 16 bits that are not numbers, and the layer "
            "is not bfloat16",
            l->name, text_for_people(shown, sizeof shown, from->name));
    if (reshaped(s, from, &shape, err)) return -1;
    if (w->shape.rank > 0 && !net_shape_equal(&w->shape, &shape)) return shape_wrong(l, from, &w->shape, err);
    net_weight_drop_values(t->n, w);
    w->shape = shape;
    w->n_values = from->n_values;
    if (t->header_only) return 0;
    if (--t->users[at] > 0) { /* another layer uses it as well */
        if (!(w->values = mem_dup(from->values, from->n_values * sizeof(float), err))) return -1;
        return 0;
    }
    w->values = from->values;
    from->values = NULL;
    return 0;
}

/* Keras: (x - mean) / max(sqrt(variance), 1e-7); weights[0] came with the variance, weights[1] the mean. */
static void finish_normalization(struct net_layer *l, bool inverse)
{
    float *scale = l->weights[0].values, *offset = l->weights[1].values;
    for (size_t k = 0; scale && offset && k < l->weights[0].n_values; k++) {
        double deviation = fmax(sqrt(scale[k]), 1e-7), mean = offset[k];
        scale[k] = (float)(inverse ? deviation : 1 / deviation);
        offset[k] = (float)(inverse ? mean : -mean / deviation);
    }
}

/* --- all of them --- */

/* Whether this is a dataset of Keras that is not needed for computing the layer. */
static bool may_be_left(const char *leaf, bool legacy)
{
    return legacy && (strcmp(leaf, "count") == 0 || strncmp(leaf, "seed_generator", 14) == 0);
}

static int name_left_record(const struct taking *t, size_t at, struct error *err)
{
    const struct h5_weight *w = &t->f->weights[at];
    const struct net_source *same = NULL;
    const struct net_layer *l = NULL;
    char layer[128], name[128];
    text_for_people(layer, sizeof layer, w->layer);
    text_for_people(name, sizeof name, w->name);
    for (size_t i = 0; i < t->s->n && !same; i++) {
        const char *key = t->legacy ? t->s->items[i].top : t->s->items[i].path;
        if (!key || strcmp(key, w->layer) != 0) continue;
        /* the number of samples that a Normalization has counted */
        if (t->s->items[i].kind == SOURCE_NORMALIZATION ||
            t->s->items[i].kind == SOURCE_INVERSE_NORMALIZATION)
            return 0;
        same = &t->s->items[i];
        l = &t->n->layers[i];
    }
    if (!same)
        return error_set(
            err, EX_DATAERR,
            "the file has weights for '%s', which is not a layer: they are those of another model, so save "
            "both together",
            layer);
    if (!t->legacy)
        return error_set(err, EX_DATAERR, "layer '%s' (%s) takes no weight '%s/vars/%s', but the file has it",
                         same->own, layer_kind_name(l->kind), layer, name);
    if (same->model)
        return error_set(err, EX_DATAERR, "the model '%s' has no weight '%s', but the file does", layer,
                         name);
    return error_set(err, EX_DATAERR, "layer '%s' (%s) has no weight '%s', but the file does", l->name,
                     layer_kind_name(l->kind), name);
}

/* Whether a layer of the file is in a model that is a layer itself. */
static bool has_models(const struct net_sources *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->items[i].model) return true;
    return false;
}

static int take_all(struct taking *t, long *records, struct error *err)
{
    struct net *n = t->n;
    long at = 0;
    for (int i = 0; i < n->n_layers; i++)
        for (int j = 0; j < n->layers[i].n_weights; j++, at++) {
            records[at] = t->s->items[i].kind == SOURCE_GIVEN ? -1 : record_of(t, i, j);
            if (records[at] == -2)
                return error_set(err, EX_DATAERR,
                                 "several weights of the file could be '%s'; save the model as .keras",
                                 n->layers[i].weights[j].name);
            if (records[at] >= 0) t->users[records[at]]++;
        }
    for (size_t k = 0; k < t->f->n_weights; k++)
        if (!t->users[k] && !may_be_left(t->parts[k].leaf, t->legacy) && name_left_record(t, k, err))
            return -1;
    at = 0;
    for (int i = 0; i < n->n_layers; i++) {
        bool any = n->layers[i].n_weights == 0 || t->s->items[i].kind == SOURCE_GIVEN;
        for (int j = 0; j < n->layers[i].n_weights; j++, at++) {
            if (records[at] < 0) continue;
            any = true;
            if (give(t, i, j, records[at], err)) return -1;
        }
        if (!any)
            return error_set(err, EX_DATAERR, "layer '%s': the file has no weights for it%s",
                             n->layers[i].name,
                             t->legacy || !has_models(t->s)
                                 ? ""
                                 : ". Keras writes those of a layer that is in several models into one of "
                                   "them alone, and cannot open such a file either: save the model as .h5");
        enum source_kind kind = t->s->items[i].kind;
        if ((kind == SOURCE_NORMALIZATION || kind == SOURCE_INVERSE_NORMALIZATION) &&
            n->layers[i].n_weights == 2)
            finish_normalization(&n->layers[i], kind == SOURCE_INVERSE_NORMALIZATION);
    }
    return 0;
}

int net_take_weights(struct net *n, const struct net_sources *s, struct h5_file *f, enum h5_layout layout,
                     bool header_only, struct error *err)
{
    struct taking t = {.n = n, .s = s, .f = f, .legacy = layout == H5_LEGACY, .header_only = header_only};
    size_t n_weights = 0;
    long *records = NULL;
    int rc = -1;
    for (int i = 0; i < n->n_layers; i++)
        n_weights += (size_t)n->layers[i].n_weights;
    if (!(t.sorted = mem_zalloc(f->n_weights + 1, sizeof *t.sorted, err)) ||
        !(t.parts = mem_zalloc(f->n_weights + 1, sizeof *t.parts, err)) ||
        !(t.users = mem_zalloc(f->n_weights + 1, sizeof *t.users, err)) ||
        !(records = mem_zalloc(n_weights + 1, sizeof *records, err)))
        goto out;
    for (size_t k = 0; k < f->n_weights; k++) {
        t.sorted[k] = (struct keyed){f->weights[k].layer, k};
        if (split(&t.parts[k], f->weights[k].name)) {
            error_set(err, EX_DATAERR, "the file has a weight with an absurdly long name");
            goto out;
        }
    }
    if (f->n_weights > 1) qsort(t.sorted, f->n_weights, sizeof *t.sorted, by_layer);
    rc = take_all(&t, records, err);
out:
    free(t.sorted);
    free(t.parts);
    free(t.users);
    free(records);
    return rc;
}
