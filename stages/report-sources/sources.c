/* sources.c: see sources.h. */
#include "sources.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/number.h"
#include "io/path.h"
#include "manifest/url_host.h"
#ifndef WITHOUT_PSL
#include "psl/psl_domain.h"
#endif

static int count(struct tallies *t, const char *word, uint64_t bytes, struct error *err)
{
    uint32_t i;
    size_t before = t->words.n;
    if (names_find(&t->words, word, &i, err) ||
        mem_grow(&t->items, &t->capacity, t->words.n, sizeof *t->items, err))
        return -1;
    if (t->words.n > before) t->items[i] = (struct tally){0};
    t->items[i].n++;
    t->items[i].bytes += bytes;
    return 0;
}

/* "a.b.co.uk" gives "b.co.uk", by the Public Suffix List; built without libpsl, by a short list of second
 * levels. host is in lower case; returns a part of it. */
#ifndef WITHOUT_PSL
static const char *registrable_domain(const char *host)
{
    if (!host[strspn(host, "0123456789.")] || *host == '[') return host; /* a numeric address */
    const char *domain = psl_domain(host);
    return domain ? domain : host;
}
#else
static const char *registrable_domain(const char *host)
{
    static const char *const second[] = {"co", "com", "org", "net", "gov", "edu", "ac", "or", "ne", "go"};
    const char *dots[3] = {0};
    if (!host[strspn(host, "0123456789.")] || *host == '[') return host; /* a numeric address */
    for (const char *c = host; *c; c++)
        if (*c == '.') dots[2] = dots[1], dots[1] = dots[0], dots[0] = c;
    if (!dots[1]) return host;
    size_t n = (size_t)(dots[0] - dots[1] - 1);
    for (size_t i = 0; strlen(dots[0]) == 3 && i < sizeof second / sizeof *second; i++)
        if (strlen(second[i]) == n && memcmp(second[i], dots[1] + 1, n) == 0)
            return dots[2] ? dots[2] + 1 : host;
    return dots[1] + 1;
}
#endif

static int count_url(struct sources *s, const char *url, uint64_t bytes, struct error *err)
{
    char host[256];
    size_t n;
    if (!strstr(url, "://")) return count(&s->domains, "", bytes, err);
    const char *from = url_host(url, &n);
    if (n >= sizeof host) n = sizeof host - 1;
    for (size_t i = 0; i < n; i++)
        host[i] = (char)tolower((unsigned char)from[i]);
    while (n > 0 && host[n - 1] == '.') /* of a name that is written out to the root */
        n--;
    host[n] = 0;
    return count(&s->domains, registrable_domain(host), bytes, err);
}

static int share_folder(struct sources *s, const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash + 1 - path) : 0, same = 0;
    if (!s->has_prefix) {
        s->has_prefix = true;
        return text_add(&s->prefix, path, n, err);
    }
    for (size_t i = 0; i < n && i < s->prefix.n_bytes && path[i] == s->prefix.data[i]; i++)
        if (path[i] == '/') same = i + 1;
    s->prefix.n_bytes = same;
    if (s->prefix.data) s->prefix.data[same] = 0;
    return 0;
}

/* Returns how the validator's reader (pandas with its defaults) would misread the value, or NULL when it
 * would not. */
static const char *misread(const char *value)
{
    static const char *const absent[] = {"NA",   "N/A",  "n/a",     "#N/A",   "#N/A N/A", "#NA",
                                         "<NA>", "null", "NULL",    "None",   "nan",      "NaN",
                                         "-nan", "-NaN", "-1.#IND", "1.#IND", "-1.#QNAN", "1.#QNAN"};
    if (value[0] == '"') return "begins with a quote";
    if (value[strcspn(value, "\t\n\r\\")]) return "has an escape";
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        if (strcmp(value, absent[i]) == 0) return "is read as absent";
    return NULL;
}

static bool looks_like_a_number(const char *value)
{
    struct error ignored = {0};
    double v;
    return parse_double(value, -1e300, 1e300, &v, "", &ignored) == 0 || strcasecmp(value, "true") == 0 ||
           strcasecmp(value, "false") == 0;
}

