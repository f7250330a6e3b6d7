/* onnx_rename.h: the names that a network's own file gave its parts; see onnx_rename.c. */
#ifndef WINNOW_ONNX_ONNX_RENAME_H
#define WINNOW_ONNX_ONNX_RENAME_H

#include "onnx/onnx_graph.h"

/* Renames what is in the graph, whose last node names the output. -1 with err set. */
int graph_rename(struct graph *g);
/* What the file called its input, or `missing`. */
const char *graph_input_name(struct graph *g, const char *missing);

#endif
