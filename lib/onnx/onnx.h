/*
 * onnx.h: a network as an ONNX file (opset 13), for onnxruntime and everything else that reads it. Writing
 * only.
 */
#ifndef WINNOW_ONNX_ONNX_H
#define WINNOW_ONNX_ONNX_H

#include <stdbool.h>

#include "net/net.h"

bool onnx_available(void); /* false in a build without protobuf-c or onnx.proto */

struct onnx_form {
    bool nchw;   /* the input's order of axes: [N,3,H,W] instead of [N,H,W,3] */
    bool logits; /* what the last softmax takes instead of what it gives; EX_DATAERR without such a softmax */
    const char *input_name, *output_name;
};
#define ONNX_FORM_DEFAULTS                                                                                   \
    {                                                                                                        \
        .input_name = "image", .output_name = "probs"                                                        \
    }

/*
 * Input: float32, RGB, already x = byte * scale + offset as the metadata says; output: [N,classes]. N is
 * symbolic. Weights keep their float32 bits, batch norms stay. The shapes of n must be known. Written
 * atomically. EX_UNAVAILABLE in a build without ONNX.
 */
int onnx_write(const struct net *n, const char *path, const struct onnx_form *form, struct error *err);

#endif
