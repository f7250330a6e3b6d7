/*
 * net_tfjs_test.c: TFJS folders in and out: the five encodings of the tiny net, round trips to the bit, and
 * hostile files.
 */
/* needs: net io base */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/io.h"
#include "net/net.h"
#include "tap.h"

static const char *top;

static char *path_of(const char *name)
{
    static char paths[4][4096];
    static int next;
    char *out = paths[next++ % 4];
    snprintf(out, sizeof paths[0], "%s/tests/fixtures/tiny-net/%s", top, name);
    return out;
}

static bool same_values(const struct net *a, const struct net *b, double tolerance)
{
    if (a->n_layers != b->n_layers) return false;
    for (int i = 0; i < a->n_layers; i++)
        for (int j = 0; j < a->layers[i].n_weights; j++) {
            const struct net_weight *x = &a->layers[i].weights[j], *y = &b->layers[i].weights[j];
            if (strcmp(x->name, y->name) != 0 || x->n_values != y->n_values) return false;
            if (tolerance == 0 && memcmp(x->values, y->values, x->n_values * sizeof(float)) != 0)
                return false;
            for (size_t k = 0; k < x->n_values; k++)
                if (!(fabs((double)x->values[k] - (double)y->values[k]) <= tolerance)) return false;
        }
    return true;
}

static void test_encodings(void)
{
    static const struct {
        const char *folder;
        double tolerance;
    } cases[] = {
        {"tfjs-float32", 0},   {"tfjs-sharded", 0},  {"tfjs-float16", 3e-4},
        {"tfjs-uint16", 1e-5}, {"tfjs-uint8", 3e-3},
    };
    struct net base;
    struct error err = {0};
    CHECK_SAY(net_open(&base, path_of("tfjs-float32"), &err) == 0, "the float32 folder opens: %s", err.text);
    CHECK(base.n_layers == 9 && base.input == 0 && base.output == 8);
    CHECK(strcmp(base.layers[6].name, "gap") == 0 && base.layers[6].kind == LAYER_GLOBAL_AVERAGE_POOL);
    CHECK(base.layers[5].n_inputs == 2 && base.layers[5].inputs[0] == 3 && base.layers[5].inputs[1] == 4);
    CHECK(base.layers[5].output.rank == 3 && base.layers[5].output.dim[0] == 8 &&
          base.layers[5].output.dim[2] == 8);
    CHECK(base.layers[1].same && base.layers[1].stride_h == 2 && !base.layers[1].use_bias);
    CHECK(net_count_parameters(&base, false) == 165);
    CHECK(net_count_parameters(&base, true) == 157); /* two moving statistics of four are not trainable */
    CHECK(base.metadata.temperature == 1 && base.metadata.input_scale == 1.0 / 255);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct net other;
        if (CHECK_SAY(net_open(&other, path_of(cases[i].folder), &err) == 0, "%s opens: %s", cases[i].folder,
                      err.text)) {
            CHECK_SAY(same_values(&base, &other, cases[i].tolerance), "%s has the float32 weights within %g",
                      cases[i].folder, cases[i].tolerance);
            CHECK_SAY(cases[i].tolerance == 0 || !same_values(&base, &other, 0),
                      "%s is really quantised or the same", cases[i].folder);
        }
        net_release(&other);
    }
    struct net header;
    CHECK(net_open_header(&header, path_of("tfjs-uint8/model.json"), &err) == 0 && header.n_layers == 9 &&
          header.layers[1].weights[0].values == NULL && header.layers[1].weights[0].n_values == 108);
    net_release(&header);
    net_release(&base);
}

