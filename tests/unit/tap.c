#include "tap.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int n_run, n_failed;
static char folder[256];

bool tap_check(bool ok, const char *file, int line, const char *format, ...)
{
    va_list args;
    n_run++;
    printf("%sok %d - ", ok ? "" : "not ", n_run);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    if (!ok) {
        n_failed++;
        printf("#   at %s:%d\n", file, line);
    }
    fflush(stdout);
    return ok;
}

bool tap_close(double a, double b, double atol, double rtol, const char *file, int line, const char *what)
{
    bool ok = fabs(a - b) <= atol + rtol * fabs(b);
    return tap_check(ok, file, line, "%s: %.9g against %.9g", what, a, b);
}

void tap_skip(const char *what, const char *why)
{
    printf("ok %d - %s # SKIP %s\n", ++n_run, what, why);
    fflush(stdout);
}

static void remove_folder(void)
{
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (folder[0] && system(command) != 0) fprintf(stderr, "# cannot remove %s\n", folder);
}

const char *tap_tmpdir(void)
{
    const char *tmp = getenv("TMPDIR");
    if (folder[0]) return folder;
    snprintf(folder, sizeof folder, "%s/winnow-test-XXXXXX", tmp && strlen(tmp) < 200 ? tmp : "/tmp");
    if (!mkdtemp(folder)) {
        perror("mkdtemp");
        exit(2);
    }
    atexit(remove_folder);
    return folder;
}

int tap_done(void)
{
    printf("1..%d\n", n_run);
    return n_failed ? 1 : 0;
}
