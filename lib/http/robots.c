#include "http/robots.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/number.h"
#include "base/text.h"
#include "http/path_pattern.h"

struct line {
    const char *key, *value;
    size_t n_key, n_value;
};

/* Removes blanks and tabs from both ends. */
static void trim(const char **s, size_t *n)
{
    while (*n > 0 && ((*s)[0] == ' ' || (*s)[0] == '\t'))
        (*s)++, (*n)--;
    while (*n > 0 && ((*s)[*n - 1] == ' ' || (*s)[*n - 1] == '\t'))
        (*n)--;
}

/* Whether the n bytes of s are the word, compared without regard to case. */
static bool equals(const char *s, size_t n, const char *word)
{
    return strlen(word) == n && strncasecmp(s, word, n) == 0;
}

/* For lines such as "disallow /x" without a colon: returns the position of the blank if there are exactly two
 * words, and otherwise NULL. */
static const char *between_two_words(const char *s, size_t n)
{
    trim(&s, &n);
    size_t first = 0, last = n;
    while (first < n && s[first] != ' ' && s[first] != '\t')
        first++;
    while (last > first && s[last - 1] != ' ' && s[last - 1] != '\t')
        last--;
    const char *rest = s + first;
    size_t n_rest = last - first;
    trim(&rest, &n_rest);
    return first < n && n_rest == 0 ? s + first : NULL;
}

/* Finds the next "key: value" line from *at on. Returns false at the end. CR, LF and CRLF all end a line. */
static bool next_line(const char *bytes, size_t n, size_t *at, struct line *out)
{
    while (*at < n) {
        size_t from = *at, to = from;
        while (to < n && bytes[to] != '\n' && bytes[to] != '\r')
            to++;
        *at = to + 1;
        if (to - from > ROBOTS_MAX_LINE_BYTES) to = from + ROBOTS_MAX_LINE_BYTES;
        const char *hash = memchr(bytes + from, '#', to - from);
        size_t end = hash ? (size_t)(hash - bytes) : to;
        const char *split = memchr(bytes + from, ':', end - from);
        if (!split && !(split = between_two_words(bytes + from, end - from))) continue;
        out->key = bytes + from;
        out->n_key = (size_t)(split - out->key);
        out->value = split + 1;
        out->n_value = end - (size_t)(out->value - bytes);
        trim(&out->key, &out->n_key);
        trim(&out->value, &out->n_value);
        return true;
    }
    return false;
}

static bool is_token_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

/* Whether the line names our token. "User-agent: winnow/1.0" names winnow, because only the token counts (RFC
 * 9309 2.2.1). */
static bool names(const struct line *l, const char *token)
{
    size_t n = 0;
    while (n < l->n_value && is_token_byte(l->value[n]))
        n++;
    return n > 0 && equals(l->value, n, token);
}

/* Whether the line is for all user agents: "*", even when words follow it. */
static bool is_for_all(const struct line *l)
{
    return l->n_value >= 1 && l->value[0] == '*' &&
           (l->n_value == 1 || l->value[1] == ' ' || l->value[1] == '\t');
}

/* Whether the line has this key, in one of the spellings that other crawlers accept, too. */
static bool is_key(const struct line *l, const char *const *spellings)
{
    for (; *spellings; spellings++)
        if (equals(l->key, l->n_key, *spellings)) return true;
    return false;
}

static const char *const user_agent[] = {"user-agent", "useragent", "user agent", NULL};
static const char *const disallow[] = {"disallow", "dissallow", "dissalow", "disalow",
                                       "diasllow", "disallaw",  NULL};

/* Adds a statement about training, which is "/path WORDS", or "WORDS" for the whole site. usage: true for
 * Content-Usage, false for Content-Signal. Returns 0, also for a line that is left out because it cannot be
 * read, or -1 with err set. */
