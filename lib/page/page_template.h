/* page_template.h: writes pages from a template, a style and a script that are embedded in the program. */
#ifndef WINNOW_PAGE_PAGE_TEMPLATE_H
#define WINNOW_PAGE_PAGE_TEMPLATE_H

#include "base/error.h"
#include "base/text.h"

/* Defines the symbol `name` as the bytes of a source file, followed by a NUL. The module.mk of the area must
 * say that the object depends on that file. */
#define PAGE_PART(name, file)                                                                                \
    __asm__(".section .rodata\n"                                                                             \
            ".global " #name "\n" #name ":\n"                                                                \
            ".incbin \"" file "\"\n"                                                                         \
            ".byte 0\n"                                                                                      \
            ".previous\n")

/* Appends a content security policy that allows only this style, this script, and pictures from the disk. */
int page_policy(struct text *out, const char *css, const char *js, struct error *err);

struct page_part {
    const char *name, *value; /* value replaces {{name}} in the template */
};
/* Writes the template, with each part replaced by its value, which is not escaped here. The file appears
 * whole or not at all. */
int page_write(const char *path, const char *html, const struct page_part *parts, size_t n_parts,
               struct error *err);

#endif
