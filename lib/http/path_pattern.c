/* path_pattern.c: see path_pattern.h. */
#include "http/path_pattern.h"

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Returns the next byte of a path, and moves *s past it. The %XX of a plain byte is replaced, so that "%7Ea"
 * and "~a" are equal; %2F stays different from '/'. */
static int next_byte(const char **s)
{
    unsigned char c = (unsigned char)*(*s)++;
    if (c != '%') return c;
    int high = hex_value((*s)[0]), low = high < 0 ? -1 : hex_value((*s)[1]);
    if (low < 0) return c;
    int v = high * 16 + low;
    *s += 2;
    return v == '/' ? 256 + '/' : v == 0 ? 256 : v;
}

/* Matches a pattern with wildcards against the start of path. Only the last '*' is remembered for
 * backtracking: a later '*' can match all that an earlier one could. At worst O(pattern * path). */
bool path_pattern_matches(const char *pattern, const char *path)
{
    const char *star = NULL, *resume = NULL;
    for (;;) {
        if (*pattern == 0 && !(star && star[0] == 0)) return true; /* a pattern matches as a prefix */
        if (*pattern == '*') {
            star = ++pattern;
            resume = path;
            if (*pattern == 0) return true;
            continue;
        }
        if (*pattern == '$' && pattern[1] == 0) {
            if (*path == 0) return true;
        } else if (*path) {
            const char *p = pattern, *q = path;
            if (next_byte(&p) == next_byte(&q)) {
                pattern = p;
                path = q;
                continue;
            }
        }
        if (!star || *resume == 0) return false;
        next_byte(&resume);
        path = resume;
        pattern = star;
    }
}

size_t path_pattern_length(const char *pattern)
{
    size_t n = 0;
    for (; *pattern; pattern++)
        n += (unsigned char)*pattern > 0x7e ? 3 : 1;
    return n;
}
