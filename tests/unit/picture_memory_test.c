/* needs: store */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/io.h"
#include "store/picture_memory.h"
#include "tap.h"

#define PATH "memory.tsv"

static struct error err;

static struct xxh128 content(unsigned i)
{
    struct xxh128 h;
    xxh128_of(&h, &i, sizeof i);
    return h;
}

/* A run that looks for pictures from..to, and adds those it does not find. Returns how many it found. */
static unsigned run(const char *question, unsigned from, unsigned to)
{
    struct picture_memory m = PICTURE_MEMORY_EMPTY;
    unsigned n_found = 0;
    CHECK(picture_memory_open(&m, PATH, question, &err) == 0);
    for (unsigned i = from; i < to; i++) {
        struct xxh128 h = content(i);
        char values[64];
        snprintf(values, sizeof values, "jpeg\t%u\tback\\\\slash\t", i);
        const struct remembered *found = picture_memory_find(&m, &h);
        if (found) {
            n_found++;
            CHECK(strcmp(found->values, values) == 0 && strcmp(found->outcome, "kept") == 0 &&
                  found->bytes == i);
        } else {
            const struct remembered what = {.bytes = i, .outcome = "kept", .values = values};
            CHECK(picture_memory_add(&m, &h, &what, &err) == 0);
        }
    }
    CHECK(picture_memory_commit(&m, &err) == 0);
    picture_memory_close(&m);
    return n_found;
}

static off_t size(void)
{
    struct stat st;
    return stat(PATH, &st) ? -1 : st.st_size;
}

static void test_runs(void)
{
    unlink(PATH);
    CHECK(run("a", 0, 100) == 0);
    CHECK(run("a", 0, 110) == 100);
    CHECK(run("a", 0, 110) == 110);
    /* another question knows nothing of these, and may push them out, as they are fewer */
    CHECK(run("b", 0, 10) == 0);
    CHECK(run("a", 0, 110) == 0);
    off_t before = size();
    CHECK(run("a", 0, 110) == 110 && size() == before);
    /* half of the lines are wanted: they all stay; fewer: only those */
    CHECK(run("a", 0, 61) == 61 && size() == before);
    CHECK(run("a", 0, 50) == 50 && size() < before / 2 + 100);
    CHECK(run("a", 0, 110) == 50);
}

static void change(off_t at, const char *bytes)
{
    int fd = open(PATH, O_WRONLY);
    CHECK(fd >= 0 && pwrite(fd, bytes, strlen(bytes), at) == (ssize_t)strlen(bytes));
    close(fd);
}

static void test_damage(void)
{
    unlink(PATH);
    CHECK(run("a", 0, 20) == 0);
    off_t whole = size();
    /* torn at every byte of the last line: it is gone, the others are there, and the file mends */
    for (off_t n = whole - 60; n < whole; n += 7) {
        CHECK(truncate(PATH, n) == 0);
        CHECK(run("a", 0, 20) == 19 && size() == whole);
    }
    CHECK(picture_memory_mend(PATH, &err) == 0);
    change(whole - 40, "?");
    CHECK(picture_memory_mend(PATH, &err) == 1 && size() < whole);
    CHECK(run("a", 0, 20) == 19);
    /* an edited number: the checksum no longer fits */
    change((off_t)strlen("xxh128\tquestion\tbytes\toutcome\tvalues\tcheck\n") + 50, "9");
    CHECK(run("a", 0, 20) == 19);
    /* a header that was cut off is begun anew; a file of another kind is left alone */
    CHECK(truncate(PATH, 9) == 0 && run("a", 0, 20) == 0 && run("a", 0, 20) == 20);
    CHECK(atomic_file_write(PATH, "path\tlabel\n", 11, &err) == 0);
    struct picture_memory m = PICTURE_MEMORY_EMPTY;
    CHECK(picture_memory_open(&m, PATH, "a", &err) == -1 && err.code == EX_DATAERR && size() == 11);
    picture_memory_close(&m);
    CHECK(!picture_memory_is(PATH));
}

static void test_lock(void)
{
    struct picture_memory a = PICTURE_MEMORY_EMPTY, b = PICTURE_MEMORY_EMPTY;
    unlink(PATH);
    CHECK(picture_memory_open(&a, PATH, "a", &err) == 0);
    CHECK(picture_memory_open(&b, PATH, "a", &err) == -1 && err.code == EX_TEMPFAIL);
    picture_memory_close(&b);
    picture_memory_close(&a);
    CHECK(picture_memory_is(PATH));
}

int main(void)
{
    CHECK(chdir(tap_tmpdir()) == 0);
    test_runs();
    test_damage();
    test_lock();
    return tap_done();
}
