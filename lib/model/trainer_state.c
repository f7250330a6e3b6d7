/* trainer_state.c: writes and reads the checkpoint of a training run. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "io/io.h"
#include "model/checkpoint.h"
#include "model/train_plan.h"
#include "model/trainer_internal.h"

#define POSITION_VERSION 1

static const struct {
    enum engine_state which;
    const char *name;
} blocks[] = {
    {ENGINE_WEIGHTS, "weights"},
    {ENGINE_STATISTICS, "statistics"},
    {ENGINE_OPTIMIZER_1, "optimizer-1"},
    {ENGINE_OPTIMIZER_2, "optimizer-2"},
    {ENGINE_EMA, "average"},
};
#define N_BLOCKS (sizeof blocks / sizeof blocks[0])

int trainer_get_state(struct trainer *t, enum engine_state which, float **out, struct error *err)
{
    size_t n = engine_state_size(t->engine, which);
    if (!*out && !(*out = mem_alloc((n ? n : 1) * sizeof **out, err))) return -1;
    return n ? engine_state_get(t->engine, which, *out, err) : 0;
}

static int fill_from_engine(void *engine, int which, void *buffer, struct error *err)
{
    return engine_state_get(engine, (enum engine_state)which, buffer, err);
}

int trainer_save(struct trainer *t, struct error *err)
{
    struct trainer_state *s = t->state;
    struct checkpoint_section sections[CHECKPOINT_MAX_SECTIONS];
    size_t n = 0;
    if (!t->checkpoint_path || dist_rank(t->dist)) return 0;
    s->at.version = POSITION_VERSION;
    if (t->event_bytes) s->at.event_bytes = *t->event_bytes;
    sections[n++] = (struct checkpoint_section){.name = "plan", .bytes = t->plan, .n_bytes = strlen(t->plan)};
    sections[n++] = (struct checkpoint_section){.name = "position", .bytes = &s->at, .n_bytes = sizeof s->at};
    for (size_t i = 0; i < N_BLOCKS; i++) {
        size_t size = engine_state_size(t->engine, blocks[i].which);
        if (!size) continue;
        sections[n++] = (struct checkpoint_section){.name = blocks[i].name,
                                                    .n_bytes = size * sizeof(float),
                                                    .fill = fill_from_engine,
                                                    .context = t->engine,
                                                    .which = (int)blocks[i].which};
    }
    if (s->at.has_best) {
        sections[n++] = (struct checkpoint_section){.name = "best-weights",
                                                    .bytes = s->best[ENGINE_WEIGHTS],
                                                    .n_bytes = engine_state_size(t->engine, ENGINE_WEIGHTS) *
                                                               sizeof(float)};
        sections[n++] =
            (struct checkpoint_section){.name = "best-statistics",
                                        .bytes = s->best[ENGINE_STATISTICS],
                                        .n_bytes =
                                            engine_state_size(t->engine, ENGINE_STATISTICS) * sizeof(float)};
    }
    if (t->log && t->log->n_bytes)
        sections[n++] =
            (struct checkpoint_section){.name = "log", .bytes = t->log->data, .n_bytes = t->log->n_bytes};
    if (t->margins)
        sections[n++] = (struct checkpoint_section){.name = "margins",
                                                    .bytes = t->margins,
                                                    .n_bytes = t->data->n_rows * sizeof *t->margins};
    if (checkpoint_write(t->checkpoint_path, sections, n, err)) return error_prefix(err, "checkpoint");
    s->checkpoint_at = clock_seconds();
    return 0;
}

/* Returns the plan in a checkpoint, malloc'ed; "" when it has none. Returns NULL when there is no memory. */
static char *plan_of(const struct checkpoint *c, struct error *err)
{
    size_t n;
    const char *plan = checkpoint_find(c, "plan", &n);
    char *copy = mem_zalloc(n + 1, 1, err);
    if (copy && plan) memcpy(copy, plan, n);
    return copy;
}

