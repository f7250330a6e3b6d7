/* predictor.c: computes probabilities for pictures with the model in a folder; see predictor.h. */
#include "model/predictor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/engine.h"

struct predictor {
    struct net net;
    struct engine *engine;
    int batch, side_px, n_classes;
};

/* Decides whether to compute with 8-bit integers, and on which device. */
static int choose_precision(struct predictor *p, struct net_int8 *q, const struct predictor_options *o,
                            const char *path, struct engine_options *e, struct error *err)
{
    if (o->precision == PREDICTOR_FP32) return 0;
    if (net_int8_read(q, &p->net, err)) return error_prefix(err, "'%s'", path);
    if (!q->layers && o->precision == PREDICTOR_INT8)
        return error_set(err, EX_USAGE,
                         "'%s' has no int8 form: export --precision int8 --shards DIR makes a model that has",
                         path);
    if (!q->layers) return 0;
    e->int8 = q;
    if (!e->device || !e->device[0] || !strcmp(e->device, "auto")) e->device = "cpu";
    return 0;
}

int predictor_open(struct predictor **out, const char *model_path, const struct predictor_options *options,
                   struct error *err)
{
    *out = NULL;
    struct predictor *p = mem_zalloc(1, sizeof *p, err);
    if (!p) return -1;
    struct engine_options o = ENGINE_DEFAULTS;
    struct net_int8 q = NET_INT8_EMPTY;
    o.device = options->device ? options->device : "auto";
    o.threads = options->threads;
    o.batch = options->batch > 0 ? options->batch : 8;
    o.mode = ENGINE_INFERENCE;
    o.spent = &p->net;
    if (scoring_model_open(&p->net, model_path, &options->scoring, SCORING_FULL, options->remarks, err))
        goto fail;
    const struct net_shape *input = &p->net.layers[p->net.input].output,
                           *output = &p->net.layers[p->net.output].output;
    if (input->rank != 3 || input->dim[0] != input->dim[1] || input->dim[2] != 3) {
        error_set(err, EX_DATAERR, "'%s' does not take square RGB pictures of a known size (--input side=N)",
                  model_path);
        goto fail;
    }
    if (output->rank != 1) {
        error_set(err, EX_DATAERR, "'%s' does not end in one number a class", model_path);
        goto fail;
    }
    p->side_px = input->dim[0];
    p->n_classes = output->dim[0];
    p->batch = o.batch;
    if (p->net.metadata.n_classes && p->net.metadata.n_classes != p->n_classes) {
        error_set(err, EX_DATAERR, "'%s' names %d classes and has %d outputs", model_path,
                  p->net.metadata.n_classes, p->n_classes);
        goto fail;
    }
    if (choose_precision(p, &q, options, model_path, &o, err) || engine_open(&p->engine, &p->net, &o, err))
        goto fail;
    net_int8_release(&q);
    net_drop_weights(&p->net); /* the engine has copies */
    *out = p;
    return 0;
fail:
    net_int8_release(&q);
    predictor_close(p);
    return -1;
}

const struct net *predictor_net(const struct predictor *p) { return &p->net; }
int predictor_side_px(const struct predictor *p) { return p->side_px; }
int predictor_n_classes(const struct predictor *p) { return p->n_classes; }
int predictor_batch(const struct predictor *p) { return p->batch; }
const char *predictor_device(const struct predictor *p) { return engine_device(p->engine); }

/* Computes softmax(z/T) from softmax(z): p^(1/T), divided by the sum. It is computed in double, relative to
 * the largest, so that no number overflows. */
static void apply_temperature(float *row, int n, double temperature)
{
    double top = 0, sum = 0;
    for (int i = 0; i < n; i++)
        top = fmax(top, row[i]);
    for (int i = 0; i < n; i++)
        sum += pow(row[i] / top, 1 / temperature);
    for (int i = 0; i < n; i++)
        row[i] = (float)(pow(row[i] / top, 1 / temperature) / sum);
}

int predictor_run(struct predictor *p, const uint8_t *pixels, int n, float *probabilities, struct error *err)
{
    struct engine_batch in = {.n = n, .pixels = pixels};
    if (n < 1 || n > p->batch)
        return error_set(err, EX_SOFTWARE, "%d pictures for a predictor of batch %d", n, p->batch);
    if (engine_forward(p->engine, &in, err) || engine_output(p->engine, 0, probabilities, err)) return -1;
    double temperature = p->net.metadata.temperature;
    if (temperature > 0 && temperature != 1)
        for (int i = 0; i < n; i++)
            apply_temperature(probabilities + (size_t)i * (size_t)p->n_classes, p->n_classes, temperature);
    return 0;
}

void predictor_close(struct predictor *p)
{
    if (!p) return;
    engine_close(p->engine);
    net_release(&p->net);
    free(p);
}
