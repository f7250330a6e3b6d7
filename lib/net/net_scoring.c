/*
 * net_scoring.c: adapts a network of another program to winnow's pictures and scores: it sets the scaling of
 * the input and the names of the outputs, and adds a softmax if the network ends in logits.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "base/text.h"
#include "net/net_parts.h"

/* --- how it ends --- */

/* Returns the layer that computes the scores, and sets *activation. Layers that only copy the scores are
 * skipped. Returns -1 for another activation. */
static int scores_of(const struct net *n, enum activation_kind *activation)
{
    int at = n->output;
    *activation = ACTIVATION_LINEAR;
    for (;;) {
        const struct net_layer *l = &n->layers[at];
        bool own = l->kind == LAYER_ACTIVATION || l->kind == LAYER_DENSE || l->kind == LAYER_CONV2D;
        if (own && l->activation != ACTIVATION_LINEAR) {
            *activation = l->activation;
            return at;
        }
        bool passes = l->kind == LAYER_ACTIVATION || l->kind == LAYER_DROPOUT || l->kind == LAYER_FLATTEN ||
                      l->kind == LAYER_RESHAPE;
        if (!passes || l->n_inputs != 1) return at;
        at = l->inputs[0];
    }
}

static struct net_layer *append(struct net *n, enum layer_kind kind, const char *name, struct error *err)
{
    char free_name[64];
    int last = n->output;
    snprintf(free_name, sizeof free_name, "%s", name);
    for (int i = 2; net_find(n, free_name) >= 0; i++)
        snprintf(free_name, sizeof free_name, "%s_%d", name, i);
    struct net_layer *l = net_add_layer(n, kind, free_name, err);
    if (!l || net_layer_connect(l, &last, 1, err)) return NULL;
    l->trainable = false;
    n->output = n->n_layers - 1;
    return l;
}

static int append_softmax(struct net *n, struct error *err)
{
    struct net_layer *l = append(n, LAYER_ACTIVATION, "probabilities", err);
    if (!l) return -1;
    l->activation = ACTIVATION_SOFTMAX;
    return net_infer_layer(n, n->output, err);
}

/* One number z becomes two classes: softmax of 0 and z is 1 - sigmoid(z) and sigmoid(z). */
static int append_two_classes(struct net *n, struct error *err)
{
    struct net_layer *l = append(n, LAYER_DENSE, "two_classes", err);
    if (!l) return -1;
    l->units = 2;
    l->activation = ACTIVATION_SOFTMAX;
    if (net_layer_make_weights(l, err) || net_alloc_weights(n, n->output, err)) return -1;
    n->layers[n->output].weights[0].values[1] = 1;
    return net_infer_layer(n, n->output, err);
}

int net_make_probabilities(struct net *n, enum net_ending *ending, struct error *err)
{
    enum activation_kind activation;
    int at = scores_of(n, &activation);
    struct net_layer *l = &n->layers[at];
    bool one = n->layers[n->output].output.rank == 1 && n->layers[n->output].output.dim[0] == 1;
    *ending = NET_ENDS_IN_PROBABILITIES;
    if (activation == ACTIVATION_SOFTMAX && !one) return 0;
    if (activation == ACTIVATION_SIGMOID && !one) {
        *ending = NET_ENDS_IN_SIGMOIDS;
        return 0;
    }
    bool scores = l->kind == LAYER_DENSE || l->kind == LAYER_CONV2D || l->kind == LAYER_SCALE ||
                  l->kind == LAYER_RESCALING;
    if (activation == ACTIVATION_SIGMOID || (activation == ACTIVATION_LINEAR && scores)) {
        *ending = one ? NET_ENDS_IN_ONE : NET_ENDS_IN_LOGITS;
        l->activation = ACTIVATION_LINEAR;
        return one ? append_two_classes(n, err) : append_softmax(n, err);
    }
    return error_set(
        err, EX_DATAERR,
        "the network ends in layer '%s' (%s), which gives no scores of classes: train a head on it "
        "(train --base)",
        l->name, activation == ACTIVATION_LINEAR ? layer_kind_name(l->kind) : "an activation");
}

/* --- classes --- */

