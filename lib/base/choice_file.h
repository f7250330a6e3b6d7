/*
 * choice_file.h: remembers choices that were made by measuring, such as the fastest kernel for a shape, in a
 * small text file, so that later runs need not measure again. The file may be deleted at any time.
 *
 * A line has prefix, key and value, separated by tabs. Each line is appended in one write, so the lines of
 * concurrent runs do not mix. A line with another prefix, or an incomplete one, is skipped.
 */
#ifndef WINNOW_BASE_CHOICE_FILE_H
#define WINNOW_BASE_CHOICE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct choice_file {
    char *path; /* NULL: nothing is stored */
    char prefix[360];
    struct choice {
        char *key, *value;
    } * entries;
    size_t n, capacity;
};

/* Reads the file. With path NULL nothing is read or stored. prefix names what the choices depend on besides
 * the key; it does not end with a tab. A file that cannot be read counts as empty. Returns 0, or -1 with err
 * set when memory runs out. */
int choice_file_open(struct choice_file *f, const char *path, const char *prefix, struct error *err);
void choice_file_close(struct choice_file *f);
/* Returns the value of the first entry at or after *at with this key, and moves *at past it. Returns NULL
 * when there is none. */
const char *choice_file_find(const struct choice_file *f, const char *key, size_t *at);
/* Adds an entry in memory, and appends it to the file if there is one and it can be written. */
int choice_file_add(struct choice_file *f, const char *key, const char *value, struct error *err);
/* Sets *out to the path of the file, which the caller frees: chosen, if it is not NULL, or else
 * $XDG_CACHE_HOME/winnow/name or ~/.cache/winnow/name, whose folders are created. *out is NULL when there is
 * to be no file (chosen is ""). */
int choice_file_path(const char *chosen, const char *name, char **out, struct error *err);

#endif
