#!/usr/bin/env python3
"""Runs eval and mine-errors over the reference cases and compares every number. usage: check_reference.py BIN TMP; prints TAP.
Standard library only."""
import csv
import math
import os
import subprocess
import sys

import tap_tables
from tap_tables import CLASSES, ok, read

BIN, TMP = sys.argv[1:3]


def close(a, b, tolerance=1e-9):
    a, b = float(a), float(b)
    return (math.isnan(a) and math.isnan(b)) or a == b or abs(a - b) <= tolerance * max(1, abs(b))


def metrics_case(folder, name):
    rows = read(folder + "/input.tsv")
    predictions = TMP + "/predictions.tsv"
    with open(predictions, "w") as f:
        f.write("\t".join(["id", "label", "slice"] + ["p_" + c for c in CLASSES] + ["z_" + c for c in CLASSES]) + "\n")
        for r in rows:
            f.write("\t".join([r["id"], CLASSES[int(r["true"])], r["slice"]] + [r["p%d" % k] for k in range(5)] + [r["z%d" % k] for k in range(5)]) + "\n")
    out = TMP + "/" + name
    subprocess.run([BIN + "/eval", "--predictions", predictions, "--out", out, "--no-report", "-j1"], check=True)
    got = {(r["metric"], r["key"]): r for r in read(out + "/metrics.tsv")}
    wrong = []
    expected = read(folder + "/metrics.tsv")
    for r in expected:
        key = (r["metric"], r["key"])
        have, want = (got[key]["value"] if key in got else "missing").split(), r["value"].split()
        tolerance = 1e-5 if r["metric"] == "temperature" else 1e-9
        try:
            good = len(have) == len(want) and all(close(a, b, tolerance) for a, b in zip(have, want))
        except ValueError:
            good = False
        if not good:
            wrong.append((key, have, want))
    ok(len(expected) > 100 and not wrong, "%s: %d metrics %s" % (name, len(expected), wrong[:3] or ""))
    low, high = got[("bootstrap_accuracy", "low 2.5%")]["value"], got[("bootstrap_accuracy", "high 97.5%")]["value"]
    accuracy = got[("accuracy", "")]
    ok(accuracy["ci_low"] == low and accuracy["ci_high"] == high, name + ": the interval of accuracy is the bootstrap's")
    for view in "strict", "broad":
        for kind in "roc", "pr":
            a, b = read("%s/%s-%s.tsv" % (out, kind, view)), read("%s/%s-%s.tsv" % (folder, kind, view))
            same = len(a) == len(b) and all(close(x[c], y[c]) for x, y in zip(a, b) for c in y)
            ok(same, "%s: %s-%s has the same %d points" % (name, kind, view, len(b)))
        a = {(r["slice"], r["rate"]): r for r in read("%s/slices-%s.tsv" % (out, view))}
        b = read("%s/slices-%s.tsv" % (folder, view))
        same = len(a) == len(b) and all(close(a[(r["slice"], r["rate"])][c], r[c]) for r in b for c in r if c not in ("slice", "rate"))
        ok(same, "%s: slices-%s, %d rates with intervals" % (name, view, len(b)))


def labels_case(folder, name):
    rows = read(folder + "/input.tsv")
    columns = [c for c in rows[0] if c.startswith("p")]
    predictions = TMP + "/predictions.tsv"
    with open(predictions, "w") as f:
        f.write("\t".join(["id", "label"] + ["p_" + c[1:] for c in columns]) + "\n")
        for r in rows:
            f.write("\t".join([r["id"], r["given"]] + [r[c] for c in columns]) + "\n")
    issues = read(folder + "/issues.tsv")
    rankings = {}
    if os.path.exists(folder + "/ranking.tsv"):
        for r in read(folder + "/ranking.tsv"):
            rankings.setdefault((r["filter_by"], r["rank_by"]), []).append(r["id"])
    wrong = []
    for rule in "prune_by_noise_rate", "prune_by_class", "both", "confident_learning", "predicted_neq_given":
        for rank in "self_confidence", "normalized_margin", "confidence_weighted_entropy":
            subprocess.run([BIN + "/mine-errors", "--predictions", predictions, "--filter", rule, "--rank", rank, "-o", TMP + "/s.tsv",
                            "--matrices", TMP + "/m.tsv"], check=True)
            got = [r["id"] for r in read(TMP + "/s.tsv")]
            if set(got) != {r["id"] for r in issues if r[rule] == "1"} or len(set(got)) != len(got):
                wrong.append((rule, rank, "mask"))
            if rankings.get((rule, rank), got) != got:
                wrong.append((rule, rank, "order"))
    ok(not wrong, "%s: masks and rankings %s" % (name, wrong))
    matrices = {(r["matrix"], r["row"], r["col"]): r["value"] for r in read(TMP + "/m.tsv")}
    expected = read(folder + "/matrices.tsv")
    ok(len(matrices) == len(expected) and all(close(matrices[(r["matrix"], r["row"], r["col"])], r["value"]) for r in expected),
       "%s: %d cells of the matrices" % (name, len(expected)))


for folder in sorted(os.listdir("tests/fixtures/metrics")):
    if os.path.isdir("tests/fixtures/metrics/" + folder):
        metrics_case("tests/fixtures/metrics/" + folder, folder)
for folder in sorted(os.listdir("tests/fixtures/label-errors")):
    if os.path.isdir("tests/fixtures/label-errors/" + folder):
        labels_case("tests/fixtures/label-errors/" + folder, folder)
sys.exit(tap_tables.plan())
