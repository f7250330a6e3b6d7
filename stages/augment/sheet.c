/*
 * sheet.c: variants side by side. HTML carries the thumbnails inside itself and shows them blurred and grey until asked; PNG is
 * one picture, a row for each source.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "augment_stage.h"
#include "base/mem.h"
#include "image/image.h"
#include "io/io.h"

struct label_count { char *label; int64_t n; };

struct sheet {
    char *path;
    bool png;
    int n_columns;
    int64_t most_rows, n_rows;
    struct label_count *labels;
    size_t n_labels, labels_capacity;
    struct text html;
    struct image canvas;                /* grows by rows of thumbnails */
    size_t canvas_rows;
};

#define CELL (SHEET_THUMB_PX + 4)

static struct label_count *find(const struct sheet *s, const char *label)
{
    for (size_t i = 0; i < s->n_labels; i++)
        if (strcmp(s->labels[i].label, label) == 0)
            return &s->labels[i];
    return NULL;
}

static const char head[] =
    "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>augmentation sheet</title>\n<style>\n"
    "body{font:14px sans-serif;margin:1em;background:#fff;color:#111}td{padding:2px;text-align:center;vertical-align:top}\n"
    "td p{margin:0;width:160px;font-size:11px;overflow-wrap:anywhere;color:#444}th{text-align:left;font-weight:normal;max-width:14em;overflow-wrap:anywhere}\n"
    "img{filter:blur(12px) grayscale(1)}body.shown img{filter:none}button{font:inherit;padding:.3em 1em}\n"
    "@media(prefers-color-scheme:dark){body{background:#161616;color:#eee}td p{color:#bbb}}\n</style>\n"
    "<h1>Augmentation sheet</h1>\n<p>Column 0 is the picture itself. <button id=\"show\" aria-pressed=\"false\">Show pictures (s)</button>\n";

static const char tail[] =
    "</table>\n<script>\nvar button=document.getElementById('show');\n"
    "function toggle(){var on=document.body.classList.toggle('shown');button.setAttribute('aria-pressed',on);"
    "button.textContent=on?'Hide pictures (s)':'Show pictures (s)';}\nbutton.onclick=toggle;\n"
    "document.onkeydown=function(e){if(e.key==='s'&&!e.ctrlKey&&!e.metaKey)toggle();};\n</script>\n</html>\n";

static int put_escaped(struct text *t, const char *text, struct error *err)
{
    for (; *text; text++) {
        const char *entity = *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : *text == '&' ? "&amp;" : *text == '"' ? "&quot;" : NULL;
        if (entity ? text_puts(t, entity, err) : text_add(t, text, 1, err))
            return -1;
    }
    return 0;
}

/* The parameters for people: a line each, two decimals. The exact ones stand in the manifest. */
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
        if (*s == ',' ? text_puts(t, "<br>", err) : text_add(t, s, 1, err))
            return -1;
    }
    return 0;
}

static int put_base64(struct text *t, const uint8_t *b, size_t n, struct error *err)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)b[i] << 16 | (uint32_t)(i + 1 < n ? b[i + 1] : 0) << 8 | (i + 2 < n ? b[i + 2] : 0);
        char out[4] = {digits[v >> 18], digits[v >> 12 & 63], i + 1 < n ? digits[v >> 6 & 63] : '=', i + 2 < n ? digits[v & 63] : '='};
        if (text_add(t, out, 4, err))
            return -1;
    }
    return 0;
}

int sheet_open(struct sheet **out, const char *path, int n_columns, int64_t most_rows, const char *spec_text, struct error *err)
{
    *out = NULL;
    struct sheet *s = mem_zalloc(1, sizeof *s, err);
    if (!s)
        return -1;
    s->png = text_ends(path, ".png");
    s->n_columns = n_columns;
    s->most_rows = most_rows;
    if (!(s->path = mem_strdup(path, err)) || text_puts(&s->html, head, err) || text_puts(&s->html, "<p>Specification: <code>", err) ||
        put_escaped(&s->html, spec_text, err) || text_puts(&s->html, "</code>\n<table>\n", err)) {
        sheet_close(s);
        return -1;
    }
    *out = s;
    return 0;
}

