/* build_mobilenet_v2.c: MobileNetV2 (Sandler et al. 2018) without its top, as keras-applications builds
 * it: inverted residual blocks with linear bottlenecks, ReLU6, batch norm momentum 0.999. */
#include <stdio.h>
#include <string.h>

#include "net/build.h"

/* Rounds to a multiple of 8, but never down by more than a tenth (the paper's reference code). */
static int channels(double wanted)
{
    int n = (int)(wanted + 4) / 8 * 8;
    if (n < 8) n = 8;
    return n < 0.9 * wanted ? n + 8 : n;
}

static int window(struct builder *b, int in, enum layer_kind kind, const char *name, int filters, int kernel,
                  int stride)
{
    int x = build_layer(b, kind, name, &in, 1);
    struct net_layer *l = build_last(b);
    l->kernel_h = l->kernel_w = kernel;
    l->stride_h = l->stride_w = stride;
    l->filters = filters;
    l->same = stride == 1; /* strided ones follow an explicit padding */
    snprintf(l->initializer, sizeof l->initializer, "glorot_uniform");
    return x;
}

static int norm(struct builder *b, int in, const char *name)
{
    int x = build_layer(b, LAYER_BATCH_NORM, name, &in, 1);
    struct net_layer *l = build_last(b);
    l->momentum = 0.999;
    l->axis = -1;
    return x;
}

static int relu6(struct builder *b, int in, const char *name)
{
    int x = build_layer(b, LAYER_RELU, name, &in, 1);
    build_last(b)->relu_max = 6;
    return x;
}

/* Pads so that a stride of 2 begins where "same" would begin for an odd size; for an even size this is one
 * row less at the top. */
static int pad(struct builder *b, int in, const char *name, int *size)
{
    int x = build_layer(b, LAYER_ZERO_PADDING, name, &in, 1);
    struct net_layer *l = build_last(b);
    l->pad_top = l->pad_left = *size % 2;
    l->pad_bottom = l->pad_right = 1;
    *size = (*size + 1) / 2;
    return x;
}

static int block(struct builder *b, int in, int number, int in_channels, int out_channels, int stride,
                 int expansion, int *size)
{
    char prefix[24], name[48];
    int x = in;
    if (number > 0)
        snprintf(prefix, sizeof prefix, "block_%d", number);
    else
        snprintf(prefix, sizeof prefix, "expanded_conv");
#define NAMED(suffix) (snprintf(name, sizeof name, "%s_" suffix, prefix), name)
    if (number > 0) {
        x = window(b, x, LAYER_CONV2D, NAMED("expand"), in_channels * expansion, 1, 1);
        x = norm(b, x, NAMED("expand_BN"));
        x = relu6(b, x, NAMED("expand_relu"));
    }
    if (stride == 2) x = pad(b, x, NAMED("pad"), size);
    x = window(b, x, LAYER_DEPTHWISE_CONV2D, NAMED("depthwise"), 1, 3, stride);
    x = norm(b, x, NAMED("depthwise_BN"));
    x = relu6(b, x, NAMED("depthwise_relu"));
    x = window(b, x, LAYER_CONV2D, NAMED("project"), out_channels, 1, 1);
    x = norm(b, x, NAMED("project_BN"));
    if (in_channels == out_channels && stride == 1)
        x = build_layer(b, LAYER_ADD, NAMED("add"), (int[]){in, x}, 2);
#undef NAMED
    return x;
}

int net_build_mobilenet_v2(struct net *n, double alpha, int side, struct error *err)
{
    struct builder b = {.net = n, .err = err};
    static const struct {
        int filters, stride, repeat;
    } stages[] = {
        {16, 1, 1}, {24, 2, 2}, {32, 2, 3}, {64, 2, 4}, {96, 1, 3}, {160, 2, 3}, {320, 1, 1},
    };
    int size = side, number = 0, have = channels(32 * alpha);
    *n = NET_EMPTY;
    if (side < 32 || side > 4096 || !(alpha >= 0.1 && alpha <= 4))
        return error_set(err, EX_USAGE,
                         "MobileNetV2 takes pictures of 32 to 4096 pixels and a width of 0.1 to 4, not %d "
                         "and %g",
                         side, alpha);
    int x = build_input(&b, side);
    x = pad(&b, x, "Conv1_pad", &size);
    x = window(&b, x, LAYER_CONV2D, "Conv1", have, 3, 2);
    x = relu6(&b, norm(&b, x, "bn_Conv1"), "Conv1_relu");
    for (size_t s = 0; s < sizeof stages / sizeof *stages; s++)
        for (int i = 0; i < stages[s].repeat; i++) {
            int filters = channels(stages[s].filters * alpha);
            x = block(&b, x, number, have, filters, i == 0 ? stages[s].stride : 1, number == 0 ? 1 : 6,
                      &size);
            have = filters;
            number++;
        }
    x = window(&b, x, LAYER_CONV2D, "Conv_1", alpha > 1 ? channels(1280 * alpha) : 1280, 1, 1);
    build_last(&b)->same = false; /* as published; for a 1x1 kernel both paddings are equal */
    relu6(&b, norm(&b, x, "Conv_1_bn"), "out_relu");
    return build_finish(&b, "mobilenet_v2");
}
