/*
 * tensor_efficientnet_test.c: EfficientNet-Lite0, 1 and 2 on harmless pictures against PyTorch on the same
 * checkpoints (tests/fixtures/efficientnet_lite): five layers and the pooled features within 1e-5, gradients
 * and ten steps of SGD within 1e-4, of the tensor's largest value: a linear bottleneck's activations reach
 * 40, where the rounding of float32 sums is some 1e-5 itself (the plain loops differ as much). Skips where
 * models/base/efficientnet_lite* has not been made (`make base-weights`).
 */
/* needs: tensor net image base io */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine_pieces.h"
#include "image/image.h"
#include "net/net.h"
#include "tap.h"
#include "tensor/engine.h"

enum { MAX_PICTURES = 10, MAX_SIDE = 260, N_STEPS = 10, N_ROWS = 6, N_CLASSES = 3 };
static const char *const tapped[] = {"stem_activation", "block2a_project_bn", "block3b_add",
                                     "block5c_add",     "top_activation",     "flatten_1"};
enum { N_TAPPED = sizeof tapped / sizeof *tapped };

static char names[MAX_PICTURES][128];
static uint8_t *pixels; /* MAX_PICTURES x side x side x 3 */
static int n_pictures;

static const char *in_tests(const char *folder, const char *name)
{
    static char path[512];
    const char *top = getenv("TOP");
    snprintf(path, sizeof path, "%s/tests/fixtures/%s/%s", top ? top : ".", folder, name);
    return path;
}

/* The upper left square, as the script cuts it. */
static bool read_picture(const char *name, int side, uint8_t *out)
{
    FILE *f = fopen(in_tests("inception_v3", name), "rb");
    uint8_t *bytes = malloc(1 << 20);
    size_t n = f ? fread(bytes, 1, 1 << 20, f) : 0;
    struct image m = {0};
    struct image_info info;
    struct image_failure failure;
    struct decode_options options = DECODE_DEFAULTS;
    struct error err = {0};
    if (f) fclose(f);
    bool good = image_decode(bytes, n, &options, &m, &info, &failure) == IMAGE_OK &&
                !image_to_rgb(&m, &err) && m.width >= side && m.height >= side;
    for (int y = 0; good && y < side; y++)
        memcpy(out + (size_t)y * side * 3, m.pixels + (size_t)y * m.width * 3, (size_t)side * 3);
    image_release(&m);
    free(bytes);
    return good;
}

static int picture_number(const char *name, int side)
{
    for (int i = 0; i < n_pictures; i++)
        if (!strcmp(names[i], name)) return i;
    if (n_pictures == MAX_PICTURES ||
        !read_picture(name, side, pixels + (size_t)n_pictures * side * side * 3))
        return -1;
    snprintf(names[n_pictures], sizeof names[0], "%s", name);
    return n_pictures++;
}

static double distance(double have, double want)
{
    double d = fabs(have - want), size = fabs(want);
    return size > 1 ? d / size : d;
}

/* Worst distance of the values at equal places of [n] from the numbers in `rest`, a line's end, as a share of
 * the largest of all n, or of `least` where that is more. */
static double compare_spread(char *rest, const float *values, size_t n, double least)
{
    double worst = 0, largest = least;
    size_t count = n < 48 ? n : 48, at = 0;
    for (size_t i = 0; i < n; i++)
        largest = fabs(values[i]) > largest ? fabs(values[i]) : largest;
    for (char *save = NULL, *s = strtok_r(rest, "\t\n", &save); s; s = strtok_r(NULL, "\t\n", &save), at++) {
        double d = fabs((at < count ? values[at * n / count] : INFINITY) - atof(s));
        worst = d > worst || d != d ? d : worst;
    }
    return at == count ? worst / largest : INFINITY;
}

/* Where a line's field k begins; NULL if it has fewer. */
static char *field(char *line, int k)
{
    while (k-- > 0 && line)
        if ((line = strchr(line, '\t'))) line++;
    return line;
}

static bool open_lite(struct net *net, int variant)
{
    char path[512];
    const char *top = getenv("TOP");
    struct error err = {0};
    snprintf(path, sizeof path, "%s/models/base/efficientnet_lite%d", top ? top : ".", variant);
    if (access(path, R_OK)) {
        tap_skip(path, "it is not there: run `make base-weights`");
        return false;
    }
    return CHECK_SAY(!net_open(net, path, &err) && !net_infer_shapes(net, 0, 0, &err), "opens: %s", err.text);
}

