/*
 * net_keras3_test.c: nets of Keras 3.15.1 as .keras and .h5 (tests/fixtures/keras3): each gives Keras' own
 * outputs or is refused with the true reason; none is silently something else.
 */
/* needs: tensor net base io */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "io/io.h"
#include "net/net.h"
#include "tap.h"
#include "tensor/engine.h"

static char folder[4096];

/* The data of a .npy file, malloc'd: version 1.0, little-endian. */
static void *npy(const char *name, size_t *n_bytes)
{
    char path[4200], *bytes = NULL;
    struct error err = {0};
    size_t n;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (io_read_file(path, 1 << 24, &bytes, &n, &err)) {
        CHECK_SAY(false, "%s", err.text);
        exit(tap_done());
    }
    size_t at = 10 + (size_t)(unsigned char)bytes[8] + 256 * (size_t)(unsigned char)bytes[9];
    *n_bytes = n - at;
    memmove(bytes, bytes + at, n - at);
    return bytes;
}

static int run(struct net *n, const char *device, const float *x, float *y, struct error *err)
{
    struct engine_options o = ENGINE_DEFAULTS;
    struct engine *e;
    const float *values[1] = {x};
    struct engine_batch in = {.n = 3, .values = values};
    o.device = device;
    o.threads = 1;
    o.batch = 3;
    o.mode = ENGINE_INFERENCE;
    if (engine_open(&e, n, &o, err)) return -1;
    int rc = engine_forward(e, &in, err) || engine_output(e, 0, y, err) ? -1 : 0;
    engine_close(e);
    return rc;
}

/* Largest difference to Keras' outputs on a device, or -1 with err set. */
static double difference(struct net *n, const char *device, const char *input, const char *fed,
                         const char *output, struct error *err)
{
    size_t n_in, n_out;
    unsigned char *bytes = npy(input, &n_in);
    float *want = npy(output, &n_out), *x = malloc(n_in * sizeof *x), *y = NULL;
    double worst = 0;
    size_t n_values = n_out / sizeof *want;
    bool unit = strstr(fed, "255") != NULL;
    for (size_t i = 0; i < n_in; i++)
        x[i] = unit ? (float)bytes[i] / 255.0f : (float)bytes[i];
    const struct net_shape *out = &n->layers[n->output].output;
    if (out->rank != 1 || (size_t)out->dim[0] * 3 != n_values)
        worst = -1, error_set(err, EX_SOFTWARE, "%d outputs", out->dim[0]);
    else if (!(y = malloc(n_out)) || run(n, device, x, y, err))
        worst = -1;
    for (size_t i = 0; worst >= 0 && i < n_values; i++) {
        double d = fabs((double)y[i] - (double)want[i]);
        worst = d > worst || d != d ? d : worst;
    }
    free(bytes);
    free(want);
    free(x);
    free(y);
    return worst;
}

/* What is refused, and a word of the reason that has to be named. */
static const struct {
    const char *net, *reason;
} refused[] = {{"int8", "int8"}, {"int4", "int4"}};

