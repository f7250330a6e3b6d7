/* pdq_kernels.c: the loops of pdq_kernels.h. The same function bodies are inlined into two sets of functions,
 * one for any processor and one for AVX2. */
#include "hash/pdq_kernels.h"

#include <stdbool.h>

#define INLINE static inline __attribute__((always_inline))

typedef float v8 __attribute__((vector_size(32)));

/* The published coefficients as floats. Products and sums go from left to right, in float. */
INLINE float luma_of(const uint8_t *p)
{
    return 0.299f * (float)p[0] + 0.587f * (float)p[1] + 0.114f * (float)p[2];
}

INLINE void luma_body(float *dst, const uint8_t *row, const uint32_t *column, size_t n, unsigned channels)
{
    if (channels == 1 && !column) {
        for (size_t x = 0; x < n; x++)
            dst[x] = (float)row[x];
    } else if (channels == 1) {
        for (size_t x = 0; x < n; x++)
            dst[x] = (float)row[column[x]];
    } else if (!column) {
        for (size_t x = 0; x < n; x++)
            dst[x] = luma_of(row + 3 * x);
    } else {
        for (size_t x = 0; x < n; x++)
            dst[x] = luma_of(row + 3 * (size_t)column[x]);
    }
}

/* Transposes eight rows of eight floats, src_stride apart, to eight columns dst_stride apart. */
INLINE void transpose_8x8(float *dst, size_t dst_stride, const float *src, size_t src_stride)
{
    v8 r[8], a[8], b[8];
    for (int i = 0; i < 8; i++)
        r[i] = *(const v8 *)(src + (size_t)i * src_stride);
    for (int i = 0; i < 8; i += 2) {
        a[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        a[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    for (int i = 0; i < 8; i += 4) {
        b[i] = __builtin_shufflevector(a[i], a[i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
        b[i + 1] = __builtin_shufflevector(a[i], a[i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        b[i + 2] = __builtin_shufflevector(a[i + 1], a[i + 3], 0, 1, 8, 9, 4, 5, 12, 13);
        b[i + 3] = __builtin_shufflevector(a[i + 1], a[i + 3], 2, 3, 10, 11, 6, 7, 14, 15);
    }
    for (int i = 0; i < 4; i++) {
        *(v8 *)(dst + (size_t)i * dst_stride) =
            __builtin_shufflevector(b[i], b[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        *(v8 *)(dst + (size_t)(i + 4) * dst_stride) =
            __builtin_shufflevector(b[i], b[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

INLINE void transpose_in_body(float *block, const float *rows, size_t stride, size_t n)
{
    for (size_t x = 0; x < n; x += 8)
        for (size_t lane = 0; lane < PDQ_BLOCK; lane += 8)
            transpose_8x8(block + x * PDQ_BLOCK + lane, PDQ_BLOCK, rows + lane * stride + x, stride);
}

INLINE void transpose_out_body(float *rows, size_t stride, const float *block, size_t n)
{
    for (size_t x = 0; x < n; x += 8)
        for (size_t lane = 0; lane < PDQ_BLOCK; lane += 8)
            transpose_8x8(rows + lane * stride + x, stride, block + x * PDQ_BLOCK + lane, PDQ_BLOCK);
}

/*
 * Describes when the box filter adds, subtracts and outputs, for all passes. With h = (w + 2) / 2: input x is
 * added. From x = w on, input x - w is then subtracted. From x = h - 1 on there is an output at x - (h - 1):
 * the sum divided by the number of samples in the window. After the last input h - 1 outputs follow, each
 * after one more subtraction. There are n outputs for n inputs (w <= n).
 *
 * A division by a power of two is done as a multiplication by its reciprocal, which gives the same bits. It
 * is worth a branch, because pictures of 512 and 1024 pixels have windows of 4 and 8.
 */
struct divisor {
    float value;
    bool reciprocal;
};

INLINE struct divisor divisor_of(size_t count)
{
    if ((count & (count - 1)) == 0) return (struct divisor){1.0f / (float)count, true};
    return (struct divisor){(float)count, false};
}

INLINE void store_mean(float *out, const v8 *s0, const v8 *s1, struct divisor d)
{
    if (d.reciprocal) {
        *(v8 *)out = *s0 * d.value;
        *(v8 *)(out + 8) = *s1 * d.value;
    } else {
        *(v8 *)out = *s0 / d.value;
        *(v8 *)(out + 8) = *s1 / d.value;
    }
}

#define ADD(x) (s0 += *(const v8 *)(in + (x)*PDQ_BLOCK), s1 += *(const v8 *)(in + (x)*PDQ_BLOCK + 8))
#define SUBTRACT(x) (s0 -= *(const v8 *)(in + (x)*PDQ_BLOCK), s1 -= *(const v8 *)(in + (x)*PDQ_BLOCK + 8))

INLINE void row_box_body(float *out, const float *in, size_t n, size_t w)
{
    size_t lead = (w + 2) / 2 - 1, x, y = 0;
    v8 s0 = {0}, s1 = {0};
    for (x = 0; x < lead; x++)
        ADD(x);
    for (; x < w; x++, y++) {
        ADD(x);
        store_mean(out + y * PDQ_BLOCK, &s0, &s1, divisor_of(x + 1));
    }
    struct divisor full = divisor_of(w);
    if (full.reciprocal) { /* two loops, so that the choice is made outside */
        for (; x < n; x++, y++) {
            ADD(x);
            SUBTRACT(x - w);
            *(v8 *)(out + y * PDQ_BLOCK) = s0 * full.value;
            *(v8 *)(out + y * PDQ_BLOCK + 8) = s1 * full.value;
        }
    } else {
        for (; x < n; x++, y++) {
            ADD(x);
            SUBTRACT(x - w);
            *(v8 *)(out + y * PDQ_BLOCK) = s0 / full.value;
            *(v8 *)(out + y * PDQ_BLOCK + 8) = s1 / full.value;
        }
    }
    for (size_t i = 0; i < lead; i++, y++) {
        SUBTRACT(n - w + i);
        store_mean(out + y * PDQ_BLOCK, &s0, &s1, divisor_of(w - 1 - i));
    }
}

INLINE void row_box_picked_body(float *out, const uint32_t *pick, size_t n_picks, const float *in, size_t n,
                                size_t w)
{
    size_t lead = (w + 2) / 2 - 1, x, y = 0, k = 0;
    v8 s0 = {0}, s1 = {0};
    for (x = 0; x < lead; x++)
        ADD(x);
    for (; x < w; x++, y++) {
        ADD(x);
        for (; k < n_picks && pick[k] == y; k++)
            store_mean(out + k * PDQ_BLOCK, &s0, &s1, divisor_of(x + 1));
    }
    struct divisor full = divisor_of(w);
    while (x < n) { /* up to the next pick without a test inside */
        size_t stop = k < n_picks ? (size_t)pick[k] + lead : n - 1;
        if (stop > n - 1) stop = n - 1;
        for (; x <= stop; x++, y++) {
            ADD(x);
            SUBTRACT(x - w);
        }
        for (; k < n_picks && pick[k] == y - 1; k++)
            store_mean(out + k * PDQ_BLOCK, &s0, &s1, full);
    }
    for (size_t i = 0; i < lead && k < n_picks; i++, y++) {
        SUBTRACT(n - w + i);
        for (; k < n_picks && pick[k] == y; k++)
            store_mean(out + k * PDQ_BLOCK, &s0, &s1, divisor_of(w - 1 - i));
    }
}

INLINE void column_step_body(float *restrict sum, const float *restrict add, const float *restrict drop,
                             float *restrict out, float count, size_t n)
{
    struct divisor d = divisor_of((size_t)count);
    if (add && drop && out && d.reciprocal) {
        for (size_t x = 0; x < n; x += 8) {
            v8 s = *(v8 *)(sum + x) + *(const v8 *)(add + x) - *(const v8 *)(drop + x);
            *(v8 *)(sum + x) = s;
            *(v8 *)(out + x) = s * d.value;
        }
        return;
    }
    if (add && drop && out) {
        for (size_t x = 0; x < n; x += 8) {
            v8 s = *(v8 *)(sum + x) + *(const v8 *)(add + x) - *(const v8 *)(drop + x);
            *(v8 *)(sum + x) = s;
            *(v8 *)(out + x) = s / d.value;
        }
        return;
    }
    for (size_t x = 0; x < n; x += 8) {
        v8 s = *(v8 *)(sum + x);
        if (add) s += *(const v8 *)(add + x);
        if (drop) s -= *(const v8 *)(drop + x);
        *(v8 *)(sum + x) = s;
        if (out) *(v8 *)(out + x) = d.reciprocal ? s * d.value : s / d.value;
    }
}

#define KERNEL_SET(SUFFIX, TARGET)                                                                           \
    TARGET static void luma_##SUFFIX(float *dst, const uint8_t *row, const uint32_t *column, size_t n,       \
                                     unsigned channels)                                                      \
    {                                                                                                        \
        luma_body(dst, row, column, n, channels);                                                            \
    }                                                                                                        \
    TARGET static void transpose_in_##SUFFIX(float *block, const float *rows, size_t stride, size_t n)       \
    {                                                                                                        \
        transpose_in_body(block, rows, stride, n);                                                           \
    }                                                                                                        \
    TARGET static void transpose_out_##SUFFIX(float *rows, size_t stride, const float *block, size_t n)      \
    {                                                                                                        \
        transpose_out_body(rows, stride, block, n);                                                          \
    }                                                                                                        \
    TARGET static void row_box_##SUFFIX(float *out, const float *in, size_t n, size_t w)                     \
    {                                                                                                        \
        row_box_body(out, in, n, w);                                                                         \
    }                                                                                                        \
    TARGET static void row_box_picked_##SUFFIX(float *out, const uint32_t *pick, size_t n_picks,             \
                                               const float *in, size_t n, size_t w)                          \
    {                                                                                                        \
        row_box_picked_body(out, pick, n_picks, in, n, w);                                                   \
    }                                                                                                        \
    TARGET static void column_step_##SUFFIX(float *sum, const float *add, const float *drop, float *out,     \
                                            float count, size_t n)                                           \
    {                                                                                                        \
        column_step_body(sum, add, drop, out, count, n);                                                     \
    }                                                                                                        \
    static const struct pdq_kernels kernels_##SUFFIX = {                                                     \
        luma_##SUFFIX,    transpose_in_##SUFFIX,   transpose_out_##SUFFIX,                                   \
        row_box_##SUFFIX, row_box_picked_##SUFFIX, column_step_##SUFFIX,                                     \
    };

KERNEL_SET(plain, )
#if defined(__x86_64__)
KERNEL_SET(avx2, __attribute__((target("avx2"))))
#endif

const struct pdq_kernels *pdq_kernels_plain(void) { return &kernels_plain; }

const struct pdq_kernels *pdq_kernels(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) return &kernels_avx2;
#endif
    return &kernels_plain;
}
