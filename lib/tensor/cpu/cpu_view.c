/* cpu_view.c: see cpu_view.h. */
#include "tensor/cpu/cpu_view.h"

#include <omp.h>

struct view view_of(const struct backend *b, const struct slot *s, const struct tensor_shape *t)
{
    int inner = block_of(b, t->parent_c);
    size_t plane = (size_t)t->h * (size_t)t->w;
    struct view v = {slot_at(s),         t->n, t->h, t->w, 1, t->c, plane * (size_t)t->parent_c, 0,
                     (size_t)t->parent_c};
    if (inner != t->parent_c) {
        v.blocks = t->c / inner;
        v.inner = inner;
        v.b_stride = plane * (size_t)inner;
        v.px_stride = (size_t)inner;
        v.p = v.p ? v.p + (size_t)(t->first_c / inner) * v.b_stride : NULL;
    } else {
        v.p = v.p ? v.p + t->first_c : NULL;
    }
    return v;
}

void share(size_t total, size_t *first, size_t *last)
{
    size_t t = (size_t)omp_get_thread_num(), n = (size_t)omp_get_num_threads();
    *first = total * t / n;
    *last = total * (t + 1) / n;
}

size_t view_values(const struct view *v)
{
    return (size_t)v->n * (size_t)v->blocks * (size_t)v->h * (size_t)v->w * (size_t)v->inner;
}

/* Number of values below which it is not worth waking other threads. */
#define SMALL_VALUES 65536
int threads_for(const struct backend *b, size_t n_values) { return n_values < SMALL_VALUES ? 1 : b->threads; }
