/*
 * copy_check.h: whether one small picture shows what another shows: the same picture cropped, captioned,
 * framed, turned by a few degrees, mirrored, resized or with something pasted on it, and not merely another
 * picture of its kind. Vectors say which pairs to look at; this looks at their pixels.
 *
 * Uniform borders are cut off first. The pair is registered, coarse to fine: a search over mirror, scale,
 * turn and place at 16 pixels, then a warp at 32 and 64. Then small blocks are compared one by one where the
 * pictures overlap: a copy agrees nearly everywhere, another picture of the same kind only here and there.
 * What agrees is looked at once more at 128 pixels, where two charts of one style no longer do.
 */
#ifndef WINNOW_VECTOR_COPY_CHECK_H
#define WINNOW_VECTOR_COPY_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COPY_SIDE 128
#define COPY_COLOURS 16

/*
 * A picture of at most 128 x 128 grey levels and 16 x 16 colours, borders cut off. A plain array of bytes: it
 * crosses processes.
 */
struct copy_thumb {
    uint8_t width, height; /* 0: too flat or too narrow to be compared */
    uint8_t luma[COPY_SIDE * COPY_SIDE];
    uint8_t cb[COPY_COLOURS * COPY_COLOURS], cr[COPY_COLOURS * COPY_COLOURS]; /* 128: none */
};

/* pixels [height][width][channels], channels 1 or 3. Never fails; a flat picture has width 0. */
void copy_thumb_make(struct copy_thumb *t, const uint8_t *pixels, int width, int height, int channels);
/* What a worker sent back: the sizes are within limits. */
bool copy_thumb_sound(const struct copy_thumb *t);

struct copy_match {
    bool same;
    bool mirrored;
    double coarse;    /* correlation after the first search */
    double agreement; /* share of the blocks with detail that agree */
    double coverage;  /* share of the detail of either that lies in both: the lesser */
    double covered;   /* and the greater */
    bool fine;        /* judged at the finest level */
    int blocks;       /* with detail, compared */
    int compared;     /* with and without detail */
    double warp[6];   /* from pixels of a's thumb to those of b's, from centre to centre: xx xy yx yy x y */
};

/* Pictures prepared for any number of comparisons, by one thread; 450 KB. */
struct copy_view;
size_t copy_view_bytes(void);
void copy_view_make(struct copy_view *v, const struct copy_thumb *t);
/* Symmetric but for what is near a limit. m->same is false where either is flat. */
void copy_check(struct copy_view *a, struct copy_view *b, struct copy_match *m);

#endif
