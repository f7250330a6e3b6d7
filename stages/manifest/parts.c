#include "parts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "base/random.h"
#include "base/text.h"
#include "manifest/manifest.h"
#include "manifest/url_host.h"

enum key_kind { KEY_COLUMN, KEY_HOST, KEY_ROW };

static int find_key(const struct manifest_reader *in, const char *by, enum key_kind *kind, int *column,
                    struct error *err)
{
    static const char *const automatic[] = {"xxh128", "path", "url"};
    *kind = KEY_COLUMN;
    if (!strcmp(by, "row")) {
        *kind = KEY_ROW;
        return 0;
    }
    if (!strcmp(by, "host")) {
        *kind = KEY_HOST;
        by = "url";
    }
    *column = manifest_column(&in->schema, by);
    for (size_t i = 0; !strcmp(by, "auto") && *column < 0 && i < sizeof automatic / sizeof *automatic; i++)
        *column = manifest_column(&in->schema, automatic[i]);
    if (*column < 0)
        return error_set(err, EX_DATAERR, "'%s' has no column to split by (%s)", in->name,
                         strcmp(by, "auto") ? by : "xxh128, path or url; name one with --by");
    return 0;
}

static uint64_t part_of(const struct manifest_reader *in, enum key_kind kind, int column, uint64_t n_parts)
{
    char lower[256];
    if (kind == KEY_ROW) return (in->row - 1) % n_parts;
    const char *field = in->fields[column];
    size_t n = strlen(field);
    if (kind == KEY_HOST) {
        field = url_host(field, &n);
        if (n > sizeof lower) n = sizeof lower;
        for (size_t i = 0; i < n; i++)
            lower[i] = field[i] >= 'A' && field[i] <= 'Z' ? (char)(field[i] | 32) : field[i];
        field = lower;
    }
    struct random r = {random_key(field, n)};
    return random_below(&r, n_parts);
}

int parts_split(const struct parts_options *o, const char *input, const char *prefix, struct stage_counts *n,
                struct error *err)
{
    static const char *const adds[] = {PART_ROW_COLUMN, NULL};
    struct manifest_reader in = MANIFEST_READER_EMPTY;
    size_t n_parts = (size_t)o->parts;
    enum key_kind kind;
    char path[4096], row[24];
    int column = -1, got, rc = -1;
    assert(n_parts > 0); /* the option table's range */
    struct manifest_writer *out = mem_zalloc(n_parts, sizeof *out, err);
    if (!out) return -1;
    for (size_t i = 0; i < n_parts; i++)
        out[i] = MANIFEST_WRITER_EMPTY;
    if (manifest_reader_open(&in, input, NULL, err) || find_key(&in, o->by, &kind, &column, err)) goto out;
    if (manifest_column(&in.schema, PART_ROW_COLUMN) >= 0) {
        error_set(err, EX_DATAERR,
                  "'%s' is already a part (it has a column '" PART_ROW_COLUMN "'): merge it first", in.name);
        goto out;
    }
    if (io_mkdirs_for(prefix, err)) goto out;
    for (size_t i = 0; i < n_parts; i++) {
        if ((size_t)snprintf(path, sizeof path, "%s%03zu.tsv", prefix, i) >= sizeof path) {
            error_set(err, EX_USAGE, "the prefix is too long");
            goto out;
        }
        if (manifest_writer_open(&out[i], path, &in.schema, adds, err)) goto out;
    }
    while ((got = manifest_reader_next(&in, err)) > 0) {
        const char *added[] = {row};
        snprintf(row, sizeof row, "%llu", (unsigned long long)in.row);
        n->n_read++;
        n->n_kept++;
        if (manifest_writer_row(&out[part_of(&in, kind, column, n_parts)], in.fields, added, err)) goto out;
    }
    if (got < 0) goto out;
    for (size_t i = 0; i < n_parts; i++)
        if (manifest_writer_commit(&out[i], err)) goto out;
    rc = 0;
out:
    for (size_t i = 0; i < n_parts; i++)
        manifest_writer_discard(&out[i]);
    free(out);
    manifest_reader_close(&in);
    return rc;
}

struct source {
    struct manifest_reader in;
    int number_column;
    uint64_t number; /* of the current row */
    bool ended;
};

static int advance(struct source *s, struct error *err)
{
    uint64_t before = s->number;
    int got = manifest_reader_next(&s->in, err);
    if (got < 0) return -1;
    s->ended = got == 0;
    if (s->ended) return 0;
    if (parse_u64(s->in.fields[s->number_column], 1, UINT64_MAX, &s->number, PART_ROW_COLUMN, err)) {
        err->code = EX_DATAERR;
        return error_prefix(err, "'%s', row %llu", s->in.name, (unsigned long long)s->in.row);
    }
    if (s->number < before)
        return error_set(err, EX_DATAERR,
                         "'%s', row %llu: '" PART_ROW_COLUMN
                         "' falls from %llu to %llu: was the file sorted?",
                         s->in.name, (unsigned long long)s->in.row, (unsigned long long)before,
                         (unsigned long long)s->number);
    return 0;
}

/* Removes the column part_row from s->in.fields, in place. */
static void drop_number(struct source *s)
{
    for (size_t i = (size_t)s->number_column; i + 1 < s->in.schema.n; i++)
        s->in.fields[i] = s->in.fields[i + 1];
}

