#!/usr/bin/env python3
"""Gates of eval --compare: every metric that a gate can name against its definition computed here, the four comparisons at and beside
the bound, `no worse` by McNemar's exact test with Holm's correction, undefined rates, and what is refused. usage: check_gates.py BIN TMP;
prints TAP. Standard library only."""
import math
import random
import re
import subprocess
import sys

from tap_tables import ok, plan

BIN, TMP = sys.argv[1:3]
K, N = ["a", "b", "c"], 400
VIEWS = {"v": [1, 2], "w": [2]}


def make(seed, confusing):
    """Rows of probabilities (text, so that both sides read the same numbers); `confusing`: a camera whose rows are often wrong."""
    rng = random.Random(seed)
    rows = []
    for i in range(N):
        label, camera = i % 3, "xyz"[i // 3 % 3]
        if camera == "z":
            label = 1 + label % 2                       # of view v there are no negatives in this slice
        weak = camera == confusing and rng.random() < 0.6
        w = [rng.random() + (1.4 if k == label else 0) + (1.4 if weak and k == (label + 1) % 3 else 0) for k in range(3)]
        p = [float("%.6g" % (x / sum(w))) for x in w]
        rows.append((label, camera, p))
    return rows


def write(name, rows):
    with open(TMP + "/" + name, "w") as f:
        f.write("id\tlabel\tcamera\t" + "\t".join("p_" + k for k in K) + "\n")
        for i, (label, camera, p) in enumerate(rows):
            f.write("%d\t%s\t%s\t%s\n" % (i, K[label], camera, "\t".join(repr(x) for x in p)))


def compare(*gates, old="old.tsv", new="new.tsv", more=()):
    argv = [BIN + "/eval", "--compare", TMP + "/" + old, TMP + "/" + new, "--out", TMP + "/out", "-v", "--view", "v=b+c",
            "--view", "w=c", "--slice", "camera", "-j1", *more]
    for g in gates:
        argv += ["--gate", g]
    return subprocess.run(argv, capture_output=True, text=True)


MISS = re.compile(r"^eval: gate missed: '(.*)': (\S+) was (\S+), is (\S+?)(?: \(p (\S+)\))?$")


def missed(run):
    """[(gate, what, old, new, p)] of the messages."""
    found = [MISS.match(line) for line in run.stderr.split("\n")]
    return [(m[1], m[2], float(m[3]), float(m[4]), float(m[5]) if m[5] else None) for m in found if m]


# --- the definitions ---

def pred(p):
    return max(range(3), key=lambda k: (p[k], -k))


def confusion(rows):
    c = [[0] * 3 for _ in K]
    for label, _, p in rows:
        c[label][pred(p)] += 1
    return c


def metrics(rows):
    c, n = confusion(rows), len(rows)
    true = [sum(c[k]) for k in range(3)]
    said = [sum(c[j][k] for j in range(3)) for k in range(3)]
    right = sum(c[k][k] for k in range(3))
    m = {"accuracy": right / n, "balanced_accuracy": sum(c[k][k] / true[k] for k in range(3)) / 3}
    chance = sum(true[k] * said[k] for k in range(3)) / n / n
    m["kappa"] = (right / n - chance) / (1 - chance)
    m["mcc"] = (right * n - sum(true[k] * said[k] for k in range(3))) / math.sqrt((n * n - sum(x * x for x in said)) * (n * n - sum(x * x for x in true)))
    m["top2_accuracy"] = sum(sum(q > p[l] for q in p) < 2 for l, _, p in rows) / n
    m["log_loss"] = sum(-math.log(p[l] / sum(p)) for l, _, p in rows) / n
    m["brier"] = sum(sum((p[k] - (k == l)) ** 2 for k in range(3)) for l, _, p in rows) / n
    bins = [[0, 0, 0.0] for _ in range(15)]
    for label, _, p in rows:
        b = bins[min(14, math.ceil(max(p) * 15) - 1)]
        b[0] += 1
        b[1] += pred(p) == label
        b[2] += max(p)
    m["ece"] = sum(abs(b[1] - b[2]) for b in bins) / n
    for k in range(3):
        recall, precision = c[k][k] / true[k], c[k][k] / said[k]
        m["recall[%s]" % K[k]], m["precision[%s]" % K[k]], m["f1[%s]" % K[k]] = recall, precision, 2 * recall * precision / (recall + precision)
    for name, parts in VIEWS.items():
        s = [sum(p[k] for k in parts) for _, _, p in rows]
        y = [label in parts for label, _, _ in rows]
        pos, neg = sum(y), n - sum(y)
        points = []
        for t in sorted(set(s), reverse=True):
            points.append((sum(a >= t and b for a, b in zip(s, y)), sum(a >= t and not b for a, b in zip(s, y))))
        m[name + ":recall@fpr=0.05"] = max((tp for tp, fp in points if fp / neg <= 0.05), default=0) / pos
        m[name + ":precision@recall=0.9"] = max(tp / (tp + fp) for tp, fp in points if tp / pos >= 0.9)
        m[name + ":roc_auc"] = sum((a > b) + (a == b) / 2 for a, l in zip(s, y) if l for b, q in zip(s, y) if not q) / pos / neg
        m[name + ":average_precision"] = sum((tp - before) / pos * tp / (tp + fp) for (tp, fp), before in zip(points, [0] + [q[0] for q in points]))
        for camera in [None, "x", "y", "z"]:
            at = [i for i in range(n) if camera in (None, rows[i][1])]
            where = "[camera=%s]" % camera if camera else ""
            negatives, positives = [i for i in at if not y[i]], [i for i in at if y[i]]
            m["%s:fpr%s" % (name, where)] = sum(s[i] >= 0.5 for i in negatives) / len(negatives) if negatives else math.nan
            m["%s:fnr%s" % (name, where)] = sum(s[i] < 0.5 for i in positives) / len(positives)
            m["%s:flag_rate%s" % (name, where)] = sum(s[i] >= 0.5 for i in at) / len(at)
            m["%s:accuracy%s" % (name, where)] = sum((s[i] >= 0.5) == y[i] for i in at) / len(at)
    for camera in "xyz":
        at = [r for r in rows if r[1] == camera]
        m["accuracy[camera=%s]" % camera] = sum(pred(p) == l for l, _, p in at) / len(at)
    return m


def mcnemar(old, new):
    """Two-sided exact p of lists of hits."""
    b, c = sum(x and not y for x, y in zip(old, new)), sum(y and not x for x, y in zip(old, new))
    n = b + c
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(min(b, c) + 1)) / 2 ** n) if n else 1.0


