/*
 * torch_state.h: reads a state dict (names and tensors) from a PyTorch checkpoint in the form that
 * torch.save wrote until 1.6: five pickles and the raw storages, not a zip archive. A pickle is a program
 * that can call any function. Here it is read but not run: only the operations and the four names that a
 * state dict needs are accepted. Any other is an error, and the message names it.
 */
#ifndef WINNOW_NET_TORCH_STATE_H
#define WINNOW_NET_TORCH_STATE_H

#include "net/net.h"

enum torch_dtype { TORCH_FLOAT, TORCH_LONG };

struct torch_tensor {
    const char *name; /* not ended by NUL */
    size_t name_bytes;
    enum torch_dtype dtype;
    int rank;
    int dim[NET_MAX_RANK];
    size_t stride[NET_MAX_RANK]; /* in elements; the tensor may be a transposed view */
    const uint8_t *values;       /* little-endian, of its first element; lies within the file */
};

struct torch_state {
    char *bytes; /* the file */
    struct torch_tensor *tensors;
    size_t n_tensors;
};
#define TORCH_STATE_EMPTY ((struct torch_state){0})

/* Whether a file that begins with these TORCH_MARK_BYTES bytes is such a checkpoint. */
#define TORCH_MARK_BYTES 15
bool torch_state_is(const void *first, size_t n);
/* Reads the whole file. Afterwards every tensor is within its storage. Fails with EX_DATAERR; the message
 * names the file, the refused operation or name, and its position. */
int torch_state_open(struct torch_state *s, const char *path, struct error *err);
void torch_state_release(struct torch_state *s);
const struct torch_tensor *torch_state_find(const struct torch_state *s, const char *name); /* or NULL */
/* Returns element [i0,i1,i2,i3] of a float tensor. Indices beyond its number of dimensions must be 0. */
float torch_tensor_at(const struct torch_tensor *t, int i0, int i1, int i2, int i3);

#endif
