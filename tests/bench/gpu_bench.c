/* needs: base net tensor */
/*
 * gpu_bench.c: images/s of InceptionV3 on a GPU, for inference and both phases, by precision and batch, and
 * what share of the card's peak that is, from counted operations (a multiplication and an addition are two).
 * Started by `make bench-gpu`; weights are random, which changes no time. usage: gpu_bench [--device D]
 * [--side N] [--seconds S] [--batches 32,64] [--precisions fp32,tf32,bf16]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/random.h"
#include "net/net.h"
#include "tensor/engine.h"

static struct error err;
static const char *device = "cuda";
static int side = 299;
static double seconds = 10;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double layer_flops(const struct net *n, int i)
{
    const struct net_layer *l = &n->layers[i];
    const struct net_shape *out = &l->output, *in = l->n_inputs ? &n->layers[l->inputs[0]].output : out;
    double values = 1;
    for (int k = 0; k < out->rank; k++)
        values *= out->dim[k];
    if (l->kind == LAYER_CONV2D) return 2.0 * l->kernel_h * l->kernel_w * in->dim[2] * values;
    if (l->kind == LAYER_DEPTHWISE_CONV2D) return 2.0 * l->kernel_h * l->kernel_w * values;
    return l->kind == LAYER_DENSE ? 2.0 * in->dim[in->rank - 1] * values : 0;
}

/* Forward once; backward once more for weights that learn, and once more where the gradient goes on below. */
static double step_flops(const struct net *n, bool train)
{
    bool *learns = calloc((size_t)n->n_layers, sizeof *learns);
    double sum = 0;
    for (int i = 0; i < n->n_layers; i++) {
        const struct net_layer *l = &n->layers[i];
        bool below = false;
        for (int k = 0; k < l->n_inputs; k++)
            below |= learns[l->inputs[k]];
        learns[i] = below || (l->trainable && l->n_weights);
        sum += layer_flops(n, i) * (1 + (train && l->trainable) + (train && below));
    }
    free(learns);
    return sum;
}

/* Dense operations a clock and multiprocessor, from the vendor's architecture papers; 0 = not known here. */
static double peak_tflops(const char *description, enum backend_precision p)
{
    static const struct {
        int cc;
        double fp32, tf32, bf16;
    } cards[] = {
        {75, 128, 128, 0},    {80, 128, 1024, 2048}, {86, 256, 256, 512},
        {87, 256, 512, 1024}, {89, 256, 256, 512},   {90, 256, 2048, 4096},
    };
    int major, minor, sms, mhz;
    const char *cc = strstr(description, "compute capability "), *clock = cc ? strstr(cc, ", ") : NULL;
    if (!clock || sscanf(cc, "compute capability %d.%d", &major, &minor) != 2 ||
        sscanf(clock, ", %d SMs at %d MHz", &sms, &mhz) != 2)
        return 0;
    for (size_t i = 0; i < sizeof cards / sizeof *cards; i++)
        if (cards[i].cc == major * 10 + minor)
            return (p == PRECISION_F32    ? cards[i].fp32
                    : p == PRECISION_TF32 ? cards[i].tf32
                                          : cards[i].bf16) *
                   sms * mhz * 1e-6;
    return 0;
}

