/*
 * validate --memory: a file from an earlier run, torn or edited. Nothing outside it is read; what is found
 * has its strings inside. The input's lines are also taken with the checksum that they lack, so that the rest
 * of a line is reached.
 */
/* needs: store */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "store/picture_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *bytes, size_t n, const char *question)
{
    struct picture_memory m = PICTURE_MEMORY_EMPTY;
    struct error err = {0};
    if (picture_memory_read(&m, bytes, n, question, &err)) {
        if (err.code != EX_DATAERR || !err.text[0]) abort();
    } else {
        for (size_t i = 0; i < m.n; i++) {
            const struct remembered *r = picture_memory_find(&m, &m.lines[i].content);
            if (r != &m.lines[i].what || strlen(r->outcome) + strlen(r->values) > n) abort();
        }
        if (m.n + m.n_other + m.n_bad > n) abort();
    }
    picture_memory_close(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text t = TEXT_EMPTY;
    struct error err = {0};
    const char *bytes = (const char *)data, *end = bytes + size;
    check(bytes, size, "q");
    const char *lf = memchr(bytes, '\n', size);
    if (!lf || text_add(&t, bytes, (size_t)(lf + 1 - bytes), &err)) {
        text_release(&t);
        return 0;
    }
    for (const char *at = lf + 1; at < end; at = lf + 1) {
        lf = memchr(at, '\n', (size_t)(end - at));
        if (!lf) lf = end;
        if (text_add(&t, at, (size_t)(lf - at), &err) ||
            text_printf(&t, &err, "\t%016llx\n", (unsigned long long)xxh64_of(at, (size_t)(lf - at))))
            abort();
    }
    check(t.data, t.n_bytes, "q");
    text_release(&t);
    return 0;
}
