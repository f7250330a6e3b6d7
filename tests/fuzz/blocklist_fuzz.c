/*
 * Block lists of fetch and phash-dedup (where 64 bare digits are PDQ: an odd first byte). A list is
 * understood whole or refused with its line named; every hash in it is found again, and the bytes "abc" match
 * when, and only when, one of their digests is listed.
 */
/* needs: store */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "store/hash_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hash_list list = HASH_LIST_EMPTY;
    struct error err = {0};
    if (size < 1) return 0;
    list.bare_is_pdq = data[0] & 1;
    if (hash_list_add_bytes(&list, (const char *)data + 1, size - 1, "list", &err)) {
        if (err.code != EX_DATAERR || !strstr(err.text, " line ")) abort();
    } else {
        struct xxh128 xxh;
        enum hash_kind kind = HASH_KINDS;
        char hex[65];
        bool expected = false;
        xxh128_of(&xxh, "abc", 3);
        /* sorts, so that the walk below sees each once */
        (void)hash_list_has(&list, HASH_XXH128, xxh.bytes);
        for (int k = 0; k < HASH_KINDS; k++) {
            uint8_t own[32];
            hash_digest((enum hash_kind)k, "abc", 3, own);
            for (size_t i = 0, n = hash_kind_bytes((enum hash_kind)k); i < list.n[k]; i++) {
                uint8_t digest[32];
                memcpy(digest, list.digests[k] + i * n, n);
                expected |= memcmp(digest, own, n) == 0;
                if (!hash_list_has(&list, (enum hash_kind)k, digest)) abort();
            }
        }
        bool matched = hash_list_matches(&list, "abc", 3, &xxh, &kind, hex);
        if (matched != expected ||
            (matched && (kind >= HASH_KINDS || strlen(hex) != 2 * hash_kind_bytes(kind))))
            abort();
    }
    hash_list_release(&list);
    return 0;
}
