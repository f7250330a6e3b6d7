/*
 * dedup_sheet.c: writes one HTML file, without scripts, that shows the rejected and the grouped pictures:
 * first label conflicts, then near duplicates beside the picture that is kept, then groups. Pictures are
 * blurred and grey until the checkbox is ticked or the picture has the keyboard focus. File names come from
 * strangers: they are escaped, and the page's policy allows only local pictures and its own style.
 */
#include "dedup/near_dedup.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/union_find.h"
#include "page/page.h"

#define MOST_CLUSTERS 2000 /* no person can look at more, and no browser can show more */
#define MOST_IMAGES 60     /* of one cluster */

struct sheet {
    struct dedup *s;
    FILE *out;
    struct text base;
};

/* A cluster is shown below its head: the row that is kept, or the lowest row of a conflict or a group. */
struct entry {
    uint32_t head, row;
};

static void put_escaped(FILE *out, const char *s)
{
    for (; *s; s++)
        switch (*s) {
        case '&': fputs("&amp;", out); break;
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        case '"': fputs("&quot;", out); break;
        case '\'': fputs("&#39;", out); break;
        default: fputc((unsigned char)*s < ' ' ? ' ' : *s, out);
        }
}

static void put_url(FILE *out, const char *s)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
    for (; *s; s++)
        if (strchr(plain, *s))
            fputc(*s, out);
        else
            fprintf(out, "%%%02X", (unsigned char)*s);
}

static void put_bytes(FILE *out, uint64_t bytes)
{
    if (bytes >= 1000000)
        fprintf(out, "%.1f&nbsp;MB", (double)bytes / 1e6);
    else
        fprintf(out, "%llu&nbsp;kB", (unsigned long long)(bytes + 999) / 1000);
}

/* from: the row to which the distance is shown; DEDUP_NONE: no distance is shown. */
static void put_image(struct sheet *t, uint32_t row, const char *role, uint32_t from)
{
    const struct dedup_row *r = &t->s->rows[row];
    fputs("<figure tabindex=\"0\"><div><img loading=\"lazy\" alt=\"\" src=\"", t->out);
    if (dedup_path(t->s, row)[0] != '/') put_url(t->out, t->base.data ? t->base.data : "");
    put_url(t->out, dedup_path(t->s, row));
    fprintf(t->out, "\"></div><figcaption><b class=\"%s\">%s</b>", role, role);
    if (from != DEDUP_NONE) {
        fprintf(t->out, " %u %s from ", r->distance, t->s->unit);
        put_escaped(t->out,
                    t->s->rows[from].label != r->label ? t->s->labels.text[t->s->rows[from].label] : "it");
    }
    fputs("<br>", t->out);
    put_escaped(t->out, t->s->labels.text[r->label]);
    if (r->pixels) fprintf(t->out, " &middot; %.2f&nbsp;MP", r->pixels / 1e6);
    if (r->bytes) {
        fputs(" &middot; ", t->out);
        put_bytes(t->out, r->bytes);
    }
    fputs("<br><small>", t->out);
    put_escaped(t->out, dedup_path(t->s, row));
    fputs("</small></figcaption></figure>\n", t->out);
}

static int compare_entries(const void *a, const void *b, void *context)
{
    const struct dedup *s = context;
    const struct entry *x = a, *y = b;
    int c = x->head == y->head ? 0 : strcmp(dedup_path(s, x->head), dedup_path(s, y->head));
    if (c == 0) c = (x->head > y->head) - (x->head < y->head);
    if (c == 0) c = strcmp(dedup_path(s, x->row), dedup_path(s, y->row));
    return c ? c : (x->row > y->row) - (x->row < y->row);
}

enum section { SECTION_CONFLICTS, SECTION_DUPLICATES, SECTION_GROUPS };
static const struct {
    const char *title, *says;
} sections[] = {
    {"Label conflicts", "The same picture, or nearly, under different labels. All of them leave, for a "
                        "person to decide, unless one is marked as staying."},
    {"Near duplicates", "The first of each row stays; the others leave for it."},
    {"Groups", "Alike, but not the same. All stay; a split into training and test keeps each row together."},
};

