/*
 * decisions.h: what reviewers decided, as files: id decision label reviewer date. One line a decision,
 * appended as they are made; the id is the image's content hash, so a decision outlives every re-fetch,
 * rename and re-run. The last line of a reviewer about an image is what the reviewer says, the last line of
 * all is what counts.
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

/*
 * Adds the lines of a file. EX_DATAERR names file and row: an unknown decision, a relabel without a label, an
 * empty id. Call decisions_sort after the last.
 */
int decisions_read(struct decisions *d, const char *path, struct error *err);
int decisions_read_memory(struct decisions *d, const char *bytes, size_t n_bytes, struct error *err);
void decisions_sort(struct decisions *d);
void decisions_release(struct decisions *d);

/* All decisions about one image: *n of them from the pointer on, NULL when there are none. After
 * decisions_sort. */
const struct decision *decisions_find(const struct decisions *d, const struct id_key *key, size_t *n);

/*
 * Do the reviewers disagree? Compares what each reviewer said last (kind, and label of a relabel). A reviewer
 * who changed their mind is not a conflict.
 */
int decisions_conflict(const struct decision *of_one, size_t n);

/* Two reviewers' agreement over the images that both decided: counts of kind x kind and Cohen's kappa over
 * (kind, label). */
struct reviewer_agreement {
    const char *a, *b;
    size_t n_shared, n_equal;
    double kappa;
};
/* Every pair of reviewers with shared images; *out is malloc'd. */
int decisions_agreement(const struct decisions *d, struct reviewer_agreement **out, size_t *n,
                        struct error *err);

#endif
