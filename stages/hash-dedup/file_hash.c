/*
 * file_hash.c: finds files with equal bytes, and reads as little as possible.
 *
 * A file whose size no other file has needs no reading. Files of one size are opened together, and the last
 * block of each is read: pictures from one encoder often have equal first kilobytes, but seldom equal last
 * ones. A file whose last block no other has is finished. The other files are read whole from the descriptor
 * that is still open, and their XXH3-128 is computed. A candidate therefore takes an open, one or two reads
 * and a close. Large files are also sampled in the middle, and the workers share their full reads one by one.
 * Files are read in the order of inode numbers, which is roughly their order on the disk.
 *
 * Each read is first tried without waiting. When many reads would have to wait, the files are not in memory.
 * The number of requests that the disk gets at once then determines the speed. Helper threads, which have
 * slept until then, also read files.
 */
#include "hash_dedup.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/parallel.h"

#define BLOCK 4096
#define WHOLE_BYTES (2 * BLOCK) /* for a file up to this size, a sample takes as long as the whole file */
#define LARGE_BYTES (1u << 20)  /* from this size on, files are read one by one, not group by group */
/* Half of the second-level cache, so that hashing finds there what the kernel has just copied. */
#define BUFFER_BYTES (256u << 10)
#define MOST_OPEN 512
#define COLD_READS 32  /* reads that had to wait before the helpers wake */
#define HELPERS_EACH 4 /* helpers for each worker */

struct sample {
    uint64_t key;
    uint32_t file;
    int fd;
};

struct bundle {
    uint32_t begin, end;
    bool all;
    ino_t first_ino;
}; /* files of one size in `order`; all: each needs its hash */

struct hashing {
    struct dedup *d;
    uint32_t *order; /* candidates sorted by size, device and inode */
    struct bundle *bundles;
    size_t n_bundles, bundles_capacity;
    uint32_t *large; /* files whose full read is postponed; the workers fill it */
    atomic_size_t next, n_large, next_large, n_done, n_hashed, bytes_read;
    size_t most_open;
    unsigned n_threads; /* workers; helpers have higher numbers */
    atomic_bool failed; /* no memory, or a failing disk */
    atomic_bool waits;  /* the file system can tell whether a read would wait */
    atomic_size_t n_waited;
    pthread_mutex_t mutex; /* of awake and ended */
    pthread_cond_t changed;
    bool awake, ended;
};

struct worker {
    struct hashing *h;
    unsigned index;
    uint8_t *buffer;
    struct sample *samples;
    size_t samples_capacity;
    struct xxh128_stream *stream;
    struct error err;
};

static bool same_file(const struct file *a, const struct file *b)
{
    return a->dev == b->dev && a->ino == b->ino;
}

static bool is_peer(const struct dedup *d, const struct file *f) { return d->rows[f->row].flags & ROW_PEER; }

static void unreadable(struct worker *w, uint32_t file, int error_number)
{
    struct file *f = &w->h->d->files[file];
    struct row *r = &w->h->d->rows[f->row];
    f->error_number = error_number;
    if (errno_of_machine(error_number) && !(r->flags & ROW_HASHED)) {
        w->h->failed = true;
        return;
    }
    if (r->flags & ROW_HASHED) return; /* a peer: its row keeps the hash of the manifest */
    r->flags |= ROW_REJECTED;
    r->reason = error_number == 0        ? REJECT_CHANGED
                : error_number == ENOENT ? REJECT_NOT_FOUND
                                         : REJECT_UNREADABLE;
}

/* O_NONBLOCK: the path may have become a FIFO since it was examined, and opening it must not wait. */
static int open_file(struct worker *w, uint32_t file)
{
    int fd;
    do
        fd = fault_here(FAULT_OPEN) ? -1
                                    : openat(w->h->d->root_fd, w->h->d->files[file].path,
                                             O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) unreadable(w, file, errno);
    return fd;
}

static void note_wait(struct hashing *h)
{
    if (atomic_fetch_add(&h->n_waited, 1) != COLD_READS) return;
    pthread_mutex_lock(&h->mutex);
    h->awake = true;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->mutex);
}

/* Waits until this helper is needed. Returns false when the work was completed without it. */
static bool called_up(struct hashing *h, unsigned index)
{
    if (index < h->n_threads) return true;
    pthread_mutex_lock(&h->mutex);
    while (!h->awake && !h->ended)
        pthread_cond_wait(&h->changed, &h->mutex);
    bool needed = !h->ended;
    pthread_mutex_unlock(&h->mutex);
    return needed;
}

static void say_ended(struct hashing *h)
{
    pthread_mutex_lock(&h->mutex);
    h->ended = true;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->mutex);
}

