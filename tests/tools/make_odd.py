"""Odd but valid pictures of every format, for the table in docs/odd-pictures.md: make_odd.py FOLDER. Prints their names in order.
Nearly all show four quadrants: (200,100,50) (255,0,0) above (128,128,128) (30,60,220), 64x48."""
import io, os, struct, subprocess, sys, zlib
import numpy as np
from PIL import Image
from encoders import LOSSLESS_HEIC, avif, heic, jxl
from heif_boxes import add, clap, find, imir, irot

top = sys.argv[1]
os.makedirs(top, exist_ok=True)
names = []
W, H = 64, 48
rgb = np.zeros((H, W, 3), "uint8")
rgb[:24, :32], rgb[:24, 32:], rgb[24:, :32], rgb[24:, 32:] = (200, 100, 50), (255, 0, 0), (128, 128, 128), (30, 60, 220)
picture = Image.fromarray(rgb)
other = Image.new("RGB", (W, H), (0, 160, 0))
gray = picture.convert("L")
rgba = picture.convert("RGBA")
rgba.putalpha(Image.fromarray(np.repeat([[255] * 32 + [64] * 32], H, 0).astype("uint8")))     # right half: a quarter opaque


def put(name, data):
    names.append(name)
    with open(os.path.join(top, name), "wb") as f:
        f.write(data)


def saved(image, format, **options):
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def cjpeg(*options):
    ppm = b"P6\n%d %d\n255\n" % picture.size + picture.tobytes()
    return subprocess.run(["cjpeg", "-quality", "95", "-sample", "1x1", *options], input=ppm, stdout=subprocess.PIPE, check=True).stdout


def jpeg(image=picture, **options):
    return saved(image, "JPEG", quality=95, **({"subsampling": 0} | options))


def exif(orientation, kind=3):
    """A TIFF block with the one tag, as SHORT (3) or LONG (4)."""
    value = struct.pack(">HH", orientation, 0) if kind == 3 else struct.pack(">I", orientation)
    return b"MM\0*\0\0\0\x08\0\x01\x01\x12" + struct.pack(">HI", kind, 1) + value + bytes(4)


def segment(marker, data):
    return b"\xff" + bytes([marker]) + struct.pack(">H", 2 + len(data)) + data


def chunk(kind, data, crc=None):
    return struct.pack(">I", len(data)) + kind + data + (struct.pack(">I", zlib.crc32(kind + data)) if crc is None else crc)


def png(width, height, bits, colour, rows, before=b"", behind=b"", packed=None):
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    packed = zlib.compress(rows) if packed is None else packed
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + before + chunk(b"IDAT", packed) + behind + chunk(b"IEND", b"")


def rows_of(array):
    return b"".join(b"\0" + row.tobytes() for row in array)


