/*
 * plots.c: draws SVG with gnuplot. One process draws all plots, without a shell and without a user's
 * settings. The script is in a file without a name, so that gnuplot and this program cannot wait for each
 * other. gnuplot gets no text from data, because it would run a command in back quotes in a title; legends
 * are HTML. The colours in its output are markers, which are replaced by CSS variables of the page. So one
 * drawing suits a light page, a dark page and paper.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "report_page.h"

#define MAX_SVG_BYTES (16u << 20)
#define MARKER_RED 161 /* rgb(161, 7, i): line color i */
#define MARKER_GREEN 7

int plot_add(struct plot *p, const double *x, const double *y, size_t n, struct plot_line like,
             struct error *err)
{
    if (mem_grow(&p->lines, &p->capacity, p->n_lines + 1, sizeof *p->lines, err)) return -1;
    like.n = n;
    like.x = mem_dup(x, n * sizeof *x, err);
    like.y = mem_dup(y, n * sizeof *y, err);
    p->lines[p->n_lines++] = like; /* from here on the plot owns the line, also after an error */
    return like.x && like.y ? 0 : -1;
}

void plot_release(struct plot *p)
{
    for (size_t i = 0; i < p->n_lines; i++) {
        free(p->lines[i].x);
        free(p->lines[i].y);
    }
    free(p->lines);
    free(p->svg);
    *p = PLOT_EMPTY;
}

static void write_plot(FILE *f, const struct plot *p)
{
    fprintf(f, "reset\nset terminal svg size 460,360 enhanced font 'sans-serif,15'\n");
    fprintf(f,
            "set border 3 lc rgb '#000000' lw 1\nset tics nomirror out scale 0.6\nset grid lc rgb '#a10765' "
            "lw 1\nunset key\n"
            "set xlabel '%s'\nset ylabel '%s'\n",
            p->x_label, p->y_label);
    if (p->log_x)
        fprintf(f, "set logscale x\nset xrange [%g:1]\nset format x '10^{%%L}'\n", p->x_min);
    else if (p->zero_one_x)
        fputs("set xrange [0:1]\n", f);
    if (p->zero_one_y)
        fputs("set yrange [0:1]\n", f);
    else
        fputs("set yrange [0:*]\n", f);
    for (size_t i = 0; i < p->n_lines; i++) {
        const struct plot_line *l = &p->lines[i];
        fprintf(f, "$d%zu << EOD\n", i);
        for (size_t j = 0; j < l->n; j++)
            if (isfinite(l->x[j]) && isfinite(l->y[j]))
                fprintf(f, "%.6g %.6g\n", p->log_x && l->x[j] < p->x_min ? p->x_min : l->x[j], l->y[j]);
        fputs("EOD\n", f);
    }
    fputs("plot ", f);
    if (p->diagonal) fputs("x with lines lc rgb '#a10766' dt 3 lw 1, ", f);
    for (size_t i = 0; i < p->n_lines; i++) {
        const struct plot_line *l = &p->lines[i];
        fprintf(f, "%s$d%zu with %s lc rgb '#%02x%02x%02x' lw 2%s%s", i ? ", " : "", i,
                l->steps    ? "steps"
                : l->points ? "linespoints"
                            : "lines",
                MARKER_RED, MARKER_GREEN, l->color & 15, l->dashed ? " dt 2" : "",
                l->points ? " pt 7 ps 0.5" : "");
    }
    fputs("\n", f);
}

/* Reads the three numbers of text such as "rgb( 12, 0, 1)" at s. Returns its length, or 0. */
static size_t scan_rgb(const char *s, int rgb[3])
{
    int length = 0;
    return sscanf(s, "rgb(%d , %d , %d )%n", &rgb[0], &rgb[1], &rgb[2], &length) == 3 ? (size_t)length : 0;
}

/* Copies an <svg> element, with colours as variables. The black that gnuplot gives to groups is removed,
 * so that they get the page's text colour. */
