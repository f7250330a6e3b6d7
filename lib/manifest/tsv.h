/* tsv.h: the escapes in a field of tab-separated text: \t \n \r \\ and no others. */
#ifndef WINNOW_MANIFEST_TSV_H
#define WINNOW_MANIFEST_TSV_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/text.h"

/* Appends field to line, escaped. Returns 0, or -1 with err set (EX_OSERR). */
int tsv_escape(struct text *line, const char *field, struct error *err);
/* Does the same, but stops before the byte that would make the field longer than max_bytes. */
int tsv_escape_cut(struct text *line, const char *field, size_t max_bytes, struct error *err);

/* Replaces the escapes in s by the bytes that they mean. Returns false at any other backslash; s is then
 * undefined. */
bool tsv_unescape(char *s);

#endif
