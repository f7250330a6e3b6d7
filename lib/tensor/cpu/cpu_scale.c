/* cpu_scale.c: products of two tensors (the gates of squeeze and excite are a vector for each picture),
 * and scales and shifts that learn. */
#include <string.h>

#include "tensor/cpu/cpu_view.h"

enum { LANES = 16 }; /* channels that are summed together, in double */

static bool is_vector(const struct op_desc *d) { return d->x[1].h == 1 && d->x[1].w == 1; }

static const float *factor_at(const struct view *f, bool vector, int n, int block, int y, int x)
{
    return vector ? at(f, n, block, 0, 0) : at(f, n, block, y, x);
}

void cpu_product_forward(struct backend *b, const struct op_desc *d, const struct op_io *io)
{
    struct view in = view_of(b, &io->x[0], &d->x[0]), f = view_of(b, &io->x[1], &d->x[1]);
    struct view out = view_of(b, &io->y, &d->y);
    bool vector = is_vector(d);
    EACH_ROW(in, {
        for (int x = 0; x < in.w; x++)
            b->k->multiply(at(&out, n, block, y, x), at(&in, n, block, y, x),
                           factor_at(&f, vector, n, block, y, x), (size_t)in.inner);
    });
}

/* For one block of one picture: adds the sums over its pixels of dy * x
 * (dots) and of dy to `inner` doubles. */
static void add_sums(const struct view *dy, const struct view *in, int n, int block, double *dots,
                     double *sums)
{
    size_t plane = (size_t)dy->h * (size_t)dy->w;
    for (int first = 0; first < dy->inner; first += LANES) {
        int some = dy->inner - first < LANES ? dy->inner - first : LANES;
        double dot[LANES] = {0}, sum[LANES] = {0};
        for (size_t i = 0; i < plane; i++) {
            const float *g = pixel_of(dy, i, n, block) + first, *v = pixel_of(in, i, n, block) + first;
            for (int c = 0; c < some; c++) {
                dot[c] += (double)g[c] * v[c];
                sum[c] += g[c];
            }
        }
        for (int c = 0; c < some; c++) {
            dots[first + c] += dot[c];
            if (sums) sums[first + c] += sum[c];
        }
    }
}

static void put(float *to, float v, bool accumulate) { *to = accumulate ? *to + v : v; }

static void vector_gradient(struct backend *b, const struct view *dy, const struct view *in,
                            const struct view *df, bool accumulate)
{
    EACH_PLANE(*df, {
        for (int first = 0; first < df->inner; first += LANES) {
            double dots[LANES] = {0};
            struct view g = *dy, v = *in;
            g.p += first;
            v.p += first;
            g.inner = df->inner - first < LANES ? df->inner - first : LANES;
            add_sums(&g, &v, n, block, dots, NULL);
            for (int c = 0; c < g.inner; c++)
                put(at(df, n, block, 0, 0) + first + c, (float)dots[c], accumulate);
        }
    });
}

void cpu_product_backward(struct backend *b, const struct op_desc *d, const struct op_io *io)
{
    struct view in = view_of(b, &io->x[0], &d->x[0]), f = view_of(b, &io->x[1], &d->x[1]);
    struct view dy = view_of(b, &io->dy, &d->y), dx = view_of(b, &io->dx[0], &d->x[0]);
    struct view df = view_of(b, &io->dx[1], &d->x[1]);
    bool vector = is_vector(d), add_x = io->accumulate[0], add_f = io->accumulate[1];
    if (df.p && vector) vector_gradient(b, &dy, &in, &df, add_f);
    EACH_ROW(dy, {
        for (int x = 0; x < dy.w; x++) {
            const float *g = at(&dy, n, block, y, x);
            const float *v = at(&in, n, block, y, x);
            const float *factor = factor_at(&f, vector, n, block, y, x);
            float *to_f = df.p && !vector ? at(&df, n, block, y, x) : NULL;
            float *to_x = dx.p ? at(&dx, n, block, y, x) : NULL;
            for (int c = 0; to_f && c < dy.inner; c++)
                put(&to_f[c], g[c] * v[c], add_f);
            for (int c = 0; to_x && c < dy.inner; c++)
                put(&to_x[c], g[c] * factor[c], add_x);
        }
    });
}

/* --- scales --- */

/* Workspace: sums of dy * x and of dy as doubles, one each for a channel; or scale and shift as floats. */
size_t cpu_scale_workspace_bytes(const struct op_desc *d)
{
    return page_aligned(2 * (size_t)d->y.c * sizeof(double));
}

static void spread(float *to, const struct slot *from, int n, int c, float absent)
{
    const float *values = slot_at(from);
    for (int i = 0; i < c; i++)
        to[i] = n == 0 ? absent : values[n > 1 ? i : 0];
}

void cpu_scale_forward(struct backend *b, const struct op_desc *d, const struct op_io *io, float *workspace)
{
    struct view in = view_of(b, &io->x[0], &d->x[0]), out = view_of(b, &io->y, &d->y);
    float *scale = workspace, *shift = workspace + d->y.c;
    spread(scale, &io->w, d->scale_c, d->y.c, 1);
    spread(shift, &io->bias, d->bias_c, d->y.c, 0);
    EACH_ROW(in, {
        size_t c0 = (size_t)block * (size_t)in.inner;
        b->k->affine(at(&in, n, block, y, 0), in.px_stride, at(&out, n, block, y, 0), out.px_stride,
                     (size_t)in.w, in.inner, scale + c0, shift + c0, act_of(d));
    });
}

static void give(const struct slot *to, int n, const double *sums, int c)
{
    float *out = slot_at(to);
    double all = 0;
    if (!out || n == 0) return;
    for (int i = 0; i < c; i++) {
        all += sums[i];
        if (n > 1) out[i] = (float)sums[i];
    }
    if (n == 1) out[0] = (float)all;
}

void cpu_scale_backward(struct backend *b, const struct op_desc *d, const struct op_io *io, float *workspace)
{
    struct view in = view_of(b, &io->x[0], &d->x[0]), dy = view_of(b, &io->dy, &d->y);
    struct view dx = view_of(b, &io->dx[0], &d->x[0]);
    double *dots = (double *)(void *)workspace, *sums = dots + d->y.c;
    const float *w = slot_at(&io->w);
    bool accumulate = io->accumulate[0];
    int scale_c = d->scale_c;
    memset(dots, 0, 2 * (size_t)d->y.c * sizeof *dots);
    for (int n = 0; n < dy.n; n++)
        for (int block = 0; block < dy.blocks; block++)
            add_sums(&dy, &in, n, block, dots + block * dy.inner, sums + block * dy.inner);
    give(&io->dw, d->scale_c, dots, d->y.c);
    give(&io->dbias, d->bias_c, sums, d->y.c);
    if (!dx.p) return;
    EACH_ROW(dy, {
        for (int x = 0; x < dy.w; x++) {
            const float *g = at(&dy, n, block, y, x);
            float *to = at(&dx, n, block, y, x);
            for (int c = 0; c < dy.inner; c++)
                put(&to[c], g[c] * (scale_c == 0 ? 1 : w[scale_c > 1 ? block * dy.inner + c : 0]),
                    accumulate);
        }
    });
}
