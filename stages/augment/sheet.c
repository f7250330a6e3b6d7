/* sheet.c: shows variants side by side. The HTML page contains the thumbnails and shows them blurred and
 * grey until the user asks. The PNG is one picture, with a row for each source. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "augment_stage.h"
#include "base/mem.h"
#include "image/image.h"
#include "io/io.h"

struct label_count {
    char *label;
    int64_t promised, n;
};

struct sheet_row {
    size_t label;
    struct text html;
    struct image strip;
}; /* one of the two */

struct sheet {
    char *path;
    bool png;
    int n_columns;
    int64_t most_rows, n_promised;
    struct label_count *labels;
    size_t n_labels, labels_capacity;
    struct text spec;
    struct sheet_row *rows; /* in the order of the manifest */
    size_t n_rows, rows_capacity;
};

#define CELL (SHEET_THUMB_PX + 4)

static const char head[] =
    "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src "
    "'unsafe-inline'; script-src 'unsafe-inline'\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\"><title>augmentation sheet</title>\n<style>\n"
    ":root{color-scheme:light "
    "dark;--soft:#444;--back:#ddd}@media(prefers-color-scheme:dark){:root{--soft:#bbb;--back:#333}}\n"
    "body{font:14px "
    "sans-serif;margin:1em}main{overflow-x:auto}td{padding:2px;text-align:center;vertical-align:top}\n"
    "td p{margin:0 0 6px;width:160px;font-size:11px;overflow-wrap:anywhere;color:var(--soft)}\n"
    "th{font-weight:normal}tbody th,thead "
    "th:first-child{text-align:left;vertical-align:top;min-width:8em;max-width:14em;overflow-wrap:anywhere}\n"
    "td div{width:160px;overflow:hidden;outline:1px solid var(--back);background:var(--back)}td "
    "img{display:block;margin:auto;filter:blur(12px) grayscale(1)}\n"
    "body.shown img{filter:none}button{font:inherit;padding:.3em 1em}\n</style>\n"
    "<h1>Augmentation sheet</h1>\n<p><button id=\"show\" aria-pressed=\"false\">Show pictures "
    "(s)</button></p>\n<p>Specification: <code>";

static const char tail[] =
    "</tbody></table></main>\n<script>\nvar button=document.getElementById('show');\n"
    "function toggle(){var on=document.body.classList.toggle('shown');button.setAttribute('aria-pressed',on);"
    "button.textContent=on?'Hide pictures (s)':'Show pictures (s)';}\nbutton.onclick=toggle;\n"
    "document.onkeydown=function(e){if(e.key==='s'&&!e.ctrlKey&&!e.metaKey)toggle();};\n</script>\n</html>\n";

static int put_escaped(struct text *t, const char *text, struct error *err)
{
    for (; *text; text++) {
        const char *entity = *text == '<'   ? "&lt;"
                             : *text == '>' ? "&gt;"
                             : *text == '&' ? "&amp;"
                             : *text == '"' ? "&quot;"
                                            : NULL;
        if (entity ? text_puts(t, entity, err) : text_add(t, text, 1, err)) return -1;
    }
    return 0;
}

/* Writes the parameters for the user, one in each line, with two decimals. The manifest has the exact
 * values. */
static int put_parameters(struct text *t, const char *params, struct error *err)
{
    int decimals = -1;
    for (const char *s = params; *s; s++) {
        if (*s == '.')
            decimals = 0;
        else if (*s < '0' || *s > '9')
            decimals = -1;
        else if (decimals >= 0 && ++decimals > 2)
            continue;
        if (*s == ',' ? text_puts(t, "<br>", err) : text_add(t, s, 1, err)) return -1;
    }
    return 0;
}

