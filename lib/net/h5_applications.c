/*
 * h5_applications.c: reads the weights-only files of keras-applications. They have no topology, which comes
 * from the built-in builders. The numbers in the names of their layers differ from file to file (conv2d_1..,
 * conv2d.., conv2d_95..), so layers are matched in the order of these numbers, and checked by shape.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "base/text.h"
#include "net/h5_file.h"

/* Returns the number in a name such as "conv2d_95", 0 for "conv2d", or -1 for a name with another prefix. */
static long number_after(const char *name, const char *prefix)
{
    size_t n = strlen(prefix);
    uint64_t number;
    if (strncmp(name, prefix, n) != 0) return -1;
    if (name[n] == 0) return 0;
    if (name[n] != '_' || !parse_digits(name + n + 1, strlen(name + n + 1), &number)) return -1;
    return number > 1000000 ? -1 : (long)number;
}

struct numbered {
    long number;
    const char *layer;
};

static int compare_numbered(const void *a, const void *b)
{
    const struct numbered *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* Collects the file's layers with one prefix, sorted by number, including those without weights. The
 * caller frees *out. */
static int collect(const struct h5_file *f, const char *prefix, struct numbered **out, size_t *n,
                   struct error *err)
{
    *n = 0;
    if (!(*out = mem_zalloc(f->n_layers + 1, sizeof **out, err))) return -1;
    for (size_t i = 0; i < f->n_layers; i++) {
        long number = number_after(f->layers[i], prefix);
        if (number >= 0) (*out)[(*n)++] = (struct numbered){number, f->layers[i]};
    }
    qsort(*out, *n, sizeof **out, compare_numbered);
    return 0;
}

static bool has_layer(const struct h5_file *f, const char *name)
{
    for (size_t i = 0; i < f->n_layers; i++)
        if (strcmp(f->layers[i], name) == 0) return true;
    return false;
}

/* Renames the weights' layers from the file's numbering to the builder's prefix_1, prefix_2, ... */
static int renumber(struct h5_file *f, const char *prefix, size_t expected, struct error *err)
{
    struct numbered *list;
    size_t n;
    char name[64];
    int rc = -1;
    if (collect(f, prefix, &list, &n, err)) return -1;
    if (n != expected) {
        error_set(err, EX_DATAERR, "%zu layers are called %s_*, InceptionV3 has %zu", n, prefix, expected);
        goto out;
    }
    /* Each weight's layer is replaced once, so that a new name cannot be taken for an old one. */
    for (size_t i = 0; i < f->n_weights; i++)
        for (size_t k = 0; k < n; k++)
            if (strcmp(f->weights[i].layer, list[k].layer) == 0) {
                snprintf(name, sizeof name, "%s_%zu", prefix, k + 1);
                char *copy = mem_strdup(name, err);
                if (!copy) goto out;
                free(f->weights[i].layer);
                f->weights[i].layer = copy;
                break;
            }
    rc = 0;
out:
    free(list);
    return rc;
}

/* Removes the last dense layer, for 1,000 classes, of the published files with a top. A new head replaces it
 * anyway. */
static void drop_top(struct h5_file *f)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->n_weights; i++) {
        bool top =
            strcmp(f->weights[i].layer, "predictions") == 0 || strcmp(f->weights[i].layer, "Logits") == 0;
        if (top) {
            free(f->weights[i].layer);
            free(f->weights[i].name);
            free(f->weights[i].values);
            free(f->weights[i].other);
        } else
            f->weights[kept++] = f->weights[i];
    }
    f->n_weights = kept;
}

static const struct h5_weight *weight_in(const struct h5_file *f, const char *layer)
{
    for (size_t i = 0; i < f->n_weights; i++)
        if (strcmp(f->weights[i].layer, layer) == 0) return &f->weights[i];
    return NULL;
}

/* Returns MobileNetV2's width multiplier alpha, from its first convolution. That has 32 * alpha channels,
 * rounded to a multiple of 8, but never down by more than 10%. */
static double mobilenet_alpha(const struct h5_file *f)
{
    static const double published[] = {0.35, 0.5, 0.75, 1.0, 1.3, 1.4};
    const struct h5_weight *last = weight_in(f, "block_16_project");
    for (size_t i = 0; last && last->shape.rank == 4 && i < sizeof published / sizeof *published; i++) {
        int channels = (int)(320 * published[i] + 4) / 8 * 8;
        if (channels < 0.9 * 320 * published[i]) channels += 8;
        if (channels == last->shape.dim[3]) return published[i];
    }
    return 1.0;
}

int h5_build_application(struct net *n, struct h5_file *f, struct error *err)
{
    struct numbered *convs;
    size_t n_convs;
    if (collect(f, "conv2d", &convs, &n_convs, err)) return -1;
    free(convs);
    drop_top(f);
    if (n_convs == 94) {
        if (renumber(f, "conv2d", 94, err) || renumber(f, "batch_normalization", 94, err) ||
            net_build_inception_v3(n, 299, err))
            return -1;
    } else if (has_layer(f, "Conv1") && has_layer(f, "block_1_expand")) {
        if (net_build_mobilenet_v2(n, mobilenet_alpha(f), 224, err)) return -1;
    } else
        return error_set(err, EX_DATAERR,
                         "weights without a topology (no model_config), and neither InceptionV3's nor "
                         "MobileNetV2's");
    /* keras-applications trained both on inputs from -1 to 1. */
    n->metadata.input_scale = 2.0 / 255.0;
    n->metadata.input_offset = -1.0;
    return 0;
}
