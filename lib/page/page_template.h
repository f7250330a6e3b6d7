/* page_template.h: writes pages from a template, a style and a script that are embedded in the program. */
#ifndef WINNOW_PAGE_PAGE_TEMPLATE_H
#define WINNOW_PAGE_PAGE_TEMPLATE_H

#include "base/error.h"
#include "base/text.h"

/* Makes the symbol `name` hold the bytes of a file of the sources, and a NUL. The module.mk of the area says
 * that its object depends on the file. */
#define PAGE_PART(name, file)                                                                                \
    __asm__(".section .rodata\n"                                                                             \
            ".global " #name "\n" #name ":\n"                                                                \
            ".incbin \"" file "\"\n"                                                                         \
            ".byte 0\n"                                                                                      \
            ".previous\n")

/* Appends a content security policy that allows only this style, this script, and pictures from the disk. */
int page_policy(struct text *out, const char *css, const char *js, struct error *err);

struct page_part {
    const char *name, *value; /* stands for {{name}} in the template */
};
/* Writes the template with its parts filled in; values are not escaped here. The file appears whole or not at
 * all. */
int page_write(const char *path, const char *html, const struct page_part *parts, size_t n_parts,
               struct error *err);

#endif
