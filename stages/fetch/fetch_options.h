/* fetch_options.h: the command line of fetch. The table and the defaults are in main.c. */
#ifndef WINNOW_FETCH_FETCH_OPTIONS_H
#define WINNOW_FETCH_FETCH_OPTIONS_H

#include "cli/options.h"
#include "cli/stage.h"

/* A host that asks for a longer pause than this (Retry-After) is left for another run. */
#define FETCH_MAX_WAIT_S 300
#define FETCH_MAX_REDIRECTS 10 /* hops to follow */

/* --rights and --rights-changed, in the order of the table in main.c */
enum rights_mode { RIGHTS_OBEY, RIGHTS_RECORD, RIGHTS_IGNORE };
enum rights_changed { RIGHTS_CHANGED_KEEP, RIGHTS_CHANGED_TAKEDOWN };

struct fetch_options {
    struct common_options common;
    const char *store, *label, *summary;
    int64_t n_parallel, n_per_host, n_per_address, n_tries, n_breaker, max_same;
    const char *rate; /* "10/s", "30/m", "0" */
    double connect_s, total_s, min_speed_s, retry_wait_s, retry_failed_s, dead_for_s, refresh_after_s,
        network_wait_s, partial_for_s;
    uint64_t min_speed, max_bytes, min_bytes, memory, partial_bytes;
    int rights, rights_changed;
    bool recheck_rights;
    bool allow_private, ignore_robots, insecure, no_http2, refresh, retry_now, retry_dead, stop_on_match,
        audit_urls, partial_unchecked, proxy_resolves;
    const char *user_agent, *contact, *proxy, *ca_file;
    struct option_strings blocklists, takedowns, placeholders, allow_addresses;
};

#endif
