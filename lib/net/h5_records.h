/* h5_records.h: the records that the HDF5 child process sends to its parent through a pipe. The name of the
 * layer, the name of the weight and n_bytes of contents follow each record. */
#ifndef WINNOW_NET_H5_RECORDS_H
#define WINNOW_NET_H5_RECORDS_H

#include "net/net_parts.h"

#define H5_MAX_NAMES 65536 /* strings in one attribute */
#define H5_MAX_TEXT NET_MAX_JSON_BYTES
#define H5_MAX_PATH 1024
#define H5_MAX_VALUES (NET_MAX_WEIGHT_BYTES / sizeof(float))

/* H5_OTHER: a dataset of another type than float. The contents of the record are the name of the type,
 * such as "int8". */
enum h5_record_kind {
    H5_CONFIG = 1,
    H5_METADATA,
    H5_KERAS_VERSION,
    H5_LAYER,
    H5_WEIGHT,
    H5_OTHER,
    H5_ERROR,
    H5_END
};

/* The layout that the file must have; Keras writes two. */
enum h5_layout {
    H5_LEGACY, /* .h5: attributes layer_names and weight_names */
    H5_STORE   /* the member of a .keras: datasets below PATH/vars */
};

struct h5_input {
    const char *path;  /* a file, or NULL: */
    const void *image; /* its bytes in memory */
    size_t n_bytes;
};

struct h5_record {
    uint32_t kind, layer_bytes, name_bytes;
    uint32_t opaque; /* H5_WEIGHT: values of two bytes of an opaque type, read as bfloat16 */
    uint32_t rank;   /* H5_ERROR: the exit code */
    int32_t dims[NET_MAX_RANK];
    uint64_t n_bytes;
};

/* Reads the file in the child process, and ends that process. It does not return. */
void h5_child(const struct h5_input *input, int out, enum h5_layout layout, bool header_only)
    __attribute__((noreturn));

#endif
