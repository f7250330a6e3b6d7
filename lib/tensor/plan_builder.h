/* plan_builder.h: the state that plan_graph.c (which layers run) and plan_layers.c (which operations they
 * become) share. */
#ifndef WINNOW_TENSOR_PLAN_BUILDER_H
#define WINNOW_TENSOR_PLAN_BUILDER_H

#include "tensor/engine_internal.h"

struct builder {
    struct plan *p;
    const struct net *net;
    const struct engine_options *o;
    const struct backend_table *t;
    const struct backend *b;
    bool *needed, *fed, *tapped, *absorbed, *learns, *segment1, *gradient;
    bool *alone;           /* whether exactly one layer, and not the caller, reads the layer */
    int *readers, *reader; /* number of needed layers that read the layer; the last of them */
    int *value;            /* value of the layer's output; NO before it is planned */
};

static inline bool plan_trains(const struct builder *g) { return g->o->mode == ENGINE_TRAIN; }
struct tensor_shape plan_shape_of(const struct net_shape *s);
/* NO, or -1, with err set */
int plan_add_value(struct builder *g, int layer, const struct tensor_shape *shape, int producer,
                   struct error *err);
int plan_add_storage(struct plan *p, const struct tensor_shape *whole, struct error *err);
int plan_add_layer(struct builder *g, int layer, struct error *err);

#endif
