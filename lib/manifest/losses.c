/* losses.c: commits the two files of a filter, and prints a line about a loss of rows
 * that was probably not intended. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/stage.h"
#include "manifest/manifest.h"

#define MOST_NAMED 3 /* classes and reasons in the line; the others are counted */

/* Writes "http-404 7, timeout 2": the most frequent words of c, with the number of their rows. */
static int put_reasons(struct text *t, const struct row_counts *c, struct error *err)
{
    bool named[MOST_NAMED * 64] = {false};
    size_t n = c->words.n < sizeof named ? c->words.n : sizeof named;
    for (size_t k = 0; k < n && k < MOST_NAMED; k++) {
        size_t best = n;
        for (size_t i = 0; i < n; i++)
            if (!named[i] && (best == n || c->rows[i] > c->rows[best])) best = i;
        named[best] = true;
        if (text_printf(t, err, "%s%s %llu", k ? ", " : "", c->words.text[best],
                        (unsigned long long)c->rows[best]))
            return -1;
    }
    return n > MOST_NAMED ? text_puts(t, ", ...", err) : 0;
}

/* Writes the classes of which no row was kept: ", every one of class 'cat'". */
static int put_lost_classes(struct text *t, const struct manifest_writer *out,
                            struct manifest_writer *rejects, size_t *n_lost, struct error *err)
{
    *n_lost = 0;
    for (size_t i = 0; i < rejects->labels.words.n; i++) {
        const char *label = rejects->labels.words.text[i];
        char shown[128];
        bool kept = !*label;
        for (size_t k = 0; !kept && k < out->labels.words.n; k++)
            kept = strcmp(out->labels.words.text[k], label) == 0;
        if (kept) continue;
        if (++*n_lost <= MOST_NAMED &&
            text_printf(t, err, "%s'%s'", *n_lost == 1 ? ", every one of class " : ", ",
                        text_for_people(shown, sizeof shown, label)))
            return -1;
    }
    return *n_lost > MOST_NAMED ? text_printf(t, err, " and %zu more", *n_lost - MOST_NAMED) : 0;
}

static void say_losses(const struct manifest_writer *out, struct manifest_writer *rejects, uint64_t n_kept)
{
    struct text classes = TEXT_EMPTY, reasons = TEXT_EMPTY;
    struct error ignored = {0};
    uint64_t n_rejected = rejects->n_rows, n = n_kept + n_rejected;
    size_t n_lost = 0;
    if (n_rejected && put_reasons(&reasons, &rejects->reasons, &ignored) == 0 &&
        (n_kept == 0 || !out || put_lost_classes(&classes, out, rejects, &n_lost, &ignored) == 0)) {
        const char *hint = rejects->off ? "; --rejects FILE lists them" : "";
        if (n == 1)
            stage_warn("the only row was rejected (%s)%s", rejects->reasons.words.text[0], hint);
        else if (n_kept == 0)
            stage_warn("all %llu rows were rejected (%s)%s", (unsigned long long)n, reasons.data, hint);
        else if (n_lost || 2 * n_rejected > n)
            stage_warn("%llu of %llu rows were rejected%s (%s)%s", (unsigned long long)n_rejected,
                       (unsigned long long)n, classes.data ? classes.data : "", reasons.data, hint);
    }
    text_release(&classes);
    text_release(&reasons);
}

int manifest_commit(struct manifest_writer *out, struct manifest_writer *rejects, uint64_t n_kept,
                    const struct common_options *common, struct error *err)
{
    if (manifest_writer_commit(rejects, err) || (out && manifest_writer_commit(out, err))) return -1;
    if (!common->quiet) say_losses(out, rejects, out ? out->n_rows : n_kept);
    return 0;
}
