/* needs: base net tensor */
/*
 * Whole networks on the CUDA backend against the plain loops: a small net with every construction that
 * InceptionV3 has (branches, pools, concatenation, batch norm, the head of this product), for inference and
 * ten training steps of each phase; both optimisers; a run taken up again; steps as CUDA graphs against the
 * same calls one by one; two GPUs against one; memory that does not suffice.
 */
#include "cuda_common.h"
#include "net/net.h"
#include "tensor/engine.h"

/* lib/net/build.h as far as it is used here: the rest of it needs cJSON's headers. */
struct builder {
    struct net *net;
    struct error *err;
    bool failed;
    int convs, averages, maxima, concats;
};
int build_input(struct builder *b, int side);
int build_layer(struct builder *b, enum layer_kind kind, const char *name, const int *inputs, int n_inputs);
struct net_layer *build_last(struct builder *b);
int build_finish(struct builder *b, const char *name);

#define SIDE 21
#define CLASSES 5
#define BATCH 8
#define STEPS 10

static struct error err;

static int conv_norm(struct builder *b, const char *name, int from, int filters, int kh, int kw, int stride,
                     bool same)
{
    char text[64];
    int at = build_layer(b, LAYER_CONV2D, name, &from, 1);
    struct net_layer *l = build_last(b);
    l->filters = filters;
    l->kernel_h = kh;
    l->kernel_w = kw;
    l->stride_h = l->stride_w = stride;
    l->dilation_h = l->dilation_w = 1;
    l->same = same;
    snprintf(text, sizeof text, "%s_bn", name);
    at = build_layer(b, LAYER_BATCH_NORM, text, &at, 1);
    l = build_last(b);
    l->center = true;
    l->momentum = 0.9;
    l->epsilon = 1e-3;
    return at;
}

static int relu(struct builder *b, const char *name, int from)
{
    char text[64];
    snprintf(text, sizeof text, "%s_relu", name);
    int at = build_layer(b, LAYER_ACTIVATION, text, &from, 1);
    build_last(b)->activation = ACTIVATION_RELU;
    return at;
}

static int conv(struct builder *b, const char *name, int from, int filters, int kh, int kw, int stride,
                bool same)
{
    return relu(b, name, conv_norm(b, name, from, filters, kh, kw, stride, same));
}

static int pool(struct builder *b, enum layer_kind kind, const char *name, int from, int size, int stride,
                bool same)
{
    int at = build_layer(b, kind, name, &from, 1);
    struct net_layer *l = build_last(b);
    l->kernel_h = l->kernel_w = size;
    l->stride_h = l->stride_w = stride;
    l->same = same;
    return at;
}

/* With a head and random weights. */
static bool finish_net(struct builder *b, struct net *net)
{
    if (build_finish(b, "small")) return false;
    static char *classes[CLASSES] = {"a", "b", "c", "d", "e"};
    struct random r = random_start(11, 12, 13);
    for (int i = 0; i < net->n_layers; i++)
        for (int k = 0; k < net->layers[i].n_weights; k++) {
            struct net_weight *w = &net->layers[i].weights[k];
            const struct net_shape *s = &w->shape;
            double fan = s->rank == 4 ? s->dim[0] * s->dim[1] * s->dim[2] : 1;
            for (size_t j = 0; j < w->n_values; j++)
                switch (w->role) {
                case WEIGHT_KERNEL: w->values[j] = (float)(sqrt(2 / fan) * random_normal(&r)); break;
                case WEIGHT_MOVING_VARIANCE: w->values[j] = (float)random_range(&r, 0.5, 1.5); break;
                default: w->values[j] = (float)(0.1 * random_normal(&r));
                }
        }
    return !net_replace_head(net, CLASSES, classes, 5, &err);
}

/* About what the blocks of InceptionV3 do, at a five-hundredth of its cost. */
static bool make_net(struct net *net, bool sums)
{
    struct builder b = {net, &err, false, 0, 0, 0, 0};
    *net = NET_EMPTY;
    int at = build_input(&b, SIDE), x[4];
    at = conv(&b, "stem", at, 8, 3, 3, 2, false);
    at = pool(&b, LAYER_MAX_POOL, "stem_pool", at, 3, 1, true);
    x[0] = conv(&b, "a1", at, 8, 1, 1, 1, true);
    x[1] = conv(&b, "a3", conv(&b, "a3_reduce", at, 4, 1, 1, 1, true), 8, 3, 3, 1, true);
    x[2] = conv(&b, "a_pool", pool(&b, LAYER_AVERAGE_POOL, "a_average", at, 3, 1, true), 4, 1, 1, 1, true);
    at = build_layer(&b, LAYER_CONCATENATE, "mixed_a", x, 3);
    if (sums) { /* what a residual net has: of what was there, and of two convolutions */
        x[0] = at;
        x[1] = conv_norm(&b, "r2", conv(&b, "r1", at, 8, 1, 1, 1, true), 20, 3, 3, 1, true);
        at = relu(&b, "r_add", build_layer(&b, LAYER_ADD, "r_add", x, 2));
        x[0] = conv_norm(&b, "r3", at, 20, 1, 1, 1, true);
        x[1] = conv_norm(&b, "r4", at, 20, 3, 3, 1, true);
        at = build_layer(&b, LAYER_ADD, "r_sum", x, 2);
    }
    x[0] = conv(&b, "b3", at, 8, 3, 3, 2, false);
    x[1] = conv(&b, "b7b", conv(&b, "b7a", at, 8, 1, 7, 1, true), 8, 7, 1, 1, true);
    x[1] = conv(&b, "b7c", x[1], 8, 3, 3, 2, false);
    x[2] = pool(&b, LAYER_MAX_POOL, "b_max", at, 3, 2, false);
    at = build_layer(&b, LAYER_CONCATENATE, "mixed_b", x, 3);
    /* with so many channels that their batch norms become one (plan_join.c), and in two steps */
    int pooled = pool(&b, LAYER_AVERAGE_POOL, "c_average", at, 3, 1, true);
    x[0] = conv(&b, "c13", at, 64, 1, 3, 1, true);
    x[1] = conv(&b, "c31", at, 64, 3, 1, 1, true);
    x[1] = build_layer(&b, LAYER_CONCATENATE, "nested_c", x, 2);
    x[0] = conv(&b, "c1", at, 64, 1, 1, 1, true);
    x[2] = conv(&b, "c_pool", pooled, 64, 1, 1, 1, true);
    x[3] = pooled;
    at = build_layer(&b, LAYER_CONCATENATE, "mixed_c", x, 4);
    return finish_net(&b, net);
}

