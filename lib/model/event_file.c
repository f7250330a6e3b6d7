/* event_file.c: TensorBoard's event format, written with plain calls; see event_file.h. */
#include "model/event_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/io.h"

uint32_t crc32c(const void *bytes, unsigned long n_bytes)
{
    const uint8_t *p = bytes;
    uint32_t crc = ~0u;
    /* Bit by bit: a few hundred bytes an epoch need no table. */
    for (unsigned long i = 0; i < n_bytes; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

static uint32_t masked_crc(const void *bytes, unsigned long n_bytes)
{
    uint32_t crc = crc32c(bytes, n_bytes);
    /* TFRecord masks its CRCs, because the CRC of data that contains CRCs is weak. */
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static int put_le(struct text *t, uint64_t value, int n_bytes, struct error *err)
{
    uint8_t out[8];
    for (int i = 0; i < n_bytes; i++)
        out[i] = (uint8_t)(value >> (8 * i));
    return text_add(t, out, (size_t)n_bytes, err);
}

static int put_varint(struct text *t, uint64_t value, struct error *err)
{
    uint8_t out[10];
    int n = 0;
    for (; value >= 0x80; value >>= 7)
        out[n++] = (uint8_t)(value | 0x80);
    out[n++] = (uint8_t)value;
    return text_add(t, out, (size_t)n, err);
}

static int put_bytes(struct text *t, int field, const void *bytes, size_t n_bytes, struct error *err)
{
    return put_varint(t, (uint64_t)field << 3 | 2, err) || put_varint(t, n_bytes, err) ||
           text_add(t, bytes, n_bytes, err);
}

static int write_record(struct event_file *f, const struct text *event, struct error *err)
{
    uint8_t length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)((uint64_t)event->n_bytes >> (8 * i));
    text_clear(&f->record);
    if (text_add(&f->record, length, sizeof length, err) ||
        put_le(&f->record, masked_crc(length, sizeof length), 4, err) ||
        text_add(&f->record, event->data, event->n_bytes, err) ||
        put_le(&f->record, masked_crc(event->data, event->n_bytes), 4, err) ||
        io_write_full(f->fd, f->record.data, f->record.n_bytes, f->name, err))
        return -1;
    f->n_bytes += f->record.n_bytes;
    return 0;
}

static int put_double(struct text *t, int field, double value, struct error *err)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return put_varint(t, (uint64_t)field << 3 | 1, err) || put_le(t, bits, 8, err);
}

int event_file_open(struct event_file *f, const char *path, uint64_t keep_bytes, struct error *err)
{
    *f = EVENT_FILE_EMPTY;
    struct text event = TEXT_EMPTY;
    if (!(f->name = mem_strdup(path, err))) return -1;
    f->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (f->fd < 0) {
        error_errno(err, EX_CANTCREAT, "cannot create '%s'", path);
        goto fail;
    }
    off_t there = lseek(f->fd, 0, SEEK_END);
    if (there < 0 || (uint64_t)there < keep_bytes) keep_bytes = 0;
    if (ftruncate(f->fd, (off_t)keep_bytes) || lseek(f->fd, (off_t)keep_bytes, SEEK_SET) < 0) {
        error_errno(err, EX_IOERR, "cannot cut '%s' back", path);
        goto fail;
    }
    f->n_bytes = keep_bytes;
    if (!keep_bytes) {
        static const char version[] = "brain.Event:2";
        if (put_double(&event, 1, 0, err) || put_bytes(&event, 3, version, sizeof version - 1, err) ||
            write_record(f, &event, err))
            goto fail;
    }
    text_release(&event);
    return 0;
fail:
    text_release(&event);
    event_file_close(f);
    return -1;
}

int event_file_scalar(struct event_file *f, const char *tag, int64_t step, double wall_seconds, float value,
                      struct error *err)
{
    struct text v = TEXT_EMPTY, summary = TEXT_EMPTY, event = TEXT_EMPTY;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    int rc = put_bytes(&v, 1, tag, strlen(tag), err) || put_varint(&v, 2 << 3 | 5, err) ||
             put_le(&v, bits, 4, err) || put_bytes(&summary, 1, v.data, v.n_bytes, err) ||
             put_double(&event, 1, wall_seconds, err) || put_varint(&event, 2 << 3, err) ||
             put_varint(&event, (uint64_t)step, err) ||
             put_bytes(&event, 5, summary.data, summary.n_bytes, err) || write_record(f, &event, err);
    text_release(&v);
    text_release(&summary);
    text_release(&event);
    return rc ? -1 : 0;
}

void event_file_close(struct event_file *f)
{
    if (f->fd >= 0) close(f->fd);
    free(f->name);
    text_release(&f->record);
    *f = EVENT_FILE_EMPTY;
}