static void run(struct net *net, const char *what, bool train, const char *unlock,
                enum backend_precision precision, const char *name, int batch)
{
    struct engine_options o = ENGINE_DEFAULTS;
    struct engine *e = NULL;
    o.device = device;
    o.batch = batch;
    o.precision = precision;
    o.mode = train ? ENGINE_TRAIN : ENGINE_INFERENCE;
    error_clear(&err);
    if (net_unlock_from(net, unlock, &err) || engine_open(&e, net, &o, &err)) {
        printf("%-28s %-5s %5d  %s\n", what, name, batch, err.text);
        return;
    }
    size_t picture = (size_t)side * (size_t)side * 3;
    uint8_t *pixels = malloc((size_t)batch * picture);
    float *targets = calloc((size_t)batch * 5, sizeof *targets), *p = malloc((size_t)batch * 5 * sizeof *p);
    for (size_t i = 0; i < (size_t)batch * picture; i++)
        pixels[i] = (uint8_t)(i * 2654435761u >> 13);
    for (int i = 0; i < batch; i++)
        targets[i * 5 + i % 5] = 1;
    struct engine_batch in = {.n = batch, .pixels = pixels};
    struct engine_target target = {targets, NULL};
    struct engine_step step = ENGINE_STEP_DEFAULTS;
    struct engine_result result;
    int warm = 3, runs = 0, rc = 0;
    double start = 0, took = 0;
    step.rate = 1e-6;
    for (int i = 0; !rc && (i <= warm || now() - start < seconds); i++) {
        if (i == warm) /* the first steps choose kernels and fill caches */
            start = now();
        step.step = (uint64_t)i;
        rc = train ? engine_train_step(e, &in, &target, &step, &result, &err)
                   : engine_forward(e, &in, &err) || engine_probabilities(e, p, &err);
        runs += i >= warm;
    }
    took = now() - start;
    if (rc || !runs) {
        printf("%-28s %-5s %5d  %s\n", what, name, batch, rc ? err.text : "too slow for one step");
    } else {
        double rate = (double)runs * batch / took, tflops = rate * step_flops(net, train) * 1e-12;
        double peak = peak_tflops(engine_description(e), precision);
        char share[32] = "-";
        if (peak > 0) snprintf(share, sizeof share, "%.1f %%", 100 * tflops / peak);
        printf("%-28s %-5s %5d %10.1f %8.3f %9s %8zu\n", what, name, batch, rate, tflops, share,
               engine_memory_bytes(e) >> 20);
    }
    fflush(stdout);
    free(pixels);
    free(targets);
    free(p);
    engine_close(e);
}

int main(int argc, char **argv)
{
    const char *batches = "1,8,32,64,128,256", *precisions = "fp32,tf32,bf16";
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--device"))
            device = argv[i + 1];
        else if (!strcmp(argv[i], "--side"))
            side = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--seconds"))
            seconds = atof(argv[i + 1]);
        else if (!strcmp(argv[i], "--batches"))
            batches = argv[i + 1];
        else if (!strcmp(argv[i], "--precisions"))
            precisions = argv[i + 1];
        else
            return fprintf(stderr, "gpu_bench: unknown option '%s'\n", argv[i]), 64;
    }
    struct backend_options options = {.deterministic = true};
    const struct backend_table *table;
    struct backend *b;
    if (backend_open(device, &options, &table, &b, &err)) {
        fprintf(stderr, "gpu_bench: %s\n", err.text);
        return err.code;
    }
    printf("%s\nInceptionV3 %dx%d, random weights, pictures from host memory; share of the dense peak from "
           "counted "
           "operations\n\n",
           table->describe(b), side, side);
    table->close(b);
    struct net net = NET_EMPTY;
    static char *classes[] = {"a", "b", "c", "d", "e"};
    if (net_build_inception_v3(&net, side, &err) || net_replace_head(&net, 5, classes, 1, &err)) {
        fprintf(stderr, "gpu_bench: %s\n", err.text);
        return 70;
    }
    struct random r = random_start(1, 1, 1);
    for (int i = 0; i < net.n_layers; i++)
        for (int k = 0; k < net.layers[i].n_weights; k++)
            for (size_t j = 0; j < net.layers[i].weights[k].n_values; j++)
                net.layers[i].weights[k].values[j] = net.layers[i].weights[k].role == WEIGHT_MOVING_VARIANCE
                                                         ? 1.f
                                                         : (float)(0.03 * random_normal(&r));
    printf("%-28s %-5s %5s %10s %8s %9s %8s\n", "work", "type", "batch", "images/s", "TFLOP/s", "of peak",
           "MiB");
    static const char *const names[] = {"fp32", "tf32", "bf16"};
    for (int p = 0; p < 3; p++) {
        if (!strstr(precisions, names[p])) continue;
        for (const char *s = batches; s; s = strchr(s, ',') ? strchr(s, ',') + 1 : NULL) {
            int batch = atoi(s);
            if (batch < 1) continue;
            run(&net, "inference", false, "dense_1", (enum backend_precision)p, names[p], batch);
            if (batch < 8) continue;
            run(&net, "head, whole pass", true, "dense_1", (enum backend_precision)p, names[p], batch);
            run(&net, "fine-tune from conv2d_56", true, "conv2d_56", (enum backend_precision)p, names[p],
                batch);
        }
    }
    net_release(&net);
    return 0;
}