def profile(primaries, gamma):
    """A matrix profile with these primaries (XYZ columns under D50) and one gamma for all three."""
    xyz = lambda v: b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(x * 65536)) for x in v)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"odd!\0" + bytes(78 + 1)
    tags = [(b"desc", text), (b"wtpt", xyz((0.9642, 1, 0.8249))), (b"rXYZ", xyz(primaries[0])), (b"gXYZ", xyz(primaries[1])),
            (b"bXYZ", xyz(primaries[2])), (b"rTRC", curve), (b"gTRC", curve), (b"bTRC", curve)]
    at, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, data in tags:
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"\0\0\0\0", 0x02100000, b"mntr", b"RGB ", b"XYZ ") + struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    head += struct.pack(">iii", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + body


P3 = profile([(0.5151, 0.2412, -0.0011), (0.2919, 0.6922, 0.0419), (0.1572, 0.0666, 0.7841)], 2.2)



def ink_profile():
    """A profile for four inks with a table of 3 points each (lut8): multiplied inks that are duller than the plain formula's."""
    to_xyz = np.array([[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])      # sRGB's light under D50
    white = np.array([0.9642, 1, 0.8249])
    table = bytearray()
    for c, m, y, k in np.ndindex(3, 3, 3, 3):
        inks = np.array([c, m, y]) / 2
        light = (1 - 0.85 * inks) * (1 - 0.1 * np.roll(inks, 1)) * (1 - 0.92 * k / 2)
        f = np.cbrt(to_xyz @ light ** 2.2 / white)
        L, a, b = 116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])
        table += bytes((max(0, min(255, round(L * 2.55))), round(a + 128), round(b + 128)))
    ramp = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes((4, 3, 3, 0)) + b"".join(struct.pack(">i", v << 16) for v in (1, 0, 0, 0, 1, 0, 0, 0, 1)) + ramp * 4 + bytes(table) + ramp * 3
    xyz = b"XYZ \0\0\0\0" + struct.pack(">iii", 63190, 65536, 54061)
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"inks\0" + bytes(78 + 1)
    at, table_of_tags, body = 128 + 4 + 12 * 3, struct.pack(">I", 3), b""
    for name, data in ((b"desc", text), (b"wtpt", xyz), (b"A2B0", lut)):
        data += bytes(-len(data) % 4)
        table_of_tags += name + struct.pack(">II", at + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"\0\0\0\0", 0x02100000, b"prtr", b"CMYK", b"Lab ") + struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    return (head + struct.pack(">iii", 63190, 65536, 54061)).ljust(128, b"\0") + table_of_tags + body


