/* feature_dedup.c: calls the steps of a run in order, then reads the rows again and writes them. */
#include "feature_dedup.h"

#include <stdlib.h>

#include "base/mem.h"

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

/* Applies the block list. A listed row is not a candidate afterwards, so the nodes are made again. */
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

int feature_run(struct feature_dedup *s, struct dedup_files *f, struct stage_counts *n, struct error *err)
{
    const struct dedup_options *o = &s->opt->dedup;
    if ((o->against && feature_read_rows(s, &f->against, true, err)) ||
        feature_read_rows(s, &f->in, false, err) ||
        (o->protect && dedup_read_protected(&s->d, &f->in, err)) || feature_make_nodes(s, err) ||
        (o->blocklist && block(s, err)) ||
        feature_find_pairs(s, &f->in, o->against ? &f->against : NULL, err) || dedup_decide(&s->d, f, err) ||
        dedup_write_rows(&s->d, f, NULL, NULL, n, err))
        return -1;
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
