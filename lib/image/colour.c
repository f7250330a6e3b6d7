/* colour.c: finds the colour description in JPEG and PNG files. */
#include "image/colour.h"

#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "base/mem.h"

/* Profiles with tables for inks have some 2 MB. */
#define MOST_ICC_BYTES (8u << 20)

void colour_note_release(struct colour_note *n)
{
    free(n->icc);
    *n = (struct colour_note){0};
}

void colour_note_icc(struct colour_note *n, const uint8_t *icc, size_t n_bytes)
{
    struct error ignored = {0};
    if (n->icc || n_bytes == 0 || n_bytes > MOST_ICC_BYTES || !(n->icc = mem_alloc(n_bytes, &ignored)))
        return;
    memcpy(n->icc, icc, n_bytes);
    n->n_icc = n_bytes;
}

void colour_note_cicp(struct colour_note *n, unsigned primaries, unsigned transfer)
{
    if (cicp_is_srgb(primaries, transfer)) return;
    n->has_cicp = true;
    n->primaries = primaries;
    n->transfer = transfer;
}

/* APP2 segments "ICC_PROFILE" NUL, number, count: the parts of one profile. */
void colour_of_jpeg(struct colour_note *n, const uint8_t *b, size_t n_bytes)
{
    const uint8_t *part[256] = {NULL};
    size_t size[256] = {0}, total = 0;
    unsigned count = 0;
    for (size_t at = 2; at + 4 <= n_bytes;) {
        if (b[at] != 0xFF || b[at + 1] == 0xFF) {
            at++;
            continue;
        }
        unsigned marker = b[at + 1];
        if (marker == 0xDA || marker == 0xD9) break;
        if (marker == 0x00 || marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8)) {
            at += 2;
            continue;
        }
        size_t length = be16(b + at + 2);
        if (length < 2) length = 2;
        if (length > n_bytes - at - 2) break;
        const uint8_t *data = b + at + 4;
        if (marker == 0xE2 && length >= 16 && memcmp(data, "ICC_PROFILE", 12) == 0 && !part[data[12]]) {
            part[data[12]] = data + 14;
            size[data[12]] = length - 16;
            count = data[13];
        }
        at += 2 + length;
    }
    for (unsigned i = 1; i <= count; i++) {
        if (!part[i]) return;
        total += size[i];
    }
    struct error ignored = {0};
    uint8_t *whole = total > 0 && total <= MOST_ICC_BYTES ? mem_alloc(total, &ignored) : NULL;
    if (!whole) return;
    size_t at = 0;
    for (unsigned i = 1; i <= count; at += size[i++])
        memcpy(whole + at, part[i], size[i]);
    n->icc = whole;
    n->n_icc = total;
}

/* Reads an iCCP chunk: a name, NUL, a method, and the profile compressed by zlib. */
static void inflate_icc(struct colour_note *n, const uint8_t *b, size_t n_bytes)
{
    const uint8_t *nul = memchr(b, 0, n_bytes < 80 ? n_bytes : 80);
    struct error ignored = {0};
    z_stream z = {0};
    size_t room = 0, used = 0;
    uint8_t *out = NULL;
    if (!nul || n_bytes - (size_t)(nul - b) < 3 || nul[1] != 0 || inflateInit(&z) != Z_OK) return;
    z.next_in = (Bytef *)(uintptr_t)(nul + 2);
    z.avail_in = (uInt)(n_bytes - (size_t)(nul + 2 - b));
    int status = Z_OK;
    while (status == Z_OK && used < MOST_ICC_BYTES) {
        if (mem_grow(&out, &room, used + 65536, 1, &ignored)) break;
        z.next_out = out + used;
        z.avail_out = 65536;
        status = inflate(&z, Z_NO_FLUSH);
        used += 65536 - z.avail_out;
    }
    inflateEnd(&z);
    if (status == Z_STREAM_END) colour_note_icc(n, out, used);
    free(out);
}

/* cICP, iCCP, sRGB, gAMA with cHRM: the first of these that exists before the image data is used. */
void colour_of_png(struct colour_note *n, const uint8_t *b, size_t n_bytes)
{
    bool srgb = false;
    for (size_t at = 8; at + 12 <= n_bytes;) {
        size_t length = be32(b + at);
        const uint8_t *type = b + at + 4, *data = b + at + 8;
        if (length > n_bytes - at - 12 || memcmp(type, "IDAT", 4) == 0) break;
        if (memcmp(type, "cICP", 4) == 0 && length == 4) {
            colour_note_cicp(n, data[0], data[1]);
            srgb = srgb || !n->has_cicp;
        } else if (memcmp(type, "iCCP", 4) == 0) {
            inflate_icc(n, data, length);
        } else if (memcmp(type, "sRGB", 4) == 0) {
            srgb = true;
        } else if (memcmp(type, "gAMA", 4) == 0 && length == 4 && be32(data) > 0) {
            n->gamma = be32(data) / 100000.0;
            n->has_gamma = n->gamma > 0.01 && n->gamma < 10 && (n->gamma < 0.45 || n->gamma > 0.46);
        } else if (memcmp(type, "cHRM", 4) == 0 && length == 32) {
            for (int i = 0; i < 8; i++)
                n->chromaticities[i] = be32(data + 4 * i) / 100000.0;
            n->has_chromaticities = true;
        }
        at += 12 + length;
    }
    if (srgb && !n->icc) n->has_gamma = false;
}
