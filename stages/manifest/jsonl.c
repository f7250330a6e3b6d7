/*
 * jsonl.c: writes a manifest as JSON lines, for programs that read JSON. Every value is a string, as in the
 * manifest. A guess of types would change hashes that consist of digits, and classes such as "007".
 */
#include <stdlib.h>

#include "base/mem.h"
#include "io/io.h"
#include "manifest/manifest.h"
#include "page/page.h"
#include "parts.h"

int parts_to_jsonl(const struct parts_options *o, const char *input, struct stage_counts *n,
                   struct error *err)
{
    struct manifest_reader in = MANIFEST_READER_EMPTY;
    struct atomic_file out = ATOMIC_FILE_EMPTY;
    struct text *names = NULL, line = TEXT_EMPTY;
    size_t n_names = 0;
    int rc = -1, got;
    if (manifest_reader_open(&in, input, NULL, err) || atomic_file_open(&out, o->common.output, err) ||
        !(names = mem_zalloc(in.schema.n, sizeof *names, err)))
        goto out;
    for (; n_names < in.schema.n; n_names++)
        if (page_json(&names[n_names], in.schema.names[n_names], err)) goto out;
    while ((got = manifest_reader_next(&in, err)) > 0) {
        text_clear(&line);
        for (size_t c = 0; c < n_names; c++) {
            if (text_printf(&line, err, "%s%s: ", c ? ", " : "{", names[c].data)) goto out;
            /* Empty means absent. */
            if (in.fields[c][0] ? page_json(&line, in.fields[c], err) : text_puts(&line, "null", err))
                goto out;
        }
        if (text_puts(&line, "}\n", err)) goto out;
        if (fwrite(line.data, 1, line.n_bytes, out.stream) != line.n_bytes) {
            error_errno(err, EX_IOERR, "cannot write '%s'",
                        o->common.output ? o->common.output : "standard output");
            goto out;
        }
        n->n_read++;
        n->n_kept++;
    }
    if (got == 0) rc = atomic_file_commit(&out, err);
out:
    atomic_file_discard(&out);
    manifest_reader_close(&in);
    for (size_t i = 0; names && i <= n_names && i < in.schema.n; i++)
        text_release(&names[i]);
    free(names);
    text_release(&line);
    return rc;
}
