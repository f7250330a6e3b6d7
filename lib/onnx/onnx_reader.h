/*
 * onnx_reader.h: shared by the files that read ONNX. The graph is read once, node by node, in the order of
 * the file. A node that depends on constants only is computed at once (onnx_fold.c); any other becomes layers
 * (onnx_layers.c, onnx_arithmetic.c). The layout is recorded with each value, so that a Transpose needs no
 * layer.
 */
#ifndef WINNOW_ONNX_ONNX_READER_H
#define WINNOW_ONNX_ONNX_READER_H

#include <cJSON.h>

#include "base/hash_index.h"
#include "base/mem.h"
#include "net/net_parts.h"
#include "onnx.pb-c.h"
#include "onnx/onnx.h"

#define ONNX_MAX_RANK 8
/* Limit on the numbers that are computed or converted in total. VGG19, the largest of the usual networks,
 * has 144 million. */
#define ONNX_MAX_FOLDED ((size_t)1 << 28)
/* The newest opset that is supported: later ones may add attributes or change meanings. */
#define ONNX_MIN_OPSET 7
#define ONNX_MAX_OPSET 26

/* Dimensions of a layer's value: a map whose channels are in groups has five. */
#define VALUE_MAX_RANK 5

/* In integer constants: the number of pictures, and what depends on it in another way. */
#define SIZE_BATCH INT64_MIN
#define SIZE_UNKNOWN (INT64_MIN + 1)

struct constant {
    int rank;
    int64_t dim[ONNX_MAX_RANK];
    size_t n;
    /* one of the two is set; f may point into the file */
    const float *f;
    const int64_t *i;
};

/*
 * What a value is, where it is not simply a layer's output: GELU on its way (x * (1 + erf(x / sqrt 2)) / 2,
 * as exporters spell it before operator set 20), a vector repeated over a map, a map with pads below every
 * number.
 */
enum value_form {
    FORM_PLAIN,
    FORM_ERF,
    FORM_ONE_AND_ERF,
    FORM_DOUBLE_GELU,
    FORM_GELU_GATE,
    FORM_REPEATED,
    FORM_PADDED_BELOW
};
static inline bool form_is_gelu(enum value_form f) { return f >= FORM_ERF && f <= FORM_GELU_GATE; }

/*
 * A name of the graph: a constant, or a layer's output seen as a tensor of `rank` dimensions, pictures first
 * and channels at c_axis. A map has rank 4 and c_axis 1 (NCHW) or 3 (NHWC); a vector has any number of 1s
 * around its channels. chw: a map as one vector, in NCHW's order. groups above 0: a map of rank 5, whose
 * channels are two dimensions, [groups, channels / groups], where a map of rank 4 has one.
 */
struct value {
    const char *name;
    int uses; /* inputs of nodes, and the graph's output */
    bool known;
    const Onnx__TensorProto *tensor; /* not looked at yet */
    struct constant *constant;
    const char *origin; /* the initializer whose numbers these are */
    int layer, rank, c_axis;
    bool chw;
    int groups;
    enum value_form form;
    int below[4]; /* FORM_PADDED_BELOW: rows before, columns before, rows after, columns after */
};

struct reader {
    struct error *err;
    const char *path;
    const struct onnx_read_options *options;
    Onnx__ModelProto *model;
    const Onnx__NodeProto *node; /* the current node; NULL outside of nodes */
    int opset;
    int64_t batch; /* batch size for which the file was made; SIZE_BATCH for any */
    struct net *net;
    struct arena arena;
    struct value *values;
    size_t n_values, value_room;
    struct hash_index index;
    int *as_map, *as_vector; /* layers that show another's output with other dimensions; 0: none */
    size_t shown_room;
    size_t folded; /* numbers computed so far */
    cJSON *names;  /* what the file calls the layers' parts; onnx_names.h */
};

