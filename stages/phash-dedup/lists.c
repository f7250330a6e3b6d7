/*
 * lists.c: pictures that must never lose (--protect) and pictures that must not be there (--blocklist).
 */
#include "near.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "image/limits.h"
#include "store/hash_list.h"

#define LIST_MAX_BYTES (1ull << 30) /* 16 million hashes */

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* --protect: a manifest with path or xxh128; rows with either are marked. */
int near_read_protected(struct near *s, struct manifest_source *in, struct error *err)
{
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    uint64_t *keys = NULL;
    size_t n = 0, capacity = 0;
    int got, rc = -1;
    if (manifest_reader_open(&r, s->opt->protect, NULL, err))
        return -1;
    int path = manifest_column(&r.schema, "path"), hash = manifest_column(&r.schema, "xxh128");
    if (path < 0 && hash < 0) {
        error_set(err, EX_DATAERR, "'%s' has neither a column 'path' nor 'xxh128'", s->opt->protect);
        goto out;
    }
    while ((got = manifest_reader_next(&r, err)) > 0)
        for (int i = 0; i < 2; i++) {
            const char *text = manifest_field(&r, i ? hash : path);
            if (!*text)
                continue;
            if (mem_grow(&keys, &capacity, n + 1, sizeof *keys, err))
                goto out;
            keys[n++] = random_key(text, strlen(text)) ^ (uint64_t)i;
        }
    if (got < 0)
        goto out;
    if (n)
        qsort(keys, n, sizeof *keys, compare_u64);
    manifest_reader_close(&r);
    if (manifest_source_read(in, &r, NULL, err))
        goto out;
    path = manifest_column(&r.schema, "path");
    for (size_t row = s->n_against; (got = manifest_reader_next(&r, err)) > 0 && row < s->n_rows; row++) {
        char id[XXH128_HEX_BYTES];
        const char *text = manifest_field(&r, path);
        uint64_t by_path = random_key(text, strlen(text)), by_hash;
        xxh128_hex(id, &s->rows[row].id);
        by_hash = random_key(id, strlen(id)) ^ 1;
        if (n && (bsearch(&by_path, keys, n, sizeof *keys, compare_u64) ||
                  ((s->rows[row].flags & ROW_NAMED) && bsearch(&by_hash, keys, n, sizeof *keys, compare_u64))))
            s->rows[row].flags |= ROW_PROTECTED;
    }
    rc = got < 0 ? -1 : manifest_source_check(in, err);
out:
    manifest_reader_close(&r);
    free(keys);
    return rc;
}

static void block(struct near *s, uint32_t row, uint32_t distance)
{
    struct row *r = &s->rows[row];
    if (!(r->flags & ROW_LEAVES))
        s->n_blocked++;
    else if (r->reason != LEAVES_BLOCKED || r->distance <= distance)
        return;
    r->flags |= ROW_LEAVES;
    r->reason = LEAVES_BLOCKED;
    r->distance = (uint8_t)distance;
}

/* Lines of a block list: PDQ hashes into *hashes, all else into the list that fetch reads, too. */
static int read_list(const char *path, struct pdq_hash **hashes, size_t *n_hashes, size_t *capacity,
                     struct hash_list *list, struct error *err)
{
    char *text = NULL, word[PDQ_HEX_BYTES + 1];
    size_t n_bytes, line_number = 0;
    int rc = -1;
    if (io_read_file(path, LIST_MAX_BYTES, &text, &n_bytes, err))
        return -1;
    for (char *line = text; *line;) {
        size_t length = strcspn(line, "\n"), n;
        char *start = line;
        line += length + (line[length] == '\n');
        line_number++;
        while (*start == ' ' || *start == '\t')
            start++;
        length = strcspn(start, " \t\r\n,;#");
        if (length == 0)
            continue;
        char *digits = strncmp(start, "pdq:", 4) ? start : start + 4;
        n = strspn(digits, "0123456789abcdefABCDEF");
        snprintf(word, sizeof word, "%.*s", n < PDQ_HEX_BYTES ? (int)n : PDQ_HEX_BYTES, digits);
        struct pdq_hash h;
        if (digits + n == start + length && pdq_from_hex(&h, word) == 0) {
            if (mem_grow(hashes, capacity, *n_hashes + 1, sizeof **hashes, err))
                goto out;
            (*hashes)[(*n_hashes)++] = h;
            continue;
        }
        int added = hash_list_add_text(list, start, length, err);
        if (added == 0)
            error_set(err, EX_DATAERR, "'%s', line %zu: not a hash (PDQ, XXH3-128, MD5, SHA-1 or sha256:...)", path,
                      line_number);
        if (added <= 0)
            goto out;
    }
    rc = 0;
out:
    free(text);
    return rc;
}

