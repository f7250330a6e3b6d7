/* targets.c: opens the net and the caches, with the same decisions as train. */
#include "embed.h"

#include <stdlib.h>
#include <string.h>

#include "model/base_net.h"

static int open_net(struct embed *e, struct error *err)
{
    /* The head is not computed. But the net of train has a head, and the indices of layers must be the
     * same. */
    static char one[] = "a", two[] = "b";
    static char *const classes[] = {one, two};
    const struct embed_options *o = e->opt;
    if (o->resize && resize_rule_parse(o->resize, &e->rule, err)) return error_prefix(err, "--resize");
    if (base_net_open(&e->net, o->base, o->input, (int)o->size, err)) return -1;
    /* Bases that winnow trained record a resize method; it is ignored here, as in `pack`. */
    const char *own = o->input || e->net.metadata.onnx_json ? e->net.metadata.resize : "";
    if (!o->resize && resize_rule_parse(own, &e->rule, err)) return error_prefix(err, "--base '%s'", o->base);
    if ((o->feature_layer && net_infer_shapes(&e->net, (int)o->size, (int)o->size, err)) ||
        base_net_end_at(&e->net, o->feature_layer, o->base, err) ||
        net_replace_head(&e->net, 2, classes, 0, err))
        return -1;
    const struct net_shape *input = &e->net.layers[e->net.input].output;
    e->side_px = o->size ? (int)o->size : input->rank == 3 && input->dim[0] > 0 ? (int)input->dim[0] : 299;
    if (net_infer_shapes(&e->net, e->side_px, e->side_px, err))
        return error_prefix(err, "--base '%s' with pictures of %d x %d (--size)", o->base, e->side_px,
                            e->side_px);
    base_net_freeze(&e->net);
    return base_net_device(o->device, o->precision, stage_threads(&o->common), 0, &e->device, &e->precision,
                           err);
}

static int open_cache(struct embed *e, int target, const char *name, enum activation_dtype dtype,
                      char identity[33], struct error *err)
{
    const struct frozen_boundary *f = &e->boundary[target];
    if (frozen_boundary_identity(f, &e->net, e->device, e->precision, identity, err) ||
        activation_cache_open(&e->cache[target], e->opt->cache, name, identity, f->total, dtype, err))
        return -1;
    e->n_targets = target + 1;
    return 0;
}

/* Opens the cache of the inputs for fine-tuning, which are computed together with the features. */
static int open_boundary(struct embed *e, struct error *err)
{
    struct net unlocked = NET_EMPTY;
    const char *from;
    char identity[33];
    int rc = net_copy(&unlocked, &e->net, err) ||
                     base_net_unlock(&unlocked, e->opt->unlock_from, e->opt->base, &from, err) ||
                     frozen_boundary_find(&e->boundary[1], &unlocked, err)
                 ? -1
                 : 0;
    net_release(&unlocked);
    if (rc || e->boundary[1].is_input) return rc;
    return open_cache(e, 1, "boundary",
                      e->opt->boundary == EMBED_BOUNDARY_F16 ? ACTIVATION_F16 : ACTIVATION_F32, identity,
                      err);
}

int embed_open(struct embed *e, struct error *err)
{
    const struct embed_options *o = e->opt;
    if (open_net(e, err) || frozen_boundary_find(&e->boundary[0], &e->net, err) ||
        open_cache(e, 0, "features", ACTIVATION_F32, e->identity, err) ||
        (o->boundary != EMBED_BOUNDARY_NONE && open_boundary(e, err)))
        return -1;
    if (!o->fit) return 0;
    if (vector_fit_read(&e->fit, o->fit, err)) return -1;
    if (e->fit.n_values != e->boundary[0].total || strcmp(e->fit.base, e->identity))
        return error_set(err, EX_DATAERR,
                         "'%s' was fitted on the features of another base, device or precision: use the base "
                         "that it was made with, or fit again with --reduce",
                         o->fit);
    return 0;
}

void embed_release(struct embed *e)
{
    for (int t = 0; t < FROZEN_MAX_TARGETS; t++)
        activation_cache_close(e->cache[t]);
    vector_fit_release(&e->fit);
    net_release(&e->net);
    free(e->keys);
}
