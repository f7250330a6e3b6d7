/*
 * options.h: command-line options. The parser, the --help text and the synopsis all come from one table, and
 * a test compares the manual with it. Options have the forms of getopt_long: --name VALUE, --name=VALUE,
 * -nVALUE, -n VALUE; -- ends the options. Each option is a row of the table. It sets a field in a struct of
 * the stage; the initial value of that field is the default that --help shows.
 */
#ifndef WINNOW_CLI_OPTIONS_H
#define WINNOW_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum option_type {
    OPTION_END,
    OPTION_FLAG,    /* bool: becomes true */
    OPTION_COUNT,   /* int: each use adds 1 (-v -v) */
    OPTION_STRING,  /* const char *: borrowed from argv */
    OPTION_STRINGS, /* struct option_strings: each use adds one */
    OPTION_INT,     /* int64_t within min..max */
    OPTION_DOUBLE,  /* double within min..max */
    OPTION_BYTES,   /* uint64_t, suffixes k M G */
    OPTION_SECONDS, /* double, suffixes s m h d */
    OPTION_CHOICE,  /* int: index into `choices`, a '|' separated list */
    OPTION_HEADING, /* starts a group in --help; only `help` is used */
};

struct option_strings {
    const char **items;
    size_t n;
}; /* freed by options_release */

struct option_row {
    enum option_type type;
    char letter;      /* 0 for none */
    const char *name; /* without the dashes */
    size_t offset;    /* of the field in the options struct: offsetof */
    const char *word; /* argument word in --help: FILE, N, RULE */
    /* The description, one or more phrases. --help adds the default, the initial value in the struct. */
    const char *help;
    /* For INT, DOUBLE, BYTES and SECONDS. min = max = 0 means no range; INT, BYTES and SECONDS must still be
     * at least 0. */
    double min, max;
    const char *choices;
};

struct option_table {
    const char *name;     /* name of the program: "hash-dedup" */
    const char *synopsis; /* the arguments after the options: "[MANIFEST]" */
    const char *summary;  /* one line: what it is for */
    const char *details;  /* paragraphs for --help: what it reads and adds, examples; may be NULL */
    const struct option_row *rows;
    int min_operands, max_operands; /* max -1: any number */
};

/* The options that every stage has: embed this as `struct common_options common`. The
 * macros COMMON_ROW_ are their rows. */
struct common_options {
    const char *output;      /* -o: NULL or "-" is stdout */
    const char *rejects;     /* --rejects FILE; NULL: rejected rows are only counted */
    const char *max_rejects; /* "2%" or "10"; NULL: no limit */
    const char *root;        /* --root */
    bool allow_outside;
    int64_t threads; /* -j; 0 = all processors */
    int64_t seed;
    bool quiet;
    int verbose;
    bool progress; /* --progress: draw even when stderr is not a terminal */
};
#define COMMON_OPTIONS_DEFAULTS                                                                              \
    {                                                                                                        \
        .root = ".", .seed = 1                                                                               \
    }

/*
 * The rows of a table:
 *   OPTION(struct fetch_options, INT, 0, "tries", n_tries, "N", "attempts for an address", RANGE(1, 100)),
 * LETTER 0 means that there is no short form, and WORD NULL that the option has no argument. RANGE and
 * CHOICES are given only where there is one.
 */
#define OPTION(S, TYPE, LETTER, NAME, FIELD, WORD, ...)                                                      \
    {                                                                                                        \
        .type = OPTION_##TYPE, .letter = LETTER, .name = NAME, .offset = offsetof(S, FIELD), .word = WORD,   \
        .help = __VA_ARGS__                                                                                  \
    }
#define RANGE(MIN, MAX) .min = MIN, .max = MAX
#define CHOICES(LIST) .choices = LIST
#define OPTION_GROUP(TITLE)                                                                                  \
    {                                                                                                        \
        .type = OPTION_HEADING, .help = TITLE                                                                \
    }
#define OPTION_ROW_END                                                                                       \
    {                                                                                                        \
        .type = OPTION_END                                                                                   \
    }

#define COMMON_ROW_OUTPUT(S, M)                                                                              \
    OPTION(S, STRING, 'o', "output", M.output, "FILE",                                                       \
           "write the manifest here, whole or not at all (default: stdout)")
#define COMMON_ROW_REJECTS(S, M)                                                                             \
    OPTION(S, STRING, 0, "rejects", M.rejects, "FILE",                                                       \
           "write rejected rows here, with reject_stage, reject_reason, reject_detail"),                     \
        OPTION(S, STRING, 0, "max-rejects", M.max_rejects, "N|N%",                                           \
               "exit 1 when more rows than this are rejected")
#define COMMON_ROW_ROOT(S, M)                                                                                \
    OPTION(S, STRING, 0, "root", M.root, "DIR", "paths in manifests are relative to this folder"),           \
        OPTION(S, FLAG, 0, "allow-outside", M.allow_outside, NULL,                                           \
               "accept absolute paths and '..' in manifests")
#define COMMON_ROW_THREADS(S, M)                                                                             \
    OPTION(S, INT, 'j', "jobs", M.threads, "N",                                                              \
           "worker threads; 0 means all processors; the output does not depend on it", RANGE(0, 1024))
#define COMMON_ROW_SEED(S, M)                                                                                \
    OPTION(S, INT, 0, "seed", M.seed, "N", "seed of every random choice", RANGE(0, 9007199254740992.0))
#define COMMON_ROW_TALK(S, M)                                                                                \
    OPTION(S, FLAG, 'q', "quiet", M.quiet, NULL, "no progress line"),                                        \
        OPTION(S, COUNT, 'v', "verbose", M.verbose, NULL, "print a line of counts at the end"),              \
        OPTION(S, FLAG, 0, "progress", M.progress, NULL,                                                     \
               "draw the progress line even when stderr is not a terminal")

/* Rows for stages that decode pictures. The fields have the same names as the options. */
#define DECODE_ROW_TRUNCATED(S)                                                                              \
    OPTION(S, FLAG, 0, "allow-truncated", allow_truncated, NULL,                                             \
           "use truncated pictures as far as they can be decoded")
#define DECODE_ROW_SANDBOX(S)                                                                                \
    OPTION(S, FLAG, 0, "no-sandbox", no_sandbox, NULL,                                                       \
           "decode in this process; only for pictures that you made yourself")

#define OPTIONS_RUN (-1) /* returned by options_parse when the stage should go on */

struct operands {
    char **items;
    int n;
}; /* borrowed from argv */

/*
 * Returns OPTIONS_RUN, or an exit code: 0 after --help, --version and --help-table; EX_USAGE after a mistake;
 * EX_OSERR when memory ran out; EX_IOERR when standard output could not be written. EX_USAGE and EX_OSERR
 * come with a message on standard error. Every program accepts --help-table, which prints the options as TSV
 * for completion scripts and for tests of the manual.
 */
int options_parse(const struct option_table *table, void *fields, int argc, char **argv,
                  struct operands *operands);
void options_release(const struct option_table *table, void *fields);

#endif
