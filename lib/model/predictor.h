/* predictor.h: class probabilities for pictures, by inference only. Used by eval, classify and export. */
#ifndef WINNOW_MODEL_PREDICTOR_H
#define WINNOW_MODEL_PREDICTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "model/scoring_model.h"
#include "net/net.h"

struct predictor;

/* auto: int8 if the model is quantised; int8: refuses a model that is not */
enum predictor_precision { PREDICTOR_AUTO, PREDICTOR_FP32, PREDICTOR_INT8 };
#define PREDICTOR_PRECISIONS "auto|fp32|int8"

struct predictor_options {
    const char *device; /* "auto", "cpu", "ref", "cuda" */
    unsigned threads;   /* 0 = all processors */
    int batch;          /* pictures a forward pass; 0 = 8 */
    int precision;      /* enum predictor_precision; int8 runs on the cpu, and auto devices mean that */
    struct scoring_options scoring;
    struct text *remarks; /* as scoring_model_open, or NULL */
};

/* Opens the model and makes a plan. *out is NULL and err set on failure (EX_NODEVICE
 * when the device does not exist). */
int predictor_open(struct predictor **out, const char *model_path, const struct predictor_options *options,
                   struct error *err);
const struct net *predictor_net(const struct predictor *p); /* metadata, classes, no weights; borrowed */
int predictor_side_px(const struct predictor *p);
int predictor_n_classes(const struct predictor *p);
int predictor_batch(const struct predictor *p);
const char *predictor_device(const struct predictor *p); /* what "auto" became */
/* pixels: n x side x side x 3 bytes, RGB, NHWC, n <= batch. probabilities: n x
 * n_classes, with the temperature applied. */
int predictor_run(struct predictor *p, const uint8_t *pixels, int n, float *probabilities, struct error *err);
void predictor_close(struct predictor *p);

#endif
