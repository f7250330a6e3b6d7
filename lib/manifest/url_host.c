/* url_host.c: see url_host.h. */
#include "manifest/url_host.h"

#include <string.h>

const char *url_host(const char *url, size_t *n)
{
    const char *start = strstr(url, "://");
    start = start ? start + 3 : url;
    size_t length = strcspn(start, "/?#");
    for (const char *at = start; at < start + length; at++)
        if (*at == '@') {
            length -= (size_t)(at + 1 - start);
            start = at + 1;
        }
    if (length && start[0] == '[') {
        const char *end = memchr(start, ']', length);
        *n = end ? (size_t)(end + 1 - start) : length;
    } else {
        const char *colon = memchr(start, ':', length);
        *n = colon ? (size_t)(colon - start) : length;
    }
    return start;
}
