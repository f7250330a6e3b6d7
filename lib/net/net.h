/*
 * net.h: a network as in a model file: Keras layers in the order of the file, with their weights. Readers
 * (TFJS, HDF5, the built-in builders) create it, writers (TFJS, HDF5, ONNX) store it, and lib/tensor plans
 * and runs it. A net has no state of a run. Tensors are NHWC; kernels of convolutions are [kh,kw,cin,cout]
 * (depthwise [kh,kw,cin,multiplier]) and of dense layers [in,out], as in the files (docs/formats.md).
 */
#ifndef WINNOW_NET_NET_H
#define WINNOW_NET_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"

/*
 * The Keras layers that winnow computes, and winnow's own layers, for operations that other exporters write
 * and Keras does not have. In files, the class of winnow's own layers is "winnow>...", so that other readers
 * refuse them.
 */
enum layer_kind {
    LAYER_INPUT,
    LAYER_CONV2D,
    LAYER_DEPTHWISE_CONV2D,
    LAYER_BATCH_NORM,
    LAYER_ACTIVATION,
    LAYER_RELU,
    LAYER_MAX_POOL,
    LAYER_AVERAGE_POOL,
    LAYER_GLOBAL_AVERAGE_POOL,
    LAYER_CONCATENATE,
    LAYER_ADD,
    LAYER_ZERO_PADDING,
    LAYER_FLATTEN,
    LAYER_RESHAPE,
    LAYER_DROPOUT,
    LAYER_DENSE,
    LAYER_MULTIPLY,  /* product of two maps; one of them may be 1x1, a factor for each channel */
    LAYER_RESCALING, /* x * rescale + offset, two fixed numbers */
    LAYER_SCALE,     /* winnow's: x * gamma + beta; either may be absent, or one number for all channels */
    LAYER_RESIZING,  /* bilinear or nearest, pixel centres at half, no antialiasing */
    LAYER_CLIP,      /* winnow's: min(max(x, clip_min), clip_max) */
    LAYER_CHANNELS,  /* winnow's: selects channels in a given order */
    LAYER_KINDS
};
const char *layer_kind_name(enum layer_kind kind); /* Keras class name: "Conv2D" */

enum activation_kind {
    ACTIVATION_LINEAR,
    ACTIVATION_RELU,
    ACTIVATION_RELU6,
    ACTIVATION_SOFTMAX,
    ACTIVATION_SIGMOID,
    /* The kinds from here on occur in Activation layers only. A Conv2D or Dense with one of them is read
     * as two layers. */
    ACTIVATION_TANH,
    ACTIVATION_SILU,
    ACTIVATION_GELU,      /* with erf */
    ACTIVATION_GELU_TANH, /* its approximation by tanh */
    ACTIVATION_ELU,       /* x or alpha * (e^x - 1); CELU: x or alpha * (e^(x/alpha) - 1) */
    ACTIVATION_SELU,
    ACTIVATION_CELU,
    ACTIVATION_LEAKY_RELU, /* x or alpha * x */
    ACTIVATION_SOFTPLUS,
    ACTIVATION_SOFTSIGN,
    ACTIVATION_EXPONENTIAL,
    ACTIVATION_MISH,
    ACTIVATION_LOG_SIGMOID,
    ACTIVATION_HARD_SIGMOID,   /* clip(x / 6 + 0.5, 0, 1): Keras 3, PyTorch */
    ACTIVATION_HARD_SIGMOID_2, /* clip(0.2 x + 0.5, 0, 1): Keras 1 and 2, tfjs */
    ACTIVATION_HARD_SWISH,     /* x times HARD_SIGMOID */
    ACTIVATION_HARD_TANH,      /* clip(x, -1, 1) */
    ACTIVATION_KINDS
};
/* Whether the activation can be an option of Conv2D and Dense. The others need a separate layer. */
static inline bool activation_is_plain(enum activation_kind a) { return a <= ACTIVATION_SIGMOID; }

#define NET_MAX_RANK 4
struct net_shape {
    int rank;
    int dim[NET_MAX_RANK];
}; /* without the batch dimension: {3, {299,299,3}} */

enum weight_role { /* Keras' weight names, in Keras' order within a layer */
                   WEIGHT_KERNEL,
                   WEIGHT_DEPTHWISE_KERNEL,
                   WEIGHT_BIAS,
                   WEIGHT_GAMMA,
                   WEIGHT_BETA,
                   WEIGHT_MOVING_MEAN,
                   WEIGHT_MOVING_VARIANCE
};

struct net_weight {
    char *name; /* "conv2d_1/kernel" */
    enum weight_role role;
    struct net_shape shape;
    /* n_values floats that may be changed. The net owns and frees them. */
    float *values;
    size_t n_values;
};

