/*
 * tensor_norm_parts_test.c: batch norm over a batch that two devices share (op_io.exchange) against one that
 * has it whole: y, dx, moving statistics, and the parts' dgamma and dbeta that add up. There are no two
 * processes here: each half is run again and again with the sums that the other had the time before, until
 * both have seen what two that wait for each other would see.
 */
/* needs: tensor net base io */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "tap.h"
#include "tensor/backend.h"

enum { N = 4, H = 3, W = 5, C = 32, ROW = H * W * C, MOST_CALLS = 8 };

static const struct backend_table *t;
static struct backend *b;
static struct error err;
static float x[N * ROW], dy[N * ROW], gamma_[C], beta_[C], mean_[C], variance_[C];

struct result {
    float y[N * ROW], dx[N * ROW], dgamma[C], dbeta[C], mean[C], variance[C];
};

struct swap {
    struct op_exchange x; /* first: the hook gets its address */
    double mine[MOST_CALLS][2 * C];
    struct swap *other;
    int call;
};

static void add_other(struct op_exchange *exchange, double *values, size_t n)
{
    struct swap *s = (struct swap *)exchange;
    if (s->call >= MOST_CALLS || n > 2 * C) abort();
    memcpy(s->mine[s->call], values, n * sizeof *values);
    for (size_t i = 0; i < n; i++)
        values[i] += s->other->mine[s->call][i];
    s->call++;
}

static struct slot room(size_t bytes)
{
    struct slot s = {NULL, 0};
    if (t->alloc(b, bytes + 64, &s.buffer, &err)) abort();
    return s;
}

/* n pictures from the first on. */
static void run(int first, int n, struct op_exchange *exchange, struct result *r)
{
    struct tensor_shape shape = {n, H, W, C, C, 0, 0, 0};
    struct param_shape v = {PARAM_VECTOR, 1, 1, 1, C};
    struct op_desc d = {.kind = OP_BATCH_NORM,
                        .name = "norm",
                        .n_x = 1,
                        .x = {shape},
                        .y = shape,
                        .activation = OP_RELU,
                        .has_gamma = true,
                        .has_beta = true,
                        .epsilon = 1e-3,
                        .training = true,
                        .needs_dx = true,
                        .needs_dw = true};
    struct op_io io = {.momentum = 0.9, .exchange = exchange};
    struct backend_op *op;
    if (t->op_create(b, &d, &op, &err)) abort();
    struct slot workspace = room(t->op_workspace_bytes(op));
    size_t bytes = t->tensor_bytes(b, &shape), vector = t->param_bytes(b, &v);
    struct slot *tensors[] = {&io.x[0], &io.y, &io.dy, &io.dx[0]},
                *vectors[] = {&io.gamma, &io.beta, &io.mean, &io.variance, &io.dw, &io.dbias};
    for (int i = 0; i < 4; i++)
        *tensors[i] = room(bytes);
    for (int i = 0; i < 6; i++)
        *vectors[i] = room(vector);
    io.saved = room(t->op_saved_bytes(op));
    t->tensor_upload(b, io.x[0], &shape, x + first * ROW, n, &err);
    t->tensor_upload(b, io.dy, &shape, dy + first * ROW, n, &err);
    t->param_upload(b, io.gamma, &v, gamma_, &err);
    t->param_upload(b, io.beta, &v, beta_, &err);
    t->param_upload(b, io.mean, &v, mean_, &err);
    t->param_upload(b, io.variance, &v, variance_, &err);
    if (t->op_forward(b, op, &io, workspace, &err) || t->op_backward(b, op, &io, workspace, &err)) abort();
    t->tensor_download(b, io.y, &shape, r->y, n, &err);
    t->tensor_download(b, io.dx[0], &shape, r->dx, n, &err);
    t->param_download(b, io.dw, &v, r->dgamma, &err);
    t->param_download(b, io.dbias, &v, r->dbeta, &err);
    t->param_download(b, io.mean, &v, r->mean, &err);
    t->param_download(b, io.variance, &v, r->variance, &err);
    t->op_destroy(b, op);
    for (int i = 0; i < 4; i++)
        t->free(b, tensors[i]->buffer);
    for (int i = 0; i < 6; i++)
        t->free(b, vectors[i]->buffer);
    t->free(b, io.saved.buffer);
    t->free(b, workspace.buffer);
}