static int put_base64(struct text *t, const uint8_t *b, size_t n, struct error *err)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v =
            (uint32_t)b[i] << 16 | (uint32_t)(i + 1 < n ? b[i + 1] : 0) << 8 | (i + 2 < n ? b[i + 2] : 0);
        char out[4] = {digits[v >> 18], digits[v >> 12 & 63], i + 1 < n ? digits[v >> 6 & 63] : '=',
                       i + 2 < n ? digits[v & 63] : '='};
        if (text_add(t, out, 4, err)) return -1;
    }
    return 0;
}

int sheet_open(struct sheet **out, const char *path, int n_columns, int64_t most_rows, const char *spec_text,
               struct error *err)
{
    *out = NULL;
    struct sheet *s = mem_zalloc(1, sizeof *s, err);
    if (!s) return -1;
    s->png = sheet_is_png(path);
    s->n_columns = n_columns;
    s->most_rows = most_rows;
    if (!(s->path = mem_strdup(path, err)) || put_escaped(&s->spec, spec_text, err)) {
        sheet_close(s);
        return -1;
    }
    *out = s;
    return 0;
}

/* --- which rows --- */

static int find_label(struct sheet *s, const char *label, size_t *out, struct error *err)
{
    for (*out = 0; *out < s->n_labels; ++*out)
        if (strcmp(s->labels[*out].label, label) == 0) return 0;
    if (mem_grow(&s->labels, &s->labels_capacity, s->n_labels + 1, sizeof *s->labels, err)) return -1;
    s->labels[*out] = (struct label_count){.label = mem_strdup(label, err)};
    if (!s->labels[*out].label) return -1;
    s->n_labels++;
    return 0;
}

/* Returns the last of the labels that have the most rows. */
static size_t richest(const struct sheet *s, bool promised)
{
    size_t best = 0;
    for (size_t i = 1; i < s->n_labels; i++)
        if (promised ? s->labels[i].promised >= s->labels[best].promised
                     : s->labels[i].n >= s->labels[best].n)
            best = i;
    return best;
}

bool sheet_promise(struct sheet *s, const char *label, struct error *err)
{
    size_t at;
    if (find_label(s, label, &at, err)) return false;
    if (s->n_promised < s->most_rows) {
        s->n_promised++;
    } else {
        struct label_count *most = &s->labels[richest(s, true)];
        if (s->labels[at].promised + 1 >= most->promised) return false;
        most->promised--;
    }
    s->labels[at].promised++;
    return true;
}

static void row_release(struct sheet_row *r)
{
    text_release(&r->html);
    image_release(&r->strip);
}

int sheet_begin_row(struct sheet *s, const char *path, const char *label, struct error *err)
{
    size_t at;
    if (find_label(s, label, &at, err)) return -1;
    if ((int64_t)s->n_rows >= s->most_rows) {
        size_t give = richest(s, false), row = s->n_rows;
        while (row-- > 0 && s->rows[row].label != give)
            ;
        row_release(&s->rows[row]);
        memmove(&s->rows[row], &s->rows[row + 1], (s->n_rows - row - 1) * sizeof *s->rows);
        s->labels[give].n--;
        s->n_rows--;
    }
    if (mem_grow(&s->rows, &s->rows_capacity, s->n_rows + 1, sizeof *s->rows, err)) return -1;
    struct sheet_row *r = &s->rows[s->n_rows++];
    *r = (struct sheet_row){.label = at};
    s->labels[at].n++;
    if (s->png) {
        if (image_reserve(&r->strip, s->n_columns * CELL, CELL, 3, err)) return -1;
        memset(r->strip.pixels, 255, image_bytes(&r->strip));
        return 0;
    }
    return text_puts(&r->html, "<tr><th scope=\"row\">", err) || put_escaped(&r->html, label, err) ||
                   text_puts(&r->html, "<br><small>", err) || put_escaped(&r->html, path, err) ||
                   text_puts(&r->html, "</small></th>", err)
               ? -1
               : 0;
}

/* --- pictures --- */

