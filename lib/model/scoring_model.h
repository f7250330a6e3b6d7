/*
 * scoring_model.h: opens any model for scoring pictures. The opened model has named classes, a known
 * preprocessing, and probabilities as outputs. classify, eval and export use it.
 */
#ifndef WINNOW_MODEL_SCORING_MODEL_H
#define WINNOW_MODEL_SCORING_MODEL_H

#include "image/picture_rules.h"
#include "net/net.h"

struct scoring_options {
    const char *classes; /* --classes, or NULL */
    const char *input;   /* --input, or NULL */
};

enum scoring_form {
    SCORING_FULL,
    SCORING_HEADER, /* without weights where the format allows it: cheap, for classes and sizes */
    SCORING_AS_FILE /* the outputs are those of the file */
};

/*
 * Opens the model and applies the options. Appends to remarks (may be NULL) one line for each assumption or
 * addition, to show to the user once. Returns 0, or -1 with err set: EX_USAGE when an option does not suit
 * the model.
 */
int scoring_model_open(struct net *n, const char *path, const struct scoring_options *o,
                       enum scoring_form form, struct text *remarks, struct error *err);

/* Returns the rules by which the model's pictures are decoded. Borrows the strings of m. */
struct picture_rules scoring_picture_rules(const struct net_metadata *m);

#endif
