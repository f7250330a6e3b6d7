/* plan_graph.c: decides which layers of a net are needed, which of them learn or come after one that learns,
 * and in which order they run. plan_layers.c makes the operations. */
#include <stdlib.h>
#include <string.h>

#include "tensor/plan_int8.h"

static bool has_weights(const struct net_layer *l) { return l->n_weights > 0; }

/* --- which layers --- */

static int mark_needed(struct builder *g, struct error *err)
{
    const struct net *n = g->net;
    for (int i = 0; i < g->o->n_inputs; i++) {
        int layer = g->o->inputs[i];
        if (layer < 0 || layer >= n->n_layers)
            return error_set(err, EX_USAGE, "engine input %d is not a layer of the net", layer);
        g->fed[layer] = true;
    }
    if (!g->o->n_inputs) g->fed[n->input] = true;
    for (int i = 0; i < g->o->n_outputs; i++) {
        int layer = g->o->outputs[i];
        if (layer < 0 || layer >= n->n_layers)
            return error_set(err, EX_USAGE, "engine output %d is not a layer of the net", layer);
        g->tapped[layer] = g->needed[layer] = true;
    }
    if (!g->o->n_outputs || plan_trains(g)) g->needed[n->output] = true;
    if (!g->o->n_outputs) g->tapped[n->output] = true;
    for (int i = n->n_layers - 1; i >= 0; i--) {
        const struct net_layer *l = &n->layers[i];
        if (!g->needed[i] || g->fed[i]) continue;
        if (l->kind == LAYER_INPUT)
            return error_set(err, EX_USAGE, "the given inputs leave a path from '%s' to the outputs",
                             l->name);
        for (int k = 0; k < l->n_inputs; k++)
            g->needed[l->inputs[k]] = true;
    }
    for (int i = 0; i < n->n_layers; i++) {
        const struct net_layer *l = &n->layers[i];
        if (!g->needed[i] || g->fed[i]) continue;
        g->learns[i] = plan_trains(g) && l->trainable && has_weights(l);
        if (g->learns[i] && (l->shared || l->other_loss))
            return error_set(err, EX_DATAERR, "layer '%s' (%s): %s: leave it frozen", l->name,
                             layer_kind_name(l->kind),
                             l->shared
                                 ? "its weights are used in several places, which cannot be trained here"
                                 : "it has a regularizer that training here does not know");
        g->segment1[i] = g->learns[i] || (plan_trains(g) && plan_drops(l));
        g->gradient[i] = g->learns[i];
        for (int k = 0; k < l->n_inputs; k++) {
            int from = l->inputs[k];
            g->segment1[i] |= g->segment1[from];
            g->gradient[i] |= g->gradient[from];
            g->readers[from]++;
            g->reader[from] = i;
        }
    }
    for (int i = 0; i < n->n_layers; i++)
        g->alone[i] = g->readers[i] == 1 && !g->tapped[i];
    return 0;
}

/* --- finishing --- */

/* Sorts segment 0 before segment 1, in the order of the net within each, without nodes that were joined to
 * others. Producers are renumbered. */
static int sort_segments(struct plan *p, struct error *err)
{
    struct node *sorted = mem_alloc((p->n_nodes + 1) * sizeof *sorted, err);
    int *place = sorted ? mem_alloc((p->n_nodes + 1) * sizeof *place, err) : NULL;
    size_t k = 0;
    if (!place) {
        free(sorted);
        return -1;
    }
    for (int segment = 0; segment < 2; segment++)
        for (size_t i = 0; i < p->n_nodes; i++)
            if (p->nodes[i].segment == segment && p->nodes[i].d.kind != OP_KINDS) {
                place[i] = (int)k;
                sorted[k++] = p->nodes[i];
            }
    for (size_t i = 0; i < p->n_values; i++)
        if (p->values[i].producer != NO) p->values[i].producer = place[p->values[i].producer];
    free(p->nodes);
    free(place);
    p->nodes = sorted;
    p->cap_nodes = p->n_nodes + 1;
    p->n_nodes = k;
    return 0;
}

/* Marks the nodes between the loss and the layers that learn, and sets which gradients each of them must
 * compute. */
static void mark_backward(struct plan *p)
{
    for (size_t i = p->n_nodes; i-- > 0;) {
        struct node *n = &p->nodes[i];
        bool reached = n->y == p->logits || p->values[n->y].storage == p->values[p->logits].storage;
        for (size_t k = i + 1; k < p->n_nodes && !reached; k++)
            for (int j = 0; j < p->nodes[k].d.n_x && p->nodes[k].backward; j++)
                reached |= p->values[p->nodes[k].x[j]].storage == p->values[n->y].storage;
        n->backward = reached && p->values[n->y].needs_gradient;
        n->d.training = n->backward;
        n->d.needs_dw &= n->backward;
        n->d.needs_dx = false;
        for (int j = 0; j < n->d.n_x; j++)
            n->d.needs_dx |= n->backward && p->values[n->x[j]].needs_gradient;
        for (size_t k = i + 1; n->d.needs_dx && k < p->n_nodes; k++) /* these run before it, backward */
            for (int j = 0; j < p->nodes[k].d.n_x && p->nodes[k].backward; j++)
                n->d.adds_dx |= p->values[p->nodes[k].x[j]].needs_gradient &&
                                p->values[p->nodes[k].x[j]].storage == p->values[n->x[0]].storage;
    }
}

