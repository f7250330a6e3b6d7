/* Manifests: what is read is written and read again to the same bytes; what people are shown is harmless;
 * paths stay inside. */
/* needs: base io cli manifest */
#include <stdlib.h>
#include <string.h>

#include "manifest/manifest.h"
#include "manifest/tsv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add(struct text *out, const char *const *fields, size_t n)
{
    struct error err = {0};
    for (size_t i = 0; i < n; i++)
        if ((i && text_puts(out, "\t", &err)) || tsv_escape(out, fields[i], &err)) abort();
    if (text_puts(out, "\n", &err)) abort();
}

static void look_at(const char *field)
{
    static struct text path;
    struct error err = {0};
    char shown[40];
    text_for_people(shown, sizeof shown, field);
    if (strlen(shown) >= sizeof shown || !text_is_utf8(shown, strlen(shown))) abort();
    for (const char *s = shown; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f) abort();
    if (path_join(&path, "root", field, false, &err)) {
        if (err.code == 0 || !err.text[0]) abort();
    } else if (strncmp(path.data, "root/", 5) != 0 || strstr(path.data, "/../") ||
               text_ends(path.data, "/..")) {
        abort();
    }
}

/* The rows written again; 1 when all of them could be read. */
static int rewrite(const char *bytes, size_t n_bytes, struct text *out, struct error *err)
{
    struct manifest_reader r;
    int got;
    if (manifest_reader_open_memory(&r, bytes, n_bytes, "fuzz", NULL, err)) return 0;
    if (r.schema.n == 0) abort();
    add(out, (const char *const *)r.schema.names, r.schema.n);
    while ((got = manifest_reader_next(&r, err)) > 0) {
        add(out, r.fields, r.schema.n);
        for (size_t i = 0; i < r.schema.n && i < 8; i++)
            look_at(r.fields[i]);
    }
    for (size_t i = 0; i < r.schema.n; i++)
        if (manifest_column(&r.schema, r.schema.names[i]) != (int)i) abort();
    manifest_reader_close(&r);
    return got == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text once = TEXT_EMPTY, twice = TEXT_EMPTY;
    struct error err = {0};
    if (!rewrite((const char *)data, size, &once, &err)) {
        if (err.code == 0 || !err.text[0]) abort(); /* an error must say something */
    } else if (!rewrite(once.data, once.n_bytes, &twice, &err) || once.n_bytes != twice.n_bytes ||
               memcmp(once.data, twice.data, once.n_bytes) != 0) {
        abort();
    }
    text_release(&once);
    text_release(&twice);
    return 0;
}
