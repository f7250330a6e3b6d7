/* net_unlock.c: finds where fine-tuning begins, from the name of a layer, a block of layers, or a share of
 * the convolutions. */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/number.h"
#include "net/net_parts.h"

/* Returns the length of the block's prefix in a name, or 0: "block5a_" in block5a_dwconv, "block_11_" in
 * block_11_project, "conv4_block2_" in conv4_block2_1_conv. */
static size_t block_bytes(const char *name)
{
    const char *at = strstr(name, "block");
    if (!at) return 0;
    at += strlen("block");
    if (*at == '_') at++;
    if (!isdigit((unsigned char)*at)) return 0;
    while (isalnum((unsigned char)*at))
        at++;
    return *at == '_' ? (size_t)(at + 1 - name) : 0;
}

static int first_with(const struct net *n, const char *prefix, size_t bytes)
{
    for (int i = 0; i < n->n_layers; i++)
        if (strncmp(n->layers[i].name, prefix, bytes) == 0) return i;
    return -1;
}

static bool is_conv(const struct net_layer *l)
{
    return l->kind == LAYER_CONV2D || l->kind == LAYER_DEPTHWISE_CONV2D;
}

/* Whether the layers from this position on read only one of the layers before it. */
static bool is_narrow(const struct net *n, int place)
{
    int read = -1;
    for (int i = place; i < n->n_layers; i++)
        for (int k = 0; k < n->layers[i].n_inputs; k++) {
            int from = n->layers[i].inputs[k];
            if (from >= place) continue;
            if (read >= 0 && read != from) return false;
            read = from;
        }
    return true;
}

/* Returns the start of a layer's block. Other programs name their blocks in many ways, so it is the last
 * narrow position before the layer. */
static const char *narrow_place(const struct net *n, int at)
{
    while (at > 0 && !is_narrow(n, at))
        at--;
    return n->layers[at].name;
}

const char *net_unlock_share(const struct net *n, double share)
{
    int n_convs = 0, at = 0;
    for (int i = 0; i < n->n_layers; i++)
        n_convs += is_conv(&n->layers[i]);
    int first = n_convs - (int)ceil(n_convs * share - 1e-9);
    for (int i = 0; i < n->n_layers; i++)
        if (is_conv(&n->layers[i]) && at++ >= first) {
            const char *name = n->layers[i].name;
            size_t bytes = block_bytes(name);
            if (bytes) return n->layers[first_with(n, name, bytes)].name;
            return n->metadata.onnx_json ? narrow_place(n, i) : name;
        }
    return n->layers[0].name;
}

/* Whether the layer belongs to the block `prefix`, as layer3.0.conv1 belongs to "layer3", and block5a_add to
 * "block5a". */
static bool is_part_of(const struct net_layer *l, const char *prefix)
{
    size_t bytes = strlen(prefix);
    return bytes && strncmp(l->name, prefix, bytes) == 0 && (l->name[bytes] == '_' || l->name[bytes] == '.');
}

int net_block_end(const struct net *n, const char *name)
{
    int last = net_find(n, name);
    for (int i = 0; last < 0 && i < n->n_layers; i++)
        if (is_part_of(&n->layers[n->n_layers - 1 - i], name)) last = n->n_layers - 1 - i;
    return last;
}

const char *net_unlock_place(const struct net *n, const char *from)
{
    double share;
    struct error ignored = {0};
    int layer = net_find(n, from);
    if (layer >= 0) return n->layers[layer].name;
    if ((isdigit((unsigned char)*from) || *from == '.') &&
        !parse_double(from, 0, 1, &share, "the share", &ignored) && share > 0)
        return net_unlock_share(n, share);
    for (int i = 0; i < n->n_layers; i++)
        if (is_part_of(&n->layers[i], from)) return n->layers[i].name;
    return NULL;
}
