/*
 * vector_clusters.h: divides a set of vectors into clusters, by spherical k-means, so that people can look
 * through the set. The result depends only on the vectors and their order, not on n_threads or the processor.
 */
#ifndef WINNOW_VECTOR_VECTOR_CLUSTERS_H
#define WINNOW_VECTOR_VECTOR_CLUSTERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define VECTOR_MOST_CLUSTERS 256

/* Returns a number of clusters for n pictures: sqrt(n / 2), rounded, from 1 to VECTOR_MOST_CLUSTERS. It is 32
 * for 2,000 pictures, and 158 for 50,000. */
size_t vector_cluster_count(size_t n);

struct vector_clusters {
    size_t n;         /* largest first; none is empty */
    uint32_t *of;     /* [n_rows] the cluster of each row */
    float *likeness;  /* [n_rows] cosine to the centre of its cluster */
    uint32_t *n_rows; /* [n] */
};
#define VECTOR_CLUSTERS_EMPTY ((struct vector_clusters){0})

/*
 * values [n][n_values], rows of length 1 or all 0; n > 0, wanted from 1 to VECTOR_MOST_CLUSTERS. Divides the
 * rows among clusters. The centres are fitted on the first VECTOR_FIT_ROWS rows, so rows should be in an
 * arbitrary order, such as that of their content hashes. There may be fewer clusters than wanted. Returns 0,
 * or -1 with err set (EX_OSERR).
 */
int vector_clusters_make(struct vector_clusters *c, const float *values, size_t n, size_t n_values,
                         size_t wanted, unsigned n_threads, struct error *err);
void vector_clusters_release(struct vector_clusters *c);

#endif
