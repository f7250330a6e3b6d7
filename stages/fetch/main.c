/*
 * fetch: downloads pictures from lists of addresses into a content-addressed store, none of them twice.
 * Reads url (and label) from manifests, lists and folders of lists. Adds path bytes xxh128 http_status
 * fetched_at format final_url rights rights_signal.
 */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/number.h"
#include "fetch.h"
#include "fetch_report.h"
#include "http/http_proxy.h"
#include "io/file_lock.h"
#include "io/signals.h"
#include "rights_changed.h"

static const struct option_row rows[] = {
    OPTION(struct fetch_options, STRING, 0, "store", store, "DIR",
           "folder of the store; must be inside --root (default: ROOT/store)"),
    OPTION(struct fetch_options, STRING, 0, "label", label, "LABEL", "label of rows that have none"),
    COMMON_ROW_OUTPUT(struct fetch_options, common),
    COMMON_ROW_REJECTS(struct fetch_options, common),
    OPTION(struct fetch_options, STRING, 0, "summary", summary, "FILE",
           "write a table of counts by host and outcome"),
    COMMON_ROW_ROOT(struct fetch_options, common),

    OPTION_GROUP("Again"),
    OPTION(struct fetch_options, FLAG, 0, "refresh", refresh, NULL,
           "check whether pictures in the store have changed, with If-None-Match or If-Modified-Since"),
    OPTION(struct fetch_options, SECONDS, 0, "refresh-after", refresh_after_s, "TIME",
           "with --refresh: only pictures that were last requested at least this long ago", RANGE(0, 1e9)),
    OPTION(struct fetch_options, SECONDS, 0, "dead-for", dead_for_s, "TIME",
           "do not request an address again for this long after a final response such as 404 or 410",
           RANGE(0, 1e9)),
    OPTION(struct fetch_options, SECONDS, 0, "retry-failed", retry_failed_s, "TIME",
           "wait this long before an address that failed is requested again; doubles with each run, up "
           "to 7d",
           RANGE(0, 1e9)),
    OPTION(struct fetch_options, FLAG, 0, "retry-now", retry_now, NULL,
           "request every address that failed, without waiting for --retry-failed"),
    OPTION(struct fetch_options, FLAG, 0, "retry-dead", retry_dead, NULL,
           "also request addresses that have a final response"),

    OPTION_GROUP("Politeness"),
    OPTION(struct fetch_options, INT, 0, "parallel", n_parallel, "N", "transfers in flight", RANGE(1, 20000)),
    OPTION(struct fetch_options, INT, 0, "per-host", n_per_host, "N",
           "transfers at the same time from one host", RANGE(1, 1000)),
    OPTION(struct fetch_options, STRING, 0, "rate", rate, "N/s",
           "largest number of requests to one host per second, or N/m per minute; 0: no limit (default: "
           "10/s, no limit for loopback hosts)"),
    OPTION(struct fetch_options, INT, 0, "tries", n_tries, "N", "attempts for an address in one run",
           RANGE(1, 100)),
    OPTION(struct fetch_options, FLAG, 0, "ignore-robots", ignore_robots, NULL,
           "ignore X-Robots-Tag, and do not request robots.txt and tdmrep.json"),
    OPTION(struct fetch_options, CHOICE, 0, "rights", rights, "WORD",
           "statements of sites about training: obey: reject pictures that may not be used; record: only "
           "fill the columns; ignore: do not read them",
           CHOICES("obey|record|ignore")),
    OPTION(struct fetch_options, CHOICE, 0, "rights-changed", rights_changed, "WORD",
           "what to do with pictures in the store whose host now refuses their use: keep or takedown",
           CHOICES("keep|takedown")),
    OPTION(struct fetch_options, FLAG, 0, "recheck-rights", recheck_rights, NULL,
           "read the rules of the hosts of all pictures in the store, and the header fields of one picture "
           "of each host; if they refuse, also those of its other pictures"),
    OPTION(struct fetch_options, STRING, 0, "contact", contact, "TEXT",
           "URL or email address in the User-Agent, at which owners of hosts can reach you"),
    OPTION(struct fetch_options, STRING, 0, "user-agent", user_agent, "TEXT", "send this User-Agent instead"),

    OPTION_GROUP("Limits"),
    OPTION(struct fetch_options, BYTES, 0, "max-bytes", max_bytes, "N", "largest size of a picture",
           RANGE(1, 2147483648.0)),
    OPTION(struct fetch_options, BYTES, 0, "min-bytes", min_bytes, "N", "smallest size of a picture",
           RANGE(0, 2147483648.0)),
    OPTION(struct fetch_options, INT, 0, "max-same", max_same, "N",
           "reject a picture that more addresses than this lead to, as a placeholder; 0: never",
           RANGE(0, 1e9)),

    OPTION_GROUP("Safety"),
    OPTION(struct fetch_options, FLAG, 0, "allow-private", allow_private, NULL,
           "also connect to private, loopback and link-local addresses"),
    OPTION(struct fetch_options, STRINGS, 0, "allow-address", allow_addresses, "NET",
           "connect to this network although it is not public, e.g. 10.1.0.0/16"),
    OPTION(struct fetch_options, STRINGS, 0, "blocklist", blocklists, "FILE",
           "MD5, SHA-1, SHA-256 or XXH3-128 hashes of pictures that must never be kept"),
    OPTION(struct fetch_options, STRINGS, 0, "takedown", takedowns, "FILE",
           "addresses or hashes of pictures to remove from the store for good"),
    OPTION(struct fetch_options, FLAG, 0, "stop-on-match", stop_on_match, NULL,
           "end the run at the first match with a block list, exit 1"),
    OPTION(struct fetch_options, FLAG, 0, "audit-urls", audit_urls, NULL,
           "write addresses to audit.tsv, instead of only their salted digests"),
    OPTION(struct fetch_options, STRINGS, 0, "placeholders", placeholders, "FILE",
           "hashes of placeholders for removed pictures, or lines 'redirect GLOB'"),
    OPTION(struct fetch_options, STRING, 0, "proxy", proxy, "URL",
           "use this proxy (see --proxy-resolves); @FILE: read its address from the first line of FILE, "
           "which keeps a password out of process lists and logs"),
    OPTION(struct fetch_options, FLAG, 0, "proxy-resolves", proxy_resolves, NULL,
           "let the proxy resolve names, and trust it to refuse private addresses; --proxy needs this or "
           "--allow-private"),
    OPTION(struct fetch_options, STRING, 0, "ca-file", ca_file, "FILE",
           "certificates to trust instead of the system's"),
    OPTION(struct fetch_options, FLAG, 0, "insecure", insecure, NULL, "do not verify TLS certificates"),

    OPTION_GROUP("Common"),
    COMMON_ROW_SEED(struct fetch_options, common),
    COMMON_ROW_TALK(struct fetch_options, common),

    OPTION_GROUP("Expert"),
    OPTION(struct fetch_options, INT, 0, "per-address", n_per_address, "N",
           "transfers at the same time from one network address, whatever the host name; 0: 16, or "
           "--per-host if that is more",
           RANGE(0, 20000)),
    OPTION(struct fetch_options, SECONDS, 0, "retry-wait", retry_wait_s, "TIME",
           "pause before the second attempt; doubles with each attempt, with random jitter",
           RANGE(0.01, 3600)),
    OPTION(struct fetch_options, INT, 0, "breaker", n_breaker, "N",
           "failures in a row after which a host gets no requests for a while", RANGE(1, 1000)),
    OPTION(struct fetch_options, SECONDS, 0, "network-wait", network_wait_s, "TIME",
           "wait this long when the network is down, then exit with 75; meanwhile no attempts are counted",
           RANGE(0, 1e7)),
    OPTION(struct fetch_options, BYTES, 0, "partial-bytes", partial_bytes, "N",
           "keep at most this many bytes of interrupted transfers on disk, to continue them later; 0: "
           "none",
           RANGE(0, 1e15)),
    OPTION(struct fetch_options, SECONDS, 0, "partial-for", partial_for_s, "TIME",
           "keep interrupted transfers for this long", RANGE(0, 1e9)),
    OPTION(struct fetch_options, FLAG, 0, "partial-unchecked", partial_unchecked, NULL,
           "keep interrupted transfers on disk even with --blocklist, although they cannot be compared "
           "with the list"),
    OPTION(struct fetch_options, SECONDS, 0, "connect-timeout", connect_s, "TIME",
           "limit for name lookup, connection and TLS together", RANGE(0.1, 3600)),
    OPTION(struct fetch_options, SECONDS, 0, "timeout", total_s, "TIME",
           "limit for one transfer, from the request to the last byte", RANGE(0.1, 86400)),
    OPTION(struct fetch_options, BYTES, 0, "min-speed", min_speed, "N",
           "abort a transfer that is slower than this many bytes per second for --min-speed-time",
           RANGE(0, 1e9)),
    OPTION(struct fetch_options, SECONDS, 0, "min-speed-time", min_speed_s, "TIME", "see --min-speed",
           RANGE(1, 3600)),
    OPTION(struct fetch_options, BYTES, 0, "memory", memory, "N",
           "memory for the bodies of all transfers in progress; transfers pause while it is used up",
           RANGE(1048576, 1e12)),
    OPTION(struct fetch_options, FLAG, 0, "no-http2", no_http2, NULL, "use HTTP/1.1 only"),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "fetch",
    .synopsis = "[INPUT]...",
    .summary = "download lists of image URLs into a content-addressed store, each picture once",
    .details =
        "INPUT is a manifest with a column url (other columns are copied), a plain list of addresses, or "
        "a folder with a list for each class: CLASS.txt, or raw_data/CLASS/urls_CLASS.txt, or "
        "source_urls/CLASS.txt. Without INPUT, standard input is read. Adds: path bytes xxh128 "
        "http_status fetched_at format final_url rights rights_signal. Rows are written in the order of "
        "the input.\n\n"
        "A picture is kept as STORE/objects/ab/cdef....ext, named by its content. path is relative to "
        "--root, and STORE must be inside --root: with --root data and --store data/pictures, path is "
        "pictures/objects/.... STORE/journal.tsv has a line for every attempt; another run requests only "
        "what is new or due. fetched_at is the time when the bytes first arrived, so that a run with "
        "nothing new writes the same file. Only one run at a time may use a store; another one exits "
        "with 75.\n\n"
        "After the first INT or TERM, transfers in progress are completed; a second one aborts them. Run "
        "the same command again to continue.\n\n"
        "  fetch --store data --contact https://example.org/bot lists/ -o fetched.tsv --rejects rejects.tsv",
    .rows = rows,
    .min_operands = 0,
    .max_operands = -1,
};

