/* inputs.h: the rows of a run, in the order of the input. */
#ifndef WINNOW_FETCH_INPUTS_H
#define WINNOW_FETCH_INPUTS_H

#include "cli/options.h"
#include "entries.h"
#include "manifest/manifest.h"

struct row {
    uint32_t entry;
    const char *url, *label; /* as given; in the entries' arena */
    const char **more;       /* values of the other columns of the schema, NULL when there are none */
};

struct inputs {
    struct row *rows;
    size_t n_rows, capacity;
    struct manifest_schema schema; /* the input's columns; url and label among them */
    int url_column, label_column;
    struct entries *entries; /* to which addresses and strings are added; borrowed, like the next two */
    struct hosts *hosts;
    const char *label; /* --label, or NULL */
};

/* Reads every operand (without any, standard input): manifests, plain lists, folders of lists. */
int inputs_read(struct inputs *in, const struct operands *operands, struct error *err);
void inputs_release(struct inputs *in);

#endif
