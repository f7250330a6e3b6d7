/*
 * policy.h: decides which pictures must not be kept, by block lists, takedowns and placeholders, and writes
 * the audit log about them. Files in the store: takedown.tsv (the pictures that must never be stored again),
 * audit.tsv, audit.salt, and blocklist-checked (the list with which the objects were last compared).
 */
#ifndef WINNOW_FETCH_POLICY_H
#define WINNOW_FETCH_POLICY_H

#include "fetch_options.h"
#include "hash/content_hash.h"
#include "store/hash_list.h"
#include "store/object_store.h"
#include "takedown_request.h"

struct takedown {
    struct hash_list hashes;
    struct xxh128 *urls; /* journal_key of http_url_comparable; of canonical addresses in older stores */
    size_t n_urls, capacity;
    bool sorted;
};

struct placeholder_rules {
    struct hash_list hashes;
    char **redirects; /* globs */
    size_t n_redirects, capacity;
};

/* policy_open and policy_apply fill it. From store_writer_open to store_writer_close it does not change,
 * because the writer's thread also looks up hashes. Only the event loop uses urls and redirects. */
struct policy {
    const struct fetch_options *opt; /* borrowed */
    struct object_store *store;      /* borrowed */
    int64_t started_at;              /* Unix time */
    struct hash_list blocklist;
    struct takedown takedown;
    struct placeholder_rules placeholders;
    struct takedown_request request; /* the event loop's alone */
};

int policy_open(struct policy *p, const struct fetch_options *o, struct error *err); /* reads the lists */
void policy_close(struct policy *p);
/* Applies takedowns and block lists to the pictures that are already in the store. */
int policy_apply(struct policy *p, struct object_store *store, int64_t now_s, const char *journal_path,
                 struct error *err);
int policy_taken_down(struct policy *p, const char *url, struct error *err); /* 1, 0, -1 */
int policy_audit(const struct policy *p, int64_t now_s, const char *action, const char *list,
                 const char *algorithm, const char *digest, const char *url, struct error *err);
/* Takes down a picture in the store whose host has withdrawn it: adds it to takedown.tsv, and then removes
 * it. */
int policy_take_down(struct policy *p, const struct xxh128 *hash, const char *extension, const char *url,
                     struct error *err);
/* Whether a redirect leads to a placeholder for a removed picture. */
bool policy_placeholder_redirect(const struct policy *p, const char *target);
bool policy_placeholder_bytes(struct policy *p, const uint8_t *bytes, size_t n, const struct xxh128 *hash);

#endif
