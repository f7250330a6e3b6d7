/* page_template.c: fills templates of pages. */
#include "page/page_template.h"

#include <stdio.h>
#include <string.h>

#include "io/io.h"
#include "page/page.h"

int page_policy(struct text *out, const char *css, const char *js, struct error *err)
{
    return text_puts(out, "default-src 'none'; img-src 'self' file: data:; style-src ", err) ||
                   page_csp_hash(out, css, strlen(css), err) || text_puts(out, "; script-src ", err) ||
                   page_csp_hash(out, js, strlen(js), err) ||
                   text_puts(out, "; base-uri 'none'; form-action 'none'", err)
               ? -1
               : 0;
}

/* Finds the part whose name is at `at`, after the braces; *end becomes the position after it. */
static const struct page_part *part_at(const char *at, const struct page_part *parts, size_t n,
                                       const char **end)
{
    for (size_t i = 0; i < n; i++) {
        size_t n_name = strlen(parts[i].name);
        if (strncmp(at, parts[i].name, n_name) == 0 && text_starts(at + n_name, "}}")) {
            *end = at + n_name + 2;
            return &parts[i];
        }
    }
    return NULL;
}

int page_write(const char *path, const char *html, const struct page_part *parts, size_t n_parts,
               struct error *err)
{
    struct atomic_file file = ATOMIC_FILE_EMPTY;
    if (io_mkdirs_for(path, err) || atomic_file_open(&file, path, err)) return -1;
    for (const char *at = html, *next; *at; at = next) {
        const char *open = strstr(at, "{{");
        const struct page_part *part = open ? part_at(open + 2, parts, n_parts, &next) : NULL;
        size_t n_plain = open ? (size_t)(open - at) + (part ? 0 : 2) : strlen(at);
        fwrite(at, 1, n_plain, file.stream); /* the commit checks the stream */
        if (part)
            fputs(part->value ? part->value : "", file.stream);
        else
            next = at + n_plain;
    }
    int rc = atomic_file_commit(&file, err);
    atomic_file_discard(&file);
    return rc;
}
