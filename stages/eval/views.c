/* views.c: a view is a yes-or-no question whose score is the sum of some classes'
 * probabilities, such as strict = hentai+porn. */
#include <stdlib.h>
#include <string.h>

#include "base/class_sum.h"
#include "base/mem.h"
#include "eval.h"

#define MAX_VIEWS 100

/* Includes the settings file beside this source in the program's read-only data. */
__asm__(".section .rodata\n"
        ".global eval_default_views\n"
        "eval_default_views:\n"
        ".incbin \"stages/eval/default-views.txt\"\n"
        ".byte 0\n"
        ".previous\n");
extern const char eval_default_views[] __attribute__((visibility("hidden")));

static bool plain_name(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= '0' && s[i] <= '9') ||
              s[i] == '-' || s[i] == '_'))
            return false;
    return n > 0 && n <= 64;
}

/* Adds "name=a+b". An optional view is left out when one of its classes is missing. */
static int add(struct views *v, const char *text, size_t length, bool optional, const struct predictions *p,
               struct error *err)
{
    char shown[256];
    struct text copy = TEXT_EMPTY;
    int rc = -1, n_positive = 0;
    uint8_t *positive = NULL;
    if (text_add(&copy, text, length, err)) return -1;
    text_for_people(shown, sizeof shown, copy.data);
    char *equals = strchr(copy.data, '=');
    if (!equals || !plain_name(copy.data, (size_t)(equals - copy.data))) {
        error_set(err, EX_USAGE,
                  "a view is written NAME=CLASS+CLASS with a name of letters, digits, - and _, not '%s'",
                  shown);
        goto out;
    }
    *equals = 0;
    if (!(positive = mem_zalloc((size_t)p->n_classes, 1, err))) goto out;
    const char *missing = class_sum_parse(equals + 1, p->classes, p->n_classes, positive);
    if (missing && optional) {
        rc = 0;
        goto out;
    }
    if (missing) {
        error_set(err, EX_USAGE, "view '%s': no class '%s' in '%s'", copy.data,
                  text_for_people(shown, sizeof shown, missing), p->name);
        goto out;
    }
    for (int k = 0; k < p->n_classes; k++)
        n_positive += positive[k];
    if (n_positive == p->n_classes) {
        error_set(err, EX_USAGE, "view '%s' contains every class: leave out at least one", copy.data);
        goto out;
    }
    for (size_t i = 0; i < v->n; i++) /* a later definition of a name replaces an earlier one */
        if (strcmp(v->items[i].name, copy.data) == 0) {
            free(v->items[i].positive);
            v->items[i].positive = positive;
            positive = NULL;
            rc = 0;
            goto out;
        }
    if (v->n == MAX_VIEWS) {
        error_set(err, EX_USAGE, "more than %d views", MAX_VIEWS);
        goto out;
    }
    if (mem_grow(&v->items, &v->capacity, v->n + 1, sizeof *v->items, err)) goto out;
    v->items[v->n].positive = positive;
    if (!(v->items[v->n].name = mem_strdup(copy.data, err))) goto out;
    v->n++;
    positive = NULL;
    rc = 0;
out:
    free(positive);
    text_release(&copy);
    return rc;
}

static int add_lines(struct views *v, const char *lines, bool optional, const struct predictions *p,
                     struct error *err)
{
    for (const char *line = lines; *line;) {
        size_t n = strcspn(line, "\n");
        size_t start = strspn(line, " \t"), end = n;
        while (end > start && (line[end - 1] == ' ' || line[end - 1] == '\t' || line[end - 1] == '\r'))
            end--;
        if (start < end && line[start] != '#' && add(v, line + start, end - start, optional, p, err))
            return -1;
        line += n + (line[n] == '\n');
    }
    return 0;
}

int views_make(struct views *out, const struct eval_options *o, const struct predictions *p,
               struct error *err)
{
    char *lines = NULL;
    size_t n_bytes;
    *out = VIEWS_EMPTY;
    if (o->views_file) {
        if (io_read_text(o->views_file, 1u << 20, &lines, &n_bytes, err)) goto fail;
        if (memchr(lines, 0, n_bytes)) { /* the text after the NUL would be ignored silently */
            char shown[256];
            error_set(err, EX_DATAERR, "'%s' contains a NUL byte: views are plain text, one in each line",
                      text_for_people(shown, sizeof shown, o->views_file));
            goto fail;
        }
        if (add_lines(out, lines, false, p, err)) goto fail;
    } else if (add_lines(out, eval_default_views, true, p, err)) {
        goto fail;
    }
    for (size_t i = 0; i < o->views.n; i++)
        if (add(out, o->views.items[i], strlen(o->views.items[i]), false, p, err)) goto fail;
    free(lines);
    return 0;
fail:
    free(lines);
    views_release(out);
    return -1;
}

void views_release(struct views *v)
{
    for (size_t i = 0; i < v->n; i++) {
        free(v->items[i].name);
        free(v->items[i].positive);
    }
    free(v->items);
    *v = VIEWS_EMPTY;
}
