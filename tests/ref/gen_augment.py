#!/usr/bin/env python3
"""Writes augment_vectors.tsv: the formulas of Keras' ImageDataGenerator, with the axes of keras-preprocessing 1.1.2 and a later release's centre (apply_affine_transform, flips, channel shift, brightness)
written out with scipy's affine_transform, order 1, on a made-up picture.

Columns: parameters (winnow's text form), fill mode, width, height, then all samples (RGB, row by row) as floats.
Rows are axis 0 and columns axis 1, as in that release (later ones exchange them): tx, zx belong to rows. Run once; the output is committed.
"""
import os
import numpy as np
from scipy.ndimage import affine_transform


def picture(w, h):
    y, x, c = np.mgrid[0:h, 0:w, 0:3]
    return np.rint(127 + 90 * np.sin(x / 4.0 + c) + 37 * np.cos(y / 3.0 - c)).astype("uint8")


def keras(x, theta=0, ty=0, tx=0, shear=0, zy=1, zx=1, flip=False, vflip=False, channel=0, brightness=1, fill="nearest"):
    h, w = x.shape[:2]
    m = np.eye(3)
    if theta:
        a = np.deg2rad(theta)
        m = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    m = m @ np.array([[1, 0, ty * h], [0, 1, tx * w], [0, 0, 1]])
    s = np.deg2rad(shear)
    m = m @ np.array([[1, -np.sin(s), 0], [0, np.cos(s), 0], [0, 0, 1]])
    m = m @ np.diag([zy, zx, 1])
    oy, ox = h / 2 - 0.5, w / 2 - 0.5       # transform_matrix_offset_center
    m = np.array([[1, 0, oy], [0, 1, ox], [0, 0, 1]]) @ m @ np.array([[1, 0, -oy], [0, 1, -ox], [0, 0, 1]])
    x = x.astype(np.float64)
    x = np.stack([affine_transform(x[..., c], m[:2, :2], m[:2, 2], order=1, mode=fill) for c in range(3)], -1)
    if channel:
        x = np.clip(x + channel, x.min(), x.max())
    if flip:
        x = x[:, ::-1]
    if vflip:
        x = x[::-1]
    if brightness != 1:
        x = np.clip(x * brightness, 0, 255)
    return x


cases = [
    ("rotation=30", dict(theta=30)),
    ("rotation=-17.5", dict(theta=-17.5)),
    ("shift=0.2:0", dict(ty=0.2)),
    ("shift=-0.13:0.2", dict(ty=-0.13, tx=0.2)),
    ("shear=0.2", dict(shear=0.2)),
    ("shear=25", dict(shear=25)),
    ("zoom=0.8:1.2", dict(zy=0.8, zx=1.2)),
    ("zoom=1.15:0.9", dict(zy=1.15, zx=0.9)),
    ("flip", dict(flip=True)),
    ("vflip", dict(vflip=True)),
    ("rotation=12,flip", dict(theta=12, flip=True)),
    ("channel=20", dict(channel=20)),
    ("channel=-13", dict(channel=-13)),
    ("rotation=21.3,shift=0.11:-0.07,shear=0.15,zoom=0.93:1.18,flip,channel=-9", dict(theta=21.3, ty=0.11, tx=-0.07, shear=0.15, zy=0.93, zx=1.18, flip=True, channel=-9)),
    ("rotation=-30,shift=-0.2:0.2,shear=-0.2,zoom=1.2:0.8,vflip,channel=20,brightness=1.1", dict(theta=-30, ty=-0.2, tx=0.2, shear=-0.2, zy=1.2, zx=0.8, vflip=True, channel=20, brightness=1.1)),
]
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "augment_vectors.tsv"), "w") as out:
    for w, h in [(31, 23), (20, 20)]:
        for text, options in cases:
            for fill in ["nearest"] + (["reflect"] if text in ("rotation=30", "shift=-0.13:0.2") else []):
                r = keras(picture(w, h), fill=fill, **options)
                print(text, fill, w, h, " ".join(f"{v:.2f}" for v in r.ravel()), sep="\t", file=out)
