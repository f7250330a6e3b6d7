/*
 * kernels_body.h: the loops themselves, included once by each kernels_<isa>.c, which sets the target and
 * defines KERNELS_ISA. They are written for the compiler's vectoriser. The order of operations is fixed, so
 * the bits depend on the instruction set only.
 */
#include <math.h>
#include <string.h>

#include "tensor/backend.h"
#include "tensor/cpu/kernels.h"

/* Number of floats that are added before the sum is added to a double, which limits rounding errors on
 * large maps. */
#define PIXELS_PER_SUM 64

/* Applies an activation to an expression. It is a macro, so that the compiler makes a separate vector loop
 * for each kind of activation. */
#define WITH_ACTIVATION(act, LOOP)                                                                           \
    switch ((act).kind) {                                                                                    \
    case OP_RELU: LOOP(RELU_OF, RELU_MASK) break;                                                            \
    case OP_RELU_CAPPED: LOOP(CAPPED_OF, CAPPED_MASK) break;                                                 \
    case OP_SIGMOID: LOOP(SIGMOID_OF, SIGMOID_MASK) break;                                                   \
    default: LOOP(LINEAR_OF, LINEAR_MASK) break;                                                             \
    }
#define RELU_OF(v) ((v) < 0 ? 0.0f : (v)) /* NaN stays NaN */
#define CAPPED_OF(v) ((v) < 0 ? 0.0f : (v) > act.max ? act.max : (v))
#define SIGMOID_OF(v) (1.0f / (1.0f + expf(-(v))))
#define LINEAR_OF(v) (v)
/* the gradient before the activation, whose input was v */
#define RELU_MASK(v, g) ((v) > 0 ? (g) : 0.0f)
#define CAPPED_MASK(v, g) ((v) > 0 && (v) < act.max ? (g) : 0.0f)
#define SIGMOID_MASK(v, g) ((g)*SIGMOID_OF(v) * (1.0f - SIGMOID_OF(v)))
#define LINEAR_MASK(v, g) ((void)(v), (g))

static void moments(const float *restrict x, size_t stride, size_t n_pixels, int n_c,
                    const float *restrict shift, double *restrict sum, double *restrict square,
                    float *restrict scratch)
{
    float *restrict s = scratch, *restrict q = scratch + n_c;
    for (size_t first = 0; first < n_pixels; first += PIXELS_PER_SUM) {
        size_t last = first + PIXELS_PER_SUM < n_pixels ? first + PIXELS_PER_SUM : n_pixels, i = first;
        memset(scratch, 0, 2 * (size_t)n_c * sizeof(float));
        for (; i + 4 <= last; i += 4) {
            const float *a = x + i * stride, *b = a + stride, *c = b + stride, *d = c + stride;
            for (int k = 0; k < n_c; k++) {
                float u = a[k] - shift[k], v = b[k] - shift[k], w = c[k] - shift[k], z = d[k] - shift[k];
                s[k] += (u + v) + (w + z);
                q[k] += (u * u + v * v) + (w * w + z * z);
            }
        }
        for (; i < last; i++)
            for (int k = 0; k < n_c; k++) {
                float u = x[i * stride + (size_t)k] - shift[k];
                s[k] += u;
                q[k] += u * u;
            }
        for (int k = 0; k < n_c; k++) {
            sum[k] += s[k];
            square[k] += q[k];
        }
    }
}

static void affine(const float *restrict x, size_t x_stride, float *restrict y, size_t y_stride,
                   size_t n_pixels, int n_c, const float *restrict scale, const float *restrict offset,
                   struct act act)
{
#define LOOP(OF, MASK)                                                                                       \
    for (size_t i = 0; i < n_pixels; i++, x += x_stride, y += y_stride)                                      \
        for (int k = 0; k < n_c; k++) {                                                                      \
            float v = x[k] * scale[k] + offset[k];                                                           \
            y[k] = OF(v);                                                                                    \
        }
    WITH_ACTIVATION(act, LOOP)
#undef LOOP
}

