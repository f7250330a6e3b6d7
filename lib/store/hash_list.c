#include "store/hash_list.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/text.h"
#include "io/io.h"

/* This allows some fifty million lines of SHA-256. The file is read whole, so there must be a limit. */
#define LIST_MAX_BYTES (4ull << 30)

static const struct {
    const char *name;
    size_t bytes;
} kinds[HASH_KINDS] = {
    {"md5", 16},
    {"sha1", 20},
    {"sha256", 32},
    {"xxh128", 16},
};

const char *hash_kind_name(enum hash_kind k) { return kinds[k].name; }
size_t hash_kind_bytes(enum hash_kind k) { return kinds[k].bytes; }

int hash_list_add(struct hash_list *l, enum hash_kind k, const uint8_t *digest, struct error *err)
{
    if (mem_grow(&l->digests[k], &l->capacity[k], l->n[k] + 1, kinds[k].bytes, err)) return -1;
    memcpy(l->digests[k] + l->n[k]++ * kinds[k].bytes, digest, kinds[k].bytes);
    l->sorted = false;
    return 0;
}

static bool decode(uint8_t *out, size_t n, const char *hex, size_t n_hex)
{
    char copy[65];
    if (n_hex != 2 * n) return false;
    memcpy(copy, hex, n_hex);
    copy[n_hex] = 0;
    return hex_decode(out, n, copy) == 0;
}

static int add_pdq(struct hash_list *l, const uint8_t hash[32], struct error *err)
{
    if (mem_grow(&l->pdq, &l->pdq_capacity, l->n_pdq + 1, sizeof *l->pdq, err)) return -1;
    memcpy(l->pdq[l->n_pdq++], hash, sizeof *l->pdq);
    return 2;
}

int hash_list_add_text(struct hash_list *l, const char *s, size_t n, struct error *err)
{
    static const struct {
        const char *prefix;
        int kind;
    } prefixes[] = {
        {"md5:", HASH_MD5},        {"sha1:", HASH_SHA1},     {"sha-1:", HASH_SHA1},  {"sha256:", HASH_SHA256},
        {"sha-256:", HASH_SHA256}, {"xxh128:", HASH_XXH128}, {"xxh3:", HASH_XXH128}, {"pdq:", -1},
    };
    uint8_t digest[32];
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t n_prefix = strlen(prefixes[i].prefix);
        if (n < n_prefix || strncasecmp(s, prefixes[i].prefix, n_prefix) != 0) continue;
        int k = prefixes[i].kind;
        if (!decode(digest, k < 0 ? 32 : kinds[k].bytes, s + n_prefix, n - n_prefix)) return 0;
        if (k >= 0) return hash_list_add(l, (enum hash_kind)k, digest, err) ? -1 : 1;
        return add_pdq(l, digest, err);
    }
    if (n == 32 && decode(digest, 16, s, n))
        return hash_list_add(l, HASH_MD5, digest, err) || hash_list_add(l, HASH_XXH128, digest, err) ? -1 : 1;
    if (n == 40 && decode(digest, 20, s, n)) return hash_list_add(l, HASH_SHA1, digest, err) ? -1 : 1;
    if (n == 64 && decode(digest, 32, s, n))
        return l->bare_is_pdq ? add_pdq(l, digest, err) : hash_list_add(l, HASH_SHA256, digest, err) ? -1 : 1;
    return 0;
}

