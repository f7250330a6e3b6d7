#!/usr/bin/env bash
# What --color srgb does to probabilities: photographs as if they were in Display P3, classified with their samples as stored and
# converted. Prints the mean and the largest change of a probability, and how often the likeliest class is another. Never fails.
# usage: colour.sh MODEL FOLDER     FOLDER: pictures, at best real ones; BIN=bin
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
BIN=${BIN:-$TOP/bin}
model=${1:?usage: colour.sh MODEL FOLDER} folder=${2:?usage: colour.sh MODEL FOLDER}
work=$(mktemp -d "${TMPDIR:-/tmp}/winnow-colour-XXXXXX")
trap 'rm -rf "$work"' EXIT
/usr/bin/python3 - "$TOP/tests/tools" "$folder" "$work" <<'P'
import glob, os, sys
tools, folder, work = sys.argv[1:]
sys.path.insert(0, tools)
sys.argv[1:] = [work + "/odd"]
sys.stdout = open(os.devnull, "w")
from make_odd import P3
from PIL import Image
os.mkdir(work + "/p3")
for path in sorted(glob.glob(folder + "/*")):
    Image.open(path).convert("RGB").save(f"{work}/p3/{os.path.basename(path)}.png", icc_profile=P3)
P
for color in none srgb; do "$BIN/classify" --model "$model" --color $color "$work/p3" -o "$work/$color.tsv" || exit 0; done
/usr/bin/python3 - "$work" <<'P'
import sys
rows = {c: [line.rstrip("\n").split("\t") for line in open(f"{sys.argv[1]}/{c}.tsv")] for c in ("none", "srgb")}
at = [i for i, h in enumerate(rows["none"][0]) if h.startswith("p_")]
apart = [[abs(float(a[i]) - float(b[i])) for i in at] for a, b in zip(rows["none"][1:], rows["srgb"][1:])]
other = sum(a[1] != b[1] for a, b in zip(rows["none"][1:], rows["srgb"][1:]))
largest = [max(r) for r in apart]
print(f"{len(apart)} pictures: the largest change of a probability is {max(largest):.3f}, its mean over pictures {sum(largest) / len(largest):.4f}; another likeliest class in {other}")
P
