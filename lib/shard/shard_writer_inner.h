/*
 * shard_writer_inner.h: shared by shard_writer.c (files and their tables) and shard_rows.c (sets that reuse
 * files of an earlier set).
 */
#ifndef WINNOW_SHARD_SHARD_WRITER_INNER_H
#define WINNOW_SHARD_SHARD_WRITER_INNER_H

#include "base/text.h"
#include "hash/content_hash.h"
#include "shard/shard_format.h"
#include "shard/shard_writer.h"

struct written {
    char *name;
    uint64_t records, bytes;
    char xxh128[33];
    uint64_t index_bytes;
    char index_xxh128[33];
};

/* Where the record of a row is. file: the number of a file of the base, or n_base + the number of a new
 * file. */
struct located {
    uint32_t file, bytes;
    uint64_t offset, checksum;
    size_t text_at; /* in row_text: the columns up to xxh128, each with its tab */
};

struct shard_writer {
    struct shard_writer_options o;
    char resize[32];
    char background[8];
    char made[SHARD_MADE_BYTES];
    char *folder;           /* what the user named */
    char *work;             /* where files are written: the folder itself, or a new one beside it */
    struct written *shards; /* old ones first when appending */
    size_t n_shards, shards_capacity, n_old;
    size_t first_number; /* number of the first new file, after those of the base */
    int fd;              /* of the shard being written, or -1 */
    uint64_t at, n_in_shard;
    struct xxh128_stream *hash;
    struct text index, path;
    char **classes; /* sorted, owned */
    size_t n_classes, classes_capacity;
    char data_hash[33];
    bool listed, committed; /* listed: the index may name the new shards by now */
    /* with a base: the rows, and where their records are */
    struct text row_text;
    struct located *rows;
    size_t n_rows, rows_capacity, n_base, n_referred;
    struct shard_writer_report report;
};

/* shard_writer.c. Writes the bytes of a record. Its row in the table of the file begins with prefix (n
 * bytes: the columns up to xxh128). *offset becomes its place. */
int shard_writer_put_record(struct shard_writer *w, const char *prefix, size_t n, const uint8_t *bytes,
                            size_t n_bytes, uint64_t checksum, uint64_t *offset, struct error *err);
int shard_writer_end_file(struct shard_writer *w, struct error *err);
const char *shard_writer_path(struct shard_writer *w, const char *folder, const char *name,
                              const char *ending, struct error *err);
/* Appends the lines of the new files in index.tsv to t. */
int shard_writer_list_files(struct shard_writer *w, struct text *t, struct error *err);
/* Removes the new files from the n-th on. */
void shard_writer_drop_files(struct shard_writer *w, size_t n);

/* shard_rows.c: called before the list is written. Copies live records where that is worthwhile, links
 * files of the base, and writes the table of rows. list gets the lines of the files and of the table. */
int shard_rows_finish(struct shard_writer *w, struct text *list, struct error *err);

#endif
