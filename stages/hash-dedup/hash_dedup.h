/*
 * hash_dedup.h: finds exact duplicates in a manifest. row_reader.c reads the rows, file_hash.c reads and
 * hashes the files that could be equal, hash_keepers.c chooses the row of each group that is kept, and
 * actions.c changes files if an option says so.
 */
#ifndef WINNOW_HASH_DEDUP_H
#define WINNOW_HASH_DEDUP_H

#include <sys/types.h>

#include "base/names.h"
#include "cli/options.h"
#include "cli/stage.h"
#include "hash/content_hash.h"
#include "manifest/keep_rule.h"
#include "manifest/manifest.h"
#include "manifest/source.h"

enum on_conflict { CONFLICT_REVIEW, CONFLICT_KEEP_FIRST, CONFLICT_DROP };
#define CONFLICT_RULES "review|keep-first|drop"

struct dedup_options {
    struct common_options common;
    int keep;                     /* enum keep_rule */
    int on_conflict;              /* enum on_conflict */
    struct option_strings prefer; /* path prefixes, best first */
    struct option_strings prefer_label;
    /* an older manifest: its rows are always kept instead of others, and are not written */
    const char *against;
    bool hash_all, verify;
    bool delete, hardlink, reflink, dry_run;
    const char *quarantine, *log;
};
#define DEDUP_DEFAULTS                                                                                       \
    {                                                                                                        \
        .common = COMMON_OPTIONS_DEFAULTS                                                                    \
    }

enum row_flag {
    ROW_HASHED = 1,    /* hash is known */
    ROW_SIZED = 2,     /* bytes is known */
    ROW_AGAINST = 4,   /* from --against */
    ROW_GROUPED = 8,   /* another row has the same bytes */
    ROW_REJECTED = 16, /* rejected because of row `keeper` */
    ROW_FOUND = 32,    /* this run computed the hash, which is written to the output */
    /* the row came with a hash, and has the size of a file without one: its last block is compared */
    ROW_PEER = 64,
};

enum row_reason {
    KEPT,
    REJECT_DUPLICATE,
    REJECT_SAME_FILE,
    REJECT_SAME_ROW,
    REJECT_CONFLICT,
    REJECT_OUTSIDE_ROOT,
    REJECT_NOT_FOUND,
    REJECT_UNREADABLE,
    REJECT_NOT_REGULAR,
    REJECT_EMPTY,
    REJECT_CHANGED,
    REJECT_BAD_HASH,
    REJECT_DIFFERS,
};

#define NO_FILE UINT32_MAX
#define ONLY_PATH 0x80000000u /* bit of row.file: the rest is an index in only_paths */

/* A row that came with its hash takes 36 bytes, and 8 more while groups are found. A row that has a copy
 * takes 12 more bytes, and its path. */
struct __attribute__((packed, aligned(4))) row {
    struct xxh128 hash;
    uint64_t bytes;
    uint32_t label;  /* index in labels; 0 is the empty one */
    uint32_t file;   /* index in files or (ONLY_PATH) only_paths, for rows that need their path; NO_FILE */
    uint32_t keeper; /* the row that is kept instead of this one, or the other row of a conflict */
    uint8_t flags, reason;
};

/* Data about a file that is examined. A row of a group that came with its hash has only a path, which decides
 * ties. */
struct file {
    const char *path;
    dev_t dev;
    ino_t ino;
    int64_t mtime_ns;
    uint32_t row;
    int error_number; /* why it could not be read */
    bool seen, link;  /* seen: the file was examined; link: it is a symbolic link */
};

struct dedup {
    const struct dedup_options *opt;
    int root_fd;
    struct row *rows;
    size_t n_rows, rows_capacity, n_against; /* the rows of --against come first */
    struct file *files;
    size_t n_files, files_capacity;
    const char **only_paths;
    size_t n_only_paths, only_paths_capacity;
    struct arena paths;
    struct names labels; /* number 0 is the empty label */
    /* The rows whose bytes another row has, too, group by group. After dedup_choose_keepers the best row of
     * each group comes first. */
    uint32_t *members;
    size_t n_members, members_capacity;
    struct group {
        uint32_t begin, n;
    } * groups;
    size_t n_groups, groups_capacity;
    uint64_t n_duplicates, n_conflicts, n_hashed, bytes_read;
    struct progress progress;
};

/* row_reader.c */
int dedup_read_rows(struct dedup *d, struct manifest_source *in, bool against, struct error *err);
/* Reads the paths of the rows with this flag that have no path yet. */
int dedup_read_paths(struct dedup *d, struct manifest_source *in, bool against, enum row_flag flag,
                     struct error *err);
/* Sets ROW_PEER on the rows that need it, and *n to their number. */
int dedup_find_peers(struct dedup *d, size_t *n, struct error *err);
/* calls stat and stores the size and the kind of the file, or the reason to reject the row */
void dedup_look_at(struct dedup *d, struct file *f, struct row *r);
void dedup_look_at_all(struct dedup *d);
/* Returns Returns -1 with err set when a file could not be read because of the machine, for example without
 * free descriptors. */
int dedup_check_machine(const struct dedup *d, struct error *err);

/* file_hash.c: hashes files. Afterwards every row that may equal another one has its hash, or a reason to be
 * rejected. */
int dedup_hash_files(struct dedup *d, struct error *err);

/* hash_keepers.c */
int dedup_group(struct dedup *d, struct error *err); /* fills groups, marks ROW_GROUPED */
int dedup_choose_keepers(struct dedup *d,
                         /* sets keepers and conflicts; rows in groups must have their paths */
                         struct error *err);

/* actions.c: deletes or links duplicates. Call it after the manifests are on disk. *n_failed is the number of
 * files that could not be changed; a message on standard error names each of them. */
int dedup_act(struct dedup *d, uint64_t *n_done, uint64_t *n_failed, struct error *err);
/* --verify: compares every duplicate with its keeper, and rejects one that differs as `content-differs`. */
int dedup_verify(struct dedup *d, struct error *err);

static inline const char *dedup_path(const struct dedup *d, uint32_t row)
{
    uint32_t at = d->rows[row].file;
    return at == NO_FILE ? "" : at & ONLY_PATH ? d->only_paths[at & ~ONLY_PATH] : d->files[at].path;
}
/* Returns the data about the row's file; all fields are 0 when it was not examined. */
static inline const struct file *dedup_file(const struct dedup *d, uint32_t row)
{
    static const struct file unseen = {.path = ""};
    uint32_t at = d->rows[row].file;
    return at & ONLY_PATH ? &unseen : &d->files[at];
}

int dedup_run(struct dedup *d, struct manifest_source *in, struct manifest_source *against,
              struct manifest_writer *out, struct manifest_writer *rejects, struct stage_counts *n,
              struct error *err);
void dedup_release(struct dedup *d);

#endif
