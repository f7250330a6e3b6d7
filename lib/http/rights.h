/*
 * rights.h: statements of a site about training models with its pictures, in the forms that were in use in
 * 2026: Content-Usage, Content-Signal, X-Robots-Tag and TDMRep. winnow-rights.5 has a table with the document
 * and the version of each. robots.h and tdmrep.h read the files; this file declares the signal names, parses
 * the HTTP header fields, and combines several signals: the most restrictive one decides, and all are kept.
 */
#ifndef WINNOW_HTTP_RIGHTS_H
#define WINNOW_HTTP_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rights { RIGHTS_UNKNOWN, RIGHTS_ALLOW, RIGHTS_RESERVE };

/* The possible statements, each with the place where it was found. A set of signals has RIGHTS_BIT(signal)
 * for each of them. */
enum rights_signal {
    RIGHTS_USAGE_NO_ROBOTS, /* "content-usage:train-ai=n@robots.txt" */
    RIGHTS_USAGE_YES_ROBOTS,
    RIGHTS_USAGE_NO_HEADER,
    RIGHTS_USAGE_YES_HEADER,
    RIGHTS_CONTENT_SIGNAL_NO_ROBOTS, /* "content-signal:ai-train=no@robots.txt" */
    RIGHTS_CONTENT_SIGNAL_YES_ROBOTS,
    RIGHTS_CONTENT_SIGNAL_NO_HEADER,
    RIGHTS_CONTENT_SIGNAL_YES_HEADER,
    RIGHTS_TDM_1_HEADER, /* "tdm-reservation:1@header" */
    RIGHTS_TDM_0_HEADER,
    RIGHTS_TDM_1_FILE, /* "tdm-reservation:1@tdmrep.json" */
    RIGHTS_TDM_0_FILE,
    RIGHTS_TAG_NOAI, /* "x-robots-tag:noai@header" */
    RIGHTS_TAG_NOIMAGEAI,
    RIGHTS_TAG_NOINDEX,
    RIGHTS_TAG_NOIMAGEINDEX,
    RIGHTS_TAG_NONE,
    RIGHTS_TAG_UNAVAILABLE,
    RIGHTS_N_SIGNALS
};
#define RIGHTS_BIT(signal) (1u << (signal))
#define RIGHTS_TEXT_BYTES 800 /* the names of all signals, with commas and NUL */

const char *rights_name(enum rights r); /* "unknown", "allow", "reserve" */
enum rights rights_of(uint32_t set);    /* a signal that reserves outweighs all others */
/* Writes the names of the signals in the set, separated by commas; "" for none. Returns out. */
const char *rights_text(char out[RIGHTS_TEXT_BYTES], uint32_t set);
uint32_t rights_from_text(const char *text); /* skips unknown names, such as those of later versions */
/* The signals of the set that reserve, without X-Robots-Tag, which has a reject reason of its own. */
uint32_t rights_reserving(uint32_t set);
/* The signals of the set that came in header fields of the picture and forbid its use: those that reserve,
 * and every X-Robots-Tag. */
uint32_t rights_refused_in_fields(uint32_t set);

/* The value of key in an RFC 9651 dictionary: 'y' or 'n'; 0 when it is absent or has another value; -1
 * when the text is not a dictionary. The last value of a repeated key is used. Keys and values are
 * case-sensitive. */
int rights_content_usage(const char *value, size_t n_bytes, const char *key);
/* The values of ai-train in a comma-separated list of key=value, compared without regard to case. Bit 0: a
 * "no" was found. Bit 1: a "yes" was found. */
unsigned rights_content_signal(const char *value, size_t n_bytes);

struct rights_tag {
    uint32_t set;
    char directive[24]; /* the first one that forbids, in lower case; "" when there is none */
};
/* Adds one X-Robots-Tag line to t: noai, noimageai, noindex, noimageindex, none, and unavailable_after
 * with a date before now_s, for everybody or for agent (our product token in lower case). */
void rights_robots_tag(struct rights_tag *t, const char *value, size_t n_bytes, const char *agent,
                       int64_t now_s);

/* Rules by path. The rule with the longest matching pattern decides. The sets of equally long patterns are
 * combined (OR). */
struct rights_rule {
    char *pattern; /* path_pattern.h */
    uint32_t set;
};
uint32_t rights_rules_match(const struct rights_rule *rules, size_t n, const char *path_and_query);

#endif
