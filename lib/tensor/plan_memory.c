/*
 * plan_memory.c: computes when each storage is live, and assigns it an offset in one arena. Space is reused
 * as soon as a storage is no longer needed. Time is counted in steps: step 0 is the upload, then come the
 * nodes forward in order, the loss, and the nodes backward in reverse. The largest storages are placed first,
 * each at the lowest offset that is free during its whole life. For the nets that were tried, the arena is at
 * most a few percent larger than the storages that are needed at the same time.
 */
#include <stdlib.h>

#include "tensor/engine_internal.h"

static void touch(struct plan *p, int storage, int step)
{
    struct storage *s = &p->storages[storage];
    if (s->begin == NO || step < s->begin) s->begin = step;
    if (step > s->end) s->end = step;
}

static int add_raw(struct plan *p, size_t bytes, struct error *err)
{
    if (mem_grow(&p->storages, &p->cap_storages, p->n_storages + 1, sizeof *p->storages, err)) return NO;
    p->storages[p->n_storages] = (struct storage){.bytes = bytes, .begin = NO, .end = NO, .gradient = NO};
    return (int)p->n_storages++;
}

static int gradient_of(struct plan *p, int storage, struct error *err)
{
    if (p->storages[storage].gradient == NO) {
        int g = add_raw(p, p->storages[storage].bytes, err);
        if (g == NO) return NO;
        p->storages[g].whole = p->storages[storage].whole;
        p->storages[g].row_bytes = p->storages[storage].row_bytes;
        p->storages[g].whole_batch = true;
        p->storages[storage].gradient = g;
    }
    return p->storages[storage].gradient;
}

static int make_operations(struct plan *p, const struct backend_table *t, struct backend *b,
                           struct error *err)
{
    for (size_t i = 0; i < p->n_nodes; i++) {
        struct node *n = &p->nodes[i];
        int rows = n->segment ? p->batch : p->chunk;
        for (int k = 0; k < n->d.n_x; k++)
            n->d.x[k].n = rows;
        n->d.y.n = rows;
        if (t->op_create(b, &n->d, &n->op, err)) return error_prefix(err, "layer '%s'", n->d.name);
        size_t saved =
            n->segment && (n->backward || n->d.kind == OP_BATCH_NORM) ? t->op_saved_bytes(n->op) : 0;
        if (saved && (n->saved = add_raw(p, saved, err)) == NO) return -1;
        if (n->d.kind == OP_MULTIPLY &&
            (n->mask = add_raw(p, (size_t)rows * (size_t)n->d.y.c * sizeof(float), err)) == NO)
            return -1;
        size_t workspace = t->op_workspace_bytes(n->op);
        if (workspace > p->workspace_bytes) p->workspace_bytes = workspace;
        p->constant_bytes += t->op_constant_bytes(n->op);
    }
    return 0;
}

static int find_lifetimes(struct plan *p, const struct backend_table *t, struct error *err)
{
    int n_nodes = (int)p->n_nodes, loss = n_nodes + 1;
    for (int i = 0; i < p->n_fed; i++) {
        int fed = p->values[p->fed[i]].storage;
        if (p->storages[fed].bytes) touch(p, fed, 0);
        if (p->storages[fed].bytes && p->keeps_input) touch(p, fed, TIME_END);
    }
    for (int i = 0; i < n_nodes; i++) {
        const struct node *n = &p->nodes[i];
        int step = 1 + i, back = loss + 1 + (n_nodes - 1 - i);
        unsigned reads = n->backward ? t->op_backward_reads(n->op) : 0;
        int touched[OP_MAX_INPUTS + 1], n_touched = 0;
        for (int k = 0; k < n->d.n_x; k++)
            touched[n_touched++] = p->values[n->x[k]].storage;
        touched[n_touched++] = p->values[n->y].storage;
        for (int k = 0; k < n_touched; k++) {
            touch(p, touched[k], step);
            if (n->segment == 0 && p->storages[touched[k]].whole_batch)
                touch(p, touched[k], 0); /* the next chunk runs through all earlier steps again */
            if (reads & (k < n->d.n_x ? BACKWARD_READS_X : BACKWARD_READS_Y)) touch(p, touched[k], back);
        }
        for (int k = 0; k < 2; k++) {
            int raw = k ? n->mask : n->saved;
            if (raw == NO) continue;
            touch(p, raw, step);
            if (k && t->run_step)
                touch(p, raw, 0); /* masks are copied to the device together with the batch */
            if (n->backward) touch(p, raw, back);
        }
        if (!n->backward) continue;
        for (int k = 0; k <= n->d.n_x; k++) {
            const struct value *v = &p->values[k < n->d.n_x ? n->x[k] : n->y];
            if (!v->needs_gradient) continue;
            int g = gradient_of(p, v->storage, err);
            if (g == NO) return -1;
            touch(p, g, back);
        }
    }
    if (p->logits != NO) {
        /* If the host does not wait for the logits, they are read only after the backward pass. */
        touch(p, p->values[p->logits].storage, t->run_step ? TIME_END : loss);
        int g = p->storages[p->values[p->logits].storage].gradient;
        /* A part of the logits' gradient is copied to the device together with the batch. */
        if (g != NO) touch(p, g, t->run_step ? 0 : loss);
    }
    if (p->output != NO) touch(p, p->values[p->output].storage, loss);
    for (int i = 0; i < p->n_taps; i++)
        touch(p, p->values[p->taps[i]].storage, TIME_END);
    return 0;
}

