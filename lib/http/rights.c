/* rights.c: see rights.h. */
#include "http/rights.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/number.h"
#include "http/path_pattern.h"

static const struct {
    const char *word;
    enum rights says;
} known[RIGHTS_N_SIGNALS] = {
    [RIGHTS_USAGE_NO_ROBOTS] = {"content-usage:train-ai=n@robots.txt", RIGHTS_RESERVE},
    [RIGHTS_USAGE_YES_ROBOTS] = {"content-usage:train-ai=y@robots.txt", RIGHTS_ALLOW},
    [RIGHTS_USAGE_NO_HEADER] = {"content-usage:train-ai=n@header", RIGHTS_RESERVE},
    [RIGHTS_USAGE_YES_HEADER] = {"content-usage:train-ai=y@header", RIGHTS_ALLOW},
    [RIGHTS_CONTENT_SIGNAL_NO_ROBOTS] = {"content-signal:ai-train=no@robots.txt", RIGHTS_RESERVE},
    [RIGHTS_CONTENT_SIGNAL_YES_ROBOTS] = {"content-signal:ai-train=yes@robots.txt", RIGHTS_ALLOW},
    [RIGHTS_CONTENT_SIGNAL_NO_HEADER] = {"content-signal:ai-train=no@header", RIGHTS_RESERVE},
    [RIGHTS_CONTENT_SIGNAL_YES_HEADER] = {"content-signal:ai-train=yes@header", RIGHTS_ALLOW},
    [RIGHTS_TDM_1_HEADER] = {"tdm-reservation:1@header", RIGHTS_RESERVE},
    [RIGHTS_TDM_0_HEADER] = {"tdm-reservation:0@header", RIGHTS_ALLOW},
    [RIGHTS_TDM_1_FILE] = {"tdm-reservation:1@tdmrep.json", RIGHTS_RESERVE},
    [RIGHTS_TDM_0_FILE] = {"tdm-reservation:0@tdmrep.json", RIGHTS_ALLOW},
    [RIGHTS_TAG_NOAI] = {"x-robots-tag:noai@header", RIGHTS_RESERVE},
    [RIGHTS_TAG_NOIMAGEAI] = {"x-robots-tag:noimageai@header", RIGHTS_RESERVE},
    [RIGHTS_TAG_NOINDEX] = {"x-robots-tag:noindex@header", RIGHTS_RESERVE},
    [RIGHTS_TAG_NOIMAGEINDEX] = {"x-robots-tag:noimageindex@header", RIGHTS_RESERVE},
    [RIGHTS_TAG_NONE] = {"x-robots-tag:none@header", RIGHTS_RESERVE},
    [RIGHTS_TAG_UNAVAILABLE] = {"x-robots-tag:unavailable_after@header", RIGHTS_RESERVE},
};

const char *rights_name(enum rights r)
{
    return r == RIGHTS_RESERVE ? "reserve" : r == RIGHTS_ALLOW ? "allow" : "unknown";
}

enum rights rights_of(uint32_t set)
{
    enum rights all = RIGHTS_UNKNOWN;
    for (int i = 0; i < RIGHTS_N_SIGNALS; i++)
        if ((set & RIGHTS_BIT(i)) && known[i].says > all) all = known[i].says;
    return all;
}

const char *rights_text(char out[RIGHTS_TEXT_BYTES], uint32_t set)
{
    size_t n = 0;
    out[0] = 0;
    for (int i = 0; i < RIGHTS_N_SIGNALS; i++)
        if (set & RIGHTS_BIT(i))
            n += (size_t)snprintf(out + n, RIGHTS_TEXT_BYTES - n, "%s%s", n ? "," : "", known[i].word);
    return out;
}

uint32_t rights_from_text(const char *text)
{
    uint32_t set = 0;
    while (*text) {
        size_t n = strcspn(text, ",");
        for (int i = 0; i < RIGHTS_N_SIGNALS; i++)
            if (strlen(known[i].word) == n && memcmp(known[i].word, text, n) == 0) set |= RIGHTS_BIT(i);
        text += n + (text[n] == ',');
    }
    return set;
}

uint32_t rights_reserving(uint32_t set)
{
    uint32_t out = 0;
    for (int i = 0; i < RIGHTS_TAG_NOAI; i++)
        if (known[i].says == RIGHTS_RESERVE) out |= set & RIGHTS_BIT(i);
    return out;
}

uint32_t rights_refused_in_fields(uint32_t set)
{
    return set & (RIGHTS_BIT(RIGHTS_USAGE_NO_HEADER) | RIGHTS_BIT(RIGHTS_CONTENT_SIGNAL_NO_HEADER) |
                  RIGHTS_BIT(RIGHTS_TDM_1_HEADER) | ~(RIGHTS_BIT(RIGHTS_TAG_NOAI) - 1));
}

