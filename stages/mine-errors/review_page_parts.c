/* review_page_parts.c: the files of web/review as bytes in the program, so that it needs
 * no other file to write the page. */
#include "review_page.h"

#define PART(name, file)                                                                                     \
    __asm__(".section .rodata\n"                                                                             \
            ".global " #name "\n" #name ":\n"                                                                \
            ".incbin \"" file "\"\n"                                                                         \
            ".byte 0\n"                                                                                      \
            ".previous\n")

PART(review_page_html, "web/review/review.html");
PART(review_page_css, "web/review/review.css");
PART(review_page_js, "web/review/review.js");
