/*
 * onnx.h: a network as an ONNX file (opset 13), for onnxruntime and everything else that reads it; and the
 * files of others (opset 7 to 26) as networks.
 */
#ifndef WINNOW_ONNX_ONNX_H
#define WINNOW_ONNX_ONNX_H

#include <stdbool.h>

#include "net/net.h"

bool onnx_available(void); /* false in a build without protobuf-c or onnx.proto */

struct onnx_form {
    bool nchw; /* the input's order of axes: [N,3,H,W] instead of [N,H,W,3] */
    bool int8; /* the int8 form of n (net_int8.h) as QuantizeLinear and DequantizeLinear around its layers */
    bool logits; /* what the last softmax takes instead of what it gives; the network has to end in one */
    const char *input_name, *output_name;
};
#define ONNX_FORM_DEFAULTS                                                                                   \
    {                                                                                                        \
        .input_name = "image", .output_name = "probs"                                                        \
    }

/*
 * Input: float32, RGB, already x = byte * scale + offset as the metadata says; output: [N,classes]. N is
 * symbolic. A network that was read from ONNX keeps that file's names. Weights keep their float32 bits, batch
 * norms stay. The shapes of n must be known. Written atomically. EX_UNAVAILABLE in a build without ONNX.
 */
int onnx_write(const struct net *n, const char *path, const struct onnx_form *form, struct error *err);

/* Whether the network came from an ONNX file whose pictures are NCHW. */
bool onnx_was_nchw(const struct net *n);

struct onnx_read_options {
    int height, width; /* where the file leaves them open; 0: not known */
    bool any_input;    /* also maps of any number of channels, and vectors: the cases of single operators */
};

/*
 * A classifier or the part of one before its head. Layouts are planned away, constants computed, activations
 * that are spelled out put together again; what the file calls its parts is kept in the metadata, so that
 * onnx_write calls them the same. External data must lie in the file's folder. What cannot be computed
 * exactly is EX_DATAERR with the file, the node, its operator and the operator set. EX_UNAVAILABLE in a build
 * without ONNX.
 */
int onnx_read(struct net *n, const char *path, const struct onnx_read_options *options, struct error *err);

/* By its name, which ends in .onnx, or its first bytes. */
bool onnx_is_file(const char *path);
/* An ONNX file, or whatever net_open knows. side_px: where the file leaves it open; 0: not known. */
int onnx_open_model(struct net *n, const char *path, int side_px, struct error *err);

#endif
