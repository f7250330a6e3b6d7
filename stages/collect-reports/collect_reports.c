/* collect_reports.c: reads and joins reports. There are only hundreds, so each reported hash is compared with
 * all hashes of the manifest. */
#include "collect_reports.h"

#include <stdlib.h>
#include <string.h>

#include "metric/predictions.h"

static bool hex_of(const char *s, size_t n) { return strlen(s) == n && strspn(s, "0123456789abcdef") == n; }

static bool plain_field(const char *s)
{
    size_t n = strlen(s);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f) return false;
    return n <= REPORT_MAX_FIELD && text_is_utf8(s, n);
}

/* Returns the report about this picture, model and claim, which is added when it is new, or NULL with err
 * set. */
static struct report *find(struct reports *r, const struct report *like, struct error *err)
{
    for (size_t i = 0; i < r->n; i++) {
        struct report *x = &r->items[i];
        if (strcmp(x->id, like->id) == 0 && strcmp(x->pdq, like->pdq) == 0 &&
            strcmp(x->model, like->model) == 0 && strcmp(x->claimed, like->claimed) == 0)
            return x;
    }
    if (mem_grow(&r->items, &r->capacity, r->n + 1, sizeof *r->items, err)) return NULL;
    struct report *x = &r->items[r->n];
    *x = (struct report){.match_id = "",
                         .match_label = "",
                         .match_by = "",
                         .now = "",
                         .distance = -1,
                         .last_file = SIZE_MAX};
    if (!(x->id = arena_strdup(&r->arena, like->id, err)) ||
        !(x->pdq = arena_strdup(&r->arena, like->pdq, err)) ||
        !(x->quality = arena_strdup(&r->arena, like->quality, err)) ||
        !(x->model = arena_strdup(&r->arena, like->model, err)) ||
        !(x->pred = arena_strdup(&r->arena, like->pred, err)) ||
        !(x->claimed = arena_strdup(&r->arena, like->claimed, err)))
        return NULL;
    r->n++;
    return x;
}

/* Whether name is in the list, which is separated by commas. */
static bool listed(const struct text *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *s = list->data ? list->data : ""; *s;) {
        size_t m = strcspn(s, ",");
        if (m == n && memcmp(s, name, n) == 0) return true;
        s += m + (s[m] == ',');
    }
    return false;
}

struct row {
    struct report fields;
    const char *slice;
};

/* Checks one row. Returns 0, or 1 with why set. */
static int check_row(const struct manifest_reader *in, struct row *row, const int *columns, struct error *why)
{
    static const char *const names[] = {"id",   "pdq",           "pdq_quality", "model_id",
                                        "pred", "claimed_label", "slice"};
    const char *values[7];
    for (int i = 0; i < 7; i++) {
        values[i] = manifest_field(in, columns[i]);
        if (!plain_field(values[i]) || (i == 6 && strchr(values[i], ',')))
            return error_set(why, EX_DATAERR,
                             "row %llu: %s is too long or holds characters that are not allowed",
                             (unsigned long long)in->row, names[i]),
                   1;
    }
    if (!values[0][0] && !values[1][0])
        return error_set(why, EX_DATAERR, "row %llu: neither id nor pdq says which picture it is about",
                         (unsigned long long)in->row),
               1;
    if ((values[0][0] && !hex_of(values[0], 32)) || (values[1][0] && !hex_of(values[1], 64)))
        return error_set(why, EX_DATAERR, "row %llu: id is not a content hash, or pdq is not a PDQ hash",
                         (unsigned long long)in->row),
               1;
    row->fields = (struct report){.id = values[0],
                                  .pdq = values[1],
                                  .quality = values[2],
                                  .model = values[3],
                                  .pred = values[4],
                                  .claimed = values[5]};
    row->slice = values[6];
    return 0;
}

/* Returns 1 when the file is invalid. Returns -1 with err set when the machine failed, for example without
 * memory: the report must then not be skipped. */
static int bad_or_broken(const struct error *why, struct error *err)
{
    if (why->code == EX_DATAERR) return 1;
    *err = *why;
    return -1;
}

/* Reads all rows. It is called twice, first to check them and then to add them, so that no row of an invalid
 * file is added. */
