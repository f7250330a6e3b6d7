/* needs: http */
#include <stdio.h>
#include <string.h>

#include "http/http_header.h"
#include "tap.h"

#define NOW 784111777 /* Sun, 06 Nov 1994 08:49:37 GMT */

static struct http_headers read_all(const char *text)
{
    struct http_headers h;
    http_headers_start(&h);
    while (*text) {
        const char *lf = strchr(text, '\n');
        size_t n = lf ? (size_t)(lf - text) + 1 : strlen(text);
        http_headers_line(&h, text, n, NOW, "winnow");
        text += n;
    }
    if (!h.ended) http_headers_line(&h, "\r\n", 2, NOW, "winnow");
    return h;
}

static void test_retry_after(void)
{
    static const struct {
        const char *value;
        long long seconds;
    } list[] = {
        {"120", 120},
        {" 5 ", 5},
        {"0", 0},
        {"Sun, 06 Nov 1994 08:49:47 GMT", 10},
        {"Sunday, 06-Nov-94 08:49:47 GMT", 10},
        {"Sun Nov  6 08:49:47 1994", 10},
        {"Sun, 06 Nov 1994 08:49:27 GMT", 0},
        {"-5", -1},
        {"", -1},
        {"soon", -1},
        {"1.5", -1},
        {"99999999999999999999999", 10LL * 366 * 86400},
        {"400000000", 10LL * 366 * 86400},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        long long got = http_retry_after(list[i].value, strlen(list[i].value), NOW);
        CHECK_SAY(got == list[i].seconds, "Retry-After: %s is %lld", list[i].value, got);
    }
}

