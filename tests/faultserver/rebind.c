/*
 * The network, for one process that preloads this: names and outages that a test machine does not have.
 *   rebind.test        is whatever REBIND_TO says
 *   NAME.many.test     is 127.0.0.1, whatever NAME is
 *   NAME.dead.test     does not exist, says the name server
 *   while the file NETWORK_AWAY names is there, no name server answers and nothing new can be connected to
 * Everything else goes to the real functions.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int is_away(void)
{
    const char *file = getenv("NETWORK_AWAY");
    return file && access(file, F_OK) == 0;
}

static int ends(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        dlsym(RTLD_NEXT, "getaddrinfo");
    const char *to = getenv("REBIND_TO");
    if (is_away()) return EAI_AGAIN;
    if (node && ends(node, ".dead.test")) return EAI_NONAME;
    if (node && ends(node, ".many.test"))
        to = "127.0.0.1";
    else if (!node || strcmp(node, "rebind.test") != 0)
        to = NULL;
    return real(to ? to : node, service, hints, out);
}

int connect(int fd, const struct sockaddr *address, socklen_t n)
{
    int (*real)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "connect");
    if (address->sa_family != AF_UNIX && is_away()) {
        errno = ENETUNREACH;
        return -1;
    }
    return real(fd, address, n);
}
