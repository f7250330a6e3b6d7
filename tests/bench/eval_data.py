#!/usr/bin/python3
"""Predictions for benchmarks: N rows of K classes with 9 % confusions, seeded. usage: eval_data.py N K >predictions.tsv"""
import sys

import numpy

n, k = int(sys.argv[1]), int(sys.argv[2])
random = numpy.random.default_rng(1)
names = ["drawings", "hentai", "neutral", "porn", "sexy"] if k == 5 else ["c%02d" % i for i in range(k)]
out = sys.stdout
out.write("path\tid\tlabel\tpred\t" + "\t".join("p_" + c for c in names) + "\n")
for start in range(0, n, 100000):
    m = min(100000, n - start)
    true = random.integers(0, k, m)
    z = random.normal(0, 1.1, (m, k))
    z[numpy.arange(m), true] += 3.5
    given = numpy.where(random.random(m) < 0.05, random.integers(0, k, m), true)
    p = numpy.exp(z - z.max(axis=1, keepdims=True))
    p = (p / p.sum(axis=1, keepdims=True)).astype(numpy.float32)
    ids = random.integers(0, 2**63, (m, 2))
    pred = p.argmax(axis=1)
    for i in range(m):
        name = "%016x%016x" % (ids[i, 0], ids[i, 1])
        out.write("objects/%s/%s.jpg\t%s\t%s\t%s\t%s\n" % (name[:2], name[2:], name, names[given[i]], names[pred[i]],
                                                         "\t".join("%.9g" % x for x in p[i])))