int net_set_classes(struct net *n, const char *list, struct error *err)
{
    struct net_metadata *m = &n->metadata;
    char *copy = mem_strdup(list, err), *save = NULL, shown[64];
    size_t room = strlen(list) + 1;
    int rc = -1, n_outputs = n->layers[n->output].output.rank == 1 ? n->layers[n->output].output.dim[0] : 0;
    if (!copy) return -1;
    for (int i = 0; i < m->n_classes; i++)
        free(m->classes[i]);
    free(m->classes);
    m->n_classes = 0;
    if (!(m->classes = mem_zalloc(room, sizeof *m->classes, err))) goto out;
    for (char *t = strtok_r(copy, ",", &save); t; t = strtok_r(NULL, ",", &save)) {
        if (!layer_name_ok(t)) {
            error_set(err, EX_USAGE,
                      "--classes: '%s' is not a name: it has control characters or is too long",
                      text_for_people(shown, sizeof shown, t));
            goto out;
        }
        for (int i = 0; i < m->n_classes; i++)
            if (strcmp(m->classes[i], t) == 0) {
                error_set(err, EX_USAGE, "--classes: '%s' occurs twice",
                          text_for_people(shown, sizeof shown, t));
                goto out;
            }
        if (!(m->classes[m->n_classes] = mem_strdup(t, err))) goto out;
        m->n_classes++;
    }
    /* one output is the second of two classes */
    rc = m->n_classes == n_outputs || (n_outputs == 1 && m->n_classes == 2)
             ? 0
             : error_set(err, EX_USAGE, "--classes: %d names for %d outputs", m->n_classes, n_outputs);
out:
    free(copy);
    return rc;
}

/* --- input --- */

/* Parses "0.485:0.456:0.406" (or with slashes), or one number for all three channels. */
static int three_numbers(const char *text, double out[3])
{
    char copy[128], *save = NULL;
    int n = 0;
    if (strlen(text) >= sizeof copy) return -1;
    memcpy(copy, text, strlen(text) + 1);
    for (char *t = strtok_r(copy, ":/", &save); t && n < 3; t = strtok_r(NULL, ":/", &save))
        if (!parse_number(t, &out[n++]) || !(out[n - 1] >= -1e30 && out[n - 1] <= 1e30)) return -1;
    if (n == 1) out[1] = out[2] = out[0];
    return (n == 1 || n == 3) && !(save && *save) ? 0 : -1;
}

int net_input_parse(struct net_input *in, const char *text, struct error *err)
{
    static const struct {
        const char *name;
        struct net_input input;
    } presets[] = {
        {"unit", {.range = 1, .mean = {0, 0, 0}, .std = {1, 1, 1}}},
        {"bytes", {.range = 255, .mean = {0, 0, 0}, .std = {1, 1, 1}}},
        {"tf", {.range = 1, .mean = {0.5, 0.5, 0.5}, .std = {0.5, 0.5, 0.5}}},
        {"torch", {.range = 1, .mean = {0.485, 0.456, 0.406}, .std = {0.229, 0.224, 0.225}}},
        {"caffe", {.bgr = true, .range = 255, .mean = {103.939, 116.779, 123.68}, .std = {1, 1, 1}}},
    };
    static const char *const methods[] = {"bilinear", "area", "lanczos", "bicubic", "tfjs"}; /* image.h's */
    char copy[256], *save = NULL, shown[64];
    bool ranged = false;
    *in = presets[0].input;
    if (strlen(text) >= sizeof copy) return error_set(err, EX_USAGE, "--input: too long");
    memcpy(copy, text, strlen(text) + 1);
    for (char *t = strtok_r(copy, ",", &save); t; t = strtok_r(NULL, ",", &save)) {
        char *value = strchr(t, '=');
        uint64_t side;
        int second = 0, end = 0;
        bool ok = false;
        for (size_t i = 0; !value && i < sizeof presets / sizeof *presets; i++)
            if (strcmp(t, presets[i].name) == 0) {
                struct net_input before = *in;
                *in = presets[i].input;
                in->side_px = before.side_px;
                in->first_px = before.first_px;
                in->keep_shape = before.keep_shape;
                memcpy(in->method, before.method, sizeof in->method);
                ok = true;
            }
        if (value) {
            *value++ = 0;
            if (strcmp(t, "resize") == 0) {
                int n = sscanf(value, "%5d%nx%5d%n", &in->first_px, &end, &second, &end);
                ok = n >= 1 && !value[end] && in->first_px >= 1 && (n == 1 || second == in->first_px);
                in->keep_shape = n == 1;
            } else if (strcmp(t, "interpolation") == 0) {
                for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
                    ok |= strcmp(value, methods[i]) == 0;
                snprintf(in->method, sizeof in->method, "%s", value);
            } else if (strcmp(t, "side") == 0 || strcmp(t, "crop") == 0) {
                ok = parse_digits(value, strlen(value), &side) && side >= 1 && side <= 4096;
                in->side_px = ok ? (int)side : 0;
            } else if (strcmp(t, "order") == 0) {
                in->bgr = strcmp(value, "bgr") == 0;
                ok = in->bgr || strcmp(value, "rgb") == 0;
            } else if (strcmp(t, "range") == 0) {
                ok = parse_number(value, &in->range) && (in->range == 1 || in->range == 255);
                ranged = true;
            } else if (strcmp(t, "mean") == 0)
                ok = !three_numbers(value, in->mean);
            else if (strcmp(t, "std") == 0)
                ok = !three_numbers(value, in->std) && in->std[0] > 0 && in->std[1] > 0 && in->std[2] > 0;
        }
        if (!ok)
            return error_set(
                err, EX_USAGE,
                "--input: '%s' is none of unit, bytes, tf, torch, caffe, side=N, resize=N|NxN, crop=N, "
                "interpolation=bilinear|area|lanczos|bicubic|tfjs, order=rgb|bgr, range=1|255, "
                "mean=A[:B:C], std=A[:B:C]",
                text_for_people(shown, sizeof shown, t));
    }
    for (int c = 0; c < 3 && !ranged; c++) /* a mean of 104 means a range of 255 */
        if (in->mean[c] > 1) in->range = 255;
    if (in->first_px && in->side_px > in->first_px)
        return error_set(err, EX_USAGE, "--input: a square of %d cannot be cut from %d", in->side_px,
                         in->first_px);
    return 0;
}

