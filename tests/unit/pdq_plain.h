/*
 * pdq_plain.h: PDQ once more, straight from its description: whole planes, one sample at a time, no vectors,
 * no bands. The tests hold lib/hash/pdq.c against it, bit by bit. Written from the
 * published description, not from pdq.c.
 */
#ifndef WINNOW_TESTS_PDQ_PLAIN_H
#define WINNOW_TESTS_PDQ_PLAIN_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void plain_box(float *out, const float *in, int n, int step, int w)
{
    int half = (w + 2) / 2, li = 0, ri = 0, oi = 0, count = 0;
    float sum = 0;
    for (int i = 0; i < half - 1; i++, ri += step, count++)
        sum += in[ri];
    for (int i = 0; i < w - half + 1; i++, ri += step, oi += step) {
        sum += in[ri];
        count++;
        out[oi] = sum / (float)count;
    }
    for (int i = 0; i < n - w; i++, ri += step, li += step, oi += step) {
        sum += in[ri];
        sum -= in[li];
        out[oi] = sum / (float)count;
    }
    for (int i = 0; i < half - 1; i++, li += step, oi += step) {
        sum -= in[li];
        count--;
        out[oi] = sum / (float)count;
    }
}

static int plain_compare(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* bits[256]: bit number k = 16 i + j. Returns the quality. */
static int plain_pdq(uint8_t bits[256], const uint8_t *pixels, int width, int height, int channels, int nn512)
{
    memset(bits, 0, 256);
    uint8_t *small = NULL;
    if (nn512 && (width > 512 || height > 512)) {
        small = malloc((size_t)512 * 512 * (size_t)channels);
        for (int y = 0; y < 512; y++)
            for (int x = 0; x < 512; x++)
                memcpy(small + ((size_t)y * 512 + (size_t)x) * (size_t)channels,
                       pixels + ((size_t)(y * (int64_t)height / 512) * (size_t)width +
                                 (size_t)(x * (int64_t)width / 512)) *
                                    (size_t)channels,
                       (size_t)channels);
        pixels = small;
        width = height = 512;
    }
    if (width < 5 || height < 5) return free(small), 0;
    size_t n = (size_t)width * (size_t)height;
    float *a = malloc(n * sizeof *a), *b = malloc(n * sizeof *b), s[64][64], t[16][64], c[16][16],
          sorted[256];
    for (size_t i = 0; i < n; i++)
        a[i] = channels == 1 ? (float)pixels[i]
                             : 0.299f * (float)pixels[3 * i] + 0.587f * (float)pixels[3 * i + 1] +
                                   0.114f * (float)pixels[3 * i + 2];
    for (int pass = 0; pass < 2 && (width != 64 || height != 64); pass++) {
        for (int y = 0; y < height; y++)
            plain_box(b + (size_t)y * (size_t)width, a + (size_t)y * (size_t)width, width, 1,
                      (width + 127) / 128);
        for (int x = 0; x < width; x++)
            plain_box(a + x, b + x, height, width, (height + 127) / 128);
    }
    for (int i = 0; i < 64; i++)
        for (int j = 0; j < 64; j++)
            s[i][j] = a[(size_t)((i + 0.5) * height / 64) * (size_t)width + (size_t)((j + 0.5) * width / 64)];
    free(a), free(b), free(small);
    int gradient = 0;
    for (int i = 0; i < 64; i++)
        for (int j = 0; j < 64; j++) {
            if (i < 63) gradient += abs((int)(((s[i][j] - s[i + 1][j]) * 100) / 255));
            if (j < 63) gradient += abs((int)(((s[i][j] - s[i][j + 1]) * 100) / 255));
        }
    float scale = (float)sqrt(2.0 / 64);
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 64; j++) {
            t[i][j] = 0;
            for (int k = 0; k < 64; k++)
                t[i][j] += (float)((double)scale * cos((M_PI / 2 / 64) * (i + 1) * (2 * k + 1))) * s[k][j];
        }
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 16; j++) {
            c[i][j] = 0;
            for (int k = 0; k < 64; k++)
                c[i][j] += t[i][k] * (float)((double)scale * cos((M_PI / 2 / 64) * (j + 1) * (2 * k + 1)));
        }
    memcpy(sorted, c, sizeof sorted);
    qsort(sorted, 256, sizeof *sorted, plain_compare);
    for (int k = 0; k < 256; k++)
        bits[k] = c[k / 16][k % 16] > sorted[127];
    return gradient / 90 > 100 ? 100 : gradient / 90;
}

#endif
