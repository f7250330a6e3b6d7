/*
 * coverage_exit.c: linked into the programs of CONFIG=coverage only, in place of the calls after which gcc's
 * counts would be lost: _exit, a stop signal that is raised again, and a sandbox (--wrap,
 * tests/tools/hardening.mk). The limits and the system call filter stay what they are; what a sandboxed
 * worker runs after its filter is in force is not counted.
 */
#include <signal.h>
#include <sys/resource.h>

void __gcov_dump(void);
void __gcov_reset(void);

int __real_setrlimit(__rlimit_resource_t resource, const struct rlimit *limit);
int __real_seccomp_load(void *filter) __attribute__((weak));
void __real__exit(int code) __attribute__((noreturn));
void __real_signals_reraise(int number) __attribute__((weak, noreturn));

int __wrap_setrlimit(__rlimit_resource_t resource, const struct rlimit *limit);
int __wrap_seccomp_load(void *filter);
void __wrap__exit(int code) __attribute__((noreturn));
void __wrap_signals_reraise(int number) __attribute__((noreturn));

static struct rlimit wanted; /* the limit on files that is set late, from no_files to the filter */
static int no_files, filtered;

/* A hard limit of nothing would stop the counts: it becomes a soft one here, and the one asked for in
 * seccomp_load. */
int __wrap_setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
    struct rlimit soft = *limit;
    if (resource != RLIMIT_FSIZE || limit->rlim_cur > 0) return __real_setrlimit(resource, limit);
    struct rlimit now;
    if (getrlimit(RLIMIT_FSIZE, &now)) return -1;
    wanted = *limit;
    no_files = 1;
    soft.rlim_max = now.rlim_max;
    return __real_setrlimit(resource, &soft);
}

static void write_counts(void)
{
    struct rlimit open_limit = {0, 0};
    if (no_files && getrlimit(RLIMIT_FSIZE, &open_limit) == 0) {
        open_limit.rlim_cur = open_limit.rlim_max;
        (void)__real_setrlimit(RLIMIT_FSIZE, &open_limit);
    }
    __gcov_dump();
    __gcov_reset();
    if (no_files) (void)__real_setrlimit(RLIMIT_FSIZE, &wanted);
}

int __wrap_seccomp_load(void *filter)
{
    write_counts();
    filtered = 1;
    return __real_seccomp_load(filter);
}

void __wrap__exit(int code)
{
    if (!filtered) write_counts();
    __real__exit(code);
}

void __wrap_signals_reraise(int number)
{
    write_counts();
    __real_signals_reraise(number);
}
