/*
 * quantise.c: see quantise.h. The scale of a value is chosen from a histogram. When the few largest values
 * are clipped, all steps become finer. The scale with the smallest sum of the clipping and the rounding error
 * is chosen. Batches are small, because all observed values stay in memory during a batch.
 */
#include "model/quantise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/net_int8.h"
#include "tensor/engine.h"

enum { BINS = 4096, BATCH = 4, CUTS = 60 };
#define SAMPLES ((size_t)20000) /* of one layer and picture */

struct histogram { /* of values from -limit to limit */
    double limit, low, high;
    uint64_t count[BINS];
};

/* Doubles the range until v is in it: two bins become one. */
static void widen(struct histogram *h, double v)
{
    if (!(h->limit > 0)) h->limit = 1.0 / 1024;
    while (fabs(v) >= h->limit) {
        uint64_t wide[BINS] = {0};
        for (int i = 0; i < BINS; i++)
            wide[BINS / 4 + i / 2] += h->count[i];
        memcpy(h->count, wide, sizeof wide);
        h->limit *= 2;
    }
}

static int add_values(struct histogram *h, const float *values, size_t n, size_t first, const char *layer,
                      struct error *err)
{
    size_t step = n > SAMPLES ? n / SAMPLES : 1;
    for (size_t i = first % step; i < n; i += step) {
        double v = (double)values[i];
        if (!(fabs(v) < 1e15))
            return error_set(err, EX_DATAERR, "layer '%s' gives values that are not numbers", layer);
        if (fabs(v) >= h->limit) widen(h, v);
        h->low = fmin(h->low, v);
        h->high = fmax(h->high, v);
        h->count[(int)((v / h->limit + 1) * (BINS / 2))]++;
    }
    return 0;
}

/* Computes the scale and the zero with which the bytes 0 to 255 cover low..high, which contains 0. */
static void cover(double low, double high, double *scale, int *zero)
{
    double range = high - low;
    *zero = range > 0 ? (int)rint(-low / range * 255) : 0;
    *scale = fmax(*zero < 255 ? high / (255 - *zero) : 0, *zero > 0 ? -low / *zero : 0);
    if (!(*scale > 1e-15)) *scale = 1.0 / 255;
    *scale = (double)(float)*scale; /* the value that is used in computations */
}

/* Weight of the clipping error. Clipping changes large values in one direction, which later sums do not
 * average out, so it has a larger weight. With 1 instead, the mean change of a probability of the demo's
 * model is a third larger. */
#define CUT_WEIGHT 4

static void choose(const struct histogram *h, double *scale, int *zero)
{
    double least = INFINITY, best = 1;
    for (int k = 0; k < CUTS; k++) {
        double part = 1 - 0.75 * k / CUTS, s, error = 0;
        int z;
        cover(h->low * part, h->high * part, &s, &z);
        double low = -z * s, high = (255 - z) * s;
        for (int i = 0; i < BINS; i++) {
            if (!h->count[i]) continue;
            double v = ((i + 0.5) / (BINS / 2) - 1) * h->limit, cut = v < low    ? low - v
                                                                      : v > high ? v - high
                                                                                 : 0;
            error += (double)h->count[i] * (cut > 0 ? CUT_WEIGHT * cut * cut : s * s / 12);
        }
        if (error < least) {
            least = error;
            best = part;
        }
    }
    cover(h->low * best, h->high * best, scale, zero);
}

/* Whether the outputs of a layer are values of its inputs, in the same group. */
static bool hands_on(const struct net_layer *l)
{
    return l->kind == LAYER_CONCATENATE || l->kind == LAYER_MAX_POOL || l->kind == LAYER_AVERAGE_POOL ||
           l->kind == LAYER_ZERO_PADDING;
}

struct calibration {
    const struct net *net;
    const int *group;      /* by layer */
    struct histogram **of; /* by layer: of its group, at the group's first layer */
    int *taps, n_taps;
    double **mean; /* by layer: of each channel, for the layers that convolutions read; else NULL */
    double *n_pixels;
};

static int first_of(const struct calibration *c, int layer)
{
    int i = 0;
    while (c->group[i] != c->group[layer])
        i++;
    return i;
}

/* Returns the layer whose values a convolution reads. Padding layers are skipped. */
static int read_by(const struct net *n, int layer)
{
    int from = n->layers[layer].inputs[0];
    while (n->layers[from].kind == LAYER_ZERO_PADDING)
        from = n->layers[from].inputs[0];
    return from;
}

