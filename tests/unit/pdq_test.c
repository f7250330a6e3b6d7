/* needs: base io hash */
/*
 * PDQ against hashes that the published C++ implementation printed for the same pixels (nn512: its tool on
 * PNG files; full: its hashing function on the full-size luma), and against the plain re-telling of
 * pdq_plain.h on random pictures. Bits and quality have to be equal: the algorithm is defined to the last
 * addition, so there is no tolerance.
 */
#include "hash/pdq.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hash/pdq_kernels.h"
#include "pdq_plain.h"
#include "tap.h"

struct published {
    int width, height, k, channels;
    const char *full, *nn512;
    int quality;
};

static const struct published published[] = {
    {5, 5, 0, 3, "3b0e94a5c4f16b5ac4f164d99b269b266c5b96a53b0e94a5c4f1695ac4f164d9",
     "3b0e94a5c4f16b5ac4f164d99b269b266c5b96a53b0e94a5c4f1695ac4f164d9", 9},
    {63, 40, 1, 3, "ecaa29d6519fb552ea5596b461b5cda1bb26606cc1cdff0c887d17bcf82003e0",
     "ecaa29d6519fb552ea5596b461b5cda1bb26606cc1cdff0c887d17bcf82003e0", 100},
    {64, 64, 2, 3, "a5b52ab56633cd269b66366c4ce4f3cc270dfc1d003e8ffc7f986070c7e03640",
     "a5b52ab56633cd269b66366c4ce4f3cc270dfc1d003e8ffc7f986070c7e03640", 100},
    {65, 129, 3, 1, "738d271d3e1dfc1ee03e01fe03fcfffcfff80c0038f8f030c1a00fa08a607fc0",
     "738d271d3e1dfc1ee03e01fe03fcfffcfff80c0038f8f030c1a00fa08a607fc0", 100},
    {128, 128, 4, 3, "80d901b383f017ff4ffcdffcfff0dae010803e80dd00fea1f580bb21d3845554",
     "80d901b383f017ff4ffcdffcfff0dae010803e80dd00fea1f580bb21d3845554", 100},
    {200, 513, 5, 3, "e382e7c3fd81e683efd1b751e743d2a1e380cfb08f024209de9bd7d1c510cba0",
     "e318ff02ae01c283af11a75bfe239213ef008f0d8c234f01defbc7d9f511cb61", 100},
    {512, 512, 6, 3, "490f82fb132e0927c9bf4c875016e53f00975f87a92f5fbb0be45ba3288a2baa",
     "490f82fb132e0927c9bf4c875016e53f00975f87a92f5fbb0be45ba3288a2baa", 100},
    {513, 100, 7, 1, "f3c93db37fd3fed3b63f9e6ffedfbd92b880f980a000810022016217ba0a9a28",
     "ffd91c3ffd907f1bf63ff71effffbc80fdc4f80000008080620b6217fa080a60", 100},
    {640, 481, 8, 3, "882fa4774137c44f3a674cd724bf131737752df71331438517f20f7ad47121a0",
     "882fe62f3133845f3f2709f744ee1747165d0fb71371448c1ff20dba84297323", 100},
    {1023, 767, 9, 3, "dfed3ac392cd67bb1acf0088127b9b8447fb3a80167bb20465fb9b242cf2b284",
     "85854a019fd124bb96df013c455a478874778a84577fd48c45f7d0ae4ced9f9c", 100},
};

/* Original, then the seven other orientations, of the 512x512 picture above, in the published order. */
static const char *const published_dihedral[PDQ_DIHEDRALS] = {
    "490f82fb132e0927c9bf4c875016e53f00975f87a92f5fbb0be45ba3288a2baa",
    "4000f8af0021fdab103efbff40516e820881ffff1004f5efc9124abfdae76a4f",
    "545a28a05551a38d55cfa6af0547eba755d6f1a87c56e1b35c55b3885d5f8128",
    "1575560555745711d56b5155550cc4285ddc555545515f45bc67ead58fb2c8f5",
    "090f7ff5000cfed8009ffbfa5016bef20087acfda90bb4e70b80e6dd080adc7d",
    "545ad75f55515c7255cf11500547145855d606537c560e4c5c554c775d5f76d7",
    "49208f54012322549c7f0550605db97d4cdf4008793d4b90e933bfe8fff7ddf4",
    "1555a9fa5574a8ee412aaeaa15043bd75dd4aaaa4551a0ba9c471faa8fb23f1a",
};

