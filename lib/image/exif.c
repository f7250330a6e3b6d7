/*
 * exif.c: reads the orientation from EXIF data (TIFF tag 0x0112 in the first directory), and nothing else.
 * Chromium and Firefox accept one value of type SHORT, as the standard demands; Pillow accepts any type of
 * number.
 */
#include "image/codec.h"

#include <string.h>

struct tiff {
    const uint8_t *bytes;
    size_t n_bytes;
    bool little;
};

static unsigned u16(const struct tiff *t, size_t at)
{
    return t->little ? le16(t->bytes + at) : be16(t->bytes + at);
}

static uint32_t u32(const struct tiff *t, size_t at)
{
    return t->little ? le32(t->bytes + at) : be32(t->bytes + at);
}

static uint64_t u64(const struct tiff *t, size_t at)
{
    uint64_t first = u32(t, at), second = u32(t, at + 4);
    return t->little ? second << 32 | first : first << 32 | second;
}

/* Returns the first value of the entry at `at`, of any numeric type. Returns 0 for another type, or when the
 * value is beyond the data. BYTE counts as another type, because Pillow keeps it as text. */
static double number_of(const struct tiff *t, size_t at)
{
    enum { SHORT = 3, LONG, RATIONAL, SBYTE, SSHORT = 8, SLONG, SRATIONAL, FLOAT, DOUBLE, IFD, LONG8 = 16 };
    unsigned type = u16(t, at + 2);
    size_t value = at + 8;
    float single;
    double real;
    if (u32(t, at + 4) < 1) return 0;
    if (type == RATIONAL || type == SRATIONAL || type == DOUBLE || type == LONG8) {
        value = u32(t, value);
        if (t->n_bytes < 8 || value > t->n_bytes - 8) return 0;
    }
    switch (type) {
    case SBYTE: return (int8_t)t->bytes[value];
    case SHORT: return u16(t, value);
    case SSHORT: return (int16_t)u16(t, value);
    case LONG:
    case IFD: return u32(t, value);
    case SLONG: return (int32_t)u32(t, value);
    case LONG8: return (double)u64(t, value);
    case FLOAT: {
        uint32_t bits = u32(t, value);
        memcpy(&single, &bits, sizeof single);
        return (double)single;
    }
    case DOUBLE: {
        uint64_t bits = u64(t, value);
        memcpy(&real, &bits, sizeof real);
        return real;
    }
    case RATIONAL: return u32(t, value + 4) ? (double)u32(t, value) / u32(t, value + 4) : 0;
    case SRATIONAL:
        return u32(t, value + 4) ? (double)(int32_t)u32(t, value) / (int32_t)u32(t, value + 4) : 0;
    default: return 0;
    }
}

int exif_orientation(const uint8_t *tiff, size_t n_bytes, enum orientation_rule rule)
{
    if (n_bytes >= 6 && memcmp(tiff, "Exif\0", 5) == 0) {
        if (rule == ORIENT_PILLOW && tiff[5] != 0) return 1;
        tiff += 6; /* JPEG's prefix; some writers put it into PNG and WebP too */
        n_bytes -= 6;
    }
    if (n_bytes < 8) return 1;
    struct tiff t = {tiff, n_bytes, tiff[0] == 'I' && tiff[1] == 'I'};
    if (!t.little && !(tiff[0] == 'M' && tiff[1] == 'M')) return 1;
    uint32_t at = u32(&t, 4);
    unsigned magic = u16(&t, 2);
    /* 43 is BigTIFF, which Pillow reads here as if it were 42. */
    if ((magic != 42 && !(rule == ORIENT_PILLOW && magic == 43)) || at > n_bytes - 2) return 1;
    unsigned n = u16(&t, at);
    size_t room = (n_bytes - at - 2) / 12;
    int found = 1;
    for (unsigned i = 0; i < n && i < room; i++) {
        size_t entry = at + 2 + (size_t)i * 12;
        if (u16(&t, entry) != 0x0112) continue;
        if (rule == ORIENT_PILLOW) { /* the last of several */
            double value = number_of(&t, entry);
            found = value >= 1 && value <= 8 && value == (int)value ? (int)value : 1;
            continue;
        }
        unsigned value = u16(&t, entry + 2) == 3 && u32(&t, entry + 4) == 1 ? u16(&t, entry + 8) : 0;
        return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return found;
}
