/* needs: store */
/* Journal lines: parsing never reads or writes outside the line; what parses is formatted to a line that
 * parses to the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "store/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(const char *a, const char *b) { return strcmp(a ? a : "", b ? b : "") == 0; }

static void check(const struct journal_record *r)
{
    struct journal_record out;
    struct text line = TEXT_EMPTY;
    struct error err = {0};
    struct xxh128 key;
    if (journal_format(&line, r, &err)) abort();
    /* Lines as long as the longest may not come back whole; the writer cuts fields. */
    if (strlen(r->url) < 4000 && line.n_bytes < 8000) {
        if (journal_parse(line.data, line.n_bytes - 1, &out) != 1 || !same(out.url, r->url) ||
            out.event != r->event || out.time != r->time || out.bytes != r->bytes ||
            out.status != r->status || out.due != r->due ||
            (strlen(r->rights) < 400 && !same(out.rights, r->rights)) ||
            memcmp(&out.hash, &r->hash, sizeof out.hash) != 0)
            abort();
    }
    journal_key(&key, r->url);
    text_release(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1);
    struct journal_record r;
    if (!copy) abort();
    memcpy(copy, data, size);
    copy[size] = '\n';
    for (size_t at = 0; at <= size;) {
        char *lf = memchr(copy + at, '\n', size + 1 - at);
        size_t n = (size_t)(lf - (copy + at));
        if (journal_parse(copy + at, n, &r) == 1) check(&r);
        at += n + 1;
    }
    free(copy);
    return 0;
}