static void test_robots_tag(void)
{
    static const struct {
        const char *lines;
        bool no;
    } list[] = {
        {"X-Robots-Tag: noai\n", true},
        {"x-robots-tag: NOAI\n", true},
        {"X-Robots-Tag: noimageai\n", true},
        {"X-Robots-Tag: noindex, nofollow\n", true},
        {"X-Robots-Tag: none\n", true},
        {"X-Robots-Tag: nofollow, noimageindex\n", true},
        {"X-Robots-Tag: nofollow\n", false},
        {"X-Robots-Tag: googlebot: noai\n", false},
        {"X-Robots-Tag: winnow: noai\n", true},
        {"X-Robots-Tag: WINNOW : noai\n", true},
        {"X-Robots-Tag: *: noai\n", true},
        {"X-Robots-Tag: googlebot: nofollow, noai\n", false},
        {"X-Robots-Tag: googlebot: noai, winnow: noindex\n", true},
        {"X-Robots-Tag: max-snippet: 20, noai\n", true},
        {"X-Robots-Tag: unavailable_after: 25 Jun 2030 15:00:00 PST\n", false},
        {"X-Robots-Tag: unavailable_after: 25 Jun 1993 15:00:00 PST\n", true},
        {"X-Robots-Tag: unavailable_after: Friday, 25-Jun-93 15:00:00 UTC\n", true},
        {"X-Robots-Tag: unavailable_after: Friday, 25-Jun-37 15:00:00 UTC, nofollow\n", false},
        {"X-Robots-Tag: unavailable_after: Friday, 25-Jun-37 15:00:00 UTC, noai\n", true},
        {"X-Robots-Tag: unavailable_after: 1993-06-25\n", true},
        {"X-Robots-Tag: unavailable_after: 1993-06-25T15:00:00Z\n", true},
        {"X-Robots-Tag: unavailable_after: 2030-06-25\n", false},
        {"X-Robots-Tag: unavailable_after: 10000-01-01\n", false},
        {"X-Robots-Tag: unavailable_after: 1 Jan 10000 00:00:00 GMT\n", false},
        {"X-Robots-Tag: unavailable_after: soon, noai\n", true},
        {"X-Robots-Tag: unavailable_after:\n", false},
        {"X-Robots-Tag: otherbot: unavailable_after: 25 Jun 1993 15:00:00 PST\n", false},
        {"X-Robots-Tag: winnow: unavailable_after: 25 Jun 1993 15:00:00 PST\n", true},
        {"X-Robots-Tag: all\nX-Robots-Tag: noai\n", true},
        {"X-Robots-Tag: googlebot: noai\nX-Robots-Tag: noimageai\n", true},
        {"X-Robots-Tag: noairport\n", false},
        {"X-Robots-Tag:\n", false},
        {"X-Robots-Tag: ,,noai,\n", true},
        {"X-Robots: noai\n", false},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        CHECK_SAY((read_all(list[i].lines).tag.set != 0) == list[i].no, "%.*s: %d",
                  (int)strcspn(list[i].lines, "\n"), list[i].lines, list[i].no);
}

static void test_rights(void)
{
    static const struct {
        const char *lines, *words;
    } list[] = {
        {"Content-Usage: train-ai=n\n", "content-usage:train-ai=n@header"},
        {"content-usage: search=y, train-ai=y\n", "content-usage:train-ai=y@header"},
        {"Content-Usage: train-ai=n;note=\"x\", search=y\n", "content-usage:train-ai=n@header"},
        {"Content-Usage: train-ai=n, train-ai=y\n", "content-usage:train-ai=y@header"},
        {"Content-Usage: train-ai=y\nContent-Usage: train-ai=n\n", "content-usage:train-ai=n@header"},
        {"Content-Usage: train-ai=n\nContent-Usage: \"\n", ""},
        {"Content-Usage: ;\nContent-Usage: train-ai=n\n", ""},
        {"Content-Usage: train-ai=N\n", ""},
        {"Content-Usage: Train-AI=n\n", ""},
        {"Content-Signal: search=yes, ai-train=no\n", "content-signal:ai-train=no@header"},
        {"Content-signal: AI-Train = Yes\n", "content-signal:ai-train=yes@header"},
        {"Content-Signal: ai-train=yes\nContent-Signal: ai-train=no\n",
         "content-signal:ai-train=no@header,content-signal:ai-train=yes@header"},
        {"tdm-reservation: 1\n", "tdm-reservation:1@header"},
        {"TDM-Reservation:0\n", "tdm-reservation:0@header"},
        {"tdm-reservation: 2\n", ""},
        {"tdm-reservation: 01\n", ""},
        {"tdm-reservation: 0\ntdm-reservation: 1\n", "tdm-reservation:1@header,tdm-reservation:0@header"},
        {"tdm-reservation: 0 ,1\n", "tdm-reservation:1@header,tdm-reservation:0@header"},
        {"tdm-reservation: ,,\n", ""},
        {"HTTP/1.1 302 Found\ntdm-reservation: 1\n\nHTTP/1.1 200 OK\n", ""},
        /* lines that are continued */
        {"Content-Usage: search=y,\n train-ai=n\n", "content-usage:train-ai=n@header"},
        {"Content-Usage:\r\n\ttrain-ai=y\r\n , train-ai=n\r\n", "content-usage:train-ai=n@header"},
        {"Content-Signal: search=yes,\n \t ai-train\n =no\nDate: x\n", "content-signal:ai-train=no@header"},
        {"tdm-reservation:\n 1\nDate: x\n tdm-reservation: 0\n", "tdm-reservation:1@header"},
        {" tdm-reservation: 1\n", ""},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        char words[RIGHTS_TEXT_BYTES];
        struct http_headers h = read_all(list[i].lines);
        CHECK_SAY(strcmp(rights_text(words, h.rights), list[i].words) == 0, "%.*s: %s",
                  (int)strcspn(list[i].lines, "\n"), list[i].lines, words);
    }
}

static void test_validators(void)
{
    static const struct {
        const char *lines, *validator;
    } list[] = {
        {"ETag: \"a\"\n", "\"a\""},
        {"ETag: W/\"a\"\n", ""},
        {"ETag: a\n", ""},
        {"Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\nDate: Sun, 06 Nov 1994 08:50:37 GMT\n",
         "Sun, 06 Nov 1994 08:49:37 GMT"},
        {"Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\nDate: Sun, 06 Nov 1994 08:50:36 GMT\n", ""},
        {"Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\nDate: Sun, 06 Nov 1994 08:40:00 GMT\n", ""},
        {"Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\n", ""},
        {"Last-Modified: long ago\nDate: Sun, 06 Nov 1994 08:50:37 GMT\n", ""},
        {"ETag: W/\"a\"\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\nDate: Sun, 06 Nov 1995 08:50:37 GMT\n",
         ""},
        {"ETag: \"a\"\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\nDate: Sun, 06 Nov 1995 08:50:37 GMT\n",
         "\"a\""},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct http_headers h = read_all(list[i].lines);
        const char *got = http_headers_strong_validator(&h);
        CHECK_SAY(strcmp(got, list[i].validator) == 0, "validator %zu: '%s'", i, got);
        CHECK_SAY(!*got || http_headers_same_version(&h, got), "validator %zu names its own answer", i);
    }
    struct http_headers h = read_all("ETag: \"b\"\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\n");
    CHECK(!http_headers_same_version(&h, "\"a\"") &&
          !http_headers_same_version(&h, "Sun, 06 Nov 1994 08:49:38 GMT") &&
          !http_headers_same_version(&h, ""));
    CHECK(http_headers_same_version(&h, "Sun, 06 Nov 1994 08:49:37 GMT"));
    h = read_all("Content-Type: image/jpeg\n");
    CHECK(!http_headers_same_version(&h, "\"a\"") && !http_headers_same_version(&h, ""));
}

int main(void)
{
    struct http_headers h = read_all(
        "HTTP/1.1 103 Early Hints\r\nETag: \"old\"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: Image/JPEG; "
        "q=1\r\n"
        "Content-Length: 123\r\nETag: \"abc\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n");
    CHECK(h.status == 200 && h.version == 11 && h.ended && h.content_bytes == 123);
    CHECK(strcmp(h.content_type, "image/jpeg") == 0);
    CHECK(strcmp(h.etag, "\"abc\"") == 0 && strcmp(http_headers_strong_validator(&h), "\"abc\"") == 0);
    CHECK(strcmp(h.last_modified, "Sun, 06 Nov 1994 08:49:37 GMT") == 0);
    h = read_all("HTTP/2 206 \r\ncontent-range: bytes 100-199/200\r\netag: W/\"x\"\r\n\r\n");
    CHECK(h.status == 206 && h.version == 20 && h.range_first == 100 && h.range_last == 199 &&
          h.range_total == 200);
    CHECK(strcmp(http_headers_strong_validator(&h), "") == 0);
    static const char *const bad_ranges[] = {"bytes 5-2/10", "bytes 0-10/10", "bytes */10",  "bytes -5/10",
                                             "items 0-1/2",  "bytes 0-1",     "bytes a-b/c", "bytes 0-2/"};
    for (size_t i = 0; i < sizeof bad_ranges / sizeof *bad_ranges; i++) {
        char line[64];
        snprintf(line, sizeof line, "Content-Range: %s\n", bad_ranges[i]);
        CHECK_SAY(read_all(line).range_first == -1, "Content-Range: %s counts as absent", bad_ranges[i]);
    }
    CHECK(read_all("Content-Range: bytes 0-9/*\n").range_total == -1 &&
          read_all("Content-Range: bytes 0-9/*\n").range_last == 9);
    CHECK(read_all("Content-Length: 5\nContent-Length: 5\n").content_bytes == 5);
    CHECK(read_all("Content-Length: 5\nContent-Length: 6\n").content_bytes == -2);
    CHECK(read_all("Content-Length: -5\n").content_bytes == -2);
    CHECK(read_all("Content-Length: 99999999999999999999\n").content_bytes == -2);
    CHECK(read_all("").content_bytes == -1);
    CHECK(read_all("Transfer-Encoding: gzip, chunked\n").chunked &&
          !read_all("Transfer-Encoding: gzip\n").chunked);
    CHECK(read_all("Content-Encoding: gzip\n").encoded && !read_all("Content-Encoding: identity\n").encoded);
    CHECK(read_all("ETag: \"a\x01"
                   "b\"\n")
              .etag[0] == 0); /* control bytes count as absent */
    char longest[600];
    memset(longest, 'x', sizeof longest);
    memcpy(longest, "ETag: \"", 7);
    memcpy(longest + 597, "\"\n", 3);
    CHECK(read_all(longest).etag[0] == 0);
    CHECK(read_all("HTTP/1.0 404\n").status == 0 || read_all("HTTP/1.0 404 \n").status == 404);
    CHECK(read_all("HTTP/1.1 xyz\n").status == 0 && read_all("no colon\n: x\n").status == 0);
    test_retry_after();
    test_robots_tag();
    test_rights();
    test_validators();
    return tap_done();
}
