/*
 * core.c: device memory that the host cannot touch, streams that run late, faults on request.
 *
 * A device address is an address in a reserved range without rights: a host that follows one dies with
 * SIGSEGV. The bytes are elsewhere (the shadow), found through a table of allocations that also remembers the
 * dead, so that a use after free is named as one. Addresses are never given out twice.
 *
 * Races: each stream carries a vector clock; events hand clocks from stream to stream and a wait hands one to
 * the host. An access that overlaps another stream's without being ordered after it is a complaint, whether
 * or not the bytes came out right this time.
 */
#include "fake.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_DEVICES 4
#define MAX_STREAMS FAKE_MAX_STREAMS
#define VA_BYTES ((size_t)1 << 38) /* for each device */
#define GUARD_BYTES ((size_t)1 << 16)

static pthread_mutex_t lock; /* recursive: work that runs may call back */
static long calls, fail_call, executions, fail_execution, complaints, live_objects;
static char failed_call[64], last_complaint[512];

struct note { /* one access by one stream since the host last waited for it */
    size_t begin, end;
    uint64_t when;
    const char *who;
    int stream, access;
};

struct allocation {
    uintptr_t device_address;
    unsigned char *shadow; /* NULL once freed */
    size_t bytes, mapped_bytes;
    long number;
    struct note *notes;
    size_t n_notes, notes_capacity;
};

struct device {
    uintptr_t base, next;
    struct allocation *allocations; /* by address, since addresses only grow */
    size_t n_allocations, capacity;
    size_t bytes_total, bytes_used, bytes_peak;
    cudaError_t sticky;
};

struct pinned {
    char *begin;
    size_t bytes;
};

struct work {
    struct work *next;
    fake_work run;
    void (*renew)(void *args);
    const char *name;
    struct CUevent_st *wait, *record;
    uint64_t host_clock[MAX_STREAMS];
    uint64_t ticket;
    size_t n_bytes;
    bool tried; /* it ran before, and was not ready */
    unsigned char args[];
};

/* Work that was captured and is queued when its graph is launched. One stream made it: it is a chain. */
struct CUgraph_st {
    struct work *first, **last;
    int device;
    bool invalid; /* a call that a capture does not allow was made within it */
};
struct CUgraphExec_st {
    struct CUgraph_st chain;
};

struct CUstream_st {
    int number, device;
    struct work *first, **last;
    uint64_t clock[MAX_STREAMS];
    bool running;
    struct CUgraph_st *capture; /* what is queued goes there, or NULL */
    double ms;                  /* how long its work has taken so far */
};

struct CUevent_st {
    struct CUstream_st *stream;   /* recorded there and not reached yet, or NULL */
    uint64_t ticket, done_ticket; /* the last record queued, the last one reached */
    uint64_t clock[MAX_STREAMS];
    int device;
    bool ever;
    double at_ms;
};

static struct device devices[MAX_DEVICES];
static int n_devices;
static cudaError_t last_error; /* that nobody has fetched yet */
static struct pinned *pinned;
static size_t n_pinned;
static struct CUstream_st *streams[MAX_STREAMS];
static uint64_t host_clock[MAX_STREAMS];
static uint64_t tickets;
static __thread int current_device;
static __thread struct CUstream_st *running_stream;
static __thread const char *running_name;
static __thread struct CUstream_st *capturing;
/* what the work that runs said of itself (fake_not_yet), and whether it waits for another process */
static __thread bool not_yet, for_others;
static uint64_t pieces_done;
static bool run_one(struct CUstream_st *s);

static size_t env_number(const char *name, size_t otherwise)
{
    const char *s = getenv(name);
    return s && *s ? strtoull(s, NULL, 0) : otherwise;
}

static struct counter {
    const char *name;
    long n;
} counters[2][128];

