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

/* The cases of the reference parser's tests (github.com/google/robotstxt, robots_test.cc of 1 April 2026):
 * a file, an agent, and the paths that it may and may not ask for, divided by blanks. */
struct reference_case {
    const char *text, *agent, *allowed, *refused;
};

#define ROOT "user-agent: FooBot\ndisallow: /\n"
#define TSU "\xe3\x83\x84"
#define GROUPS                                                                                               \
    "allow: /foo/bar/\n\nuser-agent: FooBot\ndisallow: /\nallow: /x/\nuser-agent: BarBot\ndisallow: /\n"     \
    "allow: /y/\n\n\nallow: /w/\nuser-agent: BazBot\n\nuser-agent: FooBot\nallow: /z/\ndisallow: /\n"
#define UNKNOWN_LINE(line) "User-agent: BarBot\n" line "\nUser-agent: *\nDisallow: /\n"
#define FOO_BAR(agent, allow, disallow) agent ": FOO BAR\n" allow ": /x/\n" disallow ": /\n"
#define SOME_BOTS                                                                                            \
    "user-agent: FooBot\nallow: /\nuser-agent: BarBot\ndisallow: /\nuser-agent: BazBot\ndisallow: /\n"

static const struct reference_case reference_cases[] = {
    /* the system test */
    {"", "FooBot", "/", ""},
    {"", "", "/", ""},
    {ROOT, "", "/", ""},
    {ROOT, "FooBot", "", "/ /x/y"},
    /* lines */
    {"foo: FooBot\nbar: /\n", "FooBot", "/x/y", ""},
    {"user-agent FooBot\ndisallow /\n", "FooBot", "", "/x/y"},
    {"USER-AGENT: FooBot\nALLOW: /x/\nDISALLOW: /\n", "FooBot", "/x/y", "/a/b"},
    {"uSeR-aGeNt: FooBot\nAlLoW: /x/\ndIsAlLoW: /\n", "FooBot", "/x/y", "/a/b"},
    /* groups */
    {GROUPS, "FooBot", "/x/b /z/d", "/y/c /foo/bar/"},
    {GROUPS, "BarBot", "/y/c /w/a", "/z/d /foo/bar/"},
    {GROUPS, "BazBot", "/z/d", "/foo/bar/"},
    {UNKNOWN_LINE("Sitemap: https://foo.bar/sitemap"), "FooBot", "", "/"},
    {UNKNOWN_LINE("Sitemap: https://foo.bar/sitemap"), "BarBot", "", "/"},
    {UNKNOWN_LINE("Invalid-Unknown-Line: unknown"), "FooBot", "", "/"},
    {UNKNOWN_LINE("Invalid-Unknown-Line: unknown"), "BarBot", "", "/"},
    /* agents */
    {FOO_BAR("User-Agent", "Allow", "Disallow"), "Foo", "/x/y", "/a/b"},
    {FOO_BAR("User-Agent", "Allow", "Disallow"), "foo", "/x/y", "/a/b"},
    {"User-Agent: FoO bAr\nAllow: /x/\nDisallow: /\n", "foo", "/x/y", "/a/b"},
    {"User-Agent: *\nDisallow: /\nUser-Agent: Foo Bar\nAllow: /x/\nDisallow: /\n", "Foo", "/x/y", ""},
    {"User-Agent: *\nDisallow: /\nUser-Agent: Foo Bar\nAllow: /x/\nDisallow: /\n", "Foo Bar", "", "/x/y"},
    {"user-agent: *\nallow: /\nuser-agent: FooBot\ndisallow: /\n", "FooBot", "", "/x/y"},
    {"user-agent: *\nallow: /\nuser-agent: FooBot\ndisallow: /\n", "BarBot", "/x/y", ""},
    {SOME_BOTS, "QuxBot", "/x/y", ""},
    {"user-agent: FooBot\ndisallow: /x/\n", "FooBot", "", "/x/y"},
    {"user-agent: FooBot\ndisallow: /X/\n", "FooBot", "/x/y", ""},
    /* the longest match */
    {"user-agent: FooBot\ndisallow: /x/page.html\nallow: /x/\n", "FooBot", "", "/x/page.html"},
    {"user-agent: FooBot\nallow: /x/page.html\ndisallow: /x/\n", "FooBot", "/x/page.html", "/x/"},
    {"user-agent: FooBot\ndisallow: \nallow: \n", "FooBot", "/x/page.html", ""},
    {ROOT "allow: /\n", "FooBot", "/x/page.html", ""},
    {"user-agent: FooBot\ndisallow: /x\nallow: /x/\n", "FooBot", "/x/", "/x"},
    {"user-agent: FooBot\ndisallow: /x/page.html\nallow: /x/page.html\n", "FooBot", "/x/page.html", ""},
    {"user-agent: FooBot\nallow: /page\ndisallow: /*.html\n", "FooBot", "/page", "/page.html"},
    {"user-agent: FooBot\nallow: /x/page.\ndisallow: /*.html\n", "FooBot", "/x/page.html", "/x/y.html"},
    {"User-agent: *\nDisallow: /x/\nUser-agent: FooBot\nDisallow: /y/\n", "FooBot", "/x/page", "/y/page"},
    /* encoding */
    {ROOT "Allow: /foo/bar?qux=taz&baz=http://foo.bar?tar&par\n", "FooBot",
     "/foo/bar?qux=taz&baz=http://foo.bar?tar&par", ""},
    {ROOT "Allow: /foo/bar/" TSU "\n", "FooBot", "/foo/bar/%E3%83%84", ""},
    {ROOT "Allow: /foo/bar/%E3%83%84\n", "FooBot", "/foo/bar/%E3%83%84", ""},
    {ROOT "Allow: /foo/bar/%62%61%7A\n", "FooBot", "/foo/bar/%62%61%7A", ""},
    /* *, $ and # */
    {"User-agent: FooBot\nDisallow: /foo/bar/quz\nAllow: /foo/*/qux\n", "FooBot",
     "/foo/quz /foo//quz /foo/bax/quz", "/foo/bar/quz"},
    {"User-agent: FooBot\nDisallow: /foo/bar$\nAllow: /foo/bar/qux\n", "FooBot",
     "/foo/bar/qux /foo/bar/ /foo/bar/baz", "/foo/bar"},
    {"User-agent: FooBot\n# Disallow: /\nDisallow: /foo/quz#qux\nAllow: /\n", "FooBot", "/foo/bar",
     "/foo/quz"},
    {"User-Agent: *\nAllow: /allowed-slash/index.html\nDisallow: /\n", "foobot",
     "/allowed-slash/ /allowed-slash/index.html", "/allowed-slash/index.htm /anyother-url /allowed-slash/x"},
    /* the table of paths in Google's documentation */
    {ROOT "allow: /fish\n", "FooBot",
     "/fish /fish.html /fish/salmon.html /fishheads /fishheads/yummy.html /fish.html?id=anything",
     "/bar /Fish.asp /catfish /?id=fish"},
    {ROOT "allow: /fish*\n", "FooBot",
     "/fish /fish.html /fish/salmon.html /fishheads /fishheads/yummy.html /fish.html?id=anything",
     "/bar /Fish.bar /catfish /?id=fish"},
    {ROOT "allow: /fish/\n", "FooBot",
     "/fish/ /fish/salmon /fish/?salmon /fish/salmon.html /fish/?id=anything",
     "/bar /fish /fish.html /Fish/Salmon.html"},
    {ROOT "allow: /*.php\n", "FooBot",
     "/filename.php /folder/filename.php /folder/filename.php?parameters //folder/any.php.file.html "
     "/filename.php/ /index?f=filename.php/",
     "/bar /php/ /index?php /windows.PHP"},
    {ROOT "allow: /*.php$\n", "FooBot", "/filename.php /folder/filename.php",
     "/bar /filename.php?parameters /filename.php/ /filename.php5 /php/ /filename?php /aaaphpaaa "
     "//windows.PHP"},
    {ROOT "allow: /fish*.php\n", "FooBot", "/fish.php /fishheads/catfish.php?parameters", "/bar /Fish.PHP"},
    {"user-agent: FooBot\nallow: /p\ndisallow: /\n", "FooBot", "/page", ""},
    {"user-agent: FooBot\nallow: /folder\ndisallow: /folder\n", "FooBot", "/folder/page", ""},
    {"user-agent: FooBot\nallow: /page\ndisallow: /*.htm\n", "FooBot", "", "/page.htm"},
    {"user-agent: FooBot\nallow: /$\ndisallow: /\n", "FooBot", "/", "/page.html"},
    /* ends of lines: each kind gives the same two groups */
    {"User-Agent: foo\nAllow: /some/path\nUser-Agent: bar\n\n\nDisallow: /\n", "bar", "", "/x"},
    {"User-Agent: foo\r\nAllow: /some/path\r\nUser-Agent: bar\r\n\r\n\r\nDisallow: /\r\n", "bar", "", "/x"},
    {"User-Agent: foo\rAllow: /some/path\rUser-Agent: bar\r\r\rDisallow: /\r", "bar", "", "/x"},
    {"User-Agent: foo\nAllow: /some/path\nUser-Agent: bar\n\n\nDisallow: /", "bar", "", "/x"},
    {"User-Agent: foo\nAllow: /some/path\r\nUser-Agent: bar\n\r\n\nDisallow: /", "bar", "", "/x"},
    {"User-Agent: foo\nAllow: /some/path\r\nUser-Agent: bar\n\r\n\nDisallow: /", "foo", "/x", ""},
    /* a byte order mark: whole, cut, broken, and not at the start */
    {"\xef\xbb\xbf"
     "User-Agent: foo\nDisallow: /AnyValue\n",
     "foo", "/x", "/AnyValue"},
    {"\xef\xbb"
     "User-Agent: foo\nDisallow: /AnyValue\n",
     "foo", "/x", "/AnyValue"},
    {"\xef"
     "User-Agent: foo\nDisallow: /AnyValue\n",
     "foo", "/x", "/AnyValue"},
    {"\xef\x11\xbf"
     "User-Agent: foo\nDisallow: /AnyValue\n",
     "foo", "/AnyValue", ""},
    {"User-Agent: foo\n\xef\xbb\xbf"
     "Disallow: /AnyValue\n",
     "foo", "/AnyValue", ""},
    /* Here we differ. The reference parser compares %62 and 'b' as they are and asks its caller to encode
     * addresses; RFC 9309 2.2.2 has "/foo/bar/%62%61%7A" match "/foo/bar/baz". */
    {ROOT "Allow: /foo/bar/%62%61%7A\n", "FooBot", "/foo/bar/baz", ""},
    {ROOT "Allow: /foo/bar/" TSU "\n", "FooBot", "/foo/bar/" TSU, ""},
    {ROOT "Allow: /foo/bar/%E3%83%84\n", "FooBot", "/foo/bar/" TSU, ""},
};

