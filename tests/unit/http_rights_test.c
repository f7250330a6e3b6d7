/* needs: http */
#include <stdlib.h>
#include <string.h>

#include "http/rights.h"
#include "http/robots.h"
#include "http/tdmrep.h"
#include "tap.h"

static void test_dictionaries(void)
{
    static const struct {
        const char *text;
        int answer; /* of train-ai */
    } list[] = {
        {"", 0},
        {"train-ai=n", 'n'},
        {"train-ai=y", 'y'},
        {"  train-ai=n  ", 'n'},
        {"search=n", 0},
        {"train-ai", 0},
        {"train-ai=?0", 0},
        {"train-ai=\"n\"", 0},
        {"train-ai=(n)", 0},
        {"train-ai=no", 0},
        {"train-ai=n;a;b=2;c=\"x\\\"y\"", 'n'},
        {"train-ai=y, train-ai=n", 'n'},
        {"train-ai=n ,\tsearch=y", 'n'},
        {"a=(1 2.5 \"s\";p x);q, train-ai=n", 'n'},
        {"a=:aGk=:, b=@1659578233, c=%\"f%c3%bc\", d=-12.345, train-ai=y", 'y'},
        {"*x=a/b:c, train-ai=n", 'n'},
        {"train-ai=n,", -1},
        {"train-ai=n,,search=y", -1},
        {"train-ai=n search=y", -1},
        {"train-ai =n", -1},
        {"train-ai= n", -1},
        {"Train-ai=n", -1},
        {"=n", -1},
        {"train-ai=n; X", -1},
        {"a=(1 2", -1},
        {"a=(1,2)", -1},
        {"a=\"x, train-ai=n", -1},
        {"a=\"\x80\", train-ai=n", -1},
        {"a=1234567890123456, train-ai=n", -1},
        {"a=1.2345, train-ai=n", -1},
        {"a=?2, train-ai=n", -1},
        {"a=%\"f%C3\", train-ai=n", -1},
        {"a=:b, train-ai=n", -1},
        {"a=@1.5, train-ai=n", -1},
        {"/x train-ai=n", -1},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        int got = rights_content_usage(list[i].text, strlen(list[i].text), "train-ai");
        CHECK_SAY(got == list[i].answer, "'%s': %d", list[i].text, got);
    }
}

