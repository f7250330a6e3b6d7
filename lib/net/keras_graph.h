/*
 * keras_graph.h: shared by the files that read Keras' models. keras_graph.c follows the graph, including
 * models that are layers of other models. keras_layers.c turns each call of a layer into one or more layers
 * of the network. keras_operations.c does the same for operations that are not layers. topology_read.c reads
 * the settings of layers.
 */
#ifndef WINNOW_NET_KERAS_GRAPH_H
#define WINNOW_NET_KERAS_GRAPH_H

#include "net/net_sources.h"

/* The result of a call: a layer of the network, or one channel of its output (from an expression like
 * x[..., c]). */
struct keras_value {
    int layer;
    int channel; /* -1: all of them */
};
#define KERAS_NOTHING ((struct keras_value){-1, -1})

/* Names in use, sorted, so that a file with 8,192 layers does not need quadratic time. */
struct keras_names {
    struct keras_name {
        const char *name;
        int at;
    } * items;
    size_t n, room;
};
int keras_names_find(const struct keras_names *x, const char *name, size_t *where); /* .at, or -1 */
int keras_names_add(struct keras_names *x, const char *name, int at, struct error *err);

struct keras_reader {
    struct net *n;
    struct net_sources *sources;
    struct keras_names names; /* of the network's layers */
    bool keras3;
    bool bytes; /* the input layer's type is uint8 */
};

/* Where a layer is in the file. */
struct keras_place {
    const char *path, *top, *own, *model; /* as in struct net_source */
    bool trainable;                       /* all models around it are */
    bool shared;                          /* the layer is called more than once */
};

struct keras_call {
    struct keras_reader *r;
    const struct keras_place *place;
    const char *class_name;
    const cJSON *config;
    const cJSON *arguments; /* {"args": ..., "kwargs": ...}, or Keras 2's kwargs; or NULL */
    const struct keras_value *in;
    int n_in;
    struct keras_value out;
};

/* Adds a layer that reads `inputs`. Its name is the layer's own name plus suffix, or the next free name like
 * it. Returns its index, or -1 with err set. */
int keras_emit(const struct keras_call *c, enum layer_kind kind, const char *suffix, const int *inputs,
               int n_inputs, struct error *err);
/* Completes a layer whose settings are set: determines its weights, where they are in the file, and the shape
 * of the output. */
int keras_finish(const struct keras_call *c, int layer, struct error *err);
/* Adds a layer that computes y = x * scale + offset from layer `from`. n is 1 or the number of channels.
 * Returns the index of the layer, or -1 with err set. */
int keras_rescale(const struct keras_call *c, const char *suffix, int from, const double *scale,
                  const double *offset, size_t n, struct error *err);
/* Adds a 1x1 convolution that computes y[..., i] = x[..., order[i]]. Returns its index, or -1 with err
 * set. */
int keras_permute(const struct keras_call *c, int from, const int *order, int n, struct error *err);
int keras_activation(const struct keras_call *c, const char *suffix, int from, enum activation_kind kind,
                     float alpha, struct error *err);
int keras_concatenate(struct keras_call *c, const cJSON *axis, struct error *err);
int keras_add(struct keras_call *c, const char *suffix, const int *inputs, int n, struct error *err);
int keras_multiply(struct keras_call *c, struct error *err);
int keras_pool_all(struct keras_call *c, bool average, bool keepdims, struct error *err);
const struct net_shape *keras_shape(const struct keras_call *c, int layer);
/* Reads at most max numbers from v: a number, a list of any depth, or a tensor. Sets *n to how many there
 * are. Returns 0, or -1 (without err) when v is something else. */
int keras_numbers(const cJSON *v, double *out, size_t max, size_t *n);
#define KERAS_MAX_NUMBERS 4096

/* keras_front.c: layers of these classes. */
int keras_rescaling(struct keras_call *c, struct error *err);
int keras_normalization(struct keras_call *c, struct error *err);
int keras_cropping(struct keras_call *c, struct error *err);
int keras_center_crop(struct keras_call *c, struct error *err);
int keras_upsampling(struct keras_call *c, struct error *err);

/* Adds the layers for a call, and sets c->out to its result. The message in err does not contain the name of
 * the layer. */
int keras_build_layer(struct keras_call *c, struct error *err);
int keras_build_operation(struct keras_call *c, struct error *err);
bool keras_is_operation(const cJSON *spec); /* whether the entry of a layer in a model is an operation */
/* whether v is Keras 3's form of a reference to a tensor of the graph */
bool keras_is_tensor(const cJSON *v);

/* --- settings (topology_read.c); messages in err do not contain the layer's name --- */
int config_wrong(struct error *err, const char *key, const char *why);
int config_int(const cJSON *config, const char *key, int missing, long min, long max, int *out,
               struct error *err);
int config_bool(const cJSON *config, const char *key, bool missing, bool *out, struct error *err);
int config_double(const cJSON *config, const char *key, double missing, double min, double max, double *out,
                  struct error *err);
const char *config_string(const cJSON *object, const char *key);
int config_channels_last(const cJSON *config, struct error *err);
/* Reads the settings of a layer of l's kind into l. The caller handles an activation that is an object. */
int config_read(struct net_layer *l, const cJSON *config, bool keras3, struct error *err);
int config_input_shape(struct net_layer *l, const cJSON *config, struct error *err);
int config_kind(const char *class_name); /* enum layer_kind or -1 */
/* Returns the name in "activation", which is a string or a function. Returns NULL when there is none, or when
 * it is an object, which *object then is. */
const char *config_activation(const cJSON *config, const cJSON **object);

#endif
