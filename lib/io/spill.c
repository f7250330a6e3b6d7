/*
 * spill.c: keeps a table of mapped files, under one lock. The thread that unmaps pages holds the lock, so
 * that no array is freed meanwhile. It does not change the contents, so it need not wait for threads that use
 * the arrays.
 */
#include "io/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/number.h"
#include "io/io.h"

#define LOOK_NS 2000000 /* some ten megabytes are written between two looks */

struct spilled {
    char *at;
    size_t bytes; /* of the file and of the mapping: whole pages */
    int fd;
};

static struct {
    pthread_mutex_t lock;
    struct spilled *items;
    size_t n, capacity;
    int statm; /* -1 until the first array */
    bool watched;
} all = {.lock = PTHREAD_MUTEX_INITIALIZER, .statm = -1};

bool spill_is_large(size_t bytes)
{
    const char *text = getenv("WINNOW_SPILL"); /* a smaller limit: tests reach this code with a few rows */
    struct error ignored = {0};
    uint64_t least;
    if (!text || parse_bytes(text, 1, SIZE_MAX, &least, "WINNOW_SPILL", &ignored)) least = SPILL_LEAST_BYTES;
    return bytes >= least;
}

static size_t resident_bytes(int statm)
{
    char text[128];
    ssize_t n = statm < 0 ? 0 : pread(statm, text, sizeof text - 1, 0);
    unsigned long long pages = 0;
    if (n <= 0) return 0;
    text[n] = 0;
    return sscanf(text, "%*u %llu", &pages) == 1 ? (size_t)pages * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

/* The lock is held. */
static void unmap_pages(void)
{
    if (resident_bytes(all.statm) <= SPILL_RESIDENT_BYTES) return;
    for (size_t i = 0; i < all.n; i++)
        madvise(all.items[i].at, all.items[i].bytes, MADV_DONTNEED);
}

void spill_breathe(void)
{
    pthread_mutex_lock(&all.lock);
    if (all.n > 0) unmap_pages();
    pthread_mutex_unlock(&all.lock);
}

static void *watch(void *argument)
{
    (void)argument;
    for (bool go_on = true; go_on;) {
        nanosleep(&(struct timespec){0, LOOK_NS}, NULL);
        pthread_mutex_lock(&all.lock);
        if ((go_on = all.watched = all.n > 0)) unmap_pages();
        pthread_mutex_unlock(&all.lock);
    }
    return NULL;
}

/* Starts the thread. The caller holds the lock. If the thread cannot be started, the arrays are mapped files
 * that stay resident. */
static void watch_begin(void)
{
    sigset_t every, before;
    pthread_t id;
    if (all.statm < 0) all.statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (all.watched) return;
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &before);
    if (pthread_create(&id, NULL, watch, NULL) == 0) {
        pthread_detach(id);
        all.watched = true;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static struct spilled *find(const void *p)
{
    for (size_t i = 0; p && i < all.n; i++)
        if (all.items[i].at == p) return &all.items[i];
    return NULL;
}

static bool whole_pages(size_t bytes, size_t *out)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (!size_add(bytes, page - 1, out)) return false;
    *out -= *out % page;
    return true;
}

/* Returns a new mapped file, or NULL when none can be made; the caller then uses memory. */
static void *map_new(size_t bytes)
{
    struct error ignored = {0};
    size_t mapped;
    if (!spill_is_large(bytes) || !whole_pages(bytes, &mapped)) return NULL;
    int fd = io_temporary("keep columns in", &ignored);
    /* Reserve the space now. If the disk were full when a page is touched, the process would get SIGBUS. */
    if (fd < 0 || posix_fallocate(fd, 0, (off_t)mapped)) goto fail;
    void *at = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) goto fail;
    pthread_mutex_lock(&all.lock);
    if (mem_grow(&all.items, &all.capacity, all.n + 1, sizeof *all.items, &ignored)) {
        pthread_mutex_unlock(&all.lock);
        munmap(at, mapped);
        goto fail;
    }
    all.items[all.n++] = (struct spilled){at, mapped, fd};
    watch_begin();
    pthread_mutex_unlock(&all.lock);
    return at;
fail:
    if (fd >= 0) close(fd);
    return NULL;
}

void *spill_alloc(size_t bytes, struct error *err)
{
    void *p = map_new(bytes);
    return p ? p : mem_alloc(bytes, err);
}

void *spill_zalloc(size_t n, size_t each_bytes, struct error *err)
{
    size_t bytes;
    void *p = size_mul(n, each_bytes, &bytes) ? map_new(bytes) : NULL; /* a new file reads as zeros */
    return p ? p : mem_zalloc(n, each_bytes, err);
}

/* Changes the size of a mapped array. Returns its address, or NULL when this failed; the array is then
 * unchanged. */
static void *remap(struct spilled *s, size_t bytes)
{
    size_t mapped;
    if (!whole_pages(bytes, &mapped)) return NULL;
    if (mapped > s->bytes && posix_fallocate(s->fd, (off_t)s->bytes, (off_t)(mapped - s->bytes))) return NULL;
    void *at = mremap(s->at, s->bytes, mapped, MREMAP_MAYMOVE);
    if (at == MAP_FAILED) return NULL;
    s->at = at;
    s->bytes = mapped;
    return at;
}

void *spill_realloc(void *old, size_t old_bytes, size_t bytes, struct error *err)
{
    pthread_mutex_lock(&all.lock);
    struct spilled *s = find(old);
    bool mapped = s != NULL;
    void *p = s ? remap(s, bytes ? bytes : 1) : NULL;
    pthread_mutex_unlock(&all.lock);
    if (p) return p;
    if (!mapped && !(p = map_new(bytes))) return mem_realloc(old, bytes, err);
    if (!p && !(p = mem_alloc(bytes, err))) return NULL;
    if (old) memcpy(p, old, old_bytes < bytes ? old_bytes : bytes);
    spill_free(old);
    return p;
}

int spill_grow(void *array_pointer, size_t *n_capacity, size_t n_wanted, size_t each_bytes, struct error *err)
{
    void **array = array_pointer, *grown;
    size_t n = *n_capacity ? *n_capacity : 16, bytes;
    if (n_wanted <= *n_capacity) return 0;
    while (n < n_wanted)
        if (!size_add(n, n / 2, &n))
            return error_set(err, EX_OSERR, "cannot allocate %zu elements", n_wanted);
    if (!size_mul(n, each_bytes, &bytes))
        return error_set(err, EX_OSERR, "cannot allocate %zu elements", n_wanted);
    if (!(grown = spill_realloc(*array, *n_capacity * each_bytes, bytes, err))) return -1;
    *array = grown;
    *n_capacity = n;
    return 0;
}

void spill_free(void *p)
{
    int saved = errno;
    pthread_mutex_lock(&all.lock);
    struct spilled *s = find(p);
    if (s) {
        munmap(s->at, s->bytes);
        close(s->fd);
        *s = all.items[--all.n];
        if (all.n == 0) {
            free(all.items);
            all.items = NULL;
            all.capacity = 0;
        }
        p = NULL;
    }
    pthread_mutex_unlock(&all.lock);
    free(p);
    errno = saved;
}