struct settings {
    const char *device, *unlock; /* unlock NULL: the head */
    enum backend_precision precision;
    enum engine_optimizer optimizer;
    int batch;
    double rate;
    bool ema;
    int stop_after; /* close the engine there, open another, and go on from the saved state */
    bool keeps_input;
};

struct outcome {
    double loss[STEPS], norm[STEPS];
    float *weights, *statistics, *ema, probabilities[BATCH * CLASSES];
    size_t n_weights, n_statistics, n_ema;
    char device[500];
    long launches; /* of graphs */
    bool ok;
};

static bool sync_norms; /* engine_options.sync_statistics of what is opened next */
static uint8_t pixels[STEPS][BATCH * SIDE * SIDE * 3];
static float targets[STEPS][BATCH * CLASSES], row_weights[BATCH];

static void make_batches(void)
{
    struct random r = random_start(1, 2, 3);
    for (int s = 0; s < STEPS; s++)
        for (int i = 0; i < BATCH; i++) {
            int class = (int)random_below(&r, CLASSES);
            for (int p = 0; p < SIDE * SIDE * 3; p++)
                pixels[s][i * SIDE * SIDE * 3 + p] = (uint8_t)random_below(&r, class == p % 3 ? 256 : 128);
            for (int c = 0; c < CLASSES; c++)
                targets[s][i * CLASSES + c] = c == class ? 0.9f : 0.025f;
        }
    for (int i = 0; i < BATCH; i++)
        row_weights[i] = 0.5f + 0.2f * (float)i;
}

static bool open_engine(struct engine **e, struct net *net, const struct settings *s)
{
    struct engine_options o = ENGINE_DEFAULTS;
    struct net copy = NET_EMPTY;
    bool unlocked =
        !net_copy(&copy, net, &err) && !net_unlock_from(&copy, s->unlock ? s->unlock : "dense_1", &err);
    o.device = s->device;
    o.threads = 2;
    o.batch = s->batch;
    o.mode = ENGINE_TRAIN;
    o.optimizer = s->optimizer;
    o.precision = s->precision;
    o.ema = s->ema;
    o.keeps_input = s->keeps_input;
    o.sync_statistics = sync_norms;
    bool ok = unlocked && !engine_open(e, &copy, &o, &err);
    net_release(&copy);
    return ok;
}

static float *state_of(struct engine *e, enum engine_state which, size_t *n)
{
    *n = engine_state_size(e, which);
    float *out = malloc((*n + 1) * sizeof *out);
    if (engine_state_get(e, which, out, &err)) {
        free(out);
        return NULL;
    }
    return out;
}

/* Another engine with the first one's state, as a checkpoint would have it. */
static bool move_to_new_engine(struct engine **e, struct net *net, const struct settings *s)
{
    struct engine *next = NULL;
    bool ok = open_engine(&next, net, s);
    for (int k = 0; ok && k < ENGINE_GRADIENTS; k++) {
        size_t n;
        float *values = state_of(*e, (enum engine_state)k, &n);
        ok = values && !engine_state_set(next, (enum engine_state)k, values, &err);
        free(values);
    }
    engine_close(*e);
    *e = next;
    return ok;
}

static void train(struct net *net, const struct settings *s, struct outcome *out)
{
    struct engine *e = NULL;
    memset(out, 0, sizeof *out);
    out->ok = open_engine(&e, net, s);
    for (int i = 0; out->ok && i < STEPS; i++) {
        struct engine_batch in = {.n = s->batch, .pixels = pixels[i]};
        struct engine_target target = {targets[i], row_weights};
        struct engine_step step = ENGINE_STEP_DEFAULTS;
        struct engine_result result;
        if (i && i == s->stop_after && !(out->ok = move_to_new_engine(&e, net, s))) break;
        step.rate = s->rate;
        step.seed = 99;
        step.step = (uint64_t)i;
        step.clip_norm = i % 4 == 1 ? 1.0 : i % 4 == 3 ? 1e3 : 0; /* scales, or finds nothing to do */
        step.nesterov = i > 6;
        out->ok = !engine_train_step(e, &in, &target, &step, &result, &err);
        out->loss[i] = result.loss;
        out->norm[i] = result.gradient_norm;
    }
    if (out->ok) {
        struct engine_batch in = {.n = s->batch > 3 ? 3 : 1,
                                  .pixels = pixels[0]}; /* not a whole batch: rows of nothing behind it */
        out->weights = state_of(e, ENGINE_WEIGHTS, &out->n_weights);
        out->statistics = state_of(e, ENGINE_STATISTICS, &out->n_statistics);
        out->ema = state_of(e, ENGINE_EMA, &out->n_ema);
        out->ok = out->weights && out->statistics && !engine_forward(e, &in, &err) &&
                  !engine_probabilities(e, out->probabilities, &err);
    }
    snprintf(out->device, sizeof out->device, "%s", e ? engine_description(e) : "");
    engine_close(e);
}

