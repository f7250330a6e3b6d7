/* needs: store */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/io.h"
#include "store/journal.h"
#include "store/partial_store.h"
#include "tap.h"

#define URL "http://h.example/a.jpg"
#define TAG "\"v1\""

static struct error err;

static struct partial made(const char *url, const char *validator, uint64_t total, size_t n_body)
{
    struct partial p = PARTIAL_EMPTY;
    uint8_t *body = mem_alloc(n_body, &err);
    for (size_t i = 0; i < n_body; i++)
        body[i] = (uint8_t)(i * 7 + n_body);
    if (partial_make(&p, url, validator, total, body, n_body, &err)) p = PARTIAL_EMPTY;
    free(body);
    return p;
}

static void test_one(void)
{
    struct partial p = made(URL, TAG, 50000, 25000);
    CHECK(p.image && strcmp(p.url, URL) == 0 && strcmp(p.validator, TAG) == 0 && p.total_bytes == 50000 &&
          p.n_body == 25000);
    CHECK(p.body[3] == (uint8_t)(3 * 7 + 25000) && memcmp(p.image, "winnow-partial 1 ", 17) == 0);
    partial_release(&p);
    CHECK(!p.image);
    static const struct {
        const char *url, *validator;
        uint64_t total;
        size_t n;
    } bad[] = {
        {"", TAG, 0, 100},    {URL, "", 0, 100},   {URL, "\"a\tb\"", 0, 100}, {"http://h/\n", TAG, 0, 100},
        {URL, TAG, 100, 100}, {URL, TAG, 50, 100}, {URL, TAG, 0, 0},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        p = made(bad[i].url, bad[i].validator, bad[i].total, bad[i].n);
        CHECK_SAY(!p.image, "bad part %zu is not made", i);
        partial_release(&p);
    }
}

struct seen {
    unsigned n;
};
static int count(void *context, const struct xxh128 *key, struct error *e)
{
    (void)key, (void)e;
    ((struct seen *)context)->n++;
    return 0;
}

static char folder[512];
static struct object_store store;
static struct partial_store parts;

static unsigned reopen(uint64_t limit, double age, int64_t now)
{
    struct seen seen = {0};
    CHECK(partial_store_open(&parts, &store, limit, age, now, count, &seen, &err) == 0);
    return seen.n;
}

static char *file_of(const struct xxh128 *key)
{
    static char path[700];
    char hex[XXH128_HEX_BYTES];
    xxh128_hex(hex, key);
    snprintf(path, sizeof path, "%s/partial/%s", folder, hex);
    return path;
}

static void test_damage(const struct xxh128 *key, const struct partial *p)
{
    char *whole;
    size_t n;
    struct partial got;
    bool kept;
    CHECK(partial_store_put(&parts, key, p, &kept, &err) == 0 && kept);
    CHECK(io_read_file(file_of(key), 1 << 20, &whole, &n, &err) == 0);
    /* Every cut of the head, some of the body; every head byte changed. None may be believed. */
    unsigned n_believed = 0;
    for (size_t cut = 0; cut < n; cut += cut < 120 ? 1 : 977) {
        CHECK(atomic_file_write(file_of(key), whole, cut, &err) == 0);
        n_believed += partial_store_get(&parts, key, &got, &err) != 0;
        CHECK(!io_exists(file_of(key)));
    }
    for (size_t at = 0; at < n; at += at < 120 ? 1 : 977) {
        whole[at] ^= 1;
        CHECK(atomic_file_write(file_of(key), whole, n, &err) == 0);
        n_believed += partial_store_get(&parts, key, &got, &err) != 0;
        whole[at] ^= 1;
    }
    CHECK_SAY(n_believed == 0, "%u damaged parts were believed", n_believed);
    CHECK(atomic_file_write(file_of(key), whole, n, &err) == 0);
    CHECK(partial_store_get(&parts, key, &got, &err) == 1 && got.n_body == p->n_body &&
          memcmp(got.body, p->body, got.n_body) == 0 && strcmp(got.url, URL) == 0 &&
          strcmp(got.validator, TAG) == 0);
    partial_release(&got);
    free(whole);
}

