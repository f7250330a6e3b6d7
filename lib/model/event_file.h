/*
 * event_file.h: writes a file of numbers that TensorBoard can draw. The file consists of records, each with a
 * length, the masked CRC-32C of the length, a protobuf `Event`, and the masked CRC-32C of the event. The
 * first event names the version of the file. Only the five fields that are needed here are encoded, by hand:
 * wall_time, step, file_version, summary.value.tag, summary.value.simple_value.
 */
#ifndef WINNOW_MODEL_EVENT_FILE_H
#define WINNOW_MODEL_EVENT_FILE_H

#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

struct event_file {
    int fd;
    uint64_t n_bytes; /* written so far: what a checkpoint records to cut the file back to on resume */
    char *name;
    struct text record; /* reused */
};
#define EVENT_FILE_EMPTY ((struct event_file){.fd = -1})

/* Opens path for appending. With keep_bytes 0 the file is emptied. Otherwise the file is cut to that many
 * bytes, because the events after a checkpoint are written again. It is emptied when it is shorter than
 * that. */
int event_file_open(struct event_file *f, const char *path, uint64_t keep_bytes, struct error *err);
int event_file_scalar(struct event_file *f, const char *tag, int64_t step, double wall_seconds, float value,
                      struct error *err);
void event_file_close(struct event_file *f);

uint32_t crc32c(const void *bytes, unsigned long n_bytes); /* Castagnoli, reflected, as in RFC 3720 */

#endif
