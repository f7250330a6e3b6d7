/*
 * near_dedup.h: what phash-dedup and feature-dedup share. Each of these stages finds near duplicates in its
 * own way. The code here chooses which rows are kept, finds label conflicts, groups rows for the split,
 * checks splits for leaks, writes the contact sheet, and handles block lists. A stage reads rows
 * (dedup_rows.c), sets the node of each row and the near pairs of nodes (dedup_pairs.c), and lets dedup_run.c
 * call the rest in order: dedup_keepers.c chooses the rows to keep, dedup_groups.c forms groups,
 * dedup_sheet.c writes the contact sheet, dedup_leak.c checks splits, dedup_protect.c reads the pictures that
 * are never rejected, and dedup_remove.c deletes the files of pictures on a block list.
 *
 * Memory: 56 bytes for each row, 12 for each near pair, and the paths of rows that have a near neighbour.
 */
#ifndef WINNOW_DEDUP_NEAR_DEDUP_H
#define WINNOW_DEDUP_NEAR_DEDUP_H

#include "base/names.h"
#include "cli/options.h"
#include "cli/stage.h"
#include "hash/content_hash.h"
#include "hash/near_join.h"
#include "io/file_lock.h"
#include "manifest/keep_rule.h"
#include "manifest/manifest.h"
#include "manifest/source.h"

enum on_conflict { CONFLICT_REVIEW, CONFLICT_KEEP_FIRST };
#define CONFLICT_RULES "review|keep-first"

/* A stage embeds this as `struct dedup_options dedup`. The DEDUP_ROW macros are the rows for its option
 * table. */
struct dedup_options {
    struct common_options common;
    bool mark, check_leak;
    int64_t distance, group_distance, block_distance;
    int keep, on_conflict;
    struct option_strings prefer_label;
    const char *protect, *against, *sheet, *blocklist, *delete_blocked;
};

#define DEDUP_ROWS_KEEP(S, M)                                                                                \
    OPTION(S, CHOICE, 0, "keep", M.keep, "RULE",                                                             \
           "which of several near duplicates to keep; largest: most pixels, then most bytes, then oldest, "  \
           "then first path",                                                                                \
           CHOICES(KEEP_RULES)),                                                                             \
        OPTION(S, STRINGS, 0, "prefer-label", M.prefer_label, "LABEL",                                       \
               "keep a row with this label, whatever --keep says; may be repeated, the strongest first"),    \
        OPTION(                                                                                              \
            S, CHOICE, 0, "on-conflict", M.on_conflict, "RULE",                                              \
            "near duplicates under different labels: review rejects all of them, keep-first keeps the one "  \
            "that --keep chooses",                                                                           \
            CHOICES(CONFLICT_RULES)),                                                                        \
        OPTION(S, STRING, 0, "protect", M.protect, "FILE",                                                   \
               "a manifest of pictures, by path or xxh128, that are never rejected; others may be rejected " \
               "because of them")
#define DEDUP_ROW_MARK(S, M)                                                                                 \
    OPTION(S, FLAG, 0, "mark", M.mark, NULL,                                                                 \
           "reject no near duplicate; add the columns keeper, keeper_distance and near_reason instead")
#define DEDUP_ROW_SHEET(S, M)                                                                                \
    OPTION(S, STRING, 0, "sheet", M.sheet, "FILE",                                                           \
           "write an HTML page that shows conflicts, near duplicates and groups; its pictures are blurred")
#define DEDUP_ROW_DELETE(S, M)                                                                               \
    OPTION(S, STRING, 0, "delete-blocked", M.delete_blocked, "STORE",                                        \
           "delete the files that the block list matched, and record them in STORE (the one that fetch "     \
           "fills, or a new folder): in audit.tsv and in takedown.tsv, which fetch and purge read")
#define DEDUP_ROW_LEAK(S, M)                                                                                 \
    OPTION(S, FLAG, 0, "check-leak", M.check_leak, NULL,                                                     \
           "read a manifest with splits, and write the pictures that have a near copy in another split; "    \
           "exit 1 when there are any")

#define DEDUP_NONE UINT32_MAX

enum row_flag {
    ROW_HASHED = 1, /* the row has a hash or a vector to compare */
    ROW_NAMED = 2,  /* id is the file's xxh128 */
    ROW_AGAINST = 4,
    ROW_PROTECTED = 8,
    ROW_REJECTED = 16,
    ROW_PATH = 32,    /* its path is needed */
    ROW_TURNED = 64,  /* phash-dedup with --dihedral: the row's seven other hashes are known */
    ROW_LISTED = 128, /* matched the block list */
};

