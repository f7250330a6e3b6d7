/* A resolver for one name, to be preloaded: rebind.test is whatever REBIND_TO says. Everything else goes to the real one. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
    const char *to = getenv("REBIND_TO");
    return real(node && to && strcmp(node, "rebind.test") == 0 ? to : node, service, hints, out);
}
