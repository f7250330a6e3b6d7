/*
 * near.h: near duplicates in a manifest. rows.c reads rows and hashes pictures, judge.c finds near pairs and
 * decides who leaves, groups.c names what has to stay together, sheet.c shows it to people, leak.c checks
 * splits, protect.c and blocklist.c read reference and block lists, remove.c takes listed pictures off the
 * disk.
 *
 * Memory: 88 bytes a row, 32 a distinct hash and some 30 more while they are compared (224 more a row with
 * --dihedral), 12 a near pair, paths of rows with a near neighbour.
 */
#ifndef WINNOW_PHASH_DEDUP_NEAR_H
#define WINNOW_PHASH_DEDUP_NEAR_H

#include "base/names.h"
#include "cli/options.h"
#include "cli/stage.h"
#include "hash/content_hash.h"
#include "hash/near_join.h"
#include "hash/pdq.h"
#include "image/decode_pool.h"
#include "io/file_lock.h"
#include "manifest/manifest.h"
#include "manifest/source.h"
#include "store/pdq_index.h"

enum near_keep { KEEP_LARGEST, KEEP_SMALLEST, KEEP_OLDEST, KEEP_NEWEST, KEEP_FIRST, KEEP_PATH };
#define KEEP_RULES "largest|smallest|oldest|newest|first|path"

enum on_conflict { CONFLICT_REVIEW, CONFLICT_KEEP_FIRST };
#define CONFLICT_RULES "review|keep-first"

struct near_options {
    struct common_options common;
    int family; /* enum pdq_family */
    bool hash_only, no_orient, dihedral, mark, regroup, check_leak, allow_truncated, exact_groups;
    int64_t distance, group_distance, min_quality, block_distance;
    int keep, on_conflict;
    struct option_strings prefer_label;
    const char *protect, *against, *index, *sheet, *blocklist, *delete_blocked;
};
/*
 * 31 is what the authors of PDQ advise for "the same picture". 63 for what merely has to stay on one side of
 * a split: crops by 2.5 % a side and rotations by 2 degrees are within it, which 31 mostly misses, and no two
 * different photographs of 558 were nearer than 94. Charts and drawings of one hand come nearer and get
 * groups of a dozen: no harm in a split. Measured in docs/notes/dedup.md.
 */
#define NEAR_DEFAULTS                                                                                        \
    {                                                                                                        \
        .common = COMMON_OPTIONS_DEFAULTS, .distance = PDQ_DEFAULT_DISTANCE, .group_distance = 63,           \
        .min_quality = PDQ_MIN_QUALITY, .block_distance = PDQ_DEFAULT_DISTANCE                               \
    }

#define NONE UINT32_MAX
#define N_TURNED PDQ_TURNED

enum row_flag {
    ROW_HASHED = 1, /* pdq and quality are known */
    ROW_NAMED = 2,  /* id is the file's xxh128 */
    ROW_AGAINST = 4,
    ROW_PROTECTED = 8,
    ROW_LEAVES = 16,
    ROW_PATH = 32,    /* its path is wanted */
    ROW_TURNED = 64,  /* its seven other hashes are known, if --dihedral asks for them */
    ROW_LISTED = 128, /* matched the block list */
};

enum row_reason {
    LEAVES_NOT,
    LEAVES_NEAR,
    LEAVES_CONFLICT,
    LEAVES_BLOCKED,
    LEAVES_BAD_HASH,
    LEAVES_UNREADABLE
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
    uint32_t group;    /* groups.c: a row that stands for the whole group */
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

struct near {
    const struct near_options *opt;
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
    /* judge.c */
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

/* rows.c */
int near_read_rows(struct near *s, struct manifest_source *in, bool against, struct error *err);
int near_read_paths(struct near *s, struct manifest_source *in, bool against, struct error *err);
/*
 * Pixels and bytes of rows with a near neighbour (ROW_PATH) that brought their hash but not their size: from
 * the files' headers. A file that cannot be read counts as 0, and loses.
 */
int near_read_sizes(struct near *s, struct error *err);
/* --hash-only: rows straight from the pool to the writers. */
int near_hash_only(struct near *s, struct manifest_source *in, struct manifest_writer *out,
                   struct manifest_writer *rejects, struct stage_counts *n, struct error *err);
static inline const char *near_path(const struct near *s, uint32_t row)
{
    return s->rows[row].file == NONE ? "" : s->files[s->rows[row].file].path;
}

/* judge.c */
bool near_comparable(const struct near *s, uint32_t row); /* hashed, stays so far, not flat */
int near_find_pairs(struct near *s, struct error *err);   /* nodes, pairs, neighbour lists; marks ROW_PATH */
int near_judge(struct near *s, struct error *err);        /* who leaves, for whom; wants paths */

/* groups.c */
int near_group(struct near *s, struct error *err); /* row.group for rows that stay */
const char *near_group_name(const struct near *s, uint32_t row, char out[XXH128_HEX_BYTES]);

/* index.c: hashes kept from run to run. */
int near_index_open(struct near *s, struct error *err); /* takes the lock */
const struct pdq_index_entry *near_index_find(const struct near *s, const struct xxh128 *id);
int near_index_add(struct near *s, uint32_t row, struct error *err);

/* sheet.c: after judge and group. The paths of what is shown have to be read between the two calls. */
int near_mark_sheet_paths(struct near *s, struct error *err);
int near_write_sheet(struct near *s, const char *path, struct error *err);

/* leak.c: writes the pictures that have another within opt->distance in another split to output; *n_leaks of
 * them. */
int near_check_leak(struct near *s, struct manifest_source *in, const char *output, uint64_t *n_leaks,
                    struct error *err);

/* protect.c, blocklist.c: before near_find_pairs. */
int near_read_protected(struct near *s, struct manifest_source *in, struct error *err);
int near_block(struct near *s, struct manifest_source *in, struct error *err);

/* remove.c: --delete-blocked. Open before the work begins (EX_TEMPFAIL: the store is in use), remove after
 * the manifests are on disk. What was left alone is said and counted in n_left. */
int near_removal_open(struct near *s, struct error *err);
int near_remove_blocked(struct near *s, struct manifest_source *in, struct error *err);

int near_run(struct near *s, struct manifest_source *in, struct manifest_source *against,
             struct manifest_writer *out, struct manifest_writer *rejects, struct stage_counts *n,
             struct error *err);
int near_run_check_leak(struct near *s, struct manifest_source *in, uint64_t *n_leaks, struct error *err);
void near_release(struct near *s);

#endif