static void test_round_trip(void)
{
    char folder[4096], card[4200], id[33], text[64] = "";
    struct net base, copy, back;
    struct error err = {0};
    struct stat st;
    CHECK(net_open(&base, path_of("tfjs-float32"), &err) == 0);
    CHECK(net_copy(&copy, &base, &err) == 0 && same_values(&base, &copy, 0));
    net_release(&base);
    char *classes[] = {"a", "b\"\\ \xc3\xa4", "c", "d", "e"};
    copy.metadata.classes = calloc(5, sizeof(char *));
    for (int i = 0; i < 5; i++)
        copy.metadata.classes[i] = strdup(classes[i]);
    copy.metadata.n_classes = 5;
    strcpy(copy.metadata.resize, "tfjs");
    strcpy(copy.metadata.background, "#00ff7f");
    strcpy(copy.metadata.orientation, "pillow");
    copy.metadata.frame = 7;
    copy.metadata.temperature = 1.3125;
    copy.metadata.extra_json = strdup("{\"metrics\":{\"accuracy\":0.91},\"classes\":[\"never\"]}");
    snprintf(folder, sizeof folder, "%s/model", tap_tmpdir());
    CHECK_SAY(net_write_tfjs(&copy, folder, &err) == 0, "written: %s", err.text);
    /* Again over itself, with a file beside the model that has to stay. */
    snprintf(card, sizeof card, "%s/MODEL_CARD.md", folder);
    FILE *f = fopen(card, "w");
    fputs("kept", f);
    fclose(f);
    copy.layers[8].weights[1].values[0] = 0.5f;
    CHECK_SAY(net_write_tfjs(&copy, folder, &err) == 0, "written again: %s", err.text);
    f = fopen(card, "r");
    CHECK(f && fgets(text, sizeof text, f) && strcmp(text, "kept") == 0);
    if (f) fclose(f);
    if (CHECK_SAY(net_open(&back, folder, &err) == 0, "read back: %s", err.text)) {
        CHECK(same_values(&copy, &back, 0));
        CHECK(net_hash(&copy, id, &err) == 0);
        CHECK(strcmp(back.metadata.model_id, id) == 0);
        CHECK(back.metadata.n_classes == 5 && strcmp(back.metadata.classes[1], classes[1]) == 0);
        CHECK(back.metadata.temperature == 1.3125 && strcmp(back.metadata.resize, "tfjs") == 0);
        CHECK(strcmp(back.metadata.background, "#00ff7f") == 0);
        CHECK(strcmp(back.metadata.orientation, "pillow") == 0 && back.metadata.frame == 7);
        CHECK(back.metadata.extra_json &&
              strcmp(back.metadata.extra_json, "{\"metrics\":{\"accuracy\":0.91}}") == 0);
        CHECK(back.layers[1].same && back.layers[1].stride_w == 2 && back.layers[2].scale == false);
    }
    net_release(&back);
    for (int e = NET_FLOAT16; e < NET_ENCODINGS; e++) {
        struct net rounded;
        CHECK_SAY(net_write_tfjs_as(&copy, folder, (enum net_encoding)e, &err) == 0, "encoding %d: %s", e,
                  err.text);
        if (CHECK(net_open(&back, folder, &err) == 0 && net_copy(&rounded, &copy, &err) == 0)) {
            net_requantize(&rounded, (enum net_encoding)e);
            CHECK_SAY(same_values(&rounded, &back, 0), "encoding %d reads back as net_requantize says", e);
            CHECK(net_hash(&back, id, &err) == 0);
            CHECK(strcmp(id, back.metadata.model_id) == 0);
            /* batch norm exact */
            CHECK(memcmp(back.layers[2].weights[1].values, copy.layers[2].weights[1].values, 16) == 0);
            net_release(&rounded);
        }
        net_release(&back);
    }
    net_release(&copy);
    snprintf(folder, sizeof folder, "%s/.model.new-%ld", tap_tmpdir(), (long)getpid());
    CHECK(stat(folder, &st) != 0); /* nothing left beside */
}

/* A working net as one JSON text, so that each case changes one thing. */
static const char good_layers[] =
    "{\"class_name\":\"InputLayer\",\"name\":\"in\",\"config\":{\"name\":\"in\",\"batch_input_shape\":[null,"
    "4,4,3]},\"inbound_nodes\":[]},"
    "{\"class_name\":\"Conv2D\",\"name\":\"c\",\"config\":{\"filters\":2,\"kernel_size\":[1,1],\"use_bias\":"
    "false},\"inbound_nodes\":[[[\"in\",0,0]]]},"
    "{\"class_name\":\"GlobalAveragePooling2D\",\"name\":\"g\",\"config\":{},\"inbound_nodes\":[[[\"c\",0,0,{"
    "}]]]},"
    "{\"class_name\":\"Activation\",\"name\":\"s\",\"config\":{\"activation\":\"softmax\"},\"inbound_nodes\":"
    "[[[\"g\",0,0,{}]]]}";
