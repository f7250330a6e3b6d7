/*
 * choice_file.h: what was chosen by trying (which kernel for which shape), kept in a small text file so that
 * later runs need not try again. Anybody may delete the file.
 *
 * A line is prefix, key and value with tabs between. Lines are appended whole, so that runs at the same time
 * do not mix theirs; one that does not begin with the prefix, or is not whole, is passed over.
 */
#ifndef WINNOW_BASE_CHOICE_FILE_H
#define WINNOW_BASE_CHOICE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct choice_file {
    char *path; /* NULL: nothing is kept after this process */
    char prefix[360];
    struct choice {
        char *key, *value;
    } * entries;
    size_t n, capacity;
};

/* path NULL: nothing is read or kept. prefix: what the choices depend on beside the key, without a tab at its
 * end. -1: no memory; a file that cannot be read has no choices. */
int choice_file_open(struct choice_file *f, const char *path, const char *prefix, struct error *err);
void choice_file_close(struct choice_file *f);
/* The value of the first entry from *at on that has this key, and *at after it; NULL: there is none. */
const char *choice_file_find(const struct choice_file *f, const char *key, size_t *at);
/* Remembers, and appends to the file where there is one and it can be written. */
int choice_file_add(struct choice_file *f, const char *key, const char *value, struct error *err);
/* chosen where it is not NULL ("": none), else $XDG_CACHE_HOME/winnow/name, else ~/.cache/winnow/name, whose
 * folders are made; NULL where there is no home. The caller frees *out. */
int choice_file_path(const char *chosen, const char *name, char **out, struct error *err);

#endif
