#!/usr/bin/env bash
# What JPEG records cost in accuracy (`pack --encoding jpeg`, which `auto` takes where raw ones need too much room): the pictures of a run,
# such as the demo's, packed both ways; a head with folds on each, so that every picture is predicted by a model that did not see it, and
# the model of each on the raw test pictures, which are what classify sees. Paired by picture. Prints, never fails.
# usage: encoding.sh RUN [BASE [SEEDS]]      runs/demo models/base/efficientnet_lite1 3
# REALTIME=1 (root): before everything else on the machine.
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
BIN=${BIN:-$TOP/bin}
run=${1:?usage: encoding.sh RUN [BASE [SEEDS]]} model=${2:-$TOP/models/base/efficientnet_lite1} seeds=${3:-3}
[ -f "$run/round-1/split.tsv" ] && [ -f "$model/model.json" ] || { echo "encoding.sh: no '$run/round-1/split.tsv' or no '$model': nothing measured"; exit 0; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
first=
if [ -n "${REALTIME:-}" ] && chrt -f 5 true 2>/dev/null; then first="chrt -f 5"; fi
side=$(awk -F'\t' '$1 == "side_px" { print $2 }' "$run/round-1/shards/index.tsv")
mkdir "$work/cache"
cp "$run"/cache/features-*.cache "$work/cache/" 2>/dev/null
for e in raw jpeg; do
    "$BIN/pack" -q --root "$run" --size "$side" --encoding $e -o "$work/$e" "$run/round-1/split.tsv" || exit 0
    echo "$e: $(cat "$work/$e"/*.bin | wc -c) bytes of records"
    for seed in $(seq "$seeds"); do
        $first "$BIN/train" -q --shards "$work/$e" --base "$model" --phase head --folds 5 --fold-rows all --cache "$work/cache" --epochs 20 --batch 32 --lr 0.003 --optimizer adam --schedule cosine --head-l2 0 --seed "$seed" --out "$work/$e-$seed" || exit 0
        $first "$BIN/eval" -q --model "$work/$e-$seed/model" --shards "$work/raw" --split test --no-report --out "$work/test-$e-$seed" || exit 0
    done
done
python3 - "$work" "$seeds" <<'P'
import random, sys
work, seeds = sys.argv[1], int(sys.argv[2])
def right(path):
    head, *rows = [l.rstrip("\n").split("\t") for l in open(path)]
    at = {n: i for i, n in enumerate(head)}
    return {r[at["id"]]: r[at["label"]] == r[at["pred"]] for r in rows}
def compare(text, name):
    raw, jpeg = ([right(name % (e, s)) for s in range(1, seeds + 1)] for e in ("raw", "jpeg"))
    ids = sorted(raw[0])
    share = lambda sets: sum(sum(s.values()) for s in sets) / len(sets) / len(ids)
    d = [sum(j[i] - r[i] for r, j in zip(raw, jpeg)) / seeds for i in ids]
    random.seed(1)
    means = sorted(sum(random.choices(d, k=len(d))) / len(d) for _ in range(2000))
    gained = sum(j[i] and not r[i] for r, j in zip(raw, jpeg) for i in ids)
    lost = sum(r[i] and not j[i] for r, j in zip(raw, jpeg) for i in ids)
    noise = [sum(a[i] != b[i] for i in ids) for a, b in zip(raw, raw[1:])]
    print("%s: %d pictures, %d seeds: raw %.2f %%, jpeg %.2f %%, difference %+.2f points (95 %%: %+.2f to %+.2f, pictures drawn again); wrong to right %d, right to wrong %d; between two seeds of raw %s change"
          % (text, len(ids), seeds, 100 * share(raw), 100 * share(jpeg), 100 * sum(d) / len(d), 100 * means[50], 100 * means[1949], gained, lost, noise))
compare("out of fold", work + "/%s-%d/oof.tsv")
compare("raw test pictures", work + "/test-%s-%d/predictions.tsv")
P
exit 0
