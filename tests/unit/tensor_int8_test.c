/*
 * tensor_int8_test.c: operations on bytes. The loops of every instruction set that this machine has give the
 * bits of the plain ones, at the ends of every range; and the CPU backend's operations give what a direct sum
 * in whole numbers gives, for any batch and number of threads.
 */
/* needs: tensor tensor/ref tensor/cpu dist net hash io base */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "tap.h"
#include "tensor/backend.h"

#if !__has_include(<dnnl.h>)
int main(void)
{
    tap_skip("int8", "built without oneDNN");
    return tap_done();
}
#else
#include "tensor/cpu/int8_kernels.h"

static struct random source;
static int draw(int low, int high) { return low + (int)random_below(&source, (uint64_t)(high - low + 1)); }

/* Every kind of value: the largest, which would saturate 16 bits if weights had 8, none, and any. */
static uint8_t any_byte(int kind) { return (uint8_t)(kind == 0 ? 255 : kind == 1 ? 0 : draw(0, 255)); }
static int8_t any_weight(int kind) { return (int8_t)(kind == 0 ? 64 : kind == 1 ? -64 : draw(-64, 64)); }

/* --- loops --- */

static void test_conv(const struct int8_kernels *k)
{
    const struct int8_kernels *base = int8_kernels_base();
    int n_wrong = 0, n_sums_wrong = 0, n_beyond = 0, n_cases = 0;
    for (int round = 0; round < 400; round++) {
        enum { ROOM = 9600, CHANNELS = 16 * INT8_MOST_BLOCKS, PIXELS = 32 };
        static uint8_t bytes[ROOM + 256], mine[PIXELS * (CHANNELS + 64)], wanted[PIXELS * (CHANNELS + 64)];
        static int8_t weights[INT8_MOST_BLOCKS * 3 * 400 * 64 + INT8_BEYOND];
        static int32_t bias[CHANNELS], sums[PIXELS * CHANNELS], wanted_sums[PIXELS * CHANNELS];
        static float factor[CHANNELS];
        size_t run_at[3];
        const uint8_t *x[PIXELS];
        int blocks = draw(1, k->most_blocks), runs = draw(1, 3),
            steps = draw(0, 49) ? draw(1, 40) : draw(350, 400), kind = draw(0, 3), weight_kind = draw(0, 3),
            n = draw(1, k->most_pixels[blocks]), stride = 16 * blocks + draw(0, 64);
        struct int8_window w = {.weights = weights,
                                .block_bytes = (size_t)runs * (size_t)steps * 64,
                                .run_at = run_at,
                                .n_runs = runs,
                                .n_steps = steps,
                                .n_blocks = blocks,
                                .n_channels = 16 * blocks - draw(0, 15),
                                .bias = bias,
                                .factor = factor,
                                .zero = draw(0, 255)};
        w.low = draw(0, 1) ? 0 : (float)-w.zero;
        w.high = (float)(255 - w.zero);
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = any_byte(kind);
        for (size_t i = 0; i < (size_t)blocks * w.block_bytes + INT8_BEYOND; i++)
            weights[i] = any_weight(weight_kind);
        for (int c = 0; c < CHANNELS; c++) {
            bias[c] = draw(0, 9) ? draw(-100000, 100000) : draw(0, 1) ? 1 << 30 : -(1 << 30);
            factor[c] = (float)exp(random_unit(&source) * 12 - 12);
        }
        for (int r = 0; r < runs; r++)
            run_at[r] = (size_t)draw(0, 4000);
        for (int p = 0; p < n; p++)
            x[p] = bytes + draw(0, 4000);
        memset(mine, 7, sizeof mine);
        memset(wanted, 7, sizeof wanted);
        base->conv(&w, x, n, wanted, (size_t)stride);
        k->conv(&w, x, n, mine, (size_t)stride);
        n_wrong += memcmp(mine, wanted, sizeof mine) != 0;
        for (int p = 0; p < n; p++)
            for (int c = w.n_channels; c < stride; c++)
                n_beyond += mine[p * stride + c] != 7;
        base->conv_sums(&w, x, n, wanted_sums);
        k->conv_sums(&w, x, n, sums);
        n_sums_wrong += memcmp(sums, wanted_sums, (size_t)n * (size_t)blocks * 64) != 0;
        n_cases++;
    }
    CHECK_SAY(!n_wrong, "%s: bytes of %d convolutions, %d differ", k->isa, n_cases, n_wrong);
    CHECK_SAY(!n_sums_wrong, "%s: sums of convolutions, %d differ", k->isa, n_sums_wrong);
    CHECK_SAY(!n_beyond, "%s: %d bytes beyond the channels are written", k->isa, n_beyond);
}

