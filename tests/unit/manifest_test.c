/* needs: base io cli manifest */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/random.h"
#include "manifest/keep_rule.h"
#include "manifest/manifest.h"
#include "manifest/tsv.h"
#include "tap.h"

static void test_bad_input(void)
{
    static const struct {
        const char *name, *bytes;
        size_t n;
        const char *says;
    } cases[] = {
        {"empty file", "", 0, "is empty"},
        {"torn header", "path", 4, "row is incomplete"},
        {"torn row", "path\na\nb", 8, "row 2: the row is incomplete"},
        {"column twice", "path\tpath\n", 10, "'path' occurs twice"},
        {"missing column", "url\nx\n", 6, "no column 'path'"},
        {"empty name", "path\t\n", 6, "empty column name"},
        {"too few fields", "path\tlabel\na\n", 13, "row 1: 1 fields where the header has 2"},
        {"too many fields", "path\na\tb\n", 9, "row 1: more than"},
        {"bad escape", "path\na\\x\n", 9, "row 1: column 'path': a backslash"},
        {"escape at the end", "path\na\\\n", 8, "a backslash"},
        {"NUL byte", "path\na\0b\n", 9, "NUL"},
        {"CR LF", "path\r\na\r\n", 9, "CR LF"},
        {"BOM", "\xEF\xBB\xBFpath\na\n", 10, "byte order mark"},
        {"blank row is a row of one empty field only", "path\tlabel\n\n", 12, "row 1: 1 fields"},
    };
    static const char *const required[] = {"path", NULL};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct manifest_reader r;
        struct error err = {0};
        int rc = manifest_reader_open_memory(&r, cases[i].bytes, cases[i].n, "x.tsv", required, &err);
        while (rc >= 0 && (rc = manifest_reader_next(&r, &err)) > 0)
            ;
        CHECK_SAY(rc == -1 && err.code == EX_DATAERR && strstr(err.text, cases[i].says), "%s: %s",
                  cases[i].name, err.text);
        manifest_reader_close(&r);
    }
}

/* What people's spreadsheets save, where such files are expected. */
static void test_edited(void)
{
    static const struct {
        const char *bytes, *fields; /* the rows' fields, each with '|' after it, or what the message holds */
        bool good;
    } cases[] = {
        {"\xEF\xBB\xBFid\tlabel\r\n1\tdog\r\n", "1|dog|", true},
        {"\"id\"\t\"label\"\n\"1\"\t\"hot dog\"\n", "1|hot dog|", true},
        {"\xEF\xBB\xBF\"id\"\t\"label\"\r\n\"1\"\t\"say \"\"hi\"\"\"\r\n", "1|say \"hi\"|", true},
        {"id\tlabel\n1\t\"a\tb\"\n", "1|a\tb|", true},
        {"id\tlabel\n1\t\"\"\n2\tx\"y\n", "1||2|x\"y|", true},
        {"id\tlabel\n\n1\ta\r\n\r\n", "1|a|", true},
        {"id\tlabel\n1\ta\\tb\n", "1|a\tb|", true},
        {"id\tlabel\n1\t\"a\n", "row 1: field 2: a quote that is not closed", false},
        {"id\tlabel\n1\t\"a\"b\n", "row 1: field 2: a quote", false},
        {"id\t\"label\n1\ta\n", "header: field 2: a quote", false},
        {"id\tlabel\r\n1\r\n", "row 1: 1 fields where the header has 2", false},
        {"id\tlabel\r\n1\ta\tb\r\n", "row 1: more than the header's 2", false},
        {"id\tlabel\r\n1\ta", "row is incomplete", false},
        {"id\tlabel\r1\ta\r2\tb\n", "CR alone", false},
        {"id,label\r\n1,a\r\n", "commas or semicolons", false},
        {"id;label\n1;a\n", "commas or semicolons", false},
    };
    static const char *const required[] = {"id", NULL};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct manifest_reader r;
        struct error err = {0};
        char got[128] = "";
        int rc =
            manifest_reader_open_edited(&r, "x.tsv", cases[i].bytes, strlen(cases[i].bytes), required, &err);
        while (rc >= 0 && (rc = manifest_reader_next(&r, &err)) > 0)
            for (size_t k = 0; k < r.schema.n; k++)
                snprintf(got + strlen(got), sizeof got - strlen(got), "%s|", r.fields[k]);
        CHECK_SAY(cases[i].good ? rc == 0 && strcmp(got, cases[i].fields) == 0
                                : rc == -1 && err.code == EX_DATAERR && strstr(err.text, cases[i].fields),
                  "case %zu: %s%s", i, got, err.text);
        manifest_reader_close(&r);
    }
}

