/* What a predictions file may and may not be, numbers, ids, decisions, pages' escaping. */
/* needs: base io manifest metric review page cli */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "base/random.h"
#include "metric/predictions.h"
#include "page/page.h"
#include "review/decisions.h"
#include "tap.h"

static const struct predictions_options automatic = {.auto_slices = true};

/* Reads text; true when it is refused with EX_DATAERR and a message that holds `says`. */
static bool refused(const char *text, const char *says)
{
    struct predictions p;
    struct error err = {0};
    if (!predictions_read_memory(&p, text, strlen(text), &automatic, &err)) {
        predictions_release(&p);
        printf("# read, not refused: %s\n", says);
        return false;
    }
    if (err.code != EX_DATAERR || !strstr(err.text, says)) {
        printf("# %d: %s\n", err.code, err.text);
        return false;
    }
    return true;
}

static void check_refusals(void)
{
    CHECK(refused("", "empty"));
    CHECK(refused("id\tlabel\tp_a\tp_b\n", "no rows"));
    CHECK(refused("label\tp_a\tp_b\na\t1\t0\n", "no column 'id'"));
    CHECK(refused("id\tp_a\tp_b\n1\t1\t0\n", "no column 'label'"));
    CHECK(refused("id\tlabel\n1\ta\n", "no class column"));
    CHECK(refused("id\tlabel\tp_a\n1\ta\t1\n", "only one class column"));
    CHECK(refused("id\tlabel\tp_a\tp_b\n1\ta\tnan\t1\n", "row 1 (id '1'): p_a is 'nan'"));
    CHECK(refused("id\tlabel\tp_a\tp_b\n1\ta\t0.5\t0.5\nx2\ta\t\t1\n", "row 2 (id 'x2'): p_a is empty"));
    CHECK(refused("id\tlabel\tp_a\tp_b\n1\ta\t-0.1\t1.1\n", "p_a is -0.1, below 0"));
    CHECK(refused("id\tlabel\tp_a\tp_b\n1\ta\t1.5\t0\n", "above 1"));
    CHECK(refused("id\tlabel\tp_a\tp_b\n1\ta\tinf\t0\n", "above 1"));
    CHECK(refused("id\tlabel\tp_a\tp_b\n1\ta\t0.4\t0.4\n", "sum to 0.8"));
    CHECK(refused("id\tlabel\tp_a\tp_b\n1\ta\t0x1p-1\t0.5\n", "is '0x1p-1', which is not a number"));
    CHECK(refused("id\tlabel\tp_a\tp_b\n1\tc\t1\t0\n", "the label 'c' is not one of the classes"));
    CHECK(refused("id\tlabel\tp_a\tp_b\n1\t\t1\t0\n", "the label is empty"));
    CHECK(refused("id\tlabel\tp_a\tp_b\n\ta\t1\t0\n", "the id is empty"));
    CHECK(
        refused("id\tlabel\tp_a\tp_b\n7\ta\t1\t0\n8\ta\t1\t0\n7\ta\t1\t0\n", "row 3: the same id as row 1"));
    CHECK(refused("id\tlabel\tp_a\tp_b\tz_a\n7\ta\t1\t0\t1\n", "logits"));
    CHECK(refused("id\tlabel\tp_a\tp_b\tz_a\tz_b\n7\ta\t1\t0\t1\tinf\n", "z_b is 'inf'"));
    CHECK(refused("id\tlabel\tp_a\tp_b\n1\ta\t1\t0", "row is incomplete"));
    CHECK(refused("id\tlabel\tp_a\tp_b\n1\ta\t1\n", "row 1"));
}

static void check_reading(void)
{
    static const char text[] = "id\tlabel\tslice\tcamera\tp_a\tp_b\tnote\n1\ta\tx\tc1\t0.5\t0."
                               "5\tn1\n2\tb\t\tc1\t1e-3\t0.999\tn2\n3\ta\ty\tc2\t.25\t.75\tn3\n";
    struct predictions p;
    struct error err = {0};
    CHECK(!predictions_read_memory(&p, text, strlen(text), &automatic, &err) && p.n_rows == 3 &&
          p.n_classes == 2);
    CHECK(p.pred[0] == 0 && p.pred[1] == 1 && p.label[2] == 0); /* a tie goes to the lowest index */
    CHECK(p.n_slices == 7);                                     /* slice: x y; camera=c1 c2; note=n1 n2 n3 */
    CHECK(p.n_slices == 7 && strcmp(p.slices[0].name, "x") == 0 &&
          strcmp(p.slices[2].name, "camera=c1") == 0 && p.slices[2].n_rows == 2);
    struct id_key key = id_key_of("3"), none = id_key_of("4");
    CHECK(predictions_find(&p, &key) == 2 && predictions_find(&p, &none) == -1);
    predictions_release(&p);
}

