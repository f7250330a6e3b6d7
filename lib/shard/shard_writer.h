/*
 * shard_writer.h: writes the sets that shard.h reads. A set is a folder of pairs of files, shard-00000.bin
 * (records) and shard-00000.tsv (a row for each record), and of index.tsv, which lists them with sizes and
 * checksums. A folder without index.tsv is not a set, so it is written last. A new set is written beside its
 * folder and then moved into place as a whole. Appending adds pairs and then replaces index.tsv. In both
 * cases a reader sees the old set or the new one.
 *
 * With a base, a set takes over files of an earlier one: they are never rewritten, only linked. A row may
 * then refer to a record of the base, and the rows have a table of their own. Records that no row refers to
 * are dead. When they are more than a fifth of the files taken over, the living ones of the worst files move
 * into new files.
 */
#ifndef WINNOW_SHARD_SHARD_WRITER_H
#define WINNOW_SHARD_SHARD_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "shard/shard.h"

struct shard_writer_options {
    int side_px;
    const char *resize;     /* name of the method, recorded */
    const char *background; /* "#rrggbb", recorded; NULL or "" for white */
    enum shard_encoding encoding;
    uint64_t shard_bytes; /* a new shard begins before this is passed; 0: SHARD_DEFAULT_BYTES */
    bool append;          /* folder holds a set of the same kind: add to it */
    const char *made; /* settings that the records depend on beside size, resize and encoding; NULL: none */
    /* an open set of the same kind and settings, which must stay open as long as the writer; NULL: none;
     * not with append */
    struct shard_set *base;
};
#define SHARD_DEFAULT_BYTES (256ull << 20)

struct shard_writer_record {
    const char *path, *xxh128, *group, *source, *params; /* NULL is "" */
    const char *label;
    enum shard_split split;
    int fold; /* -1: none */
    int variant;
    const uint8_t *bytes; /* side*side*3 samples, or the JPEG */
    size_t n_bytes;
};

struct shard_writer;
/* EX_CANTCREAT when the folder exists and is not a set. EX_DATAERR when append finds a set of another
 * size, resize method, background or encoding. */
int shard_writer_open(struct shard_writer **out, const char *folder,
                      const struct shard_writer_options *options, struct error *err);
bool shard_writer_appends(const struct shard_writer *w); /* there was a set, and it is being added to */
/*
 * Adds a row that refers to a record of the base; the bytes in record are ignored. EX_DATAERR: the files of
 * the base do not have the names that pack gives.
 */
int shard_writer_refer(struct shard_writer *w, const struct shard_writer_record *record, uint64_t base_record,
                       struct error *err);
int shard_writer_add(struct shard_writer *w, const struct shard_writer_record *record, struct error *err);
/* Writes everything to the disk; afterwards the folder holds the new set. */
int shard_writer_commit(struct shard_writer *w, struct error *err);
/* After a commit with a base. */
struct shard_writer_report {
    size_t n_linked, n_copied; /* files of the base: linked, or copied where links are not possible */
    uint64_t n_moved;          /* records that were copied to new files */
    bool no_room;              /* copying was needed, but the disk is full */
};
const struct shard_writer_report *shard_writer_report(const struct shard_writer *w);
void shard_writer_close(struct shard_writer *w); /* without a commit: what was written is removed */

#endif
