/* needs: base net tensor */
/*
 * plans.c: which plans the real cuDNN gives the convolutions of our networks, on cards that are only
 * described; no GPU and no driver. The graphs are the backend's own: the networks are planned by the engine
 * with the CUDA backend, which builds and chooses as it does on a card.
 *
 * Each card and precision is asked in a child, since the library may end the process. Checked is that every
 * plan is repeatable, keeps to the precision and to the workspace limit, and that the numbers of graphs by
 * kind are those of the table: a graph that has no plan in its first form is planned in another, and shows as
 * another kind. usage: plans [--table FILE] [CARD [PRECISION]]; TABLE=print writes the table instead; plans
 * stem prints what padding the channels of pictures would give.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/net.h"
#include "tensor/cuda_cards.h"
#include "tensor/engine_internal.h"

#define WORKSPACE_LIMIT ((size_t)1024 << 20) /* WINNOW_CUDA_WORKSPACE_MIB's default */
#define MAX_KINDS 64

static const struct {
    const char *name, *column;
} cards[] = {{"t4", "sm_75"},   {"a100", "sm_80"},  {"rtx3090", "sm_86"}, {"rtx4090", "sm_89"},
             {"h200", "sm_90"}, {"b200", "sm_100"}, {"rtx5090", "sm_120"}};
enum { N_CARDS = sizeof cards / sizeof *cards };
static const char *const precisions[] = {"fp32", "tf32", "bf16", "fp16"};
enum { N_PRECISIONS = 4 };
static const int batches[] = {8, 32, 128, 5}; /* the last: what a run's data leaves over */

static struct error err;
static int checks, failures;

static void check(bool ok, const char *what, const char *detail)
{
    printf("%s %d - %s%s%s\n", ok ? "ok" : "not ok", ++checks, what, *detail ? ": " : "", detail);
    failures += !ok;
    fflush(stdout);
}

/* --- in the child --- */

struct kind {
    char name[100]; /* "forward+bias+relu dense bf16" */
    int graphs, tensor_core;
    size_t workspace; /* the largest */
};
static struct kind kinds[MAX_KINDS];
static int n_kinds;
static char **seen;
static size_t n_seen;
static char complaint[300];

static void note(const struct op_plan *p, enum backend_precision precision)
{
    char pass[40], name[100];
    const char *groups = strstr(p->what, " g"), *type = strrchr(p->what, ' ');
    for (size_t i = 0; i < n_seen; i++)
        if (!strcmp(seen[i], p->what)) return;
    seen = realloc(seen, (n_seen + 1) * sizeof *seen);
    seen[n_seen++] = strdup(p->what);
    snprintf(pass, sizeof pass, "%.*s", (int)strcspn(p->what, " "), p->what);
    snprintf(name, sizeof name, "%s\t%s\t%s", pass, strncmp(groups, " g1 ", 4) ? "depthwise" : "dense",
             type + 1);
    int k = 0;
    while (k < n_kinds && strcmp(kinds[k].name, name))
        k++;
    if (k == n_kinds) {
        if (n_kinds == MAX_KINDS) exit(70);
        snprintf(kinds[n_kinds++].name, sizeof kinds->name, "%s", name);
    }
    kinds[k].graphs++;
    kinds[k].tensor_core += p->tensor_core;
    if (p->workspace_bytes > kinds[k].workspace) kinds[k].workspace = p->workspace_bytes;
    const char *wrong = !p->repeatable                                 ? "is not repeatable"
                        : precision == PRECISION_F32 && p->tensor_core ? "uses tensor cores in fp32"
                        : p->workspace_bytes > WORKSPACE_LIMIT         ? "wants too much workspace"
                                                                       : NULL;
    if (wrong && !*complaint) snprintf(complaint, sizeof complaint, "%s %s", p->what, wrong);
}

static int plan(const struct backend_table *t, struct backend *b, const struct net *net, bool train,
                int batch, enum backend_precision precision)
{
    struct engine_options o = ENGINE_DEFAULTS;
    struct plan p = {0};
    struct op_plan found;
    o.device = "cuda";
    o.batch = batch;
    o.precision = precision;
    o.mode = train ? ENGINE_TRAIN : ENGINE_INFERENCE;
    int rc = plan_build(&p, net, &o, t, b, &err) || plan_finish(&p, &o, t, b, &err);
    for (size_t i = 0; !rc && i < p.n_nodes; i++)
        for (int k = 0; t->op_plan(p.nodes[i].op, k, &found); k++)
            note(&found, precision);
    plan_release(&p, t, b);
    return rc;
}

