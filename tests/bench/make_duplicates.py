#!/usr/bin/env python3
"""A corpus for exact-duplicate finders, the same on every machine for the same arguments.

usage: make_duplicates.py OUT small|large [FILES]

small: 60,000 files of 8..120 KB; large: 200 files of 8..40 MB; in five folders. A quarter (large: 30 %) are copies, half of those
of a few popular files. A third of the sizes come from a short list, so that many strangers share a size. 2 % (large: 5 %)
have the size and the first 4 KiB of another file and differ later, every second of them only in the last 64 bytes. All begin
with the same 623 bytes, as pictures from one encoder do. The rest is noise: nothing here is a picture.
Prints the truth: files, copies, groups, bytes.
"""
import os
import random
import sys

HEADER, HEAD, FOLDERS = 623, 4096, 5


def main():
    out, profile = sys.argv[1], sys.argv[2]
    count, low, high, copies, alike, common = {
        "small": (60000, 8 << 10, 120 << 10, 0.25, 0.02, 200),
        "large": (200, 8 << 20, 40 << 20, 0.30, 0.05, 12)}[profile]
    if len(sys.argv) > 3:
        count = int(sys.argv[3])
    r = random.Random(1)
    noise = r.randbytes(high * 2)
    header = b"\xff\xd8\xff\xe0\x00\x10JFIF" + r.randbytes(HEADER - 10)
    sizes = [r.randrange(low, high) for _ in range(common)]
    n_copies, n_alike = int(count * copies), int(count * alike)
    contents = []       # size, offset in the noise, serial number, where it leaves its model (0: it has none)
    for i in range(count - n_copies - n_alike):
        size = r.choice(sizes) if r.random() < 1 / 3 else r.randrange(low, high)
        contents.append((size, r.randrange(high), i, 0))
    for i in range(n_alike):
        size, offset, serial, _ = contents[r.randrange(count - n_copies - n_alike)]
        contents.append((size, offset, serial, HEAD if i % 2 else size - 64))
    popular = [r.randrange(len(contents)) for _ in range(max(1, n_copies // 12))]
    plan = list(range(len(contents)))
    for _ in range(n_copies):
        plan.append(r.choice(popular) if r.random() < 0.5 else r.randrange(len(contents)))
    r.shuffle(plan)
    for f in range(FOLDERS):
        os.makedirs("%s/class%d" % (out, f))
    seen, n_bytes = {}, 0
    for i, c in enumerate(plan):
        size, offset, serial, leaves = contents[c]
        data = bytearray(noise[offset:offset + size])
        data[:HEADER] = header
        data[HEADER:HEADER + 8] = serial.to_bytes(8, "little")
        if leaves:
            data[leaves:leaves + 8] = (c ^ 0x5555555555).to_bytes(8, "little")
            data[-8:] = c.to_bytes(8, "big")
        with open("%s/class%d/%06d.jpg" % (out, r.randrange(FOLDERS), i), "wb") as f:
            f.write(data)
        seen[c] = seen.get(c, 0) + 1
        n_bytes += size
    print("files %d copies %d groups %d bytes %d" % (len(plan), len(plan) - len(seen), sum(v > 1 for v in seen.values()), n_bytes))


if __name__ == "__main__":
    main()
