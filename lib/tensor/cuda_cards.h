/*
 * cuda_cards.h: cards by name, described as cuDNN reads them, for plans without a card
 * (backend_options.described).
 */
#ifndef WINNOW_TENSOR_CUDA_CARDS_H
#define WINNOW_TENSOR_CUDA_CARDS_H

#include "base/error.h"
#include "tensor/backend.h"

#define CUDA_CARD_BYTES 1200 /* room for a description */

/* The i-th known card's name ("h200"), NULL past the last. */
const char *cuda_card_name(int i);
/* Its properties as JSON text. EX_USAGE for an unknown name lists the known ones. */
int cuda_card_describe(const char *name, char *json, size_t bytes, struct error *err);
/* Does a description, as read from a card, have what cuDNN wants? EX_DATAERR names the key that is missing;
 * cuDNN itself does not say which. */
int cuda_card_check(const char *json, struct error *err);

/* The number of a key; 0 where there is none. */
double cuda_card_number(const char *json, const char *key);

/* Dense floating point operations a clock and multiprocessor (a multiplication and an addition are two), from
 * the vendor's architecture papers; 0 = not known here. capability: 90 is 9.0. */
double cuda_card_operations(int capability, enum backend_precision precision);
/* What the described card does in a second at most: such operations, and bytes to and from its memory. */
double cuda_card_operations_per_s(const char *json, enum backend_precision precision);
double cuda_card_bytes_per_s(const char *json);

#endif
