/* augment.c: draws the random numbers of a variant and applies them. Every number is drawn even if it is not
 * used. So the numbers of one kind of change do not depend on whether another kind is enabled. */
#include "image/augment.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "image/augment_warp.h"
#include "image/codec.h"
#include "image/resize_kernels.h"

static const struct augment_params identity = {.zoom_y = 1,
                                               .zoom_x = 1,
                                               .crop_scale = 1,
                                               .brightness = 1,
                                               .contrast = 1};

/* --- drawing --- */

/* Rounds to six decimals, as many as the text in the manifest has. The number that is read back is then
 * exactly the same. */
static double six(double v)
{
    v = rint(v * 1e6) / 1e6;
    return v == 0 ? 0 : v; /* no -0 */
}

static double between(struct random *r, double low, double high) { return six(random_range(r, low, high)); }

void augment_draw(const struct augment_spec *s, uint64_t seed, const char *xxh128, uint64_t variant,
                  struct augment_params *p)
{
    *p = identity;
    if (variant == 0) return;
    struct random r = random_start(seed, random_key(xxh128, strlen(xxh128)), variant);
    p->rotation_deg = between(&r, -s->rotation_deg, s->rotation_deg);
    p->shift_y = between(&r, -s->height_shift, s->height_shift);
    p->shift_x = between(&r, -s->width_shift, s->width_shift);
    p->shear_deg = between(&r, -s->shear_deg, s->shear_deg);
    p->zoom_y = between(&r, s->zoom_low, s->zoom_high);
    p->zoom_x = between(&r, s->zoom_low, s->zoom_high);
    p->crop_scale = six(sqrt(random_range(&r, 1 - s->crop, 1)));
    double room = (1 - p->crop_scale) / 2;
    p->crop_y = between(&r, -room, room);
    p->crop_x = between(&r, -room, room);
    p->flip = random_unit(&r) < s->horizontal_flip;
    p->vflip = random_unit(&r) < s->vertical_flip;
    p->channel_shift = between(&r, -s->channel_shift, s->channel_shift);
    p->brightness = between(&r, 1 - s->brightness, 1 + s->brightness);
    p->contrast = between(&r, 1 - s->contrast, 1 + s->contrast);
    p->blur_sigma_px = between(&r, 0, s->blur_sigma_px);
    bool jpeg = random_unit(&r) < s->jpeg_probability;
    int quality = s->jpeg_low + (int)random_below(&r, (uint64_t)(s->jpeg_high - s->jpeg_low) + 1);
    p->jpeg_quality = jpeg ? quality : 0;
    bool erase = random_unit(&r) < s->erase;
    double area = random_range(&r, 0.02, 0.33), ratio = exp(random_range(&r, log(0.3), log(1 / 0.3)));
    double h = fmin(1, sqrt(area * ratio)), w = fmin(1, sqrt(area / ratio));
    double y = random_unit(&r) * (1 - h), x = random_unit(&r) * (1 - w);
    uint64_t noise = random_u64(&r) >> 32;
    if (erase) {
        p->erase = true;
        p->erase_y = six(y);
        p->erase_x = six(x);
        p->erase_h = six(h);
        p->erase_w = six(w);
        p->noise = noise;
    }
}

/* --- geometry --- */

struct affine {
    double a, b, c, d, e, f;
}; /* (y, x) -> (a y + b x + c, d y + e x + f) */

static struct affine after(struct affine p, struct affine q) /* p(q(.)) */
{
    return (struct affine){p.a * q.a + p.b * q.d, p.a * q.b + p.b * q.e, p.a * q.c + p.b * q.f + p.c,
                           p.d * q.a + p.e * q.d, p.d * q.b + p.e * q.e, p.d * q.c + p.e * q.f + p.f};
}

/* Rounds to 2^-30. The last bit of libm's sin and cos may differ on another machine, and the pixels must
 * not. */
static double coarse(double v) { return rint(v * 1073741824.0) / 1073741824.0; }

/*
 * The inverse affine map for a picture of height x width, flips included, in Keras' (row, column)
 * coordinates: the source position is y = m[0] Y + m[1] X + m[2], x = m[3] Y + m[4] X + m[5] for output
 * (Y, X).
 */
static void inverse_map(const struct augment_params *p, int height, int width, double m[6])
{
    const double degree = M_PI / 180, centre_y = (height - 1) / 2.0, centre_x = (width - 1) / 2.0;
    double s = coarse(sin(p->rotation_deg * degree)), c = coarse(cos(p->rotation_deg * degree));
    double shear_s = coarse(sin(p->shear_deg * degree)), shear_c = coarse(cos(p->shear_deg * degree));
    struct affine rotation = {c, -s, 0, s, c, 0};
    struct affine shift = {1, 0, p->shift_y * height, 0, 1, p->shift_x * width};
    struct affine shear = {1, -shear_s, 0, 0, shear_c, 0};
    struct affine zoom = {p->zoom_y, 0, 0, 0, p->zoom_x, 0};
    struct affine crop = {p->crop_scale, 0, p->crop_y * height, 0, p->crop_scale, p->crop_x * width};
    struct affine flip = {p->vflip ? -1 : 1, 0, 0, 0, p->flip ? -1 : 1, 0};
    struct affine to_centre = {1, 0, -centre_y, 0, 1, -centre_x}, back = {1, 0, centre_y, 0, 1, centre_x};
    /* Keras' order: rotation, shift, shear, zoom, about the centre of the crop. Keras flips last. This map
     * goes from output to input, so the flips are applied first. */
    struct affine t = after(after(after(rotation, shift), shear), zoom);
    t = after(back, after(after(crop, after(t, flip)), to_centre));
    memcpy(m, (double[6]){t.a, t.b, t.c, t.d, t.e, t.f}, 6 * sizeof *m);
}

