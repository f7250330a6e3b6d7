/*
 * audit.h: two logs of the store. STORE/audit.tsv records which pictures were removed or not kept.
 * STORE/takedown.tsv lists the pictures that must never be stored again; `fetch` and `purge` read it. Each
 * line is appended and synced by itself: there are few lines, and each may be needed as evidence. The caller
 * must hold STORE/lock.
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
 * Appends a line: time action list algorithm digest url_sha256 host url. url_sha256 is the SHA-256 of
 * STORE/audit.salt and the address, so that only somebody who has both can check it. folder is for messages;
 * folder_fd is the open store.
 */
int audit_append(int folder_fd, const char *folder, const struct audit_line *line, struct error *err);

/* Appends rows to takedown.tsv (time kind value, each with its LF). The file is created, with its header, if
 * it does not exist. */
int takedown_append(int folder_fd, const char *folder, const char *rows, size_t n_bytes, struct error *err);
/*
 * Call this before takedown.tsv is read: it removes a part of a line that a full disk or a power cut left
 * (not in a dry run). *there becomes whether takedown.tsv exists and is not empty. If that cannot be
 * determined, the function fails, because no takedown may be overlooked.
 */
int takedown_mend(int folder_fd, const char *folder, bool dry_run, bool *there, struct error *err);
/*
 * Reads a takedown.tsv and calls row(context, kind, value) for each row. kind is "url" (value is the key of
 * the address) or a kind of hash. The callback returns 1, or 0 when the row is not a takedown (the reading
 * then fails with EX_DATAERR and names the row), or -1 with err set.
 */
typedef int takedown_row(void *context, const char *kind, const char *value, struct error *err);
int takedown_read(const char *path, takedown_row *row, void *context, struct error *err);
/* Appends the row for one content hash. */
int takedown_append_hash(int folder_fd, const char *folder, int64_t time, const struct xxh128 *hash,
                         struct error *err);

#endif