/* Checks each of `paths` against the file. */
static void check_paths(const struct reference_case *c, const char *paths, bool allowed)
{
    char path[256];
    struct robots r;
    struct error err = {0};
    CHECK(robots_parse(&r, c->text, strlen(c->text), c->agent, &err) == 0);
    for (; *paths; paths += strspn(paths, " ")) {
        size_t n = strcspn(paths, " ");
        snprintf(path, sizeof path, "%.*s", (int)n, paths);
        CHECK_SAY(robots_allows(&r, path) == allowed, "reference case %td: %s %s %s", c - reference_cases,
                  c->agent, path, allowed ? "allowed" : "refused");
        paths += n;
    }
    robots_release(&r);
}

/* A line ends after 8 * 2083 - 1 bytes, and the rule is what stands before that. */
static void check_long_line(bool allow)
{
    static char text[40000], path[40000];
    struct robots r;
    struct error err = {0};
    size_t n = (size_t)snprintf(text, sizeof text, "%s%s/x/", allow ? ROOT : "user-agent: FooBot\n",
                                allow ? "allow: " : "disallow: ");
    size_t line = strlen(allow ? "allow: " : "disallow: "), n_path = 2083 * 8 - line + 1;
    memset(text + n, 'a', n_path - 3);
    snprintf(text + n + n_path - 3, 6, "/qux\n");
    memset(path, 'a', n_path);
    memcpy(path, "/x/", 3);
    memcpy(path + n_path, "/fux", 5);
    CHECK(robots_parse(&r, text, strlen(text), "FooBot", &err) == 0 && robots_allows(&r, path) == allow &&
          robots_allows(&r, "/fux") == !allow);
    robots_release(&r);
}