static void put_clusters(struct sheet *t, struct entry *entries, size_t n, enum section section)
{
    const struct dedup_row *rows = t->s->rows;
    size_t n_clusters = 0;
    if (n) qsort_r(entries, n, sizeof *entries, compare_entries, t->s);
    for (size_t i = 0; i < n; i++)
        n_clusters += i == 0 || entries[i].head != entries[i - 1].head;
    fprintf(t->out, "<h2>%s: %zu</h2>\n<p>%s</p>\n", sections[section].title, n_clusters,
            sections[section].says);
    if (n_clusters > MOST_CLUSTERS) fprintf(t->out, "<p>Shown are the first %d.</p>\n", MOST_CLUSTERS);
    n_clusters = 0;
    for (size_t i = 0, end; i < n && n_clusters < MOST_CLUSTERS; i = end, n_clusters++) {
        for (end = i + 1; end < n && entries[end].head == entries[i].head; end++)
            ;
        fputs("<section>\n", t->out);
        if (section == SECTION_DUPLICATES) put_image(t, entries[i].head, "stays", DEDUP_NONE);
        for (size_t k = i; k < end && k < i + MOST_IMAGES; k++) {
            uint32_t row = entries[k].row;
            bool leaves = rows[row].flags & ROW_REJECTED;
            put_image(t, row,
                      !leaves                        ? "stays"
                      : section == SECTION_CONFLICTS ? "conflict"
                                                     : "leaves",
                      leaves ? rows[row].keeper : DEDUP_NONE);
        }
        if (end - i > MOST_IMAGES) fprintf(t->out, "<p>and %zu more</p>\n", end - i - MOST_IMAGES);
        fputs("</section>\n", t->out);
    }
}

static size_t group_size(const uint32_t *sizes, const struct dedup *s, uint32_t row)
{
    return s->rows[row].group == DEDUP_NONE ? 0 : sizes[s->rows[row].group];
}

int dedup_mark_sheet_paths(struct dedup *s, struct error *err)
{
    uint32_t *sizes = mem_zalloc(s->n_rows + 1, sizeof *sizes, err);
    if (!sizes) return -1;
    for (size_t i = 0; i < s->n_rows; i++)
        if (!(s->rows[i].flags & ROW_REJECTED)) sizes[s->rows[i].group]++;
    for (uint32_t i = 0; i < s->n_rows; i++)
        if (group_size(sizes, s, i) > 1) s->rows[i].flags |= ROW_PATH;
    free(sizes);
    return 0;
}

/* Collects the rows in conflict and those that they are in conflict with, each once. Rows that a chain of
 * conflicts connects are one cluster. */
static size_t conflicts(const struct dedup *s, uint32_t *parent, struct entry *entries)
{
    size_t n = 0;
    for (uint32_t i = 0; i < s->n_rows; i++)
        parent[i] = DEDUP_NONE;
    for (uint32_t i = 0; i < s->n_rows; i++) {
        const struct dedup_row *r = &s->rows[i];
        if (!(r->flags & ROW_REJECTED) || r->reason != REJECT_CONFLICT) continue;
        uint32_t two[2] = {i, r->keeper};
        for (int k = 0; k < 2; k++) {
            if (parent[two[k]] == DEDUP_NONE) parent[two[k]] = two[k];
            two[k] = union_find_root(parent, two[k]);
        }
        /* The heads must not depend on the order of the rows. */
        bool first = strcmp(dedup_path(s, two[0]), dedup_path(s, two[1])) < 0;
        parent[two[first]] = two[!first];
    }
    for (uint32_t i = 0; i < s->n_rows; i++) {
        if (parent[i] != DEDUP_NONE) entries[n++] = (struct entry){union_find_root(parent, i), i};
    }
    return n;
}