static const struct fetch_options defaults = {
    .common = COMMON_OPTIONS_DEFAULTS,
    .n_parallel = 256,
    .n_per_host = 4,
    .n_tries = 3,
    .n_breaker = 8,
    .max_same = 50,
    .connect_s = 15,
    .total_s = 300,
    .min_speed_s = 20,
    .retry_wait_s = 1,
    .retry_failed_s = 600,
    .dead_for_s = 30 * 86400.0,
    .network_wait_s = 600,
    .partial_for_s = 7 * 86400.0,
    .partial_bytes = 256u << 20,
    .min_speed = 500,
    .max_bytes = 32u << 20,
    .min_bytes = 64,
    .memory = 128u << 20,
};

/* Parses "10/s", "30/m", "600/h", "10" (in a second) or "0" into the seconds between two requests. */
static int parse_rate(const char *s, double *spacing_s, struct error *err)
{
    char number[32];
    double n, unit = 1;
    size_t n_digits = strcspn(s, "/");
    if (n_digits >= sizeof number)
        return error_set(err, EX_USAGE, "--rate: '%s' is not a rate, e.g. 10/s or 30/m", s);
    memcpy(number, s, n_digits);
    number[n_digits] = 0;
    const char *per = s + n_digits;
    if (strcmp(per, "/m") == 0)
        unit = 60;
    else if (strcmp(per, "/h") == 0)
        unit = 3600;
    else if (*per && strcmp(per, "/s") != 0)
        return error_set(err, EX_USAGE, "--rate: '%s' is not a rate, e.g. 10/s or 30/m", s);
    if (parse_double(number, 0, 1e6, &n, "--rate", err)) {
        err->code = EX_USAGE;
        return -1;
    }
    *spacing_s = n > 0 ? unit / n : 0;
    return 0;
}