int sources_read(struct sources *s, const char *path, bool croissant, struct error *err)
{
    static const char *const required[] = {"path", NULL};
    static const char *const guessed[] = {"path", "label", "split", "xxh128"};
    struct manifest_reader in = MANIFEST_READER_EMPTY;
    int rc = -1, got, text_columns[4];
    bool all_numbers[4] = {true, true, true, true}, any[4] = {false};
    if (manifest_reader_open(&in, path, required, err)) goto out;
    const struct manifest_schema *c = &in.schema;
    int url = manifest_column(c, "url"), bytes = manifest_column(c, "bytes"),
        licence = manifest_column(c, "licence"), rights = manifest_column(c, "rights"),
        signal = manifest_column(c, "rights_signal"), when = manifest_column(c, "fetched_at"),
        format = manifest_column(c, "format"), file = manifest_column(c, "path");
    if (licence < 0) licence = manifest_column(c, "license");
    for (int i = 0; i < 4; i++)
        text_columns[i] = manifest_column(c, guessed[i]);
    s->has_url = url >= 0;
    s->has_label = text_columns[1] >= 0;
    s->has_split = text_columns[2] >= 0;
    s->has_hash = text_columns[3] >= 0;
    while ((got = manifest_reader_next(&in, err)) > 0) {
        uint64_t size = 0;
        const char *b = manifest_field(&in, bytes), *time = manifest_field(&in, when),
                   *picture = in.fields[file], *dot = strrchr(picture, '.');
        if (*b && parse_u64(b, 0, UINT64_MAX, &size, "bytes", err)) {
            error_prefix(err, "'%s' row %llu", in.name, (unsigned long long)in.row);
            err->code = EX_DATAERR;
            goto out;
        }
        s->all.n++;
        s->all.bytes += size;
        if ((url >= 0 && count_url(s, in.fields[url], size, err)) ||
            (licence >= 0 && count(&s->licences, in.fields[licence], size, err)) ||
            (rights >= 0 && count(&s->rights, in.fields[rights], size, err)) ||
            (signal >= 0 && count(&s->signals, in.fields[signal], size, err)) ||
            (s->has_label && count(&s->labels, in.fields[text_columns[1]], size, err)) ||
            (s->has_split && count(&s->splits, in.fields[text_columns[2]], size, err)) ||
            (format >= 0 && count(&s->formats, in.fields[format], size, err)) ||
            count(&s->extensions, dot && !strchr(dot, '/') ? dot : "", size, err) ||
            share_folder(s, picture, err))
            goto out;
        if (*time && (!s->first[0] || strcmp(time, s->first) < 0))
            snprintf(s->first, sizeof s->first, "%s", time);
        if (*time && strcmp(time, s->last) > 0) snprintf(s->last, sizeof s->last, "%s", time);
        if (!croissant) continue;
        for (size_t i = 0; i < c->n; i++) {
            const char *why = misread(in.fields[i]);
            if (!why) continue;
            error_set(err, EX_DATAERR,
                      "'%s' row %llu: %s '%.60s' %s where the description is used; change it first", in.name,
                      (unsigned long long)in.row, c->names[i], in.fields[i], why);
            goto out;
        }
        for (int i = 0; i < 4; i++)
            if (text_columns[i] >= 0 && in.fields[text_columns[i]][0]) {
                all_numbers[i] = all_numbers[i] && looks_like_a_number(in.fields[text_columns[i]]);
                any[i] = true;
            }
        if (!path_is_inside(picture)) {
            error_set(err, EX_DATAERR, "'%s' row %llu: '%s' is not below the folder of the manifest", in.name,
                      (unsigned long long)in.row, picture);
            goto out;
        }
        if (strncmp(picture, "./", 2) == 0 || strstr(picture, "/./") || strstr(picture, "//")) {
            error_set(err, EX_DATAERR,
                      "'%s' row %llu: readers find '%s' under a shorter name; write it without ./ and //",
                      in.name, (unsigned long long)in.row, picture);
            goto out;
        }
    }
    for (int i = 0; got == 0 && croissant && i < 4; i++)
        if (any[i] && all_numbers[i]) {
            error_set(
                err, EX_DATAERR,
                "'%s': every %s is a number and would be read as one, '007' as 7; change one of them first",
                in.name, guessed[i]);
            goto out;
        }
    /* A column without any value is left out, because readers would assume that it has numbers. */
    if (croissant) s->has_label = any[1], s->has_split = any[2], s->has_hash = any[3];
    if (got == 0 && croissant && s->all.n == 0) {
        error_set(err, EX_DATAERR, "'%s' has no row: there is nothing to describe; leave --croissant away",
                  in.name);
        goto out;
    }
    rc = got;
out:
    manifest_reader_close(&in);
    return rc;
}