static int make_net(struct net *net, int which)
{
    static char *classes[] = {"a", "b", "c", "d", "e"};
    char tiny[4096];
    const char *top = getenv("TOP");
    snprintf(tiny, sizeof tiny, "%s/tests/fixtures/tiny-net/tfjs-float32", top ? top : ".");
    *net = NET_EMPTY;
    return (which == 0   ? net_build_inception_v3(net, 299, &err)
            : which == 1 ? net_build_mobilenet_v2(net, 1.0, 224, &err)
                         : net_open(net, tiny, &err)) ||
                   net_replace_head(net, 5, classes, 1, &err) || net_infer_shapes(net, 0, 0, &err)
               ? -1
               : 0;
}

/* Where phase 2 begins: InceptionV3's layer of our recipes, else the convolution at two thirds. */
static const char *phase2_layer(const struct net *net, int which)
{
    if (which == 0) return "conv2d_56";
    for (int i = net->n_layers * 2 / 3; i > 0; i--)
        if (net->layers[i].kind == LAYER_CONV2D) return net->layers[i].name;
    return net->layers[1].name;
}

static int ask(const char *card, enum backend_precision precision)
{
    char json[CUDA_CARD_BYTES];
    struct backend_options o = {.precision = precision, .deterministic = true, .described = json};
    const struct backend_table *t;
    struct backend *b;
    int rc = cuda_card_describe(card, json, sizeof json, &err) || backend_open("cuda", &o, &t, &b, &err);
    for (int which = 0; !rc && which < 3; which++) {
        struct net net;
        rc = make_net(&net, which);
        const char *from[] = {NULL, "dense_1", rc ? NULL : phase2_layer(&net, which),
                              rc ? NULL : net.layers[1].name};
        for (int phase = 0; !rc && phase < 4; phase++) {
            if (from[phase]) rc = net_unlock_from(&net, from[phase], &err);
            for (size_t i = 0; !rc && i < sizeof batches / sizeof *batches; i++)
                rc = plan(t, b, &net, phase > 0, batches[i], precision);
        }
        net_release(&net);
    }
    return rc;
}

static int child(const char *card, int precision, int to)
{
    FILE *out = fdopen(to, "w");
    bool quiet = !getenv("CUDNN_NOISE"); /* without a driver the library writes a line for each function */
    if (quiet && !freopen("/dev/null", "w", stderr)) return 71;
    int rc = ask(card, (enum backend_precision)precision);
    if (rc) fprintf(out, "error\t%d\t%s\n", err.code, err.text);
    if (*complaint) fprintf(out, "wrong\t%s\n", complaint);
    for (int i = 0; i < n_kinds; i++)
        fprintf(out, "kind\t%s\t%d\t%d\t%zu\n", kinds[i].name, kinds[i].graphs, kinds[i].tensor_core,
                kinds[i].workspace);
    fputs("end\n", out);
    fclose(out);
    return 0;
}

/*
 * What padding the channels of a picture would give: InceptionV3's first convolution with 3, 4 and 8 input
 * channels, when it is frozen and when it learns. Printed for people: channels, pass, engine, workspace,
 * tensor cores.
 */
static int ask_stem(const char *card, enum backend_precision precision)
{
    char json[CUDA_CARD_BYTES];
    struct backend_options o = {.precision = precision, .deterministic = true, .described = json};
    const struct backend_table *t;
    struct backend *b;
    if (cuda_card_describe(card, json, sizeof json, &err) || backend_open("cuda", &o, &t, &b, &err)) {
        printf("%s\t%s\t%s\n", card, precision_name(precision), err.text);
        return -1;
    }
    for (int learns = 0; learns < 2; learns++)
        for (int c = 3; c <= 8; c += c == 3 ? 1 : 4) {
            struct op_desc d = {.kind = OP_CONV,
                                .name = "stem",
                                .n_x = 1,
                                .x = {{32, 299, 299, c, c, 0, 0, 0}},
                                .y = {32, 149, 149, 32, 32, 0, 0, 0},
                                .kernel_h = 3,
                                .kernel_w = 3,
                                .stride_h = 2,
                                .stride_w = 2,
                                .dilation_h = 1,
                                .dilation_w = 1,
                                .has_bias = !learns,
                                .activation = learns ? OP_LINEAR : OP_RELU,
                                .constant_weights = !learns,
                                .training = learns,
                                .needs_dw = learns};
            struct backend_op *op;
            struct op_plan p;
            if (t->op_create(b, &d, &op, &err)) {
                printf("%s\t%s\t%d\t%s\n", card, precision_name(precision), c, err.text);
                continue;
            }
            for (int i = 0; t->op_plan(op, i, &p); i++)
                printf("%s\t%s\t%d\t%.*s\t%lld\t%.2f MiB\t%s\n", card, precision_name(precision), c,
                       (int)strcspn(p.what, " "), p.what, (long long)p.engine,
                       (double)p.workspace_bytes / 1048576, p.tensor_core ? "tensor cores" : "-");
            t->op_destroy(b, op);
        }
    t->close(b);
    return 0;
}