static bool moves(const struct augment_params *p)
{
    return p->rotation_deg != 0 || p->shift_y != 0 || p->shift_x != 0 || p->shear_deg != 0 ||
           p->zoom_y != 1 || p->zoom_x != 1 || p->crop_scale != 1 || p->crop_y != 0 || p->crop_x != 0 ||
           p->flip || p->vflip;
}

/* --- colour --- */

static uint8_t clip(double v) { return v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)(v + 0.5); }

/* As in Keras: each sample plus the shift, clipped to the lowest and highest sample of the picture. The
 * steps are simple enough for compilers to vectorise: bytes in, bytes out, nothing wider. */
static void shift_channels(struct image *m, double amount)
{
    size_t n = image_bytes(m);
    uint8_t *p = m->pixels, low = 255, high = 0;
    int shift = (int)lrint(amount);
    for (size_t i = 0; i < n; i++) {
        low = p[i] < low ? p[i] : low;
        high = p[i] > high ? p[i] : high;
    }
    if (shift >= 0) {
        uint8_t room = (uint8_t)(high - (high < shift ? high : shift)), add = (uint8_t)shift;
        /* A sample that is larger than room becomes high. The others cannot exceed 255. */
        for (size_t i = 0; i < n; i++) {
            uint8_t v = p[i] < room ? p[i] : room;
            v = (uint8_t)(v + add);
            p[i] = v < high ? v : high;
        }
        return;
    }
    int floor = low - shift > 255 ? 255 : low - shift;
    uint8_t room = (uint8_t)floor, take = (uint8_t)-shift;
    for (size_t i = 0; i < n; i++) {
        uint8_t v = p[i] > room ? p[i] : room;
        v = (uint8_t)(v - take);
        p[i] = v > low ? v : low;
    }
}

static void through_table(struct image *m, const uint8_t table[256])
{
    size_t n = image_bytes(m);
    for (size_t i = 0; i < n; i++)
        m->pixels[i] = table[m->pixels[i]];
}

static void brighten(struct image *m, double factor)
{
    uint8_t table[256];
    for (int i = 0; i < 256; i++)
        table[i] = clip(i * factor);
    through_table(m, table);
}

static void change_contrast(struct image *m, double factor)
{
    uint8_t table[256];
    uint64_t sum[3] = {0};
    size_t n = (size_t)m->width * (size_t)m->height;
    for (size_t i = 0; i < n; i++)
        for (int c = 0; c < 3; c++)
            sum[c] += m->pixels[3 * i + (size_t)c];
    double mean = (0.299 * (double)sum[0] + 0.587 * (double)sum[1] + 0.114 * (double)sum[2]) / (double)n;
    for (int i = 0; i < 256; i++)
        table[i] = clip(mean + (i - mean) * factor);
    through_table(m, table);
}

/* --- blur: Gaussian taps through the resizer's kernels; samples outside repeat the nearest edge --- */

static int blur_taps(struct taps *t, int n, double sigma, struct error *err)
{
    int radius = (int)ceil(3 * sigma), n_taps = 2 * radius + 1 < n ? 2 * radius + 1 : n;
    double *row = NULL;
    *t = (struct taps){.n = n_taps, .stride = (n_taps + 7) & ~7, .bits = 14};
    if (!(t->first = mem_zalloc((size_t)n, sizeof *t->first, err)) ||
        !(t->weights = mem_zalloc((size_t)n, (size_t)t->stride * sizeof *t->weights, err)) ||
        !(row = mem_alloc((size_t)n_taps * sizeof *row, err)))
        return -1;
    for (int i = 0; i < n; i++) {
        int first = i - radius < 0 ? 0 : i - radius > n - n_taps ? n - n_taps : i - radius;
        double sum = 0, whole = 0;
        int given = 0;
        memset(row, 0, (size_t)n_taps * sizeof *row);
        for (int k = -radius; k <= radius; k++) {
            int at = i + k < 0 ? 0 : i + k > n - 1 ? n - 1 : i + k;
            double w = exp(-0.5 * k * k / (sigma * sigma));
            row[at - first] += w;
            sum += w;
        }
        t->first[i] = first;
        for (int k = 0; k < n_taps; k++) {
            whole += row[k] / sum * 16384;
            t->weights[(size_t)i * (size_t)t->stride + (size_t)k] = (int16_t)(lrint(whole) - given);
            given = (int)lrint(whole);
        }
    }
    free(row);
    return 0;
}