/* Reads up to n bytes at offset. Stops at the end of the file, or when `enough` bytes were read, which saves
 * the call that would find the end. Returns the number of bytes, or -1 when the row of the file has got its
 * reject reason. */
static ssize_t read_at(struct worker *w, int fd, uint32_t file, uint8_t *buffer, size_t n, size_t enough,
                       uint64_t offset)
{
    size_t done = 0;
    bool patient = !atomic_load_explicit(&w->h->waits, memory_order_relaxed);
    while (done < enough) {
        struct iovec v = {buffer + done, n - done};
        ssize_t got = fault_here(FAULT_READ)
                          ? -1
                          : preadv2(fd, &v, 1, (off_t)(offset + done), patient ? 0 : RWF_NOWAIT);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && !patient &&
            (errno == EAGAIN || errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL)) {
            if (errno == EAGAIN)
                note_wait(w->h);
            else
                atomic_store(&w->h->waits, false);
            patient = true;
            continue;
        }
        if (got < 0) {
            unreadable(w, file, errno);
            return -1;
        }
        if (got == 0) break;
        done += (size_t)got;
    }
    atomic_fetch_add_explicit(&w->h->bytes_read, done, memory_order_relaxed);
    return (ssize_t)done;
}

/* Hashes the whole file into its row. It reads one byte more than expected, to notice a file that grew. */
static void hash_whole(struct worker *w, int fd, uint32_t file)
{
    struct file *f = &w->h->d->files[file];
    struct row *r = &w->h->d->rows[f->row];
    uint64_t at = 0;
    if (r->bytes < BUFFER_BYTES) {
        ssize_t n = read_at(w, fd, file, w->buffer, (size_t)r->bytes + 1, (size_t)r->bytes, 0);
        if (n >= 0 && (uint64_t)n == r->bytes)
            xxh128_of(&r->hash, w->buffer, (size_t)n);
        else if (n >= 0)
            unreadable(w, file, 0);
        at = n >= 0 ? (uint64_t)n : UINT64_MAX;
    } else {
        xxh128_stream_reset(w->stream);
        posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
        for (;;) {
            ssize_t n = read_at(w, fd, file, w->buffer, BUFFER_BYTES, 1, at);
            if (n < 0) return;
            if (n == 0) break;
            xxh128_stream_add(w->stream, w->buffer, (size_t)n);
            at += (uint64_t)n;
            if (at > r->bytes) break;
        }
        if (at != r->bytes)
            unreadable(w, file, 0);
        else
            xxh128_stream_end(w->stream, &r->hash);
    }
    if (at != r->bytes) return;
    r->flags |= ROW_HASHED | ROW_FOUND;
    atomic_fetch_add_explicit(&w->h->n_hashed, 1, memory_order_relaxed);
}

static int compare_samples(const void *a, const void *b)
{
    const struct sample *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return (x->file > y->file) - (x->file < y->file);
}

/* Computes a key from the last block, and in large files also from a middle one. Returns false when the row
 * has got its reject reason. */
static bool sample_file(struct worker *w, int fd, uint32_t file, uint64_t bytes, uint64_t *key)
{
    uint64_t offset = (bytes - 1) / BLOCK * BLOCK;
    struct xxh128 h;
    if (bytes - offset < BLOCK / 4 && offset)
        offset -= BLOCK; /* a last block of a few bytes would distinguish few files */
    ssize_t n =
        read_at(w, fd, file, w->buffer, (size_t)(bytes - offset) + 1, (size_t)(bytes - offset), offset);
    if (n < 0) return false;
    if ((uint64_t)n != bytes - offset) {
        unreadable(w, file, 0);
        return false;
    }
    if (bytes >= LARGE_BYTES) {
        ssize_t m = read_at(w, fd, file, w->buffer + n, BLOCK, BLOCK, bytes / 2 / BLOCK * BLOCK);
        if (m < 0) return false;
        n += m;
    }
    xxh128_of(&h, w->buffer, (size_t)n);
    memcpy(key, h.bytes, sizeof *key);
    return true;
}

