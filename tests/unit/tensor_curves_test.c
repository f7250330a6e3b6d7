/*
 * tensor_curves_test.c: the curves against Keras 3's activations in double (tests/fixtures/keras3), and their
 * slopes against differences.
 */
/* needs: base io */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "tap.h"
#include "tensor/curves.h"

static const struct {
    const char *column;
    enum op_curve kind;
    float at[3];
} curves[] = {
    {"leaky_relu", CURVE_RELU, {0.2f, 0, 0}},
    {"relu6", CURVE_RELU, {0, 6, 0}},
    {"elu", CURVE_ELU, {1}},
    {"selu", CURVE_SELU, {0}},
    {"celu", CURVE_CELU, {1}},
    {"silu", CURVE_SILU, {0}},
    {"gelu", CURVE_GELU, {0}},
    {"gelu_tanh", CURVE_GELU_TANH, {0}},
    {"tanh", CURVE_TANH, {0}},
    {"hard_sigmoid", CURVE_HARD_SIGMOID, {1.0f / 6, 0.5f}},
    {"hard_silu", CURVE_HARD_SWISH, {1.0f / 6, 0.5f}},
    {"hard_tanh", CURVE_HARD_TANH, {0}},
    {"softplus", CURVE_SOFTPLUS, {0}},
    {"softsign", CURVE_SOFTSIGN, {0}},
    {"exponential", CURVE_EXPONENTIAL, {0}},
    {"mish", CURVE_MISH, {0}},
    {"log_sigmoid", CURVE_LOG_SIGMOID, {0}},
};
#define N_CURVES (sizeof curves / sizeof *curves)

/* 1e-7: alpha and the slopes of the hard ones are float32 in a model */
static void test_values(const char *path)
{
    FILE *f = fopen(path, "r");
    char line[4096], *names[64], *save = NULL;
    double worst[N_CURVES] = {0};
    int n_names = 0, rows = 0;
    CHECK_SAY(f && fgets(line, sizeof line, f), "%s opens", path);
    if (!f) return;
    char *header = strdup(line);
    for (char *t = strtok_r(header, "\t\n", &save); t && n_names < 64; t = strtok_r(NULL, "\t\n", &save))
        names[n_names++] = t;
    while (fgets(line, sizeof line, f)) {
        double values[64];
        int n = 0;
        for (char *t = strtok_r(line, "\t\n", &save); t && n < 64; t = strtok_r(NULL, "\t\n", &save))
            values[n++] = strtod(t, NULL);
        for (size_t k = 0; k < N_CURVES; k++)
            for (int c = 1; c < n; c++)
                if (strcmp(names[c], curves[k].column) == 0) {
                    double got = curve_value(curves[k].kind, curves[k].at, values[0]);
                    worst[k] = fmax(worst[k], fabs(got - values[c]) / fmax(1, fabs(values[c])));
                }
        rows++;
    }
    CHECK(rows == 25);
    for (size_t k = 0; k < N_CURVES; k++) {
        bool found = false;
        for (int c = 0; c < n_names; c++)
            found |= strcmp(names[c], curves[k].column) == 0;
        CHECK_SAY(found && worst[k] < 1e-7, "%s: as Keras has it, within %.2g", curves[k].column, worst[k]);
    }
    free(header);
    fclose(f);
}

static void test_slopes(void)
{
    static const float at[3] = {0.3f, 0, 0.5f};
    for (int k = CURVE_RELU; k <= CURVE_HARD_TANH; k++)
        for (double x = -4.03; x < 4; x += 0.37) {
            double h = 1e-5, by_difference = (curve_value((enum op_curve)k, at, x + h) -
                                              curve_value((enum op_curve)k, at, x - h)) /
                                             (2 * h);
            double slope = curve_slope((enum op_curve)k, at, x);
            if (!(fabs(slope - by_difference) < 1e-6 * fmax(1, fabs(slope))))
                CHECK_SAY(false, "curve %d at %g: slope %.9g, by difference %.9g", k, x, slope,
                          by_difference);
        }
    CHECK_SAY(true, "slopes are those of the values");
    /* Keras' ReLU layer: what lies on the threshold counts as below it */
    static const float general[3] = {0.1f, 3, 0.5f};
    CHECK(curve_value(CURVE_RELU, general, 0.5) == 0 && curve_value(CURVE_RELU, general, 3.5) == 3 &&
          curve_value(CURVE_RELU, general, 0.75) == 0.75);
}

int main(void)
{
    const char *top = getenv("TOP");
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/fixtures/keras3/activations.tsv", top ? top : ".");
    test_values(path);
    test_slopes();
    return tap_done();
}
