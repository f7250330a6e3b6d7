/* lr_schedule.c: parses and evaluates learning-rate schedules; lr_schedule.h says what each word means. */
#include "base/number.h"
#include "model/lr_schedule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

/* The rates in the training scripts of the published five-class model
 * (nsfw_model, callbacks), both phases. */
static const char article[] = "3.2e-6@6,0.01@12,0.002@20,4e-4@40,8e-5@60,1.6e-5@80,3.2e-6@95,9e-7";

/* Copies the next field, which ends at one of `stops` or at the end, from *cursor
 * to out. Returns the stop, or 0. */
static char next_field(const char **cursor, const char *stops, char *out, size_t out_bytes)
{
    size_t n = strcspn(*cursor, stops);
    size_t kept = n < out_bytes ? n : out_bytes - 1;
    memcpy(out, *cursor, kept);
    out[kept] = 0;
    char stop = (*cursor)[n];
    *cursor += n + (stop != 0);
    return stop;
}

static int parse_piecewise(struct schedule *s, const char *text, struct error *err)
{
    char field[64];
    double before = 0;
    for (;;) {
        char stop = next_field(&text, "@,", field, sizeof field);
        if (parse_double(field, 0, 1e6, &s->rate[s->n_pieces], "a rate of --schedule", err)) return -1;
        if (stop == 0) return 0;
        if (stop == ',')
            return error_set(err, EX_USAGE,
                             "--schedule: the rate '%s' needs the epoch it ends at, as in 0.01@12", field);
        if (s->n_pieces == SCHEDULE_MAX_PIECES)
            return error_set(err, EX_USAGE, "--schedule: more than %d pieces", SCHEDULE_MAX_PIECES);
        stop = next_field(&text, ",", field, sizeof field);
        if (parse_double(field, 0, 1e6, &s->until[s->n_pieces], "an epoch of --schedule", err)) return -1;
        if (s->until[s->n_pieces] <= before)
            return error_set(err, EX_USAGE, "--schedule: epochs must grow, '%s' does not", field);
        if (stop != ',')
            return error_set(err, EX_USAGE,
                             "--schedule: the last rate has no end: '%s' should be followed by ',RATE'",
                             field);
        before = s->until[s->n_pieces++];
    }
}

static int parse_boundaries(struct schedule *s, const char *text, struct error *err)
{
    char field[64], stop;
    do {
        stop = next_field(&text, ",", field, sizeof field);
        if (s->n_pieces == SCHEDULE_MAX_PIECES)
            return error_set(err, EX_USAGE, "--schedule: more than %d steps", SCHEDULE_MAX_PIECES);
        if (parse_double(field, 0, 1e6, &s->until[s->n_pieces], "an epoch of --schedule", err)) return -1;
        if (s->n_pieces && s->until[s->n_pieces] <= s->until[s->n_pieces - 1])
            return error_set(err, EX_USAGE, "--schedule: epochs must grow, '%s' does not", field);
        s->n_pieces++;
    } while (stop);
    return 0;
}

int schedule_parse(struct schedule *s, const char *spec, double base, double total_epochs,
                   double warmup_epochs, struct error *err)
{
    char field[64];
    const char *cursor = spec;
    *s = (struct schedule){.base = base,
                           .total_epochs = total_epochs,
                           .warmup_epochs = warmup_epochs,
                           .every = 1};
    char stop = next_field(&cursor, ":", field, sizeof field);
    if (!strcmp(field, "constant") && !stop) {
        s->kind = SCHEDULE_CONSTANT;
    } else if (!strcmp(field, "exp") && stop) {
        s->kind = SCHEDULE_EXP;
        stop = next_field(&cursor, ":", field, sizeof field);
        if (parse_double(field, 1e-9, 1, &s->factor, "the factor of --schedule exp", err)) return -1;
        if (stop && parse_double(cursor, 1e-6, 1e6, &s->every, "the epochs of --schedule exp", err))
            return -1;
    } else if (!strcmp(field, "step") && stop) {
        s->kind = SCHEDULE_STEP;
        stop = next_field(&cursor, ":", field, sizeof field);
        if (parse_double(field, 1e-9, 1, &s->factor, "the factor of --schedule step", err)) return -1;
        if (!stop) return error_set(err, EX_USAGE, "--schedule step needs its epochs, as in step:0.1:30,50");
        if (parse_boundaries(s, cursor, err)) return -1;
    } else if (!strcmp(field, "cosine")) {
        s->kind = SCHEDULE_COSINE;
        if (stop && parse_double(cursor, 0, 1, &s->factor, "the floor of --schedule cosine", err)) return -1;
    } else if (!strcmp(field, "piecewise") && stop) {
        s->kind = SCHEDULE_PIECEWISE;
        if (parse_piecewise(s, cursor, err)) return -1;
    } else if (!strcmp(field, "article") && !stop) {
        s->kind = SCHEDULE_PIECEWISE;
        if (parse_piecewise(s, article, err)) return -1;
    } else {
        return error_set(err, EX_USAGE,
                         "--schedule '%s' is not one of constant, exp:FACTOR[:EVERY], "
                         "step:FACTOR:E1,E2, cosine[:FLOOR], piecewise:R1@E1,...,R, article",
                         spec);
    }
    return 0;
}

double schedule_rate(const struct schedule *s, double epoch)
{
    double rate = s->base;
    switch (s->kind) {
    case SCHEDULE_CONSTANT: break;
    case SCHEDULE_EXP: rate *= pow(s->factor, epoch / s->every); break;
    case SCHEDULE_STEP:
        for (int i = 0; i < s->n_pieces && epoch >= s->until[i]; i++)
            rate *= s->factor;
        break;
    case SCHEDULE_COSINE: {
        double length = s->total_epochs - s->warmup_epochs, at = epoch - s->warmup_epochs;
        double done = length > 0 ? fmin(fmax(at / length, 0), 1) : 0;
        rate *= s->factor + (1 - s->factor) * 0.5 * (1 + cos(M_PI * done));
        break;
    }
    case SCHEDULE_PIECEWISE: {
        int i = 0;
        while (i < s->n_pieces && epoch >= s->until[i])
            i++;
        rate = s->rate[i];
        break;
    }
    }
    if (epoch < s->warmup_epochs) /* not 0, because the first step would then have no effect */
        rate *= fmax(epoch / s->warmup_epochs, 0.01);
    return rate;
}