struct net_layer {
    char *name; /* "conv2d_56" */
    enum layer_kind kind;
    bool trainable;
    int *inputs; /* indices of layers earlier in the list */
    int n_inputs;
    struct net_shape output; /* computed by net_infer_shapes */

    /* Conv2D, DepthwiseConv2D, pools */
    int kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    bool same;   /* padding "same" (TensorFlow's rule), else "valid" */
    int filters; /* Conv2D; depth multiplier for DepthwiseConv2D */
    int groups;  /* Conv2D: filters k*(filters/groups).. read the k-th part of the channels only; else 1 */
    bool use_bias;
    /* of ZeroPadding2D (below 0 in Cropping2D), and of pools that are not `same`. The padding of a pool
     * counts neither as a value nor as a pixel */
    int pad_top, pad_bottom, pad_left, pad_right;
    enum activation_kind activation;  /* Conv2D, Dense, Activation */
    float alpha;                      /* Activation: of ELU, CELU, LEAKY_RELU */
    float relu_max;                   /* ReLU layer: max_value, 0 = none */
    float relu_slope, relu_threshold; /* ReLU layer: below the threshold, y = slope * (x - threshold) */
    int units;                        /* Dense */
    double l2;                        /* kernel regularizer of Dense and Conv2D: loss += l2 * sum w^2 */
    bool other_loss;                  /* the layer has regularizers that winnow does not train with */
    bool shared;                      /* shares its weights with another layer; cannot be trained */
    char initializer[24];     /* "he_normal", "glorot_uniform", ... of the kernel; "" = glorot_uniform */
    double rate;              /* Dropout */
    double momentum, epsilon; /* BatchNormalization */
    bool scale, center;
    /* BatchNormalization, Concatenate: the axis in the file, which is always that of the channels. */
    int axis;
    int resize_h, resize_w; /* Resizing */
    bool nearest;
    /* winnow's, for nearest: output pixel i is input pixel i * in / out, as in PyTorch */
    bool from_corner;
    struct net_shape target;    /* Reshape */
    double rescale, offset;     /* Rescaling */
    bool one_scale, one_center; /* Scale: the same number for all channels */
    float clip_min, clip_max;   /* Clip */
    /* Channels: `filters` channels; channel c is that of the input at
     * pick_first + c / pick_groups * pick_step + c % pick_groups * pick_span */
    int pick_first, pick_step, pick_groups, pick_span;

    struct net_weight *weights;
    int n_weights;
};

/*
 * What winnow writes into userDefinedMetadata. For a file without it there are no classes and the strings are
 * empty. scale, offset and temperature then have the values of the published models, 1/255, 0 and 1, so they
 * can always be used.
 */
struct net_metadata {
    char **classes; /* owned */
    int n_classes;
    char model_id[33];                /* first 32 hex digits of the hash of the float32 weights */
    char resize[32];                  /* "bilinear", "lanczos+256" and so on; docs/preprocessing.md */
    char color[8];                    /* "srgb": colour profiles of pictures are applied; "": they are not */
    char background[8];               /* colour under transparent parts, "#rrggbb"; "" for white */
    char orientation[8];              /* which EXIF turns pictures: "pillow", "none", or "": browsers' rule */
    int frame;                        /* which frame of an animation, from 1 */
    double input_scale, input_offset; /* x = byte * scale + offset: 1/255 and 0, or 2/255 and -1 */
    double temperature;               /* 1 when none; not yet folded into the last layer */
    char *license_json; /* of the base weights: {"name":"MIT","holder":...}; kept by training; or NULL */
    /* names in the ONNX file from which the network was read, as JSON (lib/onnx/onnx_names.c), or NULL */
    char *onnx_json;
    /* Other keys as a JSON object (metrics, options, hashes of data and base), or NULL. */
    char *extra_json;
};

struct net {
    char *name;
    struct net_layer *layers;
    int n_layers;
    int input, output; /* layer indices */
    bool bytes_input;  /* the file says that the input layer takes bytes */
    /* the file does not say how bytes are scaled, so 1/255 is assumed. Cleared by net_set_input */
    bool input_assumed;
    struct net_metadata metadata;
    struct net_store *stores; /* internal: blocks that hold the values of many weights */
};
#define NET_EMPTY ((struct net){0})

void net_release(struct net *n);
/* Frees the values of all weights, for callers that only need metadata and shapes. */
void net_drop_weights(struct net *n);
/* Returns the whole pages that a layer's values occupy to the system. The values are then undefined. */
void net_forget_values(struct net *n, int layer);
int net_copy(struct net *out, const struct net *n, struct error *err);