/* --- in the parent --- */

struct row {
    char kind[100], precision[8], counts[N_CARDS][12];
};
static struct row rows[N_PRECISIONS * MAX_KINDS];
static int n_rows;

struct asked {
    pid_t pid;
    FILE *from;
    int card, precision;
};

static void start(struct asked *a, int card, int precision)
{
    int ends[2];
    *a = (struct asked){.card = card, .precision = precision};
    fflush(stdout);
    if (pipe(ends) || (a->pid = fork()) < 0) exit(71);
    if (!a->pid) {
        close(ends[0]);
        _exit(child(cards[card].name, precision, ends[1]));
    }
    close(ends[1]);
    a->from = fdopen(ends[0], "r");
}

static void count(const char *kind, int precision, int card, int graphs)
{
    int i = 0;
    while (i < n_rows && (strcmp(rows[i].kind, kind) || strcmp(rows[i].precision, precisions[precision])))
        i++;
    if (i == n_rows) {
        rows[n_rows] = (struct row){"", "", {""}};
        snprintf(rows[i].kind, sizeof rows->kind, "%s", kind);
        snprintf(rows[n_rows++].precision, sizeof rows->precision, "%s", precisions[precision]);
    }
    snprintf(rows[i].counts[card], sizeof *rows->counts, "%d", graphs);
}

static void finish(struct asked *a)
{
    char line[600], what[80], wrong[600] = "", said[200] = "";
    int status, graphs = 0, tensor_core = 0;
    size_t largest = 0;
    bool ended = false, refused = false;
    while (fgets(line, sizeof line, a->from)) {
        char pass[30], layers[20], type[10];
        int n, cores;
        size_t room;
        line[strcspn(line, "\n")] = 0;
        if (!strcmp(line, "end")) ended = true;
        if (!strncmp(line, "wrong\t", 6)) snprintf(wrong, sizeof wrong, "%s", line + 6);
        if (!strncmp(line, "error\t", 6)) {
            snprintf(wrong, sizeof wrong, "%s", strrchr(line, '\t') + 1);
            refused = atoi(line + 6) == EX_NODEVICE;
        }
        if (sscanf(line, "kind\t%29s\t%19s\t%9s\t%d\t%d\t%zu", pass, layers, type, &n, &cores, &room) == 6) {
            char kind[80];
            snprintf(kind, sizeof kind, "%s\t%s\t%s", pass, layers, type);
            count(kind, a->precision, a->card, n);
            graphs += n;
            tensor_core += cores;
            largest = room > largest ? room : largest;
        }
    }
    fclose(a->from);
    waitpid(a->pid, &status, 0);
    snprintf(what, sizeof what, "%s (%s), %s", cards[a->card].column, cards[a->card].name,
             precisions[a->precision]);
    if (!ended) snprintf(wrong, sizeof wrong, "the child died (status %d)", status);
    if (a->card == 0 && a->precision == PRECISION_BF16) {
        check(refused, what, refused ? "refused, as it should be: no bfloat16 there" : wrong);
        return;
    }
    snprintf(said, sizeof said, "%d graphs planned, %d on tensor cores, largest workspace %zu MiB", graphs,
             tensor_core, largest >> 20);
    check(!*wrong && graphs > 0, what, *wrong ? wrong : said);
}

static void row_text(const struct row *r, int card, char *out, size_t bytes)
{
    int used = snprintf(out, bytes, "%s\t%s", r->kind, r->precision);
    for (int i = 0; i < N_CARDS; i++)
        used += snprintf(out + used, bytes - (size_t)used, "\t%s",
                         *r->counts[i]           ? r->counts[i]
                         : card < 0 || card == i ? "-"
                                                 : "");
}