/* --- RFC 9651 dictionaries: parsed to the end, because an invalid one is ignored as a whole --- */

struct cursor {
    const char *at, *end;
};

static int peek(const struct cursor *c) { return c->at < c->end ? (unsigned char)*c->at : -1; }
static bool is_digit(int c) { return c >= '0' && c <= '9'; }
static bool is_lower(int c) { return c >= 'a' && c <= 'z'; }
static bool is_alpha(int c) { return is_lower(c | 0x20) && c > 0; }

static bool take(struct cursor *c, int byte)
{
    if (peek(c) != byte) return false;
    c->at++;
    return true;
}

static void skip_blanks(struct cursor *c, bool tabs)
{
    while (peek(c) == ' ' || (tabs && peek(c) == '\t'))
        c->at++;
}

static bool take_key(struct cursor *c)
{
    if (!is_lower(peek(c)) && peek(c) != '*') return false;
    while (is_lower(peek(c)) || is_digit(peek(c)) || (peek(c) > 0 && strchr("_-.*", peek(c))))
        c->at++;
    return true;
}

static bool take_number(struct cursor *c)
{
    size_t whole = 0, part = 0;
    take(c, '-');
    for (; is_digit(peek(c)); whole++)
        c->at++;
    if (!take(c, '.')) return whole >= 1 && whole <= 15;
    for (; is_digit(peek(c)); part++)
        c->at++;
    return whole >= 1 && whole <= 12 && part >= 1 && part <= 3;
}

/* Called after the first quote. display: escapes are %XX in lower case instead of backslashes. */
static bool take_string(struct cursor *c, bool display)
{
    for (int b; (b = peek(c)) != -1;) {
        c->at++;
        if (b == '"') return true;
        if (b < 0x20 || b > 0x7e) return false;
        if (!display && b == '\\' && !take(c, '"') && !take(c, '\\')) return false;
        for (int i = 0; display && b == '%' && i < 2; i++)
            if (!is_digit(peek(c)) && !(peek(c) >= 'a' && peek(c) <= 'f'))
                return false;
            else
                c->at++;
    }
    return false;
}

static bool take_bare_item(struct cursor *c)
{
    int b = peek(c);
    if (b == '-' || is_digit(b)) return take_number(c);
    if (is_alpha(b) || b == '*') { /* a token */
        while (is_alpha(peek(c)) || is_digit(peek(c)) ||
               (peek(c) > 0 && strchr("!#$%&'*+-.^_`|~:/", peek(c))))
            c->at++;
        return true;
    }
    if (b == -1) return false;
    c->at++;
    switch (b) {
    case '"': return take_string(c, false);
    case '%': return take(c, '"') && take_string(c, true);
    case '?': return take(c, '0') || take(c, '1');
    case '@': { /* a date: whole seconds */
        const char *from = c->at;
        return take_number(c) && !memchr(from, '.', (size_t)(c->at - from));
    }
    case ':':
        while (is_alpha(peek(c)) || is_digit(peek(c)) || (peek(c) > 0 && strchr("+/=", peek(c))))
            c->at++;
        return take(c, ':');
    default: return false;
    }
}

static bool take_parameters(struct cursor *c)
{
    while (take(c, ';')) {
        skip_blanks(c, false);
        if (!take_key(c) || (take(c, '=') && !take_bare_item(c))) return false;
    }
    return true;
}

static bool take_inner_list(struct cursor *c)
{
    for (;;) {
        skip_blanks(c, false);
        if (take(c, ')')) return true;
        if (!take_bare_item(c) || !take_parameters(c) || (peek(c) != ' ' && peek(c) != ')')) return false;
    }
}

int rights_content_usage(const char *value, size_t n_bytes, const char *key)
{
    struct cursor c = {value, value + n_bytes};
    int answer = 0;
    skip_blanks(&c, false);
    while (c.end > c.at && c.end[-1] == ' ')
        c.end--;
    if (c.at == c.end) return 0;
    for (;;) {
        const char *name = c.at;
        if (!take_key(&c)) return -1;
        bool ours = (size_t)(c.at - name) == strlen(key) && memcmp(name, key, strlen(key)) == 0;
        const char *item = c.at;
        if (take(&c, '=')) {
            item = c.at;
            if (!(take(&c, '(') ? take_inner_list(&c) : take_bare_item(&c))) return -1;
        }
        if (ours) answer = c.at - item == 1 && (*item == 'y' || *item == 'n') ? *item : 0;
        if (!take_parameters(&c)) return -1;
        skip_blanks(&c, true);
        if (c.at == c.end) return answer;
        if (!take(&c, ',')) return -1;
        skip_blanks(&c, true);
        if (c.at == c.end) return -1;
    }
}

