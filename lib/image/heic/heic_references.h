/* heic_references.h: checks the references of a HEIF file before libheif follows them. */
#ifndef WINNOW_IMAGE_HEIC_REFERENCES_H
#define WINNOW_IMAGE_HEIC_REFERENCES_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Returns -1 with err set (EX_DATAERR) when an item contains itself, directly or through others, or when
 * references are more than eight deep. Otherwise returns 0, also for an invalid file, which libheif will
 * refuse. The time is linear in the number of references. */
int heic_check_references(const uint8_t *bytes, size_t n_bytes, struct error *err);

#endif
