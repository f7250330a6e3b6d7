/* report_worst.c: writes the worst mistakes in the report, with thumbnails if there are any. */
#include <stdlib.h>

#include "base/mem.h"
#include "io/spill.h"
#include "metric/picked_rows.h"
#include "report_page.h"

struct mistake {
    uint32_t row;
    double p_given;
};

static int compare_mistakes(const void *x, const void *y)
{
    const struct mistake *a = x, *b = y;
    return a->p_given < b->p_given   ? -1
           : a->p_given > b->p_given ? 1
           : a->row < b->row         ? -1
                                     : a->row > b->row;
}

/* Finds at most limit rows: those with the least probability for their label. *rows is malloc'ed. */
static int worst_rows(const struct evaluation *e, size_t limit, uint32_t **rows, size_t *n, struct error *err)
{
    const struct predictions *p = e->p;
    size_t n_wrong = p->n_rows - e->c.n_right, at = 0;
    struct mistake *m = mem_alloc((n_wrong ? n_wrong : 1) * sizeof *m, err);
    *rows = mem_alloc((limit ? limit : 1) * sizeof **rows, err);
    if (!m || !*rows) {
        free(m);
        return -1;
    }
    for (size_t i = 0; spill_step(i) < p->n_rows; i++)
        if (!e->right[i])
            m[at++] = (struct mistake){(uint32_t)i, p->p[i * (size_t)p->n_classes + (size_t)p->label[i]]};
    qsort(m, n_wrong, sizeof *m, compare_mistakes);
    *n = n_wrong < limit ? n_wrong : limit;
    for (size_t i = 0; i < *n; i++)
        (*rows)[i] = m[i].row;
    free(m);
    return 0;
}

int report_put_worst(struct html *h, const struct report_input *in)
{
    const struct predictions *p = in->e->p;
    struct picked_rows picked = PICKED_ROWS_EMPTY;
    struct thumbnails thumbnails = THUMBNAILS_EMPTY;
    const char **paths = NULL, **ids = NULL;
    struct arena arena = ARENA_EMPTY;
    uint32_t *rows = NULL;
    size_t n = 0;
    int rc = -1, path, id;
    if (worst_rows(in->e, (size_t)in->o->worst, &rows, &n, h->err) ||
        picked_rows_read(&picked, p, in->source, rows, n, h->err) ||
        !(paths = mem_alloc((n ? n : 1) * sizeof *paths, h->err)) ||
        !(ids = mem_alloc((n ? n : 1) * sizeof *ids, h->err)))
        goto out;
    path = manifest_column(&picked.schema, "path");
    if ((id = manifest_column(&picked.schema, "id")) < 0) id = manifest_column(&picked.schema, "xxh128");
    for (size_t i = 0; i < n; i++) {
        const char *const *cells = picked_row(&picked, i, h->err);
        if (!cells || !(paths[i] = arena_strdup(&arena, path < 0 ? "" : cells[path], h->err)) ||
            !(ids[i] = arena_strdup(&arena, id < 0 ? "" : cells[id], h->err)))
            goto out;
    }
    if (thumbnails_make(&thumbnails, in->o, paths, ids, n, h->err)) goto out;
    bool any = false;
    for (size_t i = 0; i < n; i++)
        any = any || thumbnails.uris[i];
    html_raw(h, "<h2>Worst mistakes</h2>");
    if (n == 0) {
        html_raw(h, "<p>%s</p>",
                 p->n_rows == in->e->c.n_right ? "None: every prediction is the given label."
                                               : "None shown (--worst 0).");
        rc = 0;
        goto out;
    }
    html_raw(h,
             "<p>%s of %s, the least probable given labels first: some are the model's, some the "
             "label's.</p>",
             COUNT(n), COUNT(p->n_rows - in->e->c.n_right));
    if (any)
        html_raw(h, "<input type=checkbox id=all class=noprint> <label for=all class=noprint>show all "
                    "pictures clearly (a click on one shows it)</label>");
    html_raw(h, "<ul class=worst>");
    for (size_t i = 0; i < n; i++) {
        const double *row = p->p + (size_t)rows[i] * (size_t)p->n_classes;
        html_raw(h, "<li>");
        if (thumbnails.uris[i])
            html_raw(h,
                     "<label><input type=checkbox aria-label=show><img alt='' width=112 height=112 "
                     "src='%s'></label>",
                     thumbnails.uris[i]);
        else if (any)
            html_raw(h, "<div class=none>no picture</div>");
        html_raw(h, "<div>");
        html_escaped(h, p->classes[p->label[rows[i]]]);
        html_raw(h, " &rarr; <b>");
        html_escaped(h, p->classes[p->pred[rows[i]]]);
        html_raw(h, "</b> %.1f&nbsp;%%</div><small class=soft>", 100 * row[p->pred[rows[i]]]);
        html_escaped(h, paths[i][0] ? paths[i] : ids[i]);
        html_raw(h, "</small></li>");
    }
    html_raw(h, "</ul>\n");
    rc = 0;
out:
    thumbnails_release(&thumbnails);
    picked_rows_release(&picked);
    arena_release(&arena);
    free(paths);
    free(ids);
    free(rows);
    return rc;
}
