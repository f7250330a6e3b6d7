/* cuda_cards.h: describes well-known cards in the form that cuDNN reads, for planning without a card
 * (backend_options.described). */
#ifndef WINNOW_TENSOR_CUDA_CARDS_H
#define WINNOW_TENSOR_CUDA_CARDS_H

#include "base/error.h"
#include "tensor/backend.h"

#define CUDA_CARD_BYTES 1200 /* room for a description */

/* The name of the i-th known card ("h200"). Returns NULL after the last. */
const char *cuda_card_name(int i);
/* Writes the properties of the card with this name as JSON text. Fails with EX_USAGE for an unknown name; the
 * message lists the known ones. */
int cuda_card_describe(const char *name, char *json, size_t bytes, struct error *err);
/* Checks that a description that was read from a card has all keys that cuDNN needs. Fails with EX_DATAERR;
 * the message names the missing key, which cuDNN's own message does not. */
int cuda_card_check(const char *json, struct error *err);

/* Returns the number under a key, or 0 when the key is absent. */
double cuda_card_number(const char *json, const char *key);

/* Returns how many dense floating point operations a multiprocessor does in one clock (a multiplication and
 * an addition are two), from the vendor's papers, or 0 when it is not known here. capability: 90 means
 * 9.0. */
double cuda_card_operations(int capability, enum backend_precision precision);
/* Return the peak rates of the described card: such operations per second, and bytes per second to and from
 * its memory. */
double cuda_card_operations_per_s(const char *json, enum backend_precision precision);
double cuda_card_bytes_per_s(const char *json);

#endif
