/*
 * plan_int8.c: decides which operations of a plan run on quantised tensors, and inserts conversions between
 * these and the others. For the quantisation of a network it also finds the values that can be quantised.
 */
#include "tensor/plan_int8.h"

#include <stdlib.h>

#include "base/union_find.h"

void plan_int8_shape(const struct builder *g, int layer, struct tensor_shape *s)
{
    const struct net_int8 *q = g->o->int8;
    if (!q || !q->layers || layer >= q->n_layers || !(q->layers[layer].scale > 0)) return;
    s->scale = (float)q->layers[layer].scale;
    s->zero = q->layers[layer].zero;
}

void plan_int8_mark(const struct builder *g, size_t first)
{
    const struct net_int8 *q = g->o->int8;
    if (!q) return;
    for (size_t i = first; i < g->p->n_nodes; i++) {
        struct node *n = &g->p->nodes[i];
        struct value *y = &g->p->values[n->y];
        plan_int8_shape(g, y->layer, &y->shape);
        n->d.y = y->shape;
        n->d.whole_weights = (n->d.kind == OP_CONV || n->d.kind == OP_DEPTHWISE) && n->weight_layer != NO &&
                             n->norm_layer != NO && q->layers[n->weight_layer].kernel;
    }
}

static bool same_scale(const struct tensor_shape *a, const struct tensor_shape *b)
{
    return a->scale == b->scale && a->zero == b->zero;
}

/* Whether backends with has_int8 can compute this operation on quantised tensors. */
static bool has_form(const struct op_desc *d)
{
    const struct tensor_shape *x = &d->x[0], *y = &d->y;
    switch (d->kind) {
    case OP_CONV:
    case OP_DEPTHWISE: return d->whole_weights && x->scale > 0;
    case OP_MAX_POOL:
    case OP_ZERO_PAD: return x->scale > 0 && same_scale(x, y);
    case OP_AVERAGE_POOL: return x->scale > 0 && (same_scale(x, y) || !(y->scale > 0));
    case OP_GLOBAL_AVERAGE_POOL: return x->scale > 0 && !(y->scale > 0);
    case OP_CONCAT: return true;
    case OP_ADD:
        return d->n_x == 2 && x->scale > 0 && d->x[1].scale > 0 && y->scale > 0 &&
               d->activation != OP_SIGMOID;
    default: return false;
    }
}

struct converter {
    struct plan *p;
    struct node *nodes;
    size_t n, room;
    int *as_float; /* for each value: the same value as floats, or NO */
};

static int add_value(struct plan *p, const struct value *like, struct error *err)
{
    if (mem_grow(&p->values, &p->cap_values, p->n_values + 1, sizeof *p->values, err)) return NO;
    struct value *v = &p->values[p->n_values];
    *v = *like;
    v->storage = NO;
    v->producer = NO;
    v->shape.scale = 0;
    v->shape.zero = 0;
    v->shape.parent_c = v->shape.c;
    v->shape.first_c = 0;
    return (int)p->n_values++;
}

static int put_node(struct converter *c, const struct node *n, struct error *err)
{
    if (mem_grow(&c->nodes, &c->room, c->n + 1, sizeof *c->nodes, err)) return -1;
    c->p->values[n->y].producer = (int)c->n;
    c->nodes[c->n++] = *n;
    return 0;
}

static int put_conversion(struct converter *c, const struct node *beside, int x, int y, struct error *err)
{
    struct node n = {.weight_layer = NO,
                     .norm_layer = NO,
                     .saved = NO,
                     .mask = NO,
                     .segment = beside->segment,
                     .y = y,
                     .d = {.kind = OP_CONCAT, .name = beside->d.name, .n_x = 1}};
    for (int i = 0; i < P_SLOTS; i++)
        n.param[i] = NO;
    n.x[0] = x;
    n.d.kernel_h = n.d.kernel_w = n.d.stride_h = n.d.stride_w = n.d.dilation_h = n.d.dilation_w = 1;
    return put_node(c, &n, err);
}

static int put_converted(struct converter *c, struct node *n, struct error *err)
{
    struct plan *p = c->p;
    struct op_desc d = n->d;
    for (int k = 0; k < d.n_x; k++)
        d.x[k] = p->values[n->x[k]].shape;
    d.y = p->values[n->y].shape;
    if (has_form(&d)) return put_node(c, n, err);
    n->d.whole_weights = false;
    for (int k = 0; k < d.n_x; k++) {
        int x = n->x[k];
        if (!(d.x[k].scale > 0)) continue;
        if (c->as_float[x] == NO) {
            int made = add_value(p, &p->values[x], err);
            if (made == NO || put_conversion(c, n, x, made, err)) return -1;
            c->as_float[x] = made;
        }
        n->x[k] = c->as_float[x];
    }
    if (!(d.y.scale > 0)) return put_node(c, n, err);
    int y = n->y;
    if ((n->y = add_value(p, &p->values[y], err)) == NO) return -1;
    return put_node(c, n, err) || put_conversion(c, n, n->y, y, err) ? -1 : 0;
}

