/* pointwise.h: 1x1 convolutions over NHWC on processors with AVX-512 (others use cpu_conv_tiled.c or
 * oneDNN). Strides are in floats. Nothing here starts threads: callers divide the rows. */
#ifndef WINNOW_TENSOR_CPU_POINTWISE_H
#define WINNOW_TENSOR_CPU_POINTWISE_H

#include "tensor/cpu/kernels.h"

/* The right-hand matrix [n_k x n_columns] as pointwise_rows reads it:
 * b[k*k_stride + column*column_stride]. */
size_t pointwise_packed_floats(int n_k, int n_columns);
void pointwise_pack(float *packed, const float *b, size_t k_stride, size_t column_stride, int n_k,
                    int n_columns);

/* c[n_rows x n_columns] = act(a * packed + bias), where bias may be NULL. With accumulate c += a * packed,
 * without bias and act. Not for OP_SIGMOID. */
void pointwise_rows(const float *a, size_t a_stride, size_t n_rows, const float *packed, int n_k,
                    int n_columns, float *c, size_t c_stride, const float *bias, struct act act,
                    int accumulate);

#endif
