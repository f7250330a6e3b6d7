/* sources.h: counts the pictures of a manifest by registrable domain, licence and rights, with their first
 * and last date. It reads the manifest once. Memory grows with the number of different domains, licences and
 * words. */
#ifndef WINNOW_REPORT_SOURCES_SOURCES_H
#define WINNOW_REPORT_SOURCES_SOURCES_H

#include "base/names.h"
#include "cli/options.h"
#include "cli/stage.h"
#include "manifest/manifest.h"

struct report_sources_options {
    struct common_options common;
    const char *croissant, *name, *description, *licence, *cite_as, *published, *version, *url, *shards;
};

struct tally {
    uint64_t n, bytes;
};
struct tallies {
    struct names words;
    struct tally *items; /* of each word */
    size_t capacity;
};

struct sources {
    struct tally all;
    struct tallies domains, licences, rights, signals, labels, splits, extensions, formats;
    char first[21], last[21]; /* of fetched_at; "" without one */
    struct text prefix;       /* the folder that all paths share, with its '/' at the end */
    bool has_prefix;
    bool has_label, has_split, has_url, has_hash; /* columns */
};
#define SOURCES_EMPTY ((struct sources){0})

/* Reads the manifest. With `croissant` it also checks that readers that guess the types of columns will read
 * the same values. */
int sources_read(struct sources *s, const char *path, bool croissant, struct error *err);
/* Writes a table with the columns kind, name, pictures, pictures_share, bytes, bytes_share, top,
 * first_fetched and last_fetched. */
int sources_write(const struct sources *s, const char *output, struct error *err);
void sources_release(struct sources *s);

/* Writes the description of the set as Croissant 1.1, beside the manifest at path. */
int croissant_write(const struct sources *s, const struct report_sources_options *o, const char *path,
                    struct error *err);

/* Append the entries of the distribution, and the record sets, that describe the shard set or the tar files
 * in folder. A comma comes before each entry. Fail with EX_USAGE when folder is not below the folder of
 * manifest, and with EX_NOINPUT when folder has neither. */
int croissant_shards_files(struct text *t, const char *folder, const char *manifest, struct error *err);
int croissant_shards_records(struct text *t, const char *folder, struct error *err);

#endif
