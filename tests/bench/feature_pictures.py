#!/usr/bin/python3
"""Pictures of Debian packages as small JPEGs, one file each, for measuring feature-dedup (needs Pillow).

usage: feature_pictures.py TABLE UNPACKED OUT [SIDE [MOST]]     TABLE: package, kind and glob within the unpacked package

Writes OUT/KIND-HASH.jpg, at most SIDE (320) pixels, and at most MOST of each kind, in the order of a hash of their paths; what is
transparent becomes white. Icons, strips and pictures of hardly any detail are left out: nobody could tell their copies.
"""
import glob
import hashlib
import os
import sys
import warnings

from PIL import Image, ImageStat

LEAST_SIDE, MOST_ASPECT, LEAST_SPREAD, MOST_PIXELS = 150, 3, 12, 60e6


def opened(path, side):
    im = Image.open(path)
    if min(im.size) < LEAST_SIDE or max(im.size) > MOST_ASPECT * min(im.size) or im.width * im.height > MOST_PIXELS or im.mode == "I":
        return None
    im.draft("RGB", (2 * side, 2 * side))  # a JPEG of 5,000 pixels need not be decoded whole
    if im.mode in ("P", "LA", "RGBA", "PA"):
        im = im.convert("RGBA")
        white = Image.new("RGBA", im.size, "white")
        white.alpha_composite(im)
        im = white
    im = im.convert("RGB")
    return im if ImageStat.Stat(im.convert("L")).stddev[0] >= LEAST_SPREAD else None


def named(table, unpacked):
    """The paths of each kind, in an order that has nothing to do with their contents."""
    kinds = {}
    with open(table, encoding="utf-8") as f:
        next(f)
        for line in f:
            package, kind, pattern = line.rstrip("\n").split("\t")
            for path in glob.glob(os.path.join(unpacked, package, pattern), recursive=True):
                if path.endswith((".png", ".jpg", ".jpeg", ".webp")):
                    kinds.setdefault(kind, []).append(path)
    return {kind: sorted(paths, key=lambda p: hashlib.sha256(os.path.relpath(p, unpacked).encode()).digest()) for kind, paths in kinds.items()}


def main():
    table, unpacked, out = sys.argv[1:4]
    side = int(sys.argv[4]) if len(sys.argv) > 4 else 320
    most = int(sys.argv[5]) if len(sys.argv) > 5 else sys.maxsize
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    os.makedirs(out, exist_ok=True)
    for kind, paths in named(table, unpacked).items():
        n = 0
        for path in paths:
            try:
                im = opened(path, side)
            except (OSError, ValueError, SyntaxError):
                continue
            if im:
                im.thumbnail((side, side), Image.LANCZOS)
                im.save("%s/%s-%s.jpg" % (out, kind, hashlib.sha256(im.tobytes()).hexdigest()[:8]), quality=92)
                n += 1
            if n == most:
                break


main()
