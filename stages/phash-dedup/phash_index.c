/* phash_index.c: --index: uses the hash file of store/pdq_index.h, and holds its lock during the run. */
#include "phash_dedup.h"

int phash_index_open(struct phash_dedup *s, struct error *err)
{
    struct text lock = TEXT_EMPTY;
    int rc = text_printf(&lock, err, "%s.lock", s->opt->index) ||
                     file_lock_take(&s->index_lock, lock.data, err) ||
                     pdq_index_read(&s->index, s->opt->index, err)
                 ? -1
                 : 0;
    text_release(&lock);
    return rc;
}

const struct pdq_index_entry *phash_index_find(const struct phash_dedup *s, const struct xxh128 *id)
{
    return pdq_index_find(&s->index, id, (enum pdq_family)s->opt->family,
                          !picture_rules_unturned(&s->opt->rules), s->opt->dihedral);
}

int phash_index_add(struct phash_dedup *s, uint32_t row, struct error *err)
{
    const struct dedup_row *r = &s->d.rows[row];
    const struct pdq_index_entry e = {.id = r->id,
                                      .pdq = s->pdqs[row],
                                      .turned = s->opt->dihedral ? s->turned[row] : NULL,
                                      .pixels = r->pixels,
                                      .family = (uint8_t)s->opt->family,
                                      .oriented = !picture_rules_unturned(&s->opt->rules),
                                      .quality = r->quality};
    return pdq_index_add(&s->index, &e, err);
}
