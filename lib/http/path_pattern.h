/*
 * path_pattern.h: the paths of robots.txt (RFC 9309 section 2.2.2), which tdmrep.json and Content-Usage take
 * over: a pattern is a prefix in which '*' stands for anything and a final '$' for the end; the longest one
 * that matches counts.
 */
#ifndef WINNOW_HTTP_PATH_PATTERN_H
#define WINNOW_HTTP_PATH_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

/* path has its query. O(pattern * path) at worst. */
bool path_pattern_matches(const char *pattern, const char *path);
/* What "longest" compares: bytes as they are sent; one that is not ASCII counts as its %XX. */
size_t path_pattern_length(const char *pattern);

#endif
