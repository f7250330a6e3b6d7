#include "http/http_probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "http/http_url.h"
#include "http_internal.h"
#include "io/io.h"

#define CONNECT_MS 5000
/* No further host is tried after this time: without a network, a resolver takes 10 s for a name. */
#define TOTAL_S 15.0
#define ADDRESSES_PER_HOST 4
#define NETWORKS_MAX 32

/* Shared by the thread and its owner. Whichever ends last frees it. */
struct http_probe {
    pthread_mutex_t lock;
    int n_owners;
    enum http_reach result;
    struct http_engine *engine; /* NULL after http_probe_close */
    struct http_options options;
    struct http_network allowed[NETWORKS_MAX];
    size_t n;
    struct http_probe_target targets[HTTP_PROBE_HOSTS];
};

static void let_go(struct http_probe *p)
{
    pthread_mutex_lock(&p->lock);
    int left = --p->n_owners;
    pthread_mutex_unlock(&p->lock);
    if (left == 0) {
        pthread_mutex_destroy(&p->lock);
        free(p);
    }
}

/* Whether a machine responds at that address; a refused connection is a response, too. *silent becomes true
 * when no response came before the timeout, and no router reported an error. */
static bool answers(const struct addrinfo *a, bool must_accept, bool *silent)
{
    int failure = 0;
    *silent = false;
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
    if (fd < 0) return false;
    if (connect(fd, a->ai_addr, a->ai_addrlen)) failure = errno;
    if (failure == EINPROGRESS) {
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        socklen_t n = sizeof failure;
        if (poll(&wait, 1, CONNECT_MS) != 1 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &n))
            failure = ETIMEDOUT;
    }
    close(fd);
    *silent = failure == ETIMEDOUT;
    return failure == 0 || (!must_accept && http_errno_shows_host(failure));
}

static bool host_answers(const struct http_probe *p, size_t i)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    const struct http_probe_target *t = &p->targets[i];
    char name[sizeof t->name], port[8];
    size_t n = strlen(t->name);
    bool literal = t->name[0] == '[', yes = false;
    snprintf(name, sizeof name, "%.*s", (int)(literal ? n - 2 : n), t->name + literal);
    snprintf(port, sizeof port, "%u", t->port);
    int rc = getaddrinfo(name, port, &hints, &list);
    /* A name server that reports "no such name" shows that the network works. EAI_AGAIN and the other errors
     * count as silence. */
    if (rc) return !t->must_accept && (rc == EAI_NONAME || rc == EAI_NODATA);
    size_t n_tried = 0, n_silent = 0;
    for (const struct addrinfo *a = list; a && !yes && n_tried < ADDRESSES_PER_HOST; a = a->ai_next) {
        if (!http_may_connect(&p->options, a->ai_addr, a->ai_addrlen)) continue;
        bool silent;
        n_tried++;
        yes = answers(a, t->must_accept, &silent);
        n_silent += silent;
    }
    freeaddrinfo(list);
    /*
     * A host that never responded before, whose name resolves, and which is silent now, is dead: a run must
     * not wait for the network because of it. Only the silence of a host that responded before shows that the
     * network is down.
     */
    return yes || n_tried == 0 || (!t->witness && n_silent == n_tried);
}

static void *run(void *context)
{
    struct http_probe *p = context;
    bool yes = false;
    double start = clock_seconds();
    for (size_t i = 0; i < p->n && !yes && (i == 0 || clock_seconds() - start < TOTAL_S); i++)
        yes = host_answers(p, i);
    pthread_mutex_lock(&p->lock);
    p->result = yes ? HTTP_REACH_YES : HTTP_REACH_NO;
    if (p->engine) http_engine_wake(p->engine);
    pthread_mutex_unlock(&p->lock);
    let_go(p);
    return NULL;
}

int http_probe_start(struct http_probe **out, const struct http_probe_target *targets, size_t n,
                     const struct http_options *o, struct http_engine *e, struct error *err)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, old;
    struct http_probe *p = mem_zalloc(1, sizeof *p, err);
    *out = NULL;
    if (!p) return -1;
    pthread_mutex_init(&p->lock, NULL);
    p->n_owners = 2;
    p->engine = e;
    p->options.allow_private = o->allow_private;
    p->options.proxy = o->proxy ? "" : NULL; /* the probe needs to know only whether there is a proxy */
    p->options.n_allowed = o->n_allowed < NETWORKS_MAX ? o->n_allowed : NETWORKS_MAX;
    for (size_t i = 0; i < p->options.n_allowed; i++)
        p->allowed[i] = o->allowed[i];
    p->options.allowed = p->allowed;
    for (; p->n < n && p->n < HTTP_PROBE_HOSTS; p->n++)
        p->targets[p->n] = targets[p->n];
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all); /* signals are for the event loop */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&thread, &attributes, run, p);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
    if (rc) {
        pthread_mutex_destroy(&p->lock);
        free(p);
        return error_set(err, EX_OSERR, "cannot start a thread");
    }
    *out = p;
    return 0;
}

enum http_reach http_probe_result(struct http_probe *p)
{
    pthread_mutex_lock(&p->lock);
    enum http_reach result = p->result;
    pthread_mutex_unlock(&p->lock);
    return result;
}

void http_probe_close(struct http_probe *p)
{
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    p->engine = NULL;
    pthread_mutex_unlock(&p->lock);
    let_go(p);
}