static void test_content_signals(void)
{
    static const struct {
        const char *text;
        unsigned said;
    } list[] = {
        {"", 0},
        {"ai-train=no", 1},
        {"search=yes, ai-train=no", 1},
        {"search=yes,ai-train=yes,use=full", 2},
        {"ai-train=no, ai-train=yes", 3},
        {"AI-TRAIN = NO", 1},
        {"ai-train", 0},
        {"ai-train=", 0},
        {"ai-train=maybe", 0},
        {"ai-training=no", 0},
        {",,=,ai-train=no,", 1},
        {"ai-input=no, search-ai=no", 0},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        CHECK_SAY(rights_content_signal(list[i].text, strlen(list[i].text)) == list[i].said, "'%s'",
                  list[i].text);
}

static void test_words(void)
{
    char words[RIGHTS_TEXT_BYTES];
    const uint32_t all = RIGHTS_BIT(RIGHTS_N_SIGNALS) - 1;
    CHECK(rights_from_text(rights_text(words, all)) == all && strlen(words) < sizeof words - 1);
    for (int i = 0; i < RIGHTS_N_SIGNALS; i++)
        CHECK_SAY(rights_from_text(rights_text(words, RIGHTS_BIT(i))) == RIGHTS_BIT(i), "%s", words);
    CHECK(rights_from_text("later:thing@header,,tdm-reservation:1@header,tdm") ==
          RIGHTS_BIT(RIGHTS_TDM_1_HEADER));
    CHECK(rights_of(0) == RIGHTS_UNKNOWN && rights_of(RIGHTS_BIT(RIGHTS_TDM_0_FILE)) == RIGHTS_ALLOW &&
          rights_of(RIGHTS_BIT(RIGHTS_TDM_0_FILE) | RIGHTS_BIT(RIGHTS_USAGE_NO_HEADER)) == RIGHTS_RESERVE);
    CHECK(rights_reserving(all) ==
          (RIGHTS_BIT(RIGHTS_USAGE_NO_ROBOTS) | RIGHTS_BIT(RIGHTS_USAGE_NO_HEADER) |
           RIGHTS_BIT(RIGHTS_CONTENT_SIGNAL_NO_ROBOTS) | RIGHTS_BIT(RIGHTS_CONTENT_SIGNAL_NO_HEADER) |
           RIGHTS_BIT(RIGHTS_TDM_1_HEADER) | RIGHTS_BIT(RIGHTS_TDM_1_FILE)));
}

#define USAGE_NO "content-usage:train-ai=n@robots.txt"
#define USAGE_YES "content-usage:train-ai=y@robots.txt"
#define SIGNAL_NO "content-signal:ai-train=no@robots.txt"
#define SIGNAL_YES "content-signal:ai-train=yes@robots.txt"

static void test_robots(void)
{
    static const struct {
        const char *text, *path, *words;
    } list[] = {
        {"User-agent: *\nContent-Usage: train-ai=n", "/a", USAGE_NO},
        {"User-agent: *\nContent-Usage: /p/ train-ai=n", "/p/a", USAGE_NO},
        {"User-agent: *\nContent-Usage: /p/ train-ai=n", "/q/a", ""},
        {"User-agent: *\nContent-Usage: train-ai=n\nContent-Usage: /p/ train-ai=y", "/p/a", USAGE_YES},
        {"User-agent: *\nContent-Usage: /p/ train-ai=n\nContent-Usage: train-ai=y", "/p/a", USAGE_NO},
        {"User-agent: *\nContent-Usage: train-ai=n\nContent-Usage: /p/ search=y", "/p/a", ""},
        {"User-agent: *\nContent-Usage: / train-ai=n\nContent-Usage: train-ai=y", "/p/a",
         USAGE_NO "," USAGE_YES},
        {"User-agent: *\nContent-Usage: /*.jpg$ train-ai=n", "/a.jpg", USAGE_NO},
        {"User-agent: *\nContent-Usage: /*.jpg$ train-ai=n", "/a.jpg?x", ""},
        {"User-agent: *\nContent-Usage: /%7Ejoe\ttrain-ai=n", "/~joe/x", USAGE_NO},
        {"User-agent: *\nContent-Usage: /p/ train-ai = n", "/p/a", ""},
        {"User-agent: *\nContent-Usage: train-ai=n # why not", "/a", USAGE_NO},
        {"User-agent: *\ncontent-USAGE : train-ai=n", "/a", USAGE_NO},
        {"Content-Usage: train-ai=n\nUser-agent: *\nAllow: /", "/a", ""},
        {"User-agent: winnow\nAllow: /\n\nUser-agent: *\nContent-Usage: train-ai=n", "/a", ""},
        {"User-agent: *\nContent-Usage: train-ai=y\n\nUser-agent: winnow\nContent-Usage: train-ai=n", "/a",
         USAGE_NO},
        {"User-agent: *\nContent-Usage: train-ai=n\nUser-agent: b\nContent-Usage: train-ai=y", "/a",
         USAGE_NO},
        {"User-agent: *\nContent-Signal: search=yes,ai-train=no\nAllow: /", "/a", SIGNAL_NO},
        {"User-agent: *\nContent-signal: search=yes", "/a", ""},
        {"User-agent: *\nContent-Signal: ai-train=yes\nContent-Signal: ai-train=no", "/a",
         SIGNAL_NO "," SIGNAL_YES},
        {"User-agent: *\nContent-Signal: ai-train=no\n\nUser-agent: otherbot\nDisallow: /", "/a", SIGNAL_NO},
        {"User-agent: otherbot\nContent-Signal: ai-train=no\n", "/a", ""},
        {"User-agent: *\nContent-Signal: ai-train=yes\nContent-Usage: train-ai=n", "/a",
         USAGE_NO "," SIGNAL_YES},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct robots r;
        struct error err = {0};
        char words[RIGHTS_TEXT_BYTES] = "?";
        if (robots_parse(&r, list[i].text, strlen(list[i].text), "winnow", &err) == 0)
            rights_text(words, robots_rights(&r, list[i].path));
        CHECK_SAY(strcmp(words, list[i].words) == 0 && robots_allows(&r, list[i].path), "case %zu: %s", i,
                  words);
        robots_release(&r);
    }
    struct robots r;
    struct error err = {0};
    static const char ends_the_list[] =
        "User-agent: *\nContent-Signal: ai-train=no\nUser-agent: b\nDisallow: /";
    CHECK(robots_parse(&r, ends_the_list, strlen(ends_the_list), "winnow", &err) == 0 &&
          robots_allows(&r, "/a") && !robots_is_empty(&r));
    robots_release(&r);
}

static void test_tdmrep(void)
{
    static const struct {
        const char *text, *path;
        int answer; /* 1, 0; 2: both; -1: nothing is said; -2: not such a file */
    } list[] = {
        {"[]", "/a", -1},
        {"[{\"location\":\"/\",\"tdm-reservation\":1}]", "/a", 1},
        {" [ { \"tdm-reservation\" : 0 , \"location\" : \"*\" } ] \n", "/a", 0},
        {"[{\"location\":\"/p/\",\"tdm-reservation\":1},{\"location\":\"/\",\"tdm-reservation\":0}]", "/p/a",
         1},
        {"[{\"location\":\"/p/\",\"tdm-reservation\":1},{\"location\":\"/\",\"tdm-reservation\":0}]", "/q",
         0},
        {"[{\"location\":\"/p/\",\"tdm-reservation\":0},{\"location\":\"/\",\"tdm-reservation\":1}]", "/p/a",
         0},
        {"[{\"location\":\"/a\",\"tdm-reservation\":0},{\"location\":\"/a\",\"tdm-reservation\":1}]", "/a",
         2},
        {"[{\"location\":\"/*.jpg$\",\"tdm-reservation\":1}]", "/x/a.jpg", 1},
        {"[{\"location\":\"/*.jpg$\",\"tdm-reservation\":1}]", "/x/a.jpg?b", -1},
        {"[{\"location\":\"/A\",\"tdm-reservation\":1}]", "/a", -1},
        {"[{\"location\":\"/\",\"tdm-reservation\":\"1\"}]", "/a", -1},
        {"[{\"location\":\"/\",\"tdm-reservation\":true}]", "/a", -1},
        {"[{\"location\":\"/\",\"tdm-reservation\":1.0}]", "/a", -1},
        {"[{\"location\":7,\"tdm-reservation\":1}]", "/a", -1},
        {"[{\"tdm-reservation\":1}]", "/a", -1},
        {"[{\"location\":\"/\",\"tdm-reservation\":1,\"tdm-policy\":\"https://example.org/p\",\"x\":[{}]}]",
         "/a", 1},
        {"[7,\"x\",null,[[]],{\"location\":\"\\/\\u0061\",\"tdm-reservation\":1}]", "/a", 1},
        {"[{\"location\":\"a\",\"tdm-reservation\":1}]", "/a", -1},
        {"\xef\xbb\xbf[{\"location\":\"/\",\"tdm-reservation\":1}]", "/a", 1},
        {"", "/a", -2},
        {"{\"location\":\"/\",\"tdm-reservation\":1}", "/a", -2},
        {"[{\"location\":\"/\",\"tdm-reservation\":1}", "/a", -2},
        {"[{\"location\":\"/\",\"tdm-reservation\":1},]", "/a", -2},
        {"[{\"location\":\"/\",\"tdm-reservation\":1}]x", "/a", -2},
        {"[{'location':'/','tdm-reservation':1}]", "/a", -2},
        {"[{\"location\":\"/\",\"tdm-reservation\":01}]", "/a", -2},
        {"[{\"location\":\"/\n\",\"tdm-reservation\":1}]", "/a", -2},
        {"[{\"location\":\"\\u0000\",\"tdm-reservation\":1}]", "/a", -2},
        {"[{\"x\":tru}]", "/a", -2},
        {"<html>no such page</html>", "/a", -2},
    };
    struct tdmrep t;
    struct error err = {0};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        int got = tdmrep_parse(&t, list[i].text, strlen(list[i].text), &err) - 2;
        if (got == -1) {
            uint32_t set = tdmrep_match(&t, list[i].path);
            bool one = set & RIGHTS_BIT(RIGHTS_TDM_1_FILE), zero = set & RIGHTS_BIT(RIGHTS_TDM_0_FILE);
            got = one && zero ? 2 : one ? 1 : zero ? 0 : -1;
        }
        CHECK_SAY(got == list[i].answer, "'%s': %d", list[i].text, got);
        tdmrep_release(&t);
    }
    char deep[3000];
    for (size_t levels = 30; levels < 33; levels++) {
        memset(deep, '[', levels);
        memset(deep + levels, ']', levels);
        CHECK_SAY((tdmrep_parse(&t, deep, 2 * levels, &err) == 1) == (levels <= TDMREP_MAX_DEPTH),
                  "%zu levels", levels);
        tdmrep_release(&t);
    }
    memset(deep, '[', sizeof deep);
    CHECK(tdmrep_parse(&t, deep, sizeof deep, &err) == 0);
    char *large = calloc(1, TDMREP_MAX_BYTES + 1);
    memset(large, ' ', TDMREP_MAX_BYTES + 1);
    memcpy(large, "[]", 2);
    CHECK(tdmrep_parse(&t, large, TDMREP_MAX_BYTES, &err) == 1);
    tdmrep_release(&t);
    CHECK(tdmrep_parse(&t, large, TDMREP_MAX_BYTES + 1, &err) == 0);
    free(large);
}

int main(void)
{
    test_dictionaries();
    test_content_signals();
    test_words();
    test_robots();
    test_tdmrep();
    return tap_done();
}
