/* card_sources.c: writes the part of the card that says where the pictures come from. Its data are the table
 * and the Croissant description that report-sources wrote. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "export.h"
#include "io/io.h"
#include "manifest/manifest.h"
#include "page/page.h"

/* The largest number of rows of one kind that the card shows; the table has all rows. */
#define MAX_SHOWN 10
#define FILE_MAX_BYTES (1ull << 30)

struct shown {
    const char *kind, *title;
    size_t n;
    struct text rows; /* of a Markdown table */
};

static int add_row(struct shown *s, const char *name, const char *pictures, const char *share,
                   struct error *err)
{
    double part = metric_number(share);
    if (++s->n > MAX_SHOWN) return 0;
    return text_printf(&s->rows, err, "| %s | ", s->n == 1 ? s->title : "") ||
                   export_plain(&s->rows, *name ? name : "not recorded", err) ||
                   text_puts(&s->rows, " | ", err) || export_plain(&s->rows, pictures, err) ||
                   text_printf(&s->rows, err, " | %.1f %% |\n", 100 * part)
               ? -1
               : 0;
}

static int put_table(FILE *f, const char *path, struct error *err)
{
    static const char *const required[] = {"kind", "name", "pictures", "pictures_share", "bytes", NULL};
    struct shown shown[] = {{"domain", "domain", 0, TEXT_EMPTY},
                            {"licence", "licence", 0, TEXT_EMPTY},
                            {"rights", "rights as the sites signal them", 0, TEXT_EMPTY}};
    const size_t n_shown = sizeof shown / sizeof *shown;
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    int got = -1;
    if (manifest_reader_open(&r, path, required, err)) goto out;
    int kind = manifest_column(&r.schema, "kind"), name = manifest_column(&r.schema, "name"),
        pictures = manifest_column(&r.schema, "pictures"),
        share = manifest_column(&r.schema, "pictures_share"), bytes = manifest_column(&r.schema, "bytes"),
        first = manifest_column(&r.schema, "first_fetched"),
        last = manifest_column(&r.schema, "last_fetched");
    while ((got = manifest_reader_next(&r, err)) > 0) {
        if (strcmp(r.fields[kind], "all") == 0) {
            export_put_plain(f, r.fields[pictures]);
            fputs(" pictures, ", f);
            export_put_plain(f, r.fields[bytes]);
            fputs(" bytes", f);
            if (*manifest_field(&r, first)) {
                fputs(", fetched from ", f);
                export_put_plain(f, manifest_field(&r, first));
                fputs(" to ", f);
                export_put_plain(f, manifest_field(&r, last));
            }
            fputs(".\n\n", f);
        }
        for (size_t i = 0; i < n_shown; i++)
            if (strcmp(r.fields[kind], shown[i].kind) == 0 &&
                (got = add_row(&shown[i], r.fields[name], r.fields[pictures], r.fields[share], err)))
                goto out;
    }
    if (got) goto out;
    fputs("| | | pictures | share |\n| --- | --- | --- | --- |\n", f);
    for (size_t i = 0; i < n_shown; i++) {
        if (shown[i].rows.n_bytes) fputs(shown[i].rows.data, f);
        if (shown[i].n > MAX_SHOWN) fprintf(f, "| | %zu more in the table | | |\n", shown[i].n - MAX_SHOWN);
    }
    fputs("\n", f);
out:
    manifest_reader_close(&r);
    for (size_t i = 0; i < n_shown; i++)
        text_release(&shown[i].rows);
    return got;
}

/* Cites the file by its name and its SHA-256, so that a reader who has the file can verify it. */
static int put_citation(FILE *f, const char *what, const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    char *bytes = NULL, hex[2 * SHA256_BYTES + 1];
    uint8_t digest[SHA256_BYTES];
    size_t n;
    if (io_read_file(path, FILE_MAX_BYTES, &bytes, &n, err)) return -1;
    sha256_of(digest, bytes, n);
    hex_encode(hex, digest, sizeof digest);
    free(bytes);
    fprintf(f, "- %s: ", what);
    export_put_plain(f, slash ? slash + 1 : path);
    fprintf(f, ", SHA-256 `%s`\n", hex);
    return 0;
}

int export_card_sources(FILE *f, const struct export *x, struct error *err)
{
    const char *table = x->opt->sources, *croissant = x->opt->croissant;
    if (!table && !croissant) return 0;
    fprintf(f, "## Sources\n\n");
    if ((table && (put_table(f, table, err) || put_citation(f, "Table of the sources", table, err))) ||
        (croissant && put_citation(f, "Description of the data set (Croissant 1.1)", croissant, err)))
        return -1;
    fprintf(f, "\n");
    return 0;
}
