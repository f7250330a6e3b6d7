/*
 * scoring_model.h: anybody's model as one that scores pictures: its classes named, its input said, its
 * outputs probabilities. What classify, eval and export open.
 */
#ifndef WINNOW_MODEL_SCORING_MODEL_H
#define WINNOW_MODEL_SCORING_MODEL_H

#include "net/net.h"

struct scoring_options {
    const char *classes; /* --classes, or NULL */
    const char *input;   /* --input, or NULL */
};

enum scoring_form {
    SCORING_FULL,
    SCORING_HEADER, /* without weights where the format allows it: cheap, for classes and sizes */
    SCORING_AS_FILE /* its outputs stay what they are in the file */
};

/*
 * Opens the model and applies the options. remarks, or NULL: what was assumed or added, one line each, for
 * the user to be told once. EX_USAGE: an option that does not fit.
 */
int scoring_model_open(struct net *n, const char *path, const struct scoring_options *o,
                       enum scoring_form form, struct text *remarks, struct error *err);

#endif
