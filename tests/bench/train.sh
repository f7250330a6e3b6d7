#!/usr/bin/env bash
# train on a shard set of one's own: how fast the head phase, its folds and fine-tuning's loader are. Prints a TSV table, never fails.
# usage: train.sh SHARDS BASE [DIR]     DIR keeps the feature cache between runs (default: a temporary folder)
#   THREADS=2  EPOCHS=60  FOLDS=5  FINE=1 also measures one fine-tuning epoch with augmentation on, and with the boundary cache
set -u
bin=${BIN:-bin}
shards=$1 base=$2 work=${3:-$(mktemp -d)}
threads=${THREADS:-2} epochs=${EPOCHS:-60} folds=${FOLDS:-5}
mkdir -p "$work"
now() { date +%s.%N; }
took() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", b - a }'; }
median() { sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
column() { awk -F'\t' -v name="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i; next } $1 > 0 { print $c }' "$2"; }
printf 'what\tvalue\tunit\n'
rm -rf "$work"/run-*
a=$(now); "$bin/train" --shards "$shards" --base "$base" --out "$work/run-features" --cache "$work/cache" --threads "$threads" --epochs 1 -v 2>"$work/features.txt"; b=$(now)
sed -n 's/.*features: \([0-9.]*\) s, \([0-9.]*\) pictures.s.*/features, base in inference\t\2\tpictures\/s/p' "$work/features.txt"
printf 'first run, one epoch, with what was not cached\t%s\ts\n' "$(took "$a" "$b")"
a=$(now); "$bin/train" --shards "$shards" --base "$base" --out "$work/run-head" --cache "$work/cache" --threads "$threads" --epochs "$epochs" --patience 0; b=$(now)
printf 'phase head, %s epochs from the cache, whole program\t%s\ts\n' "$epochs" "$(took "$a" "$b")"
printf 'head epochs, median\t%s\tpictures/s\n' "$(column images_per_s "$work/run-head/log.tsv" | median)"
a=$(now); "$bin/train" --shards "$shards" --base "$base" --out "$work/run-folds" --cache "$work/cache" --threads "$threads" --epochs "$epochs" --patience 0 --folds "$folds"; b=$(now)
printf 'the same with %s folds\t%s\ts\n' "$folds" "$(took "$a" "$b")"
[ -n "${FINE:-}" ] || exit 0
fine() { # name, options
    local name=$1
    shift
    "$bin/train" --shards "$shards" --base "$work/run-head/model" --phase fine-tune --out "$work/run-$name" --cache "$work/cache" --threads "$threads" \
        --epochs 1 --refresh-bn off "$@"
    printf 'fine-tune, %s\t%s\tpictures/s\n' "$name" "$(column images_per_s "$work/run-$name/log.tsv")"
    printf 'fine-tune, %s, waiting for data\t%s\tshare\n' "$name" "$(column waited "$work/run-$name/log.tsv")"
}
fine augmented --augment article
fine boundary-f16 --boundary-cache f16