/* Moves the last layer, which has one input, to the position after layer `after`. Layers that read `after`
 * then read the moved layer. */
static void move_after(struct net *n, int after)
{
    int last = n->n_layers - 1, at = after + 1;
    for (int i = 0; i < last; i++)
        for (int k = 0; k < n->layers[i].n_inputs; k++)
            n->layers[i].inputs[k] += n->layers[i].inputs[k] >= at || n->layers[i].inputs[k] == after;
    struct net_layer moved = n->layers[last];
    memmove(&n->layers[at + 1], &n->layers[at], (size_t)(last - at) * sizeof *n->layers);
    n->layers[at] = moved;
    n->output += n->output >= at || n->output == after;
}

/* Inserts a frozen layer after layer `after`. Returns its index, or -1 with err set. */
static int insert(struct net *n, enum layer_kind kind, const char *name, int after, struct error *err)
{
    int output = n->output;
    n->output = after; /* append connects to it */
    struct net_layer *l = append(n, kind, name, err);
    n->output = output;
    if (!l) return -1;
    if (kind == LAYER_CONV2D) {
        l->filters = 3;
        l->use_bias = false;
    }
    if (net_layer_make_weights(l, err) || net_infer_layer(n, n->n_layers - 1, err) ||
        net_alloc_weights(n, n->n_layers - 1, err))
        return -1;
    move_after(n, after);
    return after + 1;
}

int net_set_input(struct net *n, const struct net_input *in, struct error *err)
{
    struct net_metadata *m = &n->metadata;
    bool equal = in->mean[0] == in->mean[1] && in->mean[1] == in->mean[2] && in->std[0] == in->std[1] &&
                 in->std[1] == in->std[2];
    double unit = in->range == 255 ? 1 : 1.0 / 255;
    int at = n->input;
    if (in->side_px && net_infer_shapes(n, in->side_px, in->side_px, err)) return -1;
    if (in->method[0] || in->first_px) {
        char method[sizeof in->method];
        snprintf(method, sizeof method, "%.*s", (int)strcspn(m->resize, "+"), m->resize);
        if (in->method[0]) snprintf(method, sizeof method, "%s", in->method);
        if (!method[0]) snprintf(method, sizeof method, "bilinear");
        if (!in->first_px)
            snprintf(m->resize, sizeof m->resize, "%s", method);
        else
            snprintf(m->resize, sizeof m->resize, in->keep_shape ? "%s+%d" : "%s+%dx%d", method, in->first_px,
                     in->first_px);
    }
    n->input_assumed = false;
    if (equal) {
        m->input_scale = unit / in->std[0];
        m->input_offset = -in->mean[0] / in->std[0];
    } else {
        m->input_scale = unit;
        m->input_offset = 0;
    }
    if (n->layers[at].output.rank != 3 || n->layers[at].output.dim[2] != 3)
        return in->bgr || !equal
                   ? error_set(err, EX_DATAERR, "--input: the network does not take three channels")
                   : 0;
    if (in->bgr) {
        if ((at = insert(n, LAYER_CONV2D, "input_bgr", at, err)) < 0) return -1;
        for (int c = 0; c < 3; c++)
            n->layers[at].weights[0].values[(2 - c) * 3 + c] = 1;
    }
    if (!equal) { /* mean and std are in the network's order of channels */
        if ((at = insert(n, LAYER_SCALE, "input_scale", at, err)) < 0) return -1;
        for (int c = 0; c < 3; c++) {
            n->layers[at].weights[0].values[c] = (float)(1 / in->std[c]);
            n->layers[at].weights[1].values[c] = (float)(-in->mean[c] / in->std[c]);
        }
    }
    m->model_id[0] = 0;
    return 0;
}
