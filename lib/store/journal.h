/*
 * journal.h: the history of every address: one line for each attempt, appended and never changed. The file
 * has the form of a manifest (a header, tab-separated fields, four escapes), so that `grep` and `mlr` can
 * read it. Lines are written at each turn of the event loop, so a killed process loses none. A "sync" line
 * says up to which byte of the file all lines and their objects are durable: after a power cut only the lines
 * after the last such line must be checked. An incomplete last line is removed when the journal is opened for
 * writing.
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
    JOURNAL_SAME,    /* requested again and unchanged; fetched_at is the old one */
    JOURNAL_RETRY,   /* an attempt failed; this run will try again */
    JOURNAL_FAIL,    /* failed for this run; due is when another run may request it */
    JOURNAL_DEAD,    /* final; requesting it again soon would not help: 404, HTML, too large ... */
    JOURNAL_BLOCKED, /* matched a block list; the url field is "#" and the hash of the key, no address */
    JOURNAL_SYNC,    /* bytes: everything before that offset of the journal is durable */
    JOURNAL_EVENTS
};

/* Strings are borrowed: from the line when reading, from the caller when writing. NULL and "" mean absent. */
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

/* Parses one line in place (n_bytes without LF; the byte after them is overwritten with NUL and must be
 * writable). Returns 1 for a record, 0 for the header, or -1 for a malformed line, which the caller skips. */
int journal_parse(char *line, size_t n_bytes, struct journal_record *out);
/* Appends the record to out as one line with LF. A field that is too long is cut, so
 * that the line can be read back. */
int journal_format(struct text *out, const struct journal_record *r, struct error *err);

/* The key of an address: the XXH3-128 of its canonical form. "#<hex>" stands for the hash itself. */
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
    bool first_form; /* its header has no column rights; journal_compact writes a new header */
};

/*
 * Reads all of path (nothing when it does not exist) and calls visit for every record except sync lines, in
 * order. durable says whether a sync line covers the record. visit returns 0 to continue. The file is read in
 * pieces, so the memory does not depend on its size.
 */
typedef int journal_visit(void *context, const struct journal_record *r, bool durable, struct error *err);
int journal_read(const char *path, journal_visit *visit, void *context, struct journal_stats *stats,
                 struct error *err);

/* Opens the journal for appending. Creates it, with its header, if it does not exist, and removes an
 * incomplete last line. */
int journal_open(struct journal *j, const char *path, struct error *err);
int journal_append(struct journal *j, const struct journal_record *r, struct error *err); /* into pending */
/* writes pending lines to the file, without a sync */
int journal_flush(struct journal *j, struct error *err);
void journal_close(struct journal *j);

/*
 * Rewrites path in its present form. With `all` it keeps every record except sync lines. Otherwise it keeps
 * only the records that determine the state of an address, in order: its last ok or same record, and its last
 * record. At any time path is the old file or the whole new one. The caller holds the lock and has closed the
 * journal. Takes some 50 bytes of memory for each address.
 */
int journal_compact(const char *path, bool all, uint64_t *n_before, uint64_t *n_after, struct error *err);

#endif
