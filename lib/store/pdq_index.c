#include "store/pdq_index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "manifest/manifest.h"

#define N_COLUMNS 7
static const char *const columns[N_COLUMNS + 1] = {"xxh128",      "pdq_family", "oriented", "pdq",
                                                   "pdq_quality", "pixels",     "turned",   NULL};
#define FORGOTTEN 2 /* entry.oriented of one that is not written again */

static int compare_entries(const void *a, const void *b)
{
    const struct pdq_index_entry *x = a, *y = b;
    int c = memcmp(&x->id, &y->id, sizeof x->id);
    if (c == 0) c = (x->family > y->family) - (x->family < y->family);
    return c ? c : x->oriented - y->oriented;
}

/* Sorts the entries and drops those that were forgotten. When a picture has two entries (because it was
 * hashed twice in a run, or again with the other orientations), the one with more hashes is kept. */
static void compact(struct pdq_index *x)
{
    size_t n = 0;
    if (x->n) qsort(x->entries, x->n, sizeof *x->entries, compare_entries);
    for (size_t i = 0; i < x->n; i++) {
        if (x->entries[i].oriented == FORGOTTEN) continue;
        if (n == 0 || compare_entries(&x->entries[n - 1], &x->entries[i]))
            x->entries[n++] = x->entries[i];
        else if (!x->entries[n - 1].turned)
            x->entries[n - 1] = x->entries[i];
    }
    x->n = x->n_read = n;
    x->n_forgotten = 0;
}

static int family_from_name(const char *name)
{
    for (int f = PDQ_FULL; f <= PDQ_FAST; f++)
        if (!strcmp(name, pdq_family_name((enum pdq_family)f))) return f;
    return -1;
}

/* Returns 1, 0 when there are not seven hashes, or -1 without memory. */
static int read_turned(struct pdq_index *x, struct pdq_index_entry *e, const char *text, struct error *err)
{
    char hex[PDQ_HEX_BYTES];
    struct pdq_hash *t;
    if (!*text) return 1;
    if (strlen(text) != PDQ_TURNED * PDQ_HEX_BYTES - 1) return 0;
    if (!(t = arena_alloc(&x->arena, PDQ_TURNED * sizeof *t, err))) return -1;
    for (int i = 0; i < PDQ_TURNED; i++, text += PDQ_HEX_BYTES) {
        memcpy(hex, text, PDQ_HEX_BYTES - 1);
        hex[PDQ_HEX_BYTES - 1] = 0;
        if (pdq_from_hex(&t[i], hex) || text[PDQ_HEX_BYTES - 1] != (i + 1 < PDQ_TURNED ? ',' : 0)) return 0;
    }
    e->turned = t;
    return 1;
}

/* Returns 1, 0 when it is not an entry, or -1 without memory. */
static int read_entry(struct pdq_index *x, struct pdq_index_entry *e, const char *const f[N_COLUMNS],
                      struct error *err)
{
    struct error ignored;
    uint64_t oriented, quality, pixels;
    int family = family_from_name(f[1]);
    if (family < 0 || xxh128_from_hex(&e->id, f[0]) || pdq_from_hex(&e->pdq, f[3]) ||
        parse_u64(f[2], 0, 1, &oriented, "", &ignored) || parse_u64(f[4], 0, 100, &quality, "", &ignored) ||
        parse_u64(f[5], 0, UINT32_MAX, &pixels, "", &ignored))
        return 0;
    e->family = (uint8_t)family;
    e->oriented = (uint8_t)oriented;
    e->quality = (uint8_t)quality;
    e->pixels = (uint32_t)pixels;
    return read_turned(x, e, f[6], err);
}

static int read_all(struct pdq_index *x, struct manifest_reader *r, struct error *err)
{
    int at[N_COLUMNS], got;
    const char *fields[N_COLUMNS];
    for (int i = 0; i < N_COLUMNS; i++)
        at[i] = manifest_column(&r->schema, columns[i]);
    while ((got = manifest_reader_next(r, err)) > 0) {
        struct pdq_index_entry e = {.turned = NULL};
        for (int i = 0; i < N_COLUMNS; i++)
            fields[i] = manifest_field(r, at[i]);
        int good = read_entry(x, &e, fields, err);
        if (good == 0)
            return error_set(err, EX_DATAERR,
                             "'%s', row %llu: not a row of an index (delete the file to rebuild it)", r->name,
                             (unsigned long long)r->row);
        if (good < 0 || mem_grow(&x->entries, &x->capacity, x->n + 1, sizeof *x->entries, err)) return -1;
        x->entries[x->n++] = e;
    }
    if (got < 0) return -1;
    compact(x);
    return 0;
}