/*
 * Sets the output shape of every layer from that of the input layer. When that has -1 for height and width,
 * the height and width given here are used; otherwise they must agree with it (0: use those of the file).
 * Checks that every weight exists with the shape it must have. EX_DATAERR names the layer.
 */
int net_infer_shapes(struct net *n, int height, int width, struct error *err);

int net_find(const struct net *n, const char *layer_name); /* index or -1 */
/* Returns the name of class i. If the model does not name its classes, it is "class_0" and so on, written to
 * plain. */
const char *net_class_name(const struct net_metadata *m, int i, char plain[32]);
/* Whether the layer is a pool with explicit padding, which Keras does not have. */
bool net_is_padded_pool(const struct net_layer *layer);
struct net_weight *net_weight_of(struct net_layer *layer, enum weight_role role); /* or NULL */
size_t net_count_parameters(const struct net *n, bool trainable_only);

/*
 * Writes the XXH3-128 of the float32 weights in the order of the file, with names and shapes, as 32
 * hexadecimal digits and NUL. Returns 0, or -1 with err set (EX_OSERR) without memory: a wrong id must not be
 * written into models and checkpoints.
 */
int net_hash(const struct net *n, char out[33], struct error *err);

/* Appends license_json and extra_json to out, as lines "train.phase<TAB>fine-tune<LF>" for programs that
 * only show them: keys are joined by dots, list items are numbered, and numbers are written as in JSON. */
int net_metadata_lines(const struct net *n, struct text *out, struct error *err);
/* Divides kernel and bias of the last dense layer by the temperature T, and sets T to 1. Programs that do not
 * know T then compute softmax(z / T), too. */
int net_fold_temperature(struct net *n, struct error *err);

/* --- as a classifier of pictures (net_scoring.c) --- */

/* What the outputs of a network in a file are. */
enum net_ending {
    NET_ENDS_IN_PROBABILITIES,
    NET_ENDS_IN_LOGITS,  /* logits; a softmax layer was added */
    NET_ENDS_IN_ONE,     /* one number, a sigmoid or a logit; it became the second of two classes */
    NET_ENDS_IN_SIGMOIDS /* several sigmoids, which do not sum to 1; not changed */
};
/*
 * Appends the layers that convert the outputs to probabilities. The shapes must be known. Returns 0, or -1
 * with err set: EX_DATAERR when the output is not a score but a pool or another activation.
 */
int net_make_probabilities(struct net *n, enum net_ending *ending, struct error *err);
/* Sets the names of the classes from a list such as "cat,dog". Fails with EX_USAGE unless there are as many
 * names as outputs. */
int net_set_classes(struct net *n, const char *list, struct error *err);

/* x = (byte * range / 255 - mean) / std for each channel, in the network's order of channels. */
struct net_input {
    int side_px;  /* 0: as the file says */
    int first_px; /* size of the shorter side (keep_shape) or of both sides before cropping; 0: no cropping */
    bool keep_shape;
    char method[16]; /* the resize method; "": the one that the model records */
    bool bgr;
    double range; /* 1 or 255 */
    double mean[3], std[3];
};
/* Parses text such as "resize=256,crop=224,order=bgr,mean=104:117:124,std=1", or unit, bytes, tf, torch or
 * caffe. Returns 0, or -1 with err set (EX_USAGE). */
int net_input_parse(struct net_input *in, const char *text, struct error *err);
/* Reads preprocessor_config.json beside the model. *found: whether the file exists. Fails with EX_DATAERR
 * when it is damaged. */
int net_input_beside(struct net_input *in, const char *path, bool *found, struct error *err);
/* Applies the preprocessing to n. A number that is the same for all channels is stored in the metadata; other
 * numbers become layers after the input. */
int net_set_input(struct net *n, const struct net_input *in, struct error *err);

/* Opens a model without the values of weights, which are NULL. It is fast, for programs that only need
 * classes and sizes. */
int net_open_header(struct net *n, const char *path, struct error *err);

/* --- building --- */

/*
 * Opens a model: a TFJS layers model folder (model.json inside), its model.json, a Keras .h5 (full model, or
 * *_notop weights whose topology the built-in builders know), or an EfficientNet-Lite checkpoint in the
 * format of PyTorch before 1.6. All weights become float32. Damaged or hostile files are errors; the message
 * names the file and the layer.
 */
int net_open(struct net *n, const char *path, struct error *err);
/*
 * Writes a TFJS layers model folder: model.json, group1-shard*of*.bin (4 MiB). It is written beside `folder`
 * and exchanged with it, so that the folder always has the old model or the whole new one. Other files in the
 * folder, such as MODEL_CARD.md, are kept. The model_id in the file is the hash of the weights that a reader
 * will get.
 */
