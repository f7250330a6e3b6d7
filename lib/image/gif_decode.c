/* gif_decode.c: decodes a GIF with giflib: its first frame, or all frames in order, painted on a canvas of
 * the background colour. Frames are counted by walking over the blocks of the file, without decoding them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gif_lib.h>

#include "base/mem.h"
#include "image/frames.h"

struct gif_source {
    const uint8_t *bytes;
    size_t n_bytes, at;
    bool past_end;
};

/*
 * giflib reads the size of each sub-block as one byte. Past the end of the file it gets a 0, which ends the
 * frame's data. The frame is then complete if it needed no more, and giflib reports a defect if it did.
 */
static int on_read(GifFileType *gif, GifByteType *out, int n)
{
    struct gif_source *s = gif->UserData;
    size_t want = n > 0 ? (size_t)n : 0, have = s->n_bytes - s->at;
    if (want > have) {
        s->past_end = true;
        want = have;
    }
    if (n == 1 && have == 0) {
        *out = 0;
        return 1;
    }
    memcpy(out, s->bytes + s->at, want);
    s->at += want;
    return (int)want;
}

/* Returns the position after the sub-blocks that begin at `at`, or n when the file ends before. */
static size_t skip_blocks(const uint8_t *b, size_t n, size_t at)
{
    while (at < n && b[at])
        at += 1 + (size_t)b[at];
    return at < n ? at + 1 : n;
}

static int count_frames(const uint8_t *b, size_t n)
{
    int frames = 0;
    if (n < 13) return 1;
    size_t at = 13 + (b[10] & 0x80 ? (size_t)3 << ((b[10] & 7) + 1) : 0);
    while (at < n && frames < IMAGE_MAX_FRAMES) {
        if (b[at] == 0x21 && at + 2 <= n) {
            at = skip_blocks(b, n, at + 2);
        } else if (b[at] == 0x2C && at + 10 <= n) {
            frames++;
            at += 10 + (b[at + 9] & 0x80 ? (size_t)3 << ((b[at + 9] & 7) + 1) : 0) + 1;
            at = skip_blocks(b, n, at < n ? at : n);
        } else {
            break; /* the trailer, or invalid data */
        }
    }
    return frames ? frames : 1;
}

static enum image_reason gif_failed(const GifFileType *gif, const struct gif_source *s, int code,
                                    struct image_failure *f)
{
    if (gif) code = gif->Error;
    if (s->past_end || code == D_GIF_ERR_EOF_TOO_SOON)
        return image_fail(f, IMAGE_DECODE_TRUNCATED, "the file ends early");
    if (code == D_GIF_ERR_NOT_ENOUGH_MEM)
        return image_fail(f, IMAGE_DECODE_MEMORY, "giflib ran out of memory");
    const char *text = GifErrorString(code);
    return image_fail(f, IMAGE_DECODE_CORRUPT, "%s", text ? text : "damaged GIF data");
}

/* Paints onto `out` the frame whose descriptor was read last, clipped to `out`. transparent is an index
 * in the palette, or -1. */
static enum image_reason paint(GifFileType *gif, const struct gif_source *s, struct image *out,
                               int transparent, const struct decode_options *options, uint8_t *line,
                               struct image_failure *f)
{
    const GifImageDesc *d = &gif->Image;
    const ColorMapObject *map = d->ColorMap ? d->ColorMap : gif->SColorMap;
    static const struct {
        int from, step;
    } passes[] = {{0, 8}, {4, 8}, {2, 4}, {1, 2}};
    if (!map || map->ColorCount < 1) return image_fail(f, IMAGE_DECODE_CORRUPT, "no palette");
    int first = d->Interlace ? 0 : 3, rows_done = 0;
    for (int pass = first; pass < 4; pass++) {
        int from = d->Interlace ? passes[pass].from : 0, step = d->Interlace ? passes[pass].step : 1;
        for (int y = from; y < d->Height; y += step) {
            if (DGifGetLine(gif, line, d->Width) == GIF_ERROR) {
                enum image_reason reason = gif_failed(gif, s, 0, f);
                return reason == IMAGE_DECODE_TRUNCATED && options->allow_truncated && rows_done ? IMAGE_OK
                                                                                                 : reason;
            }
            rows_done++;
            if (d->Top + y >= out->height || d->Left >= out->width) continue;
            uint8_t *to = out->pixels + ((size_t)(d->Top + y) * (size_t)out->width + (size_t)d->Left) * 3;
            for (int x = 0; x < d->Width && d->Left + x < out->width; x++, to += 3) {
                if (line[x] == transparent) continue;
                int index = line[x] < map->ColorCount ? line[x] : 0;
                to[0] = map->Colors[index].Red;
                to[1] = map->Colors[index].Green;
                to[2] = map->Colors[index].Blue;
            }
        }
    }
    return IMAGE_OK;
}

struct control {
    bool found; /* whether a frame follows (its descriptor was then read), or the file has ended */
    int transparent, disposal;
};

/* Reads on until a frame's descriptor was read. */
static enum image_reason find_frame(GifFileType *gif, const struct gif_source *s, struct control *c,
                                    struct image_failure *f)
{
    *c = (struct control){false, -1, 0};
    for (;;) {
        GifRecordType type;
        int label;
        GifByteType *block;
        if (DGifGetRecordType(gif, &type) == GIF_ERROR) return gif_failed(gif, s, 0, f);
        if (type == TERMINATE_RECORD_TYPE) return IMAGE_OK;
        if (type == IMAGE_DESC_RECORD_TYPE) {
            if (DGifGetImageDesc(gif) == GIF_ERROR) return gif_failed(gif, s, 0, f);
            c->found = true;
            return IMAGE_OK;
        }
        if (type != EXTENSION_RECORD_TYPE || DGifGetExtension(gif, &label, &block) == GIF_ERROR)
            return gif_failed(gif, s, 0, f);
        if (label == GRAPHICS_EXT_FUNC_CODE && block && block[0] >= 4) {
            c->transparent = block[1] & 1 ? block[4] : -1;
            c->disposal = block[1] >> 2 & 7;
        }
        while (block)
            if (DGifGetExtensionNext(gif, &block) == GIF_ERROR) return gif_failed(gif, s, 0, f);
    }
}