static void norm_sums(const float *restrict x, size_t x_stride, const float *restrict dy, size_t dy_stride,
                      size_t n_pixels, int n_c, const float *restrict scale, const float *restrict offset,
                      const float *restrict mean, struct act act, double *restrict sum, double *restrict dot,
                      float *restrict scratch)
{
    float *restrict s = scratch, *restrict q = scratch + n_c;
    for (size_t first = 0; first < n_pixels; first += PIXELS_PER_SUM) {
        size_t last = first + PIXELS_PER_SUM < n_pixels ? first + PIXELS_PER_SUM : n_pixels, i = first;
        memset(scratch, 0, 2 * (size_t)n_c * sizeof(float));
#define LOOP(OF, MASK)                                                                                       \
    for (; i + 2 <= last; i += 2) {                                                                          \
        const float *a = x + i * x_stride, *b = a + x_stride, *e = dy + i * dy_stride, *f = e + dy_stride;   \
        for (int k = 0; k < n_c; k++) {                                                                      \
            float u = a[k] * scale[k] + offset[k], v = b[k] * scale[k] + offset[k];                          \
            float g = MASK(u, e[k]), h = MASK(v, f[k]);                                                      \
            s[k] += g + h;                                                                                   \
            q[k] += g * (a[k] - mean[k]) + h * (b[k] - mean[k]);                                             \
        }                                                                                                    \
    }                                                                                                        \
    for (; i < last; i++)                                                                                    \
        for (int k = 0; k < n_c; k++) {                                                                      \
            float a = x[i * x_stride + (size_t)k], u = a * scale[k] + offset[k];                             \
            float g = MASK(u, dy[i * dy_stride + (size_t)k]);                                                \
            s[k] += g;                                                                                       \
            q[k] += g * (a - mean[k]);                                                                       \
        }
        WITH_ACTIVATION(act, LOOP)
#undef LOOP
        for (int k = 0; k < n_c; k++) {
            sum[k] += s[k];
            dot[k] += q[k];
        }
    }
}

static void norm_input(const float *restrict x, size_t x_stride, const float *restrict dy, size_t dy_stride,
                       float *restrict dx, size_t dx_stride, size_t n_pixels, int n_c,
                       const float *restrict scale, const float *restrict offset, const float *restrict a,
                       const float *restrict b, const float *restrict c0, struct act act, int accumulate)
{
#define LOOP(OF, MASK)                                                                                       \
    for (size_t i = 0; i < n_pixels; i++, x += x_stride, dy += dy_stride, dx += dx_stride)                   \
        if (accumulate)                                                                                      \
            for (int k = 0; k < n_c; k++) {                                                                  \
                float v = x[k] * scale[k] + offset[k];                                                       \
                dx[k] += a[k] * MASK(v, dy[k]) + (b[k] * x[k] + c0[k]);                                      \
            }                                                                                                \
        else                                                                                                 \
            for (int k = 0; k < n_c; k++) {                                                                  \
                float v = x[k] * scale[k] + offset[k];                                                       \
                dx[k] = a[k] * MASK(v, dy[k]) + (b[k] * x[k] + c0[k]);                                       \
            }
    WITH_ACTIVATION(act, LOOP)
#undef LOOP
}

/* As many floats as fit into a register, at any address. */
#if defined __AVX512F__
enum { N_LANES = 16 };
#elif defined __AVX2__
enum { N_LANES = 8 };
#else
enum { N_LANES = 4 };
#endif
typedef float lanes __attribute__((vector_size(4 * N_LANES)));
typedef float lanes_at __attribute__((vector_size(4 * N_LANES), aligned(4), may_alias));
typedef int32_t bits __attribute__((vector_size(4 * N_LANES)));

static inline lanes load(const float *p) { return *(const lanes_at *)p; }
static inline void store(float *p, lanes v) { *(lanes_at *)p = v; }
static inline bits chosen(bits mask, bits a, bits b) { return (mask & a) | (~mask & b); }

