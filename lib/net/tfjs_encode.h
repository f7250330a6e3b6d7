/* tfjs_encode.h: one tensor as float32, float16 or affinely quantised integers. Used by
 * the writer and by net_requantize. */
#ifndef WINNOW_NET_TFJS_ENCODE_H
#define WINNOW_NET_TFJS_ENCODE_H

#include <stddef.h>
#include <stdint.h>

#include "net/net.h"

struct tensor_encoding {
    enum net_encoding as;
    double scale, min; /* value = q * scale + min, worked out in double, rounded to float32 */
};

/* How this weight is stored in a file with that encoding: kernels as asked, tensors
 * with one dimension as float32. */
struct tensor_encoding tensor_encoding_of(const struct net_weight *w, enum net_encoding wanted);
size_t tensor_encoded_bytes(const struct tensor_encoding *e); /* of one value */
/* Writes n values to out (n * tensor_encoded_bytes), little-endian. */
void tensor_encode(const struct tensor_encoding *e, const float *values, size_t n, void *out);
void tensor_decode(const struct tensor_encoding *e, const void *bytes, size_t n, float *values);

#endif