static void fill(struct image *m, const uint8_t colour[3])
{
    for (size_t i = 0, n = (size_t)m->width * (size_t)m->height; i < n; i++)
        memcpy(m->pixels + 3 * i, colour, 3);
}

enum image_reason gif_decode(const uint8_t *bytes, size_t n_bytes, const struct decode_options *options,
                             struct image *out, struct image_info *info, struct image_failure *f)
{
    struct gif_source source = {bytes, n_bytes, 0, false};
    struct error err = {0};
    enum image_reason reason = IMAGE_OK;
    uint8_t *line = NULL;
    int code = 0;
    struct control control;
    GifFileType *gif = DGifOpen(&source, on_read, &code);
    if (!gif) return gif_failed(NULL, &source, code, f);
    info->width = gif->SWidth;
    info->height = gif->SHeight;
    info->bits = 8;
    info->frames = count_frames(bytes, n_bytes);
    snprintf(info->mode, sizeof info->mode, "palette");
    if ((reason = find_frame(gif, &source, &control, f)) != IMAGE_OK) goto out;
    if (!control.found) {
        reason = image_fail(f, IMAGE_DECODE_CORRUPT, "no frame");
        goto out;
    }
    /* Some writers give no screen size, or a wrong one: the screen is enlarged until it holds the first
     * frame. */
    if (info->width < gif->Image.Left + gif->Image.Width) info->width = gif->Image.Left + gif->Image.Width;
    if (info->height < gif->Image.Top + gif->Image.Height) info->height = gif->Image.Top + gif->Image.Height;
    info->alpha = control.transparent >= 0;
    if ((reason = image_check_size((uint64_t)info->width, (uint64_t)info->height, options->max_pixels, f)) !=
            IMAGE_OK ||
        !out)
        goto out;
    if ((reason = image_check_size((uint64_t)gif->Image.Width, (uint64_t)gif->Image.Height, 0, f)) !=
        IMAGE_OK)
        goto out;
    if (image_reserve(out, info->width, info->height, 3, &err) ||
        !(line = mem_alloc((size_t)gif->Image.Width, &err))) {
        reason = image_fail_error(f, &err);
        goto out;
    }
    fill(out, options->background);
    reason = paint(gif, &source, out, control.transparent, options, line, f);
out:
    free(line);
    DGifCloseFile(gif, NULL);
    return reason;
}

/* Resets the area of a frame to the background, which browsers show as transparent. */
static void clear_area(struct image *m, const GifImageDesc *d, const uint8_t colour[3])
{
    for (int y = d->Top; y < d->Top + d->Height && y < m->height; y++)
        for (int x = d->Left; x < d->Left + d->Width && x < m->width; x++)
            memcpy(m->pixels + ((size_t)y * (size_t)m->width + (size_t)x) * 3, colour, 3);
}

enum image_reason gif_frames(const uint8_t *bytes, size_t n_bytes, struct frame_walk *w,
                             struct image_info *info, struct image_failure *f)
{
    struct gif_source source = {bytes, n_bytes, 0, false};
    struct image canvas = IMAGE_EMPTY, kept = IMAGE_EMPTY;
    struct error err = {0};
    enum image_reason reason = IMAGE_OK;
    uint8_t *line = NULL;
    int code = 0;
    GifFileType *gif = DGifOpen(&source, on_read, &code);
    if (!gif) return gif_failed(NULL, &source, code, f);
    if (image_reserve(&canvas, info->width, info->height, 3, &err) ||
        !(line = mem_alloc(65536, &err))) { /* a frame may be wider than the screen */
        reason = image_fail_error(f, &err);
        goto out;
    }
    fill(&canvas, w->options->background);
    while (!frames_done(w)) {
        struct control control;
        if ((reason = find_frame(gif, &source, &control, f)) != IMAGE_OK) {
            /* The file may end after a frame, without the trailer. */
            if (reason == IMAGE_DECODE_TRUNCATED && w->n_seen >= info->frames) reason = IMAGE_OK;
            break;
        }
        if (!control.found) break;
        GifImageDesc area = gif->Image;
        if (control.disposal == DISPOSE_PREVIOUS && image_copy(&kept, &canvas, &err)) {
            reason = image_fail_error(f, &err);
            break;
        }
        if ((reason = paint(gif, &source, &canvas, control.transparent, w->options, line, f)) != IMAGE_OK)
            break;
        if (frame_wanted(w)) {
            if (image_copy(w->out, &canvas, &err)) {
                reason = image_fail_error(f, &err);
                break;
            }
            if ((reason = frame_give(w, f)) != IMAGE_OK) break;
        }
        w->n_seen++;
        if (control.disposal == DISPOSE_BACKGROUND) clear_area(&canvas, &area, w->options->background);
        if (control.disposal == DISPOSE_PREVIOUS && image_copy(&canvas, &kept, &err)) {
            reason = image_fail_error(f, &err);
            break;
        }
    }
out:
    free(line);
    image_release(&canvas);
    image_release(&kept);
    DGifCloseFile(gif, NULL);
    return reason;
}
