/*
 * fail_libc.c: an LD_PRELOAD library that makes the nth call of a kind fail which a program of ours makes to
 * libc. It sees what the hook in lib/base does not: folders, links, pipes, threads, stdio, calls that
 * somebody forgot to pass through the hook. Calls that libraries make are left alone, and so are children (a
 * decoding worker, gnuplot): their death is tried elsewhere.
 *   FAIL_LIBC=kind:n        open read write sync name gone look start; clock: from the nth look on the clock
 *   is a year ahead, or for
 *                           clock:-n a year behind
 *   FAIL_LIBC_COUNT=FILE    when the program ends: number of calls of each kind, and peak, the largest
 *   address space in bytes
 *   FAIL_LIBC_SAID=FILE     function and address of the call that failed
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* start: a thread, a process, memory from the kernel. look: stat and its kin. name: a name appears. gone: a
 * name goes. */
enum kind { OPEN, READ, WRITE, SYNC, NAME, GONE, LOOK, START, CLOCK, KINDS };
static const struct {
    const char *name;
    int number;
} kinds[KINDS] = {
    {"open", EMFILE}, {"read", EIO}, {"write", ENOSPC}, {"sync", EIO}, {"name", ENOSPC},
    {"gone", EACCES}, {"look", EIO}, {"start", EAGAIN}, {"clock", 0},
};
static uintptr_t text_start, text_end, load_address;
static int failing_kind = -1;
static unsigned long failing_call;
static atomic_ulong calls[KINDS];
static pid_t owner;
static long jump_s = 365 * 86400l;
static atomic_long offset_s;

static int find_program(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size, (void)unused;
    load_address = info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && info->dlpi_phdr[i].p_flags & PF_X) {
            text_start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            text_end = text_start + info->dlpi_phdr[i].p_memsz;
        }
    return 1; /* the first one is the program */
}

static void say(const char *path, int flags, const char *text)
{
    int fd =
        path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666) : -1;
    if (fd < 0) return;
    if (syscall(SYS_write, fd, text, strlen(text)) < 0) _exit(99);
    syscall(SYS_close, fd);
}

