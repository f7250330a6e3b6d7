/* needs: base net tensor */
/*
 * Every call of a training step fails once, and every piece of queued work: opening an engine on the CUDA
 * backend and one step of training end with an error that names the call (and a code for main), never with a
 * crash, a leak or a success that was none.
 */
#include "cuda_common.h"
#include "net/net.h"
#include "tensor/engine.h"

#define BATCH 4
#define CLASSES 3

static struct error err;
static struct net net;
static int side;

static uint8_t *pixels;
static float targets[BATCH * CLASSES];

/* 0 and the step was made; -1 and err says why not. *answer: a sum over everything that
 * came out, told apart by place. */
static int one_step(double *answer)
{
    struct engine_options o = ENGINE_DEFAULTS;
    struct engine *e = NULL;
    struct engine_batch in = {.n = BATCH, .pixels = pixels};
    struct engine_target target = {targets, NULL};
    struct engine_step step = ENGINE_STEP_DEFAULTS;
    struct engine_result result = {0};
    float p[BATCH * CLASSES] = {0}, *weights = NULL;
    size_t n_weights = 0;
    o.device = "cuda";
    o.batch = BATCH;
    o.mode = ENGINE_TRAIN;
    o.optimizer = ENGINE_ADAM;
    o.precision = PRECISION_F32; /* every engine then gives the same answer */
    error_clear(&err);
    int rc =
        engine_open(&e, &net, &o, &err) || engine_train_step(e, &in, &target, &step, &result, &err) ? -1 : 0;
    if (!rc) {
        n_weights = engine_state_size(e, ENGINE_WEIGHTS);
        weights = malloc((n_weights + 1) * sizeof *weights);
        rc = engine_state_get(e, ENGINE_WEIGHTS, weights, &err);
    }
    if (!rc) rc = engine_forward(e, &in, &err) || engine_probabilities(e, p, &err) ? -1 : 0;
    *answer = result.loss;
    for (size_t i = 0; !rc && i < n_weights; i++)
        *answer += weights[i] * (1 + (double)(i % 97));
    for (int i = 0; i < BATCH * CLASSES; i++)
        *answer += p[i] * (1 + i);
    free(weights);
    engine_close(e);
    return rc;
}

/* The nth call fails for each n up to the number of calls of a good run. */
static void every_call(double good)
{
    double answer;
    long n_calls, unseen = 0, unnamed = 0, leaks = 0, wrong_code = 0, misuses = 0;
    char first_unseen[100] = "", first_unnamed[400] = "";
    fake.fail_call(0);
    CHECK_SAY(!one_step(&answer) && fabs(answer - good) < 1e-6 * fabs(good), "a good run: %s", err.text);
    n_calls = fake.calls();
    for (long n = 1; n <= n_calls; n++) {
        fake.fail_call(n);
        int rc = one_step(&answer);
        const char *failed = fake.failed_call();
        bool tolerated =
            /* a fallback took its place: the answer is right */
            !rc && fabs(answer - good) < 1e-6 * fabs(good);
        if (!rc && !tolerated && !unseen++)
            snprintf(first_unseen, sizeof first_unseen, "%s (call %ld)", failed, n);
        /* cudaGetDeviceCount is told in people's words. */
        if (rc && !strstr(err.text, failed) && strcmp(failed, "cudaGetDeviceCount") && !unnamed++)
            snprintf(first_unnamed, sizeof first_unnamed, "%s in '%.300s'", failed, err.text);
        if (rc && err.code != EX_OSERR && err.code != EX_NODEVICE) wrong_code++;
        leaks += fake.live_objects();
        misuses += fake.complaints();
        fake.fail_call(0);
        fake.forgive();
    }
    CHECK_SAY(n_calls > 300, "a step with everything around it makes %ld calls", n_calls);
    CHECK_SAY(!unseen, "each failing call is seen%s%s", unseen ? ", but not " : "", first_unseen);
    CHECK_SAY(!unnamed, "each error names the call%s%s", unnamed ? ", but not " : "", first_unnamed);
    CHECK_SAY(!wrong_code, "each error has the code of a failing system or a missing device (%ld do not)",
              wrong_code);
    CHECK_SAY(!leaks, "nothing is left alive (%ld objects)", leaks);
    CHECK_SAY(!misuses, "nothing is used wrongly on the way out%s%s", misuses ? ": " : "",
              misuses ? fake.last_complaint() : "");
}

