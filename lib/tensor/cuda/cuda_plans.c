/*
 * cuda_plans.c: chooses one of cuDNN's plans for each convolution. When several are suitable, they are timed
 * once on the first GPU. The choice is kept in a small text file, so that each shape is timed once for each
 * card, cuDNN version and driver.
 *
 * The file is a choice_file; its prefix is the device, the compute capability, and the versions of cuDNN and
 * the driver; a line has the convolution, the engine and its knobs. An engine that cuDNN no longer accepts is
 * skipped. WINNOW_CUDA_CACHE names another file; "" means none.
 */
#include "tensor/cuda/cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMED 4 /* plans that are timed: the heuristics put the quickest near the front */
#define RUNS 3  /* of each; the shortest counts */

int plans_open(struct backend *b, struct error *err)
{
    char device[256], prefix[350], *path = NULL;
    int driver = 0;
    if (!b->described && cudaDriverGetVersion(&driver)) cudaGetLastError();
    snprintf(device, sizeof device, "%s", b->properties.name);
    for (char *c = device; *c; c++)
        if ((unsigned char)*c < ' ') *c = '?';
    snprintf(prefix, sizeof prefix, "%s\t%d.%d\t%zu\t%d", device, b->properties.major, b->properties.minor,
             cudnnGetVersion(), driver);
    int rc = b->described ? 0 : choice_file_path(getenv("WINNOW_CUDA_CACHE"), "cudnn-plans.tsv", &path, err);
    if (!rc) rc = choice_file_open(&b->plans, path, prefix, err);
    free(path);
    return rc;
}

/* --- timing --- */

/* The time in milliseconds of the shortest of a few runs on zeros; negative
 * when the card refuses to run it. */
static int time_plan(struct gpu *g, struct graph_plan *p, const char *subject,
                     void *const addresses[GRAPH_MAX_TENSORS], void *room, float *ms, struct error *err)
{
    struct error refused = {0};
    *ms = -1;
    for (int i = 0; i <= RUNS; i++) { /* the first loads kernels and does not count */
        float took = 0;
        if (CUDA(subject, cudaEventRecord(g->timer[0], g->compute))) return -1;
        if (graph_run(p, g->dnn, subject, addresses, room, &refused)) return 0;
        if (CUDA(subject, cudaEventRecord(g->timer[1], g->compute)) ||
            CUDA(subject, cudaEventSynchronize(g->timer[1])) ||
            CUDA(subject, cudaEventElapsedTime(&took, g->timer[0], g->timer[1])))
            return -1;
        if (i && (*ms < 0 || took < *ms)) *ms = took;
    }
    return 0;
}

static int quickest(struct backend *b, const struct conv_graph *g, const char *subject,
                    struct graph_plan *plans, int n, int *best, struct error *err)
{
    struct gpu *gpu = &b->gpu[0];
    size_t room = 0, at = 0, bytes[GRAPH_MAX_TENSORS];
    void *addresses[GRAPH_MAX_TENSORS] = {0}, *search;
    float least = -1;
    *best = 0;
    if (n < 2) return 0;
    graph_tensor_bytes(g, type_bytes(g->type), bytes);
    for (int i = 0; i < n; i++)
        room = plans[i].workspace > room ? plans[i].workspace : room;
    for (int i = 0; i < GRAPH_MAX_TENSORS; i++)
        at += round_up(bytes[i]);
    if (gpu_use(gpu, err) || CUDA(subject, cudaMalloc(&search, at + room + BACKEND_ALIGN))) return -1;
    int rc = CUDA(subject, cudaMemsetAsync(search, 0, at, gpu->compute));
    at = 0;
    for (int i = 0; i < GRAPH_MAX_TENSORS; i++) {
        addresses[i] = bytes[i] ? (char *)search + at : NULL;
        at += round_up(bytes[i]);
    }
    for (int i = 0; !rc && i < n; i++) {
        float ms = -1;
        rc = time_plan(gpu, &plans[i], subject, addresses, (char *)search + at, &ms, err);
        if (!rc && ms >= 0 && (least < 0 || ms < least)) {
            least = ms;
            *best = i;
        }
    }
    gpu_free(gpu, search);
    return rc;
}

/* --- choosing --- */

void plans_free(struct backend *b, struct graph_plan *p)
{
    for (int k = 0; p && k < b->n_gpus; k++)
        graph_plan_release(&p[k]);
    free(p);
}

/* Makes the same choice on GPU `first` and those after it. 1: one of them does not accept it. */
static int make_from(struct backend *b, int first, const struct conv_graph *g, const struct graph_wish *wish,
                     const char *subject, const struct graph_choice *choice, struct graph_plan *out,
                     struct error *err)
{
    int rc = 0;
    for (int k = first; !rc && k < b->n_gpus; k++) {
        struct graph_device d = {b->gpu[k].dnn, b->described};
        rc = !b->described && gpu_use(&b->gpu[k], err)
                 ? -1
                 : graph_plan_again(g, &d, wish, subject, choice, &out[k], err);
    }
    for (int k = 0; rc && k < b->n_gpus; k++)
        graph_plan_release(&out[k]);
    return rc;
}

int plan_choose(struct backend *b, const struct conv_graph *g, const char *subject, struct graph_plan **out,
                struct error *err)
{
    struct graph_wish wish = {b->workspace_limit, b->options.precision != PRECISION_F32,
                              b->options.deterministic};
    struct graph_device d = {b->gpu[0].dnn, b->described};
    struct graph_plan offered[TIMED];
    char key[500], text[500];
    int n = 0, best = 0, rc = 1;
    graph_name(g, type_name(g->type), key, sizeof key);
    size_t used = strlen(key);
    snprintf(key + used, sizeof key - used, " %s %zuMiB", wish.tensor_core ? "tensor" : "fma",
             wish.workspace_limit >> 20);
    if (!(*out = mem_zalloc((size_t)b->n_gpus, sizeof **out, err))) return -1;
    const char *known;
    struct graph_choice choice;
    for (size_t i = 0; rc == 1 && (known = choice_file_find(&b->plans, key, &i));)
        if (graph_choice_read(known, &choice)) rc = make_from(b, 0, g, &wish, subject, &choice, *out, err);
    if (!rc) return 0;
    if (rc == 1 && graph_plans(g, &d, &wish, subject, offered, b->described ? 1 : TIMED, &n, err)) rc = -1;
    if (rc == 1 && n > 0) {
        rc = quickest(b, g, subject, offered, n, &best, err);
        choice = offered[best].choice;
        if (!rc) {
            (*out)[0] = offered[best];
            offered[best] = (struct graph_plan){0};
            rc = make_from(b, 1, g, &wish, subject, &choice, *out, err);
        }
        graph_choice_write(&choice, text, sizeof text);
        if (!rc) rc = choice_file_add(&b->plans, key, text, err);
    }
    while (n > 0)
        graph_plan_release(&offered[--n]);
    if (rc) {
        plans_free(b, *out);
        *out = NULL;
    }
    return rc;
}
