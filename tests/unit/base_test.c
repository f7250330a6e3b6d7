/* needs: base */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file_kind.h"
#include "base/hash_index.h"
#include "base/mem.h"
#include "base/names.h"
#include "base/number.h"
#include "base/random.h"
#include "base/text.h"
#include "tap.h"

static void test_numbers(void)
{
    static const struct {
        const char *s;
        uint64_t min, max, want;
        bool good;
    } cases[] = {
        {"0", 0, 9, 0, true},
        {"18446744073709551615", 0, UINT64_MAX, UINT64_MAX, true},
        {"18446744073709551616", 0, UINT64_MAX, 0, false},
        {"", 0, 9, 0, false},
        {" 1", 0, 9, 0, false},
        {"1 ", 0, 9, 0, false},
        {"-1", 0, 9, 0, false},
        {"10", 0, 9, 0, false},
        {"+1", 0, 9, 0, false},
        {"0x1", 0, 99, 0, false},
        {"007", 0, 9, 7, true},
    };
    struct error err = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t v = 77;
        bool good = parse_u64(cases[i].s, cases[i].min, cases[i].max, &v, "x", &err) == 0;
        CHECK_SAY(good == cases[i].good && (!good || v == cases[i].want), "parse_u64 '%s'", cases[i].s);
    }
    int64_t v;
    CHECK(parse_i64("-9223372036854775808", INT64_MIN, INT64_MAX, &v, "x", &err) == 0 && v == INT64_MIN);
    CHECK(parse_i64("9223372036854775808", INT64_MIN, INT64_MAX, &v, "x", &err) == -1);
    CHECK(parse_i64("-", INT64_MIN, INT64_MAX, &v, "x", &err) == -1);
    double d;
    CHECK(parse_double("1e-3", 0, 1, &d, "x", &err) == 0 && d == 1e-3);
    CHECK(parse_double("nan", 0, 1, &d, "x", &err) == -1);
    CHECK(parse_double("1.5", 0, 1, &d, "--rate", &err) == -1 && strstr(err.text, "--rate"));
    CHECK(parse_double("1,5", 0, 9, &d, "x", &err) == -1);
    CHECK(parse_double("0x10", 0, 99, &d, "x", &err) == -1);
    CHECK(parse_double("inf", 0, INFINITY, &d, "x", &err) == 0 && d == INFINITY);
    CHECK(parse_double("infinity", 0, INFINITY, &d, "x", &err) == -1);
    uint64_t u = 7;
    CHECK(parse_digits("0123x", 4, &u) && u == 123 && !parse_digits("12x", 3, &u) &&
          !parse_digits("", 0, &u));
    CHECK(parse_bytes("1.5k", 0, 4096, &u, "x", &err) == 0 && u == 1536);
    CHECK(parse_bytes("1kk", 0, 4096, &u, "x", &err) == -1 && parse_bytes("k", 0, 9, &u, "x", &err) == -1);
    CHECK(parse_i64("--1", -9, 9, &v, "x", &err) == -1 && parse_i64("-", -9, 9, &v, "x", &err) == -1);
    uint64_t b;
    CHECK(parse_bytes("10M", 0, UINT64_MAX, &b, "x", &err) == 0 && b == 10u << 20);
    CHECK(parse_bytes("1.5k", 0, UINT64_MAX, &b, "x", &err) == 0 && b == 1536);
    CHECK(parse_bytes("10MB", 0, UINT64_MAX, &b, "x", &err) == -1);
    CHECK(parse_bytes("-1k", 0, UINT64_MAX, &b, "x", &err) == -1);
    CHECK(parse_seconds("2h", 0, 1e9, &d, "x", &err) == 0 && d == 7200);
    CHECK(parse_seconds("1w", 0, 1e9, &d, "x", &err) == -1);
}

