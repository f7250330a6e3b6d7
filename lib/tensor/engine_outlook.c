/* engine_outlook.c: predicts what an engine needs, from its plan; see engine_outlook.h. */
#include "tensor/engine_outlook.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/engine_internal.h"

size_t plan_bytes(const struct plan *p, const struct engine_options *o)
{
    size_t copies = 1;
    if (o->mode == ENGINE_TRAIN) copies = 3 + (o->optimizer == ENGINE_ADAM) + o->ema;
    return p->arena_bytes + p->workspace_bytes + p->constant_bytes + copies * p->weights_bytes +
           p->statistics_bytes;
}

/* --- the largest batch --- */

static int bytes_at(const struct net *net, const struct engine_options *options,
                    const struct backend_table *t, struct backend *b, int batch, size_t *bytes,
                    struct error *err)
{
    struct engine_options o = *options;
    struct plan p = {0};
    o.batch = batch;
    int rc = plan_build(&p, net, &o, t, b, err) || plan_finish(&p, &o, t, b, err) ? -1 : 0;
    *bytes = plan_bytes(&p, &o);
    plan_release(&p, t, b);
    return rc;
}

/* Returns the i-th batch that is tried: 1 to 16, then multiples of 8. */
static int batch_of(int i) { return i < 16 ? i + 1 : (i - 13) * 8; }
static int index_of(int batch) { return batch <= 16 ? batch - 1 : batch / 8 + 13; }

/*
 * A plan may take a second, so few are made. Memory grows almost linearly with the batch: the line through
 * the last two results gives the batch to try next, and bisection finishes the search when that does not
 * converge. A batch that cannot be planned does not fit.
 */
/* The largest batch up to `most` that needs at most limit (0: none), and what it needs. */
static int plan_largest_batch(const struct net *net, const struct engine_options *options,
                              const struct backend_table *t, struct backend *b, int most, size_t limit,
                              size_t *bytes)
{
    int low = -1, high = index_of(most) + 1, at = high - 1 < 3 ? high - 1 : 3; /* low fits, high does not */
    double x0 = 0, y0 = 0;
    struct error ignored = {0};
    *bytes = 0;
    for (int turn = 0; high - low > 1; turn++) {
        size_t need;
        bool planned = !bytes_at(net, options, t, b, batch_of(at), &need, &ignored);
        double x = batch_of(at), y = (double)need;
        if (planned && need <= limit) {
            low = at;
            *bytes = need;
        } else {
            high = at;
        }
        double guess = planned && turn && x != x0 && y != y0 ? x + ((double)limit - y) * (x - x0) / (y - y0)
                                                             : x * (double)limit / (y > 0 ? y : 1);
        if (planned) {
            x0 = x;
            y0 = y;
        }
        at = turn < 4 && guess >= 1 && guess < 1e6 ? index_of((int)guess) : (low + high) / 2;
        if (at >= high) at = high - 1;
        if (at <= low) at = low + 1;
    }
    return low < 0 ? 0 : batch_of(low);
}

int plan_too_large(const struct net *net, const struct engine_options *o, const struct backend_table *t,
                   struct backend *b, size_t need, size_t limit, struct error *err)
{
    size_t bytes;
    int fits = o->batch > 1 ? plan_largest_batch(net, o, t, b, o->batch - 1, limit, &bytes) : 0;
    if (fits)
        return error_set(err, EX_OSERR,
                         "batch %d needs %zu MiB and %zu MiB are there; batch %d would fit (%zu MiB)",
                         o->batch, need >> 20, limit >> 20, fits, bytes >> 20);
    return error_set(err, EX_OSERR, "batch %d needs %zu MiB and %zu MiB are there; no smaller batch fits",
                     o->batch, need >> 20, limit >> 20);
}

static int open_device(const struct engine_options *options, const char *card, const struct backend_table **t,
                       struct backend **b, size_t *limit, struct error *err)
{
    struct backend_options bo = engine_backend_options(options, card);
    if (backend_open(options->device, &bo, t, b, err)) return -1;
    *limit = options->memory_limit_bytes ? options->memory_limit_bytes : (*t)->memory_available(*b);
    return 0;
}

int engine_largest_batch(const struct net *net, const struct engine_options *options, const char *card,
                         int most, double share, int *batch, struct error *err)
{
    const struct backend_table *t;
    struct backend *b;
    size_t limit, bytes;
    if (open_device(options, card, &t, &b, &limit, err)) return -1;
    *batch = plan_largest_batch(net, options, t, b, most, (size_t)(share * (double)limit), &bytes);
    /* Not even one picture can be planned, perhaps not because of memory: plan it again to get the error. */
    int rc = *batch ? 0 : bytes_at(net, options, t, b, 1, &bytes, err);
    t->close(b);
    return rc;
}

/* --- operations and bytes --- */

struct sums {
    const struct backend_table *t;
    struct backend *b;
    enum backend_precision precision;
    struct engine_outlook *out;
    size_t capacity;
};

static double map_bytes(const struct sums *s, const struct tensor_shape *shape)
{
    struct tensor_shape whole = *shape;
    whole.parent_c = whole.c;
    whole.first_c = 0;
    return (double)s->t->tensor_bytes(s->b, &whole);
}

