#!/usr/bin/env python3
"""What labels are worth in the order of audit --next, beside a random order: each picture gets the label of the nearest labelled one.
usage: tests/bench/label_next.py AUDIT MANIFEST FEATURES TRUTH.tsv [LABELS...]
MANIFEST has the columns of validate --with stats; its labels are taken away first. Random orders: the mean of five."""
import csv, math, random, struct, subprocess, sys, tempfile


def read(path):
    return list(csv.DictReader(open(path, newline=''), delimiter='\t', quoting=csv.QUOTE_NONE))


audit, manifest, features, truth_file = sys.argv[1:5]
budgets = [int(n) for n in sys.argv[5:]] or [16, 32, 64, 128]
rows, truth = read(manifest), {t['id']: t['label_true'] for t in read(truth_file)}
label = {r['xxh128']: truth.get(r['xxh128'], r['label']) for r in rows}
ids = [r['xxh128'] for r in read(features + '/rows.tsv')]
raw = open(features + '/features.npy', 'rb').read()
raw = raw[10 + struct.unpack('<H', raw[8:10])[0]:]
d = len(raw) // 2 // len(ids)
vectors = {}
for i, x in enumerate(ids):
    v = struct.unpack('<%de' % d, raw[2 * d * i:2 * d * (i + 1)])
    length = math.sqrt(sum(c * c for c in v)) or 1
    vectors[x] = [c / length for c in v]
names = [x for x in label if x in vectors]


def accuracy(chosen):
    right = 0
    for x in names:
        v = vectors[x]
        best = max(chosen, key=lambda c: sum(a * b for a, b in zip(v, vectors[c])))
        right += label[best] == label[x]
    return right / len(names)


with tempfile.TemporaryDirectory() as tmp:
    with open(tmp + '/set.tsv', 'w') as f:
        f.write('\t'.join(rows[0]) + '\n')
        for r in rows:
            f.write('\t'.join('' if c == 'label' else v for c, v in r.items()) + '\n')
    subprocess.run([audit, '-q', '--features', features, '--next', tmp + '/next.tsv', '-o', tmp + '/audit.tsv', tmp + '/set.tsv'], check=True)
    order = [r['xxh128'] for r in read(tmp + '/next.tsv')]
print('labels\tnext\trandom')
for n in budgets:
    drawn = [random.Random(seed).sample(names, n) for seed in range(5)]
    print('%d\t%.3f\t%.3f' % (n, accuracy(order[:n]), sum(accuracy(s) for s in drawn) / 5))
