#!/usr/bin/env python3
"""The intervals of eval's metrics.tsv against a plain second implementation: every row left out in turn for the jackknife, every pair of
rows for DeLong's variance. usage: check_intervals.py BIN TMP; prints TAP. Standard library only."""
import math
import os
import subprocess
import sys

import tap_tables
from tap_tables import CLASSES, ok, read

BIN, TMP = sys.argv[1:3]
VIEWS = {"strict": {1, 3}, "broad": {1, 3, 4}}
Z = 1.959963984540054


def logit(value, variance):
    if not 0 < value < 1 or not variance > 0:
        return None
    at, half = math.log(value / (1 - value)), Z * math.sqrt(variance) / (value * (1 - value))
    return tuple(1 / (1 + math.exp(-x)) for x in (at - half, at + half))


def plain(value, variance, lowest=0, highest=1):
    half = Z * math.sqrt(variance)
    return (max(value - half, lowest), min(value + half, highest)) if variance > 0 else None


def jackknife(estimates):
    n = len(estimates)
    mean = math.fsum(estimates) / n
    return (n - 1) / n * math.fsum((x - mean) ** 2 for x in estimates)


def auc(score, positive):
    """Area and DeLong's variance, pair by pair."""
    up, down = [s for s, y in zip(score, positive) if y], [s for s, y in zip(score, positive) if not y]
    if len(up) < 2 or len(down) < 2:
        return None
    wins = [[(a > b) + (a == b) / 2 for b in down] for a in up]
    of_up, of_down = [sum(w) / len(down) for w in wins], [sum(c) / len(up) for c in zip(*wins)]
    area = math.fsum(of_up) / len(up)

    def spread(parts):
        return math.fsum((x - area) ** 2 for x in parts) / (len(parts) - 1) / len(parts)
    return logit(area, spread(of_up) + spread(of_down))


def average_precision(ordered):
    """ordered: (score, positive), highest first."""
    tp = fp = 0
    total, i = 0.0, 0
    while i < len(ordered):
        before = tp
        score = ordered[i][0]
        while i < len(ordered) and ordered[i][0] == score:
            tp += ordered[i][1]
            fp += not ordered[i][1]
            i += 1
        total += (tp - before) * tp / (tp + fp)
    return total / tp


def ap(score, positive):
    if sum(positive) < 2 or all(positive):
        return None
    ordered = sorted(zip(score, positive), key=lambda r: -r[0])
    return logit(average_precision(ordered), jackknife([average_precision(ordered[:i] + ordered[i + 1:]) for i in range(len(ordered))]))


def f1(truth, guess, k):
    tp = sum(t == k and g == k for t, g in zip(truth, guess))
    return 2 * tp / (truth.count(k) + guess.count(k)) if tp else 0


def summaries(truth, guess):
    n, classes = len(truth), range(len(CLASSES))
    t, g, f = [truth.count(k) for k in classes], [guess.count(k) for k in classes], [f1(truth, guess, k) for k in classes]
    right = [sum(a == b == k for a, b in zip(truth, guess)) for k in classes]
    chance, recalls = sum(a * b for a, b in zip(t, g)), [r / m for r, m in zip(right, t) if m]
    return {("f1-score", "macro avg"): sum(f) / len(f), ("f1-score", "weighted avg"): sum(a * b for a, b in zip(t, f)) / n,
            ("balanced_accuracy", ""): sum(recalls) / len(recalls),
            ("cohen_kappa", ""): (sum(right) / n - chance / n / n) / (1 - chance / n / n),
            ("mcc", ""): (sum(right) * n - chance) / math.sqrt((n * n - sum(x * x for x in g)) * (n * n - sum(x * x for x in t)))}


def wilson_f1(tp, fp, fn):
    n = tp + fp + fn
    if n == 0:
        return 0, 1
    p = tp / n
    centre, half = (p + Z * Z / 2 / n) / (1 + Z * Z / n), Z * math.sqrt(p * (1 - p) / n + Z * Z / 4 / n / n) / (1 + Z * Z / n)
    return tuple(2 * j / (1 + j) for j in (centre - half, centre + half))


def case(folder, name, limit):
    rows = read(folder + "/input.tsv")[:limit]
    path, out = TMP + "/intervals.tsv", TMP + "/intervals-" + name
    with open(path, "w") as f:
        f.write("\t".join(["id", "label"] + ["p_" + c for c in CLASSES]) + "\n")
        for r in rows:
            f.write("\t".join([r["id"], CLASSES[int(r["true"])]] + [r["p%d" % k] for k in range(5)]) + "\n")
    subprocess.run([BIN + "/eval", "--predictions", path, "--out", out, "--no-report", "-j1"], check=True)
    truth, p = [int(r["true"]) for r in rows], [[float(r["p%d" % k]) for k in range(5)] for r in rows]
    guess = [x.index(max(x)) for x in p]
    n, want = len(rows), {}
    for k, c in enumerate(CLASSES):
        tp = sum(t == g == k for t, g in zip(truth, guess))
        want[("f1-score", c)] = wilson_f1(tp, guess.count(k) - tp, truth.count(k) - tp)
        want[("roc_auc_ovr", c)] = auc([x[k] for x in p], [t == k for t in truth])
        want[("average_precision_ovr", c)] = ap([x[k] for x in p], [t == k for t in truth])
    for view, classes in VIEWS.items():
        score = [round(sum(x[k] for k in sorted(classes)), 12) for x in p]
        want[("binary_roc_auc", view)] = auc(score, [t in classes for t in truth])
        want[("binary_average_precision", view)] = ap(score, [t in classes for t in truth])
    values = summaries(truth, guess)
    without = [summaries(truth[:i] + truth[i + 1:], guess[:i] + guess[i + 1:]) for i in range(n)]
    for key, value in values.items():
        want[key] = plain(value, jackknife([w[key] for w in without]), -1 if key[0] in ("cohen_kappa", "mcc") else 0)
    clip = [[min(max(v, 1e-15), 1 - 1e-15) for v in x] for x in p]
    losses = {"log_loss": [-math.log(x[t] / sum(x)) for x, t in zip(clip, truth)],
              "brier_multiclass": [sum((v - (k == t)) ** 2 for k, v in enumerate(x)) for x, t in zip(p, truth)]}
    got = {(r["metric"], r["key"]): r for r in read(out + "/metrics.tsv")}
    for metric, parts in losses.items():
        mean = math.fsum(parts) / n
        key = next(k for k in got if k[0] == metric)
        want[key] = plain(mean, math.fsum((x - mean) ** 2 for x in parts) / n / (n - 1), 0, math.inf)
    wrong = []
    for key, interval in want.items():
        have = (got[key]["ci_low"], got[key]["ci_high"])
        good = have == ("", "") if interval is None else "" not in have and all(abs(float(a) - b) <= 1e-9 for a, b in zip(have, interval))
        if not good:
            wrong.append((key, have, interval))
    ok(len(want) == 26 and not wrong, "%s: %d rows, %d intervals %s" % (name, n, len(want), wrong[:3] or ""))


# Every row left out in turn costs the square of the rows: as many as take a second.
case("tests/fixtures/metrics/n0400-ties", "ties", 400)
case("tests/fixtures/metrics/n2000-overconfident", "overconfident", 300)
case("tests/fixtures/metrics/n2000-overconfident", "few", 25)
sys.exit(tap_tables.plan())
