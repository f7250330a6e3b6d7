/* cuda_cards.h: cards by name, described in the form in which cuDNN reads it, for plans without a
 * card (backend_options.described). */
#ifndef WINNOW_TENSOR_CUDA_CARDS_H
#define WINNOW_TENSOR_CUDA_CARDS_H

#include "base/error.h"
#include "tensor/backend.h"

#define CUDA_CARD_BYTES 1200 /* room for a description */

/* The name of the i-th known card ("h200"). Returns NULL after the last. */
const char *cuda_card_name(int i);
/* Writes its properties as JSON text. EX_USAGE for an unknown name, with a list of the known ones. */
int cuda_card_describe(const char *name, char *json, size_t bytes, struct error *err);
/* Whether a description that was read from a card has what cuDNN needs. EX_DATAERR names the
 * missing key, which cuDNN does not. */
int cuda_card_check(const char *json, struct error *err);

/* The number of a key; 0 when it is absent. */
double cuda_card_number(const char *json, const char *key);

/* The dense floating point operations in a clock of a multiprocessor (a multiplication and an addition are
 * two), from the vendor's papers; 0 when not known here. capability: 90 means 9.0. */
double cuda_card_operations(int capability, enum backend_precision precision);
/* What the described card can do in a second at most: such operations, and bytes to and from its memory. */
double cuda_card_operations_per_s(const char *json, enum backend_precision precision);
double cuda_card_bytes_per_s(const char *json);

#endif
