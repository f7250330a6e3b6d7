/* needs: base io hash manifest image */
/* Pictures averaged while their rows arrive: the samples, the factor, and which sizes are taken. */
#include <stdlib.h>
#include <string.h>

#include "image/reduce.h"
#include "tap.h"

/* Against plain sums over the whole picture. */
static void test_samples(int width, int height, int channels, int factor)
{
    struct image in = IMAGE_EMPTY, out = IMAGE_EMPTY;
    struct reducer r = {0};
    struct error err = {0};
    int wrong = 0;
    if (image_reserve(&in, width, height, channels, &err)) exit(71);
    for (size_t i = 0; i < image_bytes(&in); i++)
        in.pixels[i] = (uint8_t)((i * 2654435761u) >> 13);
    CHECK(reducer_open(&r, &out, width, height, channels, factor, &err) == 0);
    for (int y = 0; y < height; y++)
        reducer_add(&r, in.pixels + (size_t)y * (size_t)(width * channels), y + 1 == height);
    for (int y = 0; y < out.height; y++)
        for (int x = 0; x < out.width; x++)
            for (int c = 0; c < channels; c++) {
                unsigned sum = 0, n = 0;
                for (int v = y * factor; v < (y + 1) * factor && v < height; v++)
                    for (int u = x * factor; u < (x + 1) * factor && u < width; u++, n++)
                        sum += in.pixels[(v * width + u) * channels + c];
                wrong += out.pixels[(y * out.width + x) * channels + c] != (2 * sum + n) / (2 * n);
            }
    CHECK_SAY(wrong == 0 && r.y == out.height && out.width == (width + factor - 1) / factor,
              "%d x %d x %d by %d: %d x %d, %d wrong", width, height, channels, factor, out.width, out.height,
              wrong);
    reducer_release(&r);
    image_release(&in);
    image_release(&out);
}

static void test_sizes(void)
{
    static const struct {
        uint64_t width, height, max_pixels;
        enum image_reason reason;
        int factor;
    } list[] = {
        {10000, 10000, 0, IMAGE_OK, 1},         {10001, 10000, 0, IMAGE_OK, 4},
        {14142, 14142, 0, IMAGE_OK, 6},         {14143, 14142, 0, IMAGE_TOO_MANY_PIXELS, 1},
        {65535, 3051, 0, IMAGE_OK, 6},          {65536, 2000, 0, IMAGE_TOO_MANY_PIXELS, 1},
        {12000, 10000, 120000000, IMAGE_OK, 4}, {12000, 10000, 119999999, IMAGE_TOO_MANY_PIXELS, 1},
        {300, 200, 60000, IMAGE_OK, 1},         {301, 200, 60000, IMAGE_TOO_MANY_PIXELS, 1},
        {0, 200, 0, IMAGE_DECODE_CORRUPT, 1},   {UINT64_MAX / 2, 3, 0, IMAGE_TOO_MANY_PIXELS, 1},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct image_failure f = {0};
        int factor = 0;
        enum image_reason reason =
            image_check_rows(list[i].width, list[i].height, list[i].max_pixels, &factor, &f);
        CHECK_SAY(reason == list[i].reason && factor == list[i].factor,
                  "%llu x %llu, most %llu: %d, factor %d", (unsigned long long)list[i].width,
                  (unsigned long long)list[i].height, (unsigned long long)list[i].max_pixels, (int)reason,
                  factor);
    }
}

int main(void)
{
    test_samples(100, 70, 3, 4);
    test_samples(103, 71, 3, 5);
    test_samples(7, 3, 1, 5);
    test_samples(5, 11, 4, 2);
    test_samples(1, 1, 3, 4);
    test_sizes();
    return tap_done();
}