static void draw(struct image *strip, int column, const uint8_t *thumb, size_t n_thumb)
{
    size_t width = n_thumb > 2 ? thumb[0] : 0, height = n_thumb > 2 ? thumb[1] : 0;
    if (width > SHEET_THUMB_PX || height > SHEET_THUMB_PX || n_thumb != 2 + width * height * 3)
        return; /* invalid data from a worker: the cell stays white */
    for (size_t y = 0; y < height; y++)
        memcpy(strip->pixels + (y * (size_t)strip->width + (size_t)column * CELL) * 3,
               thumb + 2 + y * width * 3, width * 3);
}

int sheet_add(struct sheet *s, int column, const uint8_t *thumb, size_t n_thumb, const char *caption,
              struct error *err)
{
    struct sheet_row *r = &s->rows[s->n_rows - 1];
    struct text *t = &r->html;
    if (s->png) {
        draw(&r->strip, column, thumb, n_thumb);
        return 0;
    }
    if (text_puts(t, "<td><div><img alt=\"", err) ||
        put_escaped(t, column ? caption : "the picture itself", err) ||
        text_puts(t, "\" src=\"data:image/jpeg;base64,", err) || put_base64(t, thumb, n_thumb, err) ||
        text_puts(t, "\"></div><p>", err) || (column && put_parameters(t, caption, err)))
        return -1;
    return text_puts(t, column + 1 == s->n_columns ? "</p></td></tr>\n" : "</p></td>\n", err);
}

/* --- the file --- */

static int write_html(const struct sheet *s, struct error *err)
{
    struct text page = TEXT_EMPTY;
    int rc = text_puts(&page, head, err) || text_add(&page, s->spec.data, s->spec.n_bytes, err) ||
                     text_puts(&page,
                               "</code></p>\n<main><table>\n<thead><tr><th scope=\"col\">Label, file</th><th "
                               "scope=\"col\">0: as it is</th>",
                               err)
                 ? -1
                 : 0;
    for (int c = 1; c < s->n_columns && rc == 0; c++)
        rc = text_printf(&page, err, "<th scope=\"col\">%d</th>", c);
    if (rc == 0) rc = text_puts(&page, "</tr></thead>\n<tbody>\n", err);
    for (size_t i = 0; i < s->n_rows && rc == 0; i++)
        rc = text_add(&page, s->rows[i].html.data, s->rows[i].html.n_bytes, err);
    if (rc == 0)
        rc = text_puts(&page, tail, err) || atomic_file_write(s->path, page.data, page.n_bytes, err) ? -1 : 0;
    text_release(&page);
    return rc;
}

static int write_png(const struct sheet *s, struct error *err)
{
    struct image canvas = IMAGE_EMPTY;
    uint8_t *png = NULL;
    size_t n;
    int rc = -1;
    if (image_reserve(&canvas, s->n_rows ? s->n_columns * CELL : CELL,
                      (int)(s->n_rows ? s->n_rows : 1) * CELL, 3, err))
        goto out;
    memset(canvas.pixels, 255, image_bytes(&canvas)); /* an empty sheet is one white cell */
    for (size_t i = 0; i < s->n_rows; i++)
        if (s->rows[i].strip.pixels)
            memcpy(canvas.pixels + i * image_bytes(&s->rows[i].strip), s->rows[i].strip.pixels,
                   image_bytes(&s->rows[i].strip));
    rc = image_encode_png(&canvas, &png, &n, err) || atomic_file_write(s->path, png, n, err) ? -1 : 0;
out:
    image_release(&canvas);
    free(png);
    return rc;
}

int sheet_commit(struct sheet *s, struct error *err)
{
    return io_mkdirs_for(s->path, err) || (s->png ? write_png(s, err) : write_html(s, err)) ? -1 : 0;
}

void sheet_close(struct sheet *s)
{
    if (!s) return;
    for (size_t i = 0; i < s->n_labels; i++)
        free(s->labels[i].label);
    for (size_t i = 0; i < s->n_rows; i++)
        row_release(&s->rows[i]);
    free(s->labels);
    free(s->rows);
    text_release(&s->spec);
    free(s->path);
    free(s);
}