/* --- offsets --- */

static int larger_first(const void *a, const void *b, void *context)
{
    const struct storage *storages = context;
    const int i = *(const int *)a, k = *(const int *)b;
    const struct storage *x = &storages[i], *y = &storages[k];
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return i - k;
}

static int lower_first(const void *a, const void *b, void *context)
{
    const struct storage *storages = context;
    const int i = *(const int *)a, k = *(const int *)b;
    const struct storage *x = &storages[i], *y = &storages[k];
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return i - k;
}

static size_t aligned(size_t bytes) { return (bytes + BACKEND_ALIGN - 1) / BACKEND_ALIGN * BACKEND_ALIGN; }

static int place_storages(struct plan *p, struct error *err)
{
    int *order = mem_alloc((p->n_storages + 1) * sizeof *order, err), n = 0, n_overlapping, rc = -1;
    int *overlapping = order ? mem_alloc((p->n_storages + 1) * sizeof *overlapping, err) : NULL;
    if (!overlapping) goto out;
    for (size_t i = 0; i < p->n_storages; i++)
        if (p->storages[i].begin != NO && p->storages[i].bytes) order[n++] = (int)i;
    qsort_r(order, (size_t)n, sizeof *order, larger_first, p->storages);
    for (int i = 0; i < n; i++) {
        struct storage *s = &p->storages[order[i]];
        n_overlapping = 0;
        for (int k = 0; k < i; k++) {
            const struct storage *other = &p->storages[order[k]];
            if (other->begin <= s->end && s->begin <= other->end) overlapping[n_overlapping++] = order[k];
        }
        qsort_r(overlapping, (size_t)n_overlapping, sizeof *overlapping, lower_first, p->storages);
        size_t at = 0;
        for (int k = 0; k < n_overlapping; k++) {
            const struct storage *other = &p->storages[overlapping[k]];
            if (at + s->bytes <= other->offset) break;
            size_t end = aligned(other->offset + other->bytes);
            at = end > at ? end : at;
        }
        s->offset = at;
        if (at + s->bytes > p->arena_bytes) p->arena_bytes = at + s->bytes;
    }
    rc = 0;
out:
    free(order);
    free(overlapping);
    return rc;
}

int plan_finish(struct plan *p, const struct engine_options *o, const struct backend_table *t,
                struct backend *b, struct error *err)
{
    for (size_t i = 0; i < p->n_storages; i++) {
        struct storage *s = &p->storages[i];
        s->whole.n = 1;
        s->row_bytes = t->tensor_bytes(b, &s->whole);
        s->whole.n = s->whole_batch ? p->batch : p->chunk;
        s->bytes = t->tensor_bytes(b, &s->whole);
    }
    if (make_operations(p, t, b, err) || find_lifetimes(p, t, err) || place_storages(p, err)) return -1;
    /* Parameters are laid out in the order of the nodes. Their gradients have the same layout, so the
     * backward pass fills it from the end. */
    for (size_t i = 0; i < p->n_nodes; i++)
        for (int slot = 0; slot < P_SLOTS; slot++)
            for (int k = p->nodes[i].param[slot]; k != NO; k = p->params[k].next) {
                struct param *q = &p->params[k];
                size_t *arena = q->statistic ? &p->statistics_bytes : &p->weights_bytes;
                q->bytes = t->param_bytes(b, &q->shape);
                q->offset = *arena;
                *arena += aligned(q->bytes);
            }
    return 0;
}

void plan_release(struct plan *p, const struct backend_table *t, struct backend *b)
{
    for (size_t i = 0; i < p->n_nodes; i++)
        if (p->nodes[i].op) t->op_destroy(b, p->nodes[i].op);
    free(p->values);
    free(p->storages);
    free(p->nodes);
    free(p->params);
    free(p->fed);
    free(p->taps);
    *p = (struct plan){0};
}
