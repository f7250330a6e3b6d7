/* build_inception_v3.c: InceptionV3 (Szegedy et al. 2015) without its top, as keras-applications builds
 * it: 94 convolutions in 11 blocks, each with a batch norm without gamma (epsilon 0.001) and a ReLU. */
#include <stdio.h>
#include <string.h>

#include "net/build.h"

static int conv(struct builder *b, int in, int filters, int kernel_h, int kernel_w, int stride, bool same)
{
    char name[32];
    int n = ++b->convs;
    snprintf(name, sizeof name, "conv2d_%d", n);
    int x = build_layer(b, LAYER_CONV2D, name, &in, 1);
    struct net_layer *l = build_last(b);
    l->kernel_h = kernel_h;
    l->kernel_w = kernel_w;
    l->stride_h = l->stride_w = stride;
    l->filters = filters;
    l->same = same;
    snprintf(l->initializer, sizeof l->initializer, "glorot_uniform");
    snprintf(name, sizeof name, "batch_normalization_%d", n);
    x = build_layer(b, LAYER_BATCH_NORM, name, &x, 1);
    l = build_last(b);
    l->scale = false;
    l->axis = 3;
    snprintf(name, sizeof name, "activation_%d", n);
    x = build_layer(b, LAYER_ACTIVATION, name, &x, 1);
    build_last(b)->activation = ACTIVATION_RELU;
    return x;
}

static int same(struct builder *b, int in, int filters, int kernel_h, int kernel_w)
{
    return conv(b, in, filters, kernel_h, kernel_w, 1, true);
}

static int pool(struct builder *b, int in, bool average)
{
    char name[40];
    if (average)
        snprintf(name, sizeof name, "average_pooling2d_%d", ++b->averages);
    else
        snprintf(name, sizeof name, "max_pooling2d_%d", ++b->maxima);
    int x = build_layer(b, average ? LAYER_AVERAGE_POOL : LAYER_MAX_POOL, name, &in, 1);
    struct net_layer *l = build_last(b);
    l->kernel_h = l->kernel_w = 3;
    l->stride_h = l->stride_w = average ? 1 : 2;
    l->same = average;
    return x;
}

static int concat(struct builder *b, const char *name, const int *inputs, int n)
{
    char numbered[32];
    if (!name) snprintf(numbered, sizeof numbered, "concatenate_%d", ++b->concats);
    int x = build_layer(b, LAYER_CONCATENATE, name ? name : numbered, inputs, n);
    build_last(b)->axis = 3;
    return x;
}

/* 35x35: 1x1, 5x5, two 3x3, pool. */
static int block_35(struct builder *b, int x, const char *name, int pool_filters)
{
    int b1 = same(b, x, 64, 1, 1);
    int b5 = same(b, same(b, x, 48, 1, 1), 64, 5, 5);
    int b3 = same(b, same(b, same(b, x, 64, 1, 1), 96, 3, 3), 96, 3, 3);
    int bp = same(b, pool(b, x, true), pool_filters, 1, 1);
    return concat(b, name, (int[]){b1, b5, b3, bp}, 4);
}

/* 17x17: 1x1, 1x7 and 7x1, the same twice, pool. */
static int block_17(struct builder *b, int x, const char *name, int f)
{
    int b1 = same(b, x, 192, 1, 1);
    int b7 = same(b, same(b, same(b, x, f, 1, 1), f, 1, 7), 192, 7, 1);
    int d = same(b, same(b, same(b, x, f, 1, 1), f, 7, 1), f, 1, 7);
    d = same(b, same(b, d, f, 7, 1), 192, 1, 7);
    int bp = same(b, pool(b, x, true), 192, 1, 1);
    return concat(b, name, (int[]){b1, b7, d, bp}, 4);
}

/* 8x8: 1x1, 3x3 split into 1x3 and 3x1, the same after a 3x3, pool. */
static int block_8(struct builder *b, int x, const char *name, const char *inner)
{
    int b1 = same(b, x, 320, 1, 1);
    int b3 = same(b, x, 384, 1, 1);
    int wide = same(b, b3, 384, 1, 3), tall = same(b, b3, 384, 3, 1);
    b3 = concat(b, inner, (int[]){wide, tall}, 2);
    int d = same(b, same(b, x, 448, 1, 1), 384, 3, 3);
    wide = same(b, d, 384, 1, 3);
    tall = same(b, d, 384, 3, 1);
    d = concat(b, NULL, (int[]){wide, tall}, 2);
    int bp = same(b, pool(b, x, true), 192, 1, 1);
    return concat(b, name, (int[]){b1, b3, d, bp}, 4);
}

int net_build_inception_v3(struct net *n, int side, struct error *err)
{
    struct builder b = {.net = n, .err = err};
    static const char *const names_17[] = {"mixed4", "mixed5", "mixed6", "mixed7"};
    static const int filters_17[] = {128, 160, 160, 192};
    *n = NET_EMPTY;
    if (side < 75 || side > 4096)
        return error_set(err, EX_USAGE, "InceptionV3 takes pictures of 75 to 4096 pixels, not %d", side);
    int x = build_input(&b, side);
    x = conv(&b, x, 32, 3, 3, 2, false);
    x = conv(&b, x, 32, 3, 3, 1, false);
    x = pool(&b, same(&b, x, 64, 3, 3), false);
    x = conv(&b, x, 80, 1, 1, 1, false);
    x = pool(&b, conv(&b, x, 192, 3, 3, 1, false), false);
    x = block_35(&b, x, "mixed0", 32);
    x = block_35(&b, x, "mixed1", 64);
    x = block_35(&b, x, "mixed2", 64);
    int b3 = conv(&b, x, 384, 3, 3, 2, false);
    int d = conv(&b, same(&b, same(&b, x, 64, 1, 1), 96, 3, 3), 96, 3, 3, 2, false);
    x = concat(&b, "mixed3", (int[]){b3, d, pool(&b, x, false)}, 3);
    for (int i = 0; i < 4; i++)
        x = block_17(&b, x, names_17[i], filters_17[i]);
    b3 = conv(&b, same(&b, x, 192, 1, 1), 320, 3, 3, 2, false);
    d = same(&b, same(&b, same(&b, x, 192, 1, 1), 192, 1, 7), 192, 7, 1);
    d = conv(&b, d, 192, 3, 3, 2, false);
    x = concat(&b, "mixed8", (int[]){b3, d, pool(&b, x, false)}, 3);
    x = block_8(&b, x, "mixed9", "mixed9_0");
    block_8(&b, x, "mixed10", "mixed9_1");
    return build_finish(&b, "inception_v3");
}
