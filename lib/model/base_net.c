/* base_net.c: see base_net.h. */
#include "model/base_net.h"

#include <string.h>

#include "base/text.h"
#include "io/io.h"
#include "net/net_int8.h"
#include "onnx/onnx.h"

static int base_path(const char *base, struct text *path, struct error *err)
{
    if (text_puts(path, base, err)) return -1;
    if (strchr(base, '/') || io_exists(base)) return 0;
    text_clear(path);
    if (text_printf(path, err, "models/base/%s", base)) return -1;
    return io_exists(path->data) ? 0
                                 : error_set(err, EX_NOINPUT,
                                             "--base: no model '%s' here or in models/base: base-weights "
                                             "brings inception_v3, mobilenet_v2 and efficientnet_lite0, 1, 2",
                                             base);
}

int base_net_open(struct net *net, const char *base, const char *input, int side_px, struct error *err)
{
    struct text named = TEXT_EMPTY;
    struct net_input in = {0};
    bool beside = false;
    int rc = base_path(base, &named, err);
    if (!rc) rc = input ? net_input_parse(&in, input, err) : net_input_beside(&in, named.data, &beside, err);
    if (!rc && onnx_open_model(net, named.data, side_px ? side_px : in.side_px, false, err))
        rc = error_prefix(err, "--base");
    if (!rc && net_is_int8(net))
        rc = error_set(
            err, EX_DATAERR,
            "--base '%s' is an int8 model, whose weights are rounded: give the model that it was made "
            "from",
            base);
    if (side_px) in.side_px = 0; /* the pictures' size decides */
    if (!rc && (input || (beside && net->input_assumed)) && net_set_input(net, &in, err))
        rc = error_prefix(err, "--base '%s'", base);
    text_release(&named);
    return rc;
}

int base_net_end_at(struct net *net, const char *layer, const char *base, struct error *err)
{
    return layer && net_end_at(net, layer, err) ? error_prefix(err, "--feature-layer: --base '%s'", base) : 0;
}

int base_net_freeze(struct net *net)
{
    int last = -1;
    for (int i = 0; i < net->n_layers; i++)
        if (net->layers[i].kind == LAYER_CONV2D || net->layers[i].kind == LAYER_DEPTHWISE_CONV2D ||
            net->layers[i].kind == LAYER_BATCH_NORM || net->layers[i].kind == LAYER_SCALE)
            last = i;
    for (int i = 0; i < net->n_layers; i++)
        net->layers[i].trainable = i > last && net->layers[i].n_weights > 0;
    return last;
}

int base_net_unlock(struct net *net, const char *wanted, const char *base, const char **from,
                    struct error *err)
{
    /* auto means the last third, because late layers are the most specific ones. */
    if (strcmp(wanted, "auto") != 0)
        *from = net_unlock_place(net, wanted);
    else
        *from = net_find(net, "conv2d_56") >= 0 ? "conv2d_56" : net_unlock_share(net, 1.0 / 3);
    if (!*from)
        return error_set(err, EX_USAGE, "--unlock-from '%s': '%s' has no such layer or block", wanted, base);
    return net_unlock_from(net, *from, err);
}

int base_net_device(const char *wanted, int precision, unsigned threads, int device_index,
                    const char **device, enum backend_precision *computed_in, struct error *err)
{
    bool automatic = precision == 0;
    struct backend_options options = {.threads = threads,
                                      .deterministic = true,
                                      .device_index = device_index,
                                      .precision = automatic ? PRECISION_F32
                                                             : (enum backend_precision)(precision - 1)};
    const struct backend_table *table;
    struct backend *b = NULL;
    if (backend_open(wanted, &options, &table, &b, err)) return error_prefix(err, "--device %s", wanted);
    *device = table->name;
    *computed_in = automatic && !strcmp(table->name, "cuda") ? PRECISION_TF32 : options.precision;
    table->close(b);
    return 0;
}