static void test_others(const struct int8_kernels *k)
{
    const struct int8_kernels *base = int8_kernels_base();
    int n_wrong[5] = {0};
    for (int round = 0; round < 200; round++) {
        enum { ROOM = 200 };
        uint8_t x[9][ROOM], mine[ROOM], wanted[ROOM];
        const uint8_t *at[9];
        int16_t weights[9 * ROOM];
        int32_t bias[ROOM], sums[ROOM], wanted_sums[ROOM];
        uint32_t totals[ROOM], wanted_totals[ROOM];
        float factor[ROOM];
        int n = draw(1, ROOM), taps = draw(1, 9), kind = draw(0, 3), zeros[3];
        for (int t = 0; t < 9; t++) {
            at[t] = x[t];
            for (int c = 0; c < ROOM; c++)
                x[t][c] = any_byte(kind);
        }
        for (int c = 0; c < ROOM; c++) {
            bias[c] = draw(-100000, 100000);
            factor[c] = (float)exp(random_unit(&source) * 10 - 10);
            totals[c] = wanted_totals[c] = (uint32_t)draw(0, 10000);
        }
        for (int i = 0; i < 9 * ROOM; i++)
            weights[i] = any_weight(kind);
        base->depthwise(at, taps, weights, bias, n, wanted_sums);
        k->depthwise(at, taps, weights, bias, n, sums);
        n_wrong[0] += memcmp(sums, wanted_sums, (size_t)n * sizeof *sums) != 0;
        int zero = draw(0, 255);
        base->to_bytes(wanted_sums, factor, n, (float)-zero, (float)(255 - zero), zero, wanted);
        k->to_bytes(wanted_sums, factor, n, (float)-zero, (float)(255 - zero), zero, mine);
        n_wrong[1] += memcmp(mine, wanted, (size_t)n) != 0;
        base->max(wanted, x[1], (size_t)n);
        k->max(mine, x[1], (size_t)n);
        n_wrong[2] += memcmp(mine, wanted, (size_t)n) != 0;
        base->max_of(wanted, at, taps, (size_t)n);
        k->max_of(mine, at, taps, (size_t)n);
        n_wrong[2] += memcmp(mine, wanted, (size_t)n) != 0;
        base->sum(wanted_totals, x[2], (size_t)n);
        k->sum(totals, x[2], (size_t)n);
        for (int c = 0; c < n; c++)
            totals[c] %= 255 * 49, wanted_totals[c] %= 255 * 49;
        base->mean(wanted, wanted_totals, (size_t)n, 1.0f / 49);
        k->mean(mine, totals, (size_t)n, 1.0f / 49);
        n_wrong[3] += memcmp(mine, wanted, (size_t)n) != 0;
        base->mean_of(wanted, at, taps, (size_t)n, 1 / (float)taps);
        k->mean_of(mine, at, taps, (size_t)n, 1 / (float)taps);
        n_wrong[3] += memcmp(mine, wanted, (size_t)n) != 0;
        for (int i = 0; i < 3; i++)
            zeros[i] = draw(0, 255);
        const float two[2] = {factor[0] * 20, factor[1] * 20};
        base->add(wanted, x[3], x[4], (size_t)n, two, zeros, (float)-zeros[2], (float)(255 - zeros[2]));
        k->add(mine, x[3], x[4], (size_t)n, two, zeros, (float)-zeros[2], (float)(255 - zeros[2]));
        n_wrong[4] += memcmp(mine, wanted, (size_t)n) != 0;
    }
    static const char *const names[] = {"depthwise sums", "bytes of sums", "max", "mean", "add"};
    for (int i = 0; i < 5; i++)
        CHECK_SAY(!n_wrong[i], "%s: %s, %d of 200 differ", k->isa, names[i], n_wrong[i]);
}

