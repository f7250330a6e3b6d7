/* fetch_report.h: writes the rows in the order of the input, kept or rejected, and
 * the summary by host and reason. */
#ifndef WINNOW_FETCH_FETCH_REPORT_H
#define WINNOW_FETCH_FETCH_REPORT_H

#include "cli/stage.h"
#include "entries.h"
#include "inputs.h"

extern const char *const fetch_adds[];

/* Sets REASON_REPEATED for contents that came from more than max_same addresses. max_same 0 means no
 * limit. */
int entries_mark_repeated(struct entries *es, uint64_t max_same, struct error *err);
/* Writes the rows. path_prefix: the path of the store below --root, "" or "data/store/". */
int fetch_write_rows(const struct inputs *in, const char *path_prefix, struct manifest_writer *out,
                     struct manifest_writer *rejects, struct stage_counts *n, struct error *err);
int fetch_write_summary(const struct entries *es, const struct hosts *hosts, const char *path,
                        struct error *err);

#endif
