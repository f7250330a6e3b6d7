/*
 * shard_writer.h: makes the sets that shard.h reads. A set is a folder of pairs shard-00000.bin (records) and shard-00000.tsv (one
 * row a record), and set.tsv, which lists them with sizes and checksums and is renamed into place last: without it there is
 * no set. Appending only adds pairs and renames a new set.tsv, so a reader sees the old set or the new one. docs/formats.md.
 */
#ifndef WINNOW_SHARD_SHARD_WRITER_H
#define WINNOW_SHARD_SHARD_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "shard/shard.h"

enum shard_encoding { SHARD_RAW, SHARD_JPEG };

struct shard_writer_options {
    int side_px;
    const char *resize;                 /* name of the method, recorded */
    enum shard_encoding encoding;
    uint64_t shard_bytes;               /* a new shard begins before this is passed; 0: 256 MiB */
    bool append;                        /* folder holds a set of the same kind: add to it */
    char *const *classes;               /* sorted, n_classes of them; on append the union with the set's must keep its numbering */
    int n_classes;
};

struct shard_writer_record {
    const char *path, *xxh128, *group, *source, *params;    /* NULL is "" */
    const char *label;
    enum shard_split split;
    int fold;                           /* -1: none */
    int variant;
    const uint8_t *bytes;               /* side*side*3 samples, or the JPEG */
    size_t n_bytes;
};

struct shard_writer;
/* EX_CANTCREAT when the folder holds a set and append was not asked; EX_DATAERR when what is there differs in kind. */
int shard_writer_open(struct shard_writer **out, const char *folder, const struct shard_writer_options *options, struct error *err);
int shard_writer_add(struct shard_writer *w, const struct shard_writer_record *record, struct error *err);
int shard_writer_commit(struct shard_writer *w, struct error *err);     /* fsyncs, renames set.tsv last */
void shard_writer_close(struct shard_writer *w);    /* without a commit: what was written is removed */

#endif
