/* engine_state.c: reads and writes the weights, the statistics and the state of the optimiser as flat float32
 * arrays. They are in the order of the net and in Keras' layouts, whatever layout the device uses. */
#include <stdlib.h>
#include <string.h>

#include "tensor/engine_internal.h"

static struct backend_buffer *buffer_of(const struct engine *e, enum engine_state which)
{
    switch (which) {
    case ENGINE_WEIGHTS: return e->weights;
    case ENGINE_STATISTICS: return e->statistics;
    case ENGINE_OPTIMIZER_1: return e->state[0];
    case ENGINE_OPTIMIZER_2: return e->state[1];
    case ENGINE_EMA: return e->ema;
    case ENGINE_GRADIENTS: return e->gradients;
    case ENGINE_STATES: break;
    }
    return NULL;
}

size_t engine_state_size(const struct engine *e, enum engine_state which)
{
    size_t total = 0;
    if (!buffer_of(e, which)) return 0;
    for (size_t k = 0; k < e->plan.n_params; k++)
        if (e->plan.params[k].statistic == (which == ENGINE_STATISTICS)) total += e->plan.params[k].n_values;
    return total;
}

static int move(struct engine *e, enum engine_state which, float *out, const float *in, struct error *err)
{
    struct backend_buffer *buffer = buffer_of(e, which);
    size_t at = 0;
    for (size_t k = 0; buffer && k < e->plan.n_params; k++) {
        const struct param *q = &e->plan.params[k];
        struct slot s = {buffer, q->offset};
        if (q->statistic != (which == ENGINE_STATISTICS)) continue;
        if (out ? e->table->param_download(e->backend, s, &q->shape, out + at, err)
                : e->table->param_upload(e->backend, s, &q->shape, in + at, err))
            return -1;
        at += q->n_values;
    }
    return 0;
}

int engine_state_get(struct engine *e, enum engine_state which, float *out, struct error *err)
{
    return move(e, which, out, NULL, err);
}

int engine_state_set(struct engine *e, enum engine_state which, const float *values, struct error *err)
{
    return move(e, which, NULL, values, err);
}

static int check_topology(const struct engine *e, const struct net *net, struct error *err)
{
    bool same = net->n_layers == e->n_layers;
    for (size_t k = 0; same && k < e->plan.n_params; k++) {
        const struct param *q = &e->plan.params[k];
        const struct net_layer *l = &net->layers[q->layer];
        same = q->weight < l->n_weights && l->weights[q->weight].n_values == q->n_values;
    }
    return same ? 0
                : error_set(err, EX_DATAERR, "net '%s' is not of the topology the engine was opened with",
                            net->name ? net->name : "");
}

int engine_read_net(struct engine *e, enum engine_state which, struct net *net, struct error *err)
{
    struct backend_buffer *weights = which == ENGINE_EMA && e->ema ? e->ema : e->weights;
    if (check_topology(e, net, err)) return -1;
    for (size_t k = 0; k < e->plan.n_params; k++) {
        const struct param *q = &e->plan.params[k];
        struct slot s = {q->statistic ? e->statistics : weights, q->offset};
        if (e->table->param_download(e->backend, s, &q->shape,
                                     net->layers[q->layer].weights[q->weight].values, err))
            return -1;
    }
    return 0;
}

int engine_write_net(struct engine *e, const struct net *net, struct error *err)
{
    if (check_topology(e, net, err) || engine_load_constants(e, net, err)) return -1;
    for (size_t k = 0; k < e->plan.n_params; k++) {
        const struct param *q = &e->plan.params[k];
        struct slot s = {q->statistic ? e->statistics : e->weights, q->offset};
        if (e->table->param_upload(e->backend, s, &q->shape, net->layers[q->layer].weights[q->weight].values,
                                   err))
            return -1;
    }
    return 0;
}