static int finish(struct builder *g, struct error *err)
{
    struct plan *p = g->p;
    const struct net *net = g->net;
    if (g->o->int8 && plan_int8_convert(p, err)) return -1;
    for (size_t i = 0; i < p->n_nodes; i++) { /* the shapes in the nodes were set before slices were known */
        struct node *n = &p->nodes[i];
        for (int k = 0; k < n->d.n_x; k++)
            n->d.x[k] = p->values[n->x[k]].shape;
        n->d.y = p->values[n->y].shape;
    }
    for (size_t i = 0; i < p->n_values; i++)
        if (p->values[i].storage == NO &&
            (p->values[i].storage = plan_add_storage(p, &p->values[i].shape, err)) == NO)
            return -1;
    if (sort_segments(p, err)) return -1;
    /* a value from the caller belongs to segment 0 if a node of segment 0 reads it */
    for (size_t i = 0; i < p->n_nodes; i++)
        for (int k = 0; k < p->nodes[i].d.n_x; k++) {
            struct value *v = &p->values[p->nodes[i].x[k]];
            struct storage *s = &p->storages[v->storage];
            s->whole_batch |= p->nodes[i].segment == 1;
        }
    for (size_t i = 0; i < p->n_nodes; i++)
        p->storages[p->values[p->nodes[i].y].storage].whole_batch |= p->nodes[i].segment == 1;
    p->n_taps = g->o->n_outputs ? g->o->n_outputs : 1;
    if (!(p->taps = mem_alloc((size_t)p->n_taps * sizeof *p->taps, err))) return -1;
    for (int i = 0; i < p->n_taps; i++) {
        p->taps[i] = g->value[g->o->n_outputs ? g->o->outputs[i] : net->output];
        if (p->taps[i] == NO) return error_set(err, EX_SOFTWARE, "tapped layer was folded away");
        p->storages[p->values[p->taps[i]].storage].whole_batch = true;
    }
    p->logits = p->output = NO;
    if (g->needed[net->output]) {
        p->output = g->value[net->output];
        p->storages[p->values[p->output].storage].whole_batch = true;
        int made_by = p->values[p->output].producer;
        if (made_by != NO && p->nodes[made_by].d.kind == OP_SOFTMAX) {
            p->logits = p->nodes[made_by].x[0];
            p->n_classes = p->values[p->output].shape.c;
        }
    }
    if (plan_trains(g)) {
        if (p->logits == NO)
            return error_set(err, EX_DATAERR, "layer '%s': training needs a net that ends in a softmax",
                             net->layers[net->output].name);
        if (!p->n_params) return error_set(err, EX_DATAERR, "no layer of the net is trainable");
        p->storages[p->values[p->logits].storage].whole_batch = true;
        mark_backward(p);
    }
    return 0;
}

static int largest_divisor(int n, int limit)
{
    int d = n < limit ? n : limit;
    while (n % d)
        d--;
    return d;
}

/* How many pictures segment 0 handles at a time: enough for efficient matrix products, and few enough to
 * fit into the caches and to need little memory. */
#define CHUNK_LIMIT 4

int plan_build(struct plan *p, const struct net *net, const struct engine_options *o,
               const struct backend_table *t, const struct backend *b, struct error *err)
{
    struct builder g = {p, net, o, t, b, .value = NULL};
    size_t n = (size_t)net->n_layers;
    int rc = -1;
    bool *flags = mem_zalloc(8 * n + 1, sizeof *flags, err);
    int *ints = flags ? mem_zalloc(3 * n + 1, sizeof *ints, err) : NULL;
    if (!ints) goto out;
    g.needed = flags;
    g.fed = flags + n;
    g.tapped = flags + 2 * n;
    g.absorbed = flags + 3 * n;
    g.learns = flags + 4 * n;
    g.segment1 = flags + 5 * n;
    g.gradient = flags + 6 * n;
    g.alone = flags + 7 * n;
    g.readers = ints;
    g.reader = ints + n;
    g.value = ints + 2 * n;
    p->batch = o->batch;
    p->keeps_input = o->keeps_input;
    p->chunk = t->whole_batches ? o->batch : largest_divisor(o->batch, CHUNK_LIMIT);
    if (mark_needed(&g, err)) goto out;
    p->n_fed = o->n_inputs ? o->n_inputs : 1;
    if (!(p->fed = mem_alloc((size_t)p->n_fed * sizeof *p->fed, err))) goto out;
    for (size_t i = 0; i < n; i++)
        g.value[i] = NO;
    for (int i = 0; i < p->n_fed; i++) {
        int layer = o->n_inputs ? o->inputs[i] : net->input;
        struct tensor_shape s = plan_shape_of(&net->layers[layer].output);
        if (s.h <= 0 || s.w <= 0 || s.c <= 0) {
            error_set(err, EX_DATAERR, "layer '%s': its size is not known", net->layers[layer].name);
            goto out;
        }
        plan_int8_shape(&g, layer, &s);
        if (g.value[layer] == NO && (g.value[layer] = plan_add_value(&g, layer, &s, NO, err)) == NO) goto out;
        p->fed[i] = g.value[layer];
    }
    for (int i = 0; i < net->n_layers; i++) {
        size_t first = p->n_nodes;
        if (g.needed[i] && !g.fed[i] && !g.absorbed[i] && plan_add_layer(&g, i, err)) goto out;
        plan_int8_mark(&g, first);
    }
    rc = finish(&g, err);
out:
    free(flags);
    free(ints);
    return rc;
}