static void check_file(const char *file, const char *name, const char *input, const char *fed,
                       const char *output, int *n_right)
{
    struct net n = NET_EMPTY;
    struct error err = {0};
    char path[4200];
    const char *reason = NULL;
    /* 1e-6: Keras itself moves by 4e-7 between its compilers; half precision is computed in float32 here */
    double limit = strstr(name, "float16") ? 2e-3 : 1e-6, worst = 0;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (strcmp(refused[i].net, name) == 0) reason = refused[i].reason;
    snprintf(path, sizeof path, "%s/%s", folder, file);
    int rc = net_open(&n, path, &err);
    if (reason) {
        CHECK_SAY(rc && err.code == EX_DATAERR && strstr(err.text, reason) && strstr(err.text, "quantised"),
                  "%s is refused: %s", file, err.text);
        net_release(&n);
        return;
    }
    if (rc || net_infer_shapes(&n, 0, 0, &err)) {
        CHECK_SAY(false, "%s: %s", file, err.text);
        net_release(&n);
        return;
    }
    bool bytes = strstr(fed, "255") == NULL;
    CHECK_SAY(n.metadata.input_scale == (bytes ? 1 : 1 / 255.0) && n.metadata.input_offset == 0,
              "%s is fed as its first layers ask (%g)", file, n.metadata.input_scale);
    for (int d = 0; d < 2 && worst >= 0; d++) {
        double w = difference(&n, d ? "cpu" : "ref", input, fed, output, &err);
        worst = w < 0 || w > worst ? w : worst;
    }
    CHECK_SAY(worst >= 0 && worst <= limit, "%s: as Keras has it, within %.2g%s%s", file, worst,
              err.text[0] ? ": " : "", err.text);
    *n_right += worst >= 0 && worst <= limit;
    net_release(&n);
}

static void test_expected(void)
{
    char path[4200], line[2048];
    int n_files[2] = {0}, n_right[2] = {0};
    snprintf(path, sizeof path, "%s/expected.tsv", folder);
    FILE *f = fopen(path, "r");
    CHECK_SAY(f && fgets(line, sizeof line, f), "expected.tsv opens");
    while (f && fgets(line, sizeof line, f)) {
        char *fields[10] = {NULL}, *save = NULL;
        int n = 0;
        for (char *t = strtok_r(line, "\t\n", &save); t && n < 10; t = strtok_r(NULL, "\t\n", &save))
            fields[n++] = t;
        if (n < 5 || strstr(fields[0], ".weights.h5")) continue;
        int k = strstr(fields[0], ".keras") != NULL;
        n_files[k]++;
        check_file(fields[0], fields[1], fields[2], fields[3], fields[4], &n_right[k]);
    }
    if (f) fclose(f);
    for (int k = 0; k < 2; k++)
        CHECK_SAY(n_files[k] == 40 && n_right[k] >= 36, "%d of %d %s give Keras' outputs", n_right[k],
                  n_files[k], k ? ".keras" : ".h5");
    int older = 0;
    check_file("older/wrapped-3.0.5.keras", "wrapped", "inputs/in16.npy", "byte", "outputs/wrapped.npy",
               &older);
    check_file("older/logits-3.0.5.h5", "logits", "inputs/in16.npy", "byte / 255", "outputs/logits.npy",
               &older);
    CHECK_SAY(older == 2, "so do those of Keras 3.0.5");
}

/* --- writing --- */

static const struct net_weight *named(const struct net *n, const char *layer, enum weight_role role)
{
    int at = net_find(n, layer);
    return at < 0 ? NULL : net_weight_of(&n->layers[at], role);
}

/* Weights of `a` that b has not got, to the bit. */
static int missing(const struct net *a, const struct net *b)
{
    int n_missing = 0;
    for (int i = 0; i < a->n_layers; i++)
        for (int j = 0; j < a->layers[i].n_weights; j++) {
            const struct net_weight *x = &a->layers[i].weights[j], *y = named(b, a->layers[i].name, x->role);
            n_missing += !y || y->n_values != x->n_values ||
                         memcmp(x->values, y->values, x->n_values * sizeof(float)) != 0;
        }
    return n_missing;
}

