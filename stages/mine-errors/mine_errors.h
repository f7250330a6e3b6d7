/* mine_errors.h: the functions of mine-errors, which finds suspect labels from predictions. */
#ifndef WINNOW_MINE_ERRORS_H
#define WINNOW_MINE_ERRORS_H

#include <stdbool.h>

#include "cli/stage.h"
#include "metric/label_errors.h"
#include "metric/predictions.h"
#include "vector/vector_folder.h"

/* The methods that select suspects. Several may select the same row. */
enum mine_method {
    MINE_SEPARATION,
    MINE_CONFIDENT_LEARNING,
    MINE_DISAGREEMENT,
    MINE_AUM,
    MINE_NEIGHBOURS,
    MINE_REPORTS,
    MINE_OFF_TOPIC,
    MINE_METHODS
};
extern const char *const mine_method_names[MINE_METHODS];

struct mine_options {
    struct common_options common;
    const char *predictions, *matrices, *summary, *pairs, *review, *manifest, *margins, *truth, *truth_report,
        *reports, *methods, *title, *features;
    int filter, rank; /* enum label_filter, enum label_rank */
    bool adjust;
    int64_t budget, group_size;
    struct option_strings conflicts; /* files */
    double alike;                    /* smallest cosine with the centre of a group for a row to be in it */
};

/* Data about a row, in addition to its prediction, from the manifest, the margins, the reports and the
 * features. */
struct mine_inputs {
    const char **path, **group, **split; /* [n_rows], NULL where unknown; in arena */
    double *aum;                         /* [n_rows], NaN where unknown; NULL without margins */
    uint8_t *reported;                   /* [n_rows]; NULL without reports */
    double *distance; /* [n_rows] to the nearest pictures, NaN where unknown; NULL without features */
    bool has_group, has_path, has_split;
    struct arena arena;
};
#define MINE_INPUTS_EMPTY ((struct mine_inputs){0})
int mine_inputs_read(struct mine_inputs *f, const struct mine_options *o, const struct predictions *p,
                     struct manifest_source *source, struct error *err);
struct suspects;
/* Reads the paths, groups and splits of the suspects, for the page and the table. */
int mine_inputs_read_shown(struct mine_inputs *f, const struct mine_options *o, const struct predictions *p,
                           struct manifest_source *source, const struct suspects *s, struct error *err);
void mine_inputs_release(struct mine_inputs *f);

struct suspect {
    uint32_t row;
    uint32_t group;    /* similar suspects have the same number, from 1; 0 means no group */
    int32_t suggested; /* class index */
    unsigned methods;  /* bits 1 << enum mine_method */
    double score;      /* the score that --rank selects: lower is more suspect */
};

struct suspects {
    struct suspect *items; /* the most suspect first; then the pictures that are off topic */
    size_t n, n_label;     /* number of items; number of items that are not off topic */
    size_t n_groups, n_grouped;
    double *score; /* [n_rows] of --rank */
};
#define SUSPECTS_EMPTY ((struct suspects){0})

/* Sets *out to the suspects. Without a budget these are the rows that --filter selects, in the order of
 * --rank, and then those of the other --methods. With a budget each method in turn adds its most suspect row
 * until the budget is reached. Pictures that are off topic come after all of these. */
int mine_suspects(struct suspects *out, const struct mine_options *o, const struct predictions *p,
                  const struct label_errors_input *in, const struct label_errors *e,
                  const struct mine_inputs *f, struct error *err);
void suspects_release(struct suspects *s);

/*
 * likeness.c, for --features. The first function sets f->distance. The second groups similar suspects with
 * the same label and the same suggestion. The vectors stay open between the two calls.
 */
struct likeness {
    struct vector_set set;
    uint32_t *vector; /* [n_rows] of the predictions: number of its vector, UINT32_MAX: none */
};
#define LIKENESS_EMPTY ((struct likeness){0})
int likeness_read(struct likeness *l, const struct mine_options *o, const struct predictions *p,
                  struct mine_inputs *f, struct error *err);
/* Sets flagged [n_rows] for rows that are off topic, whose distance is above the threshold of
 * sort_far_above. */
int likeness_off_topic(const struct mine_inputs *f, size_t n_rows, uint8_t *flagged, struct error *err);
int likeness_group(const struct likeness *l, const struct mine_options *o, const struct predictions *p,
                   struct suspects *s, struct error *err);
void likeness_release(struct likeness *l);

/*
 * label_conflicts.c: reads the pictures of --conflicts, each once, in the order of the files. Pictures that
 * are copies of each other have the same group number (from 1); 0 means no group, or a group that is too
 * large.
 */
struct label_conflict {
    const char *id, *path;    /* in the arena */
    int32_t given, suggested; /* classes: the picture's own label, and that of its copy */
    uint32_t group;
};
struct label_conflicts {
    struct label_conflict *items;
    size_t n, capacity, n_groups,
        n_left_out; /* rows left out because their labels are unknown or they have no id */
    struct arena arena;
};
#define LABEL_CONFLICTS_EMPTY ((struct label_conflicts){0})
int label_conflicts_read(struct label_conflicts *c, const struct mine_options *o, const struct predictions *p,
                         struct error *err);
void label_conflicts_release(struct label_conflicts *c);

/* Each function writes one table; the manual describes the columns. */
int mine_write_suspects(const struct mine_options *o, const struct predictions *p,
                        const struct mine_inputs *f, const struct suspects *s, struct manifest_source *source,
                        struct error *err);
int mine_write_matrices(const char *path, const struct predictions *p, const struct label_errors *e,
                        struct error *err);
int mine_write_summary(const char *path, const struct mine_options *o, const struct predictions *p,
                       const struct label_errors *e, const struct suspects *s, struct error *err);
int mine_write_pairs(const char *path, const struct predictions *p, struct error *err);

/* Compares the suspects with a file of known label errors. Writes precision, recall, and the share of errors
 * that a reviewer of a part of the set would find. */
int mine_score_truth(const struct mine_options *o, const struct predictions *p, const struct suspects *s,
                     const struct label_errors_input *in, struct error *err);

#endif
