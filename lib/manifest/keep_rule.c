#include "manifest/keep_rule.h"

#include <string.h>

/* Returns the index in the list of the first prefix of path, or the length of the list. */
static size_t path_preference(const struct option_strings *list, const char *path)
{
    size_t i = 0;
    while (list && i < list->n && strncmp(path, list->items[i], strlen(list->items[i])))
        i++;
    return i;
}

static size_t label_preference(const struct option_strings *list, const char *label)
{
    size_t i = 0;
    while (list && i < list->n && strcmp(label, list->items[i]))
        i++;
    return i;
}

#define COMPARE(a, b)                                                                                        \
    do {                                                                                                     \
        if ((a) != (b)) return (a) < (b) ? -1 : 1;                                                           \
    } while (0)

static int compare_times(const struct keep_copy *a, const struct keep_copy *b, bool newest)
{
    COMPARE(a->no_time, b->no_time);
    if (newest) COMPARE(b->mtime_ns, a->mtime_ns);
    COMPARE(a->mtime_ns, b->mtime_ns);
    return 0;
}

static int compare_by_rule(enum keep_rule rule, const struct keep_copy *a, const struct keep_copy *b)
{
    size_t na = strlen(a->path), nb = strlen(b->path);
    switch (rule) {
    case KEEP_FIRST: COMPARE(a->row, b->row); break;
    case KEEP_LAST: COMPARE(b->row, a->row); break;
    case KEEP_OLDEST: return compare_times(a, b, false);
    case KEEP_NEWEST: return compare_times(a, b, true);
    case KEEP_SHORTEST_PATH: COMPARE(na, nb); break;
    case KEEP_LONGEST_PATH: COMPARE(nb, na); break;
    case KEEP_LARGEST:
        COMPARE(b->pixels, a->pixels);
        COMPARE(b->bytes, a->bytes);
        return compare_times(a, b, false);
    case KEEP_SMALLEST:
        COMPARE(a->pixels, b->pixels);
        COMPARE(a->bytes, b->bytes);
        return compare_times(a, b, false);
    case KEEP_PATH: break;
    }
    return 0;
}

int keep_compare(const struct keep_order *o, const struct keep_copy *a, const struct keep_copy *b)
{
    COMPARE(!a->against, !b->against);
    COMPARE(!a->protected, !b->protected);
    COMPARE(a->link, b->link);
    size_t pa = path_preference(o->prefer, a->path), pb = path_preference(o->prefer, b->path);
    COMPARE(pa, pb);
    size_t la = label_preference(o->prefer_label, a->label), lb = label_preference(o->prefer_label, b->label);
    COMPARE(la, lb);
    COMPARE(!*a->label, !*b->label);
    int c = compare_by_rule(o->rule, a, b);
    if (c == 0) c = strcmp(a->path, b->path);
    if (c == 0 && a->id && b->id) c = memcmp(a->id, b->id, 16);
    return c ? c : (a->row > b->row) - (a->row < b->row);
}
