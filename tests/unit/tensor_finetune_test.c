/*
 * tensor_finetune_test.c: five runs of five steps of fine-tuning by Keras 3.15.1, from
 * tests/fixtures/keras3/finetune: every weight, velocity, gradient, loss and norm. Two conventions differ on
 * purpose (docs/training-run.md), and are computed from Keras' numbers: the moving variance takes the
 * batch's with n/(n-1), as Keras 2 does, and the average begins with the weights before the first step.
 */
/* needs: tensor net base io */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/io.h"
#include "net/net.h"
#include "tap.h"
#include "tensor/engine.h"

#define BATCH 8
#define CLASSES 5
#define STEPS 5
#define ROW 461      /* numbers in a row of weights.npy */
#define LEARNING 329 /* of velocity, gradient, average */
#define VARIANCE 354 /* where bn2/moving_variance lies in a row; six numbers */

static char folder[4096];

static void *npy(const char *run, const char *what)
{
    char path[4200], *bytes = NULL;
    struct error err = {0};
    size_t n;
    snprintf(path, sizeof path, "%s/%s%s%s.npy", folder, run, run[0] ? "." : "", what);
    if (io_read_file(path, 1 << 20, &bytes, &n, &err)) {
        CHECK_SAY(false, "%s", err.text);
        exit(tap_done());
    }
    size_t at = 10 + (size_t)(unsigned char)bytes[8] + 256 * (size_t)(unsigned char)bytes[9];
    memmove(bytes, bytes + at, n - at);
    return bytes;
}

/* Places of the learning tensors in a row of weights, in the order of the velocities. */
static const struct {
    int at, n;
} pieces[] = {{120, 216}, {336, 6}, {342, 6}, {360, 48}, {408, 8}, {416, 40}, {456, 5}};

static void gather(const double *row, double *out)
{
    for (size_t p = 0, k = 0; p < sizeof pieces / sizeof *pieces; p++)
        for (int i = 0; i < pieces[p].n; i++)
            out[k++] = row[pieces[p].at + i];
}

/* Largest difference of a state of the engine, relative to the largest wanted number. */
static double off(struct engine *e, enum engine_state which, const double *want, size_t n)
{
    struct error err = {0};
    float *have = malloc((n + 1) * sizeof *have);
    double worst = 0, largest = 0;
    if (engine_state_size(e, which) != n || engine_state_get(e, which, have, &err)) worst = INFINITY;
    for (size_t i = 0; worst < 1e9 && i < n; i++) {
        worst = fmax(worst, fabs(have[i] - want[i]));
        largest = fmax(largest, fabs(want[i]));
    }
    free(have);
    return worst / largest;
}

static void doubles(double *to, const float *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = from[i];
}

