/* phash_dedup.c: calls the steps of a run in order, then reads the rows again and writes them. */
#include "phash_dedup.h"

#include <stdlib.h>

#include "base/mem.h"

/* What a row gets besides its group. */
struct added {
    const struct phash_dedup *s;
    int bytes, hash; /* columns of the manifest */
    char size[24], id[XXH128_HEX_BYTES], hex[PDQ_HEX_BYTES], quality[8];
};

static size_t added_of(void *context, uint32_t row, const struct manifest_reader *r, const char **values)
{
    struct added *a = context;
    const struct dedup_row *of = &a->s->d.rows[row];
    const char *bytes = manifest_field(r, a->bytes), *hash = manifest_field(r, a->hash);
    snprintf(a->size, sizeof a->size, "%llu", (unsigned long long)of->bytes);
    snprintf(a->quality, sizeof a->quality, "%u", of->quality);
    xxh128_hex(a->id, &of->id);
    pdq_to_hex(a->hex, &a->s->pdqs[row]);
    values[0] = *bytes || !of->bytes ? bytes : a->size;
    values[1] = *hash || !(of->flags & ROW_NAMED) ? hash : a->id;
    values[2] = a->hex;
    values[3] = a->quality;
    values[4] = pdq_family_name(a->s->opt->family);
    return 5;
}

int phash_run(struct phash_dedup *s, struct dedup_files *f, struct stage_counts *n, struct error *err)
{
    const struct phash_options *opt = s->opt;
    struct added added = {.s = s,
                          .bytes = manifest_column(&f->header.schema, "bytes"),
                          .hash = manifest_column(&f->header.schema, "xxh128")};
    if ((opt->index && phash_index_open(s, err)) ||
        (opt->dedup.against && phash_read_rows(s, &f->against, true, err)) ||
        phash_read_rows(s, &f->in, false, err) ||
        (opt->index && pdq_index_save(&s->index, opt->index, err)) ||
        (opt->dedup.protect && dedup_read_protected(&s->d, &f->in, err)) ||
        (opt->dedup.blocklist && phash_block(s, &f->in, err)) || phash_find_pairs(s, err) ||
        dedup_decide(&s->d, f, err) || dedup_write_rows(&s->d, f, added_of, &added, n, err))
        return -1;
    dedup_warn_blocked(&s->d);
    stage_note(&s->opt->dedup.common,
               "%llu pictures decoded, %llu hashes reused, %llu too flat to compare; %llu near duplicates, "
               "%llu label conflicts, %zu near pairs",
               (unsigned long long)s->n_decoded, (unsigned long long)s->n_reused,
               (unsigned long long)s->n_flat, (unsigned long long)s->d.n_near,
               (unsigned long long)s->d.n_conflicts, s->d.pairs.n);
    return 0;
}

int phash_run_check_leak(struct phash_dedup *s, struct manifest_source *in, uint64_t *n_leaks,
                         struct error *err)
{
    if ((s->opt->index && phash_index_open(s, err)) || phash_read_rows(s, in, false, err) ||
        (s->opt->index && pdq_index_save(&s->index, s->opt->index, err)) || phash_find_pairs(s, err) ||
        dedup_read_missing_paths(&s->d, in, NULL, err))
        return -1;
    if (dedup_check_leak(&s->d, in, s->opt->dedup.common.output, n_leaks, err)) return -1;
    if (s->d.n_failures) stage_warn("%zu pictures could not be read and were not checked", s->d.n_failures);
    if (*n_leaks) stage_warn("%llu pictures have a near copy in another split", (unsigned long long)*n_leaks);
    stage_note(&s->opt->dedup.common,
               "%zu pictures read, %llu of them too flat to compare; %llu with a near copy in another split",
               s->d.n_rows, (unsigned long long)s->n_flat, (unsigned long long)*n_leaks);
    return 0;
}

void phash_release(struct phash_dedup *s)
{
    file_lock_release(&s->index_lock);
    pdq_index_release(&s->index);
    free(s->pdqs);
    free(s->turned);
    free(s->nodes);
    dedup_release(&s->d);
}
