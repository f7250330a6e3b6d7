/*
 * decisions.h: reads files with the decisions of reviewers. Their columns are id, decision, label, reviewer
 * and date. Each decision is one line, appended when it is made. The id is the content hash of the picture,
 * so that a decision stays valid when the picture is downloaded again or renamed. The last line of a reviewer
 * about a picture is that reviewer's decision, and the last line of all reviewers is the one that counts.
 */
#ifndef WINNOW_REVIEW_DECISIONS_H
#define WINNOW_REVIEW_DECISIONS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"
#include "metric/predictions.h"

enum decision_kind { DECISION_KEEP, DECISION_RELABEL, DECISION_DROP, DECISION_UNSURE, DECISION_KINDS };
extern const char *const decision_names[DECISION_KINDS]; /* "keep", "relabel", "drop", "unsure" */

struct decision {
    struct id_key key;
    enum decision_kind kind;
    const char *id, *label, *reviewer,
        *date; /* in the arena; "" where empty. label: the new class; for "keep", the label that was shown */
    const char *file;
    uint64_t row; /* of that file */
    size_t order; /* over all files */
};

struct decisions {
    /* sorted by key and then by their order in the files: the last one of a key counts */
    struct decision *items;
    size_t n, capacity;
    struct arena arena;
};
#define DECISIONS_EMPTY ((struct decisions){0})

/* Adds the lines of a file. Fails with EX_DATAERR for an unknown decision, a relabel without a label, or an
 * empty id; the message names the file and the row. Call decisions_sort after the last file. */
int decisions_read(struct decisions *d, const char *path, struct error *err);
int decisions_read_memory(struct decisions *d, const char *bytes, size_t n_bytes, struct error *err);
void decisions_sort(struct decisions *d);
void decisions_release(struct decisions *d);

/* Returns the first of the *n decisions about one picture, or NULL when there are none. Call it after
 * decisions_sort. */
const struct decision *decisions_find(const struct decisions *d, const struct id_key *key, size_t *n);

/* Whether reviewers disagree. It compares the last decision of each reviewer: its kind, and the label of a
 * relabel. It is not a disagreement when one reviewer changes a decision. */
int decisions_conflict(const struct decision *of_one, size_t n);

/* How far two reviewers agree on the pictures that both decided: counts of kind x kind, and
 * Cohen's kappa over (kind, label). */
struct reviewer_agreement {
    const char *a, *b;
    size_t n_shared, n_equal;
    double kappa;
};
/* Sets *out (malloc'ed) to the *n pairs of reviewers who decided about common pictures. */
int decisions_agreement(const struct decisions *d, struct reviewer_agreement **out, size_t *n,
                        struct error *err);

#endif