static int pass(struct reports *r, const char *bytes, size_t n_bytes, const char *name, bool take,
                struct error *why, struct error *err)
{
    struct manifest_reader in = MANIFEST_READER_EMPTY;
    int columns[7], got, rc = 0;
    if (manifest_reader_open_edited(&in, name, bytes, n_bytes, NULL, why)) return bad_or_broken(why, err);
    static const char *const names[] = {"id",   "pdq",           "pdq_quality", "model_id",
                                        "pred", "claimed_label", "slice"};
    for (int i = 0; i < 7; i++)
        columns[i] = manifest_column(&in.schema, names[i]);
    if (columns[0] < 0 || columns[5] < 0) {
        error_set(why, EX_DATAERR, "no columns id and claimed_label: not a report");
        rc = 1;
    }
    while (rc == 0 && (got = manifest_reader_next(&in, why)) != 0) {
        struct row row;
        if (got < 0 || check_row(&in, &row, columns, why)) {
            rc = bad_or_broken(why, err);
        } else if (in.row > REPORT_MAX_ROWS) {
            error_set(why, EX_DATAERR, "more than %d rows: not a report", REPORT_MAX_ROWS);
            rc = 1;
        } else if (take) {
            struct report *x = find(r, &row.fields, err);
            if (!x || (row.slice[0] && !listed(&x->slices, row.slice) &&
                       ((x->slices.n_bytes && text_puts(&x->slices, ",", err)) ||
                        text_puts(&x->slices, row.slice, err)))) {
                rc = -1;
            } else if (x->last_file != r->n_files) {
                x->last_file = r->n_files;
                x->n++;
            }
        }
    }
    if (rc == 0 && !take && in.row <= 1) {
        error_set(why, EX_DATAERR, "no rows");
        rc = 1;
    }
    manifest_reader_close(&in);
    return rc;
}

int reports_add_memory(struct reports *r, const char *bytes, size_t n_bytes, const char *name,
                       struct error *why, struct error *err)
{
    int rc = pass(r, bytes, n_bytes, name, false, why, err);
    if (rc == 0) rc = pass(r, bytes, n_bytes, name, true, why, err);
    r->n_files += rc == 0;
    r->n_bad += rc > 0;
    return rc;
}

void reports_release(struct reports *r)
{
    for (size_t i = 0; i < r->n; i++)
        text_release(&r->items[i].slices);
    free(r->items);
    arena_release(&r->arena);
    *r = REPORTS_EMPTY;
}

/* --- matching --- */

static bool pdq_of(const char *hex, uint64_t out[REPORT_PDQ_WORDS])
{
    return hex_of(hex, 64) && hex_decode(out, REPORT_PDQ_WORDS * sizeof *out, hex) == 0;
}

static int pdq_distance(const uint64_t *a, const uint64_t *b)
{
    int bits = 0;
    for (int i = 0; i < REPORT_PDQ_WORDS; i++)
        bits += __builtin_popcountll(a[i] ^ b[i]);
    return bits;
}

static int take_match(struct reports *r, struct report *x, const char *id, const char *label, const char *by,
                      int distance, struct error *err)
{
    x->match_by = by;
    x->distance = distance;
    return (x->match_id = arena_strdup(&r->arena, id, err)) &&
                   (x->match_label = arena_strdup(&r->arena, label, err))
               ? 0
               : -1;
}

int reports_match(struct reports *r, const char *manifest, int max_distance, struct error *err)
{
    struct manifest_reader in = MANIFEST_READER_EMPTY;
    uint64_t(*wanted)[REPORT_PDQ_WORDS] = mem_zalloc(r->n ? r->n : 1, sizeof *wanted, err),
    have[REPORT_PDQ_WORDS];
    int rc = -1, got, id, label, pdq;
    char shown[256];
    if (!wanted || manifest_reader_open(&in, manifest, NULL, err)) goto out;
    if ((id = manifest_column(&in.schema, "xxh128")) < 0 && (id = manifest_column(&in.schema, "id")) < 0) {
        error_set(err, EX_DATAERR, "'%s' has no column 'xxh128' (nor 'id')",
                  text_for_people(shown, sizeof shown, in.name));
        goto out;
    }
    label = manifest_column(&in.schema, "label");
    pdq = manifest_column(&in.schema, "pdq");
    for (size_t i = 0; i < r->n; i++)
        pdq_of(r->items[i].pdq, wanted[i]);
    while ((got = manifest_reader_next(&in, err)) > 0) {
        bool hashed = pdq >= 0 && pdq_of(in.fields[pdq], have);
        for (size_t i = 0; i < r->n; i++) {
            struct report *x = &r->items[i];
            if (x->id[0] && strcmp(x->id, in.fields[id]) == 0) {
                if (take_match(r, x, in.fields[id], manifest_field(&in, label), "id", 0, err)) goto out;
            } else if (hashed && x->pdq[0] && strcmp(x->match_by, "id") != 0) {
                int d = pdq_distance(wanted[i], have);
                if (d <= max_distance && (x->distance < 0 || d < x->distance) &&
                    take_match(r, x, in.fields[id], manifest_field(&in, label), "pdq", d, err))
                    goto out;
            }
        }
    }
    rc = got;
out:
    manifest_reader_close(&in);
    free(wanted);
    return rc;
}