static void outcome_free(struct outcome *o)
{
    free(o->weights);
    free(o->statistics);
    free(o->ema);
}

/* Relative: losses by themselves; weights, statistics and probabilities to their largest value. */
static void compare(const char *what, const struct outcome *a, const struct outcome *b, double tolerance)
{
    double worst_loss = 0;
    if (!a->ok || !b->ok) {
        CHECK_SAY(false, "%s: ran: %s", what, err.text);
        return;
    }
    for (int i = 0; i < STEPS; i++) {
        double d = fabs(a->loss[i] - b->loss[i]) / fabs(b->loss[i]);
        worst_loss = d > worst_loss || d != d ? d : worst_loss;
    }
    double w = cuda_difference(a->weights, b->weights, b->n_weights);
    double s = b->n_statistics ? cuda_difference(a->statistics, b->statistics, b->n_statistics) : 0;
    double p = cuda_difference(a->probabilities, b->probabilities, 3 * CLASSES);
    double m = b->n_ema ? cuda_difference(a->ema, b->ema, b->n_ema) : 0;
    CHECK_SAY(worst_loss <= tolerance && m <= tolerance && w <= tolerance && s <= tolerance && p <= tolerance,
              "%s: losses off by %.2g, weights %.2g, statistics %.2g, probabilities %.2g", what, worst_loss,
              w, s, p);
    CHECK_SAY(b->loss[STEPS - 1] == b->loss[STEPS - 1] && b->loss[0] != b->loss[1],
              "%s: the losses move (%.4f to %.4f)", what, b->loss[0], b->loss[STEPS - 1]);
}

static void test_training(struct net *net)
{
    /* Small rates where much is unlocked: a sum that rounding carries over a ReLU's corner changes a step as
     * a whole, by so much. */
    const struct {
        const char *what;
        struct settings s;
    } runs[] = {
        {"ten steps, head, SGD", {"ref", NULL, PRECISION_F32, ENGINE_SGD, BATCH, 0.01, false, 0, false}},
        {"ten steps, head, Adam, moving average",
         {"ref", NULL, PRECISION_F32, ENGINE_ADAM, BATCH, 0.002, true, 0, false}},
        {"ten steps, from b7b on, SGD",
         {"ref", "b7b", PRECISION_F32, ENGINE_SGD, BATCH, 0.02, true, 0, false}},
        {"ten steps, from b7b on, Adam",
         {"ref", "b7b", PRECISION_F32, ENGINE_ADAM, BATCH, 0.0004, false, 0, false}},
        {"ten steps, everything, SGD",
         {"ref", "stem", PRECISION_F32, ENGINE_SGD, BATCH, 0.002, false, 0, false}},
    };
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        struct settings s = runs[i].s;
        struct outcome ref, other, cuda;
        char what[200];
        train(net, &s, &ref);
        s.device = "cuda";
        train(net, &s, &cuda);
        compare(runs[i].what, &cuda, &ref, 1e-3);
        s.device = "cpu";
        train(net, &s, &other);
        snprintf(what, sizeof what, "%s, against oneDNN", runs[i].what);
        if (!other.ok && err.code == EX_NODEVICE)
            tap_skip(what, err.text);
        else
            compare(what, &cuda, &other, 1e-3);
        outcome_free(&other);
        if (i == 0) {
            s.device = "cuda";
            s.precision = PRECISION_TF32;
            train(net, &s, &other);
            compare("head, TF32 against float32", &other, &ref, 2e-3);
            outcome_free(&other);
        }
        if (i % 2 == 0 && (fake.there || cuda_has_bf16(runs[i].what))) {
            s.device = "cuda";
            s.precision = PRECISION_BF16;
            train(net, &s, &other);
            snprintf(what, sizeof what, "%s, bf16 against float32", runs[i].what);
            /* eight bits are 0.4 %: through a dozen layers and ten steps */
            compare(what, &other, &ref, 0.05);
            outcome_free(&other);
        }
        if (i % 2 == 0) {
            s.device = "cuda";
            s.precision = PRECISION_F16;
            train(net, &s, &other);
            snprintf(what, sizeof what, "%s, fp16 against float32", runs[i].what);
            compare(what, &other, &ref, 0.05 / 8); /* three bits more */
            outcome_free(&other);
        }
        outcome_free(&ref);
        outcome_free(&cuda);
        cuda_check_clean(runs[i].what);
    }
}

/* The gradients and statistics of one step whose rows weigh `weight`. */
static bool gradients(struct net *net, const char *device, enum backend_precision precision, float weight,
                      float *state[2], size_t n[2], double *norm)
{
    struct settings s = {device, "stem", precision, ENGINE_SGD, BATCH, 0.01, false, 0, false};
    float weights[BATCH];
    struct engine_batch in = {.n = BATCH, .pixels = pixels[0]};
    struct engine_target target = {targets[0], weights};
    struct engine_step step = ENGINE_STEP_DEFAULTS;
    struct engine_result result = {0};
    struct engine *e = NULL;
    for (int i = 0; i < BATCH; i++)
        weights[i] = weight;
    bool ok =
        open_engine(&e, net, &s) && !engine_gradients(e, &in, &target, &step, &result, &err) && result.finite;
    state[0] = ok ? state_of(e, ENGINE_GRADIENTS, &n[0]) : NULL;
    state[1] = ok ? state_of(e, ENGINE_STATISTICS, &n[1]) : NULL;
    *norm = result.gradient_norm;
    engine_close(e);
    return ok && state[0] && state[1];
}

/* Gradients that fp16 has no numbers for, too small and too large, come out all the same; and a step that is
 * made again moves the statistics once. */
