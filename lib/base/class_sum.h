/*
 * class_sum.h: parses a sum of classes, such as "hentai+porn", with the names that exist. A class may itself
 * contain '+' ("18+", "c++"). Where there are several readings, the one with the longer names first is
 * taken.
 */
#ifndef WINNOW_BASE_CLASS_SUM_H
#define WINNOW_BASE_CLASS_SUM_H

#include <stdint.h>

/*
 * Sets in[k] to 1 for each class that text names. in has n bytes, zeroed by the caller; it is unchanged on
 * failure. Returns NULL, or the first name in text that is not a class, cut off there for the message (""
 * when text is empty or ends after a '+').
 */
const char *class_sum_parse(char *text, char *const *classes, int n, uint8_t *in);

#endif
