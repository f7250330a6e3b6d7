/* phash_dedup.c: calls the steps of a run in order, then reads the rows again and writes them. */
#include "phash_dedup.h"

#include <stdlib.h>

#include "base/mem.h"

static int write_rows(struct phash_dedup *s, struct manifest_source *in, struct manifest_writer *out,
                      struct manifest_writer *rejects, struct stage_counts *n, struct error *err)
{
    struct manifest_reader r;
    struct text detail = TEXT_EMPTY;
    char size[24], id[XXH128_HEX_BYTES], hex[PDQ_HEX_BYTES], quality[8], name[XXH128_HEX_BYTES];
    struct dedup_mark mark;
    uint32_t row = (uint32_t)s->d.n_against;
    size_t failure = 0;
    int got, rc = -1;
    if (manifest_source_read(in, &r, NULL, err)) return -1;
    int bytes = manifest_column(&r.schema, "bytes"), hash = manifest_column(&r.schema, "xxh128"),
        path = manifest_column(&r.schema, "path");
    for (; (got = manifest_reader_next(&r, err)) > 0 && row < s->d.n_rows; row++) {
        const struct dedup_row *of = &s->d.rows[row];
        while (failure < s->d.n_failures && s->d.failures[failure].row < row)
            failure++;
        n->n_read++;
        if ((of->flags & ROW_REJECTED) && (!s->opt->dedup.mark || of->reason > REJECT_CONFLICT)) {
            n->n_rejected++;
            if (dedup_write_reject(&s->d, row, failure < s->d.n_failures ? &s->d.failures[failure] : NULL,
                                   r.fields, rejects, &detail, err))
                goto out;
            continue;
        }
        snprintf(size, sizeof size, "%llu", (unsigned long long)of->bytes);
        snprintf(quality, sizeof quality, "%u", of->quality);
        xxh128_hex(id, &of->id);
        pdq_to_hex(hex, &s->pdqs[row]);
        dedup_mark_of(&s->d, row, manifest_field(&r, path), &mark);
        const char *const added[] = {
            *manifest_field(&r, bytes) || !of->bytes ? manifest_field(&r, bytes) : size,
            *manifest_field(&r, hash) || !(of->flags & ROW_NAMED) ? manifest_field(&r, hash) : id,
            hex,
            quality,
            pdq_family_name(s->opt->family),
            dedup_group_name(&s->d, row, name),
            mark.keeper,
            mark.distance,
            mark.reason,
        };
        n->n_kept++;
        if (manifest_writer_row(out, r.fields, added, err)) goto out;
    }
    if (got < 0) goto out;
    rc = got || row != s->d.n_rows
             ? error_set(err, EX_DATAERR, "'%s' was written to while it was read", in->name)
             : manifest_source_check(in, err);
out:
    text_release(&detail);
    manifest_reader_close(&r);
    return rc;
}

int phash_run(struct phash_dedup *s, struct manifest_source *in, struct manifest_source *against,
              struct manifest_writer *out, struct manifest_writer *rejects, struct stage_counts *n,
              struct error *err)
{
    const struct phash_options *opt = s->opt;
    if ((opt->index && phash_index_open(s, err)) || (against && phash_read_rows(s, against, true, err)) ||
        phash_read_rows(s, in, false, err) || (opt->index && pdq_index_save(&s->index, opt->index, err)) ||
        (opt->dedup.protect && dedup_read_protected(&s->d, in, err)) ||
        (opt->dedup.blocklist && phash_block(s, in, err)) || phash_find_pairs(s, err) ||
        dedup_read_missing_paths(&s->d, in, against, err) || dedup_read_sizes(&s->d, err) ||
        dedup_choose_keepers(&s->d, err) || dedup_group(&s->d, err))
        return -1;
    if (opt->dedup.sheet &&
        (dedup_mark_sheet_paths(&s->d, err) || dedup_read_missing_paths(&s->d, in, against, err) ||
         dedup_write_sheet(&s->d, opt->dedup.sheet, err)))
        return -1;
    if (write_rows(s, in, out, rejects, n, err)) return -1;
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