static int make_user_agent(struct fetch *f, struct error *err)
{
    struct text t = TEXT_EMPTY;
    const struct fetch_options *o = f->opt;
    int rc = o->user_agent ? text_puts(&t, o->user_agent, err)
             : o->contact  ? text_printf(&t, err, "winnow/" WINNOW_VERSION " (+%s)", o->contact)
                           : text_puts(&t, "winnow/" WINNOW_VERSION, err);
    for (size_t i = 0; rc == 0 && i < t.n_bytes; i++)
        if ((unsigned char)t.data[i] < ' ')
            rc = error_set(err, EX_USAGE, "control characters in the User-Agent");
    f->user_agent = t.data; /* released with f */
    return rc;
}

static int parse_networks(struct fetch *f, struct error *err)
{
    const struct option_strings *given = &f->opt->allow_addresses;
    if (given->n && !(f->allowed = mem_zalloc(given->n, sizeof *f->allowed, err))) return -1;
    for (size_t i = 0; i < given->n; i++)
        if (http_network_parse(&f->allowed[i], given->items[i], err))
            return error_prefix(err, "--allow-address");
    return 0;
}

#define COMPACT_LINES 10000

/* Opens the store, the journal and the lists under the lock, and reads what is known already. */
static int open_store(struct fetch *f, const char *store, struct error *err)
{
    struct text path = TEXT_EMPTY;
    struct journal_stats stats;
    f->now_s = (int64_t)time(NULL);
    const struct journal_rules rules = {f->opt->refresh || f->opt->recheck_rights, f->opt->dead_for_s,
                                        f->now_s};
    int rc = -1;
    if (object_store_open(&f->store, store, err) || text_printf(&path, err, "%s/journal.tsv", store) ||
        policy_apply(&f->policy, &f->store, f->now_s, path.data, err) ||
        entries_read_journal(&f->entries, &rules, path.data, &stats, err) ||
        partials_open(&f->partials, &f->store, &f->entries, f->opt, f->now_s, err))
        goto out;
    if (stats.n_malformed)
        stage_warn("'%s': %llu malformed lines skipped", path.data, (unsigned long long)stats.n_malformed);
    bool worth = stats.n_lines > COMPACT_LINES && f->entries.n_superseded > stats.n_lines / 2;
    bool compact = worth || stats.first_form;
    if (compact) {
        uint64_t n_before, n_after;
        if (journal_compact(path.data, !worth, &n_before, &n_after, err)) goto out;
        stage_note(&f->opt->common, "journal: %llu lines became %llu", (unsigned long long)n_before,
                   (unsigned long long)n_after);
    }
    if (journal_open(&f->journal, path.data, err)) goto out;
    if (compact) {
        struct journal_record r = {.time = f->now_s, .event = JOURNAL_SYNC, .bytes = f->journal.n_written};
        if (object_store_sync(&f->store, err) || journal_append(&f->journal, &r, err)) goto out;
    }
    rc = journal_flush(&f->journal, err);
out:
    text_release(&path);
    return rc;
}

