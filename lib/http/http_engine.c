/*
 * http_engine.c: drives libcurl's multi interface with epoll. There are thousands of sockets, and only few
 * have events at a time. The cost of epoll depends on the number of events, and that of poll on the number of
 * sockets. libcurl's handles and the body buffers are pooled, so a picture of 40 KB needs no allocation when
 * the pool is full.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "http_engine.h"
#include "http_internal.h"
#include "io/io.h"

#define EVENTS_PER_WAIT 256

/* --- sockets --- */

bool http_errno_shows_host(int os_error) { return os_error == ECONNREFUSED || os_error == ECONNRESET; }

bool http_may_connect(const struct http_options *o, const struct sockaddr *address, socklen_t n_bytes)
{
    bool allowed = o->allow_private || o->proxy || http_address_is_public(address, n_bytes);
    for (size_t i = 0; !allowed && i < o->n_allowed; i++)
        allowed = http_network_has(&o->allowed[i], address, n_bytes);
    return allowed;
}

curl_socket_t http_open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct http_transfer_state *s = user;
    (void)purpose;
    if (!http_may_connect(&s->engine->options, &address->addr, address->addrlen)) {
        s->refused = true;
        return CURL_SOCKET_BAD;
    }
    if (s->engine->admit &&
        !s->engine->admit(s->engine->context, s->transfer, &address->addr, address->addrlen)) {
        s->crowded = true;
        return CURL_SOCKET_BAD;
    }
    s->connecting = true;
    return socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *known)
{
    struct http_engine *e = user;
    struct epoll_event event = {.data.fd = fd};
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(e->epoll_fd, EPOLL_CTL_DEL, fd, &event);
        return 0;
    }
    event.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    if (epoll_ctl(e->epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event)) {
        /* A descriptor was closed and its number used again while libcurl believed it
         * registered, or the other way round. */
        if (epoll_ctl(e->epoll_fd, errno == ENOENT ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event)) return -1;
    }
    if (!known) curl_multi_assign(e->multi, fd, e);
    return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *user)
{
    struct http_engine *e = user;
    (void)multi;
    e->wake_at = timeout_ms < 0 ? INFINITY : clock_seconds() + (double)timeout_ms / 1000;
    return 0;
}

void http_engine_wake(struct http_engine *e)
{
    uint64_t one = 1;
    atomic_store(&e->woken, true);
    if (atomic_load(&e->waiting) && write(e->wake_fd, &one, sizeof one) < 0)
        return; /* the counter is full: it is awake anyway */
}

static void unlink_active(struct http_engine *e, struct http_transfer_state *s)
{
    *(s->older ? &s->older->newer : &e->oldest) = s->newer;
    *(s->newer ? &s->newer->older : &e->newest) = s->older;
    s->older = s->newer = NULL;
    s->active = false;
    e->n_active--;
    e->held_bytes -= s->capacity;
    if (s->paused) e->n_paused--;
    s->paused = false;
}

static void finish(struct http_engine *e, struct http_transfer_state *s, CURLcode rc)
{
    struct http_transfer *t = s->transfer;
    const char *redirect = NULL;
    double seconds = 0;
    http_response_settle(e, s, rc);
    if (curl_easy_getinfo(s->easy, CURLINFO_REDIRECT_URL, &redirect) == CURLE_OK && redirect)
        t->redirect_url = strdup(redirect);
    curl_easy_getinfo(s->easy, CURLINFO_TOTAL_TIME, &seconds);
    t->seconds = seconds;
    curl_multi_remove_handle(e->multi, s->easy);
    unlink_active(e, s);
    e->done(e->context, t);
    http_forget(e, t);
}

/* Called after memory was released. Resumes paused transfers, the oldest first, while there is memory
 * left. */
static void resume_paused(struct http_engine *e)
{
    struct http_transfer_state *next;
    if (e->n_paused == 0) return;
    for (struct http_transfer_state *s = e->oldest; s; s = next) {
        next = s->newer;
        if (!s->paused) continue;
        if (s != e->oldest && e->held_bytes > e->options.limits.memory_bytes) return;
        s->paused = false;
        e->n_paused--;
        curl_easy_pause(s->easy, CURLPAUSE_CONT); /* may call http_response_body, which may pause again */
    }
}

static void collect(struct http_engine *e)
{
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(e->multi, &left))) {
        struct http_transfer_state *s = NULL;
        if (m->msg != CURLMSG_DONE) continue;
        CURLcode rc = m->data.result; /* m becomes invalid when the handle is removed */
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &s);
        finish(e, s, rc);
    }
    resume_paused(e);
}