def near(a, b):
    return (math.isnan(a) and math.isnan(b)) or abs(a - b) <= 1.01e-5 * max(abs(a), abs(b), 1e-3)


old, new = make(1, "x"), make(2, "y")
write("old.tsv", old)
write("new.tsv", new)
want = {"old": metrics(old), "new": metrics(new)}

# Every metric, by a gate that no model meets: the message has both values.
run = compare(*["%s > 1e9" % m for m in want["new"]])
said = {what: (a, b) for _, what, a, b, _ in missed(run)}
wrong = [m for m in want["new"] if m not in said or not near(said[m][0], want["old"][m]) or not near(said[m][1], want["new"][m])]
ok(run.returncode == 1 and not wrong and len(said) == len(want["new"]) > 45, "%d metrics have the values of their definitions %s" % (len(said), wrong[:4] or ""))
ok("eval: %d checks, %d missed" % (len(said), len(said)) in run.stderr, "-v counts them")

# The comparisons: exactly at, above and below the value.
recall = want["new"]["recall[a]"]
exact, above, below = repr(recall), repr(math.nextafter(recall, 2)), repr(math.nextafter(recall, -1))
for op, holds in (">=", (True, False, True)), ("<=", (True, True, False)), (">", (False, False, True)), ("<", (False, True, False)):
    got = tuple(compare("recall[a] %s %s" % (op, bound)).returncode for bound in (exact, above, below))
    ok(got == tuple(0 if h else 1 for h in holds), "%s at, below and above the value: %s" % (op, got))
change = want["new"]["kappa"] - want["old"]["kappa"]
got = [compare("kappa >= old %s" % offset).returncode for offset in ("%+.9f" % (change - 1e-6), "%+.9f" % (change + 1e-6))]
ok(got == [0, 1], "old + and - a number: %s of a change of %.4f" % (got, change))
ok(compare("recall[a]>=0", " \t recall[a] >= old- 1", "kappa <= old+1").returncode == 0, "blanks are free")
same = compare("accuracy >= old", "w:fpr <= old", "log_loss no worse", "v:roc_auc no worse", "fnr[*] no worse", new="old.tsv")
ok(same.returncode == 0 and "eval: 10 checks, 0 missed" in same.stderr, "a model against itself is no worse; a metric of no named view is asked of each")

# no worse: evidence for rates, Holm over the slices of one gate.
right = {side: [pred(p) == label for label, _, p in rows] for side, rows in (("old", old), ("new", new))}
p = []
for camera in "xyz":
    at = [i for i in range(N) if new[i][1] == camera]
    p.append(mcnemar([right["old"][i] for i in at], [right["new"][i] for i in at]))
order, holm, most = sorted(range(3), key=lambda i: p[i]), [0.0] * 3, 0.0
for rank, i in enumerate(order):
    most = max(most, min(1.0, (3 - rank) * p[i]))
    holm[i] = most