static struct outlook_row *add_row(struct sums *s, const struct node *n, const char *pass, struct error *err)
{
    struct engine_outlook *o = s->out;
    if (mem_grow(&o->rows, &s->capacity, o->n_rows + 1, sizeof *o->rows, err)) return NULL;
    struct outlook_row *r = &o->rows[o->n_rows++];
    *r = (struct outlook_row){.engine = -1};
    snprintf(r->layer, sizeof r->layer, "%s", n->d.name);
    snprintf(r->pass, sizeof r->pass, "%s", pass);
    return r;
}

/* Adds the rows of a node: one for each plan of a convolution, or one for each direction of any other
 * operation. */
static int add_node(struct sums *s, const struct node *n, struct error *err)
{
    const struct op_desc *d = &n->d;
    bool conv = d->kind == OP_CONV || d->kind == OP_DEPTHWISE, dense = d->kind == OP_DENSE;
    double depth = d->kind == OP_DEPTHWISE ? 1 : d->x[0].c, taps = conv ? d->kernel_h * d->kernel_w : 1,
           operations = conv || dense ? 2 * taps * depth * (double)shape_values(&d->y) : 0,
           weights = conv || dense ? taps * depth * d->y.c : 0, x = 0, y = map_bytes(s, &d->y);
    double weight_bytes = weights * (conv && precision_is_short(s->precision) ? 2 : 4);
    for (int i = 0; i < d->n_x; i++)
        x += map_bytes(s, &d->x[i]);
    struct op_plan p;
    struct outlook_row *r;
    int i = 0;
    for (; conv && s->t->op_plan && s->t->op_plan(n->op, i, &p); i++) {
        p.what[strcspn(p.what, " ")] = 0;
        if (!(r = add_row(s, n, p.what, err))) return -1;
        r->engine = p.engine;
        r->workspace_bytes = p.workspace_bytes;
        r->tensor_core = p.tensor_core;
        r->operations = operations;
        r->bytes = x + y + weight_bytes + (d->adds_dx && !strncmp(p.what, "data", 4) ? x : 0);
    }
    if (i) return 0;
    if (!(r = add_row(s, n, "forward", err))) return -1;
    r->operations = operations;
    r->bytes = x + y + weight_bytes;
    r->tensor_core = dense && s->precision != PRECISION_F32;
    if (!n->backward) return 0;
    if (!(r = add_row(s, n, "backward", err))) return -1;
    unsigned reads = s->t->op_backward_reads(n->op);
    r->operations = operations * (d->needs_dx + d->needs_dw);
    r->bytes = y + (reads & BACKWARD_READS_X ? x : 0) + (reads & BACKWARD_READS_Y ? y : 0) +
               (d->needs_dx || !(conv || dense) ? x : 0) + weight_bytes * (d->needs_dx + d->needs_dw);
    r->tensor_core = dense && s->precision != PRECISION_F32;
    return 0;
}

static int add_all(struct sums *s, const struct plan *p, const struct engine_options *o, struct error *err)
{
    for (size_t i = 0; i < p->n_nodes; i++)
        if (add_node(s, &p->nodes[i], err)) return -1;
    if (o->mode != ENGINE_TRAIN || !p->weights_bytes) return 0;
    struct node all = {.d.name = "(all weights)"};
    struct outlook_row *r = add_row(s, &all, o->optimizer == ENGINE_ADAM ? "adam" : "sgd", err);
    if (!r) return -1;
    r->bytes =
        /* read g, and read and write w and v */
        (double)p->weights_bytes * (o->optimizer == ENGINE_ADAM ? 7 : 5);
    return 0;
}

int engine_outlook(struct engine_outlook *out, const struct net *net, const struct engine_options *options,
                   const char *card, struct error *err)
{
    struct sums s = {.precision = options->precision, .out = out};
    struct plan p = {0};
    *out = (struct engine_outlook){0};
    if (open_device(options, card, &s.t, &s.b, &out->memory_there, err)) return -1;
    snprintf(out->device, sizeof out->device, "%s", s.t->describe(s.b));
    int rc = plan_build(&p, net, options, s.t, s.b, err) || plan_finish(&p, options, s.t, s.b, err) ? -1 : 0;
    bool train = options->mode == ENGINE_TRAIN;
    out->maps = p.arena_bytes;
    out->workspace = p.workspace_bytes;
    out->constants = p.constant_bytes;
    out->weights = p.weights_bytes;
    out->gradients = train ? p.weights_bytes : 0;
    out->optimizer = train ? p.weights_bytes * (1 + (options->optimizer == ENGINE_ADAM)) : 0;
    out->average = train && options->ema ? p.weights_bytes : 0;
    out->statistics = p.statistics_bytes;
    out->total = plan_bytes(&p, options);
    if (!rc && out->memory_there && out->total > out->memory_there)
        rc = plan_too_large(net, options, s.t, s.b, out->total, out->memory_there, err);
    if (!rc) rc = add_all(&s, &p, options, err);
    plan_release(&p, s.t, s.b);
    s.t->close(s.b);
    return rc;
}

void engine_outlook_release(struct engine_outlook *o)
{
    free(o->rows);
    *o = (struct engine_outlook){0};
}
