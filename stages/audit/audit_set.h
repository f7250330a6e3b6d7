/*
 * audit_set.h: the data that audit keeps for each row while it reads the manifest: numbers, and indices of
 * strings. This takes 93 bytes for each row, in arrays that grow by doubling, and each different string once.
 */
#ifndef WINNOW_AUDIT_SET_H
#define WINNOW_AUDIT_SET_H

#include "base/names.h"
#include "manifest/manifest.h"
#include "picture_checks.h"

/* The facts. Those from FACT_PIXELS on are numbers, the others strings. */
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
    /* Of the rows that have a label: */
    uint32_t *label;
    uint8_t *fold;
    uint32_t *words[FACT_PIXELS]; /* number of the word in texts */
    double *numbers[N_FACTS];     /* from FACT_PIXELS on */
    bool has[N_FACTS];            /* the manifest has its column */
    struct names labels, texts[FACT_PIXELS];
    size_t capacity_rows, capacity_labelled;
};
#define AUDIT_SET_EMPTY ((struct audit_set){0})

/* The columns of the manifest, by their index; -1 where there is none. */
struct audit_columns {
    int path, label, mode, width, height, stats[6], edge_width;
    int group, xxh128, url, bytes, format, frames, orientation;
};

/* EX_DATAERR when a column is missing that validate --with stats would have written. */
int audit_columns_find(struct audit_columns *c, const struct manifest_reader *r, struct error *err);
/* The measures of the current row. EX_DATAERR where a field is not such a number. */
int audit_row_measures(struct picture_measures *m, const struct audit_columns *c,
                       const struct manifest_reader *r, struct error *err);
/* Adds the current row. */
int audit_set_add(struct audit_set *s, const struct audit_columns *c, const struct manifest_reader *r,
                  struct error *err);
/* After the last row: numbers the labels in the order of their names. */
int audit_set_finish(struct audit_set *s, struct error *err);
void audit_set_release(struct audit_set *s);

#endif