int http_engine_step(struct http_engine *e, double timeout_s, struct error *err)
{
    struct epoll_event events[EVENTS_PER_WAIT];
    int running, n;
    double now = clock_seconds(), wait = e->wake_at - now;
    if (wait > timeout_s) wait = timeout_s;
    /* The flag `waiting` is set before `woken` is read. So a thread that calls http_engine_wake in between
     * either sees `waiting` and writes to wake_fd, or its `woken` is seen here. */
    atomic_store(&e->waiting, true);
    if (atomic_exchange(&e->woken, false)) wait = 0;
    n = epoll_wait(e->epoll_fd, events, EVENTS_PER_WAIT, wait <= 0 ? 0 : (int)ceil(wait * 1000));
    atomic_store(&e->waiting, false);
    if (n < 0 && errno != EINTR) return error_errno(err, EX_OSERR, "cannot wait for the network");
    e->now_s = (int64_t)time(NULL);
    e->idle = n <= 0;
    for (int i = 0; i < n; i++) {
        uint64_t count;
        if (events[i].data.fd == e->wake_fd) {
            if (read(e->wake_fd, &count, sizeof count) == sizeof count) atomic_store(&e->woken, false);
            continue;
        }
        int ready = (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                    (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                    (events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
        curl_multi_socket_action(e->multi, events[i].data.fd, ready, &running);
    }
    if (clock_seconds() >= e->wake_at) {
        e->wake_at = INFINITY;
        e->idle = false;
        curl_multi_socket_action(e->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    collect(e);
    return 0;
}

bool http_engine_idle(const struct http_engine *e) { return e->idle; }

void http_engine_each(struct http_engine *e, void (*each)(void *context, struct http_transfer *t),
                      void *context)
{
    for (struct http_transfer_state *s = e->oldest; s; s = s->newer)
        each(context, s->transfer);
}

unsigned http_engine_active(const struct http_engine *e) { return e->n_active; }
bool http_engine_has_memory(const struct http_engine *e)
{
    return e->held_bytes <= e->options.limits.memory_bytes;
}

int http_engine_open(struct http_engine **out, const struct http_options *o, http_accept *accept,
                     http_admit *admit, http_done *done, void *context, struct error *err)
{
    struct http_engine *e = mem_zalloc(1, sizeof *e, err);
    *out = NULL;
    if (!e) return -1;
    e->options = *o;
    e->accept = accept, e->admit = admit, e->done = done, e->context = context;
    e->wake_at = INFINITY;
    e->now_s = (int64_t)time(NULL);
    e->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    e->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event wake = {.events = EPOLLIN, .data.fd = e->wake_fd};
    if (e->epoll_fd < 0 || e->wake_fd < 0 || epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, e->wake_fd, &wake)) {
        error_errno(err, EX_OSERR, "cannot make an epoll descriptor");
        http_engine_close(e);
        return -1;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) || !(e->multi = curl_multi_init())) {
        error_set(err, EX_SOFTWARE, "cannot start libcurl");
        http_engine_close(e);
        return -1;
    }
    curl_multi_setopt(e->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(e->multi, CURLMOPT_SOCKETDATA, e);
    curl_multi_setopt(e->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(e->multi, CURLMOPT_TIMERDATA, e);
    curl_multi_setopt(e->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
    /* libcurl counts a plain HTTP proxy as one host for all transfers. The caller limits hosts itself. */
    curl_multi_setopt(e->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                      (long)(o->proxy ? o->limits.n_parallel : o->limits.n_per_host));
    curl_multi_setopt(e->multi, CURLMOPT_MAXCONNECTS, (long)o->limits.n_parallel);
    curl_multi_setopt(e->multi, CURLMOPT_MAX_CONCURRENT_STREAMS, 128L);
    *out = e;
    return 0;
}

void http_engine_close(struct http_engine *e)
{
    if (!e) return;
    while (e->oldest) {
        struct http_transfer_state *s = e->oldest;
        curl_multi_remove_handle(e->multi, s->easy);
        unlink_active(e, s);
        http_forget(e, s->transfer);
    }
    while (e->free) {
        struct http_transfer_state *s = e->free;
        e->free = s->older;
        http_state_free(s);
    }
    if (e->multi) curl_multi_cleanup(e->multi);
    while (e->n_spares > 0)
        free(e->spares[--e->n_spares].body);
    if (e->epoll_fd >= 0) close(e->epoll_fd);
    if (e->wake_fd >= 0) close(e->wake_fd);
    free(e);
}
