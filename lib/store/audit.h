/*
 * audit.h: what was not kept, or was removed, without keeping any of it: STORE/audit.tsv, a line each; and
 * what has to stay removed: STORE/takedown.tsv, which `fetch` and `purge` read. Lines are appended and synced
 * one by one: there are few, and each may be asked for. The caller holds STORE/lock.
 */
#ifndef WINNOW_STORE_AUDIT_H
#define WINNOW_STORE_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "hash/content_hash.h"

struct audit_line {
    int64_t time;              /* Unix seconds */
    const char *action, *list; /* "not-kept" or "removed"; "blocklist" or "takedown" */
    const char *algorithm,
        *digest;     /* the hash that was listed: "md5", ...; "pdq": the picture's own, near a listed one */
    const char *url; /* where it came from, "" when not known */
    bool keep_url;   /* write the address itself, not only its host and salted digest */
};

/*
 * time action list algorithm digest url_sha256 host url. url_sha256 is SHA-256 of STORE/audit.salt and the
 * address: only somebody who has both can check it. folder is for messages; folder_fd is the open store.
 */
int audit_append(int folder_fd, const char *folder, const struct audit_line *line, struct error *err);

/* Rows of takedown.tsv (time kind value, each with its LF), made if absent, with its header. */
int takedown_append(int folder_fd, const char *folder, const char *rows, size_t n_bytes, struct error *err);
/*
 * Before takedown.tsv is read: cuts off what a full disk or a power cut left of a line (not in a dry run).
 * *there: whether there is a takedown.tsv with anything in it; that it cannot be told is an error, for a
 * takedown must not be overlooked.
 */
int takedown_mend(int folder_fd, const char *folder, bool dry_run, bool *there, struct error *err);
/*
 * Reads a takedown.tsv: row(context, kind, value) for each row, kind "url" (value: the key of the address) or
 * a kind of hash. It returns 1; 0: not a takedown, which is EX_DATAERR with the row; -1 with err set.
 */
typedef int takedown_row(void *context, const char *kind, const char *value, struct error *err);
int takedown_read(const char *path, takedown_row *row, void *context, struct error *err);
/* The row for one content hash. */
int takedown_append_hash(int folder_fd, const char *folder, int64_t time, const struct xxh128 *hash,
                         struct error *err);

#endif
