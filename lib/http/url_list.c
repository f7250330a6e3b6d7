#include "http/url_list.h"

#include <string.h>

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

void url_list_start(struct url_list_cursor *c, const char *bytes, size_t n)
{
    if (n >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) bytes += 3, n -= 3;
    *c = (struct url_list_cursor){bytes, bytes + n, 0};
}

bool url_list_next(struct url_list_cursor *c, const char **entry, size_t *n_bytes)
{
    while (c->at < c->end) {
        const char *from = c->at, *to = memchr(from, '\n', (size_t)(c->end - from));
        c->at = to ? to + 1 : c->end;
        if (!to) to = c->end;
        c->line++;
        while (from < to && is_blank(*from))
            from++;
        while (to > from && is_blank(to[-1]))
            to--;
        if (from == to || *from == '#') continue;
        const char *tab = memchr(from, '\t', (size_t)(to - from));
        if (tab) to = tab;
        if (to - from > 2 && *from == '"' && to[-1] == '"') from++, to--; /* a spreadsheet's quotes */
        *entry = from;
        *n_bytes = (size_t)(to - from);
        return true;
    }
    return false;
}

bool url_list_is_manifest(const char *bytes, size_t n)
{
    const char *lf = memchr(bytes, '\n', n);
    size_t end = lf ? (size_t)(lf - bytes) : n;
    for (size_t i = 0; i + 3 <= end; i++)
        if (memcmp(bytes + i, "://", 3) == 0) return false;
    return (end == 3 && memcmp(bytes, "url", 3) == 0) || memchr(bytes, '\t', end);
}
