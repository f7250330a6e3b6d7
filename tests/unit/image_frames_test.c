/* needs: base io hash manifest image */
/*
 * Frames of animations: which are given, and what becomes of damage. With arguments (FILE FOLDER) it writes
 * each frame of the file to FOLDER/0.ppm, 1.ppm ...: the suite animations compares those with Chromium's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/image.h"
#include "io/io.h"
#include "tap.h"

struct seen {
    int n, shades[300]; /* the first sample of each frame */
    const char *folder;
};

static enum image_reason note(void *context, int given, struct image *m, struct image_failure *f)
{
    struct seen *s = context;
    char path[4096];
    (void)f;
    if (given != s->n || given >= 300) abort();
    s->shades[s->n++] = m->pixels[0];
    if (!s->folder) return IMAGE_OK;
    snprintf(path, sizeof path, "%s/%d.ppm", s->folder, given);
    FILE *out = fopen(path, "wb");
    if (!out) exit(73);
    fprintf(out, "P6\n%d %d\n255\n", m->width, m->height);
    fwrite(m->pixels, 1, image_bytes(m), out);
    fclose(out);
    return IMAGE_OK;
}

static enum image_reason walk(const uint8_t *bytes, size_t n, int every, int most, struct seen *s,
                              struct image_info *info, struct image_failure *f)
{
    struct decode_options o = DECODE_DEFAULTS;
    struct image m = IMAGE_EMPTY;
    enum image_reason reason = image_decode_frames(bytes, n, &o, every, most, &m, note, s, info, f);
    image_release(&m);
    return reason;
}

/* A GIF of n frames of 1x1, each of another grey: frame k has shade k % 256. */
static size_t gif_of(uint8_t *out, int n)
{
    size_t at = 13;
    memcpy(out, "GIF89a\1\0\1\0\0\0\0", 13);
    for (int k = 0; k < n; k++) {
        static const uint8_t head[] = {0x2C, 0, 0, 0, 0, 1, 0, 1, 0, 0x80}, tail[] = {2, 2, 0x44, 1, 0};
        memcpy(out + at, head, 10);
        memset(out + at + 10, k & 255, 6);
        memcpy(out + at + 16, tail, 5);
        at += 21;
    }
    out[at++] = ';';
    return at;
}

static void test_choice(void)
{
    static const struct {
        int frames, every, most, n, last; /* last: shade of the last that is given */
    } list[] = {
        {10, 1, 0, 10, 9}, {10, 3, 0, 4, 9}, {10, 1, 4, 4, 9},        {10, 1, 3, 3, 8},
        {10, 20, 0, 1, 0}, {1, 1, 8, 1, 0},  {250, 1, 256, 250, 249}, {250, 1, 64, 63, 248},
    };
    uint8_t *bytes = malloc(21 * 300 + 16);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct seen s = {0};
        struct image_info info;
        struct image_failure f;
        size_t n = gif_of(bytes, list[i].frames);
        enum image_reason reason = walk(bytes, n, list[i].every, list[i].most, &s, &info, &f);
        CHECK_SAY(reason == IMAGE_OK && s.n == list[i].n && s.shades[s.n - 1] == list[i].last &&
                      info.frames == list[i].frames,
                  "%d frames, every %d, most %d: %d, the last is %d (%s)", list[i].frames, list[i].every,
                  list[i].most, s.n, s.n ? s.shades[s.n - 1] : -1, f.detail);
    }
    struct seen s = {0};
    struct image_info info;
    struct image_failure f;
    size_t n = gif_of(bytes, 5);
    bytes[13 + 3 * 21 + 18] = 0xFF; /* the fourth frame's codes */
    CHECK(walk(bytes, n, 1, 1, &s, &info, &f) == IMAGE_OK && s.n == 1);
    s.n = 0;
    CHECK(walk(bytes, n, 1, 0, &s, &info, &f) == IMAGE_DECODE_CORRUPT && s.n == 3);
    s.n = 0;
    n = gif_of(bytes, 5);
    CHECK(walk(bytes, n - 8, 1, 0, &s, &info, &f) == IMAGE_DECODE_TRUNCATED && s.n == 4);
    free(bytes);
}

static int dump(const char *file, const char *folder)
{
    struct seen s = {.folder = folder};
    struct image_info info;
    struct image_failure f;
    struct error err = {0};
    char *bytes = NULL;
    size_t n;
    if (io_read_file(file, 64 << 20, &bytes, &n, &err)) return 66;
    enum image_reason reason = walk((const uint8_t *)bytes, n, 1, 0, &s, &info, &f);
    printf("%d %d %s %s\n", s.n, info.frames, reason == IMAGE_OK ? "ok" : image_reason_slug(reason),
           f.detail);
    free(bytes);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3) return dump(argv[1], argv[2]);
    test_choice();
    return tap_done();
}
