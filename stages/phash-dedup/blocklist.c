/*
 * blocklist.c: --blocklist, a list of forbidden pictures. It is the list that fetch reads
 * (store/hash_list.h), with PDQ hashes in addition. A PDQ hash is "pdq:" and 64 digits, or 64 digits alone
 * (so a SHA-256 needs the prefix "sha256:" here). A PDQ hash matches within --block-distance; with --dihedral
 * all eight orientations are compared. Two hashes of a picture are compared with the list: winnow's, and that
 * of the tools that make such lists, which ignore the EXIF orientation and transparency. A picture with too
 * little detail never matches, because the bits of its hash are noise. A row that could not be decoded still
 * matches by its bytes, and --protect does not protect it.
 */
#include "phash_dedup.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "image/image_rows.h"
#include "image/limits.h"
#include "image/pdq_finish.h"
#include "store/hash_list.h"

/* Marks the row as blocked. digest: the digits of the hash that matched the bytes; NULL when PDQ matched. */
static int block(struct phash_dedup *s, uint32_t row, uint32_t distance, enum hash_kind kind,
                 const char *digest, struct error *err)
{
    char hex[PDQ_HEX_BYTES];
    if (!digest) pdq_to_hex(hex, &s->pdqs[row]);
    return dedup_block_row(&s->d, row, distance, digest ? hash_kind_name(kind) : "pdq", digest ? digest : hex,
                           err);
}

/* Matches by XXH3-128, which most rows have without reading their files. */
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
            continue; /* a file that cannot be read has another reject reason */
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

/* Returns in how many orientations a row's hash is compared with the list; 0 when it is not compared. */
static size_t n_looks(const struct phash_dedup *s, uint32_t row)
{
    if (!phash_comparable(s, row)) return 0;
    return s->opt->dihedral && (s->d.rows[row].flags & ROW_TURNED) ? PDQ_DIHEDRALS : 1;
}

/* The hashes to compare: first those of the list, then n hashes of pictures, each with its row. */
struct looks {
    struct pdq_hash *hashes;
    uint32_t *row_of;
    size_t n_listed, n, hash_room, row_room;
};

/* Starts with the hashes of the list. */
static int looks_begin(struct looks *k, const struct hash_list *list, struct error *err)
{
    char hex[PDQ_HEX_BYTES];
    *k = (struct looks){.n_listed = list->n_pdq};
    if (mem_grow(&k->hashes, &k->hash_room, list->n_pdq, sizeof *k->hashes, err)) return -1;
    for (size_t i = 0; i < list->n_pdq; i++) {
        hex_encode(hex, list->pdq[i], sizeof *list->pdq);
        pdq_from_hex(&k->hashes[i], hex);
    }
    return 0;
}

static int looks_add(struct looks *k, uint32_t row, const struct pdq_hash *hash, struct error *err)
{
    if (mem_grow(&k->hashes, &k->hash_room, k->n_listed + k->n + 1, sizeof *k->hashes, err) ||
        mem_grow(&k->row_of, &k->row_room, k->n + 1, sizeof *k->row_of, err))
        return -1;
    k->hashes[k->n_listed + k->n] = *hash;
    k->row_of[k->n++] = row;
    return 0;
}

/* Compares the hashes of pictures with the list, and blocks the rows that match. */
static int looks_block(struct looks *k, struct phash_dedup *s, struct error *err)
{
    struct near_pairs found = NEAR_PAIRS_EMPTY;
    int rc = near_join(k->hashes, k->n_listed + k->n, k->n_listed, NEAR_FIRST_REST,
                       (int)s->opt->dedup.block_distance, NEAR_EXACT, stage_threads(&s->opt->dedup.common),
                       NULL, &found, err);
    for (size_t i = 0; !rc && i < found.n; i++)
        rc = block(s, k->row_of[found.pairs[i].b - k->n_listed], found.pairs[i].distance, HASH_KINDS, NULL,
                   err);
    near_pairs_release(&found);
    return rc;
}

static void looks_release(struct looks *k)
{
    free(k->hashes);
    free(k->row_of);
}

/* Matches by PDQ the hashes that phash_rows.c found. */
static int block_by_likeness(struct phash_dedup *s, const struct hash_list *list, struct error *err)
{
    struct looks k;
    if (list->n_pdq == 0) return 0;
    int rc = looks_begin(&k, list, err);
    for (uint32_t i = 0; !rc && i < s->d.n_rows; i++)
        for (size_t t = 0, looks = n_looks(s, i); !rc && t < looks; t++)
            rc = looks_add(&k, i, t ? &s->turned[i][t - 1] : &s->pdqs[i], err);
    rc = rc || looks_block(&k, s, err) ? -1 : 0;
    looks_release(&k);
    return rc;
}

