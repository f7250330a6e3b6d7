/*
 * journal.h: what happened to every address, one line an attempt, appended and never changed.
 * The file is a manifest in form (a header, tab-separated fields, the four escapes), so `grep` and `mlr` read
 * it. Lines go out with write() as soon as the event loop turns, so a killed process loses nothing; a "sync"
 * line says up to which byte everything before it was made durable together with its objects, so after a
 * power cut only what follows the last such line has to be checked again. A torn last line is cut off when
 * the journal is opened for writing.
 */
#ifndef WINNOW_STORE_JOURNAL_H
#define WINNOW_STORE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/number.h"
#include "base/text.h"
#include "hash/content_hash.h"
#include "base/image_kind.h"

#define JOURNAL_MAX_LINE_BYTES (64u << 10)

enum journal_event {
    JOURNAL_OK,      /* the picture is in the store */
    JOURNAL_SAME,    /* asked again: unchanged; fetched_at is the old one */
    JOURNAL_RETRY,   /* an attempt failed; this run will try again */
    JOURNAL_FAIL,    /* failed for this run; due says when another run may ask */
    JOURNAL_DEAD,    /* will not become a picture by asking again soon: 404, HTML, too large ... */
    JOURNAL_BLOCKED, /* matched a block list; the url field is "#" and the hash of the key, no address */
    JOURNAL_SYNC,    /* bytes: everything before that offset of the journal is durable */
    JOURNAL_EVENTS
};

/* Strings are borrowed: from the line when read, from the caller when written. NULL and "" mean absent. */
struct journal_record {
    int64_t time; /* Unix seconds, UTC */
    enum journal_event event;
    const char *url;             /* canonical */
    int status;                  /* HTTP, 0 when none came */
    const char *reason, *detail; /* reject slug and words: the same in every run */
    const char *error;           /* the network library's words, which may hold times and ports */
    const char *final_url;       /* after redirects, "" when the same */
    const char *etag, *last_modified, *content_type;
    uint64_t bytes;
    struct xxh128 hash;
    enum image_kind kind; /* IMAGE_UNKNOWN unless ok or same */
    int64_t fetched_at;   /* when these bytes first came; 0 unless ok or same */
    unsigned tries;       /* in this run, this attempt included */
    unsigned failed_runs; /* in a row, this one included */
    int64_t due;          /* 0: by the usual rule */
    const char *rights;   /* words of http/rights.h: what the host said about training */
};

/*
 * Parses one line in place (n_bytes without LF; the byte after them is overwritten with NUL, so it must be
 * writable). 1: a record; 0: the header; -1: malformed, to be skipped.
 */
int journal_parse(char *line, size_t n_bytes, struct journal_record *out);
/* Appends the record as one line with LF to out. A field too long is cut, so
 * that the line can be read back. */
int journal_format(struct text *out, const struct journal_record *r, struct error *err);

/* The identity of an address: XXH3-128 of its canonical form; "#<hex>" gives that hash itself. */
void journal_key(struct xxh128 *out, const char *url);

struct journal {
    char *path;
    int fd;
    uint64_t n_written;  /* bytes in the file */
    struct text pending; /* lines not yet written */
};
#define JOURNAL_EMPTY ((struct journal){.fd = -1})

struct journal_stats {
    uint64_t n_lines, n_malformed, torn_bytes, synced_bytes;
    bool first_form; /* its header has no rights: journal_compact gives it today's */
};

/*
 * Reads all of path (absent: nothing) and gives every record but sync marks to visit in order; durable says
 * whether a sync mark covers the line. visit returns 0 to go on. The file is read in pieces: memory does not
 * grow with it.
 */
typedef int journal_visit(void *context, const struct journal_record *r, bool durable, struct error *err);
int journal_read(const char *path, journal_visit *visit, void *context, struct journal_stats *stats,
                 struct error *err);

/* Opens for appending, makes it with its header if absent, cuts a torn last line off. */
int journal_open(struct journal *j, const char *path, struct error *err);
int journal_append(struct journal *j, const struct journal_record *r, struct error *err); /* into pending */
int journal_flush(struct journal *j, struct error *err); /* pending to the file; no sync */
void journal_close(struct journal *j);

/*
 * Rewrites path in today's form with all records but sync marks, or with only what folding needs: for each
 * address its last ok or same record and its last record, in order. The old file or the whole new one. The
 * caller holds the lock and has the journal closed. Some 50 bytes of memory an address.
 */
int journal_compact(const char *path, bool all, uint64_t *n_before, uint64_t *n_after, struct error *err);

#endif
