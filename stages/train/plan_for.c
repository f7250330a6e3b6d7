/*
 * plan_for.c: --plan-for prints how much memory and time training would take on a card that this machine need
 * not have, and --describe-device describes a card of this machine. cuDNN reports which engines it has for
 * the card. No training is computed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/number.h"
#include "io/io.h"
#include "tensor/cuda_cards.h"
#include "tensor/engine_outlook.h"
#include "train.h"

#define MAX_CARD_BYTES (64 << 10) /* a description has some 800 */
#define MIB 1048576.0

/* --- the card --- */

static int read_card(const char *wanted, char *json, size_t bytes, struct error *err)
{
    char *text = NULL;
    size_t n;
    if (!cuda_card_describe(wanted, json, bytes, err)) return 0;
    if (!io_exists(wanted)) return error_prefix(err, "--plan-for: no such file, and");
    error_clear(err);
    if (io_read_file(wanted, MAX_CARD_BYTES, &text, &n, err)) return -1;
    int rc = n >= bytes ? error_set(err, EX_DATAERR, "more than %zu bytes", bytes)
                        : cuda_card_check(memcpy(json, text, n + 1), err);
    free(text);
    return rc ? error_prefix(err, "--plan-for '%s' (train --describe-device writes such a file)", wanted) : 0;
}

/* --- the net --- */

static int make_net(struct train_run *run, struct error *err)
{
    static char *classes[] = {"a", "b", "c", "d", "e"};
    const struct train_options *o = run->options;
    struct net *net = &run->net;
    int side = 0, n_classes = 5;
    char **names = classes;
    if (o->shards) {
        if (dataset_open(&run->data, o->shards, err)) return -1;
        side = run->data.info->side_px;
        n_classes = run->data.info->n_classes;
        names = run->data.info->classes;
    }
    if (o->base ? train_open_base(run, side, err) : net_build_inception_v3(net, side ? side : 299, err))
        return -1;
    if (o->phase == PHASE_FINE_TUNE && net->metadata.n_classes && !o->shards) return 0;
    return net_replace_head(net, n_classes, names, 1, err) || net_infer_shapes(net, side, side, err) ? -1 : 0;
}

/* Sets the options of the engine for the work of the card. In phase head this is the base, whose outputs are
 * kept; the head is small. */
static int make_engine_options(struct train_run *run, struct engine_options *e, const char **from,
                               int **boundary, struct error *err)
{
    const struct train_options *o = run->options;
    *e = train_engine_options(run);
    e->mode = o->phase == PHASE_HEAD ? ENGINE_INFERENCE : ENGINE_TRAIN;
    *from = NULL;
    if (o->phase == PHASE_HEAD) return 0;
    if (train_unlock(run, &run->net, from, err)) return -1;
    for (int i = 0; o->freeze_bn && i < run->net.n_layers; i++)
        if (run->net.layers[i].kind == LAYER_BATCH_NORM) run->net.layers[i].trainable = false;
    if (!o->boundary) return 0;
    int rc = engine_boundary(&run->net, boundary, &e->n_inputs, err);
    e->inputs = *boundary;
    return rc;
}

/* --- what is printed --- */

static const char *mib(char *out, size_t bytes, size_t value)
{
    snprintf(out, bytes, "%.1f", (double)value / MIB);
    return out;
}

static double seconds_of(const struct outlook_row *r, const char *json, enum backend_precision p)
{
    double peak = cuda_card_operations_per_s(json, r->tensor_core ? p : PRECISION_F32),
           wide = cuda_card_bytes_per_s(json), compute = peak > 0 ? r->operations / peak : 0,
           memory = wide > 0 ? r->bytes / wide : 0;
    return compute > memory ? compute : memory;
}

static int print(struct text *out, const struct train_run *run, const struct engine_outlook *k,
                 const char *json, const char *from, int largest, struct error *err)
{
    const struct train_options *o = run->options;
    const struct net_shape *picture = &run->net.layers[0].output;
    const struct {
        const char *key;
        size_t bytes;
    } parts[] = {
        {"memory_mib", k->total},          {"memory_there_mib", k->memory_there}, {"maps_mib", k->maps},
        {"workspace_mib", k->workspace},   {"frozen_weights_mib", k->constants},  {"weights_mib", k->weights},
        {"gradients_mib", k->gradients},   {"optimizer_mib", k->optimizer},       {"average_mib", k->average},
        {"statistics_mib", k->statistics},
    };
    double operations = 0, bytes = 0, seconds = 0;
    int planned = 0, tensor = 0;
    char number[40], more[20] = "";
    for (size_t i = 0; i < k->n_rows; i++) {
        operations += k->rows[i].operations;
        bytes += k->rows[i].bytes;
        seconds += seconds_of(&k->rows[i], json, run->precision);
        planned += k->rows[i].engine >= 0;
        tensor += k->rows[i].engine >= 0 && k->rows[i].tensor_core;
    }
    if (largest >= BATCH_MOST) snprintf(more, sizeof more, " or more");
    if (text_printf(out, err, "device\t%s\nphase\t%s\n", k->device, from ? "fine-tune" : "head") ||
        (from && text_printf(out, err, "unlock_from\t%s\n", from)) ||
        text_printf(out, err, "base\t%s\nclasses\t%d\npicture\t%d x %d\nprecision\t%s\n",
                    o->base ? o->base : "InceptionV3", run->net.layers[run->net.output].output.dim[0],
                    picture->dim[1], picture->dim[0],
                    precision_name(run->precision == PRECISION_TF32 &&
                                           cuda_card_number(json, "deviceVer") < 800
                                       ? PRECISION_F32
                                       : run->precision)) ||
        text_printf(out, err, "batch\t%d\nlargest_batch\t%d%s\n", run->batch, largest, more))
        return -1;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (text_printf(out, err, "%s\t%s\n", parts[i].key, mib(number, sizeof number, parts[i].bytes)))
            return -1;
    if (text_printf(out, err,
                    "convolutions\t%d\ntensor_core\t%d\nstep_gflop\t%.2f\nstep_gb\t%.3f\nfloor_ms\t%.3f\n"
                    "floor_pictures_per_s\t%.0f\n\n"
                    "layer\tpass\tengine\tworkspace_mib\ttensor_core\tgflop\tmb\tfloor_us\n",
                    planned, tensor, operations * 1e-9, bytes * 1e-9, seconds * 1e3,
                    seconds > 0 ? run->batch / seconds : 0))
        return -1;
    for (size_t i = 0; i < k->n_rows; i++) {
        const struct outlook_row *r = &k->rows[i];
        char engine[24] = "";
        if (r->engine >= 0) snprintf(engine, sizeof engine, "%lld", (long long)r->engine);
        if (text_printf(out, err, "%s\t%s\t%s\t%s\t%s\t%.3f\t%.3f\t%.2f\n", r->layer, r->pass, engine,
                        r->engine < 0 ? "" : mib(number, sizeof number, r->workspace_bytes),
                        r->engine < 0    ? ""
                        : r->tensor_core ? "yes"
                                         : "no",
                        r->operations * 1e-9, r->bytes * 1e-6, seconds_of(r, json, run->precision) * 1e6))
            return -1;
    }
    return 0;
}

