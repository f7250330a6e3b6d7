/* onnx_proto.c: the generated messages, compiled without our compiler warnings. */
#ifndef WINNOW_WITHOUT_ONNX
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#include "onnx.pb-c.c"
#else
typedef int onnx_is_left_out;
#endif
