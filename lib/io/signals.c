/* signals.c: a fixed table has the names of the temporary files. The signal handler goes through it and
 * calls unlink and nothing else. */
#include "io/signals.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define CLEANUP_SLOTS 64
/* 0 free, 1 being written, 2 in use */
static struct {
    atomic_int state;
    char path[PATH_MAX];
} cleanup[CLEANUP_SLOTS];

int cleanup_remember(const char *path)
{
    size_t n = strlen(path);
    if (n >= PATH_MAX) return -1;
    for (int i = 0; i < CLEANUP_SLOTS; i++) {
        int expected = 0;
        if (atomic_compare_exchange_strong(&cleanup[i].state, &expected, 1)) {
            memcpy(cleanup[i].path, path, n + 1);
            atomic_store(&cleanup[i].state, 2);
            return i;
        }
    }
    return -1;
}

void cleanup_forget(int slot)
{
    if (slot >= 0 && slot < CLEANUP_SLOTS) atomic_store(&cleanup[slot].state, 0);
}

static volatile sig_atomic_t asked_to_stop;
static volatile sig_atomic_t asked_by;
static pid_t owner; /* a forked child must not unlink its parent's temporaries */

static void unlink_and_die(int number)
{
    int saved = errno;
    if (getpid() == owner)
        for (int i = 0; i < CLEANUP_SLOTS; i++)
            if (atomic_load(&cleanup[i].state) == 2) unlink(cleanup[i].path);
    signal(number, SIG_DFL);
    raise(number); /* delivered when the handler returns and the signal is unblocked */
    errno = saved;
}

static void note_then_die(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (asked_to_stop) unlink_and_die(number);
    /* A signal from the kernel has no sender. */
    asked_by = info->si_code <= 0 ? (sig_atomic_t)info->si_pid : 0;
    asked_to_stop = number;
}

static void catch_signals(bool note)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    owner = getpid();
    /* A write beyond `ulimit -f` then fails with EFBIG, which is reported like a full disk. */
    signal(SIGXFSZ, SIG_IGN);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction a = {.sa_handler = unlink_and_die, .sa_flags = SA_RESTART}, old;
        sigemptyset(&a.sa_mask);
        if (note && numbers[i] != SIGPIPE) {
            a.sa_sigaction = note_then_die;
            a.sa_flags |= SA_SIGINFO;
        }
        /*
         * A signal that was ignored when the program started stays ignored, as nohup and cron want it.
         * SIGPIPE is the exception: it is often ignored by accident (after python or systemd), and `| head`
         * would then give an error message.
         */
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN && numbers[i] != SIGPIPE)
            continue;
        sigaction(numbers[i], &a, NULL);
    }
}

void signals_hold(bool hold)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

void signals_short_stage(void) { catch_signals(false); }

void signals_long_stage(void) { catch_signals(true); }

void signals_also_stop(int number)
{
    struct sigaction a = {.sa_sigaction = note_then_die, .sa_flags = SA_RESTART | SA_SIGINFO};
    sigemptyset(&a.sa_mask);
    sigaction(number, &a, NULL);
}

int signals_sender(void) { return asked_by; }

int signals_asked_to_stop(void) { return asked_to_stop; }

void signals_reraise(int number)
{
    unlink_and_die(number);
    _exit(128 + number);
}
