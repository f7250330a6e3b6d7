/* kernels_base.c: the loops for any processor. */
#define KERNELS_ISA "baseline"
#include "tensor/cpu/kernels_body.h"

const struct kernels *kernels_base(void) { return &table; }
