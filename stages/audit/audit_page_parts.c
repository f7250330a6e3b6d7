/* audit_page_parts.c: embeds the files of web/audit in the program, which then needs no other file to write
 * the page. */
#include "page/page_template.h"

PAGE_PART(audit_page_html, "web/audit/audit.html");
PAGE_PART(audit_page_css, "web/audit/audit.css");
PAGE_PART(audit_page_js, "web/audit/audit.js");