/* .h5 -> .keras -> TFJS: every bit of every weight, and the same outputs; another .keras is the same file. */
static void test_round_trip(void)
{
    static const char *const nets[] = {"inception",        "separable",         "seq-rescaling-channels",
                                       "transfer",         "seq-resizing",      "auto-names",
                                       "nested-seq",       "transfer-guide",    "act-leaky-string",
                                       "act-hard-silu",    "act-gelu",          "act-elu-layer",
                                       "act-relu-general", "seq-normalization", "shared",
                                       "list-ends"};
    for (size_t k = 0; k < sizeof nets / sizeof *nets; k++) {
        struct net a = NET_EMPTY, b = NET_EMPTY, c = NET_EMPTY;
        struct error err = {0};
        char path[4200], keras[4200], again[4200], tfjs[4200], *one = NULL, *two = NULL;
        size_t n_one = 0, n_two = 1;
        snprintf(path, sizeof path, "%s/nets/%s.h5", folder, nets[k]);
        snprintf(keras, sizeof keras, "%s/%s.keras", tap_tmpdir(), nets[k]);
        snprintf(again, sizeof again, "%s/%s.again.keras", tap_tmpdir(), nets[k]);
        snprintf(tfjs, sizeof tfjs, "%s/%s", tap_tmpdir(), nets[k]);
        int rc = net_open(&a, path, &err) || net_write_keras(&a, keras, &err) || net_open(&b, keras, &err) ||
                         net_write_keras(&b, again, &err) || net_write_tfjs(&b, tfjs, &err) ||
                         net_open(&c, tfjs, &err) || io_read_file(keras, 1 << 24, &one, &n_one, &err) ||
                         io_read_file(again, 1 << 24, &two, &n_two, &err)
                     ? -1
                     : 0;
        CHECK_SAY(!rc && missing(&a, &b) == 0 && missing(&a, &c) == 0,
                  "%s: .h5, .keras, TFJS: %d, %d weights lost%s%s", nets[k], missing(&a, &b), missing(&a, &c),
                  err.text[0] ? ": " : "", err.text);
        CHECK_SAY(n_one == n_two && one && two && memcmp(one, two, n_one) == 0, "%s: the same file again",
                  nets[k]);
        if (!rc) {
            size_t n_values =
                (size_t)a.layers[a.input].output.dim[0] * (size_t)a.layers[a.input].output.dim[1] * 9;
            float *x = malloc(n_values * sizeof *x), y[3][3 * 5] = {{0}};
            for (size_t i = 0; i < n_values; i++)
                x[i] = (float)(i * 7919 % 256) / 255;
            struct net *all[3] = {&a, &b, &c};
            for (int i = 0; i < 3 && !rc; i++)
                rc = net_infer_shapes(all[i], 0, 0, &err) || run(all[i], "ref", x, y[i], &err);
            CHECK_SAY(!rc && memcmp(y[0], y[1], sizeof y[0]) == 0 && memcmp(y[0], y[2], sizeof y[0]) == 0,
                      "%s: the same outputs%s", nets[k], err.text);
            free(x);
        }
        free(one);
        free(two);
        net_release(&a);
        net_release(&b);
        net_release(&c);
    }
}

/* --- archives that lie --- */

static unsigned char *archive;
static size_t archive_bytes;

static void put32(size_t at, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        archive[at + (size_t)i] = (unsigned char)(v >> 8 * i);
}

static uint32_t get32(size_t at)
{
    return (uint32_t)archive[at] | (uint32_t)archive[at + 1] << 8 | (uint32_t)archive[at + 2] << 16 |
           (uint32_t)archive[at + 3] << 24;
}

/* The entry of the n-th member in the directory, and the member's own header. */
static size_t entry(int n, size_t *header)
{
    size_t at = get32(archive_bytes - 22 + 16);
    for (; n > 0; n--)
        at += 46 + archive[at + 28] + archive[at + 30] + archive[at + 32];
    *header = get32(at + 42);
    return at;
}

static void name_both(int n, const char *name)
{
    size_t header, at = entry(n, &header);
    memcpy(archive + at + 46, name, strlen(name));
    memcpy(archive + header + 30, name, strlen(name));
}

static void refused_with(const char *what, const char *words)
{
    char path[4096];
    struct net n;
    struct error err = {0};
    snprintf(path, sizeof path, "%s/hostile.keras", tap_tmpdir());
    if (atomic_file_write(path, archive, archive_bytes, &err)) abort();
    int rc = net_open(&n, path, &err);
    CHECK_SAY(rc == -1 && err.code == EX_DATAERR && strstr(err.text, words), "%s: %s", what, err.text);
    if (!rc) net_release(&n);
}

