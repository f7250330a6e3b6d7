/*
 * class_sum.c: see class_sum.h.
 */
#include "base/class_sum.h"

#include <string.h>

/* Reads text as class names with '+' between them. Tries every class with which text begins, the longest
 * first, and reads the rest after it in the same way. Returns 1 and sets in[k] for each class that was read,
 * or returns 0 when the text cannot be read to its end. *furthest becomes the last position that was reached;
 * after a failure no class name that fits begins there. */
static int read_from(const char *text, char *const *classes, int n, uint8_t *in, const char **furthest)
{
    if (text > *furthest) *furthest = text;
    for (size_t below = SIZE_MAX;;) {
        int best = -1;
        size_t length = 0;
        for (int k = 0; k < n; k++) {
            size_t size = strlen(classes[k]);
            if (size < below && size > length && strncmp(text, classes[k], size) == 0 &&
                (text[size] == '+' || !text[size])) {
                best = k;
                length = size;
            }
        }
        if (best < 0) return 0;
        if (!text[length] || read_from(text + length + 1, classes, n, in, furthest)) {
            in[best] = 1;
            return 1;
        }
        below = length;
    }
}

const char *class_sum_parse(char *text, char *const *classes, int n, uint8_t *in)
{
    const char *furthest = text;
    if (read_from(text, classes, n, in, &furthest)) return NULL;
    char *name = text + (furthest - text);
    name[strcspn(name, "+")] = 0;
    return name;
}
