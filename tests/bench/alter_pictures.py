#!/usr/bin/python3
"""Altered copies of pictures, for measuring what a near-duplicate finder finds (needs Pillow).

usage: alter_pictures.py recall PICTURES OUT           each picture (at most 800 px) once plain and once per alteration
       alter_pictures.py copies PICTURES OUT           each picture as it is, once per alteration of COPIES; a group of jobs shares
                                                       them with PART=I/N
       alter_pictures.py speed COUNT PICTURES OUT      COUNT JPEGs of 1024x768 of mixed alterations and qualities
       alter_pictures.py made COUNT OUT                COUNT made pictures, where there are no photographs

recall writes OUT/NAME__ALTERATION.jpg. The alterations are those that people make: re-saving, resizing, cropping, writing on
it, turning, colours, borders. The same arguments give the same files with the same Pillow.
"""
import os
import random
import sys

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

SMOOTH = Image.LANCZOS


def scaled(x, y=None):
    return lambda im: im.resize((max(8, int(im.width * x)), max(8, int(im.height * (y or x)))), SMOOTH)


def cropped(left, top, right, bottom):
    return lambda im: im.crop((int(im.width * left), int(im.height * top), im.width - int(im.width * right), im.height - int(im.height * bottom)))


def inner(share):
    return cropped(share / 2, share / 2, share / 2, share / 2)