static const char good_weights[] = "{\"name\":\"c/kernel\",\"shape\":[1,1,3,2],\"dtype\":\"float32\"}";

static char *replaced(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    if (!at) {
        fprintf(stderr, "no '%s' in the case\n", from);
        abort();
    }
    char *out = malloc(strlen(text) + strlen(to) + 1);
    sprintf(out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return out;
}

static void write_model(const char *folder, const char *json, size_t shard_bytes)
{
    char path[4200];
    struct error err = {0};
    float weights[64] = {1, 2, 3, 4, 5, 6};
    mkdir(folder, 0777);
    snprintf(path, sizeof path, "%s/model.json", folder);
    if (atomic_file_write(path, json, strlen(json), &err)) abort();
    snprintf(path, sizeof path, "%s/w.bin", folder);
    if (atomic_file_write(path, weights, shard_bytes, &err)) abort();
}

static void test_hostile(void)
{
    static const struct {
        const char *from, *to, *says;
        size_t bytes;
    } cases[] = {
        {"", "", NULL, 24},
        {"", "", "end within the weight 'c/kernel'", 23},
        {"", "", "goes on after the last weight", 28},
        {"[\"c\",0,0", "[\"nowhere\",0,0", "layer 'g': takes its input from 'nowhere'", 24},
        {"[\"in\",0,0", "[\"g\",0,0", "layer 'c': takes its input from 'g', which is not a layer before it",
         24},
        {"[\"c\",0,0", "[\"g\",0,0", "layer 'g': takes its input from 'g'", 24},
        {"\"name\":\"c\",", "", "no usable name", 24},
        {"\"name\":\"s\"", "\"name\":\"c\"", "layer 'c': occurs twice", 24},
        {"Conv2D", "Conv3D", "layer 'c': is a 'Conv3D'", 24},
        {"\"filters\":2", "\"filters\":3",
         "layer 'c': weight 'c/kernel' has shape [1,1,3,2], must be [1,1,3,3]", 24},
        {"\"filters\":2", "\"filters\":2e9", "layer 'c': 'filters' must be", 24},
        {"\"filters\":2", "\"filters\":-1", "layer 'c': 'filters' must be", 24},
        {"\"filters\":2", "\"filters\":2.5", "layer 'c': 'filters' must be", 24},
        {"\"filters\":2", "\"filters\":1e999", "layer 'c': 'filters' must be", 24},
        {"\"filters\":2", "\"x\":2", "layer 'c': 'filters' is missing", 24},
        {"\"filters\":2", "\"filters\":2,\"filters\":2", "the key 'filters' occurs twice", 24},
        {"\"filters\":2", "\"filters\":2,\"groups\":3", "layer 'c': its channels do not divide into 3 groups",
         24},
        {"\"filters\":2", "\"filters\":2,\"padding\":\"causal\"", "layer 'c': 'padding' must be", 24},
        {"\"filters\":2", "\"filters\":2,\"data_format\":\"channels_first\"", "layer 'c': 'data_format'", 24},
        {"\"kernel_size\":[1,1]", "\"kernel_size\":[5,5]", "layer 'c': a window of 5 does not fit into 4",
         24},
        {"softmax\"", "telu\"", "layer 's': activation 'telu'", 24},
        {"[null,4,4,3]", "[null,4,4]", "layer 'c': takes an input with 3 dimensions", 24},
        {"[null,4,4,3]", "[null,1e6,1e6,3]", "layer 'in': its output has", 24},
        {"[null,4,4,3]", "[null,0,4,3]", "batch_input_shape", 24},
        {"\"c/kernel\"", "\"c/bias\"", "layer 'c' (Conv2D) has no weight 'c/bias'", 24},
        {"\"c/kernel\"", "\"d/kernel\"", "the weight 'd/kernel' does not belong to a layer", 24},
        {"{\"name\":\"c/kernel\",\"shape\":[1,1,3,2],\"dtype\":\"float32\"}", "",
         "layer 'c': the file has no weight 'c/kernel'", 0},
        {"\"dtype\":\"float32\"}", "\"dtype\":\"int32\"}", "dtype must be float32", 24},
        {"\"dtype\":\"float32\"}", "\"dtype\":\"float32\",\"quantization\":{\"dtype\":\"uint4\"}}",
         "quantization dtype", 24},
        {"\"dtype\":\"float32\"}", "\"dtype\":\"float32\",\"quantization\":{\"dtype\":\"uint8\",\"min\":0}}",
         "finite scale and min", 6},
        {"[1,1,3,2]", "[65536,65536,65536,65536]", "absurdly large", 24},
        {"[1,1,3,2]", "[1,1,3,2,1]", "1 to 4 dimensions", 24},
        {"[1,1,3,2]", "[2,3]", "layer 'c': weight 'c/kernel' has shape [2,3]", 24},
        {"w.bin", "../w.bin", "leaves the model folder", 24},
        {"w.bin", "/etc/passwd", "leaves the model folder", 24},
        {"w.bin", "absent.bin", "absent.bin", 24},
        {"\"Model\"", "\"Layer\"", "not a Keras model", 24},
        {"[[\"s\",0,0]]", "[[\"t\",0,0]]", "'output_layers' names 't'", 24},
        {"[[\"s\",0,0]]", "[[\"s\",0,0],[\"g\",0,0]]", "names 2 layers", 24},
        {"}]}]}", "}]}]", "not JSON", 24},
        {"\"name\":\"s\"", "\"name\":\"\\ud800\"", "not JSON", 24},
        {"weightsManifest", "weightsmanifest", "is missing", 24},
    };
    char folder[4096], base[4096];
    snprintf(folder, sizeof folder, "%s/hostile", tap_tmpdir());
    snprintf(base, sizeof base,
             "{\"modelTopology\":{\"model_config\":{\"class_name\":\"Model\",\"config\":{\"layers\":[%s],"
             "\"input_layers\":[[\"in\",0,0]],\"output_layers\":[[\"s\",0,0]]}}},"
             "\"weightsManifest\":[{\"paths\":[\"w.bin\"],\"weights\":[%s]}]}",
             good_layers, good_weights);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct net n;
        struct error err = {0};
        char *json = replaced(base, cases[i].from, cases[i].to);
        write_model(folder, json, cases[i].bytes);
        int rc = net_open(&n, folder, &err);
        if (!cases[i].says)
            CHECK_SAY(rc == 0, "the unchanged net opens: %s", err.text);
        else
            CHECK_SAY(rc == -1 && strstr(err.text, cases[i].says) && strstr(err.text, "hostile") &&
                          (err.code == EX_DATAERR || err.code == EX_NOINPUT),
                      "'%s' for '%s' is refused: %s", cases[i].to, cases[i].from, err.text);
        net_release(&n);
        free(json);
    }
}

