/*
 * Reports from users of the demo page: files that strangers mail. The input is several of them, parted by the
 * byte 1. A bad one leaves nothing behind, no field holds a control character, and what was taken is matched
 * and written.
 */
/* needs: stage/collect-reports */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stages/collect-reports/collect_reports.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char manifest[64];

static void make_manifest(void)
{
    static const char rows[] = "xxh128\tlabel\tpdq\tpred\n"
                               "0123456789abcdef0123456789abcdef\tcat\tf8f8f0cee0f4a84f06370a22038f63f0b36e2e"
                               "d596621e1d33e6b39c4e9c9b22\tdog\n"
                               "00000000000000000000000000000001\tdog\t\tcat\n";
    FILE *f = tmpfile(); /* stays open until the end */
    if (!f || fwrite(rows, 1, sizeof rows - 1, f) != sizeof rows - 1 || fflush(f)) abort();
    snprintf(manifest, sizeof manifest, "/proc/self/fd/%d", fileno(f));
}

static void check_text(const char *s)
{
    if (!text_is_utf8(s, strlen(s))) abort();
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reports r = REPORTS_EMPTY;
    struct error err = {0};
    size_t n_files = 0;
    if (!manifest[0]) make_manifest();
    for (size_t at = 0; at <= size;) {
        const uint8_t *end = memchr(data + at, 1, size - at);
        size_t n = (end ? (size_t)(end - data) : size) - at, before = r.n;
        struct error why = {0};
        int rc = reports_add_memory(&r, (const char *)data + at, n, "report", &why, &err);
        if (rc < 0 || (rc > 0 && (r.n != before || !why.text[0])) || (rc == 0 && r.n == 0)) abort();
        n_files++;
        at += n + 1;
    }
    if (r.n_files + r.n_bad != n_files) abort();
    for (size_t i = 0; i < r.n; i++) {
        const struct report *x = &r.items[i];
        const char *fields[] =
            {x->id, x->pdq, x->quality, x->model, x->pred, x->claimed, x->slices.data ? x->slices.data : ""};
        for (size_t k = 0; k < sizeof fields / sizeof *fields; k++)
            check_text(fields[k]);
        if (x->n == 0 || x->n > r.n_files || (!x->id[0] && !x->pdq[0])) abort();
    }
    if (r.n && (reports_match(&r, manifest, 31, &err) || reports_predict(&r, manifest, &err) ||
                reports_write(&r, "/dev/null", &err) || reports_write_slices(&r, "/dev/null", true, &err) ||
                reports_write_slices(&r, "/dev/null", false, &err)))
        abort();
    reports_release(&r);
    return 0;
}
