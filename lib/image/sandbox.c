/* sandbox.c: removes all rights of a decoding worker that it does not need. */
#include "image/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <linux/seccomp.h>
#include <seccomp.h>

#include "base/sanitized.h"
#include "image/limits.h"

int sandbox_check(struct error *err)
{
    /* The filter is NULL on purpose. The error is EFAULT when the kernel has filters, and EINVAL or ENOSYS
     * when not. */
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL) == -1 && errno == EFAULT) return 0;
    return error_set(err, EX_OSERR,
                     "this kernel has no seccomp filters: pictures cannot be decoded in a sandbox "
                     "(--no-sandbox decodes without)");
}

/*
 * libavif aborts and libjxl traps when memory runs out; malloc has just set errno then. (It is cleared before
 * each picture.)
 */
static void on_abort(int number) { _exit(errno == ENOMEM ? SANDBOX_EXIT_MEMORY : 128 + number); }

static void reset_signals(void)
{
    struct sigaction act = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int s = 1; s < NSIG; s++) {
        /* The parent decides when these signals stop the program. A worker ends when the parent closes the
         * socket. */
        act.sa_handler = s == SIGINT || s == SIGTERM || s == SIGHUP ? SIG_IGN : SIG_DFL;
        sigaction(s, &act, NULL);
    }
    act.sa_handler = on_abort;
    sigaction(SIGABRT, &act, NULL);
    sigaction(SIGILL, &act, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL); /* pool threads block everything */
}

static uint64_t mapped_bytes(void)
{
    char text[64];
    unsigned long pages = 0;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    if (n <= 0) return 0;
    text[n] = 0;
    return sscanf(text, "%lu", &pages) == 1 ? (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static int limit(int what, uint64_t value, struct error *err)
{
    struct rlimit r = {value, value};
    return setrlimit((__rlimit_resource_t)what, &r)
               ? error_errno(err, EX_OSERR, "cannot limit a decoding worker")
               : 0;
}

static int install_filter(int fd, struct error *err)
{
    static const int plain[] =
    { SCMP_SYS(munmap),
      SCMP_SYS(mremap),
      SCMP_SYS(madvise),
      SCMP_SYS(brk),
      SCMP_SYS(futex),
      SCMP_SYS(exit),
      SCMP_SYS(exit_group),
      SCMP_SYS(rt_sigreturn),
      SCMP_SYS(setitimer),
      SCMP_SYS(getrandom),
      SCMP_SYS(clock_gettime),
      SCMP_SYS(restart_syscall),
      SCMP_SYS(sched_yield),
      /* abort(), with tgkill below */
      SCMP_SYS(rt_sigprocmask),
      SCMP_SYS(getpid),
      SCMP_SYS(gettid),
#if SANITIZED
      /* Used around longjmp. */
      SCMP_SYS(sigaltstack),
      SCMP_SYS(prlimit64),
      SCMP_SYS(sched_getaffinity),
#endif
    };
    const scmp_datum_t descriptor = (scmp_datum_t)fd;
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int rc = ctx ? 0 : -ENOMEM;
    for (size_t i = 0; rc == 0 && i < sizeof plain / sizeof *plain; i++)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, plain[i], 0);
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(read), 1, SCMP_A0(SCMP_CMP_EQ, descriptor));
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(write), 1, SCMP_A0(SCMP_CMP_EQ, descriptor));
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                              SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
    /* Debian's libjxl writes errors to standard error. The descriptor is closed, and libjxl continues. */
    if (rc == 0 && fd != STDERR_FILENO)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EBADF), SCMP_SYS(write), 1,
                              SCMP_A0(SCMP_CMP_EQ, STDERR_FILENO));
    /* Allow memory to be mapped, but not as executable, and not from a file. */
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
                              SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS));
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (rc == 0) rc = seccomp_load(ctx);
    if (ctx) seccomp_release(ctx);
    if (rc == 0) return 0;
    errno = -rc;
    return error_errno(err, EX_OSERR, "cannot put a decoding worker into its sandbox");
}

int sandbox_enter(int channel_fd, struct error *err)
{
    reset_signals();
    if ((channel_fd > 0 && close_range(0, (unsigned)channel_fd - 1, 0)) ||
        close_range((unsigned)channel_fd + 1, ~0u, 0))
        return error_errno(err, EX_OSERR, "cannot close descriptors");
    uint64_t mapped = mapped_bytes();
    if (mapped == 0) return error_set(err, EX_OSERR, "cannot read /proc/self/statm");
    if ((!SANITIZED && limit(RLIMIT_AS, mapped + IMAGE_WORKER_MEMORY_BYTES, err)) ||
        limit(RLIMIT_CORE, 0, err) || limit(RLIMIT_FSIZE, 0, err) ||
        limit(RLIMIT_NOFILE, (uint64_t)channel_fd + 1, err))
        return -1;
    if (prctl(PR_SET_DUMPABLE, 0) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return error_errno(err, EX_OSERR, "cannot give up rights");
    return install_filter(channel_fd, err);
}
