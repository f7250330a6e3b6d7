/* h5_fuzz.c: an untrusted Keras .h5 file. */
/* needs: net io base */
/* A child that loops is ended after 1 s of processor time (10 s outside of fuzzing), which may take longer
 * beside other jobs. */
/* fuzz: -timeout=200 */
#define EXTENSION ".h5"
#include "net_file_fuzz.h"