enum row_reason {
    KEPT,
    REJECT_NEAR_DUPLICATE,
    REJECT_CONFLICT,
    REJECT_BLOCKED,
    REJECT_BAD_HASH,
    REJECT_UNREADABLE
};

struct dedup_row {
    struct xxh128 id; /* the hash of the file, or, without ROW_NAMED, of its path */
    uint64_t bytes;
    uint32_t pixels, label;
    uint32_t node; /* DEDUP_NONE while not compared */
    uint32_t file; /* index in files of its path, or DEDUP_NONE while the path was not read */
    /* the kept row that is the reason for rejecting this row, or the row that this row conflicts with */
    uint32_t keeper;
    uint32_t group_in; /* index in groups_in of its group in the manifest, or DEDUP_NONE */
    uint32_t group;    /* the row that represents this row's group; set by dedup_groups.c */
    uint16_t distance;
    uint8_t quality, flags, reason;
};

struct dedup_file {
    const char *path;
    int64_t mtime_ns;
};
struct dedup_failure {
    uint32_t row;
    const char *slug, *detail;
}; /* slug: static */
#define DEDUP_DIGEST_BYTES 65
struct dedup_blocked {
    uint32_t row;
    const char *algorithm; /* static: "md5", ... */
    char digest[DEDUP_DIGEST_BYTES];
};

struct dedup {
    const struct dedup_options *opt;
    const char *unit; /* of distances: "bits" */
    struct dedup_row *rows;
    size_t n_rows, rows_capacity, n_against;
    struct dedup_file *files;
    size_t n_files, files_capacity;
    struct dedup_failure *failures; /* in row order */
    size_t n_failures, failures_capacity;
    struct arena arena;
    struct names labels;    /* number 0 is the empty label */
    struct names groups_in; /* names of groups in the manifest */
    struct file_lock store_lock;
    int store_fd;                  /* --delete-blocked */
    struct dedup_blocked *blocked; /* in row order */
    size_t n_blocked, blocked_capacity;
    void (*forget)(void *context, const struct xxh128 *id); /* called for each deleted file; may be NULL */
    void *forget_context;
    /* a node is a group of rows that are compared as one; nodes are in the order of their first rows */
    size_t n_nodes, n_first;          /* n_first: the nodes of --against */
    uint32_t *node_start, *node_rows; /* rows of each node */
    struct near_pairs pairs;          /* of nodes, up to the larger distance */
    uint32_t *adjacent_start;         /* pairs within opt->distance as neighbour lists */
    struct neighbour {
        uint32_t node, distance;
    } * adjacent;
    uint64_t n_near, n_conflicts, n_blocked_against, n_removed, n_left;
    struct progress progress;
};
#define DEDUP_EMPTY ((struct dedup){.store_lock = FILE_LOCK_EMPTY, .store_fd = -1})
void dedup_release(struct dedup *s);

/* --- dedup_rows.c --- */

/* The indices of the columns that are read; -1 when the manifest does not have the column. */
struct dedup_columns {
    int path, label, bytes, hash, width, height, group;
};
struct dedup_columns dedup_columns_of(const struct manifest_schema *s);
/* Adds a row that is not compared yet. Returns 0, or -1 with err set: EX_DATAERR for more than 4 billion
 * rows, EX_OSERR without memory. */
int dedup_add_row(struct dedup *s, const struct dedup_columns *c, const char *const *fields, bool against,
                  struct error *err);
/* Rejects the row that was added last, because it cannot be compared. slug is a static string. */
int dedup_add_failure(struct dedup *s, const char *slug, const char *detail, struct error *err);
/* Records that a row matched the block list. A row of --against is only counted; any other row is
 * rejected. algorithm is a static string. */
int dedup_block_row(struct dedup *s, uint32_t row, uint32_t distance, const char *algorithm,
                    const char *digest, struct error *err);
/* Sorts s->blocked by row. Call it after the last dedup_block_row. */
void dedup_sort_blocked(struct dedup *s);
/* Reads the paths of rows with ROW_PATH whose path was not read yet. Returns 0, or -1 with err set:
 * EX_DATAERR when a manifest was written to in the meantime. */
int dedup_read_missing_paths(struct dedup *s, struct manifest_source *in, struct manifest_source *against,
                             struct error *err);
/* Reads the numbers of pixels and bytes from the files of rows with a near neighbour (ROW_PATH), where the
 * manifest does not have them. They stay 0 for a file that cannot be read. Does nothing unless --keep
 * compares sizes. */
int dedup_read_sizes(struct dedup *s, struct error *err);
/* Writes a rejected row with its reason. failure: the newest failure at or before this row, or NULL. detail
 * is scratch memory. */
int dedup_write_reject(struct dedup *s, uint32_t row, const struct dedup_failure *failure,
                       const char *const *fields, struct manifest_writer *rejects, struct text *detail,
                       struct error *err);
