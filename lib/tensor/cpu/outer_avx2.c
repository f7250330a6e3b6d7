/* outer_avx2.c: the loops of outer.h: 12 sums of 8 floats stay in registers. */
#include <string.h>

#include "tensor/cpu/outer.h"

#ifdef __x86_64__
#pragma GCC target("avx2,fma")
#include "tensor/cpu/simd_avx2.h"
#define OUTERS(V) OUTER(4, V)
#define CALL(V) outer_4x##V(p, from, to, column, n_columns - column)
#include "tensor/cpu/outer_body.h"

const struct outer_kernels *outer_avx2(void) { return kernels_avx2() ? &table : NULL; }
#else
const struct outer_kernels *outer_avx2(void) { return NULL; }
#endif
