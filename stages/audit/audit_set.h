/*
 * audit_set.h: the data that audit keeps for each row while it reads the manifest: numbers, and indices of
 * strings. This takes 93 bytes for each row, in arrays that grow by doubling, and each different string once.
 */
#ifndef WINNOW_AUDIT_SET_H
#define WINNOW_AUDIT_SET_H

#include "base/names.h"
#include "manifest/manifest.h"
#include "picture_checks.h"

/* The properties of a picture's file that might predict its label. Those from FACT_PIXELS on are numbers, the
 * others strings. */
enum fact {
    FACT_FORMAT,
    FACT_MODE,
    FACT_FRAMES,
    FACT_ORIENTATION,
    FACT_SIZE,
    FACT_HOST,
    FACT_PIXELS,
    FACT_ASPECT,
    FACT_BYTES,
    FACT_BYTES_PER_PIXEL,
    FACT_BRIGHTNESS,
    FACT_ENTROPY,
    FACT_BLURRINESS,
    N_FACTS
};
extern const char *const fact_names[N_FACTS];

struct audit_set {
    size_t n_rows, n_labelled;
    double *size; /* [n_rows] */
    /* Arrays over the rows that have a label. */
    uint32_t *label;
    uint8_t *fold;
    uint32_t *words[FACT_PIXELS]; /* number of the word in texts */
    double *numbers[N_FACTS];     /* from FACT_PIXELS on */
    bool has[N_FACTS];            /* whether the manifest has the column of the fact */
    struct names labels, texts[FACT_PIXELS];
    size_t capacity_rows, capacity_labelled;
};
#define AUDIT_SET_EMPTY ((struct audit_set){0})

/* The indices of the manifest's columns; -1 for a column that does not exist. */
struct audit_columns {
    int path, label, mode, width, height, stats[6], edge_width;
    int group, xxh128, url, bytes, format, frames, orientation;
};

/* Finds the columns. Fails with EX_DATAERR when a column that validate --with stats writes is missing. */
int audit_columns_find(struct audit_columns *c, const struct manifest_reader *r, struct error *err);
/* Reads the measures of the current row. Fails with EX_DATAERR when a field is not a valid number. */
int audit_row_measures(struct picture_measures *m, const struct audit_columns *c,
                       const struct manifest_reader *r, struct error *err);
/* Adds the current row. */
int audit_set_add(struct audit_set *s, const struct audit_columns *c, const struct manifest_reader *r,
                  struct error *err);
/* Call it after the last row. Numbers the labels in the order of their names. */
int audit_set_finish(struct audit_set *s, struct error *err);
void audit_set_release(struct audit_set *s);

#endif
