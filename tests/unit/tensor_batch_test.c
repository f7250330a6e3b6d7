/*
 * tensor_batch_test.c: what a net makes of a picture depends on the picture alone: the same bits in any
 * batch, at any place, with any number of threads, on each instruction set of the machine. Random subsets,
 * orders and batch sizes of 64 pictures; the published nets, with fewer, where models/base has them. And what
 * training makes of a net does not depend on the number of threads.
 */
/* needs: tensor net base io */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "net/net.h"
#include "tap.h"
#include "tensor/engine.h"

enum { MAX_PICTURES = 64, MAX_VALUES = 1 << 18 };

static struct random dice;
static struct error err;
static uint8_t *pixels, *picked;
static float *wanted, *got;
static bool has_vectors; /* AVX2 or AVX-512: without, oneDNN sums gradients of weights by threads */

struct case_of_net {
    const char *path, *tap; /* tap: a frozen layer whose outputs a cache would keep */
    int side, n_pictures, n_trials;
    const char *trains_from; /* NULL: not tried */
};

static int below(int n) { return (int)random_below(&dice, (uint64_t)n); }

/* Values of `n` of the pictures, in the order given: the tapped layer's, then the probabilities. */
static size_t values_of(const struct net *net, const struct case_of_net *c, const int *which, int n,
                        int batch, int threads, float *out)
{
    struct engine_options o = ENGINE_DEFAULTS;
    struct engine *e = NULL;
    int outputs[2] = {net_find(net, c->tap), net->output};
    size_t picture = (size_t)c->side * (size_t)c->side * 3, size[2], row = 0;
    o.device = "cpu";
    o.batch = batch;
    o.threads = (unsigned)threads;
    o.outputs = outputs;
    o.n_outputs = 2;
    if (!CHECK_SAY(!engine_open(&e, net, &o, &err), "an engine of batch %d: %s", batch, err.text)) return 0;
    for (int k = 0; k < 2; k++)
        row += size[k] = engine_output_size(e, k);
    float *part = malloc((size_t)batch * row * sizeof *part);
    for (int first = 0, some; part && first < n; first += some) {
        some = n - first < batch ? n - first : batch;
        for (int i = 0; i < some; i++)
            memcpy(picked + (size_t)i * picture, pixels + (size_t)which[first + i] * picture, picture);
        struct engine_batch in = {.n = some, .pixels = picked};
        bool fine = !engine_forward(e, &in, &err);
        for (size_t k = 0, at = 0; fine && k < 2; at += size[k++]) {
            fine = !engine_output(e, (int)k, part, &err);
            for (int i = 0; i < some; i++)
                memcpy(out + (size_t)(first + i) * row + at, part + (size_t)i * size[k],
                       size[k] * sizeof *out);
        }
        if (!fine) CHECK_SAY(false, "forward: %s", err.text);
    }
    free(part);
    engine_close(e);
    return row;
}

/* The weights and moving statistics after two steps. */
static float *trained(const struct net *net, const struct case_of_net *c, int threads, size_t *n)
{
    enum { BATCH = 5 };
    struct engine_options o = {.device = "cpu",
                               .threads = (unsigned)threads,
                               .batch = BATCH,
                               .mode = ENGINE_TRAIN};
    struct engine *e = NULL;
    int n_classes = net->layers[net->output].output.dim[0];
    float *targets = calloc((size_t)(BATCH * n_classes), sizeof *targets), *state = NULL;
    *n = 0;
    for (int i = 0; targets && i < BATCH; i++)
        targets[i * n_classes + i % n_classes] = 1;
    struct engine_batch in = {.n = BATCH, .pixels = pixels};
    struct engine_target target = {targets, NULL};
    struct engine_step step = ENGINE_STEP_DEFAULTS;
    struct engine_result result;
    bool fine = targets && !engine_open(&e, net, &o, &err);
    for (int k = 0; fine && k < 2; k++) {
        step.step = (uint64_t)k;
        fine = !engine_train_step(e, &in, &target, &step, &result, &err);
    }
    if (fine) {
        size_t w = engine_state_size(e, ENGINE_WEIGHTS), m = engine_state_size(e, ENGINE_STATISTICS);
        state = calloc(w + m + 1, sizeof *state);
        fine = state && !engine_state_get(e, ENGINE_WEIGHTS, state, &err) &&
               (!m || !engine_state_get(e, ENGINE_STATISTICS, state + w, &err));
        *n = w + m;
    }
    CHECK_SAY(fine, "%s trains with %d threads: %s", c->path, threads, fine ? "yes" : err.text);
    engine_close(e);
    free(targets);
    return state;
}

