#!/usr/bin/python3
"""make_scenes: drawn pictures of three kinds that a model can confuse, as JPEG files, from a seed.
usage: make_scenes.py OUT N SEED      writes OUT/{charts,landscapes,shapes}/NNN.jpg, N of each, 360x270
"""
import math
import os
import random
import sys

from PIL import Image, ImageDraw, ImageFilter

W, H = 360, 270


def colour(r, low=0, high=255):
    return tuple(r.randint(low, high) for _ in range(3))


def chart(draw, r):
    draw.rectangle((0, 0, W, H), fill=colour(r, 225, 255))
    left, bottom, n = r.randint(20, 50), H - r.randint(20, 40), r.randint(4, 9)
    draw.line((left, 15, left, bottom, W - 15, bottom), fill=(60, 60, 60), width=2)
    for y in range(30, bottom, 40):
        draw.line((left, y, W - 15, y), fill=(205, 205, 205))
    step, ink = (W - 30 - left) / n, colour(r, 30, 200)
    tops = [r.uniform(30, bottom - 10) for _ in range(n)]
    if r.random() < 0.6:
        for i, top in enumerate(tops):
            draw.rectangle((left + 6 + i * step, top, left + (i + 0.8) * step, bottom - 2), fill=ink)
    else:
        draw.line([(left + (i + 0.5) * step, top) for i, top in enumerate(tops)], fill=ink, width=4)


def landscape(draw, r):
    sky, ground = colour(r, 120, 240), colour(r, 30, 130)
    for y in range(H):
        draw.line((0, y, W, y), fill=tuple(int(c + (255 - c) * y / H) for c in sky))
    x, s = r.randint(30, W - 30), r.randint(12, 26)
    draw.ellipse((x - s, 30, x + s, 30 + 2 * s), fill=colour(r, 200, 255))
    for k in range(3):
        a, p, q = r.uniform(15, 90), r.uniform(0, 6), r.uniform(15, 150)
        edge = [(x, 110 + 45 * k + a * math.sin(x / q + p)) for x in range(0, W + 5, 5)]
        draw.polygon(edge + [(W, H), (0, H)], fill=tuple(max(0, c - 22 * k) for c in ground))


def shapes(draw, r):
    draw.rectangle((0, 0, W, H), fill=colour(r, 90, 255))
    for _ in range(r.randint(2, 6)):
        x, y, s, ink = r.randint(20, W - 20), r.randint(20, H - 20), r.randint(20, 70), colour(r)
        kind = r.randrange(3)
        if kind == 0:
            draw.ellipse((x - s, y - s, x + s, y + s), fill=ink)
        elif kind == 1:
            draw.rectangle((x - s, y - s // 2, x + s, y + s), fill=ink)
        else:
            draw.polygon([(x, y - s), (x - s, y + s), (x + s, y + s)], fill=ink)


def main():
    out, n, seed = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    for kind, paint in (('charts', chart), ('landscapes', landscape), ('shapes', shapes)):
        os.makedirs(os.path.join(out, kind), exist_ok=True)
        for i in range(n):
            r = random.Random('%s %s %d' % (seed, kind, i))
            image = Image.new('RGB', (W, H))
            paint(ImageDraw.Draw(image), r)
            if r.random() < 0.15:      # partly covered by something of another kind, so that not every picture is easy
                other = Image.new('RGB', (W, H))
                r.choice([f for f in (chart, landscape, shapes) if f is not paint])(ImageDraw.Draw(other), r)
                image.paste(other.crop((0, 0, W, r.randint(60, 160))), (0, r.randint(0, 110)))
            image.filter(ImageFilter.GaussianBlur(r.uniform(0, 1.5))).save(os.path.join(out, kind, '%03d.jpg' % i), quality=85)


if __name__ == '__main__':
    main()
