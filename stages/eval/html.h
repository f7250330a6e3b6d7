/* html.h: writes a page piece by piece. The first failure is remembered, so that callers need not check
 * each call. Text from data must go through html_escaped. */
#ifndef WINNOW_EVAL_HTML_H
#define WINNOW_EVAL_HTML_H

#include <stdint.h>

#include "base/text.h"
#include "metric/interval.h"

struct html {
    struct text t;
    struct error *err;
    bool failed;
};

void html_raw(struct html *h, const char *format, ...) __attribute__((format(printf, 2, 3)));
void html_escaped(struct html *h, const char *s);

/* Writes 1234567 as "1,234,567" to out, and returns out. */
#define HTML_COUNT_BYTES 32
char *html_count(char out[HTML_COUNT_BYTES], uint64_t n);
#define COUNT(n) html_count((char[HTML_COUNT_BYTES]){0}, n)

/* Write a table cell: k of n as a rate with Wilson's interval; a number with its interval, if it has one; a
 * number. */
void html_rate_cell(struct html *h, uint64_t k, uint64_t n);
void html_interval_cell(struct html *h, double x, struct interval ci, int digits);
void html_number_cell(struct html *h, double x, int digits);

/* Draws an interval as a line and its value as a dot, on the axis low..high with a mark at zero. */
void html_range(struct html *h, double value, struct interval ci, double low, double high);

#endif