/* --- operations --- */

struct scene {
    const struct backend_table *t;
    struct backend *b;
    struct error err;
};

static struct tensor_shape bytes_of(int n, int h, int w, int c, float scale, int zero)
{
    return (struct tensor_shape){.n = n, .h = h, .w = w, .c = c, .parent_c = c, .scale = scale, .zero = zero};
}

/* Runs one operation on values x[k], which are multiples of the scale; y gets floats. */
static bool run(struct scene *s, struct op_desc *d, float *const *x, const float *w, const float *bias,
                float *y)
{
    struct backend_buffer *buffers[4] = {NULL}, *work = NULL;
    struct backend_op *op = NULL;
    struct op_io io = {.momentum = 0};
    bool fine = !s->t->op_create(s->b, d, &op, &s->err);
    if (fine) fine = !s->t->alloc(s->b, s->t->op_workspace_bytes(op) + 64, &work, &s->err);
    for (int k = 0; fine && k < d->n_x; k++) {
        fine = !s->t->alloc(s->b, s->t->tensor_bytes(s->b, &d->x[k]), &buffers[k], &s->err);
        io.x[k].buffer = buffers[k];
        fine = fine && !s->t->tensor_upload(s->b, io.x[k], &d->x[k], x[k], d->x[k].n, &s->err);
    }
    struct tensor_shape whole = d->y;
    whole.c = whole.parent_c;
    whole.first_c = 0;
    fine = fine && !s->t->alloc(s->b, s->t->tensor_bytes(s->b, &whole), &buffers[3], &s->err);
    io.y.buffer = buffers[3];
    fine = fine && (!w || !s->t->op_load(s->b, op, w, bias, &s->err)) &&
           !s->t->op_forward(s->b, op, &io, (struct slot){work, 0}, &s->err) &&
           !s->t->tensor_download(s->b, io.y, &d->y, y, d->y.n, &s->err);
    if (!fine) printf("# %s\n", s->err.text);
    for (int k = 0; k < 4; k++)
        s->t->free(s->b, buffers[k]);
    s->t->free(s->b, work);
    s->t->op_destroy(s->b, op);
    return fine;
}

/* The sums in whole numbers, straight from the definition, then the same float multiplication. */
static float wanted_conv(const struct op_desc *d, const float *x, const float *w, const float *factor,
                         const float *bias, int n, int y, int xx, int c)
{
    bool depthwise = d->kind == OP_DEPTHWISE;
    int n_in = d->x[0].c, multiplier = d->y.c / n_in;
    long sum = 0;
    for (int r = 0; r < d->kernel_h; r++)
        for (int q = 0; q < d->kernel_w; q++)
            for (int i = depthwise ? c / multiplier : 0; i < (depthwise ? c / multiplier + 1 : n_in); i++) {
                int iy = y * d->stride_h + r * d->dilation_h - d->pad_top,
                    ix = xx * d->stride_w + q * d->dilation_w - d->pad_left;
                if (iy < 0 || ix < 0 || iy >= d->x[0].h || ix >= d->x[0].w) continue;
                long v = lrintf(x[((n * d->x[0].h + iy) * d->x[0].w + ix) * n_in + i] / d->x[0].scale);
                int tap = r * d->kernel_w + q;
                sum += v * lrintf(depthwise ? w[tap * d->y.c + c] : w[(tap * n_in + i) * d->y.c + c]);
            }
    float scale = d->x[0].scale * factor[c];
    sum += lrint((double)bias[c] / (double)scale);
    if (!(d->y.scale > 0)) {
        float v = (float)sum * scale;
        if (d->activation != OP_LINEAR && v < 0) v = 0;
        return d->activation == OP_RELU_CAPPED && v > d->activation_max ? d->activation_max : v;
    }
    long byte = lrintf((float)sum * (scale / d->y.scale)) + d->y.zero;
    long low = d->activation == OP_LINEAR ? 0 : d->y.zero;
    long high = d->activation == OP_RELU_CAPPED ? d->y.zero + lrintf(d->activation_max / d->y.scale) : 255;
    byte = byte < low ? low : byte > high ? high : byte;
    byte = byte > 255 ? 255 : byte;
    return (float)(byte - d->y.zero) * d->y.scale;
}

