/*
 * base_net.h: a published network as the frozen base of a classifier: how train and embed find it, which
 * device computes it, and what of it stays frozen. Both must decide alike: the caches of frozen activations
 * are shared between them, and a cache of another boundary would be computed again.
 */
#ifndef WINNOW_MODEL_BASE_NET_H
#define WINNOW_MODEL_BASE_NET_H

#include "base/error.h"
#include "net/net.h"
#include "tensor/backend.h"

/*
 * Opens a model folder or file; a bare name that is not here is looked for among the bases that base-weights
 * brings. EX_NOINPUT names those; other errors are net_open's.
 */
int base_net_open(struct net *net, const char *base, struct error *err);
/* Freezes all but the head: what follows the last convolution or batch norm. Returns the last frozen layer.
 */
int base_net_freeze(struct net *net);
/*
 * Unlocks from a layer, block or share on; "auto": the published model's own boundary where the net has it,
 * else the last third. *from is the layer. EX_USAGE names base, which has no such layer.
 */
int base_net_unlock(struct net *net, const char *wanted, const char *base, const char **from,
                    struct error *err);
/*
 * What computes: *device is what "auto" became; precision is a choice of BASE_NET_PRECISIONS, where auto is
 * tf32 on a GPU and fp32 elsewhere. EX_NODEVICE and other errors are backend_open's.
 */
#define BASE_NET_PRECISIONS "auto|fp32|tf32|bf16"
int base_net_device(const char *wanted, int precision, unsigned threads, int device_index,
                    const char **device, enum backend_precision *computed_in, struct error *err);

#endif
