/*
 * index.c: hashes that are kept from run to run, by the content of the picture's file: a TSV of
 * xxh128, pdq_family, oriented (1: EXIF orientation was applied), pdq, pdq_quality, pixels, turned (with --dihedral:
 * the other seven hashes, comma separated; otherwise empty). Renaming, moving and re-labelling pictures leaves it
 * valid. Entries of other families stay in the file. It is written whole, sorted by content hash, and locked for the
 * time of the run.
 */
#include "near.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const char *const columns[] = {"xxh128",      "pdq_family", "oriented", "pdq",
                                      "pdq_quality", "pixels",     "turned",   NULL};

static int compare_entries(const void *a, const void *b)
{
    const struct index_entry *x = a, *y = b;
    int c = memcmp(&x->id, &y->id, sizeof x->id);
    if (c == 0)
        c = (x->family > y->family) - (x->family < y->family);
    return c ? c : x->oriented - y->oriented;
}

static int family_from_name(const char *name)
{
    for (int f = PDQ_FULL; f <= PDQ_FAST; f++)
        if (!strcmp(name, pdq_family_name((enum pdq_family)f)))
            return f;
    return -1;
}

static int read_turned(struct near *s, struct index_entry *e, const char *text, struct error *err)
{
    char hex[PDQ_HEX_BYTES];
    struct pdq_hash *t;
    if (strlen(text) != N_TURNED * PDQ_HEX_BYTES - 1)
        return *text ? 1 : 0;
    if (!(t = arena_alloc(&s->arena, N_TURNED * sizeof *t, err)))
        return -1;
    for (int i = 0; i < N_TURNED; i++, text += PDQ_HEX_BYTES) {
        memcpy(hex, text, PDQ_HEX_BYTES - 1);
        hex[PDQ_HEX_BYTES - 1] = 0;
        if (pdq_from_hex(&t[i], hex))
            return 1;
    }
    e->turned = t;
    return 0;
}

int near_index_open(struct near *s, struct error *err)
{
    const char *path = s->opt->index;
    struct manifest_reader r;
    struct text lock = TEXT_EMPTY;
    int got;
    if (text_printf(&lock, err, "%s.lock", path) || file_lock_take(&s->index_lock, lock.data, err)) {
        text_release(&lock);
        return -1;
    }
    text_release(&lock);
    if (!io_exists(path))
        return 0;
    if (manifest_reader_open(&r, path, columns, err))
        return -1;
    int at[7];
    for (int i = 0; i < 7; i++)
        at[i] = manifest_column(&r.schema, columns[i]);
    while ((got = manifest_reader_next(&r, err)) > 0) {
        struct index_entry e = {0};
        struct error ignored;
        uint64_t quality, pixels, oriented;
        int family = family_from_name(r.fields[at[1]]), turned = 0;
        if (family < 0 || xxh128_from_hex(&e.id, r.fields[at[0]]) || pdq_from_hex(&e.pdq, r.fields[at[3]]) ||
            parse_u64(r.fields[at[2]], 0, 1, &oriented, "", &ignored) ||
            parse_u64(r.fields[at[4]], 0, 100, &quality, "", &ignored) ||
            parse_u64(r.fields[at[5]], 0, UINT32_MAX, &pixels, "", &ignored) ||
            (turned = read_turned(s, &e, r.fields[at[6]], err)) > 0) {
            got = error_set(err, EX_DATAERR, "'%s', row %llu: not a row of an index (delete the file to build it anew)",
                            path, (unsigned long long)r.row);
            break;
        }
        if (turned < 0 || mem_grow(&s->index, &s->index_capacity, s->n_index + 1, sizeof *s->index, err)) {
            got = -1;
            break;
        }
        e.family = (uint8_t)family;
        e.oriented = (uint8_t)oriented;
        e.quality = (uint8_t)quality;
        e.pixels = (uint32_t)pixels;
        s->index[s->n_index++] = e;
    }
    manifest_reader_close(&r);
    if (got < 0)
        return -1;
    if (s->n_index)
        qsort(s->index, s->n_index, sizeof *s->index, compare_entries);
    s->n_index_read = s->n_index;
    return 0;
}

const struct index_entry *near_index_find(const struct near *s, const struct xxh128 *id)
{
    struct index_entry key = {.id = *id, .family = (uint8_t)s->opt->family, .oriented = !s->opt->no_orient};
    const struct index_entry *e =
        s->n_index_read ? bsearch(&key, s->index, s->n_index_read, sizeof *s->index, compare_entries) : NULL;
    return e && (e->turned || !s->opt->dihedral) ? e : NULL;
}

int near_index_add(struct near *s, uint32_t row, struct error *err)
{
    const struct row *r = &s->rows[row];
    struct index_entry e = {.id = r->id,
                            .pdq = r->pdq,
                            .pixels = r->pixels,
                            .family = (uint8_t)s->opt->family,
                            .oriented = !s->opt->no_orient,
                            .quality = r->quality};
    if (s->opt->dihedral) {
        struct pdq_hash *t = arena_alloc(&s->arena, sizeof *s->turned, err);
        if (!t)
            return -1;
        memcpy(t, s->turned[row], sizeof *s->turned);
        e.turned = t;
    }
    if (mem_grow(&s->index, &s->index_capacity, s->n_index + 1, sizeof *s->index, err))
        return -1;
    s->index[s->n_index++] = e;
    return 0;
}

static int write_entry(struct manifest_writer *w, const struct index_entry *e, struct error *err)
{
    char id[XXH128_HEX_BYTES], hex[PDQ_HEX_BYTES], quality[8], pixels[16], turned[N_TURNED * PDQ_HEX_BYTES];
    xxh128_hex(id, &e->id);
    pdq_to_hex(hex, &e->pdq);
    snprintf(quality, sizeof quality, "%u", e->quality);
    snprintf(pixels, sizeof pixels, "%u", e->pixels);
    turned[0] = 0;
    for (int i = 0; e->turned && i < N_TURNED; i++) {
        pdq_to_hex(turned + i * PDQ_HEX_BYTES, &e->turned[i]);
        turned[(i + 1) * PDQ_HEX_BYTES - 1] = i + 1 < N_TURNED ? ',' : 0;
    }
    const char *const fields[] = {
        id, pdq_family_name((enum pdq_family)e->family), e->oriented ? "1" : "0", hex, quality, pixels, turned};
    return manifest_writer_row(w, NULL, fields, err);
}

int near_index_save(struct near *s, struct error *err)
{
    struct manifest_writer w = MANIFEST_WRITER_EMPTY;
    int rc = -1;
    if (s->n_index == s->n_index_read)
        return 0;
    qsort(s->index, s->n_index, sizeof *s->index, compare_entries);
    if (manifest_writer_open(&w, s->opt->index, NULL, columns, err))
        goto out;
    for (size_t i = 0; i < s->n_index; i++) {
        /* The same picture hashed twice in one run, or anew because its turned hashes were missing: the fuller entry
         * stays. */
        bool again = i + 1 < s->n_index && compare_entries(&s->index[i], &s->index[i + 1]) == 0;
        if (again && s->index[i].turned && !s->index[i + 1].turned)
            s->index[i + 1] = s->index[i];
        if (!again && write_entry(&w, &s->index[i], err))
            goto out;
    }
    rc = manifest_writer_commit(&w, err);
out:
    manifest_writer_discard(&w);
    return rc;
}
