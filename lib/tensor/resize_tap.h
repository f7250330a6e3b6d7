/*
 * resize_tap.h: finds the input pixels from which OP_RESIZE interpolates an output pixel, along one axis, for
 * all backends that run on the host. The rule is TensorFlow's: pixel centres at half, no antialiasing.
 */
#ifndef WINNOW_TENSOR_RESIZE_TAP_H
#define WINNOW_TENSOR_RESIZE_TAP_H

#include <math.h>
#include <stdbool.h>

struct resize_tap {
    int a, b;     /* pixels */
    double share; /* weight of b; that of a is 1 - share */
};

/*
 * from_corner: use PyTorch's nearest pixel, which differs from TensorFlow's when the factor is not an
 * integer. It is computed in float, as in onnxruntime.
 */
static inline struct resize_tap resize_tap(int i, int in, int out, bool nearest, bool from_corner)
{
    double at = from_corner ? (double)((float)i / ((float)out / (float)in))
                            : (i + 0.5) * in / out - (nearest ? 0 : 0.5);
    double low = floor(at);
    int a = low < 0 ? 0 : low > in - 1 ? in - 1 : (int)low;
    if (nearest) return (struct resize_tap){a, a, 0};
    return (struct resize_tap){a, low < 0 || a == in - 1 ? a : a + 1, at - low};
}

static inline float resize_mix(float a, float b, double share) { return (float)(a + (b - a) * share); }

#endif
