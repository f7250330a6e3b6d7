#include "metric/id_key.h"

#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "base/random.h"
#include "base/text.h"

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct id_key id_key_of(const char *id)
{
    struct id_key key = {{0}};
    size_t n = strlen(id);
    if (n == 32) {
        size_t i = 0;
        for (; i < 16; i++) {
            int high = hex_digit(id[2 * i]), low = hex_digit(id[2 * i + 1]);
            if (high < 0 || low < 0) break;
            key.bytes[i] = (uint8_t)(high << 4 | low);
        }
        if (i == 16) return key;
    }
    uint64_t value;
    if (n <= 18 && parse_digits(id, n, &value) && (n == 1 || id[0] != '0')) {
        memset(&key, 0, sizeof key);
        for (int i = 15; i >= 8; i--, value >>= 8)
            key.bytes[i] = (uint8_t)value;
        return key;
    }
    uint64_t a = random_key(id, n), b = a ^ random_mix(n + UINT64_C(0x9e3779b97f4a7c15));
    for (size_t i = 0; i < n; i++) /* a second, different hash: 128 bits in all */
        b = random_mix(b + (uint8_t)id[i]);
    memcpy(key.bytes, &a, 8);
    memcpy(key.bytes + 8, &b, 8);
    return key;
}

int id_key_compare(const struct id_key *a, const struct id_key *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

uint64_t id_key_hash(const struct id_key *key)
{
    uint64_t a, b;
    memcpy(&a, key->bytes, 8);
    memcpy(&b, key->bytes + 8, 8);
    return random_mix(a ^ b * UINT64_C(0x9e3779b97f4a7c15));
}

int id_column_find(const struct manifest_reader *r, bool may_be_path, struct error *err)
{
    char shown[256];
    int c = manifest_column(&r->schema, "id");
    if (c < 0) c = manifest_column(&r->schema, "xxh128");
    if (c < 0 && may_be_path) c = manifest_column(&r->schema, "path");
    if (c < 0)
        error_set(err, EX_DATAERR, "'%s' has no column 'id' (nor 'xxh128'%s)",
                  text_for_people(shown, sizeof shown, r->name), may_be_path ? " or 'path'" : "");
    return c;
}
