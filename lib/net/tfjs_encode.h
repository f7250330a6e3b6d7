/* tfjs_encode.h: encodes one tensor as float32, float16 or affinely quantised integers. The writer and
 * net_requantize use it. */
#ifndef WINNOW_NET_TFJS_ENCODE_H
#define WINNOW_NET_TFJS_ENCODE_H

#include <stddef.h>
#include <stdint.h>

#include "net/net.h"

struct tensor_encoding {
    enum net_encoding as;
    double scale, min; /* value = q * scale + min, computed in double and rounded to float32 */
};

/* Returns how this weight is stored in a file with the encoding `wanted`: tensors with one dimension are
 * float32, and kernels have that encoding. */
struct tensor_encoding tensor_encoding_of(const struct net_weight *w, enum net_encoding wanted);
size_t tensor_encoded_bytes(const struct tensor_encoding *e); /* of one value */
/* Writes n values to out (n * tensor_encoded_bytes), little-endian. */
void tensor_encode(const struct tensor_encoding *e, const float *values, size_t n, void *out);
void tensor_decode(const struct tensor_encoding *e, const void *bytes, size_t n, float *values);

#endif
