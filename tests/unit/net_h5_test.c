/*
 * net_h5_test.c: Keras .h5 in and out, the built-in builders against the published topologies,
 * keras-applications' files.
 */
/* needs: net io base */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "base/text.h"
#include "io/io.h"
#include "net/h5_file.h"
#include "net/net.h"
#include "net/net_sources.h"
#include "tap.h"

static const char *top;

static const char *path_of(const char *name)
{
    static char paths[4][4096];
    static int next;
    char *out = paths[next++ % 4];
    snprintf(out, sizeof paths[0], "%s/tests/%s", top, name);
    return out;
}

static bool same_weights(const struct net *a, const struct net *b)
{
    if (a->n_layers != b->n_layers) return false;
    for (int i = 0; i < a->n_layers; i++) {
        if (strcmp(a->layers[i].name, b->layers[i].name) != 0 ||
            a->layers[i].n_weights != b->layers[i].n_weights ||
            a->layers[i].trainable != b->layers[i].trainable)
            return false;
        for (int j = 0; j < a->layers[i].n_weights; j++) {
            const struct net_weight *x = &a->layers[i].weights[j], *y = &b->layers[i].weights[j];
            if (strcmp(x->name, y->name) != 0 || x->n_values != y->n_values ||
                memcmp(x->values, y->values, x->n_values * sizeof(float)) != 0)
                return false;
        }
    }
    return true;
}

static void randomize(struct net *n, uint64_t seed)
{
    struct random r = random_start(seed, 1, 0);
    for (int i = 0; i < n->n_layers; i++)
        for (int j = 0; j < n->layers[i].n_weights; j++)
            for (size_t k = 0; k < n->layers[i].weights[j].n_values; k++)
                n->layers[i].weights[j].values[k] = (float)random_range(&r, -1, 1);
}

/* A file with weights alone, into a network that has its topology. */
static int load_weights(struct net *n, const char *path, struct error *err)
{
    struct h5_file f;
    struct net_sources sources = {0};
    if (h5_file_read(&f, &(struct h5_input){.path = path}, path, H5_LEGACY, false, err)) return -1;
    int rc = net_sources_make(&sources, n, err) || net_take_weights(n, &sources, &f, H5_LEGACY, false, err) ||
                     net_check_complete(n, err)
                 ? -1
                 : 0;
    net_sources_release(&sources);
    h5_file_release(&f);
    return rc;
}

/* --- fixtures --- */

static void test_fixtures(void)
{
    struct net tfjs = NET_EMPTY, h5 = NET_EMPTY;
    struct error err = {0};
    CHECK(net_open(&tfjs, path_of("fixtures/tiny-net/tfjs-float32"), &err) == 0);
    CHECK_SAY(net_open(&h5, path_of("fixtures/tiny-net/tiny-model.h5"), &err) == 0,
              "a full model, variable-length strings: %s", err.text);
    CHECK(same_weights(&tfjs, &h5));
    CHECK(h5.layers[h5.output].output.dim[0] == 5 && h5.layers[4].kernel_w == 3 && h5.layers[4].same);
    net_release(&h5);
    error_clear(&err);
    CHECK_SAY(net_open(&h5, path_of("fixtures/tiny-net/tiny-weights.h5"), &err) == -1 &&
                  strstr(err.text, "without a topology"),
              "weights alone of an unknown network: %s", err.text);
    CHECK(net_copy(&h5, &tfjs, &err) == 0);
    randomize(&h5, 3);
    CHECK(!same_weights(&tfjs, &h5));
    CHECK_SAY(load_weights(&h5, path_of("fixtures/tiny-net/tiny-weights.h5"), &err) == 0,
              "weights alone, fixed strings: %s", err.text);
    CHECK(same_weights(&tfjs, &h5));
    net_release(&h5);
    net_release(&tfjs);
}

