/* exif.c: reads the orientation from EXIF data (TIFF tag 0x0112 in the first directory), and nothing else. */
#include "image/codec.h"

int exif_orientation(const uint8_t *tiff, size_t n_bytes)
{
    if (n_bytes >= 6 && tiff[0] == 'E' && tiff[1] == 'x' && tiff[2] == 'i' && tiff[3] == 'f' &&
        tiff[4] == 0) {
        tiff += 6; /* JPEG's prefix; some writers put it into PNG and WebP too */
        n_bytes -= 6;
    }
    if (n_bytes < 8) return 1;
    bool little = tiff[0] == 'I' && tiff[1] == 'I';
    if (!little && !(tiff[0] == 'M' && tiff[1] == 'M')) return 1;
    unsigned (*u16)(const uint8_t *) = little ? le16 : be16;
    uint32_t (*u32)(const uint8_t *) = little ? le32 : be32;
    uint32_t at = u32(tiff + 4);
    if (u16(tiff + 2) != 42 || at > n_bytes - 2) return 1;
    unsigned n = u16(tiff + at);
    const uint8_t *entry = tiff + at + 2;
    size_t room = (n_bytes - at - 2) / 12;
    for (unsigned i = 0; i < n && i < room; i++, entry += 12) {
        if (u16(entry) != 0x0112) continue;
        /* A single value of type SHORT, as the standard demands. Browsers accept no other type. */
        unsigned value = u16(entry + 2) == 3 && u32(entry + 4) == 1 ? u16(entry + 8) : 0;
        return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}
