/* predictor.h: computes the class probabilities of pictures, by inference only. eval, classify and export use
 * it. */
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
    /* enum predictor_precision; int8 runs on the cpu, so the device "auto" then means the cpu */
    int precision;
    struct scoring_options scoring;
    struct text *remarks; /* as for scoring_model_open, or NULL */
};

/* Opens the model and plans its computation. Returns 0, or -1 with err set and *out NULL (EX_NODEVICE when
 * the device does not exist). */
int predictor_open(struct predictor **out, const char *model_path, const struct predictor_options *options,
                   struct error *err);
/* its metadata and classes, without weights; borrowed */
const struct net *predictor_net(const struct predictor *p);
int predictor_side_px(const struct predictor *p);
int predictor_n_classes(const struct predictor *p);
int predictor_batch(const struct predictor *p);
const char *predictor_device(const struct predictor *p); /* what "auto" became */
/* pixels: n x side x side x 3 bytes, RGB, NHWC, n <= batch. probabilities: n x
 * n_classes, with the temperature applied. */
int predictor_run(struct predictor *p, const uint8_t *pixels, int n, float *probabilities, struct error *err);
void predictor_close(struct predictor *p);

#endif
