/*
 * preprocessor_fuzz.c: how pictures become a network's input, from a stranger's preprocessor_config.json
 * (bytes that begin with a brace) or from --input. What is read must be usable: finite numbers, a size that
 * fits, and a network takes it.
 */
/* needs: net io base */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/net.h"

static char folder[64], path[96];

static void clean_up(void)
{
    unlink(path);
    rmdir(folder);
}

/* A picture and its average: a network that takes what was said. */
static void take(struct net_input *in)
{
    struct net n = NET_EMPTY;
    struct error err = {0};
    n.layers = calloc(2, sizeof *n.layers);
    int *from = calloc(1, sizeof *from);
    if (!n.layers || !from) abort();
    n.layers[0].name = strdup("in");
    n.layers[0].kind = LAYER_INPUT;
    n.layers[0].output = (struct net_shape){3, {32, 32, 3}};
    n.layers[1].name = strdup("gap");
    n.layers[1].kind = LAYER_GLOBAL_AVERAGE_POOL;
    n.layers[1].inputs = from;
    n.layers[1].n_inputs = 1;
    n.n_layers = 2;
    n.output = 1;
    n.metadata.input_scale = 1.0 / 255;
    n.metadata.temperature = 1;
    if (net_set_input(&n, in, &err) ? !err.text[0] : net_infer_shapes(&n, 0, 0, &err)) abort();
    net_release(&n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct net_input in = {0};
    struct error err = {0};
    bool found = true;
    int rc;
    if (size && data[0] == '{') {
        if (!path[0]) {
            snprintf(folder, sizeof folder, "%s/winnow-fuzz-XXXXXX",
                     access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
            if (!mkdtemp(folder)) abort();
            snprintf(path, sizeof path, "%s/preprocessor_config.json", folder);
            atexit(clean_up);
        }
        FILE *f = fopen(path, "wb");
        if (!f || fwrite(data, 1, size, f) != size || fclose(f)) abort();
        rc = net_input_beside(&in, folder, &found, &err);
        if (!rc && !found) abort();
    } else {
        char *text = strndup((const char *)data, size);
        if (!text) return 0;
        rc = net_input_parse(&in, text, &err);
        free(text);
    }
    if (rc) {
        if (!err.text[0] || !err.code) abort(); /* an error must say something */
        return 0;
    }
    for (int c = 0; c < 3; c++)
        if (!isfinite(in.mean[c]) || !isfinite(in.std[c]) || in.std[c] <= 0) abort();
    if (in.side_px < 0 || in.first_px < 0 || (in.first_px && in.first_px < in.side_px)) abort();
    take(&in);
    return 0;
}
