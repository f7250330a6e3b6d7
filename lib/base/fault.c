/* fault.c: makes the nth call of one kind fail, for tests that let every call fail once. mem.h describes
 * WINNOW_FAULT and WINNOW_FAULT_COUNT. Without these variables, a call costs one load and one branch. */
#include "base/mem.h"
#include "base/number.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct {
    const char *name;
    int number;
} kinds[FAULT_KINDS] = {
    [FAULT_ALLOC] = {"alloc", ENOMEM}, [FAULT_OPEN] = {"open", EMFILE}, [FAULT_READ] = {"read", EIO},
    [FAULT_WRITE] = {"write", ENOSPC}, [FAULT_FSYNC] = {"fsync", EIO},  [FAULT_RENAME] = {"rename", EIO},
};

static bool on;
static int failing_kind = -1;
static unsigned long failing_call;
static atomic_ulong calls[FAULT_KINDS];
/* Shared with forked children, which continue the count of their parent: one call
 * fails, not one in each process. */
static atomic_flag *fired;

static void write_counts(void)
{
    const char *path = getenv("WINNOW_FAULT_COUNT");
    char line[64];
    int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666) : -1;
    for (int k = 0; fd >= 0 && k < FAULT_KINDS; k++) {
        int n = snprintf(line, sizeof line, "%s\t%lu\n", kinds[k].name, atomic_load(&calls[k]));
        if (write(fd, line, (size_t)n) < 0) break;
    }
    if (fd >= 0) close(fd);
}

__attribute__((constructor)) static void fault_setup(void)
{
    const char *fault = getenv("WINNOW_FAULT"), *colon = fault ? strchr(fault, ':') : NULL;
    if (colon) {
        for (int k = 0; k < FAULT_KINDS; k++)
            if (strlen(kinds[k].name) == (size_t)(colon - fault) &&
                !strncmp(kinds[k].name, fault, (size_t)(colon - fault)))
                failing_kind = k;
        uint64_t call;
        failing_call = parse_digits(colon + 1, strlen(colon + 1), &call) ? (unsigned long)call : 0;
        void *page = mmap(NULL, sizeof *fired, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        fired = page == MAP_FAILED ? NULL : page;
        on = true;
    }
    if (getenv("WINNOW_FAULT_COUNT")) {
        on = true;
        atexit(write_counts);
    }
}

bool fault_here(enum fault_kind kind)
{
    if (__builtin_expect(!on, 1)) return false;
    unsigned long call = atomic_fetch_add(&calls[kind], 1) + 1;
    if ((int)kind != failing_kind || call != failing_call || (fired && atomic_flag_test_and_set(fired)))
        return false;
    errno = kinds[kind].number;
    return true;
}
