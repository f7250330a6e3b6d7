/*
 * purge.h: finds and removes all data that runs derived from pictures that were taken down.
 */
#ifndef WINNOW_PURGE_PURGE_H
#define WINNOW_PURGE_PURGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "hash/content_hash.h"
#include "manifest/manifest.h"

/* The contents and addresses in the store's takedown.tsv. Both are sorted. */
struct taken_down {
    struct xxh128 *hashes, *urls;
    size_t n_hashes, n_urls, hashes_capacity, urls_capacity;
};

struct purge_counts {
    uint64_t n_rows, n_files;
};

struct purge {
    struct taken_down list;
    const char *store; /* its real path; purge does not change the store, which `fetch --takedown` does */
    bool dry_run, deep;
    struct manifest_writer *report; /* action, path, rows */
    struct purge_counts counts;
    bool damaged; /* a table could not be read and may still name a picture */
};

/* Reads the rows of the kinds url and xxh128 from takedown.tsv. Only fetch uses other kinds, and adds the
 * xxh128 of each picture that they match. */
int taken_down_read(struct taken_down *t, const char *path, struct error *err);
void taken_down_release(struct taken_down *t);

/* Treats the folder of one run. Tables are replaced in the order of their age, so that make still knows
 * what is up to date; then follows what was made from the pictures. */
int purge_run(struct purge *p, const char *folder, struct error *err);

#endif
