#include "store/picture_kind.h"

#include <string.h>
#include <strings.h>

static const char *const names[PICTURE_KINDS] = {
    "unknown", "jpeg", "png",   "webp", "gif",  "avif", "heic", "jxl",  "bmp", "tiff",
    "ico",     "svg",  "video", "html", "json", "text", "pdf",  "gzip", "zip",
};

const char *picture_kind_name(enum picture_kind k) { return names[k]; }

const char *picture_kind_extension(enum picture_kind k)
{
    return k == PICTURE_JPEG ? "jpg" : picture_kind_kept(k) ? names[k] : NULL;
}

enum picture_kind picture_kind_from_name(const char *name)
{
    for (int k = 1; k < PICTURE_KINDS; k++)
        if (strcmp(names[k], name) == 0) return (enum picture_kind)k;
    return PICTURE_UNKNOWN;
}

static bool starts(const uint8_t *b, size_t n, const char *magic, size_t n_magic)
{
    return n >= n_magic && memcmp(b, magic, n_magic) == 0;
}
#define STARTS(magic) starts(b, n, magic, sizeof magic - 1)

/* ISO base media: the major brand tells pictures from films. */
static enum picture_kind base_media_kind(const uint8_t *brand)
{
    static const char heic[][5] = {"heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"};
    if (memcmp(brand, "avif", 4) == 0 || memcmp(brand, "avis", 4) == 0) return PICTURE_AVIF;
    for (size_t i = 0; i < sizeof heic / sizeof *heic; i++)
        if (memcmp(brand, heic[i], 4) == 0) return PICTURE_HEIC;
    return PICTURE_VIDEO;
}

static enum picture_kind text_kind(const uint8_t *b, size_t n)
{
    size_t i = 0;
    if (STARTS("\xef\xbb\xbf")) i = 3;
    while (i < n && (b[i] == ' ' || (b[i] >= '\t' && b[i] <= '\r')))
        i++;
    const char *s = (const char *)b + i;
    size_t left = n - i;
    if (left >= 4 && strncasecmp(s, "<svg", 4) == 0) return PICTURE_SVG;
    if (left >= 1 && *s == '<') return PICTURE_HTML; /* or XML; either way a page and no picture */
    if (left >= 1 && (*s == '{' || *s == '[')) return PICTURE_JSON;
    for (size_t k = 0; k < n; k++)
        if (b[k] < ' ' && !(b[k] >= '\t' && b[k] <= '\r')) return PICTURE_UNKNOWN;
    return n > 0 ? PICTURE_TEXT : PICTURE_UNKNOWN;
}

enum picture_kind picture_kind_of(const uint8_t *b, size_t n)
{
    if (STARTS("\xff\xd8\xff")) return PICTURE_JPEG;
    if (STARTS("\x89PNG\r\n\x1a\n")) return PICTURE_PNG;
    if (STARTS("GIF87a") || STARTS("GIF89a")) return PICTURE_GIF;
    if (STARTS("RIFF") && n >= 12) return memcmp(b + 8, "WEBP", 4) == 0 ? PICTURE_WEBP : PICTURE_VIDEO;
    if (n >= 12 && memcmp(b + 4, "ftyp", 4) == 0) return base_media_kind(b + 8);
    if (STARTS("\xff\x0a") || STARTS("\0\0\0\x0cJXL \r\n\x87\n")) return PICTURE_JXL;
    if (STARTS("BM") && n >= 14 && b[6] == 0 && b[7] == 0) return PICTURE_BMP;
    if (STARTS("II*\0") || STARTS("MM\0*")) return PICTURE_TIFF;
    if (STARTS("\0\0\1\0")) return PICTURE_ICO;
    if (STARTS("\x1a\x45\xdf\xa3") || STARTS("\0\0\1\xba") || STARTS("FLV\1")) return PICTURE_VIDEO;
    if (STARTS("%PDF-")) return PICTURE_PDF;
    if (STARTS("\x1f\x8b")) return PICTURE_GZIP;
    if (STARTS("PK\3\4")) return PICTURE_ZIP;
    return text_kind(b, n);
}

bool picture_kind_complete(enum picture_kind k, const uint8_t *b, size_t n)
{
    if (k == PICTURE_WEBP) {
        if (n < 12) return false;
        uint64_t riff = (uint64_t)b[4] | (uint64_t)b[5] << 8 | (uint64_t)b[6] << 16 | (uint64_t)b[7] << 24;
        return riff + 8 <= n;
    }
    /* what lies behind IEND is nobody's business, and screenshots tools do append */
    if (k == PICTURE_PNG) return n >= 20 && memmem(b + 8, n - 8, "\0\0\0\0IEND\xae\x42\x60\x82", 12) != NULL;
    while (n > 0 && (b[n - 1] == 0 || b[n - 1] == '\n' || b[n - 1] == '\r' || b[n - 1] == ' ')) {
        if (k == PICTURE_GIF && n >= 2 && b[n - 1] == 0 && b[n - 2] == ';') break;
        n--;
    }
    if (k == PICTURE_GIF) return n >= 14 && (b[n - 1] == ';' || (b[n - 1] == 0 && b[n - 2] == ';'));
    if (k == PICTURE_JPEG) {
        /* Cameras append thumbnails, phones whole films behind the end marker: it need not be the last thing.
         * But an embedded EXIF thumbnail has one of its own near the start, so only the second half counts
         * unless it is the very end. */
        if (n >= 4 && b[n - 2] == 0xff && b[n - 1] == 0xd9) return true;
        return n > 1024 && memmem(b + n / 2, n - n / 2, "\xff\xd9", 2) != NULL;
    }
    return false;
}