static void check_numbers(void)
{
    struct random r = random_start(3, 3, 0);
    double x, back;
    char text[64];
    size_t wrong = 0;
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = random_u64(&r);
        memcpy(&x, &bits, sizeof x);
        if (i % 2) x = random_unit(&r);
        if (!isfinite(x)) continue;
        snprintf(text, sizeof text,
                 i % 3 == 0   ? "%.17g"
                 : i % 3 == 1 ? "%.9g"
                              : "%.11f",
                 i % 3 == 2 ? fmod(x, 1e6) : x);
        if (!parse_number(text, &back) || memcmp(&back, &(double){strtod(text, NULL)}, sizeof back) != 0)
            wrong++;
    }
    CHECK_SAY(wrong == 0, "parse_number is strtod (%zu differ)", wrong);
    CHECK(!parse_number("", &x) && !parse_number(".", &x) && !parse_number("1 ", &x) &&
          !parse_number(" 1", &x) && !parse_number("1e", &x));
    CHECK(!parse_number("nan", &x) && !parse_number("1,5", &x) && !parse_number("--1", &x) &&
          !parse_number("e5", &x));
    CHECK(parse_number("1.", &x) && x == 1 && parse_number("+.5e1", &x) && x == 5 &&
          parse_number("-inf", &x) && x == -INFINITY);
    CHECK(strcmp(format_real(text, 0.1), "0.1") == 0 && strcmp(format_real(text, NAN), "nan") == 0 &&
          strcmp(format_real(text, 1.0 / 3), "0.33333333333333331") == 0);
}

static void check_ids(void)
{
    struct id_key a = id_key_of("9"), b = id_key_of("10"), c = id_key_of("00000000000000000000000000000001"),
                  d = id_key_of("cat.jpg"), e = id_key_of("cat.jpH");
    CHECK(id_key_compare(&a, &b) < 0);
    CHECK(c.bytes[15] == 1 && c.bytes[0] == 0);
    CHECK(id_key_compare(&d, &e) != 0);
    struct id_key f = id_key_of("ABCDEF00000000000000000000000001"),
                  g = id_key_of("abcdef00000000000000000000000001");
    CHECK(id_key_compare(&f, &g) != 0); /* content hashes are lower case; others are other names */
}

static void check_decisions(void)
{
    static const char text[] = "id\tdecision\tlabel\treviewer\tdate\n"
                               "1\trelabel\ta\tann\t1\n2\tkeep\tb\tann\t1\n1\trelabel\tb\tann\t2\n2\tdrop\t\t"
                               "bob\t3\n1\trelabel\tb\tbob\t3\n3\tunsure\t\tbob\t3\n";
    struct decisions d = DECISIONS_EMPTY;
    struct error err = {0};
    size_t n;
    CHECK(!decisions_read_memory(&d, text, strlen(text), &err) && d.n == 6);
    decisions_sort(&d);
    struct id_key one = id_key_of("1"), two = id_key_of("2"), four = id_key_of("4");
    const struct decision *x = decisions_find(&d, &one, &n);
    CHECK(x && n == 3 && strcmp(x[2].label, "b") == 0 && strcmp(x[2].reviewer, "bob") == 0 &&
          !decisions_conflict(x, n)); /* ann changed her mind */
    x = decisions_find(&d, &two, &n);
    CHECK(x && n == 2 && x[1].kind == DECISION_DROP && decisions_conflict(x, n));
    CHECK(!decisions_find(&d, &four, &n) && n == 0);
    struct reviewer_agreement *a = NULL;
    size_t n_pairs;
    CHECK(!decisions_agreement(&d, &a, &n_pairs, &err) && n_pairs == 1 && a[0].n_shared == 2 &&
          a[0].n_equal == 1 && fabs(a[0].kappa - 1.0 / 3) < 1e-12);
    free(a);
    decisions_release(&d);
    static const char *const bad[] = {"id\tdecision\n1\tmaybe\n", "id\tdecision\n\tkeep\n",
                                      "id\tdecision\tlabel\n1\trelabel\t\n", "id\tlabel\n1\ta\n"};
    for (size_t i = 0; i < 4; i++) {
        err = (struct error){0};
        CHECK(decisions_read_memory(&d, bad[i], strlen(bad[i]), &err) && err.code == EX_DATAERR);
        decisions_release(&d);
    }
}

static void check_page(void)
{
    struct text t = TEXT_EMPTY;
    struct error err = {0};
    CHECK(!page_escape(&t, "<a href=\"x\">&'\x01\xff\xc3\xa9", &err) &&
          strcmp(t.data, "&lt;a href=&quot;x&quot;&gt;&amp;&#39;\xEF\xBF\xBD\xEF\xBF\xBD\xc3\xa9") == 0);
    text_clear(&t);
    CHECK(!page_json(&t, "</script>\"\\\n\xE2\x80\xA8\xff", &err) &&
          strcmp(t.data, "\"\\u003c/script\\u003e\\\"\\\\\\u000a\\u2028\xEF\xBF\xBD\"") == 0);
    text_clear(&t);
    CHECK(!page_url(&t, "a b/#?%\xc3\xa9.jpg", &err) && strcmp(t.data, "a%20b/%23%3F%25%C3%A9.jpg") == 0);
    text_clear(&t);
    CHECK(!page_base64(&t, "foobar", 4, &err) && strcmp(t.data, "Zm9vYg==") == 0);
    text_clear(&t);
    /* FIPS 180-4: "abc", and the two-block message. */
    CHECK(!page_csp_hash(&t, "abc", 3, &err) &&
          strcmp(t.data, "'sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0='") == 0);
    uint8_t digest[32];
    char hex[65];
    sha256_of(digest, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56);
    hex_encode(hex, digest, 32);
    CHECK(strcmp(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1") == 0);
    text_release(&t);
}

int main(void)
{
    check_refusals();
    check_reading();
    check_numbers();
    check_ids();
    check_decisions();
    check_page();
    return tap_done();
}
