/* report_slices.c: writes the slices of the report: the rate of each slice, and its difference from the other
 * rows. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#include "report_page.h"

struct named {
    const char *name;
    const struct slice_result *result;
};

static int compare_named(const void *x, const void *y)
{
    const struct named *a = x, *b = y;
    int c = strcmp(a->name, b->name);
    return c ? c : a->result < b->result ? -1 : a->result > b->result;
}

/* Writes one table row for each slice, in the order of their names. results: that of all rows, then that of
 * each slice. */
static void put_slice_rows(struct html *h, const struct predictions *p, const struct slice_result *results,
                           size_t n, const char *title)
{
    double extent = 0.02;
    struct named *order = mem_alloc(n * sizeof *order, h->err);
    if (!order) {
        h->failed = true;
        return;
    }
    for (size_t i = 0; i < n; i++)
        order[i] = (struct named){results[i].slice < 0 ? "" : p->slices[results[i].slice].name, &results[i]};
    qsort(order, n, sizeof *order, compare_named);
    for (size_t i = 0; i < n; i++)
        if (results[i].slice >= 0 && !isnan(results[i].newcombe.low))
            extent = fmax(extent, fmax(fabs(results[i].newcombe.low), fabs(results[i].newcombe.high)));
    html_raw(h,
             "<div class=wide><table><caption>%s</caption><thead><tr><th scope=col>slice<th "
             "scope=col>rows<th scope=col>rate (Wilson 95 %%)"
             "<th scope=col>difference from the rest (Newcombe 95 %%)<th scope=col><th scope=col>Holm "
             "p</tr></thead><tbody>",
             title);
    for (size_t i = 0; i < n; i++) {
        const struct slice_result *r = order[i].result;
        html_raw(h, "<tr><td class=name>");
        html_escaped(h, r->slice < 0 ? "all" : p->slices[r->slice].name);
        html_raw(h, "</td><td>%s of %s</td>", COUNT(r->k), COUNT(r->n));
        html_rate_cell(h, r->k, r->n);
        if (r->slice < 0 || isnan(r->difference)) {
            html_raw(h, "<td></td><td></td><td></td></tr>");
            continue;
        }
        html_raw(h, "<td>%+.2f <small>%+.2f to %+.2f</small></td><td>", 100 * r->difference,
                 100 * r->newcombe.low, 100 * r->newcombe.high);
        html_range(h, r->difference, r->newcombe, -extent, extent);
        if (isnan(r->p_holm))
            html_raw(h, "</td><td><small>too few</small></td></tr>");
        else
            html_raw(h, "</td><td%s>%.3g%s</td></tr>", r->flagged ? " class=flag" : "", r->p_holm,
                     r->flagged ? " differs" : "");
    }
    html_raw(h, "</tbody></table></div>\n");
    free(order);
}

void report_put_slices(struct html *h, const struct evaluation *e)
{
    static const char *const titles[SLICE_RATES] = {"false positive rate: others flagged",
                                                    "false negative rate: not flagged", "share flagged",
                                                    "share decided rightly"};
    const struct predictions *p = e->p;
    if (p->n_slices == 0) return;
    html_raw(h, "<h2>Slices</h2><p>Differences that stay significant at 5 %% after Holm's correction over "
                "the slices of a table are marked; slices of few rows "
                "are shown and never marked.</p>");
    put_slice_rows(h, p, e->slices, e->n_slices, "accuracy over all classes");
    for (size_t i = 0; i < e->n_views; i++) {
        const struct view_result *v = &e->views[i];
        size_t per_rate = p->n_slices + 1;
        html_raw(h, "<h3>");
        html_escaped(h, v->view->name);
        html_raw(h, "</h3>");
        for (int rate = RATE_FPR; rate <= RATE_FNR; rate++) {
            put_slice_rows(h, p, v->slices + (size_t)rate * per_rate, per_rate, titles[rate]);
            double gap = slice_gap(p, v->slices, v->n_slices, (enum slice_rate)rate, p->slices[0].family);
            if (!isnan(gap))
                html_raw(h, "<p class=soft>Between the best and the worst slice: %.2f points.</p>",
                         100 * gap);
        }
    }
}
