/*
 * onnx_read_test.c: ONNX files of others (tests/fuzz/corpus/onnx, by gen_onnx_corpus.py): their numbers are
 * those of onnxruntime 1.32, what is written again keeps them, what cannot be computed is refused with its
 * node, and winnow's own files come back with the same layers and weights.
 */
/* needs: onnx tensor net base io */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/io.h"
#include "onnx/onnx.h"
#include "tap.h"
#include "tensor/engine.h"

static struct error err;
static const struct onnx_form forms[2] = {
    {.input_name = "image", .output_name = "probs"},
    {.nchw = true, .input_name = "image", .output_name = "probs"},
};

static const char *at_top(const char *format, const char *name)
{
    static char paths[2][512];
    static int which;
    char rest[256];
    const char *top = getenv("TOP");
    snprintf(rest, sizeof rest, format, name);
    which = !which;
    snprintf(paths[which], sizeof paths[which], "%s/%s", top ? top : ".", rest);
    return paths[which];
}

static const char *corpus(const char *name) { return at_top("tests/fuzz/corpus/onnx/%s.onnx", name); }

/* The first numbers that the network makes of a picture that the fixture's expectations were made with. */
static bool compute(const struct net *n, const char *device, float *out, size_t n_out)
{
    float x[8 * 8 * 3], *y;
    const float *values[] = {x};
    struct engine *e;
    struct engine_options o = ENGINE_DEFAULTS;
    struct engine_batch in = {.n = 1, .values = values};
    for (int i = 0; i < 8 * 8 * 3; i++)
        x[i] = (float)(i * 37 % 101) / 50 - 1;
    o.device = device;
    o.batch = 1;
    o.threads = 1;
    o.mode = ENGINE_INFERENCE;
    if (engine_open(&e, n, &o, &err)) return false;
    y = malloc(engine_output_size(e, 0) * sizeof *y);
    bool ok = !engine_forward(e, &in, &err) && !engine_output(e, 0, y, &err);
    memcpy(out, y, n_out * sizeof *out);
    free(y);
    engine_close(e);
    return ok;
}

static void check_numbers(void)
{
    static const struct {
        const char *name;
        float y[4];
    } cases[] = {
        {"plain", {0.22994758f, -0.55304992f, -0.25925931f, -0.55712044f}},
        {"norm", {0.065722704f, 0.38987002f, -0.14028022f, -0.29970956f}},
        {"gate", {0.045245141f, 0.029430658f, -0.19395009f, -0.34679204f}},
        {"groups", {0.26936141f, 0.21685724f, 0.26732755f, 0.24645385f}},
        {"nhwc", {-0.019997701f, 0.27839437f, 0.050485432f, -0.43403381f}},
        {"flat", {-2.682251f, 2.3734062f, 3.5491438f, 5.1379123f}},
        {"old", {0.19378622f, -0.43720362f, -0.23740825f, -0.51654685f}},
        {"headless", {0, 0, 1.1470897f, 0.27104098f}},
        {"parts", {0.16017278f, -0.48906514f, 0.43925306f, 0.35713461f}},
        {"pieces", {0.18305343f, -0.19216835f, -0.24895695f, -0.44220302f}},
        {"shared", {-0.0039259791f, -0.2986562f, -0.24340531f, -0.50709081f}},
    };
    char out[] = "/tmp/winnow-test-XXXXXX.onnx";
    int fd = mkstemps(out, 5);
    CHECK(fd >= 0);
    close(fd);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int round = 0; round < 3; round++) { /* as it is; written again in NHWC and NCHW */
            struct net n;
            struct onnx_read_options any = {0};
            float y[4];
            double worst = 0;
            if (round && !CHECK_SAY(!onnx_read(&n, corpus(cases[i].name), &any, &err) &&
                                        !onnx_write(&n, out, &forms[round == 2], &err),
                                    "%s is written: %s", cases[i].name, err.text))
                continue;
            if (round) net_release(&n);
            if (!CHECK_SAY(!onnx_read(&n, round ? out : corpus(cases[i].name), &any, &err) &&
                               !net_infer_shapes(&n, 0, 0, &err),
                           "%s: %s", cases[i].name, err.text))
                continue;
            for (int d = 0; d < 2; d++) {
                if (d && !compute(&n, "cpu", y, 4)) break; /* a build without oneDNN */
                if (!d && !CHECK_SAY(compute(&n, "ref", y, 4), "%s runs: %s", cases[i].name, err.text)) break;
                for (int k = 0; k < 4; k++)
                    worst = fmax(worst, fabs((double)y[k] - (double)cases[i].y[k]));
            }
            /* float32 sums of 150 products near 1 */
            CHECK_SAY(worst < 5e-6, "%s, %s: as onnxruntime has it (%.1e)", cases[i].name,
                      round == 0   ? "read"
                      : round == 1 ? "written and read"
                                   : "written in NCHW and read",
                      worst);
            net_release(&n);
        }
    unlink(out);
}