static const struct {
    enum op_kind kind;
    int n, h, w, c, y_c, kernel_h, kernel_w, stride, dilation, pads[4], x_zero, y_zero;
    enum op_activation activation;
    bool slice, to_float;
} cases[] = {
    {OP_CONV, 1, 9, 9, 3, 32, 3, 3, 2, 1, {0, 0, 0, 0}, 0, 0, OP_RELU, false, false},
    {OP_CONV, 3, 8, 8, 16, 48, 1, 1, 1, 1, {0, 0, 0, 0}, 0, 0, OP_RELU, true, false},
    {OP_CONV, 2, 7, 11, 20, 21, 3, 3, 1, 1, {1, 1, 1, 1}, 5, 131, OP_LINEAR, false, false},
    {OP_CONV, 1, 17, 17, 32, 80, 1, 7, 1, 1, {0, 3, 0, 3}, 128, 0, OP_RELU, true, false},
    {OP_CONV, 1, 17, 17, 32, 80, 7, 1, 1, 1, {3, 0, 3, 0}, 128, 0, OP_RELU_CAPPED, false, false},
    {OP_CONV, 1, 12, 10, 6, 5, 3, 3, 1, 2, {2, 2, 2, 2}, 9, 3, OP_LINEAR, false, false},
    {OP_CONV, 5, 8, 8, 64, 130, 3, 3, 2, 1, {0, 0, 1, 1}, 0, 0, OP_RELU, false, false},
    {OP_CONV, 1, 8, 8, 64, 24, 1, 1, 1, 1, {0, 0, 0, 0}, 0, 0, OP_RELU, false, true},
    {OP_CONV, 1, 3, 3, 8, 16, 5, 5, 1, 1, {2, 2, 2, 2}, 255, 255, OP_LINEAR, false, false},
    {OP_CONV, 1, 40, 40, 4, 16, 1, 1, 1, 1, {0, 0, 0, 0}, 0, 0, OP_RELU, false, false},
    {OP_DEPTHWISE, 2, 9, 9, 21, 21, 3, 3, 1, 1, {1, 1, 1, 1}, 7, 0, OP_RELU, false, false},
    {OP_DEPTHWISE, 1, 9, 9, 16, 32, 3, 3, 2, 1, {0, 0, 1, 1}, 128, 100, OP_LINEAR, false, false},
    {OP_DEPTHWISE, 1, 9, 9, 16, 16, 5, 5, 1, 1, {2, 2, 2, 2}, 0, 0, OP_RELU_CAPPED, false, true},
};

static void fill_multiples(float *x, size_t n, const struct tensor_shape *s)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(draw(0, 255) - s->zero) * s->scale;
}

