/*
 * class_sum.h: parses a sum of classes, such as "hentai+porn", against the list of class names. A name may
 * itself contain '+' ("18+", "c++"). When a text can be read in several ways, the longest possible name comes
 * first.
 */
#ifndef WINNOW_BASE_CLASS_SUM_H
#define WINNOW_BASE_CLASS_SUM_H

#include <stdint.h>

/*
 * Sets in[k] to 1 for each class that text names. in has n bytes, which the caller has set to 0; a failure
 * leaves them unchanged. Returns NULL on success. Otherwise returns the first name in text that is not a
 * class ("" when text is empty or ends after a '+'), so that the caller's message can show it; text is cut
 * after that name.
 */
const char *class_sum_parse(char *text, char *const *classes, int n, uint8_t *in);

#endif
