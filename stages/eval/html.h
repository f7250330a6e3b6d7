/*
 * html.h: writing a page piece by piece: the first failure is kept, so that callers need not check each line.
 * What comes from data goes through html_escaped, nothing else.
 */
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

/* 1234567 as "1,234,567" in out, which is returned. */
#define HTML_COUNT_BYTES 32
char *html_count(char out[HTML_COUNT_BYTES], uint64_t n);
#define COUNT(n) html_count((char[HTML_COUNT_BYTES]){0}, n)

/* Table cells: k of n as a rate with Wilson's interval; a number with its interval, where it has one; a
 * number. */
void html_rate_cell(struct html *h, uint64_t k, uint64_t n);
void html_interval_cell(struct html *h, double x, struct interval ci, int digits);
void html_number_cell(struct html *h, double x, int digits);

/* An interval as a line, its value as a dot, on the axis low..high with a mark at zero. */
void html_range(struct html *h, double value, struct interval ci, double low, double high);

#endif
