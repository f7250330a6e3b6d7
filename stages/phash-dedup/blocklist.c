/*
 * blocklist.c: --blocklist, a list of pictures that must not be in the set. It is the list that fetch reads
 * (store/hash_list.h) with PDQ hashes in addition: "pdq:" and 64 digits, or 64 digits alone (so that a
 * SHA-256 needs its "sha256:" here). A PDQ hash matches within --block-distance, with --dihedral in all
 * eight orientations. A picture with too little detail never matches, because the bits of its hash are
 * noise. A row that could not be decoded still matches by its bytes, and --protect does not protect it.
 */
#include "phash_dedup.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "image/limits.h"
#include "store/hash_list.h"

/* digest: the digits of the hash that matched the bytes; NULL when PDQ matched. */
static int block(struct phash_dedup *s, uint32_t row, uint32_t distance, enum hash_kind kind,
                 const char *digest, struct error *err)
{
    char hex[PDQ_HEX_BYTES];
    if (!digest) pdq_to_hex(hex, &s->pdqs[row]);
    return dedup_block_row(&s->d, row, distance, digest ? hash_kind_name(kind) : "pdq", digest ? digest : hex,
                           err);
}

static int block_by_name(struct phash_dedup *s, struct hash_list *list, struct error *err)
{
    char hex[XXH128_HEX_BYTES];
    for (uint32_t i = 0; i < s->d.n_rows && list->n[HASH_XXH128]; i++) {
        if (!(s->d.rows[i].flags & ROW_NAMED) || !hash_list_has(list, HASH_XXH128, s->d.rows[i].id.bytes))
            continue;
        xxh128_hex(hex, &s->d.rows[i].id);
        if (block(s, i, 0, HASH_XXH128, hex, err)) return -1;
    }
    return 0;
}

/* Matches by MD5, SHA-1 and SHA-256, for which the bytes of the files have to be read. */
static int block_by_bytes(struct phash_dedup *s, struct manifest_source *in, struct hash_list *list,
                          struct error *err)
{
    struct manifest_reader r;
    struct text path = TEXT_EMPTY;
    struct error ignored;
    enum hash_kind kind;
    char digest[65];
    int got, rc = -1;
    if (list->n[HASH_MD5] + list->n[HASH_SHA1] + list->n[HASH_SHA256] == 0) return 0;
    if (manifest_source_read(in, &r, NULL, err)) return -1;
    int column = manifest_column(&r.schema, "path");
    for (uint32_t row = (uint32_t)s->d.n_against;
         (got = manifest_reader_next(&r, err)) > 0 && row < s->d.n_rows; row++) {
        char *bytes;
        size_t n_bytes;
        struct xxh128 id;
        text_clear(&path);
        if (path_join(&path, s->opt->dedup.common.root, manifest_field(&r, column),
                      s->opt->dedup.common.allow_outside, &ignored) ||
            io_read_file(path.data, IMAGE_MAX_FILE_BYTES, &bytes, &n_bytes, &ignored))
            continue; /* what cannot be read has its own reason */
        xxh128_of(&id, bytes, n_bytes);
        bool hit = hash_list_matches(list, bytes, n_bytes, &id, &kind, digest);
        free(bytes);
        if (hit && block(s, row, 0, kind, digest, err)) goto out;
    }
    rc = got < 0 ? -1 : manifest_source_check(in, err);
out:
    text_release(&path);
    manifest_reader_close(&r);
    return rc;
}

/* In how many orientations a row's hash is compared with the list; 0 when it is not compared. */
static size_t n_looks(const struct phash_dedup *s, uint32_t row)
{
    if (!phash_comparable(s, row)) return 0;
    return s->opt->dihedral && (s->d.rows[row].flags & ROW_TURNED) ? PDQ_DIHEDRALS : 1;
}

static int block_by_likeness(struct phash_dedup *s, const struct hash_list *list, struct error *err)
{
    struct near_pairs found = NEAR_PAIRS_EMPTY;
    struct pdq_hash *hashes = NULL;
    uint32_t *row_of = NULL;
    size_t n_listed = list->n_pdq, n = 0, bytes;
    char hex[PDQ_HEX_BYTES];
    int rc = -1;
    if (n_listed == 0) return 0;
    for (uint32_t i = 0; i < s->d.n_rows; i++)
        n += n_looks(s, i);
    if (!size_mul(n_listed + n, sizeof *hashes, &bytes) || !(hashes = mem_alloc(bytes, err)) ||
        !(row_of = mem_alloc((n + 1) * sizeof *row_of, err)))
        goto out;
    for (size_t i = 0; i < n_listed; i++) {
        hex_encode(hex, list->pdq[i], sizeof *list->pdq);
        pdq_from_hex(&hashes[i], hex);
    }
    n = 0;
    for (uint32_t i = 0; i < s->d.n_rows; i++)
        for (size_t t = 0, looks = n_looks(s, i); t < looks; t++) {
            hashes[n_listed + n] = t ? s->turned[i][t - 1] : s->pdqs[i];
            row_of[n++] = i;
        }
    if (near_join(hashes, n_listed + n, n_listed, NEAR_FIRST_REST, (int)s->opt->dedup.block_distance,
                  NEAR_EXACT, stage_threads(&s->opt->dedup.common), NULL, &found, err))
        goto out;
    for (size_t i = 0; i < found.n; i++)
        if (block(s, row_of[found.pairs[i].b - n_listed], found.pairs[i].distance, HASH_KINDS, NULL, err))
            goto out;
    rc = 0;
out:
    near_pairs_release(&found);
    free(row_of);
    free(hashes);
    return rc;
}

int phash_block(struct phash_dedup *s, struct manifest_source *in, struct error *err)
{
    struct hash_list list = HASH_LIST_EMPTY;
    struct rlimit none = {0, 0};
    int rc = -1;
    /* A listed picture may be in memory for a moment: no core file may write it to the disk. */
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0);
    list.bare_is_pdq = true;
    if (hash_list_add_file(&list, s->opt->dedup.blocklist, err) || block_by_name(s, &list, err) ||
        block_by_bytes(s, in, &list, err) || block_by_likeness(s, &list, err))
        goto out;
    dedup_sort_blocked(&s->d);
    rc = 0;
out:
    hash_list_release(&list);
    return rc;
}
