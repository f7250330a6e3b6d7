/* review_page_parts.c: embeds the files of web/review in the program, which then needs no other file to write
 * the page. */
#include "page/page_template.h"

PAGE_PART(review_page_html, "web/review/review.html");
PAGE_PART(review_page_css, "web/review/review.css");
PAGE_PART(review_page_js, "web/review/review.js");
