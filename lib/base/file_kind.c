#include "base/file_kind.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/image_kind.h"
#include "base/text.h"

/* The remedies. */
#define OPEN_FORMATS "winnow reads TensorFlow.js model folders, .keras and Keras .h5 files; "
#define AS_IT_WAS "give the model that it was made from"
#define AS_TABLE "save it as text separated by tabs, in UTF-8"
#define THE_LIST "give the list or manifest that names the pictures"

static const struct file_kind lfs = {"a Git LFS pointer", "fetch the file itself with 'git lfs pull'"};
static const struct file_kind html = {"a web page (HTML)", "download the file itself, not the page about it"};
static const struct file_kind utf16 = {"UTF-16 text", "save it as UTF-8, or run 'iconv -f UTF-16 -t UTF-8'"};
static const struct file_kind utf32 = {"UTF-32 text", "save it as UTF-8, or run 'iconv -f UTF-32 -t UTF-8'"};
static const struct file_kind keras = {"a Keras 3 archive (.keras)",
                                       "it is read only as a model (--model, --base)"};
static const struct file_kind torch = {"a PyTorch file (.pt)",
                                       OPEN_FORMATS "copy the weights into a Keras model and save that"};
static const struct file_kind workbook = {"a spreadsheet", AS_TABLE};
static const struct file_kind zip = {"a zip archive", "unpack it first"};
static const struct file_kind onnx = {"an ONNX model", OPEN_FORMATS AS_IT_WAS};
static const struct file_kind saved_model = {"a TensorFlow SavedModel", OPEN_FORMATS
                                             "convert it with tensorflowjs_converter, as a layers model"};

