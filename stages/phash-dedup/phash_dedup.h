/*
 * phash_dedup.h: near duplicates in a manifest. phash_rows.c reads the rows and hashes pictures,
 * phash_pairs.c finds near pairs, phash_keepers.c chooses the rows that stay, phash_groups.c names the
 * groups that a split must keep together, dup_sheet.c shows the result to people, leak.c checks splits,
 * protect.c and blocklist.c read lists of pictures, remove.c deletes the files of listed pictures.
 *
 * Memory: 88 bytes a row; 32 bytes a distinct hash, and some 30 more while hashes are compared (224 more a
 * row with --dihedral); 12 bytes a near pair; and the paths of rows that have a near neighbour.
 */
#ifndef WINNOW_PHASH_DEDUP_H
#define WINNOW_PHASH_DEDUP_H

#include "base/names.h"
#include "cli/options.h"
#include "cli/stage.h"
#include "hash/content_hash.h"
#include "hash/near_join.h"
#include "hash/pdq.h"
#include "image/decode_pool.h"
#include "io/file_lock.h"
#include "manifest/keep_rule.h"
#include "manifest/manifest.h"
#include "manifest/source.h"
#include "store/pdq_index.h"

enum on_conflict { CONFLICT_REVIEW, CONFLICT_KEEP_FIRST };
#define CONFLICT_RULES "review|keep-first"

struct phash_options {
    struct common_options common;
    int family; /* enum pdq_family */
    bool hash_only, no_orient, dihedral, mark, check_leak, allow_truncated, exact_groups;
    int64_t distance, group_distance, min_quality, block_distance;
    int keep, on_conflict;
    struct option_strings prefer_label;
    const char *protect, *against, *index, *sheet, *blocklist, *delete_blocked;
};
/*
 * The authors of PDQ advise 31 for "the same picture". 63 is for pictures that a split must only keep
 * together: crops by 2.5 % a side and rotations by 2 degrees are mostly beyond 31 and within 63, and of 558
 * different photographs no two were nearer than 94. Charts and drawings by one hand are nearer and form
 * groups of a dozen, which does no harm in a split. Measured in docs/notes/dedup.md.
 */
#define PHASH_DEFAULTS                                                                                       \
    {                                                                                                        \
        .common = COMMON_OPTIONS_DEFAULTS, .distance = PDQ_DEFAULT_DISTANCE, .group_distance = 63,           \
        .min_quality = PDQ_MIN_QUALITY, .keep = KEEP_LARGEST, .block_distance = PDQ_DEFAULT_DISTANCE         \
    }

#define NONE UINT32_MAX
#define N_TURNED PDQ_TURNED

