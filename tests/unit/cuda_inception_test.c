/* needs: base image io net tensor */
/*
 * The published InceptionV3 on the CUDA backend: probabilities of fixture pictures as TensorFlow.js computes
 * them, and ten training steps of both phases against the CPU backend from the same weights. Skips where
 * models/base/inception_v3 has not been made (`make base-weights`). On the stand-ins a picture takes about a
 * second, so there are few of them.
 */
#include "engine_pieces.h"
#include "cuda_common.h"
#include "image/image.h"
#include "net/net.h"
#include "tensor/engine.h"

#define SIDE 299
#define STEPS 10
#define MAX_BATCH 16

static struct error err;
static const char *const files[] = {"stamp_zebra.png", "oc_trumpet_b_flat_colour_ganso.png",
                                    "mate_ladybird.png", "stamp_lion.png"};
enum { N_FILES = sizeof files / sizeof *files };
static uint8_t *pictures[N_FILES];

static const char *fixture(const char *name)
{
    static char path[PATH_MAX];
    const char *top = getenv("TOP");
    snprintf(path, sizeof path, "%s/tests/fixtures/inception_v3/%s", top ? top : ".", name);
    return path;
}

static bool read_picture(const char *file, uint8_t **pixels)
{
    FILE *f = fopen(fixture(file), "rb");
    uint8_t *bytes = malloc(1 << 20);
    size_t n = f ? fread(bytes, 1, 1 << 20, f) : 0;
    struct image m = {0};
    struct image_info info;
    struct image_failure failure;
    struct decode_options options = DECODE_DEFAULTS;
    if (f) fclose(f);
    bool ok = image_decode(bytes, n, &options, &m, &info, &failure) == IMAGE_OK && !image_to_rgb(&m, &err) &&
              m.width == SIDE && m.height == SIDE;
    free(bytes);
    *pixels = ok ? m.pixels : NULL;
    return ok;
}

static bool expected(const char *file, double p[5])
{
    char line[1000], name[200];
    FILE *f = fopen(fixture("expected.tsv"), "r");
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f))
        found = sscanf(line, "%199s %lf %lf %lf %lf %lf", name, &p[0], &p[1], &p[2], &p[3], &p[4]) == 6 &&
                !strcmp(name, file);
    if (f) fclose(f);
    return found;
}

/* float32 differs from TensorFlow.js in the order of sums only; TF32 keeps ten bits,
 * bfloat16 seven after the point. */
static void test_forward(const struct net *net, enum backend_precision precision, double tolerance,
                         const char *name, int n)
{
    struct engine_options o = ENGINE_DEFAULTS;
    struct engine *e = NULL;
    o.device = "cuda";
    o.batch = n;
    o.precision = precision;
    if (!CHECK_SAY(!engine_open(&e, net, &o, &err), "%s: opens: %s", name, err.text)) return;
    uint8_t *pixels = malloc((size_t)n * SIDE * SIDE * 3);
    float p[N_FILES * 5];
    double worst = 0, want[5];
    for (int i = 0; i < n; i++)
        memcpy(pixels + (size_t)i * SIDE * SIDE * 3, pictures[i], SIDE * SIDE * 3);
    struct engine_batch in = {.n = n, .pixels = pixels};
    bool ok = !engine_forward(e, &in, &err) && !engine_probabilities(e, p, &err);
    for (int i = 0; ok && i < n; i++) {
        ok = expected(files[i], want);
        for (int c = 0; c < 5; c++) {
            double d = fabs(p[i * 5 + c] - want[c]);
            worst = d > worst || d != d ? d : worst;
        }
    }
    CHECK_SAY(ok && worst <= tolerance,
              "%s: probabilities of %d pictures within %g of TensorFlow.js: worst %.2g (%s)%s%s", name, n,
              tolerance, worst, engine_description(e), ok ? "" : ": ", ok ? "" : err.text);
    free(pixels);
    engine_close(e);
    cuda_check_clean(name);
}

struct outcome {
    double loss[STEPS];
    float *weights;
    size_t n;
    bool ok;
};

/* The head alone learns from pooled features (made-up ones: what a cache would hold); fine-tuning runs the
 * whole net from the pictures. */
