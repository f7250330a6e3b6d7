/*
 * orient.c: applies the EXIF orientation to pixels. The value says how the shown picture is made from the
 * stored one: 2 mirror left-right, 3 half turn, 4 mirror top-bottom, 5 transpose, 6 quarter turn clockwise,
 * 7 anti-transpose, 8 quarter turn anticlockwise.
 */
#include <string.h>

#include "image/codec.h"

static void swap_pixels(uint8_t *a, uint8_t *b, int channels)
{
    for (int c = 0; c < channels; c++) {
        uint8_t t = a[c];
        a[c] = b[c];
        b[c] = t;
    }
}

static void mirror_rows(struct image *m)
{
    for (int y = 0; y < m->height; y++) {
        uint8_t *row = m->pixels + (size_t)y * (size_t)m->width * (size_t)m->channels;
        for (int a = 0, b = m->width - 1; a < b; a++, b--)
            swap_pixels(row + (size_t)a * (size_t)m->channels, row + (size_t)b * (size_t)m->channels,
                        m->channels);
    }
}

static void mirror_columns(struct image *m)
{
    size_t stride = (size_t)m->width * (size_t)m->channels;
    for (int a = 0, b = m->height - 1; a < b; a++, b--) {
        uint8_t *p = m->pixels + (size_t)a * stride, *q = m->pixels + (size_t)b * stride;
        for (size_t i = 0; i < stride; i++) {
            uint8_t t = p[i];
            p[i] = q[i];
            q[i] = t;
        }
    }
}

/* out[x][y] = in[y][x], in tiles so that rows of both images stay in the cache. */
static int transpose(struct image *m, struct error *err)
{
    enum { TILE = 32 };
    struct image t = IMAGE_EMPTY;
    if (image_reserve(&t, m->height, m->width, m->channels, err)) return -1;
    size_t c = (size_t)m->channels, in_stride = (size_t)m->width * c, out_stride = (size_t)m->height * c;
    for (int y0 = 0; y0 < m->height; y0 += TILE)
        for (int x0 = 0; x0 < m->width; x0 += TILE)
            for (int y = y0; y < y0 + TILE && y < m->height; y++)
                for (int x = x0; x < x0 + TILE && x < m->width; x++)
                    memcpy(t.pixels + (size_t)x * out_stride + (size_t)y * c,
                           m->pixels + (size_t)y * in_stride + (size_t)x * c, c);
    image_release(m);
    *m = t;
    return 0;
}

int image_orient(struct image *m, int orientation, struct error *err)
{
    if (orientation >= 5 && orientation <= 8 && transpose(m, err)) return -1;
    switch (orientation) {
    case 2: mirror_rows(m); break;
    case 3:
        mirror_rows(m);
        mirror_columns(m);
        break;
    case 4: mirror_columns(m); break;
    case 6: mirror_rows(m); break;
    case 7:
        mirror_rows(m);
        mirror_columns(m);
        break;
    case 8: mirror_columns(m); break;
    default: break; /* 1 as it is; 5 is the transpose alone */
    }
    return 0;
}