/*
 * Pools. The values of an output stay in registers while its window is read. So each input is read from the
 * cache once, and each output is written once. The last channels, when they do not fill a register, are
 * computed one by one. Nearly all windows are 3 x 3; for these the loops have a constant length.
 */
#define INLINE static inline __attribute__((always_inline))
#define BY_WINDOW(OF)                                                                                        \
    do {                                                                                                     \
        if (w->n_rows == 3 && w->n_cols == 3)                                                                \
            OF(3, 3);                                                                                        \
        else                                                                                                 \
            OF(w->n_rows, w->n_cols);                                                                        \
    } while (0)

INLINE lanes largest(const float *x, size_t row_stride, size_t px_stride, int n_rows, int n_cols)
{
    lanes best = load(x);
#pragma GCC unroll 3
    for (int r = 0; r < n_rows; r++)
#pragma GCC unroll 3
        for (int s = 0; s < n_cols; s++) {
            lanes v = load(x + (size_t)r * row_stride + (size_t)s * px_stride);
            /* NOLINT(misc-redundant-expression): not a number */
            best = (lanes)chosen((bits)(v > best) | (bits)(v != v), (bits)v, (bits)best);
        }
    return best;
}

INLINE lanes largest_at(const float *x, size_t row_stride, size_t px_stride, int n_rows, int n_cols,
                        int first_tap, int tap_stride, uint8_t *winner)
{
    lanes best = load(x);
    bits tap = (bits){0} + first_tap;
    for (int r = 0; r < n_rows; r++)
        for (int s = 0; s < n_cols; s++) {
            lanes v = load(x + (size_t)r * row_stride + (size_t)s * px_stride);
            /* NOLINT(misc-redundant-expression): not a number */
            bits wins = (bits)(v > best) | (bits)(v != v);
            best = (lanes)chosen(wins, (bits)v, (bits)best);
            tap = chosen(wins, (bits){0} + (first_tap + r * tap_stride + s), tap);
        }
    for (int k = 0; k < N_LANES; k++)
        winner[k] = (uint8_t)tap[k];
    return best;
}

INLINE void max_window(float *y, uint8_t *winner, const float *x, const struct windows *w, int n_rows,
                       int n_cols)
{
    int c = 0;
    if (winner)
        for (; c + N_LANES <= w->n_c; c += N_LANES)
            store(y + c, largest_at(x + c, w->row_stride, w->px_stride, n_rows, n_cols, w->first_tap,
                                    w->tap_stride, winner + c));
    for (; c + N_LANES <= w->n_c; c += N_LANES)
        store(y + c, largest(x + c, w->row_stride, w->px_stride, n_rows, n_cols));
    for (; c < w->n_c; c++) {
        float best = x[c];
        int tap = w->first_tap;
        for (int r = 0; r < n_rows; r++)
            for (int s = 0; s < n_cols; s++) {
                float v = x[(size_t)r * w->row_stride + (size_t)s * w->px_stride + (size_t)c];
                if (v > best || v != v) {
                    best = v;
                    tap = w->first_tap + r * w->tap_stride + s;
                }
            }
        y[c] = best;
        if (winner) winner[c] = (uint8_t)tap;
    }
}

/* For windows with one vector, as in the blocked layout: a simple loop. */
#define EACH_WINDOW(VALUE)                                                                                   \
    do {                                                                                                     \
        for (size_t i = 0; i < w->n; i++)                                                                    \
            store(y + i * w->y_step, VALUE);                                                                 \
    } while (0)

static void max_windows(float *y, uint8_t *winner, const float *x, const struct windows *windows)
{
    const struct windows copy = *windows, *w = &copy; /* nothing that is stored changes it */
#define ONE(ROWS, COLS) EACH_WINDOW(largest(x + i * w->x_step, w->row_stride, w->px_stride, ROWS, COLS))
#define LOOP(ROWS, COLS)                                                                                     \
    for (size_t i = 0; i < w->n; i++)                                                                        \
    max_window(y + i * w->y_step, winner ? winner + i * (size_t)w->n_c : NULL, x + i * w->x_step, w, ROWS,   \
               COLS)
    if (w->n_c == N_LANES && !winner)
        BY_WINDOW(ONE);
    else
        BY_WINDOW(LOOP);
#undef ONE
#undef LOOP
}

