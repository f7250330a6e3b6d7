/* user_reports.c: compares reports from users of the demo page (collect-reports) with the present predictions
 * for those pictures. */
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "report_page.h"

#define MAX_SHOWN 500 /* of the report page; the table of collect-reports has all */

int user_reports_read(struct user_reports *out, const char *path, const struct predictions *p,
                      struct error *err)
{
    static const char *const required[] = {"id", "label_claimed", NULL};
    struct manifest_reader in = MANIFEST_READER_EMPTY;
    int rc = -1, got, id, claimed, slices, before, now, n;
    if (manifest_reader_open_edited(&in, path, NULL, 0, required, err)) return -1;
    id = manifest_column(&in.schema, "id");
    claimed = manifest_column(&in.schema, "label_claimed");
    slices = manifest_column(&in.schema, "slices");
    before = manifest_column(&in.schema, "pred_reported");
    now = manifest_column(&in.schema, "pred");
    n = manifest_column(&in.schema, "reports");
    while ((got = manifest_reader_next(&in, err)) > 0) {
        struct id_key key = id_key_of(in.fields[id]);
        int64_t row = in.fields[id][0] ? predictions_find(p, &key) : -1;
        struct user_report *r;
        if (mem_grow(&out->items, &out->capacity, out->n + 1, sizeof *out->items, err)) goto out;
        r = &out->items[out->n++];
        *r = (struct user_report){.n = 1};
        if (!(r->id = arena_strdup(&out->arena, in.fields[id], err)) ||
            !(r->claimed = arena_strdup(&out->arena, in.fields[claimed], err)) ||
            !(r->slices = arena_strdup(&out->arena, manifest_field(&in, slices), err)) ||
            !(r->before = arena_strdup(&out->arena, manifest_field(&in, before), err)) ||
            !(r->now = row >= 0 ? p->classes[p->pred[row]]
                                : arena_strdup(&out->arena, manifest_field(&in, now), err)))
            goto out;
        if (n >= 0 && !parse_digits(in.fields[n], strlen(in.fields[n]), &r->n)) r->n = 0;
        r->known = r->claimed[0] && r->now[0];
        r->fixed = r->known && strcmp(r->claimed, r->now) == 0;
        out->n_known += r->known;
        out->n_fixed += r->fixed;
    }
    rc = got;
out:
    manifest_reader_close(&in);
    return rc;
}

void user_reports_release(struct user_reports *r)
{
    free(r->items);
    arena_release(&r->arena);
    *r = USER_REPORTS_EMPTY;
}

static void put_cell(struct html *h, const char *text)
{
    html_raw(h, "<td class=name>");
    if (text[0])
        html_escaped(h, text);
    else
        html_raw(h, "&ndash;");
    html_raw(h, "</td>");
}

void report_put_reports(struct html *h, const struct user_reports *r)
{
    if (r->n == 0) return;
    html_raw(h, "<h2>Reports from users</h2><p>%s of %s are fixed: the model now says what the user said.",
             COUNT(r->n_fixed), COUNT(r->n_known));
    if (r->n > r->n_known)
        html_raw(h,
                 " %s more cannot be told: the picture is not in the data set, or the report claims no "
                 "label.",
                 COUNT(r->n - r->n_known));
    html_raw(h, "</p><div class=wide><table><thead><tr><th scope=col>picture<th scope=col class=name>user "
                "says<th scope=col class=name>model then"
                "<th scope=col class=name>model now<th scope=col class=name>slices<th scope=col>reports<th "
                "scope=col>fixed</tr></thead><tbody>");
    for (size_t i = 0; i < r->n && i < MAX_SHOWN; i++) {
        const struct user_report *x = &r->items[i];
        html_raw(h, "<tr>");
        put_cell(h, x->id);
        put_cell(h, x->claimed);
        put_cell(h, x->before);
        put_cell(h, x->now);
        put_cell(h, x->slices);
        html_raw(h, "<td>%s</td><td class=%s>%s</td></tr>", COUNT(x->n),
                 x->fixed   ? "good"
                 : x->known ? "flag"
                            : "soft",
                 x->fixed   ? "yes"
                 : x->known ? "no"
                            : "unknown");
    }
    html_raw(h, "</tbody></table></div>\n");
    if (r->n > MAX_SHOWN) html_raw(h, "<p class=soft>The first %d of %s.</p>\n", MAX_SHOWN, COUNT(r->n));
}
