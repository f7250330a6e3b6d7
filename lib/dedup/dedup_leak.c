/*
 * dedup_leak.c: finds pictures with near copies in another split. For every picture that has a copy within
 * --distance in another split it writes one line, with the nearest copy. The output therefore stays small
 * when a thousand copies of a picture are spread over the splits.
 */
#include "dedup/near_dedup.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static int read_splits(struct dedup *s, struct manifest_source *in, uint32_t *split, struct names *names,
                       struct error *err)
{
    static const char *const required[] = {"path", "split", NULL};
    struct manifest_reader r;
    size_t row = s->n_against;
    int got;
    if (manifest_source_read(in, &r, required, err)) return -1;
    int column = manifest_column(&r.schema, "split");
    while ((got = manifest_reader_next(&r, err)) > 0 && row < s->n_rows)
        if (names_find(names, manifest_field(&r, column), &split[row++], err)) {
            got = -1;
            break;
        }
    manifest_reader_close(&r);
    return got < 0 ? -1 : manifest_source_check(in, err);
}

struct nearest {
    uint32_t row, distance;
};

static void consider(const struct dedup *s, const uint32_t *split, uint32_t row, uint32_t node,
                     uint32_t distance, struct nearest *best)
{
    for (uint32_t k = s->node_start[node]; k < s->node_start[node + 1]; k++) {
        uint32_t other = s->node_rows[k];
        if (split[other] == split[row] || (best->row != DEDUP_NONE && distance > best->distance)) continue;
        if (best->row == DEDUP_NONE || distance < best->distance ||
            strcmp(dedup_path(s, other), dedup_path(s, best->row)) < 0)
            *best = (struct nearest){other, distance};
    }
}

int dedup_check_leak(struct dedup *s, struct manifest_source *in, const char *output, uint64_t *n_leaks,
                     struct error *err)
{
    static const char *const columns[] = {"path",        "label",       "split",    "other_path",
                                          "other_label", "other_split", "distance", NULL};
    struct manifest_writer w = MANIFEST_WRITER_EMPTY;
    struct names names = {0};
    uint32_t *split = mem_zalloc(s->n_rows + 1, sizeof *split, err);
    int rc = -1;
    *n_leaks = 0;
    if (!split || read_splits(s, in, split, &names, err) ||
        manifest_writer_open(&w, output, NULL, columns, err))
        goto out;
    for (uint32_t i = 0; i < s->n_rows; i++) {
        const struct dedup_row *r = &s->rows[i];
        struct nearest best = {DEDUP_NONE, 0};
        char distance[16];
        if (r->node == DEDUP_NONE || !(r->flags & ROW_PATH)) continue;
        consider(s, split, i, r->node, 0, &best);
        for (uint32_t k = s->adjacent_start[r->node]; k < s->adjacent_start[r->node + 1]; k++)
            consider(s, split, i, s->adjacent[k].node, s->adjacent[k].distance, &best);
        if (best.row == DEDUP_NONE) continue;
        assert(names.text); /* each row has a split, named at least "" */
        snprintf(distance, sizeof distance, "%u", best.distance);
        const char *const fields[] = {dedup_path(s, i),
                                      s->labels.text[r->label],
                                      names.text[split[i]],
                                      dedup_path(s, best.row),
                                      s->labels.text[s->rows[best.row].label],
                                      names.text[split[best.row]],
                                      distance};
        ++*n_leaks;
        if (manifest_writer_row(&w, NULL, fields, err)) goto out;
    }
    rc = manifest_writer_commit(&w, err);
out:
    manifest_writer_discard(&w);
    names_release(&names);
    free(split);
    return rc;
}
