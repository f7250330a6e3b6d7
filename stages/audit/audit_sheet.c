/* audit_sheet.c: the page of audit --sheet. */
#include <stdlib.h>
#include <string.h>

#include "audit_findings.h"
#include "base/number.h"
#include "io/io.h"
#include "page/page.h"

#define MOST_PICTURES 500 /* of a check: what a person can look at, and a browser hold */

static const char *const says[N_ALL_CHECKS] = {
    [CHECK_DARK] = "Hardly any pixel is bright.",
    [CHECK_LIGHT] = "Hardly any pixel is dark.",
    [CHECK_BLURRY] = "There are no sharp edges, even in a small copy.",
    [CHECK_LOW_INFORMATION] = "There is little but a flat colour.",
    [CHECK_ODD_SIZE] = "The size is far from that of the other pictures.",
    [CHECK_ODD_ASPECT_RATIO] = "The picture is very long or very tall.",
    [CHECK_GRAYSCALE] = "The file has no colours.",
    [CHECK_NEAR_EMPTY] = "The class has far fewer rows than the others.",
    [CHECK_OVER_FULL] = "The class has far more rows than the others.",
    [CHECK_PREDICTS] = "This fact alone predicts the label: a network can learn it instead of the picture.",
};

const char *audit_check_name(int check)
{
    static const char *const names[] = {"near_empty_class", "over_full_class", "predicts_label"};
    return check < N_CHECKS ? picture_check_names[check] : names[check - N_CHECKS];
}

static const char style[] =
    ":root{color-scheme:light dark}\n"
    "body{font:14px sans-serif;margin:1em}h2{margin:1.5em 0 .3em}p{margin:.3em 0;max-width:60em}\n"
    "section{display:flex;flex-wrap:wrap;gap:8px;padding:8px 0}\n"
    "figure{margin:0;width:170px;overflow-wrap:anywhere}\n"
    "figure div{width:170px;height:170px;overflow:hidden;background:#8883}\n"
    "img{width:170px;height:170px;object-fit:contain;filter:blur(14px) grayscale(1)}\n"
    "#show:checked~main img,figure:focus img{filter:none}\n";

static int put_head(struct text *t, struct error *err)
{
    return text_puts(t,
                     "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Audit</title>\n"
                     "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                     "img-src 'self' file:; style-src ",
                     err) ||
                   page_csp_hash(t, style, sizeof style - 1, err) ||
                   text_printf(
                       t, err,
                       "\">\n<meta name=\"referrer\" content=\"no-referrer\">"
                       "<meta name=\"viewport\" content=\"width=device-width\">\n"
                       "<style>%s</style></head><body>\n<h1>Audit</h1>\n"
                       "<input type=\"checkbox\" id=\"show\" accesskey=\"s\"><label for=\"show\"> show "
                       "pictures unblurred (or click one, or step through them with Tab)</label>\n"
                       "<main>\n",
                       style)
               ? -1
               : 0;
}

static int put_finding(struct text *t, const struct text *base, const struct finding *f, struct error *err)
{
    char score[32];
    snprintf(score, sizeof score, "%.3f", f->score);
    if (!*f->path)
        return text_puts(t, "<p><b>", err) || page_escape(t, f->label, err) || text_puts(t, "</b> ", err) ||
                       page_escape(t, f->measure, err) || text_puts(t, "</p>\n", err)
                   ? -1
                   : 0;
    return text_puts(t, "<figure tabindex=\"0\"><div><img loading=\"lazy\" alt=\"\" src=\"", err) ||
                   (f->path[0] != '/' && base->data && page_url(t, base->data, err)) ||
                   page_url(t, f->path, err) ||
                   text_printf(t, err, "\"></div><figcaption><b>%s</b> ", score) ||
                   page_escape(t, f->label, err) || text_puts(t, "<br>", err) ||
                   page_escape(t, f->measure, err) || text_puts(t, "<br><small>", err) ||
                   page_escape(t, f->path, err) || text_puts(t, "</small></figcaption></figure>\n", err)
               ? -1
               : 0;
}

static int put_check(struct text *t, const struct text *base, const struct finding *f, size_t n,
                     struct error *err)
{
    int check = f->check;
    size_t shown = n < MOST_PICTURES ? n : MOST_PICTURES;
    int rc = text_printf(t, err, "<h2>%s: %zu</h2>\n<p>%s</p>\n", audit_check_name(check), n, says[check]);
    if (rc == 0 && shown < n) rc = text_printf(t, err, "<p>Shown are the first %zu.</p>\n", shown);
    if (rc == 0 && check < N_CHECKS) rc = text_puts(t, "<section>\n", err);
    for (size_t i = 0; rc == 0 && i < shown; i++)
        rc = put_finding(t, base, &f[i], err);
    if (rc == 0 && check < N_CHECKS) rc = text_puts(t, "</section>\n", err);
    return rc;
}

int audit_sheet_write(const char *path, const char *root, const struct finding *findings, size_t n,
                      struct error *err)
{
    struct atomic_file file = ATOMIC_FILE_EMPTY;
    struct text page = TEXT_EMPTY, base = TEXT_EMPTY;
    size_t start[N_ALL_CHECKS + 1] = {0};
    int rc = page_way_to_root(&base, path, root, err) || put_head(&page, err) ? -1 : 0;
    for (size_t i = 0; i < n; i++)
        start[findings[i].check + 1]++;
    for (int c = 0; c < N_ALL_CHECKS; c++)
        start[c + 1] += start[c];
    for (int k = 0; rc == 0 && k < N_ALL_CHECKS; k++) {
        int c = (k + N_CHECKS) % N_ALL_CHECKS; /* what concerns the whole set comes first */
        if (start[c + 1] > start[c])
            rc = put_check(&page, &base, findings + start[c], start[c + 1] - start[c], err);
    }
    if (rc == 0 && n == 0) rc = text_puts(&page, "<p>Nothing was found.</p>\n", err);
    if (rc == 0)
        rc = text_puts(&page, "</main></body></html>\n", err) || atomic_file_open(&file, path, err) ? -1 : 0;
    if (rc == 0) {
        fwrite(page.data, 1, page.n_bytes, file.stream); /* the commit checks the stream */
        rc = atomic_file_commit(&file, err);
    }
    atomic_file_discard(&file);
    text_release(&page);
    text_release(&base);
    return rc;
}