static int add_wish(struct robots *r, const struct line *l, bool usage, struct error *err)
{
    const char *value = l->value, *path = "/";
    size_t n = l->n_value, n_path = 1;
    uint32_t set = 0;
    if (memchr(value, 0, n)) return 0;
    if (n > 0 && *value == '/') {
        path = value;
        for (n_path = 0; n_path < n && path[n_path] != ' ' && path[n_path] != '\t';)
            n_path++;
        value += n_path, n -= n_path;
        trim(&value, &n);
    }
    if (usage) {
        int said = rights_content_usage(value, n, "train-ai");
        if (said < 0) return 0;
        set = said == 'n'   ? RIGHTS_BIT(RIGHTS_USAGE_NO_ROBOTS)
              : said == 'y' ? RIGHTS_BIT(RIGHTS_USAGE_YES_ROBOTS)
                            : 0;
    } else {
        set = rights_content_signal(value, n) * RIGHTS_BIT(RIGHTS_CONTENT_SIGNAL_NO_ROBOTS);
    }
    struct rights_rule **rules = usage ? &r->usages : &r->signals;
    size_t *n_rules = usage ? &r->n_usages : &r->n_signals;
    if (*n_rules == ROBOTS_MAX_RULES) return 0;
    if (mem_grow(rules, usage ? &r->usages_capacity : &r->signals_capacity, *n_rules + 1, sizeof **rules,
                 err))
        return -1;
    char *pattern = arena_strndup(&r->arena, path, n_path, err);
    if (!pattern) return -1;
    (*rules)[(*n_rules)++] = (struct rights_rule){pattern, set};
    return 0;
}

/* Adds an Allow or Disallow rule, unless there are ROBOTS_MAX_RULES already. Returns 0, or -1 with err
 * set. */
static int add_rule(struct robots *r, const char *value, size_t n, bool allow, struct error *err)
{
    if (r->n_rules == ROBOTS_MAX_RULES) return 0;
    if (mem_grow(&r->rules, &r->capacity, r->n_rules + 1, sizeof *r->rules, err)) return -1;
    char *pattern = arena_strndup(&r->arena, value, n, err);
    if (!pattern) return -1;
    r->rules[r->n_rules++] = (struct robots_rule){pattern, allow};
    return 0;
}

/* Adds a rule for "/x/" after "Allow: /x/index.html", the address of the same page. The RFC does not have
 * this rule; the reference parser does. */
static int add_index_rule(struct robots *r, const char *value, size_t n, struct error *err)
{
    static const char index[] = "/index.html";
    size_t n_index = sizeof index - 1;
    char folder[256];
    if (n < n_index || n - n_index + 3 > sizeof folder || memcmp(value + n - n_index, index, n_index) != 0)
        return 0;
    n -= n_index;
    memcpy(folder, value, n);
    memcpy(folder + n, "/$", 3);
    return add_rule(r, folder, n + 2, true, err);
}

/* Adds the lines of every group that names the token, or with token NULL of every group for all user agents.
 * *found becomes whether there is such a group. Returns 0, or -1 with err set. */
static int take_group(struct robots *r, const char *bytes, size_t n, const char *token, bool *found,
                      struct error *err)
{
    size_t at = 0;
    struct line l;
    bool ours = false, in_agents = false;
    *found = false;
    while (next_line(bytes, n, &at, &l)) {
        if (is_key(&l, user_agent)) {
            if (!in_agents) ours = false;
            in_agents = true;
            if (token ? names(&l, token) : is_for_all(&l)) ours = *found = true;
            continue;
        }
        bool allow = equals(l.key, l.n_key, "allow");
        if (allow || is_key(&l, disallow)) {
            in_agents = false;
            if (!ours || l.n_value == 0 || memchr(l.value, 0, l.n_value)) continue;
            if (add_rule(r, l.value, l.n_value, allow, err) ||
                (allow && add_index_rule(r, l.value, l.n_value, err)))
                return -1;
        } else if (equals(l.key, l.n_key, "content-usage") || equals(l.key, l.n_key, "content-signal")) {
            in_agents = false;
            if (ours && add_wish(r, &l, l.n_key == strlen("content-usage"), err)) return -1;
        } else if (equals(l.key, l.n_key, "crawl-delay")) {
            /* Crawl-delay is not in the RFC, so it does not end a list of user agents. */
            char number[32];
            double delay;
            if (!ours || l.n_value >= sizeof number) continue;
            memcpy(number, l.value, l.n_value);
            number[l.n_value] = 0;
            struct error ignored = {0};
            if (parse_double(number, 0, 1e9, &delay, "crawl-delay", &ignored) == 0)
                r->crawl_delay_s = delay < ROBOTS_MAX_DELAY_S ? delay : ROBOTS_MAX_DELAY_S;
        }
        /* Other lines, such as Sitemap, belong to no group and end none. */
    }
    return 0;
}