/* Three steps, of which the second is recorded and launched; the nth call after the first fails. */
static int three_steps(long n, double *answer)
{
    struct engine_options o = ENGINE_DEFAULTS;
    struct engine *e = NULL;
    struct engine_batch in = {.n = BATCH, .pixels = pixels};
    struct engine_target target = {targets, NULL};
    struct engine_step step = ENGINE_STEP_DEFAULTS;
    struct engine_result result = {0};
    step.clip_norm = 0.1;
    o.device = "cuda";
    o.batch = BATCH;
    o.mode = ENGINE_TRAIN;
    o.precision = PRECISION_F32;
    error_clear(&err);
    int rc = engine_open(&e, &net, &o, &err);
    for (int i = 0; i < 3 && !rc; i++) {
        if (i == 1) fake.fail_call(n);
        rc = engine_train_step(e, &in, &target, &step, &result, &err);
    }
    *answer = result.loss + 100 * result.gradient_norm;
    engine_close(e);
    return rc;
}

/* A call that fails while a step is recorded costs the recording, not the step. */
static void every_call_of_a_recording(void)
{
    double good, answer;
    long n_calls, wrong = 0, unnamed = 0, leaks = 0, misuses = 0, saved = 0;
    if (!CHECK_SAY(!three_steps(0, &good), "three steps: %s", err.text)) return;
    n_calls = fake.calls();
    CHECK_SAY(fake.count("cudaGraphLaunch", false) == 2, "two of three steps are launched");
    for (long n = 1; n <= n_calls; n += n > 12 && n < n_calls - 20 ? 7 : 1) {
        int rc = three_steps(n, &answer);
        saved += !rc;
        wrong += !rc && memcmp(&answer, &good, sizeof good) != 0;
        unnamed += rc && !strstr(err.text, fake.failed_call());
        leaks += fake.live_objects();
        misuses += fake.complaints();
        fake.fail_call(0);
        fake.forgive();
    }
    CHECK_SAY(n_calls > 100, "a recorded step and a launched one make %ld calls", n_calls);
    CHECK_SAY(saved > 15 && !wrong && !unnamed,
              "a failing call of them is named, or the same steps are made without a recording (%ld are; %ld "
              "wrong, %ld unnamed)",
              saved, wrong, unnamed);
    CHECK_SAY(!leaks && !misuses, "nothing is left alive (%ld) or used wrongly%s%s", leaks,
              misuses ? ": " : "", misuses ? fake.last_complaint() : "");
}

/* Work that fails when it runs, long after its call: seen at the next wait, at the latest when the results
 * are asked for. */
static void every_execution(void)
{
    double answer;
    long n, unseen = 0, leaks = 0;
    fake.fail_execution(0);
    CHECK(!one_step(&answer));
    n = fake.executions();
    for (long i = 1; i <= n; i++) {
        fake.fail_execution(i);
        int rc = one_step(&answer);
        if (!rc && *fake.failed_call()) unseen++;
        leaks += fake.live_objects();
        fake.fail_execution(0);
        fake.forgive();
    }
    CHECK_SAY(n > 100, "%ld pieces of work are queued", n);
    CHECK_SAY(!unseen, "each that fails is seen (%ld are not)", unseen);
    CHECK_SAY(!leaks, "nothing is left alive (%ld objects)", leaks);
}

int main(int argc, char **argv)
{
    cuda_test_begin(argv, "faults in the CUDA backend");
    if (!fake.there) {
        tap_skip("faults in the CUDA backend", "real libraries do not fail on request");
        return tap_done();
    }
    char path[PATH_MAX];
    const char *top = getenv("TOP");
    snprintf(path, sizeof path, "%s/tests/fixtures/tiny-net/tfjs-float32", top ? top : ".");
    static char *classes[CLASSES] = {"a", "b", "c"};
    if (!CHECK_SAY(!net_open(&net, path, &err) && !net_replace_head(&net, CLASSES, classes, 3, &err) &&
                       !net_infer_shapes(&net, 0, 0, &err) &&
                       !net_unlock_from(&net, net.layers[1].name, &err),
                   "the tiny net: %s", err.text))
        return tap_done();
    side = net.layers[net.input].output.dim[0];
    pixels = malloc((size_t)(BATCH * side * side * 3));
    for (int i = 0; i < BATCH * side * side * 3; i++)
        pixels[i] = (uint8_t)(i * 37 % 251);
    for (int i = 0; i < BATCH; i++)
        targets[i * CLASSES + i % CLASSES] = 1;
    double good;
    if (!CHECK_SAY(!one_step(&good), "a step: %s", err.text)) return tap_done();
    setenv("WINNOW_CUDA_CACHE", "", 1); /* with the search of algorithms each time */
    every_call_of_a_recording();
    every_call(good);
    every_execution();
    free(pixels);
    net_release(&net);
    return tap_done();
}
