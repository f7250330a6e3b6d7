/* hash_dedup.c: calls the steps of a run in order (rows, files, groups, keepers), then reads
 * the rows again and writes them. */
#include "hash_dedup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

static const char *dedup_reason_slug(enum row_reason reason)
{
    switch (reason) {
    case KEPT: break;
    case REJECT_DUPLICATE: return "duplicate-of";
    case REJECT_SAME_FILE: return "same-file-as";
    case REJECT_SAME_ROW: return "duplicate-row";
    case REJECT_CONFLICT: return "label-conflict";
    case REJECT_OUTSIDE_ROOT: return "outside-root";
    case REJECT_NOT_FOUND: return "not-found";
    case REJECT_UNREADABLE: return "unreadable";
    case REJECT_NOT_REGULAR: return "not-a-regular-file";
    case REJECT_EMPTY: return "empty-file";
    case REJECT_CHANGED: return "changed-while-read";
    case REJECT_BAD_HASH: return "bad-hash";
    case REJECT_DIFFERS: return "content-differs";
    }
    return "";
}

static int reject_detail(const struct dedup *d, uint32_t row, struct text *detail, struct error *err)
{
    const struct row *r = &d->rows[row];
    text_clear(detail);
    switch ((enum row_reason)r->reason) {
    case REJECT_DUPLICATE:
    case REJECT_SAME_FILE:
    case REJECT_SAME_ROW:
    case REJECT_DIFFERS: return text_puts(detail, dedup_path(d, r->keeper), err);
    case REJECT_CONFLICT:
        return text_printf(detail, err, "%s: %s", d->labels.text[d->rows[r->keeper].label],
                           dedup_path(d, r->keeper));
    case REJECT_UNREADABLE:
    case REJECT_NOT_FOUND:
        return text_puts(detail, r->file == NO_FILE ? "" : strerror(dedup_file(d, row)->error_number), err);
    case REJECT_BAD_HASH: return text_puts(detail, "xxh128 is not 32 hexadecimal digits", err);
    case REJECT_CHANGED: return text_puts(detail, "its size is not what it was a moment before", err);
    default: return text_puts(detail, "", err);
    }
}

static int write_rows(struct dedup *d, struct manifest_source *in, struct manifest_writer *out,
                      struct manifest_writer *rejects, struct stage_counts *n, struct error *err)
{
    struct manifest_reader r;
    struct text detail = TEXT_EMPTY;
    char hex[XXH128_HEX_BYTES], size[32];
    size_t row = d->n_against;
    int got, rc = -1;
    if (manifest_source_read(in, &r, NULL, err)) return -1;
    int bytes = manifest_column(&r.schema, "bytes"), hash = manifest_column(&r.schema, "xxh128");
    for (; (got = manifest_reader_next(&r, err)) > 0 && row < d->n_rows; row++) {
        const struct row *of = &d->rows[row];
        n->n_read++;
        if (of->flags & ROW_REJECTED) {
            n->n_rejected++;
            if (reject_detail(d, (uint32_t)row, &detail, err) ||
                manifest_writer_reject(rejects, r.fields, dedup_reason_slug(of->reason), detail.data, err))
                goto out;
            continue;
        }
        const char *added[] = {manifest_field(&r, bytes), manifest_field(&r, hash)};
        if (!*added[0] && (of->flags & ROW_SIZED)) {
            snprintf(size, sizeof size, "%llu", (unsigned long long)of->bytes);
            added[0] = size;
        }
        if (of->flags & ROW_FOUND) {
            xxh128_hex(hex, &of->hash);
            added[1] = hex;
        }
        n->n_kept++;
        if (manifest_writer_row(out, r.fields, added, err)) goto out;
    }
    if (got < 0) goto out;
    rc = got || row != d->n_rows
             ? error_set(err, EX_DATAERR, "'%s' was written to while it was read", in->name)
             : manifest_source_check(in, err);
out:
    text_release(&detail);
    manifest_reader_close(&r);
    return rc;
}

/* Reads the paths of the rows with that flag. A manifest is read again only when it has such rows. */
static int read_paths(struct dedup *d, struct manifest_source *in, struct manifest_source *against,
                      enum row_flag flag, struct error *err)
{
    bool missing[2] = {false, false};
    for (size_t i = 0; i < d->n_rows; i++)
        if ((d->rows[i].flags & flag) && d->rows[i].file == NO_FILE) missing[i < d->n_against] = true;
    return (missing[1] && dedup_read_paths(d, against, true, flag, err)) ||
                   (missing[0] && dedup_read_paths(d, in, false, flag, err))
               ? -1
               : 0;
}

int dedup_run(struct dedup *d, struct manifest_source *in, struct manifest_source *against,
              struct manifest_writer *out, struct manifest_writer *rejects, struct stage_counts *n,
              struct error *err)
{
    const struct common_options *common = &d->opt->common;
    size_t n_peers;
    d->root_fd = open(common->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->root_fd < 0) return error_errno(err, EX_NOINPUT, "cannot open the root folder '%s'", common->root);
    progress_start(&d->progress, common, 0, "rows");
    if ((against && dedup_read_rows(d, against, true, err)) || dedup_read_rows(d, in, false, err)) return -1;
    if (d->n_files) {
        progress_start(&d->progress, common, d->n_files, "files");
        dedup_look_at_all(d);
        if (dedup_check_machine(d, err) || dedup_find_peers(d, &n_peers, err) ||
            (n_peers && read_paths(d, in, against, ROW_PEER, err)))
            return -1;
        if (n_peers) dedup_look_at_all(d);
        if (dedup_hash_files(d, err)) return -1;
    }
    progress_end(&d->progress);
    if (dedup_group(d, err) || read_paths(d, in, against, ROW_GROUPED, err) || dedup_choose_keepers(d, err) ||
        (d->opt->verify && dedup_verify(d, err)))
        return -1;
    if (write_rows(d, in, out, rejects, n, err)) return -1;
    stage_note(common,
               "%llu duplicates in %llu groups, %llu of them with conflicting labels; %llu files hashed, "
               "%llu bytes read",
               (unsigned long long)d->n_duplicates, (unsigned long long)d->n_groups,
               (unsigned long long)d->n_conflicts, (unsigned long long)d->n_hashed,
               (unsigned long long)d->bytes_read);
    return 0;
}

void dedup_release(struct dedup *d)
{
    if (d->root_fd > 0) close(d->root_fd);
    names_release(&d->labels);
    free(d->rows);
    free(d->files);
    free(d->only_paths);
    free(d->members);
    free(d->groups);
    arena_release(&d->paths);
}
