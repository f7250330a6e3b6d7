/* dedup_run.c: the files of a run, and the parts of it that both stages have: from the near pairs to the
 * decisions, and the second reading of the rows, which writes them. */
#include "dedup/near_dedup.h"

#include "base/mem.h"

int dedup_files_read(struct dedup_files *f, const struct dedup_options *o, const char *path,
                     const char *const *required, struct error *err)
{
    return (o->against && manifest_source_open(&f->against, o->against, err)) ||
                   manifest_source_open(&f->in, path, err) ||
                   manifest_source_read(&f->in, &f->header, required, err)
               ? -1
               : 0;
}

int dedup_files_write(struct dedup_files *f, struct dedup *s, const char *const *adds, struct error *err)
{
    const struct dedup_options *o = s->opt;
    return (o->delete_blocked && dedup_removal_open(s, err)) ||
                   manifest_writer_open(&f->out, o->common.output, &f->header.schema, adds, err) ||
                   manifest_rejects_open(&f->rejects, o->common.rejects, &f->header.schema, err)
               ? -1
               : 0;
}

void dedup_files_release(struct dedup_files *f)
{
    manifest_writer_discard(&f->out);
    manifest_writer_discard(&f->rejects);
    manifest_reader_close(&f->header);
    manifest_source_close(&f->in);
    manifest_source_close(&f->against);
}

int dedup_decide(struct dedup *s, struct dedup_files *f, struct error *err)
{
    if (dedup_read_missing_paths(s, &f->in, &f->against, err) || dedup_read_sizes(s, err) ||
        dedup_choose_keepers(s, err) || dedup_group(s, err))
        return -1;
    return s->opt->sheet &&
                   (dedup_mark_sheet_paths(s, err) || dedup_read_missing_paths(s, &f->in, &f->against, err) ||
                    dedup_write_sheet(s, s->opt->sheet, err))
               ? -1
               : 0;
}

int dedup_write_rows(struct dedup *s, struct dedup_files *f, dedup_added *added, void *context,
                     struct stage_counts *n, struct error *err)
{
    struct manifest_reader r;
    struct text detail = TEXT_EMPTY;
    const char *values[DEDUP_MAX_ADDED];
    char name[XXH128_HEX_BYTES];
    struct dedup_mark mark;
    uint32_t row = (uint32_t)s->n_against;
    size_t failure = 0;
    int got, rc = -1;
    if (manifest_source_read(&f->in, &r, NULL, err)) return -1;
    int path = manifest_column(&r.schema, "path");
    for (; (got = manifest_reader_next(&r, err)) > 0 && row < s->n_rows; row++) {
        const struct dedup_row *of = &s->rows[row];
        while (failure < s->n_failures && s->failures[failure].row < row)
            failure++;
        n->n_read++;
        if ((of->flags & ROW_REJECTED) && (!s->opt->mark || of->reason > REJECT_CONFLICT)) {
            n->n_rejected++;
            if (dedup_write_reject(s, row, failure < s->n_failures ? &s->failures[failure] : NULL, r.fields,
                                   &f->rejects, &detail, err))
                goto out;
            continue;
        }
        dedup_mark_of(s, row, manifest_field(&r, path), &mark);
        size_t k = added ? added(context, row, &r, values) : 0;
        values[k++] = dedup_group_name(s, row, name);
        values[k++] = mark.keeper;
        values[k++] = mark.distance;
        values[k++] = mark.reason;
        n->n_kept++;
        if (manifest_writer_row(&f->out, r.fields, values, err)) goto out;
    }
    if (got < 0) goto out;
    rc = got || row != s->n_rows
             ? error_set(err, EX_DATAERR, "'%s' was written to while it was read", f->in.name)
             : manifest_source_check(&f->in, err);
out:
    text_release(&detail);
    manifest_reader_close(&r);
    return rc;
}