static void test_convolution(struct scene *s, size_t at, unsigned threads)
{
    int kernel = cases[at].kernel_h * cases[at].kernel_w, y_c = cases[at].y_c, x_c = cases[at].c,
        dilated_h = (cases[at].kernel_h - 1) * cases[at].dilation + 1,
        dilated_w = (cases[at].kernel_w - 1) * cases[at].dilation + 1;
    const int *pads = cases[at].pads;
    int y_h = (cases[at].h + pads[0] + pads[2] - dilated_h) / cases[at].stride + 1,
        y_w = (cases[at].w + pads[1] + pads[3] - dilated_w) / cases[at].stride + 1;
    struct op_desc d = {.kind = cases[at].kind,
                        .name = "it",
                        .n_x = 1,
                        .x = {bytes_of(cases[at].n, cases[at].h, cases[at].w, x_c, 0.03f, cases[at].x_zero)},
                        .y = bytes_of(cases[at].n, y_h, y_w, y_c, cases[at].to_float ? 0 : 0.11f,
                                      cases[at].to_float ? 0 : cases[at].y_zero),
                        .kernel_h = cases[at].kernel_h,
                        .kernel_w = cases[at].kernel_w,
                        .stride_h = cases[at].stride,
                        .stride_w = cases[at].stride,
                        .dilation_h = cases[at].dilation,
                        .dilation_w = cases[at].dilation,
                        .pad_top = pads[0],
                        .pad_left = pads[1],
                        .pad_bottom = pads[2],
                        .pad_right = pads[3],
                        .activation = cases[at].activation,
                        .activation_max = 6,
                        .has_bias = true,
                        .constant_weights = true,
                        .whole_weights = true};
    if (cases[at].slice) {
        d.y.parent_c = y_c + 19;
        d.y.first_c = 5;
    }
    source = random_start(1, at, 9);
    size_t n_x = shape_values(&d.x[0]), n_y = shape_values(&d.y),
           n_w = (size_t)kernel * (size_t)(d.kind == OP_CONV ? x_c : 1) * (size_t)y_c;
    float *x = malloc(n_x * sizeof *x), *w = malloc(n_w * sizeof *w), *y = malloc(n_y * sizeof *y),
          *bias = malloc(2 * (size_t)y_c * sizeof *bias);
    fill_multiples(x, n_x, &d.x[0]);
    for (size_t i = 0; i < n_w; i++)
        w[i] = (float)draw(-64, 64);
    for (int c = 0; c < y_c; c++) {
        bias[c] = (float)(0.0005 + 0.004 * random_unit(&source));
        bias[y_c + c] = (float)(6 * random_unit(&source) - 3);
    }
    bool ran = run(s, &d, &x, w, bias, y);
    size_t wrong = 0, i = 0;
    for (int n = 0; ran && n < d.y.n; n++)
        for (int yy = 0; yy < y_h; yy++)
            for (int xx = 0; xx < y_w; xx++)
                for (int c = 0; c < y_c; c++, i++) {
                    float wanted = wanted_conv(&d, x, w, bias, bias + y_c, n, yy, xx, c);
                    wrong += y[i] != wanted;
                }
    CHECK_SAY(ran && !wrong, "%s %zu with %u threads: %zu of %zu values differ",
              d.kind == OP_CONV ? "convolution" : "depthwise", at, threads, wrong, n_y);
    free(x);
    free(w);
    free(y);
    free(bias);
}