static void test_round_trip(void)
{
    struct net tfjs = NET_EMPTY, back = NET_EMPTY;
    struct error err = {0};
    char path[4096], again[4096], folder[4096];
    char *bytes[2] = {NULL, NULL};
    size_t n_bytes[2];
    CHECK(net_open(&tfjs, path_of("fixtures/tiny-net/tfjs-float32"), &err) == 0);
    char *classes[] = {"a", "b", "c", "d", "e"};
    tfjs.metadata.classes = calloc(5, sizeof(char *));
    for (int i = 0; i < 5; i++)
        tfjs.metadata.classes[i] = strdup(classes[i]);
    tfjs.metadata.n_classes = 5;
    tfjs.metadata.input_offset = -1;
    snprintf(path, sizeof path, "%s/m.h5", tap_tmpdir());
    snprintf(again, sizeof again, "%s/n.h5", tap_tmpdir());
    snprintf(folder, sizeof folder, "%s/tfjs", tap_tmpdir());
    CHECK_SAY(net_write_h5(&tfjs, path, false, &err) == 0, "written: %s", err.text);
    CHECK_SAY(net_open(&back, path, &err) == 0, "read back: %s", err.text);
    CHECK(same_weights(&tfjs, &back) && back.metadata.n_classes == 5 && back.metadata.input_offset == -1);
    CHECK(net_write_tfjs(&back, folder, &err) == 0);
    net_release(&back);
    CHECK(net_open(&back, folder, &err) == 0 && same_weights(&tfjs, &back));
    CHECK(net_write_h5(&back, again, false, &err) == 0);
    CHECK(io_read_file(path, 1 << 20, &bytes[0], &n_bytes[0], &err) == 0);
    CHECK(io_read_file(again, 1 << 20, &bytes[1], &n_bytes[1], &err) == 0);
    CHECK_SAY(n_bytes[0] == n_bytes[1] && memcmp(bytes[0], bytes[1], n_bytes[0]) == 0,
              "tfjs -> h5 -> tfjs -> h5 gives the same bytes");
    net_release(&back);
    CHECK(net_write_h5(&tfjs, path, true, &err) == 0);
    CHECK(net_copy(&back, &tfjs, &err) == 0);
    randomize(&back, 5);
    CHECK_SAY(load_weights(&back, path, &err) == 0, "weights alone: %s", err.text);
    CHECK(same_weights(&tfjs, &back));
    net_release(&back);
    /* Cut-off files, at every kind of place, are errors and no crash. */
    for (size_t cut = 0; cut < n_bytes[0]; cut += n_bytes[0] / 23) {
        error_clear(&err);
        CHECK(atomic_file_write(path, bytes[0], cut, &err) == 0);
        CHECK_SAY(net_open(&back, path, &err) == -1 && err.code == EX_DATAERR, "cut at %zu: %s", cut,
                  err.text);
        net_release(&back);
    }
    free(bytes[0]);
    free(bytes[1]);
    net_release(&tfjs);
}

/* Damaged anywhere: an error with words or a network, never the end of this process, and never a wait. */
static void test_damaged(void)
{
    struct error err = {0};
    struct random r = random_start(20261122, 1, 0);
    char path[4096], *bytes = NULL;
    size_t n_bytes;
    int opened = 0, refused = 0;
    snprintf(path, sizeof path, "%s/damaged.h5", tap_tmpdir());
    CHECK(io_read_file(path_of("fixtures/tiny-net/tiny-model.h5"), 1 << 20, &bytes, &n_bytes, &err) == 0);
    for (int i = 0; i < 150; i++) {
        struct net n;
        char *copy = malloc(n_bytes);
        memcpy(copy, bytes, n_bytes);
        /* The first 8 kB hold most of the structure. */
        for (uint64_t k = 1 + random_below(&r, 6); k > 0; k--)
            copy[random_below(&r, i % 2 ? n_bytes : 8192)] =
                (char)(random_below(&r, 3) ? random_below(&r, 256) : 255);
        error_clear(&err);
        if (atomic_file_write(path, copy, n_bytes, &err)) abort();
        if (net_open(&n, path, &err) == 0)
            opened++;
        else if (err.text[0] && (err.code == EX_DATAERR || err.code == EX_OSERR))
            refused++;
        net_release(&n);
        free(copy);
    }
    free(bytes);
    CHECK_SAY(opened + refused == 150 && refused > 20, "150 damaged files: %d opened, %d refused", opened,
              refused);
}

/* --- builders --- */

