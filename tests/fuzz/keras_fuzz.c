/* keras_fuzz.c: an untrusted .keras archive: the zip, the graph with its nested models, and the weights. */
/* needs: net io base */
/* A child that loops is ended after 1 s of processor time (10 s outside of fuzzing), which may take longer
 * beside other jobs. */
/* fuzz: -timeout=200 */
#define EXTENSION ".keras"
#include "net_file_fuzz.h"
