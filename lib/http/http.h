/*
 * http.h: runs many HTTP transfers at once in one thread, with libcurl's socket interface and epoll. This is
 * the public header of lib/http, and no other area sees libcurl. A transfer is one request and its response.
 * Redirects, retries and politeness are left to the caller, who sees every hop. Bodies stay in memory, so
 * that the caller can refuse a body before anything is written to a disk. The memory of all bodies together
 * is limited: at the limit, transfers are paused until others end. The oldest transfer is never paused, so
 * there is always progress.
 */
#ifndef WINNOW_HTTP_HTTP_H
#define WINNOW_HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"
#include "http/http_address.h"
#include "http/http_header.h"

/* How many bytes of a body the caller sees when it decides whether to accept it: enough for the signature of
 * every kind of picture. */
#define HTTP_PREFIX_BYTES 32
/* The rest of an unwanted body up to this size is read and dropped, so that the connection can be used
 * again. For a longer one the connection is closed. */
#define HTTP_DRAIN_BYTES (64u << 10)

struct http_limits {          /* all have a default in HTTP_LIMITS_DEFAULTS */
    unsigned n_parallel;      /* transfers in flight */
    unsigned n_per_host;      /* connections to one host */
    double connect_s;         /* limit for DNS, TCP and TLS together */
    double total_s;           /* one transfer, request to last byte */
    uint64_t min_bytes_per_s; /* a transfer that is slower than this for min_speed_s has stalled */
    double min_speed_s;
    uint64_t body_bytes;   /* one body, whether its length was announced or not */
    uint64_t memory_bytes; /* all bodies together */
    uint64_t header_bytes; /* all header lines of one response */
};
#define HTTP_LIMITS_DEFAULTS                                                                                 \
    {                                                                                                        \
        .n_parallel = 256, .n_per_host = 4, .connect_s = 15, .total_s = 300, .min_bytes_per_s = 500,         \
        .min_speed_s = 20, .body_bytes = 32u << 20, .memory_bytes = 128u << 20, .header_bytes = 64u << 10    \
    }

struct http_options {
    struct http_limits limits;
    bool allow_private; /* connect to addresses that are not public, too */
    /* n_allowed networks that may be connected to although they are not public. */
    const struct http_network *allowed;
    size_t n_allowed;
    bool insecure; /* do not verify certificates */
    const char *user_agent;
    const char *agent_token; /* our product token in lower case, for X-Robots-Tag */
    /* All connections are made to this proxy. NULL: none, and none from the environment either. */
    const char *proxy;
    const char *ca_file; /* NULL: the system's */
    bool no_http2;
};

enum http_outcome {
    HTTP_RESPONDED, /* the response is complete: see headers.status; body is whole unless !wanted */
    HTTP_FAILED_DNS,
    HTTP_FAILED_CONNECT,
    HTTP_FAILED_TLS,
    HTTP_FAILED_TIMEOUT, /* connect_s or total_s */
    HTTP_FAILED_STALLED,
    HTTP_FAILED_RESET,     /* the connection was lost, or the response is malformed */
    HTTP_FAILED_TRUNCATED, /* fewer bytes than announced; body holds those received */
    HTTP_FAILED_TOO_LARGE,
    HTTP_FAILED_HEADERS, /* more header bytes than the limit */
    HTTP_FAILED_REFUSED, /* the address is not public */
    HTTP_FAILED_RANGE,   /* a 206 that does not continue what we have, or without a Range request */
    HTTP_FAILED_CROWDED, /* admit refused a connection to that address now; nothing was sent */
    /* the proxy requires a name and password, or rejects those given: no transfer can succeed */
    HTTP_FAILED_PROXY,
    HTTP_FAILED_OTHER,
    HTTP_OUTCOMES
};
/* Whether this errno means that the other side refused the connection. A refusal shows that a machine exists
 * at that address. */
bool http_errno_shows_host(int os_error);

struct http_transfer {
    /* The request: set by the caller before http_start, borrowed until done. */
    const char *url;                               /* canonical */
    const char *if_none_match, *if_modified_since; /* NULL for none */
    const char *cookies;                           /* http_cookie.h; NULL for none */
    uint64_t body_limit;                           /* 0: limits.body_bytes */
    bool cut_at_limit; /* a longer body is cut there (HTTP_FAILED_TOO_LARGE), even an announced one */
    void *token;       /* for the caller's own use, like the next two fields; all are 0 at first */
    uint32_t slot;
    size_t n_saved;

