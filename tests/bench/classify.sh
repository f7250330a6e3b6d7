#!/usr/bin/env bash
# Cold start of one picture and the warm rate of a stream, InceptionV3. Prints a table, never fails.
# usage: BIN=bin tests/bench/classify.sh [MODEL]
cd "$(dirname "$0")/../.." || exit 0
BIN=${BIN:-bin} model=${1:-models/base/inception_v3}
[ -f "$model/model.json" ] || { echo "no model in $model: make base-weights"; exit 0; }
pictures=tests/fixtures/inception_v3
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
echo "load: $(cut -d' ' -f1-3 /proc/loadavg)"
printf 'what\trun\tseconds\tuser\tsystem\tMB\n'
for run in 1 2 3 4 5; do
    for threads in 1 2; do
        LC_ALL=C bash -c "TIMEFORMAT='%R %U %S'; time '$BIN/classify' -j$threads --model '$model' $pictures/stamp_lion.png >/dev/null" 2>"$T/time"
        printf 'cold, %s threads\t%s\t%s\n' $threads $run "$(tail -n 1 "$T/time" | tr ' ' '\t')"
    done
done
for i in 1 2 3 4 5 6 7 8; do cp -r $pictures "$T/$i"; done
for n in 1 8; do
    set --
    for i in $(seq $n); do set -- "$@" "$T/$i"; done
    start=$(date +%s.%N)
    "$BIN/classify" -j2 --model "$model" "$@" >/dev/null
    echo "$((12 * n)) $(date +%s.%N) $start" >>"$T/rates"
done
# Two lengths: the start cancels out.
awk '{ n[NR] = $1; t[NR] = $2 - $3 } END { printf "warm stream: %.2f pictures/s (start and first batch: %.2f s)\n", (n[2] - n[1]) / (t[2] - t[1]), t[1] - n[1] * (t[2] - t[1]) / (n[2] - n[1]) }' "$T/rates"
