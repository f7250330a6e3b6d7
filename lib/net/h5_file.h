/*
 * h5_file.h: reads an HDF5 file of Keras in a child process (h5_child.c), and keeps its names, shapes and
 * values. Only sizes have been checked.
 */
#ifndef WINNOW_NET_H5_FILE_H
#define WINNOW_NET_H5_FILE_H

#include "net/h5_records.h"

struct h5_weight {
    char *layer, *name;
    struct net_shape shape;
    float *values; /* owned by this struct until they are moved into a network */
    size_t n_values;
    bool opaque, taken; /* opaque: bfloat16, if the layer says so */
    char *other;        /* the type of the values if they are not floats, such as "int8" */
};

struct h5_file {
    char *config, *metadata; /* JSON texts or NULL */
    char *version;           /* "3.15.1" or NULL */
    size_t config_bytes, metadata_bytes;
    char **layers;
    size_t n_layers, layer_room;
    struct h5_weight *weights;
    size_t n_weights, weight_room;
};

/* Reads the file, which messages call name. With header_only, values are NULL. On failure f is empty. */
int h5_file_read(struct h5_file *f, const struct h5_input *input, const char *name, enum h5_layout layout,
                 bool header_only, struct error *err);
void h5_file_release(struct h5_file *f);

/* For weights of keras-applications, which have no topology: builds the network to which they belong, and
 * renames the layers of the file to those of the network. */
int h5_build_application(struct net *n, struct h5_file *f, struct error *err);

#endif
