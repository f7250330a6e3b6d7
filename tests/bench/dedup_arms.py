#!/usr/bin/python3
"""What taking copies out costs a head, over several splits of one data set (needs NumPy).

usage: dedup_arms.py BIN SEEDS FEATURES TRUTH NAME=MANIFEST...      FEATURES: a folder that embed wrote without --reduce; TRUTH: the demo's
                                                                    truth.tsv; the first manifest is what the others are compared with
Each manifest is split with seeds 1 to SEEDS (15 % val, 20 % test). A softmax (Adam, 20 epochs, batches of 32, rate 0.003, cosine) learns from
the labels of the lists and is tested against the true ones: accuracy and its standard deviation over the splits, recall of clipart, and the
mean difference from the first manifest with a 95 % interval over the splits.
"""
import csv
import os
import subprocess
import sys
import tempfile

import numpy as np


def table(path):
    with open(path, encoding="utf-8") as f:
        return list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))


def learn(x, y, n_classes, seed):
    r, w, b = np.random.default_rng(seed), np.zeros((x.shape[1], n_classes), np.float32), np.zeros(n_classes, np.float32)
    m, v, step, steps = [0, 0], [0, 0], 0, 20 * ((len(y) + 31) // 32)
    for _ in range(20):
        order = r.permutation(len(y))
        for at in range(0, len(y), 32):
            rows = order[at:at + 32]
            z = x[rows] @ w + b
            z = np.exp(z - z.max(1, keepdims=True))
            z /= z.sum(1, keepdims=True)
            z[np.arange(len(rows)), y[rows]] -= 1
            z /= len(rows)
            step += 1
            rate = 0.003 * 0.5 * (1 + np.cos(np.pi * step / steps))
            for k, (p, g) in enumerate(((w, x[rows].T @ z), (b, z.sum(0)))):
                m[k], v[k] = 0.9 * m[k] + 0.1 * g, 0.999 * v[k] + 0.001 * g * g
                p -= rate * (m[k] / (1 - 0.9 ** step)) / (np.sqrt(v[k] / (1 - 0.999 ** step)) + 1e-7)
    return w, b


programs, seeds, features, truth = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
x = np.load(os.path.join(features, "features.npy")).astype(np.float32)
place = {r["path"]: i for i, r in enumerate(table(os.path.join(features, "rows.tsv")))}
true = {r["url"]: r["label_true"] for r in table(truth)}
classes = sorted(set(filter(None, true.values())))
arms, found = [a.split("=", 1) for a in sys.argv[5:]], {}
for seed in range(1, seeds + 1):
    for name, manifest in arms:
        with tempfile.NamedTemporaryFile() as out:
            subprocess.run([os.path.join(programs, "train-test-split"), "-q", "--val", "0.15", "--test", "0.2", "--seed", str(seed), "-o", out.name, manifest], check=True)
            rows = table(out.name)
        train, test = ([r for r in rows if r["split"] == s] for s in ("train", "test"))
        w, b = learn(x[[place[r["path"]] for r in train]], np.array([classes.index(r["label"]) for r in train]), len(classes), seed)
        y = np.array([classes.index(true[r["url"]]) for r in test])
        right = (x[[place[r["path"]] for r in test]] @ w + b).argmax(1) == y
        clipart = y == classes.index("clipart") if "clipart" in classes else y >= 0
        found.setdefault(name, []).append((right.mean(), right[clipart].mean(), len(test), len(train)))
first = np.array(found[arms[0][0]])
for name, _ in arms:
    a = np.array(found[name])
    d = 100 * (a[:, 0] - first[:, 0])
    print("%-12s accuracy %.2f %% (%.2f)  clipart %.1f %%  test %.0f  train %.0f  difference %+.2f +- %.2f" % (
        name, 100 * a[:, 0].mean(), 100 * a[:, 0].std(ddof=1), 100 * a[:, 1].mean(), a[:, 2].mean(), a[:, 3].mean(), d.mean(), 1.96 * d.std(ddof=1) / len(d) ** 0.5))
