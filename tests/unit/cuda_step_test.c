/* needs: base net tensor */
/*
 * What a training step of InceptionV3 costs in calls of the libraries and pieces of work for the GPU, counted
 * on the stand-ins: phase 2 from conv2d_56 on, bfloat16, 128 pictures; as one CUDA graph, call by call, and
 * call by call with a clipped gradient. The arithmetic is left out. Prints the counts; fails above the limits
 * here, which are what was reached, so that they do not creep up. On real libraries, which do not count, it
 * prints what a step takes: of the host to queue it, and of both.
 */
#include <time.h>

#include "cuda_common.h"
#include "net/net.h"
#include "tensor/engine.h"

#define SIDE 299
#define CLASSES 5
#define BATCH 128

static struct error err;

enum road { GRAPH, CALLS, CALLS_CLIPPED, ROADS };
static const char *const roads[ROADS] = {"one graph", "call by call", "call by call, clipped"};

static const struct {
    const char *what, *name; /* name "": all */
    bool executed;
    long limit[ROADS];
} limits[] = {
    {"calls of the libraries outside the graph", "", false, {20, 326, 333}},
    {"pieces of work", "", true, {302, 302, 306}},
    {"copies by cudnnTransformTensor", "cudnnTransformTensor", true, {7, 7, 7}},
    {"waits of the host, for the step before,", "(host wait)", false, {1, 1, 1}},
};

static void print_counts(bool executed)
{
    const char *name;
    printf("# %s:", executed ? "pieces of work" : "calls");
    for (int i = 0; (name = fake.counted(i, executed)); i++)
        printf(" %s %ld%s", name, fake.count(name, executed), fake.counted(i + 1, executed) ? "," : "\n");
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static void steps_on(enum road road, struct net *net, bool counts)
{
    struct engine_options o = ENGINE_DEFAULTS;
    struct engine *e = NULL;
    struct engine_result result = {0};
    int steps = counts ? 4 : 24; /* the first ones make what later ones find */
    setenv("WINNOW_CUDA_GRAPH", road == GRAPH ? "1" : "0", 1);
    o.device = "cuda";
    o.batch = BATCH;
    o.precision = PRECISION_BF16;
    o.mode = ENGINE_TRAIN;
    if (!CHECK_SAY(!engine_open(&e, net, &o, &err), "InceptionV3 opens for phase 2: %s", err.text)) return;
    uint8_t *pixels = calloc(BATCH, SIDE * SIDE * 3);
    float *targets = calloc(BATCH * CLASSES, sizeof *targets);
    for (int i = 0; i < BATCH; i++)
        targets[i * CLASSES] = 1;
    struct engine_batch in = {.n = BATCH, .pixels = pixels};
    struct engine_target target = {targets, NULL};
    struct engine_step step = ENGINE_STEP_DEFAULTS;
    step.clip_norm = road == CALLS_CLIPPED ? 1 : 0;
    bool ok = CHECK_SAY(engine_steps_ahead(e) == 1, "a step begins before the one before it has ended");
    double least_ms = 1e9, began = 0;
    for (int i = 0; i < steps && ok; i++) {
        if (counts) {
            fake.fail_call(0);
            fake.fail_execution(0);
        }
        step.step = (uint64_t)i;
        step.rate = 0.01 / (1 + i);
        double from = now_ms();
        if (i == steps - 20) began = from;
        ok = !engine_train_begin(e, &in, &target, &step, &err);
        least_ms = now_ms() - from < least_ms ? now_ms() - from : least_ms;
        long waits = counts ? fake.count("(host wait)", false) : 0;
        if (i == 3)
            CHECK_SAY(waits == 0, "%s: waits of the host while a step is queued: %ld", roads[road], waits);
        ok = ok && (i == 0 || !engine_train_end(e, &result, &err));
    }
    CHECK_SAY(ok && result.finite, "%s: %d steps of %d pictures: %s", roads[road], steps, BATCH,
              ok ? "" : err.text);
    CHECK_SAY(road != GRAPH || !strstr(engine_description(e), "no CUDA graph"), "the step was recorded: %s",
              engine_description(e));
    if (!counts) {
        ok = ok && !engine_train_end(e, &result, &err);
        printf("# %s: a step of %d pictures: %.3f ms, of the host to queue it %.3f ms\n", roads[road], BATCH,
               (now_ms() - began) / 20, least_ms);
    }
    for (size_t i = 0; counts && i < sizeof limits / sizeof *limits; i++) {
        long n = fake.count(limits[i].name, limits[i].executed);
        if (!*limits[i].name && !limits[i].executed) n -= fake.count("(host wait)", false);
        CHECK_SAY(n > 0 && n <= limits[i].limit[road], "%s: %s in a step: %ld, at most %ld", roads[road],
                  limits[i].what, n, limits[i].limit[road]);
    }
    if (counts) {
        printf("# %s: work of the host a picture, stand-ins' bookkeeping included: %.4f ms\n", roads[road],
               least_ms / BATCH);
        print_counts(false);
        print_counts(true);
    }
    engine_close(e);
    free(pixels);
    free(targets);
    cuda_check_clean(roads[road]);
}

int main(int argc, char **argv)
{
    static char *classes[CLASSES] = {"a", "b", "c", "d", "e"};
    struct net net;
    (void)argc;
    setenv("FAKECUDA_DRY", "1", 1);
    setenv("FAKECUDA_MEMORY", "137438953472", 1);
    cuda_test_begin(argv, "a counted training step");
    bool counts = fake.there && !getenv("WINNOW_CUDA_REAL");
    if (!counts && !cuda_has_bf16("a training step")) return tap_done();
    if (!CHECK_SAY(!net_build_inception_v3(&net, SIDE, &err) &&
                       !net_replace_head(&net, CLASSES, classes, 1, &err) &&
                       !net_infer_shapes(&net, 0, 0, &err) && !net_unlock_from(&net, "conv2d_56", &err),
                   "InceptionV3 for phase 2: %s", err.text))
        return tap_done();
    for (int road = 0; road < ROADS; road++)
        steps_on((enum road)road, &net, counts);
    net_release(&net);
    return tap_done();
}
