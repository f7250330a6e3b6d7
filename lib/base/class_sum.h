/*
 * class_sum.h: "hentai+porn", a sum of classes, read against the names that exist. A class may itself hold
 * '+' ("18+", "c++"): wherever more than one reading exists, longer names go first.
 */
#ifndef WINNOW_BASE_CLASS_SUM_H
#define WINNOW_BASE_CLASS_SUM_H

#include <stdint.h>

/*
 * Sets in[k] to 1 for each class named in text (in: n bytes, the caller's, zeroed; unchanged on failure).
 * Returns NULL, or the first name in text that is not a class, cut off there (for the message; "" when text
 * ends after a '+' or is empty).
 */
const char *class_sum_parse(char *text, char *const *classes, int n, uint8_t *in);

#endif
