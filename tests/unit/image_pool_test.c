/* needs: base io hash manifest image */
/*
 * The decode pool: order, failures that cost one picture each, and what a worker that was taken over can and
 * cannot do. The finish function plays the taken-over decoder: the blue of the first pixel says what it
 * tries.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sanitized.h"
#include "image/decode_pool.h"
#include "image/image_loader.h"
#include "io/io.h"
#include "tap.h"

enum deed {
    NOTHING,
    CRASH,
    OPEN,
    SOCKET,
    FORK,
    EXEC,
    KILL,
    SPIN,
    MEMORY,
    EXECUTABLE,
    PTRACE,
    OTHER_FD,
    EXIT,
    LIE,
    ABORT,
    ABORT_FULL,
    SIGNAL,
    DEEDS
};
static const char *const names[] = {"nothing",
                                    "crashes",
                                    "opens a file",
                                    "makes a socket",
                                    "forks",
                                    "starts a program",
                                    "kills its parent",
                                    "spins",
                                    "takes all memory",
                                    "makes code",
                                    "traces",
                                    "writes elsewhere",
                                    "exits",
                                    "promises too much",
                                    "aborts",
                                    "aborts for want of memory",
                                    "signals its parent's thread"};

static enum image_reason misbehave(void *context, const struct image_info *info, struct image *picture,
                                   struct image *scratch, uint8_t *result, size_t result_capacity,
                                   size_t *n_result, struct image_failure *failure)
{
    (void)context, (void)info, (void)scratch, (void)failure;
    enum deed deed = (enum deed)(picture->pixels[2] / 8);
    volatile int *nowhere = NULL;
    result[0] = picture->pixels[0];
    result[1] = 1; /* stays 1 where the deed had no effect */
    *n_result = 2;
    switch (deed) {
    case CRASH: *nowhere = 1; break;
    case OPEN: result[1] = open("/etc/passwd", O_RDONLY) >= 0; break;
    case SOCKET: result[1] = socket(AF_INET, SOCK_STREAM, 0) >= 0; break;
    case FORK: result[1] = fork() >= 0; break;
    case EXEC: execl("/bin/true", "true", (char *)NULL); break;
    case KILL: kill(getppid(), SIGKILL); break;
    case SPIN:
        for (;;)
            *(volatile uint8_t *)&result[1] = 2;
        break;
    case MEMORY: {
        for (size_t n = 0; n < 400; n++) /* 64 MiB each: address space is what is limited */
            if (!malloc(64 << 20)) return failure->reason = IMAGE_DECODE_MEMORY;
        break;
    }
    case EXECUTABLE:
        result[1] = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                         0) != MAP_FAILED;
        break;
    case PTRACE: result[1] = ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0; break;
    case OTHER_FD: result[1] = write(1, "x", 1) == 1; break;
    case EXIT: _exit(0);
    case LIE: *n_result = result_capacity + 1; break;
    case ABORT: abort();
    case ABORT_FULL:
        while (!SANITIZED && malloc(64 << 20))
            ;
        abort();
    case SIGNAL: result[1] = syscall(SYS_tgkill, getppid(), getppid(), SIGCONT) == 0; break;
    default: break;
    }
    return IMAGE_OK;
}

static void make(char *path, size_t n, int number, enum deed deed)
{
    struct image m = IMAGE_EMPTY;
    struct error err = {0};
    uint8_t *bytes;
    size_t n_bytes;
    snprintf(path, n, "%s/%d-%d.png", tap_tmpdir(), number, (int)deed);
    if (image_reserve(&m, 9, 7, 3, &err)) exit(71);
    memset(m.pixels, 0, image_bytes(&m));
    m.pixels[0] = (uint8_t)number;
    m.pixels[2] = (uint8_t)(deed * 8);
    if (image_encode_png(&m, &bytes, &n_bytes, &err) || atomic_file_write(path, bytes, n_bytes, &err))
        exit(71);
    free(bytes);
    image_release(&m);
}

static void test_misdeeds(void)
{
    struct decode_pool_options o = DECODE_POOL_DEFAULTS;
    struct decode_pool *pool;
    struct error err = {0};
    struct decoded d;
    char path[4096];
    o.finish = misbehave;
    o.result_bytes = 2;
    o.threads = 2;
    o.cpu_seconds = 1;
    CHECK(decode_pool_open(&pool, &o, &err) == 0);
    int n = 0, bad_neighbours = 0, out_of_order = 0;
    static const bool may_end[DEEDS] =
        {[CRASH] = true,    [OPEN] = true, [SOCKET] = true,     [FORK] = true,
         [EXEC] = true,     [KILL] = true, [EXECUTABLE] = true, [PTRACE] = true,
         [OTHER_FD] = true, [EXIT] = true, [ABORT] = true,      [SIGNAL] = true};
    for (int deed = 0; deed < DEEDS; deed++) {
        enum deed three[3] = {NOTHING, (enum deed)deed, NOTHING};
        for (int k = 0; k < 3; k++) {
            make(path, sizeof path, n + k, three[k]);
            CHECK(decode_pool_submit(pool, path, (void *)(intptr_t)(n + k), &err) == 0);
        }
        for (int k = 0; k < 3; k++) {
            int rc = decode_pool_take(pool, &d, &err);
            out_of_order += rc != 1 || d.token != (void *)(intptr_t)(n + k);
            if (k != 1) {
                bad_neighbours += d.slug != NULL || d.n_result != 2 || d.result[0] != n + k;
                continue;
            }
            printf("# a decoder that %s: %s (%s)\n", names[deed], d.slug ? d.slug : "kept", d.detail);
            if (may_end[deed] || deed == LIE)
                CHECK_SAY(d.slug && !strcmp(d.slug, "decode-crashed") && !d.result,
                          "a decoder that %s costs its own picture", names[deed]);
            else if (deed == ABORT_FULL)
                CHECK_SAY(d.slug && (SANITIZED || !strcmp(d.slug, "decode-memory")),
                          "a decoder that %s is told from a crash", names[deed]);
            else if (deed == SPIN)
                CHECK_SAY(d.slug && !strcmp(d.slug, "decode-timeout"), "a decoder that %s is stopped",
                          names[deed]);
            else if (deed == MEMORY)
#if SANITIZED
                tap_skip("memory limit", "sanitizers need the address space");
#else
                CHECK_SAY(d.slug && !strcmp(d.slug, "decode-memory"), "a decoder that %s is refused it",
                          names[deed]);
#endif
            else if (deed == NOTHING)
                CHECK(!d.slug && d.n_result == 2 && d.bytes > 0 && strlen(d.xxh128) == 32 &&
                      d.info.width == 9 && d.info.height == 7);
        }
        n += 3;
    }
    CHECK_SAY(bad_neighbours == 0 && out_of_order == 0,
              "the pictures before and after it come through, in order (%d, %d)", bad_neighbours,
              out_of_order);
    CHECK(decode_pool_take(pool, &d, &err) == 0);
    decode_pool_close(pool);
    CHECK_SAY(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "no worker is left behind");
}