int plan_int8_convert(struct plan *p, struct error *err)
{
    struct converter c = {.p = p};
    int rc = -1;
    if (!(c.as_float = mem_alloc((p->n_values + 1) * sizeof *c.as_float, err))) return -1;
    size_t n_values = p->n_values; /* values that are added below are not quantised */
    for (size_t i = 0; i < n_values; i++)
        c.as_float[i] = NO;
    for (size_t i = 0; i < p->n_nodes; i++)
        if (put_converted(&c, &p->nodes[i], err)) goto out;
    free(p->nodes);
    p->nodes = c.nodes;
    p->n_nodes = c.n;
    p->cap_nodes = c.room;
    c.nodes = NULL;
    rc = 0;
out:
    free(c.nodes);
    free(c.as_float);
    return rc;
}

/* --- what can be quantised --- */

static bool is_map(const struct tensor_shape *s) { return s->h > 1 || s->w > 1; }

static bool could_read(const struct node *n)
{
    switch (n->d.kind) {
    case OP_CONV: return n->weight_layer != NO && n->norm_layer != NO && conv_groups(&n->d) == 1;
    case OP_DEPTHWISE: return n->weight_layer != NO && n->norm_layer != NO;
    case OP_MAX_POOL:
    case OP_ZERO_PAD:
    case OP_AVERAGE_POOL:
    case OP_GLOBAL_AVERAGE_POOL: return true;
    case OP_CONCAT: return true;
    case OP_ADD: return n->d.n_x == 2;
    default: return false;
    }
}

/* Groups by storage: slices share one with the concatenation. parent [n_storages]. */
static void join_groups(const struct plan *p, uint32_t *parent, const bool *bytes)
{
    for (size_t i = 0; i < p->n_nodes; i++) {
        const struct node *n = &p->nodes[i];
        uint32_t y = (uint32_t)p->values[n->y].storage;
        if (n->d.kind != OP_MAX_POOL && n->d.kind != OP_ZERO_PAD && n->d.kind != OP_AVERAGE_POOL &&
            n->d.kind != OP_CONCAT)
            continue;
        for (int k = 0; k < n->d.n_x; k++) {
            uint32_t x = (uint32_t)p->values[n->x[k]].storage;
            if (bytes[x] && bytes[y]) parent[union_find_root(parent, x)] = union_find_root(parent, y);
        }
    }
}

int engine_int8_sites(const struct net *net, int *group, bool *kernel, struct error *err)
{
    struct engine_options o = ENGINE_DEFAULTS;
    struct backend_options bo = {.threads = 1, .deterministic = true};
    const struct backend_table *t;
    struct backend *b = NULL;
    struct plan p = {0};
    uint32_t *parent = NULL;
    int rc = -1;
    bool *bytes = NULL;
    o.batch = 1;
    for (int i = 0; i < net->n_layers; i++) {
        group[i] = -1;
        kernel[i] = false;
    }
    if (backend_open("ref", &bo, &t, &b, err) || plan_build(&p, net, &o, t, b, err)) goto out;
    parent = union_find_start(p.n_storages, err);
    bytes = mem_zalloc(p.n_storages + 1, sizeof *bytes, err);
    if (!parent || !bytes) goto out;
    /* It is worth quantising a storage if an operation reads it that computes on bytes; for a vector, only
     * if that is a convolution. */
    for (size_t i = 0; i < p.n_nodes; i++) {
        const struct node *n = &p.nodes[i];
        bool conv = n->d.kind == OP_CONV || n->d.kind == OP_DEPTHWISE;
        for (int k = 0; k < n->d.n_x && could_read(n); k++)
            bytes[p.values[n->x[k]].storage] |= conv || is_map(&n->d.x[k]);
        if (conv && could_read(n)) kernel[n->weight_layer] = true;
    }
    join_groups(&p, parent, bytes);
    for (size_t i = 0; i < p.n_values; i++) {
        const struct value *v = &p.values[i];
        if (v->storage != NO && bytes[v->storage])
            group[v->layer] = (int)union_find_root(parent, (uint32_t)v->storage);
    }
    rc = 0;
out:
    free(parent);
    free(bytes);
    if (b) {
        plan_release(&p, t, b);
        t->close(b);
    }
    return rc;
}