static void add_means(struct calibration *c, int layer, const float *values, size_t n)
{
    const struct net_shape *s = &c->net->layers[layer].output;
    size_t n_c = (size_t)s->dim[s->rank - 1];
    if (!c->mean[layer]) return;
    for (size_t i = 0; i < n; i += n_c)
        for (size_t k = 0; k < n_c; k++)
            c->mean[layer][k] += (double)values[i + k];
    c->n_pixels[layer] += (double)(n / n_c);
}

/* The input may have any byte, not only those in the calibration pictures. */
static int know_input(struct calibration *c, struct error *err)
{
    const struct net_metadata *m = &c->net->metadata;
    int input = c->net->input;
    if (c->group[input] < 0) return 0;
    double ends[2] = {m->input_offset, m->input_offset + 255 * m->input_scale};
    struct histogram *h = c->of[first_of(c, input)];
    for (int i = 0; i < 256; i++) {
        float v = (float)(ends[0] + (ends[1] - ends[0]) * i / 255);
        for (int k = 0; k < 64; k++)
            if (add_values(h, &v, 1, 0, "input", err)) return -1;
    }
    return 0;
}

static int look(struct calibration *c, const struct quantise_options *o, struct error *err)
{
    const struct net_shape *in = &c->net->layers[c->net->input].output;
    size_t picture = (size_t)in->dim[0] * (size_t)in->dim[1] * 3, most = 1;
    struct engine_options eo = ENGINE_DEFAULTS;
    struct engine *e = NULL;
    uint8_t *pixels = mem_alloc(BATCH * picture, err);
    float *values = NULL;
    int rc = -1;
    eo.device = o->device;
    eo.threads = o->threads;
    eo.batch = BATCH;
    eo.mode = ENGINE_INFERENCE;
    eo.outputs = c->taps;
    eo.n_outputs = c->n_taps;
    if (!pixels || (c->n_taps && engine_open(&e, c->net, &eo, err))) goto out;
    for (int k = 0; k < c->n_taps; k++)
        if (engine_output_size(e, k) > most) most = engine_output_size(e, k);
    if (!(values = mem_alloc(BATCH * most * sizeof *values, err))) goto out;
    for (int i = 0; i < o->n_pictures && c->n_taps; i += BATCH) {
        int n = o->n_pictures - i < BATCH ? o->n_pictures - i : BATCH;
        struct engine_batch batch = {.n = n, .pixels = pixels};
        for (int k = 0; k < n; k++)
            if (o->picture(o->context, i + k, pixels + (size_t)k * picture, err)) goto out;
        if (engine_forward(e, &batch, err)) goto out;
        for (int k = 0; k < c->n_taps; k++) {
            int layer = c->taps[k];
            size_t all = (size_t)n * engine_output_size(e, k);
            if (engine_output(e, k, values, err) ||
                (c->group[layer] >= 0 && !hands_on(&c->net->layers[layer]) &&
                 add_values(c->of[first_of(c, layer)], values, all, (size_t)i * 7919,
                            c->net->layers[layer].name, err)))
                goto out;
            add_means(c, layer, values, all);
        }
    }
    rc = know_input(c, err);
out:
    engine_close(e);
    free(values);
    free(pixels);
    return rc;
}

/* Whether the layer stays float although it takes a considerable part of the time. */
static bool stays_float(const struct net_layer *l, bool kernel)
{
    switch (l->kind) {
    case LAYER_CONV2D:
    case LAYER_DEPTHWISE_CONV2D: return !kernel;
    case LAYER_DENSE:
    case LAYER_MULTIPLY:
    case LAYER_SCALE:
    case LAYER_RESCALING:
    case LAYER_RESIZING:
    case LAYER_CHANNELS:
    case LAYER_CLIP: return true;
    case LAYER_RELU: return l->relu_slope != 0 || l->relu_threshold != 0;
    case LAYER_ACTIVATION:
        return l->activation != ACTIVATION_LINEAR && l->activation != ACTIVATION_RELU &&
               l->activation != ACTIVATION_RELU6 && l->activation != ACTIVATION_SOFTMAX;
    default: return false;
    }
}

