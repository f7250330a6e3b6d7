/*
 * http_engine.h: the engine and its transfers, for the three files that implement them: http_engine.c
 * (sockets, timers, transfers in flight), http_transfer.c (the pool, requests, memory of bodies), and
 * http_response.c (reads responses).
 */
#ifndef WINNOW_HTTP_HTTP_ENGINE_H
#define WINNOW_HTTP_HTTP_ENGINE_H

#include <curl/curl.h>
#include <stdatomic.h>

#include "http/http.h"

#define BODY_FIRST_BYTES (64u << 10)
/* A pooled buffer larger than this is freed after its transfer. */
#define BODY_KEEP_BYTES (1u << 20)
#define N_SPARES 64 /* body buffers kept for the next transfers */

struct http_transfer_state {
    CURL *easy;
    struct http_engine *engine;
    struct http_transfer *transfer;
    /* neighbours in the list of transfers in flight, ordered by start; `older` also links the free list */
    struct http_transfer_state *older, *newer;
    struct curl_slist *headers;
    size_t capacity, n_prefix, n_drained, header_bytes;
    bool active, paused, refused, crowded, connecting, settled, mismatched, too_large, headers_too_large,
        two_lengths, no_memory;
    uint64_t limit;
    char errors[CURL_ERROR_SIZE];
    char validator[HTTP_VALIDATOR_BYTES];
};

struct http_engine {
    struct http_options options;
    http_accept *accept;
    http_admit *admit;
    http_done *done;
    void *context;
    CURLM *multi;
    int epoll_fd;
    double wake_at; /* libcurl's timer; INFINITY when unset */
    struct http_transfer_state *oldest, *newest, *free;
    struct spare {
        uint8_t *body;
        size_t capacity;
    } spares[N_SPARES];
    unsigned n_spares;
    int wake_fd;
    atomic_bool waiting, woken;
    unsigned n_active;
    unsigned n_paused;
    uint64_t held_bytes; /* capacity of all bodies of transfers in flight */
    int64_t now_s;       /* Unix time of this step, for Retry-After dates */
    bool out_of_memory, proxy_works, idle;
};

/* http_response.c: libcurl's callbacks for bytes of a body and for a header line. user is the state of the
 * transfer. */
size_t http_response_body(char *bytes, size_t each, size_t n, void *user);
size_t http_response_header(char *line, size_t each, size_t n, void *user);
/* Sets the outcome and the detail of a transfer that libcurl has finished. */
void http_response_settle(struct http_engine *e, struct http_transfer_state *s, CURLcode rc);

/* http_transfer.c */
int http_body_reserve(struct http_transfer_state *s, size_t wanted, struct error *err);
void http_state_free(struct http_transfer_state *s);

/* http_engine.c: libcurl's callback that opens a socket, after a check of the address it will connect to. */
curl_socket_t http_open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address);

#endif