/* --- comma-separated lists --- */

static void trim(const char **s, size_t *n)
{
    while (*n > 0 && ((*s)[0] == ' ' || (*s)[0] == '\t'))
        (*s)++, (*n)--;
    while (*n > 0 && ((*s)[*n - 1] == ' ' || (*s)[*n - 1] == '\t'))
        (*n)--;
}

static bool equals(const char *s, size_t n, const char *word)
{
    return strlen(word) == n && strncasecmp(s, word, n) == 0;
}

static size_t part_bytes(const char *s, size_t n)
{
    const char *comma = memchr(s, ',', n);
    return comma ? (size_t)(comma - s) : n;
}

unsigned rights_content_signal(const char *value, size_t n)
{
    unsigned said = 0;
    while (n > 0) {
        size_t n_part = part_bytes(value, n), n_key, n_word;
        const char *key = value, *equal = memchr(value, '=', n_part), *word = equal ? equal + 1 : NULL;
        if (equal) {
            n_key = (size_t)(equal - value);
            n_word = n_part - n_key - 1;
            trim(&key, &n_key);
            trim(&word, &n_word);
            if (equals(key, n_key, "ai-train"))
                said |= equals(word, n_word, "no") ? 1u : equals(word, n_word, "yes") ? 2u : 0u;
        }
        n_part += n_part < n;
        value += n_part, n -= n_part;
    }
    return said;
}

/* Reads a date of RFC 822, RFC 850 or ISO 8601, with or without a time. Returns false for any other text,
 * such as a date in the year 10000. */
static bool parse_date(const char *s, size_t n, int64_t *out)
{
    char text[64];
    trim(&s, &n);
    if (n == 0 || n + sizeof "T00:00:00Z" > sizeof text || memchr(s, 0, n)) return false;
    memcpy(text, s, n);
    text[n] = 0;
    if (parse_time(text, out) == 0) return true;
    time_t t = curl_getdate(text, NULL);
    if (t != -1) {
        *out = t;
        return true;
    }
    memcpy(text + n, "T00:00:00Z", sizeof "T00:00:00Z");
    return parse_time(text, out) == 0;
}

static void forbid(struct rights_tag *t, int signal, const char *directive)
{
    if (!t->directive[0]) snprintf(t->directive, sizeof t->directive, "%s", directive);
    t->set |= RIGHTS_BIT(signal);
}

void rights_robots_tag(struct rights_tag *t, const char *s, size_t n, const char *agent, int64_t now_s)
{
    static const char *const forbidding[] = {"noai", "noimageai", "noindex", "noimageindex", "none"};
    bool ours = true; /* directives before any "name:" are for everybody */
    while (n > 0) {
        size_t n_part = part_bytes(s, n), n_left = n_part;
        const char *part = s;
        trim(&part, &n_left);
        for (const char *colon; (colon = memchr(part, ':', n_left));) {
            size_t n_name = (size_t)(colon - part);
            const char *name = part;
            int64_t date;
            trim(&name, &n_name);
            if (equals(name, n_name, "unavailable_after")) {
                /* "Friday, 25-Jun-10 ...": the date may itself contain a comma. */
                size_t n_more = n_part < n ? n_part + 1 + part_bytes(s + n_part + 1, n - n_part - 1) : n_part;
                bool dated = parse_date(colon + 1, (size_t)(s + n_part - colon - 1), &date);
                if (!dated && parse_date(colon + 1, (size_t)(s + n_more - colon - 1), &date)) {
                    dated = true;
                    n_part = n_more;
                }
                if (ours && dated && date < now_s) forbid(t, RIGHTS_TAG_UNAVAILABLE, "unavailable_after");
                n_left = 0;
                break;
            }
            if (n_name > 4 && strncasecmp(name, "max-", 4) == 0) break; /* "max-snippet: 20" */
            ours = equals(name, n_name, agent) || equals(name, n_name, "*");
            n_left -= (size_t)(colon + 1 - part);
            part = colon + 1;
            trim(&part, &n_left);
        }
        for (int i = 0; ours && i < 5; i++)
            if (equals(part, n_left, forbidding[i])) forbid(t, RIGHTS_TAG_NOAI + i, forbidding[i]);
        n_part += n_part < n;
        s += n_part, n -= n_part;
    }
}

uint32_t rights_rules_match(const struct rights_rule *rules, size_t n, const char *path)
{
    size_t longest = 0;
    uint32_t set = 0;
    for (size_t i = 0; i < n; i++) {
        size_t length = path_pattern_length(rules[i].pattern);
        if (length < longest || !path_pattern_matches(rules[i].pattern, path)) continue;
        set = (length == longest ? set : 0) | rules[i].set;
        longest = length;
    }
    return set;
}