static void describe(const struct net *n, struct text *out)
{
    struct error err = {0};
    text_puts(out, "name\tclass\tinputs\twhat\n", &err);
    for (int i = 0; i < n->n_layers; i++) {
        const struct net_layer *l = &n->layers[i];
        const char *padding = l->same ? "same" : "valid";
        text_printf(out, &err, "%s\t%s\t", l->name, layer_kind_name(l->kind));
        for (int j = 0; j < l->n_inputs; j++)
            text_printf(out, &err, "%s%s", j ? "," : "", n->layers[l->inputs[j]].name);
        text_puts(out, "\t", &err);
        if (l->kind == LAYER_CONV2D || l->kind == LAYER_DEPTHWISE_CONV2D)
            text_printf(out, &err, "%d %dx%d %dx%d %s %s", l->filters, l->kernel_h, l->kernel_w, l->stride_h,
                        l->stride_w, padding, l->use_bias ? "true" : "false");
        else if (l->kind == LAYER_MAX_POOL || l->kind == LAYER_AVERAGE_POOL)
            text_printf(out, &err, "%dx%d %dx%d %s", l->kernel_h, l->kernel_w, l->stride_h, l->stride_w,
                        padding);
        else if (l->kind == LAYER_BATCH_NORM)
            text_printf(out, &err, "%g %g %s %s", l->momentum, l->epsilon, l->scale ? "true" : "false",
                        l->center ? "true" : "false");
        else if (l->kind == LAYER_ACTIVATION)
            text_puts(out, l->activation == ACTIVATION_RELU ? "relu" : "?", &err);
        else if (l->kind == LAYER_RELU)
            text_printf(out, &err, "%g", (double)l->relu_max);
        else if (l->kind == LAYER_ZERO_PADDING)
            text_printf(out, &err, "%d %d %d %d", l->pad_top, l->pad_bottom, l->pad_left, l->pad_right);
        text_puts(out, "\n", &err);
    }
}

static void compare_lists(const struct net *n, const char *file)
{
    struct text text = TEXT_EMPTY;
    struct error err = {0};
    char *want = NULL, *w, *g;
    size_t bytes;
    int line = 1;
    describe(n, &text);
    CHECK(io_read_file(path_of(file), 1 << 20, &want, &bytes, &err) == 0);
    for (w = want, g = text.data; w && *w && *w == *g; w++, g++)
        line += *w == '\n';
    CHECK_SAY(w && *w == 0 && *g == 0, "every layer as %s has it, in its order (first difference: line %d)",
              file, line);
    free(want);
    text_release(&text);
}

static void test_builders(void)
{
    static char *classes[] = {"x", "y", "z"};
    struct net n, other;
    struct error err = {0};
    CHECK_SAY(net_build_inception_v3(&n, 299, &err) == 0, "InceptionV3: %s", err.text);
    compare_lists(&n, "formats/inception_v3-layers.tsv");
    /* as Keras' summary of include_top=False says */
    CHECK(net_count_parameters(&n, false) == 21802784);
    CHECK(n.layers[n.output].output.dim[0] == 8 && n.layers[n.output].output.dim[2] == 2048);
    CHECK(net_unlock_from(&n, "conv2d_56", &err) == 0);
    CHECK(net_find(&n, "conv2d_56") == 168 && n.layers[net_find(&n, "conv2d_51")].trainable &&
          !n.layers[net_find(&n, "conv2d_55")].trainable && !n.layers[0].trainable);
    int convs = 0;
    for (int i = 0; i < n.n_layers; i++)
        convs += n.layers[i].kind == LAYER_CONV2D && n.layers[i].trainable;
    CHECK(convs == 43);
    /* The article's head on it: 22,360,869 numbers with five classes; here three. */
    CHECK_SAY(net_replace_head(&n, 3, classes, 7, &err) == 0, "a head: %s", err.text);
    CHECK(net_count_parameters(&n, false) == 22360869 - 2 * 129 && n.n_layers == 318 &&
          n.metadata.n_classes == 3);
    CHECK(strcmp(n.layers[n.output].name, "dense_3") == 0 &&
          n.layers[net_find(&n, "average_pooling2d_10")].kernel_h == 8);
    struct net_weight *k = net_weight_of(&n.layers[net_find(&n, "dense_1")], WEIGHT_KERNEL);
    double sum = 0, squares = 0, most = 0;
    for (size_t i = 0; i < k->n_values; i++) {
        sum += (double)k->values[i];
        squares += (double)k->values[i] * (double)k->values[i];
        most = fmax(most, fabs((double)k->values[i]));
    }
    double deviation = sqrt(squares / (double)k->n_values);
    CHECK_CLOSE(deviation, sqrt(2.0 / 2048), 0, 5e-3, "he_normal's deviation");
    CHECK_CLOSE(sum / (double)k->n_values, 0, 2e-4, 0, "he_normal's mean");
    CHECK(most <= 2 * sqrt(2.0 / 2048) / 0.8796 && most > 1.9 * sqrt(2.0 / 2048) / 0.8796);
    CHECK(net_copy(&other, &n, &err) == 0);
    /* again: the same */
    CHECK(net_replace_head(&other, 3, classes, 7, &err) == 0 && same_weights(&n, &other));
    CHECK(net_replace_head(&other, 3, classes, 8, &err) == 0 && !same_weights(&n, &other));
    CHECK(other.n_layers == 318);
    net_release(&other);
    net_release(&n);
    CHECK_SAY(net_build_mobilenet_v2(&n, 1.0, 224, &err) == 0, "MobileNetV2: %s", err.text);
    compare_lists(&n, "formats/mobilenet_v2-layers.tsv");
    CHECK(net_count_parameters(&n, false) == 2257984); /* as Keras' summary says */
    net_release(&n);
    CHECK(net_build_mobilenet_v2(&n, 0.35, 128, &err) == 0 && net_count_parameters(&n, false) == 410208);
    CHECK(net_replace_head(&n, 2, classes, 1, &err) == 0 && n.layers[n.output].units == 2);
    net_release(&n);
    CHECK(net_build_inception_v3(&n, 74, &err) == -1);
}

