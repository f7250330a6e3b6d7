/*
 * picture_checks.h: seven checks of single pictures, with the definitions and default thresholds of
 * CleanVision 0.3. They use the statistics that validate wrote, so no picture is opened. A score is from 0 to
 * 1. The lower it is, the more likely the picture has the problem.
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

/* The range of usual sizes in a set: its centre, and half its width. */
struct size_rule {
    double middle, gap, threshold;
};

/* Returns sqrt(width * height), rounded twice as in CleanVision, so that 8x8 is larger than 16x4. */
double picture_size(uint32_t width, uint32_t height);

/*
 * Returns the range from 3 interquartile ranges below the lower quartile of sizes [n] to 3 above the upper
 * one. When the quartiles are equal, every other size is outside. Sorts sizes. n > 0.
 */
struct size_rule size_rule_from(double *sizes, size_t n);

/* Sets the score and the threshold of each check. Check c reports the picture when score [c] is below
 * threshold [c]. */
void picture_check_scores(double score[N_CHECKS], double threshold[N_CHECKS],
                          const struct picture_measures *m, struct size_rule rule);

/*
 * A check in addition to CleanVision's check for blur, which reports a smooth gradient as blurred and misses
 * a blur of 17 x 17 pixels. It reports pictures in which nearly all edges are wider than SOFT_EDGE pixels, in
 * a copy of at most 512 pixels a side. In sharp pictures the width is 1 to 2.2. The score is at most 1. It is
 * SOFT_EDGES_THRESHOLD for a width of SOFT_EDGE, and 1 if the width is unknown.
 */
#define SOFT_EDGE 4.0
#define SOFT_EDGES_THRESHOLD 0.5
double soft_edges_score(const struct picture_measures *m);

/* Writes the measure from which a score was computed, for the user: "brightness_99=0.21". Returns out. */
const char *picture_check_measure(char *out, size_t out_bytes, enum picture_check check,
                                  const struct picture_measures *m);

#endif