/* EX_DATAERR with the node, its operator and the operator set before the text. Returns -1. */
int reader_fail(struct reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

bool reader_is_own_file(const struct reader *r); /* winnow wrote it */

/* --- onnx_value.c --- */

struct value *value_find(struct reader *r, const char *name);   /* NULL: not there */
struct value *value_define(struct reader *r, const char *name); /* NULL with err set: no memory, or twice */
struct value *node_input(struct reader *r, size_t i);           /* NULL: left out */
struct value *node_output(struct reader *r);                    /* defines the first output */
struct value *node_output_at(struct reader *r, size_t i);
const struct constant *value_constant(struct reader *r, struct value *v); /* NULL with err set */
/* A constant of these dimensions with room for its numbers, which the caller fills. NULL with err set. */
struct constant *constant_new(struct reader *r, int rank, const int64_t *dim, bool floats);
static inline bool value_is_constant(const struct value *v) { return v && (v->tensor || v->constant); }
static inline bool value_is_layer(const struct value *v) { return v && v->known && !value_is_constant(v); }
/* dim[0..rank) of a layer's value. */
void value_dims(const struct reader *r, const struct value *v, int64_t dim[VALUE_MAX_RANK]);
int value_channels(const struct reader *r, const struct value *v);
/* Whether the value of a picture has only the dimension of channels. */
bool value_is_vector(const struct reader *r, const struct value *v);

const Onnx__AttributeProto *attribute_of(const struct reader *r, const char *name);
int64_t attribute_int(const struct reader *r, const char *name, int64_t missing);
double attribute_float(const struct reader *r, const char *name, double missing);
/* Copies at most `room` values to out. Returns their number, or -1 if the attribute is missing or too
 * long. */
int attribute_ints(const struct reader *r, const char *name, int64_t *out, int room);
bool attribute_is(const struct reader *r, const char *name, const char *text, bool missing);
/* Reads an input of integers or, without it, the attribute. Returns their number, -1 if neither exists, or
 * -2 with err set. */
int integers_of(struct reader *r, size_t input, const char *attribute, int64_t *out, int room);

/* --- onnx_external.c --- */

/* Reads the bytes of a tensor from another file in the model's folder into the arena. NULL with err set. */
const void *external_bytes(struct reader *r, const Onnx__TensorProto *t, size_t n_bytes);

/* --- onnx_fold.c --- */

/* 1: done, *out is the result (NULL: the first input itself); 0: not an operation on constants; -1. */
int fold_node(struct reader *r, struct constant **out, const char **origin);
bool fold_knows(const Onnx__NodeProto *n);

/* --- onnx_layers.c, onnx_arithmetic.c, onnx_views.c --- */

/* Returns -1 with err set for an unknown operator. */
int check_operator(struct reader *r);
/* Turns the node into layers, or into another view of an existing value. */
int read_node(struct reader *r);
struct onnx_operator {
    const char *op, *attributes; /* attributes: the names that are known, separated by blanks */
    int (*read)(struct reader *r);
};
/* The operators of each file, ended by one without a name. */
extern const struct onnx_operator arithmetic_operators[], view_operators[], move_operators[],
    window_operators[];
/* Adds a channel shuffle of a map whose channels are in `groups` groups. Returns the layer, or -1 with err
 * set. */
int channels_shuffled(struct reader *r, int layer, int groups);

/* The first input as a map in NCHW: the layer, -1 with err set. */
int map_input(struct reader *r);
/* An input of real numbers, and what the file calls it (name NULL: not wanted). NULL with err set. */
const struct constant *constant_input(struct reader *r, size_t i, const char **name);
/* The layer's weight of this role becomes c. */
int give_vector(struct reader *r, int layer, enum weight_role role, const char *name,
                const struct constant *c);
/* A layer that reads `inputs`, named after the node (or after the weight, PyTorch's "features.0.weight"). */
struct net_layer *layer_new(struct reader *r, enum layer_kind kind, const char *weight, const int *inputs,
                            int n_inputs);
/* Makes the entries of its weights, and computes the shape of its output. Its fields must be set. */
int layer_finish(struct reader *r, int layer);
/* Adds a weight; the caller fills the values in the order of the layer. `name` is its name in the file, or
 * NULL. */
float *layer_weight(struct reader *r, int layer, enum weight_role role, const char *name);
/* Defines the output of the node as that of a layer, with this rank and channel axis. */
int layer_output(struct reader *r, int layer, int rank, int c_axis);
int layer_output_at(struct reader *r, size_t output, int layer, int rank, int c_axis);
int layer_as_map(struct reader *r, const struct value *v);    /* returns -1 with err set */
int layer_as_vector(struct reader *r, const struct value *v); /* of a chw value: in NHWC's order */

/* --- onnx_names.c --- */

int names_layer(struct reader *r, int layer, const char *node, const char *output);
int names_weight(struct reader *r, int layer, enum weight_role role, const char *name,
                 const struct constant *c, const char *how);

/* --- onnx_scan.c --- */

/* Checks depth and number of messages, before anything is unpacked. EX_DATAERR. */
int onnx_scan(const unsigned char *bytes, size_t n_bytes, struct error *err);

#endif
