/* needs: http */
/* Plain lists and the canonical form of addresses: nothing read past the end, canonical is a fixed point,
 * parts lie inside, both spellings compare equal. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http/http_url.h"
#include "http/url_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct url_list_cursor c;
    const char *entry, *why;
    size_t n;
    struct text out = TEXT_EMPTY, again = TEXT_EMPTY, form = TEXT_EMPTY;
    struct http_url_parts parts;
    struct error err = {0};
    (void)url_list_is_manifest((const char *)data, size);
    url_list_start(&c, (const char *)data, size);
    while (url_list_next(&c, &entry, &n)) {
        if (n == 0 || *entry == '#') abort();
        if (http_url_canonical(entry, n, &out, &parts, &why, &err) != 1) continue;
        if (parts.host + parts.host_bytes > parts.path || parts.path >= out.n_bytes ||
            out.data[parts.path] != '/' || out.n_bytes > HTTP_URL_MAX_BYTES || strpbrk(out.data, "\t\n\r #"))
            abort();
        if (http_url_canonical(out.data, out.n_bytes, &again, &parts, &why, &err) != 1 ||
            strcmp(out.data, again.data) != 0)
            abort();
        (void)http_url_is_loopback(out.data, &parts);
        if (http_url_comparable(entry, n, &form, &err) != 1 ||
            http_url_comparable(out.data, out.n_bytes, &again, &err) != 1 ||
            strcmp(form.data, again.data) != 0)
            abort();
    }
    text_release(&out);
    text_release(&again);
    text_release(&form);
    return 0;
}
