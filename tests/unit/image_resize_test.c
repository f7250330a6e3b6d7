/* needs: base io hash manifest image */
/*
 * Resizing against Pillow, exact area averages and TensorFlow.js (tests/ref/resize*_vectors.tsv), the three
 * instruction sets against each other, and what must hold for any picture.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/random.h"
#include "hash/content_hash.h"
#include "image/image.h"
#include "image/codec.h"
#include "tap.h"

static void picture(struct image *m, int w, int h)
{
    struct error err = {0};
    if (image_reserve(m, w, h, 3, &err)) exit(71);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int c = 0; c < 3; c++)
                m->pixels[(y * w + x) * 3 + c] =
                    (uint8_t)((x * 7 + y * 13 + c * 50 + ((x * x + 3 * y * y + x * y * (c + 1)) % 97) * 2) %
                              256);
}

/* Every row of the file; most: how far a sample may be from the reference. */
static void against_file(const char *name, double most_pillow, double most_area, double most_tfjs)
{
    const char *top = getenv("TOP");
    char path[4096], *line = NULL;
    size_t room = 0;
    snprintf(path, sizeof path, "%s/tests/ref/%s", top ? top : ".", name);
    FILE *f = fopen(path, "r");
    CHECK_SAY(f != NULL, "%s can be opened", path);
    int n_rows = 0;
    while (f && getline(&line, &room, f) > 0) {
        struct image in = IMAGE_EMPTY, out = IMAGE_EMPTY;
        struct error err = {0};
        enum resize_method method;
        char word[16];
        int w, h, W, H, at;
        double worst = 0, sum = 0;
        if (sscanf(line, "%15s %d %d %d %d %n", word, &w, &h, &W, &H, &at) != 5 ||
            resize_method_parse(word, &method, &err)) {
            CHECK_SAY(false, "a row of %s", name);
            continue;
        }
        picture(&in, w, h);
        CHECK(image_resize(&out, &in, W, H, method, &err) == 0);
        char *s = line + at;
        for (size_t i = 0; i < image_bytes(&out); i++) {
            double want = strtod(s, &s), d = fabs(out.pixels[i] - want);
            worst = d > worst ? d : worst;
            sum += d;
        }
        double most = method == RESIZE_TFJS ? most_tfjs : method == RESIZE_AREA ? most_area : most_pillow;
        CHECK_SAY(worst <= most, "%s %dx%d to %dx%d: at most %g away, %g on average", word, w, h, W, H, worst,
                  sum / (double)image_bytes(&out));
        n_rows++;
        image_release(&in);
        image_release(&out);
    }
    CHECK_SAY(n_rows >= 8, "%d rows of %s", n_rows, name);
    free(line);
    if (f) fclose(f);
}

/* One hash over many sizes and methods, with the instruction set the environment allows. */
static void hash_of_all(char hex[33])
{
    struct random r = random_start(3, 1, 4);
    struct xxh128_stream *h;
    struct error err = {0};
    struct xxh128 end;
    if (xxh128_stream_open(&h, &err)) exit(71);
    for (int k = 0; k < 200; k++) {
        struct image in = IMAGE_EMPTY, out = IMAGE_EMPTY;
        int w = 1 + (int)random_below(&r, k % 10 ? 90 : 700), hgt = 1 + (int)random_below(&r, 90);
        int W = 1 + (int)random_below(&r, 120), H = 1 + (int)random_below(&r, 120), channels = k % 4 ? 3 : 1;
        enum resize_method method = (enum resize_method)(k % 4);
        if (image_reserve(&in, w, hgt, channels, &err)) exit(71);
        for (size_t i = 0; i < image_bytes(&in); i++)
            in.pixels[i] = (uint8_t)random_u64(&r);
        if (image_resize(&out, &in, W, H, method, &err)) exit(71);
        xxh128_stream_add(h, out.pixels, image_bytes(&out));
        image_release(&in);
        image_release(&out);
    }
    xxh128_stream_end(h, &end);
    xxh128_stream_close(h);
    xxh128_hex(hex, &end);
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
    /* A model trained on one machine's squares is used on another's. */
    CHECK_SAY(!strcmp(hex[0], "8bf9711745e8eb686e8377b9e8726fcc"),
              "and are the pixels they have always been");
}

