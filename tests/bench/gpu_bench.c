/* needs: base net tensor */
/*
 * gpu_bench.c: images/s of InceptionV3 on a GPU, for inference and the kinds of training, by precision and
 * batch, and what share of the card's peak that is, from counted operations (a multiplication and an addition
 * are two). host ms is what a step costs the processor: its time without the waits for the card. Weights are
 * random, which changes no time. The first rows are the ones that are wanted most.
 * usage: gpu_bench [--device D] [--side N] [--seconds S] [--batches 128,32] [--precisions bf16,tf32,fp32]
 * [--works inference,fine-tune,infer-card,tune-card,cached,head]; those of -card have their pictures there
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../unit/engine_pieces.h"
#include "base/error.h"
#include "base/random.h"
#include "net/net.h"
#include "tensor/cuda_cards.h"
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

static double peak_tflops(const char *description, enum backend_precision p)
{
    int major, minor, sms, mhz;
    const char *cc = strstr(description, "compute capability "), *clock = cc ? strstr(cc, ", ") : NULL;
    if (!clock || sscanf(cc, "compute capability %d.%d", &major, &minor) != 2 ||
        sscanf(clock, ", %d SMs at %d MHz", &sms, &mhz) != 2)
        return 0;
    return cuda_card_operations(major * 10 + minor, p) * sms * mhz * 1e-6;
}

/* --- waits --- */

/*
 * The plug-in's calls of these two come here, since a program's own symbols are found before a library's: so
 * the time that the processor waits for the card is known without a profiler.
 */
static double waited;
static void *runtime; /* libcudart, once the plug-in has opened it */

static void find_runtime(void)
{
    char name[32];
    for (int major = 11; !runtime && major < 20; major++) {
        snprintf(name, sizeof name, "libcudart.so.%d", major);
        runtime = dlopen(name, RTLD_LAZY | RTLD_NOLOAD);
    }
}

static int wait_for(const char *call, void *what)
{
    int (*real)(void *);
    double start = now();
    find_runtime();
    *(void **)&real = runtime ? dlsym(runtime, call) : NULL;
    int rc = real ? real(what) : 999;
    waited += now() - start;
    return rc;
}

int cudaStreamSynchronize(void *stream);
int cudaStreamSynchronize(void *stream) { return wait_for(__func__, stream); }
int cudaEventSynchronize(void *event);
int cudaEventSynchronize(void *event) { return wait_for(__func__, event); }

/* API calls so far. Only the stand-ins count them, and a step makes the same ones on a card. */
static long api_calls(void)
{
    long (*calls)(void);
    *(void **)&calls = runtime ? dlsym(runtime, "fakecuda_calls") : NULL;
    return calls ? calls() : 0;
}

/* --- one row --- */

static const struct work {
    const char *name, *unlock;
    bool train, cached; /* from the outputs of the frozen layers, which a cache keeps */
    bool on_card;       /* the pictures are there: what their upload takes from the others */
} works[] = {{"inference", "dense_1", .train = false},
             {"fine-tune", "conv2d_56", .train = true},
             {"infer-card", "dense_1", .train = false, .on_card = true},
             {"tune-card", "conv2d_56", .train = true, .on_card = true},
             {"cached", "conv2d_56", .train = true, .cached = true},
             {"head", "dense_1", .train = true}};
enum { N_WORKS = sizeof works / sizeof *works };

static double step_flops_of(const struct net *n, const struct work *w, const int *inputs, int n_inputs)
{
    double sum = step_flops(n, w->train);
    int last = -1; /* what lies below the boundary was not run */
    for (int i = 0; w->cached && i < n_inputs; i++)
        last = inputs[i] > last ? inputs[i] : last;
    for (int i = 0; i <= last; i++)
        if (!n->layers[i].trainable) sum -= layer_flops(n, i);
    return sum;
}