static void test_text(void)
{
    char out[64], hex[9];
    uint8_t bytes[4];
    CHECK(!strcmp(text_for_people(out, sizeof out, "a\tb\x7f\xc3\xa9\xff\xe2\x28\xa1"), "a?b?\xc3\xa9?"
                                                                                        "?(?"));
    CHECK(!strcmp(text_for_people(out, 4, "abcdef"), "abc"));
    CHECK(!strcmp(text_for_people(out, 4, "ab\xc3\xa9"), "ab"));
    /* C1 control: a terminal escape */
    CHECK(!strcmp(text_for_people(out, sizeof out, "\xc2\x9b[31m"), "?[31m"));
    hex_encode(hex, "\x00\xff\x1a\xb2", 4);
    CHECK(!strcmp(hex, "00ff1ab2"));
    CHECK(hex_decode(bytes, 4, "00FF1ab2") == 0 && !memcmp(bytes, "\x00\xff\x1a\xb2", 4));
    CHECK(hex_decode(bytes, 4, "00ff1ab") == -1);
    CHECK(hex_decode(bytes, 4, "00ff1ab2c") == -1);
    CHECK(hex_decode(bytes, 4, "") == -1);
    CHECK(text_is_utf8("\xf0\x9f\x98\x80", 4) && !text_is_utf8("\xed\xa0\x80", 3) &&
          !text_is_utf8("\xc0\x80", 2));
    CHECK(!text_is_utf8("\xf4\x90\x80\x80", 4) && !text_is_utf8("\xe2\x82", 2));
    CHECK(text_ends("a.tsv", ".tsv") && !text_ends("v", ".tsv") && text_starts("http://", "http"));
    float f = 0.1f;
    float back;
    CHECK(sscanf(format_f32(out, f), "%f", &back) == 1 && back == f);
    struct text t = TEXT_EMPTY;
    struct error err = {0};
    for (int i = 0; i < 1000; i++)
        text_printf(&t, &err, "%d,", i);
    CHECK(t.n_bytes == 3890 && t.data[t.n_bytes] == 0);
    text_release(&t);
}

static void test_memory(void)
{
    struct error err = {0};
    size_t s;
    CHECK(!size_mul(SIZE_MAX, 2, &s) && !size_add(SIZE_MAX, 1, &s) && size_mul(3, 4, &s) && s == 12);
    CHECK(mem_zalloc(SIZE_MAX, 2, &err) == NULL && err.code == EX_OSERR);
    struct arena a = ARENA_EMPTY;
    char *first = arena_strdup(&a, "first", &err);
    for (int i = 0; i < 5000; i++) {
        char *p = arena_alloc(&a, (size_t)(i % 97), &err);
        if (((uintptr_t)p & 15) != 0) CHECK(!"aligned to 16 bytes");
    }
    CHECK(arena_alloc(&a, 3u << 20, &err) != NULL && !strcmp(first, "first"));
    CHECK(arena_alloc(&a, SIZE_MAX - 4, &err) == NULL);
    arena_reset(&a);
    CHECK(arena_strdup(&a, "again", &err) != NULL);
    arena_release(&a);
    CHECK(a.blocks == NULL);
    errno = ENOSPC;
    error_errno(&err, EX_NOINPUT, "cannot write 'x'");
    CHECK(err.code == EX_IOERR && errno == ENOSPC && strstr(err.text, "No space"));
    error_prefix(&err, "row %d", 7);
    CHECK(!strncmp(err.text, "row 7: cannot", 13));
}

static void test_random(void)
{
    /* Reference values of splitmix64 from state 1234567 (its published test vector). */
    struct random r = {1234567};
    CHECK(random_u64(&r) == 6457827717110365317ull && random_u64(&r) == 3203168211198807973ull);
    struct random a = random_start(1, 2, 3), b = random_start(1, 2, 4), c = random_start(1, 2, 3);
    CHECK(random_u64(&a) == random_u64(&c) && random_u64(&a) != random_u64(&b));
    double sum = 0, squares = 0;
    for (int i = 0; i < 20000; i++) {
        double v = random_normal(&a);
        sum += v;
        squares += v * v;
    }
    CHECK(fabs(sum / 20000) < 0.03 && fabs(squares / 20000 - 1) < 0.05);
    bool inside = true;
    for (int i = 0; i < 10000; i++) {
        double u = random_unit(&a);
        inside = inside && u >= 0 && u < 1 && random_below(&a, 7) < 7;
    }
    CHECK(inside);
    uint32_t v[100], seen = 0;
    for (uint32_t i = 0; i < 100; i++)
        v[i] = i;
    random_shuffle_u32(&a, v, 100);
    for (int i = 0; i < 100; i++)
        seen += v[i];
    CHECK(seen == 4950);
}

