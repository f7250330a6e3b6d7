/*
 * audit_map.h: analyses a set by the features of embed. It finds pictures that resemble no other, divides the
 * set into clusters, and computes a map. With predictions it also finds the clusters in which a model is
 * wrong more often than elsewhere.
 */
#ifndef WINNOW_AUDIT_AUDIT_MAP_H
#define WINNOW_AUDIT_AUDIT_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "hash/content_hash.h"
#include "metric/predictions.h"
#include "vector/vector_clusters.h"
#include "vector/vector_folder.h"

enum audit_answer { ANSWER_UNKNOWN, ANSWER_RIGHT, ANSWER_WRONG };

struct audit_point {
    struct xxh128 id;
    const char *path;
    uint32_t label, said; /* numbers of the set's labels; UINT32_MAX: none */
    uint8_t answer;       /* enum audit_answer */
};

struct audit_cluster {
    uint32_t label, n_label;          /* the most frequent label of its rows; UINT32_MAX: none has one */
    uint32_t n_asked, n_right;        /* rows with a prediction and a label */
    uint32_t given, said, n_confused; /* the most frequent mistake; n_confused 0: none */
    double low, high;                 /* interval of n_right / n_asked at 99.9 % */
    /* whether the interval's upper end is below the accuracy of the whole set */
    bool weak;
};

struct audit_map {
    size_t n; /* number of points: rows with features, in the order of their ids */
    struct audit_point *points;
    double *distance;  /* [n] mean distance to the five nearest */
    double *xy;        /* [n][2] */
    double most_usual; /* distance above which a picture is off topic; INFINITY when no picture is */
    struct vector_clusters clusters;
    struct audit_cluster *about; /* [clusters.n] */
    double accuracy;             /* of all rows with a prediction; NaN: none */
    size_t n_left_out;           /* rows without features */
    size_t capacity;
    struct arena arena;
};
#define AUDIT_MAP_EMPTY ((struct audit_map){0})

/* Adds a row. A row whose id is not a content hash is left out. label UINT32_MAX means no label. */
int audit_map_add(struct audit_map *m, const char *xxh128, const char *path, uint32_t label,
                  struct error *err);
/*
 * Computes the map, after the last row was added. Features are read from the folder, and predictions from p
 * (may be NULL). labels are the names of the set's labels. n_clusters 0: the number that vector_cluster_count
 * returns. Fails with EX_DATAERR when the features in the folder are not reduced, or belong to none of the
 * rows.
 */
int audit_map_make(struct audit_map *m, const char *folder, const struct predictions *p,
                   const char *const *labels, size_t n_labels, size_t n_clusters, unsigned n_threads,
                   struct error *err);
/* Writes a table with the columns path, label, cluster, likeness, x, y and distance. */
int audit_map_write(const struct audit_map *m, const char *path, const char *const *labels,
                    struct error *err);
void audit_map_release(struct audit_map *m);

#endif
