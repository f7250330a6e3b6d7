/*
 * base_net.h: opens a published network as the frozen base of a classifier, chooses the device, and decides
 * which of its layers stay frozen. Both programs must decide in the same way, because they share the caches
 * of frozen activations, and a cache for another boundary would be computed again.
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
 * of the last feature map. NULL: does nothing. The shapes must be known. EX_USAGE names base and layer.
 */
int base_net_end_at(struct net *net, const char *layer, const char *base, struct error *err);
/* Freezes everything but the head, which is what follows the last convolution, batch norm or scale.
 * Returns the last frozen layer. */
int base_net_freeze(struct net *net);
/*
 * Unlocks from a layer, a block or a share of the layers on. "auto" is the boundary of the published model
 * where the net has that layer, or else the last third. *from is the layer. EX_USAGE names base when it has
 * no such layer.
 */
int base_net_unlock(struct net *net, const char *wanted, const char *base, const char **from,
                    struct error *err);
/*
 * Finds out what computes: *device is the device that "auto" means; precision is one of BASE_NET_PRECISIONS,
 * of which auto means tf32 on a GPU and fp32 elsewhere. EX_NODEVICE and other errors are those of
 * backend_open.
 */
#define BASE_NET_PRECISIONS "auto|fp32|tf32|bf16|fp16"
int base_net_device(const char *wanted, int precision, unsigned threads, int device_index,
                    const char **device, enum backend_precision *computed_in, struct error *err);

#endif
