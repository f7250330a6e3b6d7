/* needs: http */
#include <string.h>

#include "http/http_url.h"
#include "http/url_list.h"
#include "tap.h"

struct url_case {
    const char *in, *out;
}; /* out NULL: refused */

static const struct url_case cases[] = {
    {"http://example.org/a.jpg", "http://example.org/a.jpg"},
    {"  HTTP://EXAMPLE.org/A.jpg\r\n", "http://example.org/A.jpg"},
    {"http://example.org", "http://example.org/"},
    {"http://example.org?x=1", "http://example.org/?x=1"},
    {"http://example.org#top", "http://example.org/"},
    {"http://example.org:80/", "http://example.org/"},
    {"https://example.org:443/a", "https://example.org/a"},
    {"https://example.org:80/a", "https://example.org:80/a"},
    {"http://example.org:0080/a", "http://example.org/a"},
    {"http://example.org:/a", "http://example.org/a"},
    {"http://example.org/a b.jpg", "http://example.org/a%20b.jpg"},
    {"http://example.org/\xc3\xa4.jpg", "http://example.org/%C3%A4.jpg"},
    {"http://example.org/a?b#c#d", "http://example.org/a?b"},
    {"http://example.org/%7ea", "http://example.org/%7ea"},
    {"http://example.org/a/../secret/x", "http://example.org/secret/x"},
    {"http://example.org/./a/./b/.", "http://example.org/a/b/"},
    {"http://example.org/a/b/..", "http://example.org/a/"},
    {"http://example.org/../../a", "http://example.org/a"},
    {"http://example.org/a//../b", "http://example.org/a/b"},
    {"http://example.org/a/%2e%2E/b/.%2e/c?x=/../y", "http://example.org/c?x=/../y"},
    {"http://example.org/a/.../b/..c/.d", "http://example.org/a/.../b/..c/.d"},
    {"http://example.org/..", "http://example.org/"},
    {"http://[2001:DB8::1]:8080/a", "http://[2001:db8::1]:8080/a"},
    {"http://[::1]", "http://[::1]/"},
    {"http://b\xc3\xbc"
     "cher.example/",
     "http://b\xc3\xbc"
     "cher.example/"},
    {"", NULL},
    {"   ", NULL},
    {"example.org/a.jpg", NULL},
    {"ftp://example.org/", NULL},
    {"file:///etc/passwd", NULL},
    {"javascript:alert(1)", NULL},
    {"http://", NULL},
    {"http:///a", NULL},
    {"http://user@host/", NULL},
    {"http://user:pw@host/", NULL},
    {"http://127.0.0.1\\@example.org/", NULL},
    {"http://example.org:99999/", NULL},
    {"http://example.org:0/", NULL},
    {"http://example.org:8a/", NULL},
    {"http://[::1/", NULL},
    {"http://[::1]x/", NULL},
    {"http://[fe80::1%25eth0]/", NULL},
    {"http://a b/", NULL},
    {"http://a%2fb/", NULL},
    {"http://:80/", NULL},
    {"http://example.org\t/", NULL},
};

static void test_canonical(void)
{
    struct text out = TEXT_EMPTY, again = TEXT_EMPTY;
    struct http_url_parts parts;
    struct error err = {0};
    const char *why;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int rc = http_url_canonical(cases[i].in, strlen(cases[i].in), &out, &parts, &why, &err);
        if (!cases[i].out) {
            CHECK_SAY(rc == 0 && *why, "'%s' is refused", cases[i].in);
            continue;
        }
        CHECK_SAY(rc == 1 && strcmp(out.data, cases[i].out) == 0, "'%s' -> '%s'", cases[i].in,
                  rc == 1 ? out.data : why);
        /* Canonical of canonical is itself. */
        rc = http_url_canonical(out.data, out.n_bytes, &again, &parts, &why, &err);
        CHECK_SAY(rc == 1 && strcmp(again.data, out.data) == 0, "'%s' is a fixed point", out.data);
    }
    char longest[HTTP_URL_MAX_BYTES + 2];
    memset(longest, 'a', sizeof longest);
    memcpy(longest, "http://e.org/", 13);
    CHECK(http_url_canonical(longest, HTTP_URL_MAX_BYTES, &out, &parts, &why, &err) == 1);
    CHECK(http_url_canonical(longest, HTTP_URL_MAX_BYTES + 1, &out, &parts, &why, &err) == 0);
    memset(longest + 13, ' ', 5000);
    /* %20 makes it longer */
    CHECK(http_url_canonical(longest, HTTP_URL_MAX_BYTES, &out, &parts, &why, &err) == 0);
    CHECK(http_url_canonical("http://a\0b/", 11, &out, &parts, &why, &err) == 0);
    text_release(&out);
    text_release(&again);
}

