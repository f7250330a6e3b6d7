/*
 * label_next.h: decides the order in which to label pictures. Each cluster gets labels in proportion to its
 * size. In a cluster with few labels, the most typical pictures come first (as in TypiClust, Hacohen, Dekel
 * and Weinshall 2022), because they represent the most others. When a cluster has LABELS_ENOUGH labels and
 * the scores of a model are known, the pictures about which the model is least certain come first.
 */
#ifndef WINNOW_AUDIT_LABEL_NEXT_H
#define WINNOW_AUDIT_LABEL_NEXT_H

#include "audit_map.h"

#define LABELS_ENOUGH 10

struct label_next {
    uint32_t point; /* of the map */
    bool by_margin;
};

/* Sets *out to all *n points without a label, in the order in which they should be labelled; the caller frees
 * it. margin [m->n]: the largest probability minus the second largest, NaN if unknown; margin NULL: none is
 * known. Returns 0, or -1 with err set (EX_OSERR). */
int label_next_order(const struct audit_map *m, const double *margin, struct label_next **out, size_t *n,
                     struct error *err);

/* Sets margin [m->n] from the columns p_CLASS of a table with xxh128 or id, such as classify writes. It is
 * NaN for a point that the table does not have. Returns 0, or -1 with err set (EX_DATAERR). */
int label_next_margins(const struct audit_map *m, const char *path, double *margin, struct error *err);

/* Writes a table with the columns rank, path, xxh128, cluster, why, distance and margin. */
int label_next_write(const struct audit_map *m, const double *margin, const struct label_next *order,
                     size_t n, const char *path, struct error *err);

#endif
