"""Animations with every disposal and blending, small frames, frames beyond the screen: make_animations.py FOLDER. Prints their names."""
import io, os, struct, sys, zlib
import numpy as np
from PIL import Image
from encoders import avif, jxl

top = sys.argv[1]
os.makedirs(top, exist_ok=True)
rng = np.random.default_rng(7)
W, H = 40, 30


def put(name, data):
    print(name)
    with open(os.path.join(top, name), "wb") as f:
        f.write(data)


def saved(image, format, **options):
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def patch(w, h, alpha):
    """A frame of that size: coarse noise, with holes or partly transparent."""
    a = np.repeat(np.repeat(rng.integers(0, 256, ((h + 4) // 5, (w + 4) // 5, 4)), 5, 0), 5, 1)[:h, :w].astype("uint8")
    a[..., 3] = 255 if alpha == "none" else np.where(a[..., 3] < 128, 0, 255) if alpha == "holes" else a[..., 3]
    return Image.fromarray(a, "RGBA")


def places(n):
    """The first frame fills the picture, later ones anything."""
    yield 0, 0, W, H
    for _ in range(n - 1):
        x, y = int(rng.integers(0, W - 8)), int(rng.integers(0, H - 8))
        yield x, y, int(rng.integers(4, W - x + 1)), int(rng.integers(4, H - y + 1))


def gif(frames, screen=(W, H)):
    """frames: (x, y, image with holes, disposal)."""
    out = b"GIF89a" + struct.pack("<HHBBB", *screen, 0, 0, 0) + b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"
    for x, y, image, disposal in frames:
        a = np.asarray(image)
        colours = image.convert("RGB").quantize(15)
        index = np.asarray(colours).copy()
        index[a[..., 3] == 0] = 15
        one = Image.fromarray(index, "P")
        one.putpalette((colours.getpalette()[:45] + [0] * 48)[:48])
        data = saved(one, "GIF", optimize=False)
        at = data.index(b"\x2c\0\0\0\0")
        n = 3 << (data[10] & 7) + 1
        palette, size = data[13:13 + n], data[10] & 7
        out += b"!\xf9\x04" + bytes([disposal << 2 | 1]) + struct.pack("<HB", 5, 15) + b"\0"
        out += b"\x2c" + struct.pack("<HHHH", x, y, *image.size) + bytes([0x80 | size]) + palette + data[at + 10:-1]
    return out + b";"


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def apng(frames, hidden=None):
    """frames: (x, y, image, dispose, blend)."""
    packed = lambda image: zlib.compress(b"".join(b"\0" + row.tobytes() for row in np.asarray(image)))
    out = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", W, H, 8, 6, 0, 0, 0)) + chunk(b"acTL", struct.pack(">II", len(frames), 0))
    out += chunk(b"IDAT", packed(hidden)) if hidden else b""
    n = 0
    for k, (x, y, image, dispose, blend) in enumerate(frames):
        out += chunk(b"fcTL", struct.pack(">IIIIIHHBB", n, *image.size, x, y, 1, 10, dispose, blend))
        n += 1
        if k == 0 and not hidden:
            out += chunk(b"IDAT", packed(image))
            continue
        data = packed(image)
        for part in (data[:50], data[50:]):
            out += chunk(b"fdAT", struct.pack(">I", n) + part)
            n += 1
    return out + chunk(b"IEND", b"")


def webp(frames):
    """frames: (x, y, image, dispose to background?, no blending?); x and y even."""
    body = b"WEBP" + b"VP8X" + struct.pack("<II", 10, 0x12) + struct.pack("<I", W - 1)[:3] + struct.pack("<I", H - 1)[:3]
    body += b"ANIM" + struct.pack("<I4BH", 6, 9, 99, 199, 255, 0)
    for x, y, image, dispose, plain in frames:
        u24 = lambda v: struct.pack("<I", v)[:3]
        frame = u24(x // 2) + u24(y // 2) + u24(image.width - 1) + u24(image.height - 1) + u24(50) + bytes([plain << 1 | dispose])
        frame += saved(image, "WEBP", lossless=True, exact=True)[12:]
        body += b"ANMF" + struct.pack("<I", len(frame)) + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


put("disposals.gif", gif([(x, y, patch(w, h, "holes"), k % 4) for k, (x, y, w, h) in enumerate(places(12))]))
put("beyond.gif", gif([(x, y, patch(w + 12, h + 9, "holes"), k % 4) for k, (x, y, w, h) in enumerate(places(6))], (W + 12, H + 9)))
put("previous-first.gif", gif([(4, 4, patch(20, 10, "holes"), 3), (0, 0, patch(9, 9, "holes"), 2), (8, 8, patch(9, 9, "none"), 0)]))
put("dispose-blend.png", apng([(x, y, patch(w, h, "some"), k % 3, k // 3 % 2) for k, (x, y, w, h) in enumerate(places(18))]))
put("previous-first.png", apng([(0, 0, patch(W, H, "some"), 2, 0), (0, 0, patch(9, 9, "some"), 1, 1), (8, 8, patch(9, 9, "some"), 0, 1)]))
put("hidden.png", apng([(x, y, patch(w, h, "some"), k % 3, 1) for k, (x, y, w, h) in enumerate(places(4))], patch(W, H, "none")))
put("dispose-blend.webp", webp([(x & ~1, y & ~1, patch(w, h, "some"), k % 2, k // 2 % 2) for k, (x, y, w, h) in enumerate(places(10))]))
put("frames.avif", avif([patch(W, H, "none").convert("RGB") for _ in range(5)], "-y", "444", "--min", "0", "--max", "0", "-l"))
put("frames.jxl", jxl([("gif", saved(patch(W, H, "none").quantize(16), "GIF", save_all=True, duration=50, append_images=[patch(W, H, "none").quantize(16) for _ in range(4)]))], "-d", "0"))