static void report(void)
{
    const char *path = getenv("FAKECUDA_REPORT");
    FILE *f = path ? fopen(path, "a") : NULL;
    if (f) {
        fprintf(f, "calls %ld\nexecutions %ld\ncomplaints %ld\nlive %ld\n", calls, executions, complaints,
                live_objects);
        for (int i = 0; i < 128 && counters[1][i].name; i++)
            if (!strncmp(counters[1][i].name, "nccl", 4))
                fprintf(f, "%s %ld\n", counters[1][i].name, counters[1][i].n);
        fclose(f);
    }
    if (live_objects)
        fprintf(stderr, "fakecuda: leak: %ld objects of the libraries are still alive at exit\n",
                live_objects);
    for (int d = 0; d < n_devices; d++)
        for (size_t i = 0; i < devices[d].n_allocations; i++)
            if (devices[d].allocations[i].shadow)
                fprintf(stderr, "fakecuda: leak: device memory #%ld, %zu bytes on device %d\n",
                        devices[d].allocations[i].number, devices[d].allocations[i].bytes, d);
    if ((live_objects || complaints) && getenv("FAKECUDA_STRICT_EXIT")) _exit(99);
}

__attribute__((constructor)) static void start(void)
{
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&lock, &recursive);
    n_devices = (int)env_number("FAKECUDA_DEVICES", 2);
    if (n_devices > MAX_DEVICES) n_devices = MAX_DEVICES;
    for (int d = 0; d < n_devices; d++) {
        void *base = mmap(NULL, VA_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (base == MAP_FAILED) {
            n_devices = d;
            break;
        }
        devices[d].base = (uintptr_t)base;
        devices[d].next = devices[d].base + GUARD_BYTES;
        devices[d].bytes_total = env_number("FAKECUDA_MEMORY", (size_t)8 << 30);
    }
    fail_call = (long)env_number("FAKECUDA_FAIL_CALL", 0);
    fail_execution = (long)env_number("FAKECUDA_FAIL_EXECUTION", 0);
    atexit(report);
}

int fake_compute_capability(void) { return (int)env_number("FAKECUDA_CC", 80); }

/* --- calls --- */

/* FAKECUDA_DRY=1: work is counted, not done, and memory is not filled: for steps too large to be computed. */
bool fake_dry(void)
{
    static int is = -1;
    if (is < 0) is = getenv("FAKECUDA_DRY") != NULL;
    return is;
}

static void count(const char *name, bool executed)
{
    struct counter *c = counters[executed];
    int i = 0;
    while (i < 127 && c[i].name && strcmp(c[i].name, name))
        i++;
    c[i].name = name;
    c[i].n++;
}

long fakecuda_count(const char *name, bool executed)
{
    long n = 0;
    for (int i = 0; i < 128 && counters[executed][i].name; i++)
        if (!*name || !strcmp(counters[executed][i].name, name)) n += counters[executed][i].n;
    return n;
}

const char *fakecuda_counted(int i, bool executed) { return i < 128 ? counters[executed][i].name : NULL; }

void fake_count_wait(void)
{
    pthread_mutex_lock(&lock);
    count("(host wait)", false);
    pthread_mutex_unlock(&lock);
}

bool fake_call_fails(const char *call)
{
    pthread_mutex_lock(&lock);
    calls++;
    count(call, false);
    bool fails = fail_call > 0 && calls == fail_call;
    if (fails) snprintf(failed_call, sizeof failed_call, "%s", call);
    if (fails && !strncmp(call, "cuda", 4)) last_error = cudaErrorUnknown;
    pthread_mutex_unlock(&lock);
    return fails;
}

void fake_complain(const char *call, const char *format, ...)
{
    pthread_mutex_lock(&lock);
    complaints++;
    int n = snprintf(last_complaint, sizeof last_complaint, "%s: ", call);
    va_list args;
    va_start(args, format);
    vsnprintf(last_complaint + n, sizeof last_complaint - (size_t)n, format, args);
    va_end(args);
    fprintf(stderr, "fakecuda: %s\n", last_complaint);
    pthread_mutex_unlock(&lock);
}

void fakecuda_fail_call(long nth)
{
    calls = 0;
    memset(counters, 0, sizeof counters);
    fail_call = nth;
    failed_call[0] = 0;
}

void fakecuda_fail_execution(long nth)
{
    executions = 0;
    fail_execution = nth;
    failed_call[0] = 0;
}

