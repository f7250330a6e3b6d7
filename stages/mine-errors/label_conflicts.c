/*
 * label_conflicts.c: reads the pictures that deduplication rejected because copies of them have different
 * labels. On the review page a person chooses the right label, and the picture is then used again. There is
 * no prediction for these pictures, because they are not in the data set.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/union_find.h"
#include "mine_errors.h"

static int64_t class_of(const struct predictions *p, const char *label)
{
    for (int k = 0; k < p->n_classes; k++)
        if (strcmp(p->classes[k], label) == 0) return k;
    return -1;
}

/* Returns the class in "[distance ]label: path", and sets *path. */
static int64_t other_of(const struct predictions *p, const char *detail, const char **path)
{
    for (int skip = 0; skip < 2; skip++) {
        const char *from = skip ? detail + strspn(detail, "0123456789") : detail;
        if (skip && (from == detail || *from++ != ' ')) break;
        for (int k = 0; k < p->n_classes; k++) {
            size_t n = strlen(p->classes[k]);
            if (strncmp(from, p->classes[k], n) || strncmp(from + n, ": ", 2)) continue;
            *path = from + n + 2;
            return k;
        }
    }
    return -1;
}

/* State while reading. A picture with several rows is stored once. */
struct reading {
    struct names ids, paths;
    uint32_t *item_of_path; /* 1 + the item whose picture has this path; 0: none */
    uint32_t *other;        /* for each item, the number of the path with which it is in conflict */
    size_t n_paths, path_capacity, other_capacity;
};

static int intern_path(struct reading *r, const char *path, uint32_t *number, struct error *err)
{
    if (names_find(&r->paths, path, number, err) ||
        mem_grow(&r->item_of_path, &r->path_capacity, r->paths.n, sizeof *r->item_of_path, err))
        return -1;
    for (; r->n_paths < r->paths.n; r->n_paths++)
        r->item_of_path[r->n_paths] = 0;
    return 0;
}

static int take_row(struct label_conflicts *c, struct reading *r, const struct predictions *p, const char *id,
                    const char *path, const char *label, const char *detail, struct error *err)
{
    const char *other_path = NULL;
    int64_t given = class_of(p, label), suggested = other_of(p, detail, &other_path);
    uint32_t number, at, other;
    if (given < 0 || suggested < 0 || !*id) {
        c->n_left_out++;
        return 0;
    }
    if (names_find(&r->ids, id, &number, err) || intern_path(r, path, &at, err) ||
        intern_path(r, other_path, &other, err) ||
        mem_grow(&c->items, &c->capacity, number + (size_t)1, sizeof *c->items, err) ||
        mem_grow(&r->other, &r->other_capacity, number + (size_t)1, sizeof *r->other, err))
        return -1;
    if (number == c->n) {
        struct label_conflict *k = &c->items[c->n];
        *k = (struct label_conflict){.given = (int32_t)given, .suggested = (int32_t)suggested};
        if (!(k->id = arena_strdup(&c->arena, id, err)) || !(k->path = arena_strdup(&c->arena, path, err)))
            return -1;
        r->other[c->n++] = other;
    }
    if (!r->item_of_path[at]) r->item_of_path[at] = number + 1;
    return 0;
}

static int read_file(struct label_conflicts *c, struct reading *r, const char *path,
                     const struct predictions *p, struct error *err)
{
    static const char *const required[] = {"path", "label", "xxh128", "reject_reason", "reject_detail", NULL};
    struct manifest_reader in = MANIFEST_READER_EMPTY;
    int at[5], got, rc = -1;
    if (manifest_reader_open(&in, path, required, err)) return -1;
    for (int i = 0; i < 5; i++)
        at[i] = manifest_column(&in.schema, required[i]);
    while ((got = manifest_reader_next(&in, err)) > 0)
        if (strcmp(in.fields[at[3]], "label-conflict") == 0 &&
            take_row(c, r, p, in.fields[at[2]], in.fields[at[0]], in.fields[at[1]], in.fields[at[4]], err))
            goto out;
    rc = got;
out:
    manifest_reader_close(&in);
    return rc;
}

/* Numbers each group of pictures connected by conflicts. Groups of one, or of more than `most`, get
 * number 0. */
static int group(struct label_conflicts *c, const struct reading *r, size_t most, struct error *err)
{
    uint32_t *parent = union_find_start(c->n, err), *size = mem_zalloc(c->n + 1, sizeof *size, err),
             *number = mem_zalloc(c->n + 1, sizeof *number, err);
    int rc = parent && size && number ? 0 : -1;
    for (uint32_t i = 0; !rc && i < c->n; i++) {
        uint32_t other = r->item_of_path[r->other[i]];
        if (other) parent[union_find_root(parent, i)] = union_find_root(parent, other - 1);
    }
    for (uint32_t i = 0; !rc && i < c->n; i++)
        size[union_find_root(parent, i)]++;
    for (uint32_t i = 0; !rc && i < c->n; i++) {
        uint32_t root = union_find_root(parent, i);
        if (size[root] < 2 || size[root] > most) continue;
        if (!number[root]) number[root] = (uint32_t)++c->n_groups;
        c->items[i].group = number[root];
    }
    free(parent);
    free(size);
    free(number);
    return rc;
}

int label_conflicts_read(struct label_conflicts *c, const struct mine_options *o, const struct predictions *p,
                         struct error *err)
{
    struct reading r = {.ids = NAMES_EMPTY, .paths = NAMES_EMPTY};
    int rc = 0;
    for (size_t i = 0; !rc && i < o->conflicts.n; i++)
        rc = read_file(c, &r, o->conflicts.items[i], p, err);
    if (!rc) rc = group(c, &r, (size_t)o->group_size, err);
    if (!rc && c->n_left_out && !o->common.quiet)
        stage_warn("%zu conflict rows are not on the page: their labels are not among the predicted classes, "
                   "or they have no xxh128",
                   c->n_left_out);
    names_release(&r.ids);
    names_release(&r.paths);
    free(r.item_of_path);
    free(r.other);
    return rc;
}

void label_conflicts_release(struct label_conflicts *c)
{
    free(c->items);
    arena_release(&c->arena);
    *c = LABEL_CONFLICTS_EMPTY;
}
