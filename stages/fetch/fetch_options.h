/* fetch_options.h: what the command line of fetch says; the table and the defaults are in main.c. */
#ifndef WINNOW_FETCH_FETCH_OPTIONS_H
#define WINNOW_FETCH_FETCH_OPTIONS_H

#include "cli/options.h"
#include "cli/stage.h"

struct fetch_options {
    struct common_options common;
    const char *store, *label, *summary;
    int64_t n_parallel, n_per_host, n_per_address, n_tries, n_redirects, n_breaker, max_same;
    const char *rate; /* "10/s", "30/m", "0" */
    double connect_s, total_s, min_speed_s, retry_wait_s, max_wait_s, retry_failed_s, dead_for_s,
        refresh_after_s, network_wait_s, partial_for_s;
    uint64_t min_speed, max_bytes, min_bytes, memory, header_bytes, partial_bytes;
    bool allow_private, ignore_robots, insecure, no_http2, refresh, retry_now, retry_dead, stop_on_match,
        audit_urls, partial_unchecked, proxy_resolves;
    const char *user_agent, *contact, *proxy, *ca_file;
    struct option_strings blocklists, takedowns, placeholders, allow_addresses;
};
extern const struct option_table fetch_option_table;
extern const struct fetch_options fetch_defaults;

#endif