/* Every number is found under its hash, and few others are given with it, even for weak and equal hashes. */
static void test_hash_index(void)
{
    enum { N = 100000 };
    struct hash_index t = HASH_INDEX_EMPTY;
    struct error err = {0};
    uint32_t at = 7;
    struct hash_walk w = hash_walk(&t, 1);
    CHECK(!hash_walk_next(&t, &w, &at) && at == 7);
    size_t wrong = 0, n_candidates = 0;
    for (uint32_t i = 0; i < N; i++)
        wrong += hash_index_add(&t, (uint64_t)i / 2 << 12, i, &err) != 0; /* two numbers under each */
    for (uint32_t i = 0; i < N; i++) {
        int found = 0;
        for (w = hash_walk(&t, (uint64_t)i / 2 << 12); hash_walk_next(&t, &w, &at); n_candidates++)
            found += at / 2 == i / 2;
        wrong += found != 2;
    }
    CHECK(wrong == 0 && t.n == N);
    CHECK(n_candidates < 2 * N + N / 100);
    for (w = hash_walk(&t, 4096); hash_walk_next(&t, &w, &at);)
        if (at == 3) hash_walk_replace(&t, &w, UINT32_MAX - 1);
    int n_old = 0, n_new = 0;
    for (w = hash_walk(&t, 4096); hash_walk_next(&t, &w, &at);)
        n_old += at == 3, n_new += at == UINT32_MAX - 1;
    CHECK(n_old == 0 && n_new == 1);
    size_t n_slots = t.n_slots;
    hash_index_clear(&t);
    w = hash_walk(&t, 4096);
    CHECK(!hash_walk_next(&t, &w, &at) && t.n == 0);
    CHECK(hash_index_reserve(&t, N, &err) == 0 && t.n_slots == n_slots);
    CHECK(hash_index_reserve(&t, 2 * N, &err) == 0 && t.n_slots == 2 * n_slots);
    hash_index_release(&t);
}

static void test_names(void)
{
    struct names t = NAMES_EMPTY;
    struct error err = {0};
    char text[32];
    uint32_t at, wrong = 0;
    CHECK(names_find(&t, "", &at, &err) == 0 && at == 0 && names_find(&t, "cat", &at, &err) == 0 && at == 1);
    CHECK(names_find(&t, "", &at, &err) == 0 && at == 0 && t.n == 2);
    for (uint32_t round = 0; round < 2; round++)
        for (uint32_t i = 0; i < 20000; i++) {
            snprintf(text, sizeof text, "label %u", i);
            wrong += names_find(&t, text, &at, &err) != 0 || at != i + 2 || strcmp(t.text[at], text) != 0;
        }
    CHECK(wrong == 0 && t.n == 20002);
    names_release(&t);
    CHECK(t.n == 0);
}

