/*
 * dist_wait.c: waits for the other ranks, and stops waiting when one of them is lost. When a rank dies, its
 * launcher ends the whole job: OpenMPI's mpirun sends TERM, a second later KILL, and prints which rank it
 * was. This file notices the loss within that second, from three signs: a process on this machine that no
 * longer runs, a stop signal sent by our launcher, and silence.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"
#include "dist/dist_internal.h"
#include "io/io.h"
#include "io/signals.h"

#define LOOK_EVERY_S 0.05
#define SPINS_BETWEEN_LOOKS 256 /* tests of the request; each is well below a microsecond */

static void read_line(const char *path, char *out, size_t bytes)
{
    FILE *f = fopen(path, "re");
    if (!f || !fgets(out, (int)bytes, f)) out[0] = 0;
    if (f) fclose(f);
    out[strcspn(out, "\n")] = 0;
}

void dist_place(struct place *p)
{
    char boot[64], pids[64] = "";
    memset(p, 0, sizeof *p);
    if (gethostname(p->host, sizeof p->host - 1)) snprintf(p->host, sizeof p->host, "?");
    /* Containers may share a host name or a kernel. Process numbers can be compared only within one boot
     * of a machine and one namespace. */
    read_line("/proc/sys/kernel/random/boot_id", boot, sizeof boot);
    ssize_t n = readlink("/proc/self/ns/pid", pids, sizeof pids - 1);
    pids[n > 0 ? n : 0] = 0;
    snprintf(p->machine, sizeof p->machine, "%s %s", boot, pids);
    p->pid = getpid();
}

/* Whether a process has ended, even if its parent has not waited for it yet. */
static bool is_gone(int64_t pid)
{
    char path[64], line[512];
    if (kill((pid_t)pid, 0) && errno == ESRCH) return true;
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    read_line(path, line, sizeof line);
    const char *state = strrchr(line, ')');
    return state && (state[2] == 'Z' || state[2] == 'X');
}

/* Returns how long the other ranks may take to stop together when the launcher is ending the job: half of the
 * time before KILL. */
static double grace_s(void)
{
    const char *ours = getenv("OMPI_MCA_odls_base_sigkill_timeout");
    double s;
    if (!ours || !parse_number(ours, &s)) s = getenv("OMPI_COMM_WORLD_SIZE") ? 1 : 30; /* Slurm's KillWait */
    return s / 2;
}

static int lost(struct dist *d)
{
    d->lost = true;
    return -1;
}

static int look_around(struct dist *d, double now, double began, struct error *err)
{
    for (int i = 0; i < d->size; i++) {
        const struct place *p = &d->places[i];
        if (i != d->rank && !strcmp(p->machine, d->places[d->rank].machine) && is_gone(p->pid)) {
            d->gone = i;
            error_set(err, EX_TEMPFAIL, "rank %d (process %lld on '%s') is gone", i, (long long)p->pid,
                      p->host);
            return lost(d);
        }
    }
    if (signals_asked_to_stop() && signals_sender() == getppid()) {
        if (!d->told_to_end_at) d->told_to_end_at = now;
        if (now - d->told_to_end_at >= grace_s()) {
            error_set(err, EX_TEMPFAIL,
                      "the launcher is ending the job: it lost a rank (its message says which one), or "
                      "received a stop signal");
            return lost(d);
        }
    }
    if (now - began > d->timeout_s) {
        error_set(err, EX_TEMPFAIL, "the other ranks gave no answer for %.0f s (--rank-timeout)",
                  now - began);
        return lost(d);
    }
    return 0;
}

int dist_wait_for(struct dist *d, int (*test)(void *context, bool *done, struct error *err), void *context,
                  struct error *err)
{
    double began = 0, looked = 0;
    for (unsigned spins = 1;; spins++) {
        bool done = false;
        if (test(context, &done, err)) return d && err->code == EX_TEMPFAIL ? lost(d) : -1;
        if (done) return 0;
        if (spins % SPINS_BETWEEN_LOOKS) continue;
        double now = clock_seconds();
        if (!began) began = looked = now;
        if (d && now - looked > LOOK_EVERY_S) {
            looked = now;
            if (look_around(d, now, began, err)) return -1;
        }
        sched_yield(); /* with more ranks than cores, the rank that we wait for may need this core */
    }
}

struct request {
    struct dist *d;
    struct dist_request *r;
};

static int test_request(void *context, bool *done, struct error *err)
{
    struct request *q = context;
    return q->d->table->test(q->d->group, q->r, done, err);
}

int dist_wait(struct dist *d, struct dist_request *r, struct error *err)
{
    struct request q = {d, r};
    return dist_wait_for(d, test_request, &q, err) ? lost(d) : 0;
}
