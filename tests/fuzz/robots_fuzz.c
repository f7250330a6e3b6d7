/* needs: http */
/* robots.txt and the matching of paths: the first line of the input is the path, the rest the file. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http/robots.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct robots r;
    struct error err = {0};
    const uint8_t *lf = memchr(data, '\n', size);
    size_t n = lf ? (size_t)(lf - data) : size;
    char *path = malloc(n + 1);
    if (!path) abort();
    memcpy(path, data, n);
    path[n] = 0;
    const char *text = (const char *)(lf ? lf + 1 : data + size);
    if (robots_parse(&r, text, size - (size_t)(text - (const char *)data), "winnow", &err)) abort();
    bool allowed = robots_allows(&r, path);
    if (r.n_rules == 0 && !allowed) abort();
    char words[RIGHTS_TEXT_BYTES];
    uint32_t set = robots_rights(&r, path);
    if ((r.n_usages + r.n_signals == 0 && set) || rights_from_text(rights_text(words, set)) != set) abort();
    if (robots_is_empty(&r) && (set || !allowed)) abort();
    robots_release(&r);
    free(path);
    return 0;
}
