"""The table of docs/odd-pictures.md, measured: odd_table.py FOLDER NAMES OTHERS PLAIN_TSV REJECTS_TSV
FOLDER: the files of make_odd.py; OTHERS: what odd.cjs wrote; PLAIN_TSV: augment's manifest of PNG copies. One line a file: name, what
winnow gives, then Chromium, the page, Pillow, sharp: "same" (no sample more than 2 levels off), "refuses", "edges" (only they differ),
another size, or the colours of the four quadrants where they differ. A column of "?" was not measured."""
import os, sys, warnings
import numpy as np
from PIL import Image, ImageOps

folder, names, others, plain, rejects = sys.argv[1:]
warnings.simplefilter("ignore")


def rows(path):
    lines = [line.rstrip("\n").split("\t") for line in open(path)]
    return [dict(zip(lines[0], line)) for line in lines[1:]]


made = {r["source"]: r["path"] for r in rows(plain) if r["source"]}
refused = {r["path"]: r["reject_reason"] for r in rows(rejects)}


def array(path):
    try:
        return np.asarray(Image.open(path).convert("RGB")).astype(int)
    except OSError:
        return None


def pillow(path):
    try:
        im = ImageOps.exif_transpose(Image.open(path))
        im.load()
        if im.mode in ("I", "I;16"):
            return np.repeat((np.asarray(im.convert("I")).clip(0, 255))[..., None], 3, 2).astype(int)     # its own way to 8 bits
        im = im.convert("RGBA")
        white = Image.new("RGBA", im.size, "white")
        white.alpha_composite(im)
        return np.asarray(white.convert("RGB")).astype(int)
    except Exception:
        return None


def centres(a):
    h, w = a.shape[:2]
    return [a[h // 4, w // 4], a[h // 4, w * 3 // 4], a[h * 3 // 4, w // 4], a[h * 3 // 4, w * 3 // 4]]


def cell(ours, theirs, measured):
    if not measured:
        return "?"
    if theirs is None:
        return "refuses"
    if ours is None:
        return "opens"
    if ours.shape != theirs.shape:
        return "%dx%d" % (theirs.shape[1], theirs.shape[0])
    if np.abs(ours - theirs).max() <= 2:
        return "same"
    apart = [np.abs(a - b).max() > 2 for a, b in zip(centres(ours), centres(theirs))]
    return " ".join("%02x%02x%02x" % tuple(c) if d else "=" for c, d in zip(centres(theirs), apart)) if any(apart) else "edges"


for name in open(names).read().split():
    path = os.path.join(folder, name)
    ours = array(os.path.join(folder, made[name])) if name in made else None
    first = refused.get(name) or ("%dx%d" % (ours.shape[1], ours.shape[0]) if ours is not None else "?")
    print("\t".join([name, first] + [cell(ours, pillow(path) if who == "pillow" else array(os.path.join(others, who, name)),
                                          who == "pillow" or bool(os.listdir(os.path.join(others, who)))) for who in ("chromium", "page", "pillow", "sharp")]))
