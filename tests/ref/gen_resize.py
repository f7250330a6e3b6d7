#!/usr/bin/env python3
"""Writes resize_vectors.tsv: Pillow's resizing (bilinear, Lanczos, bicubic) and exact area averages (numpy) of a made-up picture.

Columns: method, input width and height, output width and height, then all samples (RGB, row by row) separated by blanks.
Run once; the output is committed. resize_tfjs_vectors.tsv beside it comes from gen_resize_tfjs.js.
"""
import os
import numpy as np
from PIL import Image


def picture(w, h):
    y, x, c = np.mgrid[0:h, 0:w, 0:3]
    return ((x * 7 + y * 13 + c * 50 + ((x * x + 3 * y * y + x * y * (c + 1)) % 97) * 2) % 256).astype("uint8")


def coverage(n_in, n_out):
    scale = n_in / n_out
    m = np.zeros((n_out, n_in))
    for i in range(n_out):
        for j in range(n_in):
            m[i, j] = max(0.0, min((i + 1) * scale, j + 1) - max(i * scale, j))
    return m / m.sum(1, keepdims=True)


cases = [(40, 30, 13, 11), (64, 48, 16, 12), (17, 50, 9, 9), (9, 7, 23, 31), (33, 21, 33, 10), (1, 1, 5, 4), (2, 90, 7, 3), (200, 3, 6, 3)]
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "resize_vectors.tsv"), "w") as out:
    for w, h, W, H in cases:
        a = picture(w, h)
        results = {
            "bilinear": np.asarray(Image.fromarray(a).resize((W, H), Image.BILINEAR)),
            "lanczos": np.asarray(Image.fromarray(a).resize((W, H), Image.LANCZOS)),
            "bicubic": np.asarray(Image.fromarray(a).resize((W, H), Image.BICUBIC)),
            "area": np.rint(np.einsum("ij,jkc->ikc", coverage(h, H), np.einsum("ij,kjc->kic", coverage(w, W), a.astype(float)))).astype(int),
        }
        if w % W == 0 and h % H == 0:       # where Pillow's box filter means the same, it must say the same
            box = np.asarray(Image.fromarray(a).resize((W, H), Image.BOX)).astype(int)
            assert abs(box - results["area"]).max() <= 1
        for method, r in results.items():
            print(method, w, h, W, H, " ".join(map(str, r.ravel())), sep="\t", file=out)
