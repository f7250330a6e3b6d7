#!/usr/bin/env python3
"""make_pictures: small pictures of three kinds, from a seed, with nothing but the standard library.
usage: make_pictures.py OUT N SEED      writes OUT/{stripes,discs,noise}/NNN.png, N of each, 48 to 96 px
"""
import os
import random
import struct
import sys
import zlib


def png(width, height, rows):
    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    raw = b''.join(b'\0' + bytes(row) for row in rows)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)) +
            chunk(b'IDAT', zlib.compress(raw, 6)) + chunk(b'IEND', b''))


def picture(kind, r):
    w, h = r.randint(48, 96), r.randint(48, 96)
    a = [r.randint(0, 255) for _ in range(3)]
    b = [255 - v if abs(255 - 2 * v) > 60 else (v + 128) % 256 for v in a]
    if kind == 'stripes':
        dx, dy, period = r.randint(0, 3), r.randint(1, 3), r.randint(6, 14)
        pick = lambda x, y: a if (x * dx + y * dy) // period % 2 else b
    elif kind == 'discs':
        discs = [(r.randint(0, w), r.randint(0, h), r.randint(6, 20)) for _ in range(r.randint(2, 5))]
        pick = lambda x, y: a if any((x - p) ** 2 + (y - q) ** 2 < s * s for p, q, s in discs) else b
    else:
        grid = [[r.randint(0, 255) for _ in range(13)] for _ in range(13)]
        pick = lambda x, y: [(grid[y // 8][x // 8] + v // 2) % 256 for v in a]
    return png(w, h, [[v for x in range(w) for v in pick(x, y)] for y in range(h)])


def main():
    out, n, seed = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    for kind in ('stripes', 'discs', 'noise'):
        os.makedirs(os.path.join(out, kind), exist_ok=True)
        for i in range(n):
            with open(os.path.join(out, kind, '%03d.png' % i), 'wb') as f:
                f.write(picture(kind, random.Random('%s %s %d' % (seed, kind, i))))


main()
