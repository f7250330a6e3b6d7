/* copy_thumb.h: shared by copy_thumb.c and copy_turn.c: a part of a picture. */
#ifndef WINNOW_VECTOR_COPY_THUMB_H
#define WINNOW_VECTOR_COPY_THUMB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct frame {
    const uint8_t *pixels;
    int width, channels, left, top, right, bottom; /* right and bottom: one past */
};

static inline int copy_luma(const uint8_t *p, int channels)
{
    return channels == 1 ? p[0] : (p[0] * 77 + p[1] * 150 + p[2] * 29) >> 8;
}

/* By how much a whole picture is turned in its frame, in radians; 0: it is not, or hardly. */
double copy_find_turn(const struct frame *f);
/* The inner part of a whole picture, turned back, and its frame; the caller frees it. NULL: nothing is left,
 * or no memory. */
uint8_t *copy_turn_back(const struct frame *f, double turn, struct frame *back);

#endif
