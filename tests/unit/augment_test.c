/* needs: base io hash manifest image */
/*
 * Augmentation against Keras' formulas (tests/ref/augment_vectors.tsv), its words, its determinism, and what
 * each kind does.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "augment_params.h"
#include "hash/content_hash.h"
#include "image/augment.h"
#include "tap.h"

#define HASH "0123456789abcdef0123456789abcdef"

static void picture(struct image *m, int w, int h)
{
    struct error err = {0};
    if (image_reserve(m, w, h, 3, &err)) exit(71);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int c = 0; c < 3; c++)
                m->pixels[(y * w + x) * 3 + c] =
                    (uint8_t)lrint(127 + 90 * sin(x / 4.0 + c) + 37 * cos(y / 3.0 - c));
}

static void test_keras(void)
{
    const char *top = getenv("TOP");
    char path[4096], *line = NULL;
    size_t room = 0;
    int n = 0;
    snprintf(path, sizeof path, "%s/tests/ref/augment_vectors.tsv", top ? top : ".");
    FILE *f = fopen(path, "r");
    CHECK_SAY(f != NULL, "%s", path);
    while (f && getline(&line, &room, f) > 0) {
        struct image in = IMAGE_EMPTY, out = IMAGE_EMPTY;
        struct augment_scratch scratch = AUGMENT_SCRATCH_EMPTY;
        struct augment_spec spec = AUGMENT_NONE;
        struct augment_params p;
        struct error err = {0};
        char text[300], fill[16];
        int w, h, at;
        double worst = 0, sum = 0;
        if (sscanf(line, "%299[^\t]\t%15[^\t]\t%d\t%d\t%n", text, fill, &w, &h, &at) != 4 ||
            augment_params_parse(text, &p, &err)) {
            CHECK_SAY(false, "a row of the vectors: %s", err.text);
            continue;
        }
        spec.fill = strcmp(fill, "reflect") ? FILL_NEAREST : FILL_REFLECT;
        picture(&in, w, h);
        CHECK(augment_apply(&p, &spec, &in, &out, &scratch, &err) == 0);
        char *s = line + at;
        for (size_t i = 0; i < image_bytes(&out); i++) {
            double d = fabs(out.pixels[i] - strtod(s, &s));
            worst = d > worst ? d : worst;
            sum += d;
        }
        /* The picture climbs 25 levels a pixel at most; positions are rounded to 1/128 pixel in each axis,
         * samples to levels, twice where brightness follows, and the amount of a channel shift to a level. */
        CHECK_SAY(worst <= 1.2 && sum / (double)image_bytes(&out) < 0.5,
                  "Keras' %s (%s, %dx%d): at most %.2f away, %.3f on average", text, fill, w, h, worst,
                  sum / (double)image_bytes(&out));
        n++;
        image_release(&in);
        image_release(&out);
        augment_scratch_release(&scratch);
    }
    CHECK_SAY(n >= 30, "%d vectors", n);
    free(line);
    if (f) fclose(f);
}

static void test_words(void)
{
    struct augment_spec s;
    struct error err = {0};
    static const char *const wrong[] = {"",          "rotate=3", "rotation",      "rotation=-1", "rotation=x",
                                        "zoom=1.5",  "zoom=2:1", "shift=0.1:0.2", "jpeg=50",     "jpeg=90:50",
                                        "fill=blue", "flip=2",   "article,,",     "rotation=1 ", "crop=1"};
    CHECK(augment_spec_parse("none", &s, &err) == 0 && augment_spec_is_none(&s));
    CHECK(augment_spec_parse("article", &s, &err) == 0 && s.rotation_deg == 30 && s.width_shift == 0.2 &&
          s.height_shift == 0.2 && s.shear_deg == 0.2 && s.zoom_low == 0.8 && s.zoom_high == 1.2 &&
          s.channel_shift == 20 && s.horizontal_flip == 0.5 && s.fill == FILL_NEAREST &&
          !augment_spec_is_none(&s));
    CHECK(augment_spec_parse("article,rotation=10,fill=1:2:3,jpeg=30:90:0.25,erase", &s, &err) == 0 &&
          s.rotation_deg == 10 && s.channel_shift == 20 && s.fill == FILL_CONSTANT && s.fill_value[2] == 3 &&
          s.jpeg_probability == 0.25 && s.erase == 0.5);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK_SAY(augment_spec_parse(wrong[i], &s, &err) == -1 && err.code == EX_USAGE, "'%s' is refused: %s",
                  wrong[i], err.text);
}

