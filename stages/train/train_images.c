/* train_images.c: finds the rows that show the same picture: the picture itself (variant 0) and its
 * variants. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "train.h"

struct view {
    const char *image;
    uint32_t row;
    int variant;
};

static int by_image(const void *a, const void *b)
{
    const struct view *x = a, *y = b;
    int order = strcmp(x->image, y->image);
    return order ? order : (x->variant > y->variant) - (x->variant < y->variant);
}

int train_images(const struct train_run *run, const uint32_t *rows, size_t n, uint32_t *image,
                 struct error *err)
{
    struct view *views = mem_zalloc(n, sizeof *views, err);
    int rc = -1;
    if (!views) return -1;
    for (size_t i = 0; i < n; i++) {
        struct shard_record r;
        if (shard_set_describe(run->data.shards, rows[i], &r, err)) goto out;
        views[i] =
            (struct view){.image = r.source[0] ? r.source : r.path, .row = rows[i], .variant = r.variant};
    }
    qsort(views, n, sizeof *views, by_image);
    for (size_t i = 0, first = 0; i < n; i++) {
        if (strcmp(views[i].image, views[first].image) != 0) first = i;
        image[views[i].row] = views[first].row;
    }
    rc = 0;
out:
    free(views);
    return rc;
}
