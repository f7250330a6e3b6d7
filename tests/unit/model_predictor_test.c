/* needs: model */
/* The predictor on the tiny net: what TensorFlow.js gives for it, for any place in a batch, with and without
 * temperature. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/predictor.h"
#include "tap.h"

#define SIDE 16
#define CLASSES 5

static const char *fixture(const char *name)
{
    static char path[1024];
    const char *top = getenv("TOP");
    snprintf(path, sizeof path, "%s/tests/fixtures/tiny-net/%s", top ? top : ".", name);
    return path;
}

/* The row of expected.tsv that begins with `model`. */
static bool expected(const char *model, double p[CLASSES])
{
    char line[512], name[64];
    bool found = false;
    FILE *f = fopen(fixture("expected.tsv"), "r");
    while (f && !found && fgets(line, sizeof line, f))
        found = sscanf(line, "%63s %lf %lf %lf %lf %lf", name, &p[0], &p[1], &p[2], &p[3], &p[4]) == 6 &&
                !strcmp(name, model);
    if (f) fclose(f);
    return found;
}

int main(void)
{
    static uint8_t pixels[3][SIDE * SIDE * 3];
    float got[3 * CLASSES], cool[CLASSES];
    double want[CLASSES];
    struct error err = {0};
    struct predictor *p;
    struct net header;
    struct scoring_options scoring = {0};
    CHECK(!scoring_model_open(&header, fixture("tfjs-float32"), &scoring, SCORING_HEADER, NULL, &err) &&
          header.layers[header.output].output.dim[0] == CLASSES);
    CHECK_SAY(!header.stores && !header.layers[1].weights[0].values, "a header has no weights in memory");
    net_release(&header);
    for (int i = 0; i < SIDE * SIDE * 3; i++)
        pixels[0][i] = pixels[2][i] = (uint8_t)(i * 37 % 256);
    static const char *const devices[] = {"ref", "cpu"};
    for (int d = 0; d < 2; d++) {
        struct predictor_options o = {.device = devices[d], .threads = 1, .batch = 4};
        if (predictor_open(&p, fixture("tfjs-float32"), &o, &err)) {
            if (err.code == EX_NODEVICE && d) {
                tap_skip("predictor on cpu", err.text);
                continue;
            }
            CHECK_SAY(false, "the tiny net opens on %s: %s", devices[d], err.text);
            continue;
        }
        CHECK(predictor_side_px(p) == SIDE && predictor_n_classes(p) == CLASSES && predictor_batch(p) == 4);
        CHECK(!strcmp(predictor_device(p), devices[d]));
        CHECK(expected("tfjs-float32", want));
        CHECK(predictor_run(p, pixels[0], 3, got, &err) == 0);
        for (int c = 0; c < CLASSES; c++) {
            CHECK_CLOSE(got[c], want[c], 2e-6, 0, "probability as TensorFlow.js gives it");
            CHECK_SAY(got[c] == got[2 * CLASSES + c],
                      "the third picture, the same pixels, gives the same bits");
        }
        CHECK(predictor_run(p, pixels[0], 1, got, &err) == 0 && fabs(got[0] - want[0]) <= 2e-6);
        CHECK(predictor_run(p, pixels[0], 5, got, &err) == -1);
        predictor_close(p);
    }

    char warm[600];
    struct net net = NET_EMPTY;
    struct predictor_options o = {.device = "ref", .threads = 1};
    snprintf(warm, sizeof warm, "%s/warm", tap_tmpdir());
    CHECK(net_open(&net, fixture("tfjs-float32"), &err) == 0);
    net.metadata.temperature = 2.5;
    CHECK_SAY(net_write_tfjs(&net, warm, &err) == 0, "a model with a temperature is written: %s", err.text);
    net_release(&net);
    CHECK(predictor_open(&p, warm, &o, &err) == 0 && predictor_run(p, pixels[0], 1, cool, &err) == 0);
    double sum = 0;
    for (int c = 0; c < CLASSES; c++)
        sum += pow(want[c], 1 / 2.5);
    for (int c = 0; c < CLASSES; c++)
        /* want has six digits */
        CHECK_CLOSE(cool[c], pow(want[c], 1 / 2.5) / sum, 1e-5, 0, "softmax(z/T)");
    predictor_close(p);

    o.device = "abacus";
    CHECK(predictor_open(&p, fixture("tfjs-float32"), &o, &err) == -1 && !p);
    o.device = "ref";
    CHECK(predictor_open(&p, fixture("none"), &o, &err) == -1 && err.code == EX_NOINPUT);
    return tap_done();
}
