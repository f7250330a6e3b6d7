/* needs: base io */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/random.h"
#include "io/file_lock.h"
#include "io/io.h"
#include "io/ordered_pool.h"
#include "io/signals.h"
#include "tap.h"

static int n_left_over(void)
{
    char command[400];
    int n = -1;
    snprintf(command, sizeof command, "find '%s' -name '*.tmp' | wc -l", tap_tmpdir());
    FILE *p = popen(command, "r");
    if (p && fscanf(p, "%d", &n) != 1) n = -1;
    if (p) pclose(p);
    return n;
}

static bool holds(const char *path, const char *want)
{
    struct error err = {0};
    char *text;
    size_t n;
    if (io_read_file(path, 1000, &text, &n, &err)) return false;
    bool same = !strcmp(text, want);
    free(text);
    return same;
}

static void test_atomic(void)
{
    struct error err = {0};
    struct atomic_file f;
    char path[300], link_path[300], fifo[300];
    struct stat st;
    snprintf(path, sizeof path, "%s/a.txt", tap_tmpdir());
    snprintf(link_path, sizeof link_path, "%s/link", tap_tmpdir());
    snprintf(fifo, sizeof fifo, "%s/dir", tap_tmpdir());
    CHECK(atomic_file_open(&f, path, &err) == 0);
    fputs("one", f.stream);
    CHECK(!io_exists(path));
    CHECK(atomic_file_commit(&f, &err) == 0 && holds(path, "one"));
    CHECK(symlink("a.txt", link_path) == 0);
    CHECK(atomic_file_write(link_path, "two", 3, &err) == 0 && holds(path, "two"));
    CHECK(lstat(link_path, &st) == 0 && S_ISLNK(st.st_mode));
    CHECK(atomic_file_write("/dev/null", "x", 1, &err) == 0 && stat("/dev/null", &st) == 0 &&
          S_ISCHR(st.st_mode));
    CHECK(atomic_file_write("/dev/full", "x", 1, &err) == -1 && err.code == EX_IOERR);
    CHECK(mkdir(fifo, 0777) == 0 && atomic_file_write(fifo, "x", 1, &err) == -1 &&
          strstr(err.text, "folder"));
    CHECK(atomic_file_write("/nonexistent/x", "x", 1, &err) == -1 && err.code == EX_CANTCREAT);
    CHECK(n_left_over() == 0);
}

/* What a kill between link and rename left is taken away by the next writer; four writers of one file all
 * succeed, and it is whole at any time. */
static void test_writers(void)
{
    struct error err = {0};
    char path[300], stale[300], text[4001], seen[4001];
    snprintf(path, sizeof path, "%s/shared.txt", tap_tmpdir());
    snprintf(stale, sizeof stale, "%s/.shared.txt.00000000.tmp", tap_tmpdir());
    CHECK(atomic_file_write(stale, "left by a kill", 14, &err) == 0 && n_left_over() == 1);
    CHECK(atomic_file_write(path, "new", 3, &err) == 0 && holds(path, "new") && n_left_over() == 0);
    pid_t child[4];
    for (int c = 0; c < 4; c++) {
        if ((child[c] = fork()) != 0) continue;
        memset(text, 'a' + c, 4000);
        for (int i = 0; i < 300; i++)
            if (atomic_file_write(path, text, 4000, &err)) _exit(3);
        _exit(0);
    }
    int n_failed = 0, n_mixed = 0, status;
    for (int alive = 4; alive > 0;) {
        FILE *f = fopen(path, "r");
        size_t n = f ? fread(seen, 1, sizeof seen, f) : 0;
        if (f) fclose(f);
        if (n != 3 || seen[0] != 'n') n_mixed += n != 4000 || memcmp(seen, seen + 1, 3999) != 0;
        for (pid_t done; (done = waitpid(-1, &status, WNOHANG)) > 0; alive--)
            n_failed += status != 0;
    }
    CHECK_SAY(n_failed == 0 && n_mixed == 0, "four writers of one file: %d failed, %d times it was not whole",
              n_failed, n_mixed);
    CHECK(n_left_over() == 0);
}

