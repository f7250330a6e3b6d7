/* phash_dedup.c: calls the steps of a run in order, then reads the rows again and writes them. */
#include "phash_dedup.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

static int read_paths(struct phash_dedup *s, struct manifest_source *in, struct manifest_source *against,
                      struct error *err)
{
    bool missing[2] = {false, false};
    for (size_t i = 0; i < s->n_rows; i++)
        if ((s->rows[i].flags & ROW_PATH) && s->rows[i].file == NONE) missing[i < s->n_against] = true;
    return (missing[1] && phash_read_paths(s, against, true, err)) ||
                   (missing[0] && phash_read_paths(s, in, false, err))
               ? -1
               : 0;
}

static int write_reject(struct phash_dedup *s, uint32_t row, const struct failure *failure,
                        const char *const *fields, struct manifest_writer *rejects, struct text *detail,
                        struct error *err)
{
    const struct row *r = &s->rows[row];
    text_clear(detail);
    switch ((enum row_reason)r->reason) {
    case REJECT_NEAR_DUPLICATE:
        return text_printf(detail, err, "%u %s", r->distance, phash_path(s, r->keeper)) ||
                       manifest_writer_reject(rejects, fields, "near-duplicate-of", detail->data, err)
                   ? -1
                   : 0;
    case REJECT_CONFLICT:
        return text_printf(detail, err, "%u %s: %s", r->distance, s->labels.text[s->rows[r->keeper].label],
                           phash_path(s, r->keeper)) ||
                       manifest_writer_reject(rejects, fields, "label-conflict", detail->data, err)
                   ? -1
                   : 0;
    case REJECT_BLOCKED:
        return text_printf(detail, err, "%u bits from a listed hash", r->distance) ||
                       manifest_writer_reject(rejects, fields, "blocklisted", detail->data, err)
                   ? -1
                   : 0;
    default:
        assert(failure); /* a row that was not decoded has its reason in the list */
        return manifest_writer_reject(rejects, fields, failure->slug, failure->detail, err);
    }
}

static int write_rows(struct phash_dedup *s, struct manifest_source *in, struct manifest_writer *out,
                      struct manifest_writer *rejects, struct stage_counts *n, struct error *err)
{
    struct manifest_reader r;
    struct text detail = TEXT_EMPTY;
    char size[24], id[XXH128_HEX_BYTES], hex[PDQ_HEX_BYTES], quality[8], name[XXH128_HEX_BYTES], distance[8];
    uint32_t row = (uint32_t)s->n_against;
    size_t failure = 0;
    int got, rc = -1;
    if (manifest_source_read(in, &r, NULL, err)) return -1;
    int bytes = manifest_column(&r.schema, "bytes"), hash = manifest_column(&r.schema, "xxh128");
    for (; (got = manifest_reader_next(&r, err)) > 0 && row < s->n_rows; row++) {
        const struct row *of = &s->rows[row];
        while (failure < s->n_failures && s->failures[failure].row < row)
            failure++;
        n->n_read++;
        if ((of->flags & ROW_REJECTED) && (!s->opt->mark || of->reason > REJECT_CONFLICT)) {
            n->n_rejected++;
            if (write_reject(s, row, failure < s->n_failures ? &s->failures[failure] : NULL, r.fields,
                             rejects, &detail, err))
                goto out;
            continue;
        }
        snprintf(size, sizeof size, "%llu", (unsigned long long)of->bytes);
        snprintf(quality, sizeof quality, "%u", of->quality);
        snprintf(distance, sizeof distance, "%u", of->distance);
        xxh128_hex(id, &of->id);
        pdq_to_hex(hex, &of->pdq);
        bool near = of->flags & ROW_REJECTED; /* --mark */
        const char *const added[] = {
            *manifest_field(&r, bytes) || !of->bytes ? manifest_field(&r, bytes) : size,
            *manifest_field(&r, hash) || !(of->flags & ROW_NAMED) ? manifest_field(&r, hash) : id,
            hex,
            quality,
            pdq_family_name(s->opt->family),
            phash_group_name(s, row, name),
            near ? phash_path(s, of->keeper) : manifest_field(&r, manifest_column(&r.schema, "path")),
            near ? distance : "0",
            near ? of->reason == REJECT_CONFLICT ? "label-conflict" : "near-duplicate-of" : "",
        };
        n->n_kept++;
        if (manifest_writer_row(out, r.fields, added, err)) goto out;
    }
    if (got < 0) goto out;
    rc = got || row != s->n_rows
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
        (opt->protect && phash_read_protected(s, in, err)) || (opt->blocklist && phash_block(s, in, err)) ||
        phash_find_pairs(s, err) || read_paths(s, in, against, err) || phash_read_sizes(s, err) ||
        phash_choose_keepers(s, err) || phash_group(s, err))
        return -1;
    if (opt->sheet && (phash_mark_sheet_paths(s, err) || read_paths(s, in, against, err) ||
                       phash_write_sheet(s, opt->sheet, err)))
        return -1;
    if (write_rows(s, in, out, rejects, n, err)) return -1;
    if (s->n_blocked)
        stage_warn("%zu pictures matched the block list and are not in the output%s", s->n_blocked,
                   opt->delete_blocked
                       ? ""
                       : "; their files are still there (--delete-blocked STORE removes them)");
    if (s->n_blocked_against)
        stage_warn("%llu pictures of '%s' match the block list; run this over it, too",
                   (unsigned long long)s->n_blocked_against, opt->against);
    stage_note(&s->opt->common,
               "%llu pictures decoded, %llu hashes reused, %llu too flat to compare; %llu near duplicates, "
               "%llu label conflicts, %zu near pairs",
               (unsigned long long)s->n_decoded, (unsigned long long)s->n_reused,
               (unsigned long long)s->n_flat, (unsigned long long)s->n_near,
               (unsigned long long)s->n_conflicts, s->pairs.n);
    return 0;
}

int phash_run_check_leak(struct phash_dedup *s, struct manifest_source *in, uint64_t *n_leaks,
                         struct error *err)
{
    if ((s->opt->index && phash_index_open(s, err)) || phash_read_rows(s, in, false, err) ||
        (s->opt->index && pdq_index_save(&s->index, s->opt->index, err)) || phash_find_pairs(s, err) ||
        read_paths(s, in, NULL, err))
        return -1;
    if (phash_check_leak(s, in, s->opt->common.output, n_leaks, err)) return -1;
    if (s->n_failures) stage_warn("%zu pictures could not be read and were not checked", s->n_failures);
    if (*n_leaks) stage_warn("%llu pictures have a near copy in another split", (unsigned long long)*n_leaks);
    stage_note(&s->opt->common,
               "%zu pictures read, %llu of them too flat to compare; %llu with a near copy in another split",
               s->n_rows, (unsigned long long)s->n_flat, (unsigned long long)*n_leaks);
    return 0;
}

void phash_release(struct phash_dedup *s)
{
    file_lock_release(&s->index_lock);
    file_lock_release(&s->store_lock);
    if (s->store_fd >= 0) close(s->store_fd);
    pdq_index_release(&s->index);
    free(s->blocked);
    names_release(&s->labels);
    free(s->rows);
    free(s->turned);
    free(s->files);
    free(s->failures);
    free(s->nodes);
    free(s->node_start);
    free(s->node_rows);
    free(s->adjacent_start);
    free(s->adjacent);
    near_pairs_release(&s->pairs);
    names_release(&s->groups_in);
    arena_release(&s->arena);
}
