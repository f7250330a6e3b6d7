/*
 * collect_reports.h: joins the reports of the demo page's users. A report is a small TSV that the page
 * saves: id (content hash) or pdq (perceptual hash), model_id, pred, p_<class>..., claimed_label, slice; one
 * row for each slice. It never contains the picture.
 */
#ifndef WINNOW_COLLECT_REPORTS_H
#define WINNOW_COLLECT_REPORTS_H

#include "cli/stage.h"
#include "manifest/manifest.h"

/* Reports come from strangers. A larger file is not a report. */
#define REPORT_MAX_BYTES (1u << 20)
#define REPORT_MAX_ROWS 1000
#define REPORT_MAX_FIELD 200
#define REPORT_PDQ_WORDS 4

struct collect_options {
    struct common_options common;
    const char *manifest, *predictions, *slices;
    int64_t distance;
};

/* The reports about one picture, with one model and one claimed label. */
struct report {
    const char *id, *pdq, *quality, *model, *pred, *claimed; /* in the arena; "" where empty */
    struct text slices;                                      /* names with commas */
    uint64_t n;                                              /* files that said so */
    size_t last_file;
    /* the row of the manifest that was found; "" without one */
    const char *match_id, *match_label, *match_by;
    int distance;
    const char *now; /* the present prediction; "" when unknown */
};

struct reports {
    struct report *items;
    size_t n, capacity, n_files, n_bad;
    struct arena arena;
};
#define REPORTS_EMPTY ((struct reports){0})

/* Adds a file. Returns 0, or 1 when it is not a report. The file is then only counted, and *why says why.
 * Returns -1 with err set when there is no memory. */
int reports_add_memory(struct reports *r, const char *bytes, size_t n_bytes, const char *name,
                       struct error *why, struct error *err);
void reports_release(struct reports *r);

/* Finds each reported picture in a manifest: by xxh128, or else the nearest pdq within max_distance bits. */
int reports_match(struct reports *r, const char *manifest, int max_distance, struct error *err);
/* Reads the present prediction (pred) of each picture from a predictions file. */
int reports_predict(struct reports *r, const char *predictions, struct error *err);

int reports_write(const struct reports *r, const char *path, struct error *err);
/* Writes id and slice, for eval --slices: the pictures that were found in the
 * manifest, or all when there was none. */
int reports_write_slices(const struct reports *r, const char *path, bool matched, struct error *err);

#endif
