/*
 * copy_check.h: decides from the pixels of two small pictures whether one is an edited copy of the other, or
 * only a different picture of the same subject. A copy may be cropped, captioned, framed, rotated by a few
 * degrees, mirrored or resized, or have something pasted on it. Feature vectors select the pairs to check.
 *
 * A page that was turned in its frame is turned back first, and uniform borders are cut off. The pair is then
 * registered from coarse to fine: a search over mirroring, scale, rotation and shift at 16 pixels, then
 * refinement of the warp at 32 and 64 pixels. Small blocks are then compared where the pictures overlap. In
 * a copy nearly all blocks agree, in a different picture of the same subject only some. Pairs that agree are
 * checked again at 128 pixels, where two charts of one style differ.
 */
#ifndef WINNOW_VECTOR_COPY_CHECK_H
#define WINNOW_VECTOR_COPY_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COPY_SIDE 128
#define COPY_COLOURS 16

/*
 * A picture of at most 128 x 128 grey levels and 16 x 16 colours, without borders. It has no pointers,
 * because it is passed between processes.
 */
struct copy_thumb {
    uint8_t width, height; /* 0: the picture is too flat or too narrow to be compared */
    uint8_t luma[COPY_SIDE * COPY_SIDE];
    uint8_t cb[COPY_COLOURS * COPY_COLOURS], cr[COPY_COLOURS * COPY_COLOURS]; /* 128: none */
};

/* Makes the thumb of a picture: pixels [height][width][channels], channels 1 or 3. It never fails; for a flat
 * picture width becomes 0. */
void copy_thumb_make(struct copy_thumb *t, const uint8_t *pixels, int width, int height, int channels);
/* Whether the sizes in a thumb from a worker are within the limits. */
bool copy_thumb_sound(const struct copy_thumb *t);

struct copy_match {
    bool same;
    bool mirrored;
    double coarse;    /* correlation after the first search */
    double agreement; /* share of the blocks with detail that agree */
    /* the share of a picture's detail that is inside the other picture: the smaller of the two shares, */
    double coverage;
    double covered; /* and the larger */
    bool fine;      /* whether the pair was compared at the finest level */
    int blocks;     /* with detail, compared */
    int compared;   /* with and without detail */
    double warp[6]; /* from pixels of a's thumb to those of b's, from centre to centre: xx xy yx yy x y */
};

/* A picture prepared for any number of comparisons by one thread. It takes 450 KB. */
struct copy_view;
size_t copy_view_bytes(void);
void copy_view_make(struct copy_view *v, const struct copy_thumb *t);
/* Compares two pictures. The result is symmetric except near the limits. m->same is false if either
 * picture is flat. */
void copy_check(struct copy_view *a, struct copy_view *b, struct copy_match *m);

#endif