static void hash_bundle(struct worker *w, const struct bundle *b)
{
    struct hashing *h = w->h;
    struct dedup *d = h->d;
    uint64_t bytes = d->rows[d->files[h->order[b->begin]].row].bytes;
    size_t n = 0;
    if (mem_grow(&w->samples, &w->samples_capacity, b->end - b->begin, sizeof *w->samples, &w->err)) {
        h->failed = true;
        return;
    }
    for (uint32_t i = b->begin; i < b->end; i++) {
        uint32_t file = h->order[i];
        if (i == b->begin || !same_file(&d->files[file], &d->files[h->order[i - 1]]))
            w->samples[n++] = (struct sample){.file = file, .fd = -1};
    }
    bool all = b->all || n == 1 || bytes <= WHOLE_BYTES;
    size_t n_kept = 0;
    /* a peer could not be sampled, so other files need their hash to be compared with it */
    bool peer_lost = false;
    for (size_t i = 0; i < n; i++) {
        struct sample s = w->samples[i];
        bool peer = is_peer(d, &d->files[s.file]);
        if (peer && (all || d->files[s.file].error_number)) continue;
        if (all && bytes >= LARGE_BYTES) {
            h->large[atomic_fetch_add(&h->n_large, 1)] = s.file;
            continue;
        }
        if ((s.fd = open_file(w, s.file)) < 0) {
            peer_lost |= peer;
            continue;
        }
        if (all) hash_whole(w, s.fd, s.file);
        bool keep = !all && sample_file(w, s.fd, s.file, bytes, &s.key);
        if (!keep || bytes >= LARGE_BYTES || n_kept >= h->most_open) {
            close(s.fd);
            s.fd = -1;
        }
        if (keep)
            w->samples[n_kept++] = s;
        else
            peer_lost |= peer;
    }
    if (n_kept == 0) return;
    qsort(w->samples, n_kept, sizeof *w->samples, compare_samples);
    for (size_t i = 0; i < n_kept; i++) {
        struct sample *s = &w->samples[i];
        bool peer = is_peer(d, &d->files[s->file]);
        bool alone = (i == 0 || s[-1].key != s->key) && (i + 1 == n_kept || s[1].key != s->key);
        alone = peer || (alone && !peer_lost);
        if (!alone && bytes >= LARGE_BYTES) {
            h->large[atomic_fetch_add(&h->n_large, 1)] = s->file;
        } else if (!alone && (s->fd >= 0 || (s->fd = open_file(w, s->file)) >= 0)) {
            hash_whole(w, s->fd, s->file);
        }
        if (s->fd >= 0) close(s->fd);
        /* The key of a lone file is kept for a comparison with the next one; its descriptor is closed. */
        s->fd = -1;
    }
}

static int worker_open(struct worker *w, struct hashing *h, unsigned index)
{
    *w = (struct worker){.h = h, .index = index};
    w->buffer = mem_aligned(BLOCK, BUFFER_BYTES + BLOCK, &w->err);
    return !w->buffer || xxh128_stream_open(&w->stream, &w->err) ? -1 : 0;
}

static void worker_close(struct worker *w)
{
    xxh128_stream_close(w->stream);
    free(w->buffer);
    free(w->samples);
}

static void bundle_work(void *context, unsigned index)
{
    struct hashing *h = context;
    struct worker w;
    if (!called_up(h, index)) return;
    if (worker_open(&w, h, index)) {
        if (index == 0) h->failed = true; /* others may do without */
    } else {
        for (size_t i; !h->failed && (i = atomic_fetch_add(&h->next, 1)) < h->n_bundles;) {
            hash_bundle(&w, &h->bundles[i]);
            size_t done = atomic_fetch_add(&h->n_done, h->bundles[i].end - h->bundles[i].begin);
            if (index == 0) progress_update(&h->d->progress, done, NULL);
        }
    }
    say_ended(h);
    worker_close(&w);
}

static void large_work(void *context, unsigned index)
{
    struct hashing *h = context;
    struct worker w;
    if (worker_open(&w, h, index)) {
        if (index == 0) h->failed = true;
    } else {
        for (size_t i; (i = atomic_fetch_add(&h->next_large, 1)) < h->n_large;) {
            int fd = open_file(&w, h->large[i]);
            if (fd >= 0) {
                hash_whole(&w, fd, h->large[i]);
                close(fd);
            }
            if (index == 0) progress_update(&h->d->progress, atomic_load(&h->n_done), NULL);
        }
    }
    worker_close(&w);
}

static int compare_candidates(const void *a, const void *b, void *context)
{
    const struct dedup *d = context;
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    const struct file *x = &d->files[i], *y = &d->files[j];
    uint64_t xb = d->rows[x->row].bytes, yb = d->rows[y->row].bytes;
    if (xb != yb) return xb < yb ? -1 : 1;
    if (x->dev != y->dev) return x->dev < y->dev ? -1 : 1;
    if (x->ino != y->ino) return x->ino < y->ino ? -1 : 1;
    return (i > j) - (i < j);
}

static int compare_inodes(const void *a, const void *b, void *context)
{
    const struct dedup *d = context;
    const struct file *x = &d->files[*(const uint32_t *)a], *y = &d->files[*(const uint32_t *)b];
    return (x->ino > y->ino) - (x->ino < y->ino);
}

