/*
 * cpu_conv_direct.c: forward convolutions with constant weights, for any shape, number of channels and
 * layout. The inputs of each output pixel are gathered as a row of a matrix, which is multiplied by Keras'
 * weights [kh,kw,cin,cout] as they are. It is used for shapes for which oneDNN has no direct loop (numbers
 * of channels that are not multiples of 8). Each sum is in the order of the weights, whatever the batch and
 * the number of threads.
 */
#include <omp.h>
#include <string.h>

#include "tensor/cpu/cpu_view.h"

enum { PIXELS = 8 };                         /* pixels that are gathered at a time */
#define SMALL_CONV ((size_t)2 * 1024 * 1024) /* multiply-adds below which one thread is faster */

static size_t gathered(const struct op_desc *d)
{
    return (size_t)d->kernel_h * (size_t)d->kernel_w * (size_t)d->x[0].c;
}

static size_t floats_of_thread(const struct op_desc *d) { return PIXELS * (gathered(d) + (size_t)d->y.c); }

size_t conv_direct_workspace_bytes(const struct backend *b, const struct op_desc *d)
{
    return page_aligned((size_t)b->threads * floats_of_thread(d) * sizeof(float));
}

/* The inputs of one output pixel, [kh,kw,cin], zeros outside the picture. */
static void gather(const struct op_desc *d, const struct view *x, int n, int oy, int ox, float *to)
{
    for (int r = 0; r < d->kernel_h; r++)
        for (int s = 0; s < d->kernel_w; s++, to += d->x[0].c) {
            int iy = oy * d->stride_h - d->pad_top + r * d->dilation_h,
                ix = ox * d->stride_w - d->pad_left + s * d->dilation_w;
            if (iy < 0 || iy >= x->h || ix < 0 || ix >= x->w) {
                memset(to, 0, (size_t)d->x[0].c * sizeof *to);
                continue;
            }
            const float *from = x->p + (size_t)n * x->n_stride + (size_t)(iy * x->w + ix) * x->px_stride;
            for (int k = 0; k < x->blocks; k++)
                for (int i = 0; i < x->inner; i++)
                    to[k * x->inner + i] = from[(size_t)k * x->b_stride + (size_t)i];
        }
}

/* Output channel o reads input channel o / multiplier only. */
static void multiply_depthwise(const struct op_desc *d, const float *row, const float *w, float *sum)
{
    size_t in = (size_t)d->x[0].c, out = (size_t)d->y.c, multiplier = out / in;
    memset(sum, 0, out * sizeof *sum);
    for (int t = 0; t < d->kernel_h * d->kernel_w; t++, row += in)
        for (size_t c = 0; c < in; c++)
            for (size_t o = c * multiplier; o < (c + 1) * multiplier; o++)
                sum[o] += row[c] * w[(size_t)t * out + o];
}

/* Each group of output channels reads its own part of the input channels; w is [kh,kw,cin/groups,cout]. */
static void multiply_grouped(const struct op_desc *d, const float *row, const float *w, float *sum)
{
    size_t groups = (size_t)conv_groups(d), in = (size_t)d->x[0].c / groups, all = (size_t)d->y.c,
           out = all / groups;
    memset(sum, 0, all * sizeof *sum);
    for (int t = 0; t < d->kernel_h * d->kernel_w; t++, w += in * all)
        for (size_t g = 0; g < groups; g++)
            for (size_t c = 0; c < in; c++) {
                float v = *row++;
                for (size_t o = g * out; o < (g + 1) * out; o++)
                    sum[o] += v * w[c * all + o];
            }
}

static void row_of_pixels(const struct backend *b, const struct backend_op *op, const struct view *x,
                          const struct view *y, int n, int oy, float *rows)
{
    const struct op_desc *d = &op->d;
    size_t n_k = gathered(d), n_c = (size_t)d->y.c;
    float *sums = rows + PIXELS * n_k;
    struct act act = act_of(d);
    for (int first = 0; first < y->w; first += PIXELS) {
        int some = y->w - first < PIXELS ? y->w - first : PIXELS;
        for (int i = 0; i < some; i++) {
            gather(d, x, n, oy, first + i, rows + (size_t)i * n_k);
            if (d->kind == OP_DEPTHWISE)
                multiply_depthwise(d, rows + (size_t)i * n_k, op->conv.keras, sums + (size_t)i * n_c);
            else if (conv_groups(d) > 1)
                multiply_grouped(d, rows + (size_t)i * n_k, op->conv.keras, sums + (size_t)i * n_c);
        }
        if (d->kind != OP_DEPTHWISE && conv_groups(d) == 1)
            b->k->product(rows, n_k, (size_t)some, op->conv.keras, n_c, n_k, n_c, sums, n_c);
        for (int i = 0; i < some; i++) {
            float *sum = sums + (size_t)i * n_c;
            float *to = y->p + (size_t)n * y->n_stride + (size_t)(oy * y->w + first + i) * y->px_stride;
            if (d->has_bias)
                b->k->bias_activate(sum, op->bias, n_c, act);
            else
                b->k->activate(sum, sum, n_c, act);
            for (int k = 0; k < y->blocks; k++)
                memcpy(to + (size_t)k * y->b_stride, sum + k * y->inner, (size_t)y->inner * sizeof *to);
        }
    }
}

void conv_direct_forward(struct backend *b, const struct backend_op *op, const struct op_io *io,
                         float *workspace)
{
    const struct op_desc *d = &op->d;
    struct view x = view_of(b, &io->x[0], &d->x[0]), y = view_of(b, &io->y, &d->y);
    size_t work = (size_t)(y.n * y.h * y.w) * gathered(d) * (size_t)d->y.c;
#pragma omp parallel for num_threads(work < SMALL_CONV ? 1 : b->threads) schedule(static)
    for (int row = 0; row < y.n * y.h; row++)
        row_of_pixels(b, op, &x, &y, row / y.h, row % y.h,
                      workspace + (size_t)omp_get_thread_num() * floats_of_thread(d));
}
