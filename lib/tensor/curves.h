/*
 * curves.h: computes the activations of OP_CURVE and their derivatives, in double, for all backends that run
 * on the host. p is op_desc.curve_at:
 *   CURVE_RELU          p[0] slope below the threshold p[2], p[1] the cap or 0 for none, as Keras' ReLU layer
 *   ELU, CELU           p[0] alpha
 *   CLIP                from p[0] to p[1]
 *   HARD_SIGMOID        clip(p[0] * x + p[1], 0, 1);  HARD_SWISH x times that
 *   GELU                with erf; GELU_TANH  the approximation by tanh
 */
#ifndef WINNOW_TENSOR_CURVES_H
#define WINNOW_TENSOR_CURVES_H

#include <math.h>

#include "tensor/backend.h"

#define SELU_SCALE 1.0507009873554804934193349852946
#define SELU_ALPHA 1.6732632423543772848170429916717
#define ROOT_HALF 0.70710678118654752440
#define ROOT_2_OVER_PI 0.79788456080286535588

static inline double curve_clip01(double v) { return v < 0 ? 0 : v > 1 ? 1 : v; }
static inline double curve_sigmoid(double x) { return 1 / (1 + exp(-x)); }
/* log(1 + e^x) without overflow */
static inline double curve_softplus(double x) { return (x > 0 ? x : 0) + log1p(exp(-fabs(x))); }

static inline double curve_value(enum op_curve kind, const float p[3], double x)
{
    switch (kind) {
    case CURVE_RELU:
        if (p[1] > 0 && x >= p[1]) return p[1];
        return x > p[2] || x != x ? x : p[0] != 0 ? p[0] * (x - p[2]) : 0;
    case CURVE_TANH: return tanh(x);
    case CURVE_SILU: return x * curve_sigmoid(x);
    case CURVE_GELU: return 0.5 * x * (1 + erf(x * ROOT_HALF));
    case CURVE_GELU_TANH: return 0.5 * x * (1 + tanh(ROOT_2_OVER_PI * (x + 0.044715 * x * x * x)));
    case CURVE_ELU: return x > 0 ? x : p[0] * expm1(x);
    case CURVE_SELU: return SELU_SCALE * (x > 0 ? x : SELU_ALPHA * expm1(x));
    case CURVE_CELU: return x > 0 ? x : p[0] * expm1(x / p[0]);
    case CURVE_SOFTPLUS: return curve_softplus(x);
    case CURVE_SOFTSIGN: return x / (1 + fabs(x));
    case CURVE_EXPONENTIAL: return exp(x);
    case CURVE_MISH: return x * tanh(curve_softplus(x));
    case CURVE_LOG_SIGMOID: return -curve_softplus(-x);
    case CURVE_HARD_SIGMOID: return curve_clip01(p[0] * x + p[1]);
    case CURVE_HARD_SWISH: return x * curve_clip01(p[0] * x + p[1]);
    case CURVE_HARD_TANH: return x < -1 ? -1 : x > 1 ? 1 : x;
    case CURVE_CLIP: return x < p[0] ? p[0] : x > p[1] ? p[1] : x;
    }
    return x;
}

static inline double curve_slope(enum op_curve kind, const float p[3], double x)
{
    double s, t, v;
    switch (kind) {
    case CURVE_RELU:
        if (p[1] > 0 && x >= p[1]) return 0;
        return x > p[2] ? 1 : p[0];
    case CURVE_TANH: t = tanh(x); return 1 - t * t;
    case CURVE_SILU: s = curve_sigmoid(x); return s * (1 + x * (1 - s));
    case CURVE_GELU: return 0.5 * (1 + erf(x * ROOT_HALF)) + x * exp(-0.5 * x * x) * (0.5 * ROOT_2_OVER_PI);
    case CURVE_GELU_TANH:
        t = tanh(ROOT_2_OVER_PI * (x + 0.044715 * x * x * x));
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * ROOT_2_OVER_PI * (1 + 3 * 0.044715 * x * x);
    case CURVE_ELU: return x > 0 ? 1 : p[0] * exp(x);
    case CURVE_SELU: return SELU_SCALE * (x > 0 ? 1 : SELU_ALPHA * exp(x));
    case CURVE_CELU: return x > 0 ? 1 : exp(x / p[0]);
    case CURVE_SOFTPLUS: return curve_sigmoid(x);
    case CURVE_SOFTSIGN: t = 1 + fabs(x); return 1 / (t * t);
    case CURVE_EXPONENTIAL: return exp(x);
    case CURVE_MISH: t = tanh(curve_softplus(x)); return t + x * (1 - t * t) * curve_sigmoid(x);
    case CURVE_LOG_SIGMOID: return curve_sigmoid(-x);
    case CURVE_HARD_SIGMOID: v = p[0] * x + p[1]; return v > 0 && v < 1 ? p[0] : 0;
    case CURVE_HARD_SWISH: v = p[0] * x + p[1]; return v <= 0 ? 0 : v >= 1 ? 1 : v + x * p[0];
    case CURVE_HARD_TANH: return x > -1 && x < 1;
    case CURVE_CLIP: return x > p[0] && x < p[1];
    }
    return 1;
}

#endif
