/*
 * png_frames.c: the frames of an animated PNG. The data of each frame are put into a separate PNG (with the
 * file's palette and transparency), decoded, and drawn on a canvas as the control chunk of the frame says.
 */
#include "image/frames.h"

#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "base/mem.h"
#include "base/text.h"

enum { DISPOSE_NONE, DISPOSE_BACKGROUND, DISPOSE_PREVIOUS };
enum { BLEND_SOURCE, BLEND_OVER };

struct control {
    uint32_t width, height, x, y;
    uint8_t dispose, blend;
};

struct apng {
    struct frame_walk *w;
    struct image_failure *f;
    const uint8_t *header;            /* the 13 bytes of IHDR */
    struct text common, data, png;    /* PLTE and tRNS; a frame's data; the PNG made of both */
    struct control control, before;   /* of the frame whose data are gathered; of the one on the canvas */
    bool gathering, painted;          /* a control chunk was read; something is on the canvas */
    struct image canvas, frame, kept; /* RGBA; kept: the canvas before a frame that will be removed again */
};

static int put_chunk(struct text *t, const char *type, const void *data, size_t n, struct error *err)
{
    uint8_t number[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    uint32_t crc = (uint32_t)crc32(crc32(0, (const Bytef *)type, 4), n ? data : (const void *)"", (uInt)n);
    if (text_add(t, number, 4, err) || text_add(t, type, 4, err) || (n && text_add(t, data, n, err)))
        return -1;
    for (int i = 0; i < 4; i++)
        number[i] = (uint8_t)(crc >> (24 - 8 * i));
    return text_add(t, number, 4, err);
}

static enum image_reason decode_frame(struct apng *a)
{
    struct error err = {0};
    uint8_t head[13];
    memcpy(head, a->header, sizeof head);
    for (int i = 0; i < 4; i++) {
        head[i] = (uint8_t)(a->control.width >> (24 - 8 * i));
        head[4 + i] = (uint8_t)(a->control.height >> (24 - 8 * i));
    }
    text_clear(&a->png);
    if (text_add(&a->png, "\x89PNG\r\n\x1a\n", 8, &err) || put_chunk(&a->png, "IHDR", head, 13, &err) ||
        text_add(&a->png, a->common.data, a->common.n_bytes, &err) ||
        put_chunk(&a->png, "IDAT", a->data.data, a->data.n_bytes, &err) ||
        put_chunk(&a->png, "IEND", NULL, 0, &err))
        return image_fail_error(a->f, &err);
    return png_decode_rgba((const uint8_t *)a->png.data, a->png.n_bytes, &a->frame, a->f);
}

static uint8_t *at(struct image *m, uint32_t x, uint32_t y)
{
    return m->pixels + ((size_t)y * (size_t)m->width + x) * 4;
}

static void clear_area(struct image *m, const struct control *c)
{
    for (uint32_t y = 0; y < c->height; y++)
        memset(at(m, c->x, c->y + y), 0, (size_t)c->width * 4);
}

/* Source over canvas, both with straight alpha. */
static void blend_pixel(uint8_t *to, const uint8_t *from)
{
    unsigned a = from[3], b = to[3] * (255 - a), sum = a * 255 + b;
    if (a == 255 || to[3] == 0) {
        memcpy(to, from, 4);
        return;
    }
    if (a == 0) return;
    for (int c = 0; c < 3; c++)
        to[c] = (uint8_t)((from[c] * a * 255 + to[c] * b + sum / 2) / sum);
    to[3] = (uint8_t)((sum + 127) / 255);
}

static enum image_reason paint_frame(struct apng *a)
{
    struct error err = {0};
    const struct control *c = &a->control;
    /* Disposes of the previous frame. On an empty canvas there is nothing to restore. */
    if (a->painted && a->before.dispose == DISPOSE_BACKGROUND) clear_area(&a->canvas, &a->before);
    if (a->painted && a->before.dispose == DISPOSE_PREVIOUS && image_copy(&a->canvas, &a->kept, &err))
        return image_fail_error(a->f, &err);
    if (c->dispose == DISPOSE_PREVIOUS && image_copy(&a->kept, &a->canvas, &err))
        return image_fail_error(a->f, &err);
    for (uint32_t y = 0; y < c->height; y++) {
        uint8_t *to = at(&a->canvas, c->x, c->y + y);
        const uint8_t *from = at(&a->frame, 0, y);
        if (c->blend == BLEND_SOURCE)
            memcpy(to, from, (size_t)c->width * 4);
        else
            for (uint32_t x = 0; x < c->width; x++)
                blend_pixel(to + 4 * x, from + 4 * x);
    }
    a->painted = true;
    a->before = *c;
    return IMAGE_OK;
}

static enum image_reason end_frame(struct apng *a)
{
    struct error err = {0};
    enum image_reason reason;
    if (!a->gathering) return IMAGE_OK;
    a->gathering = false;
    if (a->data.n_bytes == 0) return image_fail(a->f, IMAGE_DECODE_CORRUPT, "a frame without data");
    if ((reason = decode_frame(a)) != IMAGE_OK || (reason = paint_frame(a)) != IMAGE_OK) return reason;
    if (frame_wanted(a->w)) {
        if (image_reserve(a->w->out, a->canvas.width, a->canvas.height, 3, &err))
            return image_fail_error(a->f, &err);
        for (int y = 0; y < a->canvas.height; y++)
            rgba_to_row(a->w->out, y, at(&a->canvas, 0, (uint32_t)y), ALPHA_STRAIGHT,
                        a->w->options->background);
        if ((reason = frame_give(a->w, a->f)) != IMAGE_OK) return reason;
    }
    a->w->n_seen++;
    return IMAGE_OK;
}

static enum image_reason begin_frame(struct apng *a, const uint8_t *data)
{
    struct control c = {be32(data + 4), be32(data + 8), be32(data + 12), be32(data + 16), data[24], data[25]};
    uint32_t width = (uint32_t)a->canvas.width, height = (uint32_t)a->canvas.height;
    if (c.width < 1 || c.height < 1 || c.x > width || c.width > width - c.x || c.y > height ||
        c.height > height - c.y || c.dispose > DISPOSE_PREVIOUS || c.blend > BLEND_OVER)
        return image_fail(a->f, IMAGE_DECODE_CORRUPT, "a frame outside the picture");
    a->control = c;
    /* The first frame has nothing to restore, so its area is cleared. */
    if (!a->painted && c.dispose == DISPOSE_PREVIOUS) a->control.dispose = DISPOSE_BACKGROUND;
    a->gathering = true;
    text_clear(&a->data);
    return IMAGE_OK;
}

static enum image_reason take_chunk(struct apng *a, const uint8_t *type, const uint8_t *data, size_t n)
{
    struct error err = {0};
    enum image_reason reason;
    bool own = memcmp(type, "fdAT", 4) == 0;
    if ((own || memcmp(type, "fcTL", 4) == 0) && crc32(crc32(0, type, 4), data, (uInt)n) != be32(data + n))
        return image_fail(a->f, IMAGE_DECODE_CORRUPT, "%.4s: CRC error", (const char *)type);
    if (memcmp(type, "PLTE", 4) == 0 || memcmp(type, "tRNS", 4) == 0) {
        if (put_chunk(&a->common, (const char *)type, data, n, &err)) return image_fail_error(a->f, &err);
    } else if (memcmp(type, "fcTL", 4) == 0 && n >= 26) {
        if ((reason = end_frame(a)) != IMAGE_OK) return reason;
        return begin_frame(a, data);
    } else if (a->gathering && (own ? n >= 4 : memcmp(type, "IDAT", 4) == 0)) {
        if (text_add(&a->data, data + (own ? 4 : 0), n - (own ? 4 : 0), &err))
            return image_fail_error(a->f, &err);
    }
    return IMAGE_OK;
}

enum image_reason png_frames(const uint8_t *bytes, size_t n_bytes, struct frame_walk *w,
                             struct image_info *info, struct image_failure *f)
{
    struct apng a = {.w = w, .f = f, .header = bytes + 16};
    struct error err = {0};
    enum image_reason reason = IMAGE_OK;
    bool ended = false;
    if (n_bytes < 33) return image_fail(f, IMAGE_DECODE_TRUNCATED, "the file ends early");
    if (image_reserve(&a.canvas, info->width, info->height, 4, &err)) return image_fail_error(f, &err);
    memset(a.canvas.pixels, 0, image_bytes(&a.canvas));
    for (size_t i = 33; reason == IMAGE_OK && !ended && !frames_done(w) && i + 12 <= n_bytes;) {
        size_t n = be32(bytes + i);
        if (n > n_bytes - i - 12) break;
        ended = memcmp(bytes + i + 4, "IEND", 4) == 0;
        reason = ended ? end_frame(&a) : take_chunk(&a, bytes + i + 4, bytes + i + 8, n);
        i += 12 + n;
    }
    if (reason == IMAGE_OK && !ended && !frames_done(w)) {
        /* The last frame may be whole although IEND is missing. */
        reason = end_frame(&a);
        if (reason == IMAGE_OK && w->n_seen < info->frames && !w->options->allow_truncated)
            reason = image_fail(f, IMAGE_DECODE_TRUNCATED, "the file ends early");
    }
    image_release(&a.canvas);
    image_release(&a.frame);
    image_release(&a.kept);
    text_release(&a.common);
    text_release(&a.data);
    text_release(&a.png);
    return reason;
}

bool png_default_hidden(const uint8_t *b, size_t n)
{
    bool animated = false, data = false;
    for (size_t i = 8; i + 12 <= n; i += 12 + (size_t)be32(b + i)) {
        if (be32(b + i) > n - i - 12) return false;
        if (memcmp(b + i + 4, "acTL", 4) == 0 && !data) animated = true;
        if (memcmp(b + i + 4, "IDAT", 4) == 0) {
            if (!animated) return false;
            data = true;
        }
        if (memcmp(b + i + 4, "fcTL", 4) == 0) return data;
    }
    return false;
}