static void test_drawing(void)
{
    struct augment_spec s, fewer;
    struct augment_params p, q, other;
    struct error err = {0};
    char text[AUGMENT_TEXT_BYTES], again[AUGMENT_TEXT_BYTES];
    double most_rotation = 0, sum_shift = 0, least_zoom = 9, most_zoom = 0;
    int n_flips = 0, n_outside = 0, n_lost = 0, n_erased = 0;
    CHECK(augment_spec_parse("article,vflip=0.1,crop=0.3,brightness=0.2,contrast=0.2,jpeg=40:95,blur=1.5,"
                             "erase=0.3",
                             &s, &err) == 0);
    for (uint64_t v = 1; v <= 2000; v++) {
        augment_draw(&s, 1, HASH, v, &p);
        most_rotation = fmax(most_rotation, fabs(p.rotation_deg));
        sum_shift += p.shift_x;
        least_zoom = fmin(least_zoom, p.zoom_x);
        most_zoom = fmax(most_zoom, p.zoom_y);
        n_flips += p.flip;
        n_erased += p.erase;
        n_outside += fabs(p.rotation_deg) > 30 || fabs(p.shift_y) > 0.2 || fabs(p.shear_deg) > 0.2 ||
                     p.zoom_y < 0.8 || p.zoom_y > 1.2 || fabs(p.channel_shift) > 20 || p.crop_scale > 1 ||
                     p.crop_scale < sqrt(0.7) - 1e-6 || fabs(p.crop_y) > (1 - p.crop_scale) / 2 + 1e-6 ||
                     (p.jpeg_quality && (p.jpeg_quality < 40 || p.jpeg_quality > 95)) ||
                     p.blur_sigma_px > 1.5 || p.erase_y + p.erase_h > 1.000002;
        augment_params_text(&p, text);
        n_lost += augment_params_parse(text, &q, &err) || memcmp(&p, &q, sizeof p);
        augment_params_text(&q, again);
        n_lost += strcmp(text, again) != 0;
    }
    CHECK_SAY(n_outside == 0, "2000 draws lie within their ranges");
    CHECK_SAY(n_lost == 0, "the text of 2000 draws gives them back to the last bit (%d do not)", n_lost);
    CHECK_SAY(most_rotation > 29.5 && fabs(sum_shift / 2000) < 0.012 && least_zoom < 0.805 &&
                  most_zoom > 1.195 && n_flips > 900 && n_flips < 1100 && n_erased > 520 && n_erased < 680,
              "and fill them: rotation to %g, %d flips, %d erased", most_rotation, n_flips, n_erased);
    augment_draw(&s, 1, HASH, 5, &p);
    augment_draw(&s, 1, HASH, 5, &q);
    CHECK(memcmp(&p, &q, sizeof p) == 0);
    augment_draw(&s, 2, HASH, 5, &q);
    augment_draw(&s, 1, "1" HASH, 5, &other);
    CHECK(p.rotation_deg != q.rotation_deg && p.rotation_deg != other.rotation_deg);
    fewer = s;
    fewer.rotation_deg = 0;
    fewer.erase = 0;
    augment_draw(&fewer, 1, HASH, 5, &q);
    CHECK_SAY(q.rotation_deg == 0 && q.shift_y == p.shift_y && q.zoom_x == p.zoom_x &&
                  q.channel_shift == p.channel_shift,
              "switching one kind off leaves the others as they were");
    augment_draw(&s, 1, HASH, 0, &p);
    augment_params_text(&p, text);
    CHECK_SAY(!strcmp(text, "none"), "variant 0 is the picture itself: %s", text);
    CHECK(augment_params_parse("rotation=1,nonsense=2", &p, &err) == -1 &&
          augment_params_parse("shift=1", &p, &err) == -1);
}

