/* half.h: IEEE half precision to and from float32, round to nearest even, infinities and NaN kept. */
#ifndef WINNOW_BASE_HALF_H
#define WINNOW_BASE_HALF_H

#include <stddef.h>
#include <stdint.h>

void half_from_float(uint16_t *out, const float *in, size_t n);
void half_to_float(float *out, const uint16_t *in, size_t n);

#endif