    /* The response. */
    enum http_outcome outcome;
    char detail[160]; /* the description of a failure, by libcurl or by us */
    struct http_headers headers;
    const char *if_range; /* the validator given to http_set_prefix */
    uint64_t whole_bytes;
    bool wanted;             /* the result of accept; false also when there was no body */
    bool decided;            /* accept was called */
    bool ranged;             /* the request has a Range */
    bool resumed;            /* the server sent that range: body is the old part and the rest */
    bool length_known;       /* by Content-Length, chunks or frames: a cut would have been noticed */
    struct text set_cookies; /* of this response, http_cookie.h; owned by the transfer */
    char *redirect_url;      /* absolute target of a 3xx with Location, or NULL */
    uint8_t *body;           /* owned by the transfer until http_take_body */
    size_t n_body;
    double seconds;
    bool connected;   /* a new connection was made, or tried; no old one was used */
    int os_error;     /* errno of a connection that could not be made, or 0 */
    int proxy_status; /* status of the proxy's response to CONNECT, 0 without one */

    struct http_transfer_state *state; /* internal */
};

struct http_engine;

/*
 * Called when the first HTTP_PREFIX_BYTES of a body (or all of it) have arrived: status, headers and the
 * prefix are set. Returns whether the rest is wanted in memory. An unwanted body is dropped, or its
 * connection is closed.
 */
typedef bool http_accept(void *context, const struct http_transfer *t);
/*
 * Called when a connection is about to be made to this address, which has passed the check. Returns whether
 * the connection may be made. It is called for each address of the host that is tried, so more than once for
 * some transfers. It is not called when a connection is used again.
 */
typedef bool http_admit(void *context, struct http_transfer *t, const struct sockaddr *address,
                        socklen_t n_bytes);
/* Called when the transfer is over. When it returns, the transfer goes back to the pool. So the function must
 * copy the strings that are still needed, and remove the body with http_take_body to keep it. */
typedef void http_done(void *context, struct http_transfer *t);

/* Returns 0, or -1 with EX_OSERR or EX_SOFTWARE when libcurl or epoll cannot be used. The strings of the
 * options are borrowed until close. */
int http_engine_open(struct http_engine **out, const struct http_options *o, http_accept *accept,
                     http_admit *admit, http_done *done, void *context,
                     struct error *err);       /* admit may be NULL */
void http_engine_close(struct http_engine *e); /* drops what is in flight without calling done */

/* Returns a transfer with empty request fields from the pool, or NULL with err set. It may have memory for a
 * body from an earlier use. */
struct http_transfer *http_new(struct http_engine *e, struct error *err);
/*
 * Puts n bytes into t->body as the first part of the body, and makes the transfer request only the rest of
 * the same version. validator names the version: a strong ETag with its quotes, or a date. whole_bytes is the
 * length of the whole body, or 0 when it is not known. All arguments are copied. Does nothing when the
 * validator is longer than HTTP_VALIDATOR_BYTES.
 */
int http_set_prefix(struct http_engine *e, struct http_transfer *t, const void *bytes, size_t n,
                    const char *validator, uint64_t whole_bytes, struct error *err);
/* Returns 0 when the transfer was started and done will be called; 1 when it was not started, because a proxy
 * must not be asked for the host (http_proxy.h); -1 with err set. After 1 and -1, call http_forget. */
int http_start(struct http_engine *e, struct http_transfer *t, struct error *err);
/* Returns a transfer that was never started to the pool. */
void http_forget(struct http_engine *e, struct http_transfer *t);

/* To be called in `done`: removes the body from the transfer and returns it; *capacity is the size of its
 * memory. The caller frees the body, or better returns it with http_give_body (from the engine's thread), so
 * that another transfer can use its memory. */
uint8_t *http_take_body(struct http_transfer *t, size_t *capacity);
/* To be called in `done`: replaces the transfer's body by this one, which the transfer owns from now on. */
void http_replace_body(struct http_transfer *t, uint8_t *body, size_t n_bytes, size_t capacity);
void http_give_body(struct http_engine *e, uint8_t *body, size_t capacity);

/* Ends the wait of an http_engine_step that runs now, or else of the next one. Any thread may call it. */
void http_engine_wake(struct http_engine *e);

/* Waits for events, at most timeout_s, and handles them; done is called from here. Returns 0 after events, a
 * timeout or a signal, or -1 with err set. */
int http_engine_step(struct http_engine *e, double timeout_s, struct error *err);

bool http_engine_idle(const struct http_engine *e); /* whether the last step found nothing to do */
/* Calls a function for every transfer in flight, the oldest first. The function must not start or end any. */
void http_engine_each(struct http_engine *e, void (*each)(void *context, struct http_transfer *t),
                      void *context);
unsigned http_engine_active(const struct http_engine *e);
/* Whether the memory of all bodies is below the budget, so that more transfers may start. */
bool http_engine_has_memory(const struct http_engine *e);

#endif