int net_write_tfjs(const struct net *n, const char *folder, struct error *err);
/*
 * Replaces a folder as a whole: renames `made`, a finished folder beside `folder`, to `folder` in one step.
 * Other files of the old folder are kept if `made` has no file of that name, but not model.json and the
 * shards of an earlier model.
 */
int net_publish_folder(const char *made, const char *folder, struct error *err);
/* Creates an empty folder, ".NAME.new-PID", beside `folder` (or beside the target of a symbolic link), for
 * the caller to fill. Removes such folders of processes that have ended. */
int net_begin_folder(const char *folder, struct text *made, struct text *target, struct error *err);
void net_abandon_folder(const char *made); /* removes the folder with its contents; keeps errno */
/*
 * Writes the same folder with smaller kernels. Tensors with one dimension (biases, all weights of batch norm)
 * stay float32: they are 0.2% of the bytes, and rounding them would cause most of the error. uint8 and
 * uint16: value = q * scale + min, where 0 is exact if the range includes it.
 */
enum net_encoding {
    NET_FLOAT32,
    NET_FLOAT16,
    NET_UINT16,
    NET_UINT8,
    /* kernels that consist of integers from -64 to 64, exactly, as uint8; all other tensors as float32 */
    NET_WHOLE,
    NET_ENCODINGS
};
int net_write_tfjs_as(const struct net *n, const char *folder, enum net_encoding encoding, struct error *err);
/* Rounds the kernels in place to the values that a reader of such a file gets. This serves to compare the
 * accuracy before and after. */
void net_requantize(struct net *n, enum net_encoding encoding);

/*
 * Writes a Keras .h5 atomically: the complete model (model_config, weights under /model_weights, our
 * metadata in the attribute winnow_metadata, which Keras ignores) or, with weights_only, the form that
 * keras-applications publishes. The float32 bits do not change.
 */
int net_write_h5(const struct net *n, const char *path, bool weights_only, struct error *err);

/*
 * Writes Keras 3's .keras atomically, with our metadata in its metadata.json, which Keras ignores. The layers
 * are in the order in which Keras lists them, because Keras finds weights by this order. Fails with
 * EX_DATAERR when n has a layer that Keras does not have.
 */
int net_write_keras(const struct net *n, const char *path, struct error *err);
/* Removes the head: the layers after the last feature map. */
int net_cut_head(struct net *n, struct error *err);

int net_build_inception_v3(struct net *n, int side,
                           struct error *err); /* no top, weights zero, Keras names and order */
int net_build_mobilenet_v2(struct net *n, double alpha, int side, struct error *err);
/* Builds EfficientNet-Lite. variant is 0 to 2. side 0 means the size for which the variant was published
 * (224, 240, 260). */
int net_build_efficientnet_lite(struct net *n, int variant, int side, struct error *err);

/*
 * Replaces everything after the last feature map by a new head (net_head.c) with n_classes outputs,
 * initialised from seed (he_normal = truncated normal, stddev sqrt(2/fan_in), as in Keras; glorot_uniform);
 * biases are 0. For bases like InceptionV3, the head begins with AveragePooling2D over the whole last map,
 * and Flatten. The names are those of Keras ("dense_1" and so on).
 */
int net_replace_head(struct net *n, int n_classes, char *const *classes, uint64_t seed, struct error *err);
/*
 * Removes the layers after `layer`, or after the last layer of that block (net_block_end), so that a new head
 * can be attached there. The shapes must be known. Fails with EX_USAGE when there is no such layer, or its
 * output is not a feature map; n is then unchanged.
 */
int net_end_at(struct net *n, const char *layer, struct error *err);

/* Makes every layer trainable that is at or after `from` in the list (Keras' order), except InputLayer. With
 * "conv2d_56", conv2d_55 stays frozen. */
int net_unlock_from(struct net *n, const char *from, struct error *err);
/*
 * Returns the name of the layer that `from` means: a layer, a block ("block5a": the first layer whose name
 * begins with block5a_), or a share ("0.3": see net_unlock_share). Returns NULL when the net has no such
 * layer. The string belongs to the net.
 */
const char *net_unlock_place(const struct net *n, const char *from);
/* Returns the index of the layer with this name, or of the last layer of the block with this name (blocks as
 * for net_unlock_place), or -1 when there is none. */
int net_block_end(const struct net *n, const char *name);
/* Returns the layer at which the last `share` (0 to 1) of the convolutions begins, moved to the start of
 * its block. A cut inside a block would need the wide inner activation and the input of the skip
 * connection. */
const char *net_unlock_share(const struct net *n, double share);

#endif
