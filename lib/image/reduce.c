/* reduce.c: see reduce.h. Each sample is the rounded mean of its square; at the edges, of the part of the
 * square inside the picture. */
#include "image/reduce.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

int reduce_factor(uint64_t width, uint64_t height)
{
    int k = 1;
    while (((width + (uint64_t)k - 1) / (uint64_t)k) * ((height + (uint64_t)k - 1) / (uint64_t)k) >
           IMAGE_REDUCED_PIXELS)
        k++;
    return k;
}

enum image_reason image_check_rows(uint64_t width, uint64_t height, uint64_t max_pixels, int *factor,
                                   struct image_failure *f)
{
    *factor = 1;
    if (width > IMAGE_MAX_SIDE_PX || height > IMAGE_MAX_SIDE_PX || width * height <= IMAGE_MAX_PIXELS ||
        width * height > IMAGE_MAX_ROW_PIXELS || (max_pixels > 0 && width * height > max_pixels))
        return image_check_size(width, height, max_pixels, f);
    *factor = reduce_factor(width, height);
    return IMAGE_OK;
}

int reducer_open(struct reducer *r, struct image *out, int width, int height, int channels, int factor,
                 struct error *err)
{
    *r = (struct reducer){.out = out, .width = width, .factor = factor};
    if (image_reserve(out, (width + factor - 1) / factor, (height + factor - 1) / factor, channels, err))
        return -1;
    r->sums = mem_zalloc((size_t)out->width * (size_t)channels, sizeof *r->sums, err);
    return r->sums ? 0 : -1;
}

void reducer_add(struct reducer *r, const uint8_t *row, bool last)
{
    const int channels = r->out->channels;
    uint32_t *sum = r->sums;
    for (int x = 0; x < r->width; x += r->factor, sum += channels) {
        int n = r->width - x < r->factor ? r->width - x : r->factor;
        for (int i = 0; i < n; i++)
            for (int c = 0; c < channels; c++)
                sum[c] += *row++;
    }
    if (++r->n_rows < r->factor && !last) return;
    uint8_t *to = r->out->pixels + (size_t)r->y * (size_t)r->out->width * (size_t)channels;
    for (int x = 0, i = 0; x < r->out->width; x++) {
        int left = r->width - x * r->factor;
        uint32_t n = (uint32_t)((left < r->factor ? left : r->factor) * r->n_rows);
        for (int c = 0; c < channels; c++, i++)
            to[i] = (uint8_t)((r->sums[i] + n / 2) / n);
    }
    memset(r->sums, 0, (size_t)r->out->width * (size_t)channels * sizeof *r->sums);
    r->n_rows = 0;
    r->y++;
}

void reducer_release(struct reducer *r)
{
    free(r->sums);
    *r = (struct reducer){0};
}