/* Whatever is written is read back, and a kept row's unknown columns stay in place. */
static void test_round_trip(void)
{
    char path[300];
    struct error err = {0};
    static const char *const adds[] = {"b", "new", NULL};
    char *base_names[] = {"a", "b", "c"};
    struct manifest_schema base = {base_names, 3};
    struct manifest_writer w;
    struct random random = random_start(7, 0, 0);
    static char fields[2000][4][24];
    snprintf(path, sizeof path, "%s/round.tsv", tap_tmpdir());
    CHECK(manifest_writer_open(&w, path, &base, adds, &err) == 0 && w.schema.n == 4);
    for (int i = 0; i < 2000; i++) {
        for (int c = 0; c < 4; c++) {
            int n = (int)random_below(&random, 20);
            for (int k = 0; k < n; k++)
                fields[i][c][k] = "\t\n\r\\abc\xc3\xa9tn"[random_below(&random, 11)];
        }
        const char *row[] = {fields[i][0], "overwritten", fields[i][2]},
                   *added[] = {fields[i][1], fields[i][3]};
        if (manifest_writer_row(&w, row, added, &err)) CHECK(!"writes");
    }
    CHECK(manifest_writer_commit(&w, &err) == 0);
    manifest_writer_discard(&w);
    struct manifest_reader r;
    CHECK(manifest_reader_open(&r, path, NULL, &err) == 0 && r.schema.n == 4 &&
          !strcmp(r.schema.names[3], "new"));
    int same = 0, n = 0;
    while (manifest_reader_next(&r, &err) > 0) {
        bool equal = true;
        for (int c = 0; c < 4; c++)
            equal = equal && !strcmp(r.fields[c], fields[n][c]);
        same += equal;
        n++;
    }
    CHECK(n == 2000 && same == 2000);
    manifest_reader_close(&r);
    struct manifest_table t;
    CHECK(manifest_table_read(&t, path, NULL, &err) == 0 && t.n_rows == 2000);
    CHECK(!strcmp(manifest_cell(&t, 1999, 3), fields[1999][3]) && !strcmp(manifest_cell(&t, 5, -1), ""));
    manifest_table_release(&t);
}

/* Rows longer than a block, and blocks that end anywhere. */
static void test_long_rows(void)
{
    struct error err = {0};
    char path[300], *big = malloc(700001);
    struct manifest_writer w;
    static const char *const adds[] = {"a", "b", NULL};
    snprintf(path, sizeof path, "%s/long.tsv", tap_tmpdir());
    memset(big, 'x', 700000);
    big[700000] = 0;
    CHECK(manifest_writer_open(&w, path, NULL, adds, &err) == 0);
    for (int i = 0; i < 30; i++) {
        char number[12];
        snprintf(number, sizeof number, "%d", i);
        const char *row[] = {number, big + (i % 3 ? 699000 : i)};
        manifest_writer_row(&w, NULL, row, &err);
    }
    CHECK(manifest_writer_commit(&w, &err) == 0);
    manifest_writer_discard(&w);
    struct manifest_reader r;
    int n = 0, good = 0;
    CHECK(manifest_reader_open(&r, path, NULL, &err) == 0);
    while (manifest_reader_next(&r, &err) > 0) {
        good += atoi(r.fields[0]) == n && strlen(r.fields[1]) == (n % 3 ? 1000 : 700000 - (size_t)n);
        n++;
    }
    CHECK(n == 30 && good == 30);
    manifest_reader_close(&r);
    free(big);
}

static void test_old_file_stays(void)
{
    struct error err = {0};
    char path[300], command[700];
    struct manifest_writer w;
    static const char *const adds[] = {"a", NULL};
    snprintf(path, sizeof path, "%s/kept.tsv", tap_tmpdir());
    CHECK(atomic_file_write(path, "old\n", 4, &err) == 0);
    CHECK(manifest_writer_open(&w, path, NULL, adds, &err) == 0);
    manifest_writer_discard(&w);
    char *text;
    size_t n;
    CHECK(io_read_file(path, 100, &text, &n, &err) == 0 && n == 4 && !strcmp(text, "old\n"));
    free(text);
    snprintf(command, sizeof command, "test $(ls -A '%s' | grep -c '[.]tmp$') = 0", tap_tmpdir());
    CHECK(system(command) == 0);
    CHECK(manifest_writer_open(&w, "/dev/full", NULL, adds, &err) == 0 &&
          manifest_writer_commit(&w, &err) == -1 && err.code == EX_IOERR);
    manifest_writer_discard(&w);
}

