/* needs: store */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/random.h"
#include "io/io.h"
#include "store/audit.h"
#include "store/hash_list.h"
#include "store/journal.h"
#include "store/object_store.h"
#include "store/pdq_index.h"
#include "base/image_kind.h"
#include "tap.h"

static char path[512];
static const char *in_tmp(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", tap_tmpdir(), name);
    return path;
}

/* --- kinds --- */

static void test_kinds(void)
{
    static const struct {
        const char *bytes;
        size_t n;
        enum image_kind kind;
    } list[] = {
        {"\xff\xd8\xff\xe0xxxx", 8, IMAGE_JPEG},
        {"\x89PNG\r\n\x1a\n", 8, IMAGE_PNG},
        {"GIF89a....", 10, IMAGE_GIF},
        {"GIF88a....", 10, IMAGE_TEXT},
        {"RIFF\x10\0\0\0WEBPVP8 ", 16, IMAGE_WEBP},
        {"RIFF\x10\0\0\0AVI LIST", 16, IMAGE_RIFF},
        {"\0\0\0\x20"
         "ftypavif\0\0",
         14, IMAGE_AVIF},
        {"\0\0\0\x20"
         "ftypheic\0\0",
         14, IMAGE_HEIC},
        {"\0\0\0\x20"
         "ftypmif1\0\0",
         14, IMAGE_HEIC},
        {"\0\0\0\x1c"
         "ftypmif1\0\0\0\0heicavif",
         24, IMAGE_AVIF},
        {"\0\0\0\x14"
         "ftypmif1\0\0\0\0heicavif",
         24, IMAGE_HEIC}, /* the box ends before avif */
        {"\0\0\0\x20"
         "ftypisom\0\0",
         14, IMAGE_MP4},
        {"BM\x36\x10\0\0\0\0\0\0\x36\0\0\0", 14, IMAGE_BMP},
        {"II*\0....", 8, IMAGE_TIFF},
        {"\0\0\1\0....", 8, IMAGE_ICO},
        {"\xff\x0a....", 6, IMAGE_JXL},
        {"<!DOCTYPE html>", 15, IMAGE_HTML},
        {"\n\n <html>", 9, IMAGE_HTML},
        {"<?xml version", 13, IMAGE_XML},
        {"<?xml version='1'?><svg", 23, IMAGE_SVG},
        {"<!DOCTYPE html><svg>", 20, IMAGE_HTML},
        {"<div><svg>", 10, IMAGE_XML},
        {"<svg xmlns", 10, IMAGE_SVG},
        {"{\"error\":1}", 11, IMAGE_JSON},
        {"Not found", 9, IMAGE_TEXT},
        {"%PDF-1.4", 8, IMAGE_PDF},
        {"\x1f\x8b\x08\0", 4, IMAGE_GZIP},
        {"PK\3\4....", 8, IMAGE_ZIP},
        {"\x1a\x45\xdf\xa3....", 8, IMAGE_WEBM},
        {"8BPS....", 8, IMAGE_PSD},
        {"\1\2\3\4", 4, IMAGE_UNKNOWN},
        {"", 0, IMAGE_UNKNOWN},
        {"\xff\xd8", 2, IMAGE_TEXT},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        enum image_kind got = image_kind_of((const uint8_t *)list[i].bytes, list[i].n);
        CHECK_SAY(got == list[i].kind, "kind %zu: %s", i, image_kind_name(got));
    }
    for (int k = 1; k < IMAGE_KINDS; k++)
        CHECK_SAY(!strcmp(image_kind_name(image_kind_from_name(image_kind_name((enum image_kind)k))),
                          image_kind_name((enum image_kind)k)) &&
                      (image_kind_extension((enum image_kind)k) != NULL) ==
                          image_kind_kept((enum image_kind)k),
                  "%s is itself", image_kind_name((enum image_kind)k));
    uint8_t big[4096] = {0};
    memset(big, 'x', sizeof big);
    memcpy(big, "\xff\xd8\xff\xe0", 4);
    memcpy(big + 500, "\xff\xd9", 2); /* a thumbnail's end */
    CHECK(!image_kind_complete(IMAGE_JPEG, big, sizeof big));
    memcpy(big + 3000, "\xff\xd9", 2); /* the end, with something appended */
    CHECK(image_kind_complete(IMAGE_JPEG, big, sizeof big));
    CHECK(image_kind_complete(IMAGE_JPEG, (const uint8_t *)"\xff\xd8\xff\xe0..\xff\xd9\0\0", 10));
    CHECK(
        image_kind_complete(IMAGE_PNG, (const uint8_t *)"\x89PNG\r\n\x1a\n\0\0\0\0IEND\xae\x42\x60\x82", 20));
    CHECK(image_kind_complete(IMAGE_PNG, (const uint8_t *)"\x89PNG\r\n\x1a\n\0\0\0\0IEND\0\0\0\0", 20));
    CHECK(!image_kind_complete(IMAGE_PNG, (const uint8_t *)"\x89PNG\r\n\x1a\n\0\0\0\0IEN", 15));
    CHECK(image_kind_complete(IMAGE_GIF, (const uint8_t *)"GIF89a.......\0;", 15));
    CHECK(!image_kind_complete(IMAGE_GIF, (const uint8_t *)"GIF89a.........", 15));
    static const char two[] = "\0\0\0\x10"
                              "ftypavif\0\0\0\0"
                              "\0\0\0\x0c"
                              "mdatabcd";
    /* three zeros of the second may be padding */
    for (size_t n = 0; n < sizeof two - 1; n++)
        CHECK_SAY(image_kind_complete(IMAGE_AVIF, (const uint8_t *)two, n) == (n >= 16 && n < 20),
                  "%zu bytes of two boxes", n);
    CHECK(image_kind_complete(IMAGE_AVIF, (const uint8_t *)two, sizeof two - 1));
    CHECK(image_kind_complete(IMAGE_HEIC,
                              (const uint8_t *)"\0\0\0\x10"
                                               "ftypheic\0\0\0\0"
                                               "\0\0\0\0"
                                               "mdat",
                              24));
    CHECK(!image_kind_complete(IMAGE_JXL,
                               (const uint8_t *)"\0\0\0\x0cJXL \r\n\x87\n"
                                                "\0\0\0\x20"
                                                "jxlc",
                               20));
    CHECK(image_kind_complete(IMAGE_JXL, (const uint8_t *)"\xff\x0a", 2));
    CHECK(!image_kind_complete(IMAGE_HEIC,
                               (const uint8_t *)"\0\0\0\1"
                                                "ftyp"
                                                "\0\0\0\1\0\0\0\x10",
                               16));
    CHECK(image_kind_complete(IMAGE_WEBP, (const uint8_t *)"RIFF\x08\0\0\0WEBPVP8 ", 16));
    CHECK(!image_kind_complete(IMAGE_WEBP, (const uint8_t *)"RIFF\x09\0\0\0WEBPVP8 ", 16));
}