static void check_training(struct net *net, const struct case_of_net *c)
{
    size_t n, m;
    int from = net_find(net, c->trains_from);
    for (int i = 0; i < net->n_layers; i++)
        net->layers[i].trainable = i >= from;
    float *one = trained(net, c, 1, &n);
    for (int threads = 2; one && threads <= 3; threads++) {
        float *more = trained(net, c, threads, &m);
        size_t differ = 0;
        for (size_t i = 0; more && n == m && i < n; i++)
            differ += memcmp(&one[i], &more[i], sizeof *one) ? 1 : 0;
        CHECK_SAY(more && n == m && !differ,
                  "%s from %s: %zu of %zu values differ after training with %d threads", c->path,
                  c->trains_from, differ, n, threads);
        free(more);
    }
    free(one);
}

static void check(const struct case_of_net *c)
{
    struct net net = NET_EMPTY;
    char path[1024];
    const char *top = getenv("TOP");
    int order[MAX_PICTURES];
    snprintf(path, sizeof path, "%s/%s", top ? top : ".", c->path);
    if (net_open(&net, path, &err) || net_infer_shapes(&net, 0, 0, &err)) {
        tap_skip(c->path, err.text);
        err = (struct error){0};
        return;
    }
    for (int i = 0; i < c->n_pictures; i++)
        order[i] = i;
    size_t row = values_of(&net, c, order, c->n_pictures, 1, 1, wanted);
    for (int trial = 0; trial < c->n_trials; trial++) {
        int n = 1 + below(c->n_pictures), batch = 1 + below(below(2) ? 9 : c->n_pictures),
            threads = 1 + below(4);
        for (int i = 0; i < n; i++) {
            int k = i + below(c->n_pictures - i), swap = order[i];
            order[i] = order[k];
            order[k] = swap;
        }
        int differ = 0;
        if (values_of(&net, c, order, n, batch, threads, got) != row) continue;
        for (int i = 0; i < n; i++)
            differ +=
                memcmp(got + (size_t)i * row, wanted + (size_t)order[i] * row, row * sizeof *got) ? 1 : 0;
        CHECK_SAY(!differ, "%s: %d of the pictures, batch %d, %d threads: %d rows differ", c->path, n, batch,
                  threads, differ);
    }
    if (c->trains_from && has_vectors) check_training(&net, c);
    net_release(&net);
}

int main(void)
{
    static const struct case_of_net cases[] = {
        {"tests/fixtures/tiny-net/tfjs-float32", "cat", 16, 64, 40, NULL},
        {"models/base/inception_v3", "flatten_1", 299, 9, 3, "conv2d_1"},
        {"models/base/mobilenet_v2", "flatten_1", 224, 11, 4, NULL},
    };
    struct backend_options o = {.threads = 1};
    const struct backend_table *table;
    struct backend *b;
    if (backend_open("cpu", &o, &table, &b, &err)) {
        tap_skip("cpu", err.text);
        return tap_done();
    }
    printf("# %s\n", table->describe(b));
    has_vectors = strstr(table->describe(b), ", avx") != NULL;
    table->close(b);
    dice = random_start(17, 1, 0);
    pixels = malloc((size_t)MAX_PICTURES * 299 * 299 * 3);
    picked = malloc((size_t)MAX_PICTURES * 299 * 299 * 3);
    wanted = malloc((size_t)MAX_VALUES * sizeof *wanted);
    got = malloc((size_t)MAX_VALUES * sizeof *got);
    for (size_t i = 0; i < (size_t)MAX_PICTURES * 299 * 299 * 3; i++)
        pixels[i] = (uint8_t)random_u64(&dice);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(&cases[i]);
    free(pixels);
    free(picked);
    free(wanted);
    free(got);
    return tap_done();
}
