/* outer_avx512.c: the loops of outer.h: 24 sums of 16 floats stay in registers. */
#include <string.h>

#include "tensor/cpu/outer.h"

#ifdef __x86_64__
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#include "tensor/cpu/simd_avx512.h"
#define OUTERS(V) OUTER(8, V)
#define CALL(V) outer_8x##V(p, from, to, column, n_columns - column)
#include "tensor/cpu/outer_body.h"

const struct outer_kernels *outer_avx512(void) { return kernels_avx512() ? &table : NULL; }
#else
const struct outer_kernels *outer_avx512(void) { return NULL; }
#endif
