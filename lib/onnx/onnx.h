/*
 * onnx.h: a network as an ONNX file (opset 13), for onnxruntime and everything else that reads it. Writing
 * only.
 */
#ifndef WINNOW_ONNX_ONNX_H
#define WINNOW_ONNX_ONNX_H

#include <stdbool.h>

#include "net/net.h"

bool onnx_available(void); /* false in a build without protobuf-c or onnx.proto */

/*
 * Input "image": float32 [N,H,W,3] (nchw: [N,3,H,W]), RGB, already x = byte * scale + offset as the metadata
 * says; output "probs": [N,classes]. N is symbolic. Weights keep their float32 bits, batch norms stay. The
 * shapes of n must be known. Written atomically. EX_UNAVAILABLE in a build without ONNX.
 */
int onnx_write(const struct net *n, const char *path, bool nchw, struct error *err);

#endif