static int plan(struct train_run *run, const char *json, struct text *out, struct error *err)
{
    const struct train_options *o = run->options;
    struct engine_options e;
    struct engine_outlook k = {0};
    const char *from;
    int *boundary = NULL, largest = 0, most = 0;
    run->device = "cuda";
    run->precision = o->precision ? (enum backend_precision)(o->precision - 1) : PRECISION_TF32;
    int rc = train_parse_batch(o, &run->batch, err) || make_net(run, err) ||
             make_engine_options(run, &e, &from, &boundary, err) ||
             engine_largest_batch(&run->net, &e, json, BATCH_MOST, 1, &largest, err);
    if (!rc && !run->batch) {
        rc = engine_largest_batch(&run->net, &e, json, BATCH_MOST, BATCH_SHARE_USED, &most, err);
        for (run->batch = 1; run->batch * 2 <= most;)
            run->batch *= 2;
    }
    e.batch = run->batch;
    if (!rc && engine_outlook(&k, &run->net, &e, json, err)) {
        /* the plan does not fit, or cuDNN refuses it, because it accepts no tensor above 2 GiB */
        struct error why = *err;
        rc = run->batch <= largest || strstr(why.text, "would fit")
                 ? -1
                 : error_set(err, EX_OSERR, "batch %d does not go, batch %d would fit (%s)", run->batch,
                             largest, why.text);
    }
    if (!rc) rc = print(out, run, &k, json, from, largest, err);
    engine_outlook_release(&k);
    free(boundary);
    return rc ? -1 : 0;
}

/* --- the two options --- */

/* Runs the queries to cuDNN in a child process. Some versions end the process when one of their parts is
 * missing, and without a driver they write a line to standard error for each function. */
static int in_child(struct train_run *run, const char *json, struct error *err)
{
    struct error *said = mmap(NULL, sizeof *said, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct text out = TEXT_EMPTY;
    int status = 0;
    if (said == MAP_FAILED) return error_errno(err, EX_OSERR, "--plan-for");
    fflush(NULL);
    pid_t child = fork();
    if (!child) {
        int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (nowhere >= 0) dup2(nowhere, STDERR_FILENO);
        _exit(plan(run, json, &out, said) ||
              io_write_full(STDOUT_FILENO, out.data, out.n_bytes, "standard output", said));
    }
    int rc = child < 0 ? error_errno(err, EX_OSERR, "fork") : 0;
    while (!rc && waitpid(child, &status, 0) != child)
        if (errno != EINTR) rc = error_errno(err, EX_OSERR, "waitpid");
    if (!rc && said->code) {
        *err = *said;
        rc = error_prefix(err, "--plan-for");
    } else if (!rc && status) {
        rc = error_set(err, EX_SOFTWARE,
                       "--plan-for: cuDNN ended the process that called it (status %d); another version "
                       "may work (train --list-devices names the file)",
                       status);
    }
    munmap(said, sizeof *said);
    return rc;
}

int train_plan_for(struct train_run *run, struct error *err)
{
    char json[CUDA_CARD_BYTES * 2];
    return read_card(run->options->plan_for, json, sizeof json, err) || in_child(run, json, err) ? -1 : 0;
}

int train_describe_device(const struct train_run *run, struct error *err)
{
    struct backend_options options = {.deterministic = true, .device_index = train_device_index(run)};
    const struct backend_table *t;
    struct backend *b;
    char json[CUDA_CARD_BYTES * 2];
    if (backend_open("cuda", &options, &t, &b, err)) return error_prefix(err, "--describe-device");
    int rc = t->card(b, json, sizeof json, err);
    t->close(b);
    if (rc) return error_prefix(err, "--describe-device");
    return printf("%s\n", json) < 0 || fflush(stdout) ? error_errno(err, EX_IOERR, "stdout") : 0;
}
