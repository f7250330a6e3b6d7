#include "base/image_kind.h"

#include <string.h>

static const struct {
    const char *name, *detail;
} kinds[IMAGE_KINDS] = {
    [IMAGE_UNKNOWN] = {"unknown", "unknown bytes"},
    [IMAGE_JPEG] = {"jpeg", "jpeg"},
    [IMAGE_PNG] = {"png", "png"},
    [IMAGE_WEBP] = {"webp", "webp"},
    [IMAGE_GIF] = {"gif", "gif"},
    [IMAGE_AVIF] = {"avif", "avif"},
    [IMAGE_HEIC] = {"heic", "heic"},
    [IMAGE_JXL] = {"jxl", "jpeg xl"},
    [IMAGE_BMP] = {"bmp", "bmp"},
    [IMAGE_TIFF] = {"tiff", "tiff"},
    [IMAGE_ICO] = {"ico", "icon"},
    [IMAGE_SVG] = {"svg", "svg"},
    [IMAGE_JP2] = {"jp2", "jpeg 2000"},
    [IMAGE_PSD] = {"psd", "photoshop"},
    [IMAGE_MP4] = {"video", "mp4"},
    [IMAGE_WEBM] = {"video", "webm"},
    [IMAGE_RIFF] = {"video", "riff"},
    [IMAGE_VIDEO] = {"video", "video"},
    [IMAGE_HTML] = {"html", "html"},
    [IMAGE_XML] = {"html", "xml"},
    [IMAGE_JSON] = {"json", "text"},
    [IMAGE_TEXT] = {"text", "text"},
    [IMAGE_PDF] = {"pdf", "pdf"},
    [IMAGE_GZIP] = {"gzip", "gzip"},
    [IMAGE_ZIP] = {"zip", "zip"},
    [IMAGE_ELF] = {"elf", "elf"},
};

const char *image_kind_name(enum image_kind k) { return kinds[(unsigned)k < IMAGE_KINDS ? k : 0].name; }

const char *image_kind_detail(enum image_kind k) { return kinds[(unsigned)k < IMAGE_KINDS ? k : 0].detail; }

const char *image_kind_extension(enum image_kind k)
{
    return k == IMAGE_JPEG ? "jpg" : image_kind_kept(k) ? kinds[k].name : NULL;
}

enum image_kind image_kind_from_name(const char *name)
{
    for (int k = 1; k < IMAGE_KINDS; k++)
        if (strcmp(kinds[k].name, name) == 0) return (enum image_kind)k;
    return IMAGE_UNKNOWN;
}

static bool starts(const uint8_t *b, size_t n, const char *magic, size_t n_magic)
{
    return n >= n_magic && memcmp(b, magic, n_magic) == 0;
}
#define STARTS(magic) starts(b, n, magic, sizeof magic - 1)

/*
 * ISO base media files: the major brand distinguishes images from films. If it is a brand that any coding may
 * use, the compatible brands distinguish AVIF from HEIC. b: the ftyp box.
 */
static enum image_kind base_media_kind(const uint8_t *b, size_t n)
{
    static const char heic[][5] = {"heic", "heix", "heim", "heis", "hevc", "hevx"},
                      neutral[][5] = {"mif1", "msf1", "mif2", "miaf"};
    const uint8_t *brand = b + 8;
    size_t box = (size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
    if (memcmp(brand, "avif", 4) == 0 || memcmp(brand, "avis", 4) == 0) return IMAGE_AVIF;
    for (size_t i = 0; i < sizeof heic / sizeof *heic; i++)
        if (memcmp(brand, heic[i], 4) == 0) return IMAGE_HEIC;
    for (size_t i = 0; i < sizeof neutral / sizeof *neutral; i++) {
        if (memcmp(brand, neutral[i], 4) != 0) continue;
        for (size_t at = 16; at + 4 <= n && at + 4 <= box; at += 4)
            if (memcmp(b + at, "avif", 4) == 0 || memcmp(b + at, "avis", 4) == 0) return IMAGE_AVIF;
        return IMAGE_HEIC;
    }
    return IMAGE_MP4;
}

static enum image_kind markup_kind(const char *s, size_t n)
{
    char head[256];
    size_t i = 0;
    for (; i < n && i < sizeof head - 1; i++)
        head[i] = s[i] == 0 ? ' ' : s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] + 32) : s[i];
    head[i] = 0;
    if (strncmp(head, "<svg", 4) == 0) return IMAGE_SVG;
    if (strstr(head, "html") || strstr(head, "<head")) return IMAGE_HTML;
    /* In an SVG file, "<svg" comes after a prolog or a comment. Elsewhere it is a drawing inside a page. */
    return (head[1] == '?' || head[1] == '!') && strstr(head, "<svg") ? IMAGE_SVG : IMAGE_XML;
}

