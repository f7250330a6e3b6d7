/* needs: http store */
/*
 * Header lines, cookies, compressed bodies, picture signatures and ends, and block lists: small parsers of
 * what servers and strangers send.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/image_kind.h"
#include "http/http_cookie.h"
#include "http/http_decode.h"
#include "http/http_header.h"
#include "store/hash_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_headers h;
    struct hash_list list = HASH_LIST_EMPTY;
    struct error err = {0};
    struct text jar = TEXT_EMPTY;
    uint8_t *plain;
    size_t n_plain, capacity;
    http_headers_start(&h);
    for (size_t at = 0; at < size;) {
        const uint8_t *lf = memchr(data + at, '\n', size - at);
        size_t n = lf ? (size_t)(lf - data) - at + 1 : size - at;
        http_headers_line(&h, (const char *)data + at, n, 1000000000, "winnow");
        if (http_cookie_add(&jar, (const char *)data + at, n, &err)) abort();
        at += n;
    }
    if (strlen(h.etag) >= sizeof h.etag || strlen(h.content_type) >= sizeof h.content_type || h.status < 0 ||
        h.status > 999 || (h.range_first >= 0 && h.range_last < h.range_first) || h.retry_after_s < -1)
        abort();
    if ((h.tag.set != 0) != (h.tag.directive[0] != 0) || ((h.tag.set | h.rights) >> RIGHTS_N_SIGNALS))
        abort();
    const char *validator = http_headers_strong_validator(&h);
    if (*validator && !http_headers_same_version(&h, validator)) abort();
    if (jar.n_bytes > HTTP_COOKIES_MAX_BYTES || (jar.data && strlen(jar.data) != jar.n_bytes)) abort();
    text_release(&jar);
    (void)http_can_decode("gzip", data, size);
    if (http_decode(data, size, 5000, &plain, &n_plain, &capacity, &err) == HTTP_DECODE_FAILED ||
        n_plain > 5000 || n_plain > capacity)
        abort();
    free(plain);
    enum image_kind k = image_kind_of(data, size);
    for (int i = IMAGE_JPEG; i <= IMAGE_JXL; i++)
        (void)image_kind_complete((enum image_kind)i, data, size);
    if (!image_kind_name(k)) abort();
    (void)hash_list_add_bytes(&list, (const char *)data, size, "list", &err);
    hash_list_release(&list);
    return 0;
}