/* The values of the columns keeper, keeper_distance and near_reason for --mark. own: the row's path. */
struct dedup_mark {
    const char *keeper, *reason;
    char distance[8];
};
/* Fills out for the row; the pointers are borrowed from s and own. */
void dedup_mark_of(const struct dedup *s, uint32_t row, const char *own, struct dedup_mark *out);
/* Prints how many pictures matched the block list. */
void dedup_warn_blocked(const struct dedup *s);
/* Returns the path of the row, or "" while it was not read. */
static inline const char *dedup_path(const struct dedup *s, uint32_t row)
{
    return s->rows[row].file == DEDUP_NONE ? "" : s->files[s->rows[row].file].path;
}

/* --- dedup_run.c --- */

struct dedup_files {
    struct manifest_source in, against; /* against: empty without --against */
    struct manifest_reader header;
    struct manifest_writer out, rejects;
};
#define DEDUP_FILES_EMPTY                                                                                    \
    ((struct dedup_files){MANIFEST_SOURCE_EMPTY, MANIFEST_SOURCE_EMPTY, MANIFEST_READER_EMPTY,               \
                          MANIFEST_WRITER_EMPTY, MANIFEST_WRITER_EMPTY})
/* Opens the manifests that are read; path NULL: standard input. required ends with NULL. */
int dedup_files_read(struct dedup_files *f, const struct dedup_options *o, const char *path,
                     const char *const *required, struct error *err);
/* Opens what is written, and the store of --delete-blocked. adds: the new columns, ends with NULL. */
int dedup_files_write(struct dedup_files *f, struct dedup *s, const char *const *adds, struct error *err);
void dedup_files_release(struct dedup_files *f);
/* Decides about every row from the neighbour lists: reads the paths and sizes that are needed, chooses the
 * rows to keep, forms groups, and writes the sheet of --sheet. Returns 0, or -1 with err set. */
int dedup_decide(struct dedup *s, struct dedup_files *f, struct error *err);
#define DEDUP_MAX_ADDED 12 /* columns */
/* Sets the values of the columns that a stage adds before group, and returns how many there are. */
typedef size_t dedup_added(void *context, uint32_t row, const struct manifest_reader *r, const char **values);
/* Reads the manifest again, and writes each row to f->out or f->rejects as decided. added: NULL when the
 * stage adds no columns of its own. */
int dedup_write_rows(struct dedup *s, struct dedup_files *f, dedup_added *added, void *context,
                     struct stage_counts *n, struct error *err);

/* --- dedup_pairs.c --- */

/* Lists the rows of each node. rows[].node, n_nodes and n_first must be set. */
int dedup_index_nodes(struct dedup *s, struct error *err);
/* Makes neighbour lists from the pairs, and sets ROW_PATH for rows that have a neighbour. */
int dedup_make_lists(struct dedup *s, struct error *err);

/* dedup_keepers.c: rejects rows and sets the keeper of each. Rows with ROW_PATH must have their path. */
int dedup_choose_keepers(struct dedup *s, struct error *err);

/* dedup_groups.c */
int dedup_group(struct dedup *s, struct error *err); /* sets row.group of kept rows */
/* Returns the name of the row's group: the one in the manifest, or the hash of the row that represents it,
 * which is written to out. */
const char *dedup_group_name(const struct dedup *s, uint32_t row, char out[XXH128_HEX_BYTES]);

/* dedup_sheet.c: call it after the keepers were chosen and the groups named. Before the sheet is written,
 * the caller reads the paths of the rows that dedup_mark_sheet_paths marked. */
int dedup_mark_sheet_paths(struct dedup *s, struct error *err);
int dedup_write_sheet(struct dedup *s, const char *path, struct error *err);

/* dedup_leak.c: writes to output each picture that has a copy within opt->distance in another split, and sets
 * *n_leaks to their number. */
int dedup_check_leak(struct dedup *s, struct manifest_source *in, const char *output, uint64_t *n_leaks,
                     struct error *err);

/* dedup_protect.c: reads the manifest that --protect names. */
int dedup_read_protected(struct dedup *s, struct manifest_source *in, struct error *err);

/* dedup_remove.c: --delete-blocked. dedup_removal_open is called before the work begins; it fails with
 * EX_TEMPFAIL when the store is in use. dedup_remove_blocked removes the files of the rows in s->blocked,
 * after the manifests are on disk. For a file that cannot be removed, it prints a message and adds 1 to
 * n_left. */
int dedup_removal_open(struct dedup *s, struct error *err);
int dedup_remove_blocked(struct dedup *s, struct manifest_source *in, struct error *err);

#endif