static void test_invariants(void)
{
    struct image in = IMAGE_EMPTY, out = IMAGE_EMPTY;
    struct error err = {0};
    for (int method = 0; method < 5; method++) {
        int wrong = 0;
        for (int level = 0; level < 256; level += 51)
            for (int size = 1; size < 400; size = size * 3 + 1) {
                image_reserve(&in, 97, 61, 3, &err);
                memset(in.pixels, level, image_bytes(&in));
                image_resize(&out, &in, size, 77, (enum resize_method)method, &err);
                for (size_t i = 0; i < image_bytes(&out); i++)
                    wrong += out.pixels[i] != level;
            }
        CHECK_SAY(wrong == 0, "%s leaves flat pictures flat", resize_method_name((enum resize_method)method));
        picture(&in, 50, 40);
        CHECK(image_resize(&out, &in, 50, 40, (enum resize_method)method, &err) == 0 &&
              memcmp(in.pixels, out.pixels, image_bytes(&in)) == 0);
        image_reserve(&in, 65535, 1, 3, &err);
        memset(in.pixels, 200, image_bytes(&in));
        CHECK(image_resize(&out, &in, 2, 2, (enum resize_method)method, &err) == 0 && out.pixels[0] == 200);
    }
    CHECK(image_shrink_hint(RESIZE_TFJS, 299) == 0 && image_shrink_hint(RESIZE_AREA, 299) == 299);
    image_release(&in);
    image_release(&out);
}

/* The square is the middle of the picture as it was resized, stretched or not. */
static void check_framed(void)
{
    static const struct {
        const char *rule;
        int width, height, x, y; /* of the whole, and where the square of 16 begins */
    } cases[] = {
        {"bilinear+20", 50, 20, 17, 2}, {"area+21x21", 21, 21, 2, 2},     {"lanczos+16", 40, 16, 12, 0},
        {"tfjs+19", 47, 19, 16, 2},     {"bilinear+23x23", 23, 23, 4, 4},
    };
    struct error err = {0};
    struct image in = {0}, whole = {0}, out = {0};
    struct resize_rule rule;
    char text[RESIZE_RULE_BYTES];
    CHECK(!image_reserve(&in, 75, 30, 3, &err));
    for (int i = 0; i < 75 * 30 * 3; i++)
        in.pixels[i] = (uint8_t)(i * 7919 >> 3);
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        bool same = true;
        CHECK(!resize_rule_parse(cases[k].rule, &rule, &err) &&
              strcmp(resize_rule_text(&rule, text), cases[k].rule) == 0);
        CHECK(!image_resize(&whole, &in, cases[k].width, cases[k].height, rule.method, &err) &&
              !image_framed(&out, &in, 16, &rule, &err) && out.width == 16 && out.height == 16);
        for (int y = 0; y < 16; y++)
            same &= !memcmp(out.pixels + y * 48,
                            whole.pixels + ((cases[k].y + y) * cases[k].width + cases[k].x) * 3, 48);
        CHECK_SAY(same, "%s cuts the middle", cases[k].rule);
    }
    static const char *const bad[] = {"cubic",     "bilinear+", "bilinear+0", "bilinear+256x255",
                                      "area+9000", "area+12x"};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
        CHECK_SAY(resize_rule_parse(bad[k], &rule, &err), "'%s' is refused: %s", bad[k], err.text);
    CHECK(!resize_rule_parse("bilinear+8", &rule, &err) && image_framed(&out, &in, 16, &rule, &err));
    image_release(&in);
    image_release(&whole);
    image_release(&out);
}

int main(void)
{
    /* First: the parent must not have asked for the instruction set yet, or
     * the children inherit the answer. */
    test_instruction_sets();
    /* Pillow: one level, for its weights have six more bits; area: half a level for each of the two
     * roundings. */
    against_file("resize_vectors.tsv", 1, 1, 0);
    /* TensorFlow.js keeps floats, we round them: half a level, and its float arithmetic. */
    against_file("resize_tfjs_vectors.tsv", 0, 0, 0.502);
    test_invariants();
    check_framed();
    return tap_done();
}