/* Bars, steps and noise from whole numbers only, so that the same picture can be made anywhere. */
static uint8_t *formula_image(int w, int h, int k, int channels)
{
    uint8_t *p = malloc((size_t)w * (size_t)h * (size_t)channels), *at = p;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int c = 0; c < channels; c++)
                *at++ =
                    (uint8_t)(x * x * 3 / (w + 7) + y * (5 + c) + x * y / (11 + k) * 7 +
                              ((x / (9 + k)) ^ (y / 13)) * 29 + (x * 7919 + y * 104729 + c * 31) % (17 + k));
    return p;
}

static uint32_t state = 12345;

static uint32_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 17;
    return state ^= state << 5;
}

static void test_published(struct pdq *p)
{
    struct error err = {0};
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        const struct published *c = &published[i];
        uint8_t *pixels = formula_image(c->width, c->height, c->k, c->channels);
        for (int family = PDQ_FULL; family <= PDQ_NN512; family++) {
            struct pdq_hash h;
            char hex[PDQ_HEX_BYTES];
            int quality;
            CHECK(pdq_of_pixels(p, (enum pdq_family)family, pixels, (uint32_t)c->width, (uint32_t)c->height,
                                (unsigned)c->channels, (size_t)c->width * (size_t)c->channels, &h, 1,
                                &quality, &err) == 0);
            pdq_to_hex(hex, &h);
            CHECK_SAY(!strcmp(hex, family == PDQ_FULL ? c->full : c->nn512) && quality == c->quality,
                      "%dx%d %s: %s quality %d", c->width, c->height,
                      pdq_family_name((enum pdq_family)family), hex, quality);
        }
        free(pixels);
    }
    uint8_t *pixels = formula_image(512, 512, 6, 3);
    struct pdq_hash h[PDQ_DIHEDRALS];
    int quality;
    CHECK(pdq_of_pixels(p, PDQ_NN512, pixels, 512, 512, 3, 512 * 3, h, PDQ_DIHEDRALS, &quality, &err) == 0);
    for (int d = 0; d < PDQ_DIHEDRALS; d++) {
        char hex[PDQ_HEX_BYTES];
        pdq_to_hex(hex, &h[d]);
        CHECK_SAY(!strcmp(hex, published_dihedral[d]), "orientation %d: %s", d, hex);
    }
    free(pixels);
}

/* Every width and height from 1 to 70 and the borders of the windows, noise over ramps,
 * grey and colour, both families. */
static void test_against_plain(struct pdq *p)
{
    struct error err = {0};
    int wrong = 0, n = 0;
    static const int sides[] = {127, 128, 129, 255, 257, 384, 385, 511, 512, 513, 700};
    for (int round = 0; round < 260; round++) {
        int w = round < 140 ? 1 + round / 2 : sides[next_random() % 11],
            h = round < 140 ? 1 + (int)(next_random() % 70) : sides[next_random() % 11];
        int channels = next_random() % 2 ? 3 : 1, slope = (int)(next_random() % 5),
            noise = 1 + (int)(next_random() % 200);
        uint8_t *pixels = malloc((size_t)w * (size_t)h * (size_t)channels);
        for (size_t i = 0; i < (size_t)w * (size_t)h * (size_t)channels; i++)
            pixels[i] = (uint8_t)((int)(i % (size_t)w) * slope + (int)(next_random() % (uint32_t)noise));
        for (int family = PDQ_FULL; family <= PDQ_NN512; family++) {
            uint8_t bits[256];
            struct pdq_hash hash;
            int quality, expected = plain_pdq(bits, pixels, w, h, channels, family == PDQ_NN512);
            pdq_of_pixels(p, (enum pdq_family)family, pixels, (uint32_t)w, (uint32_t)h, (unsigned)channels,
                          (size_t)w * (size_t)channels, &hash, 1, &quality, &err);
            bool same = quality == expected;
            for (int k = 0; k < 256; k++)
                same = same && bits[k] == (hash.word[k / 64] >> (k % 64) & 1);
            if (!same && wrong++ < 5)
                CHECK_SAY(false, "%dx%d, %d channels, family %d: quality %d, plain %d", w, h, channels,
                          family, quality, expected);
            n++;
        }
        free(pixels);
    }
    CHECK_SAY(wrong == 0, "%d of %d random pictures differ from the plain form", wrong, n);
}

