/* cpu_view.h: views that describe a tensor in any layout as runs of adjacent values, and loops over views
 * that divide the work among the threads. The division depends only on the shape and the number of
 * threads. */
#ifndef WINNOW_TENSOR_CPU_VIEW_H
#define WINNOW_TENSOR_CPU_VIEW_H

#include "tensor/cpu/cpu.h"

/* Value (n, block, pixel, i) is p[n*n_stride + block*b_stride + pixel*px_stride + i], i < inner. NHWC is
 * one block with all channels, and NCHW has as many blocks as channels. */
struct view {
    float *p; /* NULL: the slot is absent */
    int n, h, w, blocks, inner;
    size_t n_stride, b_stride, px_stride;
};
struct view view_of(const struct backend *b, const struct slot *s, const struct tensor_shape *t);

static inline float *pixel_of(const struct view *v, size_t pixel, int n, int block)
{
    return v->p + (size_t)n * v->n_stride + (size_t)block * v->b_stride + pixel * v->px_stride;
}
static inline float *at(const struct view *v, int n, int block, int y, int x)
{
    return pixel_of(v, (size_t)y * (size_t)v->w + (size_t)x, n, block);
}

/* Inside a parallel region: sets *first and *last to this thread's part of `total`. */
void share(size_t total, size_t *first, size_t *last);
/* Returns the number of threads for work on n_values values. It is 1 when starting the others would cost more
 * time than they save. */
int threads_for(const struct backend *b, size_t n_values);
size_t view_values(const struct view *v);

/* Runs the body for each row of a tensor, divided among threads. A row is w pixels of one block. The body
 * can use n, block and y. */
#define EACH_ROW(v, ...)                                                                                     \
    do {                                                                                                     \
        const int threads_ = threads_for(b, view_values(&(v)));                                              \
        _Pragma("omp parallel num_threads(threads_)")                                                        \
        {                                                                                                    \
            size_t row_, end_;                                                                               \
            share((size_t)(v).n *(size_t)(v).blocks *(size_t)(v).h, &row_, &end_);                           \
            for (; row_ < end_; row_++) {                                                                    \
                int y = (int)(row_ % (size_t)(v).h),                                                         \
                    block = (int)(row_ / (size_t)(v).h % (size_t)(v).blocks);                                \
                int n = (int)(row_ / (size_t)(v).h / (size_t)(v).blocks);                                    \
                __VA_ARGS__                                                                                  \
            }                                                                                                \
        }                                                                                                    \
    } while (0)

/* Runs the body for each plane. One thread handles a whole block of a picture, for backward passes that
 * write to scattered addresses. */
#define EACH_PLANE(v, ...)                                                                                   \
    do {                                                                                                     \
        const int threads_ = threads_for(b, view_values(&(v)));                                              \
        _Pragma("omp parallel num_threads(threads_)")                                                        \
        {                                                                                                    \
            size_t plane_, end_;                                                                             \
            share((size_t)(v).n *(size_t)(v).blocks, &plane_, &end_);                                        \
            for (; plane_ < end_; plane_++) {                                                                \
                int block = (int)(plane_ % (size_t)(v).blocks), n = (int)(plane_ / (size_t)(v).blocks);      \
                __VA_ARGS__                                                                                  \
            }                                                                                                \
        }                                                                                                    \
    } while (0)

#endif
