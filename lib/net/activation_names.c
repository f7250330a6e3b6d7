/*
 * activation_names.c: maps the names of activations in Keras' files to kinds. One name has two meanings:
 * "hard_sigmoid" is 0.2 x + 0.5 in Keras 1 and 2 and in TensorFlow.js, and x / 6 + 0.5 in Keras 3, which
 * reads the older files without a warning. The version in the file decides.
 */
#include <string.h>

#include "net/net_parts.h"

static const struct {
    const char *name;
    enum activation_kind kind;
    float alpha;
} names[] = {
    /* When a kind has several names, the first is written. */
    {"linear", ACTIVATION_LINEAR, 0},
    {"relu", ACTIVATION_RELU, 0},
    {"relu6", ACTIVATION_RELU6, 0},
    {"softmax", ACTIVATION_SOFTMAX, 0},
    {"sigmoid", ACTIVATION_SIGMOID, 0},
    {"tanh", ACTIVATION_TANH, 0},
    {"swish", ACTIVATION_SILU, 0},
    {"silu", ACTIVATION_SILU, 0},
    {"gelu", ACTIVATION_GELU, 0},
    {"gelu_new", ACTIVATION_GELU_TANH, 0}, /* TensorFlow.js' name; Keras has none */
    {"elu", ACTIVATION_ELU, 1},
    {"selu", ACTIVATION_SELU, 0},
    {"celu", ACTIVATION_CELU, 1},
    {"leaky_relu", ACTIVATION_LEAKY_RELU, 0.2f},
    {"softplus", ACTIVATION_SOFTPLUS, 0},
    {"softsign", ACTIVATION_SOFTSIGN, 0},
    {"exponential", ACTIVATION_EXPONENTIAL, 0},
    {"mish", ACTIVATION_MISH, 0},
    {"log_sigmoid", ACTIVATION_LOG_SIGMOID, 0},
    /* for versions in which the plain name means the other kind */
    {"winnow>hard_sigmoid", ACTIVATION_HARD_SIGMOID, 0},
    {"hard_sigmoid", ACTIVATION_HARD_SIGMOID_2, 0},
    {"hard_silu", ACTIVATION_HARD_SWISH, 0},
    {"hard_swish", ACTIVATION_HARD_SWISH, 0},
    {"hard_tanh", ACTIVATION_HARD_TANH, 0},
};

int net_activation_parse(const char *name, bool keras3, enum activation_kind *kind, float *alpha)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i].name, name) == 0) {
            *kind = names[i].kind;
            *alpha = names[i].alpha;
            if (keras3 && *kind == ACTIVATION_HARD_SIGMOID_2) *kind = ACTIVATION_HARD_SIGMOID;
            return 0;
        }
    return -1;
}

const char *net_activation_name(enum activation_kind kind, float alpha, bool keras3)
{
    if (keras3 && kind == ACTIVATION_HARD_SIGMOID) return "hard_sigmoid";
    if (keras3 && kind == ACTIVATION_SILU) return "silu";
    if (keras3 && (kind == ACTIVATION_HARD_SIGMOID_2 || kind == ACTIVATION_GELU_TANH)) return NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].kind == kind) return names[i].alpha == alpha || !names[i].alpha ? names[i].name : NULL;
    return NULL;
}