/* The vector code of this machine and the portable one give the same floats. */
static void test_kernels(void)
{
    enum { N = 320 };
    const struct pdq_kernels *fast = pdq_kernels(), *plain = pdq_kernels_plain();
    float *in = aligned_alloc(64, sizeof *in * N * PDQ_BLOCK),
          *a = aligned_alloc(64, sizeof *a * N * PDQ_BLOCK);
    float *b = aligned_alloc(64, sizeof *b * N * PDQ_BLOCK);
    for (int i = 0; i < N * PDQ_BLOCK; i++)
        in[i] = (float)(next_random() % 25500) / 100;
    for (size_t w = 1; w <= 9; w++) {
        fast->row_box(a, in, N, w);
        plain->row_box(b, in, N, w);
        CHECK_SAY(!memcmp(a, b, sizeof *a * N * PDQ_BLOCK), "row box, window %zu", w);
    }
    fast->transpose_in(a, in, N, N);
    plain->transpose_in(b, in, N, N);
    CHECK(!memcmp(a, b, sizeof *a * N * PDQ_BLOCK));
    bool right = true;
    for (int x = 0; x < N; x++)
        for (int lane = 0; lane < PDQ_BLOCK; lane++)
            right = right && a[x * PDQ_BLOCK + lane] == in[lane * N + x];
    CHECK(right);
    fast->transpose_out(b, N, a, N);
    CHECK(!memcmp(b, in, sizeof *b * N * PDQ_BLOCK));
    free(in), free(a), free(b);
}

static void test_edges(struct pdq *p)
{
    struct error err = {0};
    struct pdq_hash h = {{1, 2, 3, 4}}, again;
    char hex[PDQ_HEX_BYTES];
    uint8_t flat[64 * 64 * 3];
    int quality;
    pdq_to_hex(hex, &h);
    CHECK(!strcmp(hex, "0000000000000004000000000000000300000000000000020000000000000001"));
    CHECK(pdq_from_hex(&again, hex) == 0 && !memcmp(&h, &again, sizeof h));
    CHECK(pdq_from_hex(&again, "00") != 0 &&
          pdq_from_hex(&again, "g000000000000004000000000000000300000000000000020000000000000001") != 0);
    memset(flat, 200, sizeof flat);
    CHECK(pdq_of_pixels(p, PDQ_FULL, flat, 4, 64, 3, 12, &h, 1, &quality, &err) == 0 && quality == 0 &&
          !(h.word[0] | h.word[1] | h.word[2] | h.word[3]));
    CHECK(pdq_of_pixels(p, PDQ_FULL, flat, 64, 64, 3, 192, &h, 1, &quality, &err) == 0 && quality == 0);
    CHECK(pdq_begin(p, PDQ_FULL, 0, 5, 3, &err) == -1 && err.code == EX_DATAERR);
    CHECK(pdq_begin(p, PDQ_FULL, 5, PDQ_MAX_SIDE + 1, 3, &err) == -1);
    CHECK(pdq_begin(p, PDQ_FULL, 5, 5, 4, &err) == -1);
    /* A picture given up halfway leaves nothing behind for the next. */
    uint8_t *pixels = formula_image(200, 513, 5, 3);
    pdq_begin(p, PDQ_FULL, 512, 512, 3, &err);
    for (int y = 0; y < 100; y++)
        pdq_row(p, pixels);
    pdq_of_pixels(p, PDQ_FULL, pixels, 200, 513, 3, 600, &h, 1, &quality, &err);
    pdq_to_hex(hex, &h);
    CHECK(!strcmp(hex, published[5].full));
    free(pixels);
}

int main(void)
{
    struct error err = {0};
    struct pdq *p;
    CHECK(pdq_open(&p, &err) == 0);
    test_published(p);
    test_against_plain(p);
    test_kernels();
    test_edges(p);
    pdq_close(p);
    return tap_done();
}