/* --- the table --- */

struct ranked {
    const char *word;
    struct tally t;
};

/* Orders by bytes, as the template requires, then by pictures and name. */
static int by_size(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->t.bytes != y->t.bytes) return x->t.bytes < y->t.bytes ? 1 : -1;
    if (x->t.n != y->t.n) return x->t.n < y->t.n ? 1 : -1;
    return strcmp(x->word, y->word);
}

static int write_row(const struct sources *s, struct manifest_writer *out, const char *kind, const char *word,
                     const struct tally *t, const char *top, bool dates, struct error *err)
{
    char n[24], bytes[24], n_share[32], bytes_share[32];
    snprintf(n, sizeof n, "%llu", (unsigned long long)t->n);
    snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)t->bytes);
    snprintf(n_share, sizeof n_share, "%.6f", s->all.n ? (double)t->n / (double)s->all.n : 0.0);
    snprintf(bytes_share, sizeof bytes_share, "%.6f",
             s->all.bytes ? (double)t->bytes / (double)s->all.bytes : 0.0);
    const char *const fields[] =
        {kind, word, n, n_share, bytes, bytes_share, top, dates ? s->first : "", dates ? s->last : ""};
    return manifest_writer_row(out, NULL, fields, err);
}

static int write_kind(const struct sources *s, struct manifest_writer *out, const char *kind,
                      const struct tallies *t, bool top, struct error *err)
{
    struct ranked *all = mem_alloc((t->words.n + 1) * sizeof *all, err);
    int rc = all ? 0 : -1;
    for (size_t i = 0; rc == 0 && i < t->words.n; i++)
        all[i] = (struct ranked){t->words.text[i], t->items[i]};
    if (rc == 0) qsort(all, t->words.n, sizeof *all, by_size);
    for (size_t i = 0; rc == 0 && i < t->words.n; i++)
        rc = write_row(s, out, kind, all[i].word, &all[i].t,
                       !top                        ? ""
                       : i < (t->words.n + 9) / 10 ? "1"
                                                   : "0",
                       false, err);
    free(all);
    return rc;
}

int sources_write(const struct sources *s, const char *output, struct error *err)
{
    static const char *const columns[] = {"kind",        "name", "pictures",      "pictures_share", "bytes",
                                          "bytes_share", "top",  "first_fetched", "last_fetched",   NULL};
    struct manifest_writer out = MANIFEST_WRITER_EMPTY;
    int rc = manifest_writer_open(&out, output, NULL, columns, err) ||
                     write_row(s, &out, "all", "", &s->all, "", true, err) ||
                     write_kind(s, &out, "domain", &s->domains, true, err) ||
                     write_kind(s, &out, "licence", &s->licences, false, err) ||
                     write_kind(s, &out, "rights", &s->rights, false, err) ||
                     write_kind(s, &out, "signal", &s->signals, false, err) ||
                     manifest_writer_commit(&out, err)
                 ? -1
                 : 0;
    manifest_writer_discard(&out);
    return rc;
}

void sources_release(struct sources *s)
{
    struct tallies *const all[] = {&s->domains, &s->licences, &s->rights,     &s->signals,
                                   &s->labels,  &s->splits,   &s->extensions, &s->formats};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        names_release(&all[i]->words);
        free(all[i]->items);
    }
    text_release(&s->prefix);
    *s = SOURCES_EMPTY;
}
