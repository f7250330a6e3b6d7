#!/usr/bin/python3
"""Pictures of Debian packages as small JPEGs, one file each, for measuring feature-dedup (needs Pillow).

usage: feature_pictures.py TABLE UNPACKED OUT [SIDE]     TABLE: package, kind and glob within the unpacked package

Writes OUT/KIND-HASH.jpg, at most SIDE (320) pixels; what is transparent becomes white. Icons, strips and pictures of hardly any
detail are left out: nobody could tell their copies.
"""
import glob
import hashlib
import os
import sys
import warnings

from PIL import Image, ImageStat

LEAST_SIDE, MOST_ASPECT, LEAST_SPREAD, MOST_PIXELS = 150, 3, 12, 60e6


def opened(path):
    im = Image.open(path)
    if min(im.size) < LEAST_SIDE or max(im.size) > MOST_ASPECT * min(im.size) or im.width * im.height > MOST_PIXELS or im.mode == "I":
        return None
    if im.mode in ("P", "LA", "RGBA", "PA"):
        im = im.convert("RGBA")
        white = Image.new("RGBA", im.size, "white")
        white.alpha_composite(im)
        im = white
    im = im.convert("RGB")
    return im if ImageStat.Stat(im.convert("L")).stddev[0] >= LEAST_SPREAD else None


def main():
    table, unpacked, out = sys.argv[1:4]
    side = int(sys.argv[4]) if len(sys.argv) > 4 else 320
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    os.makedirs(out, exist_ok=True)
    with open(table, encoding="utf-8") as f:
        next(f)
        for line in f:
            package, kind, pattern = line.rstrip("\n").split("\t")
            for path in sorted(glob.glob(os.path.join(unpacked, package, pattern), recursive=True)):
                if not path.endswith((".png", ".jpg", ".jpeg", ".webp")):
                    continue
                try:
                    im = opened(path)
                except (OSError, ValueError, SyntaxError):
                    continue
                if im:
                    im.thumbnail((side, side), Image.LANCZOS)
                    im.save("%s/%s-%s.jpg" % (out, kind, hashlib.sha256(im.tobytes()).hexdigest()[:8]), quality=92)


main()
