/*
 * onnx_reader.h: shared by the files that read ONNX. The graph is read once, node by node, in the order of
 * the file. A node that depends on constants only is computed at once (onnx_fold.c). Any other node becomes
 * layers (onnx_layers.c, onnx_arithmetic.c). Each value records its layout, so a Transpose needs no layer.
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

/* The largest number of dimensions of a layer's value: a map whose channels are in groups has five. */
#define VALUE_MAX_RANK 5

/* Symbols in integer constants: SIZE_BATCH is the number of pictures; the other is a number that depends on
 * it in some other way. */
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
 * What a value is when it is not simply a layer's output: an intermediate result of GELU (x * (1 + erf(x /
 * sqrt 2)) / 2, as exporters write it before operator set 20), a vector that is repeated over a map, or a map
 * whose padding is lower than every number.
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
 * The value of a name in the graph: a constant, or a layer's output seen as a tensor of `rank` dimensions.
 * The pictures are the first axis, and the channels are at c_axis. A map has rank 4 and c_axis 1 (NCHW) or 3
 * (NHWC); a vector has any number of 1s around its channels. chw: a map as one vector, in NCHW's order.
 * groups above 0: a map of rank 5, whose channels are two dimensions, [groups, channels / groups], where a
 * map of rank 4 has one.
 */
struct value {
    const char *name;
    int uses; /* how many inputs of nodes, and outputs of the graph, read it */
    bool known;
    const Onnx__TensorProto *tensor; /* not looked at yet */
    struct constant *constant;
    const char *origin; /* name of the initializer with these numbers */
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
    /* for each layer, a layer that has the same values with other dimensions; 0: none */
    int *as_map, *as_vector;
    size_t shown_room;
    size_t folded; /* numbers computed so far */
    cJSON *names;  /* names in the file for the layers' parts (onnx_names.h) */
};

/* Sets err to EX_DATAERR, with the node, its operator and the operator set before the text. Returns -1. */
int reader_fail(struct reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

bool reader_is_own_file(const struct reader *r); /* winnow wrote it */

/* --- onnx_value.c --- */

struct value *value_find(struct reader *r, const char *name);   /* NULL: not there */
struct value *value_define(struct reader *r, const char *name); /* NULL with err set: no memory, or twice */
struct value *node_input(struct reader *r, size_t i);           /* NULL: left out */
struct value *node_output(struct reader *r);                    /* defines the first output */
struct value *node_output_at(struct reader *r, size_t i);
const struct constant *value_constant(struct reader *r, struct value *v); /* NULL with err set */
/* Returns a new constant of these dimensions, whose numbers the caller sets, or NULL with err set. */
struct constant *constant_new(struct reader *r, int rank, const int64_t *dim, bool floats);
static inline bool value_is_constant(const struct value *v) { return v && (v->tensor || v->constant); }
static inline bool value_is_layer(const struct value *v) { return v && v->known && !value_is_constant(v); }
/* Sets dim[0..rank) to the dimensions of a layer's value. */
void value_dims(const struct reader *r, const struct value *v, int64_t dim[VALUE_MAX_RANK]);
int value_channels(const struct reader *r, const struct value *v);
/* Whether the value has no other dimensions than pictures and channels. */
bool value_is_vector(const struct reader *r, const struct value *v);

const Onnx__AttributeProto *attribute_of(const struct reader *r, const char *name);
int64_t attribute_int(const struct reader *r, const char *name, int64_t missing);
double attribute_float(const struct reader *r, const char *name, double missing);
/* Copies at most `room` values to out. Returns their number, or -1 if the attribute is missing or too
 * long. */
int attribute_ints(const struct reader *r, const char *name, int64_t *out, int room);
bool attribute_is(const struct reader *r, const char *name, const char *text, bool missing);
/* Reads the integers of an input, or of the attribute if the node has no such input. Returns their number, -1
 * if neither exists, or -2 with err set. */
int integers_of(struct reader *r, size_t input, const char *attribute, int64_t *out, int room);

/* --- onnx_external.c --- */

/* Reads the bytes of a tensor from another file in the model's folder into the arena, and returns them, or
 * NULL with err set. */
const void *external_bytes(struct reader *r, const Onnx__TensorProto *t, size_t n_bytes);

/* --- onnx_fold.c --- */

/* Computes the node if it is an operation on constants. Returns 1 with the result in *out (NULL: the first
 * input itself), 0 when it is not such an operation, or -1 with err set. */
int fold_node(struct reader *r, struct constant **out, const char **origin);
bool fold_knows(const Onnx__NodeProto *n);

/* --- onnx_layers.c, onnx_arithmetic.c, onnx_views.c --- */

/* Returns 0 when the operator of the current node is known, or -1 with err set. */
int check_operator(struct reader *r);
/* Adds the layers that compute the current node, or defines its output as another view of an existing
 * value. */
int read_node(struct reader *r);
struct onnx_operator {
    const char *op, *attributes; /* attributes: names of the supported attributes, separated by blanks */
    int (*read)(struct reader *r);
};
/* The operators of each file. The last entry has no name. */
extern const struct onnx_operator arithmetic_operators[], view_operators[], move_operators[],
    window_operators[];
/* Adds a channel shuffle of a map whose channels are in `groups` groups. Returns the layer, or -1 with err
 * set. */
int channels_shuffled(struct reader *r, int layer, int groups);

/* Returns the layer whose output is the node's first input, as a map in NCHW, or -1 with err set. */
int map_input(struct reader *r);
/* Returns the constant that input i of the node is, or NULL with err set. *name becomes its name in the file
 * (name may be NULL). */
const struct constant *constant_input(struct reader *r, size_t i, const char **name);
/* Sets the layer's weight of this role to the constant c. */
int give_vector(struct reader *r, int layer, enum weight_role role, const char *name,
                const struct constant *c);
/* Adds a layer that reads `inputs`. Its name is that of the node, or it is derived from the name of a weight,
 * such as PyTorch's "features.0.weight". */
struct net_layer *layer_new(struct reader *r, enum layer_kind kind, const char *weight, const int *inputs,
                            int n_inputs);
/* Completes a layer whose fields are set: creates the entries of its weights, and computes the shape of its
 * output. */
int layer_finish(struct reader *r, int layer);
/* Adds a weight; the caller fills the values in the order of the layer. `name` is its name in the file, or
 * NULL. */
float *layer_weight(struct reader *r, int layer, enum weight_role role, const char *name);
/* Defines the output of the node as that of a layer, with this rank and channel axis. */
int layer_output(struct reader *r, int layer, int rank, int c_axis);
int layer_output_at(struct reader *r, size_t output, int layer, int rank, int c_axis);
int layer_as_map(struct reader *r, const struct value *v); /* returns -1 with err set */
/* for a value with chw set: a layer with the vector in NHWC's order */
int layer_as_vector(struct reader *r, const struct value *v);

/* --- onnx_names.c --- */

int names_layer(struct reader *r, int layer, const char *node, const char *output);
int names_weight(struct reader *r, int layer, enum weight_role role, const char *name,
                 const struct constant *c, const char *how);

/* --- onnx_scan.c --- */

/* Checks the depth and the number of protobuf messages before they are unpacked. Returns 0, or -1 with err
 * set (EX_DATAERR). */
int onnx_scan(const unsigned char *bytes, size_t n_bytes, struct error *err);

#endif
