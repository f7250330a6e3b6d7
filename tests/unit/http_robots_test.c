/* needs: http */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/robots.h"
#include "tap.h"

struct robots_case {
    const char *text, *path;
    bool allowed;
};

static const struct robots_case cases[] = {
    {"", "/a", true},
    {"User-agent: *\nDisallow: /", "/a", false},
    {"User-agent: *\nDisallow:", "/a", true},
    {"User-agent: *\r\nDisallow: /p/\r\n", "/p/a", false},
    {"User-agent: *\rDisallow: /p/\r", "/p/a", false},
    {"\xef\xbb\xbfUser-agent: *\nDisallow: /", "/a", false},
    {"user-AGENT : *\nDISALLOW : /p # why\n", "/p", false},
    {"User-agent: winnow\nDisallow: /p\n\nUser-agent: *\nDisallow: /", "/a", true},
    {"User-agent: winnow\nDisallow: /p\n\nUser-agent: *\nDisallow: /", "/p", false},
    {"User-agent: *\nDisallow: /\n\nUser-agent: Winnow/2.0 (x)\nAllow: /", "/a", true},
    {"User-agent: winnower\nDisallow: /", "/a", true},
    {"User-agent: a\nUser-agent: winnow\nUser-agent: b\nDisallow: /x", "/x", false},
    {"User-agent: a\nDisallow: /x\nUser-agent: winnow\nDisallow: /y", "/x", true},
    {"User-agent: winnow\nDisallow: /x\nUser-agent: a\nAllow: /\nUser-agent: winnow\nDisallow: /y", "/y",
     false},
    {"Disallow: /", "/a", true},                                  /* belongs to no group */
    {"User-agent: *\nAllow: /p/q\nDisallow: /p", "/p/q/r", true}, /* the longest wins */
    {"User-agent: *\nDisallow: /p/q\nAllow: /p", "/p/q/r", false},
    {"User-agent: *\nDisallow: /p\nAllow: /p", "/p", true}, /* allow wins a tie */
    {"User-agent: *\nDisallow: /*.jpg", "/a/b.jpg?x", false},
    {"User-agent: *\nDisallow: /*.jpg$", "/a/b.jpg?x", true},
    {"User-agent: *\nDisallow: /*.jpg$", "/a.jpg/b.jpg", false},
    {"User-agent: *\nDisallow: /a*b*c", "/axxbyyc", false},
    {"User-agent: *\nDisallow: /a*b*c", "/axxbyy", true},
    {"User-agent: *\nDisallow: *", "/a", false},
    {"User-agent: *\nDisallow: /*$", "/a", false},
    {"User-agent: *\nDisallow: $", "/a", true},
    {"User-agent: *\nDisallow: /~joe", "/%7Ejoe/x", false},
    {"User-agent: *\nDisallow: /%7ejoe", "/~joe/x", false},
    {"User-agent: *\nDisallow: /a%2fb", "/a/b", true},
    {"User-agent: *\nDisallow: /a%2Fb", "/a%2fb", false},
    {"User-agent: *\nSitemap: x\nDisallow: /p", "/p", false},
    {"User-agent: *\n\n\nDisallow: /p", "/p", false},
    {"User-agent: *\nnonsense\nDisallow: /p", "/p", false},
    {"User-agent: *\nDisallow: /p%", "/p%", false},
    {"User-agent: *\nDisallow: /fish*", "/fish", false},
    {"User-agent: *\nCrawl-delay: 3\nUser-agent: b\nDisallow: /", "/a", false},
    {"User-agent: b\nCrawl-delay: 3\nUser-agent: winnow\nDisallow: /", "/a", false},
    {"User-agent: * all of you\nDisallow: /", "/a", false},
    {"User-agent: *bot\nDisallow: /", "/a", true},
    {"useragent: *\nDisallow: /", "/a", false},
    {"user agent: *\nDisallow: /", "/a", false},
    {"User-agent: *\ndissallow: /", "/a", false},
    {"User-agent: *\nDisalow: /", "/a", false},
    {"User-agent *\nDisallow /p", "/p", false},
    {"User-agent *\nDisallow \t /p \n", "/p", false},
    {"User-agent: *\nDisallow /p /q", "/p", true}, /* more than two words are no line */
    {"\xef\xbbUser-agent: *\nDisallow: /", "/a", false},
    {"\xef\x11User-agent: *\nDisallow: /", "/a", true},
    {"User-agent: *\nDisallow: /x/page\nAllow: /x/\xe3\x83\x84", "/x/%E3%83%84", true},
    {"User-agent: *\nAllow: /p/q\nDisallow: /p/\xe3\x83\x84", "/p/%E3%83%84", false},
    {"User-agent: *\nDisallow: /x/\xe3\x83\x84\nAllow: /x/*4", "/x/%e3%83%84", false},
};

int main(void)
{
    struct robots r;
    struct error err = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct robots_case *c = &cases[i];
        CHECK_SAY(robots_parse(&r, c->text, strlen(c->text), "winnow", &err) == 0 &&
                      robots_allows(&r, c->path) == c->allowed,
                  "case %zu: %s %s", i, c->path, c->allowed ? "allowed" : "disallowed");
        robots_release(&r);
    }
    static const char delay[] = "User-agent: *\nCrawl-delay: 2.5\nDisallow: /p";
    CHECK(robots_parse(&r, delay, sizeof delay - 1, "winnow", &err) == 0 && r.crawl_delay_s == 2.5);
    robots_release(&r);
    static const char long_delay[] = "User-agent: *\nCrawl-delay: 100000";
    CHECK(robots_parse(&r, long_delay, sizeof long_delay - 1, "winnow", &err) == 0 &&
          r.crawl_delay_s == ROBOTS_MAX_DELAY_S);
    robots_release(&r);

    /* A pattern made to be slow stays quick: stars against a path of the same letter. */
    char pattern[2100], path[8000];
    size_t n = (size_t)snprintf(pattern, sizeof pattern, "User-agent: *\nDisallow: /");
    while (n < 2000)
        n += (size_t)snprintf(pattern + n, sizeof pattern - n, "*a");
    memcpy(pattern + n, "b$", 3);
    memset(path, 'a', sizeof path - 1);
    path[0] = '/', path[sizeof path - 1] = 0;
    CHECK(robots_parse(&r, pattern, strlen(pattern), "winnow", &err) == 0 && robots_allows(&r, path));
    robots_release(&r);

    char *many = malloc(ROBOTS_MAX_RULES * 20 + 100), *at = many;
    at += sprintf(at, "User-agent: *\n");
    for (unsigned i = 0; i < ROBOTS_MAX_RULES + 10; i++)
        at += sprintf(at, "Disallow: /%u\n", i);
    CHECK(robots_parse(&r, many, (size_t)(at - many), "winnow", &err) == 0 && r.n_rules == ROBOTS_MAX_RULES);
    CHECK(!robots_allows(&r, "/77") && robots_allows(&r, "/x"));
    robots_release(&r);
    free(many);
    return tap_done();
}
