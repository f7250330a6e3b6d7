/* trainer_ranks.c: the work between ranks that train together, except for the sums in the engine. */
#include <string.h>

#include "hash/content_hash.h"
#include "io/signals.h"
#include "model/trainer_internal.h"

int trainer_asked_to_stop(struct dist *dist, int *signal, struct error *err)
{
    *signal = signals_asked_to_stop();
    return dist_any(dist, signal, err);
}

int trainer_all_failed(struct trainer *t, struct error *err) { return dist_agree(t->dist, -1, err); }

int trainer_compare_ranks(struct trainer *t, struct error *err)
{
    struct xxh128 mine, first;
    size_t n = engine_state_size(t->engine, ENGINE_WEIGHTS);
    if (dist_size(t->dist) == 1) return 0;
    if (trainer_get_state(t, ENGINE_WEIGHTS, &t->state->spare[ENGINE_WEIGHTS], err)) return -1;
    xxh128_of(&mine, t->state->spare[ENGINE_WEIGHTS], n * sizeof(float));
    first = mine;
    if (dist_broadcast(t->dist, &first, sizeof first, err)) return -1;
    int rc = memcmp(&mine, &first, sizeof mine)
                 ? error_set(err, EX_SOFTWARE, "weights differ from those of rank 0")
                 : 0;
    return dist_agree(t->dist, rc, err);
}

int trainer_gather_probabilities(struct trainer *t, int n_whole, struct error *err)
{
    int ranks = dist_size(t->dist);
    float *all = t->state->probabilities;
    /* As batch_loader_deal divides it. */
    size_t part = (size_t)((n_whole + ranks - 1) / ranks) * (size_t)t->data->info->n_classes;
    return engine_probabilities(t->engine, all + (size_t)dist_rank(t->dist) * part, err) ||
                   dist_gather(t->dist, all, part * sizeof *all, err)
               ? -1
               : 0;
}

int trainer_save_after_loss(struct trainer *t, bool step_is_whole, struct error *err)
{
    struct error second = {0};
    if (!dist_lost(t->dist)) return -1;
    if (t->callbacks.lost) t->callbacks.lost(t->callbacks.context, err);
    if (!step_is_whole && t->state->statistics_before &&
        engine_state_set(t->engine, ENGINE_STATISTICS, t->state->statistics_before, &second))
        return -1;
    /* the write is atomic: if the launcher kills this process before its end, the old checkpoint is kept */
    trainer_save(t, &second);
    return -1;
}
