/*
 * base_net.h: opens a published network as the frozen base of a classifier, chooses the device, and decides
 * which of its layers stay frozen. train and embed must decide in the same way, because they share the caches
 * of frozen activations. With another boundary all activations would be computed again.
 */
#ifndef WINNOW_MODEL_BASE_NET_H
#define WINNOW_MODEL_BASE_NET_H

#include "base/error.h"
#include "net/net.h"
#include "tensor/backend.h"

/*
 * Opens a model folder or file. An ONNX file without a fixed size is opened for pictures of side_px, or, if
 * that is 0, of the side in `input`. A plain name that is not a file is looked up among the bases that
 * base-weights downloads; the message of EX_NOINPUT lists these. input, or NULL: the preprocessing, in the
 * form of net_input_parse. Without it, and if the model does not record it, preprocessor_config.json beside
 * the model is used. Other errors are those of net_open and onnx_read.
 */
int base_net_open(struct net *net, const char *base, const char *input, int side_px, struct error *err);
/*
 * Applies --feature-layer: the head will be attached to this layer, or to the last layer of a block, instead
 * of the last feature map. With layer NULL it does nothing. The shapes must be known. Returns 0, or -1 with
 * err set (EX_USAGE; the message names base and layer).
 */
int base_net_end_at(struct net *net, const char *layer, const char *base, struct error *err);
/* Freezes all layers but the head. The head is all layers after the last convolution, batch norm or scale.
 * Returns the index of the last frozen layer. */
int base_net_freeze(struct net *net);
/*
 * Unlocks all layers from `wanted` on: a layer, a block, or a share of the layers. "auto" means the boundary
 * of the published model if the net has that layer, and otherwise the last third. *from becomes the name of
 * the first unlocked layer. Fails with EX_USAGE when base has no such layer.
 */
int base_net_unlock(struct net *net, const char *wanted, const char *base, const char **from,
                    struct error *err);
/*
 * Chooses the device and the precision. *device becomes the device that "auto" means. precision is one of
 * BASE_NET_PRECISIONS; auto means tf32 on a GPU and fp32 elsewhere. Errors are those of backend_open, such as
 * EX_NODEVICE.
 */
#define BASE_NET_PRECISIONS "auto|fp32|tf32|bf16|fp16"
int base_net_device(const char *wanted, int precision, unsigned threads, int device_index,
                    const char **device, enum backend_precision *computed_in, struct error *err);

#endif
