/* needs: base io hash image */
/* Decoding, encoding, orientation and limits: what each kind of file gives, in this process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/codec.h"
#include "image/image.h"
#include "image/limits.h"
#include "tap.h"

static void paint(struct image *m, int width, int height, int channels)
{
    struct error err = {0};
    if (image_reserve(m, width, height, channels, &err)) exit(71);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < channels; c++)
                m->pixels[(y * width + x) * channels + c] =
                    (uint8_t)(c == 0   ? 255 * x / width
                              : c == 1 ? 255 * y / height
                                       : 128 + 100 * ((x / 8 + y / 8) & 1));
}

static double mean_difference(const struct image *a, const struct image *b)
{
    double sum = 0;
    if (a->width != b->width || a->height != b->height || a->channels != b->channels) return 1e9;
    for (size_t i = 0; i < image_bytes(a); i++)
        sum += abs(a->pixels[i] - b->pixels[i]);
    return sum / (double)image_bytes(a);
}

static void test_round_trips(void)
{
    struct image m = IMAGE_EMPTY, back = IMAGE_EMPTY;
    struct image_info info;
    struct image_failure f;
    struct error err = {0};
    struct decode_options o = DECODE_DEFAULTS;
    uint8_t *bytes;
    size_t n;
    paint(&m, 93, 61, 3);
    for (int q = 30; q <= 100; q += 35) {
        CHECK(image_encode_jpeg(&m, q, &bytes, &n, &err) == 0);
        CHECK(image_decode(bytes, n, &o, &back, &info, &f) == IMAGE_OK);
        CHECK_SAY(mean_difference(&m, &back) < (q < 50   ? 12
                                                : q < 90 ? 8
                                                         : 1),
                  "jpeg at %d differs by %g", q, mean_difference(&m, &back));
        CHECK(info.format == IMAGE_JPEG && info.width == 93 && info.height == 61 &&
              strcmp(info.mode, "rgb") == 0);
        free(bytes);
    }
    CHECK(image_encode_png(&m, &bytes, &n, &err) == 0);
    CHECK(image_decode(bytes, n, &o, &back, &info, &f) == IMAGE_OK && mean_difference(&m, &back) == 0);
    CHECK(info.format == IMAGE_PNG && strcmp(info.mode, "rgb") == 0 && info.frames == 1 &&
          info.orientation == 1);
    free(bytes);
    CHECK(image_encode_webp(&m, 101, &bytes, &n, &err) == 0);
    CHECK(image_decode(bytes, n, &o, &back, &info, &f) == IMAGE_OK && mean_difference(&m, &back) == 0);
    CHECK(info.format == IMAGE_WEBP);
    free(bytes);
    CHECK(image_encode_webp(&m, 90, &bytes, &n, &err) == 0);
    CHECK(image_decode(bytes, n, &o, &back, &info, &f) == IMAGE_OK && mean_difference(&m, &back) < 6);
    free(bytes);
    paint(&m, 40, 30, 1);
    CHECK(image_encode_png(&m, &bytes, &n, &err) == 0);
    CHECK(image_decode(bytes, n, &o, &back, &info, &f) == IMAGE_OK && back.channels == 3 &&
          strcmp(info.mode, "gray") == 0);
    o.keep_gray = true;
    CHECK(image_decode(bytes, n, &o, &back, &info, &f) == IMAGE_OK && mean_difference(&m, &back) == 0);
    free(bytes);
    image_release(&m);
    image_release(&back);
}

/* Every prefix of a file is a refusal or, near the end, the whole picture: never a crash, never half a
 * picture. */
static void test_prefixes(void)
{
    struct image m = IMAGE_EMPTY, whole = IMAGE_EMPTY, back = IMAGE_EMPTY;
    struct image_info info;
    struct image_failure f;
    struct error err = {0};
    struct decode_options o = DECODE_DEFAULTS;
    paint(&m, 48, 40, 3);
    for (int format = 0; format < 4; format++) {
        uint8_t *bytes;
        size_t n;
        int rc = format == 0   ? image_encode_jpeg(&m, 85, &bytes, &n, &err)
                 : format == 1 ? image_encode_png(&m, &bytes, &n, &err)
                               : image_encode_webp(&m, format == 2 ? 80 : 101, &bytes, &n, &err);
        CHECK(rc == 0);
        CHECK(image_decode(bytes, n, &o, &whole, &info, &f) == IMAGE_OK);
        int n_odd = 0, n_half = 0, n_refused = 0;
        for (size_t k = 0; k < n; k++) {
            uint8_t *cut = malloc(k ? k : 1); /* an own block, so that sanitizers see a byte too far */
            memcpy(cut, bytes, k);
            enum image_reason reason = image_decode(cut, k, &o, &back, &info, &f);
            free(cut);
            if (reason == IMAGE_OK)
                n_half += mean_difference(&whole, &back) != 0;
            else if (reason == IMAGE_DECODE_TRUNCATED || reason == IMAGE_NOT_AN_IMAGE ||
                     reason == IMAGE_FILE_EMPTY)
                n_refused++;
            else
                n_odd++;
        }
        CHECK_SAY(n_half == 0, "no prefix decodes to another picture (format %d: %d)", format, n_half);
        CHECK_SAY(n_odd == 0 && n_refused > (int)n / 2,
                  "cut files are called cut (format %d: %d refused, %d otherwise)", format, n_refused, n_odd);
        free(bytes);
    }
    image_release(&m);
    image_release(&whole);
    image_release(&back);
}

static void test_orientation(void)
{
    /* 2 x 3: a b / c d / e f, stored; what is shown for each value, rows joined. */
    static const char *const shown[9] = {NULL,     "abcdef", "badcfe", "fedcba", "efcdab",
                                         "acebdf", "ecafdb", "fdbeca", "bdface"};
    for (int k = 1; k <= 8; k++) {
        struct image m = IMAGE_EMPTY;
        struct error err = {0};
        image_reserve(&m, 2, 3, 1, &err);
        memcpy(m.pixels, "abcdef", 6);
        CHECK(image_orient(&m, k, &err) == 0);
        CHECK_SAY(memcmp(m.pixels, shown[k], 6) == 0 && m.width == (k >= 5 ? 3 : 2), "orientation %d: %.6s",
                  k, m.pixels);
        image_release(&m);
    }
}

static void test_refused_kinds(void)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *detail;
    } list[] = {
        {"\n <!DOCTYPE html><html>", 22, "html"},
        {"<?xml version='1'?><svg", 23, "svg"},
        {"Not found", 9, "text"},
        {"{\"error\":1}", 11, "text"},
        {"II*\0", 4, "tiff"},
        {"\0\0\0\x1c"
         "ftypisom",
         12, "mp4"},
        {"\1\2\3\4", 4, "unknown bytes"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct decode_options o = DECODE_DEFAULTS;
        struct image_info info;
        struct image_failure failure;
        CHECK_SAY(image_read_header((const uint8_t *)list[i].bytes, list[i].n, &o, &info, &failure) ==
                          IMAGE_NOT_AN_IMAGE &&
                      !strcmp(failure.detail, list[i].detail),
                  "%s is refused as such", list[i].detail);
    }
}

int main(void)
{
    test_round_trips();
    test_prefixes();
    test_orientation();
    test_refused_kinds();
    return tap_done();
}
