/* onnx_rename.h: restores the names of the file from which a network was read; see onnx_rename.c. */
#ifndef WINNOW_ONNX_ONNX_RENAME_H
#define WINNOW_ONNX_ONNX_RENAME_H

#include "onnx/onnx_graph.h"

/* Renames the parts of the graph. The name of the output is that of the last node's output. Returns 0, or -1
 * with err set. */
int graph_rename(struct graph *g);
/* Returns the name of the input in the file, or `missing`. */
const char *graph_input_name(struct graph *g, const char *missing);

#endif
