"""npy_pictures.py FILE.npy FOLDER: the pictures of an array uint8 [n,side,side,3] as PNG files 0.png, 1.png, ..."""
import os
import struct
import sys
import zlib


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


with open(sys.argv[1], "rb") as f:
    bytes_ = f.read()
shape = eval(bytes_[10:].split(b"'shape': ")[1].split(b")")[0] + b")")
at = 10 + struct.unpack("<H", bytes_[8:10])[0]
row = shape[2] * 3
os.makedirs(sys.argv[2], exist_ok=True)
for i in range(shape[0]):
    rows = b"".join(b"\0" + bytes_[at + (i * shape[1] + y) * row:][:row] for y in range(shape[1]))
    with open(f"{sys.argv[2]}/{i}.png", "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", shape[2], shape[1], 8, 2, 0, 0, 0)) +
                chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