__attribute__((destructor)) static void count(void)
{
    char text[400], line[100];
    unsigned long kib = 0;
    int n = 0;
    if (!owner) return;
    FILE *status = fopen("/proc/self/status", "re");
    while (status && fgets(line, sizeof line, status))
        sscanf(line, "VmPeak: %lu", &kib);
    n += snprintf(text, sizeof text, "peak\t%lu\n", kib << 10);
    for (int k = 0; k < KINDS; k++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s\t%lu\n", kinds[k].name, atomic_load(&calls[k]));
    say(getenv("FAIL_LIBC_COUNT"), O_TRUNC, text);
}

__attribute__((constructor)) static void set_up(void)
{
    const char *fault = getenv("FAIL_LIBC"), *colon = fault ? strchr(fault, ':') : NULL;
    dl_iterate_phdr(find_program, NULL);
    owner = getpid();
    unsetenv("LD_PRELOAD"); /* what the program starts is not tried */
    for (int k = 0; colon && k < KINDS; k++)
        if (strncmp(kinds[k].name, fault, (size_t)(colon - fault)) == 0)
            failing_kind = k, failing_call = strtoul(colon + 1 + (colon[1] == '-'), NULL, 10),
            jump_s = colon[1] == '-' ? -jump_s : jump_s;
}

static int here(enum kind kind, const char *function, void *from)
{
    uintptr_t at = (uintptr_t)from;
    char text[200];
    if (!owner || at < text_start || at >= text_end) return 0;
    if (atomic_fetch_add(&calls[kind], 1) + 1 != failing_call || (int)kind != failing_kind) return 0;
    snprintf(text, sizeof text, "%s %#lx\n", function, (unsigned long)(at - load_address - 1));
    say(getenv("FAIL_LIBC_SAID"), O_TRUNC, text);
    errno = kinds[kind].number;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define HERE(kind, name) here(kind, #name, __builtin_return_address(0))
/* RETURN name(PARAMETERS) that gives BAD when it fails. */
#define FAILS(kind, type, bad, name, parameters, arguments)                                                  \
    type name parameters                                                                                     \
    {                                                                                                        \
        if (HERE(kind, name)) return bad;                                                                    \
        return REAL(name) arguments;                                                                         \
    }

static mode_t mode_of(int flags, va_list rest)
{
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return HERE(OPEN, open) ? -1 : REAL(open)(path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return HERE(OPEN, openat) ? -1 : REAL(openat)(folder, path, flags, mode);
}

int __open_2(const char *path, int flags);
int __openat_2(int folder, const char *path, int flags);
FAILS(OPEN, int, -1, __open_2, (const char *path, int flags), (path, flags))
FAILS(OPEN, int, -1, __openat_2, (int folder, const char *path, int flags), (folder, path, flags))
FAILS(OPEN, FILE *, NULL, fopen, (const char *path, const char *mode), (path, mode))
FAILS(OPEN, FILE *, NULL, fdopen, (int fd, const char *mode), (fd, mode))
FAILS(OPEN, DIR *, NULL, opendir, (const char *path), (path))
FAILS(OPEN, DIR *, NULL, fdopendir, (int fd), (fd))
FAILS(OPEN, int, -1, memfd_create, (const char *name, unsigned flags), (name, flags))
FAILS(OPEN, int, -1, pipe2, (int fds[2], int flags), (fds, flags))
FAILS(OPEN, int, -1, socketpair, (int domain, int type, int protocol, int fds[2]),
      (domain, type, protocol, fds))
FAILS(OPEN, int, -1, mkostemp, (char *path, int flags), (path, flags))
int eventfd(unsigned value, int flags);
FAILS(OPEN, int, -1, eventfd, (unsigned value, int flags), (value, flags))
int epoll_create1(int flags);
FAILS(OPEN, int, -1, epoll_create1, (int flags), (flags))

/* A socket leads to a decoding worker, and no disk is sick there. */
ssize_t read(int fd, void *to, size_t n)
{
    struct stat st;
    if (!owner || (REAL(fstat)(fd, &st) == 0 && S_ISSOCK(st.st_mode))) return REAL(read)(fd, to, n);
    return HERE(READ, read) ? -1 : REAL(read)(fd, to, n);
}
FAILS(READ, ssize_t, -1, pread, (int fd, void *to, size_t n, off_t at), (fd, to, n, at))
FAILS(READ, ssize_t, -1, preadv2, (int fd, const struct iovec *to, int n, off_t at, int flags),
      (fd, to, n, at, flags))
FAILS(READ, char *, NULL, fgets, (char *to, int n, FILE *stream), (to, n, stream))
FAILS(READ, struct dirent *, NULL, readdir, (DIR * folder), (folder))

/* What stdio could not write is noted in the stream. The message of the failure is not to fail. */
static int stream_here(FILE *stream, const char *function, void *from)
{
    if (stream == stderr || !here(WRITE, function, from)) return 0;
    stream->_flags |= 0x20; /* _IO_ERR_SEEN */
    return 1;
}
#define STREAM(type, bad, name, parameters, arguments)                                                       \
    type name parameters                                                                                     \
    {                                                                                                        \
        if (stream_here(stream, #name, __builtin_return_address(0))) return bad;                             \
        return REAL(name) arguments;                                                                         \
    }
STREAM(size_t, 0, fwrite, (const void *from, size_t each, size_t n, FILE *stream), (from, each, n, stream))
STREAM(int, EOF, fputs, (const char *text, FILE *stream), (text, stream))
STREAM(int, EOF, fputc, (int c, FILE *stream), (c, stream))
#undef putc
STREAM(int, EOF, putc, (int c, FILE *stream), (c, stream))
STREAM(int, EOF, fflush, (FILE * stream), (stream))
int __fprintf_chk(FILE *stream, int flag, const char *format, ...)
{
    va_list rest;
    (void)flag;
    if (stream_here(stream, "fprintf", __builtin_return_address(0))) return -1;
    va_start(rest, format);
    int n = vfprintf(stream, format, rest);
    va_end(rest);
    return n;
}
int fclose(FILE *stream)
{
    int fails = stream != stderr && HERE(WRITE, fclose), rc = REAL(fclose)(stream);
    if (fails) errno = ENOSPC;
    return fails ? EOF : rc;
}
ssize_t write(int fd, const void *from, size_t n)
{
    return fd != 2 && HERE(WRITE, write) ? -1 : REAL(write)(fd, from, n);
}
FAILS(WRITE, ssize_t, -1, pwrite, (int fd, const void *from, size_t n, off_t at), (fd, from, n, at))
FAILS(WRITE, int, -1, ftruncate, (int fd, off_t bytes), (fd, bytes))
FAILS(WRITE, int, -1, futimens, (int fd, const struct timespec times[2]), (fd, times))
FAILS(WRITE, int, -1, fchmod, (int fd, mode_t mode), (fd, mode))

FAILS(SYNC, int, -1, fsync, (int fd), (fd))
FAILS(SYNC, int, -1, fdatasync, (int fd), (fd))
FAILS(SYNC, int, -1, syncfs, (int fd), (fd))

FAILS(NAME, int, -1, rename, (const char *from, const char *to), (from, to))
FAILS(NAME, int, -1, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to))
FAILS(NAME, int, -1, renameat2, (int a, const char *from, int b, const char *to, unsigned flags),
      (a, from, b, to, flags))
FAILS(NAME, int, -1, linkat, (int a, const char *from, int b, const char *to, int flags),
      (a, from, b, to, flags))
FAILS(NAME, int, -1, mkdir, (const char *path, mode_t mode), (path, mode))
FAILS(NAME, int, -1, mkdirat, (int folder, const char *path, mode_t mode), (folder, path, mode))

FAILS(GONE, int, -1, unlink, (const char *path), (path))
FAILS(GONE, int, -1, unlinkat, (int folder, const char *path, int flags), (folder, path, flags))
FAILS(GONE, int, -1, rmdir, (const char *path), (path))

FAILS(LOOK, int, -1, stat, (const char *path, struct stat *st), (path, st))
FAILS(LOOK, int, -1, lstat, (const char *path, struct stat *st), (path, st))
FAILS(LOOK, int, -1, fstat, (int fd, struct stat *st), (fd, st))
FAILS(LOOK, int, -1, fstatat, (int folder, const char *path, struct stat *st, int flags),
      (folder, path, st, flags))
FAILS(LOOK, off_t, -1, lseek, (int fd, off_t at, int how), (fd, at, how))

pid_t fork(void)
{
    if (HERE(START, fork)) return -1;
    pid_t child = REAL(fork)();
    if (child == 0) owner = 0; /* a sandboxed child may not even ask for its id */
    return child;
}
FAILS(START, int, EAGAIN, pthread_create,
      (pthread_t * id, const pthread_attr_t *how, void *(*run)(void *), void *with), (id, how, run, with))
FAILS(START, int, EAGAIN, posix_spawnp,
      (pid_t * id, const char *name, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *how,
       char *const *arguments, char *const *environment),
      (id, name, actions, how, arguments, environment))
void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    if (HERE(START, mmap)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return REAL(mmap)(at, n, protection, flags, fd, offset);
}

int clock_gettime(clockid_t which, struct timespec *now)
{
    int rc = REAL(clock_gettime)(which, now);
    if (which == CLOCK_REALTIME && HERE(CLOCK, clock_gettime)) atomic_store(&offset_s, jump_s);
    if (which == CLOCK_REALTIME) now->tv_sec += atomic_load(&offset_s);
    return rc;
}

time_t time(time_t *out)
{
    time_t now = REAL(time)(NULL);
    if (HERE(CLOCK, time)) atomic_store(&offset_s, jump_s);
    now += atomic_load(&offset_s);
    if (out) *out = now;
    return now;
}
