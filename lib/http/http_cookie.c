/* http_cookie.c: see http_cookie.h. */
#include "http/http_cookie.h"

#include <string.h>
#include <strings.h>

static void trim(const char **s, size_t *n)
{
    while (*n > 0 && (**s == ' ' || **s == '\t'))
        (*s)++, (*n)--;
    while (*n > 0 && ((*s)[*n - 1] == ' ' || (*s)[*n - 1] == '\t'))
        (*n)--;
}

/* Removes the cookie whose name is the n_name bytes at name. */
static void drop(struct text *jar, const char *name, size_t n_name)
{
    for (char *at = jar->data; at && *at;) {
        char *end = strchr(at, ';');
        size_t n = end ? (size_t)(end - at) + 2 : strlen(at); /* with "; " */
        if (strncmp(at, name, n_name) != 0 || at[n_name] != '=') {
            at += n;
            continue;
        }
        memmove(at, at + n, strlen(at + n) + 1);
        jar->n_bytes = strlen(jar->data);
    }
    if (jar->n_bytes >= 2 && memcmp(jar->data + jar->n_bytes - 2, "; ", 2) == 0)
        jar->data[jar->n_bytes -= 2] = 0;
}

/* Whether the attributes contain a Max-Age of 0 or less, which removes the cookie. Expires is ignored,
 * because a chain of redirects takes only seconds. */
static bool is_removal(const char *attributes, size_t n)
{
    while (n > 0) {
        const char *end = memchr(attributes, ';', n), *s = attributes;
        size_t n_part = end ? (size_t)(end - attributes) : n, n_all = n_part + (end != NULL);
        trim(&s, &n_part);
        if (n_part > 8 && strncasecmp(s, "max-age=", 8) == 0) return s[8] == '0' || s[8] == '-';
        attributes += n_all, n -= n_all;
    }
    return false;
}

int http_cookie_add(struct text *jar, const char *value, size_t n, struct error *err)
{
    const char *end = memchr(value, ';', n);
    size_t n_pair = end ? (size_t)(end - value) : n;
    bool removal = end && is_removal(end + 1, n - n_pair - 1);
    trim(&value, &n_pair);
    const char *equals = memchr(value, '=', n_pair);
    if (!equals || equals == value) return 0;
    for (size_t i = 0; i < n_pair; i++)
        if ((unsigned char)value[i] < ' ' || value[i] == 0x7f) return 0;
    drop(jar, value, (size_t)(equals - value));
    if (removal || jar->n_bytes + 2 + n_pair > HTTP_COOKIES_MAX_BYTES) return 0;
    return (jar->n_bytes && text_puts(jar, "; ", err)) || text_add(jar, value, n_pair, err) ? -1 : 0;
}

int http_cookies_merge(struct text *jar, const char *fresh, struct error *err)
{
    while (*fresh) {
        size_t n = strcspn(fresh, ";");
        if (http_cookie_add(jar, fresh, n, err)) return -1;
        fresh += n + (fresh[n] == ';');
    }
    return 0;
}