/* --- objects --- */

static int count_object(void *context, const char *name, const struct xxh128 *hash, const char *extension,
                        struct error *err)
{
    char wanted[OBJECT_PATH_BYTES];
    (void)err;
    *(int *)context += strcmp(name, object_path(wanted, hash, extension)) == 0;
    return 0;
}

static void test_objects(void)
{
    struct object_store s;
    struct error err = {0};
    struct xxh128 h;
    char name[OBJECT_PATH_BYTES], full[700];
    bool was_there;
    int n = 0;
    const char *folder = strdup(in_tmp("store"));
    CHECK(object_store_open(&s, folder, &err) == 0);
    xxh128_of(&h, "picture", 7);
    CHECK(object_store_put(&s, &h, "jpg", "picture", 7, &was_there, &err) == 0 && !was_there);
    CHECK(object_store_put(&s, &h, "jpg", "picture", 7, &was_there, &err) == 0 && was_there);
    CHECK(object_store_has(&s, &h, "jpg", 7, true) && !object_store_has(&s, &h, "jpg", 8, false) &&
          !object_store_has(&s, &h, "png", 7, false));
    snprintf(full, sizeof full, "%s/%s", folder, object_path(name, &h, "jpg"));
    CHECK(strlen(name) == 8 + 3 + 30 + 4);
    FILE *f = fopen(full, "w"); /* a power cut's hollow file of the same size */
    fwrite("\0\0\0\0\0\0\0", 1, 7, f);
    fclose(f);
    CHECK(object_store_has(&s, &h, "jpg", 7, false) && !object_store_has(&s, &h, "jpg", 7, true));
    CHECK(object_store_put(&s, &h, "jpg", "picture", 7, &was_there, &err) == 0 && !was_there &&
          object_store_has(&s, &h, "jpg", 7, true));
    CHECK(object_store_walk(&s, count_object, &n, &err) == 0 && n == 1);
    CHECK(object_store_sync(&s, &err) == 0);
    CHECK(object_store_remove(&s, &h, "jpg", &was_there, &err) == 0 && was_there);
    CHECK(object_store_remove(&s, &h, "jpg", &was_there, &err) == 0 && !was_there);
    object_store_close(&s);
    snprintf(full, sizeof full, "%s/tmp/left", folder);
    fclose(fopen(full, "w"));
    CHECK(object_store_open(&s, folder, &err) == 0 && !io_exists(full)); /* swept */
    object_store_close(&s);
    CHECK(object_store_open(&s, "/dev/null/x", &err) == -1 && err.code != 0);
    object_store_close(&s);
    free((char *)folder);
}

