/* tfjs_encode.c: encodes and decodes the values of stored weights. */
#include <math.h>
#include <string.h>

#include "net/net_int8.h"
#include "net/tfjs_encode.h"

/* Converts IEEE single to half precision, rounded to nearest even. Values that are too large become infinity,
 * as with numpy's astype. */
static uint16_t float_to_half(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude >= 0x7f800000) return (uint16_t)(sign | 0x7c00 | (magnitude > 0x7f800000 ? 0x200 : 0));
    if (magnitude >= 0x477ff000) /* 65520 and up round to infinity */
        return (uint16_t)(sign | 0x7c00);
    /* Below 2^-14: a multiple of 2^-24, exact in double. */
    if (magnitude < 0x38800000) {
        double units = fabs((double)value) * 0x1p24;
        return (uint16_t)(sign | (uint16_t)nearbyint(units));
    }
    uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
    return (uint16_t)(sign | (uint16_t)((rounded - 0x38000000) >> 13));
}

/* Converts IEEE half to single precision, which is exact. */
static float half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31, fraction = h & 1023, bits;
    if (exponent == 0) {
        float value = (float)fraction * 0x1p-24f; /* zero and subnormals */
        return sign ? -value : value;
    }
    bits = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | fraction << 13;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

struct tensor_encoding tensor_encoding_of(const struct net_weight *w, enum net_encoding wanted)
{
    struct tensor_encoding e = {.as = w->shape.rank < 2 ? NET_FLOAT32 : wanted};
    if (e.as == NET_WHOLE) {
        e = (struct tensor_encoding){.as = NET_UINT8, .scale = 1, .min = -NET_INT8_MOST};
        for (size_t i = 0; i < w->n_values && e.as == NET_UINT8; i++)
            if (!(fabsf(w->values[i]) <= NET_INT8_MOST) || w->values[i] != rintf(w->values[i]))
                e.as = NET_FLOAT32;
        return e;
    }
    if (e.as != NET_UINT8 && e.as != NET_UINT16) return e;
    double low = INFINITY, high = -INFINITY, top = e.as == NET_UINT8 ? 255 : 65535;
    for (size_t i = 0; i < w->n_values; i++) {
        double v = (double)w->values[i];
        low = v < low ? v : low;
        high = v > high ? v : high;
    }
    if (!isfinite(low) || !isfinite(high)) { /* no range to divide: keep it as it is */
        e.as = NET_FLOAT32;
        return e;
    }
    if (low == high) {
        e.scale = 1;
        e.min = low;
        return e;
    }
    e.scale = (high - low) / top;
    e.min = low;
    if (low < 0 && high > 0) /* so that 0, the most frequent value, is exact */
        e.min = -nearbyint(-low / e.scale) * e.scale;
    return e;
}

size_t tensor_encoded_bytes(const struct tensor_encoding *e)
{
    static const size_t bytes[NET_ENCODINGS] =
        {[NET_FLOAT32] = 4, [NET_FLOAT16] = 2, [NET_UINT16] = 2, [NET_UINT8] = 1};
    return bytes[e->as];
}

static double quantum(const struct tensor_encoding *e, float value, double top)
{
    double q = nearbyint(((double)value - e->min) / e->scale);
    return q < 0 ? 0 : q > top ? top : q;
}

void tensor_encode(const struct tensor_encoding *e, const float *values, size_t n, void *out)
{
    uint8_t *b = out;
    uint16_t *h = out;
    switch (e->as) {
    case NET_UINT8:
        for (size_t i = 0; i < n; i++)
            b[i] = (uint8_t)quantum(e, values[i], 255);
        break;
    case NET_UINT16:
        for (size_t i = 0; i < n; i++)
            h[i] = (uint16_t)quantum(e, values[i], 65535);
        break;
    case NET_FLOAT16:
        for (size_t i = 0; i < n; i++)
            h[i] = float_to_half(values[i]);
        break;
    default: memcpy(out, values, n * sizeof *values);
    }
}

void tensor_decode(const struct tensor_encoding *e, const void *bytes, size_t n, float *values)
{
    const uint8_t *b = bytes;
    const uint16_t *h = bytes;
    float table[256];
    switch (e->as) {
    case NET_UINT8:
        for (int q = 0; q < 256; q++)
            table[q] = (float)(q * e->scale + e->min);
        for (size_t i = 0; i < n; i++)
            values[i] = table[b[i]];
        break;
    case NET_UINT16:
        for (size_t i = 0; i < n; i++)
            values[i] = (float)(h[i] * e->scale + e->min);
        break;
    case NET_FLOAT16:
        for (size_t i = 0; i < n; i++)
            values[i] = half_to_float(h[i]);
        break;
    default: memcpy(values, bytes, n * sizeof *values);
    }
}

void net_requantize(struct net *n, enum net_encoding encoding)
{
    union {
        uint8_t bytes[8192];
        uint16_t align;
    } buffer;
    for (int i = 0; i < n->n_layers; i++)
        for (int j = 0; j < n->layers[i].n_weights; j++) {
            struct net_weight *w = &n->layers[i].weights[j];
            struct tensor_encoding e = tensor_encoding_of(w, encoding);
            size_t step = sizeof buffer / tensor_encoded_bytes(&e);
            if (e.as == NET_FLOAT32) continue;
            for (size_t at = 0; at < w->n_values; at += step) {
                size_t count = w->n_values - at < step ? w->n_values - at : step;
                tensor_encode(&e, w->values + at, count, &buffer);
                tensor_decode(&e, &buffer, count, w->values + at);
            }
        }
}
