#!/usr/bin/env bash
# How well wrong labels are found, over many seeds: the demo's pictures with their true labels, wrong ones planted anew for each seed, packed,
# trained from the run's feature cache, mined. Prints a table and its mean and deviation; never fails.
# usage: tests/bench/suspects.sh RUN [SEED...]      RUN: a demo run with round-1 and its feature cache (make demo); seeds: 1 2 3 4 5
# Environment: BIN; RATE (0.05), KIND uniform or pairs (class k mostly as class k+1, at rates that differ); TRAIN: flags of train;
# MINE: flags of mine-errors; PLAIN=1 leaves margins out. What a seed made is kept in KEEP, if set, and not made again.
set -u
cd "$(dirname "$0")/../.." || exit 0
run=$1
shift
[ $# -gt 0 ] || set -- 1 2 3 4 5
BIN=${BIN:-bin}
export RATE=${RATE:-0.05} KIND=${KIND:-uniform}
read -ra train <<<"${TRAIN:---epochs 20 --batch 32 --lr 0.003 --optimizer adam --schedule cosine --head-l2 0 --folds 5 --fold-rows all --fold-passes 2}"
read -ra mine <<<"${MINE:---methods separation}"
T=${KEEP:-$(mktemp -d)}
[ -n "${KEEP:-}" ] || trap 'rm -rf "$T"' EXIT
mkdir -p "$T"
table=$(mktemp "$T/table-XXXXXX")
# The true labels, flipped: the manifest with all variants under their picture's label, and the truth.
plant() { # SEED DIR
    python3 - "$run" "$1" "$2" <<'P'
import csv, os, random, sys
run, seed, out = sys.argv[1:]
def read(path):
    with open(path, encoding="utf-8", newline="") as f:
        return list(csv.reader(f, delimiter="\t", quoting=csv.QUOTE_NONE))
truth = {}
rows = read(run + "/web/truth.tsv")
at = {n: i for i, n in enumerate(rows[0])}
for r in rows[1:]:
    if r[at["id"]]:
        truth[r[at["id"]]] = (r[at["label_true"]], r[at["label_given"]] if r[at["kind"]] == "known-error" else r[at["label_true"]], r[at["kind"]])
head, *rows = read(run + "/round-1/augmented.tsv")
at = {n: i for i, n in enumerate(head)}
labels = sorted({t[0] for t in truth.values()})
pictures = sorted(r[at["xxh128"]] for r in rows if r[at["variant"]] in ("", "0"))
random.seed(int(seed))
given = {i: truth[i][1] for i in pictures if i in truth}
clean = [i for i in given if truth[i][0] == truth[i][1]]
if os.environ["KIND"] == "uniform":
    for i in random.sample(clean, round(float(os.environ["RATE"]) * len(clean))):
        given[i] = random.choice([c for c in labels if c != truth[i][0]])
else:
    share = {c: float(os.environ["RATE"]) * [2, 0.2, 1, 1.5, 0.3][k % 5] for k, c in enumerate(labels)}
    for i in clean:
        if random.random() < share[truth[i][0]]:
            k = labels.index(truth[i][0])
            given[i] = labels[(k + 1) % len(labels)] if random.random() < 0.8 else random.choice([c for c in labels if c != truth[i][0]])
path_label = {r[at["path"]]: given.get(r[at["xxh128"]]) for r in rows}
with open(out + "/augmented.tsv", "w", encoding="utf-8") as f:
    f.write("\t".join(head) + "\n")
    for r in rows:
        label = given.get(r[at["xxh128"]]) or path_label.get(r[at["source"]])
        if label:
            r[at["label"]] = label
            f.write("\t".join(r) + "\n")
with open(out + "/truth.tsv", "w", encoding="utf-8") as f:
    f.write("id\tlabel_true\tkind\n")
    for i in given:
        f.write("%s\t%s\t%s\n" % (i, truth[i][0], "known-error" if truth[i][0] != truth[i][1] else "planted" if given[i] != truth[i][0] else "clean"))
P
}
value() { awk -F'\t' -v m="$1" -v k="$2" 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } $at["measure"] == m && index($at["key"], k) == 1 { print $at["value"], $at["n"]; exit }' "$3"; }
printf 'seed\twrong\tsuspects\tprecision\trecall\trecall in 10 %%\n' | tee "$table"
for seed in "$@"; do
    d=$T/$KIND-$RATE-$seed
    mkdir -p "$d"
    if [ ! -f "$d/head/oof.tsv" ]; then
        plant "$seed" "$d" &&
            "$BIN/pack" --root "$run" --size 299 --resize bilinear --rejects "$d/rejects.tsv" -o "$d/shards" "$d/augmented.tsv" &&
            "$BIN/train" --shards "$d/shards" --base "${BASE:-models/base/inception_v3}" --phase head --cache "$run/cache" --on-change restart --device cpu \
                "${train[@]}" --out "$d/head" || exit 0
        rm -rf "$d/shards"
    fi
    margins=(--margins "$d/head/margins.tsv")
    [ -z "${PLAIN:-}" ] || margins=()
    "$BIN/mine-errors" "${mine[@]}" --predictions "$d/head/oof.tsv" "${margins[@]}" --manifest "$run/round-1/split.tsv" --truth "$d/truth.tsv" \
        --truth-report "$d/score.tsv" -o "$d/suspects.tsv" || exit 0
    read -r precision suspects <<<"$(value precision 'of the suspects' "$d/score.tsv")"
    read -r recall wrong <<<"$(value recall 'of the suspects' "$d/score.tsv")"
    read -r ten _ <<<"$(value recall 'looking at 10%' "$d/score.tsv")"
    printf '%s\t%s\t%s\t%.3f\t%.3f\t%.3f\n' "$seed" "$wrong" "$suspects" "$precision" "$recall" "$ten" | tee -a "$table"
done
awk -F'\t' 'NR > 1 { n++; for (i = 2; i <= 6; i++) { s[i] += $i; q[i] += $i * $i } }
    END { printf "mean"; for (i = 2; i <= 6; i++) printf i < 4 ? "\t%.1f" : "\t%.3f", s[i] / n; printf "\nsd"
          for (i = 2; i <= 6; i++) { v = n > 1 ? (q[i] - s[i] * s[i] / n) / (n - 1) : 0; printf i < 4 ? "\t%.1f" : "\t%.3f", sqrt(v > 0 ? v : 0) } print "" }' "$table"
rm -f "$table"