/* The first of each label, then a few more: manifests are sorted by label, and a sheet of one class says little. */
bool sheet_wants(const struct sheet *s, const char *label)
{
    const struct label_count *c = find(s, label);
    int64_t share = s->most_rows / 4 > 0 ? s->most_rows / 4 : 1;
    return s->n_rows < s->most_rows && (!c || c->n < share);
}

void sheet_promise(struct sheet *s, const char *label)
{
    struct error ignored = {0};
    struct label_count *c = find(s, label);
    s->n_rows++;
    if (!c) {
        if (mem_grow(&s->labels, &s->labels_capacity, s->n_labels + 1, sizeof *s->labels, &ignored))
            return;
        c = &s->labels[s->n_labels];
        *c = (struct label_count){mem_strdup(label, &ignored), 0};
        if (!c->label)
            return;
        s->n_labels++;
    }
    c->n++;
}

static int draw(struct sheet *s, int column, const uint8_t *jpeg, size_t n_jpeg, struct error *err)
{
    struct decode_options options = DECODE_DEFAULTS;
    struct image thumb = IMAGE_EMPTY;
    struct image_info info;
    struct image_failure failure;
    if (column == 0) {
        struct image larger = IMAGE_EMPTY;
        if (image_reserve(&larger, s->n_columns * CELL, (int)(s->canvas_rows + 1) * CELL, 3, err))
            return -1;
        memset(larger.pixels, 255, image_bytes(&larger));
        if (s->canvas.pixels)
            memcpy(larger.pixels, s->canvas.pixels, image_bytes(&s->canvas));
        image_release(&s->canvas);
        s->canvas = larger;
        s->canvas_rows++;
    }
    options.max_pixels = SHEET_THUMB_PX * SHEET_THUMB_PX;
    if (image_decode(jpeg, n_jpeg, &options, &thumb, &info, &failure) == IMAGE_OK && thumb.width <= SHEET_THUMB_PX &&
        thumb.height <= SHEET_THUMB_PX)
        for (int y = 0; y < thumb.height; y++)
            memcpy(s->canvas.pixels + ((((size_t)s->canvas_rows - 1) * CELL + (size_t)y) * (size_t)s->canvas.width + (size_t)column * CELL) * 3,
                   thumb.pixels + (size_t)y * (size_t)thumb.width * 3, (size_t)thumb.width * 3);
    image_release(&thumb);
    return 0;
}

int sheet_add(struct sheet *s, const char *path, const char *label, int column, const uint8_t *jpeg, size_t n_jpeg,
              const char *caption, struct error *err)
{
    struct text *t = &s->html;
    if (s->png)
        return draw(s, column, jpeg, n_jpeg, err);
    if (column == 0 && (text_puts(t, "<tr><th>", err) || put_escaped(t, label, err) || text_puts(t, "<br><small>", err) ||
                        put_escaped(t, path, err) || text_puts(t, "</small></th>", err)))
        return -1;
    if (text_puts(t, "<td><img alt=\"", err) || put_escaped(t, column ? caption : "the picture itself", err) ||
        text_puts(t, "\" src=\"data:image/jpeg;base64,", err) || put_base64(t, jpeg, n_jpeg, err) || text_puts(t, "\"><p>", err) ||
        (column && put_parameters(t, caption, err)))
        return -1;
    return text_puts(t, column + 1 == s->n_columns ? "</p></td></tr>\n" : "</p></td>\n", err);
}

int sheet_commit(struct sheet *s, struct error *err)
{
    uint8_t *png = NULL;
    size_t n;
    if (io_mkdirs_for(s->path, err))
        return -1;
    if (!s->png)
        return text_puts(&s->html, tail, err) || atomic_file_write(s->path, s->html.data, s->html.n_bytes, err) ? -1 : 0;
    if (!s->canvas.pixels) {            /* nothing to show is one white cell */
        if (image_reserve(&s->canvas, CELL, CELL, 3, err))
            return -1;
        memset(s->canvas.pixels, 255, image_bytes(&s->canvas));
    }
    int rc = image_encode_png(&s->canvas, &png, &n, err) || atomic_file_write(s->path, png, n, err) ? -1 : 0;
    free(png);
    return rc;
}

void sheet_close(struct sheet *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n_labels; i++)
        free(s->labels[i].label);
    free(s->labels);
    text_release(&s->html);
    image_release(&s->canvas);
    free(s->path);
    free(s);
}
