/* html.c: see html.h. */
#include "html.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "page/page.h"

#define RANGE_PX 140 /* length of the line of an interval */

void html_raw(struct html *h, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    h->failed = h->failed || text_vprintf(&h->t, h->err, format, args);
    va_end(args);
}

void html_escaped(struct html *h, const char *s) { h->failed = h->failed || page_escape(&h->t, s, h->err); }

char *html_count(char out[HTML_COUNT_BYTES], uint64_t n)
{
    char *at = out + HTML_COUNT_BYTES;
    *--at = 0;
    for (int digit = 0; digit == 0 || n > 0; digit++, n /= 10) {
        if (digit && digit % 3 == 0) *--at = ',';
        *--at = (char)('0' + n % 10);
    }
    return at;
}

void html_rate_cell(struct html *h, uint64_t k, uint64_t n)
{
    struct interval w = interval_wilson(k, n, INTERVAL_Z95);
    if (n == 0)
        html_raw(h, "<td>&ndash; <small>no rows</small></td>");
    else
        html_raw(h, "<td>%.2f %% <small>%.1f to %.1f</small></td>", 100.0 * (double)k / (double)n,
                 100 * w.low, 100 * w.high);
}

void html_interval_cell(struct html *h, double x, struct interval ci, int digits)
{
    if (isnan(x) || isnan(ci.low))
        html_number_cell(h, x, digits);
    else
        html_raw(h, "<td>%.*f <small>%.*f to %.*f</small></td>", digits, x, digits - 1, ci.low, digits - 1,
                 ci.high);
}

void html_number_cell(struct html *h, double x, int digits)
{
    if (isnan(x))
        html_raw(h, "<td>&ndash;</td>");
    else
        html_raw(h, "<td>%.*f</td>", digits, x);
}

void html_range(struct html *h, double value, struct interval ci, double low, double high)
{
    if (isnan(value) || isnan(ci.low) || high <= low) return;
    double scale = RANGE_PX / (high - low), zero = 2 + (fmin(fmax(0, low), high) - low) * scale;
    html_raw(h,
             "<svg class=range viewBox='0 0 144 16' role=img aria-label='%.3f to %.3f'><line class=base "
             "x1='%.1f' x2='%.1f' y1='2' y2='14'/>"
             "<line x1='%.1f' x2='%.1f' y1='8' y2='8'/><circle cx='%.1f' cy='8' r='3.2'/></svg>",
             ci.low, ci.high, zero, zero, 2 + (fmax(ci.low, low) - low) * scale,
             2 + (fmin(ci.high, high) - low) * scale, 2 + (fmin(fmax(value, low), high) - low) * scale);
}