# --- JPEG
base = jpeg()
put("exif-6.jpg", jpeg(exif=b"Exif\0\0" + exif(6)))
put("exif-6-long.jpg", jpeg(exif=b"Exif\0\0" + exif(6, 4)))
put("exif-twice.jpg", base[:2] + segment(0xE1, b"Exif\0\0" + exif(6)) + segment(0xE1, b"Exif\0\0" + exif(3)) + base[2:])
put("exif-behind-stray.jpg", base[:20] + b"\0\0" + segment(0xE1, b"Exif\0\0" + exif(6)) + base[20:])     # behind JFIF
put("no-end.jpg", base[:-2])
progressive = jpeg(progressive=True)
put("progressive-no-end.jpg", progressive[:-2])
put("cut.jpg", jpeg(Image.fromarray(np.random.default_rng(1).integers(0, 255, (H, W, 3), "uint8")))[:-2000])
put("rubbish-behind.jpg", base + b"rubbish" * 50)
cmyk = saved(picture.convert("CMYK"), "JPEG", quality=95, subsampling=0)
at = cmyk.index(b"Adobe")
put("cmyk.jpg", cmyk)
put("cmyk-profile.jpg", saved(picture.convert("CMYK"), "JPEG", quality=95, subsampling=0, icc_profile=ink_profile()))
put("cmyk-bare.jpg", cmyk[:at - 4] + cmyk[at + 12:])
put("ycck.jpg", cmyk[:at + 11] + b"\x02" + cmyk[at + 12:])
plain = cjpeg("-rgb")                                                 # Adobe, transform 0; components R, G, B
at = plain.index(b"Adobe")
put("rgb-ids.jpg", plain[:at - 4] + plain[at + 12:])
put("rgb-ids-jfif.jpg", plain[:2] + segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0") + plain[2:at - 4] + plain[at + 12:])
put("arithmetic.jpg", cjpeg("-arithmetic"))
put("profile-p3.jpg", jpeg(icc_profile=P3))
broken = jpeg(icc_profile=P3[:36] + b"pcsa" + P3[40:])
put("profile-broken.jpg", broken)
at = base.index(b"\xff\xc0")
put("lying-height.jpg", base[:at + 5] + struct.pack(">H", 4800) + base[at + 7:])
put("12-bits.jpg", base[:at] + b"\xff\xc1" + base[at + 2:at + 4] + b"\x0c" + base[at + 5:])
put("bmp-named.jpg", saved(picture, "BMP"))

# --- PNG
whole = rows_of(rgb)
put("exif-6.png", png(W, H, 8, 2, whole, before=chunk(b"eXIf", exif(6))))
put("exif-6-behind.png", png(W, H, 8, 2, whole, behind=chunk(b"eXIf", exif(6))))
put("alpha.png", saved(rgba, "PNG"))
put("rgb16.png", png(W, H, 16, 2, rows_of(rgb.astype(">u2") * 256 + 144)))
put("gray16.png", png(W, H, 16, 0, rows_of(np.asarray(gray).astype(">u2") * 257)))
put("gamma-1.png", png(W, H, 8, 2, whole, before=chunk(b"gAMA", struct.pack(">I", 100000))))
put("cicp-p3.png", png(W, H, 8, 2, whole, before=chunk(b"cICP", bytes((12, 13, 0, 1)))))
hdr = lambda transfer: png(W, H, 8, 2, whole, before=chunk(b"cICP", bytes((9, transfer, 0, 1))))
put("pq.png", hdr(16))
put("hlg.png", hdr(18))
put("profile-p3.png", saved(picture, "PNG", icc_profile=P3))
actl, fctl = chunk(b"acTL", struct.pack(">II", 2, 0)), lambda n: chunk(b"fcTL", struct.pack(">IIIIIHHBB", n, W, H, 0, 0, 1, 10, 0, 0))
frame = lambda n, image: chunk(b"fdAT", struct.pack(">I", n) + zlib.compress(rows_of(np.asarray(image))))
put("animated.png", png(W, H, 8, 2, whole, before=actl + fctl(0), behind=fctl(1) + frame(2, other)))
put("animated-hidden.png", png(W, H, 8, 2, rows_of(np.asarray(other)), before=actl, behind=fctl(0) + frame(1, picture) + fctl(2) + frame(3, other)))
lying = chunk(b"acTL", struct.pack(">II", 65000, 0))
put("lying-frames.png", png(W, H, 8, 2, whole, before=lying + fctl(0), behind=fctl(1) + frame(2, other)))
put("no-end.png", png(W, H, 8, 2, whole)[:-12])
put("end-checksum.png", png(W, H, 8, 2, whole)[:-4] + bytes(4))
packed = zlib.compress(whole)
put("adler.png", png(W, H, 8, 2, b"", packed=packed[:-4] + bytes(4)))
put("small-window.png", png(W, H, 8, 2, b"", packed=b"\x08\x1d" + packed[2:]))
put("key-colour.png", png(W, H, 8, 2, whole, before=chunk(b"tRNS", struct.pack(">HHH", 255, 0, 0))))

# --- GIF
gif = saved(picture.quantize(8), "GIF")
at = gif.index(b"\x2c\0\0\0\0")


def screen(width, height, left, above):
    return gif[:6] + struct.pack("<HH", width, height) + gif[10:at + 1] + struct.pack("<HH", left, above) + gif[at + 5:]


put("screen-1x1.gif", screen(1, 1, 0, 0))
put("beyond-screen.gif", screen(64, 48, 16, 12))
put("inside-screen.gif", screen(96, 72, 16, 12))
put("no-last-bytes.gif", gif[:-2])
put("animated.gif", saved(picture.quantize(8), "GIF", save_all=True, append_images=[other.quantize(8)], duration=50))

one = b"\x2c\0\0\0\0\1\0\1\0\x80\xff\xff\xff\0\0\0\2\2\x44\1\0"          # a frame of one pixel
put("many-frames.gif", gif[:-1] + one * 65535 + b";")
put("no-duration.gif", saved(picture.quantize(8), "GIF", save_all=True, append_images=[other.quantize(8)], duration=0, loop=0))

# --- WebP
put("exif-6.webp", saved(picture, "WEBP", lossless=True, exif=b"Exif\0\0" + exif(6)))
put("alpha.webp", saved(rgba, "WEBP", lossless=True))
still = saved(picture, "WEBP", lossless=True)[12:]
vp8x = b"VP8X" + struct.pack("<IBBHBHBH", 10, 2, 0, 0, 95, 0, 71, 0)
anmf = b"".join(struct.pack("<I", v)[:3] for v in (8, 6, 63, 47, 100)) + b"\0" + still
body = b"WEBP" + vp8x + b"ANIM" + struct.pack("<IIH", 6, 0, 0) + b"ANMF" + struct.pack("<I", len(anmf)) + anmf
put("frame-inside.webp", b"RIFF" + struct.pack("<I", len(body)) + body)
tail = saved(picture, "WEBP", lossless=True, exif=b"Exif\0\0" + exif(1))
put("cut-tail.webp", tail[:-20])
put("profile-p3.webp", saved(picture, "WEBP", lossless=True, icc_profile=P3))

put("no-duration.webp", saved(picture, "WEBP", lossless=True, save_all=True, append_images=[other], duration=0, loop=0))

# --- AVIF
lossless = avif([picture], "-l")
put("chroma-420.avif", avif([picture], "-y", "420", "--min", "0", "--max", "10"))
put("turned.avif", add(lossless, [irot(1)]))
put("turned-mirrored.avif", add(lossless, [irot(1), imir(0)]))
put("corner.avif", add(lossless, [clap(40, 30, 0, 0, W, H)]))
put("not-corner.avif", add(lossless, [clap(40, 30, 10, 6, W, H)]))
put("alpha.avif", avif([rgba], "-y", "444", "--min", "0", "--max", "0", "--minalpha", "0", "--maxalpha", "0"))
put("nclx-p3.avif", avif([picture], "-l", "--cicp", "12/13/0"))
put("limited.avif", avif([picture], "-y", "444", "-r", "limited", "--cicp", "1/13/1", "--min", "0", "--max", "0"))
put("gray-limited.avif", avif([gray], "-y", "400", "-r", "limited", "--min", "0", "--max", "0"))
put("10-bits.avif", avif([picture], "-y", "444", "-d", "10", "--min", "0", "--max", "0"))
put("animated.avif", avif([picture, other, picture], "-y", "444", "--min", "0", "--max", "0"))
put("grid.avif", avif([picture.resize((64, 64), 0)] * 2, "--grid", "2x1", "-y", "444", "--min", "0", "--max", "0"))
cells = avif([picture.resize((64, 64), 0)] * 2, "--grid", "2x1", "-y", "444", "--min", "0", "--max", "0")
at = cells.index(b"dimg") + 4                                                                # from item, 2, the two cells
put("missing-cell.avif", cells[:at + 6] + struct.pack(">H", 99) + cells[at + 8:])         # the second cell is an item that is not there
at = lossless.index(b"ispe") + 8
put("lying-size.avif", lossless[:at] + struct.pack(">II", 640, 480) + lossless[at + 8:])
start, _, end = find(lossless, "meta/iprp/ipco/pixi")
put("no-pixi.avif", lossless[:start + 4] + b"free" + lossless[start + 8:])
put("mif1-brand.avif", lossless[:8] + b"mif1" + lossless[12:])
put("cut.avif", lossless[:-40])

# --- HEIC
put("lossless.heic", heic([picture], *LOSSLESS_HEIC))
put("turned.heic", add(heic([picture], *LOSSLESS_HEIC), [irot(1)]))
put("not-corner.heic", add(heic([picture], *LOSSLESS_HEIC), [clap(40, 30, 10, 6, W, H)]))

# --- JPEG XL
put("lossless.jxl", jxl([picture], "-d", "0"))
put("lossy.jxl", jxl([picture], "-d", "0.5"))
put("from-jpeg-6.jxl", jxl([("jpg", jpeg(exif=b"Exif\0\0" + exif(6)))]))
put("alpha.jxl", jxl([rgba], "-d", "0"))
put("animated.jxl", jxl([("gif", saved(picture.quantize(8), "GIF", save_all=True, append_images=[other.quantize(8)], duration=50))]))
put("cut.jxl", jxl([picture], "-d", "0")[:-20])

print("\n".join(names))