/* A file as keras-applications publishes: weights alone, and numbered as a later session would. */
static void test_notop(void)
{
    struct net n = NET_EMPTY, back = NET_EMPTY;
    struct error err = {0};
    char path[4096];
    snprintf(path, sizeof path, "%s/notop.h5", tap_tmpdir());
    CHECK(net_build_inception_v3(&n, 299, &err) == 0);
    randomize(&n, 11);
    for (int shift = -1; shift <= 94; shift += 95) {
        struct net renamed;
        CHECK(net_copy(&renamed, &n, &err) == 0);
        for (int i = 0; i < renamed.n_layers; i++) {
            struct net_layer *l = &renamed.layers[i];
            const char *prefix = l->kind == LAYER_CONV2D       ? "conv2d"
                                 : l->kind == LAYER_BATCH_NORM ? "batch_normalization"
                                                               : NULL;
            if (!prefix) continue;
            int number = atoi(strrchr(l->name, '_') + 1) + shift;
            free(l->name);
            l->name = malloc(64);
            snprintf(l->name, 64, number ? "%s_%d" : "%s", prefix, number);
            for (int j = 0; j < l->n_weights; j++) {
                char *role = strdup(strrchr(l->weights[j].name, '/'));
                free(l->weights[j].name);
                l->weights[j].name = malloc(128);
                snprintf(l->weights[j].name, 128, "%s%s", l->name, role);
                free(role);
            }
        }
        CHECK_SAY(net_write_h5(&renamed, path, true, &err) == 0, "numbers shifted by %d: %s", shift,
                  err.text);
        CHECK_SAY(net_open(&back, path, &err) == 0, "read: %s", err.text);
        CHECK(same_weights(&n, &back));
        CHECK(back.metadata.input_scale == 2.0 / 255 && back.metadata.input_offset == -1);
        net_release(&back);
        net_release(&renamed);
    }
    net_release(&n);
    CHECK(net_build_mobilenet_v2(&n, 0.35, 224, &err) == 0);
    randomize(&n, 12);
    CHECK(net_write_h5(&n, path, true, &err) == 0);
    CHECK_SAY(net_open(&back, path, &err) == 0 && same_weights(&n, &back),
              "MobileNetV2 0.35 weights alone: %s", err.text);
    net_release(&back);
    net_release(&n);
}

int main(void)
{
    top = getenv("TOP") ? getenv("TOP") : ".";
    test_fixtures();
    test_round_trip();
    test_damaged();
    test_builders();
    test_notop();
    return tap_done();
}
