/* psl_domain.c: see psl_domain.h. */
#include "psl/psl_domain.h"

#include <libpsl.h>
#include <stdbool.h>
#include <stddef.h>

const char *psl_domain(const char *host)
{
    static psl_ctx_t *list; /* as long as the program runs; it reads the list once */
    static bool loaded;
    if (!loaded) {
        loaded = true;
        list = psl_latest(NULL); /* uses the list of the package publicsuffix if it is newer than libpsl's */
    }
    return list ? psl_registrable_domain(list, host) : NULL;
}
