/*
 * image_rows.c: keeps the rows of a manifest while the decode pool works on their pictures. The pool limits
 * how many pictures it holds. Rows whose pictures are not decoded wait here as well, so this queue needs its
 * own limit.
 */
#include "image/image_rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

#define MOST_ROWS 1024

/* block: n pointers, then the text of the fields. */
struct waiting {
    char *block;
    size_t capacity;
    bool submitted;
};

struct queue {
    struct waiting rows[MOST_ROWS];
    size_t first, n;
};

static int copy_row(struct waiting *w, const struct manifest_reader *in, struct error *err)
{
    size_t n = in->schema.n, bytes = n * sizeof(char *);
    for (size_t i = 0; i < n; i++)
        bytes += strlen(in->fields[i]) + 1;
    if (mem_grow(&w->block, &w->capacity, bytes, 1, err)) return -1;
    const char **fields = (const char **)(void *)w->block;
    char *at = w->block + n * sizeof(char *);
    for (size_t i = 0; i < n; i++) {
        size_t length = strlen(in->fields[i]) + 1;
        fields[i] = memcpy(at, in->fields[i], length);
        at += length;
    }
    return 0;
}

static int finish_first(const struct image_rows *p, struct queue *q, struct decode_pool *pool,
                        struct error *err)
{
    struct waiting *w = &q->rows[q->first];
    struct decoded d;
    if (w->submitted && decode_pool_take(pool, &d, err) != 1) return -1;
    q->first = (q->first + 1) % MOST_ROWS;
    q->n--;
    return p->done(p->context, (const char *const *)(void *)w->block, w->submitted ? &d : NULL, err);
}

static int begin_row(const struct image_rows *p, struct queue *q, struct decode_pool *pool,
                     const struct manifest_reader *in, int path_column, struct text *path, struct error *err)
{
    struct waiting *w = &q->rows[(q->first + q->n) % MOST_ROWS];
    struct error refused = {0};
    if (copy_row(w, in, err)) return -1;
    w->submitted = !p->wanted || p->wanted(p->context, (const char *const *)(void *)w->block);
    q->n++;
    if (!w->submitted) return 0;
    text_clear(path);
    if (path_join(path, p->root, in->fields[path_column], p->allow_outside, &refused) &&
        refused.code != EX_DATAERR) {
        *err = refused; /* no memory: not an error of the row */
        return -1;
    }
    if (refused.code) return decode_pool_submit_failure(pool, IMAGE_OUTSIDE_ROOT, refused.text, NULL, err);
    return decode_pool_submit(pool, path->data, NULL, err);
}

int image_rows_run(const struct image_rows *p, struct manifest_reader *in, struct decode_pool *pool,
                   struct error *err)
{
    struct text path = TEXT_EMPTY;
    struct queue *q = mem_zalloc(1, sizeof *q, err);
    int more, rc = -1, path_column = manifest_column(&in->schema, "path");
    if (!q) return -1;
    while ((more = manifest_reader_next(in, err)) == 1) {
        while (q->n == MOST_ROWS || (q->n > 0 && decode_pool_full(pool)))
            if (finish_first(p, q, pool, err)) goto out;
        if (begin_row(p, q, pool, in, path_column, &path, err)) goto out;
    }
    if (more < 0) goto out;
    while (q->n > 0)
        if (finish_first(p, q, pool, err)) goto out;
    rc = 0;
out:
    for (size_t i = 0; i < MOST_ROWS; i++)
        free(q->rows[i].block);
    free(q);
    text_release(&path);
    return rc;
}
