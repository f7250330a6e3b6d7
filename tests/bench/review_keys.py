#!/usr/bin/env python3
"""Keys and seconds that a reviewer needs for suspects one by one and in groups of alike ones (mine-errors --features).
usage: tests/bench/review_keys.py MINE_ERRORS OOF.tsv FEATURES TRUTH.tsv [WRONG [ALIKE...]]
WRONG labels are planted at random (0: those that are there), and every row that is predicted as another class is a suspect, at most 1,000.
The reviewer knows the true label. One by one a picture takes a space and a key. A group takes a space; a picture with another answer
than most takes the arrows to it and a key; Esc and a key decide the rest. Seconds by Card, Moran and Newell: 0.28 for a key, 1.35 to
make up one's mind for each decision, 0.23 to look at each picture."""
import csv, random, subprocess, sys, tempfile


def read(path):
    return list(csv.DictReader(open(path, newline=''), delimiter='\t', quoting=csv.QUOTE_NONE))


def keys_of_group(answers):
    usual = max(sorted(set(answers)), key=answers.count)
    keys, at, left, decisions = 1, -1, len(answers), 0
    for i, a in enumerate(answers):
        if a == usual:
            continue
        keys += i - at if at < i else 0
        keys, left, decisions = keys + 1, left - 1, decisions + 1
        at = i + 1 if i + 1 < len(answers) else -1
    keys += (at >= 0) + (left > 0)
    decisions += left > 0
    return (keys, decisions) if keys < 2 * len(answers) else (2 * len(answers), len(answers))


mine, oof, features, truth_file = sys.argv[1:5]
wrong = int(sys.argv[5]) if len(sys.argv) > 5 else 950
rows, truth, r = read(oof), {t['id']: t['label_true'] for t in read(truth_file)}, random.Random(1)
classes = [c[2:] for c in rows[0] if c.startswith('p_')]
planted = set(r.sample(range(len(rows)), wrong))
with tempfile.TemporaryDirectory() as tmp:
    with open(tmp + '/oof.tsv', 'w') as f:
        f.write('\t'.join(rows[0]) + '\n')
        for i, row in enumerate(rows):
            truth.setdefault(row['id'], row['label'])
            if i in planted:
                row['label'] = r.choice([c for c in classes if c != truth[row['id']]])
            f.write('\t'.join(row.values()) + '\n')
    print('alike\tsuspects\titems\tkeys_alone\tkeys\tshare\tseconds_alone\tseconds\tshare')
    for alike in sys.argv[6:] or ['0.3']:
        subprocess.run([mine, '--predictions', tmp + '/oof.tsv', '--features', features, '--alike', alike, '--methods', 'disagreement',
                        '--rank', 'normalized_margin', '-o', tmp + '/suspects.tsv'], check=True)
        groups = {}
        suspects = [s for s in read(tmp + '/suspects.tsv') if 'off-topic' not in s['method']][:1000]
        for i, s in enumerate(suspects):
            true = truth[s['id']]
            groups.setdefault(s['alike'] or 'alone %d' % i, []).append('keep' if true == s['label'] else 'accept' if true == s['suggested'] else true)
        costs = [keys_of_group(g) if len(g) > 1 else (2, 1) for g in groups.values()]
        n, keys = len(suspects), sum(c[0] for c in costs)
        alone, together = n * (2 * 0.28 + 1.35 + 0.23), keys * 0.28 + sum(c[1] for c in costs) * 1.35 + n * 0.23
        print('%s\t%d\t%d\t%d\t%d\t%.2f\t%.0f\t%.0f\t%.2f' % (alike, n, len(groups), 2 * n, keys, keys / 2 / n, alone, together, together / alone))
