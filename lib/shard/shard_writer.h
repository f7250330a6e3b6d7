/*
 * shard_writer.h: writes the sets that shard.h reads. A set is a folder of pairs of files, shard-00000.bin
 * (records) and shard-00000.tsv (a row for each record), and of index.tsv, which lists them with sizes and
 * checksums. A folder without index.tsv is not a set, so index.tsv is written last. A new set is written to a
 * folder beside its final one, which then replaces that folder as a whole. Appending adds pairs of files and
 * then replaces index.tsv. In both cases a reader sees the old set or the new one.
 *
 * With a base, a set reuses files of an earlier set, which are linked and never rewritten. A row may then
 * refer to a record of the base, and the rows are in a separate table. Records that no row refers to are
 * called dead. When dead records are more than a fifth of the reused files, the live records of the files
 * with the largest share of dead ones are copied to new files.
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
    /* a new shard begins before a file would exceed this size; 0: SHARD_DEFAULT_BYTES */
    uint64_t shard_bytes;
    bool append;      /* add to a set of the same kind that is in the folder */
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
/* Returns 0, or -1 with err set: EX_CANTCREAT when the folder exists and is not a set; EX_DATAERR when append
 * finds a set of another size, resize method, background or encoding. */
int shard_writer_open(struct shard_writer **out, const char *folder,
                      const struct shard_writer_options *options, struct error *err);
/* whether the folder had a set, to which rows are added */
bool shard_writer_appends(const struct shard_writer *w);
/*
 * Adds a row that refers to a record of the base; the bytes in record are ignored. Fails with EX_DATAERR when
 * the files of the base do not have the names that pack uses.
 */
int shard_writer_refer(struct shard_writer *w, const struct shard_writer_record *record, uint64_t base_record,
                       struct error *err);
int shard_writer_add(struct shard_writer *w, const struct shard_writer_record *record, struct error *err);
/* Writes the set to the disk; afterwards it is in the folder. */
int shard_writer_commit(struct shard_writer *w, struct error *err);
/* Counts that are valid after a commit with a base. */
struct shard_writer_report {
    size_t n_linked, n_copied; /* files of the base: linked, or copied where links are not possible */
    uint64_t n_moved;          /* records that were copied to new files */
    bool no_room;              /* copying was needed, but the disk is full */
};
const struct shard_writer_report *shard_writer_report(const struct shard_writer *w);
/* removes the files that were written, unless they were committed */
void shard_writer_close(struct shard_writer *w);

#endif