/* --- the journal --- */

static void test_time(void)
{
    char text[21];
    int64_t t;
    static const struct {
        int64_t t;
        const char *text;
    } list[] = {
        {0, "1970-01-01T00:00:00Z"},
        {951782400, "2000-02-29T00:00:00Z"},
        {1795338000, "2026-11-22T09:00:00Z"},
        {4107542399, "2100-02-28T23:59:59Z"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        CHECK_SAY(strcmp(format_time(text, list[i].t), list[i].text) == 0 &&
                      parse_time(list[i].text, &t) == 0 && t == list[i].t,
                  "%s", text);
    bool same = true;
    for (int64_t at = -86400; at < 4200000000; at += 7777777) {
        struct tm tm;
        char wanted[40];
        time_t tt = (time_t)at;
        gmtime_r(&tt, &tm);
        strftime(wanted, sizeof wanted, "%Y-%m-%dT%H:%M:%SZ", &tm);
        same = same && strcmp(format_time(text, at), wanted) == 0 && parse_time(text, &t) == 0 && t == at;
    }
    CHECK_SAY(same, "times agree with libc");
    CHECK(parse_time("2026-13-01T00:00:00Z", &t) && parse_time("2026-11-22 09:00:00Z", &t) &&
          parse_time("", &t));
}

struct seen {
    int n, n_durable;
    struct journal_record last;
    char url[512];
};

static int see(void *context, const struct journal_record *r, bool durable, struct error *err)
{
    struct seen *s = context;
    (void)err;
    s->n++;
    s->n_durable += durable;
    s->last = *r;
    snprintf(s->url, sizeof s->url, "%s", r->url);
    return 0;
}

static void test_journal(void)
{
    struct journal j;
    struct journal_stats stats;
    struct error err = {0};
    struct journal_record r = {.time = 1795338000,
                               .event = JOURNAL_OK,
                               .url = "http://a/\\x",
                               .status = 200,
                               .etag = "\"e\tf\"",
                               .bytes = 5,
                               .kind = IMAGE_PNG,
                               .fetched_at = 1795338000,
                               .tries = 1,
                               .rights = "tdm-reservation:0@header"};
    char file[512];
    snprintf(file, sizeof file, "%s", in_tmp("journal.tsv"));
    xxh128_of(&r.hash, "hello", 5);
    CHECK(journal_open(&j, file, &err) == 0 && journal_append(&j, &r, &err) == 0 &&
          journal_flush(&j, &err) == 0);
    struct journal_record mark = {.time = 1795338001, .event = JOURNAL_SYNC, .bytes = j.n_written};
    r.event = JOURNAL_RETRY, r.url = "http://b/", r.reason = "timeout";
    CHECK(journal_append(&j, &mark, &err) == 0 && journal_append(&j, &r, &err) == 0 &&
          journal_flush(&j, &err) == 0);
    journal_close(&j);
    struct seen seen = {0};
    CHECK(journal_read(file, see, &seen, &stats, &err) == 0 && seen.n == 2 && seen.n_durable == 1 &&
          stats.n_malformed == 0);
    CHECK(strcmp(seen.url, "http://b/") == 0);

    /* A torn last line is not seen, cut off at the next opening, and what is appended then is whole. */
    FILE *f = fopen(file, "a");
    fputs("2026-11-22T09:00:00Z\tok\thttp://to", f);
    fclose(f);
    seen = (struct seen){0};
    CHECK(journal_read(file, see, &seen, &stats, &err) == 0 && seen.n == 2 && stats.torn_bytes == 33);
    CHECK(journal_open(&j, file, &err) == 0 && journal_append(&j, &r, &err) == 0 &&
          journal_flush(&j, &err) == 0);
    journal_close(&j);
    seen = (struct seen){0};
    CHECK(journal_read(file, see, &seen, &stats, &err) == 0 && seen.n == 3 && stats.torn_bytes == 0 &&
          stats.n_malformed == 0);

    /* Rubbish in the middle costs its line only. */
    f = fopen(file, "a");
    fputs("rubbish\n\n\t\t\t\n", f);
    for (int i = 0; i < 300000; i++)
        fputs("xxxxxxxxxx", f);
    fputs("\n", f);
    fclose(f);
    CHECK(journal_open(&j, file, &err) == 0 && journal_append(&j, &r, &err) == 0 &&
          journal_flush(&j, &err) == 0);
    journal_close(&j);
    seen = (struct seen){0};
    CHECK_SAY(journal_read(file, see, &seen, &stats, &err) == 0 && seen.n == 4 && stats.n_malformed >= 3,
              "%d lines, %d malformed", seen.n, (int)stats.n_malformed);
    uint64_t before, after;
    CHECK(journal_compact(file, false, &before, &after, &err) == 0 && before == 4 && after == 2);
    seen = (struct seen){0};
    CHECK(journal_read(file, see, &seen, &stats, &err) == 0 && seen.n == 2 && stats.n_malformed == 0);

    /* A store from before rights were recorded: its lines are read, and the whole file gets today's form. */
    f = fopen(file, "w");
    fputs("time\tevent\turl\tstatus\treason\tdetail\terror\tfinal_url\tetag\tlast_modified\tcontent_type\t"
          "bytes\txxh128\tformat\tfetched_at\ttries\tfailed_runs\tdue\n"
          "2026-11-22T09:00:00Z\tfail\thttp://a/\t0\ttimeout\t\t\t\t\t\t\t0\t\t\t\t1\t1\t\n"
          "2026-11-22T09:00:00Z\tfail\thttp://a/\t0\ttimeout\t\t\t\t\t\t\t0\t\t\t\t1\t1\t\tx\n"
          "2026-11-22T09:00:00Z\tfail\thttp://a/\t0\ttimeout\t\t\t\t\t\t\t0\t\t\t\t1\t1\t\tx\ty\n"
          "2026-11-22T09:00:00Z\tfail\thttp://a/\t0\ttimeout\t\t\t\t\t\t\t0\t\t\t\t1\t1\n",
          f);
    fclose(f);
    seen = (struct seen){0};
    CHECK(journal_read(file, see, &seen, &stats, &err) == 0 && seen.n == 2 && stats.n_malformed == 2 &&
          stats.first_form);
    CHECK(journal_compact(file, true, &before, &after, &err) == 0 && before == 2 && after == 2);
    seen = (struct seen){0};
    CHECK(journal_read(file, see, &seen, &stats, &err) == 0 && seen.n == 2 && stats.n_malformed == 0 &&
          !stats.first_form);

    /* Write then read is identity for random fields, long ones cut but readable. */
    struct random rnd = random_start(1, 2, 3);
    struct text line = TEXT_EMPTY;
    bool same = true;
    for (int i = 0; i < 2000; i++) {
        char url[300], detail[700];
        size_t n = 1 + random_below(&rnd, sizeof url - 2), m = random_below(&rnd, sizeof detail - 1);
        for (size_t k = 0; k < n; k++)
            url[k] = (char)(1 + random_below(&rnd, 126));
        for (size_t k = 0; k < m; k++)
            detail[k] = "\t\n\r\\ab"[random_below(&rnd, 6)];
        url[n] = detail[m] = 0;
        struct journal_record in = {.time = (int64_t)random_below(&rnd, 4000000000u),
                                    .event = (enum journal_event)random_below(&rnd, JOURNAL_SYNC),
                                    .url = url,
                                    .detail = detail,
                                    .status = (int)random_below(&rnd, 600),
                                    .bytes = random_below(&rnd, 1u << 30),
                                    .hash = r.hash,
                                    .kind = IMAGE_GIF,
                                    .fetched_at = 1 + (int64_t)random_below(&rnd, 4000000000u),
                                    .tries = (unsigned)random_below(&rnd, 9),
                                    .due = (int64_t)random_below(&rnd, 2) * 4000000000u,
                                    .rights =
                                        random_below(&rnd, 2) ? "content-signal:ai-train=no@header" : ""},
                              out;
        text_clear(&line);
        if (journal_format(&line, &in, &err) || line.data[line.n_bytes - 1] != '\n') {
            same = false;
            break;
        }
        same = same && journal_parse(line.data, line.n_bytes - 1, &out) == 1 && strcmp(out.url, url) == 0 &&
               out.time == in.time && out.event == in.event && out.bytes == in.bytes && out.due == in.due &&
               out.tries == in.tries && strcmp(out.rights, in.rights) == 0 &&
               strncmp(out.detail, detail, strlen(out.detail)) == 0 && (strlen(out.detail) == m || m > 190);
    }
    CHECK_SAY(same, "2000 random records come back as they were");
    text_release(&line);
    struct xxh128 key, again;
    char name[40] = "#";
    journal_key(&key, "http://x/");
    xxh128_hex(name + 1, &key);
    journal_key(&again, name);
    CHECK(memcmp(&key, &again, sizeof key) == 0);
}

/* --- the index of perceptual hashes, the audit log --- */

static struct pdq_index_entry entry_of(unsigned seed, enum pdq_family family, const struct pdq_hash *turned)
{
    struct random r = random_start(seed, 3, 9);
    struct pdq_index_entry e = {.turned = turned,
                                .pixels = seed,
                                .family = (uint8_t)family,
                                .oriented = 1,
                                .quality = 77};
    for (int i = 0; i < 4; i++)
        e.pdq.word[i] = random_u64(&r);
    for (int i = 0; i < 16; i++)
        e.id.bytes[i] = (uint8_t)random_u64(&r);
    return e;
}

static void test_pdq_index(void)
{
    struct pdq_index x = PDQ_INDEX_EMPTY;
    struct error err = {0};
    struct pdq_hash turned[PDQ_TURNED] = {{{1, 2, 3, 4}}};
    char file[512];
    turned[PDQ_TURNED - 1].word[3] = ~0ull;
    snprintf(file, sizeof file, "%s/pdq.tsv", tap_tmpdir());
    CHECK(pdq_index_read(&x, file, &err) == 0 && x.n == 0); /* not there is empty */
    struct pdq_index_entry a = entry_of(1, PDQ_FULL, NULL), b = entry_of(2, PDQ_NN512, NULL),
                           fuller = entry_of(1, PDQ_FULL, turned);
    CHECK(pdq_index_add(&x, &a, &err) == 0 && pdq_index_add(&x, &b, &err) == 0 &&
          pdq_index_add(&x, &fuller, &err) == 0);
    CHECK(pdq_index_save(&x, file, &err) == 0);
    pdq_index_release(&x);
    /* one content twice: the fuller entry stayed */
    CHECK(pdq_index_read(&x, file, &err) == 0 && x.n == 2);
    const struct pdq_index_entry *e = pdq_index_find(&x, &a.id, PDQ_FULL, true, true);
    CHECK(e && memcmp(&e->pdq, &a.pdq, sizeof a.pdq) == 0 && e->quality == 77 && e->pixels == 1 &&
          memcmp(e->turned, turned, sizeof turned) == 0);
    CHECK(pdq_index_find(&x, &b.id, PDQ_NN512, true, false) &&
          !pdq_index_find(&x, &b.id, PDQ_NN512, true, true));
    CHECK(!pdq_index_find(&x, &b.id, PDQ_FULL, true, false) &&
          !pdq_index_find(&x, &b.id, PDQ_NN512, false, false));
    pdq_index_forget(&x, &a.id);
    CHECK(pdq_index_save(&x, file, &err) == 0 && x.n == 1);
    pdq_index_release(&x);
    CHECK(pdq_index_read(&x, file, &err) == 0 && x.n == 1 &&
          !pdq_index_find(&x, &a.id, PDQ_FULL, true, false));
    pdq_index_release(&x);
    static const char head[] = "xxh128\tpdq_family\toriented\tpdq\tpdq_quality\tpixels\tturned\n";
    static const char *const bad[] = {
        "0123\tfull\t1\tf8f8f0cce0f4a84d0a370a3a228f67f0b36e2ed5b6623e1d33e6339c4e9c9b22\t5\t5\t\n",
        "00112233445566778899aabbccddeeff\thalf\t1\tf8f8f0cce0f4a84d0a370a3a228f67f0b36e2ed5b6623e1d33e6339c4"
        "e9c9b22\t5\t5\t\n",
        "00112233445566778899aabbccddeeff\tfull\t2\tf8f8f0cce0f4a84d0a370a3a228f67f0b36e2ed5b6623e1d33e6339c4"
        "e9c9b22\t5\t5\t\n",
        "00112233445566778899aabbccddeeff\tfull\t1\tf8\t5\t5\t\n",
        "00112233445566778899aabbccddeeff\tfull\t1\tf8f8f0cce0f4a84d0a370a3a228f67f0b36e2ed5b6623e1d33e6339c4"
        "e9c9b22\t101\t5\t\n",
        "00112233445566778899aabbccddeeff\tfull\t1\tf8f8f0cce0f4a84d0a370a3a228f67f0b36e2ed5b6623e1d33e6339c4"
        "e9c9b22\t5\t5\tabc\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[600];
        int n = snprintf(text, sizeof text, "%s%s", head, bad[i]);
        CHECK_SAY(pdq_index_read_memory(&x, text, (size_t)n, "list", &err) == -1 && err.code == EX_DATAERR &&
                      strstr(err.text, "row 1"),
                  "%s", err.text);
        pdq_index_release(&x);
    }
}

static void test_audit(void)
{
    struct error err = {0};
    struct xxh128 h;
    char *text;
    size_t n;
    char file[512];
    const char *folder = tap_tmpdir();
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    xxh128_of(&h, "abc", 3);
    struct audit_line line = {0,    "removed", "blocklist", "pdq", "00ff", "https://host.example:8080/a\tb?c",
                              false};
    CHECK(fd >= 0 && audit_append(fd, folder, &line, &err) == 0);
    line.keep_url = true;
    CHECK(audit_append(fd, folder, &line, &err) == 0 && takedown_append_hash(fd, folder, 0, &h, &err) == 0);
    snprintf(file, sizeof file, "%s/audit.tsv", folder);
    CHECK(io_read_file(file, 4096, &text, &n, &err) == 0);
    CHECK(strstr(text, "time\taction\tlist\talgorithm\tdigest\turl_sha256\thost\turl\n1970-01-01T00:00:"
                       "00Z\tremoved\tblocklist\tpdq\t00ff\t") == text);
    CHECK(strstr(text, "\thost.example:8080\t\n1970") &&
          strstr(text, "\thost.example:8080\thttps://host.example:8080/a\\tb?c\n"));
    free(text);
    snprintf(file, sizeof file, "%s/takedown.tsv", folder);
    CHECK(io_read_file(file, 4096, &text, &n, &err) == 0 &&
          strcmp(text,
                 "time\tkind\tvalue\n1970-01-01T00:00:00Z\txxh128\t06b05ab6733a618578af5f94892f3950\n") == 0);
    free(text);
    /* What a full disk or a power cut left of a line is cut off; what is there is never too little for a
     * reader. */
    bool there;
    char torn[5000];
    memset(torn, 'x', sizeof torn);
    for (size_t bytes = 1; bytes <= sizeof torn; bytes += 4998) {
        CHECK(atomic_file_write(file, torn, bytes, &err) == 0 &&
              takedown_mend(fd, folder, true, &there, &err) == 0 && there);
        CHECK(takedown_mend(fd, folder, false, &there, &err) == 0 && !there);
        CHECK(takedown_append_hash(fd, folder, 0, &h, &err) == 0 &&
              takedown_mend(fd, folder, false, &there, &err) == 0 && there);
        CHECK(io_read_file(file, 4096, &text, &n, &err) == 0 &&
              strcmp(text,
                     "time\tkind\tvalue\n1970-01-01T00:00:00Z\txxh128\t06b05ab6733a618578af5f94892f3950\n") ==
                  0);
        free(text);
    }
    CHECK(atomic_file_write(file, "time\tkind\tvalue\n1970-01-01T00:0", 31, &err) == 0 &&
          takedown_append_hash(fd, folder, 0, &h, &err) == 0);
    CHECK(io_read_file(file, 4096, &text, &n, &err) == 0 &&
          strcmp(text,
                 "time\tkind\tvalue\n1970-01-01T00:00:00Z\txxh128\t06b05ab6733a618578af5f94892f3950\n") == 0);
    free(text);
    unlink(file);
    CHECK(takedown_mend(fd, folder, false, &there, &err) == 0 && !there);
    /* the name is for messages only */
    CHECK(audit_append(fd, "/nowhere", &(struct audit_line){0, "a", "b", "c", "d", "", false}, &err) == 0);
    close(fd);
    CHECK(audit_append(fd, folder, &line, &err) == -1);
}

/* --- hash lists --- */

static void test_hash_list(void)
{
    struct hash_list l = HASH_LIST_EMPTY;
    struct error err = {0};
    struct xxh128 h;
    enum hash_kind kind;
    char digest[65];
    xxh128_of(&h, "abc", 3);
    static const char good[] =
        "\xef\xbb\xbf# remark\r\n\r\n900150983CD24FB0D6963F7D28E17F72, from somewhere\r\n"
        "\"sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709\"\r\n"
        "pdq:f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22\n";
    CHECK(hash_list_add_bytes(&l, good, sizeof good - 1, "list", &err) == 0);
    CHECK(l.n[HASH_MD5] == 1 && l.n[HASH_XXH128] == 1 && l.n[HASH_SHA1] == 1 && l.n_pdq == 1);
    CHECK(hash_list_matches(&l, "abc", 3, &h, &kind, digest) && kind == HASH_MD5 &&
          strcmp(digest, "900150983cd24fb0d6963f7d28e17f72") == 0);
    xxh128_of(&h, "", 0);
    CHECK(hash_list_matches(&l, "", 0, &h, &kind, digest) && kind == HASH_SHA1);
    xxh128_of(&h, "abd", 3);
    CHECK(!hash_list_matches(&l, "abd", 3, &h, &kind, digest));
    CHECK(hash_list_add_text(&l, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 64,
                             &err) == 1);
    CHECK(l.n[HASH_SHA256] == 1);
    xxh128_of(&h, "abc", 3);
    CHECK(hash_list_matches(&l, "abc", 3, &h, &kind, digest));
    hash_list_release(&l);
    static const char *const bad[] = {"xyz\n", "md5:12\n", "900150983cd24fb0d6963f7d28e17f7\n",
                                      "sha1:900150983cd24fb0d6963f7d28e17f72\n", ",\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[200];
        snprintf(text, sizeof text, "# one\n%s", bad[i]);
        CHECK_SAY(hash_list_add_bytes(&l, text, strlen(text), "list", &err) == -1 && err.code == EX_DATAERR &&
                      strstr(err.text, "line 2"),
                  "%s", err.text);
        hash_list_release(&l);
    }
    CHECK(hash_list_add_file(&l, "/nonexistent/list", &err) == -1 && err.code == EX_NOINPUT);
    CHECK(hash_list_size(&l) == 0 && !hash_list_matches(&l, "abc", 3, &h, &kind, digest));
    /* A large list finds each of its own and nothing else. */
    struct random r = random_start(5, 5, 5);
    uint8_t d[32];
    for (int i = 0; i < 100000; i++) {
        uint64_t x = random_u64(&r), y = random_u64(&r);
        memcpy(d, &x, 8), memcpy(d + 8, &y, 8);
        hash_list_add(&l, HASH_XXH128, d, &err);
    }
    CHECK(hash_list_has(&l, HASH_XXH128, d));
    d[3] ^= 1;
    CHECK(!hash_list_has(&l, HASH_XXH128, d));
    hash_list_release(&l);
}

int main(void)
{
    test_kinds();
    test_objects();
    test_time();
    test_journal();
    test_hash_list();
    test_pdq_index();
    test_audit();
    return tap_done();
}