static void test_loss_scale(struct net *net)
{
    static const float weights[] = {1, 3e-6f, 2e5f};
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) {
        float *ref[2] = {0}, *cuda[2] = {0};
        size_t n[2];
        double norm[2];
        bool ok = gradients(net, "ref", PRECISION_F32, weights[i], ref, n, &norm[0]) &&
                  gradients(net, "cuda", PRECISION_F16, weights[i], cuda, n, &norm[1]);
        size_t early = 400; /* layers that have no L2, which would hide them */
        double g = ok && n[0] > early ? cuda_difference_rms(cuda[0], ref[0], early) : 1e30,
               s = ok ? cuda_difference(cuda[1], ref[1], n[1]) : 1e30;
        CHECK_SAY(
            /* 2^-11 at a time, through five batch norms and back; bfloat16 is off by eight times as much */
            g < 0.06 && s < 2e-3,
            "fp16, gradients of rows that weigh %g (norms %.3g and %.3g) are off by %.2g, statistics by %.2g",
            (double)weights[i], norm[0], norm[1], g, s);
        for (int k = 0; k < 2; k++) {
            free(ref[k]);
            free(cuda[k]);
        }
    }
    cuda_check_clean("the scale of the loss");
}

/* Probabilities by weights that were set before anything ran (early), or after a run by others. */
static bool run_with_weights(struct net *net, bool early, float *probabilities)
{
    struct settings s = {"cuda", "stem", PRECISION_BF16, ENGINE_SGD, BATCH, 0.01, false, 0, false};
    struct engine_batch in = {.n = BATCH, .pixels = pixels[0]};
    struct engine *e = NULL;
    size_t n = 0;
    float *w = NULL;
    bool ok = open_engine(&e, net, &s) && (early || !engine_forward(e, &in, &err)) &&
              (w = state_of(e, ENGINE_WEIGHTS, &n));
    for (size_t i = 0; ok && i < n; i++)
        w[i] *= i % 3 ? 1.1f : 0.8f;
    ok = ok && !engine_state_set(e, ENGINE_WEIGHTS, w, &err) && !engine_forward(e, &in, &err) &&
         !engine_probabilities(e, probabilities, &err);
    free(w);
    engine_close(e);
    return ok;
}

static void test_set_weights(struct net *net)
{
    float early[BATCH * CLASSES], late[BATCH * CLASSES];
    if (!cuda_has_bf16("weights that are set")) return;
    bool ok = run_with_weights(net, true, early) && run_with_weights(net, false, late);
    CHECK_SAY(ok && !memcmp(early, late, sizeof early), "weights that are set are those that count%s%s",
              ok ? "" : ": ", ok ? "" : err.text);
}

/* Stopped after four steps and taken up by another engine: the same bits as without. */
static void test_resume(struct net *net)
{
    static const char *const names[] = {"SGD", "Adam", "SGD in bf16"};
    for (int k = 0; k < (cuda_has_bf16("resume in bf16") ? 3 : 2); k++) {
        struct settings s = {"cuda",
                             "b7b",
                             k == 2 ? PRECISION_BF16 : PRECISION_TF32,
                             k == 1 ? ENGINE_ADAM : ENGINE_SGD,
                             BATCH,
                             0.01,
                             true,
                             0,
                             false};
        struct outcome whole, again;
        train(net, &s, &whole);
        s.stop_after = 4;
        train(net, &s, &again);
        CHECK_SAY(whole.ok && again.ok, "a run and a run taken up again: %s", err.text);
        if (whole.ok && again.ok)
            CHECK_SAY(!memcmp(whole.weights, again.weights, whole.n_weights * sizeof(float)) &&
                          !memcmp(whole.statistics, again.statistics, whole.n_statistics * sizeof(float)) &&
                          !memcmp(whole.loss + 4, again.loss + 4, sizeof(double) * (STEPS - 4)),
                      "%s: taken up again after four steps, the same bits", names[k]);
        outcome_free(&whole);
        outcome_free(&again);
        cuda_check_clean("resume");
    }
}

/* Two GPUs with half the batch each. Where no batch norm learns, the very gradient of one GPU with all of it;
 * where one does, each GPU has its own statistics (as everywhere without synchronised batch norm), so the
 * runs only stay near each other. */
static void test_two_gpus(struct net *net)
{
    const char *const from[] = {NULL, "b7b"};
    for (int k = 0; k < 2; k++) {
        struct settings s = {"cuda", from[k], PRECISION_F32, ENGINE_SGD, BATCH, 0.02, false, 0, false};
        struct outcome single, pair, again, pieces;
        train(net, &s, &single);
        setenv("WINNOW_CUDA_DEVICES", "0,1", 1);
        train(net, &s, &pair);
        train(net, &s, &again);
        setenv("WINNOW_CUDA_BUCKET_KIB", "1", 1); /* summed in many pieces, while backward goes on */
        train(net, &s, &pieces);
        unsetenv("WINNOW_CUDA_BUCKET_KIB");
        unsetenv("WINNOW_CUDA_DEVICES");
        if (!pair.ok && !fake.there) {
            tap_skip("two GPUs", err.text);
        } else if (k == 0) {
            compare("two GPUs with half the batch each against one", &pair, &single, 1e-5);
        } else {
            CHECK_SAY(pair.ok && fabs(pair.loss[0] - single.loss[0]) < 0.3 * single.loss[0],
                      "two GPUs, batch norm learning: losses %.4f and %.4f", pair.loss[0], single.loss[0]);
            CHECK_SAY(pair.ok && again.ok &&
                          !memcmp(pair.weights, again.weights, pair.n_weights * sizeof(float)),
                      "two GPUs twice: the same bits");
        }
        if (pair.ok || fake.there)
            CHECK_SAY(pair.ok && pieces.ok &&
                          !memcmp(pair.weights, pieces.weights, pair.n_weights * sizeof(float)),
                      "two GPUs, gradients summed in pieces: the same bits%s%s", pieces.ok ? "" : ": ",
                      pieces.ok ? "" : err.text);
        outcome_free(&pieces);
        outcome_free(&single);
        outcome_free(&pair);
        outcome_free(&again);
        cuda_check_clean("two GPUs");
    }
}