static int compare_bundles(const void *a, const void *b)
{
    const struct bundle *x = a, *y = b;
    if (x->first_ino != y->first_ino) return x->first_ino < y->first_ino ? -1 : 1;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

/*
 * Makes one bundle for each size. Rows that came with their hash are included as peers, of which only the
 * last block is read. Otherwise a new file would be read whole whenever an old one has the same size. When
 * the last block of a peer cannot be read, every file of that size is hashed.
 */
static int make_bundles(struct hashing *h, size_t n_candidates, struct error *err)
{
    struct dedup *d = h->d;
    bool unsized = false;
    for (size_t i = 0; i < d->n_rows; i++)
        unsized |= (d->rows[i].flags & (ROW_HASHED | ROW_SIZED | ROW_REJECTED)) == ROW_HASHED;
    for (size_t i = 0, end; i < n_candidates; i = end) {
        uint64_t bytes = d->rows[d->files[h->order[i]].row].bytes;
        struct bundle b = {.begin = (uint32_t)i,
                           .first_ino = d->files[h->order[i]].ino,
                           .all = unsized || d->opt->hash_all};
        size_t n_peers = 0;
        for (end = i; end < n_candidates && d->rows[d->files[h->order[end]].row].bytes == bytes; end++) {
            const struct file *f = &d->files[h->order[end]];
            if (f->ino < b.first_ino) b.first_ino = f->ino;
            n_peers += is_peer(d, f);
            b.all |= is_peer(d, f) && f->error_number;
        }
        b.end = (uint32_t)end;
        if (n_peers == end - i || (!b.all && end - i < 2)) continue;
        if (mem_grow(&h->bundles, &h->bundles_capacity, h->n_bundles + 1, sizeof *h->bundles, err)) return -1;
        h->bundles[h->n_bundles++] = b;
    }
    if (h->n_bundles) qsort(h->bundles, h->n_bundles, sizeof *h->bundles, compare_bundles);
    return 0;
}

/* Returns how many descriptors the limit allows for each worker. The soft limit is first raised to the hard
 * one. */
static size_t descriptors_each(unsigned n_threads)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit)) return 32;
    if (limit.rlim_cur < 4096 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
        setrlimit(RLIMIT_NOFILE, &limit);
        getrlimit(RLIMIT_NOFILE, &limit);
    }
    size_t spare = limit.rlim_cur > 64 ? (size_t)limit.rlim_cur - 48 : 16;
    size_t each = spare / n_threads;
    return each < MOST_OPEN ? each : MOST_OPEN;
}

int dedup_hash_files(struct dedup *d, struct error *err)
{
    struct hashing h = {.d = d,
                        .n_threads = stage_threads(&d->opt->common),
                        .waits = true,
                        .mutex = PTHREAD_MUTEX_INITIALIZER,
                        .changed = PTHREAD_COND_INITIALIZER};
    size_t n = 0;
    int rc = -1;
    if (!(h.order = mem_alloc((d->n_files + 1) * sizeof *h.order, err)) ||
        !(h.large = mem_alloc((d->n_files + 1) * sizeof *h.large, err)))
        goto out;
    for (size_t i = 0; i < d->n_files; i++)
        if ((d->rows[d->files[i].row].flags & (ROW_REJECTED | ROW_HASHED)) == 0 || is_peer(d, &d->files[i]))
            h.order[n++] = (uint32_t)i;
    qsort_r(h.order, n, sizeof *h.order, compare_candidates, d);
    if (make_bundles(&h, n, err)) goto out;
    unsigned n_all = h.n_threads * (1 + HELPERS_EACH) < 64 ? h.n_threads * (1 + HELPERS_EACH) : h.n_threads;
    h.most_open = descriptors_each(n_all);
    parallel_run(n_all, bundle_work, &h);
    if (!h.failed && h.n_large) {
        qsort_r(h.large, h.n_large, sizeof *h.large, compare_inodes, d);
        parallel_run(h.n_threads, large_work, &h);
    }
    if (h.failed) {
        if (dedup_check_machine(d, err)) goto out;
        error_set(err, EX_OSERR, "out of memory while hashing files");
        goto out;
    }
    /* Other names of a hashed file get its hash. */
    for (size_t i = 1; i < n; i++) {
        struct file *f = &d->files[h.order[i]], *before = &d->files[h.order[i - 1]];
        if (!same_file(f, before)) continue;
        struct row *r = &d->rows[f->row], *of = &d->rows[before->row];
        if ((of->flags & ROW_REJECTED) && !(r->flags & ROW_HASHED)) {
            r->flags |= ROW_REJECTED;
            r->reason = of->reason;
            f->error_number = before->error_number;
        } else if ((of->flags & ROW_HASHED) && !(r->flags & ROW_HASHED)) {
            r->hash = of->hash;
            r->flags |= ROW_HASHED | ROW_FOUND;
        }
    }
    d->n_hashed = h.n_hashed;
    d->bytes_read = h.bytes_read;
    rc = 0;
out:
    free(h.order);
    free(h.large);
    free(h.bundles);
    return rc;
}
