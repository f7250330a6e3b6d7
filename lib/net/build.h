/* build.h: functions that the built-in builders of networks share. After a failure, all further calls do
 * nothing, and build_finish returns the failure. */
#ifndef WINNOW_NET_BUILD_H
#define WINNOW_NET_BUILD_H

#include "net/net_parts.h"

struct builder {
    struct net *net;
    struct error *err;
    bool failed;
    int convs, averages, maxima, concats;
};

int build_input(struct builder *b, int side); /* "input_1"; returns its index, 0 */
/* Adds a layer and returns its index. Its fields are set through build_last. */
int build_layer(struct builder *b, enum layer_kind kind, const char *name, const int *inputs, int n_inputs);
struct net_layer *build_last(struct builder *b);
/* Completes the net: sets the names, the weights (to 0), Keras' order of the layers and the shapes. On
 * failure the net is released. */
int build_finish(struct builder *b, const char *name);

#endif