/* Batch norms that learn, with the statistics of both GPUs: what one GPU makes of the whole batch, forward
 * and backward, within rounding. Without that the runs are farther apart, or the test could not fail. */
static void test_synchronised(struct net *net)
{
    const struct {
        const char *what;
        struct settings s;
        double tolerance;
    } runs[] = {
        {"synchronised norms, from b7b on",
         {"cuda", "b7b", PRECISION_F32, ENGINE_SGD, BATCH, 0.02, true, 0, false},
         1e-4},
        {"synchronised norms, everything, Adam",
         {"cuda", "stem", PRECISION_F32, ENGINE_ADAM, BATCH, 0.0004, false, 0, false},
         1e-3},
        {"synchronised norms, everything, bf16",
         {"cuda", "stem", PRECISION_BF16, ENGINE_SGD, BATCH, 0.002, false, 0, false},
         0.03},
    };
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        struct outcome single, pair, apart, plain;
        if (runs[i].s.precision == PRECISION_BF16 && !cuda_has_bf16(runs[i].what)) continue;
        train(net, &runs[i].s, &single);
        setenv("WINNOW_CUDA_DEVICES", "0,1", 1);
        train(net, &runs[i].s, &apart);
        sync_norms = true;
        train(net, &runs[i].s, &pair);
        setenv("FAKECUDA_SUPPORT", "no-fused-norm", 1);
        train(net, &runs[i].s, &plain);
        unsetenv("FAKECUDA_SUPPORT");
        sync_norms = false;
        unsetenv("WINNOW_CUDA_DEVICES");
        if (!pair.ok && !fake.there) {
            tap_skip(runs[i].what, err.text);
        } else {
            compare(runs[i].what, &pair, &single, runs[i].tolerance);
            compare("with the plain calls", &plain, &single, runs[i].tolerance);
        }
        if (pair.ok && apart.ok && single.ok)
            CHECK_SAY(fabs(apart.loss[1] - single.loss[1]) > 20 * fabs(pair.loss[1] - single.loss[1]),
                      "%s: the second loss %.7f, of one GPU %.7f, of statistics for each GPU %.7f",
                      runs[i].what, pair.loss[1], single.loss[1], apart.loss[1]);
        outcome_free(&plain);
        outcome_free(&single);
        outcome_free(&pair);
        outcome_free(&apart);
        cuda_check_clean(runs[i].what);
    }
}

/* In bfloat16 each gradient of a convolution is converted by itself on several GPUs, gathered on one. */
static void test_two_gpus_bf16(struct net *net)
{
    struct settings s = {"cuda", "b7b", PRECISION_BF16, ENGINE_SGD, BATCH, 0.02, false, 0, false};
    struct outcome single, pair;
    if (!cuda_has_bf16("two GPUs in bf16")) return;
    train(net, &s, &single);
    setenv("WINNOW_CUDA_DEVICES", "0,1", 1);
    train(net, &s, &pair);
    unsetenv("WINNOW_CUDA_DEVICES");
    if (!pair.ok && !fake.there)
        tap_skip("two GPUs in bf16", err.text);
    else
        CHECK_SAY(single.ok && pair.ok && fabs(pair.loss[0] - single.loss[0]) < 0.3 * single.loss[0] &&
                      cuda_difference_rms(pair.weights, single.weights, single.n_weights) < 0.1,
                  "two GPUs in bf16, losses %.4f and %.4f, weights %.3f apart", pair.loss[STEPS - 1],
                  single.loss[STEPS - 1],
                  single.ok && pair.ok ? cuda_difference_rms(pair.weights, single.weights, single.n_weights)
                                       : 0);
    outcome_free(&single);
    outcome_free(&pair);
    cuda_check_clean("two GPUs in bf16");
}

/* Ten steps, two of them under way at a time, with everything that may happen between them. */
static void train_ahead(struct net *net, const struct settings *s, struct outcome *out)
{
    struct engine *e = NULL;
    struct engine_result result;
    memset(out, 0, sizeof *out);
    out->ok = open_engine(&e, net, s);
    if (fake.there) fake.fail_call(0);
    for (int i = 0; out->ok && i <= STEPS; i++) {
        int n = s->batch;
        if (i == 5) {
            /* before the recording: runs that make copies of weights, and weights that are set */
            struct engine_batch in = {.n = 3, .pixels = pixels[1]};
            size_t n_weights = 0;
            out->ok = !engine_train_end(e, &result, &err) && !engine_forward(e, &in, &err);
            out->loss[i - 1] = result.loss;
            float *w = out->ok ? state_of(e, ENGINE_WEIGHTS, &n_weights) : NULL;
            for (size_t k = 0; w && k < n_weights; k++)
                w[k] *= 0.99f;
            out->ok = w && !engine_state_set(e, ENGINE_WEIGHTS, w, &err) && !engine_forward(e, &in, &err);
            free(w);
        }
        if (!engine_has_batch_norm(e) && i == 8) n = s->batch - 3;
        struct engine_batch in = {.n = n, .pixels = pixels[i % STEPS]};
        struct engine_target target = {targets[i % STEPS], row_weights};
        struct engine_step step = ENGINE_STEP_DEFAULTS;
        step.rate = s->rate / (1 + i);
        step.momentum = i < 4 ? 0.9 : 0.8; /* the recorded step is of no use then */
        step.nesterov = true;
        step.clip_norm = 0.7;
        step.seed = 99;
        step.step = (uint64_t)i;
        if (out->ok && i < STEPS) out->ok = !engine_train_begin(e, &in, &target, &step, &err);
        if (!out->ok || i == 0 || i == 5) continue;
        out->ok = !engine_train_end(e, &result, &err);
        out->loss[i - 1] = result.loss;
        out->norm[i - 1] = result.gradient_norm;
    }
    out->launches = fake.there ? fake.count("cudaGraphLaunch", false) : -1;
    if (out->ok) {
        out->weights = state_of(e, ENGINE_WEIGHTS, &out->n_weights);
        out->statistics = state_of(e, ENGINE_STATISTICS, &out->n_statistics);
        out->ema = state_of(e, ENGINE_EMA, &out->n_ema);
        out->ok = out->weights && out->statistics && out->ema;
    }
    snprintf(out->device, sizeof out->device, "%s", e ? engine_description(e) : "");
    engine_close(e);
}

