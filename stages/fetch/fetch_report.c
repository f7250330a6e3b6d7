/* fetch_report.c: see fetch_report.h. */
#include "fetch_report.h"

#include <stdlib.h>
#include <string.h>

const char *const fetch_adds[] = {"path",   "bytes",     "xxh128", "http_status",   "fetched_at",
                                  "format", "final_url", "rights", "rights_signal", NULL};

/* --- the same bytes from many addresses --- */

struct same {
    struct xxh128 hash;
    uint32_t n;
};

static int by_hash(const void *a, const void *b)
{
    return memcmp(((const struct same *)a)->hash.bytes, ((const struct same *)b)->hash.bytes, XXH128_BYTES);
}

/* Makes a sorted list of the contents that came from more than --max-same addresses. */
static int find_repeated(const struct entries *es, uint64_t max_same, struct same **out, size_t *n_out,
                         struct error *err)
{
    size_t n = 0, kept = 0;
    *out = NULL;
    *n_out = 0;
    struct same *all = mem_alloc((es->n + 1) * sizeof *all, err);
    if (!all) return -1;
    for (size_t i = 0; i < es->n; i++)
        if (es->items[i].stored) all[n++] = (struct same){es->items[i].hash, 1};
    qsort(all, n, sizeof *all, by_hash);
    for (size_t i = 0; i < n;) {
        size_t end = i + 1;
        while (end < n && by_hash(&all[i], &all[end]) == 0)
            end++;
        if (end - i > max_same) all[kept++] = (struct same){all[i].hash, (uint32_t)(end - i)};
        i = end;
    }
    *out = all;
    *n_out = kept;
    return 0;
}

int entries_mark_repeated(struct entries *es, uint64_t max_same, struct error *err)
{
    struct same *list;
    size_t n;
    if (max_same == 0) return 0;
    if (find_repeated(es, max_same, &list, &n, err)) return -1;
    int rc = 0;
    for (size_t i = 0; n > 0 && rc == 0 && i < es->n; i++) {
        struct entry *e = &es->items[i];
        struct same key = {e->hash, 0}, *found;
        if (!e->stored || !(found = bsearch(&key, list, n, sizeof *list, by_hash))) continue;
        char hex[XXH128_HEX_BYTES];
        struct text detail = TEXT_EMPTY;
        struct entry_more *more = entry_need_more(es, e, err);
        xxh128_hex(hex, &e->hash);
        if (!more || text_printf(&detail, err, "%u addresses gave %s", found->n, hex) ||
            !(more->detail = arena_strdup(&es->arena, detail.data, err)))
            rc = -1;
        text_release(&detail);
        e->stored = false; /* for the report only: the journal and the store keep it */
        e->reason = REASON_REPEATED;
    }
    free(list);
    return rc;
}

/* --- rows --- */

static void base_fields(const struct inputs *in, const struct row *r, const char **fields)
{
    size_t known = r->more ? (size_t)(uintptr_t)r->more[0] : 0;
    for (size_t i = 0; i < in->schema.n; i++)
        fields[i] = (int)i == in->url_column     ? r->url
                    : (int)i == in->label_column ? r->label
                    : i < known                  ? r->more[1 + i]
                                                 : NULL;
}

static int write_kept(const struct entry *e, const char *path_prefix, const char **fields,
                      struct manifest_writer *out, struct error *err)
{
    char signals[RIGHTS_TEXT_BYTES], object[OBJECT_PATH_BYTES], hex[XXH128_HEX_BYTES], bytes[24], status[8],
        when[21];
    struct text path = TEXT_EMPTY;
    snprintf(bytes, sizeof bytes, "%u", e->bytes);
    snprintf(status, sizeof status, "%u", (unsigned)e->status);
    xxh128_hex(hex, &e->hash);
    object_path(object, &e->hash, image_kind_extension((enum image_kind)e->kind));
    int rc = text_puts(&path, path_prefix, err) || text_puts(&path, object, err) ? -1 : 0;
    if (rc == 0) {
        const char *added[] = {path.data,
                               bytes,
                               hex,
                               status,
                               format_time(when, e->fetched_at),
                               image_kind_name((enum image_kind)e->kind),
                               e->more ? e->more->final_url : NULL,
                               rights_name(rights_of(e->rights)),
                               rights_text(signals, e->rights)};
        rc = manifest_writer_row(out, fields, added, err);
    }
    text_release(&path);
    return rc;
}

int fetch_write_rows(const struct inputs *in, const char *path_prefix, struct manifest_writer *out,
                     struct manifest_writer *rejects, struct stage_counts *n, struct error *err)
{
    const char **fields = mem_zalloc(in->schema.n + 1, sizeof *fields, err);
    int rc = fields ? 0 : -1;
    for (size_t i = 0; rc == 0 && i < in->n_rows; i++) {
        const struct row *r = &in->rows[i];
        const struct entry *e = &in->entries->items[r->entry];
        char slug[24];
        base_fields(in, r, fields);
        n->n_read++;
        if (e->stored) {
            n->n_kept++;
            rc = write_kept(e, path_prefix, fields, out, err);
        } else {
            n->n_rejected++;
            rc = manifest_writer_reject(rejects, fields, reason_slug((enum reason)e->reason, e->status, slug),
                                        e->more ? e->more->detail : NULL, err);
        }
    }
    free(fields);
    return rc;
}

/* --- the summary --- */

struct tally {
    const char *host;
    char reason[24];
    uint64_t urls, bytes;
};

static int by_host_and_reason(const void *a, const void *b)
{
    const struct tally *x = a, *y = b;
    int order = strcmp(x->host, y->host);
    return order ? order : strcmp(x->reason, y->reason);
}

int fetch_write_summary(const struct entries *es, const struct hosts *hosts, const char *path,
                        struct error *err)
{
    static const char *const columns[] = {"host", "outcome", "urls", "bytes", NULL};
    struct manifest_writer out = MANIFEST_WRITER_EMPTY;
    struct tally *all = mem_alloc((es->n + 1) * sizeof *all, err);
    size_t n = 0;
    int rc = -1;
    if (!all || manifest_writer_open(&out, path, NULL, columns, err)) goto out;
    for (size_t i = 0; i < es->n; i++) {
        const struct entry *e = &es->items[i];
        struct tally *t = &all[n++];
        *t = (struct tally){.host = e->host == NO_INDEX ? "" : hosts->items[e->host].name,
                            .urls = 1,
                            .bytes = e->stored ? e->bytes : 0};
        char slug[24];
        snprintf(t->reason, sizeof t->reason, "%s",
                 e->stored && e->refused_now ? "ok-refused-now"
                 : e->stored                 ? "ok"
                                             : reason_slug((enum reason)e->reason, e->status, slug));
    }
    qsort(all, n, sizeof *all, by_host_and_reason);
    for (size_t i = 0; i < n;) {
        struct tally sum = all[i];
        char urls[24], bytes[24];
        for (i++; i < n && by_host_and_reason(&sum, &all[i]) == 0; i++)
            sum.urls += all[i].urls, sum.bytes += all[i].bytes;
        snprintf(urls, sizeof urls, "%llu", (unsigned long long)sum.urls);
        snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)sum.bytes);
        if (manifest_writer_row(&out, NULL, (const char *const[]){sum.host, sum.reason, urls, bytes}, err))
            goto out;
    }
    rc = manifest_writer_commit(&out, err);
out:
    manifest_writer_discard(&out);
    free(all);
    return rc;
}
