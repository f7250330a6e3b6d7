/* net_parts.h: declarations that the files of lib/net share, and the limits for model files from
 * strangers, each with its reason. */
#ifndef WINNOW_NET_NET_PARTS_H
#define WINNOW_NET_NET_PARTS_H

#include <cJSON.h>

#include "net/net.h"

/*
 * The model.json of InceptionV3 has 180 kB and 25,000 values, and that of the largest Keras application some
 * 2 MB. A parsed value takes 64 bytes, so that a million values take 64 MB. Real files have fewer than 12
 * levels.
 */
#define NET_MAX_JSON_BYTES (16u << 20)
#define NET_MAX_JSON_VALUES 1000000
#define NET_MAX_JSON_DEPTH 32
#define NET_MAX_LAYERS 8192    /* NASNet-Large has 1,041 */
#define NET_MAX_NAME_BYTES 255 /* names are used as HDF5 groups and in messages */
/* The limit for one axis. A product of four axes is then below 2^80, and mostly below 2^63. */
#define NET_MAX_DIM (1 << 20)
#define NET_MAX_ACTIVATION (1 << 30)      /* elements of one layer's output for one picture */
#define NET_MAX_WEIGHT_BYTES (4ull << 30) /* float32 bytes of all weights; VGG19 has 0.57 GB */
#define NET_MAX_SHARDS 4096

/* A block with the values of many weights, freed with the net. */
struct net_store {
    void *base;
    size_t bytes;
    bool mapped;
    struct net_store *next;
};
/* Returns a block of n_values floats, all 0, aligned for SIMD and large pages. The block belongs to n.
 * Returns NULL with err set on failure. */
float *net_store_floats(struct net *n, size_t n_values, struct error *err);
/* Frees the values, unless they are in a store. */
void net_weight_drop_values(struct net *n, struct net_weight *w);
void net_layer_release(struct net *n, struct net_layer *layer);

/* --- layers and weights --- */

/* Returns the role of a weight that has this name in a file, for this kind of layer (for example "kernel" of
 * a depthwise convolution in Keras 3), or -1. */
int weight_role_parse(enum layer_kind kind, const char *name);
const char *weight_role_name(enum weight_role role); /* "moving_mean" */
bool layer_name_ok(const char *name);
/*
 * Parses the name of an activation, such as "swish". keras3: the file is Keras 3's, in which one name has
 * another meaning. Sets *alpha to the parameter that the name implies (0.2 for "leaky_relu"). Returns 0, or
 * -1 (without err) for an unknown name.
 */
int net_activation_parse(const char *name, bool keras3, enum activation_kind *kind, float *alpha);
/* Returns the name of an activation, or NULL when no name means this kind with this alpha. */
const char *net_activation_name(enum activation_kind kind, float alpha, bool keras3);

/* Adds a layer to the net and returns it. Its fields are 0 or usable defaults, and its name is a copy. The
 * pointer is valid until the next layer is added. */
struct net_layer *net_add_layer(struct net *n, enum layer_kind kind, const char *name, struct error *err);
int net_layer_connect(struct net_layer *layer, const int *inputs, int n_inputs, struct error *err);

/* Creates the weight entries of the layer from its flags, in Keras' order, with names and roles but without
 * shapes and values. */
int net_layer_make_weights(struct net_layer *layer, struct error *err);
/* Whether the layer is a ZeroPadding2D with negative padding, which is Keras' Cropping2D. */
static inline bool net_is_cropping(const struct net_layer *l)
{
    return l->pad_top < 0 || l->pad_bottom < 0 || l->pad_left < 0 || l->pad_right < 0;
}
/* Returns the shape that the weight must have for this input shape of the layer. An unknown dimension is
 * -1. */
struct net_shape net_weight_shape(const struct net_layer *layer, const struct net_shape *input,
                                  enum weight_role role);
/* Sets the shape of every weight from net_weight_shape, and its values to 0, or to 1 for moving_variance and
 * gamma. */
int net_alloc_weights(struct net *n, int first_layer, struct error *err);