static bool same_outcome(const struct outcome *a, const struct outcome *b)
{
    return a->ok && b->ok && !memcmp(a->loss, b->loss, sizeof a->loss) &&
           !memcmp(a->norm, b->norm, sizeof a->norm) &&
           !memcmp(a->weights, b->weights, a->n_weights * sizeof(float)) &&
           !memcmp(a->statistics, b->statistics, a->n_statistics * sizeof(float)) &&
           !memcmp(a->ema, b->ema, a->n_ema * sizeof(float));
}

/* What a recorded step is made of: queue an upload, or wait, which a recording does not allow. */
struct bad_body {
    const struct backend_table *t;
    struct backend *b;
    struct backend_buffer *buffer;
    bool waits;
    int runs;
};

static int bad_body(void *context, struct error *why)
{
    struct bad_body *x = context;
    struct tensor_shape shape = {1, 1, 1, 4, 4, 0, 0, 0};
    const float values[4] = {1, 2, 3, (float)++x->runs};
    struct slot at = {x->buffer, 0};
    return x->waits ? x->t->sync(x->b, why) : x->t->tensor_upload(x->b, at, &shape, values, 1, why);
}

static void test_refused_recordings(void)
{
    for (int waits = 0; waits < 2; waits++) {
        struct backend_options o = {.deterministic = true};
        struct bad_body x = {.waits = waits};
        const double key[] = {1};
        if (!CHECK_SAY(!backend_open("cuda", &o, &x.t, &x.b, &err) && !x.t->alloc(x.b, 256, &x.buffer, &err),
                       "opens: %s", err.text))
            return;
        bool ok = true;
        for (int i = 0; i < 4 && ok; i++)
            ok = !x.t->run_step(x.b, key, 1, bad_body, &x, &err);
        CHECK_SAY(ok && x.runs == 5, "a step that %s is recorded in vain, and run: %d runs of 4 steps: %s",
                  waits ? "waits" : "sends something", x.runs, ok ? "" : err.text);
        CHECK_SAY(strstr(x.t->describe(x.b), ", no CUDA graph ("), "the description says so: %s",
                  x.t->describe(x.b));
        x.t->free(x.b, x.buffer);
        x.t->close(x.b);
        cuda_check_clean("a refused recording");
    }
}

/* A step as one CUDA graph has the bits of the same calls made one by one. */
static void test_graphs(struct net *net)
{
    const struct {
        const char *what;
        struct settings s;
    } runs[] = {
        {"head, SGD", {"cuda", NULL, PRECISION_TF32, ENGINE_SGD, BATCH, 0.05, true, 0, false}},
        {"from b7b on, Adam", {"cuda", "b7b", PRECISION_F32, ENGINE_ADAM, BATCH, 0.002, true, 0, false}},
        {"everything, SGD in bf16",
         {"cuda", "stem", PRECISION_BF16, ENGINE_SGD, BATCH, 0.02, true, 0, false}},
    };
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        struct outcome graph, calls, without;
        if (runs[i].s.precision == PRECISION_BF16 && !cuda_has_bf16(runs[i].what)) continue;
        train_ahead(net, &runs[i].s, &graph);
        setenv("WINNOW_CUDA_GRAPH", "0", 1);
        train_ahead(net, &runs[i].s, &calls);
        unsetenv("WINNOW_CUDA_GRAPH");
        CHECK_SAY(same_outcome(&graph, &calls), "%s: one graph a step and call by call: the same bits%s%s",
                  runs[i].what, graph.ok && calls.ok ? "" : ": ", graph.ok && calls.ok ? "" : err.text);
        CHECK_SAY(graph.ok && graph.loss[0] != graph.loss[9] && !strstr(graph.device, "no CUDA graph"),
                  "%s: the losses move (%.4f to %.4f): %s", runs[i].what, graph.loss[0], graph.loss[9],
                  graph.device);
        if (fake.there) {
            CHECK_SAY(graph.launches == 8 && calls.launches == 0,
                      "%s: of ten steps two are run and eight launched: %ld and %ld", runs[i].what,
                      graph.launches, calls.launches);
            setenv("FAKECUDA_SUPPORT", "no-graphs", 1);
            train_ahead(net, &runs[i].s, &without);
            unsetenv("FAKECUDA_SUPPORT");
            CHECK_SAY(same_outcome(&without, &calls) && without.launches == 0 &&
                          strstr(without.device, "no CUDA graph (cuda: a step: cudaStreamBeginCapture: "),
                      "%s: where nothing can be recorded, the same bits: %s", runs[i].what, without.device);
            outcome_free(&without);
        }
        outcome_free(&graph);
        outcome_free(&calls);
        cuda_check_clean(runs[i].what);
    }
    test_refused_recordings();
}

