/*
 * onnx_run.c: an ONNX file on given numbers, for onnx_torch.py.
 * usage: onnx_run MODEL IN OUT [LABELS GRADIENTS [STEPS RATE]]
 * IN and OUT are float32, IN in NHWC. With LABELS (1,5,...) the gradient of the mean cross-entropy goes to
 * GRADIENTS, batch norms frozen, and lines "weight offset count dimensions" to standard output. With STEPS,
 * so many steps of SGD with momentum 0.9 follow: "loss" lines, and the weights after them go to
 * GRADIENTS.stepped, in the same order.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/engine_pieces.h"
#include "io/io.h"
#include "onnx/onnx.h"
#include "tensor/engine.h"

static struct error err;

static int fail(void)
{
    fprintf(stderr, "onnx_run: %s\n", err.text);
    return 1;
}

static int steps(struct engine *e, const struct engine_batch *in, const struct engine_target *target,
                 int n_steps, double rate, float *weights, const char *path)
{
    struct engine_step step = ENGINE_STEP_DEFAULTS;
    struct engine_result result;
    char stepped[4096];
    step.rate = rate;
    for (int i = 0; i < n_steps; i++) {
        step.step = (uint64_t)i;
        if (engine_train_step(e, in, target, &step, &result, &err)) return -1;
        printf("loss\t%.9g\n", result.loss);
    }
    snprintf(stepped, sizeof stepped, "%s.stepped", path);
    return engine_state_get(e, ENGINE_WEIGHTS, weights, &err) ||
                   atomic_file_write(stepped, weights, engine_state_size(e, ENGINE_WEIGHTS) * sizeof *weights,
                                     &err)
               ? -1
               : 0;
}

static int gradients(struct net *n, struct engine_batch *in, const char *labels, const char *path,
                     int n_steps, double rate)
{
    struct engine_options o = ENGINE_DEFAULTS;
    struct engine_step step = ENGINE_STEP_DEFAULTS;
    struct engine_result result;
    struct engine *e;
    enum net_ending ending;
    int layer, weight;
    size_t offset, count;
    if (net_make_probabilities(n, &ending, &err) || net_infer_shapes(n, 0, 0, &err)) return fail();
    for (int i = 0; i < n->n_layers; i++)
        if (n->layers[i].kind == LAYER_BATCH_NORM) n->layers[i].trainable = false;
    int n_classes = n->layers[n->output].output.dim[0];
    float *targets = calloc((size_t)in->n * (size_t)n_classes, sizeof *targets);
    for (int i = 0; i < in->n && labels; i++) {
        targets[i * n_classes + atoi(labels) % n_classes] = 1;
        labels = strchr(labels, ',') ? strchr(labels, ',') + 1 : NULL;
    }
    o.device = "cpu";
    o.batch = in->n;
    o.mode = ENGINE_TRAIN;
    struct engine_target target = {targets, NULL};
    if (engine_open(&e, n, &o, &err) || engine_gradients(e, in, &target, &step, &result, &err)) return fail();
    size_t size = engine_state_size(e, ENGINE_GRADIENTS);
    float *g = malloc(size * sizeof *g);
    if (engine_state_get(e, ENGINE_GRADIENTS, g, &err) || atomic_file_write(path, g, size * sizeof *g, &err))
        return fail();
    for (int i = 0; engine_state_piece(e, ENGINE_GRADIENTS, i, &layer, &weight, &offset, &count); i++) {
        const struct net_weight *w = &n->layers[layer].weights[weight];
        printf("%s\t%zu\t%zu", w->name, offset, count);
        for (int d = 0; d < w->shape.rank; d++)
            printf("\t%d", w->shape.dim[d]);
        printf("\n");
    }
    int rc = n_steps && steps(e, in, &target, n_steps, rate, g, path) ? fail() : 0;
    engine_close(e);
    free(g);
    free(targets);
    return rc;
}

int main(int argc, char **argv)
{
    struct net n;
    struct engine *e;
    struct engine_options o = ENGINE_DEFAULTS;
    char *bytes;
    size_t n_bytes;
    if (argc != 4 && argc != 6 && argc != 8) return EX_USAGE;
    if (onnx_open_model(&n, argv[1], 0, false, &err) || net_infer_shapes(&n, 0, 0, &err) ||
        io_read_file(argv[2], 1u << 30, &bytes, &n_bytes, &err))
        return fail();
    const struct net_shape *s = &n.layers[n.input].output;
    const float *values[] = {(const float *)(const void *)bytes};
    struct engine_batch in = {.n = (int)(n_bytes / sizeof(float) /
                                         (size_t)(s->dim[0] * s->dim[1] * s->dim[2])),
                              .values = values};
    o.device = "cpu";
    o.batch = in.n;
    o.mode = ENGINE_INFERENCE;
    if (engine_open(&e, &n, &o, &err) || engine_forward(e, &in, &err)) return fail();
    size_t size = engine_output_size(e, 0) * (size_t)in.n;
    float *out = malloc(size * sizeof *out);
    if (engine_output(e, 0, out, &err) || atomic_file_write(argv[3], out, size * sizeof *out, &err))
        return fail();
    engine_close(e);
    int rc = argc > 4 ? gradients(&n, &in, argv[4], argv[5], argc == 8 ? atoi(argv[6]) : 0,
                                  argc == 8 ? atof(argv[7]) : 0)
                      : 0;
    free(out);
    free(bytes);
    net_release(&n);
    return rc;
}
