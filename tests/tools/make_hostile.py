"""Hostile, odd and sound picture files, generated: make_hostile.py FOLDER. Prints a TSV: path, expected outcome (a reject slug or
"kept"), and for kept ones format, width, height, orientation, frames, mode as validate shows them ("" is not looked at).
FOLDER/twins.tsv: files that have to give the same pixels, where Pillow refuses the first."""
import io, os, struct, subprocess, sys, zlib
import numpy as np
from PIL import Image
from encoders import LOSSLESS_HEIC, avif, heic, jxl
from heif_boxes import add, clap, imir, irot

top = sys.argv[1]
os.makedirs(top, exist_ok=True)
y, x = np.mgrid[0:96, 0:128]
rgb = np.stack([(x * 2) % 256, (y * 2) % 256, (x * y // 8) % 256], -1).astype("uint8")
picture = Image.fromarray(rgb)
gray = picture.convert("L")
rgba = picture.convert("RGBA")
rgba.putalpha(Image.fromarray((x * 2).astype("uint8")))
rows = []
twins = []


def put(name, data, outcome, *facts):
    with open(os.path.join(top, name), "wb") as f:
        f.write(data)
    rows.append([name, outcome] + [str(v) for v in facts])


def twin(name, of, data, *facts):
    put(name, data, "kept", *facts)
    twins.append([name, of])


def as_decoded(name, data, *facts):
    """Kept, and with the pixels that the format's own program gives."""
    twin(name, f"decoded-{name}.png", data, *facts)
    source, out = os.path.join(top, name), os.path.join(top, f"decoded-{name}.png")
    command = {"avif": ["avifdec", "-d", "8", source, out], "heic": ["heif-convert", source, out], "jxl": ["djxl", source, out]}[name.split(".")[-1]]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    image = Image.open(out)
    image.load()
    image.save(out, exif=b"")       # djxl writes an eXIf that nothing can read


def saved(image, format, **options):
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def cjpeg(ppm, *options):
    return subprocess.run(["cjpeg", *options], input=ppm, stdout=subprocess.PIPE, check=True).stdout


def ppm(image):
    return b"P6\n%d %d\n255\n" % image.size + image.tobytes()


baseline = saved(picture, "JPEG", quality=85)
progressive = saved(picture, "JPEG", quality=85, progressive=True)
cmyk = saved(picture.convert("CMYK"), "JPEG", quality=85)
png = saved(picture, "PNG")
webp = saved(picture, "WEBP", quality=80)
shape = (128, 96, 1, 1)

put("baseline.jpg", baseline, "kept", "jpeg", *shape, "rgb")
put("progressive.jpg", progressive, "kept", "jpeg", *shape, "rgb")
put("arithmetic.jpg", cjpeg(ppm(picture), "-arithmetic"), "kept", "jpeg", *shape, "rgb")
put("gray.jpg", saved(gray, "JPEG"), "kept", "jpeg", *shape, "gray")
put("444.jpg", saved(picture, "JPEG", subsampling=0), "kept", "jpeg", *shape, "rgb")
put("411.jpg", cjpeg(ppm(picture), "-sample", "4x1"), "kept", "jpeg", *shape, "rgb")
put("440.jpg", cjpeg(ppm(picture), "-sample", "1x2"), "kept", "jpeg", *shape, "rgb")
put("rgb-coded.jpg", cjpeg(ppm(picture), "-rgb"), "kept", "jpeg", *shape, "rgb")
put("cmyk.jpg", cmyk, "kept", "jpeg", *shape, "cmyk")
at = cmyk.index(b"Adobe")
put("ycck.jpg", cmyk[:at + 11] + b"\x02" + cmyk[at + 12:], "kept", "jpeg", *shape, "ycck")
put("cmyk-bare.jpg", cmyk[:at - 4] + cmyk[at + 12:], "kept", "jpeg", *shape, "cmyk")  # as tools that strip metadata leave it
put("no-end-marker.jpg", baseline[:-2], "kept", "jpeg", *shape, "rgb")
put("rubbish-behind.jpg", baseline + os.urandom(1000), "kept", "jpeg", *shape, "rgb")
# Complete data without an end marker, of several scans; and the same without a byte of the last scan, or without that scan.
with open(os.path.join(top, "scans.txt"), "w") as f:
    f.write("0;\n1;\n2;\n")
separate = cjpeg(ppm(picture), "-scans", os.path.join(top, "scans.txt"))
restarts = cjpeg(ppm(picture), "-progressive", "-restart", "1")
put("separate.jpg", separate, "kept", "jpeg", *shape, "rgb")
put("restarts.jpg", restarts, "kept", "jpeg", *shape, "rgb")
twin("progressive-no-end.jpg", "progressive.jpg", progressive[:-2], "jpeg", *shape, "rgb")
twin("separate-no-end.jpg", "separate.jpg", separate[:-2], "jpeg", *shape, "rgb")
twin("restarts-no-end.jpg", "restarts.jpg", restarts[:-2], "jpeg", *shape, "rgb")
for name, data in ("progressive", progressive), ("separate", separate), ("restarts", restarts):
    last = data.rindex(b"\xff\xda")
    put(f"{name}-no-last-scan.jpg", data[:last], "decode-truncated")
    put(f"{name}-last-scan-header.jpg", data[:last + 12], "decode-truncated")
    put(f"{name}-last-scan-cut.jpg", data[:(last + len(data)) // 2], "decode-truncated")
put("arithmetic-cut.jpg", cjpeg(ppm(picture), "-arithmetic")[:-400], "decode-truncated")
put("cut.jpg", baseline[:len(baseline) // 2], "decode-truncated")
put("cut-progressive.jpg", progressive[:len(progressive) * 2 // 3], "decode-truncated")
put("cut-in-header.jpg", baseline[:200], "decode-truncated")
middle = len(baseline) // 2
put("zeros-inside.jpg", baseline[:middle] + bytes(600) + baseline[middle + 600:], "decode-corrupt")
at = baseline.index(b"\xff\xc0")
put("12bit.jpg", baseline[:at] + b"\xff\xc1" + baseline[at + 2:at + 4] + b"\x0c" + baseline[at + 5:], "unsupported")
put("lossless.jpg", baseline[:at] + b"\xff\xc3" + baseline[at + 2:], "unsupported")
put("no-pixels.jpg", baseline[:at + 5] + b"\0\0\0\0" + baseline[at + 9:], "decode-corrupt")
put("1x1.jpg", saved(Image.new("RGB", (1, 1), "red"), "JPEG"), "kept", "jpeg", 1, 1, 1, 1, "rgb")
put("65500x1.jpg", cjpeg(b"P6\n65500 1\n255\n" + bytes(196500)), "kept", "jpeg", 65500, 1, 1, 1, "rgb")
at = progressive.index(b"\xff\xc2") + 5
put("65500x65500.jpg", progressive[:at] + b"\xff\xdc\xff\xdc" + progressive[at + 4:], "too-many-pixels")
# A decompression bomb of work: the last scan over and over.
scan = progressive[progressive.rindex(b"\xff\xda"):-2]
put("many-scans.jpg", progressive[:-2] + scan * 500 + b"\xff\xd9", "too-many-scans")
for n in range(1, 9):
    exif = Image.Exif()
    exif[0x112] = n
    size = (96, 128) if n >= 5 else (128, 96)
    put(f"exif-{n}.jpg", saved(picture, "JPEG", exif=exif.tobytes()), "kept", "jpeg", *size, n, 1, "rgb")
exif = Image.Exif()
exif[0x112] = 6
# Chromium and Firefox turn neither a WebP, nor a PNG by an eXIf after its data, nor by a LONG; Pillow does.
twin("exif-6.webp", "lossy.webp", saved(picture, "WEBP", exif=exif.tobytes()), "webp", *shape, "rgb")
put("exif-6.png", saved(picture, "PNG", exif=exif.tobytes()), "kept", "png", 96, 128, 6, 1, "rgb")
# What stands before the EXIF segment does not hide it: stray bytes, an empty comment, one whose length is 0, a stray FF 00.
turned = saved(picture, "JPEG", exif=exif.tobytes())
at = turned.index(b"\xff\xe1")
for name, before in ("stray", b"\0\0"), ("stray-one", b"\x7f"), ("empty", b"\xff\xfe\0\2"), ("no-length", b"\xff\xfe\0\0"), ("stuffed", b"\xff\0"):
    twin(f"exif-after-{name}.jpg", "exif-6.jpg", turned[:at] + before + turned[at:], "jpeg", 96, 128, 6, 1, "rgb")
note = turned[at + 4:at + 2 + int.from_bytes(turned[at + 2:at + 4], "big")]
short = note.index(b"\x12\x01\x03\0" if note[6:8] == b"II" else b"\x01\x12\0\x03")
little = note[6:8] == b"II"
of_long = note[:short] + (b"\x12\x01\x04\0\1\0\0\0\6\0\0\0" if little else b"\x01\x12\0\x04\0\0\0\1\0\0\0\6") + note[short + 12:]
twin("exif-long.jpg", "baseline-75.jpg", turned.replace(note, of_long), "jpeg", *shape, "rgb")
put("baseline-75.jpg", saved(picture, "JPEG"), "kept", "jpeg", *shape, "rgb")
put("exif-wild.jpg", baseline[:2] + b"\xff\xe1\x00\x14Exif\0\0II*\0\xff\xff\xff\xff\0\0\0\0" + baseline[2:], "kept", "jpeg", *shape, "rgb")


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def make_png(width, height, bits, colour, raw, extra=b"", interlace=0):
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlace)) + extra +
            chunk(b"IDAT", raw) + chunk(b"IEND", b""))


def zeros(n):
    c = zlib.compressobj(9)
    out = b""
    while n > 0:
        out += c.compress(bytes(min(n, 1 << 20)))
        n -= 1 << 20
    return out + c.flush()


put("rgb.png", png, "kept", "png", *shape, "rgb")
put("alpha.png", saved(rgba, "PNG"), "kept", "png", *shape, "rgb-alpha")
put("gray-alpha.png", saved(rgba.convert("LA"), "PNG"), "kept", "png", *shape, "gray-alpha")
put("palette.png", saved(picture.quantize(32), "PNG"), "kept", "png", *shape, "palette")
put("bilevel.png", saved(gray.convert("1"), "PNG"), "kept", "png", *shape, "gray")
put("gray16.png", saved(Image.fromarray((x * 500).astype("uint16")), "PNG"), "kept", "png", *shape, "gray16")
put("rgb16.png", make_png(8, 8, 16, 2, zlib.compress((b"\0" + bytes(48)) * 8)), "kept", "png", 8, 8, 1, 1, "rgb16")
put("interlaced.png", make_png(2, 2, 8, 2, zlib.compress(b"\0\1\2\3\0\4\5\6\0\7\10\11\12\13\14"), interlace=1), "kept", "png", 2, 2, 1, 1, "rgb")
put("animated.png", saved(picture, "PNG", save_all=True, append_images=[picture.rotate(90), picture.rotate(180)]), "kept", "png", 128, 96, 1, 3, "rgb")
put("bomb-1bit.png", make_png(50000, 50000, 1, 0, zeros(1000)), "too-many-pixels")
put("bomb-8bit.png", make_png(50000, 50000, 8, 0, zeros(1000)), "too-many-pixels")
put("largest.png", make_png(9999, 9999, 1, 0, zeros(9999 * 1251)), "kept", "png", 9999, 9999, 1, 1, "gray")
put("rows-200m.png", make_png(14142, 14142, 1, 0, zeros(14142 * 1769)), "kept", "png", 14142, 14142, 1, 1, "gray")
put("over-200m.png", make_png(14143, 14142, 1, 0, zeros(1000)), "too-many-pixels")
put("interlaced-108m.png", make_png(12000, 9000, 8, 0, zeros(1000), interlace=1), "too-many-pixels")
put("wide.png", make_png(2000000, 1, 8, 0, zeros(2000001)), "too-many-pixels")
put("text-bomb.png", make_png(4, 4, 8, 0, zeros(20), chunk(b"zTXt", b"x\0\0" + zeros(200 << 20))), "kept", "png", 4, 4, 1, 1, "gray")
put("profile-bomb.png", make_png(4, 4, 8, 0, zeros(20), chunk(b"iCCP", b"x\0\0" + zeros(100 << 20))), "kept", "png", 4, 4, 1, 1, "gray")
put("too-much-data.png", make_png(4, 4, 8, 0, zeros(50 << 20)), "kept", "png", 4, 4, 1, 1, "gray")
put("too-little-data.png", make_png(400, 400, 8, 0, zeros(1000)), "decode-corrupt")
put("bad-checksum.png", png[:-20] + bytes([png[-20] ^ 1]) + png[-19:], "decode-corrupt")
exif_chunk = chunk(b"eXIf", exif.tobytes()[6:])
twin("exif-after-data.png", "rgb.png", png[:-12] + exif_chunk + png[-12:], "png", *shape, "rgb")
# Pixels that are all there are taken: what is wrong with the rest does not show.
def idat(data, tail=chunk(b"IEND", b""), crc=None):
    return png[:png.index(b"IDAT") - 4] + chunk(b"IDAT", data)[:-4] + (crc or struct.pack(">I", zlib.crc32(b"IDAT" + data))) + tail


packed = zlib.compress(b"".join(b"\0" + rgb[i].tobytes() for i in range(96)), 9)
put("small-window.png", idat(b"\x08\x1d" + packed[2:]), "kept", "png", *shape, "rgb")
put("window-2k.png", idat(b"\x38\x11" + packed[2:]), "kept", "png", *shape, "rgb")
twin("adler-wrong.png", "rgb.png", idat(packed[:-4] + b"\1\2\3\4"), "png", *shape, "rgb")
twin("adler-missing.png", "rgb.png", idat(packed[:-4]), "png", *shape, "rgb")
twin("adler-cut.png", "rgb.png", idat(packed[:-2]), "png", *shape, "rgb")
twin("end-checksum.png", "rgb.png", idat(packed, chunk(b"IEND", b"")[:-4] + bytes(4)), "png", *shape, "rgb")
twin("odd-chunk-after.png", "rgb.png", idat(packed, chunk(b"\0\1\2\3", b"x")), "png", *shape, "rgb")
put("data-checksum.png", idat(packed, crc=bytes(4)), "decode-corrupt")
put("adler-and-data-checksum.png", idat(packed[:-4], crc=bytes(4)), "decode-corrupt")
put("row-missing.png", idat(zlib.compress(b"".join(b"\0" + rgb[i].tobytes() for i in range(95)))), "decode-corrupt")
# The same with an alpha channel, and interlaced: the last row is flattened, too.
alpha = np.asarray(rgba)
wide = zlib.compress(b"".join(b"\0" + alpha[i].tobytes() for i in range(96)))
twin("alpha-adler.png", "alpha.png", make_png(128, 96, 8, 6, wide[:-4]), "png", *shape, "rgb-alpha")
passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
woven = zlib.compress(b"".join(b"\0" + row.tobytes() for y0, x0, dy, dx in passes for row in alpha[y0:95:dy, x0::dx]))
put("alpha-95.png", saved(rgba.crop((0, 0, 128, 95)), "PNG"), "kept", "png", 128, 95, 1, 1, "rgb-alpha")
twin("interlaced-adler.png", "alpha-95.png", make_png(128, 95, 8, 6, woven[:-4], interlace=1), "png", 128, 95, 1, 1, "rgb-alpha")
put("interlaced-row-missing.png", make_png(128, 96, 8, 6, woven, interlace=1), "decode-corrupt")
put("cut.png", png[:len(png) // 2], "decode-truncated")
put("no-palette.png", make_png(4, 4, 8, 3, zeros(20)), "decode-corrupt")
put("no-width.png", make_png(0, 4, 8, 0, zeros(20)), "decode-corrupt")

put("lossy.webp", webp, "kept", "webp", *shape, "rgb")
put("lossless.webp", saved(picture, "WEBP", lossless=True), "kept", "webp", *shape, "rgb")
put("alpha.webp", saved(rgba, "WEBP"), "kept", "webp", *shape, "rgb-alpha")
put("animated.webp", saved(picture, "WEBP", save_all=True, append_images=[picture.rotate(180), picture.rotate(90)], duration=50), "kept", "webp", 128, 96, 1, 3, "")
put("cut.webp", webp[:len(webp) // 2], "decode-truncated")
put("damaged.webp", webp[:40] + bytes(200) + webp[240:], "")

put("still.gif", saved(picture.quantize(32), "GIF"), "kept", "gif", *shape, "palette")
put("animated.gif", saved(picture.quantize(8), "GIF", save_all=True, append_images=[picture.rotate(k * 9).quantize(8) for k in range(1, 6)], duration=50), "kept", "gif", 128, 96, 1, 6, "palette")
gif = saved(picture.quantize(32), "GIF")
put("cut.gif", gif[:len(gif) // 2], "decode-truncated")
# A screen smaller than the first frame, or that the frame leaves, grows; one that is larger stays.
frame = gif.index(b"\x2c\0\0\0\0\x80\0\x60\0")


def on_screen(width, height, left, top):
    return gif[:6] + struct.pack("<HH", width, height) + gif[10:frame + 1] + struct.pack("<HH", left, top) + gif[frame + 5:]


def canvas(width, height, left, top):
    out = Image.new("RGB", (width, height), "white")
    out.paste(Image.open(io.BytesIO(gif)).convert("RGB"), (left, top))
    return saved(out, "PNG")


for name, screen, at, size in (("none", (0, 0), (0, 0), (128, 96)), ("1x1", (1, 1), (0, 0), (128, 96)), ("narrow", (32, 96), (0, 0), (128, 96)),
                               ("low", (128, 32), (0, 0), (128, 96)), ("beyond", (128, 96), (32, 40), (160, 136)), ("larger", (200, 150), (10, 20), (200, 150))):
    if size != picture.size:
        put(f"screen-{name}.png", canvas(*size, *at), "kept", "png", *size, 1, 1, "rgb")
    twin(f"screen-{name}.gif", "still.gif" if size == picture.size else f"screen-{name}.png", on_screen(*screen, *at), "gif", *size, 1, 1, "palette")
put("screen-far.gif", on_screen(128, 96, 65535, 0), "too-many-pixels")
assert gif[-2:] == b"\0;"
twin("no-last-bytes.gif", "still.gif", gif[:-2], "gif", *shape, "palette")
put("last-block-cut.gif", gif[:-4], "decode-truncated")
put("bomb.gif", gif[:6] + b"\xff\xff\xff\xff" + gif[10:], "too-many-pixels")

# The library of AVIF, HEIC and JPEG XL each; lossless, so that a PNG says which pixels have to come out.
for name, options in (("", ()), ("-420", ("-y", "420")), ("-10", ("-d", "10", "-y", "422")), ("-12", ("-d", "12")), ("-gray", ("-y", "400"))):
    as_decoded(f"still{name}.avif", avif([picture], *options), "avif", *shape, ("gray" if "400" in options else "rgb") + ("16" if "-d" in options else ""))
lossless = avif([picture], "-l")
twin("lossless.avif", "rgb.png", lossless, "avif", *shape, "rgb")
twin("turned-1.avif", "quarter.png", add(lossless, [irot(1)]), "avif", 96, 128, 8, 1, "rgb")
twin("turned-1-0.avif", "mirrored.png", add(lossless, [irot(1), imir(0)]), "avif", 96, 128, 5, 1, "rgb")
with open(os.path.join(top, "exif.bin"), "wb") as f:
    f.write(exif.tobytes())
twin("exif-6.avif", "clockwise.png", avif([picture], "-l", "--exif", f.name), "avif", 96, 128, 6, 1, "rgb")  # avifenc writes irot 3, too
twin("corner.avif", "corner.png", add(lossless, [clap(40, 30, 0, 0, 128, 96)]), "avif", 40, 30, 1, 1, "rgb")
twin("not-corner.avif", "rgb.png", add(lossless, [clap(40, 30, 10, 6, 128, 96)]), "avif", *shape, "rgb")
as_decoded("alpha.avif", avif([rgba], "-y", "444"), "avif", *shape, "rgb-alpha")
as_decoded("grid.avif", avif([picture.resize((128, 64))] * 4, "--grid", "2x2"), "avif", 256, 128, 1, 1, "rgb")
grid = avif([picture.resize((128, 64))] * 4, "--grid", "2x2")
put("grid-cut.avif", grid[:-50], "decode-truncated")
as_decoded("animated.avif", avif([picture, picture.rotate(180), picture.rotate(90)]), "avif", 128, 96, 1, 3)
put("cut.avif", lossless[:len(lossless) // 2], "decode-truncated")
put("cut-in-header.avif", lossless[:100], "decode-truncated")
ispe = lossless.index(b"ispe") + 8
put("huge.avif", lossless[:ispe] + b"\0\1\0\0\0\1\0\0" + lossless[ispe + 8:], "too-many-pixels")
put("huge-side.avif", lossless[:ispe] + b"\0\0\x80\0\0\0\x10\0" + lossless[ispe + 8:], "too-many-pixels")
put("damaged.avif", lossless[:-400] + b"\xff" * 300 + lossless[-100:], "")  # AV1 has no checksum: other pixels
twin("neutral-brand.avif", "rgb.png", lossless[:8] + b"mif1" + lossless[12:], "avif", *shape, "rgb")
lossless = heic([picture], *LOSSLESS_HEIC)
as_decoded("still.heic", heic([picture]), "heic", *shape, "rgb")
as_decoded("still-10.heic", heic([("png", make_png(128, 96, 16, 2, zlib.compress(b"".join(b"\0" + (rgb[i].astype(">u2") * 257).tobytes() for i in range(96)))))], "-b", "10"), "heic", *shape, "rgb16")
as_decoded("gray.heic", heic([gray]), "heic", *shape, "gray")
as_decoded("alpha.heic", heic([rgba]), "heic", *shape, "rgb-alpha")
twin("lossless.heic", "rgb.png", lossless, "heic", *shape, "rgb")
twin("turned-1.heic", "quarter.png", add(lossless, [irot(1)]), "heic", 96, 128, 1, 1, "rgb")
twin("not-corner.heic", "not-corner.png", add(lossless, [clap(40, 30, 10, 6, 128, 96)]), "heic", 40, 30, 1, 1, "rgb")
put("cut.heic", lossless[:len(lossless) // 2], "decode-truncated")
ispe = lossless.index(b"ispe") + 8
put("huge.heic", lossless[:ispe] + b"\0\1\0\0\0\1\0\0" + lossless[ispe + 8:], "too-many-pixels")
put("av1.heic", avif([picture]).replace(b"ftypavif", b"ftypmif1").replace(b"avif", b"heic"), "unsupported")
lossless = jxl([picture], "-d", "0", "-e", "1")
twin("lossless.jxl", "rgb.png", lossless, "jxl", *shape, "rgb")
twin("alpha.jxl", "alpha.png", jxl([rgba], "-d", "0", "-e", "1"), "jxl", *shape, "rgb-alpha")
as_decoded("gray.jxl", jxl([gray], "-d", "0", "-e", "1"), "jxl", *shape, "gray")
as_decoded("lossy.jxl", jxl([picture], "-e", "3"), "jxl", *shape, "rgb")
as_decoded("container.jxl", jxl([picture], "-e", "3", "--container=1"), "jxl", *shape, "rgb")
as_decoded("exif-6.jxl", jxl([("jpg", turned)]), "jxl", 96, 128, 6, 1, "rgb")
as_decoded("animated.jxl", jxl([("gif", saved(picture.quantize(8), "GIF", save_all=True, append_images=[picture.rotate(9).quantize(8)], duration=50))]), "jxl", 128, 96, 1, 2)
put("cut.jxl", lossless[:len(lossless) // 2], "decode-truncated")
put("cut-in-header.jxl", lossless[:3], "decode-truncated")
put("damaged.jxl", lossless[:50] + bytes(range(1, 201)) + lossless[250:], "decode-corrupt")
put("quarter.png", saved(picture.transpose(Image.ROTATE_90), "PNG"), "kept", "png", 96, 128, 1, 1, "rgb")
put("clockwise.png", saved(picture.transpose(Image.ROTATE_270), "PNG"), "kept", "png", 96, 128, 1, 1, "rgb")
put("mirrored.png", saved(picture.transpose(Image.TRANSPOSE), "PNG"), "kept", "png", 96, 128, 1, 1, "rgb")
put("corner.png", saved(picture.crop((0, 0, 40, 30)), "PNG"), "kept", "png", 40, 30, 1, 1, "rgb")
put("not-corner.png", saved(picture.crop((10, 6, 50, 36)), "PNG"), "kept", "png", 40, 30, 1, 1, "rgb")

put("png-named.jpg", saved(picture.rotate(180), "PNG"), "kept", "png", *shape, "rgb")
put("page.jpg", b"<!DOCTYPE html><html><title>404</title></html>" * 200, "not-a-picture")
put("drawing.svg", b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "not-a-picture")
put("old.bmp", saved(picture, "BMP"), "not-a-picture")
put("scan.tiff", saved(picture, "TIFF"), "not-a-picture")
put("zeros.jpg", bytes(10000), "not-a-picture")
put("only-magic.jpg", b"\xff\xd8\xff", "decode-truncated")
put("empty.jpg", b"", "empty-file")
os.mkfifo(os.path.join(top, "fifo.jpg"))
rows.append(["fifo.jpg", "unreadable"])
os.mkdir(os.path.join(top, "folder.jpg"))
rows.append(["folder.jpg", "unreadable"])
rows.append(["missing.jpg", "not-found"])
rows.append(["../outside.jpg", "outside-root"])
for row in rows:
    print("\t".join(row + [""] * (8 - len(row))))
with open(os.path.join(top, "twins.tsv"), "w") as f:
    f.writelines("\t".join(t) + "\n" for t in twins)
