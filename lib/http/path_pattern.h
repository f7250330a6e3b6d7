/*
 * path_pattern.h: the path patterns of robots.txt (RFC 9309 section 2.2.2), which tdmrep.json and
 * Content-Usage use as well. A pattern is a prefix in which '*' stands for anything and a final '$' for the
 * end. Of several patterns that match, the longest counts.
 */
#ifndef WINNOW_HTTP_PATH_PATTERN_H
#define WINNOW_HTTP_PATH_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

/* path includes its query. At worst O(pattern * path). */
bool path_pattern_matches(const char *pattern, const char *path);
/* The length that "longest" compares: bytes as they are sent, where a byte that
 * is not ASCII counts as its %XX. */
size_t path_pattern_length(const char *pattern);

#endif
