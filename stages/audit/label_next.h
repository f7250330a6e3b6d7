/*
 * label_next.h: in which order to label the pictures that have no label yet. Each cluster gets labels in
 * proportion to its size. In a cluster with few labels the pictures most like their neighbours come first
 * (as in TypiClust, Hacohen, Dekel and Weinshall 2022): they stand for most others, and one label of an odd
 * picture teaches little. Once a cluster has LABELS_ENOUGH, and a model has said what it thinks, those come
 * first about which it is least sure.
 */
#ifndef WINNOW_AUDIT_LABEL_NEXT_H
#define WINNOW_AUDIT_LABEL_NEXT_H

#include "audit_map.h"

#define LABELS_ENOUGH 10

struct label_next {
    uint32_t point; /* of the map */
    bool by_margin;
};

/* margin [m->n]: the largest probability less the second, NaN where unknown; NULL: none is known. *out gets
 * all points without a label, *n of them, freed by the caller. EX_OSERR. */
int label_next_order(const struct audit_map *m, const double *margin, struct label_next **out, size_t *n,
                     struct error *err);

/* Reads the columns p_CLASS of a table with xxh128 or id, such as classify writes, as margins [m->n], NaN
 * where a point has none. EX_DATAERR. */
int label_next_margins(const struct audit_map *m, const char *path, double *margin, struct error *err);

/* rank path xxh128 cluster why distance margin. */
int label_next_write(const struct audit_map *m, const double *margin, const struct label_next *order,
                     size_t n, const char *path, struct error *err);

#endif
