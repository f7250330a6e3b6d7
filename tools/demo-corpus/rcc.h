/*
 * rcc.h: reads Qt's binary resource files, in which gcompris-qt-data keeps its photographs. Only what rcc
 * writes without compression; a compressed entry is skipped and counted. Format: Qt's qresource.cpp (versions
 * 1 to 3).
 */
#ifndef WINNOW_DEMO_RCC_H
#define WINNOW_DEMO_RCC_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* path is "/a/b/c.webp"; bytes are borrowed from the file's contents. Return non-zero to stop (passed on). */
typedef int rcc_visit(void *context, const char *path, const uint8_t *bytes, size_t n_bytes,
                      struct error *err);

/* Visits every uncompressed file of the archive held in memory. 0, or -1
 * (EX_DATAERR for a damaged archive). */
int rcc_walk(const uint8_t *archive, size_t n_bytes, rcc_visit *visit, void *context, size_t *n_compressed,
             struct error *err);

#endif