static void test_deep_and_big(void)
{
    char folder[4096];
    struct net n;
    struct error err = {0};
    char *deep = malloc(2000001);
    snprintf(folder, sizeof folder, "%s/hostile", tap_tmpdir());
    memset(deep, '[', 1000000);
    memset(deep + 1000000, ']', 1000000);
    deep[2000000] = 0;
    write_model(folder, deep, 4);
    CHECK_SAY(net_open(&n, folder, &err) == -1 && strstr(err.text, "nested deeper"), "a million brackets: %s",
              err.text);
    for (int i = 0; i < 1000000; i++)
        memcpy(deep + 2 * i, "0,", 2);
    deep[0] = '[';
    write_model(folder, deep, 4);
    error_clear(&err);
    CHECK_SAY(net_open(&n, folder, &err) == -1 && strstr(err.text, "more than 1000000 JSON values"),
              "a million values: %s", err.text);
    free(deep);
    char path[4200];
    snprintf(path, sizeof path, "%s/model.json", folder);
    CHECK(truncate(path, 1ll << 30) == 0);
    error_clear(&err);
    CHECK_SAY(net_open(&n, folder, &err) == -1 && err.code == EX_DATAERR, "a gigabyte: %s", err.text);
    error_clear(&err);
    snprintf(path, sizeof path, "%s/none", tap_tmpdir());
    CHECK_SAY(net_open(&n, path, &err) == -1 && err.code == EX_NOINPUT, "no model: %s", err.text);
}

int main(void)
{
    top = getenv("TOP") ? getenv("TOP") : ".";
    test_encodings();
    test_round_trip();
    test_hostile();
    test_deep_and_big();
    return tap_done();
}
