/*
 * pointwise_avx512.c: 1x1 convolutions over NHWC, forward and for the gradient of the input, where the pixels
 * of pictures are rows of a matrix. (The gradient of the weights uses oneDNN's sgemm; no loop of our own was
 * faster.) For narrow ones (35x35 maps to 48..64 channels) oneDNN 2.6 reaches 60 to 75 % of the multipliers'
 * peak. It also needs a dense output, so that a concatenation has to be copied, and cannot add to a gradient.
 * These loops come within a few percent of the peak, write rows with any stride, and can add to the output.
 *
 * Twenty-four sums of 16 floats stay in registers: R rows by V vectors of columns, R * V = 24. Each step
 * takes V loads of b and R broadcasts of a for 24 multiply-adds. Rows are taken in blocks whose part of a
 * fits into the second-level cache.
 */
#include "tensor/cpu/pointwise.h"

#ifdef __x86_64__
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#include <immintrin.h>

#include "tensor/backend.h"

static inline __m512 activated(__m512 v, struct act act)
{
    const __m512 zero = _mm512_setzero_ps();
    /* max and min give their second operand when one is NaN: so NaN stays */
    if (act.kind == OP_RELU || act.kind == OP_RELU_CAPPED) v = _mm512_max_ps(zero, v);
    if (act.kind == OP_RELU_CAPPED) v = _mm512_min_ps(_mm512_set1_ps(act.max), v);
    return v;
}

/*
 * c[R x 16*V] = act(a[R x n_k] * b[n_k x 16*V] + bias), or += without bias and act. The last rows of a and c
 * may be repeated to fill R; only the first n_rows are stored. The columns of the last vector are stored
 * under a mask.
 */
#define PRODUCT(R, V)                                                                                        \
    static void product_##R##x##V(const float *a, size_t a_stride, int n_rows, const float *b,               \
                                  size_t b_stride, size_t n_k, float *c, size_t c_stride, const float *bias, \
                                  struct act act, int accumulate, __mmask16 mask)                            \
    {                                                                                                        \
        __m512 sum[R][V];                                                                                    \
        const float *row[R];                                                                                 \
        for (int r = 0; r < R; r++) {                                                                        \
            row[r] = a + (size_t)(r < n_rows ? r : n_rows - 1) * a_stride;                                   \
            for (int v = 0; v < V; v++)                                                                      \
                sum[r][v] = _mm512_setzero_ps();                                                             \
        }                                                                                                    \
        for (size_t k = 0; k < n_k; k++, b += b_stride) {                                                    \
            __m512 column[V];                                                                                \
            for (int v = 0; v < V; v++)                                                                      \
                column[v] = _mm512_loadu_ps(b + 16 * v);                                                     \
            for (int r = 0; r < R; r++) {                                                                    \
                __m512 value = _mm512_set1_ps(row[r][k]);                                                    \
                for (int v = 0; v < V; v++)                                                                  \
                    sum[r][v] = _mm512_fmadd_ps(value, column[v], sum[r][v]);                                \
            }                                                                                                \
        }                                                                                                    \
        for (int r = 0; r < R && r < n_rows; r++)                                                            \
            for (int v = 0; v < V; v++) {                                                                    \
                __mmask16 m = v == V - 1 ? mask : (__mmask16)0xffff;                                         \
                float *to = c + (size_t)r * c_stride + 16 * v;                                               \
                __m512 y = sum[r][v];                                                                        \
                if (accumulate)                                                                              \
                    y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(m, to));                                      \
                else if (bias)                                                                               \
                    y = activated(_mm512_add_ps(y, _mm512_maskz_loadu_ps(m, bias + 16 * v)), act);           \
                else                                                                                         \
                    y = activated(y, act);                                                                   \
                _mm512_mask_storeu_ps(to, m, y);                                                             \
            }                                                                                                \
    }
#pragma GCC push_options
#pragma GCC optimize("unroll-loops")
PRODUCT(6, 4)
PRODUCT(8, 3)
PRODUCT(12, 2)
PRODUCT(24, 1)
#pragma GCC pop_options

