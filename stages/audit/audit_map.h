/*
 * audit_map.h: analyses a set by the features of embed: finds pictures that resemble no other, clusters, and
 * a map; with predictions also the clusters in which a model is wrong more often than elsewhere.
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
    bool weak;                        /* it ends below the accuracy of the whole set */
};

struct audit_map {
    size_t n; /* points: rows whose features are there, in the order of their ids */
    struct audit_point *points;
    double *distance;  /* [n] mean distance to the five nearest */
    double *xy;        /* [n][2] */
    double most_usual; /* distance above which a picture is off topic; infinite: no picture is */
    struct vector_clusters clusters;
    struct audit_cluster *about; /* [clusters.n] */
    double accuracy;             /* of all rows with a prediction; NaN: none */
    size_t n_left_out;           /* rows without features */
    size_t capacity;
    struct arena arena;
};
#define AUDIT_MAP_EMPTY ((struct audit_map){0})

/* Adds a row; an id that is not a content hash is left out. label UINT32_MAX: none. */
int audit_map_add(struct audit_map *m, const char *xxh128, const char *path, uint32_t label,
                  struct error *err);
/*
 * Call it after the last row: looks up features in the folder, and predictions in p (may be NULL). labels are
 * the names of the set's labels. n_clusters 0: as vector_cluster_count. EX_DATAERR: the features in the
 * folder are not reduced, or belong to none of the rows.
 */
int audit_map_make(struct audit_map *m, const char *folder, const struct predictions *p,
                   const char *const *labels, size_t n_labels, size_t n_clusters, unsigned n_threads,
                   struct error *err);
/* path label cluster likeness x y distance. */
int audit_map_write(const struct audit_map *m, const char *path, const char *const *labels,
                    struct error *err);
void audit_map_release(struct audit_map *m);

#endif
