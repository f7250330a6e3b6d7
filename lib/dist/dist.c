/* dist.c: joins the ranks, and makes collective calls over them; see dist.h. */
#include "base/number.h"
#include "dist/dist.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/plugin.h"
#include "dist/dist_internal.h"

#define PIECE_BYTES (UINT64_C(1) << 28) /* size of the largest call: transports count bytes in an int */

/* --- joining --- */

static bool more_than_one(const char *name)
{
    const char *value = getenv(name);
    uint64_t n;
    return value && parse_digits(value, strlen(value), &n) && n > 1;
}

/* Whether a launcher started this process as one of several. OpenMPI's mpirun sets a variable with the number
 * of processes; srun --mpi=pmix sets one with the rank. */
static bool launched(void)
{
    return more_than_one("OMPI_COMM_WORLD_SIZE") || (getenv("PMIX_RANK") && more_than_one("SLURM_NTASKS"));
}

static int find_transport(const struct dist_transport **out, struct error *err)
{
    const struct dist_transport *(*entry)(void);
    char path[PATH_MAX];
    void *symbol;
    static const struct plugin plugin = {"winnow-mpi.so", "winnow_dist", "the MPI plug-in",
                                         "built without MPI", NULL};
    if (plugin_open(&plugin, &symbol, path, err)) return -1;
    *(void **)&entry = symbol;
    *out = entry ? entry() : NULL;
    return *out && (*out)->abi == DIST_ABI ? 0
                                           : error_set(err, EX_NODEVICE, "'%s' is not of this version", path);
}

static int learn_places(struct dist *d, struct error *err)
{
    if (!(d->places = mem_zalloc((size_t)d->size, sizeof *d->places, err))) return -1;
    dist_place(&d->places[d->rank]);
    struct place *mine = &d->places[d->rank];
    if (dist_gather(d, d->places, sizeof *d->places, err)) return -1;
    for (int i = 0; i < d->size; i++)
        if (!strcmp(d->places[i].machine, mine->machine)) {
            d->local_size++;
            d->local_rank += i < d->rank;
        }
    return 0;
}

int dist_open(struct dist **out, const char *how, double timeout_s, struct error *err)
{
    *out = NULL;
    bool automatic = !strcmp(how, "auto");
    if (!strcmp(how, "none") || (automatic && !launched())) return 0;
    struct dist *d = mem_zalloc(1, sizeof *d, err);
    if (!d) return -1;
    d->timeout_s = timeout_s;
    d->gone = -1;
    if (find_transport(&d->table, err)) {
        free(d);
        return automatic
                   ? error_prefix(err, "started as one of several ranks (--distributed none trains alone)")
                   : -1;
    }
    if (d->table->open(&d->group, &d->rank, &d->size, err) || learn_places(d, err)) {
        dist_close(d);
        return -1;
    }
    *out = d;
    return 0;
}

void dist_close(struct dist *d)
{
    if (!d) return;
    if (d->group) d->table->close(d->group, d->lost);
    free(d->places);
    free(d);
}

int dist_meet(struct dist *d, struct error *err)
{
    int nothing = 0;
    return dist_any(d, &nothing, err);
}

void dist_abort(struct dist *d, int code)
{
    if (d) d->table->abort(d->group, code);
    _exit(code);
}

int dist_rank(const struct dist *d) { return d ? d->rank : 0; }
int dist_size(const struct dist *d) { return d ? d->size : 1; }
int dist_local_rank(const struct dist *d) { return d ? d->local_rank : 0; }
int dist_local_size(const struct dist *d) { return d ? d->local_size : 1; }
bool dist_lost(const struct dist *d) { return d && d->lost; }
int dist_gone(const struct dist *d) { return d ? d->gone : -1; }
bool dist_agreed(const struct dist *d) { return d && d->agreed; }

/* --- collective calls --- */

static bool alone(const struct dist *d) { return !d || d->size == 1; }

static int start(struct dist *d, enum dist_kind kind, void *data, size_t n, int peer,
                 struct dist_request **out, struct error *err)
{
    if (d->lost) return error_set(err, EX_TEMPFAIL, "a rank is lost");
    d->agreed = false;
    return d->table->start(d->group, kind, data, n, peer, out, err);
}

/* Makes the call in pieces and waits for each. GATHER is one piece, because its memory cannot be divided in
 * this way. */
static int in_pieces(struct dist *d, enum dist_kind kind, void *data, size_t n, size_t size, int peer,
                     struct error *err)
{
    size_t most = PIECE_BYTES / size;
    for (size_t at = 0; at < n; at += most) {
        struct dist_request *r;
        size_t count = n - at < most ? n - at : most;
        if (start(d, kind, (char *)data + at * size, count, peer, &r, err) || dist_wait(d, r, err)) return -1;
    }
    return 0;
}

