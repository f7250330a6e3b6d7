#!/usr/bin/python3
"""pictures.py: the parts of pictures.sh that are Python: made-up photographs, PSNR, Keras' (scipy) and OpenCV's augmentation.

photos FOLDER N [W H] 1024x768 JPEGs of 1/f noise at quality 85, 4:2:0: harder to compress than most photographs
psnr PHOTO RAW...     each 299x299x3 raw file against a float Lanczos-3 reduction of the fully decoded photo
scipy|opencv N        article's augmentation of a 299x299 picture, one thread: N, wall and CPU seconds
"""
import os, sys, time
import numpy as np


def photos(folder, n, w=1024, h=768):
    from PIL import Image
    os.makedirs(folder, exist_ok=True)
    rng = np.random.default_rng(1)
    f = np.sqrt(np.fft.fftfreq(h)[:, None] ** 2 + np.fft.rfftfreq(w)[None] ** 2)
    f[0, 0] = 1
    field = lambda e: np.fft.irfft2((rng.normal(size=f.shape) + 1j * rng.normal(size=f.shape)) / f ** e, s=(h, w))
    for k in range(n):
        base, out = field(1.1), []
        for _ in range(3):
            x = base + 0.35 * field(1.3)
            out.append(np.clip(128 + 50 * (x - x.mean()) / x.std(), 0, 255))
        Image.fromarray(np.stack(out, -1).astype("uint8")).save(f"{folder}/p{k:02d}.jpg", quality=85)


def psnr(photo, raws):
    from PIL import Image

    def weights(n_in, n_out):
        s = n_in / n_out
        x = (np.arange(n_in)[None] + 0.5 - (np.arange(n_out)[:, None] + 0.5) * s) / s
        w = np.where(abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)
        return w / w.sum(1, keepdims=True)

    im = np.asarray(Image.open(photo).convert("RGB")).astype(float)
    want = np.clip(np.einsum("ij,jkc->ikc", weights(im.shape[0], 299), np.einsum("ij,kjc->kic", weights(im.shape[1], 299), im)), 0, 255)
    for raw in raws:
        x = np.fromfile(raw, np.uint8).reshape(299, 299, 3).astype(float)
        print(f"{os.path.basename(raw)}\t{10 * np.log10(255 ** 2 / ((x - want) ** 2).mean()):.2f}")


def augmentation(kind, n):
    side, rng = 299, np.random.default_rng(1)
    picture = (np.arange(side * side * 3) ** 2 >> 7).astype("uint8").reshape(side, side, 3)

    def matrix():
        a, s = np.deg2rad(rng.uniform(-30, 30)), np.deg2rad(rng.uniform(-0.2, 0.2))
        (zy, zx), (ty, tx), c = rng.uniform(0.8, 1.2, 2), rng.uniform(-0.2, 0.2, 2) * side, side / 2 - 0.5
        m = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]) @ np.array([[1, 0, ty], [0, 1, tx], [0, 0, 1]])
        m = m @ np.array([[1, -np.sin(s), 0], [0, np.cos(s), 0], [0, 0, 1]]) @ np.diag([zy, zx, 1])
        return np.array([[1, 0, c], [0, 1, c], [0, 0, 1]]) @ m @ np.array([[1, 0, -c], [0, 1, -c], [0, 0, 1]])

    if kind == "scipy":
        from scipy.ndimage import affine_transform

        def one(x):
            m, x = matrix(), x.astype("float32")
            x = np.stack([affine_transform(x[..., c], m[:2, :2], m[:2, 2], order=1, mode="nearest") for c in range(3)], -1)
            d, low, high = rng.uniform(-20, 20), x.min(), x.max()
            x = np.stack([np.clip(x[..., c] + d, low, high) for c in range(3)], -1)
            return x[:, ::-1] if rng.random() < 0.5 else x
    else:
        import cv2
        cv2.setNumThreads(1)

        def one(x):
            m = matrix()
            xy = np.array([[m[1, 1], m[1, 0], m[1, 2]], [m[0, 1], m[0, 0], m[0, 2]]])
            x = cv2.warpAffine(x, xy, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)
            d, low, high = int(rng.integers(-20, 21)), int(x.min()), int(x.max())
            x = cv2.add(x, (d, d, d, 0)) if d >= 0 else cv2.subtract(x, (-d, -d, -d, 0))
            x = cv2.min(cv2.max(x, low), high)
            return cv2.flip(x, 1) if rng.random() < 0.5 else x
    one(picture)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(n):
        one(picture)
    print(n, f"{time.perf_counter() - wall:.4f} {time.process_time() - cpu:.4f}")


if sys.argv[1] == "photos":
    photos(sys.argv[2], *map(int, sys.argv[3:]))
elif sys.argv[1] == "psnr":
    psnr(sys.argv[2], sys.argv[3:])
else:
    augmentation(sys.argv[1], int(sys.argv[2]))
