/* sources.h: counts the pictures of a manifest by registrable domain, licence and rights, with their first
 * and last date. One pass; memory grows with the number of different domains, licences and words. */
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

/* croissant: also checks that other readers of the file, which guess types, will read the same values. */
int sources_read(struct sources *s, const char *path, bool croissant, struct error *err);
/* Writes kind name pictures pictures_share bytes bytes_share top first_fetched last_fetched. */
int sources_write(const struct sources *s, const char *output, struct error *err);
void sources_release(struct sources *s);

/* Writes the description of the set as Croissant 1.1, beside the manifest at path. */
int croissant_write(const struct sources *s, const struct report_sources_options *o, const char *path,
                    struct error *err);

/* The entries of the distribution, and the record sets, about what pack wrote into folder, a set or tar
 * files, each with a comma before it. EX_USAGE when folder is not below the folder of manifest, EX_NOINPUT
 * without either. */
int croissant_shards_files(struct text *t, const char *folder, const char *manifest, struct error *err);
int croissant_shards_records(struct text *t, const char *folder, struct error *err);

#endif