static void test_store(void)
{
    struct xxh128 a, b, c;
    struct partial p = made(URL, TAG, 50000, 25000), longer = made(URL, TAG, 50000, 30000), got;
    bool kept;
    uint64_t n;
    int64_t now = (int64_t)time(NULL);
    snprintf(folder, sizeof folder, "%s/parts", tap_tmpdir());
    journal_key(&a, "http://h.example/a.jpg");
    journal_key(&b, "http://h.example/b.jpg");
    journal_key(&c, "http://h.example/c.jpg");
    CHECK(object_store_open(&store, folder, &err) == 0);
    CHECK(reopen(1 << 20, 100, now) == 0);
    CHECK(partial_store_get(&parts, &a, &got, &err) == 0);
    CHECK(partial_store_remove(&parts, &a, &err) == 0);
    test_damage(&a, &p);
    CHECK(reopen(1 << 20, 100, now) == 1 && parts.n_bytes == p.n_image);
    CHECK(partial_store_put(&parts, &a, &longer, &kept, &err) == 0 && kept &&
          parts.n_bytes == longer.n_image);
    CHECK(partial_store_get(&parts, &a, &got, &err) == 1 && got.n_body == 30000);
    partial_release(&got);
    CHECK(partial_store_put(&parts, &b, &p, &kept, &err) == 0 && kept);
    /* What does not fit is not kept, and leaves nothing older in its place. */
    parts.limit_bytes = parts.n_bytes + 100;
    CHECK(partial_store_put(&parts, &c, &p, &kept, &err) == 0 && !kept && !io_exists(file_of(&c)));
    CHECK(partial_store_put(&parts, &b, &longer, &kept, &err) == 0 && !kept && !io_exists(file_of(&b)));
    parts.limit_bytes = 1 << 20;
    CHECK(partial_store_put(&parts, &b, &p, &kept, &err) == 0 && kept);
    /* Age, a clock that ran ahead, and the limit, oldest first. */
    struct timespec old[2] = {{.tv_sec = now - 50}, {.tv_sec = now - 50}},
                    ahead[2] = {{.tv_sec = now + 200000}, {.tv_sec = now + 200000}};
    CHECK(utimensat(AT_FDCWD, file_of(&b), old, 0) == 0);
    CHECK(reopen(1 << 20, 60, now) == 2);
    CHECK(reopen(longer.n_image, 60, now) == 1 && io_exists(file_of(&a)) && !io_exists(file_of(&b)));
    CHECK(partial_store_put(&parts, &a, &longer, &kept, &err) == 0 && kept &&
          parts.n_bytes == longer.n_image);
    CHECK(utimensat(AT_FDCWD, file_of(&a), old, 0) == 0);
    CHECK(reopen(1 << 20, 50, now) == 0 && parts.n_bytes == 0);
    CHECK(partial_store_put(&parts, &a, &p, &kept, &err) == 0 && kept);
    CHECK(utimensat(AT_FDCWD, file_of(&a), ahead, 0) == 0);
    CHECK(reopen(1 << 20, 50, now) == 0 && !io_exists(file_of(&a)));
    CHECK(partial_store_put(&parts, &a, &p, &kept, &err) == 0 &&
          partial_store_put(&parts, &b, &p, &kept, &err) == 0);
    CHECK(partial_remove_all(folder, true, &n, &err) == 0 && n == 2 && io_exists(file_of(&a)));
    CHECK(partial_remove_all(folder, false, &n, &err) == 0 && n == 2 && !io_exists(file_of(&a)) &&
          !io_exists(file_of(&b)));
    CHECK(partial_remove_all(folder, false, &n, &err) == 0 && n == 0);
    CHECK(reopen(0, 50, now) == 0);
    CHECK(partial_store_put(&parts, &a, &p, &kept, &err) == 0 && !kept);
    object_store_close(&store);
    partial_release(&p);
    partial_release(&longer);
}

int main(void)
{
    test_one();
    test_store();
    return tap_done();
}
