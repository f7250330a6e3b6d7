/* needs: http store */
/*
 * Header lines, picture signatures and ends, and block lists: three small parsers of what servers and
 * strangers send.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http/http_header.h"
#include "store/hash_list.h"
#include "store/picture_kind.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_headers h;
    struct hash_list list = HASH_LIST_EMPTY;
    struct error err = {0};
    http_headers_start(&h);
    for (size_t at = 0; at < size;) {
        const uint8_t *lf = memchr(data + at, '\n', size - at);
        size_t n = lf ? (size_t)(lf - data) - at + 1 : size - at;
        http_headers_line(&h, (const char *)data + at, n, 1000000000, "winnow");
        at += n;
    }
    if (strlen(h.etag) >= sizeof h.etag || strlen(h.content_type) >= sizeof h.content_type || h.status < 0 ||
        h.status > 999 || (h.range_first >= 0 && h.range_last < h.range_first) || h.retry_after_s < -1)
        abort();
    const char *validator = http_headers_strong_validator(&h);
    if (*validator && !http_headers_same_version(&h, validator)) abort();
    enum picture_kind k = picture_kind_of(data, size);
    for (int i = PICTURE_JPEG; i <= PICTURE_GIF; i++)
        (void)picture_kind_complete((enum picture_kind)i, data, size);
    if (!picture_kind_name(k)) abort();
    (void)hash_list_add_bytes(&list, (const char *)data, size, "list", &err);
    hash_list_release(&list);
    return 0;
}