long fakecuda_calls(void) { return calls; }
long fakecuda_executions(void) { return executions; }
const char *fakecuda_failed_call(void) { return failed_call; }
long fakecuda_complaints(void) { return complaints; }
const char *fakecuda_last_complaint(void) { return last_complaint; }
size_t fakecuda_peak_bytes(int device) { return devices[device].bytes_peak; }

long fakecuda_live_objects(void)
{
    long n = live_objects;
    for (int d = 0; d < n_devices; d++)
        for (size_t i = 0; i < devices[d].n_allocations; i++)
            n += devices[d].allocations[i].shadow != NULL;
    return n;
}

void fakecuda_forgive(void)
{
    complaints = 0;
    last_complaint[0] = 0;
    last_error = cudaSuccess;
    for (int d = 0; d < n_devices; d++)
        devices[d].sticky = cudaSuccess;
}

/* --- objects --- */

struct object_head {
    uint64_t magic;
    const char *kind;
    struct object_head *buried;
};

static struct object_head *graveyard;
#define OBJECT_ALIVE 0x66616b656375646aULL

void *fake_object_new(const char *kind, size_t each_bytes)
{
    struct object_head *h = calloc(1, sizeof *h + each_bytes);
    if (!h) return NULL;
    *h = (struct object_head){OBJECT_ALIVE, kind, NULL};
    __atomic_add_fetch(&live_objects, 1, __ATOMIC_RELAXED);
    return h + 1;
}

bool fake_object_is(const void *object, const char *kind)
{
    const struct object_head *h = object;
    return h && h[-1].magic == OBJECT_ALIVE && !strcmp(h[-1].kind, kind);
}

void fake_object_free(void *object)
{
    struct object_head *h = object;
    pthread_mutex_lock(&lock);
    h[-1].magic = 0; /* the bytes stay: a later use is seen, and is cheap at this size */
    h[-1].buried = graveyard;
    graveyard = h - 1;
    pthread_mutex_unlock(&lock);
    __atomic_sub_fetch(&live_objects, 1, __ATOMIC_RELAXED);
}

/* --- memory --- */

int fake_current_device(void) { return current_device; }
cudaError_t fake_last_error(bool clear)
{
    cudaError_t e = fake_sticky() != cudaSuccess ? fake_sticky() : last_error;
    if (clear) last_error = cudaSuccess;
    return e;
}

cudaError_t fake_sticky(void) { return n_devices ? devices[current_device].sticky : cudaErrorNoDevice; }

void fake_break(const char *call, const char *why)
{
    int d = running_stream ? running_stream->device : current_device;
    fake_complain(call, "%s", why);
    if (devices[d].sticky == cudaSuccess) devices[d].sticky = cudaErrorIllegalAddress;
}

void fake_scratch_poison(void *host, size_t bytes)
{
    if (!fake_dry()) memset(host, 0xff, bytes);
}

static struct allocation *allocation_at(uintptr_t p, int *device)
{
    for (int d = 0; d < n_devices; d++) {
        if (p < devices[d].base || p >= devices[d].base + VA_BYTES) continue;
        *device = d;
        size_t low = 0, high = devices[d].n_allocations;
        while (low < high) {
            size_t middle = (low + high) / 2;
            if (devices[d].allocations[middle].device_address <= p)
                low = middle + 1;
            else
                high = middle;
        }
        return low ? &devices[d].allocations[low - 1] : NULL;
    }
    *device = -1;
    return NULL;
}

bool fake_is_device(const void *p)
{
    int device;
    pthread_mutex_lock(&lock);
    struct allocation *a = allocation_at((uintptr_t)p, &device);
    bool is = a && a->shadow && (uintptr_t)p < a->device_address + a->bytes;
    pthread_mutex_unlock(&lock);
    return is;
}

/* Notes the access and compares it with the other streams'. What the host has waited for is over for
 * everybody. */