static int check_plan(struct trainer *t, const struct checkpoint *c, struct error *err)
{
    char difference[500], *was = plan_of(c, err);
    size_t n;
    int rc = 0;
    if (!was) return -1;
    if (!train_plan_same(was, t->plan)) {
        train_plan_difference(was, t->plan, "%s was '%s' and is now '%s'", difference, sizeof difference);
        rc = error_set(err, EX_USAGE, "'%s' is of another run: %s; use another --out, or --on-change restart",
                       t->checkpoint_path, difference);
    } else if (strcmp(was, t->plan) != 0) {
        const char *value = train_plan_value(was, "threads", &n);
        uint64_t threads;
        if (value && parse_digits(value, n, &threads)) t->resumed_threads = (unsigned)threads;
    }
    free(was);
    return rc;
}

static int restore_from(struct trainer *t, const struct checkpoint *c, struct error *err)
{
    struct trainer_state *s = t->state;
    if (check_plan(t, c, err)) return -1;
    if (checkpoint_copy(c, "position", &s->at, sizeof s->at, err)) return -1;
    if (s->at.version != POSITION_VERSION)
        return error_set(err, EX_DATAERR, "'%s' is of another version of train", t->checkpoint_path);
    for (size_t i = 0; i < N_BLOCKS; i++) {
        size_t size = engine_state_size(t->engine, blocks[i].which), there;
        if (!size) continue;
        const float *values = checkpoint_find(c, blocks[i].name, &there);
        if (!values || there != size * sizeof(float))
            return error_set(err, EX_DATAERR, "'%s': section '%s' does not fit this network",
                             t->checkpoint_path, blocks[i].name);
        if (engine_state_set(t->engine, blocks[i].which, values, err)) return -1;
    }
    for (int i = 0; s->at.has_best && i < 2; i++) {
        enum engine_state which = i ? ENGINE_STATISTICS : ENGINE_WEIGHTS;
        size_t bytes = engine_state_size(t->engine, which) * sizeof(float);
        if (!s->best[which] && !(s->best[which] = mem_alloc(bytes ? bytes : 1, err))) return -1;
        if (checkpoint_copy(c, i ? "best-statistics" : "best-weights", s->best[which], bytes, err)) return -1;
    }
    if (t->margins && checkpoint_copy(c, "margins", t->margins, t->data->n_rows * sizeof *t->margins, err))
        return -1;
    if (t->log) {
        size_t n_log = 0;
        const char *log = checkpoint_find(c, "log", &n_log);
        text_clear(t->log);
        if (log && text_add(t->log, log, n_log, err)) return -1;
    }
    if (t->event_bytes) *t->event_bytes = s->at.event_bytes;
    return 0;
}

int trainer_restore(struct trainer *t, struct error *err)
{
    struct checkpoint c = CHECKPOINT_EMPTY;
    bool first = dist_rank(t->dist) == 0;
    int rc = 0;
    if (!t->checkpoint_path) return 0;
    if (first && io_exists(t->checkpoint_path) && (rc = checkpoint_read(&c, t->checkpoint_path, err)))
        error_prefix(err, "cannot resume (remove it, or --on-change restart)");
    /* Rank 0 reads the file and sends the bytes to the others, which need no access to its folder. */
    void *bytes = c.data;
    uint64_t n_bytes = c.n_bytes;
    rc = dist_share(t->dist, rc, &bytes, &n_bytes, err);
    if (!rc && n_bytes) {
        if (!first) rc = checkpoint_take(&c, bytes, n_bytes, t->checkpoint_path, err);
        if (!rc) rc = restore_from(t, &c, err);
        rc = dist_agree(t->dist, rc, err) ? -1 : 1;
    } else if (!first) {
        free(bytes);
    }
    checkpoint_release(&c);
    return rc;
}

char *trainer_checkpoint_plan(const char *path)
{
    struct checkpoint c = CHECKPOINT_EMPTY;
    struct error ignored = {0};
    char *plan = NULL;
    if (io_exists(path) && !checkpoint_read(&c, path, &ignored)) plan = plan_of(&c, &ignored);
    checkpoint_release(&c);
    return plan;
}

bool trainer_checkpoint_is_other(const char *path, const char *plan)
{
    if (!io_exists(path)) return false;
    char *was = trainer_checkpoint_plan(path);
    bool other = !was || !train_plan_same(was, plan);
    free(was);
    return other;
}