static int blur(struct image *m, double sigma, struct augment_scratch *scratch, struct error *err)
{
    struct taps columns = {0}, rows = {0};
    int rc = -1;
    if (sigma < 0.05) /* the weights of the neighbours round to 0 */
        return 0;
    if (blur_taps(&columns, m->width, sigma, err) == 0 && blur_taps(&rows, m->height, sigma, err) == 0 &&
        image_reserve(&scratch->narrow, m->width, m->height, m->channels, err) == 0) {
        resize_rows(&scratch->narrow, m, &columns);
        resize_columns(m, &scratch->narrow, &rows);
        rc = 0;
    }
    free(columns.first);
    free(columns.weights);
    free(rows.first);
    free(rows.weights);
    return rc;
}

/* --- the rest --- */

static int recompress(struct image *m, int quality, struct error *err)
{
    struct decode_options options = DECODE_DEFAULTS;
    struct image_info info;
    struct image_failure failure;
    uint8_t *bytes;
    size_t n;
    if (image_encode_jpeg(m, quality, &bytes, &n, err)) return -1;
    enum image_reason reason = image_decode(bytes, n, &options, m, &info, &failure);
    free(bytes);
    return reason == IMAGE_OK ? 0 : error_set(err, EX_OSERR, "recompressing: %s", failure.detail);
}

static void erase(struct image *m, const struct augment_params *p)
{
    int y0 = (int)(p->erase_y * m->height), x0 = (int)(p->erase_x * m->width);
    int y1 = y0 + (int)ceil(p->erase_h * m->height), x1 = x0 + (int)ceil(p->erase_w * m->width);
    y1 = y1 > m->height ? m->height : y1;
    x1 = x1 > m->width ? m->width : x1;
    struct random r = random_start(p->noise, 0, 0);
    for (int y = y0; y < y1; y++) {
        uint8_t *row = m->pixels + ((size_t)y * (size_t)m->width + (size_t)x0) * 3;
        for (int x = x0; x < x1; x++, row += 3) {
            uint64_t v = random_u64(&r);
            row[0] = (uint8_t)v;
            row[1] = (uint8_t)(v >> 8);
            row[2] = (uint8_t)(v >> 16);
        }
    }
}

void augment_scratch_release(struct augment_scratch *s) { image_release(&s->narrow); }

/* Applies everything except the geometry, in place. */
static int finish(const struct augment_params *p, struct image *m, struct augment_scratch *scratch,
                  struct error *err)
{
    if (p->channel_shift != 0) shift_channels(m, p->channel_shift);
    if (p->brightness != 1) brighten(m, p->brightness);
    if (p->contrast != 1) change_contrast(m, p->contrast);
    if (p->blur_sigma_px > 0 && blur(m, p->blur_sigma_px, scratch, err)) return -1;
    if (p->jpeg_quality && recompress(m, p->jpeg_quality, err)) return -1;
    if (p->erase) erase(m, p);
    return 0;
}

int augment_apply(const struct augment_params *p, const struct augment_spec *spec, const struct image *in,
                  struct image *out, struct augment_scratch *scratch, struct error *err)
{
    double m[6];
    if (in->channels != 3)
        return error_set(err, EX_SOFTWARE, "augmenting a picture of %d channels", in->channels);
    if (!moves(p)) return image_copy(out, in, err) || finish(p, out, scratch, err) ? -1 : 0;
    if (image_reserve(out, in->width, in->height, 3, err)) return -1;
    inverse_map(p, in->height, in->width, m);
    augment_warp(out, in, m, spec->fill, spec->fill_value);
    return finish(p, out, scratch, err);
}

int augment_pixels(const struct augment_spec *spec, uint64_t seed, const char *xxh128, uint64_t variant,
                   const uint8_t *in, uint8_t *out, int side_px, struct augment_scratch *scratch,
                   struct error *err)
{
    struct augment_params p;
    size_t bytes = (size_t)side_px * (size_t)side_px * 3;
    /* These structs borrow their blocks. Blurring reads a little beyond the end, and recompression may
     * need a larger block, so both use separate blocks. */
    struct image from = {side_px, side_px, 3, (uint8_t *)in, 0}, to = {side_px, side_px, 3, out, 0};
    augment_draw(spec, seed, xxh128, variant, &p);
    if (moves(&p)) {
        double m[6];
        inverse_map(&p, side_px, side_px, m);
        augment_warp(&to, &from, m, spec->fill, spec->fill_value);
    } else {
        memcpy(out, in, bytes);
    }
    if (!p.jpeg_quality && p.blur_sigma_px <= 0) return finish(&p, &to, scratch, err);
    struct image own = IMAGE_EMPTY;
    int rc = image_copy(&own, &to, err) || finish(&p, &own, scratch, err) ? -1 : 0;
    if (rc == 0) memcpy(out, own.pixels, bytes);
    image_release(&own);
    return rc;
}
