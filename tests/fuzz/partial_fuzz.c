/* needs: store */
/*
 * Parts of pictures: whatever follows the first line is taken as if a winnow had written it, its hash put
 * right. What is read agrees with itself, and made again from its pieces it is the same file.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/partial_store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct partial p, again;
    struct error err = {0};
    struct xxh128 hash;
    char hex[XXH128_HEX_BYTES];
    char *image = malloc(size + 64);
    if (!image) abort();
    xxh128_of(&hash, data, size);
    xxh128_hex(hex, &hash);
    int n_first = sprintf(image, "winnow-partial 1 %s\n", hex);
    if (size) memcpy(image + n_first, data, size);
    image[n_first + size] = 0;
    if (partial_parse(&p, image, n_first + size)) return 0;
    if (p.n_body == 0 || p.body + p.n_body != (const uint8_t *)p.image + p.n_image || !*p.url ||
        !*p.validator || (p.total_bytes && p.total_bytes <= p.n_body))
        abort();
    if (partial_make(&again, p.url, p.validator, p.total_bytes, p.body, p.n_body, &err)) abort();
    if (strcmp(again.url, p.url) != 0 || strcmp(again.validator, p.validator) != 0 ||
        again.n_body != p.n_body || again.total_bytes != p.total_bytes ||
        memcmp(again.body, p.body, p.n_body) != 0)
        abort();
    partial_release(&again);
    partial_release(&p);
    return 0;
}