/* Steps on pictures that stayed on the card are those on the same pictures sent again. */
static void test_kept_input(struct net *net)
{
    struct settings s = {"cuda", "b7b", PRECISION_TF32, ENGINE_SGD, BATCH, 0.02, false, 0, false};
    double loss[2][4] = {{0}};
    bool ok = true;
    for (int kept = 0; kept < 2 && ok; kept++) {
        struct engine *e = NULL;
        struct engine_result result;
        s.keeps_input = kept;
        ok = open_engine(&e, net, &s);
        for (int i = 0; i < 4 && ok; i++) {
            struct engine_batch in = {.n = BATCH, .pixels = kept && i ? NULL : pixels[0]};
            struct engine_target target = {targets[0], row_weights};
            struct engine_step step = ENGINE_STEP_DEFAULTS;
            step.rate = s.rate;
            step.step = (uint64_t)i;
            ok = !engine_train_step(e, &in, &target, &step, &result, &err);
            loss[kept][i] = result.loss;
        }
        struct engine_batch nothing = {.n = BATCH};
        if (!kept)
            CHECK_SAY(engine_forward(e, &nothing, &err) && err.code == EX_USAGE, "without it: %s", err.text);
        engine_close(e);
    }
    CHECK_SAY(ok && !memcmp(loss[0], loss[1], sizeof loss[0]) && loss[0][0] != loss[0][3],
              "pictures that stay on the card: the same losses (%.4f to %.4f)%s%s", loss[1][0], loss[1][3],
              ok ? "" : ": ", ok ? "" : err.text);
    cuda_check_clean("pictures that stay");
}

static int activate(struct builder *b, const char *name, int from, enum activation_kind kind)
{
    int at = build_layer(b, LAYER_ACTIVATION, name, &from, 1);
    build_last(b)->activation = kind;
    return at;
}

/* Squeeze and excite, as MobileNetV3 has it. */
static int excite(struct builder *b, const char *name, int from, int channels, enum activation_kind gate)
{
    char text[80];
    snprintf(text, sizeof text, "%s_mean", name);
    int at = build_layer(b, LAYER_GLOBAL_AVERAGE_POOL, text, &from, 1), x[2] = {from, 0};
    snprintf(text, sizeof text, "%s_reshape", name);
    at = build_layer(b, LAYER_RESHAPE, text, &at, 1);
    build_last(b)->target = (struct net_shape){3, {1, 1, channels}};
    snprintf(text, sizeof text, "%s_conv", name);
    at = build_layer(b, LAYER_CONV2D, text, &at, 1);
    struct net_layer *l = build_last(b);
    l->filters = channels;
    l->kernel_h = l->kernel_w = l->stride_h = l->stride_w = l->dilation_h = l->dilation_w = 1;
    l->use_bias = true;
    snprintf(text, sizeof text, "%s_gate", name);
    x[1] = activate(b, text, at, gate);
    return build_layer(b, LAYER_MULTIPLY, name, x, 2);
}

static bool make_gated_net(struct net *net)
{
    static const enum activation_kind kinds[] = {ACTIVATION_SILU, ACTIVATION_HARD_SWISH, ACTIVATION_TANH,
                                                 ACTIVATION_HARD_TANH, ACTIVATION_HARD_SIGMOID};
    struct builder b = {net, &err, false, 0, 0, 0, 0};
    char name[64], act[64];
    *net = NET_EMPTY;
    int at = conv(&b, "stem", build_input(&b, SIDE), 8, 3, 3, 2, false);
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "g%d", i);
        snprintf(act, sizeof act, "g%d_act", i);
        at = activate(&b, act, conv_norm(&b, name, at, 8, 3, 3, 1, true), kinds[i]);
        snprintf(act, sizeof act, "g%d_se", i);
        if (i % 2 == 0) at = excite(&b, act, at, 8, i ? ACTIVATION_HARD_SIGMOID : ACTIVATION_SIGMOID);
    }
    return finish_net(&b, net);
}

/* Activations that cuDNN does not have, by operations that it has, and gates of channels. */
static void test_gates(void)
{
    static const struct {
        enum backend_precision precision;
        double tolerance;
    } modes[] = {{PRECISION_F32, 1e-3}, {PRECISION_BF16, 0.05}, {PRECISION_F16, 0.05 / 8}};
    struct net net;
    struct outcome ref, cuda;
    struct settings s = {"ref", "stem", PRECISION_F32, ENGINE_SGD, BATCH, 0.002, false, 0, false};
    if (!CHECK_SAY(make_gated_net(&net), "a net with gates: %s", err.text)) return;
    train(&net, &s, &ref);
    s.device = "cuda";
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (modes[i].precision == PRECISION_BF16 && !cuda_has_bf16("gates in bf16")) continue;
        s.precision = modes[i].precision;
        train(&net, &s, &cuda);
        compare(precision_name(s.precision), &cuda, &ref, modes[i].tolerance);
        outcome_free(&cuda);
    }
    outcome_free(&ref);
    net_release(&net);
    cuda_check_clean("gates");
}

/* Sums are part of the convolutions before them where nothing learns, with and without a ReLU. */
static void test_sums(void)
{
    struct net net;
    float p[3][BATCH * CLASSES];
    bool ok = make_net(&net, true);
    static const char *const devices[] = {"ref", "cuda", "cuda"};
    for (int i = 0; i < 3 && ok; i++) {
        struct engine_options o = ENGINE_DEFAULTS;
        struct engine *e = NULL;
        struct engine_batch in = {.n = BATCH, .pixels = pixels[0]};
        if (i == 2 && !fake.there) continue;
        if (i == 2) setenv("FAKECUDA_SUPPORT", "no-fused-conv", 1);
        o.device = devices[i];
        o.batch = BATCH;
        ok = !engine_open(&e, &net, &o, &err);
        if (fake.there) fake.fail_call(0);
        ok = ok && !engine_forward(e, &in, &err) && !engine_probabilities(e, p[i], &err);
        if (fake.there && i == 1)
            CHECK_SAY(fake.count("cudnnAddTensor", true) == 3, "sums are part of convolutions: %ld are not",
                      fake.count("cudnnAddTensor", true) - 3); /* those are biases of dense layers */
        engine_close(e);
        unsetenv("FAKECUDA_SUPPORT");
        if (ok && i)
            CHECK_SAY(cuda_difference(p[i], p[0], BATCH * CLASSES) < 1e-5, "%s: off by %.2g",
                      i == 1 ? "sums in convolutions" : "sums by themselves",
                      cuda_difference(p[i], p[0], BATCH * CLASSES));
    }
    CHECK_SAY(ok, "a net with sums: %s", ok ? "" : err.text);
    net_release(&net);
    cuda_check_clean("sums");
}