enum row_flag {
    ROW_HASHED = 1, /* pdq and quality are known */
    ROW_NAMED = 2,  /* id is the file's xxh128 */
    ROW_AGAINST = 4,
    ROW_PROTECTED = 8,
    ROW_REJECTED = 16,
    ROW_PATH = 32,    /* its path is wanted */
    ROW_TURNED = 64,  /* its seven other hashes are known, if --dihedral asks for them */
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

struct row {
    struct pdq_hash pdq;
    struct xxh128 id; /* of the file; while ROW_NAMED is not set a stand-in (of the path) */
    uint64_t bytes;
    uint32_t pixels, label;
    uint32_t node;     /* distinct hash, NONE while not compared */
    uint32_t file;     /* index in files, NONE */
    uint32_t keeper;   /* row that stays for this one, or that it disagrees with */
    uint32_t group_in; /* index in group_names of the group it came with, NONE */
    uint32_t group;    /* phash_groups.c: a row that stands for the whole group */
    uint8_t quality, distance, flags, reason;
};

struct file {
    const char *path;
    int64_t mtime_ns;
};
struct failure {
    uint32_t row;
    const char *slug, *detail;
}; /* slug: static */
struct blocked {
    uint32_t row;
    const char *algorithm; /* static: "md5", ...; "pdq" */
    char digest[PDQ_HEX_BYTES];
};

struct phash_dedup {
    const struct phash_options *opt;
    struct row *rows;
    size_t n_rows, rows_capacity, n_against;
    struct pdq_hash (*turned)[N_TURNED]; /* with --dihedral: of each row */
    size_t turned_capacity;
    struct file *files;
    size_t n_files, files_capacity;
    struct failure *failures; /* in row order */
    size_t n_failures, failures_capacity;
    struct arena arena;
    struct names labels;    /* number 0 is the empty one */
    struct names groups_in; /* names of groups that rows came with */
    struct pdq_index index;
    struct file_lock index_lock, store_lock;
    int store_fd;            /* --delete-blocked */
    struct blocked *blocked; /* in row order */
    size_t n_blocked, blocked_capacity;
    /* phash_pairs.c */
    struct pdq_hash *nodes;
    size_t n_nodes, nodes_capacity, n_first;
    uint32_t *node_start, *node_rows; /* rows of each node */
    struct near_pairs pairs;          /* of nodes, up to the larger distance */
    uint32_t *adjacent_start;         /* pairs within opt->distance as neighbour lists */
    struct neighbour {
        uint32_t node, distance;
    } * adjacent;
    uint64_t n_decoded, n_reused, n_near, n_conflicts, n_flat;
    uint64_t n_blocked_against, n_removed, n_left;
    struct progress progress;
};

/* phash_rows.c */
int phash_read_rows(struct phash_dedup *s, struct manifest_source *in, bool against, struct error *err);
int phash_read_paths(struct phash_dedup *s, struct manifest_source *in, bool against, struct error *err);
/* Reads, from the headers of their files, the pixels and bytes of rows with a near neighbour (ROW_PATH)
 * whose manifest row has a hash but no size. A file that cannot be read counts as 0. */
int phash_read_sizes(struct phash_dedup *s, struct error *err);
/* --hash-only: passes rows from the pool straight to the writers. */
int phash_hash_only(struct phash_dedup *s, struct manifest_source *in, struct manifest_writer *out,
                    struct manifest_writer *rejects, struct stage_counts *n, struct error *err);
static inline const char *phash_path(const struct phash_dedup *s, uint32_t row)
{
    return s->rows[row].file == NONE ? "" : s->files[s->rows[row].file].path;
}

/* phash_pairs.c */
bool phash_comparable(const struct phash_dedup *s, uint32_t row); /* hashed, stays so far, not flat */
/* Makes nodes, pairs and neighbour lists, and sets ROW_PATH. */
int phash_find_pairs(struct phash_dedup *s, struct error *err);

/* phash_keepers.c: rejects rows and sets the keeper of each. Rows with ROW_PATH must have their path. */
int phash_choose_keepers(struct phash_dedup *s, struct error *err);

/* phash_groups.c */
int phash_group(struct phash_dedup *s, struct error *err); /* row.group for rows that stay */
const char *phash_group_name(const struct phash_dedup *s, uint32_t row, char out[XXH128_HEX_BYTES]);

/* phash_index.c: the hashes that are kept from one run to the next. */
int phash_index_open(struct phash_dedup *s, struct error *err); /* takes the lock */
const struct pdq_index_entry *phash_index_find(const struct phash_dedup *s, const struct xxh128 *id);
int phash_index_add(struct phash_dedup *s, uint32_t row, struct error *err);

/* dup_sheet.c: call it after the keepers were chosen and the groups named. Before the sheet is written,
 * the caller reads the paths of the rows that phash_mark_sheet_paths marked. */
int phash_mark_sheet_paths(struct phash_dedup *s, struct error *err);
int phash_write_sheet(struct phash_dedup *s, const char *path, struct error *err);

/* leak.c: writes the pictures that have another one within opt->distance in another split to
 * output, and their number to *n_leaks. */
int phash_check_leak(struct phash_dedup *s, struct manifest_source *in, const char *output, uint64_t *n_leaks,
                     struct error *err);

/* protect.c, blocklist.c: call these before phash_find_pairs. */
int phash_read_protected(struct phash_dedup *s, struct manifest_source *in, struct error *err);
int phash_block(struct phash_dedup *s, struct manifest_source *in, struct error *err);

/* remove.c: --delete-blocked. Open before the work begins (EX_TEMPFAIL: the store is in use), and remove
 * after the manifests are on disk. A file that could not be removed gets a message and counts in n_left. */
int phash_removal_open(struct phash_dedup *s, struct error *err);
int phash_remove_blocked(struct phash_dedup *s, struct manifest_source *in, struct error *err);

int phash_run(struct phash_dedup *s, struct manifest_source *in, struct manifest_source *against,
              struct manifest_writer *out, struct manifest_writer *rejects, struct stage_counts *n,
              struct error *err);
int phash_run_check_leak(struct phash_dedup *s, struct manifest_source *in, uint64_t *n_leaks,
                         struct error *err);
void phash_release(struct phash_dedup *s);

#endif
