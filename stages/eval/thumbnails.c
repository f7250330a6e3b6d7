/* thumbnails.c: makes small copies of a few pictures, which the page contains as data URIs. So the report is
 * one file. The pictures are only large enough to see why the model was wrong. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "image/image_loader.h"
#include "page/page.h"
#include "report_page.h"
#include "shard/shard.h"

#define SIDE_PX 112
#define QUALITY 70
#define PADDING_BYTES 64 /* readable after an image, as the readers want it */

static int encode(struct thumbnails *t, size_t i, const uint8_t *pixels, int side_px, struct error *err)
{
    struct image small = IMAGE_EMPTY;
    struct image in = {side_px, side_px, 3, (uint8_t *)pixels, 0};
    struct text uri = TEXT_EMPTY;
    uint8_t *jpeg = NULL;
    size_t n_bytes = 0;
    int rc = -1;
    if (image_resize(&small, &in, SIDE_PX, SIDE_PX, RESIZE_AREA, err) ||
        image_encode_jpeg(&small, QUALITY, &jpeg, &n_bytes, err) ||
        text_puts(&uri, "data:image/jpeg;base64,", err) || page_base64(&uri, jpeg, n_bytes, err))
        goto out;
    t->uris[i] = uri.data;
    uri = TEXT_EMPTY;
    rc = 0;
out:
    image_release(&small);
    free(jpeg);
    text_release(&uri);
    return rc;
}

static int from_shards(struct thumbnails *t, const char *folder, const char *const *ids, struct error *err)
{
    struct shard_set *set = NULL;
    uint8_t *pixels = NULL;
    int rc = -1;
    if (shard_set_open(&set, folder, err)) return -1;
    size_t side = (size_t)shard_set_info(set)->side_px;
    if (!(pixels = mem_zalloc(side * side * 3 + 2 * PADDING_BYTES, 1, err))) goto out;
    for (size_t i = 0; i < t->n; i++) {
        struct shard_record r;
        int64_t at = shard_set_find(set, ids[i], 0);
        if (at < 0) continue;
        if (shard_set_read(set, (uint64_t)at, pixels, &r, err)) goto out;
        if (r.pixels != pixels) memcpy(pixels, r.pixels, side * side * 3);
        if (encode(t, i, pixels, (int)side, err)) goto out;
    }
    rc = 0;
out:
    shard_set_close(set);
    free(pixels);
    return rc;
}

static int take(struct thumbnails *t, struct image_loader *loader, uint8_t *pixels, struct error *err)
{
    struct loaded_image image;
    int got = image_loader_take(loader, &image, err);
    if (got <= 0 || !image.pixels) return got;
    memcpy(pixels, image.pixels, SIDE_PX * SIDE_PX * 3);
    return encode(t, (size_t)(uintptr_t)image.token, pixels, SIDE_PX, err) ? -1 : 1;
}

static int from_files(struct thumbnails *t, const struct eval_options *o, const char *const *paths,
                      struct error *err)
{
    struct image_loader_options lo = {.side_px = SIDE_PX,
                                      .resize = {.method = RESIZE_AREA},
                                      .threads = stage_threads(&o->common),
                                      .allow_truncated = true};
    struct image_loader *loader = NULL;
    struct text path = TEXT_EMPTY;
    struct error ignored = {0};
    uint8_t *pixels = mem_zalloc(SIDE_PX * SIDE_PX * 3 + 2 * PADDING_BYTES, 1, err);
    int rc = -1, got;
    if (!pixels || image_loader_open(&loader, &lo, err)) goto out;
    for (size_t i = 0; i < t->n; i++) {
        text_clear(&path);
        /* There is no thumbnail for a path that leads out of the root or to no file. The report does not fail
         * because of it. */
        if (!paths[i][0] || path_join(&path, o->common.root, paths[i], o->common.allow_outside, &ignored) ||
            !io_exists(path.data))
            continue;
        while (image_loader_full(loader))
            if (take(t, loader, pixels, err) < 0) goto out;
        if (image_loader_submit(loader, path.data, (void *)(uintptr_t)i, err)) goto out;
    }
    while ((got = take(t, loader, pixels, err)) > 0)
        ;
    rc = got;
out:
    image_loader_close(loader);
    text_release(&path);
    free(pixels);
    return rc;
}

int thumbnails_make(struct thumbnails *out, const struct eval_options *o, const char *const *paths,
                    const char *const *ids, size_t n, struct error *err)
{
    struct stat st;
    *out = (struct thumbnails){.n = n};
    if (!(out->uris = mem_zalloc(n ? n : 1, sizeof *out->uris, err))) return -1;
    if (n == 0 || o->no_thumbnails) return 0;
    bool there = o->shards && stat(o->shards, &st) == 0, shards = there && S_ISDIR(st.st_mode);
    if (o->shards && !there && errno_of_machine(errno)) {
        error_errno(err, EX_NOINPUT, "cannot look at '%s'", o->shards);
        thumbnails_release(out);
        return -1;
    }
    bool any = false;
    for (size_t i = 0; i < n && !shards; i++)
        any = any || paths[i][0];
    if (shards ? from_shards(out, o->shards, ids, err) : any ? from_files(out, o, paths, err) : 0) {
        thumbnails_release(out);
        return -1;
    }
    return 0;
}

void thumbnails_release(struct thumbnails *t)
{
    for (size_t i = 0; t->uris && i < t->n; i++)
        free(t->uris[i]);
    free(t->uris);
    *t = THUMBNAILS_EMPTY;
}