/* Furthest value, relative to the largest. float32 values from sums in double: a few last places. */
static double apart(const float *a, const float *wanted, size_t n)
{
    double far = 0, top = 1e-30;
    for (size_t i = 0; i < n; i++) {
        double d = a[i] > wanted[i] ? a[i] - wanted[i] : wanted[i] - a[i],
               v = wanted[i] < 0 ? -wanted[i] : wanted[i];
        far = d <= far ? far : d;
        top = v > top ? v : top;
    }
    return far / top;
}

static void check(void)
{
    static struct result whole, half[2];
    static struct swap swap[2];
    memset(swap, 0, sizeof swap);
    run(0, N, NULL, &whole);
    for (int round = 0; round < 5; round++)
        for (int p = 0; p < 2; p++) {
            swap[p].x = (struct op_exchange){2, add_other};
            swap[p].other = &swap[!p];
            swap[p].call = 0;
            run(p * N / 2, N / 2, &swap[p].x, &half[p]);
        }
    for (int p = 0; p < 2; p++) {
        CHECK_SAY(apart(half[p].y, whole.y + p * N / 2 * ROW, N / 2 * ROW) < 1e-6, "%s: y of half %d",
                  t->name, p);
        CHECK_SAY(apart(half[p].dx, whole.dx + p * N / 2 * ROW, N / 2 * ROW) < 1e-6, "%s: dx of half %d",
                  t->name, p);
        CHECK_SAY(apart(half[p].mean, whole.mean, C) < 1e-6, "%s: moving mean of half %d", t->name, p);
        CHECK_SAY(apart(half[p].variance, whole.variance, C) < 1e-6, "%s: moving variance of half %d",
                  t->name, p);
    }
    for (int c = 0; c < C; c++) {
        half[0].dgamma[c] += half[1].dgamma[c];
        half[0].dbeta[c] += half[1].dbeta[c];
    }
    CHECK_SAY(apart(half[0].dgamma, whole.dgamma, C) < 1e-6, "%s: the halves' dgamma add up", t->name);
    CHECK_SAY(apart(half[0].dbeta, whole.dbeta, C) < 1e-6, "%s: the halves' dbeta add up", t->name);
    CHECK_SAY(apart(half[0].y, half[1].y, N / 2 * ROW) > 0.1, "%s: the halves are not alike", t->name);
}

int main(void)
{
    static const char *const names[] = {"ref", "cpu"};
    struct random r = random_start(7, 0, 0x6e6f726d70617274ull);
    for (int i = 0; i < N * ROW; i++) {
        x[i] = (float)random_range(&r, -1, 3) + (float)(i / ROW); /* the halves' means differ */
        dy[i] = (float)random_range(&r, -1, 1);
    }
    for (int c = 0; c < C; c++) {
        gamma_[c] = (float)random_range(&r, 0.5, 2);
        beta_[c] = (float)random_range(&r, -0.5, 0.5);
        /* far from the batch's: it is what the sums are taken about */
        mean_[c] = (float)random_range(&r, -10, 10);
        variance_[c] = (float)random_range(&r, 0.5, 2);
    }
    for (int i = 0; i < 2; i++) {
        struct backend_options o = {.threads = 2, .deterministic = true};
        if (backend_open(names[i], &o, &t, &b, &err)) {
            tap_skip(names[i], err.text);
            continue;
        }
        CHECK_SAY(t->exchanges_statistics, "%s exchanges statistics", t->name);
        check();
        t->close(b);
    }
    return tap_done();
}