static int remark(const struct net *n, const bool *kernel, struct text *remarks, struct error *err)
{
    int n_float = 0, n_kernels = 0;
    for (int i = 0; i < n->n_layers; i++) {
        n_float += stays_float(&n->layers[i], kernel[i]);
        n_kernels += kernel[i];
    }
    if (text_printf(remarks, err, "%d convolutions in int8; %d layer%s float", n_kernels, n_float,
                    n_float == 1 ? " stays" : "s stay"))
        return -1;
    for (int i = 0, shown = 0; i < n->n_layers && shown < 6; i++) {
        if (!stays_float(&n->layers[i], kernel[i])) continue;
        if (shown == 5 ? text_puts(remarks, ", ...", err)
                       : text_printf(remarks, err, "%s'%s' (%s)", shown ? ", " : ": ", n->layers[i].name,
                                     layer_kind_name(n->layers[i].kind)))
            return -1;
        shown++;
    }
    return text_puts(remarks, "\n", err);
}

static int round_kernels(struct net *n, const struct calibration *c, struct net_int8 *q, const bool *kernel,
                         struct error *err)
{
    for (int i = 0; i < n->n_layers; i++) {
        int norm = kernel[i] ? net_int8_norm_of(n, i) : -1;
        if (norm < 0) continue;
        int from = read_by(n, i);
        if (net_int8_round_kernel(n, i, norm, c->mean[from], err)) return -1;
        q->layers[i].kernel = true;
    }
    return 0;
}

int quantise_net(struct net *n, const struct quantise_options *o, struct text *remarks, struct error *err)
{
    struct calibration c = {.net = n};
    struct net_int8 q = NET_INT8_EMPTY;
    bool *kernel = NULL, any = false;
    int *group = NULL, rc = -1;
    if (net_is_int8(n)) return error_set(err, EX_DATAERR, "the model has an int8 form already");
    if (net_int8_prepare(n, err)) return -1;
    size_t n_layers = (size_t)n->n_layers;
    if (!(group = mem_alloc(n_layers * sizeof *group, err)) ||
        !(kernel = mem_zalloc(n_layers, sizeof *kernel, err)) ||
        !(c.taps = mem_alloc(n_layers * sizeof *c.taps, err)) ||
        !(c.of = mem_zalloc(n_layers, sizeof *c.of, err)) ||
        !(c.mean = mem_zalloc(n_layers, sizeof *c.mean, err)) ||
        !(c.n_pixels = mem_zalloc(n_layers, sizeof *c.n_pixels, err)) ||
        !(q.layers = mem_zalloc(n_layers, sizeof *q.layers, err)) || engine_int8_sites(n, group, kernel, err))
        goto out;
    q.n_layers = n->n_layers;
    q.n_pictures = o->n_pictures;
    c.group = group;
    for (int i = 0; i < n->n_layers; i++) {
        int from = kernel[i] ? read_by(n, i) : n->input;
        size_t n_c = (size_t)n->layers[from].output.dim[2];
        any |= kernel[i];
        if (from != n->input && !c.mean[from] && !(c.mean[from] = mem_zalloc(n_c, sizeof(double), err)))
            goto out;
    }
    for (int i = 0; i < n->n_layers; i++) {
        if (c.mean[i] && (group[i] < 0 || hands_on(&n->layers[i]))) c.taps[c.n_taps++] = i;
        if (group[i] < 0) continue;
        int first = first_of(&c, i);
        if (!c.of[first] && !(c.of[first] = mem_zalloc(1, sizeof *c.of[first], err))) goto out;
        if (i != n->input && !hands_on(&n->layers[i])) c.taps[c.n_taps++] = i;
    }
    if (!any) {
        error_set(err, EX_DATAERR, "no layer of the model has an int8 form: that needs convolutions");
        goto out;
    }
    if (look(&c, o, err)) goto out;
    for (int i = 0; i < n->n_layers; i++)
        for (int k = 0; c.mean[i] && k < n->layers[i].output.dim[2]; k++)
            c.mean[i][k] /= fmax(c.n_pixels[i], 1);
    for (int i = 0; i < n->n_layers; i++)
        if (group[i] >= 0) {
            const struct net_int8_layer *same = &q.layers[first_of(&c, i)];
            if (same->scale > 0) {
                q.layers[i] = *same;
                continue;
            }
            choose(c.of[first_of(&c, i)], &q.layers[i].scale, &q.layers[i].zero);
        }
    rc =
        round_kernels(n, &c, &q, kernel, err) || net_int8_store(&q, n, err) || remark(n, kernel, remarks, err)
            ? -1
            : 0;
out:
    for (int i = 0; c.of && i < n->n_layers; i++)
        free(c.of[i]);
    for (int i = 0; c.mean && i < n->n_layers; i++)
        free(c.mean[i]);
    free(c.mean);
    free(c.n_pixels);
    free(c.of);
    free(c.taps);
    free(kernel);
    free(group);
    net_int8_release(&q);
    return rc;
}
