/* needs: base io hash manifest image */
/* picture_stats against what CleanVision says about made pictures: tests/fixtures/cleanvision. */
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

int main(void)
{
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
