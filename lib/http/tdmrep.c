/* tdmrep.c: see tdmrep.h. This JSON reader is for this one kind of file. It checks and skips values that are
 * not needed, and keeps only the locations and their reservations. */
#include "http/tdmrep.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

struct cursor {
    const char *at, *end;
};

static int peek(const struct cursor *c) { return c->at < c->end ? (unsigned char)*c->at : -1; }

/* The next byte that is not white space, or -1. */
static int next(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
        c->at++;
    return peek(c);
}

static bool take(struct cursor *c, int byte)
{
    if (next(c) != byte) return false;
    c->at++;
    return true;
}

static int hex4(struct cursor *c)
{
    int v = 0;
    for (int i = 0; i < 4; i++, c->at++) {
        int b = peek(c), low = b | 0x20;
        if (b >= '0' && b <= '9')
            v = v * 16 + b - '0';
        else if (low >= 'a' && low <= 'f')
            v = v * 16 + low - 'a' + 10;
        else
            return -1;
    }
    return v;
}

/* Reads a string from its quote on, and appends its bytes to out if that is not NULL. An escaped code point
 * beyond ASCII becomes '?', because addresses use %XX for it. Returns 1, 0 for a broken string, or -1 when
 * there is no memory. */
static int take_string(struct cursor *c, struct text *out, struct error *err)
{
    static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    if (!take(c, '"')) return 0;
    for (int b; (b = peek(c)) != -1;) {
        const char *escape;
        c->at++;
        if (b == '"') return 1;
        if (b < 0x20) return 0;
        if (b == '\\') {
            b = peek(c);
            if (b == -1) return 0;
            c->at++;
            if (b == 'u') {
                int v = hex4(c);
                if (v <= 0) return 0;
                b = v < 0x80 ? v : '?';
            } else if (b != 0 && (escape = strchr(escapes, b))) {
                b = meant[escape - escapes];
            } else {
                return 0;
            }
        }
        char byte = (char)b;
        if (out && text_add(out, &byte, 1, err)) return -1;
    }
    return 0;
}

static bool take_word(struct cursor *c, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, word, n) != 0) return false;
    c->at += n;
    return true;
}

static bool take_digits(struct cursor *c)
{
    const char *from = c->at;
    while (peek(c) >= '0' && peek(c) <= '9')
        c->at++;
    return c->at > from;
}

static bool take_number(struct cursor *c)
{
    if (peek(c) == '-') c->at++;
    if (peek(c) == '0')
        c->at++;
    else if (!take_digits(c))
        return false;
    if (peek(c) == '.' && (c->at++, !take_digits(c))) return false;
    if (peek(c) == 'e' || peek(c) == 'E') {
        c->at++;
        if (peek(c) == '+' || peek(c) == '-') c->at++;
        return take_digits(c);
    }
    return true;
}

/* Checks any value and skips it. Returns 1, or 0 when it is not valid or nested too deep. */
static int skip_value(struct cursor *c, int depth)
{
    char closing[TDMREP_MAX_DEPTH + 1]; /* the brackets that close the open values */
    int n_open = 0;
    for (;;) { /* at a value */
        int b = next(c);
        if (b == '{' || b == '[') {
            if (depth + n_open >= TDMREP_MAX_DEPTH) return 0;
            c->at++;
            closing[n_open++] = b == '{' ? '}' : ']';
            if (!take(c, closing[n_open - 1])) {
                if (b == '{' && (take_string(c, NULL, NULL) != 1 || !take(c, ':'))) return 0;
                continue;
            }
            n_open--;
        } else if (b == '"' ? take_string(c, NULL, NULL) != 1
                            : !take_word(c, "true") && !take_word(c, "false") && !take_word(c, "null") &&
                                  !take_number(c)) {
            return 0;
        }
        for (;; n_open--) { /* after a value */
            if (n_open == 0) return 1;
            if (take(c, ',')) {
                if (closing[n_open - 1] == '}' && (take_string(c, NULL, NULL) != 1 || !take(c, ':')))
                    return 0;
                break;
            }
            if (!take(c, closing[n_open - 1])) return 0;
        }
    }
}

struct element {
    struct text location, key;
    int reservation; /* 0, 1; -1: none */
};

/* Reads one member of an element's object, from its name on. Returns what take_string returns. */
static int take_member(struct cursor *c, struct element *e, struct error *err)
{
    text_clear(&e->key);
    int got = take_string(c, &e->key, err);
    if (got != 1 || !take(c, ':')) return got < 0 ? -1 : 0;
    const char *key = e->key.data ? e->key.data : "";
    if (strcmp(key, "location") == 0 && next(c) == '"') {
        text_clear(&e->location);
        return take_string(c, &e->location, err);
    }
    bool reservation = strcmp(key, "tdm-reservation") == 0;
    next(c);
    const char *from = c->at;
    if (skip_value(c, 2) != 1) return 0;
    if (reservation) e->reservation = c->at - from == 1 && (*from == '0' || *from == '1') ? *from - '0' : -1;
    return 1;
}

static int add_rule(struct tdmrep *t, const struct element *e, struct error *err)
{
    const char *location = e->location.data;
    if (e->reservation < 0 || !location || strlen(location) != e->location.n_bytes ||
        (location[0] != '/' && location[0] != '*') || t->n_rules == TDMREP_MAX_RULES)
        return 0;
    if (mem_grow(&t->rules, &t->capacity, t->n_rules + 1, sizeof *t->rules, err)) return -1;
    char *pattern = arena_strdup(&t->arena, location, err);
    if (!pattern) return -1;
    t->rules[t->n_rules++] =
        (struct rights_rule){pattern, RIGHTS_BIT(e->reservation ? RIGHTS_TDM_1_FILE : RIGHTS_TDM_0_FILE)};
    return 0;
}

static int take_element(struct tdmrep *t, struct cursor *c, struct element *e, struct error *err)
{
    if (next(c) != '{') return skip_value(c, 1);
    c->at++;
    e->reservation = -1;
    text_clear(&e->location);
    if (!take(c, '}')) {
        do {
            int got = take_member(c, e, err);
            if (got != 1) return got;
        } while (take(c, ','));
        if (!take(c, '}')) return 0;
    }
    return add_rule(t, e, err) ? -1 : 1;
}

int tdmrep_parse(struct tdmrep *t, const char *bytes, size_t n_bytes, struct error *err)
{
    struct cursor c = {bytes, bytes + n_bytes};
    struct element e = {0};
    int got = 0;
    *t = TDMREP_EMPTY;
    if (n_bytes > TDMREP_MAX_BYTES) return 0;
    if (n_bytes >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) c.at += 3;
    if (!take(&c, '[')) goto out;
    if (!take(&c, ']')) {
        do
            got = take_element(t, &c, &e, err);
        while (got == 1 && take(&c, ','));
        if (got != 1) goto out;
        got = 0;
        if (!take(&c, ']')) goto out;
    }
    got = next(&c) == -1;
out:
    text_release(&e.location);
    text_release(&e.key);
    if (got != 1) tdmrep_release(t);
    return got;
}

uint32_t tdmrep_match(const struct tdmrep *t, const char *path)
{
    return rights_rules_match(t->rules, t->n_rules, path);
}

void tdmrep_release(struct tdmrep *t)
{
    free(t->rules);
    arena_release(&t->arena);
    *t = TDMREP_EMPTY;
}
