#!/usr/bin/env python3
"""Writes the seed corpora of the picture and shard fuzz targets (Pillow, numpy). usage: gen_picture_corpus.py [CORPUS_DIR]

Small pictures of every kind the decoders tell apart; run once, the outputs are committed.
"""
import io, os, struct, sys, zlib
import numpy as np
from PIL import Image

top = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "corpus")
y, x = np.mgrid[0:20, 0:24]
rgb = np.stack([x * 10, y * 12, (x * y) % 256], -1).astype("uint8")
picture = Image.fromarray(rgb)
gray = picture.convert("L")
rgba = picture.convert("RGBA")
rgba.putalpha(Image.fromarray((x * 10).astype("uint8")))


def put(kind, name, data):
    os.makedirs(f"{top}/{kind}", exist_ok=True)
    with open(f"{top}/{kind}/{name}", "wb") as f:
        f.write(data)


def saved(image, format, **options):
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


exif = Image.Exif()
exif[0x112] = 6
jpeg = saved(picture, "JPEG", quality=80)
progressive = saved(picture, "JPEG", quality=60, progressive=True)
put("jpeg", "baseline.jpg", jpeg)
put("jpeg", "progressive.jpg", progressive)
put("jpeg", "444.jpg", saved(picture, "JPEG", quality=95, subsampling=0))
put("jpeg", "gray.jpg", saved(gray, "JPEG", quality=50))
put("jpeg", "cmyk.jpg", saved(picture.convert("CMYK"), "JPEG", quality=70))
put("jpeg", "exif.jpg", saved(picture, "JPEG", quality=70, exif=exif.tobytes()))
put("jpeg", "restart.jpg", saved(picture, "JPEG", quality=70, restart_marker_rows=1) )
put("jpeg", "cut.jpg", jpeg[:len(jpeg) * 2 // 3])
at = progressive.index(b"\xff\xc2") + 5
put("jpeg", "huge.jpg", progressive[:at] + b"\xff\xdc\xff\xdc" + progressive[at + 4:])
at = jpeg.index(b"\xff\xc0")
put("jpeg", "12bit.jpg", jpeg[:at] + b"\xff\xc1" + jpeg[at + 2:at + 4] + b"\x0c" + jpeg[at + 5:])


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, bits, colour, rows, interlace=0, extra=b""):
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


put("png", "rgb.png", saved(picture, "PNG"))
put("png", "rgba.png", saved(rgba, "PNG"))
put("png", "gray-alpha.png", saved(rgba.convert("LA"), "PNG"))
put("png", "palette.png", saved(picture.quantize(16), "PNG"))
put("png", "palette-transparent.png", saved(picture.quantize(16), "PNG", transparency=3))
put("png", "bilevel.png", saved(gray.convert("1"), "PNG"))
put("png", "gray16.png", saved(Image.fromarray((x * 2000).astype("uint16")), "PNG"))
put("png", "rgb16.png", png(3, 2, 16, 2, b"".join(b"\0" + bytes(range(18)) for _ in range(2))))
put("png", "interlaced.png", png(2, 2, 8, 2, b"\0\1\2\3" + b"\0\4\5\6" + b"\0\7\10\11\12\13\14", 1))
put("png", "exif.png", saved(picture, "PNG", exif=exif.tobytes()))
put("png", "animated.png", saved(picture, "PNG", save_all=True, append_images=[picture.rotate(90)]))
put("png", "bomb-header.png", png(50000, 50000, 1, 0, b"\0" * 100))
put("png", "cut.png", saved(picture, "PNG")[:200])

put("webp", "lossy.webp", saved(picture, "WEBP", quality=60))
put("webp", "lossless.webp", saved(picture, "WEBP", lossless=True))
put("webp", "alpha.webp", saved(rgba, "WEBP", quality=60))
put("webp", "exif.webp", saved(picture, "WEBP", quality=60, exif=exif.tobytes()))
put("webp", "animated.webp", saved(picture, "WEBP", save_all=True, append_images=[picture.rotate(90), gray.convert("RGB")], duration=50))
put("webp", "cut.webp", saved(picture, "WEBP", quality=60)[:120])

put("gif", "still.gif", saved(picture.quantize(32), "GIF"))
put("gif", "animated.gif", saved(picture.quantize(8), "GIF", save_all=True, append_images=[picture.rotate(90).quantize(8)], duration=50))
put("gif", "transparent.gif", saved(picture.quantize(8), "GIF", transparency=2))
put("gif", "interlaced.gif", saved(gray.quantize(8), "GIF", interlace=1))
put("gif", "cut.gif", saved(picture.quantize(32), "GIF")[:150])

put("exif", "big.bin", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0")
put("exif", "little.bin", exif.tobytes())
put("exif", "long.bin", b"II*\0\x08\0\0\0\x01\0\x12\x01\x04\0\x01\0\0\0\x08\0\0\0\0\0\0\0")
put("exif", "far.bin", b"II*\0\xff\xff\xff\xff\x01\0")

head = "path\tlabel\tsplit\tgroup\tfold\tvariant\tsource\tparams\txxh128\toffset\tbytes\tchecksum\n"
row = "a.jpg\ta\ttrain\tg1\t0\t0\t\t\t0123456789abcdef0123456789abcdef\t64\t192\t0123456789abcdef\n"
row2 = "b.jpg\tb\tval\t\t\t1\ta.jpg\tflip\tfedcba9876543210fedcba9876543210\t2048\t192\tfedcba9876543210\n"
put("shard", "raw", ("r" + head + row + row2).encode())
put("shard", "jpeg", ("j" + head + row.replace("192", "640")).encode())
put("shard", "outside", ("r" + head + row.replace("\t64\t", "\t4096\t")).encode())
put("shard", "index", ("ikey\tvalue\trecords\tbytes\txxh128\nformat\twinnow-shards-1\t\t\t\nside_px\t8\t\t\t\nresize\tbilinear\t\t\t\n"
    "encoding\traw\t\t\t\ndata_hash\t00000000000000000000000000000000\t\t\t\nclass\ta\t\t\t\nclass\tb\t\t\t\n"
    "shard\tshard-00000.bin\t0\t4096\t00000000000000000000000000000000\nindex\tshard-00000.tsv\t0\t78\t00000000000000000000000000000000\n").encode())