/* A file in UTF-16, which Windows' editors write: either order of bytes, with and without a mark. */
static void check_utf16(bool big, bool mark, bool odd)
{
    static const uint16_t text[] = {0xfeff, 'U', 's',  'e',  'r',    '-',    'a',    'g',  'e',    'n',  't',
                                    ':',    '*', '\r', '\n', 'D',    'i',    's',    'a',  'l',    'l',  'o',
                                    'w',    ':', '/',  0xe9, 0x30c4, 0xd83d, 0xde00, '\n', 'D',    'i',  's',
                                    'a',    'l', 'l',  'o',  'w',    ':',    '/',    'p',  0xd800, '\n', 'A'};
    static const char signal[] = "\nContent-Signal: ai-train=no";
    unsigned char bytes[256];
    size_t n = 0;
    struct robots r;
    struct error err = {0};
    for (size_t i = mark ? 0 : 1; i < sizeof text / sizeof *text + sizeof signal - 1; i++) {
        uint16_t c =
            i < sizeof text / sizeof *text ? text[i] : (uint16_t)signal[i - sizeof text / sizeof *text];
        bytes[n++] = (unsigned char)(big ? c >> 8 : c);
        bytes[n++] = (unsigned char)(big ? c : c >> 8);
    }
    n -= odd;
    CHECK(robots_parse(&r, (const char *)bytes, n, "winnow", &err) == 0);
    CHECK(!robots_allows(&r, "/\xc3\xa9\xe3\x83\x84\xf0\x9f\x98\x80/x") && robots_allows(&r, "/x"));
    CHECK(r.n_rules == 2 && strcmp(r.rules[1].pattern, "/p\xef\xbf\xbd") == 0);
    CHECK(odd || robots_rights(&r, "/x") == RIGHTS_BIT(RIGHTS_CONTENT_SIGNAL_NO_ROBOTS));
    robots_release(&r);
}

int main(void)
{
    struct robots r;
    struct error err = {0};
    for (int i = 0; i < 8; i++)
        check_utf16(i & 1, i & 2, i & 4);
    for (size_t i = 0; i < sizeof reference_cases / sizeof *reference_cases; i++) {
        check_paths(&reference_cases[i], reference_cases[i].allowed, true);
        check_paths(&reference_cases[i], reference_cases[i].refused, false);
    }
    check_long_line(true);
    check_long_line(false);
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