/* The ordinary head without dropout and L2, and with the script's start. */
static bool add_head(struct net *net)
{
    struct error err = {0};
    char *classes[] = {"a", "b", "c"};
    if (net_replace_head(net, N_CLASSES, classes, 1, &err)) return false;
    for (int i = 0; i < net->n_layers; i++) {
        struct net_layer *l = &net->layers[i];
        l->rate = l->l2 = 0;
        struct net_weight *w = l->kind == LAYER_DENSE ? net_weight_of(l, WEIGHT_KERNEL) : NULL;
        for (size_t k = 0; w && k < w->n_values; k++)
            w->values[k] = (float)(sin((double)k * 0.37) * 0.1);
    }
    return true;
}

static struct engine *open_engine(const struct net *net, struct engine_options *o, const char *device)
{
    struct engine *e = NULL;
    struct error err = {0};
    o->device = device;
    o->threads = 2;
    if (!engine_open(&e, net, o, &err)) return e;
    if (err.code == EX_NODEVICE)
        tap_skip(device, err.text);
    else
        CHECK_SAY(false, "%s: engine opens: %s", device, err.text);
    return NULL;
}

static void check_activations(int variant, const char *device, int limit)
{
    struct net net = NET_EMPTY;
    struct error err = {0};
    char line[4096], name[128], layer[64], file[32];
    int outputs[N_TAPPED], side, n_lines = 0;
    double worst[N_TAPPED] = {0};
    struct engine_options o = ENGINE_DEFAULTS;
    if (!open_lite(&net, variant)) return;
    side = net.layers[net.input].output.dim[0];
    if (!CHECK_SAY(side <= MAX_SIDE && add_head(&net), "Lite%d: a head", variant)) return;
    for (int t = 0; t < N_TAPPED; t++)
        outputs[t] = net_find(&net, tapped[t]);
    o.batch = 1;
    o.outputs = outputs;
    o.n_outputs = N_TAPPED;
    struct engine *e = open_engine(&net, &o, device);
    float *values = e ? malloc(engine_output_size(e, 0) * 4 * sizeof *values) : NULL;
    snprintf(file, sizeof file, "lite%d.tsv", variant);
    FILE *f = e ? fopen(in_tests("efficientnet_lite", file), "r") : NULL;
    n_pictures = 0;
    for (int last = -1; f && fgets(line, sizeof line, f);) {
        if (sscanf(line, "%127s %63s", name, layer) != 2) continue;
        int at = picture_number(name, side), t = 0;
        if (at < 0 || at >= limit) continue;
        struct engine_batch in = {.n = 1, .pixels = pixels + (size_t)at * side * side * 3};
        if (at != last && engine_forward(e, &in, &err)) break;
        last = at;
        while (t < N_TAPPED - 1 && strcmp(tapped[t], layer))
            t++;
        if (engine_output(e, t, values, &err)) break;
        double d = compare_spread(field(line, 5), values, engine_output_size(e, t), 1), mean = 0;
        for (size_t i = 0; i < engine_output_size(e, t); i++)
            mean += values[i];
        double m = distance(mean / (double)engine_output_size(e, t), atof(field(line, 3)));
        d = m > d ? m : d;
        worst[t] = d > worst[t] || d != d ? d : worst[t];
        n_lines++;
    }
    if (f) fclose(f);
    if (e)
        CHECK_SAY(n_lines == limit * N_TAPPED, "Lite%d, %s: %d lines %s", variant, device, n_lines, err.text);
    for (int t = 0; e && t < N_TAPPED; t++)
        CHECK_SAY(worst[t] <= 1e-5, "Lite%d, %s: %s of %d pictures within 1e-5: worst %.2e", variant, device,
                  tapped[t], limit, worst[t]);
    free(values);
    engine_close(e);
    net_release(&net);
}

/* The piece of this layer's kernel in the engine's state. */
static const float *piece(struct engine *e, const struct net *net, enum engine_state which, float *state,
                          const char *layer, size_t *n)
{
    int at, w;
    size_t offset;
    for (int i = 0; engine_state_piece(e, which, i, &at, &w, &offset, n); i++)
        if (!strcmp(net->layers[at].name, layer) && net->layers[at].weights[w].role != WEIGHT_BIAS)
            return state + offset;
    *n = 0;
    return NULL;
}

