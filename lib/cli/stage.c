#include "cli/stage.h"

#include <fcntl.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/number.h"
#include "base/text.h"
#include "io/io.h"
#include "io/ordered_pool.h"
#include "io/signals.h"

static const char *name = "winnow";

const char *stage_name(void) { return name; }

void stage_begin(const char *stage)
{
    name = stage;
    /*
     * The next open() would get the number of a descriptor 0..2 that is closed, and data or messages would be
     * written into that file. Such a descriptor is therefore opened for the wrong direction. A read of
     * standard input, or a write of data, then fails with a message; otherwise an empty table would be read,
     * or the output lost.
     */
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd) _exit(EX_OSERR);
    setlocale(LC_ALL, "C");
    signals_short_stage();
}

static void say(const char *prefix, const char *text)
{
    char shown[ERROR_TEXT_BYTES + 1];
    text_for_people(shown, sizeof shown, text);
    fflush(stdout);
    fprintf(stderr, "%s: %s%s\n", name, prefix, shown);
}

void stage_warn(const char *format, ...)
{
    char text[ERROR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    say("", text);
}

void stage_warn_lines(const char *text)
{
    for (const char *at = text; at && *at;) {
        size_t n = strcspn(at, "\n");
        stage_warn("%.*s", (int)n, at);
        at += n + (at[n] != 0);
    }
}

void stage_note(const struct common_options *common, const char *format, ...)
{
    char text[ERROR_TEXT_BYTES];
    va_list args;
    if (!common || !common->verbose) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    say("", text);
}

/* Returns 1 when the limit is exceeded, 0 when it is not, and -1 with a message when the text is not a
 * limit. */
static int over_limit(const char *limit, const struct stage_counts *n)
{
    struct error err = {0};
    char number[32];
    size_t length = strlen(limit);
    double value;
    bool share = length > 0 && limit[length - 1] == '%';
    snprintf(number, sizeof number, "%.*s", (int)(length - share), limit);
    if (parse_double(number, 0, share ? 100 : 1e15, &value, "--max-rejects", &err)) {
        say("", err.text);
        return -1;
    }
    /* The factor prevents that rounding exceeds a limit such as 0.1% of 3000 rows. */
    return (double)n->n_rejected > (share ? value * (double)n->n_read / 100 : value) * (1 + 1e-12);
}

int stage_end(int rc, const struct error *err, const struct stage_counts *counts,
              const struct common_options *common)
{
    if (rc < 0) {
        say("", err && err->text[0] ? err->text : "failed without saying why");
        return err && err->code ? err->code : EX_SOFTWARE;
    }
    if (counts && common && common->verbose)
        fprintf(stderr, "%s: %llu read, %llu kept, %llu rejected\n", name, (unsigned long long)counts->n_read,
                (unsigned long long)counts->n_kept, (unsigned long long)counts->n_rejected);
    if (counts && common && common->max_rejects) {
        int over = over_limit(common->max_rejects, counts);
        if (over < 0) return EX_USAGE;
        if (over) {
            fprintf(stderr, "%s: %llu of %llu rows rejected, more than --max-rejects %s\n", name,
                    (unsigned long long)counts->n_rejected, (unsigned long long)counts->n_read,
                    common->max_rejects);
            return EX_VERDICT_NO;
        }
    }
    return rc;
}

unsigned stage_threads(const struct common_options *common)
{
    return common && common->threads > 0 ? (unsigned)common->threads : default_threads();
}

#define DRAW_EVERY_SECONDS 0.1
#define LINE_EVERY_SECONDS 10.0

void progress_start(struct progress *p, const struct common_options *common, uint64_t total, const char *unit)
{
    bool tty = isatty(STDERR_FILENO);
    const char *term = getenv("TERM");
    bool dumb = !term || strcmp(term, "dumb") == 0;
    *p = (struct progress){.tty = tty && !dumb, .total = total, .unit = unit, .started = clock_seconds()};
    p->on = !(common && common->quiet) && (p->tty || (common && common->progress));
    p->drawn = p->started;
}

static void time_left(char *out, size_t bytes, double seconds)
{
    if (!(seconds < 360000))
        snprintf(out, bytes, "--:--");
    else if (seconds >= 3600)
        snprintf(out, bytes, "%d:%02d:%02d", (int)seconds / 3600, (int)seconds / 60 % 60, (int)seconds % 60);
    else
        snprintf(out, bytes, "%d:%02d", (int)seconds / 60, (int)seconds % 60);
}

void progress_update(struct progress *p, uint64_t done, const char *extra)
{
    char left[32], line[256];
    if (!p->on) return;
    double now = clock_seconds(), elapsed = now - p->started;
    if (now - p->drawn < (p->tty ? DRAW_EVERY_SECONDS : LINE_EVERY_SECONDS)) return;
    p->drawn = now;
    double rate = elapsed > 0 ? (double)done / elapsed : 0;
    int n = snprintf(line, sizeof line, "%s: %llu", name, (unsigned long long)done);
    if (p->total)
        n += snprintf(line + n, sizeof line - (size_t)n, "/%llu (%d%%)", (unsigned long long)p->total,
                      (int)(100.0 * (double)done / (double)p->total));
    n += snprintf(line + n, sizeof line - (size_t)n, " %s, %.*f/s", p->unit, rate < 10 ? 1 : 0, rate);
    if (p->total && rate > 0) {
        time_left(left, sizeof left, (double)(p->total - (done < p->total ? done : p->total)) / rate);
        n += snprintf(line + n, sizeof line - (size_t)n, ", %s left", left);
    }
    if (extra && extra[0]) snprintf(line + n, sizeof line - (size_t)n, "  %s", extra);
    if (p->tty) {
        struct winsize w;
        int width = ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 1 ? w.ws_col - 1 : 79;
        fprintf(stderr, "\r%.*s\033[K", width, line);
    } else {
        fprintf(stderr, "%s\n", line);
    }
    fflush(stderr);
}

void progress_end(struct progress *p)
{
    if (p->on && p->tty) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
    p->on = false;
}
