/* feature_dedup.c: calls the steps of a run in order, then reads the rows again and writes them. */
#include "feature_dedup.h"

#include <stdlib.h>

#include "base/mem.h"

static int write_rows(struct feature_dedup *s, struct manifest_source *in, struct manifest_writer *out,
                      struct manifest_writer *rejects, struct stage_counts *n, struct error *err)
{
    struct manifest_reader r;
    struct text detail = TEXT_EMPTY;
    char name[XXH128_HEX_BYTES];
    struct dedup_mark mark;
    uint32_t row = (uint32_t)s->d.n_against;
    int got, rc = -1;
    if (manifest_source_read(in, &r, NULL, err)) return -1;
    int path = manifest_column(&r.schema, "path");
    for (; (got = manifest_reader_next(&r, err)) > 0 && row < s->d.n_rows; row++) {
        const struct dedup_row *of = &s->d.rows[row];
        n->n_read++;
        if ((of->flags & ROW_REJECTED) && (!s->opt->dedup.mark || of->reason > REJECT_CONFLICT)) {
            n->n_rejected++;
            if (dedup_write_reject(&s->d, row, NULL, r.fields, rejects, &detail, err)) goto out;
            continue;
        }
        dedup_mark_of(&s->d, row, manifest_field(&r, path), &mark);
        const char *const added[] = {dedup_group_name(&s->d, row, name), mark.keeper, mark.distance,
                                     mark.reason};
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

static void tell(const struct feature_dedup *s)
{
    const struct common_options *o = &s->opt->dedup.common;
    if (s->n_without && !o->quiet)
        stage_warn("%llu of %zu pictures have no vector in --features and were not compared",
                   (unsigned long long)s->n_without, s->d.n_rows);
    if (s->n_unseen && !o->quiet)
        stage_warn("%zu pictures could not be read again to be verified; none is taken for a copy",
                   s->n_unseen);
    stage_note(o, "%zu candidate pairs, %zu verified; %llu near duplicates, %llu label conflicts",
               s->n_candidates, s->d.pairs.n, (unsigned long long)s->d.n_near,
               (unsigned long long)s->d.n_conflicts);
}

/* A listed row is not a candidate any more: nodes are made twice. */
static int block(struct feature_dedup *s, struct error *err)
{
    if (feature_block(s, err)) return -1;
    free(s->d.node_start);
    free(s->d.node_rows);
    s->d.node_start = s->d.node_rows = NULL;
    s->d.n_nodes = 0;
    s->n_without = 0;
    for (size_t i = 0; i < s->d.n_rows; i++)
        s->d.rows[i].node = DEDUP_NONE;
    return feature_make_nodes(s, err);
}

int feature_run(struct feature_dedup *s, struct manifest_source *in, struct manifest_source *against,
                struct manifest_writer *out, struct manifest_writer *rejects, struct stage_counts *n,
                struct error *err)
{
    const struct dedup_options *o = &s->opt->dedup;
    if ((against && feature_read_rows(s, against, true, err)) || feature_read_rows(s, in, false, err) ||
        (o->protect && dedup_read_protected(&s->d, in, err)) || feature_make_nodes(s, err) ||
        (o->blocklist && block(s, err)) || feature_find_pairs(s, in, against, err) ||
        dedup_read_missing_paths(&s->d, in, against, err) || dedup_read_sizes(&s->d, err) ||
        dedup_choose_keepers(&s->d, err) || dedup_group(&s->d, err))
        return -1;
    if (o->sheet &&
        (dedup_mark_sheet_paths(&s->d, err) || dedup_read_missing_paths(&s->d, in, against, err) ||
         dedup_write_sheet(&s->d, o->sheet, err)))
        return -1;
    if (write_rows(s, in, out, rejects, n, err)) return -1;
    dedup_warn_blocked(&s->d);
    tell(s);
    return 0;
}

int feature_run_check_leak(struct feature_dedup *s, struct manifest_source *in, uint64_t *n_leaks,
                           struct error *err)
{
    if (feature_read_rows(s, in, false, err) || feature_make_nodes(s, err) ||
        feature_find_pairs(s, in, NULL, err) || dedup_read_missing_paths(&s->d, in, NULL, err) ||
        dedup_check_leak(&s->d, in, s->opt->dedup.common.output, n_leaks, err))
        return -1;
    if (*n_leaks) stage_warn("%llu pictures have a near copy in another split", (unsigned long long)*n_leaks);
    tell(s);
    return 0;
}

void feature_release(struct feature_dedup *s)
{
    for (size_t i = 0; i < s->n_sets; i++)
        vector_set_release(&s->sets[i]);
    free(s->sets);
    free(s->vectors);
    dedup_release(&s->d);
}