int dist_sum_f32(struct dist *d, float *values, size_t n, struct error *err)
{
    return alone(d) ? 0 : in_pieces(d, DIST_SUM_F32, values, n, sizeof *values, 0, err);
}

int dist_sum_f64(struct dist *d, double *values, size_t n, struct error *err)
{
    return alone(d) ? 0 : in_pieces(d, DIST_SUM_F64, values, n, sizeof *values, 0, err);
}

int dist_broadcast(struct dist *d, void *bytes, size_t n, struct error *err)
{
    return alone(d) ? 0 : in_pieces(d, DIST_BROADCAST, bytes, n, 1, 0, err);
}

int dist_to_first(struct dist *d, int from, void *bytes, size_t n, struct error *err)
{
    if (alone(d) || from == 0) return 0;
    return in_pieces(d, d->rank ? DIST_SEND : DIST_RECEIVE, bytes, n, 1, d->rank ? 0 : from, err);
}

int dist_gather(struct dist *d, void *all, size_t each, struct error *err)
{
    struct dist_request *r;
    if (alone(d)) return 0;
    if (each > PIECE_BYTES / (size_t)d->size)
        return error_set(err, EX_SOFTWARE, "%zu bytes a rank are too many for one gather", each);
    return start(d, DIST_GATHER, all, each, 0, &r, err) || dist_wait(d, r, err) ? -1 : 0;
}

/* --- sums that overlap with computation --- */

int dist_finish(struct dist *d, struct error *err)
{
    if (alone(d)) return 0;
    for (size_t i = 0; i < d->n_pending; i++)
        if (d->pending[i] && dist_wait(d, d->pending[i], err)) return -1;
    d->n_pending = 0;
    return 0;
}

int dist_poll(struct dist *d, struct error *err)
{
    if (alone(d)) return 0;
    for (size_t i = 0; i < d->n_pending; i++) {
        bool done = false;
        if (d->pending[i] && d->table->test(d->group, d->pending[i], &done, err)) {
            d->lost = true;
            return -1;
        }
        if (done) d->pending[i] = NULL;
    }
    return 0;
}

int dist_sum_begin(struct dist *d, float *values, size_t n, struct error *err)
{
    size_t most = PIECE_BYTES / sizeof *values;
    if (alone(d)) return 0;
    for (size_t at = 0; at < n; at += most) {
        if (d->n_pending == MAX_PENDING && dist_finish(d, err)) return -1;
        if (start(d, DIST_SUM_F32, values + at, n - at < most ? n - at : most, 0, &d->pending[d->n_pending],
                  err))
            return -1;
        d->n_pending++;
    }
    return 0;
}

/* --- common decisions --- */

int dist_any(struct dist *d, int *value, struct error *err)
{
    if (alone(d)) return 0;
    int *all = mem_zalloc((size_t)d->size, sizeof *all, err), rc = -1;
    if (!all) return -1;
    all[d->rank] = *value;
    if (!dist_gather(d, all, sizeof *all, err)) {
        rc = 0;
        for (int i = d->size; i-- > 0;)
            *value = all[i] ? all[i] : *value;
    }
    free(all);
    return rc;
}

struct outcome {
    int code;
    char text[ERROR_TEXT_BYTES];
};

int dist_agree(struct dist *d, int rc, struct error *err)
{
    if (alone(d) || d->lost) return rc;
    struct error local = {0};
    struct outcome *all = mem_zalloc((size_t)d->size, sizeof *all, &local);
    if (!all) return rc ? rc : error_set(err, EX_OSERR, "%s", local.text);
    if (rc) {
        all[d->rank].code = err->code ? err->code : EX_SOFTWARE;
        memcpy(all[d->rank].text, err->text, sizeof err->text);
    }
    if (dist_gather(d, all, sizeof *all, rc ? &local : err)) {
        free(all);
        return -1;
    }
    for (int i = 0; i < d->size; i++)
        if (all[i].code) {
            error_set(err, all[i].code, "%s", all[i].text);
            if (i) error_prefix(err, "rank %d on '%s'", i, d->places[i].host);
            d->agreed = true;
            rc = -1;
            break;
        }
    free(all);
    return rc;
}

int dist_share(struct dist *d, int rc, void **bytes, uint64_t *n_bytes, struct error *err)
{
    if (dist_agree(d, rc, err)) return -1;
    if (alone(d)) return 0;
    if (dist_broadcast(d, n_bytes, sizeof *n_bytes, err)) return -1;
    if (d->rank && *n_bytes && !(*bytes = mem_alloc(*n_bytes, err))) rc = -1;
    return dist_agree(d, rc, err) || dist_broadcast(d, *bytes, *n_bytes, err) ? -1 : 0;
}
