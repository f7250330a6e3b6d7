#!/usr/bin/env python3
"""Writes the seed corpora of the picture and shard fuzz targets (Pillow, numpy, avifenc,
heif-enc, cjxl). usage: gen_picture_corpus.py [CORPUS_DIR [KIND...]]

Small pictures of every kind the decoders tell apart; run once, the outputs are committed.
"""
import io, os, struct, sys, zlib
import numpy as np
from PIL import Image

top = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "corpus")
kinds = sys.argv[2:]
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../tools"))
import heif_boxes
from encoders import avif, heic, jxl
y, x = np.mgrid[0:20, 0:24]
rgb = np.stack([x * 10, y * 12, (x * y) % 256], -1).astype("uint8")
picture = Image.fromarray(rgb)
gray = picture.convert("L")
rgba = picture.convert("RGBA")
rgba.putalpha(Image.fromarray((x * 10).astype("uint8")))


def put(kind, name, data):
    if kinds and kind not in kinds:
        return
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


if not kinds or set(kinds) & {"avif", "heic", "jxl"}:
    larger = picture.resize((64, 64))
    plain = avif([picture], "-y", "420")
    put("avif", "420.avif", plain)
    put("avif", "444-10.avif", avif([picture], "-y", "444", "-d", "10"))
    put("avif", "422-12.avif", avif([picture], "-y", "422", "-d", "12", "-r", "limited"))
    put("avif", "gray.avif", avif([gray], "-y", "400"))
    put("avif", "alpha.avif", avif([rgba], "-y", "444"))
    put("avif", "premultiplied.avif", avif([rgba], "-p"))
    put("avif", "lossless.avif", avif([picture], "-l"))
    put("avif", "grid.avif", avif([larger, larger], "--grid", "2x1", "-y", "420"))
    put("avif", "animated.avif", avif([picture, picture.rotate(90), picture.rotate(180)]))
    put("avif", "turned.avif", heif_boxes.add(plain, [heif_boxes.irot(1), heif_boxes.imir(0)]))
    put("avif", "cropped.avif", heif_boxes.add(plain, [heif_boxes.clap(16, 10, 0, 0, 24, 20)]))
    put("avif", "cut.avif", plain[:len(plain) - 20])
    put("avif", "huge.avif", plain.replace(b"ispe\0\0\0\0\0\0\0\x18", b"ispe\0\0\0\0\0\0\x60\0"))
    plain = heic([picture])
    put("heic", "420.heic", plain)
    put("heic", "444-10.heic", heic([("png", png(24, 20, 16, 2, b"".join(b"\0" + (rgb[i].astype(">u2") * 257).tobytes() for i in range(20))))], "-b", "10", "-p", "chroma=444"))
    put("heic", "gray.heic", heic([gray]))
    put("heic", "alpha.heic", heic([rgba]))
    put("heic", "premultiplied.heic", heic([rgba], "--premultiplied-alpha"))
    put("heic", "thumbnail.heic", heic([larger], "-t", "16"))
    put("heic", "two.heic", heic([picture, gray]))
    put("heic", "turned.heic", heif_boxes.add(plain, [heif_boxes.irot(1), heif_boxes.imir(0)]))
    put("heic", "cropped.heic", heif_boxes.add(plain, [heif_boxes.clap(16, 10, 2, 4, 24, 20)]))
    put("heic", "av1.heic", avif([picture]).replace(b"ftypavif", b"ftypmif1").replace(b"avif", b"heic"))
    put("heic", "cut.heic", plain[:len(plain) - 20])
    put("jxl", "lossy.jxl", jxl([picture], "-e", "3"))
    put("jxl", "lossless.jxl", jxl([picture], "-d", "0", "-e", "3"))
    put("jxl", "container.jxl", jxl([picture], "-e", "3", "--container=1"))
    put("jxl", "alpha.jxl", jxl([rgba], "-e", "3"))
    put("jxl", "gray.jxl", jxl([gray], "-d", "0"))
    put("jxl", "progressive.jxl", jxl([larger], "-e", "3", "-p"))
    put("jxl", "cut.jxl", jxl([picture], "-e", "3")[:-20])
    looping = saved(picture.quantize(8), "GIF", save_all=True, append_images=[picture.rotate(90).quantize(8)], duration=50)
    put("jxl", "animated.jxl", jxl([("gif", looping)]))
    put("jxl", "jpeg.jxl", jxl([("jpg", saved(picture, "JPEG", quality=70, exif=exif.tobytes()))]))

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