static void release(struct fetch *f)
{
    store_writer_close(f->writer);
    outage_close(&f->outage); /* before the engine is closed, because a probe wakes the engine */
    http_engine_close(f->engine);
    syncer_close(f->syncer);
    journal_close(&f->journal);
    object_store_close(&f->store);
    policy_close(&f->policy);
    for (size_t i = 0; i < f->entries.n; i++)
        hop_free(&f->partials, fetch_entry(f, (uint32_t)i));
    entries_release(&f->entries);
    schedule_release(&f->schedule);
    inputs_release(&f->inputs);
    free(f->path_prefix);
    free(f->user_agent);
    free(f->proxy);
    free(f->allowed);
}

static int write_results(struct fetch *f, struct stage_counts *n, struct error *err)
{
    const struct common_options *c = &f->opt->common;
    struct manifest_writer out = MANIFEST_WRITER_EMPTY, rejects = MANIFEST_WRITER_EMPTY;
    int rc = -1;
    if (manifest_writer_open(&out, c->output, &f->inputs.schema, fetch_adds, err) ||
        manifest_rejects_open(&rejects, c->rejects, &f->inputs.schema, err) || rights_mark_reserved(f, err) ||
        entries_mark_repeated(&f->entries, (uint64_t)f->opt->max_same, err) ||
        fetch_write_rows(&f->inputs, f->path_prefix, &out, &rejects, n, err) ||
        (f->opt->summary && fetch_write_summary(&f->entries, &f->schedule.hosts, f->opt->summary, err)))
        goto out;
    rc = manifest_commit(&out, &rejects, 0, c, err);
out:
    manifest_writer_discard(&out);
    manifest_writer_discard(&rejects);
    return rc;
}

#define DEFAULT_SPACING_S 0.1 /* ten requests a second to one host */

/* Reads --proxy. A proxy may connect to any address, which the user must allow with an option. The argument
 * may contain a password, so it is overwritten in the command line, which every user of the machine can
 * read. */
