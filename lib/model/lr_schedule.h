/*
 * lr_schedule.h: the learning rate as a function of the epoch. A schedule is written as one word, on the
 * command line, in a settings file, in log.tsv and in a checkpoint:
 *   constant
 *   exp:FACTOR[:EVERY]         lr * FACTOR^(epoch/EVERY), a smooth decay; EVERY in epochs, 1 when left out
 *   step:FACTOR:E1,E2,...      lr * FACTOR^(number of the Ei reached)
 *   cosine[:FLOOR]             from lr down to lr * FLOOR (0 when left out) over the run's epochs, half a
 *   cosine
 *   piecewise:R1@E1,R2@E2,...,R   rate R1 before epoch E1, R2 before E2, ..., R to the end; --lr is not used
 *   article                    the published model's own piecewise rates; --lr is not used
 * Epochs count from 0 and are fractional within an epoch (exp and cosine move every step; the others at whole
 * epochs).
 */
#ifndef WINNOW_MODEL_LR_SCHEDULE_H
#define WINNOW_MODEL_LR_SCHEDULE_H

#include <stddef.h>

#include "base/error.h"

#define SCHEDULE_MAX_PIECES 32

enum schedule_kind { SCHEDULE_CONSTANT, SCHEDULE_EXP, SCHEDULE_STEP, SCHEDULE_COSINE, SCHEDULE_PIECEWISE };

struct schedule {
    enum schedule_kind kind;
    double base;         /* --lr */
    double total_epochs; /* cosine's length; also what warm-up is cut to */
    /* During these epochs the rate rises linearly from a hundredth of its value; after them it follows the
     * kind. */
    double warmup_epochs;
    double factor, every; /* exp; factor also step, and cosine's floor */
    int n_pieces;
    double until[SCHEDULE_MAX_PIECES];    /* step: boundaries; piecewise: the epoch at which piece i ends */
    double rate[SCHEDULE_MAX_PIECES + 1]; /* piecewise: n_pieces + 1 rates */
};

/* Parses spec. Returns 0, or -1 with err set (EX_USAGE); the message names the wrong part. base, total_epochs
 * and warmup_epochs are not checked. */
int schedule_parse(struct schedule *s, const char *spec, double base, double total_epochs,
                   double warmup_epochs, struct error *err);

/* Returns the rate at `epoch` (0 is the start; 2.5 is half-way through the third epoch). It is never
 * negative. */
double schedule_rate(const struct schedule *s, double epoch);

#endif