static void test_run(const char *run, const char *device, const float *table)
{
    struct net n = NET_EMPTY;
    struct error err = {0};
    struct engine *e = NULL;
    char path[4200];
    unsigned char *pictures = npy("", "pictures");
    int *labels = npy("", "labels");
    float *weights = npy(run, "weights"), *velocity = npy(run, "velocity"), *gradient = npy(run, "gradient");
    double worst[6] = {0}, statistics[12], average[LEARNING];
    bool ema = strcmp(run, "average") == 0;
    snprintf(path, sizeof path, "%s/start.keras", folder);
    struct engine_options o = ENGINE_DEFAULTS;
    o.device = device;
    o.threads = 1;
    o.batch = BATCH;
    o.mode = ENGINE_TRAIN;
    o.ema = ema;
    if (net_open(&n, path, &err) || net_infer_shapes(&n, 0, 0, &err) || engine_open(&e, &n, &o, &err)) {
        CHECK_SAY(false, "%s: %s", run, err.text);
        exit(tap_done());
    }
    double row[ROW];
    doubles(row, weights, ROW);
    gather(row, average);
    doubles(statistics, weights + VARIANCE - 6, 12);
    for (int k = 0; k < STEPS; k++) {
        static const float class_weight[CLASSES] = {1, 2, 0.5f, 1.5f, 3};
        float x[BATCH * 16 * 16 * 3], targets[BATCH * CLASSES], row_weights[BATCH];
        const float *values[1] = {x};
        double smoothing = strcmp(run, "smooth") == 0 ? 0.1 : 0, learning[LEARNING];
        for (size_t i = 0; i < sizeof x / sizeof *x; i++)
            x[i] = (float)pictures[(size_t)k * (sizeof x / sizeof *x) + i] / 255.0f;
        for (int i = 0; i < BATCH; i++) {
            int label = labels[k * BATCH + i];
            row_weights[i] = strcmp(run, "weighted") == 0 ? class_weight[label] : 1;
            for (int c = 0; c < CLASSES; c++)
                targets[i * CLASSES + c] = (float)(smoothing / CLASSES + (c == label ? 1 - smoothing : 0));
        }
        struct engine_batch in = {.n = BATCH, .values = values};
        struct engine_target target = {targets, row_weights};
        struct engine_step step = ENGINE_STEP_DEFAULTS;
        struct engine_result result;
        const float *told = table + 4 * k; /* rate, loss, l2, norm */
        step.rate = told[0];
        step.momentum = 0.9;
        step.clip_norm = strcmp(run, "clip") == 0 ? 1 : 0;
        step.ema_decay = 0.99;
        step.step = (uint64_t)k;
        if (engine_gradients(e, &in, &target, &step, &result, &err)) {
            CHECK_SAY(false, "%s: %s", run, err.text);
            exit(tap_done());
        }
        doubles(learning, gradient + (size_t)k * LEARNING, LEARNING);
        worst[0] = fmax(worst[0], off(e, ENGINE_GRADIENTS, learning, LEARNING));
        worst[1] = fmax(worst[1], fmax(fabs(result.loss - told[1]) / told[1],
                                       fmax(fabs(result.l2_loss - told[2]) / told[2],
                                            fabs(result.gradient_norm - told[3]) / told[3])));
        if (engine_apply(e, &step, &result, &err)) exit(tap_done());
        const float *before = weights + (size_t)k * ROW, *after = before + ROW;
        doubles(row, after, ROW);
        gather(row, learning);
        worst[2] = fmax(worst[2], off(e, ENGINE_WEIGHTS, learning, LEARNING));
        for (int i = 0; i < LEARNING; i++)
            average[i] = 0.99 * average[i] + (1 - 0.99) * learning[i];
        if (ema) worst[3] = fmax(worst[3], off(e, ENGINE_EMA, average, LEARNING));
        doubles(learning, velocity + (size_t)(k + 1) * LEARNING, LEARNING);
        worst[4] = fmax(worst[4], off(e, ENGINE_OPTIMIZER_1, learning, LEARNING));
        for (int i = 0; i < 6; i++) { /* what Keras' batch variance was, and with 512 values in 511 */
            double batch = ((double)after[VARIANCE + i] - 0.9 * before[VARIANCE + i]) / (1 - 0.9);
            statistics[i] = after[VARIANCE - 6 + i];
            statistics[6 + i] = 0.9 * statistics[6 + i] + (1 - 0.9) * batch * 512 / 511;
        }
        worst[5] = fmax(worst[5], off(e, ENGINE_STATISTICS, statistics, 12));
    }
    /* Gradients, their norm and velocities carry the rounding of two float32 passes; weights are near 1, and
     * a step is a hundredth of that. */
    CHECK_SAY(worst[0] < 5e-5 && worst[4] < 5e-5, "%s on %s: gradients within %.2g, velocities %.2g", run,
              device, worst[0], worst[4]);
    CHECK_SAY(worst[1] < 1e-5, "%s on %s: loss, its L2 part and the norm within %.2g", run, device, worst[1]);
    CHECK_SAY(worst[2] < 1e-6, "%s on %s: weights within %.2g", run, device, worst[2]);
    CHECK_SAY(worst[5] < 2e-6, "%s on %s: moving statistics within %.2g", run, device, worst[5]);
    if (ema) CHECK_SAY(worst[3] < 1e-6, "%s on %s: the average within %.2g", run, device, worst[3]);
    engine_close(e);
    net_release(&n);
    free(pictures);
    free(labels);
    free(weights);
    free(velocity);
    free(gradient);
}

int main(void)
{
    const char *top = getenv("TOP");
    char path[4200], line[512], run[32], *end;
    float table[4 * STEPS];
    snprintf(folder, sizeof folder, "%s/tests/fixtures/keras3/finetune", top ? top : ".");
    snprintf(path, sizeof path, "%s/steps.tsv", folder);
    FILE *f = fopen(path, "r");
    CHECK_SAY(f && fgets(line, sizeof line, f), "steps.tsv opens");
    while (f && fgets(line, sizeof line, f)) {
        int step = -1;
        char *tab = strchr(line, '\t');
        if (!tab || sscanf(tab + 1, "%d", &step) != 1 || step < 1 || step > STEPS) break;
        snprintf(run, sizeof run, "%.*s", (int)(tab - line), line);
        char *at = strchr(tab + 1, '\t');
        for (int i = 0; i < 4 && at; i++, at = end)
            table[4 * (step - 1) + i] = strtof(at + 1, &end);
        if (step < STEPS) continue;
        test_run(run, "ref", table);
        test_run(run, "cpu", table);
    }
    if (f) fclose(f);
    return tap_done();
}