/* Every row of the table is there with the same numbers, and no other. card >= 0: of that card only. */
static void compare(const char *path, int card, int precision)
{
    FILE *f = fopen(path, "r");
    char line[300], mine[310], text[400] = "";
    int expected = 0, differ = 0;
    while (f && fgets(line, sizeof line, f)) {
        char *cell[3 + N_CARDS + 2], *s = line;
        int n = 0;
        line[strcspn(line, "\n")] = 0;
        while (s && n < 4 + N_CARDS) {
            cell[n++] = s;
            if ((s = strchr(s, '\t'))) *s++ = 0;
        }
        if (n != 4 + N_CARDS || !strcmp(cell[0], "pass") ||
            (precision >= 0 && strcmp(cell[3], precisions[precision])))
            continue;
        expected++;
        snprintf(mine, sizeof mine, "%s\t%s\t%s", cell[0], cell[1], cell[2]);
        int i = 0;
        while (i < n_rows && (strcmp(rows[i].kind, mine) || strcmp(rows[i].precision, cell[3])))
            i++;
        for (int c = 0; c < N_CARDS; c++) {
            const char *got = i < n_rows && *rows[i].counts[c] ? rows[i].counts[c] : "-";
            if ((card >= 0 && c != card) || !strcmp(got, cell[4 + c])) continue;
            if (!differ++)
                snprintf(text, sizeof text, "%s %s %s, %s, %s: %s graphs, the table has %s", cell[0], cell[1],
                         cell[2], cell[3], cards[c].column, got, cell[4 + c]);
        }
    }
    if (f) fclose(f);
    if (!f || !expected) snprintf(text, sizeof text, "cannot read '%s'", path);
    if (!differ && n_rows > expected)
        snprintf(text, sizeof text, "%d kinds of graphs, the table has %d", n_rows, expected);
    check(!*text, "as many graphs of each kind as expected", text);
}

/* Ends the program with a skip where no cuDNN is that can be asked; PLANS_REQUIRED makes that a failure. A
 * child looks: some versions end the process where one of their parts is missing. */
static void look_for_the_library(void)
{
    char text[400] = "the child died";
    int ends[2], status;
    fflush(stdout);
    if (pipe(ends)) exit(71);
    pid_t pid = fork();
    if (!pid) {
        char json[CUDA_CARD_BYTES];
        struct backend_options o = {.deterministic = true, .described = json};
        const struct backend_table *t;
        struct backend *b;
        int rc =
            cuda_card_describe("h200", json, sizeof json, &err) || backend_open("cuda", &o, &t, &b, &err);
        dprintf(ends[1], "%s", rc ? err.text : t->describe(b));
        _exit(rc ? err.code : 0);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], text, sizeof text - 1);
    if (n > 0) text[n] = 0;
    close(ends[0]);
    if (pid < 0 || waitpid(pid, &status, 0) != pid) exit(71);
    bool absent =
        WIFEXITED(status) && (WEXITSTATUS(status) == EX_NODEVICE || WEXITSTATUS(status) == EX_UNAVAILABLE);
    if (absent && !getenv("PLANS_REQUIRED")) {
        printf("ok 1 - plans of the real cuDNN # SKIP %s\n1..1\n", text);
        exit(0);
    }
    check(WIFEXITED(status) && !WEXITSTATUS(status), "a cuDNN that plans without a card", text);
    if (failures) {
        printf("1..%d\n", checks);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    const char *table = NULL;
    int card = -1, precision = -1, first = 1;
    if (argc > 2 && !strcmp(argv[1], "--table")) {
        table = argv[2];
        first = 3;
    }
    for (int i = 0; first < argc && i < N_CARDS; i++)
        if (!strcmp(argv[first], cards[i].name)) card = i;
    for (int i = 0; first + 1 < argc && i < N_PRECISIONS; i++)
        if (!strcmp(argv[first + 1], precisions[i])) precision = i;
    if (first < argc && !strcmp(argv[first], "stem")) {
        for (int c = 0; c < N_CARDS; c++)
            for (int p = 1; p < N_PRECISIONS; p++) { /* each in a child, like the others */
                fflush(stdout);
                pid_t pid = fork();
                if (!pid)
                    exit(freopen("/dev/null", "w", stderr) &&
                                 ask_stem(cards[c].name, (enum backend_precision)p)
                             ? 1
                             : 0);
                if (pid < 0 || waitpid(pid, NULL, 0) != pid) return 71;
            }
        return 0;
    }
    struct asked running[2] = {0};
    int at = 0;
    look_for_the_library();
    /* The longest first, two at a time. */
    for (int p = N_PRECISIONS - 1; p >= 0; p--)
        for (int c = N_CARDS - 1; c >= 0; c--) {
            if ((card >= 0 && c != card) || (precision >= 0 && p != precision)) continue;
            if (running[at].pid) finish(&running[at]);
            start(&running[at], c, p);
            at ^= 1;
        }
    for (int i = 0; i < 2; i++, at ^= 1)
        if (running[at].pid) finish(&running[at]);
    if (getenv("TABLE")) {
        char text[300];
        printf("pass\tlayers\tio\tprecision");
        for (int i = 0; i < N_CARDS; i++)
            printf("\t%s", cards[i].column);
        for (int i = 0; i < n_rows; i++) {
            row_text(&rows[i], -1, text, sizeof text);
            printf("\n%s", text);
        }
        puts("");
        return 0;
    }
    if (table) compare(table, card, precision);
    printf("1..%d\n", checks);
    return failures > 0;
}