static void note_access(struct allocation *a, size_t begin, size_t end, int access, const char *what)
{
    struct CUstream_st *s = running_stream;
    uint64_t now = s->clock[s->number];
    size_t kept = 0;
    bool merged = false;
    for (size_t i = 0; i < a->n_notes; i++) {
        struct note *n = &a->notes[i];
        if (n->when <= host_clock[n->stream]) continue;
        if (n->stream != s->number && n->begin < end && begin < n->end &&
            ((n->access | access) & FAKE_WRITE) && s->clock[n->stream] < n->when) {
            char text[400];
            snprintf(text, sizeof text,
                     "race: %s of %s by stream %d is not ordered after %s's access by stream %d (bytes "
                     "%zu to %zu of device memory #%ld); an event or a wait is missing",
                     access & FAKE_WRITE ? "write" : "read", what, s->number, n->who, n->stream, begin, end,
                     a->number);
            fake_break(running_name, text);
        }
        if (n->stream == s->number && n->begin == begin && n->end == end && n->access == access) {
            n->when = now;
            n->who = running_name;
            merged = true;
        }
        a->notes[kept++] = *n;
    }
    a->n_notes = kept;
    if (merged) return;
    if (kept == a->notes_capacity) {
        size_t wanted = kept ? kept * 2 : 8;
        struct note *bigger = realloc(a->notes, wanted * sizeof *bigger);
        if (!bigger) return;
        a->notes = bigger;
        a->notes_capacity = wanted;
    }
    a->notes[a->n_notes++] = (struct note){begin, end, now, running_name, s->number, access};
}

void *fake_access(const void *p, size_t bytes, int access, const char *what)
{
    static unsigned char nothing[16];
    char why[400];
    int device;
    if (!bytes) return nothing;
    struct allocation *a = allocation_at((uintptr_t)p, &device);
    if (!a || (uintptr_t)p >= a->device_address + a->bytes) {
        snprintf(why, sizeof why, "%s: address %p is in no device memory (%zu bytes wanted)%s", what, p,
                 bytes, a && a->shadow ? ", it lies after the end of an allocation" : "");
    } else if (!a->shadow) {
        snprintf(why, sizeof why, "%s: use after free of device memory #%ld (%zu bytes wanted)", what,
                 a->number, bytes);
    } else if (device != running_stream->device) {
        snprintf(why, sizeof why, "%s: memory of device %d used on device %d", what, device,
                 running_stream->device);
    } else {
        size_t offset = (uintptr_t)p - a->device_address;
        if (bytes <= a->bytes - offset) {
            note_access(a, offset, offset + bytes, access, what);
            return a->shadow + offset;
        }
        snprintf(why, sizeof why,
                 "%s: %zu bytes at offset %zu run past the end of device memory #%ld of %zu bytes", what,
                 bytes, offset, a->number, a->bytes);
    }
    fake_break(running_name ? running_name : "?", why);
    return NULL;
}

FAKE_API cudaError_t fake_malloc(void **out, size_t bytes)
{
    struct device *d = &devices[current_device];
    *out = NULL;
    if (!bytes) return cudaSuccess; /* the documentation leaves it open; the real one gives NULL */
    pthread_mutex_lock(&lock);
    cudaError_t rc = cudaErrorMemoryAllocation;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), mapped = (bytes + page - 1) / page * page;
    if (bytes > d->bytes_total - d->bytes_used || mapped + 2 * GUARD_BYTES > d->base + VA_BYTES - d->next)
        goto out;
    if (d->n_allocations == d->capacity) {
        size_t wanted = d->capacity ? d->capacity * 2 : 64;
        struct allocation *bigger = realloc(d->allocations, wanted * sizeof *bigger);
        if (!bigger) goto out;
        d->allocations = bigger;
        d->capacity = wanted;
    }
    unsigned char *shadow = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (shadow == MAP_FAILED) goto out;
    fake_scratch_poison(shadow, bytes);
    static long number;
    struct allocation *a = &d->allocations[d->n_allocations++];
    *a = (struct allocation){.device_address = d->next,
                             .shadow = shadow,
                             .bytes = bytes,
                             .mapped_bytes = mapped,
                             .number = ++number};
    d->next = (d->next + mapped + GUARD_BYTES + 511) / 512 * 512;
    d->bytes_used += bytes;
    if (d->bytes_used > d->bytes_peak) d->bytes_peak = d->bytes_used;
    *out = (void *)a->device_address;
    rc = cudaSuccess;