int hash_list_add_bytes(struct hash_list *l, const char *bytes, size_t n_bytes, const char *name,
                        struct error *err)
{
    const char *at = bytes, *end = bytes + n_bytes;
    unsigned long line = 0;
    if (n_bytes >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) at += 3;
    while (at < end) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        const char *from = at, *to = lf ? lf : end;
        at = lf ? lf + 1 : end;
        line++;
        while (from < to && (*from == ' ' || *from == '\t'))
            from++;
        const char *word = from;
        while (word < to && !strchr(" \t,;\r", *word))
            word++;
        if (word == from) {
            if (from < to && *from != '\r')
                return error_set(err, EX_DATAERR, "'%s' line %lu: not a hash", name, line);
            continue;
        }
        if (*from == '#') continue;
        if (word - from > 2 && *from == '"' && word[-1] == '"') from++, word--; /* a spreadsheet's quotes */
        int rc = hash_list_add_text(l, from, (size_t)(word - from), err);
        if (rc < 0) return -1;
        if (rc == 0)
            return error_set(err, EX_DATAERR,
                             "'%s' line %lu: not an MD5, SHA-1, SHA-256, XXH3-128 or pdq: hash", name, line);
    }
    return 0;
}

int hash_list_add_file(struct hash_list *l, const char *path, struct error *err)
{
    char *bytes;
    size_t n_bytes;
    if (io_read_text(path, LIST_MAX_BYTES, &bytes, &n_bytes, err)) return -1;
    int rc = hash_list_add_bytes(l, bytes, n_bytes, path, err);
    free(bytes);
    return rc;
}

size_t hash_list_size(const struct hash_list *l)
{
    size_t n = 0;
    for (int k = 0; k < HASH_KINDS; k++)
        n += l->n[k];
    return n;
}

static int compare16(const void *a, const void *b) { return memcmp(a, b, 16); }
static int compare20(const void *a, const void *b) { return memcmp(a, b, 20); }
static int compare32(const void *a, const void *b) { return memcmp(a, b, 32); }
static int (*const compare[HASH_KINDS])(const void *, const void *) = {compare16, compare20, compare32,
                                                                       compare16};

bool hash_list_has(struct hash_list *l, enum hash_kind k, const uint8_t *digest)
{
    if (!l->sorted) {
        for (int i = 0; i < HASH_KINDS; i++)
            if (l->n[i]) qsort(l->digests[i], l->n[i], kinds[i].bytes, compare[i]);
        l->sorted = true;
    }
    return l->n[k] && bsearch(digest, l->digests[k], l->n[k], kinds[k].bytes, compare[k]);
}

void hash_digest(enum hash_kind k, const void *bytes, size_t n, uint8_t digest[32])
{
    if (k == HASH_XXH128) {
        struct xxh128 h;
        xxh128_of(&h, bytes, n);
        memcpy(digest, h.bytes, sizeof h.bytes);
        return;
    }
    const EVP_MD *md = k == HASH_MD5 ? EVP_md5() : k == HASH_SHA1 ? EVP_sha1() : EVP_sha256();
    /* A machine in FIPS mode has no MD5, and a digest of zeros would silently match nothing. */
    if (EVP_Digest(bytes, n, digest, NULL, md, NULL) != 1) abort();
}

bool hash_list_matches(struct hash_list *l, const void *bytes, size_t n_bytes, const struct xxh128 *xxh,
                       enum hash_kind *kind, char digest_hex[65])
{
    uint8_t digest[32];
    for (int k = 0; k < HASH_KINDS; k++) {
        if (l->n[k] == 0) continue;
        if (k == HASH_XXH128)
            memcpy(digest, xxh->bytes, sizeof xxh->bytes);
        else
            hash_digest((enum hash_kind)k, bytes, n_bytes, digest);
        if (hash_list_has(l, (enum hash_kind)k, digest)) {
            *kind = (enum hash_kind)k;
            hex_encode(digest_hex, digest, kinds[k].bytes);
            return true;
        }
    }
    return false;
}

void hash_list_release(struct hash_list *l)
{
    for (int k = 0; k < HASH_KINDS; k++)
        free(l->digests[k]);
    free(l->pdq);
    *l = HASH_LIST_EMPTY;
}

int hash_list_add_named(struct hash_list *l, const char *kind, const char *hex, struct error *err)
{
    struct text word = TEXT_EMPTY;
    int rc = text_printf(&word, err, "%s:%s", kind, hex)
                 ? -1
                 : hash_list_add_text(l, word.data, word.n_bytes, err);
    text_release(&word);
    return rc;
}