/* Writes "[3,3,32,64]" to out (NET_SHAPE_TEXT_BYTES), with '?' for unknown dimensions. Returns out. */
#define NET_SHAPE_TEXT_BYTES 64 /* four numbers of 11 characters and their marks */
const char *net_shape_text(char *out, const struct net_shape *s);
bool net_shape_equal(const struct net_shape *a, const struct net_shape *b);
/* Sets *out to the product of the dimensions. Returns false on overflow, or when a dimension is negative. */
bool net_shape_count(const struct net_shape *s, size_t *out);

/* Sets the output shape of one layer from those of its inputs, and checks its
 * weights. EX_DATAERR names the layer. */
int net_infer_layer(struct net *n, int layer, struct error *err);
/* Does the same, but the message does not name the layer. */
int net_layer_infer(struct net *n, int layer, struct error *err);
/* Makes `layer` the output, and removes all layers that it does not depend on. It must depend on the
 * input. */
int net_keep_before(struct net *n, int layer, struct error *err);

/* Sorts layers from the order in which a builder made them into the order of Keras' layer list
 * (by depth, then by traversal). */
int net_sort_keras_order(struct net *n, struct error *err);

/* --- JSON --- */

/* Parses JSON strictly: it must be UTF-8, have no duplicate keys and nothing after its end. Size, depth and
 * number of values are limited. Fails with EX_DATAERR. */
int net_json_parse(const char *bytes, size_t n_bytes, cJSON **out, struct error *err);
/* Opens a JSON object to replace the value of one key. text is the object (NULL: an empty one). *value
 * becomes a new object under the key, which the caller fills. net_json_keep then writes the whole object *all
 * to *text and releases it. */
int net_json_reopen(const char *text, const char *key, cJSON **all, cJSON **value, struct error *err);
int net_json_keep(char **text, cJSON *all, struct error *err);
const cJSON *net_json_get(const cJSON *object, const char *key); /* returns NULL when absent or null */
int net_json_int(const cJSON *v, long min, long max, int *out);  /* 0 or -1, no err */

struct net_sources; /* net_sources.h */
/*
 * Reads a Keras model (model_config, modelTopology, config.json of a .keras) into layers without weight
 * values, and determines where the file stores these values. version: of the Keras that wrote the file, or
 * NULL; a version in the topology takes precedence. The caller releases n and the sources, also after an
 * error.
 */
int net_read_topology(struct net *n, const cJSON *topology, const char *version, struct net_sources *sources,
                      struct error *err);
/* Returns the network as a Keras 2 model_config, which the caller frees with cJSON_Delete, or NULL with err
 * set. */
cJSON *net_write_topology(const struct net *n, struct error *err);
/* Returns the Keras 2 class of a layer, and adds its settings, except name and trainable, to c. */
const char *net_layer_class(const struct net_layer *layer);
void net_layer_config(const struct net_layer *layer, cJSON *c);
/* Converts a class name to the form in Keras 3's weight files: Conv2D is conv2d, ReLU is re_lu. */
void net_snake_case(const char *name, char *out, size_t room);
/*
 * Writes the HDF5 file of a .keras into *bytes (malloc'ed). paths[i] is the group of layer i
 * ("layers/conv2d_1"), or NULL to omit it; names[i] is its name in Keras.
 */
int net_h5_store(const struct net *n, char *const *paths, const char *const *names, char **bytes,
                 size_t *n_bytes, struct error *err);
/* Reads userDefinedMetadata. With object NULL, sets the defaults. */
int net_read_metadata(struct net_metadata *m, const cJSON *object, struct error *err);
cJSON *net_write_metadata(const struct net *n, const char *model_id, struct error *err);
void net_metadata_defaults(struct net_metadata *m);
/* For a file that does not say how its input is scaled: if its first layers scale 0..255, the input is
 * bytes; otherwise the defaults are kept. */
void net_guess_input(struct net *n, bool header_only);

/* --- readers --- */

int net_read_tfjs(struct net *n, const char *folder, const char *json_path, bool header_only,
                  struct error *err);
int net_read_h5(struct net *n, const char *path, bool header_only, struct error *err);
int net_read_keras(struct net *n, const char *path, bool header_only, struct error *err);
int net_read_keras_folder(struct net *n, const char *folder, bool header_only, struct error *err);
int net_read_torch(struct net *n, const char *path, struct error *err);
/* Checks that every weight exists and has the right shape. A reader calls it after it has filled layers and
 * weights. */
int net_check_complete(struct net *n, struct error *err);

#endif