static void run(struct net *net, const struct work *w, enum backend_precision precision, const char *name,
                int batch)
{
    struct engine_options o = ENGINE_DEFAULTS;
    struct engine *e = NULL;
    int *boundary = NULL, n_boundary = 0;
    o.device = device;
    o.batch = batch;
    o.precision = precision;
    o.mode = w->train ? ENGINE_TRAIN : ENGINE_INFERENCE;
    error_clear(&err);
    int rc = net_unlock_from(net, w->unlock, &err) ||
             (w->cached && engine_boundary(net, &boundary, &n_boundary, &err));
    o.inputs = boundary;
    o.n_inputs = n_boundary;
    o.keeps_input = w->on_card;
    if (rc || engine_open(&e, net, &o, &err)) {
        printf("%-10s %-5s %5d  %s\n", w->name, name, batch, err.text);
        fflush(stdout);
        free(boundary);
        return;
    }
    size_t picture = (size_t)side * (size_t)side * 3;
    uint8_t *pixels = malloc((size_t)batch * picture);
    float *targets = calloc((size_t)batch * 5, sizeof *targets), *p = malloc((size_t)batch * 5 * sizeof *p);
    float **values = calloc((size_t)n_boundary + 1, sizeof *values);
    for (size_t i = 0; i < (size_t)batch * picture; i++)
        pixels[i] = (uint8_t)(i * 2654435761u >> 13);
    for (int i = 0; i < batch; i++)
        targets[i * 5 + i % 5] = 1;
    for (int k = 0; k < n_boundary; k++) {
        size_t n = (size_t)batch * engine_input_size(e, k);
        values[k] = malloc(n * sizeof **values);
        for (size_t i = 0; i < n; i++)
            values[k][i] = (float)(i % 97) / 97;
    }
    struct engine_batch in = {.n = batch,
                              .pixels = w->cached ? NULL : pixels,
                              .values = w->cached ? (const float *const *)values : NULL};
    struct engine_target target = {targets, NULL};
    struct engine_step step = ENGINE_STEP_DEFAULTS;
    struct engine_result result;
    int warm = 3, runs = 0, begun = 0;
    double start = 0, took = 0;
    long calls = 0;
    step.rate = 1e-6;
    for (int i = 0; !rc && (i <= warm || now() - start < seconds); i++) {
        if (w->on_card && i == 1) in.pixels = NULL;
        if (i == warm) { /* the first steps choose kernels and fill caches */
            start = now();
            waited = 0;
            calls = api_calls();
        }
        step.step = (uint64_t)i;
        if (w->train) {
            rc = engine_train_begin(e, &in, &target, &step, &err);
            for (begun++; !rc && begun > engine_steps_ahead(e); begun--)
                rc = engine_train_end(e, &result, &err);
        } else {
            rc = engine_forward(e, &in, &err) || engine_probabilities(e, p, &err);
        }
        runs += i >= warm;
    }
    for (; !rc && begun; begun--)
        rc = engine_train_end(e, &result, &err);
    took = now() - start;
    calls = api_calls() - calls;
    if (rc) {
        printf("%-10s %-5s %5d  %s\n", w->name, name, batch, err.text);
    } else {
        double rate = (double)runs * batch / took;
        double tflops = rate * step_flops_of(net, w, boundary, n_boundary) * 1e-12;
        double peak = peak_tflops(engine_description(e), precision);
        char share[32] = "-", host[32] = "-", made[32] = "-";
        if (peak > 0) snprintf(share, sizeof share, "%.1f%%", 100 * tflops / peak);
        if (waited > 0) snprintf(host, sizeof host, "%.3f", 1e3 * (took - waited) / runs);
        if (calls > 0) snprintf(made, sizeof made, "%ld", calls / runs);
        printf("%-10s %-5s %5d %10.1f %8.3f %8s %8zu %9.3f %9s %6s\n", w->name, name, batch, rate, tflops,
               share, engine_memory_bytes(e) >> 20, 1e3 * took / runs, host, made);
    }
    if (strstr(engine_description(e), "no CUDA graph")) printf("# %s\n", engine_description(e));
    fflush(stdout);
    for (int k = 0; k < n_boundary; k++)
        free(values[k]);
    free(values);
    free(pixels);
    free(targets);
    free(p);
    free(boundary);
    engine_close(e);
}

/* Whether name is one of the words of a list with commas. */
static bool listed(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *s = list; s; s = strchr(s, ',') ? strchr(s, ',') + 1 : NULL)
        if (!strncmp(s, name, n) && (s[n] == ',' || !s[n])) return true;
    return false;
}

int main(int argc, char **argv)
{
    const char *batches = "128,32,256,64,8,1", *precisions = "bf16,tf32,fp32", *wanted = NULL;
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
        else if (!strcmp(argv[i], "--works"))
            wanted = argv[i + 1];
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
    printf("%-10s %-5s %5s %10s %8s %8s %8s %9s %9s %6s\n", "work", "type", "batch", "images/s", "TFLOP/s",
           "of peak", "MiB", "ms", "host ms", "calls");
    static const struct {
        const char *name;
        enum backend_precision precision;
    } types[] = {{"bf16", PRECISION_BF16},
                 {"fp16", PRECISION_F16},
                 {"tf32", PRECISION_TF32},
                 {"fp32", PRECISION_F32}};
    for (int p = 0; p < 4; p++) {
        if (!listed(precisions, types[p].name)) continue;
        for (const char *s = batches; s; s = strchr(s, ',') ? strchr(s, ',') + 1 : NULL)
            for (int w = 0; w < N_WORKS; w++)
                if (atoi(s) > 0 && (!wanted || listed(wanted, works[w].name)))
                    run(&net, &works[w], types[p].precision, types[p].name, atoi(s));
    }
    net_release(&net);
    return 0;
}