static void test_kinds(void)
{
    struct image in = IMAGE_EMPTY, out = IMAGE_EMPTY;
    struct augment_scratch scratch = AUGMENT_SCRATCH_EMPTY;
    struct augment_spec spec = AUGMENT_NONE;
    struct augment_params p;
    struct error err = {0};
    picture(&in, 40, 30);
    augment_params_parse("none", &p, &err);
    CHECK(augment_apply(&p, &spec, &in, &out, &scratch, &err) == 0 &&
          memcmp(in.pixels, out.pixels, image_bytes(&in)) == 0);
    augment_params_parse("flip,vflip", &p, &err);
    augment_apply(&p, &spec, &in, &out, &scratch, &err);
    size_t n = image_bytes(&in) / 3;
    int wrong = 0;
    for (size_t i = 0; i < n; i++)
        wrong += memcmp(in.pixels + 3 * i, out.pixels + 3 * (n - 1 - i), 3) != 0;
    CHECK_SAY(wrong == 0, "both flips turn the picture by exactly half a turn");
    augment_params_parse("contrast=0", &p, &err);
    augment_apply(&p, &spec, &in, &out, &scratch, &err);
    CHECK(out.pixels[0] == out.pixels[image_bytes(&out) - 1]);
    augment_params_parse("blur=2", &p, &err);
    augment_apply(&p, &spec, &in, &out, &scratch, &err);
    double before = 0, after = 0;
    for (size_t i = 3; i < image_bytes(&in); i++) {
        before += abs(in.pixels[i] - in.pixels[i - 3]);
        after += abs(out.pixels[i] - out.pixels[i - 3]);
    }
    CHECK_SAY(after < 0.95 * before && after > 0.2 * before, "blur smooths: %g of the differences stay",
              after / before);
    memset(in.pixels, 93, image_bytes(&in));
    augment_apply(&p, &spec, &in, &out, &scratch, &err);
    CHECK_SAY(out.pixels[0] == 93 && memcmp(out.pixels, out.pixels + 1, image_bytes(&out) - 1) == 0,
              "blur leaves flat pictures flat");
    augment_params_parse("erase=0.25:0.5:0.5:0.5:77", &p, &err);
    augment_apply(&p, &spec, &in, &out, &scratch, &err);
    int changed = 0, outside = 0;
    for (int y = 0; y < 30; y++)
        for (int x = 0; x < 40; x++) {
            bool in_rectangle = y >= 7 && y < 22 && x >= 20;
            bool differs = memcmp(out.pixels + (y * 40 + x) * 3, in.pixels, 3) != 0;
            changed += differs && in_rectangle;
            outside += differs && !in_rectangle;
        }
    CHECK_SAY(changed > 290 && outside == 0, "erasing changes its rectangle and nothing else (%d, %d)",
              changed, outside);
    augment_params_parse("shift=0.5:0", &p, &err);
    spec.fill = FILL_CONSTANT;
    spec.fill_value[1] = 200;
    augment_apply(&p, &spec, &in, &out, &scratch, &err);
    CHECK(out.pixels[0] == 93 && out.pixels[(29 * 40) * 3] == 0 && out.pixels[(29 * 40) * 3 + 1] == 200);
    augment_params_parse("crop=0.5:0:0", &p, &err);
    picture(&in, 41, 41);
    augment_apply(&p, &spec, &in, &out, &scratch, &err);
    CHECK_SAY(!memcmp(out.pixels, in.pixels + (10 * 41 + 10) * 3, 3) &&
                  !memcmp(out.pixels + (40 * 41 + 40) * 3, in.pixels + (30 * 41 + 30) * 3, 3),
              "a crop of half the side shows the middle");
    augment_params_parse("jpeg=5", &p, &err);
    augment_apply(&p, &spec, &in, &out, &scratch, &err);
    CHECK(memcmp(in.pixels, out.pixels, image_bytes(&in)) != 0 &&
          abs(in.pixels[3000] - out.pixels[3000]) < 90);
    for (int side = 1; side < 4; side++) {
        picture(&in, side, 4 - side);
        augment_params_parse("rotation=40,zoom=0.7:1.3,channel=5,blur=3,flip", &p, &err);
        spec.fill = FILL_NEAREST;
        CHECK_SAY(augment_apply(&p, &spec, &in, &out, &scratch, &err) == 0, "%d x %d works, too", side,
                  4 - side);
    }
    image_release(&in);
    image_release(&out);
    augment_scratch_release(&scratch);
}

static void hash_of_all(char hex[33])
{
    struct augment_spec s;
    struct error err = {0};
    struct image in = IMAGE_EMPTY;
    struct augment_scratch scratch = AUGMENT_SCRATCH_EMPTY;
    struct xxh128 h;
    enum { SIDE = 77, BYTES = SIDE * SIDE * 3 };
    uint8_t *all = malloc(12 * BYTES);
    augment_spec_parse("article,crop=0.2,blur=1,erase,contrast=0.3", &s, &err);
    picture(&in, SIDE, SIDE);
    for (uint64_t v = 0; v < 12; v++)
        if (augment_pixels(&s, 3, HASH, v, in.pixels, all + v * BYTES, SIDE, &scratch, &err)) exit(71);
    xxh128_of(&h, all, 12 * BYTES);
    xxh128_hex(hex, &h);
    free(all);
    image_release(&in);
    augment_scratch_release(&scratch);
}

static void test_instruction_sets(void)
{
    static const char *const levels[] = {"base", "sse41", "avx2"};
    char hex[3][33] = {{0}};
    for (int level = 0; level < 3; level++) {
        int pipe_fd[2], status;
        if (pipe(pipe_fd)) exit(71);
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            setenv("WINNOW_SIMD", levels[level], 1);
            hash_of_all(hex[level]);
            _exit(write(pipe_fd[1], hex[level], 32) == 32 ? 0 : 1);
        }
        close(pipe_fd[1]);
        CHECK(read(pipe_fd[0], hex[level], 32) == 32 && waitpid(pid, &status, 0) == pid && status == 0);
        close(pipe_fd[0]);
    }
    CHECK_SAY(!strcmp(hex[0], hex[1]) && !strcmp(hex[0], hex[2]),
              "plain C, SSE and AVX2 agree bit for bit: %s", hex[0]);
    /* Pixels of a variant must not change from one version, machine or compiler to the next: recorded params
     * depend on it. */
    CHECK_SAY(!strcmp(hex[0], "80a64e8139973b57cfd0ed43187099c4"),
              "and are the pixels they have always been");
}

int main(void)
{
    test_instruction_sets();
    test_keras();
    test_words();
    test_drawing();
    test_kinds();
    return tap_done();
}