static void test_paths(void)
{
    struct decode_pool_options o = DECODE_POOL_DEFAULTS;
    struct decode_pool *pool;
    struct error err = {0};
    struct decoded d;
    char good[4096], empty[4096], large[4096], fifo[4096], text[4096];
    make(good, sizeof good, 1, NOTHING);
    snprintf(empty, sizeof empty, "%s/empty", tap_tmpdir());
    snprintf(large, sizeof large, "%s/large", tap_tmpdir());
    snprintf(fifo, sizeof fifo, "%s/fifo", tap_tmpdir());
    snprintf(text, sizeof text, "%s/text", tap_tmpdir());
    CHECK(!atomic_file_write(empty, "", 0, &err) && !atomic_file_write(large, "", 0, &err) &&
          !truncate(large, 2000) && !mkfifo(fifo, 0600) &&
          !atomic_file_write(text, "<html>404</html>", 16, &err));
    o.max_file_bytes = 1500;
    o.threads = 1;
    CHECK(decode_pool_open(&pool, &o, &err) == 0);
    const struct {
        const char *path, *slug;
    } cases[] = {
        {good, NULL},
        {"/no/such/file", "not-found"},
        {empty, "empty-file"},
        {large, "too-many-bytes"},
        {fifo, "unreadable"},
        {tap_tmpdir(), "unreadable"},
        {text, "not-a-picture"},
        {good, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK(decode_pool_submit(pool, cases[i].path, NULL, &err) == 0 &&
              decode_pool_take(pool, &d, &err) == 1);
        CHECK_SAY(cases[i].slug ? d.slug && !strcmp(d.slug, cases[i].slug) : !d.slug, "%s: %s (%s)",
                  cases[i].path, d.slug ? d.slug : "kept", d.detail);
    }
    CHECK(decode_pool_submit_failure(pool, IMAGE_OUTSIDE_ROOT, "x\ny", NULL, &err) == 0);
    CHECK(decode_pool_take(pool, &d, &err) == 1 && !strcmp(d.slug, "outside-root") &&
          !strcmp(d.detail, "x?y"));
    decode_pool_close(pool);
}

/* The same bytes with and without the sandbox, from one thread and from several, and through the loader. */
static void test_equal(void)
{
    uint8_t first[50 * 50 * 3] = {0};
    struct error err = {0};
    char path[4096];
    struct image m = IMAGE_EMPTY;
    uint8_t *jpeg;
    size_t n;
    image_reserve(&m, 130, 90, 3, &err);
    for (size_t i = 0; i < image_bytes(&m); i++)
        m.pixels[i] = (uint8_t)(i * i / 300);
    snprintf(path, sizeof path, "%s/equal.jpg", tap_tmpdir());
    CHECK(!image_encode_jpeg(&m, 90, &jpeg, &n, &err) && !atomic_file_write(path, jpeg, n, &err));
    for (int k = 0; k < 4; k++) {
        struct image_loader_options o = {.side_px = 50,
                                         .resize = {.method = RESIZE_LANCZOS},
                                         .threads = k & 1 ? 3 : 1,
                                         .no_sandbox = k & 2};
        struct image_loader *l;
        struct loaded_image p;
        int good = 0, submitted = 0;
        CHECK(image_loader_open(&l, &o, &err) == 0);
        for (int taken = 0; taken < 20; taken++) {
            while (submitted < 20 && !image_loader_full(l))
                if (image_loader_submit(l, path, NULL, &err) == 0) submitted++;
            if (image_loader_take(l, &p, &err) != 1 || p.reason) break;
            if (k == 0 && taken == 0) memcpy(first, p.pixels, sizeof first);
            good += memcmp(first, p.pixels, sizeof first) == 0;
        }
        CHECK_SAY(good == 20, "20 equal squares, %u workers, %s sandbox", o.threads,
                  o.no_sandbox ? "no" : "in the");
        image_loader_close(l);
    }
    free(jpeg);
    image_release(&m);
}

int main(void)
{
    test_misdeeds();
    test_paths();
    test_equal();
    return tap_done();
}
