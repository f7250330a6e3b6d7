/*
 * onnx.h: writes a network as an ONNX file (opset 13), and reads ONNX files of other programs (opset 7 to
 * 26).
 */
#ifndef WINNOW_ONNX_ONNX_H
#define WINNOW_ONNX_ONNX_H

#include <stdbool.h>

#include "net/net.h"

bool onnx_available(void); /* false in a build without protobuf-c or onnx.proto */

struct onnx_form {
    bool nchw; /* the input's axes are [N,3,H,W] instead of [N,H,W,3] */
    /* write the int8 form of n (net_int8.h), with QuantizeLinear and DequantizeLinear around its layers */
    bool int8;
    /* output the input of the last softmax instead of its output; the network must end in a softmax */
    bool logits;
    const char *input_name, *output_name;
};
#define ONNX_FORM_DEFAULTS                                                                                   \
    {                                                                                                        \
        .input_name = "image", .output_name = "probs"                                                        \
    }

/*
 * Writes the file atomically. Its input is float32 RGB, which the caller has already scaled as x = byte *
 * scale + offset with the numbers in the metadata. Its output is [N,classes]. N is symbolic. A network that
 * was read from ONNX keeps the names of that file. Weights keep their float32 bits, and batch norms are not
 * folded. The shapes of n must be known. Fails with EX_UNAVAILABLE in a build without ONNX.
 */
int onnx_write(const struct net *n, const char *path, const struct onnx_form *form, struct error *err);

/* Whether the network came from an ONNX file whose pictures are NCHW. */
bool onnx_was_nchw(const struct net *n);

struct onnx_read_options {
    int height, width; /* size of the input, used if the file does not fix it; 0: not known */
    /* also accept maps with any number of channels, and vectors; for tests of single operators */
    bool any_input;
};

/*
 * Reads a classifier, or a classifier without its head. Transposes are removed, constant expressions
 * computed, and activations that consist of several operators recognised. The names in the file are kept in
 * the metadata, so that onnx_write can use them again. External data must be in the folder of the file.
 * Fails with EX_DATAERR when a node cannot be computed exactly; the message names the file, the node, its
 * operator and the operator set. Fails with EX_UNAVAILABLE in a build without ONNX.
 */
int onnx_read(struct net *n, const char *path, const struct onnx_read_options *options, struct error *err);

/* Whether path is an ONNX file: its name ends in .onnx, or its first bytes show it. */
bool onnx_is_file(const char *path);
/* Opens an ONNX file, or any other model that net_open can read. side_px: the size of the input, used if the
 * file does not fix it; 0: not known. header_only: weights are not read, where the format allows it. */
int onnx_open_model(struct net *n, const char *path, int side_px, bool header_only, struct error *err);

#endif