/* Columns are divided into panels of up to 64, whose width determines the shape of the tile. The last 80
 * columns are divided into 48 and 32, because a panel of 16 is slow. */
static int panel_width(int n_columns, int first)
{
    int left = n_columns - first;
    return left > 64 && left <= 80 ? 48 : left < 64 ? left : 64;
}
static __mmask16 last_mask(int width)
{
    return width % 16 ? (__mmask16)((1u << (width % 16)) - 1) : (__mmask16)0xffff;
}

size_t pointwise_packed_floats(int n_k, int n_columns)
{
    return (size_t)n_k * (size_t)((n_columns + 15) / 16 * 16);
}

void pointwise_pack(float *packed, const float *b, size_t k_stride, size_t column_stride, int n_k,
                    int n_columns)
{
    for (int first = 0, width; first < n_columns; first += width) {
        width = panel_width(n_columns, first);
        int padded = (width + 15) / 16 * 16;
        for (int k = 0; k < n_k; k++, packed += padded)
            for (int c = 0; c < padded; c++)
                packed[c] = c < width ? b[(size_t)k * k_stride + (size_t)(first + c) * column_stride] : 0;
    }
}

/* The number of rows whose part of a fits into the second-level cache together with a panel of b. */
static size_t rows_of_block(int n_k)
{
    size_t rows = (size_t)(192 * 1024 / 4) / (size_t)n_k / 24 * 24;
    return rows < 24 ? 24 : rows > 960 ? 960 : rows;
}

void pointwise_rows(const float *a, size_t a_stride, size_t n_rows, const float *packed, int n_k,
                    int n_columns, float *c, size_t c_stride, const float *bias, struct act act,
                    int accumulate)
{
    size_t block = rows_of_block(n_k);
    for (size_t from = 0; from < n_rows; from += block) {
        size_t to = from + block < n_rows ? from + block : n_rows;
        const float *panel = packed;
        for (int first = 0, width; first < n_columns; first += width) {
            width = panel_width(n_columns, first);
            int vectors = (width + 15) / 16;
            int step = vectors == 4 ? 6 : vectors == 3 ? 8 : vectors == 2 ? 12 : 24;
            __mmask16 mask = last_mask(width);
            const float *bias_here = bias ? bias + first : NULL;
            size_t b_stride = (size_t)vectors * 16;
            for (size_t row = from; row < to; row += (size_t)step) {
                int n = to - row < (size_t)step ? (int)(to - row) : step;
                const float *ar = a + row * a_stride;
                float *cr = c + row * c_stride + first;
                switch (vectors) {
                case 4:
                    product_6x4(ar, a_stride, n, panel, b_stride, (size_t)n_k, cr, c_stride, bias_here, act,
                                accumulate, mask);
                    break;
                case 3:
                    product_8x3(ar, a_stride, n, panel, b_stride, (size_t)n_k, cr, c_stride, bias_here, act,
                                accumulate, mask);
                    break;
                case 2:
                    product_12x2(ar, a_stride, n, panel, b_stride, (size_t)n_k, cr, c_stride, bias_here, act,
                                 accumulate, mask);
                    break;
                default:
                    product_24x1(ar, a_stride, n, panel, b_stride, (size_t)n_k, cr, c_stride, bias_here, act,
                                 accumulate, mask);
                }
            }
            panel += (size_t)n_k * b_stride;
        }
    }
}

#else
#include <assert.h>

size_t pointwise_packed_floats(int n_k, int n_columns) { return 0; }
void pointwise_pack(float *packed, const float *b, size_t k_stride, size_t column_stride, int n_k,
                    int n_columns)
{
    assert(0);
}
void pointwise_rows(const float *a, size_t a_stride, size_t n_rows, const float *packed, int n_k,
                    int n_columns, float *c, size_t c_stride, const float *bias, struct act act,
                    int accumulate)
{
    assert(0);
}
#endif