def written(height, centre):
    def alter(im):
        im = im.copy()
        draw = ImageDraw.Draw(im)
        try:
            font = ImageFont.truetype("DejaVuSans-Bold.ttf", max(8, int(im.height * height)))
        except OSError:
            font = ImageFont.load_default()
        left, top, right, bottom = draw.textbbox((0, 0), "EXAMPLE.ORG", font=font)
        w, h = right - left, bottom - top
        at = ((im.width - w) // 2, (im.height - h) // 2) if centre else (im.width - w - 8, im.height - h - 16)
        draw.text(at, "EXAMPLE.ORG", font=font, fill="white", stroke_width=2, stroke_fill="black")
        return im
    return alter


def patched(im):
    im = im.copy()
    w, h = im.width // 10, im.height // 10
    im.paste((128, 128, 128), (im.width // 2 - w, im.height // 2 - h, im.width // 2 + w, im.height // 2 + h))
    return im


def captioned(im):
    out = Image.new("RGB", (im.width, int(im.height * 1.15)), "white")
    out.paste(im, (0, out.height - im.height))
    return out


def framed(share, colour):
    return lambda im: ImageOps.expand(im, int(im.width * share), colour)


def turned(degrees, crop=0):
    return lambda im: inner(crop)(im.rotate(degrees, Image.BICUBIC)) if crop else im.rotate(degrees, Image.BICUBIC)


def enhanced(what, by):
    return lambda im: what(im).enhance(by)


ALTERATIONS = {     # name: (function, JPEG quality)
    "resize 50 %": (scaled(.5), 90), "resize 25 %": (scaled(.25), 90), "resize 150 %": (scaled(1.5), 90), "squash 80 %": (scaled(1, .8), 90),
    "jpeg 75": (lambda im: im, 75), "jpeg 40": (lambda im: im, 40), "jpeg 20": (lambda im: im, 20), "jpeg 10": (lambda im: im, 10),
    "blur 2 px": (lambda im: im.filter(ImageFilter.GaussianBlur(2)), 90),
    "sharpen": (lambda im: im.filter(ImageFilter.UnsharpMask(3, 200, 2)), 90),
    "grey": (lambda im: im.convert("L").convert("RGB"), 90),
    "brighter": (enhanced(ImageEnhance.Brightness, 1.3), 90), "darker": (enhanced(ImageEnhance.Brightness, .7), 90),
    "contrast": (enhanced(ImageEnhance.Contrast, 1.5), 90), "saturation": (enhanced(ImageEnhance.Color, 2), 90),
    "small text": (written(.05, False), 90), "large text": (written(.14, True), 90), "patch 20 %": (patched, 90), "caption bar": (captioned, 90),
    "crop 2 %": (inner(.02), 90), "crop 5 %": (inner(.05), 90), "crop 10 %": (inner(.10), 90), "crop 20 %": (inner(.20), 90),
    "crop 5 % one side": (cropped(0, 0, .05, .05), 90), "border 3 %": (framed(.03, "black"), 90), "border 10 %": (framed(.10, "white"), 90),
    "turn 1 deg": (turned(1), 90), "turn 2 deg": (turned(2), 90), "turn 5 deg": (turned(5), 90), "turn 2 deg and crop": (turned(2, .08), 90),
    "turn 90 deg": (lambda im: im.transpose(Image.ROTATE_90), 90), "turn 180 deg": (lambda im: im.transpose(Image.ROTATE_180), 90),
    "mirror": (ImageOps.mirror, 90), "upside down": (ImageOps.flip, 90), "invert": (ImageOps.invert, 90),
}


# What hashes miss and people do all the same.
COPIES = ("caption bar", "crop 5 %", "crop 10 %", "crop 20 %", "crop 5 % one side", "border 3 %", "border 10 %", "turn 2 deg", "turn 5 deg",
          "mirror", "patch 20 %", "large text")


def pictures(folder):
    for parent, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            try:
                im = Image.open(os.path.join(parent, name))
                if min(im.size) < 150:
                    continue
                yield os.path.splitext(name)[0].replace("__", "_"), im.convert("RGB")
            except (OSError, ValueError):
                continue


def made(count, out):
    os.makedirs(out)
    for i in range(count):
        r = random.Random(i)
        im = Image.new("RGB", (768, 512))
        for k, weight in ((3, 1), (7, .5), (17, .35), (41, .25), (97, .2)):
            layer = Image.frombytes("RGB", (k, k), r.randbytes(k * k * 3)).resize(im.size, Image.BICUBIC)
            im = Image.blend(im, layer, weight)
        draw = ImageDraw.Draw(im)
        for _ in range(8):
            x, y = r.randrange(im.width), r.randrange(im.height)
            draw.ellipse((x, y, x + r.randrange(20, 260), y + r.randrange(20, 260)), fill=tuple(r.randrange(256) for _ in range(3)))
        im.save("%s/%04d.png" % (out, i), compress_level=1)


def main():
    if sys.argv[1] == "made":
        made(int(sys.argv[2]), sys.argv[3])
    elif sys.argv[1] == "recall":
        folder, out = sys.argv[2:4]
        most = int(os.environ.get("MOST", "100"))
        os.makedirs(out)
        for i, (name, im) in enumerate(pictures(folder)):
            if i == most:
                break
            im.thumbnail((800, 800), SMOOTH)
            im.save("%s/%03d-%s__plain.jpg" % (out, i, name), quality=92)
            for alteration, (function, quality) in ALTERATIONS.items():
                function(im).save("%s/%03d-%s__%s.jpg" % (out, i, name, alteration), quality=quality)
    elif sys.argv[1] == "copies":
        folder, out = sys.argv[2:4]
        part, parts = map(int, os.environ.get("PART", "0/1").split("/"))
        os.makedirs(out, exist_ok=True)
        for i, (name, im) in enumerate(pictures(folder)):
            if i % parts != part:
                continue
            im.save("%s/%s__plain.jpg" % (out, name), quality=92)
            for alteration in COPIES:
                function, quality = ALTERATIONS[alteration]
                function(im).save("%s/%s__%s.jpg" % (out, name, alteration), quality=quality)
    else:
        count, folder, out = int(sys.argv[2]), sys.argv[3], sys.argv[4]
        os.makedirs(out)
        r, names = random.Random(1), sorted(ALTERATIONS)
        base = [ImageOps.fit(im, (1024, 768), Image.BICUBIC) for _, im in pictures(folder)][:100]
        for i in range(count):
            function, quality = (lambda im: im, 92) if i < len(base) else ALTERATIONS[r.choice(names)]
            function(base[i % len(base)]).resize((1024, 768), Image.BICUBIC).save("%s/%05d.jpg" % (out, i), quality=quality)


main()
