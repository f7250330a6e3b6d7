/*
 * onnx_cases_test.c: ONNX's own cases for each operator (Debian's libonnx-testdata 1.12): what is read gives
 * the case's output within the tolerance of ONNX's runner (1e-3 of the value and 1e-7), on both backends;
 * what is not is refused with the node's operator. How many of each is printed.
 */
/* needs: onnx tensor net base io */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/io.h"
#include "onnx/onnx.h"
#include "tap.h"
#include "tensor/engine.h"

/* At least so many cases of these are equal; the others have forms that are refused (1-d, 3-d, axes). */
static struct claim {
    const char *op;
    int least, equal, refused;
} claims[] = {
    {"Add", 0, 0, 0},           {"AveragePool", 11, 0, 0}, {"BatchNormalization", 2, 0, 0},
    {"Celu", 1, 0, 0},          {"Clip", 8, 0, 0},         {"Conv", 6, 0, 0},
    {"Dropout", 4, 0, 0},       {"Elu", 3, 0, 0},          {"Exp", 2, 0, 0},
    {"Flatten", 0, 0, 0},       {"Gemm", 8, 0, 0},         {"GlobalAveragePool", 2, 0, 0},
    {"GlobalMaxPool", 2, 0, 0}, {"HardSigmoid", 3, 0, 0},  {"HardSwish", 1, 0, 0},
    {"Identity", 1, 0, 0},      {"LeakyRelu", 3, 0, 0},    {"MatMul", 1, 0, 0},
    {"MaxPool", 9, 0, 0},       {"Mul", 1, 0, 0},          {"Neg", 2, 0, 0},
    {"Relu", 1, 0, 0},          {"Selu", 1, 0, 0},         {"Sigmoid", 2, 0, 0},
    {"Softmax", 2, 0, 0},       {"Softplus", 2, 0, 0},     {"Softsign", 2, 0, 0},
    {"Sub", 0, 0, 0},           {"Tanh", 2, 0, 0},         {"Split", 0, 0, 0},
    {"Slice", 0, 0, 0},         {"Resize", 2, 0, 0},       {"Upsample", 1, 0, 0},
    {"Gather", 0, 0, 0},        {"Pad", 0, 0, 0},
};
#define N_CLAIMS (sizeof claims / sizeof *claims)

static float *numbers(const char *folder, const char *name, char kind, size_t *n)
{
    char path[400], *bytes = NULL;
    size_t size = 0;
    struct error err = {0};
    snprintf(path, sizeof path, "%s/%s.%c", folder, name, kind);
    CHECK_SAY(!io_read_file(path, 1 << 28, &bytes, &size, &err), "%s", err.text);
    *n = size / sizeof(float);
    return (float *)(void *)bytes;
}

/* The largest difference as a multiple of what is allowed; NAN: it does not run. */
static double compare(const struct net *n, const char *device, int batch, const float *x, const float *y,
                      size_t n_y, struct error *err)
{
    struct engine_options o = ENGINE_DEFAULTS;
    struct engine *e;
    const float *values[] = {x};
    struct engine_batch in = {.n = batch, .values = values};
    double worst = 0;
    o.device = device;
    o.batch = batch;
    o.threads = 1;
    o.mode = ENGINE_INFERENCE;
    if (engine_open(&e, n, &o, err)) return NAN;
    size_t size = engine_output_size(e, 0) * (size_t)batch;
    float *out = malloc(size * sizeof *out);
    if (size != n_y || engine_forward(e, &in, err) || engine_output(e, 0, out, err)) worst = NAN;
    for (size_t i = 0; i < n_y && size == n_y; i++)
        if (!(out[i] == y[i]))
            worst = fmax(worst, fabs((double)out[i] - (double)y[i]) / (1e-7 + 1e-3 * fabs((double)y[i])));
    free(out);
    engine_close(e);
    return worst;
}

static void one_case(const char *folder, char *line, int totals[2])
{
    char path[400], *name = strtok(line, "\t"), *op = strtok(NULL, "\t"), *dims = strtok(NULL, "\t");
    struct onnx_read_options options = {.any_input = true};
    struct claim *claim = NULL;
    struct error err = {0};
    struct net n;
    size_t n_x, n_y;
    for (size_t i = 0; i < N_CLAIMS; i++)
        if (strcmp(claims[i].op, op) == 0) claim = &claims[i];
    snprintf(path, sizeof path, "%s/%s.onnx", folder, name);
    if (onnx_read(&n, path, &options, &err) || net_infer_shapes(&n, 0, 0, &err)) {
        bool says = err.code == EX_DATAERR && (strstr(err.text, "opset") || strstr(err.text, "its input") ||
                                               strstr(err.text, "its output") || strstr(err.text, "it has"));
        if (!says) CHECK_SAY(false, "%s is refused by name: %s", name, err.text);
        if (claim) claim->refused++;
        totals[1]++;
        return;
    }
    float *x = numbers(folder, name, 'x', &n_x), *y = numbers(folder, name, 'y', &n_y);
    static const char *const devices[] = {"ref", "cpu"};
    for (int d = 0; d < 2; d++) {
        double worst = compare(&n, devices[d], atoi(dims), x, y, n_y, &err);
        if (d && err.code == EX_NODEVICE) break;
        if (!(worst <= 1))
            CHECK_SAY(false, "%s on %s: %.1f times the tolerance %s", name, devices[d], worst, err.text);
    }
    if (claim) claim->equal++;
    totals[0]++;
    free(x);
    free(y);
    net_release(&n);
}

int main(void)
{
    char folder[] = "/tmp/winnow-test-XXXXXX", command[800], path[200], line[400];
    const char *top = getenv("TOP");
    int totals[2] = {0};
    if (!onnx_available() || access("/usr/share/libonnx-testdata/data/node", R_OK)) {
        tap_skip("cases", "no libonnx-testdata, or built without ONNX");
        return tap_done();
    }
    CHECK(mkdtemp(folder) != NULL);
    snprintf(command, sizeof command, "/usr/bin/python3 '%s/tests/unit/onnx_cases.py' %s", top ? top : ".",
             folder);
    snprintf(path, sizeof path, "%s/index.tsv", folder);
    FILE *f = system(command) == 0 ? fopen(path, "r") : NULL;
    if (!f) {
        tap_skip("cases", "python3-onnx is not there");
        io_remove_tree(folder);
        return tap_done();
    }
    while (fgets(line, sizeof line, f))
        one_case(folder, line, totals);
    fclose(f);
    for (size_t i = 0; i < N_CLAIMS; i++)
        CHECK_SAY(claims[i].equal >= claims[i].least, "%s: %d cases equal, %d refused by name", claims[i].op,
                  claims[i].equal, claims[i].refused);
    printf("# %d cases: %d equal, %d refused by name\n", totals[0] + totals[1], totals[0], totals[1]);
    CHECK(totals[0] >= 86);
    io_remove_tree(folder);
    return tap_done();
}