static void test_memory(struct net *net)
{
    struct engine *e = NULL;
    struct engine_options o = ENGINE_DEFAULTS;
    size_t need = 0;
    o.device = "cuda";
    o.batch = 64;
    o.mode = ENGINE_TRAIN;
    if (!CHECK_SAY(!net_unlock_from(net, "stem", &err) && !engine_memory_need(net, &o, &need, &err),
                   "a plan's memory: %s", err.text))
        return;
    o.memory_limit_bytes = need / 2;
    CHECK_SAY(engine_open(&e, net, &o, &err) && err.code == EX_OSERR && strstr(err.text, "would fit"),
              "half of what the plan needs is refused: %s", err.text);
    o.memory_limit_bytes = 0;
    if (!fake.there) return;
    /* More than the card has; what that leaves in the runtime does not concern the next call. */
    struct backend_options options = {.deterministic = true};
    struct backend_buffer *buffer;
    const struct backend_table *t;
    struct backend *b;
    if (CHECK_SAY(!backend_open("cuda", &options, &t, &b, &err), "opens: %s", err.text)) {
        CHECK_SAY(t->alloc(b, (size_t)1 << 40, &buffer, &err) && err.code == EX_OSERR, "too much: %s",
                  err.text);
        CHECK_SAY(!t->alloc(b, 1 << 20, &buffer, &err), "a little after it: %s", err.text);
        t->free(b, buffer);
        t->close(b);
    }
    CHECK_SAY(!engine_open(&e, net, &o, &err), "with enough it opens: %s", err.text);
    CHECK_SAY(fake.peak_bytes(0) >= need, "what the plan foresees (%zu) is used (%zu at most so far)", need,
              fake.peak_bytes(0));
    engine_close(e);
    cuda_check_clean("memory");
}

/* No GPU, no driver: one sentence and the right code. */
static void test_no_device(void)
{
    struct backend_options o = {.deterministic = true};
    const struct backend_table *t;
    struct backend *b = NULL;
    if (!fake.there) return;
    fake.fail_call(1);
    CHECK_SAY(backend_open("cuda", &o, &t, &b, &err) && err.code == EX_NODEVICE && !b, "no driver: %s",
              err.text);
    fake.fail_call(0);
    o.device_index = 7;
    CHECK_SAY(backend_open("cuda", &o, &t, &b, &err) && err.code == EX_NODEVICE, "no such GPU: %s", err.text);
    o.device_index = 0;
    setenv("WINNOW_CUDA_DEVICES", "0,0", 1);
    CHECK_SAY(backend_open("cuda", &o, &t, &b, &err) && err.code == EX_USAGE, "a GPU twice: %s", err.text);
    setenv("WINNOW_CUDA_DEVICES", "0;1", 1);
    CHECK_SAY(backend_open("cuda", &o, &t, &b, &err) && err.code == EX_USAGE, "no list: %s", err.text);
    unsetenv("WINNOW_CUDA_DEVICES");
    setenv("FAKECUDA_CC", "75", 1);
    o.precision = PRECISION_BF16;
    CHECK_SAY(backend_open("cuda", &o, &t, &b, &err) && err.code == EX_NODEVICE, "bfloat16 on Turing: %s",
              err.text);
    CHECK_SAY(strstr(err.text, "take fp16"), "what there is: %s", err.text);
    setenv("FAKECUDA_CC", "80", 1);
    setenv("FAKECUDA_SUPPORT", "no-type-transform", 1);
    CHECK_SAY(backend_open("cuda", &o, &t, &b, &err) && err.code == EX_NODEVICE,
              "bfloat16 that cuDNN does not convert: %s", err.text);
    unsetenv("FAKECUDA_SUPPORT");
    unsetenv("FAKECUDA_CC");
    cuda_check_clean("no device");
}

int main(int argc, char **argv)
{
    struct net net;
    cuda_test_begin(argv, "networks on the CUDA backend");
    make_batches();
    if (!CHECK_SAY(make_net(&net, false), "the small net: %s", err.text)) return tap_done();
    if (cuda_wanted(argv, "training")) test_training(&net);
    if (cuda_wanted(argv, "training")) test_loss_scale(&net);
    if (cuda_wanted(argv, "resume")) test_resume(&net);
    if (cuda_wanted(argv, "resume")) test_set_weights(&net);
    if (cuda_wanted(argv, "sums")) test_sums();
    if (cuda_wanted(argv, "gates")) test_gates();
    if (cuda_wanted(argv, "graphs")) test_graphs(&net);
    if (cuda_wanted(argv, "graphs")) test_kept_input(&net);
    if (cuda_wanted(argv, "gpus")) test_two_gpus(&net);
    if (cuda_wanted(argv, "gpus")) test_two_gpus_bf16(&net);
    if (cuda_wanted(argv, "sync")) test_synchronised(&net);
    if (cuda_wanted(argv, "memory")) test_memory(&net);
    if (cuda_wanted(argv, "devices")) test_no_device();
    net_release(&net);
    return tap_done();
}
