/*
 * net_decisions.h: the thresholds in a model folder, which decide whether a picture is allowed, reviewed by a
 * person or blocked, and their guarantees. They are the key "decisions" of userDefinedMetadata;
 * docs/model-folder.md describes the fields.
 */
#ifndef WINNOW_NET_NET_DECISIONS_H
#define WINNOW_NET_NET_DECISIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "net/net.h"

#define NET_DECISIONS_VERSION 1
#define NET_DECISIONS_MAX_VIEWS 64

/* A guarantee: at most `rate` of the pictures, with this confidence; and the results on the validation and
 * the test split. */
struct net_promise {
    bool given;
    double rate, confidence, bound;
    uint64_t n, missed, test_n, test_missed;
};

struct net_decision_view {
    char *name;
    uint8_t *classes; /* [n_classes] of the metadata: 1 counts */
    /* allowed below review, blocked at or above block; block INFINITY: nothing is blocked */
    double review, block;
    struct net_promise max_miss, max_wrong_block;
};

struct net_decisions {
    char date[21]; /* 2026-11-22T09:00:00Z */
    char model_id[33];
    double temperature; /* the temperature of the model when the thresholds were chosen */
    struct net_decision_view *views;
    size_t n_views; /* 0: the model has none */
    /* [n_classes]: the share of each class among the pictures to be decided; NULL: not known */
    double *rate;
    bool rates_estimated;
    int n_classes;
};
#define NET_DECISIONS_EMPTY ((struct net_decisions){0})

/* Reads the decisions from metadata. Without the key, n_views is 0. Fails with EX_DATAERR when they are
 * damaged, name classes that the model does not have, or have a later version. */
int net_decisions_read(struct net_decisions *out, const struct net_metadata *m, struct error *err);
/* Whether the thresholds were chosen for this model. With other weights or another temperature, the scores
 * differ. */
bool net_decisions_fit(const struct net_decisions *d, const struct net_metadata *m);
/* Stores the decisions in the metadata, replacing older ones. */
int net_decisions_store(const struct net_decisions *d, struct net_metadata *m, struct error *err);
void net_decisions_release(struct net_decisions *d);
/*
 * Sets *out to the value of "decisions" as JSON, for formats that store metadata as text, or to NULL when the
 * model has none. The caller frees *out.
 */
int net_decisions_text(char **out, const struct net_metadata *m, struct error *err);

enum net_decision { NET_ALLOW, NET_REVIEW, NET_BLOCK, NET_DECISION_COUNT };
extern const char *const net_decision_names[NET_DECISION_COUNT]; /* allow review block */
/* Returns the strictest decision of all views for the probabilities p [n_classes]. *view (may be NULL)
 * becomes the view with that decision, or -1 for allow. */
enum net_decision net_decide(const struct net_decisions *d, const float *p, int *view);

#endif