INLINE lanes sum_of(const float *x, size_t row_stride, size_t px_stride, int n_rows, int n_cols)
{
    lanes sum = {0};
#pragma GCC unroll 3
    for (int r = 0; r < n_rows; r++)
#pragma GCC unroll 3
        for (int s = 0; s < n_cols; s++)
            sum += load(x + (size_t)r * row_stride + (size_t)s * px_stride);
    return sum;
}

INLINE void sum_window(float *y, const float *x, const struct windows *w, int n_rows, int n_cols)
{
    int c = 0;
    for (; c + N_LANES <= w->n_c; c += N_LANES)
        store(y + c, w->share * sum_of(x + c, w->row_stride, w->px_stride, n_rows, n_cols));
    for (; c < w->n_c; c++) {
        float sum = 0;
        for (int r = 0; r < n_rows; r++)
            for (int s = 0; s < n_cols; s++)
                sum += x[(size_t)r * w->row_stride + (size_t)s * w->px_stride + (size_t)c];
        y[c] = sum * w->share;
    }
}

static void sum_windows(float *y, const float *x, const struct windows *windows)
{
    const struct windows copy = *windows, *w = &copy;
#define ONE(ROWS, COLS)                                                                                      \
    EACH_WINDOW(w->share *sum_of(x + i * w->x_step, w->row_stride, w->px_stride, ROWS, COLS))
#define LOOP(ROWS, COLS)                                                                                     \
    for (size_t i = 0; i < w->n; i++)                                                                        \
    sum_window(y + i * w->y_step, x + i * w->x_step, w, ROWS, COLS)
    if (w->n_c == N_LANES)
        BY_WINDOW(ONE);
    else
        BY_WINDOW(LOOP);
#undef ONE
#undef LOOP
}

static void scatter_equal(float *restrict dx, const float *restrict dy, const uint8_t *restrict at,
                          uint8_t index, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dx[i] += at[i] == index ? dy[i] : 0.0f;
}

static void add(float *restrict y, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
}

static void axpy(float *restrict y, const float *restrict x, size_t n, float a)
{
    for (size_t i = 0; i < n; i++)
        y[i] += a * x[i];
}

static void scale_by(float *restrict y, size_t n, float a)
{
    for (size_t i = 0; i < n; i++)
        y[i] *= a;
}

static void multiply(float *y, const float *x, const float *m, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * m[i];
}

static void activate(float *y, const float *x, size_t n, struct act act)
{
#define LOOP(OF, MASK)                                                                                       \
    for (size_t i = 0; i < n; i++) {                                                                         \
        float v = x[i];                                                                                      \
        y[i] = OF(v);                                                                                        \
    }
    WITH_ACTIVATION(act, LOOP)
#undef LOOP
}

static void silu(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * SIGMOID_OF(x[i]);
}

static void activate_backward(float *restrict dy, const float *restrict y, size_t n, struct act act)
{
    switch (act.kind) {
    case OP_RELU:
        for (size_t i = 0; i < n; i++)
            dy[i] = y[i] > 0 ? dy[i] : 0.0f;
        break;
    case OP_RELU_CAPPED:
        for (size_t i = 0; i < n; i++)
            dy[i] = y[i] > 0 && y[i] < act.max ? dy[i] : 0.0f;
        break;
    case OP_SIGMOID:
        for (size_t i = 0; i < n; i++)
            dy[i] *= y[i] * (1 - y[i]);
        break;
    default: break;
    }
}

static void bias_activate(float *restrict y, const float *restrict bias, size_t n, struct act act)
{
#define LOOP(OF, MASK)                                                                                       \
    for (size_t i = 0; i < n; i++) {                                                                         \
        float v = y[i] + bias[i];                                                                            \
        y[i] = OF(v);                                                                                        \
    }
    WITH_ACTIVATION(act, LOOP)
#undef LOOP
}

