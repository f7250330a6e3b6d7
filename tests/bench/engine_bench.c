/*
 * engine_bench.c: milliseconds of the engine for one configuration; tests/bench/engine.sh puts them beside
 * the peers'. usage: engine_bench MODEL WHAT BATCH THREADS SECONDS [DEVICE] WHAT: infer; head (whole phase 1
 * step, pictures in), phase2, phase2-cached, full: training steps; head-cached: steps from pooled features;
 * Synthetic pictures, real weights. Prints one line of name=value fields: best and median ms, the process'
 * CPU time beside them (on a busy machine, and with one thread, the truer figure), pictures/s, bytes planned,
 * peak RSS. PROFILE=1 adds CPU ms of the calling thread by kind of operation, PROFILE=2 by operation.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "../unit/engine_pieces.h"
#include "base/random.h"
#include "net/net.h"
#include "tensor/engine.h"
#include "tensor/engine_internal.h" /* for the account by operation: the table is wrapped */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* --- the account: a table whose op_forward and op_backward take the time --- */

struct account {
    const struct backend_op *op;
    const char *name;
    enum op_kind kind;
    double ms[2];
    int n[2];
};
static struct account accounts[2000];
static int n_accounts, profile;
static const struct backend_table *wrapped;

static double cpu_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static struct account *account_of(const struct backend_op *op)
{
    for (int i = 0; i < n_accounts; i++)
        if (accounts[i].op == op) return &accounts[i];
    return &accounts[0];
}

static int timed(struct backend *b, struct backend_op *op, const struct op_io *io, struct slot w,
                 struct error *err, int backward)
{
    double a = cpu_of(CLOCK_THREAD_CPUTIME_ID);
    int rc = (backward ? wrapped->op_backward : wrapped->op_forward)(b, op, io, w, err);
    struct account *k = account_of(op);
    k->ms[backward] += cpu_of(CLOCK_THREAD_CPUTIME_ID) - a;
    k->n[backward]++;
    return rc;
}

static int timed_forward(struct backend *b, struct backend_op *op, const struct op_io *io, struct slot w,
                         struct error *err)
{
    return timed(b, op, io, w, err, 0);
}

static int timed_backward(struct backend *b, struct backend_op *op, const struct op_io *io, struct slot w,
                          struct error *err)
{
    return timed(b, op, io, w, err, 1);
}

static void wrap(struct engine *e)
{
    static struct backend_table copy;
    wrapped = e->table;
    copy = *wrapped;
    copy.op_forward = timed_forward;
    copy.op_backward = timed_backward;
    e->table = &copy;
    n_accounts = (int)e->plan.n_nodes;
    for (int i = 0; i < n_accounts; i++)
        accounts[i] = (struct account){e->plan.nodes[i].op,
                                       e->plan.nodes[i].d.name,
                                       e->plan.nodes[i].d.kind,
                                       {0, 0},
                                       {0, 0}};
}