int pdq_index_read(struct pdq_index *x, const char *path, struct error *err)
{
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    if (!io_exists(path)) return 0;
    int rc = manifest_reader_open(&r, path, columns, err) || read_all(x, &r, err) ? -1 : 0;
    manifest_reader_close(&r);
    return rc;
}

int pdq_index_read_memory(struct pdq_index *x, const char *bytes, size_t n_bytes, const char *name,
                          struct error *err)
{
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    int rc =
        manifest_reader_open_memory(&r, bytes, n_bytes, name, columns, err) || read_all(x, &r, err) ? -1 : 0;
    manifest_reader_close(&r);
    return rc;
}

const struct pdq_index_entry *pdq_index_find(const struct pdq_index *x, const struct xxh128 *id,
                                             enum pdq_family family, bool oriented, bool turned)
{
    const struct pdq_index_entry key = {.id = *id, .family = (uint8_t)family, .oriented = oriented};
    const struct pdq_index_entry *e =
        x->n_read ? bsearch(&key, x->entries, x->n_read, sizeof *x->entries, compare_entries) : NULL;
    return e && (e->turned || !turned) ? e : NULL;
}

int pdq_index_add(struct pdq_index *x, const struct pdq_index_entry *e, struct error *err)
{
    struct pdq_index_entry own = *e;
    if (e->turned) {
        struct pdq_hash *t = arena_alloc(&x->arena, PDQ_TURNED * sizeof *t, err);
        if (!t) return -1;
        memcpy(t, e->turned, PDQ_TURNED * sizeof *t);
        own.turned = t;
    }
    if (mem_grow(&x->entries, &x->capacity, x->n + 1, sizeof *x->entries, err)) return -1;
    x->entries[x->n++] = own;
    return 0;
}

void pdq_index_forget(struct pdq_index *x, const struct xxh128 *id)
{
    for (size_t i = 0; i < x->n; i++)
        if (x->entries[i].oriented != FORGOTTEN && !memcmp(&x->entries[i].id, id, sizeof *id)) {
            x->entries[i].oriented = FORGOTTEN;
            x->n_forgotten++;
        }
}

static int write_entry(struct manifest_writer *w, const struct pdq_index_entry *e, struct error *err)
{
    char id[XXH128_HEX_BYTES], hex[PDQ_HEX_BYTES], quality[8], pixels[16], turned[PDQ_TURNED * PDQ_HEX_BYTES];
    xxh128_hex(id, &e->id);
    pdq_to_hex(hex, &e->pdq);
    snprintf(quality, sizeof quality, "%u", e->quality);
    snprintf(pixels, sizeof pixels, "%u", e->pixels);
    turned[0] = 0;
    for (int i = 0; e->turned && i < PDQ_TURNED; i++) {
        pdq_to_hex(turned + i * PDQ_HEX_BYTES, &e->turned[i]);
        turned[(i + 1) * PDQ_HEX_BYTES - 1] = i + 1 < PDQ_TURNED ? ',' : 0;
    }
    const char *const fields[] =
        {id,    pdq_family_name((enum pdq_family)e->family), e->oriented ? "1" : "0", hex, quality, pixels,
         turned};
    return manifest_writer_row(w, NULL, fields, err);
}

int pdq_index_save(struct pdq_index *x, const char *path, struct error *err)
{
    struct manifest_writer w = MANIFEST_WRITER_EMPTY;
    int rc = -1;
    if (x->n == x->n_read && x->n_forgotten == 0) return 0;
    compact(x);
    if (manifest_writer_open(&w, path, NULL, columns, err)) goto out;
    for (size_t i = 0; i < x->n; i++)
        if (write_entry(&w, &x->entries[i], err)) goto out;
    if (manifest_writer_commit(&w, err)) goto out;
    rc = 0;
out:
    manifest_writer_discard(&w);
    return rc;
}

void pdq_index_release(struct pdq_index *x)
{
    free(x->entries);
    arena_release(&x->arena);
    *x = PDQ_INDEX_EMPTY;
}
