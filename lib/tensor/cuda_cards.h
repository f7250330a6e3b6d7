/*
 * cuda_cards.h: cards by name, described as cuDNN reads them, for plans without a card
 * (backend_options.described).
 */
#ifndef WINNOW_TENSOR_CUDA_CARDS_H
#define WINNOW_TENSOR_CUDA_CARDS_H

#include "base/error.h"

#define CUDA_CARD_BYTES 1200 /* room for a description */

/* The i-th known card's name ("h200"), NULL past the last. */
const char *cuda_card_name(int i);
/* Its properties as JSON text. EX_USAGE for an unknown name lists the known ones. */
int cuda_card_describe(const char *name, char *json, size_t bytes, struct error *err);
/* Does a description, as read from a card, have what cuDNN wants? EX_DATAERR names the key that is missing;
 * cuDNN itself does not say which. */
int cuda_card_check(const char *json, struct error *err);

#endif
