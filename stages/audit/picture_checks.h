/*
 * picture_checks.h: seven checks of single pictures, with the definitions and default thresholds of
 * CleanVision 0.3. They take the statistics that validate wrote, so that no picture is opened. A score lies
 * in 0..1, and the lower it is, the more likely something is wrong.
 */
#ifndef WINNOW_AUDIT_PICTURE_CHECKS_H
#define WINNOW_AUDIT_PICTURE_CHECKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum picture_check {
    CHECK_DARK,
    CHECK_LIGHT,
    CHECK_BLURRY,
    CHECK_LOW_INFORMATION,
    CHECK_ODD_SIZE,
    CHECK_ODD_ASPECT_RATIO,
    CHECK_GRAYSCALE,
    N_CHECKS
};
extern const char *const picture_check_names[N_CHECKS];

struct picture_measures {
    uint32_t width, height;                                 /* at least 1 */
    double brightness_5, brightness_99;                     /* percentiles, 0..1 */
    double brightness, entropy, blurriness, blurriness_std; /* those of lib/image/picture_stats.h */
    bool gray;                                              /* has no colours: any gray mode of validate */
    double edge_width;                                      /* of lib/image/edge_width.h; 0: unknown */
};

/* The usual sizes in a set: the centre, and half the width of the range. */
struct size_rule {
    double middle, gap, threshold;
};

/* sqrt(width * height), with the two roundings of CleanVision: 8x8 is above 16x4. */
double picture_size(uint32_t width, uint32_t height);

/*
 * The bounds are the quartiles of all sizes, 3 interquartile ranges further out; when the quartiles are
 * equal, every other size is odd. Sorts sizes [n]; n > 0.
 */
struct size_rule size_rule_from(double *sizes, size_t n);

/* threshold [c]: check c finds something where score [c] is below it. */
void picture_check_scores(double score[N_CHECKS], double threshold[N_CHECKS],
                          const struct picture_measures *m, struct size_rule rule);

/*
 * A check in addition to CleanVision's check for blur, which reports a smooth gradient as blurred and misses
 * a blur of 17 x 17 pixels. It reports pictures in which nearly all edges are wider than SOFT_EDGE pixels, in
 * a copy of at most 512 pixels a side. In sharp pictures the width is 1 to 2.2. The score is at most 1, and
 * SOFT_EDGES_THRESHOLD for a width of SOFT_EDGE; 1 if the width is unknown.
 */
#define SOFT_EDGE 4.0
#define SOFT_EDGES_THRESHOLD 0.5
double soft_edges_score(const struct picture_measures *m);

/* The measure that a score was made of, for people: "brightness_99=0.21". Returns out. */
const char *picture_check_measure(char *out, size_t out_bytes, enum picture_check check,
                                  const struct picture_measures *m);

#endif
