/* ranks.c: training in several processes that mpirun started. Each process computes a part of every batch.
 * Only rank 0 uses the folder of the run and prints. All ranks agree on every decision. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/signals.h"
#include "train.h"

bool train_is_first(const struct train_run *run) { return dist_rank(run->dist) == 0; }

int train_join(struct train_run *run, struct train_options *o, struct error *err)
{
    static const char *const how[] = {"auto", "none", "mpi"};
    if (dist_open(&run->dist, how[o->distributed], o->rank_timeout_s, err))
        return error_prefix(err, "--distributed %s", how[o->distributed]);
    if (!run->dist) return 0;
    signals_also_stop(SIGUSR1); /* mpirun and Slurm pass it on; they use TERM to end the job at once */
    if (!train_is_first(run)) {
        o->common.verbose = o->common.progress = false;
        o->common.quiet = true;
    }
    return 0;
}

int train_device_index(const struct train_run *run)
{
    /* Slurm's --gpus-per-task shows each task only its own GPU, as number 0. */
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    return visible && *visible && !strchr(visible, ',') ? 0 : dist_local_rank(run->dist);
}

int train_statistics_differ(const struct train_run *run, bool *differ, struct error *err)
{
    struct net net = NET_EMPTY;
    const char *from;
    *differ = false;
    if (dist_size(run->dist) == 1 || run->options->phase == PHASE_HEAD || run->options->freeze_bn ||
        run->options->sync_bn)
        return 0;
    int rc = net_copy(&net, &run->net, err) || train_unlock(run, &net, &from, err) ? -1 : 0;
    for (int i = 0; !rc && i < net.n_layers; i++)
        *differ = *differ || (net.layers[i].kind == LAYER_BATCH_NORM && net.layers[i].trainable);
    net_release(&net);
    return rc;
}

int train_check_ranks(struct train_run *run, struct error *err)
{
    int size = dist_size(run->dist), rc = 0;
    void *first = train_is_first(run) ? run->plan.data : NULL;
    uint64_t n_bytes = run->plan.n_bytes + 1;
    char difference[500];
    if (size == 1) return 0;
    if (run->batch % size)
        rc = error_set(err, EX_USAGE, "--batch %d cannot be shared equally among %d ranks", run->batch, size);
    if (!(rc = dist_share(run->dist, rc, &first, &n_bytes, err))) {
        if (!train_plan_same(first, run->plan.data)) {
            train_plan_difference(first, run->plan.data, "%s is '%s' on rank 0 and '%s' here", difference,
                                  sizeof difference);
            rc = error_set(err, EX_USAGE, "the ranks have different plans: %s", difference);
        }
        rc = dist_agree(run->dist, rc, err);
    }
    if (!train_is_first(run)) free(first);
    return rc;
}

int train_on(struct train_run *run, enum train_who who, train_step *step, void *context, struct error *err)
{
    bool mine = who == ON_ALL || (who == ON_FIRST) == train_is_first(run);
    int rc = mine ? step(run, context, err) : 0, answer = rc > 0;
    if (dist_agree(run->dist, rc < 0 ? -1 : 0, err) || dist_any(run->dist, &answer, err)) return -1;
    return answer;
}

int train_open_engine(struct train_run *run, const struct engine_options *options,
                      const struct batch_source *source, unsigned n_threads, unsigned ahead,
                      struct engine **engine, struct batch_loader **loader, struct error *err)
{
    int rc = engine_open(engine, &run->net, options, err) ||
                     batch_loader_open(loader, source, options->batch, n_threads, ahead, err)
                 ? -1
                 : 0;
    struct error why = {0};
    if (dist_agree(run->dist, rc, err) || (run->dist && engine_join_ranks(*engine, &why, err))) return -1;
    if (why.code && train_is_first(run) && !run->said_host)
        stage_warn("the ranks' gradients go through the host: %s", why.text);
    run->said_host = why.code;
    return 0;
}

int train_common_signal(struct train_run *run, struct error *err)
{
    run->stop_signal = signals_asked_to_stop();
    return dist_any(run->dist, &run->stop_signal, err) ? -1 : 1;
}

/* Prints how to continue the run. */
static void say_remedy(const struct train_run *run, const struct error *err)
{
    struct stat st;
    const char *any =
        strstr(run->plan.data ? run->plan.data : "", "\nranks\t") ? "" : ", with any number of ranks";
    if (run->path_checkpoint.data && stat(run->path_checkpoint.data, &st) == 0)
        stage_warn("%s: the run ends; the last checkpoint ('%s') is %lld s old, and the same command resumes "
                   "from it%s",
                   err->text, run->path_checkpoint.data, (long long)(time(NULL) - st.st_mtime), any);
    else
        stage_warn("%s: the run ends; there is no checkpoint yet, and the same command starts again%s",
                   err->text, any);
}

int train_leave(struct train_run *run, int rc, int stop_signal, const struct error *err)
{
    struct dist *d = run->dist;
    int code = rc < 0 ? err->code : stop_signal ? 128 + stop_signal : rc;
    bool first = train_is_first(run), lost = rc < 0 && dist_lost(d);
    /* the other ranks do not know of the failure, and would wait */
    if (rc < 0 && d && !lost && !dist_agreed(d)) {
        if (first)
            stage_end(rc, err, NULL, &run->options->common);
        else
            stage_warn("rank %d: %s", dist_rank(d), err->text);
        dist_abort(d, code);
    }
    if (lost) {
        if (dist_gone(d) == 0 ? dist_rank(d) == 1 : first) say_remedy(run, err);
        if (dist_local_size(d) < dist_size(d) && !signals_asked_to_stop())
            /* Ranks on other machines cannot see which rank is lost, and no launcher is ending them. */
            dist_abort(d, code);
    } else if (first) {
        if (stop_signal)
            stage_warn("stopped; the same command resumes from the checkpoint");
        else
            code = stage_end(rc, err, NULL, &run->options->common);
    }
    train_run_release(run);
    struct error parting = {0};
    if (d && !dist_lost(d) && dist_meet(d, &parting) && !dist_lost(d)) {
        /* This rank has not even memory for the usual report. Without a message the other ranks would wait
         * for it. */
        stage_warn("rank %d: %s", dist_rank(d), parting.text);
        dist_abort(d, parting.code);
    }
    dist_close(d);
    if (stop_signal && !d) signals_reraise(stop_signal);
    return code;
}