static void test_loopback(void)
{
    static const struct {
        const char *url;
        bool loopback;
    } list[] = {
        {"http://localhost/", true}, {"http://127.0.0.1/", true},        {"http://127.9.9.9:8080/", true},
        {"http://[::1]/", true},     {"http://127.example.org/", false}, {"http://example.org/", false},
        {"http://10.0.0.1/", false}, {"http://localhost.evil/", false},
    };
    struct text out = TEXT_EMPTY;
    struct http_url_parts parts;
    struct error err = {0};
    const char *why;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        CHECK_SAY(http_url_canonical(list[i].url, strlen(list[i].url), &out, &parts, &why, &err) == 1 &&
                      http_url_is_loopback(out.data, &parts) == list[i].loopback,
                  "%s", list[i].url);
    text_release(&out);
}

static void test_list(void)
{
    static const char bytes[] = "\xef\xbb\xbfhttp://a/1\r\n\n  # remark\n\t\"http://a/2\"  \nhttp://a/3\tcat";
    static const char *const wanted[] = {"http://a/1", "http://a/2", "http://a/3"};
    struct url_list_cursor c;
    const char *entry;
    size_t n, i = 0;
    url_list_start(&c, bytes, sizeof bytes - 1);
    while (url_list_next(&c, &entry, &n)) {
        CHECK_SAY(i < 3 && strlen(wanted[i]) == n && memcmp(entry, wanted[i], n) == 0, "entry %zu", i);
        i++;
    }
    CHECK(i == 3);
    CHECK(c.line == 5);
    CHECK(url_list_is_manifest("url\tlabel\nx", 11));
    CHECK(url_list_is_manifest("id\turl", 6));
    CHECK(url_list_is_manifest("url", 3));
    CHECK(url_list_is_manifest("path\tlabel\n", 11)); /* and it lacks its url */
    CHECK(!url_list_is_manifest("http://a/1\tcat\n", 15));
    CHECK(!url_list_is_manifest("http://a/url\n", 13));
    CHECK(!url_list_is_manifest("", 0));
    CHECK(!url_list_is_manifest("urls\n", 5));
}

static const struct url_case comparable[] = {
    {"http://example.org/caf%c3%a9.jpg", "example.org/caf%C3%A9.jpg"},
    {"https://EXAMPLE.org:443/caf\xc3\xa9.jpg#x", "example.org/caf%C3%A9.jpg"},
    {"http://example.org:80/%7Ea/%61%2c%21.jpg?x=%41", "example.org/~a/a,!.jpg?x=A"},
    {"https://example.org:80/a", "example.org/a"},
    {"http://example.org:8080/a", "example.org:8080/a"},
    {"http://example.org./a/./b/../c", "example.org/a/c"},
    {"http://example.org/a%2fb%3f%23%25%26%3d%2b", "example.org/a%2Fb%3F%23%25%26%3D%2B"},
    {"http://example.org/%zz%4", "example.org/%zz%4"},
    {"http://example.org/a|b%7Cc%22\"", "example.org/a|b|c\"\""},
    {"http://b\xc3\xbc"
     "cher.example/",
     "xn--bcher-kva.example/"},
    {"http://xn--bcher-kva.example/", "xn--bcher-kva.example/"},
    {"http://m\xc3\xbcnchen.b\xc3\xbc"
     "cher.example./",
     "xn--mnchen-3ya.xn--bcher-kva.example/"},
    {"http://\xe4\xbe\x8b\xe3\x81\x88.\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88/", "xn--r8jz45g.xn--zckzah/"},
    {"http://\xd0\xbf\xd1\x80\xd0\xb8\xd0\xbc\xd0\xb5\xd1\x80.test/", "xn--e1afmkfd.test/"},
    {"http://[2001:DB8::1]:443/a", "[2001:db8::1]/a"},
    {"ftp://example.org/", NULL},
};

int main(void)
{
    for (size_t i = 0; i < sizeof comparable / sizeof *comparable; i++) {
        struct text got = TEXT_EMPTY;
        struct error failed = {0};
        const char *in = comparable[i].in, *out = comparable[i].out;
        int rc = http_url_comparable(in, strlen(in), &got, &failed);
        CHECK_SAY(rc == (out != NULL) && (!out || strcmp(got.data, out) == 0), "'%s' is compared as '%s'", in,
                  rc == 1 ? got.data : "none");
        text_release(&got);
    }
    test_canonical();
    test_loopback();
    test_list();
    return tap_done();
}
