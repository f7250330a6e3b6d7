/*
 * train_plan.c: see train_plan.h.
 */
#include "model/train_plan.h"

#include <stdio.h>
#include <string.h>

static const char *next_line(const char *line)
{
    line += strcspn(line, "\n");
    return line + (*line == '\n');
}

static const char *value_of(const char *plan, const char *key, size_t n_key, size_t *n)
{
    for (; *plan; plan = next_line(plan))
        if (strncmp(plan, key, n_key) == 0 && plan[n_key] == '\t') {
            *n = strcspn(plan + n_key + 1, "\n");
            return plan + n_key + 1;
        }
    *n = 0;
    return NULL;
}

const char *train_plan_value(const char *plan, const char *key, size_t *n)
{
    return value_of(plan, key, strlen(key), n);
}

/* Returns the first line of `lines` that is not in both plans, or NULL when there is none. */
static const char *first_difference(const char *lines, const char *was, const char *now)
{
    for (const char *line = lines; *line; line = next_line(line)) {
        size_t n_key = strcspn(line, "\t\n"), a, b;
        if (n_key == strlen("threads") && strncmp(line, "threads", n_key) == 0) continue;
        const char *old = value_of(was, line, n_key, &a), *new = value_of(now, line, n_key, &b);
        if (!old || !new || a != b || memcmp(old, new, a) != 0) return line;
    }
    return NULL;
}

bool train_plan_same(const char *was, const char *now)
{
    return !first_difference(now, was, now) && !first_difference(was, was, now);
}

void train_plan_difference(const char *was, const char *now, const char *form, char *out, size_t out_bytes)
{
    const char *line = first_difference(now, was, now);
    if (!line) line = first_difference(was, was, now);
    if (!line) line = "threads\t";
    char key[64], before[200] = "not given", after[200] = "not given";
    size_t n_key = strcspn(line, "\t\n"), a, b;
    const char *old = value_of(was, line, n_key, &a), *new = value_of(now, line, n_key, &b);
    snprintf(key, sizeof key, "%.*s", (int)n_key, line);
    if (old) snprintf(before, sizeof before, "%.*s", (int)a, old);
    if (new) snprintf(after, sizeof after, "%.*s", (int)b, new);
    snprintf(out, out_bytes, form, key, before, after);
    for (char *c = out; *c; c++)
        *c = *c == '\t' ? ' ' : *c;
}