static int take_proxy(struct fetch *f, struct error *err)
{
    const struct fetch_options *o = f->opt;
    if (!o->proxy) return 0;
    if (http_proxy_from_option(&f->proxy, o->proxy, err)) return -1;
    char *from = strstr(o->proxy, "://"), *at = strrchr(o->proxy, '@');
    from = from ? from + 3 : (char *)o->proxy;
    if (at && at > from) memset(from, '*', (size_t)(at - from));
    if (!o->proxy_resolves && !o->allow_private)
        return error_set(err, EX_USAGE,
                         "--proxy: it resolves the names itself, so the check for private addresses sees "
                         "none of them; "
                         "say --proxy-resolves if the proxy refuses such addresses, or --allow-private");
    return 0;
}

/* Parses the options that are not plain numbers and reads the lists. It needs no store. */
static int prepare(struct fetch *f, struct text *store, struct error *err)
{
    const struct fetch_options *o = f->opt;
    f->spacing_s = DEFAULT_SPACING_S;
    f->rate_given = o->rate != NULL;
    if ((o->rate && parse_rate(o->rate, &f->spacing_s, err)) || make_user_agent(f, err) ||
        parse_networks(f, err) || take_proxy(f, err) ||
        (o->store ? text_puts(store, o->store, err) : text_printf(store, err, "%s/store", o->common.root)))
        return -1;
    return policy_open(&f->policy, o, err);
}

int main(int argc, char **argv)
{
    struct fetch_options opt = defaults;
    struct fetch f = FETCH_EMPTY;
    struct file_lock lock = FILE_LOCK_EMPTY;
    struct operands in;
    struct stage_counts n = {0};
    struct error err = {0};
    struct text lock_path = TEXT_EMPTY, store_path = TEXT_EMPTY;
    const char *store = NULL;
    stage_begin("fetch");
    signals_long_stage();
    int rc = options_parse(&table, &opt, argc, argv, &in), stopped = 0;
    if (rc != OPTIONS_RUN) return rc;
    rc = -1;
    f.opt = &opt;
    f.inputs.entries = &f.entries;
    f.inputs.hosts = &f.schedule.hosts;
    f.inputs.label = opt.label;
    bool only_takedown = opt.takedowns.n > 0 && in.n == 0;
    if (prepare(&f, &store_path, &err) || (!only_takedown && inputs_read(&f.inputs, &in, &err))) goto out;
    store = store_path.data;
    if (io_mkdirs(store, &err) ||
        (!only_takedown &&
         object_store_prefix(store, opt.common.root, opt.common.allow_outside, &f.path_prefix, &err)) ||
        text_printf(&lock_path, &err, "%s/lock", store) || file_lock_take(&lock, lock_path.data, &err) ||
        open_store(&f, store, &err))
        goto out;
    if (only_takedown) {
        rc = takedown_request_report(&f.policy.request, true, opt.common.output, &err);
        goto out;
    }
    if (fetch_run(&f, &err)) goto out;
    stopped = signals_asked_to_stop();
    if (stopped) goto out;
    uint64_t n_stored = 0;
    for (size_t i = 0; i < f.entries.n && n_stored == 0; i++)
        n_stored += f.entries.items[i].stored;
    if (f.counts.n_unreachable > 0 && f.counts.n_responses == 0 && n_stored == 0) {
        error_set(&err, EX_TEMPFAIL, "no host could be reached; is the network up?");
        goto out;
    }
    if (write_results(&f, &n, &err)) goto out;
    if (f.counts.n_matches)
        stage_warn("%llu pictures matched a block list and were not kept; see '%s/audit.tsv' and your "
                   "reporting duties",
                   (unsigned long long)f.counts.n_matches, store);
    if (f.counts.n_matches && opt.stop_on_match) {
        error_set(&err, EX_VERDICT_NO, "stopped: a picture matched a block list");
        goto out;
    }
    stage_note(&opt.common, "%llu requests, %llu new pictures, %.1f MB",
               (unsigned long long)f.counts.n_requests, (unsigned long long)f.counts.n_stored,
               (double)f.counts.n_bytes / 1e6);
    rc = takedown_request_report(&f.policy.request, false, NULL, &err);
out:
    release(&f);
    file_lock_release(&lock);
    text_release(&lock_path);
    text_release(&store_path);
    options_release(&table, &opt);
    if (stopped) {
        stage_warn("stopped; run again to continue");
        signals_reraise(stopped);
    }
    return stage_end(rc, &err, only_takedown ? NULL : &n, &opt.common);
}