/* A stage killed by TERM leaves no temporary; its parent's temporaries survive a dying child. */
static void test_signals(void)
{
    struct error err = {0};
    char path[300];
    snprintf(path, sizeof path, "%s/killed.txt", tap_tmpdir());
    for (int twice = 0; twice < 2; twice++) {
        pid_t child = fork();
        if (child == 0) {
            struct atomic_file f;
            if (twice)
                signals_long_stage();
            else
                signals_short_stage();
            if (atomic_file_open(&f, path, &err)) _exit(3);
            raise(SIGTERM);
            if (!twice || signals_asked_to_stop() != SIGTERM) _exit(4);
            raise(SIGTERM);
            _exit(5);
        }
        int status;
        waitpid(child, &status, 0);
        CHECK_SAY(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, "%s stage dies of SIGTERM",
                  twice ? "a long" : "a short");
        CHECK(n_left_over() == 0 && !io_exists(path));
    }
}

static void test_lock(void)
{
    struct error err = {0};
    struct file_lock a = FILE_LOCK_EMPTY, b = FILE_LOCK_EMPTY;
    char path[300], pid[32];
    snprintf(path, sizeof path, "%s/lock", tap_tmpdir());
    snprintf(pid, sizeof pid, "pid %ld", (long)getpid());
    CHECK(file_lock_take(&a, path, &err) == 0);
    CHECK(file_lock_take(&b, path, &err) == -1 && err.code == EX_TEMPFAIL && strstr(err.text, pid));
    file_lock_release(&a);
    CHECK(file_lock_take(&b, path, &err) == 0);
    file_lock_release(&b);
}

static void test_paths(void)
{
    struct text t = TEXT_EMPTY;
    struct error err = {0};
    CHECK(path_is_inside("a/b..c/.d") && !path_is_inside("/a") && !path_is_inside("a/../b") &&
          !path_is_inside("..") && !path_is_inside(""));
    CHECK(path_join(&t, "root", "a/b", false, &err) == 0 && !strcmp(t.data, "root/a/b"));
    CHECK(path_join(&t, ".", "a", false, &err) == 0 && !strcmp(t.data, "a"));
    CHECK(path_join(&t, "root", "../a", false, &err) == -1 && err.code == EX_DATAERR);
    CHECK(path_join(&t, "root", "/a", true, &err) == 0 && !strcmp(t.data, "/a"));
    text_release(&t);
}

static void sleep_and_square(void *context, unsigned worker, void *job)
{
    int *n = job;
    struct random r = random_start(1, (uint64_t)*n, 0);
    usleep((useconds_t)random_below(&r, 300));
    *n *= *n;
}

static void test_pool(void)
{
    struct error err = {0};
    static int jobs[500];
    for (unsigned threads = 0; threads <= 4; threads += 2) {
        struct ordered_pool *p;
        int taken = 0, in_order = 0;
        CHECK(ordered_pool_open(&p, threads, 7, sleep_and_square, NULL, &err) == 0);
        for (int i = 0; i < 500 || !ordered_pool_empty(p);) {
            if (i < 500 && !ordered_pool_full(p)) {
                jobs[i] = i;
                ordered_pool_submit(p, &jobs[i++]);
                continue;
            }
            int *job = ordered_pool_take(p);
            in_order += job == &jobs[taken] && *job == taken * taken;
            taken++;
        }
        CHECK_SAY(taken == 500 && in_order == 500 && ordered_pool_take(p) == NULL,
                  "results in order with %u threads", threads);
        ordered_pool_close(p);
    }
}

int main(void)
{
    test_atomic();
    test_writers();
    test_signals();
    test_lock();
    test_paths();
    test_pool();
    return tap_done();
}