static void check_refusals(void)
{
    static const struct {
        const char *name, *says;
    } cases[] = {
        {"bad-operator", "node 'n_h' (LayerNormalization, opset 17): this operator is not supported"},
        {"bad-erf", "node 'n_h' (Erf, opset 17): is supported as a part of GELU only"},
        {"bad-groups", "node 'n_r5' (Relu, opset 17): reads channels in groups"},
        {"bad-split", "node 'n_h' (Split, opset 17): its parts are not the 6 channels"},
        {"bad-resize", "node 'n_h' (Resize, opset 17): resizes in a way that is not supported"},
        {"bad-domain", "node 'n_h' (com.microsoft.Relu, opset 17): this operator is not supported"},
        {"bad-attribute", "node 'n_h' (Relu, opset 17): the attribute 'speed' is not supported"},
        {"bad-cycle", "node 'n_a' (Add, opset 17): its input 'c' comes from no node before it"},
        {"bad-shape", "node 'n_c' (Conv, opset 17): a vector of 5 numbers, where 6 are needed"},
        {"bad-opset", "operator set 99: 7 to 26 are read"},
        {"bad-attention", "node 'n_y' (MatMul, opset 17): the product of two layers' outputs"},
        {"bad-training", "node 'n_h' (BatchNormalization, opset 17): was exported for training"},
        {"bad-boxes", "node 'n_y' (Reshape, opset 17): rearranges a map"},
        {"bad-outputs", "it has 2 outputs, and not one list of classes (a detector?)"},
        {"bad-huge", "node 'n_c' (Conv, opset 17): the tensor 'c.weight' has more than 2147 MB"},
        {"bad-deep", "messages nested deeper than 16"},
        {"external-outside", "the tensor 'c.weight': its data '../data.bin' lie outside the model's folder"},
        {"external-absolute", "the tensor 'c.weight': its data '/etc/hostname' lie outside"},
        {"external-missing", "the tensor 'c.weight': cannot open its data 'data.bin'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct net n;
        struct onnx_read_options any = {0};
        error_clear(&err);
        CHECK_SAY(onnx_read(&n, corpus(cases[i].name), &any, &err) && strstr(err.text, cases[i].says) &&
                      strstr(err.text, cases[i].name),
                  "%s: %s", cases[i].name, err.text);
    }
    error_clear(&err);
}

/* Weights in another file of the folder are read; through a link that leads out of it they are not. */
static void check_external(void)
{
    char folder[] = "/tmp/winnow-test-XXXXXX", path[600], data[600];
    struct onnx_read_options any = {0};
    struct net n;
    size_t bytes;
    char *model;
    float values[162];
    CHECK(mkdtemp(folder) != NULL);
    for (int i = 0; i < 162; i++)
        values[i] = (float)i;
    static const char *const names[] = {"external-missing", "external-link"};
    for (int i = 0; i < 2; i++) {
        CHECK(!io_read_file(corpus(names[i]), 1 << 20, &model, &bytes, &err));
        snprintf(path, sizeof path, "%s/%s.onnx", folder, names[i]);
        CHECK(!atomic_file_write(path, model, bytes, &err));
        free(model);
    }
    snprintf(data, sizeof data, "%s/data.bin", folder);
    snprintf(path, sizeof path, "%s/external-missing.onnx", folder);
    CHECK(!atomic_file_write(data, values, 647, &err));
    CHECK_SAY(onnx_read(&n, path, &any, &err) && strstr(err.text, "end before 648 bytes"), "too short: %s",
              err.text);
    CHECK(!atomic_file_write(data, values, 648, &err));
    if (CHECK_SAY(!onnx_read(&n, path, &any, &err), "data beside the model: %s", err.text)) {
        const struct net_layer *c = &n.layers[net_find(&n, "c") > 0 ? net_find(&n, "c") : 0];
        CHECK(c->n_weights == 2 && c->weights[0].values[1 * 6] == 9); /* [h,w,in,out] of [out,in,h,w] */
        net_release(&n);
    }
    snprintf(path, sizeof path, "%s/link.bin", folder);
    CHECK(symlink("/etc/hostname", path) == 0);
    snprintf(path, sizeof path, "%s/external-link.onnx", folder);
    CHECK_SAY(onnx_read(&n, path, &any, &err) && strstr(err.text, "outside the model's folder"),
              "a link out of it: %s", err.text);
    io_remove_tree(folder);
    error_clear(&err);
}

/* A network of Keras layers, written and read: the same id is the same weights under the same names. */
static void check_own(void)
{
    char out[] = "/tmp/winnow-test-XXXXXX.onnx", before[33], after[33], *classes[] = {"a", "b \"c\""};
    struct net n, back;
    int fd = mkstemps(out, 5);
    CHECK(fd >= 0);
    close(fd);
    for (int nchw = 0; nchw < 2; nchw++) {
        if (!CHECK_SAY(!net_open(&n, at_top("tests/fixtures/%s", "tiny-net/tfjs-float32"), &err) &&
                           !net_replace_head(&n, 2, classes, 5, &err),
                       "the fixture: %s", err.text))
            return;
        n.metadata.temperature = 1.5;
        n.metadata.input_scale = 1 / 127.5;
        n.metadata.input_offset = -1;
        CHECK(!onnx_write(&n, out, &forms[nchw], &err) && !net_hash(&n, before, &err));
        struct onnx_read_options any = {0};
        if (CHECK_SAY(!onnx_read(&back, out, &any, &err) && !net_hash(&back, after, &err), "%s", err.text)) {
            CHECK_SAY(strcmp(before, after) == 0, "the same weights under the same names: %s %s", before,
                      after);
            CHECK(back.metadata.n_classes == 2 && strcmp(back.metadata.classes[1], "b \"c\"") == 0);
            CHECK(back.metadata.temperature == 1.5 && back.metadata.input_offset == -1 &&
                  back.metadata.input_scale == 1 / 127.5);
            if (!nchw) CHECK(strcmp(back.layers[0].name, n.layers[0].name) == 0);
            for (int i = 0; i < back.n_layers; i++)
                if (back.layers[i].n_weights) CHECK(net_find(&n, back.layers[i].name) >= 0);
            net_release(&back);
        }
        net_release(&n);
    }
    unlink(out);
}

/* Whether the file holds the bytes. */
static bool holds(const char *path, const void *bytes, size_t n)
{
    char *all;
    size_t size;
    if (io_read_file(path, 1 << 20, &all, &size, &err)) return false;
    bool found = memmem(all, size, bytes, n) != NULL;
    free(all);
    return found;
}

/* What came from a file goes back with its names and each weight as it was, with a model folder between. */
static void check_names(void)
{
    static const char *const names[] = {"x", "y", "n_c", "n_h", "n_y", "c.weight", "c.bias", "fc.weight"};
    char folder[] = "/tmp/winnow-test-XXXXXX", out[600], model[600];
    struct onnx_read_options any = {0};
    struct net n;
    CHECK(mkdtemp(folder) != NULL);
    snprintf(out, sizeof out, "%s/out.onnx", folder);
    snprintf(model, sizeof model, "%s/model", folder);
    if (!CHECK_SAY(!onnx_read(&n, corpus("plain"), &any, &err) && !net_write_tfjs(&n, model, &err), "%s",
                   err.text))
        return;
    net_release(&n);
    if (!CHECK_SAY(!net_open(&n, model, &err) && onnx_was_nchw(&n) && !onnx_write(&n, out, &forms[1], &err),
                   "%s", err.text))
        return;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char field[32]; /* its length, then its bytes */
        int bytes = snprintf(field, sizeof field, "%c%s", (int)strlen(names[i]), names[i]);
        CHECK_SAY(holds(out, field, (size_t)bytes), "the name %s", names[i]);
    }
    struct net_layer *fc = &n.layers[net_find(&n, "fc") > 0 ? net_find(&n, "fc") : 0];
    float rows[24]; /* [out,in], as the file had them */
    for (int i = 0; fc->n_weights == 2 && i < 24; i++)
        rows[i] = fc->weights[0].values[i % 6 * 4 + i / 6];
    CHECK_SAY(holds(corpus("plain"), rows, sizeof rows) && holds(out, rows, sizeof rows),
              "the weights' bytes");
    CHECK_SAY(!holds(out, "Identity", 8), "no node that the file had not");
    net_release(&n);
    io_remove_tree(folder);
}