change = [want["new"]["accuracy[camera=%s]" % c] - want["old"]["accuracy[camera=%s]" % c] for c in "xyz"]
expected = ["accuracy[camera=%s]" % c for i, c in enumerate("xyz") if change[i] < 0 and holm[i] < 0.05]
ok(expected == ["accuracy[camera=y]"] and change[0] > 0.1, "the case is as meant: the new model is worse on camera y and better on x")
for gate in "accuracy[*] no worse", "accuracy[camera] no worse":
    run = compare(gate)
    got = missed(run)
    ok(run.returncode == 1 and [m[1] for m in got] == expected and abs(got[0][4] - holm[1]) <= 0.01 * holm[1], "%s: camera y alone, p by Holm %s" % (gate, got))
ok(compare("accuracy[camera=x] no worse").returncode == 0, "better is no worse")
flipped = [list(r) for r in old]
hit = next(i for i in range(N) if right["old"][i])
label, camera, q = flipped[hit]
flipped[hit][2] = [q[(k + label - (label + 1)) % 3] for k in range(3)]       # the highest goes to the class after the right one
write("flipped.tsv", flipped)
ok(compare("accuracy no worse", new="flipped.tsv").returncode == 0, "one picture more is no evidence: no worse")
ok(compare("accuracy >= old", new="flipped.tsv").returncode == 1, "but it is less than old")
run = compare("balanced_accuracy no worse", "log_loss no worse", "v:fpr no worse", "v:fnr no worse", new="flipped.tsv")
ok(run.returncode == 1 and [m[1] for m in missed(run)] == ["balanced_accuracy", "log_loss"], "without a test, worse at all is worse: %s" % [m[1] for m in missed(run)])

# Undefined: a slice without negatives has no fpr, before and after.
ok(compare("v:fpr[camera=z] <= old", "v:fpr[camera=z] no worse").returncode == 0, "undefined before and after is no miss against old")
run = compare("v:fpr[camera=z] <= 0.9")
ok(run.returncode == 1 and "v:fpr[camera=z] was nan, is nan" in run.stderr, "but it meets no number")

# Refusals: the sentence, exit 64, and nothing is written.
subprocess.run(["rm", "-rf", TMP + "/out"], check=True)
for gate, why in (
        ("", "expected a metric first, such as accuracy or recall@fpr=0.01"),
        (":accuracy >= old", "the view's name is empty or too long"),
        ("v" * 65 + ":fpr >= old", "the view's name is empty or too long"),
        ("recall@fpr=2 >= old", "@fpr= and @recall= take a number from 0 to 1"),
        ("recall@fpr= >= old", "@fpr= and @recall= take a number from 0 to 1"),
        ("recall@tpr=0.1 >= old", "@fpr= and @recall= take a number from 0 to 1"),
        ("precision@fpr=0.1 >= old", "only recall@fpr=X and precision@recall=X exist"),
        ("recall@recall=0.1 >= old", "only recall@fpr=X and precision@recall=X exist"),
        ("recall[a >= old", "expected a slice or class as [NAME]"),
        ("recall[] >= old", "expected a slice or class as [NAME]"),
        ("accuracy = old", "expected >=, <=, > or < and a bound, or 'no worse', after the metric"),
        ("accuracy no better", "expected >=, <=, > or < and a bound, or 'no worse', after the metric"),
        ("accuracy >= old * 2", "expected nothing, or + or - and a number, after 'old'"),
        ("accuracy >= old + x", "the bound is not a number"),
        ("accuracy >= old + inf", "the bound is not a number"),
        ("accuracy >= new", "the bound is neither a number nor 'old'"),
        ("accuracy >= nan", "the bound is neither a number nor 'old'")):
    run = compare(gate, old="nothing.tsv")
    ok(run.returncode == 64 and run.stderr == "eval: --gate '%s': %s\n" % (gate, why), "refused before a file is read: '%s' %s" % (gate, run.stderr if why not in run.stderr else ""))
for gate, why in (
        ("recall[d] >= old", "recall, precision and f1 take a class: recall[NAME]"),
        ("f1 >= old", "recall, precision and f1 take a class: recall[NAME]"),
        ("kappa[camera=x] >= old", "this metric cannot be used with a slice"),
        ("accuracy[lens] >= old", "no such slice, and no sliced column of that name"),
        ("v:recall@fpr=0.1[camera=x] >= old", "@fpr= and @recall= choose a threshold over all rows: they cannot be used with a slice"),
        ("v:kappa >= old", "no such metric"),
        ("u:fpr >= old", "no such view")):
    run = compare(gate)
    ok(run.returncode == 64 and run.stderr == "eval: --gate '%s': %s\n" % (gate, why), "refused: '%s' %s" % (gate, run.stderr if why not in run.stderr else ""))
sys.exit(plan())
