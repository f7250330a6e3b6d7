/* heic_references.h: a look at a HEIF file's references before libheif follows them. */
#ifndef WINNOW_IMAGE_HEIC_REFERENCES_H
#define WINNOW_IMAGE_HEIC_REFERENCES_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* -1: EX_DATAERR when an item is made of itself, through others or not, or more than eight deep; linear in
 * the references. 0 for whatever else, nonsense included: that is libheif's to refuse. */
int heic_check_references(const uint8_t *bytes, size_t n_bytes, struct error *err);

#endif
