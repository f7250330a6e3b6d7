/* needs: base io hash manifest image */
/* picture_stats against what CleanVision says about made pictures: tests/fixtures/cleanvision. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/image.h"
#include "image/picture_stats.h"
#include "io/io.h"
#include "manifest/manifest.h"
#include "tap.h"

static const char *const columns[] = {"brightness_perc_1",
                                      "brightness_perc_5",
                                      "brightness_perc_10",
                                      "brightness_perc_15",
                                      "brightness_perc_90",
                                      "brightness_perc_95",
                                      "brightness_perc_99",
                                      "brightness",
                                      "entropy",
                                      "blurriness",
                                      "blurriness_grayscale_std"};
#define N_COLUMNS (sizeof columns / sizeof *columns)

static bool decode(const char *path, struct image *m)
{
    struct decode_options o = DECODE_DEFAULTS;
    struct image_failure failure;
    struct image_info info;
    struct error err = {0};
    char *bytes;
    size_t n;
    o.keep_gray = true;
    o.orientation = ORIENT_NONE; /* as the samples are stored */
    if (io_read_file(path, 1 << 20, &bytes, &n, &err)) return false;
    enum image_reason reason = image_decode((const uint8_t *)bytes, n, &o, m, &info, &failure);
    free(bytes);
    return reason == IMAGE_OK;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The percentiles of a picture whose samples are from..from + range - 1, against sorting all its pixels. With
 * a few levels so many different pixels are next to a percentile that picture_stats does not keep them. */
static void sorted_brightness(int width, int height, unsigned from, unsigned range)
{
    static const double percents[N_BRIGHTNESS] = {1, 5, 10, 15, 90, 95, 99};
    struct image m = IMAGE_EMPTY;
    struct picture_stats s;
    struct error err = {0};
    size_t n = (size_t)width * (size_t)height;
    uint32_t *light = malloc(n * sizeof *light), random = 1;
    bool same = light && image_reserve(&m, width, height, 3, &err) == 0;
    for (size_t i = 0; same && i < n; i++) {
        uint8_t *p = m.pixels + 3 * i;
        for (int c = 0; c < 3; c++) {
            random = random * 1664525u + 1013904223u;
            p[c] = (uint8_t)(from + (random >> 16) % range);
        }
        light[i] = 241u * p[0] * p[0] + 691u * p[1] * p[1] + 68u * p[2] * p[2];
    }
    same = same && picture_stats(&m, &s, &err) == 0;
    if (same) qsort(light, n, sizeof *light, compare);
    for (int i = 0; same && i < N_BRIGHTNESS; i++) {
        double x = percents[i] / 100 * (double)(n - 1), t = x - (double)(size_t)x;
        size_t k = (size_t)x, next = k + 1 < n ? k + 1 : k;
        double a = sqrt((double)light[k] / 1000) / 255, b = sqrt((double)light[next] / 1000) / 255;
        same = s.brightness[i] == (t < 0.5 ? a + (b - a) * t : b - (b - a) * (1 - t));
    }
    CHECK_SAY(same, "%dx%d, samples of %u..%u: the percentiles of the sorted pixels", width, height, from,
              from + range - 1);
    image_release(&m);
    free(light);
}

int main(void)
{
    for (int width = 1; width < 20; width++)
        sorted_brightness(width, 1, 0, 256);
    sorted_brightness(301, 251, 0, 256);
    sorted_brightness(301, 251, 250, 6);
    sorted_brightness(301, 251, 127, 3);
    sorted_brightness(301, 251, 255, 1);

    struct manifest_reader r = MANIFEST_READER_EMPTY;
    struct image m = IMAGE_EMPTY;
    struct error err = {0};
    char path[256];
    int got, n = 0, column[N_COLUMNS];
    if (manifest_reader_open(&r, "tests/fixtures/cleanvision/expected.tsv", NULL, &err)) return 1;
    int file = manifest_column(&r.schema, "file");
    for (size_t i = 0; i < N_COLUMNS; i++)
        column[i] = manifest_column(&r.schema, columns[i]);
    while ((got = manifest_reader_next(&r, &err)) > 0) {
        struct picture_stats s;
        snprintf(path, sizeof path, "tests/fixtures/cleanvision/pictures/%s", r.fields[file]);
        if (!CHECK_SAY(decode(path, &m) && picture_stats(&m, &s, &err) == 0, "%s is measured",
                       r.fields[file]))
            continue;
        const double have[] = {s.brightness[0], s.brightness[1], s.brightness[2],  s.brightness[3],
                               s.brightness[4], s.brightness[5], s.brightness[6],  s.brightness_mean,
                               s.entropy,       s.blurriness,    s.gray_counts_std};
        double most = 0;
        for (size_t i = 0; i < N_COLUMNS; i++) {
            double d = have[i] - strtod(r.fields[column[i]], NULL);
            if ((d = d < 0 ? -d : d) > 1e-9)
                printf("# %s: %.17g, wanted %s\n", columns[i], have[i], r.fields[column[i]]);
            if (d > most) most = d;
        }
        CHECK_SAY(most <= 1e-9, "%s: within 1e-9 (%.1e)", r.fields[file], most);
        n++;
    }
    CHECK(got == 0 && n == 49);
    manifest_reader_close(&r);
    image_release(&m);
    return tap_done();
}
