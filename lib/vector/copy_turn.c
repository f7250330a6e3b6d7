/*
 * copy_turn.c: turns a picture back that someone turned by a few degrees in its frame.
 *
 * Such a picture has a wedge of one colour along half of each side, and all four widen at the same angle.
 * A uniform border of the original cannot be cut off while the wedges lie over it: the thumbs of the two
 * would show the subject at very different sizes. So the angle is measured, and the inner part turned back.
 */
#include <math.h>
#include <stdlib.h>

#include "vector/copy_thumb.h"

#define FILL_LEVELS 10       /* grey levels of a wedge, from the corner's, either way: JPEG ripples */
#define LEAST_TURN 0.014     /* radians: 0.8 degrees. A smaller turn moves nothing by a block */
#define MOST_TURN 0.21       /* 12 degrees: what registration takes */
#define TURN_STEP 0.00175    /* 0.1 degrees */
#define MOST_DEPTH 0.25      /* of a side */
#define MOST_OFF 0.5         /* pixels, of the mean depth, */
#define MOST_OFF_SHARE 0.006 /* and of the longer side */
#define CLIPPED 4.0          /* of these: content as dark as the wedge looks deep at some places */
enum { PROBES = 48 };

struct profile {
    double depth[4][PROBES]; /* pixels of the wedge at places along top, bottom, left, right */
};

static int luma_at(const struct frame *f, int x, int y)
{
    return copy_luma(f->pixels + ((size_t)y * (size_t)f->width + (size_t)x) * (size_t)f->channels,
                     f->channels);
}

/* Where along a side of n pixels a probe stands, from its middle. */
static double probe_at(int i, int n) { return ((double)i + 0.5) / PROBES * n - n / 2.0; }

/* How deep the wedges are. False: the corners have no colour in common. */
static bool measure(struct profile *p, const struct frame *f)
{
    const int w = f->right, h = f->bottom;
    int low = 255, high = 0;
    for (int i = 0; i < 4; i++) {
        int v = luma_at(f, i & 1 ? w - 1 : 0, i & 2 ? h - 1 : 0);
        low = v < low ? v : low;
        high = v > high ? v : high;
    }
    if (high - low > FILL_LEVELS) return false;
    int fill = (low + high) / 2;
    for (int side = 0; side < 4; side++) {
        int along = side < 2 ? w : h, across = side < 2 ? h : w, most = (int)(across * MOST_DEPTH);
        for (int i = 0; i < PROBES; i++) {
            int at = (int)(probe_at(i, along) + along / 2.0), n = 0;
            for (; n < most; n++) {
                int depth = side & 1 ? across - 1 - n : n;
                if (abs(luma_at(f, side < 2 ? at : depth, side < 2 ? depth : at) - fill) > FILL_LEVELS) break;
            }
            p->depth[side][i] = n;
        }
    }
    return true;
}

/* The depth of a wedge at a place along a side, if the picture is turned. The wedges of top and bottom are at
 * opposite ends, and so are those of left and right. */
static double depth_at(int side, double x, double across, double turn)
{
    double towards = side == 0 || side == 3 ? x : -x;
    return fmax(0, across / 2 - (across / 2 - towards * sin(turn)) / cos(turn));
}

/* The mean difference of the measured depths and those of a turn, in pixels. */
static double difference(const struct profile *p, const struct frame *f, double turn)
{
    double off = 0;
    for (int side = 0; side < 4; side++) {
        int along = side < 2 ? f->right : f->bottom, across = side < 2 ? f->bottom : f->right;
        for (int i = 0; i < PROBES; i++)
            off += fmin(CLIPPED, fabs(depth_at(side, probe_at(i, along), across, turn) - p->depth[side][i]));
    }
    return off / (4 * PROBES);
}

double copy_find_turn(const struct frame *f)
{
    struct profile p;
    double best = 0, least;
    if (!measure(&p, f)) return 0;
    least = difference(&p, f, 0);
    for (int k = -(int)(MOST_TURN / TURN_STEP); k <= (int)(MOST_TURN / TURN_STEP); k++) {
        double off = difference(&p, f, k * TURN_STEP);
        if (off < least) {
            least = off;
            best = k * TURN_STEP;
        }
    }
    int longer = f->right > f->bottom ? f->right : f->bottom;
    return fabs(best) >= LEAST_TURN && least <= MOST_OFF + MOST_OFF_SHARE * longer ? best : 0;
}

static void sample_at(uint8_t *to, const struct frame *f, double x, double y)
{
    int w = f->right, h = f->bottom;
    x = fmin(fmax(x, 0), w - 1);
    y = fmin(fmax(y, 0), h - 1);
    int x0 = (int)x, y0 = (int)y, x1 = x0 + 1 < w ? x0 + 1 : x0, y1 = y0 + 1 < h ? y0 + 1 : y0;
    float fx = (float)(x - x0), fy = (float)(y - y0);
    for (int c = 0; c < f->channels; c++) {
#define AT(u, v)                                                                                             \
    (float)f->pixels[((size_t)(v) * (size_t)f->width + (size_t)(u)) * (size_t)f->channels + (size_t)c]
        float top = AT(x0, y0) + fx * (AT(x1, y0) - AT(x0, y0)),
              low = AT(x0, y1) + fx * (AT(x1, y1) - AT(x0, y1));
#undef AT
        to[c] = (uint8_t)(top + fy * (low - top) + 0.5f);
    }
}

uint8_t *copy_turn_back(const struct frame *f, double turn, struct frame *back)
{
    double w = f->right, h = f->bottom, s = fabs(sin(turn)), c = cos(turn);
    /* what is cut off all around, so that nothing of the wedges is left, nor of what the turn moved out */
    double cut_y = h / 2 - (h / 2 - w / 2 * s) / c + 1, cut_x = w / 2 - (w / 2 - h / 2 * s) / c + 1;
    int width = (int)(w - 2 * cut_x), height = (int)(h - 2 * cut_y);
    if (width < 1 || height < 1) return NULL;
    uint8_t *pixels = malloc((size_t)width * (size_t)height * (size_t)f->channels);
    if (!pixels) return NULL;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            double u = x - (width - 1) / 2.0, v = y - (height - 1) / 2.0;
            sample_at(pixels + ((size_t)y * (size_t)width + (size_t)x) * (size_t)f->channels, f,
                      cos(turn) * u - sin(turn) * v + (w - 1) / 2,
                      sin(turn) * u + cos(turn) * v + (h - 1) / 2);
        }
    *back = (struct frame){pixels, width, f->channels, 0, 0, width, height};
    return pixels;
}
