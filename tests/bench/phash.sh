#!/usr/bin/env bash
# phash-dedup: hashing speed, the join, recall per alteration. Prints tables, judges nothing.
# usage: phash.sh       PICTURES=FOLDER of photographs (default: made pictures, which say little about recall)
#        REFERENCE=PROGRAM pdq-photo-hasher, built with libjpeg, to run beside (not part of this project)
#        COUNT=400 RUNS=3 SIZES="100000 1000000 5000000" (of the join; 5 million needs 3 GB of disk)
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
bin=${BIN:-$top/bin}
case $bin in /*) ;; *) bin=$top/$bin ;; esac
work=$(mktemp -d "${TMPDIR:-/tmp}/winnow-bench-XXXXXX") || exit 73
trap 'rm -rf "$work"' EXIT
count=${COUNT:-400} runs=${RUNS:-3}
alter=$top/tests/bench/alter-pictures.py
pictures=${PICTURES:-}
[ -n "$pictures" ] || { pictures=$work/made; /usr/bin/python3 "$alter" made 40 "$pictures"; }
cd "$work" || exit 66

timed() { # label, count, command...: wall and CPU of each run into times
    local label=$1 items=$2
    shift 2
    /usr/bin/time -o t -f '%e %U %S %M' "$@" >out 2>/dev/null
    echo "$label $items $(tail -n 1 t)" >>times
}
table() { # medians; per second of wall and per second of CPU
    printf '%-26s %9s %8s %8s %12s %12s %8s\n' what items wall_s cpu_s per_wall_s per_cpu_s peak_MB
    cut -d' ' -f1 times | awk '!s[$0]++' | while read -r label; do
        median() { grep "^$label " times | awk "{ print $1 }" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
        printf '%s %s %s %s %s\n' "$label" "$(median '$2')" "$(median '$3')" "$(median '$4 + $5')" "$(median '$6')" |
            awk '{ printf "%-26s %9d %8.2f %8.2f %12.1f %12.1f %8.1f\n", $1, $2, $3, $4, $2 / ($3 + 1e-9), $2 / ($4 + 1e-9), $5 / 1024 }'
    done
}

echo "== hashing $count JPEGs of 1024x768, in memory, $runs runs each =="
/usr/bin/python3 "$alter" speed "$count" "$pictures" speed
"$bin/scan" speed >speed.tsv
cat speed/*.jpg | wc -c | awk -v n="$count" '{ printf "mean file: %d bytes\n", $1 / n }'
: >times
for _ in $(seq "$runs"); do
    for family in full nn512 fast; do
        timed "$family-j1" "$count" "$bin/phash-dedup" --hash-only -j1 --pdq $family speed.tsv
        timed "$family-j2" "$count" "$bin/phash-dedup" --hash-only -j2 --pdq $family speed.tsv
    done
    [ -z "${REFERENCE:-}" ] || timed reference "$count" "$REFERENCE" speed/*.jpg
done
table

echo "== all pairs of random hashes, one in twenty planted within 31 bits =="
: >times
for n in ${SIZES:-100000 1000000}; do
    python3 - "$n" >join.tsv <<'P'
import random, sys
r, n = random.Random(5), int(sys.argv[1])
print("path\tpdq\tpdq_quality")
kept = []
for i in range(n):
    h = r.getrandbits(256)
    if i % 20 == 19:
        h = r.choice(kept)
        for b in r.sample(range(256), r.randrange(32)):
            h ^= 1 << b
    elif len(kept) < 100000:
        kept.append(h)
    print("%d.jpg\t%064x\t100" % (i, h))
P
    for d in 31 63; do
        timed "join-$d-j2-$n" "$n" "$bin/phash-dedup" -j2 --keep path --group-distance $d join.tsv
        [ "$n" -gt 1000000 ] || timed "join-$d-j1-$n" "$n" "$bin/phash-dedup" -j1 --keep path --group-distance $d join.tsv
    done
    rm -f join.tsv
done
table

echo "== recall per alteration, share in % within the distance of the plain picture =="
/usr/bin/python3 "$alter" recall "$pictures" recall
"$bin/scan" recall >recall.tsv
for family in full nn512 fast; do "$bin/phash-dedup" --hash-only --pdq $family recall.tsv >"$family.tsv"; done
sets="full=full.tsv nn512=nn512.tsv fast=fast.tsv"
if [ -n "${REFERENCE:-}" ]; then
    { printf 'path\tpdq\n'; "$REFERENCE" recall/*.jpg | awk -F, '{ print $3 "\t" $1 }'; } >reference.tsv
    sets="$sets reference=reference.tsv"
    awk -F'\t' 'NR == FNR { h[$1] = $3; next } FNR > 1 { n++; same += h[$1] == $2 } END { printf "nn512: %d of %d hashes equal the reference\n", same, n }' nn512.tsv reference.tsv
fi
# shellcheck disable=SC2086
python3 "$top/tests/bench/recall.py" $sets

echo "== the same, through the whole program =="
for d in 31 63; do
    "$bin/phash-dedup" --distance $d --group-distance $d --rejects r.tsv recall.tsv >k.tsv
    echo "distance $d: $(($(wc -l <recall.tsv) - 1)) pictures, $(($(wc -l <r.tsv) - 1)) leave"
done
for exact in "" --exact-groups; do
    "$bin/phash-dedup" -v $exact --group-distance 63 recall.tsv 2>&1 >k.tsv | sed -n "s/.* \([0-9]* near pairs\)/pairs within 63 bits ${exact:-by default}: \1/p"
done