/* Computes one tile of a product, with rows x vectors sums in registers. width: the number of floats, when
 * there is a single, shorter vector. */
static inline __attribute__((always_inline)) void product_tile(const int rows, const int vectors,
                                                               size_t width, const float *a, size_t a_stride,
                                                               const float *b, size_t b_stride, size_t n_k,
                                                               float *c, size_t c_stride)
{
    lanes sum[4][4] = {{{0}}}, values[4] = {{0}};
    for (size_t k = 0; k < n_k; k++, b += b_stride) {
        for (int v = 0; v < vectors; v++)
            if (vectors == 1 && width < N_LANES)
                memcpy(values, b, width * sizeof *b);
            else
                values[v] = load(b + v * N_LANES);
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < vectors; v++)
                sum[r][v] += a[(size_t)r * a_stride + k] * values[v];
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++)
            memcpy(c + (size_t)r * c_stride + v * N_LANES, &sum[r][v],
                   (vectors == 1 ? width : N_LANES) * sizeof *c);
}

static void product(const float *a, size_t a_stride, size_t n_rows, const float *b, size_t b_stride,
                    size_t n_k, size_t n_c, float *c, size_t c_stride)
{
#define TILE(ROWS, VECTORS)                                                                                  \
    product_tile(ROWS, VECTORS, width, a, a_stride, b + column, b_stride, n_k, c + column, c_stride)
    for (size_t rows; n_rows; n_rows -= rows, a += rows * a_stride, c += rows * c_stride) {
        rows = n_rows >= 4 ? 4 : 1;
        for (size_t column = 0, width; column < n_c; column += width) {
            size_t left = n_c - column, wide = rows == 4 ? 2 * N_LANES : 4 * N_LANES;
            width = left >= wide ? wide : left < N_LANES ? left : N_LANES;
            if (rows == 4 && width == wide)
                TILE(4, 2);
            else if (rows == 4)
                TILE(4, 1);
            else if (width == wide)
                TILE(1, 4);
            else
                TILE(1, 1);
        }
    }
#undef TILE
}

static void bytes(float *restrict y, const uint8_t *restrict x, size_t n, float scale, float offset)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)x[i] * scale + offset;
}

static double squares(const float *restrict x, size_t n)
{
    double s[16] = {0};
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int k = 0; k < 16; k++)
            s[k] += (double)x[i + (size_t)k] * x[i + (size_t)k];
    for (; i < n; i++)
        s[0] += (double)x[i] * x[i];
    for (int k = 1; k < 16; k++)
        s[0] += s[k];
    return s[0];
}

static void sgd(float *restrict p, const float *restrict g, float *restrict v, size_t n, float rate,
                float momentum, int nesterov)
{
    if (nesterov)
        for (size_t i = 0; i < n; i++) {
            float move = rate * g[i];
            v[i] = momentum * v[i] - move;
            p[i] += momentum * v[i] - move;
        }
    else
        for (size_t i = 0; i < n; i++) {
            v[i] = momentum * v[i] - rate * g[i];
            p[i] += v[i];
        }
}

static void adam(float *restrict p, const float *restrict g, float *restrict m, float *restrict v, size_t n,
                 float rate, float beta1, float beta2, float epsilon)
{
    for (size_t i = 0; i < n; i++) {
        m[i] = beta1 * m[i] + (1 - beta1) * g[i];
        v[i] = beta2 * v[i] + (1 - beta2) * g[i] * g[i];
        p[i] -= rate * m[i] / (sqrtf(v[i]) + epsilon);
    }
}

static const struct kernels table = {
    KERNELS_ISA,       moments,       affine,  norm_sums, norm_input, max_windows, sum_windows,
    scatter_equal,     add,           axpy,    scale_by,  multiply,   activate,    silu,
    activate_backward, bias_activate, product, bytes,     squares,    sgd,         adam,
};
