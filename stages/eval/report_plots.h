/*
 * report_plots.h: chooses and draws the curves of the report.
 */
#ifndef WINNOW_EVAL_REPORT_PLOTS_H
#define WINNOW_EVAL_REPORT_PLOTS_H

#include "report_page.h"

#define REPORT_PLOT_POINTS 300 /* a curve shows no detail finer than 1/300 of an axis */

enum report_plot {
    REPORT_PREVALENCE_PRECISION,
    REPORT_PREVALENCE_LOAD,
    REPORT_ROC_VIEWS,
    REPORT_PR_VIEWS,
    REPORT_ROC_CLASSES,
    REPORT_PR_CLASSES,
    REPORT_RELIABILITY,
    REPORT_LOSS,
    REPORT_ACCURACY,
    REPORT_PLOTS
};

/* The plots of a report, by enum report_plot. */
struct report_plots {
    struct plot plots[REPORT_PLOTS];
    struct text why; /* empty, or a sentence that says why nothing was drawn */
};

/* Makes all plots. log: the log.tsv of a training run, or NULL. At most eight views and eight classes are
 * drawn. Returns 0, also when out->why says that nothing could be drawn, or -1 with err set and out
 * released. */
int report_plots_make(struct report_plots *out, const struct evaluation *e, const struct decisions *decisions,
                      const char *log, struct error *err);
void report_plots_release(struct report_plots *p);

#endif