/* Returns 0 when the file is not UTF-16, and otherwise 1 or 2, the position of the low byte in a pair. UTF-16
 * is recognised by a byte order mark, or by a zero byte beside the first letter. */
static size_t low_byte_of_utf16(const unsigned char *b, size_t n)
{
    if (n < 2) return 0;
    if ((b[0] == 0xff && b[1] == 0xfe) || (b[0] && !b[1])) return 1;
    return (b[0] == 0xfe && b[1] == 0xff) || (!b[0] && b[1]) ? 2 : 0;
}

/* Writes the character c as UTF-8 and returns the number of bytes, at most 4. */
static size_t utf8_put(char *out, uint32_t c)
{
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(n == 1 ? c : (0xf00u >> n & 0xf0) | c);
    return n;
}

/* Converts the file from UTF-16 to UTF-8. Returns the new bytes, which belong to the arena of r, and sets *n
 * to their number; returns NULL with err set when there is no memory. low: from low_byte_of_utf16. Half of a
 * pair of surrogates becomes U+FFFD, except at the end of the file, where it is left out. */
static const char *from_utf16(struct robots *r, const char *bytes, size_t *n, size_t low, struct error *err)
{
    const unsigned char *b = (const unsigned char *)bytes;
    char *out = arena_alloc(&r->arena, *n / 2 * 3 + 1, err);
    size_t n_out = 0;
    uint32_t first = 0; /* of a pair of surrogates */
    if (!out) return NULL;
    for (size_t i = 0; i + 1 < *n; i += 2) {
        uint32_t c = (uint32_t)b[i + low - 1] | (uint32_t)b[i + 2 - low] << 8;
        bool second = c >= 0xdc00 && c < 0xe000;
        if (first && !second) n_out += utf8_put(out + n_out, 0xfffd);
        if (second) c = first ? 0x10000 + ((first & 0x3ff) << 10) + (c & 0x3ff) : 0xfffd;
        first = c >= 0xd800 && c < 0xdc00 ? c : 0;
        if (!first) n_out += utf8_put(out + n_out, c);
    }
    *n = n_out;
    return out;
}

int robots_parse(struct robots *r, const char *bytes, size_t n, const char *token, struct error *err)
{
    bool found;
    *r = ROBOTS_EMPTY;
    if (n > ROBOTS_MAX_BYTES) n = ROBOTS_MAX_BYTES;
    size_t low = low_byte_of_utf16((const unsigned char *)bytes, n);
    if (low && !(bytes = from_utf16(r, bytes, &n, low, err))) return -1;
    /* Skip the byte order mark of UTF-8, also when only its first bytes are there. */
    for (const char *bom = "\xef\xbb\xbf"; *bom && n > 0 && *bytes == *bom; bom++)
        bytes++, n--;
    if (take_group(r, bytes, n, token, &found, err)) return -1;
    return found ? 0 : take_group(r, bytes, n, NULL, &found, err);
}

bool robots_allows(const struct robots *r, const char *path)
{
    size_t longest = 0;
    bool allowed = true;
    for (size_t i = 0; i < r->n_rules; i++) {
        size_t n = path_pattern_length(r->rules[i].pattern);
        if (n < longest || (n == longest && allowed) || !path_pattern_matches(r->rules[i].pattern, path))
            continue;
        longest = n;
        allowed = r->rules[i].allow;
    }
    return allowed;
}

uint32_t robots_rights(const struct robots *r, const char *path)
{
    return rights_rules_match(r->usages, r->n_usages, path) |
           rights_rules_match(r->signals, r->n_signals, path);
}

bool robots_is_empty(const struct robots *r)
{
    return r->n_rules == 0 && r->n_usages == 0 && r->n_signals == 0 && r->crawl_delay_s == 0;
}

void robots_release(struct robots *r)
{
    free(r->rules);
    free(r->usages);
    free(r->signals);
    arena_release(&r->arena);
    *r = ROBOTS_EMPTY;
}
