#!/usr/bin/env python3
"""Recall per alteration, from `phash-dedup --hash-only` manifests of alter_pictures.py's output.

usage: recall.py NAME=MANIFEST...      prints, for each alteration and manifest, the share within 31, 47 and 63 bits and the median
"""
import sys


def read(path):
    with open(path, encoding="utf-8") as f:
        head = f.readline().rstrip("\n").split("\t")
        at = {n: i for i, n in enumerate(head)}
        return {r[at["path"]].rsplit("/", 1)[-1]: int(r[at["pdq"]], 16) for r in (line.rstrip("\n").split("\t") for line in f)}


sets = [(a.split("=", 1)[0], read(a.split("=", 1)[1])) for a in sys.argv[1:]]
table, plain = {}, {}
for name, hashes in sets:
    for file, h in hashes.items():
        base, alteration = file.rsplit(".", 1)[0].rsplit("__", 1)
        if alteration == "plain":
            plain.setdefault(name, []).append(h)
            continue
        d = bin(h ^ hashes[base + "__plain.jpg"]).count("1")
        table.setdefault(alteration, {}).setdefault(name, []).append(d)
print("%-22s" % "alteration" + "".join("  %-28s" % (n + ": <=31 <=47 <=63 median") for n, _ in sets))
for alteration, row in table.items():
    line = "%-22s" % alteration
    for name, _ in sets:
        d = sorted(row.get(name, []))
        line += "  " + "%5.1f %5.1f %5.1f %4d      " % (*(100 * sum(x <= t for x in d) / len(d) for t in (31, 47, 63)), d[len(d) // 2])
    print(line.rstrip())
for name, hs in plain.items():
    near = sorted(bin(a ^ b).count("1") for i, a in enumerate(hs) for b in hs[:i])
    print("%s: %d different pictures, %d pairs; the nearest are %s bits apart" % (name, len(hs), len(near), ", ".join(map(str, near[:5]))))
names = [n for n, _ in sets]
if "reference" in names and "nn512" in names:
    gap, where = max((100 * (sum(x <= 31 for x in row["reference"]) - sum(x <= 31 for x in row["nn512"])) / len(row["reference"]), a)
                     for a, row in table.items())
    print("nn512 falls short of reference by at most %.1f points within 31 bits (%s)" % (max(gap, 0), where))