/* No field is over its length, none ends in half an escape, and a long enough one is whole. */
static void test_escape_cut(void)
{
    static const char field[] = "a\tb\\\nc\r\r";
    struct text cut = TEXT_EMPTY;
    struct error err = {0};
    size_t wrong = 0;
    for (size_t max = 0; max < 20; max++) {
        text_clear(&cut);
        wrong += tsv_escape_cut(&cut, field, max, &err) != 0 || cut.n_bytes > max;
        char *back = strdup(cut.data ? cut.data : "");
        wrong += !tsv_unescape(back) || strncmp(back, field, strlen(back)) != 0;
        wrong += max > 13 && strcmp(back, field) != 0;
        free(back);
    }
    char bad[] = "a\\x", end[] = "a\\";
    CHECK(wrong == 0);
    CHECK(!tsv_unescape(bad) && !tsv_unescape(end));
    text_release(&cut);
}

/* Each rule's order of the same copies, best first, and one order whichever of two is asked first. */
static void test_keep_rules(void)
{
    static const struct {
        enum keep_rule rule;
        const char *order;
    } cases[] = {
        {KEEP_FIRST, "0123"},   {KEEP_LAST, "3210"},          {KEEP_OLDEST, "2013"},
        {KEEP_NEWEST, "1023"},  {KEEP_SHORTEST_PATH, "3201"}, {KEEP_LONGEST_PATH, "1023"},
        {KEEP_LARGEST, "1203"}, {KEEP_SMALLEST, "3201"},      {KEEP_PATH, "3120"},
    };
    const struct keep_copy copies[] = {
        {.path = "d/long", .label = "", .mtime_ns = 20, .pixels = 5, .bytes = 10, .row = 0},
        {.path = "b/longest", .label = "", .mtime_ns = 30, .pixels = 9, .bytes = 10, .row = 1},
        {.path = "c/one", .label = "", .mtime_ns = 10, .pixels = 5, .bytes = 10, .row = 2},
        {.path = "a", .label = "", .no_time = true, .mtime_ns = 99, .pixels = 5, .bytes = 9, .row = 3},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct keep_order order = {.rule = cases[c].rule};
        size_t wrong = 0;
        for (int i = 0; i < 4; i++)
            for (int k = 0; k < 4; k++) {
                int got =
                    keep_compare(&order, &copies[cases[c].order[i] - '0'], &copies[cases[c].order[k] - '0']);
                wrong += i < k ? got >= 0 : i > k ? got <= 0 : got != 0;
            }
        CHECK_SAY(wrong == 0, "keep rule %d orders %s", cases[c].rule, cases[c].order);
    }
    /* What stands above the rule, the weakest first: each copy wins over all before it. */
    static const char *const labels[] = {"cat"}, *const prefixes[] = {"best/"};
    const struct option_strings prefer = {(const char **)(uintptr_t)prefixes, 1},
                                prefer_label = {(const char **)(uintptr_t)labels, 1};
    const struct keep_order order = {KEEP_FIRST, &prefer, &prefer_label};
    const struct keep_copy ladder[] = {
        {.path = "x", .label = "dog", .link = true},
        {.path = "x", .label = "", .row = 1},
        {.path = "x", .label = "dog", .row = 2},
        {.path = "x", .label = "cat", .row = 3},
        {.path = "best/x", .label = "", .row = 4},
        {.path = "x", .label = "", .protected = true, .row = 5},
        {.path = "x", .label = "", .against = true, .row = 6},
    };
    size_t wrong = 0;
    for (size_t i = 1; i < sizeof ladder / sizeof *ladder; i++)
        for (size_t k = 0; k < i; k++)
            wrong += keep_compare(&order, &ladder[i], &ladder[k]) >= 0;
    CHECK(wrong == 0);
}

int main(void)
{
    test_bad_input();
    test_edited();
    test_round_trip();
    test_long_rows();
    test_escape_cut();
    test_keep_rules();
    test_old_file_stays();
    return tap_done();
}
