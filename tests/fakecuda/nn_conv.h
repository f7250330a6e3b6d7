/*
 * nn_conv.h: a convolution that runs: what cudnn_graph.c makes of a graph and cudnn_convolution.c computes.
 */
#ifndef FAKECUDA_NN_CONV_H
#define FAKECUDA_NN_CONV_H

#include "nn.h"

struct nn_filter { /* [k][h][w][c], c of one group */
    cudnnDataType_t type;
    int k, c, h, w;
};

struct nn_conv {
    tensor x, y, add_desc; /* backward: dx or x, dy */
    struct nn_filter w;
    int pad_h, pad_w, stride_h, stride_w, dilation_h, dilation_w, groups; /* pads: above and to the left */
    float beta;
    bool tf32; /* operands are rounded to TF32 */
    const void *px, *pw, *py, *bias, *add;
    void *out, *workspace;
    size_t workspace_bytes;
    bool relu;
    double ms;    /* how long it takes */
    bool wobbles; /* its last bits are others each time */
};

/* Work for a stream; args is a struct nn_conv. */
void nn_conv_forward_run(const void *args);
void nn_conv_backward_data_run(const void *args);
void nn_conv_backward_filter_run(const void *args);

#endif