static int adopt_svg(const char *svg, size_t n, char **out, struct error *err)
{
    static const char black[] = "color=\"black\"", ink[] = "fill=\"black\"";
    struct text t = TEXT_EMPTY;
    const char *end = svg + n;
    while (svg < end) {
        size_t plain = 0, length;
        int rgb[3];
        while (svg + plain < end && svg[plain] != 'r' && svg[plain] != 'c' && svg[plain] != 'f')
            plain++;
        if (text_add(&t, svg, plain, err)) goto fail;
        if ((svg += plain) == end) break;
        if ((size_t)(end - svg) > sizeof black && memcmp(svg, black, sizeof black - 1) == 0) {
            svg += sizeof black - 1;
            continue;
        }
        if ((size_t)(end - svg) > sizeof ink && memcmp(svg, ink, sizeof ink - 1) == 0) {
            if (text_puts(&t, "fill=\"currentColor\"", err)) goto fail;
            svg += sizeof ink - 1;
            continue;
        }
        length = (size_t)(end - svg) > 4 && memcmp(svg, "rgb(", 4) == 0 ? scan_rgb(svg, rgb) : 0;
        if (length == 0) {
            if (text_add(&t, svg++, 1, err)) goto fail;
            continue;
        }
        svg += length;
        bool marker = rgb[0] == MARKER_RED && rgb[1] == MARKER_GREEN;
        if (marker && rgb[2] < 16 ? text_printf(&t, err, "var(--c%d)", rgb[2] % 8)
            : marker              ? text_puts(&t, rgb[2] == 0x65 ? "var(--line)" : "var(--soft)", err)
                     : text_puts(&t, rgb[0] + rgb[1] + rgb[2] < 384 ? "currentColor" : "none", err))
            goto fail;
    }
    *out = t.data;
    return 0;
fail:
    text_release(&t);
    return -1;
}

/* Copies the <svg> elements from gnuplot's output, one for each plot, in order. */
static int take_svgs(char *output, struct plot *plots, size_t n, struct error *err)
{
    for (size_t i = 0; i < n; i++) {
        char *start = strstr(output, "<svg"), *end = start ? strstr(start, "</svg>") : NULL;
        if (!end) return 0; /* fewer than asked for: the page says what is missing */
        end += 6;
        if (adopt_svg(start, (size_t)(end - start), &plots[i].svg, err)) return -1;
        output = end;
    }
    return 0;
}

static int run_gnuplot(int script_fd, struct text *output, int *status, struct error *err)
{
    extern char **environ;
    posix_spawn_file_actions_t actions;
    char *const argv[] = {"gnuplot", "-d", "-", NULL};
    char buffer[1 << 16];
    int pipe_fds[2], rc = -1, failed;
    pid_t child;
    if (pipe2(pipe_fds, O_CLOEXEC)) return error_errno(err, EX_OSERR, "cannot make a pipe");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, script_fd, 0);
    posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    failed = posix_spawnp(&child, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_fds[1]);
    if (failed) {
        close(pipe_fds[0]);
        *status = 127 << 8;
        if (failed == ENOENT || failed == EACCES) return 0;
        errno = failed;
        return error_errno(err, EX_OSERR, "cannot start gnuplot");
    }
    for (;;) {
        ssize_t got = io_read_some(pipe_fds[0], buffer, sizeof buffer, "gnuplot", err);
        if (got < 0 || (got > 0 && text_add(output, buffer, (size_t)got, err))) goto out;
        if (got == 0) break;
        if (output->n_bytes > MAX_SVG_BYTES) {
            error_set(err, EX_SOFTWARE, "gnuplot writes more than 16 MiB");
            goto out;
        }
    }
    rc = 0;
out:
    close(pipe_fds[0]);
    while (waitpid(child, status, 0) < 0 && errno == EINTR)
        ;
    return rc;
}

int plots_draw(struct plot *plots, size_t n, struct text *why, struct error *err)
{
    struct text output = TEXT_EMPTY;
    /* The script is a file in memory, so that no folder must be writable. */
    int status = 0, rc = -1, fd = memfd_create("gnuplot", MFD_CLOEXEC);
    FILE *script = fd < 0 ? NULL : fdopen(fd, "w+");
    if (!script) {
        error_errno(err, EX_OSERR, "cannot make a temporary file for gnuplot");
        if (fd >= 0) close(fd);
        return -1;
    }
    for (size_t i = 0; i < n; i++)
        if (plots[i].n_lines)
            write_plot(script, &plots[i]);
        else
            fputs("reset\nset terminal svg size 10,10\nset yrange [0:1]\nplot 0\n", script);
    if (fflush(script) || ferror(script) || lseek(fileno(script), 0, SEEK_SET)) {
        error_errno(err, EX_IOERR, "cannot write gnuplot's script");
        goto out;
    }
    if (run_gnuplot(fileno(script), &output, &status, err)) goto out;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        rc = text_puts(why,
                       "No plots: gnuplot is not installed (Debian: gnuplot-nox). The tables hold the same "
                       "numbers.",
                       err);
    else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || !output.data)
        rc = text_puts(why, "No plots: gnuplot failed. The tables hold the same numbers.", err);
    else
        rc = take_svgs(output.data, plots, n, err);
out:
    fclose(script);
    text_release(&output);
    return rc;
}