static enum image_kind text_kind(const uint8_t *b, size_t n)
{
    size_t i = 0;
    if (STARTS("\xef\xbb\xbf")) i = 3;
    while (i < n && (b[i] == ' ' || (b[i] >= '\t' && b[i] <= '\r')))
        i++;
    const char *s = (const char *)b + i;
    size_t left = n - i;
    if (left >= 1 && *s == '<') return markup_kind(s, left);
    if (left >= 1 && (*s == '{' || *s == '[')) return IMAGE_JSON;
    for (size_t k = 0; k < n; k++)
        if (b[k] < ' ' && !(b[k] >= '\t' && b[k] <= '\r')) return IMAGE_UNKNOWN;
    return n > 0 ? IMAGE_TEXT : IMAGE_UNKNOWN;
}

enum image_kind image_kind_of(const uint8_t *b, size_t n)
{
    if (STARTS("\xff\xd8\xff")) return IMAGE_JPEG;
    if (STARTS("\x89PNG\r\n\x1a\n")) return IMAGE_PNG;
    if (STARTS("GIF87a") || STARTS("GIF89a")) return IMAGE_GIF;
    if (STARTS("RIFF") && n >= 12) return memcmp(b + 8, "WEBP", 4) == 0 ? IMAGE_WEBP : IMAGE_RIFF;
    if (n >= 12 && memcmp(b + 4, "ftyp", 4) == 0) return base_media_kind(b, n);
    if (STARTS("\xff\x0a") || STARTS("\0\0\0\x0cJXL \r\n\x87\n")) return IMAGE_JXL;
    if (STARTS("BM") && n >= 14 && b[6] == 0 && b[7] == 0) return IMAGE_BMP;
    if (STARTS("II*\0") || STARTS("MM\0*")) return IMAGE_TIFF;
    if (STARTS("\0\0\1\0")) return IMAGE_ICO;
    if (n >= 8 && memcmp(b + 4, "jP  ", 4) == 0) return IMAGE_JP2;
    if (STARTS("8BPS")) return IMAGE_PSD;
    if (STARTS("\x1a\x45\xdf\xa3")) return IMAGE_WEBM;
    if (STARTS("\0\0\1\xba") || STARTS("FLV\1")) return IMAGE_VIDEO;
    if (STARTS("\x7f\x45LF")) return IMAGE_ELF;
    if (STARTS("%PDF-")) return IMAGE_PDF;
    if (STARTS("\x1f\x8b")) return IMAGE_GZIP;
    if (STARTS("PK\3\4")) return IMAGE_ZIP;
    return text_kind(b, n);
}

/* Whether the file is a sequence of one or more top-level boxes that ends at the end of the file. */
static bool boxes_complete(const uint8_t *b, size_t n)
{
    size_t at = 0;
    while (n - at >= 8) {
        uint64_t length = 0;
        for (int i = 0; i < 4; i++)
            length = length << 8 | b[at + (size_t)i];
        if (length == 0) {
            /* to the end of the file, or padding */
            return true;
        } else if (length == 1) {
            if (n - at < 16) return false;
            length = 0;
            for (int i = 8; i < 16; i++)
                length = length << 8 | b[at + (size_t)i];
        }
        if (length < 8 || length > n - at) return false;
        at += (size_t)length;
    }
    return at > 0 && (n == at || (b[at] == 0 && at + 4 > n) || b[at] == '\n');
}

bool image_kind_complete(enum image_kind k, const uint8_t *b, size_t n)
{
    if (k == IMAGE_JXL && STARTS("\xff\x0a")) return true;
    if (k == IMAGE_AVIF || k == IMAGE_HEIC || k == IMAGE_JXL) return boxes_complete(b, n);
    if (k == IMAGE_WEBP) {
        if (n < 12) return false;
        uint64_t riff = (uint64_t)b[4] | (uint64_t)b[5] << 8 | (uint64_t)b[6] << 16 | (uint64_t)b[7] << 24;
        return riff + 8 <= n;
    }
    /* IEND's CRC and the bytes after it are ignored, because tools for screenshots append data. */
    if (k == IMAGE_PNG) return n >= 20 && memmem(b + 8, n - 8, "\0\0\0\0IEND", 8) != NULL;
    while (n > 0 && (b[n - 1] == 0 || b[n - 1] == '\n' || b[n - 1] == '\r' || b[n - 1] == ' ')) {
        if (k == IMAGE_GIF && n >= 2 && b[n - 1] == 0 && b[n - 2] == ';') break;
        n--;
    }
    if (k == IMAGE_GIF) return n >= 14 && (b[n - 1] == ';' || (b[n - 1] == 0 && b[n - 2] == ';'));
    if (k == IMAGE_JPEG) {
        /*
         * Cameras append thumbnails, and phones append films. The end marker is therefore not always at the
         * very end. An embedded EXIF thumbnail, however, has an end marker near the start; therefore only the
         * second half counts, unless the marker is at the very end.
         */
        if (n >= 4 && b[n - 2] == 0xff && b[n - 1] == 0xd9) return true;
        return n > 1024 && memmem(b + n / 2, n - n / 2, "\xff\xd9", 2) != NULL;
    }
    return false;
}