static void train(const struct net *net, const char *device, bool head, int batch, struct outcome *out)
{
    struct engine_options o = ENGINE_DEFAULTS;
    struct engine *e = NULL;
    int *boundary = NULL, n_boundary = 0;
    memset(out, 0, sizeof *out);
    o.device = device;
    o.threads = 2;
    o.batch = batch;
    o.mode = ENGINE_TRAIN;
    if (head && engine_boundary(net, &boundary, &n_boundary, &err)) return;
    o.inputs = boundary;
    o.n_inputs = n_boundary;
    out->ok = !engine_open(&e, net, &o, &err);
    size_t features = out->ok && head ? engine_input_size(e, 0) : 0;
    float *values = malloc(((size_t)batch * features + 1) * sizeof *values);
    uint8_t *pixels = malloc((size_t)batch * SIDE * SIDE * 3);
    struct random r = random_start(31, 32, 33);
    for (int s = 0; out->ok && s < STEPS; s++) {
        float targets[MAX_BATCH * 5] = {0};
        for (int i = 0; i < batch; i++) {
            targets[i * 5 + (i + s) % 5] = 1;
            memcpy(pixels + (size_t)i * SIDE * SIDE * 3, pictures[(i + s) % N_FILES], SIDE * SIDE * 3);
        }
        for (size_t i = 0; i < (size_t)batch * features; i++)
            values[i] = fabsf((float)random_normal(&r)) * 0.4f;
        const float *inputs[] = {values};
        struct engine_batch in = {.n = batch, .pixels = head ? NULL : pixels, .values = head ? inputs : NULL};
        struct engine_target target = {targets, NULL};
        struct engine_step step = ENGINE_STEP_DEFAULTS;
        struct engine_result result;
        step.rate = head ? 0.01 : 0.001;
        step.step = (uint64_t)s;
        out->ok = !engine_train_step(e, &in, &target, &step, &result, &err);
        out->loss[s] = result.loss;
    }
    if (out->ok) {
        out->n = engine_state_size(e, ENGINE_WEIGHTS);
        out->weights = malloc(out->n * sizeof *out->weights);
        out->ok = !engine_state_get(e, ENGINE_WEIGHTS, out->weights, &err);
    }
    free(values);
    free(pixels);
    free(boundary);
    engine_close(e);
}

static void test_training(struct net *net, bool head, int batch)
{
    const char *what = head ? "head" : "from conv2d_56 on";
    struct outcome a, b;
    if (!CHECK_SAY(!net_unlock_from(net, head ? "dense_1" : "conv2d_56", &err), "unlocks: %s", err.text))
        return;
    train(net, "cpu", head, batch, &b);
    if (!b.ok && err.code == EX_NODEVICE) {
        tap_skip(what, err.text);
        return;
    }
    train(net, "cuda", head, batch, &a);
    if (CHECK_SAY(a.ok && b.ok, "%s: ten steps on both: %s", what, err.text)) {
        double worst = 0;
        for (int s = 0; s < STEPS; s++) {
            double d = fabs(a.loss[s] - b.loss[s]) / fabs(b.loss[s]);
            worst = d > worst || d != d ? d : worst;
        }
        double w = cuda_difference(a.weights, b.weights, b.n);
        CHECK_SAY(worst <= 1e-3 && w <= 1e-3,
                  "%s: ten steps of %d pictures: losses %.4f to %.4f, off by %.2g; weights by %.2g", what,
                  batch, b.loss[0], b.loss[STEPS - 1], worst, w);
    }
    free(a.weights);
    free(b.weights);
    cuda_check_clean(what);
}

int main(int argc, char **argv)
{
    struct net net = NET_EMPTY;
    char model[PATH_MAX];
    const char *top = getenv("TOP");
    cuda_test_begin(argv, "InceptionV3 on the CUDA backend");
    snprintf(model, sizeof model, "%s/models/base/inception_v3", top ? top : ".");
    if (access(model, R_OK)) {
        tap_skip("InceptionV3 on the CUDA backend",
                 "models/base/inception_v3 is not there: run `make base-weights`");
        return tap_done();
    }
    if (!CHECK_SAY(!net_open(&net, model, &err) && !net_infer_shapes(&net, 0, 0, &err),
                   "the published model: %s", err.text))
        return tap_done();
    bool ok = true;
    for (int i = 0; i < N_FILES; i++)
        ok &= read_picture(files[i], &pictures[i]);
    if (CHECK_SAY(ok, "the fixture's pictures")) {
        test_forward(&net, PRECISION_F32, 1e-5, "fp32", fake.there ? 2 : N_FILES);
        test_forward(&net, PRECISION_TF32, 1e-3, "tf32", fake.there ? 1 : N_FILES);
        if (cuda_has_bf16("bf16")) test_forward(&net, PRECISION_BF16, 2e-2, "bf16", fake.there ? 1 : N_FILES);
        test_training(&net, true, MAX_BATCH);
        test_training(&net, false, 2);
    }
    for (int i = 0; i < N_FILES; i++)
        free(pictures[i]);
    net_release(&net);
    return tap_done();
}
