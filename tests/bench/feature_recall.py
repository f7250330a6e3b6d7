#!/usr/bin/env python3
"""Recall per alteration of feature-dedup's verified pairs beside PDQ, and the false ones.

usage: feature_recall.py PAIRS HASHES SAME      PAIRS of feature_bench, HASHES of phash-dedup --hash-only, SAME: pairs of originals that show
                                                the same thing to a person (tests/bench/same_pictures.tsv)
"""
import sys


def table(path):
    with open(path, encoding="utf-8") as f:
        head = f.readline().rstrip("\n").split("\t")
        for line in f:
            yield dict(zip(head, line.rstrip("\n").split("\t")))


def split(path):
    return path.rsplit("/", 1)[-1].rsplit(".", 1)[0].rsplit("__", 1)


pairs, hashes, same = sys.argv[1:4]
shown = {frozenset((r["a"], r["b"])) for r in table(same)}
pdq = {tuple(split(r["path"])): int(r["pdq"], 16) for r in table(hashes)}
found, false, known, candidates, verified = set(), set(), 0, 0, 0
for r in table(pairs):
    a, b = split(r["a"]), split(r["b"])
    candidates += 1
    if r["same"] != "1":
        continue
    verified += 1
    if a[0] == b[0]:
        if "plain" in (a[1], b[1]):
            found.add((a[0], b[1] if a[1] == "plain" else a[1]))
    elif frozenset((a[0], b[0])) in shown:
        known += 1
    else:
        false.add(tuple(sorted((a[0], b[0]))))
names = {}
for base, alteration in pdq:
    names.setdefault(alteration, []).append(base)
originals = names.pop("plain")
print("%-20s  %-10s  %-10s  %-10s  %s" % ("alteration", "features", "PDQ <= 31", "PDQ <= 63", "features or PDQ <= 63"))
for alteration, bases in names.items():
    d = {b: bin(pdq[b, alteration] ^ pdq[b, "plain"]).count("1") for b in bases}
    share = [100 * sum(test(b) for b in bases) / len(bases) for test in (
        lambda b: (b, alteration) in found, lambda b: d[b] <= 31, lambda b: d[b] <= 63, lambda b: (b, alteration) in found or d[b] <= 63)]
    print("%-20s  %-10.1f  %-10.1f  %-10.1f  %.1f" % (alteration, *share))
of_each = [1 + sum(name in bases for bases in map(set, names.values())) for name in originals]
print("different pairs: %.1f million; candidates: %d" % ((sum(of_each) ** 2 - sum(n * n for n in of_each)) / 2e6, candidates))
print("joined: %d pairs, %d of originals that show the same thing, %d of different pictures" % (verified, known, len(false)))
for a, b in sorted(false):
    print("  joined falsely: %s %s" % (a, b))
