/* encode.c: encodes pictures as JPEG, PNG and WebP in memory. The settings are fixed, so that equal pixels
 * give equal bytes. */
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>
#include <webp/encode.h>

#include "base/mem.h"
#include "base/text.h"
#include "image/codec.h"

/* --- JPEG --- */

struct jpeg_writer {
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    jmp_buf escape;
    struct error *err;
    unsigned char *bytes;
    unsigned long n_bytes;
};

static void on_jpeg_error(j_common_ptr c)
{
    struct jpeg_writer *w = (struct jpeg_writer *)((char *)c - offsetof(struct jpeg_writer, c));
    char text[JMSG_LENGTH_MAX];
    (*c->err->format_message)(c, text);
    error_set(w->err, EX_OSERR, "cannot write JPEG: %s", text);
    longjmp(w->escape, 1);
}

int image_encode_jpeg(const struct image *m, int quality, uint8_t **out, size_t *n_bytes, struct error *err)
{
    struct jpeg_writer w = {.err = err};
    *out = NULL;
    w.c.err = jpeg_std_error(&w.errors);
    w.errors.error_exit = on_jpeg_error;
    if (setjmp(w.escape)) {
        jpeg_destroy_compress(&w.c);
        free(w.bytes);
        return -1;
    }
    jpeg_create_compress(&w.c);
    jpeg_mem_dest(&w.c, &w.bytes, &w.n_bytes);
    w.c.image_width = (JDIMENSION)m->width;
    w.c.image_height = (JDIMENSION)m->height;
    w.c.input_components = m->channels;
    w.c.in_color_space = m->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&w.c);
    jpeg_set_quality(&w.c, quality, TRUE);
    if (quality >= 90 && m->channels == 3) /* no chroma subsampling at high quality */
        w.c.comp_info[0].h_samp_factor = w.c.comp_info[0].v_samp_factor = 1;
    jpeg_start_compress(&w.c, TRUE);
    size_t stride = (size_t)m->width * (size_t)m->channels;
    while (w.c.next_scanline < w.c.image_height) {
        JSAMPROW row = m->pixels + w.c.next_scanline * stride;
        jpeg_write_scanlines(&w.c, &row, 1);
    }
    jpeg_finish_compress(&w.c);
    jpeg_destroy_compress(&w.c);
    *out = w.bytes;
    *n_bytes = w.n_bytes;
    return 0;
}

/* --- PNG --- */

struct png_writer {
    png_structp png;
    png_infop info;
    struct error *err;
    struct text bytes;
};

static void on_png_error(png_structp png, png_const_charp text)
{
    struct png_writer *w = png_get_error_ptr(png);
    if (w->err->code == 0) error_set(w->err, EX_OSERR, "cannot write PNG: %s", text);
    longjmp(png_jmpbuf(png), 1);
}

static void on_png_warning(png_structp png, png_const_charp text) { (void)png, (void)text; }

static void on_png_write(png_structp png, png_bytep bytes, size_t n)
{
    struct png_writer *w = png_get_io_ptr(png);
    if (text_add(&w->bytes, bytes, n, w->err)) png_error(png, "memory");
}

static void on_png_flush(png_structp png) { (void)png; }

int image_encode_png(const struct image *m, uint8_t **out, size_t *n_bytes, struct error *err)
{
    struct png_writer w = {.err = err};
    *out = NULL;
    error_clear(err);
    w.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &w, on_png_error, on_png_warning);
    if (!w.png || !(w.info = png_create_info_struct(w.png))) {
        png_destroy_write_struct(&w.png, &w.info);
        return error_set(err, EX_OSERR, "cannot write PNG: out of memory");
    }
    if (setjmp(png_jmpbuf(w.png))) {
        png_destroy_write_struct(&w.png, &w.info);
        text_release(&w.bytes);
        return -1;
    }
    png_set_write_fn(w.png, &w, on_png_write, on_png_flush);
    png_set_IHDR(w.png, w.info, (png_uint_32)m->width, (png_uint_32)m->height, 8,
                 m->channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_compression_level(w.png, 6);
    png_write_info(w.png, w.info);
    size_t stride = (size_t)m->width * (size_t)m->channels;
    for (int y = 0; y < m->height; y++)
        png_write_row(w.png, m->pixels + (size_t)y * stride);
    png_write_end(w.png, NULL);
    png_destroy_write_struct(&w.png, &w.info);
    *out = (uint8_t *)w.bytes.data;
    *n_bytes = w.bytes.n_bytes;
    return 0;
}

/* --- WebP --- */

int image_encode_webp(const struct image *m, int quality, uint8_t **out, size_t *n_bytes, struct error *err)
{
    struct image rgb = IMAGE_EMPTY;
    const struct image *from = m;
    uint8_t *bytes = NULL;
    *out = NULL;
    if (m->channels != 3) {
        if (image_copy(&rgb, m, err) || image_to_rgb(&rgb, err)) {
            image_release(&rgb);
            return -1;
        }
        from = &rgb;
    }
    size_t n =
        quality > 100
            ? WebPEncodeLosslessRGB(from->pixels, from->width, from->height, from->width * 3, &bytes)
            : WebPEncodeRGB(from->pixels, from->width, from->height, from->width * 3, (float)quality, &bytes);
    image_release(&rgb);
    if (n == 0) {
        WebPFree(bytes);
        return error_set(err, EX_OSERR, "cannot write WebP: %d x %d", m->width, m->height);
    }
    *out = mem_dup(bytes, n, err); /* so that free() releases it whatever allocator libwebp has */
    WebPFree(bytes);
    *n_bytes = n;
    return *out ? 0 : -1;
}