static void compare_pieces(struct engine *e, const struct net *net, const char *device, const char *what,
                           enum engine_state which)
{
    char line[4096], kind[32], layer[64];
    struct error err = {0};
    float *state = malloc(engine_state_size(e, which) * sizeof *state);
    FILE *f = fopen(in_tests("efficientnet_lite", "steps0.tsv"), "r");
    int n_lines = 0;
    CHECK(f != NULL && !engine_state_get(e, which, state, &err));
    while (f && fgets(line, sizeof line, f)) {
        size_t n;
        double square = 0;
        if (sscanf(line, "%31s %63s", kind, layer) != 2 || strcmp(kind, what)) continue;
        const float *v = piece(e, net, which, state, layer, &n);
        for (size_t i = 0; i < n; i++)
            square += (double)v[i] * v[i];
        double norm = fabs(sqrt(square) / atof(field(line, 2)) - 1);
        double d = v ? compare_spread(field(line, 3), v, n, 1e-30) : INFINITY;
        CHECK_SAY(d <= 1e-4 && norm <= 1e-4, "%s: %s of %s within 1e-4: worst %.2e, norm %.2e", device, what,
                  layer, d, norm);
        n_lines++;
    }
    if (f) fclose(f);
    CHECK_SAY(n_lines == 5, "%s of %d layers", what, n_lines);
    free(state);
}

static void check_steps(const char *device)
{
    struct net net = NET_EMPTY;
    struct error err = {0};
    char line[4096];
    double losses[N_STEPS], worst = 0;
    float targets[N_ROWS * N_CLASSES] = {0};
    struct engine_options o = ENGINE_DEFAULTS;
    if (!open_lite(&net, 0)) return;
    if (!CHECK(add_head(&net) && !net_unlock_from(&net, "block6a_expand_conv", &err))) return;
    for (int i = 0; i < net.n_layers; i++)
        if (net.layers[i].kind == LAYER_BATCH_NORM) net.layers[i].trainable = false;
    for (int i = 0; i < N_ROWS; i++)
        targets[i * N_CLASSES + i % N_CLASSES] = 1;
    o.batch = N_ROWS;
    o.mode = ENGINE_TRAIN;
    struct engine *e = open_engine(&net, &o, device);
    if (!e) return;
    struct engine_batch in = {.n = N_ROWS, .pixels = pixels};
    struct engine_target target = {.targets = targets};
    struct engine_step step = ENGINE_STEP_DEFAULTS;
    struct engine_result result;
    step.rate = 0.005;
    for (int i = 0; i < N_STEPS; i++) {
        step.step = (uint64_t)i;
        if (!CHECK_SAY(!engine_gradients(e, &in, &target, &step, &result, &err), "step %d %s", i, err.text))
            break;
        losses[i] = result.loss;
        if (i == 0) compare_pieces(e, &net, device, "gradient", ENGINE_GRADIENTS);
        if (!CHECK(!engine_apply(e, &step, &result, &err))) break;
    }
    compare_pieces(e, &net, device, "weights", ENGINE_WEIGHTS);
    FILE *f = fopen(in_tests("efficientnet_lite", "steps0.tsv"), "r");
    while (f && fgets(line, sizeof line, f))
        for (int i = 0; i < N_STEPS && !strncmp(line, "losses", 6); i++) {
            double d = distance(losses[i], atof(field(line, 2 + i)));
            worst = d > worst || d != d ? d : worst;
        }
    if (f) fclose(f);
    CHECK_SAY(worst > 0 && worst <= 1e-4, "%s: losses of %d steps within 1e-4: worst %.2e", device, N_STEPS,
              worst);
    engine_close(e);
    net_release(&net);
}

static void check_places(void)
{
    struct net net = NET_EMPTY;
    if (!open_lite(&net, 0)) return;
    static const char *const cases[][2] = {
        {"block5a", "block5a_expand_conv"},
        {"block5a_dwconv", "block5a_dwconv"},
        {"top", "top_conv"},
        {"1", "stem_conv"},
        {"0.3", "block6a_expand_conv"},
        {"block9a", NULL},
        {"0", NULL},
        {"1.5", NULL},
        {"block5", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *place = net_unlock_place(&net, cases[i][0]);
        CHECK_SAY(cases[i][1] ? place && !strcmp(place, cases[i][1]) : !place, "--unlock-from %s is %s",
                  cases[i][0], place ? place : "nothing");
    }
    net_release(&net);
}

int main(void)
{
    pixels = malloc((size_t)MAX_PICTURES * MAX_SIDE * MAX_SIDE * 3);
    for (int variant = 2; variant >= 0; variant--) /* Lite0's pictures stay for the steps */
        check_activations(variant, "cpu", MAX_PICTURES);
    check_steps("cpu");
    check_activations(0, "ref", 1);
    n_pictures = MAX_PICTURES;
    check_places();
    free(pixels);
    return tap_done();
}