static const char head_of_page[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Near duplicates</title>\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src 'self' file:; "
    "style-src 'unsafe-inline'\">\n"
    "<meta name=\"referrer\" content=\"no-referrer\"><meta name=\"viewport\" "
    "content=\"width=device-width\">\n<style>\n"
    ":root{color-scheme:light dark;--line:#ccc;--back:#eee;--stays:#060;--leaves:#a00;--conflict:#a50}\n"
    "@media(prefers-color-scheme:dark){:root{--line:#444;--back:#222;--stays:#7c7;--leaves:#f88;--conflict:#"
    "fb6}}\n"
    "body{font:14px sans-serif;margin:1em}h2{margin:1.5em 0 .3em}p{margin:.3em 0;max-width:60em}\n"
    "section{display:flex;flex-wrap:wrap;gap:8px;border-top:1px solid var(--line);padding:8px 0}\n"
    "figure{margin:0;width:170px;overflow-wrap:anywhere}figure "
    "div{width:170px;height:170px;overflow:hidden;background:var(--back)}\n"
    "img{width:170px;height:170px;object-fit:contain;filter:blur(14px) "
    "grayscale(1)}figcaption{margin-top:3px}\n"
    "#show:checked~main img,figure:focus img{filter:none}\n"
    "b.stays{color:var(--stays)}b.leaves{color:var(--leaves)}b.conflict{color:var(--conflict)}\n"
    "</style></head><body>\n<h1>Near duplicates</h1>\n"
    "<input type=\"checkbox\" id=\"show\" accesskey=\"s\"><label for=\"show\"> show pictures unblurred (or "
    "click one, or step "
    "through them with Tab)</label>\n<main>\n";

int dedup_write_sheet(struct dedup *s, const char *path, struct error *err)
{
    struct atomic_file file = ATOMIC_FILE_EMPTY;
    struct sheet t = {.s = s};
    struct entry *entries = NULL;
    uint32_t *sizes = NULL, *heads = NULL;
    size_t n = 0;
    int rc = -1;
    if (page_way_to_root(&t.base, path, s->opt->common.root, err) || atomic_file_open(&file, path, err) ||
        !(entries = mem_alloc((s->n_rows + 1) * sizeof *entries, err)) ||
        !(sizes = mem_zalloc(s->n_rows + 1, sizeof *sizes, err)) ||
        !(heads = mem_alloc((s->n_rows + 1) * sizeof *heads, err)))
        goto out;
    t.out = file.stream;
    fputs(head_of_page, t.out);
    put_clusters(&t, entries, conflicts(s, heads, entries), SECTION_CONFLICTS);
    n = 0;
    for (uint32_t i = 0; i < s->n_rows; i++)
        if ((s->rows[i].flags & ROW_REJECTED) && s->rows[i].reason == REJECT_NEAR_DUPLICATE)
            entries[n++] = (struct entry){s->rows[i].keeper, i};
    put_clusters(&t, entries, n, SECTION_DUPLICATES);
    n = 0;
    for (uint32_t i = 0; i < s->n_rows; i++)
        if (!(s->rows[i].flags & ROW_REJECTED)) sizes[s->rows[i].group]++;
    /* A group is shown below its first path, so that the sheet does not depend on the order of the rows. */
    memset(heads, 0xff, s->n_rows * sizeof *heads);
    for (uint32_t i = 0; i < s->n_rows; i++) {
        uint32_t g = s->rows[i].group;
        if (!(s->rows[i].flags & ROW_REJECTED) && sizes[g] > 1 &&
            (heads[g] == DEDUP_NONE || strcmp(dedup_path(s, i), dedup_path(s, heads[g])) < 0))
            heads[g] = i;
    }
    for (uint32_t i = 0; i < s->n_rows; i++)
        if (!(s->rows[i].flags & ROW_REJECTED) && sizes[s->rows[i].group] > 1)
            entries[n++] = (struct entry){heads[s->rows[i].group], i};
    put_clusters(&t, entries, n, SECTION_GROUPS);
    fputs("</main></body></html>\n", t.out);
    rc = atomic_file_commit(&file, err);
out:
    atomic_file_discard(&file);
    text_release(&t.base);
    free(entries);
    free(sizes);
    free(heads);
    return rc;
}
