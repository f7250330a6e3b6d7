#!/usr/bin/env bash
# Head and fine-tuning on five harmless classes that are not the demo's: clip art of Debian's openclipart-png (131 MB), 216 pictures a class.
# Prints a TSV table of accuracies on the test pictures and never fails.
# usage: held_out.sh [DIR [BASE]]      DIR keeps the pictures, the caches and the runs; BASE: models/base/efficientnet_lite1
#   THREADS=2   ONLY=pack stops after the set is packed
set -u
bin=$(realpath "${BIN:-bin}") work=${1:-$(mktemp -d)} base=$(realpath "${2:-models/base/efficientnet_lite1}")
mkdir -p "$work" && cd "$work" || exit 0
[ -d oc ] || { apt-get -qq download openclipart-png && dpkg-deb -x openclipart-png_*.deb oc; } || exit 0
[ -d pics ] || python3 - <<'P'
import glob, os, random, shutil
top, r = "oc/usr/share/openclipart/png", random.Random(22)
def files(*folders, no=()):
    all = [f for d in folders for f in sorted(glob.glob(f"{top}/{d}/**/*.png", recursive=True)) if os.path.getsize(f) > 2048]
    return [f for f in all if not any(n in f for n in no)]
classes = {"animals": files("animals"), "food": files("food"), "people": files("people", no=("smilies",)),
           "recreation": files("recreation", no=("/cards/",)), "tools": files("tools", "office", "electronics")}
for label, all in classes.items():
    r.shuffle(all)
    os.makedirs("pics/" + label)
    for i, f in enumerate(all[:216]):
        shutil.copy(f, f"pics/{label}/{i:03d}-{os.path.basename(f)}")
P
[ -d set ] || { "$bin/scan" pics | "$bin/validate" --root . --min-bytes 1k -o valid.tsv &&
    "$bin/train-test-split" --val 0.15 --test 0.2 --exact --group-by path -o split.tsv valid.tsv && "$bin/pack" --root . --size "${SIDE:-240}" -o set split.tsv; }
[ "${ONLY:-}" != pack ] || exit 0
train() { "$bin/train" --shards set --cache cache -q --threads "${THREADS:-2}" --batch 32 "$@"; }
accuracy() { "$bin/eval" --model "$1/model" --shards set --no-report --threads "${THREADS:-2}" -q --out "$1/test" &&
    awk -F'\t' -v what="$2" '$1 == "accuracy" { printf "%s\t%.1f %% (%.1f to %.1f) of %d\n", what, 100 * $3, 100 * $4, 100 * $5, $6 }' "$1/test/metrics.tsv"; }
train --phase head --base "$base" --epochs 60 --lr 0.01 --schedule step:0.1:30,50 --class-weights balanced --out head
accuracy head "head, default.conf"
train --phase head --base "$base" --epochs 60 --lr 0.01 --schedule cosine --label-smoothing 0.1 --out smooth
accuracy smooth "head, smoothed labels"
fine() { train --phase fine-tune --base "$1/model" --epochs 6 --lr 0.0001 --optimizer adam --schedule cosine --label-smoothing 0.1 --freeze-bn --patience 0 \
    --augment rotation=15,shift=0.1,zoom=0.2,flip --out "$2"; }
fine smooth fine-smooth
accuracy fine-smooth "fine-tuned from it"
[ -z "${ALL:-}" ] || { fine head fine-head && accuracy fine-head "fine-tuned from default.conf's head"; }
