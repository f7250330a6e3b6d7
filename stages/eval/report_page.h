/* report_page.h: functions that make the parts of report.html: plots by gnuplot, thumbnails, and the page. */
#ifndef WINNOW_EVAL_REPORT_PAGE_H
#define WINNOW_EVAL_REPORT_PAGE_H

#include "eval.h"
#include "html.h"

/* A line of n points in a plot. color is an index in the page's palette, 0..7. */
struct plot_line {
    double *x, *y;
    size_t n;
    int color;
    bool dashed, steps, points;
};
struct plot {
    struct plot_line *lines;
    size_t n_lines, capacity;
    const char *x_label, *y_label; /* ours, never from data */
    bool log_x, diagonal, zero_one_y, zero_one_x;
    double x_min; /* of a logarithmic axis */
    char *svg;    /* the SVG element that plots_draw made, or NULL */
};
#define PLOT_EMPTY ((struct plot){0})
/* Adds a line that looks like `like`. The points are copied. Returns 0, or -1 with err set. */
int plot_add(struct plot *p, const double *x, const double *y, size_t n, struct plot_line like,
             struct error *err);
/*
 * Draws all plots with one gnuplot process, which gets numbers only and is started without a shell. When
 * gnuplot is not installed or fails, *why says so; this is not an error. Returns 0, or -1 with err set.
 * Colours in the SVG become CSS variables of the page.
 */
int plots_draw(struct plot *plots, size_t n, struct text *why, struct error *err);
void plot_release(struct plot *p);

/* Pictures for the page: each is the data URI of a small JPEG, or NULL. */
struct thumbnails {
    char **uris;
    size_t n;
};
#define THUMBNAILS_EMPTY ((struct thumbnails){0})
/* Makes thumbnails of the pictures with these paths and ids, from the shard set if there is one, and
 * otherwise from the files under --root. */
int thumbnails_make(struct thumbnails *out, const struct eval_options *o, const char *const *paths,
                    const char *const *ids, size_t n, struct error *err);
void thumbnails_release(struct thumbnails *t);

/* Write parts of the page. */
void report_put_slices(struct html *h, const struct evaluation *e);
void report_put_reports(struct html *h, const struct user_reports *r);
int report_put_worst(struct html *h, const struct report_input *in);

#endif