static void report(const struct engine *e, double steps)
{
    static const char *const names[OP_KINDS] = {"conv",         "depthwise",   "dense",    "batch_norm",
                                                "affine",       "activation",  "curve",    "max_pool",
                                                "average_pool", "global_pool", "concat",   "add",
                                                "zero_pad",     "resize",      "channels", "reshape",
                                                "multiply",     "product",     "scale",    "softmax"};
    double sum[OP_KINDS][2] = {{0}};
    for (int i = 0; i < n_accounts; i++) {
        const struct op_desc *d = &e->plan.nodes[i].d;
        for (int k = 0; k < 2; k++)
            sum[accounts[i].kind][k] += accounts[i].ms[k] / steps;
        if (profile > 1)
            printf("# %-28s %-12s segment %d  x %dx%dx%d y %dx%dx%d k %dx%d/%d\tforward %.2f\tbackward "
                   "%.2f\n",
                   accounts[i].name, names[accounts[i].kind], e->plan.nodes[i].segment, d->x[0].h, d->x[0].w,
                   d->x[0].c, d->y.h, d->y.w, d->y.c, d->kernel_h, d->kernel_w, d->stride_h,
                   accounts[i].ms[0] / steps, accounts[i].ms[1] / steps);
    }
    for (int i = 0; i < OP_KINDS; i++)
        if (sum[i][0] + sum[i][1] > 0)
            printf("# %-12s forward %9.2f ms\tbackward %9.2f ms\n", names[i], sum[i][0], sum[i][1]);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int fail(const struct error *err)
{
    fprintf(stderr, "engine_bench: %s\n", err->text);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc < 6) {
        fprintf(stderr,
                "usage: engine_bench MODEL infer|head|head-cached|phase2|phase2-cached|full BATCH THREADS "
                "SECONDS [DEVICE]\n");
        return EX_USAGE;
    }
    const char *what = argv[2];
    int batch = atoi(argv[3]), *boundary = NULL, n_boundary = 0, n_classes, n_times = 0;
    double seconds = atof(argv[5]), t0 = now();
    static double times[100000];
    struct error err = {0};
    struct net net = NET_EMPTY;
    struct engine *e = NULL;
    struct engine_options o = ENGINE_DEFAULTS;
    bool cached = strstr(what, "cached") != NULL, train = strcmp(what, "infer") != 0;
    if (net_open(&net, argv[1], &err) || net_infer_shapes(&net, 0, 0, &err)) return fail(&err);
    static char *const classes[] = {"a", "b", "c", "d", "e"};
    const struct net_shape *out = &net.layers[net.output].output;
    if (train && (out->rank != 1 || net_find(&net, "dense_1") < 0)) { /* a base that has no head yet */
        if (net_replace_head(&net, 5, classes, 1, &err)) return fail(&err);
        out = &net.layers[net.output].output;
    }
    n_classes = out->dim[0];
    const char *place = !strncmp(what, "head", 4)          ? "dense_1"
                        : strncmp(what, "phase2", 6)       ? net.layers[1].name
                        : net_find(&net, "conv2d_56") >= 0 ? "conv2d_56"
                                                           : net_unlock_share(&net, 1 / 3.0);
    int from = net_find(&net, place);
    for (int i = 0; i < net.n_layers; i++)
        net.layers[i].trainable = i >= from;
    o.device = argc > 6 ? argv[6] : "cpu";
    o.threads = (unsigned)atoi(argv[4]);
    o.batch = batch;
    o.mode = train ? ENGINE_TRAIN : ENGINE_INFERENCE;
    if (cached) {
        if (engine_boundary(&net, &boundary, &n_boundary, &err)) return fail(&err);
        o.inputs = boundary;
        o.n_inputs = n_boundary;
    }
    struct net_int8 q = NET_INT8_EMPTY;
    if (!train && net_int8_read(&q, &net, &err)) return fail(&err);
    if (q.layers) o.int8 = &q;
    if (!train) o.spent = &net;
    if (engine_open(&e, &net, &o, &err)) return fail(&err);
    net_drop_weights(&net);
    net_int8_release(&q);
    double opened = now() - t0;
    size_t size = engine_input_size(e, 0);
    struct random r = random_start(1, 2, 3);
    uint8_t *pixels = malloc((size_t)batch * size);
    float *values[64], *targets = calloc((size_t)batch * (size_t)n_classes, sizeof *targets),
                       *outputs = malloc((size_t)batch * engine_output_size(e, 0) * sizeof *outputs);
    for (size_t i = 0; i < (size_t)batch * size; i++)
        pixels[i] = (uint8_t)random_u64(&r);
    for (int k = 0; k < n_boundary; k++) {
        values[k] = malloc((size_t)batch * engine_input_size(e, k) * sizeof(float));
        for (size_t i = 0; i < (size_t)batch * engine_input_size(e, k); i++)
            values[k][i] = (float)random_unit(&r);
    }
    for (int i = 0; train && i < batch; i++)
        targets[i * n_classes + (int)random_below(&r, (uint64_t)n_classes)] = 1;
    struct engine_batch in = {.n = batch,
                              .pixels = cached ? NULL : pixels,
                              .values = (const float *const *)values};
    struct engine_target target = {targets, NULL};
    struct engine_step step = ENGINE_STEP_DEFAULTS;
    struct engine_result result = {0};
    double end = 0;
    static double cpu[100000];
    profile = getenv("PROFILE") ? atoi(getenv("PROFILE")) : 0;
    if (profile) wrap(e);
    int least = getenv("MIN_RUNS") ? atoi(getenv("MIN_RUNS")) : 3, n_steps = 0;
    for (int i = -2; i < 0 || now() < end || n_times < least; i++) {
        double a = now(), c = cpu_of(CLOCK_PROCESS_CPUTIME_ID);
        n_steps++;
        step.step = (uint64_t)(i + 2);
        if (train ? engine_train_step(e, &in, &target, &step, &result, &err) : engine_forward(e, &in, &err))
            return fail(&err);
        if (!train && engine_output(e, 0, outputs, &err)) return fail(&err);
        if (i >= 0 && n_times < 100000) {
            cpu[n_times] = cpu_of(CLOCK_PROCESS_CPUTIME_ID) - c;
            times[n_times++] = (now() - a) * 1e3;
        }
        if (i == -1) end = now() + seconds;
    }
    qsort(times, (size_t)n_times, sizeof *times, by_value);
    qsort(cpu, (size_t)n_times, sizeof *cpu, by_value);
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    printf("winnow\t%s\tbatch=%d\tthreads=%s\truns=%d\tbest_ms=%.2f\tmedian_ms=%.2f\tcpu_best_ms=%.2f\timg_s_"
           "median=%."
           "2f\topen_ms=%.0f\tplanned_mib=%zu\tmaxrss_mb=%ld"
           "\tloss=%.4f\t%s\n",
           what, batch, argv[4], n_times, times[0], times[n_times / 2], cpu[0],
           batch * 1e3 / times[n_times / 2], opened * 1e3, engine_memory_bytes(e) >> 20, u.ru_maxrss / 1024,
           result.loss, engine_description(e));
    if (profile) {
        report(e, n_steps);
        printf("# MiB: maps %zu, workspace %zu, constants %zu, weights %zu\n", e->plan.arena_bytes >> 20,
               e->plan.workspace_bytes >> 20, e->plan.constant_bytes >> 20, e->plan.weights_bytes >> 20);
    }
    engine_close(e);
    net_release(&net);
    for (int k = 0; k < n_boundary; k++)
        free(values[k]);
    free(pixels);
    free(targets);
    free(outputs);
    free(boundary);
    return 0;
}
