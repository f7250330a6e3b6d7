/*
 * review_page.c: fills the template of the page. The data are one JSON block in which every '<' is escaped,
 * and the policy names the script and the style by their hashes. So no file name, label or id can become
 * code.
 */
#include "review_page.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "metric/picked_rows.h"
#include "page/page.h"
#include "page/page_template.h"

extern const char review_page_html[] __attribute__((visibility("hidden")));
extern const char review_page_css[] __attribute__((visibility("hidden")));
extern const char review_page_js[] __attribute__((visibility("hidden")));

/* Writes the relative path to the pictures, and the same path without its leading "../", one after
 * another: the page may also be opened through a link in a folder above. */
static int put_prefixes(struct text *out, const char *page, const char *root, struct error *err)
{
    struct text way = TEXT_EMPTY, prefix = TEXT_EMPTY;
    int rc = -1;
    if (page_way_to_root(&way, page, *root ? root : ".", err) || text_puts(&prefix, "", err) ||
        (way.data && page_url(&prefix, way.data, err)) || text_puts(out, "[", err))
        goto out;
    for (const char *p = prefix.data;; p += 3) {
        if (page_json(out, p, err)) goto out;
        if (!text_starts(p, "../")) break;
        if (text_puts(out, ",", err)) goto out;
    }
    rc = text_puts(out, "]", err);
out:
    text_release(&way);
    text_release(&prefix);
    return rc;
}

/* The kind of a row, which is its last field. */
enum { ROW_SUSPECT, ROW_OFF_TOPIC, ROW_CONFLICT };

static int put_row(struct text *out, const struct predictions *p, const struct mine_inputs *f,
                   const struct suspect *s, bool off_topic, const char *id, const char *path,
                   const char *group, struct error *err)
{
    char score[32];
    bool test = f->has_split && f->split[s->row] && strcmp(f->split[s->row], "test") == 0;
    if (text_puts(out, "[", err) || page_json(out, id, err) || text_puts(out, ",", err) ||
        page_json(out, path, err) ||
        text_printf(out, err, ",%d,%d,%.6g,\"", p->label[s->row], s->suggested, s->score))
        return -1;
    const char *comma = "";
    for (int m = 0; m < MINE_METHODS; m++)
        if (s->methods >> m & 1) {
            if (text_printf(out, err, "%s%s", comma, mine_method_names[m])) return -1;
            comma = ", ";
        }
    if (text_printf(out, err, "\",\"%s\",[", test ? "test" : "")) return -1;
    for (int k = 0; k < p->n_classes; k++) {
        snprintf(score, sizeof score, "%s%.4g", k ? "," : "",
                 p->p[(size_t)s->row * (size_t)p->n_classes + (size_t)k]);
        if (text_puts(out, score, err)) return -1;
    }
    return text_puts(out, "],", err) || page_json(out, group, err) ||
                   text_printf(out, err, ",%u,%d]", s->group, off_topic ? ROW_OFF_TOPIC : ROW_SUSPECT)
               ? -1
               : 0;
}

/* Writes a label conflict, which has no score and no probabilities. */
static int put_conflict(struct text *out, const struct label_conflict *c, size_t n_groups, struct error *err)
{
    return text_puts(out, "[", err) || page_json(out, c->id, err) || text_puts(out, ",", err) ||
                   page_json(out, c->path, err) ||
                   text_printf(out, err, ",%d,%d,0,\"label-conflict\",\"\",[],\"\",%zu,%d]", c->given,
                               c->suggested, c->group ? n_groups + c->group : 0, ROW_CONFLICT)
               ? -1
               : 0;
}

static int put_data(struct text *out, const struct mine_options *o, const struct predictions *p,
                    const struct mine_inputs *f, const struct suspects *s, const struct label_conflicts *c,
                    struct manifest_source *source, struct error *err)
{
    struct picked_rows picked = PICKED_ROWS_EMPTY;
    struct text names = TEXT_EMPTY;
    uint32_t *rows = mem_alloc((s->n ? s->n : 1) * sizeof *rows, err);
    int rc = -1, id;
    if (!rows) return -1;
    for (size_t i = 0; i < s->n; i++)
        rows[i] = s->items[i].row;
    if (picked_rows_read(&picked, p, source, rows, s->n, err)) goto out;
    if ((id = manifest_column(&picked.schema, "id")) < 0 &&
        (id = manifest_column(&picked.schema, "xxh128")) < 0)
        id = manifest_column(&picked.schema, "path");
    for (int k = 0; k < p->n_classes; k++)
        if ((k && text_puts(&names, ",", err)) || page_json(&names, p->classes[k], err)) goto out;
    /* The browser stores decisions by classes and picture, so a later page over the same classes can show
     * them. */
    if (text_printf(out, err, "{\"set\":\"%016llx\",\"classes\":[%s],\"prefixes\":",
                    (unsigned long long)random_key(names.data, names.n_bytes), names.data) ||
        put_prefixes(out, o->review, o->common.root, err) || text_puts(out, ",\"rows\":[", err))
        goto out;
    for (size_t i = 0; i < s->n; i++) {
        uint32_t row = s->items[i].row;
        const char *const *cells = picked_row(&picked, i, err);
        if (!cells) goto out;
        const char *path = f->has_path && f->path[row] ? f->path[row] : "",
                   *group = f->has_group && f->group[row] ? f->group[row] : "";
        if ((i && text_puts(out, ",\n", err)) ||
            put_row(out, p, f, &s->items[i], i >= s->n_label, id < 0 ? "" : cells[id], path, group, err))
            goto out;
    }
    for (size_t i = 0; i < c->n; i++)
        if ((i + s->n && text_puts(out, ",\n", err)) || put_conflict(out, &c->items[i], s->n_groups, err))
            goto out;
    rc = text_puts(out, "]}", err);
out:
    picked_rows_release(&picked);
    text_release(&names);
    free(rows);
    return rc;
}

int review_write(const struct mine_options *o, const struct predictions *p, const struct mine_inputs *f,
                 const struct suspects *s, const struct label_conflicts *c, struct manifest_source *source,
                 struct error *err)
{
    struct text title = TEXT_EMPTY, policy = TEXT_EMPTY, data = TEXT_EMPTY;
    int rc = -1;
    if (page_escape(&title, o->title, err) || page_policy(&policy, review_page_css, review_page_js, err) ||
        io_mkdirs_for(o->review, err) || put_data(&data, o, p, f, s, c, source, err))
        goto out;
    const struct page_part parts[] = {{"title", title.data},
                                      {"csp", policy.data},
                                      {"css", review_page_css},
                                      {"js", review_page_js},
                                      {"data", data.data}};
    rc = page_write(o->review, review_page_html, parts, sizeof parts / sizeof *parts, err);
out:
    text_release(&title);
    text_release(&policy);
    text_release(&data);
    return rc;
}