int reports_predict(struct reports *r, const char *predictions, struct error *err)
{
    static const char *const required[] = {"pred", NULL};
    struct manifest_reader in = MANIFEST_READER_EMPTY;
    int rc = -1, got, id, pred;
    char shown[256];
    if (manifest_reader_open(&in, predictions, required, err)) return -1;
    pred = manifest_column(&in.schema, "pred");
    if ((id = manifest_column(&in.schema, "id")) < 0 && (id = manifest_column(&in.schema, "xxh128")) < 0) {
        error_set(err, EX_DATAERR, "'%s' has no column 'id' (nor 'xxh128')",
                  text_for_people(shown, sizeof shown, in.name));
        goto out;
    }
    while ((got = manifest_reader_next(&in, err)) > 0)
        for (size_t i = 0; i < r->n; i++) {
            struct report *x = &r->items[i];
            const char *which = x->match_id[0] ? x->match_id : x->id;
            if (!which[0] || strcmp(which, in.fields[id]) != 0) continue;
            if (x->now[0] && strcmp(x->now, in.fields[pred]) != 0) {
                error_set(err, EX_DATAERR, "'%s', row %llu: an earlier row has another prediction for '%s'",
                          text_for_people(shown, sizeof shown, in.name), (unsigned long long)in.row, which);
                goto out;
            }
            if (!(x->now = arena_strdup(&r->arena, in.fields[pred], err))) goto out;
        }
    rc = got;
out:
    manifest_reader_close(&in);
    return rc;
}

/* --- output --- */

int reports_write(const struct reports *r, const char *path, struct error *err)
{
    static const char *const columns[] =
        {"id",    "label_claimed", "slices",     "reports",  "model_id",    "pred_reported", "pred",
         "fixed", "label",         "matched_by", "distance", "reported_id", "pdq",           NULL};
    struct manifest_writer w = MANIFEST_WRITER_EMPTY;
    int rc = -1;
    if (manifest_writer_open(&w, path, NULL, columns, err)) goto out;
    for (size_t i = 0; i < r->n; i++) {
        const struct report *x = &r->items[i];
        char n[32], distance[16] = "";
        snprintf(n, sizeof n, "%llu", (unsigned long long)x->n);
        if (x->distance >= 0) snprintf(distance, sizeof distance, "%d", x->distance);
        /* A mistake is fixed when the present model predicts the label that the user claimed. It is unknown
         * without a prediction or a claim. */
        const char *fixed = !x->now[0] || !x->claimed[0] ? "" : strcmp(x->now, x->claimed) == 0 ? "1" : "0";
        const char *cells[] = {x->match_id[0] ? x->match_id : x->id,
                               x->claimed,
                               x->slices.data ? x->slices.data : "",
                               n,
                               x->model,
                               x->pred,
                               x->now,
                               fixed,
                               x->match_label,
                               x->match_by,
                               distance,
                               x->id,
                               x->pdq};
        if (manifest_writer_row(&w, NULL, cells, err)) goto out;
    }
    rc = manifest_writer_commit(&w, err);
out:
    manifest_writer_discard(&w);
    return rc;
}

int reports_write_slices(const struct reports *r, const char *path, bool matched, struct error *err)
{
    static const char *const columns[] = {"id", "slice", NULL};
    struct manifest_writer w = MANIFEST_WRITER_EMPTY;
    struct text name = TEXT_EMPTY;
    int rc = -1;
    if (manifest_writer_open(&w, path, NULL, columns, err)) goto out;
    for (size_t i = 0; i < r->n; i++) {
        const struct report *x = &r->items[i];
        const char *id = x->match_id[0] ? x->match_id : x->id;
        if (!id[0] || (matched && !x->match_id[0])) continue;
        for (const char *s = x->slices.data ? x->slices.data : ""; *s;) {
            size_t n = strcspn(s, ",");
            text_clear(&name);
            if (text_add(&name, s, n, err)) goto out;
            const char *cells[] = {id, name.data};
            if (manifest_writer_row(&w, NULL, cells, err)) goto out;
            s += n + (s[n] == ',');
        }
    }
    rc = manifest_writer_commit(&w, err);
out:
    manifest_writer_discard(&w);
    text_release(&name);
    return rc;
}
