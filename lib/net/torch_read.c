/*
 * torch_read.c: makes a network from an old PyTorch checkpoint. A state dict has names and weights but no
 * topology, so only networks of the built-in builders can be opened: EfficientNet-Lite0, 1 and 2, with the
 * names of EfficientNet-Lite-PyTorch. The classifier for 1,000 classes is left out, as in keras-applications'
 * *_notop.h5, because a new head replaces it anyway.
 */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "net/net_parts.h"
#include "net/torch_state.h"

/* Writes the name of a layer in the checkpoint, such as "_blocks.3._bn1" for block2c_bn, or "" when there is
 * no such name. block is the number of the block. */
static void torch_name(const char *layer, int block, char out[64])
{
    static const char *const parts[][2] = {
        {"expand_conv", "_expand_conv"},   {"expand_bn", "_bn0"},
        {"dwconv", "_depthwise_conv"},     {"bn", "_bn1"},
        {"project_conv", "_project_conv"}, {"project_bn", "_bn2"},
    };
    static const char *const ends[][2] = {{"stem_conv", "_conv_stem"},
                                          {"stem_bn", "_bn0"},
                                          {"top_conv", "_conv_head"},
                                          {"top_bn", "_bn1"}};
    const char *suffix = strchr(layer, '_');
    out[0] = 0;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (strcmp(layer, ends[i][0]) == 0) snprintf(out, 64, "%s", ends[i][1]);
    for (size_t i = 0; suffix && text_starts(layer, "block") && i < sizeof parts / sizeof *parts; i++)
        if (strcmp(suffix + 1, parts[i][0]) == 0) snprintf(out, 64, "_blocks.%d.%s", block, parts[i][1]);
}

/* A kernel is [out,in,h,w] in the checkpoint (depthwise [channels,1,h,w]), and [h,w,in,out] here. */
static int give_weight(struct net_weight *w, const struct torch_state *s, const char *layer,
                       struct error *err)
{
    static const char *const roles[] = {[WEIGHT_KERNEL] = "weight",
                                        [WEIGHT_DEPTHWISE_KERNEL] = "weight",
                                        [WEIGHT_BIAS] = "bias",
                                        [WEIGHT_GAMMA] = "weight",
                                        [WEIGHT_BETA] = "bias",
                                        [WEIGHT_MOVING_MEAN] = "running_mean",
                                        [WEIGHT_MOVING_VARIANCE] = "running_var"};
    char name[96];
    snprintf(name, sizeof name, "%s.%s", layer, roles[w->role]);
    const struct torch_tensor *t = torch_state_find(s, name);
    if (!t || t->dtype != TORCH_FLOAT) return error_set(err, EX_DATAERR, "the weight '%s' is missing", name);
    const int *d = w->shape.dim;
    bool kernel = w->shape.rank == 4, depthwise = w->role == WEIGHT_DEPTHWISE_KERNEL;
    int outs = kernel ? d[depthwise ? 2 : 3] : d[0], ins = kernel && !depthwise ? d[2] : 1;
    if (t->rank != w->shape.rank || t->dim[0] != outs ||
        (kernel && (t->dim[1] != ins || t->dim[2] != d[0] || t->dim[3] != d[1])))
        return error_set(err, EX_DATAERR, "the weight '%s' has another shape than this network's", name);
    if (!kernel) {
        for (int i = 0; i < outs; i++)
            w->values[i] = torch_tensor_at(t, i, 0, 0, 0);
        return 0;
    }
    float *out = w->values;
    for (int y = 0; y < d[0]; y++)
        for (int x = 0; x < d[1]; x++)
            for (int i = 0; i < ins; i++)
                for (int o = 0; o < outs; o++)
                    *out++ = torch_tensor_at(t, o, i, y, x);
    return 0;
}

static int give_weights(struct net *n, const struct torch_state *s, struct error *err)
{
    char name[64], prefix[16] = "";
    int block = -1;
    for (int i = 0; i < n->n_layers; i++) {
        struct net_layer *l = &n->layers[i];
        size_t length = strcspn(l->name, "_");
        if (text_starts(l->name, "block") && length < sizeof prefix &&
            (strncmp(prefix, l->name, length) != 0 || prefix[length])) {
            snprintf(prefix, sizeof prefix, "%.*s", (int)length, l->name);
            block++;
        }
        torch_name(l->name, block, name);
        for (int w = 0; w < l->n_weights; w++)
            if (give_weight(&l->weights[w], s, name, err)) return -1;
    }
    return 0;
}

int net_read_torch(struct net *n, const char *path, struct error *err)
{
    struct torch_state s;
    int rc = -1;
    *n = NET_EMPTY;
    if (torch_state_open(&s, path, err)) return -1;
    /* Lite1 and Lite2 have the same blocks. Those of Lite2 are wider from the third stage on. */
    const struct torch_tensor *third = torch_state_find(&s, "_blocks.4._project_conv.weight");
    if (!torch_state_find(&s, "_conv_stem.weight") || !third || third->rank != 4) {
        error_set(err, EX_DATAERR,
                  "a PyTorch state dict without a topology, and not EfficientNet-Lite's: copy the weights "
                  "into a "
                  "Keras model and save that as .h5");
        goto out;
    }
    int variant = !torch_state_find(&s, "_blocks.16._project_conv.weight") ? 0 : third->dim[0] == 48 ? 2 : 1;
    if (!net_build_efficientnet_lite(n, variant, 0, err)) rc = give_weights(n, &s, err);
out:
    torch_state_release(&s);
    if (rc) {
        net_release(n);
        error_prefix(err, "'%s'", path);
    }
    return rc;
}
