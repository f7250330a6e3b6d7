/*
 * build_efficientnet_lite.c: EfficientNet-Lite0, 1 and 2 without their top: the network B0 of Tan and Le
 * (2019) without squeeze-and-excite and with ReLU6 in place of swish. The stem, the head, and the first and
 * the last stage are not scaled by the coefficients. Layers have the names that keras-applications gives to
 * those of EfficientNet. A stride of 2 is a convolution with padding "same" here, which pads even sizes at
 * the bottom and at the right only.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "net/build.h"

static const struct {
    double width, depth;
    int side;
} variants[] = {{1.0, 1.0, 224}, {1.0, 1.1, 240}, {1.1, 1.2, 260}};

static const struct {
    int kernel, stride, expansion, filters, repeat;
} stages[] = {
    {3, 1, 1, 16, 1},  {3, 2, 6, 24, 2},  {5, 2, 6, 40, 2},  {3, 2, 6, 80, 3},
    {5, 1, 6, 112, 3}, {5, 2, 6, 192, 4}, {3, 1, 6, 320, 1},
};
enum { N_STAGES = sizeof stages / sizeof *stages };

/* Rounds to a multiple of 8, but never down by more than a tenth. */
static int channels(double wanted)
{
    int n = (int)(wanted + 4) / 8 * 8;
    return n < 0.9 * wanted ? n + 8 : n;
}

/* Adds a convolution and a batch norm, and a ReLU6 unless the block ends there. Their names are PREFIX<conv>,
 * PREFIX<rest>bn and so on. */
static int unit(struct builder *b, int in, enum layer_kind kind, const char *prefix, const char *conv,
                const char *rest, int filters, int kernel, int stride, bool active)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s", prefix, conv);
    int x = build_layer(b, kind, name, &in, 1);
    struct net_layer *l = build_last(b);
    l->kernel_h = l->kernel_w = kernel;
    l->stride_h = l->stride_w = stride;
    l->filters = filters;
    l->same = true;
    snprintf(l->initializer, sizeof l->initializer, "glorot_uniform");
    snprintf(name, sizeof name, "%s%sbn", prefix, rest);
    x = build_layer(b, LAYER_BATCH_NORM, name, &x, 1);
    l = build_last(b);
    l->momentum = 0.99;
    l->epsilon = 1e-3;
    l->axis = -1;
    if (!active) return x;
    snprintf(name, sizeof name, "%s%sactivation", prefix, rest);
    x = build_layer(b, LAYER_RELU, name, &x, 1);
    build_last(b)->relu_max = 6;
    return x;
}

static int block(struct builder *b, int in, const char *prefix, int stage, int have, int filters, int stride)
{
    char name[64];
    int x = in, k = stages[stage].kernel, wide = have * stages[stage].expansion;
    if (wide != have) x = unit(b, x, LAYER_CONV2D, prefix, "expand_conv", "expand_", wide, 1, 1, true);
    x = unit(b, x, LAYER_DEPTHWISE_CONV2D, prefix, "dwconv", "", 1, k, stride, true);
    x = unit(b, x, LAYER_CONV2D, prefix, "project_conv", "project_", filters, 1, 1, false);
    if (stride != 1 || have != filters) return x;
    snprintf(name, sizeof name, "%sadd", prefix);
    return build_layer(b, LAYER_ADD, name, (int[]){in, x}, 2);
}

int net_build_efficientnet_lite(struct net *n, int variant, int side, struct error *err)
{
    struct builder b = {.net = n, .err = err};
    char name[32];
    *n = NET_EMPTY;
    if (variant < 0 || variant > 2)
        return error_set(err, EX_USAGE, "there is EfficientNet-Lite0, 1 and 2, not %d", variant);
    if (side == 0) side = variants[variant].side;
    if (side < 32 || side > 4096)
        return error_set(err, EX_USAGE, "EfficientNet-Lite takes pictures of 32 to 4096 pixels, not %d",
                         side);
    int have = 32, x = build_input(&b, side);
    x = unit(&b, x, LAYER_CONV2D, "stem_", "conv", "", have, 3, 2, true);
    for (int s = 0; s < N_STAGES; s++) {
        bool fixed = s == 0 || s == N_STAGES - 1;
        int repeat = fixed ? stages[s].repeat : (int)ceil(stages[s].repeat * variants[variant].depth);
        int filters = channels(stages[s].filters * variants[variant].width);
        for (int i = 0; i < repeat; i++) {
            snprintf(name, sizeof name, "block%d%c_", s + 1, 'a' + i);
            x = block(&b, x, name, s, have, filters, i == 0 ? stages[s].stride : 1);
            have = filters;
        }
    }
    unit(&b, x, LAYER_CONV2D, "top_", "conv", "", 1280, 1, 1, true);
    snprintf(name, sizeof name, "efficientnet_lite%d", variant);
    if (build_finish(&b, name)) return -1;
    n->metadata.input_scale = 1.0 / 128;
    n->metadata.input_offset = -127.0 / 128;
    return 0;
}