/* What --input says and what preprocessor_config.json says come to the same. */
static void check_input(void)
{
    static const char
        opennsfw[] = "{\"do_resize\":true,\"size\":{\"height\":256,\"width\":256},\"do_center_crop\":true,"
                     "\"crop_size\":224,\"do_rescale\":false,\"image_mean\":[104,117,123],"
                     "\"image_std\":[1,1,1],\"resample\":2}",
        timm[] = "{\"size\":{\"shortest_edge\":256},\"do_center_crop\":true,\"crop_size\":{\"height\":224,"
                 "\"width\":224},\"image_mean\":[0.5,0.5,0.5],\"image_std\":[0.5,0.5,0.5],\"resample\":3}";
    char folder[] = "/tmp/winnow-test-XXXXXX", config[600], model[600];
    struct net_input in, beside;
    bool found;
    CHECK(mkdtemp(folder) != NULL);
    snprintf(config, sizeof config, "%s/preprocessor_config.json", folder);
    snprintf(model, sizeof model, "%s/model.onnx", folder);
    CHECK(!net_input_beside(&beside, model, &found, &err) && !found);
    CHECK_SAY(!net_input_parse(&in, "resize=256x256,crop=224,order=bgr,mean=104/117/123,std=1", &err), "%s",
              err.text);
    CHECK(in.first_px == 256 && !in.keep_shape && in.side_px == 224 && in.bgr && in.range == 255 &&
          in.mean[2] == 123);
    CHECK(!atomic_file_write(config, opennsfw, strlen(opennsfw), &err));
    if (CHECK_SAY(!net_input_beside(&beside, model, &found, &err) && found, "%s", err.text)) {
        CHECK(beside.first_px == 256 && !beside.keep_shape && beside.side_px == 224);
        /* in units of 1/255: (byte / 255 - mean) / std */
        for (int c = 0; c < 3; c++)
            CHECK(fabs(beside.mean[c] / beside.std[c] - in.mean[c]) < 1e-9 &&
                  fabs(beside.std[c] * 255 - 1) < 1e-9);
    }
    CHECK(!atomic_file_write(config, timm, strlen(timm), &err));
    if (CHECK_SAY(!net_input_beside(&beside, model, &found, &err) && found, "%s", err.text))
        CHECK(beside.keep_shape && beside.first_px == 256 && beside.side_px == 224 && beside.mean[1] == 0.5 &&
              strcmp(beside.method, "bicubic") == 0);
    static const char *const bad[] =
        {"{\"size\":0}",
         "{\"image_mean\":[1,2]}",
         "[",
         "{\"crop_size\":300,\"do_center_crop\":true,\"size\":{\"shortest_edge\":256}}",
         "{\"image_mean\":[0,0,0],\"image_std\":[0,0,0]}",
         "{\"resample\":0}",
         "{\"resample\":5}",
         "{\"resample\":\"bicubic\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK(!atomic_file_write(config, bad[i], strlen(bad[i]), &err));
        CHECK_SAY(net_input_beside(&beside, model, &found, &err) &&
                      strstr(err.text, "preprocessor_config.json"),
                  "%s", err.text);
        error_clear(&err);
    }
    static const char *const wrong[] = {"resize=256x255", "resize=0", "resize=200,crop=224",
                                        "crop=0",         "mean=1/2", "interpolation=cubic"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK_SAY(net_input_parse(&in, wrong[i], &err), "'%s' is refused: %s", wrong[i], err.text);
    error_clear(&err);
    io_remove_tree(folder);
}

/* Before the gate is one layer that its two inputs come from: a share begins there. Prefixes are blocks. */
static void check_unlock(void)
{
    struct net n;
    struct onnx_read_options any = {0};
    if (!CHECK_SAY(!onnx_read(&n, corpus("gate"), &any, &err), "%s", err.text)) return;
    const char *half = net_unlock_place(&n, "0.5");
    CHECK_SAY(half && strcmp(half, "n_m") == 0, "half of the convolutions: from '%s'", half ? half : "?");
    char *name = strdup("features.0.conv");
    free(n.layers[1].name);
    n.layers[1].name = name;
    CHECK(net_unlock_place(&n, "features.0") == name && net_unlock_place(&n, "features") == name &&
          !net_unlock_place(&n, "feat"));
    net_release(&n);
}

int main(void)
{
    if (!onnx_available()) {
        tap_skip("onnx", "built without ONNX");
        return tap_done();
    }
    check_numbers();
    check_refusals();
    check_external();
    check_own();
    check_names();
    check_unlock();
    check_input();
    return tap_done();
}