/* MD5, SHA-1 and SHA-256 are of the file's bytes, which have to be read for it. */
static int block_by_bytes(struct near *s, struct manifest_source *in, struct hash_list *list, struct error *err)
{
    struct manifest_reader r;
    struct text path = TEXT_EMPTY;
    struct error ignored;
    enum hash_kind kind;
    char digest[65];
    int got;
    if (manifest_source_read(in, &r, NULL, err))
        return -1;
    int column = manifest_column(&r.schema, "path");
    for (uint32_t row = (uint32_t)s->n_against; (got = manifest_reader_next(&r, err)) > 0 && row < s->n_rows; row++) {
        char *bytes;
        size_t n_bytes;
        struct xxh128 id;
        if (path_join(&path, s->opt->common.root, manifest_field(&r, column), s->opt->common.allow_outside, &ignored) ||
            io_read_file(path.data, IMAGE_MAX_FILE_BYTES, &bytes, &n_bytes, &ignored))
            continue; /* what cannot be read has its own reason */
        xxh128_of(&id, bytes, n_bytes);
        if (hash_list_matches(list, bytes, n_bytes, &id, &kind, digest))
            block(s, row, 0);
        free(bytes);
    }
    text_release(&path);
    manifest_reader_close(&r);
    return got < 0 ? -1 : manifest_source_check(in, err);
}

/*
 * --blocklist: one hash a line, as fetch reads them, and PDQ: "pdq:" and 64 digits, or 64 digits alone (a SHA-256 needs
 * its "sha256:" here). PDQ matches within --block-distance, in all eight orientations with --dihedral, but no flat
 * picture. What is not understood is an error, because a list that is half read protects nobody.
 */
int near_block(struct near *s, struct manifest_source *in, struct error *err)
{
    size_t n_listed = 0, capacity = 0, n_hashes = 0, per_row;
    struct hash_list list = HASH_LIST_EMPTY;
    struct pdq_hash *hashes = NULL;
    uint32_t *row_of = NULL;
    struct near_pairs found = NEAR_PAIRS_EMPTY;
    int rc = -1;
    if (read_list(s->opt->blocklist, &hashes, &n_listed, &capacity, &list, err))
        goto out;
    for (uint32_t i = (uint32_t)s->n_against; i < s->n_rows && list.n[HASH_XXH128]; i++)
        if ((s->rows[i].flags & ROW_NAMED) && hash_list_has(&list, HASH_XXH128, s->rows[i].id.bytes))
            block(s, i, 0);
    if ((list.n[HASH_MD5] || list.n[HASH_SHA1] || list.n[HASH_SHA256]) && block_by_bytes(s, in, &list, err))
        goto out;

    per_row = s->opt->dihedral ? PDQ_DIHEDRALS : 1;
    for (size_t i = s->n_against; i < s->n_rows; i++)
        n_hashes += near_comparable(s, (uint32_t)i) ? per_row : 0;
    if (mem_grow(&hashes, &capacity, n_listed + n_hashes + 1, sizeof *hashes, err) ||
        !(row_of = mem_alloc((n_hashes + 1) * sizeof *row_of, err)))
        goto out;
    n_hashes = 0;
    for (uint32_t i = (uint32_t)s->n_against; i < s->n_rows; i++)
        for (size_t t = 0; t < per_row && near_comparable(s, i); t++) {
            hashes[n_listed + n_hashes] = t ? s->turned[i][t - 1] : s->rows[i].pdq;
            row_of[n_hashes++] = i;
        }
    if (n_listed && near_join(hashes, n_listed + n_hashes, n_listed, NEAR_FIRST_REST, (int)s->opt->block_distance,
                              NEAR_EXACT, stage_threads(&s->opt->common), NULL, &found, err))
        goto out;
    for (size_t i = 0; i < found.n; i++)
        block(s, row_of[found.pairs[i].b - n_listed], found.pairs[i].distance);
    rc = 0;
out:
    near_pairs_release(&found);
    free(row_of);
    free(hashes);
    hash_list_release(&list);
    return rc;
}