static void test_file_kinds(void)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *name; /* what the kind's name holds; NULL: none */
    } cases[] = {
#define FILE_CASE(bytes, name) {bytes, sizeof bytes - 1, name}
        FILE_CASE("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        FILE_CASE("\xef\xbb\xbf \r\n<!DOCTYPE html><title>Sign in</title>", "HTML"),
        FILE_CASE("<HTML><body>404", "HTML"),
        FILE_CASE("\xff\xfeh\0t\0t\0p\0", "UTF-16"),
        FILE_CASE("\xfe\xff\0h\0t\0t\0p", "UTF-16"),
        FILE_CASE("h\0t\0t\0p\0s\0", "UTF-16"),
        FILE_CASE("\0h\0t\0t\0p\0s", "UTF-16"),
        FILE_CASE("\xff\xfe\0\0h\0\0\0", "UTF-32"),
        FILE_CASE("\x1f\x8b\x08\0\0\0", "gzip"),
        FILE_CASE("\x28\xb5\x2f\xfd\x24\0", "zstd"),
        FILE_CASE("PK\3\4\x14\0\0\0\0\0AAAABBBBCCCCDDDD\x0d\0\0\0metadata.json{", ".keras"),
        FILE_CASE("PK\3\4\0\0\0\0\0\0AAAABBBBCCCCDDDD\x10\0\0\0archive/data.pkl\x80", "PyTorch"),
        FILE_CASE("PK\3\4\x14\0\0\0\0\0AAAABBBBCCCCDDDD\x13\0\0\0[Content_Types].xml<", "spreadsheet"),
        FILE_CASE("PK\3\4junk", "zip"),
        FILE_CASE("PK\3\4\x14\0\0\0\0\0AAAABBBBCCCCDDDD\xff\xff\0\0x", "zip"), /* a name that is cut off */
        FILE_CASE("\x80\x02\x8a\nl\xfc\x9c", "PyTorch"),
        FILE_CASE("\x08\x07\x12\x07pytorch\x1a\x05", "ONNX"),
        FILE_CASE("\x08\x01\x12\x90\x86\x04\n\x1b", "SavedModel"),
        FILE_CASE("\x1c\0\0\0TFL3\x14\0", "Lite"),
        FILE_CASE("\x93NUMPY\x01\0v\0", "NumPy"),
        FILE_CASE("\x89PNG\r\n\x1a\n", "PNG"),
        FILE_CASE("\0\0\0\x20"
                  "ftypavif\0\0\0\0",
                  "AVIF"),
        FILE_CASE("\x7f\x45LF\2\1", "program"),
        FILE_CASE("%PDF-1.4\n%\xe2\xe3", "PDF"),
        FILE_CASE("id\tlabel\n1\ta\n", NULL),
        FILE_CASE("PAR1\tlabel\n", NULL), /* a column may be called so */
        FILE_CASE("BZhash\tpath\n", NULL),
        FILE_CASE("{\"modelTopology\": {}}", NULL),
        FILE_CASE("http://127.0.0.1/\xc3\xa4.jpg\n", NULL),
        FILE_CASE("\xef\xbb\xbfhttp://127.0.0.1/1.jpg\n", NULL),
        FILE_CASE("\x08\x07\x12\x07py", NULL),
        FILE_CASE("", NULL)};
    struct error err = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct file_kind *kind = file_kind_of(cases[i].bytes, cases[i].n);
        CHECK_SAY(cases[i].name ? kind && strstr(kind->name, cases[i].name) : !kind, "case %zu: %s", i,
                  kind ? kind->name : "none");
        for (size_t n = 0; n < cases[i].n; n++) { /* no byte beyond the end is read: under ASan */
            char *copy = mem_dup(cases[i].bytes, n ? n : 1, &err);
            if (copy) file_kind_of(copy, n);
            free(copy);
        }
    }
    CHECK(file_kind_refuse("a\nb", "\x1f\x8b\x08", 3, &err) == -1 && err.code == EX_DATAERR &&
          strcmp(err.text, "'a?b' is gzip-compressed: unpack it first with gunzip") == 0);
}

static void test_names_for_people(void)
{
    static const char *const names[] = {"cat", "hot\ndog", "18+", "a rather long name of a class"};
    char out[40], narrow[12];
    CHECK(strcmp(text_names_for_people(out, sizeof out, names, 0), "none") == 0);
    CHECK(strcmp(text_names_for_people(out, sizeof out, names, 3), "cat, hot?dog, 18+") == 0);
    CHECK(strcmp(text_names_for_people(out, sizeof out, names, 4), "cat, hot?dog, 18+, ...") == 0);
    CHECK(strcmp(text_names_for_people(narrow, sizeof narrow, names, 3), "cat, ...") == 0);
    CHECK(strcmp(text_names_for_people(narrow, sizeof narrow, names + 3, 1), "...") == 0);
}

int main(void)
{
    test_hash_index();
    test_file_kinds();
    test_names_for_people();
    test_names();
    test_numbers();
    test_text();
    test_memory();
    test_random();
    return tap_done();
}
