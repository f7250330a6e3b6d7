/*
 * decisions.h: files with the decisions of reviewers: id decision label reviewer date. Each decision is one
 * line, appended when it is made. The id is the content hash of the picture, so that a decision stays valid
 * when the picture is downloaded again or renamed. The last line of a reviewer about a picture is that
 * reviewer's decision, and the last line of all reviewers is the one that counts.
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
        *date; /* in the arena; "" where empty. label: the class, for keep the label shown */
    const char *file;
    uint64_t row; /* of that file */
    size_t order; /* over all files */
};

struct decisions {
    struct decision *items; /* by key, then order: the last of a key is the one that counts */
    size_t n, capacity;
    struct arena arena;
};
#define DECISIONS_EMPTY ((struct decisions){0})

/* Adds the lines of a file. EX_DATAERR names the file and the row: an unknown decision, a relabel without
 * a label, an empty id. Call decisions_sort after the last file. */
int decisions_read(struct decisions *d, const char *path, struct error *err);
int decisions_read_memory(struct decisions *d, const char *bytes, size_t n_bytes, struct error *err);
void decisions_sort(struct decisions *d);
void decisions_release(struct decisions *d);

/* All decisions about one picture: *n of them from the returned pointer on, or
 * NULL. Call it after decisions_sort. */
const struct decision *decisions_find(const struct decisions *d, const struct id_key *key, size_t *n);

/* Whether reviewers disagree: compares the last decision of each (its kind, and the label of a relabel). A
 * reviewer who changes a decision does not disagree. */
int decisions_conflict(const struct decision *of_one, size_t n);

/* How far two reviewers agree on the pictures that both decided: counts of kind x kind, and
 * Cohen's kappa over (kind, label). */
struct reviewer_agreement {
    const char *a, *b;
    size_t n_shared, n_equal;
    double kappa;
};
/* Gives every pair of reviewers who decided about common pictures; *out is malloc'ed. */
int decisions_agreement(const struct decisions *d, struct reviewer_agreement **out, size_t *n,
                        struct error *err);

#endif
