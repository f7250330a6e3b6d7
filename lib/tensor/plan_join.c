/*
 * plan_join.c: joins batch norms that a concatenation puts side by side into one.
 *
 * A batch norm treats each channel separately. Norms whose outputs are neighbours in a concatenation can
 * therefore be one norm over all their channels, if their inputs are side by side as well; convolutions that
 * can write slices make that possible. On a GPU this saves a copy of each branch, forward and backward, and
 * the launches of all norms but one. The gammas, betas and statistics must be adjacent in memory: struct
 * param.next.
 */
#include "tensor/plan_builder.h"

/* Vectors of parameters begin at multiples of BACKEND_ALIGN. With such a number of
 * channels there is no gap between them. */
#define CHANNELS ((int)(BACKEND_ALIGN / sizeof(float)))

/* Returns the batch norm that computes value v, if it can be part of a joined one, and otherwise NO. */
static int norm_of(const struct plan *p, const struct backend_table *t, const struct backend *b,
                   const bool *alone, int v)
{
    const struct value *y = &p->values[v];
    const struct node *n = y->producer == NO ? NULL : &p->nodes[y->producer];
    if (!n || n->d.kind != OP_BATCH_NORM || y->storage != NO || !alone[y->layer] || n->d.y.c % CHANNELS)
        return NO;
    if (n->joined) return y->producer;
    const struct value *z = &p->values[n->x[0]];
    const struct node *made = z->producer == NO ? NULL : &p->nodes[z->producer];
    if (!made || z->storage != NO || !alone[z->layer] || made->segment != n->segment) return NO;
    struct op_desc d = made->d;
    d.y.parent_c = 2 * d.y.c;
    return t->writes_slice(b, &d) ? y->producer : NO;
}

static bool alike(const struct plan *p, const struct node *a, const struct node *b)
{
    return a->segment == b->segment && a->d.training == b->d.training && a->momentum == b->momentum &&
           a->d.epsilon == b->d.epsilon && a->d.activation == b->d.activation &&
           a->d.activation_max == b->d.activation_max && a->d.has_gamma == b->d.has_gamma &&
           a->d.has_beta == b->d.has_beta &&
           p->values[a->x[0]].needs_gradient == p->values[b->x[0]].needs_gradient;
}

/* Makes the input of one norm a slice of the storage, from channel first_c on. */
static void move(struct plan *p, int x, int storage, int total_c, int first_c)
{
    int old = p->values[x].storage;
    for (size_t i = 0; i < p->n_values; i++) {
        struct value *v = &p->values[i];
        if ((int)i != x && (old == NO || v->storage != old)) continue;
        v->storage = storage;
        v->shape.parent_c = total_c;
        v->shape.first_c += first_c;
    }
}

/* Joins the norms nodes[n], in the order of the concatenation. The last of them in the order of the plan
 * is kept, because all inputs exist by then. Returns its output value, or NO with err set. */
static int join(struct plan *p, const int *nodes, int n, struct error *err)
{
    int last = nodes[0], c = 0, at = 0;
    for (int i = 0; i < n; i++) {
        last = nodes[i] > last ? nodes[i] : last;
        c += p->nodes[nodes[i]].d.y.c;
    }
    struct value x = p->values[p->nodes[last].x[0]], y = p->values[p->nodes[last].y];
    x.shape.c = x.shape.parent_c = y.shape.c = y.shape.parent_c = c;
    x.shape.first_c = 0;
    x.producer = NO;
    if ((x.storage = plan_add_storage(p, &x.shape, err)) == NO ||
        mem_grow(&p->values, &p->cap_values, p->n_values + 2, sizeof *p->values, err))
        return NO;
    for (int i = 0; i < n; i++) {
        struct node *from = &p->nodes[nodes[i]];
        move(p, from->x[0], x.storage, c, at);
        at += from->d.y.c;
        for (int slot = P_GAMMA; slot <= P_VARIANCE && i > 0; slot++) {
            int end = p->nodes[nodes[0]].param[slot];
            if (end == NO) continue;
            while (p->params[end].next != NO)
                end = p->params[end].next;
            p->params[end].next = from->param[slot];
        }
        if (nodes[i] != last) from->d.kind = OP_KINDS; /* sort_segments leaves it out */
    }
    struct node *one = &p->nodes[last];
    for (int slot = P_GAMMA; slot <= P_VARIANCE; slot++)
        one->param[slot] = p->nodes[nodes[0]].param[slot];
    one->joined = true;
    one->d.x[0] = x.shape;
    one->d.y = y.shape;
    p->values[p->n_values] = x;
    one->x[0] = (int)p->n_values++;
    p->values[p->n_values] = y;
    one->y = (int)p->n_values++;
    return one->y;
}

int plan_join_norms(struct plan *p, const struct backend_table *t, const struct backend *b, const bool *alone,
                    int *x, bool *movable, int *n, struct error *err)
{
    int kept = 0;
    for (int i = 0; i < *n;) {
        int nodes[OP_MAX_INPUTS], run = 0;
        while (i + run < *n && movable[i + run] && (nodes[run] = norm_of(p, t, b, alone, x[i + run])) != NO &&
               (!run || alike(p, &p->nodes[nodes[0]], &p->nodes[nodes[run]])))
            run++;
        int y = run > 1 ? join(p, nodes, run, err) : x[i];
        if (y == NO) return -1;
        movable[kept] = movable[i];
        x[kept++] = y;
        i += run > 1 ? run : 1;
    }
    *n = kept;
    return 0;
}