static void test_layers(struct scene *s)
{
    float x[2][2 * 6 * 6 * 19], y[2 * 6 * 6 * 38], *both[2] = {x[0], x[1]};
    struct tensor_shape in = bytes_of(2, 6, 6, 19, 0.05f, 40);
    struct op_desc d = {.kind = OP_ADD,
                        .n_x = 2,
                        .x = {in, bytes_of(2, 6, 6, 19, 0.02f, 200)},
                        .y = bytes_of(2, 6, 6, 19, 0.07f, 90)};
    size_t n = shape_values(&in), wrong = 0;
    source = random_start(4, 5, 6);
    fill_multiples(x[0], n, &d.x[0]);
    fill_multiples(x[1], n, &d.x[1]);
    bool ran = run(s, &d, both, NULL, NULL, y);
    for (size_t i = 0; ran && i < n; i++) { /* half a step, unless it is cut */
        float wanted = fmaxf(fminf(x[0][i] + x[1][i], 165 * 0.07f), -90 * 0.07f);
        wrong += !(fabsf(y[i] - wanted) <= 0.0351f);
    }
    CHECK_SAY(ran && !wrong, "a sum of two scales: %zu of %zu are off by more than half a step", wrong, n);

    for (int largest = 0; largest < 2; largest++) {
        struct op_desc pool = {.kind = largest ? OP_MAX_POOL : OP_AVERAGE_POOL,
                               .n_x = 1,
                               .x = {in},
                               .y = in,
                               .kernel_h = 3,
                               .kernel_w = 3,
                               .stride_h = 1,
                               .stride_w = 1,
                               .pad_top = 1,
                               .pad_left = 1,
                               .pad_bottom = 1,
                               .pad_right = 1};
        ran = run(s, &pool, both, NULL, NULL, y);
        wrong = 0;
        for (int p = 0; ran && p < 2 * 36; p++)
            for (int c = 0; c < 19; c++) {
                float top = -100, sum = 0;
                int count = 0;
                for (int t = 0; t < 9; t++) {
                    int yy = p % 36 / 6 + t / 3 - 1, xx = p % 6 + t % 3 - 1;
                    if (yy < 0 || yy > 5 || xx < 0 || xx > 5) continue;
                    float v = x[0][((p / 36 * 6 + yy) * 6 + xx) * 19 + c];
                    top = fmaxf(top, v);
                    sum += v;
                    count++;
                }
                wrong +=
                    largest ? y[p * 19 + c] != top : !(fabsf(y[p * 19 + c] - sum / (float)count) <= 0.0251f);
            }
        CHECK_SAY(ran && !wrong, "%s pool with padding: %zu differ", largest ? "max" : "average", wrong);
    }

    struct op_desc mean = {.kind = OP_GLOBAL_AVERAGE_POOL,
                           .n_x = 1,
                           .x = {in},
                           .y = bytes_of(2, 1, 1, 19, 0, 0)};
    ran = run(s, &mean, both, NULL, NULL, y);
    wrong = 0;
    for (int p = 0; ran && p < 2; p++)
        for (int c = 0; c < 19; c++) {
            double sum = 0;
            for (int i = 0; i < 36; i++)
                sum += (double)x[0][(p * 36 + i) * 19 + c];
            wrong += !(fabs((double)y[p * 19 + c] - sum / 36) < 1e-5);
        }
    CHECK_SAY(ran && !wrong, "global average as floats: %zu differ", wrong);

    /* Bytes of two scales and floats, side by side, as bytes and as floats. */
    for (int to_float = 0; to_float < 2; to_float++) {
        struct op_desc join = {.kind = OP_CONCAT,
                               .n_x = 2,
                               .x = {in, bytes_of(2, 6, 6, 19, 0, 0)},
                               .y = bytes_of(2, 6, 6, 38, to_float ? 0 : 0.05f, to_float ? 0 : 40),
                               .first_c = {0, 19}};
        ran = run(s, &join, both, NULL, NULL, y);
        wrong = 0;
        for (int p = 0; ran && p < 72; p++)
            for (int c = 0; c < 38; c++) {
                float v = c < 19 ? x[0][p * 19 + c] : x[1][p * 19 + c - 19];
                float wanted = to_float ? v : fmaxf(fminf(v, 215 * 0.05f), -40 * 0.05f);
                wrong += !(fabsf(y[p * 38 + c] - wanted) <= (to_float || c < 19 ? 1e-6f : 0.0251f));
            }
        CHECK_SAY(ran && !wrong, "side by side as %s: %zu differ", to_float ? "floats" : "bytes", wrong);
    }
    struct op_desc no_form = {.kind = OP_SOFTMAX, .n_x = 1, .x = {in}, .y = in};
    struct backend_op *op = NULL;
    CHECK(s->t->op_create(s->b, &no_form, &op, &s->err) && s->err.code == EX_UNAVAILABLE);
}

int main(void)
{
    source = random_start(1, 2, 3);
    for (int i = 0; int8_kernels_at(i); i++) {
        test_conv(int8_kernels_at(i));
        test_others(int8_kernels_at(i));
    }
    for (unsigned threads = 1; threads <= 3; threads += 2) {
        struct scene s = {.b = NULL};
        struct backend_options o = {.threads = threads, .deterministic = true};
        if (backend_open("cpu", &o, &s.t, &s.b, &s.err)) {
            CHECK_SAY(false, "the CPU backend: %s", s.err.text);
            break;
        }
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            test_convolution(&s, i, threads);
        test_layers(&s);
        s.t->close(s.b);
    }
    return tap_done();
}
#endif