static void test_lies(void)
{
    char path[4200], *original;
    struct error err = {0};
    size_t n_original, at, header;
    snprintf(path, sizeof path, "%s/nets/logits.keras", folder);
    if (io_read_file(path, 1 << 20, &original, &n_original, &err)) abort();
    archive = malloc(n_original + 1);
    for (int lie = 0; lie < 16; lie++) {
        archive_bytes = n_original;
        memcpy(archive, original, n_original);
        at = entry(2, &header);
        switch (lie) {
        case 0:
            name_both(0, "../adata.json");
            refused_with("a name with ..", "leaves the archive");
            break;
        case 1:
            name_both(0, "/etadata.json");
            refused_with("an absolute name", "leaves the archive");
            break;
        case 2:
            name_both(0, "..\\ata.jsons");
            refused_with("a name for Windows", "leaves the archive");
            break;
        case 3:
            put32(at + 24, 0xfffffff0u);
            refused_with("a size of 4 GiB", "described in two ways");
            break;
        case 4:
            put32(at + 24, 0xfffffff0u);
            put32(header + 22, 0xfffffff0u);
            refused_with("a size of 4 GiB, said twice", "a size that its bytes cannot have");
            break;
        case 5: /* 4 GB of zeros in 20 kB, by what it says of itself */
            archive[at + 10] = archive[header + 8] = 8;
            put32(at + 24, 0xfffffff0u);
            put32(header + 22, 0xfffffff0u);
            refused_with("a bomb", "a size that its bytes cannot have");
            break;
        case 6:
            put32(at + 20, get32(at + 20) + 100000);
            refused_with("a member longer than the file", "longer than the file");
            break;
        case 7:
            put32(at + 42, 0);
            refused_with("two members in one place", "lies over another");
            break;
        case 8:
            archive[header + 2000] ^= 1;
            refused_with("a bit that fell over", "checksum differs");
            break;
        case 9:
            archive[at + 8] |= 1;
            refused_with("an encrypted member", "encrypted");
            break;
        case 10:
            archive[at + 10] = archive[header + 8] = 99;
            refused_with("an unknown method", "not deflate");
            break;
        case 11:
            archive[header + 30] = 'M';
            refused_with("two names for one member", "described in two ways");
            break;
        case 12:
            name_both(2, "model.weights.h6");
            refused_with("no weights", "no model.weights.h5");
            break;
        case 13:
            at = entry(1, &header);
            name_both(1, "konfig.json");
            refused_with("no config", "without config.json");
            break;
        case 14:
            put32(at + 20, 0xffffffffu);
            refused_with("ZIP64", "ZIP64");
            break;
        default:
            archive[archive_bytes - 22 + 10] = 2;
            archive[archive_bytes - 22 + 8] = 2;
            refused_with("fewer members than there are", "directory is damaged");
        }
    }
    for (size_t cut = 0; cut < n_original; cut += n_original / 41) {
        memcpy(archive, original, n_original);
        archive_bytes = cut;
        struct net n;
        snprintf(path, sizeof path, "%s/cut.keras", tap_tmpdir());
        error_clear(&err);
        if (atomic_file_write(path, archive, archive_bytes, &err)) abort();
        if (net_open(&n, path, &err) == 0 || !err.text[0]) CHECK_SAY(false, "cut at %zu is not refused", cut);
    }
    CHECK_SAY(true, "cut off anywhere");
    free(archive);
    free(original);
}

int main(void)
{
    const char *top = getenv("TOP");
    snprintf(folder, sizeof folder, "%s/tests/fixtures/keras3", top ? top : ".");
    test_expected();
    test_lies();
    test_round_trip();
    return tap_done();
}
