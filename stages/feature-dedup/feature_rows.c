/* feature_rows.c: reads the rows of a manifest, and finds the vector of each by its content hash. */
#include "feature_dedup.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash_index.h"
#include "base/mem.h"

int feature_read_sets(struct feature_dedup *s, struct error *err)
{
    const struct option_strings *names = &s->opt->features;
    if (!(s->sets = mem_zalloc(names->n + 1, sizeof *s->sets, err))) return -1;
    for (size_t i = 0; i < names->n; i++) {
        if (vector_set_read(&s->sets[i], names->items[i], err)) return -1;
        s->n_sets++;
        const struct vector_info *first = &s->sets[0].info, *this = &s->sets[i].info;
        if (strcmp(first->base, this->base) || strcmp(first->fit, this->fit) ||
            strcmp(first->pictures, this->pictures) || first->n_values != this->n_values)
            return error_set(
                err, EX_DATAERR,
                "the vectors of '%s' and '%s' cannot be compared: another base, size or reduction; "
                "run embed with --fit %s/reduce.fit for '%s'",
                names->items[0], names->items[i], names->items[0], names->items[i]);
    }
    s->n_values = s->sets[0].info.n_values;
    return 0;
}

int feature_read_rows(struct feature_dedup *s, struct manifest_source *in, bool against, struct error *err)
{
    static const char *const required[] = {"path", "xxh128", NULL};
    struct manifest_reader r;
    int got;
    if (manifest_source_read(in, &r, required, err)) return -1;
    struct dedup_columns columns = dedup_columns_of(&r.schema);
    while ((got = manifest_reader_next(&r, err)) > 0)
        if (dedup_add_row(&s->d, &columns, r.fields, against, err)) {
            got = -1;
            break;
        }
    manifest_reader_close(&r);
    if (against) s->d.n_against = s->d.n_rows;
    return got;
}

struct place {
    uint32_t set, row;
    uint32_t node; /* DEDUP_NONE: no row has this content yet */
};

static int add_node(struct feature_dedup *s, struct place *at, struct error *err)
{
    if (at->node != DEDUP_NONE) return 0;
    if (mem_grow(&s->vectors, &s->vectors_capacity, s->d.n_nodes + 1, sizeof *s->vectors, err)) return -1;
    s->vectors[s->d.n_nodes] = s->sets[at->set].values + (size_t)at->row * s->n_values;
    at->node = (uint32_t)s->d.n_nodes++;
    return 0;
}

/* Returns the entry of a content hash, or NULL. */
static struct place *find_place(const struct feature_dedup *s, const struct hash_index *index,
                                struct place *places, const struct xxh128 *id)
{
    uint32_t at;
    for (struct hash_walk w = hash_walk(index, xxh128_u64(id)); hash_walk_next(index, &w, &at);)
        if (!memcmp(s->sets[places[at].set].ids[places[at].row], id->bytes, sizeof id->bytes))
            return &places[at];
    return NULL;
}

int feature_make_nodes(struct feature_dedup *s, struct error *err)
{
    struct hash_index index = HASH_INDEX_EMPTY;
    struct place *places = NULL;
    size_t n = 0, all = 0;
    int rc = -1;
    for (size_t i = 0; i < s->n_sets; i++)
        all += s->sets[i].info.n_rows;
    if (!(places = mem_alloc((all + 1) * sizeof *places, err))) goto out;
    for (size_t i = 0; i < s->n_sets; i++)
        for (size_t k = 0; k < s->sets[i].info.n_rows; k++) {
            struct xxh128 id;
            memcpy(id.bytes, s->sets[i].ids[k], sizeof id.bytes);
            if (find_place(s, &index, places, &id)) continue;
            places[n] = (struct place){(uint32_t)i, (uint32_t)k, DEDUP_NONE};
            if (hash_index_add(&index, xxh128_u64(&id), n++, err)) goto out;
        }
    for (size_t i = 0; i < s->d.n_rows; i++) {
        struct dedup_row *row = &s->d.rows[i];
        if (i == s->d.n_against) s->d.n_first = s->d.n_nodes;
        if (row->flags & ROW_REJECTED) continue;
        struct place *at = row->flags & ROW_NAMED ? find_place(s, &index, places, &row->id) : NULL;
        s->n_without += !at;
        if (!at) continue;
        if (add_node(s, at, err)) goto out;
        row->node = at->node;
        row->flags |= ROW_HASHED;
    }
    if (s->d.n_against == s->d.n_rows) s->d.n_first = s->d.n_nodes;
    rc = dedup_index_nodes(&s->d, err);
out:
    hash_index_release(&index);
    free(places);
    return rc;
}