/* Kinds that have a signature at a fixed place. */
static const struct {
    size_t at, n;
    const char *bytes;
    struct file_kind kind;
} signatures[] = {
    {0, 3, "BZh", {"bzip2-compressed", "unpack it first with bunzip2"}},
    {0, 6, "\3757zXZ", {"xz-compressed", "unpack it first with unxz"}},
    {0, 4, "\x28\xb5\x2f\xfd", {"zstd-compressed", "unpack it first with unzstd"}},
    {4, 4, "TFL3", {"a TensorFlow Lite model", OPEN_FORMATS AS_IT_WAS}},
    {0, 4, "GGUF", {"a GGUF model", OPEN_FORMATS "language models cannot be used"}},
    {0, 6, "\x93NUMPY", {"a NumPy array", AS_TABLE}},
    {0, 4, "PAR1", {"a Parquet file", AS_TABLE}},
    {0, 15, "SQLite format 3", {"an SQLite database", AS_TABLE}},
    {0, 8, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", {"an old spreadsheet or document (.xls, .doc)", AS_TABLE}},
    {0, 8, "\x89HDF\r\n\x1a\n", {"an HDF5 file", "it is read only as a model (--model, --base)"}},
};

/* Kinds that base/image_kind.h recognises. */
static const struct file_kind known_kinds[IMAGE_KINDS] = {
    [IMAGE_JPEG] = {"a picture (JPEG)", THE_LIST},
    [IMAGE_PNG] = {"a picture (PNG)", THE_LIST},
    [IMAGE_WEBP] = {"a picture (WebP)", THE_LIST},
    [IMAGE_GIF] = {"a picture (GIF)", THE_LIST},
    [IMAGE_AVIF] = {"a picture (AVIF)", THE_LIST},
    [IMAGE_HEIC] = {"a picture (HEIC)", THE_LIST},
    [IMAGE_JXL] = {"a picture (JPEG XL)", THE_LIST},
    [IMAGE_BMP] = {"a picture (BMP)", THE_LIST},
    [IMAGE_TIFF] = {"a picture (TIFF)", THE_LIST},
    [IMAGE_ICO] = {"a picture (icon)", THE_LIST},
    [IMAGE_PDF] = {"a PDF", "winnow reads text and pictures only"},
    [IMAGE_GZIP] = {"gzip-compressed", "unpack it first with gunzip"},
    [IMAGE_ELF] = {"a program", "give the file that it was meant to be"},
};

static bool holds(const uint8_t *b, size_t n, const char *what)
{
    return memmem(b, n, what, strlen(what)) != NULL;
}

/* Returns the kind of a zip by the name of its first entry. Each program that writes such files begins them
 * with the same entry. */
static const struct file_kind *zip_kind(const uint8_t *b, size_t n)
{
    size_t length;
    const uint8_t *name = b + 30;
    if (n <= 30) return &zip;
    length = (size_t)b[26] | (size_t)b[27] << 8;
    if (length > n - 30) length = n - 30;
    if (length == 13 && memcmp(name, "metadata.json", 13) == 0) return &keras;
    if (holds(name, length, "config.json") || holds(name, length, "model.weights.h5")) return &keras;
    if (holds(name, length, "/data.pkl") || holds(name, length, "/version") ||
        holds(name, length, "/byteorder"))
        return &torch;
    if (holds(name, length, "[Content_Types].xml") || holds(name, length, "_rels/") ||
        (length == 8 && memcmp(name, "mimetype", 8) == 0))
        return &workbook;
    return &zip;
}

/* Returns the kind of a text, from its first bytes after blanks and a byte order mark. */
static const struct file_kind *text_kind(const uint8_t *b, size_t n)
{
    static const char *const html_starts[] = {"<!doctype html", "<html", "<head", "<body", "<!--", "<script"};
    if (n >= 4 && (memcmp(b, "\xff\xfe\0\0", 4) == 0 || memcmp(b, "\0\0\xfe\xff", 4) == 0)) return &utf32;
    if (n >= 2 && (memcmp(b, "\xff\xfe", 2) == 0 || memcmp(b, "\xfe\xff", 2) == 0)) return &utf16;
    /* UTF-16 without a byte order mark: every second byte of ASCII text is 0. */
    if (n >= 8) {
        bool even = true, odd = true;
        for (size_t i = 0; i + 1 < 8; i += 2) {
            even = even && b[i] == 0 && b[i + 1] >= 9 && b[i + 1] < 127;
            odd = odd && b[i + 1] == 0 && b[i] >= 9 && b[i] < 127;
        }
        if (even || odd) return &utf16;
    }
    if (n >= 3 && memcmp(b, "\xef\xbb\xbf", 3) == 0) b += 3, n -= 3;
    if (n >= 24 && memcmp(b, "version https://git-lfs.", 24) == 0) return &lfs;
    while (n > 0 && (*b == ' ' || *b == '\t' || *b == '\r' || *b == '\n'))
        b++, n--;
    for (size_t i = 0; i < sizeof html_starts / sizeof *html_starts; i++) {
        size_t length = strlen(html_starts[i]);
        if (n >= length && strncasecmp((const char *)b, html_starts[i], length) == 0) return &html;
    }
    return NULL;
}

/* Returns the kind of a file that looks like protocol buffers: field 1 is a small version, and field 2 has a
 * length. */
static const struct file_kind *protobuf_kind(const uint8_t *b, size_t n)
{
    if (n < 8 || b[0] != 0x08 || b[1] == 0 || b[1] > 30) return NULL;
    if (b[2] == 0x12 && b[1] == 1 && (b[3] & 0x80))
        return &saved_model;                                 /* one meta graph of some 100 bytes or more */
    if (b[2] == 0x12 && b[3] < 64 && (size_t)b[3] + 4 < n) { /* the producer's name */
        for (size_t i = 0; i < b[3]; i++)
            if (b[4 + i] < 32 || b[4 + i] > 126) return NULL;
        return &onnx;
    }
    return b[2] == 0x3a ? &onnx : NULL; /* no producer: the graph follows */
}

/* Whether there is a control byte, or a byte above ASCII. If not, b may be a header line that happens to
 * begin like a signature made of letters. */
static bool is_binary(const uint8_t *b, size_t n)
{
    for (size_t i = 0; i < n && i < 64; i++)
        if (b[i] < 9 || (b[i] > 13 && b[i] < 32) || b[i] > 126) return true;
    return false;
}

const struct file_kind *file_kind_of(const void *bytes, size_t n)
{
    const uint8_t *b = bytes;
    const struct file_kind *kind;
    bool binary = is_binary(b, n);
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++)
        if (binary && n >= signatures[i].at + signatures[i].n &&
            memcmp(b + signatures[i].at, signatures[i].bytes, signatures[i].n) == 0)
            return &signatures[i].kind;
    if (binary) {
        enum image_kind known = image_kind_of(b, n);
        if (known == IMAGE_ZIP) return zip_kind(b, n);
        if (known_kinds[known].name) return &known_kinds[known];
    }
    if (n >= 3 && b[0] == 0x80 && b[1] >= 2 && b[1] <= 5 &&
        (b[2] == 0x8a || b[2] == 0x95 || b[2] == '}' || b[2] == 'c'))
        return &torch; /* a pickle */
    kind = protobuf_kind(b, n);
    return kind ? kind : text_kind(b, n);
}

int file_kind_refuse(const char *path, const void *bytes, size_t n, struct error *err)
{
    const struct file_kind *kind = file_kind_of(bytes, n < FILE_KIND_BYTES ? n : FILE_KIND_BYTES);
    char shown[256];
    if (!kind) return 0;
    return error_set(err, EX_DATAERR, "'%s' is %s: %s", text_for_people(shown, sizeof shown, path),
                     kind->name, kind->remedy);
}