/* --- hashes as the reference tools compute them --- */

/*
 * The tools that make such lists neither apply the EXIF orientation nor blend transparent parts, so they
 * compute another hash of the same file (122 and 66 bits away in two examples). Pictures for which this makes
 * a difference are read a second time as those tools read them.
 */
struct other_reading {
    struct phash_dedup *s;
    struct looks *looks;
    int orientation, mode; /* columns, or -1 */
    uint32_t asked, taken; /* rows of the input */
};

/* Whether the picture of the row must be read again, because the tools may compute another hash of it. */
static bool differs(void *context, const char *const *fields)
{
    struct other_reading *o = context;
    const struct dedup_row *row = &o->s->d.rows[o->s->d.n_against + o->asked++];
    if (row->flags & ROW_LISTED || row->reason == REJECT_UNREADABLE) return false;
    /* Those tools use the first frame, and the samples as they are stored. */
    bool other_rules = o->s->opt->rules.frame > 1 || o->s->opt->rules.color;
    if (o->orientation < 0 || o->mode < 0 || other_rules) return true;
    const char *turned = fields[o->orientation], *mode = fields[o->mode];
    return (*turned && strcmp(turned, "1") != 0) || strstr(mode, "alpha") || strstr(mode, "palette");
}

/* Receives a picture that was read again, and adds its hash to those that are compared. */
static int take_other(void *context, const char *const *fields, const struct decoded *d, struct error *err)
{
    struct other_reading *o = context;
    uint32_t row = (uint32_t)o->s->d.n_against + o->taken++;
    struct pdq_found found;
    (void)fields;
    if (!d || !pdq_finish_take(d, &found) || found.quality < o->s->opt->min_quality) return 0;
    return looks_add(o->looks, row, &found.hashes[0], err);
}

/* Reads some pictures again as those tools read them, and matches these hashes by PDQ. */
static int block_by_other_reading(struct phash_dedup *s, struct manifest_source *in,
                                  const struct hash_list *list, struct error *err)
{
    const struct pdq_wanted one = {s->opt->family, 1, false};
    enum orientation_rule rule;
    struct decode_pool_options options = DECODE_POOL_DEFAULTS;
    struct looks k = {0};
    struct other_reading o = {.s = s, .looks = &k};
    struct image_rows rows = {.root = s->opt->dedup.common.root,
                              .allow_outside = s->opt->dedup.common.allow_outside,
                              .context = &o,
                              .wanted = differs,
                              .done = take_other};
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    struct decode_pool *pool = NULL;
    if (list->n_pdq == 0) return 0;
    pdq_finish_set(&options, &one);
    /* use the orientation rule that phash_rows.c did not use */
    if (orientation_rule_parse(s->opt->rules.orientation, &rule, err)) return -1;
    if (rule != ORIENT_NONE) options.decode.orientation = ORIENT_NONE;
    options.decode.drop_alpha = true;
    options.decode.allow_truncated = s->opt->allow_truncated;
    options.threads = stage_threads(&s->opt->dedup.common);
    int rc = looks_begin(&k, list, err) || decode_pool_open(&pool, &options, err) ||
                     manifest_source_read(in, &r, NULL, err)
                 ? -1
                 : 0;
    if (!rc) {
        o.orientation = manifest_column(&r.schema, "orientation");
        o.mode = manifest_column(&r.schema, "mode");
        rc = image_rows_run(&rows, &r, pool, err) || manifest_source_check(in, err) || looks_block(&k, s, err)
                 ? -1
                 : 0;
    }
    looks_release(&k);
    manifest_reader_close(&r);
    decode_pool_close(pool);
    return rc;
}

int phash_block(struct phash_dedup *s, struct manifest_source *in, struct error *err)
{
    struct hash_list list = HASH_LIST_EMPTY;
    struct rlimit none = {0, 0};
    int rc = -1;
    /* A listed picture may be in memory for a moment. Core files are disabled, because they could write it to
     * the disk. */
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0);
    list.bare_is_pdq = true;
    if (hash_list_add_file(&list, s->opt->dedup.blocklist, err) || block_by_name(s, &list, err) ||
        block_by_bytes(s, in, &list, err) || block_by_likeness(s, &list, err) ||
        block_by_other_reading(s, in, &list, err))
        goto out;
    dedup_sort_blocked(&s->d);
    rc = 0;
out:
    hash_list_release(&list);
    return rc;
}
