"""Files that say in many ways how they are turned: make_turned.py FOLDER. Prints NAME and the size that Pillow shows
(ImageOps.exif_transpose), where the releases that were tried (9.4, 13.0) agree."""
import io, os, struct, sys, warnings, zlib
import numpy as np
from PIL import Image, ImageOps

warnings.simplefilter("ignore")
top = sys.argv[1]
os.makedirs(top, exist_ok=True)
W, H = 64, 48
image = Image.fromarray((np.arange(W * H * 3) % 251).astype("uint8").reshape(H, W, 3))


def saved(format, **options):
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def entry(kind, value, count=1, tag=0x112):
    return struct.pack(">HHI", tag, kind, count) + value.ljust(4, b"\0")


def tiff(*entries, data=b"", magic=42):
    return b"MM" + struct.pack(">HI", magic, 8) + struct.pack(">H", len(entries)) + b"".join(entries) + bytes(4) + data


short = lambda v, **more: entry(3, struct.pack(">H", v), **more)
long = lambda v: struct.pack(">I", v)
E = b"Exif\0\0"
bare = saved("JPEG")
jpeg = lambda exif: bare[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(exif)) + exif + bare[2:]
chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
plain = saved("PNG")
png = lambda before=b"", behind=b"": plain[:33] + before + plain[33:-12] + behind + plain[-12:]
six, three = tiff(short(6)), tiff(short(3))
magick = b"\nexif\n%8d\n" % len(E + six) + b"\n".join((E + six).hex().encode()[i:i + 72] for i in range(0, 2 * len(E + six), 72)) + b"\n"
KEY = b"Raw profile type exif\0"
files = {
    "short.jpg": jpeg(E + six),
    "byte.jpg": jpeg(E + tiff(entry(1, b"\6"))),
    "ascii.jpg": jpeg(E + tiff(entry(2, b"6", count=2))),
    "long.jpg": jpeg(E + tiff(entry(4, long(6)))),
    "rational.jpg": jpeg(E + tiff(entry(5, long(26)), data=struct.pack(">II", 12, 2))),
    "rational-none.jpg": jpeg(E + tiff(entry(5, long(26)), data=struct.pack(">II", 6, 0))),
    "sbyte.jpg": jpeg(E + tiff(entry(6, b"\6"))),
    "undefined.jpg": jpeg(E + tiff(entry(7, b"\6"))),
    "sshort.jpg": jpeg(E + tiff(entry(8, struct.pack(">h", 6)))),
    "slong.jpg": jpeg(E + tiff(entry(9, long(6)))),
    "srational.jpg": jpeg(E + tiff(entry(10, long(26)), data=struct.pack(">ii", -12, -2))),
    "float.jpg": jpeg(E + tiff(entry(11, struct.pack(">f", 6)))),
    "float-between.jpg": jpeg(E + tiff(entry(11, struct.pack(">f", 6.5)))),
    "double.jpg": jpeg(E + tiff(entry(12, long(26)), data=struct.pack(">d", 6))),
    "ifd.jpg": jpeg(E + tiff(entry(13, long(6)))),
    "long8.jpg": jpeg(E + tiff(entry(16, long(26)), data=struct.pack(">Q", 6))),
    "two-values.jpg": jpeg(E + tiff(entry(3, struct.pack(">HH", 6, 6), count=2))),
    "no-value.jpg": jpeg(E + tiff(short(6, count=0))),
    "unknown-type.jpg": jpeg(E + tiff(entry(99, struct.pack(">H", 6)))),
    "nine.jpg": jpeg(E + tiff(short(9))),
    "odd-pad.jpg": jpeg(b"Exif\0\1" + six),
    "too-many-entries.jpg": jpeg(E + six[:8] + b"\0\5" + six[10:]),
    "magic-43.jpg": jpeg(E + tiff(short(6), magic=43)),
    "other-end.jpg": jpeg(E + b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0"),
    "without-then-six.jpg": (lambda b, e: b[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(e)) + e + b[2:])(jpeg(E + six), E + tiff(entry(2, b"abc", count=4, tag=0x10f))),
    "before.png": png(before=chunk(b"eXIf", six)),
    "behind.png": png(behind=chunk(b"eXIf", six)),
    "two-before.png": png(before=chunk(b"eXIf", three) + chunk(b"eXIf", six)),
    "magick-packed.png": png(before=chunk(b"zTXt", KEY + b"\0" + zlib.compress(magick))),
    "magick-plain.png": png(before=chunk(b"tEXt", KEY + magick)),
    "magick-and-exif.png": png(before=chunk(b"zTXt", KEY + b"\0" + zlib.compress(magick)) + chunk(b"eXIf", tiff(short(1)))),
    "prefix.webp": saved("WEBP", lossless=True, exif=E + six),
    "bare.webp": saved("WEBP", lossless=True, exif=six),
    "long.webp": saved("WEBP", lossless=True, exif=tiff(entry(4, long(6)))),
    "half-turn.webp": saved("WEBP", lossless=True, exif=three),
}
actl = chunk(b"acTL", struct.pack(">II", 2, 0))
fctl = lambda n: chunk(b"fcTL", struct.pack(">IIIIIHHBB", n, W, H, 0, 0, 1, 10, 0, 0))
frame = chunk(b"fdAT", struct.pack(">I", 2) + zlib.compress(b"".join(b"\0" + bytes(3 * W) for _ in range(H))))
files["animated-before.png"] = png(before=actl + chunk(b"eXIf", six) + fctl(0), behind=fctl(1) + frame)
for name, data in files.items():
    with open(os.path.join(top, name), "wb") as f:
        f.write(data)
    shown = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    shown.save(os.path.join(top, name + ".shown"), "PNG")
    print(name, "%dx%d" % shown.size, sep="\t")