int parts_merge(const struct parts_options *o, char **inputs, int n_inputs, struct stage_counts *n,
                struct error *err)
{
    static const char *const required[] = {PART_ROW_COLUMN, NULL};
    struct manifest_writer out = MANIFEST_WRITER_EMPTY;
    struct manifest_schema base = {0};
    int rc = -1;
    struct source *sources = mem_zalloc((size_t)n_inputs, sizeof *sources, err);
    if (!sources) return -1;
    for (int i = 0; i < n_inputs; i++) {
        struct source *s = &sources[i];
        if (manifest_reader_open(&s->in, inputs[i], required, err)) goto out;
        s->number_column = manifest_column(&s->in.schema, PART_ROW_COLUMN);
        bool same = s->in.schema.n == sources[0].in.schema.n;
        for (size_t c = 0; same && c < s->in.schema.n; c++)
            same = !strcmp(s->in.schema.names[c], sources[0].in.schema.names[c]);
        if (!same) {
            error_set(err, EX_DATAERR,
                      "'%s' and '%s' have different columns: parts of one manifest must have the same",
                      inputs[0], inputs[i]);
            goto out;
        }
        if (advance(s, err)) goto out;
    }
    size_t n_columns = sources[0].in.schema.n;
    if (!(base.names = mem_zalloc(n_columns, sizeof *base.names, err))) goto out;
    for (size_t c = 0; c < n_columns; c++)
        if ((int)c != sources[0].number_column) base.names[base.n++] = sources[0].in.schema.names[c];
    if (manifest_writer_open(&out, o->common.output, &base, NULL, err)) goto out;
    for (;;) {
        /* Searches all parts: there are hundreds at most, and writing a row takes longer than finding it. */
        struct source *least = NULL;
        for (int i = 0; i < n_inputs; i++) {
            struct source *s = &sources[i];
            if (s->ended) continue;
            if (least && s->number == least->number) {
                error_set(err, EX_DATAERR,
                          "'%s', row %llu, and '%s', row %llu, have the same '" PART_ROW_COLUMN
                          "' %llu: is a part named twice?",
                          least->in.name, (unsigned long long)least->in.row, s->in.name,
                          (unsigned long long)s->in.row, (unsigned long long)s->number);
                goto out;
            }
            if (!least || s->number < least->number) least = s;
        }
        if (!least) break;
        n->n_read++;
        n->n_kept++;
        drop_number(least);
        if (manifest_writer_row(&out, least->in.fields, NULL, err) || advance(least, err)) goto out;
    }
    rc = manifest_writer_commit(&out, err);
out:
    manifest_writer_discard(&out);
    free(base.names);
    for (int i = 0; i < n_inputs; i++)
        manifest_reader_close(&sources[i].in);
    free(sources);
    return rc;
}

int parts_concatenate(const struct parts_options *o, char **inputs, int n_inputs, struct stage_counts *n,
                      struct error *err)
{
    struct manifest_writer out = MANIFEST_WRITER_EMPTY;
    struct manifest_reader in = MANIFEST_READER_EMPTY;
    struct manifest_schema all = {0};
    size_t capacity = 0;
    const char **row = NULL;
    int *column = NULL, rc = -1;
    /* Reads all headers once for the columns, in the order in which they first occur. */
    for (int i = 0; i < n_inputs; i++) {
        if (!strcmp(inputs[i], "-") && n_inputs > 1) {
            error_set(err, EX_USAGE, "standard input cannot be read twice: name files");
            goto out;
        }
        if (manifest_reader_open(&in, inputs[i], NULL, err)) goto out;
        for (size_t c = 0; c < in.schema.n; c++) {
            if (manifest_column(&all, in.schema.names[c]) >= 0) continue;
            if (mem_grow(&all.names, &capacity, all.n + 1, sizeof *all.names, err) ||
                !(all.names[all.n] = mem_strdup(in.schema.names[c], err)))
                goto out;
            all.n++;
        }
        manifest_reader_close(&in);
    }
    row = mem_zalloc(all.n, sizeof *row, err);
    column = mem_zalloc(all.n, sizeof *column, err);
    if (!row || !column || manifest_writer_open(&out, o->common.output, &all, NULL, err)) goto out;
    for (int i = 0; i < n_inputs; i++) {
        int got;
        if (manifest_reader_open(&in, inputs[i], NULL, err)) goto out;
        for (size_t c = 0; c < all.n; c++)
            column[c] = manifest_column(&in.schema, all.names[c]);
        while ((got = manifest_reader_next(&in, err)) > 0) {
            for (size_t c = 0; c < all.n; c++)
                row[c] = manifest_field(&in, column[c]);
            n->n_read++;
            n->n_kept++;
            if (manifest_writer_row(&out, row, NULL, err)) goto out;
        }
        if (got < 0) goto out;
        manifest_reader_close(&in);
    }
    rc = manifest_writer_commit(&out, err);
out:
    manifest_writer_discard(&out);
    manifest_reader_close(&in);
    for (size_t c = 0; c < all.n; c++)
        free(all.names[c]);
    free(all.names);
    free(row);
    free(column);
    return rc;
}
