/*
 * hash_dedup.h: exact duplicates in a manifest. row_reader.c reads the rows, file_hash.c reads and hashes the
 * files that could be equal, hash_keepers.c chooses the row of each group that is kept, actions.c changes
 * files when told to.
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
    const char *against; /* an older manifest whose rows always win and are not written */
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
    ROW_GROUPED = 8,   /* has the bytes of another row */
    ROW_REJECTED = 16, /* rejected because of row `keeper` */
    ROW_FOUND = 32,    /* we computed the hash: it is written */
    ROW_PEER = 64,     /* came with a hash, has the size of a file that did not: its last block is compared */
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

/* 36 bytes a row, and 8 more while groups are found: that is the cost of a row that came with its hash. A
 * row that has a copy costs 12 bytes more, and its path. */
struct __attribute__((packed, aligned(4))) row {
    struct xxh128 hash;
    uint64_t bytes;
    uint32_t label;  /* index in labels; 0 is the empty one */
    uint32_t file;   /* index in files or (ONLY_PATH) only_paths, for rows that need their path; NO_FILE */
    uint32_t keeper; /* the row that stays for this one, or of the conflict */
    uint8_t flags, reason;
};

/* Kept for rows whose file is examined. A member of a group that came with its hash
 * needs only a path, to decide ties. */
struct file {
    const char *path;
    dev_t dev;
    ino_t ino;
    int64_t mtime_ns;
    uint32_t row;
    int error_number; /* why it could not be read */
    bool seen, link;  /* was examined; is a symbolic link */
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
    struct names labels; /* number 0 is the empty one */
    /* The rows that have the bytes of another row, group by group. After dedup_choose_keepers the best
     * row of each group comes first. */
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
/* Reads the paths of the rows with that flag that have none yet. */
int dedup_read_paths(struct dedup *d, struct manifest_source *in, bool against, enum row_flag flag,
                     struct error *err);
/* Sets ROW_PEER on the rows that need it, and *n to their number. */
int dedup_find_peers(struct dedup *d, size_t *n, struct error *err);
void dedup_look_at(struct dedup *d, struct file *f, struct row *r); /* stat: sizes, kinds, reasons */
void dedup_look_at_all(struct dedup *d);
/* Returns -1 when a file could not be read because of the machine, for example for lack of descriptors. */
int dedup_check_machine(const struct dedup *d, struct error *err);

/* file_hash.c: afterwards every row that may equal another one has its hash, or a reason to be rejected. */
int dedup_hash_files(struct dedup *d, struct error *err);

/* hash_keepers.c */
int dedup_group(struct dedup *d, struct error *err); /* fills groups, marks ROW_GROUPED */
int dedup_choose_keepers(struct dedup *d,
                         struct error *err); /* keepers, conflicts; wants the paths of grouped rows */

/* actions.c: call it after the manifests are on disk. *n_failed counts the files that could not be
 * changed; each of them has a message on standard error. */
int dedup_act(struct dedup *d, uint64_t *n_done, uint64_t *n_failed, struct error *err);
/* --verify: compares every duplicate with its keeper, and rejects one that differs as `content-differs`. */
int dedup_verify(struct dedup *d, struct error *err);

static inline const char *dedup_path(const struct dedup *d, uint32_t row)
{
    uint32_t at = d->rows[row].file;
    return at == NO_FILE ? "" : at & ONLY_PATH ? d->only_paths[at & ~ONLY_PATH] : d->files[at].path;
}
/* What is known of the row's file; all zeros when it was not examined. */
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