out:
    if (rc != cudaSuccess) last_error = rc;
    pthread_mutex_unlock(&lock);
    return rc;
}

FAKE_API cudaError_t fake_free(void *p)
{
    int device;
    if (!p) return cudaSuccess;
    pthread_mutex_lock(&lock);
    struct allocation *a = allocation_at((uintptr_t)p, &device);
    cudaError_t rc = cudaErrorInvalidValue;
    if (!a || a->device_address != (uintptr_t)p || !a->shadow) {
        fake_complain("cudaFree",
                      a && !a->shadow ? "device memory #%ld freed twice"
                                      : "not the start of device memory (%ld)",
                      a ? a->number : 0);
    } else {
        munmap(a->shadow, a->mapped_bytes);
        a->shadow = NULL;
        free(a->notes);
        a->notes = NULL;
        a->n_notes = a->notes_capacity = 0;
        devices[device].bytes_used -= a->bytes;
        rc = cudaSuccess;
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

FAKE_API void fake_memory_info(size_t *free_bytes, size_t *total_bytes)
{
    *free_bytes = devices[current_device].bytes_total - devices[current_device].bytes_used;
    *total_bytes = devices[current_device].bytes_total;
}

FAKE_API cudaError_t fake_pin(void **out, size_t bytes)
{
    pthread_mutex_lock(&lock);
    struct pinned *bigger = realloc(pinned, (n_pinned + 1) * sizeof *bigger);
    void *p = bigger ? aligned_alloc(4096, (bytes + 4095) / 4096 * 4096) : NULL;
    if (bigger) pinned = bigger;
    if (p) {
        memset(p, fake_dry() ? 0 : 0xff, bytes);
        pinned[n_pinned++] = (struct pinned){p, bytes};
        live_objects++;
    }
    pthread_mutex_unlock(&lock);
    *out = p;
    return p ? cudaSuccess : cudaErrorMemoryAllocation;
}

FAKE_API cudaError_t fake_unpin(void *p)
{
    pthread_mutex_lock(&lock);
    cudaError_t rc = p ? cudaErrorInvalidValue : cudaSuccess;
    for (size_t i = 0; i < n_pinned; i++)
        if (pinned[i].begin == p) {
            free(p);
            pinned[i] = pinned[--n_pinned];
            live_objects--;
            rc = cudaSuccess;
            break;
        }
    if (rc != cudaSuccess) fake_complain("cudaFreeHost", "not pinned memory");
    pthread_mutex_unlock(&lock);
    return rc;
}

/* [p, p+bytes) within pinned memory: asked when a copy is queued and again when it runs. */
FAKE_API bool fake_is_pinned(const void *p, size_t bytes)
{
    bool is = false;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < n_pinned && !is; i++)
        is = (const char *)p >= pinned[i].begin &&
             (size_t)((const char *)p - pinned[i].begin) <= pinned[i].bytes &&
             bytes <= pinned[i].bytes - (size_t)((const char *)p - pinned[i].begin);
    pthread_mutex_unlock(&lock);
    return is;
}

/* --- streams --- */

FAKE_API int fake_device_count(void) { return n_devices; }

FAKE_API cudaError_t fake_set_device(int device)
{
    if (device < 0 || device >= n_devices) return cudaErrorInvalidDevice;
    current_device = device;
    return cudaSuccess;
}

FAKE_API cudaError_t fake_stream_new(cudaStream_t *out)
{
    *out = NULL;
    pthread_mutex_lock(&lock);
    cudaError_t rc = cudaErrorMemoryAllocation;
    for (int i = 1; i < MAX_STREAMS; i++)
        if (!streams[i]) {
            struct CUstream_st *s = calloc(1, sizeof *s);
            if (!s) break;
            s->number = i;
            s->device = current_device;
            s->last = &s->first;
            s->clock[i] = host_clock[i]; /* a number used again goes on counting */
            streams[i] = *out = s;
            live_objects++;
            rc = cudaSuccess;
            break;
        }
    pthread_mutex_unlock(&lock);
    return rc;
}

/* The stricter answer to the legacy default stream: there is none. Its silent waits hide missing ones. */
bool fake_stream_is_live(cudaStream_t stream)
{
    for (int i = 1; i < MAX_STREAMS; i++)
        if (stream && streams[i] == stream) return true;
    return false;
}

int fake_stream_device(cudaStream_t stream) { return stream->device; }

static struct work *work_new(struct CUstream_st *s, const char *name, size_t n_bytes)
{
    struct work *w = calloc(1, sizeof *w + n_bytes), ***last = s->capture ? &s->capture->last : &s->last;
    if (!w) return NULL;
    w->name = name;
    w->n_bytes = n_bytes;
    memcpy(w->host_clock, host_clock, sizeof host_clock);
    **last = w;
    *last = &w->next;
    return w;
}

cudaError_t fake_queue(cudaStream_t stream, const char *name, fake_work run, const void *args, size_t n_bytes)
{
    return fake_queue_renewed(stream, name, run, NULL, args, n_bytes);
}

cudaError_t fake_queue_renewed(cudaStream_t stream, const char *name, fake_work run,
                               void (*renew)(void *args), const void *args, size_t n_bytes)
{
    cudaError_t rc = cudaErrorInvalidResourceHandle;
    pthread_mutex_lock(&lock);
    if (fake_stream_is_live(stream)) {
        struct work *w = work_new(stream, name, n_bytes);
        rc = w ? cudaSuccess : cudaErrorMemoryAllocation;
        if (w) {
            w->run = run;
            w->renew = renew;
            memcpy(w->args, args, n_bytes);
            if (renew && !stream->capture) renew(w->args);
        }
    } else {
        fake_complain(name,
                      stream ? "a stream that is not there" : "the default stream: not used in this house");
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

/* --- graphs --- */

static void chain_free(struct CUgraph_st *c)
{
    while (c->first) {
        struct work *w = c->first;
        c->first = w->next;
        free(w);
    }
    fake_object_free(c);
}

FAKE_API cudaError_t fake_capture_begin(cudaStream_t stream)
{
    if (stream->capture || capturing) return cudaErrorIllegalState;
    struct CUgraph_st *g = fake_object_new("graph", sizeof *g);
    if (!g) return cudaErrorMemoryAllocation;
    g->last = &g->first;
    g->device = stream->device;
    stream->capture = g;
    capturing = stream;
    return cudaSuccess;
}

/* Within a capture by this thread (its mode is "thread local"), calls that wait, allocate or free are
 * refused, and the capture is lost. */
bool fake_capture_refuses(void)
{
    if (!capturing) return false;
    capturing->capture->invalid = true;
    last_error = cudaErrorStreamCaptureUnsupported;
    return true;
}

FAKE_API cudaError_t fake_capture_end(cudaStream_t stream, cudaGraph_t *out)
{
    struct CUgraph_st *g = stream->capture;
    *out = NULL;
    if (!g) return cudaErrorIllegalState;
    stream->capture = NULL;
    capturing = NULL;
    if (g->invalid) {
        chain_free(g);
        last_error = cudaErrorStreamCaptureInvalidated;
        return cudaErrorStreamCaptureInvalidated;
    }
    *out = g;
    return cudaSuccess;
}

static struct work *work_again(struct work ***last, const struct work *w)
{
    struct work *copy = calloc(1, sizeof *copy + w->n_bytes);
    if (!copy) abort();
    memcpy(copy, w, sizeof *w + w->n_bytes);
    copy->next = NULL;
    **last = copy;
    *last = &copy->next;
    return copy;
}

FAKE_API cudaError_t fake_graph_instantiate(cudaGraphExec_t *out, cudaGraph_t graph)
{
    struct CUgraphExec_st *e = *out = fake_object_new("graph exec", sizeof *e);
    if (!e) return cudaErrorMemoryAllocation;
    e->chain.last = &e->chain.first;
    e->chain.device = graph->device;
    for (const struct work *w = graph->first; w; w = w->next)
        work_again(&e->chain.last, w);
    return cudaSuccess;
}

FAKE_API cudaError_t fake_graph_launch(cudaGraphExec_t exec, cudaStream_t stream)
{
    pthread_mutex_lock(&lock);
    cudaError_t rc =
        stream->capture || stream->device != exec->chain.device ? cudaErrorInvalidValue : cudaSuccess;
    for (const struct work *w = exec->chain.first; rc == cudaSuccess && w; w = w->next) {
        struct work *again = work_again(&stream->last, w);
        memcpy(again->host_clock, host_clock, sizeof host_clock);
        if (again->renew) again->renew(again->args);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

FAKE_API void fake_graph_free(cudaGraph_t graph) { chain_free(graph); }
FAKE_API void fake_graph_exec_free(cudaGraphExec_t exec) { chain_free(&exec->chain); }

static void clock_join(uint64_t *into, const uint64_t *from)
{
    for (int i = 0; i < MAX_STREAMS; i++)
        if (from[i] > into[i]) into[i] = from[i];
}

/* Brings the event's last record about, by running its stream up to there. */
static bool run_until_recorded(struct CUevent_st *e, uint64_t ticket)
{
    while (e->done_ticket < ticket && e->stream && e->stream->first && !e->stream->running)
        if (!run_one(e->stream)) break;
    return e->done_ticket >= ticket;
}

void fake_not_yet(bool waits_for_others)
{
    not_yet = true;
    for_others |= waits_for_others;
}

static void run_work(struct CUstream_st *s, struct work *w)
{
    struct CUstream_st *outer_stream = running_stream;
    const char *outer_name = running_name;
    running_stream = s;
    running_name = w->name;
    if (!w->tried) {
        s->clock[s->number]++;
        executions++;
        s->ms += 0.001;
        if (fail_execution > 0 && executions == fail_execution) {
            snprintf(failed_call, sizeof failed_call, "%s", w->name);
            if (devices[s->device].sticky == cudaSuccess) devices[s->device].sticky = cudaErrorLaunchFailure;
        }
        if (devices[s->device].sticky == cudaSuccess) count(w->name, true);
    }
    not_yet = false;
    if (devices[s->device].sticky == cudaSuccess && !fake_dry()) w->run(w->args);
    w->tried = true;
    running_stream = outer_stream;
    running_name = outer_name;
}

/* The next piece of the stream's work. false: there is none, or it waits for something. */
static bool run_one(struct CUstream_st *s)
{
    struct work *w = s->first;
    if (!w || s->running) return false;
    s->running = true;
    clock_join(s->clock, w->host_clock);
    not_yet = false;
    if (w->wait) {
        not_yet = !run_until_recorded(w->wait, w->ticket);
        if (!not_yet) clock_join(s->clock, w->wait->clock);
    } else if (w->record) {
        memcpy(w->record->clock, s->clock, sizeof s->clock);
        w->record->done_ticket = w->ticket;
        w->record->at_ms = s->ms;
        if (w->ticket == w->record->ticket) w->record->stream = NULL;
    } else {
        run_work(s, w);
    }
    s->running = false;
    if (not_yet) return false;
    pieces_done++;
    s->first = w->next;
    if (!s->first) s->last = &s->first;
    free(w);
    return true;
}

/* One piece of that stream's work, or of others' that it may wait for. false: nothing can move. */
static bool run_any(struct CUstream_st *s)
{
    uint64_t before = pieces_done;
    for_others = false;
    run_one(s);
    for (int i = 1; i < MAX_STREAMS && pieces_done == before; i++)
        if (streams[i] && streams[i] != s) run_one(streams[i]);
    return pieces_done != before;
}

/* What a host that waits for s does while nothing moves: false where it would wait for ever. */
static bool wait_for_others(struct CUstream_st *s)
{
    if (!for_others) {
        fake_break("(wait)", "it would last for ever: what the stream waits for never comes");
        return false;
    }
    pthread_mutex_unlock(&lock);
    usleep(100);
    pthread_mutex_lock(&lock);
    return true;
}

FAKE_API cudaError_t fake_stream_wait_host(cudaStream_t stream)
{
    pthread_mutex_lock(&lock);
    while (stream->first)
        if (!run_any(stream) && !wait_for_others(stream)) break;
    clock_join(host_clock, stream->clock);
    cudaError_t rc = devices[stream->device].sticky;
    pthread_mutex_unlock(&lock);
    return rc;
}

FAKE_API cudaError_t fake_device_wait_host(void)
{
    for (int i = 1; i < MAX_STREAMS; i++)
        if (streams[i] && streams[i]->device == current_device) fake_stream_wait_host(streams[i]);
    return fake_sticky();
}

/* For collectives: what one rank's stream had seen when it arrived, handed to the others. */
void fake_clock_save(uint64_t *into) { memcpy(into, running_stream->clock, sizeof running_stream->clock); }
void fake_clock_join(const uint64_t *from) { clock_join(running_stream->clock, from); }

FAKE_API cudaError_t fake_stream_delete(cudaStream_t stream)
{
    if (!fake_stream_is_live(stream)) return cudaErrorInvalidResourceHandle;
    pthread_mutex_lock(&lock);
    while (stream->first) /* as documented, what is queued still runs */
        if (!run_any(stream) && !wait_for_others(stream)) break;
    clock_join(host_clock, stream->clock); /* its notes must not speak for the next stream of that number */
    streams[stream->number] = NULL;
    live_objects--;
    free(stream);
    pthread_mutex_unlock(&lock);
    return cudaSuccess;
}

/* Who asks again and again waits: what can run runs. */
FAKE_API bool fake_stream_idle(cudaStream_t stream)
{
    pthread_mutex_lock(&lock);
    while (stream->first && run_any(stream))
        ;
    if (!stream->first) clock_join(host_clock, stream->clock);
    pthread_mutex_unlock(&lock);
    return !stream->first;
}

FAKE_API cudaError_t fake_event_record(struct CUevent_st *e, cudaStream_t stream)
{
    /* Stricter: one stream's capture that forks to no other needs no events. */
    if (stream->capture && fake_capture_refuses()) return cudaErrorStreamCaptureUnsupported;
    pthread_mutex_lock(&lock);
    struct work *w = work_new(stream, "cudaEventRecord", 0);
    if (w) {
        w->record = e;
        w->ticket = e->ticket = ++tickets;
        e->stream = stream;
        e->ever = true;
    }
    pthread_mutex_unlock(&lock);
    return w ? cudaSuccess : cudaErrorMemoryAllocation;
}

FAKE_API cudaError_t fake_stream_wait_event(cudaStream_t stream, struct CUevent_st *e)
{
    if (stream->capture && fake_capture_refuses()) return cudaErrorStreamCaptureUnsupported;
    pthread_mutex_lock(&lock);
    struct work *w = NULL;
    if (e->ever) { /* never recorded: the wait is already over, as documented */
        w = work_new(stream, "cudaStreamWaitEvent", 0);
        if (w) {
            w->wait = e;
            w->ticket = e->ticket;
        }
    }
    pthread_mutex_unlock(&lock);
    return w || !e->ever ? cudaSuccess : cudaErrorMemoryAllocation;
}

FAKE_API cudaError_t fake_event_wait_host(struct CUevent_st *e)
{
    pthread_mutex_lock(&lock);
    while (e->done_ticket < e->ticket && e->stream)
        if (!run_any(e->stream) && !wait_for_others(e->stream)) break;
    clock_join(host_clock, e->clock);
    cudaError_t rc = devices[e->device].sticky;
    pthread_mutex_unlock(&lock);
    return rc;
}

FAKE_API struct CUevent_st *fake_event_new(void)
{
    struct CUevent_st *e = fake_object_new("event", sizeof *e);
    if (e) e->device = current_device;
    return e;
}

/* For work that runs: it takes so long. */
void fake_spend(double ms) { running_stream->ms += ms; }
FAKE_API double fake_event_ms(const struct CUevent_st *e) { return e->at_ms; }
FAKE_API bool fake_event_done(const struct CUevent_st *e) { return e->done_ticket >= e->ticket; }
